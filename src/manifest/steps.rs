//! The steps from one manifest to the next.

use std::time::SystemTime;

use super::bounds::next_revision;
use super::change::{AssumedDeployed, Change, ChangeAction, Force};
use super::{Entry, Manifest, NewEntry};
use crate::error::{Error, Obstacle};
use crate::evidence::reports::{ClockProblem, clock_problem, disagreement, is_possibly_running};
use crate::evidence::{Report, Verdict};
use crate::kid::Kid;
use crate::lifecycle::clock_repair::repair_clock;
use crate::lifecycle::policy::is_ahead;
use crate::lifecycle::transitions::Steps;
use crate::lifecycle::{KeyState, Policy, Role};

/// The treatment of a clock that is behind the last change by more than the skew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WrongClock {
    Refused,
    /// It is dated like the last change: what is compromised does not wait.
    Accepted,
}

impl Manifest {
    /// Adds a key that verifies, and does not sign yet. With
    /// [`signs_from`](NewEntry::signs_from) it begins to sign at that moment, on all
    /// instances at once and without another step.
    ///
    /// # Errors
    /// What a [builder](crate::RingBuilder::build) refuses; [`Error::NotAhead`] if its moment
    /// is not ahead; [`Error::TooSoon`] if it lies less than the rollout window and the skew
    /// ahead. [`Error::ClockDisagrees`] if the manifest was changed at a moment ahead of `now`
    /// by more than the skew: that holds for every step except `revoke` and
    /// `emergency_rotate`.
    pub fn stage(&self, key: impl Into<NewEntry>, now: SystemTime) -> Result<Change, Error> {
        let new = key.into();
        let (moment, dated) = (new.signs_from, now.max(self.changed_at));
        let entry = self.admit(new, false)?;
        let kid = entry.life.kid;
        if let Some(moment) = moment
            && let Some(earliest) = dated.checked_add(self.terms().window(dated))
            && moment > dated
            && moment < earliest
        {
            return Err(Error::TooSoon { kid, signs_from: moment, earliest });
        }
        self.step(ChangeAction::Stage, kid, now, false, |keys, steps| {
            let mut life = entry.life.clone();
            life.added_at = dated;
            keys.push(entry);
            steps.stage(life, moment)
        })
    }

    /// Makes the key `kid` the primary. Every instance that may be running must hold what
    /// this manifest does, by its report: else one would refuse what another signs. Keys of
    /// the audit need no reports.
    ///
    /// # Errors
    /// [`Error::NotAgreed`] with the instances that do not, or without one if none has
    /// reported; [`Error::ExpiresSoon`] if the key stops verifying within the rollout window
    /// and the skew, on an instance that has not reloaded; [`Error::UnknownKey`],
    /// [`Error::Revoked`], [`Error::Expired`], [`Error::Destroyed`] or
    /// [`Error::TooShortToSign`]; [`Error::ClockDisagrees`] as for
    /// [`check_clock`](Self::check_clock).
    pub fn promote(&self, kid: &Kid, reports: &[Report], now: SystemTime) -> Result<Change, Error> {
        let change = self.apply_promotion(kid, now, true, false)?;
        if !change.has_changed(self) {
            return Ok(change);
        }
        let mut against = self.disagreement(reports, now);
        if self.purpose.needs_agreement() && !self.is_reported(reports, now) {
            against.push(Obstacle::NoInstance);
        }
        if !against.is_empty() {
            return Err(Error::NotAgreed { kid: *kid, obstacles: against });
        }
        self.check_clock(reports, now)?;
        Ok(change)
    }

    /// Makes the key the primary that was so before the current one. If it was added less than
    /// the rollout window and the skew ago, every instance must hold it, by the `reports`.
    ///
    /// # Errors
    /// [`Error::NothingToRollBack`]; [`Error::Expired`] if the key before has expired;
    /// [`Error::ExpiresSoon`] or [`Error::AddedRecently`] if an instance might reject what it
    /// signs; [`Error::ClockDisagrees`] as for [`check_clock`](Self::check_clock).
    pub fn rollback(&self, reports: &[Report], now: SystemTime) -> Result<Change, Error> {
        let agreed = self.is_reported(reports, now) && self.disagreement(reports, now).is_empty();
        let change = self.apply_rollback(now, agreed || !self.purpose.needs_agreement(), false)?;
        self.check_clock(reports, now)?;
        Ok(change)
    }

    /// Settles when the key `kid` stops verifying: the end of its overlap. It cuts none short.
    /// A key that is scheduled to sign within the rollout window and the skew verifies for an
    /// overlap from now, because an instance that has not reloaded signs with it.
    ///
    /// # Errors
    /// [`Error::Blocked`] with all reasons, if the [verdict](Self::retirement) is that;
    /// [`Error::UnknownKey`], [`Error::Revoked`], [`Error::Destroyed`] or
    /// [`Error::IsPrimary`]; [`Error::ClockDisagrees`] as for
    /// [`check_clock`](Self::check_clock).
    pub fn retire(&self, kid: &Kid, reports: &[Report], now: SystemTime) -> Result<Change, Error> {
        // What was only staged has signed nothing, and what has ended needs no verdict.
        let dated = now.max(self.changed_at);
        let until = match self.state(kid, dated) {
            Some(KeyState::Live(Role::Fallback)) => {
                self.retirement(kid, reports, dated)?.check_unblocked(kid)?
            }
            _ => None,
        };
        let change = self.apply_retirement(kid, now, |steps| steps.retire(kid, until))?;
        self.check_clock(reports, now)?;
        Ok(change)
    }

    /// Makes an expired key staged again, as if it had just been added: it verifies, and signs
    /// once it is promoted. It is the only step that makes an expired key live.
    ///
    /// # Errors
    /// [`Error::RestageNeedsForce`] for keys of tokens and sessions: use
    /// [`force`](Self::force). [`Error::NotExpired`] if the key is live; [`Error::UnknownKey`],
    /// [`Error::Revoked`], [`Error::Destroyed`], [`Error::IsPrimary`] or
    /// [`Error::TooShortToSign`].
    pub fn restage(&self, kid: &Kid, now: SystemTime) -> Result<Change, Error> {
        if self.purpose.has_revivable_values() {
            return Err(Error::RestageNeedsForce { kid: *kid });
        }
        self.apply_restage(kid, now)
    }

    /// Declares the key `kid` compromised: it verifies nothing, for good, from the moment at
    /// which an instance learns of it. If it was the primary, the one before takes over. It is
    /// never refused because of an end, a report or a clock: [`Change::effect`] says what
    /// instances do that have not reloaded.
    ///
    /// # Errors
    /// [`Error::UnknownKey`], or [`Error::NoPrimary`] if nothing would be left that signs:
    /// then [`emergency_rotate`](Self::emergency_rotate) is what you want.
    pub fn revoke(&self, kid: &Kid, reason: &str, now: SystemTime) -> Result<Change, Error> {
        self.step_by(WrongClock::Accepted, ChangeAction::Revoke, *kid, now, false, |_, steps| {
            steps.revoke(kid, reason).map(drop)
        })
    }

    /// Revokes the key `compromised` and makes another the primary, in one step, without an
    /// overlap: a staged key if there is one, else `replacement`. It is never refused because
    /// of an end, a report or a clock. [`effect`](Change::effect) says what instances do that
    /// have not reloaded yet: a key that was staged less than the rollout window and the skew
    /// ago may be as new to them as the replacement.
    ///
    /// Is the staged key compromised as well, [revoke](Self::revoke) it first.
    ///
    /// ```
    /// use dualkey::manifest::{Manifest, NewEntry};
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
    /// assert!(change.effect.new_rejected && change.effect.compromised_accepted);
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
        let dated = now.max(self.changed_at);
        let staged = self.staged_kids(dated).find(|kid| kid != compromised);
        let rotate = ChangeAction::EmergencyRotate;
        let mut change = match staged {
            Some(kid) => {
                self.step_by(WrongClock::Accepted, rotate, kid, now, false, |_, steps| {
                    steps.find(compromised)?;
                    steps.promote(&kid, true)?;
                    steps.revoke(compromised, reason).map(drop)
                })?
            }
            None => {
                let entry = self.admit(replacement.into(), false)?;
                let kid = entry.life.kid;
                self.step_by(WrongClock::Accepted, rotate, kid, now, false, |keys, steps| {
                    steps.find(compromised)?;
                    let mut life = entry.life.clone();
                    life.added_at = dated;
                    keys.push(entry);
                    steps.replace(life);
                    steps.revoke(compromised, reason).map(drop)
                })?
            }
        };
        change.revoked = Some(*compromised);
        Ok(change)
    }

    /// Wipes the secret of a key that is revoked or has expired, and keeps its record:
    /// its kid does not come back, and so neither does a secret from which that is derived.
    ///
    /// What an encryption key sealed is lost with it. So the [verdict](Self::retirement) on
    /// one must be [`Verdict::Safe`] after a rewrap, which opens every row.
    ///
    /// # Errors
    /// [`Error::Blocked`] with all reasons; [`Error::InUse`], [`Error::UnknownKey`] or
    /// [`Error::Destroyed`]; [`Error::ClockDisagrees`] as for
    /// [`check_clock`](Self::check_clock).
    pub fn destroy(&self, kid: &Kid, reports: &[Report], now: SystemTime) -> Result<Change, Error> {
        let change = self.apply_destruction(kid, now)?;
        let mut obstacles = Vec::new();
        if !self.purpose.has_expiry_by_time() {
            match self.retirement(kid, reports, now.max(self.changed_at))? {
                Verdict::Safe => {}
                Verdict::Wait { until } => obstacles.push(Obstacle::TooEarly { until }),
                Verdict::Blocked(all) => obstacles.extend(all),
            }
        }
        if !obstacles.is_empty() {
            return Err(Error::Blocked { kid: *kid, obstacles });
        }
        self.check_clock(reports, now)?;
        Ok(change)
    }

    /// Takes a step that a check refuses, and records the reason: `manifest.force("…").retire(…)`.
    pub fn force<'m>(&'m self, reason: &'m str) -> Force<'m> {
        Force { manifest: self, reason }
    }

    /// Accepts missing reports, never contradicting ones, and records that, with the reason:
    /// `manifest.assume_deployed("…").promote(…)`.
    pub fn assume_deployed<'m>(&'m self, reason: &'m str) -> AssumedDeployed<'m> {
        AssumedDeployed { manifest: self, reason }
    }

    /// Sets another policy. An end that is past stays. A longer policy moves the ends that lie
    /// ahead. A shorter one ends no key earlier than the policy before it did: whatever may
    /// have been signed under the longer policy stays valid until its own end.
    ///
    /// # Errors
    /// What the policy makes impossible: a key that is too short for it, more keys at one time
    /// than may verify. [`Error::ObservationTooShort`] for an observation window that no instance can
    /// report on.
    pub fn set_policy(&self, policy: Policy, now: SystemTime) -> Result<Self, Error> {
        policy.check_observation_window()?;
        self.with_policy(policy, now)
    }

    pub(super) fn with_policy(&self, policy: Policy, now: SystemTime) -> Result<Self, Error> {
        self.check_changed_at(now)?;
        let (timeline, terms) = (self.timeline(), self.terms());
        let mut steps = Steps::new(self.lives(), &timeline, &terms, now);
        steps.set_policy(policy);
        let (dated, next_terms) = (steps.now(), steps.next_terms());
        let Some(lives) = steps.finish() else { return Ok(self.clone()) };
        let mut next = self.clone().with_lives(lives).apply_policy(policy)?;
        next.earlier_window = next_terms.earlier_window;
        next.finish_change(self.revision, dated)
    }

    /// Corrects the times of a manifest that was written while a clock was ahead: sets
    /// `changed_at`, and each later time, to `now`. Ends that keys have by their overlap stay.
    /// A key that started to sign by the wrong time signs from now on if every instance holds
    /// it; else it is staged again, so that no instance rejects what it signs.
    ///
    /// The caller vouches for `now`, as far as the `reports` do not disagree with it.
    ///
    /// # Errors
    /// [`Error::ClockDisagrees`] if the reports disagree with `now`. The manifest is returned
    /// unchanged if it was not changed after `now`.
    pub fn repair_clock(&self, reports: &[Report], now: SystemTime) -> Result<Change, Error> {
        self.check_reports(reports, now)?;
        self.apply_clock_repair(now)
    }

    /// Checks that `now` agrees with the last change and with the `reports`, up to the skew: a
    /// step that writes a wrong date would end keys too early or keep them too long.
    /// [`revoke`](Self::revoke) and [`emergency_rotate`](Self::emergency_rotate) are taken all
    /// the same.
    ///
    /// # Errors
    /// [`Error::ClockDisagrees`], with both times, if the manifest or the instances are ahead of
    /// `now` by more than the skew, or if the newest report is older than the observation
    /// window.
    pub fn check_clock(&self, reports: &[Report], now: SystemTime) -> Result<(), Error> {
        self.check_changed_at(now)?;
        self.check_reports(reports, now)
    }

    /// Returns the manifest with steps that take `now` for right, whatever the reports say:
    /// where an instance with a wrong clock has left one, or all instances are gone.
    #[must_use]
    pub fn trust_clock(mut self) -> Self {
        self.trusts_clock = true;
        self
    }

    fn check_changed_at(&self, now: SystemTime) -> Result<(), Error> {
        if !is_ahead(self.changed_at, &self.policy, now) {
            return Ok(());
        }
        Err(Error::ClockDisagrees {
            what: "the last change, which lies ahead",
            now,
            other: self.changed_at,
            remedy: "set the clock, or correct the manifest with `dualkey repair-clock`",
        })
    }

    /// Checks the clock as [`check_clock`](Self::check_clock), without an error for missing reports.
    pub(crate) fn check_clock_but_silence(
        &self,
        reports: &[Report],
        now: SystemTime,
    ) -> Result<(), Error> {
        self.check_changed_at(now)?;
        match clock_problem(reports, &self.policy, now) {
            Some(ClockProblem::Silent { .. }) => Ok(()),
            _ => self.check_reports(reports, now),
        }
    }

    fn check_reports(&self, reports: &[Report], now: SystemTime) -> Result<(), Error> {
        let problem = clock_problem(reports, &self.policy, now).filter(|_| !self.trusts_clock);
        let (what, other, remedy) = match problem {
            None => return Ok(()),
            Some(ClockProblem::Behind { newest }) => (
                "the reports of the instances, which lie ahead",
                newest,
                "set the clock, or pass `--trust-clock` if the clocks of the instances are wrong",
            ),
            Some(ClockProblem::Silent { newest }) => (
                "the newest report, which is older than the observation window",
                newest,
                "set the clock, or pass `--trust-clock` if no instance runs",
            ),
        };
        Err(Error::ClockDisagrees { what, now, other, remedy })
    }

    /// Lists the instances that may be running and hold other keys than this manifest.
    fn disagreement(&self, reports: &[Report], now: SystemTime) -> Vec<Obstacle> {
        let dated = now.max(self.changed_at);
        disagreement(reports, self.fingerprint(), &self.policy, self.changed_at, dated)
    }

    /// Returns `true` if an instance that may be running reports.
    fn is_reported(&self, reports: &[Report], now: SystemTime) -> bool {
        let dated = now.max(self.changed_at);
        reports
            .iter()
            .any(|report| is_possibly_running(report, &self.policy, self.changed_at, dated))
    }

    /// The staged keys, those first that were to sign first.
    fn staged_kids(&self, now: SystemTime) -> impl Iterator<Item = Kid> {
        let timeline = self.timeline();
        let mut staged: Vec<_> = self
            .keys
            .iter()
            .enumerate()
            .filter(|(index, key)| {
                let state = timeline.state(*index, &key.life, now);
                state == KeyState::Live(Role::Staged) && !key.life.is_short
            })
            .map(|(_, key)| (key.life.start().is_none(), key.life.start(), key.life.kid))
            .collect();
        staged.sort_unstable();
        staged.into_iter().map(|(.., kid)| kid)
    }

    /// Where the instances are `agreed` to hold this manifest, none lacks the key.
    pub(super) fn apply_promotion(
        &self,
        kid: &Kid,
        now: SystemTime,
        agreed: bool,
        forced: bool,
    ) -> Result<Change, Error> {
        let superseded = self.primary(now.max(self.changed_at));
        let mut change = self.step(ChangeAction::Promote, *kid, now, agreed, |_, steps| {
            steps.promote(kid, forced).map(drop)
        })?;
        change.verifies_until = change.manifest.verifies_until(&superseded);
        Ok(change)
    }

    pub(super) fn apply_rollback(
        &self,
        now: SystemTime,
        agreed: bool,
        forced: bool,
    ) -> Result<Change, Error> {
        let (lives, timeline, terms) = (self.lives(), self.timeline(), self.terms());
        let mut steps = Steps::new(lives, &timeline, &terms, now);
        let (kid, superseded) = steps.rollback(forced)?;
        let index = steps.find(&kid)?;
        if !(forced || agreed || steps.is_known(index)) {
            let held = steps.known_at(index).unwrap_or(now);
            return Err(Error::AddedRecently { kid, held });
        }
        let mut change = self.step(ChangeAction::Rollback, kid, now, agreed, |_, steps| {
            steps.rollback(forced).map(drop)
        })?;
        change.verifies_until = change.manifest.verifies_until(&superseded);
        Ok(change)
    }

    pub(super) fn apply_restage(&self, kid: &Kid, now: SystemTime) -> Result<Change, Error> {
        self.step(ChangeAction::Restage, *kid, now, false, |_, steps| steps.restage(kid))
    }

    pub(super) fn apply_retirement(
        &self,
        kid: &Kid,
        now: SystemTime,
        end: impl FnOnce(&mut Steps<'_>) -> Result<Option<SystemTime>, Error>,
    ) -> Result<Change, Error> {
        let mut until = None;
        let mut change = self.step(ChangeAction::Retire, *kid, now, false, |_, steps| {
            until = end(steps)?;
            Ok(())
        })?;
        change.verifies_until = until;
        Ok(change)
    }

    pub(super) fn apply_destruction(&self, kid: &Kid, now: SystemTime) -> Result<Change, Error> {
        let index = self.index(kid).ok_or(Error::UnknownKey { kid: *kid })?;
        if self.keys[index].life.destroyed_at.is_some() {
            return Err(Error::Destroyed { kid: *kid });
        }
        if let Some(KeyState::Live(_)) = self.state(kid, now) {
            let is_retired = self.keys[index].retire_at().is_some();
            return Err(Error::InUse {
                kid: *kid,
                is_retired,
                verifies_until: self.verifies_until(kid),
            });
        }
        self.step(ChangeAction::Destroy, *kid, now, false, |keys, steps| {
            keys[index].wipe(self.purpose)?;
            steps.destroy(index);
            Ok(())
        })
    }

    fn apply_clock_repair(&self, now: SystemTime) -> Result<Change, Error> {
        let kid = self.primary(self.changed_at);
        let from = self.state(&kid, now);
        let (mut next, mut effect) = (self.clone(), crate::lifecycle::RolloutEffect::NONE);
        if self.changed_at > now {
            let forced: Vec<_> =
                self.keys.iter().filter(|key| key.has_forced_retirement()).collect();
            let forced: Vec<_> = forced.into_iter().map(Entry::kid).collect();
            let (lives, terms) = (self.lives(), self.terms());
            let lives = repair_clock(lives, self.changed_at, &forced, &terms, now);
            // Instances are at their own time, and do not hold keys of the wrong one.
            let before = self.primary_at_own_time(now);
            for key in &mut next.keys {
                for step in &mut key.forced_steps {
                    step.at = step.at.min(now);
                }
            }
            // It was set by the wrong time.
            if let Some(window) = &mut next.earlier_window {
                window.until =
                    window.until.min(now.checked_add(window.length).unwrap_or(window.until));
            }
            next = next.with_lives(lives).finish_change(self.revision, now)?;
            let primary = next.primary(now);
            let is_held = |key: &Entry| {
                key.added_at().checked_add(terms.window(now)).is_some_and(|held| held <= now)
            };
            effect.new_rejected =
                before != Some(primary) && !next.key(&primary).is_some_and(is_held);
        }
        let to = next.state(&kid, now).ok_or(Error::UnknownKey { kid })?;
        let (action, manifest) = (ChangeAction::RepairClock, next);
        Ok(Change { manifest, action, kid, from, to, revoked: None, verifies_until: None, effect })
    }

    /// Takes `step` on the lives of all keys; one that adds a key pushes both.
    fn step(
        &self,
        action: ChangeAction,
        kid: Kid,
        now: SystemTime,
        agreed: bool,
        step: impl FnOnce(&mut Vec<Entry>, &mut Steps<'_>) -> Result<(), Error>,
    ) -> Result<Change, Error> {
        self.step_by(WrongClock::Refused, action, kid, now, agreed, step)
    }

    fn step_by(
        &self,
        wrong_clock: WrongClock,
        action: ChangeAction,
        kid: Kid,
        now: SystemTime,
        agreed: bool,
        step: impl FnOnce(&mut Vec<Entry>, &mut Steps<'_>) -> Result<(), Error>,
    ) -> Result<Change, Error> {
        let (timeline, terms) = (self.timeline(), self.terms());
        let mut next = self.clone();
        let mut steps = Steps::new(self.lives(), &timeline, &terms, now);
        step(&mut next.keys, &mut steps)?;
        let (dated, effect) = (steps.now(), steps.effect(agreed));
        if let Some(lives) = steps.finish() {
            if wrong_clock == WrongClock::Refused {
                self.check_changed_at(now)?;
            }
            next = next.with_lives(lives).finish_change(self.revision, dated)?;
        }
        let to = next.state(&kid, dated).ok_or(Error::UnknownKey { kid })?;
        let from = self.state(&kid, dated);
        let manifest = next;
        Ok(Change { manifest, action, kid, from, to, revoked: None, verifies_until: None, effect })
    }

    /// The same with other lives, one for each key.
    pub(super) fn with_lives(mut self, lives: Vec<crate::lifecycle::life::Life>) -> Self {
        for (key, life) in self.keys.iter_mut().zip(lives) {
            key.life = life;
        }
        self
    }

    /// The manifest as the change after `revision`, checked.
    pub(super) fn finish_change(mut self, revision: u64, now: SystemTime) -> Result<Self, Error> {
        self.revision = next_revision(revision)?;
        self.changed_at = now;
        self.validate()
    }
}
