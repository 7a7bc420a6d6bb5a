//! Explores the protocols between the threads of the library with `loom`. It runs a few threads in each
//! order of their steps, with each value that the memory model allows a load.
//!
//! ```sh
//! cargo run --manifest-path tests/concurrency/Cargo.toml --target-dir target/concurrency
//! ```
//!
//! The library is compiled from its own files, without a change. Its paths that begin with `std`
//! lead to a stand-in, in which mutexes, condition variables, `AtomicBool`, `AtomicU64`, `OnceLock`,
//! channels and threads are those of `loom`. Its `arc_swap` is a stand-in over a mutex, whose `rcu`
//! loads, computes, compares and starts again. The modules here compile some private files once more, to
//! reach their private items.
//!
//! Each model runs without a fault, and then once with each of its planted faults, which it must find. A
//! model also names the situations that at least one order must reach. With an argument, only the models
//! with this text in their name run.
//!
//! # What is covered
//! - `ring/swap.rs`: no change is lost; if an attempt loses the race, its refusal is not returned; a
//!   reader sees one whole generation.
//! - `KeyRing` with `Manifest::apply_to`: changes in code and manifests at the same time. A revoked
//!   key stays revoked; a manifest that is refused revokes; the later revision wins; each change is
//!   reported once.
//! - `evidence/usage.rs`, and `KeyRing::report` with `evidence/window.rs`: no use is lost or counted
//!   twice.
//! - `source/follow/signal.rs` and `ring/report_due.rs`: no wake and no report is lost; one turn runs
//!   at a time; no turn changes the ring after the end.
//! - A whole follower over a store in memory: its driver, its worker thread, its watch and its end,
//!   with a revocation in code at the same time.
//! - `Credentials`: refusals at the same time make one switch; one caller probes whether a
//!   credential is accepted again; a late refusal changes nothing.
//!
//! # What is not covered
//! - `arc_swap` itself: its memory ordering, its reference counts, and readers that wait for no
//!   writer. Here a load takes a mutex.
//! - More threads and more steps than a model has. Where a model has a bound, orders with more
//!   preemptions than that.
//! - The parts of the memory model that `loom` lacks: it treats `SeqCst` as `AcqRel`, and never
//!   lets a load see a store that happens later. The stand-in stores an `AtomicBool` as a swap, because `loom` would lose some plain
//!   stores beside a swap. `Arc` is that of the standard library, and `AtomicUsize` only
//!   numbers threads and keys.
//! - A monotone time of the last use of a key. Among threads that share a shard, the last store wins,
//!   and its thread may have read the clock before the others.
//! - Time. A wait ends only when its condition holds, except the damping of wakes, which ends by its
//!   limit. So no call to a store times out, and no turn gives up. There are no spurious wakeups.
//! - Panics of a store or an observer, and poisoned mutexes.
//! - tokio: `spawn`, `refresh_async`, and the pool of database connections with its own locks.
//! - Files, PostgreSQL and other processes, and the order of events of different threads.

mod counters;
mod credentials;
mod follow;
mod follower;
mod ring;
mod runner;
mod swap;

/// The path that the private files expect.
mod lifecycle {
    pub(crate) use dualkey::Role;
}

/// The path that the private files expect.
mod kid {
    pub(crate) use dualkey::Kid;
}

fn main() {
    let models = [
        swap::MODELS,
        ring::MODELS,
        counters::MODELS,
        follow::MODELS,
        follower::MODELS,
        credentials::MODELS,
    ];
    let wanted = std::env::args().nth(1).unwrap_or_default();
    let models = models.concat();
    let models: Vec<_> = models.iter().filter(|model| model.name.contains(&wanted)).collect();
    assert!(!models.is_empty(), "no model is called {wanted}");
    if !runner::run(&models) {
        std::process::exit(1);
    }
}
