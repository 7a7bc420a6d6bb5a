//! The channel of PostgreSQL, and the time within which a connection must answer.

use std::time::Duration;

/// The channel on which a change is notified.
pub(super) const CHANNEL: &str = "dualkey";
/// A connection that was cut without a word never answers.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
