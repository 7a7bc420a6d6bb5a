//! The table of ratios of the last run of `hot_path`: medians, of one run on one machine.
//! Times differ by machine; ratios hardly do.
#![allow(missing_docs, clippy::print_stdout, clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use comfy_table::Table;
use comfy_table::presets::ASCII_MARKDOWN;
use serde_json::Value;

/// What is compared: a name, the slower (or the one to be compared), and ours.
const RATIOS: [(&str, &str, &str); 18] = [
    (
        "JWT: two keys, the fallback matches / one key",
        "jwt_verify/dualkey_2keys_fallback",
        "jwt_verify/dualkey_1key",
    ),
    (
        "JWT: `jsonwebtoken` / dualkey, one key",
        "jwt_verify/jsonwebtoken_1key",
        "jwt_verify/dualkey_1key",
    ),
    (
        "JWT: `jsonwebtoken` in a loop / dualkey, the fallback matches",
        "jwt_verify/jsonwebtoken_loop_fallback",
        "jwt_verify/dualkey_2keys_fallback",
    ),
    (
        "cookie: two keys, the fallback matches / one key",
        "cookie_verify/dualkey_2keys_fallback",
        "cookie_verify/dualkey_1key",
    ),
    (
        "cookie: `SignedJar` / dualkey, one key",
        "cookie_verify/cookie_rs_1key",
        "cookie_verify/dualkey_1key",
    ),
    (
        "cookie: `SignedJar` in a loop / dualkey, the fallback matches",
        "cookie_verify/cookie_rs_loop_fallback",
        "cookie_verify/dualkey_2keys_fallback",
    ),
    (
        "webhook, 256 B: two keys, the fallback matches / one key",
        "webhook_verify/dualkey_2keys_fallback/256B",
        "webhook_verify/dualkey_1key/256B",
    ),
    (
        "webhook, 4 KiB: two keys, the fallback matches / one key",
        "webhook_verify/dualkey_2keys_fallback/4KiB",
        "webhook_verify/dualkey_1key/4KiB",
    ),
    (
        "webhook, 64 KiB: two keys, the fallback matches / one key",
        "webhook_verify/dualkey_2keys_fallback/64KiB",
        "webhook_verify/dualkey_1key/64KiB",
    ),
    (
        "webhook, 4 KiB: by hand in a loop / dualkey, the fallback matches",
        "webhook_verify/by_hand_loop_fallback/4KiB",
        "webhook_verify/dualkey_2keys_fallback/4KiB",
    ),
    (
        "webhook, 64 KiB: by hand in a loop / dualkey, the fallback matches",
        "webhook_verify/by_hand_loop_fallback/64KiB",
        "webhook_verify/dualkey_2keys_fallback/64KiB",
    ),
    (
        "envelope, open 1 KiB: dualkey / `aes-gcm` by hand",
        "envelope_open/dualkey_1key/1KiB",
        "envelope_open/by_hand_aes_gcm/1KiB",
    ),
    (
        "envelope, open 1 KiB: under the fallback / under the primary",
        "envelope_open/dualkey_2keys_fallback/1KiB",
        "envelope_open/dualkey_1key/1KiB",
    ),
    (
        "envelope, open 1 MiB: dualkey / `aes-gcm` by hand",
        "envelope_open/dualkey_1key/1MiB",
        "envelope_open/by_hand_aes_gcm/1MiB",
    ),
    (
        "envelope, rewrap: payload of 1 MiB / of 100 B",
        "envelope_rewrap/dualkey/1MiB",
        "envelope_rewrap/dualkey/100B",
    ),
    (
        "envelope, rotate 1 MiB: decrypted and encrypted by hand / rewrapped",
        "envelope_rewrap/by_hand_aes_gcm/1MiB",
        "envelope_rewrap/dualkey/1MiB",
    ),
    (
        "ring load: swapped every millisecond / at rest",
        "ring_load/dualkey_2keys_fallback/swapping",
        "ring_load/dualkey_2keys_fallback/at_rest",
    ),
    (
        "ring load, swapped: `RwLock<Arc>` by hand / dualkey",
        "ring_load/by_hand_loop_fallback/swapping",
        "ring_load/dualkey_1key/swapping",
    ),
];

/// Where criterion keeps its estimates: in the target folder that this was built in.
fn criterion() -> PathBuf {
    let exe = std::env::current_exe().unwrap();
    exe.ancestors().nth(3).unwrap_or(Path::new("target")).join("criterion")
}

/// The median of a function, in nanoseconds.
fn median(folder: &Path, name: &str) -> Option<f64> {
    let text = std::fs::read_to_string(folder.join(name).join("new/estimates.json")).ok()?;
    serde_json::from_str::<Value>(&text).ok()?["median"]["point_estimate"].as_f64()
}

fn main() {
    let folder = criterion();
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN);
    table.set_header(["median / median", "ns", "ns", "ratio"]);
    let mut missing = 0;
    for (name, over, under) in RATIOS {
        match (median(&folder, over), median(&folder, under)) {
            (Some(over), Some(under)) => {
                let (a, b) = (format!("{over:.0}"), format!("{under:.0}"));
                table.add_row([name.to_owned(), a, b, format!("{:.2}", over / under)]);
            }
            _ => missing += 1,
        }
    }
    println!("{table}");
    if missing > 0 {
        println!("{missing} ratios are missing: run `cargo bench --bench hot_path` first");
    }
}
