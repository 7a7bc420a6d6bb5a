//! A moment in a message.

use std::fmt;
use std::time::SystemTime;

/// Shows a moment as `2026-01-15T10:00:00Z`, to the second. Without the feature `store`, which
/// brings a calendar, as seconds since 1970.
pub(super) struct Moment(pub(super) SystemTime);

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        #[cfg(feature = "store")]
        if let Ok(time) = jiff::Timestamp::try_from(self.0)
            && let Ok(time) = jiff::Timestamp::from_second(time.as_second())
        {
            return write!(f, "{time}");
        }
        let since = self.0.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        write!(f, "{} s after 1970", since.as_secs())
    }
}
