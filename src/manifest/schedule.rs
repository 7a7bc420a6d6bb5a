//! When the next rotation is due.

use std::time::SystemTime;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use crate::lifecycle::life::Life;
use crate::lifecycle::{Policy, Schedule};
use crate::ring::{KeyMaterial, KeySet};

/// So many days before its date a rotation counts for it.
const EARLY: i64 = 7;

impl Schedule {
    /// The first moment after `since` at which a rotation is due: midnight, UTC. `None`, if
    /// that lies beyond the year 9999.
    ///
    /// What is rotated up to 7 days before a date of the calendar was rotated for it: who acts
    /// on a reminder is not asked again a few days later.
    ///
    /// ```
    /// use dualkey::Schedule;
    /// use std::time::{Duration, UNIX_EPOCH};
    ///
    /// // 2026-01-20T12:00:00Z, and 2026-04-15T00:00:00Z.
    /// let since = UNIX_EPOCH + Duration::from_secs(1_768_910_400);
    /// let due = UNIX_EPOCH + Duration::from_secs(1_776_211_200);
    /// assert_eq!(Schedule::Quarterly.next(since), Some(due));
    ///
    /// let early = due - Duration::from_secs(7 * 24 * 3600);
    /// assert_eq!(Schedule::Quarterly.next(early), Schedule::Quarterly.next(due));
    /// ```
    #[must_use]
    pub fn next(self, since: SystemTime) -> Option<SystemTime> {
        let day = Timestamp::try_from(since).ok()?.to_zoned_datetime(TimeZone::UTC).date();
        let months: &[i8] = match self {
            Self::Days(days) => return midnight(day.checked_add(i64::from(days).days()).ok()?),
            Self::Quarterly => &[1, 4, 7, 10],
            Self::SemiAnnual => &[1, 7],
            Self::Annual => &[1],
        };
        let of = |year: i16| months.iter().map(move |month| Date::new(year, *month, 15).ok());
        let next_year = day.year().checked_add(1)?;
        let counted = day.checked_add(EARLY.days()).ok()?;
        let mut dates = of(day.year()).chain(of(next_year)).flatten();
        dates.find(|date| *date > counted).and_then(midnight)
    }
}

/// When the next rotation is due after that to the key `primary`.
pub(super) fn due(policy: &Policy, primary: &Life) -> Option<SystemTime> {
    policy.schedule?.next(primary.signing_since())
}

impl<K: KeyMaterial> KeySet<K> {
    /// When the next rotation is due by the policy's [schedule](crate::Policy::schedule),
    /// which may lie in the past.
    #[must_use]
    pub fn rotation_due(&self, now: SystemTime) -> Option<SystemTime> {
        due(self.policy(), &self.primary(now)?.life)
    }
}

fn midnight(date: Date) -> Option<SystemTime> {
    date.to_zoned_datetime(TimeZone::UTC).ok()?.timestamp().try_into().ok()
}
