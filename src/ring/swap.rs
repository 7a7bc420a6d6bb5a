//! The swap itself: the one file that names `arc_swap`.
//!
//! A reader takes one load and sees one whole generation. Writers go through
//! `rcu`: each computes its change from the generation it replaces, and starts
//! over if another got in between, so that two changes at once are both there.

use std::sync::Arc;

use arc_swap::ArcSwap;

#[derive(Debug)]
pub(super) struct Swap<T>(ArcSwap<T>);

/// The result of a change, with the generation that was replaced and the one that replaced it.
pub(super) type Changed<R, T> = (R, [Arc<T>; 2]);

impl<T> Swap<T> {
    pub(super) fn new(value: T) -> Self {
        Self(ArcSwap::from_pointee(value))
    }

    /// One unit of work on one generation. The guard does not leave this
    /// function: it would be `Send`, and cross an `.await`.
    pub(super) fn read<R>(&self, work: impl FnOnce(&T) -> R) -> R {
        work(&self.0.load())
    }

    pub(super) fn load(&self) -> Arc<T> {
        self.0.load_full()
    }

    /// Replaces the value by what `change` makes of it. `None` and an error
    /// leave it as it is. `change` runs once for each attempt.
    pub(super) fn update<R, E>(
        &self,
        change: impl FnMut(&T) -> Result<(Option<T>, R), E>,
    ) -> Result<R, E> {
        self.update_generations(change).map(|(result, _)| result)
    }

    /// Replaces the value like `update`, and returns the generation before and the one after. A separate
    /// load could return the generation of another writer.
    pub(super) fn update_generations<R, E>(
        &self,
        mut change: impl FnMut(&T) -> Result<(Option<T>, R), E>,
    ) -> Result<Changed<R, T>, E> {
        let mut outcome = None;
        let before = self.0.rcu(|current| {
            // Recorded again at each attempt: a refusal of an attempt that lost
            // the race is not a refusal.
            let (next, result) = match change(current) {
                Ok((next, result)) => (next, Ok(result)),
                Err(refusal) => (None, Err(refusal)),
            };
            let next = next.map_or_else(|| Arc::clone(current), Arc::new);
            outcome = Some(result.map(|result| (result, Arc::clone(&next))));
            next
        });
        let (result, after) = outcome.expect("rcu runs its closure at least once")?;
        Ok((result, [before, after]))
    }
}
