//! Explores every run of small fleets with the library's own manifests, verdicts and rings, and reports
//! the extent of each search.
//!
//! ```sh
//! cargo run --release --manifest-path tests/explore/Cargo.toml
//! ```
//!
//! By default it explores more than ten million states, and lifts each bound. `--full` explores larger fleets
//! as well. `--small` explores smaller fleets, and lifts no bound. `--runs` shows the shortest run for each
//! bound that is lifted. `--faults` builds the library with each planted fault, and explores each of these
//! libraries with `--small`.
//!
//! The exit status is 0 if no property is broken within the bounds, and if each lifted bound breaks its
//! property after the expected number of actions. With `--faults` it is 0 if each fault is found.
//!
//! To add a property, add it to `explorer::property`. To add a kind of step, add it to `StepKind` and `Step`,
//! and to the fleets that take it: `EVERY_STEP` and `EVERY_ROW_STEP`. To add a bound, add it to
//! `counterexamples` (signing keys) or `rows::bounds` (encryption keys), run the exploration, enter the run
//! that it finds in `breaks`, and add the row to the table of the README.
#![allow(missing_docs, unreachable_pub)]

mod explorer;
mod planted;

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use comfy_table::{Table, presets};
use explorer::counterexamples::bounds;
use explorer::documents::Declared;
use explorer::engine::{Counterexample, Exploration, explore};
use explorer::fleet::{EVERY_STEP, Fleet, World};
use explorer::property::Property;
use explorer::recovery;
use explorer::rows::{RowWorld, Rows, row_bounds, row_worlds};
use explorer::run::run;
use explorer::step_kinds::{StepKind, names};
use explorer::worlds::{Size, families, recoveries};

#[derive(Parser)]
struct Options {
    /// Also explores the largest fleets.
    #[arg(long)]
    full: bool,
    /// Explores smaller fleets, which find the planted faults, and lifts no bound.
    #[arg(long, conflicts_with_all = ["full", "runs"])]
    small: bool,
    /// Explores the fleets of the tests, and lifts no bound.
    #[arg(long, conflicts_with_all = ["full", "small", "runs"])]
    smallest: bool,
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
    #[arg(long, default_value = "2")]
    threads: NonZeroUsize,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let is_right = if options.faults {
        plant_faults(&options)
    } else {
        print_properties();
        let mut results =
            vec![explore_fleets(&options), explore_rows(&options), check_recoveries(&options)];
        if size(&options) >= Size::Quick {
            results.push(lift_bounds(&options));
        }
        let results: Vec<_> = results.into_iter().flatten().collect();
        if results.is_empty() {
            println!("no fleet and no bound has `{}` in its name", options.only);
        }
        print_memory();
        !results.is_empty() && results.into_iter().all(|is_right| is_right)
    };
    if is_right { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Prints the most memory that the process has used, where the system says so.
fn print_memory() {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    if let Some(kib) = peak.and_then(|peak| peak.trim().strip_suffix(" kB")?.parse::<u64>().ok()) {
        println!("at most {} MiB of memory", kib / 1024);
    }
}

fn size(options: &Options) -> Size {
    match options {
        Options { full: true, .. } => Size::Full,
        Options { small: true, .. } => Size::Small,
        Options { smallest: true, .. } => Size::Smallest,
        _ => Size::Quick,
    }
}

fn print_properties() {
    let mut table = new_table(["property", "statement", "checked"]);
    for property in Property::ALL {
        table.add_row([&property.to_string(), property.statement(), property.checked()]);
    }
    println!("{table}\n");
}

fn new_table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header(header);
    table
}

/// The fewest states of the default exploration, which the documentation states.
const MIN_STATES: usize = 10_000_000;

/// Explores the fleets that sign. Returns `None` if no fleet has the chosen name.
fn explore_fleets(options: &Options) -> Option<bool> {
    let started = Instant::now();
    let mut families = families(size(options));
    families.retain(|family| family.name.contains(&options.only));
    if families.is_empty() {
        return None;
    }
    let totals = run(&families, options.threads.get());
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
        "broken",
    ]);
    for (family, totals) in families.iter().zip(&totals) {
        let world = &family.world;
        table.add_row([
            family.name.to_owned(),
            (world.running + world.joining).to_string(),
            world.operators.to_string(),
            world.steps.to_string(),
            world.hours().to_string(),
            totals.states.to_string(),
            totals.depth.to_string(),
            totals.manifests.to_string(),
            totals.replayed.to_string(),
            totals.pairs.to_string(),
            format!("{:.1}", totals.elapsed.as_secs_f64()),
            name_of_broken(totals.found.as_ref()),
        ]);
    }
    println!("{table}");
    let states: usize = totals.iter().map(|totals| totals.states).sum();
    let (seconds, threads) = (started.elapsed().as_secs_f64(), options.threads);
    println!("{states} distinct states in {seconds:.1} s on {threads} threads\n");
    let has_too_few =
        states < MIN_STATES && size(options) >= Size::Quick && options.only.is_empty();
    if has_too_few {
        println!("these are fewer than the {MIN_STATES} states that the documentation states\n");
    }
    let kinds = families.iter().map(|family| {
        let World { declared, keys, disturbances, step_kinds, .. } = family.world;
        (family.name, describe_bounds(declared, keys, disturbances), step_kinds)
    });
    let accepted = totals.iter().flat_map(|totals| totals.accepted.iter().cloned()).collect();
    let all_taken = check_step_kinds(options, kinds, &accepted);
    let found: Vec<_> = totals.iter().filter_map(|totals| totals.found.as_ref()).collect();
    found.iter().for_each(|found| print(found));
    Some(all_taken && found.is_empty() && !has_too_few)
}

/// Prints the bounds and the kinds of steps of each fleet. Returns whether the library accepted each kind at
/// least once. Small fleets take too few steps for all kinds.
fn check_step_kinds(
    options: &Options,
    fleets: impl Iterator<Item = (&'static str, String, &'static [StepKind])>,
    accepted: &BTreeSet<String>,
) -> bool {
    let (mut all, mut listed_fleets) = (BTreeSet::new(), BTreeSet::new());
    for (fleet, bounds, step_kinds) in fleets {
        let kinds = names(step_kinds);
        // A family may have more than one size.
        if !listed_fleets.insert(fleet) {
            continue;
        }
        let is_every_kind = kinds == names(EVERY_STEP);
        let listed = if is_every_kind { "every kind".to_owned() } else { join(&kinds) };
        println!("`{fleet}`: {bounds}; steps: {listed}");
        all.extend(kinds);
    }
    println!();
    let missing: BTreeSet<_> = all.difference(accepted).cloned().collect();
    if missing.is_empty() || size(options) < Size::Quick || !options.only.is_empty() {
        return true;
    }
    println!("the library accepted no step of these kinds: {}\n", join(&missing));
    false
}

fn describe_bounds(declared: Declared, keys: usize, disturbances: u8) -> String {
    format!("{declared}; {keys} keys; {disturbances} starts and stops")
}

fn join(names: &BTreeSet<String>) -> String {
    names.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

/// Returns the name of the property that a run breaks, or `-`.
fn name_of_broken(found: Option<&Counterexample>) -> String {
    found.map_or_else(|| "-".to_owned(), |found| found.property.to_string())
}

fn print(found: &Counterexample) {
    println!("{} is broken: {}", found.property, found.details);
    print_run(found);
}

fn print_run(found: &Counterexample) {
    println!("  {}", found.fleet);
    for (place, action) in found.run.iter().enumerate() {
        println!("  {}. {action}", place + 1);
    }
    println!();
}

/// Explores the fleets with stored rows. Returns `None` if no fleet has the chosen name.
fn explore_rows(options: &Options) -> Option<bool> {
    let mut worlds = row_worlds(size(options));
    worlds.retain(|named| named.name.contains(&options.only));
    if worlds.is_empty() {
        return None;
    }
    let mut table = new_table([
        "rows",
        "instances",
        "operators",
        "steps",
        "hours",
        "rewraps",
        "states",
        "depth",
        "manifests",
        "loads replayed",
        "seconds",
        "broken",
    ]);
    let (mut all_found, mut accepted) = (Vec::new(), BTreeSet::new());
    for named in &worlds {
        let mut rows = Rows::new(named.world.clone());
        let explored = explore(&mut rows, usize::MAX);
        accepted.extend(names(rows.documents.accepted_steps()));
        table.add_row([
            named.name.to_owned(),
            (named.world.running + named.world.joining).to_string(),
            named.world.operators.to_string(),
            named.world.steps.to_string(),
            named.world.hours().to_string(),
            named.world.rewraps.to_string(),
            explored.states.to_string(),
            explored.depth.to_string(),
            rows.documents.all.len().to_string(),
            rows.replay.pairs.to_string(),
            format!("{:.1}", explored.elapsed.as_secs_f64()),
            name_of_broken(explored.found.as_ref()),
        ]);
        all_found.extend(explored.found);
    }
    println!("{table}\n");
    let kinds = worlds.iter().map(|named| {
        let RowWorld { declared, keys, disturbances, step_kinds, .. } = named.world;
        (named.name, describe_bounds(declared, keys, disturbances), step_kinds)
    });
    let all_taken = check_step_kinds(options, kinds, &accepted);
    all_found.iter().for_each(print);
    Some(all_taken && all_found.is_empty())
}

/// Checks P8. Returns `None` if no fleet has the chosen name.
fn check_recoveries(options: &Options) -> Option<bool> {
    let mut worlds = recoveries(size(options));
    worlds.retain(|(name, _)| name.contains(&options.only));
    if worlds.is_empty() {
        return None;
    }
    let mut table = new_table([
        "fleet",
        "instances",
        "steps",
        "hours",
        "states",
        "states after recovery",
        "states visited",
        "seconds",
        "broken",
    ]);
    let mut all_found = Vec::new();
    for (name, world) in &worlds {
        let started = Instant::now();
        let checked = recovery::check(world);
        table.add_row([
            (*name).to_owned(),
            world.running.to_string(),
            world.steps.to_string(),
            world.hours().to_string(),
            checked.reached.to_string(),
            checked.recovered.to_string(),
            checked.visited.to_string(),
            format!("{:.1}", started.elapsed().as_secs_f64()),
            name_of_broken(checked.found.as_ref()),
        ]);
        all_found.extend(checked.found);
    }
    println!("{table}\n");
    all_found.iter().for_each(print);
    Some(all_found.is_empty())
}

/// Explores the fleets of each bound, and checks the shortest run beyond it. Returns `None` if no bound has
/// the chosen name.
fn lift_bounds(options: &Options) -> Option<bool> {
    let mut table =
        new_table(["bound", "without it", "breaks", "effect", "after actions", "states within it"]);
    let mut results = Vec::new();
    let mut messages = Vec::new();
    let mut add = |name: &str,
                   lifted_by: &str,
                   expected: (Property, usize),
                   within: Exploration,
                   beyond: Exploration| {
        if let Some(found) = &within.found {
            println!("within the bound `{name}`:");
            print(found);
        }
        let found = beyond.found.as_ref();
        let is_expected = found.map(|found| (found.property, found.run.len())) == Some(expected);
        results.push(within.found.is_none() && is_expected);
        let length = found.map_or(0, |found| found.run.len());
        if !is_expected {
            messages.push(format!(
                "without the bound `{name}`, {} was expected to break after {} actions, but {}: correct \
                 the library, or `breaks` of the bound if the change is intended",
                expected.0,
                expected.1,
                found.map_or("nothing breaks".to_owned(), |found| {
                    format!("{} breaks after {length}", found.property)
                }),
            ));
        }
        table.add_row([
            name,
            lifted_by,
            &name_of_broken(found),
            found.map_or("-", |found| found.property.effect()),
            &length.to_string(),
            &within.states.to_string(),
        ]);
        if let Some(found) = found.filter(|_| options.runs) {
            println!("without the bound `{name}`: {}", found.details);
            print_run(found);
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
    messages.iter().for_each(|message: &String| println!("{message}"));
    if results.is_empty() { None } else { Some(results.into_iter().all(|is_right| is_right)) }
}

/// Plants the faults. Returns whether each one is found, and whether the tests find one for each property.
fn plant_faults(options: &Options) -> bool {
    let planted = match planted::plant_all(&options.only) {
        Ok(planted) => planted,
        Err(error) => {
            println!("cannot plant the faults: {error}");
            return false;
        }
    };
    let mut table = new_table(["fault", "file", "breaks", "reported", "found", "by the tests"]);
    let yes_or_no = |is_so| if is_so { "yes" } else { "no" };
    for planted in &planted {
        let fault = planted.fault;
        table.add_row([
            fault.name,
            fault.file,
            &fault.breaks.to_string(),
            &planted.reported,
            yes_or_no(planted.is_found),
            yes_or_no(planted.is_found_by_tests),
        ]);
    }
    println!("{table}");
    let of_tests: BTreeSet<_> =
        planted.iter().filter(|it| it.is_found_by_tests).map(|it| it.fault.breaks).collect();
    let missed: BTreeSet<_> = planted
        .iter()
        .map(|planted| planted.fault.breaks)
        .filter(|property| !of_tests.contains(property))
        .map(|property| property.to_string())
        .collect();
    if !missed.is_empty() {
        println!("the tests find no fault that breaks {}", join(&missed));
    }
    let is_complete = missed.is_empty() || !options.only.is_empty();
    !planted.is_empty() && is_complete && planted.iter().all(|planted| planted.is_found)
}
