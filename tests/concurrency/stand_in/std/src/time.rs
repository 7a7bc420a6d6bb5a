//! A clock that does not advance.

pub use ::std::time::*;

/// The one moment of the monotonic clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant(());

impl Instant {
    #[allow(clippy::new_without_default)]
    pub fn now() -> Self {
        Self(())
    }

    pub fn elapsed(&self) -> Duration {
        Duration::ZERO
    }
}
