//! Every run of small fleets, with the library's own manifests, verdicts and rings.
//!
//! `cargo run --release --manifest-path tests/explore/Cargo.toml` explores larger fleets. With
//! `-- --faults` it plants the faults.

#[allow(dead_code, reason = "the tests use a part of it")]
#[path = "../explore/src/explorer/mod.rs"]
mod explorer;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use explorer::counterexamples::bounds;
use explorer::documents::{Documents, Step};
use explorer::engine::explore as search;
use explorer::faults::FAULTS;
use explorer::fleet::{Fleet, World};
use explorer::operators::check_pairs;
use explorer::property::Property;
use explorer::recovery;
use explorer::rows::{Rows, row_bounds, row_worlds};
use explorer::run::{Totals, run_world};
use explorer::step_kinds::StepKind;
use explorer::worlds::{DECLARED, Size, families, recoveries};

/// Explores the fleets of a family, which differ in their clocks, and returns the totals.
fn explore(name: &str) -> Totals {
    let families = families(Size::Smallest);
    let family = families.iter().find(|family| family.name == name).unwrap();
    let mut totals = Totals::default();
    for world in family.worlds() {
        totals.add(run_world(world, 0));
    }
    println!(
        "{name}: {} states, {} manifests, {} loads replayed",
        totals.states, totals.manifests, totals.replayed
    );
    assert!(totals.found.is_none(), "{:#?}", totals.found);
    totals
}

#[test]
fn p1_a_valid_value_is_accepted_by_every_instance() {
    assert!(explore("any step at any moment").states > 1_000);
}

#[test]
fn p2_nothing_is_accepted_of_a_revoked_key_after_the_bound() {
    assert!(explore("max_staleness, stores lost").states > 1_000);
}

#[test]
fn p3_one_key_signs_in_every_set() {
    assert!(explore("four instances").states > 1_000);
}

#[test]
fn p4_safe_is_said_of_no_key_that_is_needed() {
    assert!(explore("two operators, late stores").states > 1_000);
    assert!(explore("late reports").states > 1_000);
}

#[test]
fn p5_a_revocation_and_an_end_are_final() {
    assert!(explore("instances revoke themselves").states > 1_000);
    let accepted = explore("ends, and keys that are restaged").accepted;
    assert!(accepted.contains("Restage"), "no key ended: {accepted:?}");
}

#[test]
fn p6_what_is_refused_changes_nothing() {
    // The replay of each load also applies an older manifest, which the ring must refuse.
    let totals = explore("instances come and go");
    assert!(totals.replayed > 20 && totals.followed > 0, "{totals:?}");
}

#[test]
fn p7_two_operators_leave_what_one_after_the_other_leaves() {
    let mut documents = Documents::new(dualkey::Purpose::Cookie, 4);
    let first = documents.add_first(DECLARED, 0);
    let staged = documents.take(first, 1, &[], Step::Stage).unwrap().document;
    let steps = [
        Step::Stage,
        Step::Schedule(4),
        Step::Promote(1),
        Step::ForcePromote(1),
        Step::EmergencyRotate(0),
        Step::Revoke(1),
        Step::Retire(1),
        Step::ForceRetire(1),
    ];
    let compared = check_pairs(&mut documents, staged, &steps, [2, 3]).unwrap();
    println!("{compared:?}");
    assert!(compared.pairs >= 40 && compared.refused >= 5, "{compared:?}");
}

#[test]
fn p8_a_rotation_can_be_completed_from_every_state() {
    for (name, world) in recoveries(Size::Small) {
        let checked = recovery::check(&world);
        println!(
            "{name}: {} states after recovery, {} visited",
            checked.recovered, checked.visited
        );
        assert!(checked.found.is_none(), "{:?}", checked.found);
        assert!(checked.recovered > 20 && checked.visited > checked.recovered);
    }
    // The check can fail: without a promotion no rotation is completed.
    let (_, world) = recoveries(Size::Small).remove(0);
    let found = recovery::check_with(&World { steps: 0, ..world }, &[StepKind::Stage]).found;
    assert_eq!(found.map(|found| found.property), Some(Property::P8));
}

/// Explores a fleet with rows, and returns the number of states.
fn explore_rows(name: &str) -> usize {
    let named = row_worlds(Size::Smallest).into_iter().find(|named| named.name == name).unwrap();
    let mut rows = Rows::new(named.world);
    let explored = search(&mut rows, usize::MAX);
    println!("{name}: {} states, {} loads replayed", explored.states, rows.replay.pairs);
    assert!(explored.found.is_none(), "{:#?}", explored.found);
    assert!(rows.replay.pairs > 20);
    explored.states
}

#[test]
fn r1_every_row_can_be_opened() {
    assert!(explore_rows("a leak") > 50_000);
}

#[test]
fn r2_safe_is_said_of_no_key_that_a_row_is_under() {
    assert!(explore_rows("a rollback") > 50_000);
}

#[test]
fn r3_no_key_is_destroyed_while_a_row_is_under_it() {
    // The last of its steps destroys a key that rows were under.
    assert!(explore_rows("a rotation") > 20_000);
}

/// Lifts the bounds with short runs. Only a release build checks the longer ones.
#[test]
fn each_bound_is_needed() {
    let short: Vec<_> = bounds().into_iter().filter(|bound| bound.breaks.1 < 8).collect();
    assert!(short.len() >= 6);
    for bound in short {
        let found = search(&mut Fleet::new(bound.beyond), usize::MAX).found.unwrap();
        let run = found.run.join("; ");
        println!("{}: {} after {} actions: {run}", bound.name, found.property, found.run.len());
        assert_eq!((found.property, found.run.len()), bound.breaks, "{}: {found:?}", bound.name);
    }
    let short: Vec<_> = row_bounds().into_iter().filter(|bound| bound.breaks.1 < 6).collect();
    assert!(!short.is_empty());
    for bound in short {
        let found = search(&mut Rows::new(bound.beyond), usize::MAX).found.unwrap();
        assert_eq!((found.property, found.run.len()), bound.breaks, "{}: {found:?}", bound.name);
    }
}

/// Checks the text of each fault. Only a full run plants the faults.
#[test]
fn each_fault_can_be_planted() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for fault in FAULTS {
        let text = fs::read_to_string(root.join(fault.file)).unwrap();
        assert_eq!(text.matches(fault.find).count(), 1, "{}: {}", fault.file, fault.name);
        assert_ne!(fault.find, fault.replace);
    }
    assert!(FAULTS.len() >= 29);
    let broken: BTreeSet<_> = FAULTS.iter().map(|fault| fault.breaks).collect();
    assert_eq!(broken, BTreeSet::from(Property::ALL));
}

/// The README lists each bound as the exploration finds it.
#[test]
fn the_readme_has_each_bound() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = fs::read_to_string(root.join("README.md")).unwrap();
    let row = |name: &str, lifted_by: &str, (property, length): (Property, usize)| {
        format!("| {name} | {lifted_by} | {} | {length} |", property.effect())
    };
    let of_fleets =
        bounds().into_iter().map(|bound| row(bound.name, bound.lifted_by, bound.breaks));
    let of_rows =
        row_bounds().into_iter().map(|bound| row(bound.name, bound.lifted_by, bound.breaks));
    let rows: Vec<_> = of_fleets.chain(of_rows).collect();
    for row in &rows {
        assert!(readme.contains(row), "the README lacks this row:\n{row}");
    }
    let table =
        readme.split("| bound | without it | what breaks | after actions |").nth(1).unwrap();
    let listed = table.trim_start().lines().take_while(|line| line.starts_with('|')).count();
    assert_eq!(listed, rows.len() + 1, "the README has a row that is no bound");
}

#[test]
fn each_rule_and_property_has_a_test_that_names_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut tests = Vec::new();
    for folder in ["src", "tests/it"] {
        collect_tests(&root.join(folder), &mut tests);
    }
    assert!(tests.len() > 500, "{} tests were found", tests.len());
    let rules = (1..=10).map(|number| format!("v{number}_"));
    let properties = Property::ALL.map(|property| format!("{property}_").to_lowercase());
    for name in rules.chain(properties) {
        let count = tests.iter().filter(|test| test.starts_with(&name)).count();
        println!("{name}: {count}");
        assert!(count > 0, "no test is named {name}…");
    }
}

/// Collects the names of the tests in a folder.
fn collect_tests(folder: &Path, tests: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect_tests(&path, tests);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let mut is_test = false;
            for line in text.lines().map(str::trim_start) {
                if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
                    is_test = true;
                } else if let Some(at) = line.find("fn ").filter(|_| is_test) {
                    let name = line[at + 3..].split('(').next().unwrap_or_default();
                    tests.push(name.to_owned());
                    is_test = false;
                }
            }
        }
    }
}
