//! Who may import whom: the floors of the house, as data.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The floor of every module, and what else than floors below it may import.
const FLOORS: [(&str, u8, &[&str]); 33] = [
    ("encoding", 0, &["error", "kid", "secret", "clock"]),
    ("error", 0, &["kid", "moment", "reference", "verdict"]),
    ("fingerprint", 0, &["encoding"]),
    ("kid", 0, &["error"]),
    ("secret", 0, &[]),
    ("clock", 0, &[]),
    ("reference", 0, &[]),
    ("moment", 0, &[]),
    ("text", 0, &[]),
    ("verdict", 0, &["fingerprint", "moment", "text"]),
    ("purpose", 1, &["mac"]),
    ("key", 1, &["purpose", "ring", "mac"]),
    ("ring", 1, &["key", "purpose", "verified", "observer", "mac", "manifest"]),
    ("manifest", 1, &["key", "purpose", "ring", "verified", "mac"]),
    ("verified", 1, &[]),
    ("observer", 1, &[]),
    ("mac", 1, &[]),
    ("jwt", 2, &[]),
    ("cookie", 2, &[]),
    ("webhook", 2, &[]),
    ("envelope", 2, &[]),
    ("postgres", 1, &["manifest"]),
    ("credential", 2, &[]),
    ("source", 2, &["envelope"]),
    ("telemetry", 2, &["source"]),
    ("rewrap", 2, &["envelope"]),
    ("ops", 2, &["source", "envelope", "rewrap"]),
    ("http", 3, &[]),
    ("moving_in", 3, &[]),
    ("runbook", 3, &[]),
    ("compile_fail", 3, &[]),
    ("cli", 4, &[]),
    ("bin", 5, &[]),
];

/// What a floor must not import although it stands below it: whoever types commands needs no web
/// server.
const NEVER: [(&str, &str); 1] = [("cli", "http")];

fn sources() -> Vec<(PathBuf, String)> {
    fn walk(folder: &Path, into: &mut Vec<(PathBuf, String)>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, into);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                into.push((path.clone(), std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    let mut files = Vec::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
    files
}

/// The module of a file: the first part of its path below `src`.
fn module(path: &Path) -> String {
    let below = path.strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap();
    let first = below.components().next().unwrap().as_os_str().to_str().unwrap();
    first.trim_end_matches(".rs").to_owned()
}

/// The modules that a text names after `crate::`, in braces too. What the root
/// re-exports is a path of its own, and not for use inside.
fn imports(text: &str) -> BTreeSet<String> {
    let code: String = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n");
    let mut found = BTreeSet::new();
    for after in code.split("crate::").skip(1) {
        let list = match after.strip_prefix('{') {
            Some(list) => list.split('}').next().unwrap_or_default(),
            None => {
                after.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default()
            }
        };
        let names = list.split(',').map(|name| name.trim().split("::").next().unwrap_or_default());
        found.extend(names.filter(|name| !name.is_empty()).map(str::to_owned));
    }
    found
}

#[test]
fn no_module_imports_what_its_floor_does_not_allow() {
    let floors: BTreeMap<_, _> =
        FLOORS.iter().map(|(name, floor, beside)| (*name, (*floor, *beside))).collect();
    let (mut checked, mut wrong) = (0, Vec::new());
    for (path, text) in sources() {
        let own = module(&path);
        if own == "lib" {
            continue;
        }
        let Some((floor, beside)) = floors.get(own.as_str()) else {
            wrong.push(format!("{} is on no floor", path.display()));
            continue;
        };
        for import in imports(&text) {
            let Some((other, _)) = floors.get(import.as_str()) else {
                wrong.push(format!("{}: `crate::{import}` is on no floor", path.display()));
                continue;
            };
            let never = NEVER.contains(&(own.as_str(), import.as_str()));
            let allowed = import == own || other < floor || beside.contains(&import.as_str());
            let allowed = allowed && !never;
            if !allowed {
                wrong.push(format!("{}: {own} must not import {import}", path.display()));
            }
            checked += 1;
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(checked > 50, "only {checked} imports were found");
    for (name, ..) in FLOORS {
        assert!(
            sources().iter().any(|(path, _)| module(path) == name),
            "there is no module {name}"
        );
    }
}

#[test]
fn the_rule_finds_what_it_forbids() {
    assert_eq!(
        imports("use crate::{jwt::Jwt, key};\nfn f() { crate::cookie::f() }\n// crate::webhook\n"),
        ["cookie", "jwt", "key"].map(str::to_owned).into(),
    );
}

/// The files whose code, not its comments, holds `needle`.
fn naming(needle: &str) -> Vec<String> {
    let holds = |text: &str| {
        text.lines().any(|line| !line.trim_start().starts_with("//") && line.contains(needle))
    };
    let mut files: Vec<_> = sources()
        .into_iter()
        .filter(|(_, text)| holds(text))
        .map(|(path, _)| path.display().to_string())
        .collect();
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
        // It names the provider of `rustls`, and no cipher.
        found.retain(|own| needle != "aws_lc_rs" || !own.ends_with("src/postgres/system.rs"));
        assert!(found.len() == 1 && found[0].ends_with(file), "{needle}: {found:?}");
    }
}
