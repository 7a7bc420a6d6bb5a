//! A rotation that loses nothing, and how the usual ways compare, over a thousand simulated
//! quarterly rotations:
//!
//! ```sh
//! cargo run --release --example fleet
//! ```
//!
//! Four instances with clocks of their own, which restart; a store that fails, lies stale or
//! comes back half-written; users who hold what was signed for a week; in half of the rotations
//! the key leaks. The rings, the manifests and the rotations are the crate's own, only time and
//! the store are made up. `--declared` draws the bounds of each rotation, within which nothing may
//! be lost. `--beyond` shows what breaks first when more happens than was
//! declared. `--any-step` runs operators who roll back, withdraw, revoke, restage, force and
//! change the policy at any moment. The exit status says whether anything was violated.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

#[path = "../tests/fleet/mod.rs"]
mod fleet;

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use clap::Parser;
use comfy_table::{Table, presets};
use fleet::world::Outcome;
use fleet::{Bounds, Way, run};

#[derive(Parser)]
struct Options {
    /// How many rotations each way does.
    #[arg(long, default_value_t = 1000)]
    rotations: u64,
    /// The first seed; a run is determined by its seed.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Bounds differ from rotation to rotation; within them nothing may be lost.
    #[arg(long)]
    declared: bool,
    /// What breaks first when more happens than was declared.
    #[arg(long, conflicts_with = "declared")]
    beyond: bool,
    /// Operators take any step at any moment.
    #[arg(long, conflicts_with_all = ["declared", "beyond"])]
    any_step: bool,
}

fn main() -> ExitCode {
    let options = Options::parse();
    if options.declared {
        run_declared(&options)
    } else if options.beyond {
        run_beyond(&options)
    } else if options.any_step {
        run_any_step(&options)
    } else {
        run_quarterly(&options)
    }
}

fn run_any_step(options: &Options) -> ExitCode {
    println!("{} programs of random steps\n", options.rotations);
    let outcomes = run_many(options, |seed| run(seed, Way::Anything, Bounds::for_any_step));
    let sum = |of: fn(&Outcome) -> u64| outcomes.iter().map(of).sum::<u64>().to_string();
    let mut table = table(["", "count"]);
    table.add_row(["steps taken".to_owned(), sum(|outcome| outcome.steps)]);
    table.add_row(["steps refused".to_owned(), sum(|outcome| outcome.refused)]);
    table.add_row(["leaks".to_owned(), sum(|outcome| outcome.leaks)]);
    table.add_row(["requests".to_owned(), sum(|outcome| outcome.requests)]);
    table.add_row(["rejected, as a step declared".to_owned(), sum(|outcome| outcome.declared)]);
    table.add_row(["rejected, because too old".to_owned(), sum(|outcome| outcome.unavailable)]);
    table.add_row(["violations".to_owned(), sum(|outcome| outcome.kinds.values().sum())]);
    println!("{table}");
    let violated =
        outcomes.iter().zip(options.seed..).filter(|(outcome, _)| !outcome.kinds.is_empty());
    let mut status = ExitCode::SUCCESS;
    for (outcome, seed) in violated {
        status = ExitCode::FAILURE;
        println!("seed {seed}: {:?}\n{}", outcome.kinds, outcome.violations.join("\n"));
    }
    status
}

fn run_declared(options: &Options) -> ExitCode {
    println!("{} rotations in each way, each within bounds of its own\n", options.rotations);
    let mut table = table([
        "way",
        "requests",
        "rejected, because too old",
        "leaks",
        "longest exposure after a revocation",
        "violations",
    ]);
    let mut status = ExitCode::SUCCESS;
    for way in [Way::Staged, Way::Scheduled] {
        let outcomes = run_many(options, |seed| run(seed, way, Bounds::from_random));
        let sum = |of: fn(&Outcome) -> u64| outcomes.iter().map(of).sum::<u64>().to_string();
        let exposure = outcomes.iter().filter_map(|outcome| outcome.exposure).max();
        table.add_row([
            way.name().to_owned(),
            sum(|outcome| outcome.requests),
            sum(|outcome| outcome.unavailable),
            sum(|outcome| u64::from(outcome.exposure.is_some())),
            exposure.map_or("-".to_owned(), span),
            sum(|outcome| outcome.violations.len() as u64),
        ]);
        let violated = outcomes.iter().zip(options.seed..);
        for (outcome, seed) in violated.filter(|(outcome, _)| !outcome.violations.is_empty()) {
            status = ExitCode::FAILURE;
            println!("{}, seed {seed}: {:#?}", way.name(), outcome.violations);
        }
    }
    println!("{table}");
    status
}

fn run_quarterly(options: &Options) -> ExitCode {
    println!(
        "{} quarterly rotations in each way, four instances, what is signed lives for 7 days;\n\
         in half of them the key leaks at a random moment\n",
        options.rotations
    );
    let mut table = table([
        "way",
        "requests",
        "valid ones lost",
        "in rotations",
        "longest exposure after a revocation",
        "where the store can be reached",
        "time to completion",
    ]);
    let mut has_lost = false;
    for way in Way::ALL {
        let outcomes = run_many(options, |seed| run(seed, way, quarter));
        let requests: u64 = outcomes.iter().map(|outcome| outcome.requests).sum();
        let lost: u64 = outcomes.iter().map(|outcome| outcome.lost).sum();
        let hit = outcomes.iter().filter(|outcome| outcome.lost > 0).count();
        let exposure = outcomes.iter().filter_map(|outcome| outcome.exposure).max();
        let reached = outcomes.iter().filter_map(|outcome| outcome.reached).max();
        let mut completed: Vec<_> =
            outcomes.iter().filter_map(|outcome| outcome.completed).collect();
        completed.sort_unstable();
        let median = completed.get(completed.len() / 2).copied();
        table.add_row([
            way.name().to_owned(),
            requests.to_string(),
            format!("{lost} ({:.2} %)", 100.0 * lost as f64 / requests.max(1) as f64),
            format!("{hit} of {}", outcomes.len()),
            exposure.map_or("-".to_owned(), span),
            reached.map_or("-".to_owned(), span),
            median.map_or("-".to_owned(), span),
        ]);
        let pairs = outcomes.iter().zip(options.seed..);
        for (outcome, seed) in
            pairs.filter(|(outcome, _)| way.has_store() && !outcome.violations.is_empty())
        {
            has_lost = true;
            println!("{}, seed {seed}: {:#?}", way.name(), outcome.violations);
        }
    }
    println!("{table}");
    if has_lost { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// A rotation once a quarter, of what lives for a week.
fn quarter(random: &mut fastrand::Rng) -> Bounds {
    let bounds = Bounds::from_random(random);
    Bounds {
        life: 7 * 86_400,
        real_life: 7 * 86_400,
        requests_an_hour: 12,
        max_staleness: None,
        outage: bounds.lag,
        leaks: random.bool(),
        instances: 4,
        ..bounds
    }
}

fn run_beyond(options: &Options) -> ExitCode {
    type Change = fn(&mut Bounds, u64);
    let changes: [(&str, [u64; 3], Change); 4] = [
        ("clocks apart", [2, 4, 12], |bounds, by| bounds.clock_off *= by),
        ("store away", [2, 4, 12], |bounds, by| bounds.outage *= by),
        ("store behind", [2, 4, 12], |bounds, by| {
            (bounds.lag, bounds.outage) = (bounds.lag * by, bounds.outage * by)
        }),
        ("tokens live on", [2, 3, 5], |bounds, by| bounds.real_life *= by),
    ];
    let mut runs: Vec<(String, u64, Change)> = vec![("as declared".to_owned(), 1, |_, _| {})];
    for (name, factors, change) in changes {
        runs.extend(factors.map(|by| (format!("{name}, {by} times"), by, change)));
    }
    println!("{} staged rotations each; what was declared is left as it is\n", options.rotations);
    let mut table =
        table(["what happens", "requests", "valid ones lost", "in rotations", "first of them"]);
    for (name, by, change) in runs {
        let bounds = |random: &mut fastrand::Rng| {
            let mut bounds = Bounds::from_random(random);
            (bounds.max_staleness, bounds.leaks, bounds.outage) = (None, false, bounds.lag);
            change(&mut bounds, by);
            bounds
        };
        let outcomes = run_many(options, |seed| run(seed, Way::Staged, bounds));
        let requests: u64 = outcomes.iter().map(|outcome| outcome.requests).sum();
        let lost: u64 = outcomes.iter().map(|outcome| outcome.lost).sum();
        let hit: Vec<_> = outcomes.iter().filter(|outcome| outcome.lost > 0).collect();
        let first = hit.first().and_then(|outcome| outcome.violations.first());
        let first = first.map_or("-", |violation| violation.split(';').next().unwrap_or(violation));
        let first = first.split_once("key ").map_or(first, |(_, what)| what);
        table.add_row([
            name.to_owned(),
            requests.to_string(),
            lost.to_string(),
            hit.len().to_string(),
            first.to_owned(),
        ]);
    }
    println!("{table}");
    ExitCode::SUCCESS
}

fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header(header);
    table
}

/// Every seed, on every core.
fn run_many(options: &Options, work: impl Fn(u64) -> Outcome + Sync) -> Vec<Outcome> {
    let threads = std::thread::available_parallelism().map_or(1, |count| count.get() as u64);
    let bar = indicatif::ProgressBar::new(options.rotations);
    let next = AtomicU64::new(0);
    let mut outcomes: Vec<_> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| {
                    let mut done = Vec::new();
                    loop {
                        let turn = next.fetch_add(1, Relaxed);
                        if turn >= options.rotations {
                            return done;
                        }
                        done.push((turn, work(options.seed + turn)));
                        bar.inc(1);
                    }
                })
            })
            .collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    bar.finish_and_clear();
    outcomes.sort_by_key(|(turn, _)| *turn);
    outcomes.into_iter().map(|(_, outcome)| outcome).collect()
}

fn span(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min"),
        (0, ..) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}
