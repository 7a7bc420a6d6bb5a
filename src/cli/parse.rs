//! Parsers of the values of arguments.

use std::time::{Duration, SystemTime};

use crate::ops::audit::Action;

pub(super) fn action(text: &str) -> Result<Action, String> {
    text.parse().map_err(|_| "one word of letters, as in rolled-back".to_owned())
}

pub(super) fn moment(text: &str) -> Result<SystemTime, String> {
    let time = text.parse::<jiff::Timestamp>().and_then(SystemTime::try_from);
    time.map_err(|_| "a time is as in 2026-01-15T10:00:00Z".to_owned())
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "a time is as in 90s, 10m or 1h".to_owned();
    let length: jiff::SignedDuration = text.parse().map_err(|_| wrong())?;
    Duration::try_from(length).map_err(|_| wrong())
}
