//! Counters that are read while uses are counted: `src/evidence/usage.rs`, and the reports of a ring.

use std::planted::{self, Fault};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, UNIX_EPOCH};

use dualkey::Report;
use dualkey::credential::Credentials;

use crate::lifecycle::Role;
use crate::ring::{MANIFESTS, builder, kid};
use crate::runner::{Model, join, reach};

#[path = "../../../src/evidence/usage.rs"]
#[allow(dead_code, reason = "a model counts in one way")]
mod usage;

use usage::Counters;

pub(crate) const MODELS: &[Model] = &[
    Model {
        name: "counters: no use is lost",
        bound: Some(2),
        reaches: &["read before the last use", "read after the last use"],
        faults: &[Fault::AddsInTwoSteps],
        run: no_use_is_lost,
    },
    Model {
        name: "counters: the last use is one of the last uses",
        bound: Some(3),
        reaches: &["the latest", "another thread was late with an earlier second"],
        // The caller counts an earlier use last.
        faults: &[Fault::Caller],
        run: last_use_is_one_of_the_last,
    },
    Model {
        name: "counters: a use is in one sample",
        bound: Some(2),
        reaches: &["a sample with a part of the uses"],
        faults: &[Fault::AddsInTwoSteps],
        run: use_is_in_one_sample,
    },
];

/// Three threads count on two shards.
fn no_use_is_lost() {
    let counters = Arc::new(Counters::new());
    let threads = [(); 3].map(|()| {
        let counters = Arc::clone(&counters);
        thread::spawn(move || counters.count_verified(Role::Fallback, Duration::from_secs(5)))
    });
    let before = counters.read().verified_as_fallback;
    reach(if before < 3 { "read before the last use" } else { "read after the last use" });
    join(threads);
    let usage = counters.read();
    assert_eq!(usage.verified_as_fallback, 3, "a use was lost");
    assert_eq!((usage.verified_as_primary, usage.signed), (0, 0));
    assert_eq!(usage.last_seen_as_fallback, Some(UNIX_EPOCH + Duration::from_secs(5)));
}

/// Among threads that share a shard, the last store wins. Its thread may have read the clock before
/// another thread did. The result is never earlier than the last use of its thread.
fn last_use_is_one_of_the_last() {
    let counters = Arc::new(Counters::new());
    let seconds: [&'static [u64]; 3] =
        [if planted::is(Fault::Caller) { &[7, 5] } else { &[5, 7] }, &[], &[6]];
    let threads = seconds.map(|seconds| {
        let counters = Arc::clone(&counters);
        thread::spawn(move || {
            // The first use takes the shard, which the thread shares with the one after the next.
            counters.count_verified(Role::Primary, Duration::ZERO);
            for second in seconds {
                counters.count_verified(Role::Fallback, Duration::from_secs(*second));
            }
        })
    });
    join(threads);
    let last = counters.read().last_seen_as_fallback.unwrap();
    match last.duration_since(UNIX_EPOCH).unwrap().as_secs() {
        7 => reach("the latest"),
        6 => reach("another thread was late with an earlier second"),
        other => panic!("second {other} is not the last use of a thread"),
    }
}

/// A ring makes reports while callers use its credentials.
fn use_is_in_one_sample() {
    let ring = MANIFESTS.first.build_ring(builder()).unwrap();
    let credentials = Credentials::new(ring.clone());
    let attempt = credentials.choose().unwrap();
    let threads = [(); 3].map(|()| {
        let (credentials, attempt) = (credentials.clone(), attempt.clone());
        thread::spawn(move || credentials.report_accepted(&attempt))
    });
    let first = count(&ring.report("a"));
    if (1..3).contains(&first) {
        reach("a sample with a part of the uses");
    }
    join(threads);
    assert!(first <= count(&ring.report("a")), "a use disappeared");
    assert_eq!(count(&ring.report("a")), 3, "a use was lost, or counted twice");
}

/// Counts the uses of the primary over all samples.
fn count(report: &Report) -> u64 {
    let uses = report.buckets.iter().flat_map(|bucket| &bucket.uses);
    uses.filter(|(used, _)| *used == kid("a")).map(|(_, uses)| uses.verified_as_primary).sum()
}
