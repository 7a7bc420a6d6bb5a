//! The layers of the crate as data, and the rules that keep files apart.

mod graph;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use graph::{Graph, module};

/// The layers from the lowest to the highest, with their modules. A file imports only its own module
/// and modules of lower layers.
const LAYERS: [&[&str]; 15] = [
    &[
        "clock",
        "duration",
        "encoding",
        "error",
        "fingerprint",
        "kid",
        "moment",
        "purpose",
        "reference",
        "retry_after",
        "secret",
        "sql",
        "text",
        "variable_names",
    ],
    &["mac"],
    &["lifecycle"],
    &["evidence"],
    &["observer", "ring", "verified"],
    &["cookie", "envelope", "jwt", "webhook"],
    &["manifest"],
    // Connection strings, for the store, for rewraps, for credentials and for operators.
    &["postgres"],
    &["source"],
    &["credential", "rewrap", "telemetry"],
    &["http"],
    &["ops"],
    &["cli"],
    &["bin"],
    // Chapters of the documentation.
    &["compile_fail", "guide"],
];

/// The layers whose modules may import each other.
const SIBLINGS: [usize; 2] = [0, 4];

/// Imports of a lower layer that are forbidden all the same: the command line needs no web server, and
/// middleware needs no rewrap and no credential.
const NEVER: [(&str, &str); 3] = [("cli", "http"), ("http", "rewrap"), ("http", "credential")];

/// The modules that allow unused items in a build without `full`, and no other does: each feature alone
/// uses a part of them. With `full` each unused item is reported.
const UNUSED_WITHOUT_FULL: [&str; 6] = [
    "evidence/mod.rs",
    "lifecycle/mod.rs",
    "ring/mod.rs",
    "manifest/mod.rs: status_json",
    "postgres/mod.rs: pooler",
    "source/dotenv/mod.rs: listing",
];

/// Files that the graph leaves out: the command, tests of documentation, and a counter of tests.
const NOT_COMPILED: [&str; 3] = ["bin/dualkey.rs", "compile_fail.rs", "mac/count.rs"];

/// The module that a feature belongs to.
const FEATURES: [(&str, &str); 25] = [
    ("jwt", "jwt"),
    ("cookie", "cookie"),
    ("webhook", "webhook"),
    ("envelope", "envelope"),
    ("scrypt", "envelope"),
    ("aws-lc", "envelope"),
    ("tls", "postgres"),
    ("store", "manifest"),
    ("notify", "source"),
    ("tokio", "source"),
    ("_sqlx-postgres", "postgres"),
    ("store-postgres", "source"),
    ("rewrap", "rewrap"),
    ("rewrap-sqlite", "rewrap"),
    ("rewrap-postgres", "rewrap"),
    ("pool-postgres", "credential"),
    ("api-key", "credential"),
    ("reqwest", "credential"),
    ("tower", "http"),
    ("axum", "http"),
    ("status", "http"),
    ("tracing", "observer"),
    ("metrics", "telemetry"),
    ("ops", "ops"),
    ("agent", "ops"),
];

/// Inherent impls outside the folder of their type, each with its reason.
const IMPLS: [(&str, &str, &str); 7] = [
    ("RingBuilder", "envelope/key.rs", "specialised for the key type beside it"),
    ("NewKey", "jwt/key.rs", "specialised for the key type beside it"),
    (
        "RingBuilder",
        "source/follow/builder.rs",
        "`builder.follow(store)` needs no import of a trait",
    ),
    ("Report", "manifest/report.rs", "the text form needs crates of the feature `store`"),
    ("Schedule", "manifest/schedule.rs", "the calendar is a crate of the feature `store`"),
    ("KeySet", "manifest/schedule.rs", "the calendar is a crate of the feature `store`"),
    ("Manifest", "manifest/json/mod.rs", "the format is a folder of its own"),
];

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|modules| modules.contains(&module))
}

fn folder(file: &str) -> &str {
    file.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// The imports that the layers forbid.
fn wrong_imports(graph: &Graph) -> Vec<String> {
    let mut wrong = Vec::new();
    for (file, imports) in &graph.edges {
        for (other, names) in imports {
            let (from, to) = (module(file), module(other));
            let is_allowed = match (layer(from), layer(to)) {
                _ if from == to || from == "lib" => true,
                (Some(from), Some(to)) => to < from || (to == from && SIBLINGS.contains(&from)),
                _ => false,
            };
            if !is_allowed || NEVER.contains(&(from, to)) {
                wrong.push(format!("{file} must not import {names:?} of {other}"));
            }
        }
    }
    wrong
}

/// The conditions that name a feature of a higher module.
fn wrong_features(graph: &Graph) -> Vec<String> {
    let owners: BTreeMap<_, _> = FEATURES.into_iter().collect();
    let mut wrong = Vec::new();
    for (file, features) in graph.features.iter().filter(|(file, _)| module(file) != "lib") {
        for feature in features.iter().filter(|feature| *feature != "full") {
            let owner = owners.get(feature.as_str()).and_then(|owner| layer(owner));
            if owner.is_none_or(|owner| layer(module(file)).is_none_or(|layer| layer < owner)) {
                wrong.push(format!(
                    "{file} must not name the feature `{feature}` of a higher module"
                ));
            }
        }
    }
    wrong
}

/// The inherent impls outside the folder of their type.
fn stray_impls(graph: &Graph) -> Vec<(&str, &str)> {
    let is_stray = |(_, defined, at): &&(String, String, String)| {
        defined != at && (folder(defined) != folder(at) || folder(at).is_empty())
    };
    let strays = graph.impls.iter().filter(is_stray);
    strays.map(|(name, _, at)| (name.as_str(), at.as_str())).collect()
}

/// The files below `src`, relative to it.
fn files() -> Vec<String> {
    fn walk(folder: &Path, into: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, into);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                into.push(path);
            }
        }
    }
    let mut files = Vec::new();
    walk(&source(), &mut files);
    let relative = |path: PathBuf| path.strip_prefix(source()).unwrap().display().to_string();
    let mut files: Vec<_> = files.into_iter().map(relative).collect();
    files.sort();
    files
}

/// The circles, with the names that close each.
fn named_circles(graph: &Graph) -> Vec<String> {
    let mut named = Vec::new();
    for circle in graph.circles() {
        for file in &circle {
            for (other, names) in graph.edges.get(file).into_iter().flatten() {
                if circle.contains(other) {
                    named.push(format!("{file} imports {names:?} of {other}"));
                }
            }
        }
    }
    named
}

/// The five rules together, because the files are read once: a file imports only lower layers; no two
/// files import each other, directly or around; no module names a feature of a higher one; no module
/// hides unused items but those that are listed; an inherent impl is in the folder of its type.
#[test]
fn every_file_keeps_to_its_layer() {
    let graph = Graph::read(&source());
    let imports: usize = graph.edges.values().map(BTreeMap::len).sum();
    let features: usize = graph.features.values().map(|features| features.len()).sum();
    println!(
        "{} files, {imports} imports, {} inherent impls",
        graph.files.len(),
        graph.impls.len()
    );
    assert!(imports > 1_500 && features > 50 && graph.impls.len() > 200, "the graph is not read");
    // A file that no module names is not compiled.
    let is_test = |file: &String| file.contains("/tests") || file.ends_with("tests.rs");
    let lost: Vec<_> = files()
        .into_iter()
        .filter(|file| !graph.files.contains(file) && !is_test(file))
        .filter(|file| !NOT_COMPILED.contains(&file.as_str()))
        .collect();
    assert!(lost.is_empty(), "{lost:#?}");
    for file in graph.files.iter().filter(|file| *file != "lib.rs") {
        assert!(layer(module(file)).is_some(), "{file} is in no layer");
    }

    let mut wrong = wrong_imports(&graph);
    wrong.extend(named_circles(&graph));
    wrong.extend(wrong_features(&graph));
    // With `full` every unused item is reported.
    for (module, condition) in &graph.unreported {
        let is_listed = UNUSED_WITHOUT_FULL.contains(&module.as_str());
        if condition != "not (feature = \"full\")" || !is_listed {
            wrong.push(format!("{module} hides unused items if `{condition}`"));
        }
    }
    let mut strays = stray_impls(&graph);
    for (name, file, reason) in IMPLS {
        match strays.iter().position(|stray| *stray == (name, file)) {
            Some(place) => drop(strays.remove(place)),
            None => wrong.push(format!("{name} in {file} is no exception any more ({reason})")),
        }
    }
    wrong.extend(strays.iter().map(|(name, file)| format!("{file} has an impl of {name}")));
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Each rule fails on a tree that breaks it.
#[test]
fn the_rules_find_planted_faults() {
    let folder = tempfile::tempdir().unwrap();
    let write = |file: &str, text: &str| {
        let path = folder.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("lib.rs", "mod clock; mod kid; mod lifecycle; mod ring;");
    write("clock.rs", "pub use crate::ring::Ring; impl crate::kid::Kid { fn g() {} }");
    write("kid.rs", "pub struct Kid; pub fn f() -> u8 { crate::ring::inner::COUNT }");
    write("lifecycle/mod.rs", "mod life; mod state; pub use life::Life; pub use state::State;");
    // Through the re-export, inside of a macro's call, by an alias.
    write(
        "lifecycle/life.rs",
        "#![cfg(feature = \"agent\")] use super::State as S; pub struct Life(S);",
    );
    write("lifecycle/state.rs", "pub struct State; fn f() { assert!(g(crate::lifecycle::Life)) }");
    write("ring/mod.rs", "pub mod inner; pub struct Ring; impl crate::kid::Kid { fn f() {} }");
    write(
        "ring/inner.rs",
        "#![allow(dead_code)] #[cfg(feature = \"status\")] pub const COUNT: u8 = 4;
        fn f() -> bool { cfg!(feature = \"metrics\") }",
    );
    let graph = Graph::read(folder.path());
    assert_eq!(graph.circles(), [["lifecycle/life.rs", "lifecycle/state.rs"]]);
    assert_eq!(
        wrong_imports(&graph),
        [
            "clock.rs must not import {\"Ring\"} of ring/mod.rs",
            "kid.rs must not import {\"COUNT\"} of ring/inner.rs",
        ],
    );
    assert_eq!(
        wrong_features(&graph),
        [
            "lifecycle/life.rs must not name the feature `agent` of a higher module",
            "ring/inner.rs must not name the feature `metrics` of a higher module",
            "ring/inner.rs must not name the feature `status` of a higher module",
        ],
    );
    assert_eq!(graph.unreported.keys().collect::<Vec<_>>(), ["ring/inner.rs"]);
    assert_eq!(stray_impls(&graph), [("Kid", "clock.rs"), ("Kid", "ring/mod.rs")]);

    // Without the name that closes the circle there is none.
    write(
        "lifecycle/state.rs",
        "pub struct State; #[cfg(test)] mod tests { use super::super::Life; }",
    );
    assert_eq!(Graph::read(folder.path()).circles(), Vec::<Vec<String>>::new());
}

/// The files whose code, not its comments, holds `needle`.
fn files_naming(needle: &str) -> Vec<String> {
    let holds = |file: &String| {
        let text = std::fs::read_to_string(source().join(file)).unwrap();
        text.lines().any(|line| !line.trim_start().starts_with("//") && line.contains(needle))
    };
    files().into_iter().filter(holds).collect()
}

#[test]
fn one_file_names_arc_swap_one_the_cipher_and_one_says_unsafe() {
    for (needle, file) in [
        ("arc_swap", "ring/swap.rs"),
        ("unsafe {", "mac/kernel.rs"),
        ("aes_gcm", "envelope/aead.rs"),
        ("aws_lc_rs", "envelope/aead.rs"),
    ] {
        let mut found = files_naming(needle);
        // The provider of `rustls`, and no cipher.
        found.retain(|path| needle != "aws_lc_rs" || path != "postgres/system.rs");
        assert!(found == [file], "{needle}: {found:?}");
    }
}
