//! A sweep, with its progress.

use std::sync::Mutex;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::args::{self, actor};
use super::show::length;
use super::terminal::complain;
use super::{Context, Failure, Status, Terminal};
use crate::moment::NotBefore;
use crate::ops::json::time as rfc3339;
use crate::ops::schedule::standing_of;
use crate::ops::sweep::Sweeper;
use crate::rewrap::{Swept, Unreadable};
use crate::text::Plain;

pub(super) async fn run(context: &Context, args: args::Rewrap, terminal: &mut Terminal) -> Status {
    let project = context.project()?;
    let mut sweeper = Sweeper::new(&project, &args.name, &actor(args.by.as_deref())?)
        .batch(args.batch)
        .concurrency(args.concurrency);
    if args.execute {
        sweeper = sweeper.execute();
    }
    if args.renew_all {
        sweeper = sweeper.renew_all();
    }
    if args.open_revoked {
        sweeper = sweeper.open_revoked();
    }
    if let Some(reason) = &args.reason {
        sweeper = sweeper.reason(reason);
    }
    if let Some(rate) = args.rate {
        sweeper = sweeper.rows_per_second(rate);
    }
    if let Some(path) = &args.checkpoint {
        sweeper = sweeper.checkpoint(path);
    }
    let bar = bar();
    let (moving, telling) = (bar.clone(), bar.clone());
    let last = Mutex::new(String::new());
    sweeper = sweeper
        .on_progress(move |table, at| {
            let mut last = last.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            if *last != table {
                table.clone_into(&mut last);
                moving.reset();
                moving.set_prefix(Plain(table).to_string());
            }
            if let Some(total) = at.total {
                moving.set_length(total.max(at.rows));
            }
            moving.set_position(at.rows);
            let left = at.left.map_or_else(String::new, |left| format!(", {} left", length(left)));
            moving.set_message(format!("{:.0} rows/s{left}", at.rows_per_second));
        })
        // As they are found: a list of millions would fit in no report.
        .on_unreadable(move |own| telling.suspend(|| tell(own)));
    let begun = Instant::now();
    let swept = sweeper.run().await;
    bar.finish_and_clear();
    let swept = swept?;
    match args.json {
        true => {
            terminal.json(&format!("{:#}", json!(swept.iter().map(row).collect::<Vec<_>>())))?
        }
        false => {
            let mode = if args.execute { "rewrap" } else { "what a rewrap would do" };
            terminal.line(&format!("{} ({}): {mode}", args.name, project.environment_name()))?;
            for (table, own) in &swept {
                terminal.swept(table, own)?;
            }
            let rows: u64 = swept.iter().map(|(_, own)| own.counts.rows).sum();
            let took = begun.elapsed();
            let rate = rows as f64 / took.as_secs_f64().max(0.001);
            terminal.line(&format!("  took      {}, {rate:.0} rows per second", length(took)))?;
            if !args.execute {
                let all = if args.renew_all { " --renew-all" } else { "" };
                let rescue = if args.open_revoked { " --open-revoked --reason WHY" } else { "" };
                let next = format!("dualkey rewrap {} --execute{all}{rescue}", args.name);
                terminal.line(match args.open_revoked {
                    true => "  nothing was changed; the trail says that revoked keys were used",
                    false => "  nothing was changed",
                })?;
                terminal.line(&format!("  command   {next}"))?;
            }
            let counts_from = swept.iter().filter_map(|(_, own)| own.counts_from).max();
            match counts_from {
                Some(from) if args.execute => {
                    terminal.line(&format!(
                        "  problem   this rewrap started too early to count: until {} an instance that \
                         has not reloaded may seal under the old key",
                        NotBefore(from)
                    ))?;
                    terminal.line("  remedy    rewrap again then: this one retires no old key")?;
                }
                Some(from) => {
                    terminal.line(&format!(
                        "  note      a rewrap that starts at or after {} retires the old key",
                        NotBefore(from)
                    ))?;
                }
                None => {}
            }
            if args.execute {
                terminal.next(&standing_of(&project, &args.name).await?, project.now())?;
            }
        }
    }
    // One that does not count is to be repeated, as one that is not complete.
    let is_done = |own: &Swept| own.is_complete() && !(args.execute && own.is_too_early());
    Ok(if swept.iter().all(|(_, own)| is_done(own)) { 0 } else { 3 })
}

impl Terminal {
    fn swept(&mut self, table: &str, own: &Swept) -> Result<(), Failure> {
        let counts = &own.counts;
        let many = |count: u64, what: &str| {
            if count == 0 { String::new() } else { format!(", {count} {what}") }
        };
        self.line(&format!(
            "  {table:<9} {} rows: {} rewritten, {} current{}{}{}{}",
            counts.rows,
            counts.rewritten,
            counts.current,
            many(counts.empty, "empty"),
            many(counts.changed_meanwhile, "changed meanwhile, and looked at again"),
            many(counts.left, "left, which somebody else goes on writing"),
            many(counts.unreadable, "unreadable"),
        ))?;
        for (kid, values) in &own.by_kid {
            self.line(&format!("  under     {kid}: {values}"))?;
        }
        if counts.nothing_sealed > 0 {
            self.line(&format!(
                "  problem   nothing is sealed in {table}, so no old key can be retired by this \
                 rewrap"
            ))?;
            self.line(
                "  remedy    correct the database, the schema or the table in the inventory; for a \
                 table without data add `may_hold_nothing = true`",
            )?;
        }
        Ok(())
    }
}

/// Where nobody watches it is not drawn.
fn bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{prefix} {wide_bar} {pos}/{len} {msg}");
    let bar = ProgressBar::new(0);
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

fn tell(own: &Unreadable) {
    let kid = own.kid.map_or_else(String::new, |kid| format!(", under {kid}"));
    let line = format!("unreadable: {} {} {}: {}{kid}", own.table, own.key, own.column, own.reason);
    complain(&line);
}

fn row((table, own): &(String, Swept)) -> serde_json::Value {
    let unreadable = own.unreadable.iter().map(|own| {
        json!({
            "key": own.key.to_string(),
            "column": own.column,
            "reason": own.reason.to_string(),
            "kid": own.kid.map(|kid| kid.to_string()),
        })
    });
    let by_kid = own.by_kid.iter().map(|(kid, values)| (kid.to_string(), *values));
    json!({
        "table": table,
        "has_written": own.has_written,
        "counts_from": own.counts_from.map(rfc3339),
        "counts": own.counts,
        "by_kid": by_kid.collect::<std::collections::BTreeMap<_, _>>(),
        "unreadable": unreadable.collect::<Vec<_>>(),
    })
}
