//! The layers of the crate as data, and the rules that keep files apart.

mod graph;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use graph::Graph;

/// The layers from the lowest to the highest, with their modules. A file imports only its own module
/// and modules of lower layers.
const LAYERS: [&[&str]; 15] = [
    &[
        "clock",
        "encoding",
        "error",
        "fingerprint",
        "kid",
        "moment",
        "purpose",
        "reference",
        "secret",
        "text",
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
    &["compile_fail", "moving_in", "runbook"],
];

/// The layers whose modules may import each other.
const SIBLINGS: [usize; 2] = [0, 4];

/// A higher layer that must not be imported all the same: the command line needs no web server.
const NEVER: [(&str, &str); 1] = [("cli", "http")];

/// The module that a feature belongs to.
const FEATURES: [(&str, &str); 23] = [
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
    ("postgres", "source"),
    ("rewrap", "rewrap"),
    ("sqlx-sqlite", "rewrap"),
    ("sqlx-postgres", "rewrap"),
    ("api", "credential"),
    ("reqwest", "credential"),
    ("tower", "http"),
    ("axum", "http"),
    ("status", "http"),
    ("tracing", "observer"),
    ("metrics", "telemetry"),
    ("ops", "ops"),
    ("agent", "ops"),
];

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The module of a file: the first part of its path.
fn module(file: &str) -> &str {
    file.split('/').next().unwrap_or_default().trim_end_matches(".rs")
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

/// The `cfg` attributes that name a feature of a higher module.
fn wrong_features(graph: &Graph) -> Vec<String> {
    let owners: BTreeMap<_, _> = FEATURES.into_iter().collect();
    let mut wrong = Vec::new();
    for (file, features) in graph.features.iter().filter(|(file, _)| module(file) != "lib") {
        for feature in features.iter().filter(|feature| *feature != "full") {
            let owner = owners.get(feature.as_str()).and_then(|owner| layer(owner));
            if owner.is_none_or(|owner| layer(module(file)).is_none_or(|own| own < owner)) {
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
        defined != at && folder(defined) != folder(at)
    };
    let strays = graph.impls.iter().filter(is_stray);
    strays.map(|(name, _, at)| (name.as_str(), at.as_str())).collect()
}

#[test]
fn a_file_imports_only_lower_layers() {
    let graph = Graph::read(&source());
    let imports: usize = graph.edges.values().map(BTreeMap::len).sum();
    println!("{} files, {imports} imports", graph.files.len());
    assert!(graph.files.len() > 200 && imports > 1_000, "the graph is not read");
    let wrong = wrong_imports(&graph);
    assert!(wrong.is_empty(), "{wrong:#?}");
    for file in graph.files.iter().filter(|file| *file != "lib.rs") {
        assert!(layer(module(file)).is_some(), "{file} is in no layer");
    }
    for module_of_layer in LAYERS.concat().iter().filter(|module| **module != "bin") {
        let has_file = graph.files.iter().any(|file| module(file) == *module_of_layer);
        assert!(has_file || *module_of_layer == "compile_fail", "no module {module_of_layer}");
    }
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
    write("lib.rs", "mod kid; mod lifecycle; mod ring;");
    write("kid.rs", "pub struct Kid; pub fn f() -> u8 { crate::ring::inner::COUNT }");
    write("lifecycle/mod.rs", "mod life; mod state; pub use life::Life; pub use state::State;");
    // Through the re-export, inside of a macro's call, by an alias.
    write("lifecycle/life.rs", "use super::State as S; pub struct Life(S);");
    write("lifecycle/state.rs", "pub struct State; fn f() { assert!(g(crate::lifecycle::Life)) }");
    write("ring/mod.rs", "pub mod inner; pub struct Ring; impl crate::kid::Kid { fn f() {} }");
    write("ring/inner.rs", "#[cfg(feature = \"status\")] pub const COUNT: u8 = 4;");
    let graph = Graph::read(folder.path());
    assert_eq!(graph.circles(), [["lifecycle/life.rs", "lifecycle/state.rs"]]);
    assert_eq!(wrong_imports(&graph), ["kid.rs must not import {\"COUNT\"} of ring/inner.rs"],);
    assert_eq!(
        wrong_features(&graph),
        ["ring/inner.rs must not name the feature `status` of a higher module"],
    );
    assert_eq!(stray_impls(&graph), [("Kid", "ring/mod.rs")]);

    // Without the name that closes the circle there is none.
    write(
        "lifecycle/state.rs",
        "pub struct State; #[cfg(test)] mod tests { use super::super::Life; }",
    );
    assert_eq!(Graph::read(folder.path()).circles(), Vec::<Vec<String>>::new());
}

/// The files whose code, not its comments, holds `needle`.
fn naming(needle: &str) -> Vec<String> {
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
    let holds = |path: &PathBuf| {
        let text = std::fs::read_to_string(path).unwrap();
        text.lines().any(|line| !line.trim_start().starts_with("//") && line.contains(needle))
    };
    let mut files = Vec::new();
    walk(&source(), &mut files);
    let mut files: Vec<_> =
        files.into_iter().filter(holds).map(|path| path.display().to_string()).collect();
    files.sort();
    files
}

#[test]
fn one_file_names_arc_swap_one_the_cipher_and_one_says_unsafe() {
    for (needle, file) in [
        ("arc_swap", "src/ring/swap.rs"),
        ("unsafe {", "src/mac/kernel.rs"),
        ("aes_gcm", "src/envelope/aead.rs"),
        ("aws_lc_rs", "src/envelope/aead.rs"),
    ] {
        let mut found = naming(needle);
        // The provider of `rustls`, and no cipher.
        found.retain(|path| needle != "aws_lc_rs" || !path.ends_with("src/postgres/system.rs"));
        assert!(found.len() == 1 && found[0].ends_with(file), "{needle}: {found:?}");
    }
}
