//! What an adapter sees of a ring for one unit of work: one generation, one phase,
//! one reading of the clock.

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::key_set::KeySet;
use crate::error::{Error, Reason, VerifyError};
use crate::kid::Kid;
use crate::lifecycle::timeline::Phase;
use crate::lifecycle::{Policy, Role};
use crate::mac::MAX_LANES;
use crate::observer::Event;
use crate::ring::key_ring::{Inner, KeyRing};
use crate::ring::{Key, KeyMaterial};
use crate::verified::Verified;

/// A key that verifies, in its role.
pub(crate) type Matched<'r, K> = (&'r Key<K>, Role);

/// The keys that are tried for a value which names none, with what each is tried with: as
/// many as there are lanes.
pub(crate) struct Tried<'r, K, M> {
    macs: [&'r M; MAX_LANES],
    keys: [Matched<'r, K>; MAX_LANES],
    count: usize,
}

impl<'r, K, M> Tried<'r, K, M> {
    /// `None` if there are none.
    #[inline]
    pub(crate) fn new(able: impl IntoIterator<Item = (&'r M, Matched<'r, K>)>) -> Option<Self> {
        let mut able = able.into_iter();
        let (mac, key) = able.next()?;
        let mut tried = Self { macs: [mac; MAX_LANES], keys: [key; MAX_LANES], count: 1 };
        for (mac, key) in able.take(MAX_LANES - 1) {
            (tried.macs[tried.count], tried.keys[tried.count]) = (mac, key);
            tried.count += 1;
        }
        Some(tried)
    }

    #[inline]
    pub(crate) fn macs(&self) -> &[&'r M] {
        &self.macs[..self.count]
    }

    /// The key at a place among those that are tried: found without a walk, so that it takes
    /// the same for each.
    #[inline]
    pub(crate) fn key(&self, place: usize) -> Option<Matched<'r, K>> {
        self.keys[..self.count].get(place).copied()
    }
}

pub(crate) struct View<'r, K: KeyMaterial> {
    inner: &'r Inner<K>,
    set: &'r KeySet<K>,
    phase: &'r Phase,
    now: Cell<Option<SystemTime>>,
    since_epoch: Cell<Option<Duration>>,
}

impl<'r, K: KeyMaterial> View<'r, K> {
    pub(super) fn new(inner: &'r Inner<K>, set: &'r KeySet<K>) -> Self {
        // Where no transition lies ahead, every hour is the same.
        let now = set.is_timed().then(|| inner.clock.now());
        let phase = set.phase(now.unwrap_or_else(|| set.timeline().as_of()));
        Self { inner, set, phase, now: Cell::new(now), since_epoch: Cell::new(None) }
    }

    /// The time of this unit of work: read once at most.
    #[inline]
    pub(crate) fn now(&self) -> SystemTime {
        let now = self.now.get().unwrap_or_else(|| self.inner.clock.now());
        self.now.set(Some(now));
        now
    }

    /// The same as the time since the Unix epoch; none, if the clock shows less.
    #[inline]
    pub(crate) fn since_epoch(&self) -> Duration {
        let since = self.since_epoch.get();
        let since =
            since.unwrap_or_else(|| self.now().duration_since(UNIX_EPOCH).unwrap_or_default());
        self.since_epoch.set(Some(since));
        since
    }

    /// Returns the policy of the ring.
    pub(crate) fn policy(&self) -> &'r Policy {
        self.set.policy()
    }

    /// The key that signs.
    pub(crate) fn primary(&self) -> Result<&'r Key<K>, Error> {
        let first = self.verifying().next().map(|(key, _)| key);
        first.ok_or_else(|| match self.unavailable() {
            Reason::NoPrimary => Error::NothingSigns,
            _ => Error::Stale { ring: self.inner.name.clone() },
        })
    }

    /// The keys that verify, the primary first: at most as many as may be live.
    #[inline]
    pub(crate) fn verifying(&self) -> impl Iterator<Item = Matched<'r, K>> {
        self.set.verifying(self.phase)
    }

    /// The keys that verify, in the order in which they came into the ring.
    pub(crate) fn by_arrival(&self) -> impl Iterator<Item = Matched<'r, K>> {
        let active = |key: &Key<K>| self.verifying().find(|(other, _)| std::ptr::eq(*other, key));
        self.set.keys().iter().filter_map(active)
    }

    /// The key that a value names, or why it verifies nothing (V2).
    pub(crate) fn named(&self, name: &[u8]) -> Result<Matched<'r, K>, Reason> {
        self.set.named(self.phase, name)
    }

    /// All revoked keys.
    pub(crate) fn all_revoked(&self) -> impl Iterator<Item = &'r Key<K>> {
        self.set.keys().iter().filter(|key| key.revoked().is_some())
    }

    /// The key at this place among those that verify.
    pub(crate) fn nth(&self, place: usize) -> Option<Matched<'r, K>> {
        self.set.nth(self.phase, place)
    }

    /// Marks `value` as verified under `key`, and counts the use.
    ///
    /// Without an observer and a subscriber of `tracing` at `TRACE`, the same is done for every
    /// role: the time does not depend on which key matched.
    #[inline]
    pub(crate) fn accept<T>(&self, (key, role): Matched<'_, K>, value: T) -> Verified<T> {
        key.counters().count_verified(role, self.since_epoch());
        if self.inner.hears_verifications() {
            self.emit_fallback(key.kid(), role);
        }
        Verified::new(value, key.kid(), role)
    }

    /// Not inlined: the role would be asked for first, observer or not.
    #[inline(never)]
    fn emit_fallback(&self, kid: Kid, role: Role) {
        if role != Role::Primary {
            self.inner.emit(Event::VerifiedByFallback { ring: &self.inner.name, kid });
        }
    }

    /// As [`accept`](Self::accept), for a value that names its key, whose role is no secret:
    /// of the primary, the hour is not asked for.
    #[inline]
    pub(crate) fn accept_named<T>(&self, key: Matched<'_, K>, value: T) -> Verified<T> {
        if key.1 != Role::Primary {
            return self.accept(key, value);
        }
        key.0.counters().count_verified_as_primary();
        Verified::new(value, key.0.kid(), key.1)
    }

    /// As [`accept`](Self::accept), for a value of a legacy form: it is to be written again,
    /// whichever key made it.
    pub(crate) fn accept_legacy<T>(
        &self,
        (key, role): Matched<'_, K>,
        form: &'static str,
        value: T,
    ) -> Verified<T> {
        key.counters().count_verified(role, self.since_epoch());
        self.emit(Event::LegacyAccepted { ring: &self.inner.name, kid: key.kid(), form });
        Verified::legacy(value, key.kid(), role)
    }

    /// The name of the ring, for events.
    pub(crate) fn ring(&self) -> &'r str {
        &self.inner.name
    }

    pub(crate) fn emit(&self, event: Event<'_>) {
        self.inner.emit(event);
    }

    /// Whether the ring serves nothing.
    fn is_idle(&self) -> bool {
        self.verifying().next().is_none()
    }

    /// Why a ring serves nothing.
    pub(crate) fn unavailable(&self) -> Reason {
        if self.set.is_stale(self.now()) { Reason::Stale } else { Reason::NoPrimary }
    }

    /// Reports the reason to the operator, and nothing to the peer (V7).
    pub(crate) fn reject(&self, error: impl Into<VerifyError>) -> VerifyError {
        let mut error = error.into();
        // A revoked key stays the reason.
        if self.is_idle() && !error.is_authentic() && error.reason() != Reason::RevokedKey {
            error = self.unavailable().into();
        }
        self.inner.emit(Event::Rejected { ring: &self.inner.name, reason: error.reason() });
        error
    }
}

impl<K: KeyMaterial> KeyRing<K> {
    /// Reports to the operator that a value was refused before its signature was looked at.
    pub(crate) fn reject(&self, reason: Reason) -> VerifyError {
        self.read(|view| view.reject(reason))
    }

    /// One unit of work on one generation.
    pub(crate) fn read<R>(&self, work: impl FnOnce(&View<'_, K>) -> R) -> R {
        self.inner.set.read(|set| work(&View::new(&self.inner, set)))
    }
}

impl From<Reason> for VerifyError {
    fn from(reason: Reason) -> Self {
        Self::new(reason)
    }
}

/// A unit of work that lasts: one generation, held while a body streams in.
pub(crate) struct Unit<K: KeyMaterial> {
    ring: KeyRing<K>,
    set: Arc<KeySet<K>>,
    now: SystemTime,
}

impl<K: KeyMaterial> Unit<K> {
    pub(crate) fn new(ring: &KeyRing<K>) -> Self {
        Self { ring: ring.clone(), set: ring.load(), now: ring.inner.clock.now() }
    }

    pub(crate) fn view(&self) -> View<'_, K> {
        View {
            inner: &self.ring.inner,
            set: &self.set,
            phase: self.set.phase(self.now),
            now: Cell::new(Some(self.now)),
            since_epoch: Cell::new(None),
        }
    }
}
