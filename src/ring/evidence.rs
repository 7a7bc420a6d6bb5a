//! The fingerprint of a ring, its report, and the verdict on an old key.

use std::sync::{MutexGuard, PoisonError};
use std::time::SystemTime;

use crate::error::{Error, Obstacle};
use crate::evidence::ring_times::{Observed, RingTimes};
use crate::evidence::window::UsageWindow;
use crate::evidence::{Report, RewrapRecord, Verdict};
use crate::fingerprint::Fingerprint;
use crate::kid::Kid;
use crate::lifecycle::fingerprint::fingerprint;
use crate::lifecycle::{KeyState, Role};
use crate::ring::key_set::KeySet;
use crate::ring::{Key, KeyMaterial, KeyRing};

impl<K: KeyMaterial> KeyRing<K> {
    /// Returns the fingerprint of the current state.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.load().fingerprint()
    }

    /// Returns the verdict on the key `kid`, by what this process counted. The verdict of a fleet comes
    /// from its [`Manifest`](crate::manifest::Manifest::retirement).
    ///
    /// It asks for three things: the overlap of the key is over; the key was not used as a
    /// fallback within the [observation window](crate::Policy::observation_window); and
    /// [enough](crate::Policy::min_observed_verifications) was verified under the primary in that time for
    /// that to mean something, or the key was unused for seven windows.
    ///
    /// Of an encryption key it asks for a [rewrap](Self::record_rewrap) that started after the rollout
    /// of the new primary and left no row unreadable or under the key, and that the key was unused
    /// for one observation window after it. Lifetime and traffic do not count for such a key. A use
    /// after the rewrap proves that it did not find a row, so it asks for another one that starts
    /// after that use ([`Obstacle::UsedAfterRewrap`]).
    ///
    /// A use that a wrong clock dates in the future counts until that date plus one observation window.
    ///
    /// How much there was within a window comes from looks at the counters over time: one is
    /// taken with each call, and with each poll of a ring that follows a store. A ring
    /// without a look for a day does not know which uses were of the last day, and counts none.
    ///
    /// ```
    /// use dualkey::{KeyRing, ManualClock, Obstacle, Secret, Verdict};
    /// use dualkey::cookie::{CookieKey, CookieSigner};
    /// use std::time::Duration;
    ///
    /// # let (new, old) = ("kH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eUkH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eU",
    /// #     "Nf0Vg6Jc3Ds8Pw1Ra4Tb7Yx2Zq9Ml5KiNf0Vg6Jc3Ds8Pw1Ra4Tb7Yx2Zq9Ml5Ki");
    /// let clock = ManualClock::at_unix(1_800_000_000);
    /// let ring = KeyRing::<CookieKey>::builder()
    ///     .primary(Secret::from(old))
    ///     .clock(clock.clone())
    ///     .build()?;
    /// let before = ring.primary().unwrap();
    /// let kid = ring.stage(Secret::from(new))?;
    /// let promotion = ring.promote(&kid)?;
    /// let until = promotion.verifies_until.expect("it was superseded");
    /// assert_eq!(ring.retirement(&before)?, Verdict::Wait { until });
    ///
    /// // Eight days later, without a single visitor: silence means nothing.
    /// clock.advance(Duration::from_secs(8 * 86_400));
    /// let Verdict::Blocked(obstacles) = ring.retirement(&before)? else { panic!() };
    /// let none = Obstacle::TooLittleTraffic { seen: 0, enough: 1000, from: None };
    /// assert_eq!(obstacles, [none]);
    ///
    /// let signer = CookieSigner::new(ring.clone());
    /// let value = signer.sign("session", "user-42")?;
    /// for _ in 0..1000 {
    ///     signer.verify("session", &value).expect("just signed");
    /// }
    /// assert_eq!(ring.retirement(&before)?, Verdict::Safe);
    /// # Ok::<(), dualkey::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::UnknownKey`].
    pub fn retirement(&self, kid: &Kid) -> Result<Verdict, Error> {
        let now = self.inner.clock.now();
        let set = self.load();
        let usage_window = self.sample(&set, now);
        verdict_in(&set, kid, &usage_window, now)
    }

    /// Records a rewrap of all data that envelopes of this ring may be in, which the verdict on an
    /// encryption key asks for. It must have opened every row. The latest counts.
    ///
    /// A ring that [follows](crate::source) a store reports it at once. One that follows
    /// [on demand](crate::source::FollowBuilder::on_demand) reports it with the next refresh.
    pub fn record_rewrap(&self, rewrap: &RewrapRecord) {
        self.usage_window().record_rewrap(Some(rewrap));
        self.inner.report_due.announce();
    }

    /// Returns the obstacle that the [verdict](Self::retirement) on the fallback `kid` will have once
    /// its time is over, if as little is verified as until now: [`Obstacle::TooLittleTraffic`] with
    /// the verifications that are expected in an observation window. `None`, if they are enough, or
    /// if it is too early to say. It is known on the first day, before the overlap is over.
    ///
    /// ```
    /// use dualkey::{KeyRing, ManualClock, Obstacle, Secret};
    /// use dualkey::cookie::{CookieKey, CookieSigner};
    /// use std::time::Duration;
    ///
    /// # let (new, old) = ("kH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eUkH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eU",
    /// #     "Nf0Vg6Jc3Ds8Pw1Ra4Tb7Yx2Zq9Ml5KiNf0Vg6Jc3Ds8Pw1Ra4Tb7Yx2Zq9Ml5Ki");
    /// let clock = ManualClock::at_unix(1_800_000_000);
    /// let ring = KeyRing::<CookieKey>::builder()
    ///     .primary(Secret::from(new))
    ///     .fallback(Secret::from(old))
    ///     .clock(clock.clone())
    ///     .build()?;
    /// let old = ring.keys()[1].kid;
    /// assert_eq!(ring.expected_obstacle(&old)?, None);
    ///
    /// let signer = CookieSigner::new(ring.clone());
    /// let value = signer.sign("session", "user-42")?;
    /// for _ in 0..10 {
    ///     signer.verify("session", &value).expect("just signed");
    /// }
    /// clock.advance(Duration::from_secs(6 * 3600));
    /// let expected = ring.expected_obstacle(&old)?;
    /// let is_of_a_day =
    ///     |found: &Obstacle| matches!(found, Obstacle::TooLittleTraffic { seen: 40, .. });
    /// assert!(expected.as_ref().is_some_and(is_of_a_day));
    /// # Ok::<(), dualkey::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::UnknownKey`].
    pub fn expected_obstacle(&self, kid: &Kid) -> Result<Option<Obstacle>, Error> {
        let now = self.inner.clock.now();
        let set = self.load();
        let usage_window = self.sample(&set, now);
        set.times().expected_obstacle(kid, Observed::Process(&usage_window), now)
    }

    /// Returns what this process reports of the ring, under the name of its `instance`, which is to
    /// have 1 to 128 characters of `A-Z a-z 0-9 - _ . : / @ + =`: a report of another is not
    /// stored.
    #[must_use]
    pub fn report(&self, instance: &str) -> Report {
        let now = self.inner.clock.now();
        let set = self.load();
        let usage_window = self.sample(&set, now);
        Report {
            instance: instance.to_owned(),
            ring: self.name().to_owned(),
            fingerprint: set.fingerprint(),
            revision: set.revision(),
            observed_since: usage_window.since,
            reported_at: now,
            has_stopped: false,
            buckets: usage_window.buckets().cloned().collect(),
            last_as_fallback: usage_window.last_as_fallback(),
            signed: usage_window.signed(),
            rewrap: usage_window.rewrap.clone(),
            problem: None,
        }
    }

    /// Continues from the last report of the process that ran in the place of this one, so that a
    /// restart does not begin the observation again. Call it once, before the first report.
    pub fn resume(&self, report: &Report) {
        self.usage_window().inherit(report);
    }

    /// Keeps of an instance that is gone what has no end: its report may be deleted then.
    pub(crate) fn absorb(&self, report: &Report) {
        self.usage_window().absorb(report);
    }

    /// Keeps the watch of an instance that is gone: instances have watched since `since`.
    pub(crate) fn continue_watch(&self, report: &Report, since: SystemTime) {
        self.usage_window().continue_watch(report, since);
    }

    /// Has `wake` called when a report is due at once.
    pub(crate) fn on_report_news(&self, wake: impl Fn() + Send + Sync + 'static) {
        self.inner.report_due.wake_with(wake);
    }

    /// Returns whether a report is due at once, which the caller makes now.
    pub(crate) fn take_report_news(&self) -> bool {
        self.inner.report_due.take()
    }

    /// Keeps a report due that could not be stored.
    pub(crate) fn keep_report_news(&self) {
        self.inner.report_due.keep();
    }

    /// Takes a sample of the counters of all keys.
    pub(super) fn sample(&self, set: &KeySet<K>, now: SystemTime) -> MutexGuard<'_, UsageWindow> {
        let mut usage_window = self.usage_window();
        let usages = set.keys().iter().map(|key| (key.kid(), key.usage()));
        usage_window.sample(usages, now, set.policy().observation_window);
        usage_window
    }

    fn usage_window(&self) -> MutexGuard<'_, UsageWindow> {
        self.inner.usage_window.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The verdict of this process on `kid`.
pub(super) fn verdict_in<K: KeyMaterial>(
    set: &KeySet<K>,
    kid: &Kid,
    usage_window: &UsageWindow,
    now: SystemTime,
) -> Result<Verdict, Error> {
    set.times().retirement(kid, Observed::Process(usage_window), now)
}

impl<K: KeyMaterial> KeySet<K> {
    /// Returns the verdict on the key `kid`, by all `reports` together: as
    /// [`Manifest::retirement`](crate::manifest::Manifest::retirement), of what this process
    /// holds.
    ///
    /// # Errors
    /// [`Error::UnknownKey`].
    pub fn retirement(
        &self,
        kid: &Kid,
        reports: &[Report],
        now: SystemTime,
    ) -> Result<Verdict, Error> {
        self.times().retirement(kid, self.observed(reports), now)
    }

    /// Returns the obstacle that the verdict on the fallback `kid` will have once its time is over, by
    /// the `reports`: as [`KeyRing::expected_obstacle`].
    ///
    /// # Errors
    /// [`Error::UnknownKey`].
    pub fn expected_obstacle(
        &self,
        kid: &Kid,
        reports: &[Report],
        now: SystemTime,
    ) -> Result<Option<Obstacle>, Error> {
        self.times().expected_obstacle(kid, self.observed(reports), now)
    }

    /// Returns the start of the first rewrap that counts for every key that signs no more: a rewrap
    /// before that may miss what an instance seals that has not reloaded.
    pub(crate) fn rewrap_counts_from(&self, now: SystemTime) -> Option<SystemTime> {
        let lives = self.lives();
        let is_old = |index: &usize| {
            let state = self.timeline().state(*index, &lives[*index], now);
            !matches!(state, KeyState::Live(Role::Primary | Role::Staged))
        };
        let old = (0..lives.len()).filter(is_old);
        let counts_from = crate::evidence::retirement::rewrap_counts_from;
        old.filter_map(|index| counts_from(&lives, index, self.policy(), now)).max()
    }

    fn times(&self) -> RingTimes {
        let timeline = self.timeline().clone();
        RingTimes { lives: self.lives(), timeline, terms: self.terms() }
    }

    fn observed<'a>(&self, reports: &'a [Report]) -> Observed<'a> {
        let (fingerprint, changed_at) = (self.fingerprint(), self.changed_at());
        Observed::Fleet { reports, fingerprint, changed_at }
    }

    /// Returns the fingerprint of this set. Two instances with equal fingerprints hold the same keys
    /// with the same times.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        fingerprint(K::PURPOSE, self.policy(), self.keys().iter().map(Key::marks))
    }
}
