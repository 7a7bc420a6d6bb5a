//! The swap of a ring: `src/ring/swap.rs`.

use std::convert::Infallible;
use std::planted::{self, Fault};
use std::sync::Arc;
use std::thread;

use crate::runner::{Model, join, reach};

#[path = "../../../src/ring/swap.rs"]
mod cell;

use cell::Swap;

pub(crate) const MODELS: &[Model] = &[
    Model {
        name: "swap: every change is there",
        bound: None,
        reaches: &["a second attempt", "a third attempt"],
        faults: &[Fault::ReplacesWithoutComparing],
        run: every_change_is_there,
    },
    Model {
        name: "swap: a refusal that lost the race is not the result",
        bound: None,
        reaches: &["refused", "admitted at once", "refused at first, and then admitted"],
        // The caller returns the refusal of its first attempt.
        faults: &[Fault::Caller, Fault::ReplacesWithoutComparing],
        run: lost_refusal_is_not_the_result,
    },
    Model {
        name: "swap: a reader sees one whole generation",
        bound: None,
        reaches: &["the first generation", "the second generation", "the third generation"],
        // The caller changes the two halves one after the other.
        faults: &[Fault::Caller],
        run: reader_sees_one_generation,
    },
];

fn every_change_is_there() {
    let swap = Arc::new(Swap::new(Vec::new()));
    let writers = [1, 2].map(|number| {
        let swap = Arc::clone(&swap);
        thread::spawn(move || (number, append(&swap, number)))
    });
    let mut places = vec![(3, append(&swap, 3))];
    places.extend(join(writers));
    let numbers = swap.load();
    assert_eq!(numbers.len(), 3, "a change was lost");
    for (number, place) in places {
        assert_eq!(numbers.get(place), Some(&number), "a result is of another attempt");
    }
}

/// Appends `number`, and returns its place.
fn append(swap: &Swap<Vec<u8>>, number: u8) -> usize {
    let mut attempts = 0;
    let Ok(place) = swap.update(|numbers| {
        attempts += 1;
        let next = numbers.iter().copied().chain([number]).collect();
        Ok::<_, Infallible>((Some(next), numbers.len()))
    });
    match attempts {
        1 => (),
        2 => reach("a second attempt"),
        _ => reach("a third attempt"),
    }
    place
}

#[derive(Debug, Clone, Copy)]
struct Gate {
    is_open: bool,
    has_entered: bool,
}

/// One writer opens a gate. Another writer enters if the gate is open. A third one changes nothing.
fn lost_refusal_is_not_the_result() {
    let swap = Arc::new(Swap::new(Gate { is_open: false, has_entered: false }));
    let opener = {
        let swap = Arc::clone(&swap);
        thread::spawn(move || {
            swap.update(|gate| Ok::<_, Infallible>((Some(Gate { is_open: true, ..*gate }), ())))
        })
    };
    let refuser = {
        let swap = Arc::clone(&swap);
        thread::spawn(move || swap.update(|_| Err::<(Option<Gate>, ()), _>("always")))
    };
    let (mut refusals, mut was_open) = (0, false);
    let entered = swap.update(|gate| {
        was_open = gate.is_open;
        refusals += u32::from(!was_open);
        if !gate.is_open || (planted::is(Fault::Caller) && refusals > 0) {
            return Err("closed");
        }
        Ok((Some(Gate { has_entered: true, ..*gate }), ()))
    });
    opener.join().unwrap().unwrap();
    assert_eq!(refuser.join().unwrap(), Err("always"));
    let gate = swap.load();
    assert!(gate.is_open, "a change was lost");
    assert_eq!(gate.has_entered, entered.is_ok(), "the result is of another attempt");
    assert!(was_open == entered.is_ok(), "the writer was refused at an open gate");
    reach(match (entered, refusals) {
        (Ok(()), 0) => "admitted at once",
        (Ok(()), _) => "refused at first, and then admitted",
        (Err(_), _) => "refused",
    });
}

fn reader_sees_one_generation() {
    let swap = Arc::new(Swap::new([0; 2]));
    let writer = {
        let swap = Arc::clone(&swap);
        thread::spawn(move || {
            for generation in [1, 2] {
                let halves: &[_] =
                    if planted::is(Fault::Caller) { &[(0, 1), (1, 2)] } else { &[(0, 2)] };
                for (from, to) in halves {
                    let Ok(()) = swap.update(|held| {
                        let mut next = *held;
                        next[*from..*to].fill(generation);
                        Ok::<_, Infallible>((Some(next), ()))
                    });
                }
            }
        })
    };
    let mut before = 0;
    for looks in 0..3 {
        let seen = if looks == 1 { *swap.load() } else { swap.read(|halves| *halves) };
        assert_eq!(seen[0], seen[1], "the reader sees two generations");
        assert!(seen[0] >= before, "a generation came back");
        before = seen[0];
        reach(["the first generation", "the second generation", "the third generation"][seen[0]]);
    }
    writer.join().unwrap();
    assert_eq!(*swap.load(), [2; 2]);
}
