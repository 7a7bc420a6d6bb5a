//! A moment as people read it in a message: `2026-12-03 16:13 UTC`, or `2026-12-03T16:13:01Z` where two
//! moments are compared.
//!
//! A moment from which something is so is rounded up to the minute, so that it is so at the
//! moment that is shown. Every other moment is rounded down.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const MINUTE: u64 = 60;
const DAY: u64 = 24 * 60 * MINUTE;
/// The first second of the year 10000, which RFC 3339 cannot write.
const BEYOND: u64 = 253_402_300_800;

/// A moment that is past, to the minute.
#[derive(Clone, Copy)]
pub(crate) struct At(pub(crate) SystemTime);

/// A moment from which something is so, to the minute.
#[derive(Clone, Copy)]
pub(crate) struct NotBefore(pub(crate) SystemTime);

/// A moment that is compared with another one, to the second, as RFC 3339 writes it.
#[derive(Clone, Copy)]
pub(crate) struct Exact(pub(crate) SystemTime);

impl Exact {
    /// A moment from which something is so: rounded up to the second, so that it is so then.
    #[cfg_attr(
        not(feature = "full"),
        allow(dead_code, reason = "operators and the status page use it, each behind a feature")
    )]
    pub(crate) fn not_before(moment: SystemTime) -> Self {
        let part = moment.duration_since(UNIX_EPOCH).map_or(0, |since| since.subsec_nanos());
        let rest = Duration::from_nanos(u64::from(1_000_000_000 - part));
        Self(if part == 0 { moment } else { moment.checked_add(rest).unwrap_or(moment) })
    }
}

impl fmt::Display for Exact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs());
        let Some(seconds) = seconds.filter(|seconds| *seconds < BEYOND) else {
            return f.write_str("a time beyond the calendar");
        };
        let ((year, month, day), time) = (date(seconds / DAY), seconds % DAY);
        let (hour, minute, second) = (time / 3600, time % 3600 / MINUTE, time % MINUTE);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write(f, self.0.duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs()))
    }
}

impl fmt::Display for NotBefore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let since = self.0.duration_since(UNIX_EPOCH).ok();
        let seconds = since.map(|since| since.as_secs() + u64::from(since.subsec_nanos() > 0));
        write(f, seconds.map(|seconds| seconds.div_ceil(MINUTE) * MINUTE))
    }
}

fn write(f: &mut fmt::Formatter<'_>, seconds: Option<u64>) -> fmt::Result {
    let Some(seconds) = seconds.filter(|seconds| *seconds < BEYOND) else {
        return f.write_str("a time beyond the calendar");
    };
    let (year, month, day) = date(seconds / DAY);
    let minutes = seconds % DAY / MINUTE;
    write!(f, "{year:04}-{month:02}-{day:02} {:02}:{:02} UTC", minutes / 60, minutes % 60)
}

/// The date of the day that comes so many days after 1970-01-01, in the Gregorian calendar: the
/// algorithm `civil_from_days` of Howard Hinnant, in years that begin on 1 March.
fn date(days: u64) -> (u64, u64, u64) {
    const ERA: u64 = 146_097;
    let days = days + 719_468;
    let (era, day_of_era) = (days / ERA, days % ERA);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn after(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn a_moment_is_shown_to_the_minute() {
        for (seconds, at, from) in [
            (0, "1970-01-01 00:00 UTC", "1970-01-01 00:00 UTC"),
            (59, "1970-01-01 00:00 UTC", "1970-01-01 00:01 UTC"),
            (951_782_400, "2000-02-29 00:00 UTC", "2000-02-29 00:00 UTC"),
            (1_796_314_381, "2026-12-03 16:13 UTC", "2026-12-03 16:14 UTC"),
            (4_107_542_399, "2100-02-28 23:59 UTC", "2100-03-01 00:00 UTC"),
            (BEYOND - 1, "9999-12-31 23:59 UTC", "a time beyond the calendar"),
            (BEYOND, "a time beyond the calendar", "a time beyond the calendar"),
        ] {
            assert_eq!((At(after(seconds)).to_string(), seconds), (at.to_owned(), seconds));
            assert_eq!(
                (NotBefore(after(seconds)).to_string(), seconds),
                (from.to_owned(), seconds)
            );
        }
        let part = after(60) + Duration::from_nanos(1);
        assert_eq!(NotBefore(part).to_string(), "1970-01-01 00:02 UTC");
        assert_eq!(At(part).to_string(), "1970-01-01 00:01 UTC");
        let before = UNIX_EPOCH - Duration::from_secs(1);
        for moment in [before, after(BEYOND)] {
            assert_eq!(At(moment).to_string(), "a time beyond the calendar");
            assert_eq!(Exact(moment).to_string(), "a time beyond the calendar");
        }
    }

    /// Compared with `jiff` on every day of 400 years, and on one moment of each.
    #[test]
    fn every_date_of_four_centuries_is_that_of_another_calendar() {
        for day in 0..146_097 {
            let seconds = day * DAY + day % 1_440 * MINUTE;
            let expected = jiff::Timestamp::try_from(after(seconds)).unwrap();
            let expected = expected.strftime("%Y-%m-%d %H:%M UTC").to_string();
            assert_eq!(At(after(seconds)).to_string(), expected);
            let moment = after(seconds + day % 60);
            let expected = jiff::Timestamp::try_from(moment).unwrap().to_string();
            assert_eq!(Exact(moment).to_string(), expected);
        }
    }
}
