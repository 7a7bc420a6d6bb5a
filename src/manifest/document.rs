//! The manifest: the keys of one ring, its policy and its revision.

use std::fmt;
use std::time::SystemTime;

use super::entry::{Entry, NewEntry};
use super::unknown::Unknown;
use super::versions::Versions;
use super::{recogniser, schedule};
use crate::error::{Error, Obstacle};
use crate::evidence::retirement::rewrap_counts_from;
use crate::evidence::ring_times::{Observed, RingTimes};
use crate::evidence::{Report, Verdict};
use crate::fingerprint::Fingerprint;
use crate::kid::Kid;
use crate::lifecycle::fingerprint::{Marks, fingerprint, fingerprint_of_secrets};
use crate::lifecycle::life::Life;
use crate::lifecycle::terms::{EarlierWindow, Terms};
use crate::lifecycle::timeline::{Timeline, overlap_end};
use crate::lifecycle::{KeyState, Policy};
use crate::purpose::Purpose;
use crate::secret::Secret;

/// The stored document of one ring: its name, its policy, and its keys with their secrets.
///
/// ```
/// use dualkey::manifest::{Manifest, NewEntry};
/// use dualkey::{Policy, Purpose, Secret};
/// use std::time::SystemTime;
///
/// # let (new, old) = ("kH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eUkH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eU",
/// #     "Nf0Vg6Jc3Ds8Pw1Ra4Tb7Yx2Zq9Ml5KiNf0Vg6Jc3Ds8Pw1Ra4Tb7Yx2Zq9Ml5Ki");
/// let now = SystemTime::now();
/// let manifest =
///     Manifest::new("JWT_SECRET", Purpose::Jwt, "production", Policy::default(), Secret::from(old), now)?;
/// let staged = manifest.stage(Secret::from(new), now)?;
/// assert_eq!(staged.manifest.revision(), 2);
///
/// // What a store holds is text, and comes back as it was.
/// let text = staged.manifest.to_json()?;
/// let again = Manifest::from_json(text.expose())?;
/// assert_eq!(again.fingerprint(), staged.manifest.fingerprint());
/// # Ok::<(), dualkey::Error>(())
/// ```
#[derive(Clone)]
pub struct Manifest {
    pub(super) ring: String,
    pub(super) purpose: Purpose,
    pub(super) environment: String,
    pub(super) revision: u64,
    pub(super) changed_at: SystemTime,
    pub(super) policy: Policy,
    pub(super) earlier_window: Option<EarlierWindow>,
    pub(super) keys: Vec<Entry>,
    /// The versions of the format that it was read in.
    pub(super) versions: Versions,
    /// The fields of a newer version, and those of its policy.
    pub(super) unknown: Unknown,
    pub(super) unknown_policy: Unknown,
    /// Not stored: whether steps take the clock for right, whatever the reports say.
    pub(super) trusts_clock: bool,
    /// Not stored: the dangers that the variables show which it was read from.
    pub(crate) warnings: Vec<(String, &'static str)>,
}

impl Manifest {
    /// The first manifest of a ring: its one key signs, from the beginning of time.
    ///
    /// # Errors
    /// What a [builder](crate::RingBuilder::build) refuses of a primary, and
    /// [`Error::Manifest`] for a name that is empty, longer than 128 bytes, or holds a
    /// character that is not shown, such as a control character.
    /// [`Error::ObservationTooShort`] for an observation window that no instance can report on.
    pub fn new(
        ring: &str,
        purpose: Purpose,
        environment: &str,
        policy: Policy,
        first: impl Into<NewEntry>,
        now: SystemTime,
    ) -> Result<Self, Error> {
        policy.check_observation_window()?;
        let mut manifest = Self {
            ring: ring.to_owned(),
            purpose,
            environment: environment.to_owned(),
            revision: 1,
            changed_at: now,
            policy,
            earlier_window: None,
            keys: Vec::new(),
            versions: Versions::CURRENT,
            unknown: Unknown::default(),
            unknown_policy: Unknown::default(),
            trusts_clock: false,
            warnings: Vec::new(),
        };
        let first = manifest.admit(first.into(), false)?;
        manifest.keys.push(first.sign_from_beginning(now));
        manifest.validate()
    }

    /// Adds an old key that only ever verifies, whatever its length: `X_OLD` of a pair of
    /// variables, before the manifest is first stored. When it was superseded is not known,
    /// so it verifies until it is retired.
    ///
    /// # Errors
    /// What a [builder](crate::RingBuilder::build) refuses of a fallback, but for its length.
    pub fn with_fallback(
        mut self,
        key: impl Into<NewEntry>,
        now: SystemTime,
    ) -> Result<Self, Error> {
        let key = self.admit(key.into(), true)?;
        self.keys.push(key.verify_only(now));
        self.changed_at = self.changed_at.max(now);
        self.validate()
    }

    /// What events and errors call the ring.
    #[must_use]
    pub fn ring(&self) -> &str {
        &self.ring
    }

    /// What its keys are for.
    #[must_use]
    pub fn purpose(&self) -> Purpose {
        self.purpose
    }

    /// The environment that it is of: a ring refuses a manifest of another.
    #[must_use]
    pub fn environment(&self) -> &str {
        &self.environment
    }

    /// How many changes came before it, plus one.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// When it was last changed.
    #[must_use]
    pub fn changed_at(&self) -> SystemTime {
        self.changed_at
    }

    /// Returns the [`Policy`] of this ring.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// All keys, in the order in which they came; those that are revoked, retired or
    /// destroyed too.
    #[must_use]
    pub fn keys(&self) -> &[Entry] {
        &self.keys
    }

    /// The key `kid`, or of which that is an alias.
    #[must_use]
    pub fn key(&self, kid: &Kid) -> Option<&Entry> {
        self.keys.iter().find(|key| key.names().any(|name| name == *kid))
    }

    /// The key with `secret`, also one whose secret was wiped.
    #[cfg_attr(
        not(feature = "full"),
        allow(dead_code, reason = "operators use it, behind a feature")
    )]
    pub(crate) fn find(&self, secret: &Secret) -> Option<&Entry> {
        let candidate = recogniser::Candidate::new(secret);
        let is_own = |key: &&Entry| {
            let same = key.secret().is_some_and(|held| held.expose() == secret.expose());
            same || key.is_wiped_secret(&candidate)
        };
        self.keys.iter().find(is_own)
    }

    /// The kid of the key that signs at `now`.
    #[must_use]
    pub fn primary(&self, now: SystemTime) -> Kid {
        self.keys[self.primary_index(now)].life.kid
    }

    /// What the key `kid` is at `now`.
    #[must_use]
    pub fn state(&self, kid: &Kid, now: SystemTime) -> Option<KeyState> {
        let index = self.index(kid)?;
        Some(self.timeline().state(index, &self.keys[index].life, now))
    }

    /// The states of all keys at `now`, in their order.
    pub(crate) fn states(&self, now: SystemTime) -> Vec<KeyState> {
        let timeline = self.timeline();
        let state = |(index, key): (usize, &Entry)| timeline.state(index, &key.life, now);
        self.keys.iter().enumerate().map(state).collect()
    }

    /// When the key `kid` stops verifying, as far as that is known.
    #[must_use]
    pub fn verifies_until(&self, kid: &Kid) -> Option<SystemTime> {
        self.timeline().verifies_until(self.index(kid)?)
    }

    /// The next moment after `now` at which a role changes without a step.
    #[must_use]
    pub fn next_transition(&self, now: SystemTime) -> Option<SystemTime> {
        self.timeline().next_transition(now)
    }

    /// When the next rotation is due by the policy's
    /// [schedule](crate::Policy::schedule), which may lie in the past.
    #[must_use]
    pub fn rotation_due(&self, now: SystemTime) -> Option<SystemTime> {
        schedule::due(&self.policy, &self.keys[self.primary_index(now)].life)
    }

    /// Returns the fingerprint of this state: a ring that was made of this manifest has the same.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        fingerprint(self.purpose, &self.policy, self.keys.iter().filter_map(marks))
    }

    /// Returns a digest that differs between two manifests that differ, also in their secrets. It
    /// is not shown.
    pub(crate) fn identity(&self) -> Fingerprint {
        fingerprint_of_secrets(self.fingerprint(), self.keys.iter().filter_map(marks))
    }

    /// Returns the verdict on the key `kid`, by all `reports` together: as
    /// [`KeyRing::retirement`](crate::KeyRing::retirement), and no instance that may be
    /// running holds other keys than this manifest. The observation begins where the first of
    /// the reports begins that reach into each other, so that a restart does not begin it again.
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
    /// what the instances saw until now: as
    /// [`KeyRing::expected_obstacle`](crate::KeyRing::expected_obstacle).
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

    /// Returns the start of the first rewrap that counts for the key `kid`.
    #[cfg_attr(
        not(feature = "full"),
        allow(dead_code, reason = "operators use it, behind a feature")
    )]
    pub(crate) fn rewrap_counts_from(&self, kid: &Kid, now: SystemTime) -> Option<SystemTime> {
        rewrap_counts_from(&self.lives(), self.index(kid)?, &self.policy, now)
    }

    /// Returns when the overlap of the key `kid` is over, whether or not it ends then.
    #[cfg_attr(
        not(feature = "full"),
        allow(dead_code, reason = "operators use it, behind a feature")
    )]
    pub(crate) fn overlap_end(&self, kid: &Kid) -> Option<SystemTime> {
        let index = self.index(kid)?;
        overlap_end(&self.lives(), index, self.policy.overlap())
    }

    pub(crate) fn terms(&self) -> Terms {
        let (purpose, policy, earlier_window) = (self.purpose, self.policy, self.earlier_window);
        Terms { purpose, policy, earlier_window }
    }

    pub(crate) fn lives(&self) -> Vec<Life> {
        self.keys.iter().map(|key| key.life.clone()).collect()
    }

    fn times(&self) -> RingTimes {
        RingTimes { lives: self.lives(), timeline: self.timeline(), terms: self.terms() }
    }

    fn observed<'a>(&self, reports: &'a [Report]) -> Observed<'a> {
        let (fingerprint, changed_at) = (self.fingerprint(), self.changed_at);
        Observed::Fleet { reports, fingerprint, changed_at }
    }

    pub(super) fn timeline(&self) -> Timeline {
        Timeline::new(&self.lives(), self.changed_at, &self.terms(), &self.ring)
            .expect("every manifest was checked when it was made")
    }

    /// The key that signs on an instance whose clock shows `now`, whatever the manifest takes
    /// for the time of its last change.
    pub(super) fn primary_at_own_time(&self, now: SystemTime) -> Option<Kid> {
        let timeline = Timeline::new_unchecked(&self.lives(), now, &self.terms());
        timeline.primary(now).map(|index| self.keys[index].life.kid)
    }

    pub(super) fn primary_index(&self, now: SystemTime) -> usize {
        self.timeline().primary(now).expect("every manifest was checked to have one at all times")
    }

    pub(super) fn index(&self, kid: &Kid) -> Option<usize> {
        self.keys.iter().position(|key| key.life.kid == *kid)
    }
}

/// Returns the parts that a fingerprint covers; `None` for a key that was destroyed.
fn marks(key: &Entry) -> Option<Marks<'_>> {
    let print = key.secret_print()?;
    Some(Marks { life: &key.life, aliases: &key.aliases, print })
}

impl fmt::Debug for Manifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Manifest")
            .field("ring", &self.ring)
            .field("purpose", &self.purpose)
            .field("environment", &self.environment)
            .field("revision", &self.revision)
            .field("keys", &self.keys)
            .finish_non_exhaustive()
    }
}
