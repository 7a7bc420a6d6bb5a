//! The mark that a report of a ring is due at once: a rewrap that was recorded is reported at once.

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering::AcqRel, Ordering::Release};

/// Whether a report is due at once, and the follower that makes it.
#[derive(Default)]
pub(super) struct ReportDue {
    is_due: AtomicBool,
    wake: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

impl ReportDue {
    /// Has `wake` called when a report is due at once. The first one counts: a ring has one follower.
    pub(super) fn wake_with(&self, wake: impl Fn() + Send + Sync + 'static) {
        let _ = self.wake.set(Box::new(wake));
    }

    /// Returns whether a report is due at once, which the caller makes now.
    pub(super) fn take(&self) -> bool {
        self.is_due.swap(false, AcqRel)
    }

    /// Keeps a report due that could not be stored.
    pub(super) fn keep(&self) {
        self.is_due.store(true, Release);
    }

    /// Makes a report due, and wakes the follower.
    pub(super) fn announce(&self) {
        self.is_due.store(true, Release);
        if let Some(wake) = self.wake.get() {
            wake();
        }
    }
}

impl fmt::Debug for ReportDue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReportDue").field("is_due", &self.is_due).finish_non_exhaustive()
    }
}
