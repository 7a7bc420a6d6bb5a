//! The steps from one manifest to the next.

use std::time::SystemTime;

use super::change::{Action, Change, Forced, Meanwhile};
use super::{Entry, Manifest, NewEntry};
use crate::error::Error;
use crate::kid::Kid;
use crate::ring::report::{Report, disagreement, may_run, sweep};
use crate::ring::steps::Steps;
use crate::ring::{KeyState, Policy};
use crate::verdict::{Obstacle, Verdict};
use crate::verified::Role;

impl Manifest {
    /// Adds a key that verifies, and does not sign yet. With
    /// [`signs_from`](NewEntry::signs_from) it begins to sign at that moment, on all
    /// instances at once and without another step.
    ///
    /// # Errors
    /// What a [builder](crate::RingBuilder::build) refuses; [`Error::NotAhead`] if its moment
    /// is not ahead; [`Error::TooSoon`] if it comes before all instances can have reloaded.
    pub fn stage(&self, key: impl Into<NewEntry>, now: SystemTime) -> Result<Change, Error> {
        let new = key.into();
        let (moment, now) = (new.signs_from, now.max(self.changed_at));
        let entry = self.admitted(new, false)?;
        let kid = entry.life.kid;
        if let Some(moment) = moment
            && let Some(earliest) = now.checked_add(self.policy.rollout_window)
            && moment > now
            && moment < earliest
        {
            return Err(Error::TooSoon { kid, signs_from: moment, earliest });
        }
        self.step(Action::Stage, kid, now, |keys, steps| {
            let mut life = entry.life.clone();
            life.added_at = now;
            keys.push(entry);
            steps.stage(life, moment).map(|()| Meanwhile::NothingIsRefused)
        })
    }

    /// Makes the key `kid` the primary. Every instance that may be running must hold what
    /// this manifest does, by its report: else one would refuse what another signs. Of keys of
    /// the audit nobody has to have reported.
    ///
    /// # Errors
    /// [`Error::NotAgreed`] with the instances that do not, or without one if nobody has
    /// reported; [`Error::UnknownKey`], [`Error::Revoked`], [`Error::Retired`],
    /// [`Error::Destroyed`] or [`Error::TooShortToSign`].
    pub fn promote(&self, kid: &Kid, reports: &[Report], now: SystemTime) -> Result<Change, Error> {
        let now = now.max(self.changed_at);
        let change = self.promoted(kid, now)?;
        let mut against = disagreement(reports, self.fingerprint(), &self.policy, now);
        let is_held = || reports.iter().any(|report| may_run(report, &self.policy, now));
        if self.purpose.needs_agreement() && !is_held() {
            against.push(Obstacle::NoInstance);
        }
        match against.is_empty() || !change.has_changed(self) {
            true => Ok(change),
            false => Err(Error::NotAgreed { kid: *kid, obstacles: against }),
        }
    }

    /// Makes the key the primary that was so before the current one.
    ///
    /// # Errors
    /// [`Error::NothingToRollBack`].
    pub fn rollback(&self, now: SystemTime) -> Result<Change, Error> {
        let now = now.max(self.changed_at);
        let (lives, timeline, terms) = (self.lives(), self.timeline(), self.terms());
        let (kid, superseded) = Steps::new(lives, &timeline, &terms, now).rollback()?;
        let mut change = self.step(Action::Rollback, kid, now, |_, steps| {
            steps.rollback().map(|_| Meanwhile::NothingIsRefused)
        })?;
        change.until = change.manifest.ends_at(&superseded);
        Ok(change)
    }

    /// Settles when the key `kid` stops verifying: the end of its overlap. It cuts none short.
    ///
    /// # Errors
    /// [`Error::Blocked`] with all reasons, if the [verdict](Self::retirement) is that;
    /// [`Error::UnknownKey`], [`Error::Revoked`], [`Error::Destroyed`] or
    /// [`Error::IsPrimary`].
    pub fn retire(&self, kid: &Kid, reports: &[Report], now: SystemTime) -> Result<Change, Error> {
        let now = now.max(self.changed_at);
        // What was only staged has signed nothing, and what has ended needs no verdict.
        let until = match self.state(kid, now) {
            Some(KeyState::Active(Role::Fallback)) => {
                self.retirement(kid, reports, now)?.until(kid)?
            }
            _ => None,
        };
        self.retired(kid, now, |steps| steps.retire(kid, until))
    }

    /// Declares the key `kid` compromised: it verifies nothing, for good, from the moment at
    /// which an instance learns of it. If it was the primary, the one before takes over.
    ///
    /// # Errors
    /// [`Error::UnknownKey`], or [`Error::NoPrimary`] if nothing would be left that signs:
    /// then [`emergency_rotate`](Self::emergency_rotate) is what you want.
    pub fn revoke(&self, kid: &Kid, reason: &str, now: SystemTime) -> Result<Change, Error> {
        self.step(Action::Revoke, *kid, now.max(self.changed_at), |_, steps| {
            steps.revoke(kid, reason).map(|_| Meanwhile::CompromisedIsTaken)
        })
    }

    /// Revokes the key `compromised` and makes another the primary, in one step, without an
    /// overlap: a staged key if there is one, else `replacement`.
    /// [`meanwhile`](Change::meanwhile) says what instances that have not reloaded yet
    /// will do: a key that was staged for less than a rollout window may be as new to them
    /// as the replacement.
    ///
    /// Is the staged key compromised as well, [revoke](Self::revoke) it first.
    ///
    /// ```
    /// use dualkey::manifest::{Manifest, Meanwhile, NewEntry};
    /// use dualkey::{Policy, Purpose};
    /// use std::time::SystemTime;
    ///
    /// let now = SystemTime::now();
    /// let first = NewEntry::generate(Purpose::Jwt)?;
    /// let manifest = Manifest::new("JWT_SECRET", Purpose::Jwt, "production", Policy::default(), first, now)?;
    /// let leaked = manifest.primary(now);
    ///
    /// let spare = NewEntry::generate(Purpose::Jwt)?;
    /// let change = manifest.emergency_rotate(&leaked, "in a public log", spare, now)?;
    /// assert_ne!(change.manifest.primary(now), leaked);
    /// assert_eq!(change.meanwhile, Meanwhile::NewIsRefused);
    /// # Ok::<(), dualkey::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::UnknownKey`]; [`Error::Revoked`] or [`Error::Destroyed`] if that was done
    /// already, so that of two operators at once one makes the new primary; and what is wrong
    /// with the replacement, if it is needed.
    pub fn emergency_rotate(
        &self,
        compromised: &Kid,
        reason: &str,
        replacement: impl Into<NewEntry>,
        now: SystemTime,
    ) -> Result<Change, Error> {
        let now = now.max(self.changed_at);
        let staged = self.staged(now).find(|kid| kid != compromised);
        if let Some(kid) = staged {
            // Everybody knows what has been there for as long as a change takes.
            let since = self.key(&kid).map_or(now, Entry::added_at);
            let known = since.checked_add(self.policy.rollout_window);
            let meanwhile = match known.is_some_and(|known| known <= now) {
                true => Meanwhile::CompromisedIsTaken,
                false => Meanwhile::NewIsRefused,
            };
            let mut change = self.step(Action::EmergencyRotate, kid, now, |_, steps| {
                steps.find(compromised)?;
                steps.promote(&kid)?;
                steps.revoke(compromised, reason).map(|_| meanwhile)
            })?;
            change.revoked = Some(*compromised);
            return Ok(change);
        }
        let entry = self.admitted(replacement.into(), false)?;
        let kid = entry.life.kid;
        let mut change = self.step(Action::EmergencyRotate, kid, now, |keys, steps| {
            steps.find(compromised)?;
            let mut life = entry.life.clone();
            life.added_at = now;
            keys.push(entry);
            steps.replace(life);
            steps.revoke(compromised, reason).map(|_| Meanwhile::NewIsRefused)
        })?;
        change.revoked = Some(*compromised);
        Ok(change)
    }

    /// Wipes the secret of a key that is revoked or has come to its end, and keeps its record:
    /// its kid does not come back, and so neither does a secret from which that is derived.
    ///
    /// What an encryption key sealed is lost with it. So the [verdict](Self::retirement) on
    /// one must be that it may go, after a sweep that opened every row.
    ///
    /// # Errors
    /// [`Error::Blocked`] with all reasons; [`Error::InUse`], [`Error::UnknownKey`] or
    /// [`Error::Destroyed`].
    pub fn destroy(&self, kid: &Kid, reports: &[Report], now: SystemTime) -> Result<Change, Error> {
        let now = now.max(self.changed_at);
        let change = self.destroyed(kid, now)?;
        if self.purpose.ends_by_time() {
            return Ok(change);
        }
        let mut obstacles = match self.retirement(kid, reports, now)? {
            Verdict::Safe => Vec::new(),
            Verdict::Wait { until } => vec![Obstacle::TooEarly { until }],
            Verdict::Blocked(obstacles) => obstacles,
        };
        if sweep(reports).is_some_and(|sweep| !sweep.opened_all) {
            obstacles.push(Obstacle::NotOpened);
        }
        match obstacles.is_empty() {
            true => Ok(change),
            false => Err(Error::Blocked { kid: *kid, obstacles }),
        }
    }

    /// Goes over a refusal, and records that, with the reason: `manifest.force("…").retire(…)`.
    pub fn force<'m>(&'m self, reason: &'m str) -> Forced<'m> {
        Forced { manifest: self, reason }
    }

    /// Sets another policy. What has come to its end under this one stays ended.
    ///
    /// # Errors
    /// What the policy makes impossible: a key that is too short for it, more keys at one time
    /// than may verify. [`Error::Shortened`] if a key would stop verifying earlier than it was
    /// to, which would refuse what is valid: wait until its overlap is over.
    pub fn set_policy(&self, policy: Policy, now: SystemTime) -> Result<Self, Error> {
        let now = now.max(self.changed_at);
        let before = self.timeline();
        let mut next = self.clone().under(policy)?;
        for (index, key) in next.keys.iter_mut().enumerate() {
            if let Some(end) = before.ends_at(index).filter(|end| *end <= now) {
                key.life.retire_at = Some(end);
            }
        }
        next.revision = self.revision.saturating_add(1);
        next.changed_at = now;
        let next = next.checked()?;
        let after = next.timeline();
        for (index, key) in self.keys.iter().enumerate() {
            let (own, other) = (before.ends_at(index), after.ends_at(index));
            // One that never ended does now, or one that has not ended yet ends earlier.
            let cut = |end: &SystemTime| own.is_none_or(|own| *end < own && own > now);
            if let Some(ends) = other.filter(cut) {
                return Err(Error::Shortened { kid: key.kid(), ends });
            }
        }
        Ok(next)
    }

    /// The staged keys, those first that were to sign first.
    fn staged(&self, now: SystemTime) -> impl Iterator<Item = Kid> {
        let timeline = self.timeline();
        let mut staged: Vec<_> = self
            .keys
            .iter()
            .enumerate()
            .filter(|(index, key)| {
                let state = timeline.state(*index, &key.life, now);
                state == KeyState::Active(Role::Staged) && !key.life.is_short
            })
            .map(|(_, key)| (key.life.start().is_none(), key.life.start(), key.life.kid))
            .collect();
        staged.sort_unstable();
        staged.into_iter().map(|(.., kid)| kid)
    }

    pub(super) fn promoted(&self, kid: &Kid, now: SystemTime) -> Result<Change, Error> {
        let superseded = self.primary(now);
        let mut change = self.step(Action::Promote, *kid, now, |_, steps| {
            steps.promote(kid).map(|_| Meanwhile::NothingIsRefused)
        })?;
        change.until = change.manifest.ends_at(&superseded);
        Ok(change)
    }

    pub(super) fn retired(
        &self,
        kid: &Kid,
        now: SystemTime,
        end: impl FnOnce(&mut Steps<'_>) -> Result<SystemTime, Error>,
    ) -> Result<Change, Error> {
        let mut until = None;
        let mut change = self.step(Action::Retire, *kid, now, |_, steps| {
            until = Some(end(steps)?);
            Ok(Meanwhile::NothingIsRefused)
        })?;
        change.until = until;
        Ok(change)
    }

    pub(super) fn destroyed(&self, kid: &Kid, now: SystemTime) -> Result<Change, Error> {
        let index = self.index(kid).ok_or(Error::UnknownKey { kid: *kid })?;
        if self.keys[index].life.destroyed_at.is_some() {
            return Err(Error::Destroyed { kid: *kid });
        }
        if let Some(KeyState::Active(_)) = self.state(kid, now) {
            return Err(Error::InUse { kid: *kid });
        }
        self.step(Action::Destroy, *kid, now, |keys, steps| {
            keys[index].secret = None;
            steps.destroy(index);
            Ok(Meanwhile::NothingIsRefused)
        })
    }

    /// Takes `step` on the lives of all keys; one that adds a key pushes both.
    fn step(
        &self,
        action: Action,
        kid: Kid,
        now: SystemTime,
        step: impl FnOnce(&mut Vec<Entry>, &mut Steps<'_>) -> Result<Meanwhile, Error>,
    ) -> Result<Change, Error> {
        let (timeline, terms) = (self.timeline(), self.terms());
        let mut next = self.clone();
        let mut steps = Steps::new(self.lives(), &timeline, &terms, now);
        let meanwhile = step(&mut next.keys, &mut steps)?;
        let has_changed = steps.lives != self.lives();
        for (key, life) in next.keys.iter_mut().zip(steps.lives) {
            key.life = life;
        }
        if has_changed {
            next.revision = self.revision.saturating_add(1);
            next.changed_at = now;
            next = next.checked()?;
        }
        let to = next.state(&kid, now).ok_or(Error::UnknownKey { kid })?;
        let from = self.state(&kid, now);
        let manifest = next;
        Ok(Change { manifest, action, kid, from, to, revoked: None, until: None, meanwhile })
    }
}
