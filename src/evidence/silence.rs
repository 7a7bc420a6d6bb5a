//! Evidence from a long silence: an old key that is unused for many observation windows, although
//! the ring is in use, is not needed, however few values are verified in one window.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use crate::evidence::UsageBucket;

/// The number of observation windows without a use of the key, each with a verification under the
/// primary, that replaces `min_observed_verifications`: with the default window of a day, a week, in which each
/// weekly client shows itself. Reason and limit are in the documentation of `Policy`.
pub(crate) const SILENT_WINDOWS: u32 = 7;

/// The number of observation windows of which uses are kept: windows without a verification count
/// for nothing, so a service that rests at weekends needs more of them.
pub(crate) const KEPT_WINDOWS: u32 = 2 * SILENT_WINDOWS;

/// The time since when a key has been unused and watched, in observation windows.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Silence {
    since: Option<SystemTime>,
    /// The windows since then, counted from there, that have a verification under the primary.
    active: u64,
    /// Whether the window of now is one of them.
    is_active_now: bool,
    /// Whether something was verified under the primary within the last window, also before the last
    /// use of the key.
    is_in_use: bool,
}

impl Silence {
    /// By the uses in `buckets`, where a key was watched since `watched` and was last used in the
    /// second that starts at `last`.
    pub(crate) fn new<'b>(
        buckets: impl Iterator<Item = &'b UsageBucket>,
        watched: Option<SystemTime>,
        last: Option<SystemTime>,
        now: SystemTime,
        window: Duration,
    ) -> Self {
        let Some(since) = unused_since(watched, last) else { return Self::default() };
        let place = |moment: SystemTime| window_of(moment, since, window);
        let is_counted = |bucket: &&UsageBucket| {
            // Of a longer bucket it is not known in which window something was verified.
            let is_short =
                bucket.to.duration_since(bucket.from).is_ok_and(|length| length <= window);
            let is_used = bucket.uses.iter().any(|(_, uses)| uses.verified_as_primary > 0);
            is_short && is_used && bucket.to <= now
        };
        let counted: Vec<&UsageBucket> = buckets.filter(is_counted).collect();
        let begin = now.checked_sub(window);
        let is_in_use = counted.iter().any(|bucket| begin.is_none_or(|begin| begin <= bucket.to));
        let active: BTreeSet<u128> =
            counted.iter().filter_map(|bucket| place(bucket.from)).collect();
        Self {
            since: Some(since),
            active: active.len() as u64,
            is_active_now: place(now).is_some_and(|now| active.contains(&now)),
            is_in_use,
        }
    }

    /// Whether it is long enough to replace `min_observed_verifications`.
    pub(crate) fn is_long(&self, now: SystemTime, window: Duration) -> bool {
        let long = window.checked_mul(SILENT_WINDOWS);
        let end = self.since.zip(long).and_then(|(since, long)| since.checked_add(long));
        !window.is_zero()
            && end.is_some_and(|end| end <= now)
            && self.active >= SILENT_WINDOWS.into()
    }

    /// From when it is long enough, if each window until then has a verification under the primary.
    /// `None`, if there is none.
    pub(crate) fn long_from(&self, now: SystemTime, window: Duration) -> Option<SystemTime> {
        let since = self.since.filter(|_| self.active > 0 || self.is_in_use)?;
        // A clock that was ahead dates the last use in the future.
        let elapsed = u32::try_from(window_of(now.max(since), since, window)?).ok()?;
        let missing = u64::from(SILENT_WINDOWS).saturating_sub(self.active);
        let missing = u32::try_from(missing).ok()?;
        let windows = elapsed.checked_add(missing)?.checked_add(self.is_active_now.into())?;
        since.checked_add(window.checked_mul(windows.max(SILENT_WINDOWS))?)
    }
}

/// The end of the last use, which is known to the second, or the start of the watch if that is later.
fn unused_since(watched: Option<SystemTime>, last: Option<SystemTime>) -> Option<SystemTime> {
    let unused = last.and_then(|last| last.checked_add(Duration::from_secs(1)));
    watched.map(|watched| unused.map_or(watched, |unused| unused.max(watched)))
}

/// The number of whole windows from `since` to `moment`.
fn window_of(moment: SystemTime, since: SystemTime, window: Duration) -> Option<u128> {
    let age = moment.duration_since(since).ok()?;
    age.as_nanos().checked_div(window.as_nanos())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::UsageCounts;
    use crate::kid::Kid;

    const DAY: Duration = Duration::from_secs(24 * 3600);
    const HOUR: Duration = Duration::from_secs(3600);

    fn at(hours: u32) -> SystemTime {
        SystemTime::UNIX_EPOCH + HOUR * 10_000 + HOUR * hours
    }

    /// A verification in each of these hours.
    fn buckets(hours: impl IntoIterator<Item = u32>) -> Vec<UsageBucket> {
        let uses = UsageCounts { verified_as_primary: 1, ..UsageCounts::default() };
        let uses = vec![(Kid::new("new").unwrap(), uses)];
        let bucket = |hour| UsageBucket { from: at(hour), to: at(hour + 1), uses: uses.clone() };
        hours.into_iter().map(bucket).collect()
    }

    fn silence_of(buckets: &[UsageBucket], last: Option<SystemTime>, now: u32) -> Silence {
        Silence::new(buckets.iter(), Some(at(0)), last, at(now), DAY)
    }

    #[test]
    fn seven_windows_with_a_verification_each_are_long_enough() {
        let daily = buckets((0..7).map(|day| day * 24 + 5));
        let silence = silence_of(&daily, None, 7 * 24);
        assert!(silence.is_long(at(7 * 24), DAY));
        assert!(!silence_of(&daily, None, 7 * 24 - 1).is_long(at(7 * 24 - 1), DAY));
        // On each of the days before, that moment is the one that is named.
        for day in 0..7 {
            let now = day * 24 + 6;
            let silence = silence_of(&daily[..=day as usize], None, now);
            assert_eq!(silence.long_from(at(now), DAY), Some(at(7 * 24)), "{day}");
        }
    }

    #[test]
    fn a_window_without_a_verification_counts_for_nothing() {
        let daily = |days: std::ops::Range<u32>| buckets(days.map(|day| day * 24 + 5));
        let mut rests = daily(0..5);
        assert!(!silence_of(&rests, None, 7 * 24).is_long(at(7 * 24), DAY));
        assert_eq!(silence_of(&rests, None, 7 * 24).long_from(at(7 * 24), DAY), Some(at(9 * 24)));
        rests.extend(daily(7..9));
        assert!(silence_of(&rests, None, 9 * 24).is_long(at(9 * 24), DAY));
        assert_eq!(silence_of(&[], None, 30 * 24).long_from(at(30 * 24), DAY), None);
        assert!(!silence_of(&[], None, 30 * 24).is_long(at(30 * 24), DAY));
        // Many verifications of one window are those of one window.
        let busy = buckets(0..24);
        assert!(!silence_of(&busy, None, 30 * 24).is_long(at(30 * 24), DAY));
    }

    #[test]
    fn a_use_of_the_key_starts_it_again() {
        let daily = buckets((0..30).map(|day| day * 24 + 5));
        for hour in 0..30 * 24 {
            let silence = silence_of(&daily, Some(at(hour)), 30 * 24);
            let is_long = at(hour) + Duration::from_secs(1) + 7 * DAY <= at(30 * 24);
            assert_eq!(silence.is_long(at(30 * 24), DAY), is_long, "{hour}");
        }
        // It was used this hour, and the service is in use: seven days from then.
        let silence = silence_of(&daily, Some(at(29 * 24 + 6)), 29 * 24 + 7);
        let from = at(29 * 24 + 6) + Duration::from_secs(1) + 7 * DAY;
        assert_eq!(silence.long_from(at(29 * 24 + 7), DAY), Some(from));
        // A clock that was ahead dated the last use: seven days from that date.
        let silence = silence_of(&daily, Some(at(40 * 24)), 29 * 24 + 7);
        assert!(!silence.is_long(at(29 * 24 + 7), DAY));
        let from = at(40 * 24) + Duration::from_secs(1) + 7 * DAY;
        assert_eq!(silence.long_from(at(29 * 24 + 7), DAY), Some(from));
        // No instance watched.
        let silence = Silence::new(daily.iter(), None, None, at(30 * 24), DAY);
        assert!(
            !silence.is_long(at(30 * 24), DAY) && silence.long_from(at(30 * 24), DAY).is_none()
        );
    }

    #[test]
    fn a_window_without_length_is_never_long_enough() {
        let daily = buckets(0..30);
        let silence = Silence::new(daily.iter(), Some(at(0)), None, at(60), Duration::ZERO);
        assert!(!silence.is_long(at(60), Duration::ZERO));
        assert_eq!(silence.long_from(at(60), Duration::ZERO), None);
    }
}
