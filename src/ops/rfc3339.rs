//! Moments as RFC 3339 has them, to the second, for JSON and for messages.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;

/// Writes a moment, rounded down to the second.
pub(crate) fn time(moment: SystemTime) -> String {
    let time = Timestamp::try_from(moment).unwrap_or_default();
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Writes a moment from which something holds: rounded up to the second, so that it holds then.
pub(super) fn time_from(moment: SystemTime) -> String {
    let part =
        moment.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.subsec_nanos());
    let second = Duration::from_nanos(u64::from(1_000_000_000 - part));
    time(if part == 0 { moment } else { moment.checked_add(second).unwrap_or(moment) })
}
