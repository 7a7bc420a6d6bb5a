//! The tokio runtime that a follower's store may need. Without the feature `tokio`, none.

/// A handle on the runtime, if there is one.
#[derive(Clone, Default)]
pub(super) struct Runtime(#[cfg(feature = "tokio")] Option<tokio::runtime::Handle>);

impl Runtime {
    /// The runtime that the calling thread is in.
    pub(super) fn for_current_thread() -> Self {
        #[cfg(feature = "tokio")]
        let current = Self(tokio::runtime::Handle::try_current().ok());
        #[cfg(not(feature = "tokio"))]
        let current = Self();
        current
    }

    /// This runtime, or `other` where there is none.
    pub(super) fn or(self, other: &Self) -> Self {
        #[cfg(feature = "tokio")]
        let chosen = Self(self.0.or_else(|| other.0.clone()));
        #[cfg(not(feature = "tokio"))]
        let chosen = {
            let _ = other;
            self
        };
        chosen
    }

    /// Runs `work` in the context of the runtime: its timers, its sockets and `tokio::spawn`.
    pub(super) fn enter<T>(&self, work: impl FnOnce() -> T) -> T {
        #[cfg(feature = "tokio")]
        let _entered = self.0.as_ref().map(tokio::runtime::Handle::enter);
        work()
    }
}
