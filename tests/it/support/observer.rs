//! An observer that keeps the events.

use std::sync::{Arc, Mutex};

use dualkey::{Event, Observer};

/// Keeps what it is told, as text.
#[derive(Debug, Clone, Default)]
pub struct EventLog(pub Arc<Mutex<Vec<String>>>);

impl Observer for EventLog {
    fn observe(&self, event: &Event<'_>) {
        self.0.lock().unwrap().push(format!("{event:?}"));
    }
}

impl EventLog {
    pub fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    /// The events since the last call.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}
