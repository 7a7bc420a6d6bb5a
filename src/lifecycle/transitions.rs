//! The steps from one generation to the next, on the times of keys alone: a ring in memory
//! and a manifest in a store take the same.
//!
//! Two rules keep a step from changing what it is not about. Each step first records what has
//! come: when a key was superseded, and each end that is past. So no later step moves those.
//! A step that moves an end keeps the earlier end, until every instance holds the step: until
//! then some instances still act on it.

use std::time::{Duration, SystemTime};

use crate::error::Error;
use crate::kid::Kid;
use crate::lifecycle::life::{EarlierEnd, Life};
use crate::lifecycle::policy::MAX_COUNT;
use crate::lifecycle::terms::Terms;
use crate::lifecycle::timeline::{Timeline, end, overlap_end, superseded_at, superseded_since};
use crate::lifecycle::{KeyState, Policy, Revocation, Role, RolloutEffect, SigningStart};

/// A copy of the lives of a ring's keys, on which steps are taken. [`Timeline::new`] checks
/// the result.
pub(crate) struct Steps<'a> {
    pub(crate) lives: Vec<Life>,
    /// The lives before the step.
    given: Vec<Life>,
    /// The same, with what has come recorded.
    recorded: Vec<Life>,
    timeline: &'a Timeline,
    terms: Terms,
    /// The terms after the step.
    next_terms: Terms,
    now: SystemTime,
    /// `true` if what was recorded is a change of its own.
    has_recorded: bool,
}

impl<'a> Steps<'a> {
    /// Starts from `lives`, of which `timeline` was made, at `now`. No step is dated before the
    /// previous one, even if a clock moves back.
    pub(crate) fn new(
        lives: Vec<Life>,
        timeline: &'a Timeline,
        terms: &Terms,
        now: SystemTime,
    ) -> Self {
        let now = now.max(timeline.as_of());
        let recorded = record(&lives, timeline, now);
        Self {
            lives: recorded.clone(),
            given: lives,
            recorded,
            timeline,
            terms: *terms,
            next_terms: *terms,
            now,
            has_recorded: false,
        }
    }

    pub(crate) fn now(&self) -> SystemTime {
        self.now
    }

    /// While a longer window of an earlier policy still delivers steps, a key that may sign
    /// until then is kept for that longer window.
    fn keep_for_earlier_window(&mut self) {
        let window = self.next_terms.window(self.now);
        if window <= self.next_terms.policy.window() {
            return;
        }
        let kept = self.now.checked_add(self.next_terms.kept_for(window));
        for index in 0..self.recorded.len() {
            let is_over = superseded_at(&self.recorded, index).is_some_and(|at| at < self.now);
            let may_sign = matches!(self.state(index), KeyState::Live(_))
                && (self.recorded[index].start().is_some() || self.lives[index].start().is_some());
            if may_sign && !is_over {
                let life = &mut self.lives[index];
                life.kept_until = life.kept_until.max(kept);
            }
        }
    }

    /// The terms after the step.
    pub(crate) fn next_terms(&self) -> Terms {
        self.next_terms
    }

    /// The lives after the step; `None`, if it changed nothing.
    pub(crate) fn finish(mut self) -> Option<Vec<Life>> {
        if self.lives == self.recorded && !self.has_recorded {
            return None;
        }
        let window = self.window().max(self.next_terms.window(self.now));
        let until = self.now.checked_add(window);
        self.keep_for_earlier_window();
        // What starts to sign now has come as well.
        let superseded: Vec<_> = (0..self.lives.len())
            .map(|index| superseded_at(&self.lives, index).filter(|at| *at <= self.now))
            .collect();
        for (life, at) in self.lives.iter_mut().zip(superseded) {
            life.superseded_at = at;
        }
        for index in 0..self.recorded.len() {
            let before = self.timeline.verifies_until(index).filter(|end| self.now < *end);
            let after = end(&self.lives, index, &self.next_terms);
            // A later end is no reason to refuse a step that every instance holds by then.
            let matters = |end: &SystemTime| {
                let latest = self.now.checked_add(window.saturating_mul(2));
                after.is_none_or(|after| *end < after) && latest.is_none_or(|latest| *end < latest)
            };
            let Some(before) = before.filter(matters) else { continue };
            let life = &mut self.lives[index];
            let at = life.earlier_end.map_or(before, |earlier| earlier.at.min(before));
            life.earlier_end = until.map(|until| EarlierEnd { at, until });
        }
        Some(self.lives)
    }

    /// Adds a key that verifies, and signs from `moment` if there is one, which must lie
    /// ahead: else it would sign before others can verify.
    pub(crate) fn stage(
        &mut self,
        mut life: Life,
        moment: Option<SystemTime>,
    ) -> Result<(), Error> {
        life.signing_start = match moment {
            Some(moment) if moment > self.now => SigningStart::From(moment),
            Some(moment) => return Err(Error::NotAhead { kid: life.kid, signs_from: moment }),
            None => SigningStart::Unscheduled,
        };
        life.sequence = self.next_sequence();
        self.lives.push(life);
        Ok(())
    }

    /// Adds a key that signs at once.
    pub(crate) fn replace(&mut self, mut life: Life) {
        (life.signing_start, life.sequence) = (SigningStart::From(self.now), self.next_sequence());
        self.lives.push(life);
    }

    /// Makes `kid` the primary, and returns the key that was: `kid` itself, if nothing changed.
    /// Unless it is `forced`, the key must not end before every instance holds the step.
    pub(crate) fn promote(&mut self, kid: &Kid, forced: bool) -> Result<Kid, Error> {
        let index = self.find(kid)?;
        let superseded = self.primary().unwrap_or(*kid);
        match self.state(index) {
            KeyState::Live(Role::Primary) => return Ok(superseded),
            KeyState::Expired => return Err(Error::Expired { kid: *kid }),
            _ => {}
        }
        if !forced {
            self.check_end(index)?;
        }
        self.sign(index)?;
        Ok(superseded)
    }

    /// Makes the key the primary that was so before, and returns both. Unless it is `forced`,
    /// the key must not end before every instance holds the step.
    pub(crate) fn rollback(&mut self, forced: bool) -> Result<(Kid, Kid), Error> {
        let primary = self.timeline.primary(self.now);
        let earlier = (0..self.lives.len())
            .filter(|index| Some(*index) != primary && self.lives[*index].is_alive())
            .filter_map(|index| Some((self.lives[index].past_start(self.now)?, index)));
        let live = |index: usize| matches!(self.state(index), KeyState::Live(_));
        let latest = earlier.map(|(start, index)| (live(index), start, index)).max();
        let superseded = self.primary();
        let index = match (latest, superseded) {
            (Some((true, _, index)), _) => index,
            (Some((false, _, index)), _) => {
                return Err(Error::Expired { kid: self.lives[index].kid });
            }
            (None, Some(kid)) => return Err(Error::NothingToRollBack { kid }),
            (None, None) => return Err(Error::NothingSigns),
        };
        if !forced {
            self.check_end(index)?;
        }
        self.sign(index)?;
        let kid = self.lives[index].kid;
        Ok((kid, superseded.unwrap_or(kid)))
    }

    /// Settles when `kid` stops verifying: not before `until`, and never before its overlap is
    /// over, which a rewrap replaces for an encryption key. `None`, if it was withdrawn so close to its start that an instance may still use
    /// it, and keys of its purpose do not end by time.
    pub(crate) fn retire(
        &mut self,
        kid: &Kid,
        until: Option<SystemTime>,
    ) -> Result<Option<SystemTime>, Error> {
        let index = self.find(kid)?;
        let life = &self.lives[index];
        match self.state(index) {
            KeyState::Live(Role::Primary) => return Err(Error::IsPrimary { kid: *kid }),
            KeyState::Live(Role::Staged) => return Ok(self.withdraw(index)),
            KeyState::Live(Role::Fallback) => {}
            // Its end is final. That it is recorded now is the change.
            KeyState::Expired | KeyState::Revoked | KeyState::Destroyed => {
                self.has_recorded |= self.given[index].retire_at != life.retire_at;
                return Ok(life.retire_at);
            }
        }
        let overlap = self.terms.policy.overlap();
        let by_time = self.terms.purpose.has_expiry_by_time();
        let due = match overlap_end(&self.lives, index, overlap) {
            // It ends by then, whatever is asked for.
            Some(due) if by_time => due,
            // A complete rewrap replaces the overlap: the verdict has the moment, or is `Safe`.
            _ if self.terms.purpose.needs_rewrap() => until.unwrap_or(self.now),
            Some(due) => due.max(until.unwrap_or(due)),
            // What it signed before it was added is not known.
            None => {
                let due = life.added_at.checked_add(overlap).unwrap_or(self.now);
                [Some(due), until, life.kept_until].into_iter().flatten().max().unwrap_or(due)
            }
        };
        let due = if by_time && life.start().is_some() { due } else { due.max(self.now) };
        let ends = life.retire_at.map_or(due, |end| end.min(due));
        self.lives[index].retire_at = Some(ends);
        Ok(Some(ends))
    }

    /// Ends `kid` at once, overlap or not.
    pub(crate) fn cut(&mut self, kid: &Kid) -> Result<SystemTime, Error> {
        let index = self.find(kid)?;
        let state = self.state(index);
        if state == KeyState::Live(Role::Primary) {
            return Err(Error::IsPrimary { kid: *kid });
        }
        if state == KeyState::Live(Role::Staged) {
            self.cancel_start(index);
        }
        let life = &mut self.lives[index];
        let ends = life.retire_at.map_or(self.now, |end| end.min(self.now));
        life.retire_at = Some(ends);
        Ok(ends)
    }

    /// Makes an expired key staged, as if it had just been added.
    pub(crate) fn restage(&mut self, kid: &Kid) -> Result<(), Error> {
        let index = self.find(kid)?;
        match self.state(index) {
            KeyState::Live(Role::Primary) => return Err(Error::IsPrimary { kid: *kid }),
            KeyState::Live(_) => return Err(Error::NotExpired { kid: *kid }),
            KeyState::Expired | KeyState::Revoked | KeyState::Destroyed => {}
        }
        // It may have ended by force, while what it signed is still valid.
        let by_time = self.terms.purpose.has_expiry_by_time();
        let valid_until = overlap_end(&self.lives, index, self.terms.policy.overlap());
        let life = &mut self.lives[index];
        if life.is_short {
            return Err(Error::TooShortToSign { kid: *kid });
        }
        let kept_until = life.kept_until.max(valid_until.filter(|_| by_time));
        *life = Life { kept_until, ..Life::new(life.kid, self.now) };
        Ok(())
    }

    /// Gives the key at `index` the role that a source of variables decides. A key that had expired
    /// becomes live again: every end that it had is gone.
    pub(crate) fn assign_role(&mut self, index: usize, role: Role) {
        let signing_start = match role {
            Role::Primary if self.timeline.primary(self.now) == Some(index) => return,
            Role::Primary => {
                self.lives[index].sequence = self.next_sequence();
                SigningStart::From(self.now)
            }
            Role::Staged => SigningStart::Unscheduled,
            Role::Fallback => {
                let life = &mut self.lives[index];
                if life.signing_start == SigningStart::Unscheduled {
                    life.signing_start = SigningStart::Never;
                }
                return;
            }
        };
        // A staged key has no past. An instance may still sign with one that was the primary.
        let may_have_signed =
            role == Role::Staged && self.lives[index].past_start(self.now).is_some();
        let kept = self.now.checked_add(self.terms.kept_for(self.window()));
        let life = &mut self.lives[index];
        life.signing_start = signing_start;
        (life.superseded_at, life.retire_at, life.earlier_end) = (None, None, None);
        if may_have_signed {
            life.kept_until = life.kept_until.max(kept);
        }
    }

    /// The lives after each role was assigned, and the lives before, with what has come recorded.
    /// Deliberately no earlier end is kept: the source decides at once.
    pub(crate) fn finish_assignment(mut self) -> (Vec<Life>, Vec<Life>) {
        if self.lives != self.recorded {
            self.keep_for_earlier_window();
        }
        (self.lives, self.recorded)
    }

    /// Wipes the key at `index` from the ring; its record stays.
    pub(crate) fn destroy(&mut self, index: usize) {
        let life = &mut self.lives[index];
        life.destroyed_at = Some(self.now);
        // It is past its end, by the clock as well: the record says so.
        life.retire_at = Some(life.retire_at.map_or(self.now, |end| end.min(self.now)));
    }

    /// Declares `kid` compromised. Returns `true` if it was not revoked before.
    pub(crate) fn revoke(&mut self, kid: &Kid, reason: &str) -> Result<bool, Error> {
        let found = self.lives.iter_mut().find(|life| life.kid == *kid);
        let life = found.ok_or(Error::UnknownKey { kid: *kid })?;
        if life.revoked.is_some() {
            return Ok(false);
        }
        life.revoked = Some(Revocation { at: self.now, reason: reason.to_owned() });
        // The key that takes over signs, and must verify what it signs: an end that it had
        // because it was superseded no longer holds. An end that is past does.
        let now = self.now;
        let next = (0..self.lives.len())
            .filter(|index| self.lives[*index].is_alive())
            .filter(|index| self.lives[*index].retire_at.is_none_or(|end| now < end))
            .filter_map(|index| Some((self.lives[index].past_start(now)?, index)))
            .max();
        if let Some((_, index)) = next {
            if self.timeline.primary(now) != Some(index) {
                // A later key may have expired, even at this moment: this one signs after it.
                let sequence = self.next_sequence();
                (self.lives[index].signing_start, self.lives[index].sequence) =
                    (SigningStart::From(now), sequence);
            }
            (self.lives[index].superseded_at, self.lives[index].retire_at) = (None, None);
        }
        Ok(true)
    }

    /// Sets another policy. A longer one moves the ends that lie ahead. A shorter one ends no
    /// key earlier than the policy before it did, and no key that may sign before its overlap
    /// of now.
    pub(crate) fn set_policy(&mut self, policy: Policy) {
        if policy == self.terms.policy {
            return;
        }
        let (before, after) = (self.terms.policy.overlap(), policy.overlap());
        // The longer of both windows delivers this step.
        let window = self.window().max(policy.window());
        let former = Policy { skew: self.terms.policy.skew.max(policy.skew), ..self.terms.policy };
        self.next_terms = self.terms.apply_policy(policy, self.now);
        let longest = Terms { policy: former, ..self.terms }.kept_for(window);
        let is_shorter = self.next_terms.kept_for(policy.window()) < longest;
        self.has_recorded = true;
        for index in 0..self.lives.len() {
            let is_live = matches!(self.state(index), KeyState::Live(_));
            if !is_live && self.terms.purpose.has_expiry_by_time() {
                // Its end is recorded, and stays where it is.
                let life = &mut self.lives[index];
                life.kept_until = life.kept_until.max(life.retire_at);
                continue;
            }
            // A scheduled start may come while the longer window is still running.
            let since = superseded_since(&self.lives, index, self.now);
            let is_near = self.now.checked_add(window).is_some_and(|until| since <= until);
            let since = if is_near { since } else { self.now };
            let life = &mut self.lives[index];
            if let Some(longer) = after.checked_sub(before).filter(|_| is_live) {
                life.retire_at = life.retire_at.and_then(|end| end.checked_add(longer));
            }
            // A staged key without a start has signed nothing, or its restage keeps it for what it signed
            // before. An encryption key may have sealed before its restage.
            let by_time = self.terms.purpose.has_expiry_by_time();
            let may_sign = !by_time || life.signing_start != SigningStart::Unscheduled;
            if is_shorter && may_sign {
                life.kept_until = life.kept_until.max(since.checked_add(longest));
            }
        }
    }

    /// Effect of the step on instances that have not reloaded. Where they are `agreed` to hold
    /// what this ring did, none of them lacks a key.
    pub(crate) fn effect(&self, agreed: bool) -> RolloutEffect {
        let after =
            Timeline::new_unchecked(&self.lives, self.now, &self.next_terms).primary(self.now);
        let is_new = after.filter(|_| after != self.timeline.primary(self.now));
        let may_reject = |index: usize| {
            index >= self.recorded.len()
                || !(agreed || self.is_known(index))
                || self.check_end(index).is_err()
        };
        // An instance whose clock is behind, or that lacks the last step, still accepts a key
        // that has just expired.
        let earliest = self.now.checked_sub(self.window());
        let was_live = |index: usize| {
            let end = self.timeline.verifies_until(index);
            end.is_none_or(|end| earliest.is_none_or(|earliest| earliest < end))
        };
        let is_revoked_now = |index: usize| {
            self.lives[index].revoked.is_some() && self.recorded[index].revoked.is_none()
        };
        RolloutEffect {
            new_rejected: is_new.is_some_and(may_reject),
            compromised_accepted: (0..self.recorded.len())
                .any(|index| is_revoked_now(index) && was_live(index)),
        }
    }

    /// Returns `true` if the key at `index` was added so long ago that every instance holds it.
    pub(crate) fn is_known(&self, index: usize) -> bool {
        self.known_at(index).is_some_and(|known| known <= self.now)
    }

    /// When every instance holds the key at `index`.
    pub(crate) fn known_at(&self, index: usize) -> Option<SystemTime> {
        self.lives[index].added_at.checked_add(self.window())
    }

    /// Checks that the key at `index` verifies on every instance until all of them hold the step.
    fn check_end(&self, index: usize) -> Result<(), Error> {
        let Some(life) = self.recorded.get(index) else { return Ok(()) };
        let earlier = life.earlier_end.map(|earlier| earlier.at);
        let ends = [self.timeline.verifies_until(index), earlier].into_iter().flatten().min();
        let needed = self.now.checked_add(self.window());
        match (ends, needed) {
            (Some(expires), Some(needed)) if expires < needed => {
                Err(Error::ExpiresSoon { kid: life.kid, expires, needed })
            }
            _ => Ok(()),
        }
    }

    /// The state of the key at `index` before the step.
    pub(crate) fn state(&self, index: usize) -> KeyState {
        self.timeline.state(index, &self.lives[index], self.now)
    }

    /// The place of a key that may still do something.
    pub(crate) fn find(&self, kid: &Kid) -> Result<usize, Error> {
        let index = self.lives.iter().position(|life| life.kid == *kid);
        let index = index.ok_or(Error::UnknownKey { kid: *kid })?;
        match &self.lives[index] {
            Life { revoked: Some(_), .. } => Err(Error::Revoked { kid: *kid }),
            Life { destroyed_at: Some(_), .. } => Err(Error::Destroyed { kid: *kid }),
            _ => Ok(index),
        }
    }

    fn window(&self) -> Duration {
        self.terms.window(self.now)
    }

    fn primary(&self) -> Option<Kid> {
        self.timeline.primary(self.now).map(|index| self.lives[index].kid)
    }

    fn sign(&mut self, index: usize) -> Result<(), Error> {
        let sequence = self.next_sequence();
        let life = &mut self.lives[index];
        if life.is_short {
            return Err(Error::TooShortToSign { kid: life.kid });
        }
        (life.signing_start, life.sequence) = (SigningStart::From(self.now), sequence);
        // To sign with a key is to decide that it stays.
        (life.superseded_at, life.retire_at) = (None, None);
        Ok(())
    }

    /// Withdraws a staged key, and returns when it stops verifying.
    fn withdraw(&mut self, index: usize) -> Option<SystemTime> {
        if !self.cancel_start(index) {
            // A key that was restaged is kept for what it signed before.
            let by_time = self.terms.purpose.has_expiry_by_time();
            let kept_until = self.lives[index].kept_until.filter(|_| by_time);
            self.lives[index].retire_at = kept_until.max(Some(self.now));
        }
        end(&self.lives, index, &self.terms)
    }

    /// Cancels the start of a staged key. Returns `true` if an instance that has not reloaded when the
    /// start comes may sign with it all the same.
    fn cancel_start(&mut self, index: usize) -> bool {
        let window = self.window();
        let is_close = |from: SystemTime| self.now.checked_add(window).is_none_or(|end| from < end);
        let life = &mut self.lives[index];
        let may_sign = life.start().is_some_and(|(from, _)| is_close(from));
        life.signing_start = SigningStart::Never;
        if may_sign {
            life.superseded_at = Some(self.now);
        }
        may_sign
    }

    fn next_sequence(&mut self) -> u64 {
        let last = |lives: &[Life]| lives.iter().map(|life| life.sequence).max().unwrap_or(0);
        if last(&self.lives) >= MAX_COUNT {
            renumber(&mut self.lives);
        }
        last(&self.lives) + 1
    }
}

/// Numbers the keys from 1 on, in the same order: their numbers have reached the limit.
pub(super) fn renumber(lives: &mut [Life]) {
    let mut order: Vec<_> = (0..lives.len()).collect();
    order.sort_by_key(|index| lives[*index].sequence);
    for (sequence, index) in (1..).zip(order) {
        lives[index].sequence = sequence;
    }
}

/// `lives` at `now`, with what has come recorded: when each key was superseded, and each end
/// that is past. A start that lies ahead is not recorded: it can still be withdrawn.
fn record(lives: &[Life], timeline: &Timeline, now: SystemTime) -> Vec<Life> {
    let has_come = |moment: &SystemTime| *moment <= now;
    let mut recorded = lives.to_vec();
    for (index, life) in recorded.iter_mut().enumerate() {
        life.superseded_at = superseded_at(lives, index).filter(has_come);
        if let Some(end) = timeline.verifies_until(index).filter(has_come) {
            life.retire_at = Some(end);
        }
        life.earlier_end = life.earlier_end.filter(|earlier| now < earlier.until);
    }
    recorded
}

#[cfg(test)]
mod tests;
