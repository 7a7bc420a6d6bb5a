//! Explores every run of small fleets with the library's own manifests, verdicts and rings, and reports
//! the extent of each search.
//!
//! ```sh
//! cargo run --release --manifest-path tests/explore/Cargo.toml
//! ```
//!
//! `--full` explores the largest fleets, and takes hours. `--runs` shows the shortest run for each bound
//! that is lifted. `--faults` builds the library with each planted fault and explores that library.
//!
//! The exit status is 0 if no property is broken within the bounds, if each lifted bound breaks its
//! property, and if each fault is found.
#![allow(missing_docs, unreachable_pub)]

mod explorer;
mod planted;

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use comfy_table::{Table, presets};
use explorer::counterexamples::bounds;
use explorer::engine::{Counterexample, Exploration, explore};
use explorer::fleet::Fleet;
use explorer::recovery;
use explorer::rows::{Rows, row_bounds, row_worlds};
use explorer::run::run;
use explorer::worlds::{Size, families, recoveries};

#[derive(Parser)]
struct Options {
    /// Explores the largest fleets.
    #[arg(long)]
    full: bool,
    /// Explores only the fleets that find the planted faults.
    #[arg(long, conflicts_with = "full")]
    small: bool,
    /// Explores only fleets, bounds and faults with this text in the name.
    #[arg(long, default_value = "")]
    only: String,
    /// Prints the shortest run for each bound.
    #[arg(long)]
    runs: bool,
    /// Builds the library with each planted fault, and explores it.
    #[arg(long)]
    faults: bool,
    /// The number of threads.
    #[arg(long, default_value_t = 2)]
    threads: usize,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let is_right = if options.faults {
        plant_faults(&options)
    } else {
        // Not short-circuited: each result is reported.
        let fleets = explore_fleets(&options);
        let rows = explore_rows(&options);
        let recovered = check_recoveries(&options);
        let bounds = options.small || lift_bounds(&options);
        fleets && rows && recovered && bounds
    };
    if is_right { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn size(options: &Options) -> Size {
    match (options.full, options.small) {
        (true, _) => Size::Full,
        (_, true) => Size::Small,
        _ => Size::Quick,
    }
}

fn new_table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header(header);
    table
}

fn explore_fleets(options: &Options) -> bool {
    let started = Instant::now();
    let mut families = families(size(options));
    families.retain(|family| family.name.contains(&options.only));
    let totals = run(&families, options.threads);
    let mut table = new_table([
        "fleet",
        "instances",
        "operators",
        "steps",
        "hours",
        "states",
        "depth",
        "manifests",
        "loads replayed",
        "pairs of steps",
        "seconds, all threads",
        "violations",
    ]);
    for (family, totals) in families.iter().zip(&totals) {
        let world = &family.world;
        table.add_row([
            family.name.to_owned(),
            (world.running + world.joining).to_string(),
            world.operators.to_string(),
            world.steps.to_string(),
            world.horizon.to_string(),
            totals.states.to_string(),
            totals.depth.to_string(),
            totals.manifests.to_string(),
            totals.replayed.to_string(),
            totals.pairs.to_string(),
            format!("{:.1}", totals.elapsed.as_secs_f64()),
            u8::from(totals.found.is_some()).to_string(),
        ]);
    }
    println!("{table}");
    let states: usize = totals.iter().map(|totals| totals.states).sum();
    let (seconds, threads) = (started.elapsed().as_secs_f64(), options.threads);
    println!("{states} distinct states in {seconds:.1} s on {threads} threads\n");
    totals.iter().filter_map(|totals| totals.found.as_ref()).inspect(|found| print(found)).count()
        == 0
}

fn print(found: &Counterexample) {
    println!("{} is broken: {}", found.property, found.details);
    print_run(&found.run);
}

fn print_run(run: &[String]) {
    for (place, action) in run.iter().enumerate() {
        println!("  {}. {action}", place + 1);
    }
    println!();
}

/// Explores the fleets with stored rows.
fn explore_rows(options: &Options) -> bool {
    let mut worlds = row_worlds(options.full);
    worlds.retain(|named| named.name.contains(&options.only));
    let mut table = new_table(["rows", "states", "depth", "manifests", "seconds", "violations"]);
    let mut all_found = Vec::new();
    for named in worlds {
        let mut rows = Rows::new(named.world);
        let explored = explore(&mut rows, usize::MAX);
        table.add_row([
            named.name.to_owned(),
            explored.states.to_string(),
            explored.depth.to_string(),
            rows.documents.all.len().to_string(),
            format!("{:.1}", explored.elapsed.as_secs_f64()),
            u8::from(explored.found.is_some()).to_string(),
        ]);
        all_found.extend(explored.found);
    }
    println!("{table}\n");
    all_found.iter().for_each(print);
    all_found.is_empty()
}

/// Checks P8.
fn check_recoveries(options: &Options) -> bool {
    let mut worlds = recoveries(size(options));
    worlds.retain(|(name, _)| name.contains(&options.only));
    let mut table = new_table([
        "fleet",
        "states",
        "states after recovery",
        "states visited",
        "seconds",
        "stuck",
    ]);
    let (mut all_stuck, mut all_found) = (Vec::new(), Vec::new());
    for (name, world) in &worlds {
        let started = Instant::now();
        let checked = recovery::check(world);
        table.add_row([
            (*name).to_owned(),
            checked.reached.to_string(),
            checked.recovered.to_string(),
            checked.visited.to_string(),
            format!("{:.1}", started.elapsed().as_secs_f64()),
            u8::from(checked.stuck.is_some()).to_string(),
        ]);
        all_stuck.extend(checked.stuck);
        all_found.extend(checked.found);
    }
    println!("{table}\n");
    for stuck in &all_stuck {
        println!("P8 is broken: no rotation can be completed {stuck}");
    }
    all_found.iter().for_each(print);
    all_stuck.is_empty() && all_found.is_empty()
}

/// Explores the fleets of each bound, and checks the shortest run beyond it.
fn lift_bounds(options: &Options) -> bool {
    let mut table =
        new_table(["bound", "without it", "breaks", "after actions", "states within the bound"]);
    let mut is_right = true;
    let mut add = |name: &str,
                   lifted_by: &str,
                   expected: (&str, usize),
                   within: Exploration,
                   beyond: Exploration| {
        if let Some(found) = &within.found {
            println!("within the bound `{name}`:");
            print(found);
        }
        let found = beyond.found.as_ref();
        let (property, length) =
            found.map_or(("nothing", 0), |found| (found.property, found.run.len()));
        is_right &= within.found.is_none() && (property, length) == expected;
        table.add_row([name, lifted_by, property, &length.to_string(), &within.states.to_string()]);
        if let Some(found) = found.filter(|_| options.runs) {
            println!("without the bound `{name}`: {}", found.details);
            print_run(&found.run);
        }
    };
    for bound in bounds().into_iter().filter(|bound| bound.name.contains(&options.only)) {
        let within = explore(&mut Fleet::new(bound.within), usize::MAX);
        let beyond = explore(&mut Fleet::new(bound.beyond), usize::MAX);
        add(bound.name, bound.lifted_by, bound.breaks, within, beyond);
    }
    for bound in row_bounds().into_iter().filter(|bound| bound.name.contains(&options.only)) {
        let within = explore(&mut Rows::new(bound.within), usize::MAX);
        let beyond = explore(&mut Rows::new(bound.beyond), usize::MAX);
        add(bound.name, bound.lifted_by, bound.breaks, within, beyond);
    }
    println!("{table}");
    is_right
}

fn plant_faults(options: &Options) -> bool {
    let planted = match planted::plant_all(&options.only) {
        Ok(planted) => planted,
        Err(error) => {
            println!("cannot plant the faults: {error}");
            return false;
        }
    };
    let mut table = new_table(["fault", "file", "breaks", "reported", "found"]);
    for planted in &planted {
        let fault = planted.fault;
        table.add_row([
            fault.name,
            fault.file,
            fault.breaks,
            &planted.reported,
            if planted.is_found { "yes" } else { "no" },
        ]);
    }
    println!("{table}");
    planted.iter().all(|planted| planted.is_found)
}
