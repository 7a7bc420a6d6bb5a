//! What a reader of a ring pays, alone and beside others.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Barrier, RwLock};
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use criterion::{BatchSize, BenchmarkId, Criterion};
use dualkey::jwt::{Jwt, JwtKey};
use dualkey::manifest::{Manifest, NewEntry};
use dualkey::{KeyRing, NewKey, Policy, Purpose, Secret};

use crate::input::{Claims, SECRETS, token};
use crate::ring_of;

const NEW: &str = SECRETS[0];
const OLD: &str = SECRETS[1];

/// What a reader pays to find the primary, at rest and while another thread swaps the
/// ring every millisecond.
pub fn load(c: &mut Criterion) {
    let mut group = c.benchmark_group("ring_load");
    // A key from the start that only verifies has no end, so the clock is not read; one
    // that was superseded has, and it is.
    let one = ring_of::<JwtKey>(&[NEW]);
    let withdrawn = one.stage(NewKey::new(Secret::from(OLD))).unwrap();
    one.retire(&withdrawn).unwrap();
    let two = ring_of::<JwtKey>(&[OLD]);
    let kid = two.stage(NewKey::new(Secret::from(NEW))).unwrap();
    two.promote(&kid).unwrap();
    let kids: Vec<_> = two.keys().iter().map(|key| key.kid).collect();
    let secrets = || Arc::new([NEW.to_owned(), OLD.to_owned()]);
    let (by_hand, floor) = (RwLock::new(secrets()), ArcSwap::new(secrets()));

    for state in ["at_rest", "swapping"] {
        let done = AtomicBool::new(state == "at_rest");
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut turn = 0;
                while !done.load(Relaxed) {
                    two.promote(&kids[turn % 2]).unwrap();
                    // Settled already: an equal set is swapped in.
                    one.retire(&withdrawn).unwrap();
                    *by_hand.write().unwrap() = secrets();
                    floor.store(secrets());
                    turn += 1;
                    std::thread::sleep(Duration::from_millis(1));
                }
            });
            group.bench_function(BenchmarkId::new("floor", state), |b| {
                b.iter(|| black_box(&floor).load().len());
            });
            group.bench_function(BenchmarkId::new("dualkey_1key", state), |b| {
                b.iter(|| black_box(&one).primary().unwrap());
            });
            group.bench_function(BenchmarkId::new("dualkey_2keys_primary", state), |b| {
                b.iter(|| black_box(&two).primary().unwrap());
            });
            group.bench_function(BenchmarkId::new("by_hand_rwlock", state), |b| {
                b.iter(|| Arc::clone(&black_box(&by_hand).read().unwrap()));
            });
            done.store(true, Relaxed);
        });
    }
    group.finish();
}

/// What a verification costs at rest, and while the ring is changed to another manifest a
/// thousand times a second; and what the change costs who makes it.
pub fn reload(c: &mut Criterion) {
    let mut group = c.benchmark_group("reload");
    let now = SystemTime::now();
    let entry =
        |secret: &str, kid: &str| NewEntry::new(Secret::from(secret)).kid(kid.parse().unwrap());
    let policy = Policy::default();
    let first = Manifest::new("X", Purpose::Jwt, "bench", policy, entry(OLD, "old"), now).unwrap();
    let first = first.stage(entry(NEW, "new"), now).unwrap().manifest;
    let ring = || first.build_ring(KeyRing::<JwtKey>::builder().environment("bench")).unwrap();
    let promoted = |manifest: &Manifest, turn: usize| {
        let kid = ["new", "old"][turn % 2].parse().unwrap();
        manifest.force("a bench").promote(&kid, now).unwrap().manifest
    };
    let (busy, token) = (ring(), token(OLD));
    let jwt = Jwt::new(busy.clone());
    for state in ["at_rest", "reloading"] {
        let done = AtomicBool::new(state == "at_rest");
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut manifest = first.clone();
                for turn in 0.. {
                    if done.load(Relaxed) {
                        return;
                    }
                    manifest = promoted(&manifest, turn);
                    assert!(manifest.apply_to(&busy).unwrap());
                    std::thread::sleep(Duration::from_millis(1));
                }
            });
            group.bench_function(BenchmarkId::new("dualkey_verify", state), |b| {
                b.iter(|| jwt.verify::<Claims>(black_box(&token)).unwrap());
            });
            done.store(true, Relaxed);
        });
    }
    let text = first.to_json().unwrap();
    group.bench_function("dualkey_read", |b| {
        b.iter(|| Manifest::from_json(black_box(text.expose())).unwrap());
    });
    let same = ring();
    group.bench_function("dualkey_apply_known", |b| b.iter(|| first.apply_to(&same).unwrap()));
    group.bench_function("dualkey_apply_next", |b| {
        let (ring, mut turn) = (ring(), 0);
        let mut manifest = first.clone();
        b.iter_batched(
            || {
                manifest = promoted(&manifest, turn);
                turn += 1;
                manifest.clone()
            },
            |next| assert!(next.apply_to(&ring).unwrap()),
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

/// How long each of `threads` takes for the same number of verifications, at once and with
/// one key: twice the throughput is the same time.
pub fn scaling(c: &mut Criterion) {
    let mut group = c.benchmark_group("scaling");
    let token = token(OLD);
    // The floor is what the machine gives: a ring for each thread.
    let ring = || Jwt::new(ring_of::<JwtKey>(&[NEW, OLD]));
    let (one, other) = (ring(), ring());
    let runs = [("dualkey_2keys_fallback", [&one, &one]), ("floor", [&one, &other])];
    for (threads, (name, rings)) in
        [1, 2].into_iter().flat_map(|count| runs.map(|run| (count, run)))
    {
        group.bench_function(BenchmarkId::new(name, threads), |b| {
            b.iter_custom(|iterations| {
                let barrier = &Barrier::new(threads);
                let token = &token;
                std::thread::scope(|scope| {
                    let work = move |jwt: &Jwt| {
                        barrier.wait();
                        let started = Instant::now();
                        for _ in 0..iterations {
                            let claims = jwt.verify::<Claims>(black_box(token)).unwrap();
                            let _ = black_box(claims);
                        }
                        started.elapsed()
                    };
                    let all: Vec<_> = rings[..threads]
                        .iter()
                        .map(|jwt| {
                            let jwt = Jwt::clone(jwt);
                            scope.spawn(move || work(&jwt))
                        })
                        .collect();
                    all.into_iter().map(|one| one.join().unwrap()).max().unwrap()
                })
            });
        });
    }
    group.finish();
}
