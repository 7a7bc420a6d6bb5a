//! Readers and writers at once.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use dualkey::cookie::{CookieKey, CookieSigner};
use dualkey::{KeyRing, KeyState, Kid, Role, Secret};

use crate::support::secret;

fn ring() -> KeyRing<CookieKey> {
    KeyRing::builder()
        .primary(Secret::from(secret(0)))
        .max_lifetime(Duration::ZERO)
        .rollout_window(Duration::ZERO)
        .skew(Duration::ZERO)
        .build()
        .unwrap()
}

/// Two keys change places ten thousand times; every reader sees, each time it looks, a
/// generation in which exactly one of them is the primary and the other its fallback.
#[test]
fn readers_see_only_whole_generations_during_ten_thousand_swaps() {
    let ring = KeyRing::<CookieKey>::builder()
        .primary(Secret::from(secret(0)))
        .fallback(Secret::from(secret(1)))
        .build()
        .unwrap();
    let signer = CookieSigner::new(ring.clone());
    let kids: Vec<Kid> = ring.keys().iter().map(|key| key.kid).collect();
    let done = AtomicBool::new(false);
    let seen = std::thread::scope(|scope| {
        let readers: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    let (mut seen, mut last) = (0_u64, 0);
                    while !done.load(Relaxed) || seen == 0 {
                        let set = ring.load();
                        let now = std::time::SystemTime::now();
                        let roles: Vec<_> =
                            kids.iter().map(|kid| set.state(kid, now).unwrap()).collect();
                        let primaries = roles
                            .iter()
                            .filter(|role| **role == KeyState::Live(Role::Primary))
                            .count();
                        assert_eq!((roles.len(), primaries), (2, 1));
                        assert!(set.generation() >= last, "a generation came back");
                        last = set.generation();
                        // What is signed in one unit of work verifies in the next.
                        let value = signer.sign("s", "v").unwrap();
                        assert!(signer.verify("s", &value).is_ok());
                        seen += 1;
                    }
                    seen
                })
            })
            .collect();
        let swap = |swap: usize| ring.promote(&kids[(swap + 1) % 2]).map(drop);
        let swapped = (0..10_000).try_for_each(swap);
        // First, or the readers would go on for ever.
        done.store(true, Relaxed);
        swapped.unwrap();
        readers.into_iter().map(|reader| reader.join().unwrap()).sum::<u64>()
    });
    println!("{seen} units of work during 10,000 swaps");
    assert_eq!(ring.load().generation(), 10_001);
    // The counters survived every one of them.
    let usage: Vec<_> = ring.keys().iter().map(|key| key.usage).collect();
    let verified: u64 =
        usage.iter().map(|usage| usage.verified_as_primary + usage.verified_as_fallback).sum();
    assert_eq!(verified, seen);
    assert_eq!(usage.iter().map(|usage| usage.signed).sum::<u64>(), seen);
}

/// Each writer revokes keys of its own, which it staged; all revocations are there.
#[test]
fn two_writers_at_once_lose_no_change() {
    let ring = ring();
    std::thread::scope(|scope| {
        for writer in 1..=2 {
            let ring = &ring;
            scope.spawn(move || {
                for round in 0..200 {
                    let kid = ring.stage(Secret::from(secret(writer * 1000 + round))).unwrap();
                    ring.revoke(&kid, "a test").unwrap();
                }
            });
        }
    });
    let keys = ring.keys();
    assert_eq!(keys.len(), 1 + 2 * 200);
    assert_eq!(keys.iter().filter(|key| key.state == KeyState::Revoked).count(), 400);
    assert_eq!(ring.load().generation(), 1 + 2 * 200 * 2);
}

/// What crosses threads and `.await`s in a service.
#[test]
fn handles_are_send_and_sync() {
    fn crosses<T: Send + Sync + 'static>() {}
    crosses::<KeyRing<CookieKey>>();
    crosses::<dualkey::jwt::Jwt>();
    crosses::<CookieSigner>();
    crosses::<dualkey::webhook::WebhookVerifier>();
    crosses::<dualkey::webhook::Delivery>();
    crosses::<dualkey::Verified<String>>();
    crosses::<dualkey::VerifyError>();
    crosses::<dualkey::Error>();
}
