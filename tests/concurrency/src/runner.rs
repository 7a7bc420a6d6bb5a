//! Runs the models, and shows how many orders each has.

use std::collections::BTreeSet;
use std::original::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::original::sync::{Mutex, PoisonError};
use std::original::time::Instant;
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::planted::{self, Fault};
use std::thread::JoinHandle;

/// A few threads, and the checks that must hold in every order of their steps.
#[derive(Clone, Copy)]
pub(crate) struct Model {
    pub(crate) name: &'static str,
    /// The most preemptions of an order. `None` explores every order.
    pub(crate) bound: Option<usize>,
    /// The situations, each of which some order must reach.
    pub(crate) reaches: &'static [&'static str],
    /// The faults that must be found.
    pub(crate) faults: &'static [Fault],
    pub(crate) run: fn(),
}

/// The number of executions of the current model.
static EXECUTIONS: AtomicUsize = AtomicUsize::new(0);
static REACHED: Mutex<BTreeSet<&str>> = Mutex::new(BTreeSet::new());

/// Records that an order of the current model has reached `situation`.
pub(crate) fn reach(situation: &'static str) {
    REACHED.lock().unwrap_or_else(PoisonError::into_inner).insert(situation);
}

/// Waits for all `threads`, and returns their results.
pub(crate) fn join<T, const N: usize>(threads: [JoinHandle<T>; N]) -> [T; N] {
    threads.map(|thread| thread.join().unwrap())
}

/// Runs the models. Returns true if each model holds and finds its faults.
pub(crate) fn run(models: &[&Model]) -> bool {
    let start = Instant::now();
    println!("{:<52} {:>11} {:>9} {:>7}", "model", "preemptions", "orders", "seconds");
    let mut total = 0;
    let mut is_right = true;
    for model in models {
        let bound = model.bound.map_or("any".to_owned(), |bound| bound.to_string());
        let begin = Instant::now();
        let explored = explore(model, Fault::None);
        let (orders, seconds) = (EXECUTIONS.load(SeqCst), begin.elapsed().as_secs_f32());
        println!("{:<52} {bound:>11} {orders:>9} {seconds:>7.2}", model.name);
        total += orders;
        let reached = REACHED.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Err(message) = explored {
            println!("  WRONG: {message}");
            is_right = false;
        } else if let Some(missing) = model.reaches.iter().find(|wanted| !reached.contains(*wanted))
        {
            println!("  WRONG: no order reaches: {missing}");
            is_right = false;
        }
        for fault in model.faults {
            match explore(model, *fault) {
                // The model is too large for `loom`, and does not find the fault.
                Err(message) if message.contains("Model exceeded maximum") => {
                    println!("  WRONG: {message}");
                    is_right = false;
                }
                Err(message) => {
                    println!(
                        "  finds the fault {fault:?} in order {}: {message}",
                        EXECUTIONS.load(SeqCst)
                    );
                }
                Ok(()) => {
                    println!("  WRONG: no order finds {fault:?}");
                    is_right = false;
                }
            }
        }
    }
    println!("{} models, {total} orders, {:.1} s", models.len(), start.elapsed().as_secs_f32());
    is_right
}

/// Runs `model` in each order, with `fault`. The error is the message of the panic.
fn explore(model: &Model, fault: Fault) -> Result<(), String> {
    planted::plant(fault);
    EXECUTIONS.store(0, SeqCst);
    REACHED.lock().unwrap_or_else(PoisonError::into_inner).clear();
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = model.bound;
    builder.max_branches = 10_000;
    let run = model.run;
    let execution = move || {
        EXECUTIONS.fetch_add(1, SeqCst);
        std::execution::begin();
        // On a thread of its own, for its larger stack.
        std::thread::spawn(run).join().unwrap();
    };
    panic::set_hook(Box::new(|_| ()));
    let explored = catch_unwind(AssertUnwindSafe(|| builder.check(execution)));
    let _ = panic::take_hook();
    explored.map_err(|payload| {
        let text = payload.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("a panic");
        text.lines().take(3).map(str::trim).collect::<Vec<_>>().join(", ")
    })
}
