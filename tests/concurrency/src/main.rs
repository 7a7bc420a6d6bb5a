//! Explores the protocols between the threads of the library with `loom`: every order of the steps
//! of a few threads, and every value that the memory model allows a load.
//!
//! The library is compiled from its own files, without a change. Its paths that begin with `std`
//! lead to a stand-in, in which mutexes, condition variables, `AtomicBool`, `AtomicU64`, `OnceLock`,
//! channels and threads are those of `loom`. Its `arc_swap` is a stand-in over a mutex, whose `rcu`
//! loads, computes, compares and starts again. Private files are compiled once more in the modules
//! here, to reach what they hold.
//!
//! Each model runs without a fault, and then once with each of its planted faults, which must be
//! found. A model also names the situations that some order must reach.
//!
//! # What is covered
//! - `ring/swap.rs`: no change is lost; the refusal of an attempt that lost is not the result; a
//!   reader sees one whole generation.
//! - `KeyRing` with `Manifest::apply_to`: changes in code and manifests at the same time. What was
//!   revoked stays revoked, also by a manifest that is refused; the later revision wins.
//! - `evidence/usage.rs`, and `KeyRing::report` with `evidence/window.rs`: no use is lost or counted
//!   twice.
//! - `source/follow/signal.rs` and `ring/report_due.rs`: no wake and no report is lost; one turn runs
//!   at a time; none changes the ring after the end.
//! - The whole follower over a store in memory: its driver, its worker thread, a watch, a
//!   revocation in code at the same time, and its end.
//! - `Credentials`: refusals at the same time make one switch; one caller finds out whether a
//!   credential is accepted again; late news is no news.
//!
//! # What is not covered
//! - `arc_swap` itself: its memory ordering, its reference counts, and the reader that waits for no
//!   writer. Here a load takes a mutex.
//! - More threads than four, or more steps than a model has. Where the table names a bound, no
//!   order with more preemptions than that.
//! - What `loom` does not model: `SeqCst` is explored as `AcqRel`, and a load sees no store that
//!   comes after it. A condition variable does not wake a thread without a cause. `Arc` is that of the
//!   standard library, and `AtomicUsize` only gives numbers.
//! - Time. A wait ends by what it waits for, and only the damping of wakes by its limit. So no call
//!   to a store is out of time, and no turn gives up.
//! - Panics of a store or an observer, and poisoned mutexes.
//! - tokio: `spawn`, `refresh_async`, and the pool of database connections with its own locks.
//! - Files, PostgreSQL, and other processes.
//! - The order and the number of events, but for those of credentials.

mod counters;
mod credentials;
mod follow;
mod follower;
mod ring;
mod runner;
mod swap;

/// Where the private files look for it.
mod lifecycle {
    pub(crate) use dualkey::Role;
}

/// Where the private files look for it.
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
