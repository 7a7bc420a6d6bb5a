//! What is shown while it runs, and the table at its end.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table};
use dualkey::{KeyState, Reason, Verdict};
use indicatif::{ProgressBar, ProgressStyle};

use crate::load::{Counts, Outcome};
use crate::service::{Reasons, Rings};

const SECRETS: [&str; 4] = ["JWT_SECRET", "SESSION_SECRET", "META_APP_SECRET", "ENCRYPTION_KEY"];

/// The phase that the demo is in.
#[derive(Clone)]
pub struct Stage {
    bar: ProgressBar,
    started: Instant,
}

impl Stage {
    pub fn new(title: &str) -> Self {
        println!("{title}\n");
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("        {spinner} {msg}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(100));
        Self { bar, started: Instant::now() }
    }

    pub fn start_phase(&self, phase: &str) {
        let seconds = self.started.elapsed().as_secs_f64();
        self.bar.suspend(|| println!("{seconds:5.1} s  {phase}"));
    }

    pub fn show_progress(&self, requests: u64, refused: u64) {
        self.bar.set_message(format!("{requests} requests, {refused} refused"));
    }

    /// Prints the table. The exit code says whether a valid request was lost where none
    /// may be.
    pub fn report(
        &self,
        counts: &Arc<Counts>,
        reasons: &Reasons,
        instances: &[Rings],
        verdicts: &[(&str, [Verdict; 4])],
    ) -> ExitCode {
        self.bar.finish_and_clear();
        // The usual way knows none.
        let naive = verdicts.is_empty();
        let seconds = self.started.elapsed().as_secs_f64();
        // What clients were refused, by what the service told its operator.
        let by_reason = |revoked: bool| {
            SECRETS.map(|secret| {
                let all = reasons.counts().into_iter();
                let matching = all.filter(|((ring, reason), _)| {
                    ring == secret && (*reason == Reason::RevokedKey) == revoked
                });
                matching.map(|(_, count)| count).sum::<u64>()
            })
        };
        let (lost, revoked) = (by_reason(false), by_reason(true));
        let of = |pick: fn(&Outcome) -> &AtomicU64| {
            counts.columns().map(|outcome| pick(outcome).load(Relaxed))
        };
        let mut rows = vec![
            ("requests", of(|outcome| &outcome.requests)),
            ("accepted under the primary", of(|outcome| &outcome.primary)),
            ("accepted under a fallback", of(|outcome| &outcome.fallback)),
            ("accepted under a staged key", of(|outcome| &outcome.staged)),
            ("cookies signed again", of(|outcome| &outcome.resigned)),
            ("valid, and rejected", lost),
        ];
        if !naive {
            rows.push(("refused after `revoke`: revoked_key", revoked));
        }
        let mut table = Table::new();
        table.load_style(UTF8_FULL_CONDENSED);
        let header = [""].into_iter().chain(SECRETS).chain(["all"]);
        table.set_header(header);
        for (name, values) in &rows {
            let all = values.iter().sum::<u64>();
            let mut row = vec![(*name).to_owned()];
            row.extend(values.iter().chain([&all]).map(u64::to_string));
            table.add_row(row);
        }
        table.column_iter_mut().skip(1).for_each(|c| c.set_cell_alignment(CellAlignment::Right));
        println!("\n{table}");

        let requests: u64 = rows[0].1.iter().sum();
        let (logins, unanswered) = (counts.logins.load(Relaxed), counts.unanswered.load(Relaxed));
        println!(
            "{logins} logins; {unanswered} requests without an answer; {:.0} requests per second \
             on two instances for {seconds:.1} seconds",
            requests as f64 / seconds,
        );
        let read = |count: &AtomicU64| count.load(Relaxed);
        let (shown, native) = (read(&counts.node_cookies), read(&counts.from_node));
        let torn = read(&counts.notes_torn);
        println!(
            "{native} of {shown} browsers from the Node server came back with a native cookie; \
             {} notes written, {torn} read as something else",
            read(&counts.notes_written),
        );
        let total: u64 = lost.iter().sum();
        if naive {
            let logged_out = lost[0] + lost[1];
            println!("\n{total} valid requests were lost; {logged_out} of them logged a user out.");
            return ExitCode::SUCCESS;
        }

        let refused: u64 = of(|outcome| &outcome.refused).iter().sum();
        let is_consistent =
            refused == total + revoked.iter().sum::<u64>() && is_consistent(counts, instances);
        let keys = instances.iter().flat_map(Rings::keys).flatten();
        let states: Vec<_> = keys.map(|key| key.state).collect();
        let count = |state| states.iter().filter(|found| **found == state).count();
        println!(
            "keys at the end, over both instances: {} expired, {} revoked; the rings' counters {}",
            count(KeyState::Expired),
            count(KeyState::Revoked),
            if is_consistent { "agree with the clients" } else { "DO NOT AGREE with the clients" },
        );
        println!("\nmay they go?");
        for (what, found) in verdicts {
            for (secret, verdict) in SECRETS.iter().zip(found) {
                println!("  {secret}, {what}: {verdict}");
            }
        }
        let safe = total == 0
            && unanswered == 0
            && torn == 0
            && (native == shown && shown > 0)
            && is_consistent
            && revoked.iter().sum::<u64>() > 0;
        if safe {
            println!("\nNothing was lost.");
            ExitCode::SUCCESS
        } else {
            println!("\nFAILED: {total} valid requests were lost. {:?}", reasons.counts());
            ExitCode::FAILURE
        }
    }
}

/// What the rings counted, through every swap, is what the clients were answered.
fn is_consistent(counts: &Counts, instances: &[Rings]) -> bool {
    let mut used = [(0, 0); 4];
    for rings in instances {
        for (sum, keys) in used.iter_mut().zip(rings.keys()) {
            for key in keys {
                sum.0 += key.usage.verified_as_primary;
                sum.1 += key.usage.verified_as_fallback;
            }
        }
    }
    counts.columns().iter().zip(used).all(|(outcome, (primary, fallback))| {
        let beside = outcome.fallback.load(Relaxed) + outcome.staged.load(Relaxed);
        outcome.primary.load(Relaxed) == primary && beside == fallback
    })
}
