//! The state of a schedule: a rotation is due, or will be, or was.

use std::time::SystemTime;

use jiff::tz::TimeZone;
use jiff::{Timestamp, Unit};

use super::status::ScheduleState;

/// How a rotation that is due at `due` stands at `now`, of which somebody is told `ahead` days
/// before.
///
/// ```
/// use dualkey::ops::schedule::{ScheduleState, schedule_state};
/// use std::time::{Duration, UNIX_EPOCH};
///
/// // 2026-04-15T00:00:00Z.
/// let due = UNIX_EPOCH + Duration::from_secs(1_776_211_200);
/// let day = Duration::from_secs(24 * 3600);
/// assert_eq!(schedule_state(due, due - 8 * day, 7), ScheduleState::UpToDate);
/// assert_eq!(schedule_state(due, due - Duration::from_secs(1), 7), ScheduleState::Soon { days: 1 });
/// assert_eq!(schedule_state(due, due, 7), ScheduleState::Due);
/// assert_eq!(schedule_state(due, due + day, 7), ScheduleState::Overdue { days: 1 });
/// ```
#[must_use]
pub fn schedule_state(due: SystemTime, now: SystemTime, ahead: u16) -> ScheduleState {
    let date = |moment: SystemTime| {
        Timestamp::try_from(moment).ok().map(|time| time.to_zoned_datetime(TimeZone::UTC).date())
    };
    // What no calendar holds lies far ahead, or is a clock that shows nothing.
    let (Some(due), Some(now)) = (date(due), date(now)) else { return ScheduleState::UpToDate };
    let days = now.until((Unit::Day, due)).map_or(0, |span| span.get_days());
    let count = days.unsigned_abs();
    match days {
        0 => ScheduleState::Due,
        ..0 => ScheduleState::Overdue { days: count },
        _ if count <= u32::from(ahead) => ScheduleState::Soon { days: count },
        _ => ScheduleState::UpToDate,
    }
}
