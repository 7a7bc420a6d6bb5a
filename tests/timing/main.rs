//! Whether time tells anything, in the manner of dudect (Reparaz, Balasch, Verbauwhede,
//! "Dude, is my code constant time?", 2017): two classes of inputs, taken in random order,
//! and Welch's t between their times.
//!
//! ```sh
//! cargo test --release --test timing                        # a short form, which reports
//! DUALKEY_TEST_FULL=1 cargo test --release --test timing    # 5 times 1,000,000 samples of
//!                                                           # each, and fails over 4.5
//! ```
//!
//! Each is measured with five sets of keys, which lie elsewhere in memory, and the median of
//! the five t counts: what the code tells it tells of all of them, while where a key happens
//! to lie, and what else shares its lines of the cache, makes a difference of some tenths of
//! a nanosecond in one of them, to one side or the other.
//!
//! That the harness finds a leak is part of it: in a hand-written `==`, and in a loop that
//! ends with the first key that matches.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::print_stdout)]

mod cases;
mod welch;

use std::process::ExitCode;

use cases::Case;

/// As dudect has it: by chance, one of 150,000 runs is beyond it.
const BOUND: f64 = 4.5;
const SETS: usize = 5;

fn main() -> ExitCode {
    let full = std::env::var_os("DUALKEY_TEST_FULL").is_some();
    let samples = if full { 1_000_000 } else { 50_000 };
    println!("{SETS} times {samples} samples; |t| is to stay under {BOUND}, or to go over it");
    let mut failed = false;
    // All at once, so that none takes the place of another.
    let mut sets: Vec<_> = (0..SETS).map(|_| cases::all().into_iter()).collect();
    while let Some(cases) = sets.iter_mut().map(Iterator::next).collect::<Option<Vec<_>>>() {
        let Case { name, leaks, .. } = cases[0];
        let measure = |mut case: Case| welch::measure(samples, &mut *case.work);
        let mut all: Vec<f64> = cases.into_iter().map(measure).collect();
        all.sort_by(f64::total_cmp);
        let t = all[SETS / 2];
        let holds = (t.abs() > BOUND) == leaks;
        failed |= !holds;
        let expected = if leaks { "a leak that is to be found" } else { "tells nothing" };
        let verdict = if holds { "" } else { "  <- NOT SO" };
        println!("{t:>9.2}  {name}: {expected}{verdict}");
    }
    // The short form reports: with few samples, a small leak may not be found.
    if full && failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
