//! The simulated fleet: what it must show.

#[path = "../fleet/mod.rs"]
pub mod simulated;

use simulated::{Bounds, Way, run};

use crate::support::is_full;

/// Number of seeds. The example `fleet` runs more of them in a release build.
fn seeds() -> u64 {
    if is_full() { 10_000 } else { 9 }
}

#[test]
fn fleet_staged_and_scheduled_lose_nothing_and_take_nothing_revoked() {
    for way in [Way::Staged, Way::Scheduled] {
        let (mut requests, mut leaks, mut declared, mut unavailable) = (0, 0, 0, 0);
        let mut exposure = 0;
        for seed in 0..seeds() {
            let outcome = run(seed, way, Bounds::from_random);
            assert!(
                outcome.violations.is_empty(),
                "{}, seed {seed}: {:#?}",
                way.name(),
                outcome.violations
            );
            assert!(outcome.requests > 0);
            requests += outcome.requests;
            declared += outcome.declared;
            unavailable += outcome.unavailable;
            leaks += u64::from(outcome.exposure.is_some());
            exposure = exposure.max(outcome.exposure.unwrap_or(0));
        }
        println!(
            "{}: {} seeds, {requests} requests, 0 violations; {unavailable} refused as too old, \
             {declared} as declared; {leaks} leaks, taken for {exposure} s at most",
            way.name(),
            seeds()
        );
    }
}

/// Operators roll back, withdraw, revoke, restage, change the policy and force, each with a
/// clock of their own. See `ledger.rs` for what must hold.
#[test]
fn fleet_of_operators_who_take_any_step_does_what_each_step_declared() {
    let (mut requests, mut steps, mut refused, mut leaks) = (0, 0, 0, 0);
    let (mut declared, mut unavailable) = (0, 0);
    for seed in 0..seeds() {
        let outcome = run(seed, Way::Anything, Bounds::for_any_step);
        let violations = outcome.violations.join("\n");
        assert!(violations.is_empty(), "seed {seed}: {:?}\n{violations}", outcome.kinds);
        assert!(outcome.requests > 0);
        requests += outcome.requests;
        steps += outcome.steps;
        refused += outcome.refused;
        leaks += outcome.leaks;
        declared += outcome.declared;
        unavailable += outcome.unavailable;
    }
    println!(
        "{}: {} seeds, {steps} steps taken and {refused} refused, {leaks} leaks, {requests} \
         requests, 0 violations; {declared} rejected as declared, {unavailable} as too old",
        Way::Anything.name(),
        seeds()
    );
    assert!(steps > 0 && refused > 0 && leaks > 0 && declared > 0);
}

#[test]
fn fleet_the_usual_ways_lose_what_they_lose() {
    for way in [Way::SwapAndRestart, Way::NewAndOld] {
        let outcomes: Vec<_> =
            (0..seeds().min(200)).map(|seed| run(seed, way, Bounds::from_random)).collect();
        let requests: u64 = outcomes.iter().map(|outcome| outcome.requests).sum();
        let lost: u64 = outcomes.iter().map(|outcome| outcome.lost).sum();
        println!("{}: {lost} of {requests} valid requests lost", way.name());
        assert!(lost > 0);
    }
}

#[test]
fn fleet_a_seed_reproduces() {
    for way in Way::ALL.into_iter().chain([Way::Anything]) {
        let outcomes = [(); 2].map(|()| format!("{:?}", run(7, way, Bounds::from_random)));
        assert_eq!(outcomes[0], outcomes[1]);
    }
}

/// A simulator that cannot fail shows nothing: beyond what is declared, it does.
#[test]
fn fleet_beyond_what_is_declared_it_breaks() {
    // The first seed with which a value is lost.
    let lost = |change: fn(&mut Bounds)| -> Option<u64> {
        let of = |random: &mut fastrand::Rng| {
            let mut bounds = Bounds::from_random(random);
            (bounds.max_staleness, bounds.leaks, bounds.outage) = (None, false, bounds.lag);
            change(&mut bounds);
            bounds
        };
        (0..seeds().min(40)).find(|seed| run(*seed, Way::Staged, of).lost > 0)
    };
    assert_eq!(lost(|_| {}), None);
    // A process that starts from an older copy than the one before it, which had agreed to a
    // promotion.
    let goes_back = |random: &mut fastrand::Rng| {
        let mut bounds = Bounds::for_any_step(random);
        bounds.starts_go_back = true;
        bounds
    };
    let kinds = |seed| run(seed, Way::Anything, goes_back).kinds;
    assert!((68..78).any(|seed| !kinds(seed).is_empty()));
    type Break = (&'static str, fn(&mut Bounds));
    let breaks: [Break; 4] = [
        ("clocks that differ more", |bounds| bounds.clock_off *= 12),
        ("a store that is away longer", |bounds| bounds.outage *= 12),
        ("a store that is more behind", |bounds| {
            (bounds.lag, bounds.outage) = (bounds.lag * 12, bounds.outage * 12)
        }),
        ("what is signed lives longer", |bounds| bounds.real_life *= 3),
    ];
    for (name, change) in breaks {
        let seed = lost(change);
        println!("beyond what is declared, {name}: lost with seed {seed:?}");
        assert!(seed.is_some(), "{name}");
    }
}
