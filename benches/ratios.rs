//! The table of ratios of the last run of `hot_path`: medians, of one run on one machine.
//! Times differ by machine. Ratios differ by processor: README.md has those of two.
//!
//! ```sh
//! cargo bench --bench ratios               # prints the table
//! cargo bench --bench ratios -- --readme   # and writes it into README.md
//! cargo bench --bench ratios -- --strict   # and fails where a bound does not hold
//! ```
//!
//! Where others use the machine too, the median of several runs says more than one: run
//! `hot_path` with a `CRITERION_HOME` for each, and name them all with `--from`.
#![allow(missing_docs, clippy::print_stdout, clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use comfy_table::Table;
use comfy_table::presets::ASCII_MARKDOWN;
use serde_json::Value;

#[derive(Parser)]
struct Arguments {
    /// Fails where a bound does not hold, or was not measured.
    #[arg(long)]
    strict: bool,
    /// Writes the table into README.md, between its marks.
    #[arg(long)]
    readme: bool,
    /// Where the estimates of a run are; of several, the median of each ratio counts. Of the
    /// last run, unless named.
    #[arg(long, num_args = 1..)]
    from: Vec<PathBuf>,
    /// What `cargo bench` adds.
    #[arg(long, hide = true)]
    bench: bool,
}

enum Bound {
    AtLeast(f64),
    AtMost(f64),
    /// Shown, and not asked for.
    Open,
}
use Bound::{AtLeast, AtMost, Open};

/// What is compared: a name, what is divided by what, and the bound. Of several functions
/// the fastest counts.
type Ratio = (&'static str, &'static [&'static str], &'static [&'static str], Bound);

const RATIOS: [Ratio; 38] = [
    (
        "JWT, two keys, the fallback matches, no `kid` / one key",
        &["jwt_verify/dualkey_2keys_fallback"],
        &["jwt_verify/dualkey_1key"],
        AtMost(1.12),
    ),
    (
        "JWT, four keys, the last matches, no `kid` / one key",
        &["jwt_verify/dualkey_4keys_last"],
        &["jwt_verify/dualkey_1key"],
        AtMost(1.30),
    ),
    (
        "JWT with a `kid`, the last of four keys / one key, the same token",
        &["jwt_verify/dualkey_kid"],
        &["jwt_verify/dualkey_kid_1key"],
        AtMost(1.05),
    ),
    (
        "JWT, one key, owned claims: `jsonwebtoken` / dualkey",
        &["jwt_verify/jsonwebtoken_1key", "jwt_verify/aws_lc_jsonwebtoken_1key"],
        &["jwt_verify/dualkey_1key"],
        AtLeast(3.3),
    ),
    (
        "JWT, two keys, the fallback matches: `jsonwebtoken` in a loop / dualkey",
        &["jwt_verify/jsonwebtoken_loop_fallback", "jwt_verify/aws_lc_jsonwebtoken_loop_fallback"],
        &["jwt_verify/dualkey_2keys_fallback"],
        AtLeast(5.0),
    ),
    (
        "JWT, two keys, forged: `jsonwebtoken` in a loop / dualkey",
        &["jwt_verify/jsonwebtoken_loop_forged", "jwt_verify/aws_lc_jsonwebtoken_loop_forged"],
        &["jwt_verify/dualkey_2keys_forged"],
        AtLeast(8.0),
    ),
    (
        "JWT, two keys, the fallback matches: by hand, no claim checked / dualkey",
        &["jwt_verify/by_hand_loop_fallback"],
        &["jwt_verify/dualkey_2keys_fallback"],
        Open,
    ),
    (
        "JWT, one key, borrowed claims / floor",
        &["jwt_verify/dualkey_1key_borrowed"],
        &["jwt_verify/floor"],
        AtMost(1.20),
    ),
    (
        "JWT, sign: `jsonwebtoken` / dualkey",
        &["jwt_sign/jsonwebtoken_1key", "jwt_sign/aws_lc_jsonwebtoken_1key"],
        &["jwt_sign/dualkey_2keys_primary"],
        AtLeast(1.6),
    ),
    (
        "cookie, two keys, the fallback matches: `SignedJar` in a loop / dualkey",
        &["cookie_verify/cookie_rs_loop_fallback"],
        &["cookie_verify/dualkey_2keys_fallback"],
        AtLeast(3.0),
    ),
    (
        "cookie, one key: `SignedJar` / dualkey",
        &["cookie_verify/cookie_rs_1key"],
        &["cookie_verify/dualkey_1key"],
        Open,
    ),
    (
        "cookie, two keys, the fallback matches / floor",
        &["cookie_verify/dualkey_2keys_fallback"],
        &["cookie_verify/floor"],
        Open,
    ),
    (
        "webhook 256 B, two keys, the fallback matches / one key of `ring`",
        &["webhook_verify/dualkey_2keys_fallback/256B"],
        &["webhook_verify/ring_1key/256B"],
        Open,
    ),
    (
        "webhook 4 KiB, two keys, the fallback matches / one key of `ring`",
        &["webhook_verify/dualkey_2keys_fallback/4KiB"],
        &["webhook_verify/ring_1key/4KiB"],
        Open,
    ),
    (
        "webhook 64 KiB, two keys, the fallback matches / one key of `ring`",
        &["webhook_verify/dualkey_2keys_fallback/64KiB"],
        &["webhook_verify/ring_1key/64KiB"],
        AtMost(1.03),
    ),
    (
        "webhook 64 KiB, four keys, the last matches / one key of `ring`",
        &["webhook_verify/dualkey_4keys_last/64KiB"],
        &["webhook_verify/ring_1key/64KiB"],
        AtMost(1.35),
    ),
    (
        "webhook 64 KiB, two keys, in chunks of 4 KiB / whole",
        &["webhook_verify/dualkey_2keys_fallback_chunks/64KiB"],
        &["webhook_verify/dualkey_2keys_fallback/64KiB"],
        AtMost(1.03),
    ),
    (
        "webhook 1 MiB, two keys, in chunks of 4 KiB / floor of one key",
        &["webhook_verify/dualkey_2keys_fallback_chunks/1MiB"],
        &["webhook_verify/floor/1MiB"],
        Open,
    ),
    (
        "webhook 64 KiB, the fallback matches: `hmac` by hand in a loop / dualkey",
        &["webhook_verify/by_hand_loop_fallback/64KiB"],
        &["webhook_verify/dualkey_2keys_fallback/64KiB"],
        Open,
    ),
    (
        "webhook 64 KiB, the fallback matches: `ring` in a loop / dualkey",
        &["webhook_verify/ring_loop_fallback/64KiB"],
        &["webhook_verify/dualkey_2keys_fallback/64KiB"],
        Open,
    ),
    (
        "webhook 256 B, the portable twin / `hmac` by hand in a loop",
        &["webhook_verify/portable_2keys_fallback/256B"],
        &["webhook_verify/by_hand_loop_fallback/256B"],
        AtMost(1.0),
    ),
    (
        "webhook 64 KiB, the portable twin / `hmac` by hand in a loop",
        &["webhook_verify/portable_2keys_fallback/64KiB"],
        &["webhook_verify/by_hand_loop_fallback/64KiB"],
        AtMost(1.0),
    ),
    (
        "envelope, open 1 KiB / `aes-gcm` by hand",
        &["envelope_open/dualkey_1key/1KiB"],
        &["envelope_open/by_hand_aes_gcm/1KiB"],
        AtMost(1.05),
    ),
    (
        "envelope, open 1 KiB, `aws-lc` / `ring` by hand",
        &["envelope_open/dualkey_aws_lc_1key/1KiB"],
        &["envelope_open/ring_1key/1KiB"],
        AtMost(1.10),
    ),
    (
        "envelope, open 1 KiB, `aws-lc` / `aws-lc-rs` by hand",
        &["envelope_open/dualkey_aws_lc_1key/1KiB"],
        &["envelope_open/aws_lc_1key/1KiB"],
        Open,
    ),
    (
        "envelope, open 1 KiB: default library / `aws-lc`",
        &["envelope_open/dualkey_1key/1KiB"],
        &["envelope_open/dualkey_aws_lc_1key/1KiB"],
        AtLeast(1.3),
    ),
    (
        "envelope, open 1 MiB: default library / `aws-lc`",
        &["envelope_open/dualkey_1key/1MiB"],
        &["envelope_open/dualkey_aws_lc_1key/1MiB"],
        AtLeast(1.3),
    ),
    (
        "envelope, rewrap 10 KB / decrypted and encrypted by hand, without a data key",
        &["envelope_rewrap/dualkey_2keys_fallback/10KB"],
        &["envelope_rewrap/by_hand_aes_gcm/10KB"],
        Open,
    ),
    (
        "envelope, rewrap 1 MiB / decrypted and encrypted by hand, without a data key",
        &["envelope_rewrap/dualkey_2keys_fallback/1MiB"],
        &["envelope_rewrap/by_hand_aes_gcm/1MiB"],
        AtMost(1.05),
    ),
    (
        "ring load: swapped every millisecond / at rest",
        &["ring_load/dualkey_2keys_primary/swapping"],
        &["ring_load/dualkey_2keys_primary/at_rest"],
        AtMost(2.0),
    ),
    (
        "ring load, swapped every millisecond / `ArcSwap::load`",
        &["ring_load/dualkey_1key/swapping"],
        &["ring_load/floor/swapping"],
        Open,
    ),
    (
        "two threads verifying with one ring: the time of one / of both",
        &["scaling/dualkey_2keys_fallback/1"],
        &["scaling/dualkey_2keys_fallback/2"],
        AtLeast(0.95),
    ),
    (
        "two threads verifying, the time with one ring / with a ring for each",
        &["scaling/dualkey_2keys_fallback/2"],
        &["scaling/floor/2"],
        AtMost(1.05),
    ),
    (
        "JWT, two keys: with a reload every millisecond / at rest",
        &["reload/dualkey_verify/reloading"],
        &["reload/dualkey_verify/at_rest"],
        Open,
    ),
    (
        "ring load, swapped every millisecond: `RwLock<Arc>` by hand / dualkey",
        &["ring_load/by_hand_rwlock/swapping"],
        &["ring_load/dualkey_1key/swapping"],
        Open,
    ),
    (
        "axum, a bearer token, two keys: `jsonwebtoken` by hand in the handler / the layer",
        &["layer_bearer/axum_by_hand"],
        &["layer_bearer/axum_layer"],
        AtLeast(1.0),
    ),
    (
        "axum, a session, two keys: `SignedJar` by hand in the handler / the layer",
        &["layer_session/axum_by_hand"],
        &["layer_session/axum_layer"],
        AtLeast(1.0),
    ),
    (
        "axum, a webhook of 4 KiB, two keys: `hmac` by hand in the handler / the layer",
        &["layer_webhook/axum_by_hand"],
        &["layer_webhook/axum_layer"],
        AtLeast(1.0),
    ),
];

/// Where criterion keeps its estimates: in the target folder that this was built in.
fn criterion() -> PathBuf {
    let exe = std::env::current_exe().unwrap();
    exe.ancestors().nth(3).unwrap_or(Path::new("target")).join("criterion")
}

/// The median of the fastest of `names`, in nanoseconds; `None` if one was not measured.
fn fastest_time(folder: &Path, names: &[&str]) -> Option<f64> {
    let median = |name: &&str| {
        let path = folder.join(name).join("new/estimates.json");
        let text = std::fs::read_to_string(path).ok()?;
        serde_json::from_str::<Value>(&text).ok()?["median"]["point_estimate"].as_f64()
    };
    names.iter().map(median).try_fold(f64::INFINITY, |least, one| Some(least.min(one?)))
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let folders = if arguments.from.is_empty() { vec![criterion()] } else { arguments.from };
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN);
    table.set_header(["median / median", "ns", "ns", "ratio", "bound", ""]);
    let (mut missing, mut broken) = (0, 0);
    for (name, over, under, bound) in &RATIOS {
        let mut runs: Vec<(f64, f64)> = folders
            .iter()
            .filter_map(|folder| Some((fastest_time(folder, over)?, fastest_time(folder, under)?)))
            .collect();
        runs.sort_by(|one, other| (one.0 / one.1).total_cmp(&(other.0 / other.1)));
        let Some((over, under)) = runs.get(runs.len() / 2) else {
            missing += 1;
            continue;
        };
        // As it is shown, so that what reads as the bound is the bound.
        let ratio = (over / under * 100.0).round() / 100.0;
        let (bound, holds) = match bound {
            AtLeast(least) => (format!("≥ {least:.2}"), Some(ratio >= *least)),
            AtMost(most) => (format!("≤ {most:.2}"), Some(ratio <= *most)),
            Open => (String::new(), None),
        };
        broken += usize::from(holds == Some(false));
        let verdict = holds.map_or("", |holds| if holds { "holds" } else { "**no**" });
        table.add_row([
            (*name).to_owned(),
            format!("{over:.0}"),
            format!("{under:.0}"),
            format!("{ratio:.2}"),
            bound,
            verdict.to_owned(),
        ]);
    }
    println!("{table}");
    println!("{broken} bounds do not hold");
    if missing > 0 {
        println!("{missing} ratios are missing: run `cargo bench --bench hot_path` first");
    }
    if arguments.readme {
        write_into_readme(&table.to_string());
    }
    if arguments.strict && broken + missing > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn write_into_readme(table: &str) {
    const MARKS: [&str; 2] = ["<!-- ratios -->\n", "<!-- /ratios -->"];
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(MARKS[0]).expect("README.md has the marks");
    let (_, after) = rest.split_once(MARKS[1]).expect("README.md has both marks");
    std::fs::write(path, [before, MARKS[0], table, "\n", MARKS[1], after].concat()).unwrap();
}
