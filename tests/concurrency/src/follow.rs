//! The signal between the driver of a follower, its turns and its end: `src/source/follow/signal.rs`;
//! and the mark that a report is due: `src/ring/report_due.rs`.

use std::planted::{self, Fault};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use crate::runner::{Model, join, reach};

#[path = "../../../src/ring/report_due.rs"]
mod report_due;
#[path = "../../../src/source/follow/signal.rs"]
#[allow(dead_code, reason = "no model asks for the state")]
mod signal;

/// The path that `signal.rs` expects.
mod health {
    pub(super) use dualkey::source::FollowState;
}

use report_due::ReportDue;
use signal::Signal;

pub(crate) const MODELS: &[Model] = &[
    Model {
        name: "follow: no wake is lost",
        bound: None,
        reaches: &["one turn for two wakes", "two turns for two wakes"],
        // The caller wakes the follower before it makes its change.
        faults: &[Fault::WakesNoThread, Fault::Caller],
        run: no_wake_is_lost,
    },
    Model {
        name: "follow: one turn runs at a time",
        bound: None,
        reaches: &["the first thread takes the first turn", "another thread takes the first turn"],
        // The caller ends its turn before its work.
        faults: &[Fault::WakesNoThread, Fault::Caller],
        run: one_turn_at_a_time,
    },
    Model {
        name: "follow: a closed follower changes nothing",
        bound: Some(4),
        reaches: &["changed before the end", "no turn", "an answer that is dropped"],
        // The caller uses the answer of a store after the end.
        faults: &[Fault::WakesNoThread, Fault::Caller],
        run: closed_follower_changes_nothing,
    },
    Model {
        name: "follow: a stop waits for the driver",
        bound: None,
        reaches: &["a turn before the end", "no turn before the end"],
        // The driver is marked as ended from its start.
        faults: &[Fault::WakesNoThread, Fault::Caller],
        run: stop_waits_for_the_driver,
    },
    Model {
        name: "follow: a report that is due is made",
        bound: Some(4),
        reaches: &["one report for two", "two reports for two"],
        // The caller announces the report before there is news.
        faults: &[Fault::SwapsInTwoSteps, Fault::WakesNoThread, Fault::Caller],
        run: due_report_is_made,
    },
    Model {
        name: "follow: a report that failed is made again",
        bound: None,
        reaches: &["announced before the failure", "announced after the failure"],
        // The caller does not keep the report due.
        faults: &[Fault::Caller],
        run: failed_report_is_made_again,
    },
];

/// A limit that ends no wait: longer than `SHORT_WAIT`.
const LONG: Duration = Duration::from_secs(600);

fn no_wake_is_lost() {
    let signal = Arc::new(Signal::default());
    let store = Arc::new(AtomicU64::new(0));
    let driver = {
        let (signal, store) = (Arc::clone(&signal), Arc::clone(&store));
        thread::spawn(move || {
            let mut turns = 0;
            while signal.wait(LONG) {
                turns += 1;
                if store.load(Relaxed) == 2 {
                    break;
                }
            }
            turns
        })
    };
    let change = |signal: &Signal, store: &AtomicU64| {
        if planted::is(Fault::Caller) {
            signal.wake();
        }
        store.fetch_add(1, Relaxed);
        if !planted::is(Fault::Caller) {
            signal.wake();
        }
    };
    let other = {
        let (signal, store) = (Arc::clone(&signal), Arc::clone(&store));
        thread::spawn(move || change(&signal, &store))
    };
    change(&signal, &store);
    other.join().unwrap();
    match driver.join().unwrap() {
        1 => reach("one turn for two wakes"),
        2 => reach("two turns for two wakes"),
        turns => panic!("{turns} turns for two wakes"),
    }
}

fn one_turn_at_a_time() {
    let signal = Arc::new(Signal::default());
    let is_taken = Arc::new(AtomicBool::new(false));
    let turns = Arc::new(AtomicU64::new(0));
    let take_turn = |signal: &Signal, is_taken: &AtomicBool, turns: &AtomicU64| {
        let mut turn = signal.begin(LONG);
        assert!(turn.is_some(), "a turn was refused");
        if planted::is(Fault::Caller) {
            turn = None;
        }
        assert!(!is_taken.swap(true, Relaxed), "two turns run at the same time");
        is_taken.store(false, Relaxed);
        let place = turns.fetch_add(1, Relaxed);
        drop(turn);
        place
    };
    let others = [(); 2].map(|()| {
        let (signal, is_taken, turns) =
            (Arc::clone(&signal), Arc::clone(&is_taken), Arc::clone(&turns));
        thread::spawn(move || take_turn(&signal, &is_taken, &turns))
    });
    let place = take_turn(&signal, &is_taken, &turns);
    join(others);
    reach(match place {
        0 => "the first thread takes the first turn",
        _ => "another thread takes the first turn",
    });
}

fn closed_follower_changes_nothing() {
    let signal = Arc::new(Signal::default());
    let (store, ring) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let turn_taker = {
        let (signal, store, ring) = (Arc::clone(&signal), Arc::clone(&store), Arc::clone(&ring));
        thread::spawn(move || {
            let Some(turn) = signal.begin(LONG) else { return reach("no turn") };
            let mut answer = turn.call(|| store.load(Relaxed) + 1);
            if answer.is_none() {
                reach("an answer that is dropped");
                answer = planted::is(Fault::Caller).then_some(1);
            }
            if let Some(answer) = answer {
                ring.store(answer, Relaxed);
            }
        })
    };
    // Another thread waits for its turn, so that the end wakes it.
    let waiter = {
        let signal = Arc::clone(&signal);
        thread::spawn(move || drop(signal.begin(LONG)))
    };
    signal.close();
    let at_end = ring.load(Relaxed);
    assert!(signal.begin(LONG).is_none(), "a turn starts after the end");
    turn_taker.join().unwrap();
    waiter.join().unwrap();
    assert_eq!(ring.load(Relaxed), at_end, "the ring was changed after the end");
    if at_end == 1 {
        reach("changed before the end");
    }
}

fn stop_waits_for_the_driver() {
    let signal = Arc::new(Signal::default());
    let turns = Arc::new(AtomicU64::new(0));
    let has_ended = Arc::new(AtomicBool::new(false));
    let driven = signal.drive();
    let driver = {
        let (signal, turns) = (Arc::clone(&signal), Arc::clone(&turns));
        let has_ended = Arc::clone(&has_ended);
        thread::spawn(move || {
            let driven = (!planted::is(Fault::Caller)).then_some(driven);
            while signal.wait(LONG) {
                let Some(turn) = signal.begin(LONG) else { continue };
                turns.fetch_add(1, Relaxed);
                drop(turn);
            }
            has_ended.store(true, Relaxed);
            drop(driven);
        })
    };
    signal.wake();
    signal.close_and_wait(LONG);
    assert!(has_ended.load(Relaxed), "the driver runs after the end");
    reach(match turns.load(Relaxed) {
        0 => "no turn before the end",
        _ => "a turn before the end",
    });
    driver.join().unwrap();
}

/// The parts of a ring, its store and its follower that a report needs.
struct Reports {
    signal: Arc<Signal>,
    due: ReportDue,
    news: AtomicU64,
    saved: AtomicU64,
}

impl Reports {
    fn new() -> Arc<Self> {
        let signal = Arc::new(Signal::default());
        let due = ReportDue::default();
        let woken = Arc::clone(&signal);
        due.wake_with(move || woken.wake());
        let (news, saved) = (AtomicU64::new(0), AtomicU64::new(0));
        Arc::new(Self { signal, due, news, saved })
    }

    /// Does the same as `KeyRing::record_rewrap`.
    fn record(&self) {
        if planted::is(Fault::Caller) {
            self.due.announce();
        }
        self.news.fetch_add(1, Relaxed);
        if !planted::is(Fault::Caller) {
            self.due.announce();
        }
    }
}

/// Two reports become due while a change of the store wakes the follower as well.
fn due_report_is_made() {
    let reports = Reports::new();
    let driver = {
        let reports = Arc::clone(&reports);
        thread::spawn(move || {
            let mut saves = 0;
            while reports.signal.wait(LONG) {
                if reports.due.take() {
                    reports.saved.store(reports.news.load(Relaxed), Relaxed);
                    saves += 1;
                }
                if reports.saved.load(Relaxed) == 2 {
                    break;
                }
            }
            saves
        })
    };
    let announcer = {
        let reports = Arc::clone(&reports);
        thread::spawn(move || {
            reports.record();
            reports.record();
        })
    };
    reports.signal.wake();
    announcer.join().unwrap();
    match driver.join().unwrap() {
        1 => reach("one report for two"),
        2 => reach("two reports for two"),
        saves => panic!("{saves} reports for two"),
    }
}

/// The store fails once. The next turn needs no wake, because it is the next poll.
fn failed_report_is_made_again() {
    let reports = Reports::new();
    let driver = {
        let reports = Arc::clone(&reports);
        thread::spawn(move || {
            let mut failures = 0;
            while reports.saved.load(Relaxed) < 1 {
                if failures != 1 {
                    assert!(reports.signal.wait(LONG));
                }
                let has_news = reports.due.take();
                if failures == 0 {
                    // A report is also due by the clock, so it is tried without an announcement too.
                    failures += 1;
                    if has_news && !planted::is(Fault::Caller) {
                        reports.due.keep();
                    }
                    reach(if has_news {
                        "announced before the failure"
                    } else {
                        "announced after the failure"
                    });
                } else if has_news {
                    reports.saved.store(reports.news.load(Relaxed), Relaxed);
                } else {
                    failures += 1;
                }
            }
        })
    };
    let announcer = {
        let reports = Arc::clone(&reports);
        thread::spawn(move || {
            reports.news.fetch_add(1, Relaxed);
            reports.due.announce();
        })
    };
    reports.signal.wake();
    announcer.join().unwrap();
    driver.join().unwrap();
    assert_eq!(reports.saved.load(Relaxed), 1);
}
