//! Sentences for the operator about connection strings.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

/// Takes a sentence for the operator.
type Note = dyn Fn(&str) + Send + Sync;

/// Sentences for the operator, each passed on once.
#[derive(Clone, Default)]
pub(super) struct Notes {
    listener: Option<Arc<Note>>,
    #[cfg_attr(
        not(feature = "full"),
        allow(dead_code, reason = "databases use it, behind a feature")
    )]
    seen: Arc<Mutex<BTreeSet<String>>>,
}

impl Notes {
    /// Sets the function that takes each sentence.
    pub(super) fn set_listener(&mut self, note: impl Fn(&str) + Send + Sync + 'static) {
        self.listener = Some(Arc::new(note));
    }

    /// Passes `note` on, unless it was passed on before.
    #[cfg(any(feature = "store-postgres", feature = "rewrap-postgres"))]
    pub(super) fn pass(&self, note: String) {
        let Some(listener) = &self.listener else { return };
        let mut seen = self.seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if !seen.contains(&note) {
            listener(&note);
            seen.insert(note);
        }
    }
}
