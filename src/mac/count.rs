//! Counts of the work of this thread, in tests alone: whether every key is computed and compared
//! cannot be seen in an answer.

use std::cell::Cell;

/// An amount of work.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Work {
    /// MACs that were computed: one for each key and message, and for a key that is padded with.
    pub(crate) computed: u64,
    /// Tags that were compared.
    pub(crate) compared: u64,
}

thread_local! {
    static WORK: Cell<Work> = const { Cell::new(Work { computed: 0, compared: 0 }) };
}

pub(super) fn count_computed(macs: usize) {
    WORK.with(|cell| {
        let work = cell.get();
        cell.set(Work { computed: work.computed + macs as u64, ..work });
    });
}

pub(super) fn count_compared() {
    WORK.with(|cell| {
        let work = cell.get();
        cell.set(Work { compared: work.compared + 1, ..work });
    });
}

/// Returns what `run` returns, and the work of it.
pub(crate) fn count<T>(run: impl FnOnce() -> T) -> (T, Work) {
    WORK.with(|cell| cell.set(Work::default()));
    let result = run();
    (result, WORK.with(Cell::get))
}

/// Asserts V5: however many of `keys` match, and whichever does, all are computed and compared.
/// `attempt` verifies something that was made under the key at a place, or under none of them, in
/// `passes` passes over the keys, and returns whether it was accepted.
pub(crate) fn assert_tries_all(
    keys: usize,
    passes: u64,
    mut attempt: impl FnMut(Option<usize>) -> bool,
) {
    let mut first = None;
    for place in (0..keys).map(Some).chain([None]) {
        let (is_accepted, work) = count(|| attempt(place));
        assert_eq!(is_accepted, place.is_some(), "{place:?} of {keys}");
        assert_eq!(work.compared, keys as u64 * passes, "{place:?} of {keys}");
        assert!(work.computed > 0, "{place:?} of {keys}");
        assert_eq!(*first.get_or_insert(work.computed), work.computed, "{place:?} of {keys}");
    }
}
