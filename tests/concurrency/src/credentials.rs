//! Credentials that several callers use at the same time: `src/credential/`.

use std::mem::take;
use std::original::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::planted::{self, Fault};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, SystemTime};

use dualkey::credential::{Attempt, Credentials};
use dualkey::{Clock, Event, Kid, Observer, Role};

use crate::ring::{MANIFESTS, builder, kid, now};
use crate::runner::{Model, join, reach};

#[path = "../../../src/credential/selector.rs"]
#[allow(dead_code, reason = "the planted fault needs no more")]
mod selector;

use selector::{Choice, CoolDown, Selector};

/// The faults of each model. `Caller` takes the selector out of its mutex, changes it, and puts it back.
const FAULTS: &[Fault] = &[Fault::Caller];

pub(crate) const MODELS: &[Model] = &[
    Model {
        name: "credentials: many refusals make one switch",
        bound: Some(2),
        reaches: &["one refusal", "two refusals", "three refusals"],
        faults: FAULTS,
        run: many_refusals_make_one_switch,
    },
    Model {
        name: "credentials: one caller probes",
        bound: Some(3),
        reaches: &["the first caller probes", "another caller probes"],
        faults: FAULTS,
        run: one_caller_probes,
    },
    Model {
        name: "credentials: a late refusal changes nothing",
        bound: Some(3),
        reaches: &["a late refusal before the recovery", "a late refusal after the recovery"],
        faults: FAULTS,
        run: late_refusal_changes_nothing,
    },
];

/// The first cool-down of `Credentials`, and the longest.
const COOL_DOWN: CoolDown =
    CoolDown { first: Duration::from_secs(30), longest: Duration::from_secs(30 * 60) };

/// The credentials `a` and `b`, of which `a` is the primary, and the events that they report.
#[derive(Clone)]
struct Fixture {
    credentials: Credentials,
    facts: Facts,
    /// The stand-in for `credentials` under the planted fault.
    selector: Arc<Mutex<Selector>>,
}

/// The time, and the numbers of events. `loom` does not explore their operations.
#[derive(Debug, Clone, Default)]
struct Facts(Arc<[AtomicU64; 3]>);

impl Facts {
    fn seconds(&self) -> &AtomicU64 {
        &self.0[0]
    }

    fn refusals(&self) -> &AtomicU64 {
        &self.0[1]
    }

    fn switches(&self) -> &AtomicU64 {
        &self.0[2]
    }
}

impl Clock for Facts {
    fn now(&self) -> SystemTime {
        now() + Duration::from_secs(self.seconds().load(SeqCst))
    }
}

impl Observer for Facts {
    fn observe(&self, event: &Event<'_>) {
        match event {
            Event::CredentialRefused { .. } => _ = self.refusals().fetch_add(1, SeqCst),
            Event::CredentialSwitched { .. } => _ = self.switches().fetch_add(1, SeqCst),
            _ => (),
        }
    }
}

enum Shown {
    Attempt(Attempt),
    Choice(Choice),
}

impl Shown {
    fn kid(&self) -> Kid {
        match self {
            Self::Attempt(attempt) => attempt.kid(),
            Self::Choice(choice) => choice.kid,
        }
    }

    fn is_probe(&self) -> bool {
        match self {
            Self::Attempt(attempt) => attempt.is_probe(),
            Self::Choice(choice) => choice.is_probe,
        }
    }
}

impl Fixture {
    fn new() -> Self {
        let facts = Facts::default();
        let builder = builder().clock(facts.clone()).observer(facts.clone());
        let credentials = Credentials::new(MANIFESTS.first.build_ring(builder).unwrap());
        Self { credentials, facts, selector: Arc::default() }
    }

    /// Changes the selector under the planted fault, which releases the mutex in between.
    fn with_selector<R>(&self, change: impl FnOnce(&mut Selector) -> R) -> R {
        let mut selector = take(&mut *self.selector.lock().unwrap());
        let result = change(&mut selector);
        *self.selector.lock().unwrap() = selector;
        result
    }

    fn offer() -> Vec<(Kid, Role)> {
        vec![(kid("a"), Role::Primary), (kid("b"), Role::Fallback)]
    }

    fn choose(&self) -> Shown {
        if planted::is(Fault::Caller) {
            let choice = self.with_selector(|selector| {
                selector.choose(&Self::offer(), self.facts.now(), COOL_DOWN)
            });
            return Shown::Choice(choice.unwrap());
        }
        Shown::Attempt(self.credentials.choose().unwrap())
    }

    fn reject(&self, shown: &Shown) -> Shown {
        match shown {
            Shown::Attempt(attempt) => {
                Shown::Attempt(self.credentials.report_rejected(attempt).unwrap())
            }
            Shown::Choice(choice) => {
                let now = self.facts.now();
                let (refusal, next) = self.with_selector(|selector| {
                    let refusal = selector.reject(choice, now, COOL_DOWN);
                    (refusal, selector.choose_after(&Self::offer(), &choice.kid, now, COOL_DOWN))
                });
                let next = next.unwrap();
                let is_switch = refusal.was_current && next.kid != choice.kid;
                self.facts.refusals().fetch_add(u64::from(refusal.is_news), SeqCst);
                self.facts.switches().fetch_add(u64::from(is_switch), SeqCst);
                Shown::Choice(next)
            }
        }
    }

    fn accept(&self, shown: &Shown) {
        match shown {
            Shown::Attempt(attempt) => self.credentials.report_accepted(attempt),
            Shown::Choice(choice) => {
                let before = self.with_selector(|selector| selector.accept(choice));
                self.facts.switches().fetch_add(u64::from(before.is_some()), SeqCst);
            }
        }
    }

    fn advance(&self, seconds: u64) {
        self.facts.seconds().fetch_add(seconds, SeqCst);
    }

    fn counts(&self) -> (u64, u64) {
        (self.facts.refusals().load(SeqCst), self.facts.switches().load(SeqCst))
    }
}

/// The server accepts `b`, and no longer `a`.
fn many_refusals_make_one_switch() {
    let fixture = Fixture::new();
    // This choice is made before the other threads start.
    let early = fixture.choose();
    let others = [(); 2].map(|()| {
        let fixture = fixture.clone();
        thread::spawn(move || {
            let mut shown = fixture.choose();
            let is_refused = shown.kid() == kid("a");
            if is_refused {
                shown = fixture.reject(&shown);
            }
            assert_eq!(shown.kid(), kid("b"), "the refused credential is shown again");
            fixture.accept(&shown);
            usize::from(is_refused)
        })
    });
    let next = fixture.reject(&early);
    assert_eq!(next.kid(), kid("b"), "the refused credential is shown again");
    let refused: usize = join(others).iter().sum();
    reach(["one refusal", "two refusals", "three refusals"][refused]);
    assert_eq!(fixture.counts(), (1, 1), "refusals and switches");
    assert!(fixture.choose().kid() == kid("b"));
    // A late refusal does not make the cool-down longer.
    fixture.advance(30);
    let shown = fixture.choose();
    assert!(shown.kid() == kid("a") && shown.is_probe(), "the cool-down has grown");
}

fn one_caller_probes() {
    let fixture = Fixture::new();
    fixture.reject(&fixture.choose());
    fixture.advance(30);
    let others = [(); 2].map(|()| {
        let fixture = fixture.clone();
        thread::spawn(move || fixture.choose())
    });
    let shown = fixture.choose();
    let [first, second] = join(others);
    let shown = [shown, first, second];
    for shown in &shown {
        let expected = if shown.is_probe() { "a" } else { "b" };
        assert_eq!(shown.kid(), kid(expected));
    }
    let probes = shown.iter().filter(|shown| shown.is_probe()).count();
    assert_eq!(probes, 1, "callers that probe");
    reach(if shown[0].is_probe() { "the first caller probes" } else { "another caller probes" });
}

/// The server accepts `a` again. Two refusals from before that arrive late.
fn late_refusal_changes_nothing() {
    let fixture = Fixture::new();
    let [early, late, later] = [(); 3].map(|()| fixture.choose());
    fixture.reject(&early);
    fixture.advance(30);
    let probe = fixture.choose();
    assert!(probe.is_probe());
    let others = [late, later].map(|late| {
        let fixture = fixture.clone();
        thread::spawn(move || {
            let next = fixture.reject(&late);
            reach(match next.kid() == kid("a") {
                true => "a late refusal after the recovery",
                false => "a late refusal before the recovery",
            });
        })
    });
    fixture.accept(&probe);
    join(others);
    assert_eq!(fixture.facts.refusals().load(SeqCst), 1, "refusals");
    let shown = fixture.choose();
    assert!(shown.kid() == kid("a") && !shown.is_probe(), "a late refusal counts");
}
