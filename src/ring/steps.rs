//! The steps from one generation to the next, on the times of keys alone: a ring in memory
//! and a manifest in a store take the same.

use std::time::SystemTime;

use super::key_set::KeyState;
use super::timeline::{Life, Terms, Timeline, end, overlap_end};
use crate::error::Error;
use crate::key::{Revocation, Signs};
use crate::kid::Kid;
use crate::verified::Role;

/// A copy of the lives of a ring's keys, on which steps are taken. Whether what comes of
/// them may be is for [`Timeline::new`] to say.
pub(crate) struct Steps<'a> {
    pub(crate) lives: Vec<Life>,
    timeline: &'a Timeline,
    terms: &'a Terms,
    now: SystemTime,
}

impl<'a> Steps<'a> {
    /// From `lives`, of which `timeline` was made, at `now`: which is not put before the
    /// last change, so that a clock that jumped back undoes nothing.
    pub(crate) fn new(
        lives: Vec<Life>,
        timeline: &'a Timeline,
        terms: &'a Terms,
        now: SystemTime,
    ) -> Self {
        Self { lives, timeline, terms, now: now.max(timeline.as_of()) }
    }

    pub(crate) fn now(&self) -> SystemTime {
        self.now
    }

    /// Adds a key that verifies, and signs from `moment` if there is one, which must lie
    /// ahead: else it would sign before others can verify.
    pub(crate) fn stage(
        &mut self,
        mut life: Life,
        moment: Option<SystemTime>,
    ) -> Result<(), Error> {
        life.signs = match moment {
            Some(moment) if moment > self.now => Signs::From(moment),
            Some(moment) => return Err(Error::NotAhead { kid: life.kid, signs_from: moment }),
            None => Signs::Unscheduled,
        };
        life.sequence = self.next_sequence();
        self.lives.push(life);
        Ok(())
    }

    /// Adds a key that signs at once. Before the one that it replaces is revoked, or that
    /// one's predecessor takes over for no time at all, and loses the end that was settled.
    pub(crate) fn replace(&mut self, mut life: Life) {
        (life.signs, life.sequence) = (Signs::From(self.now), self.next_sequence());
        self.lives.push(life);
    }

    /// Makes `kid` the primary, and returns who was: itself, if nothing changed.
    pub(crate) fn promote(&mut self, kid: &Kid) -> Result<Kid, Error> {
        let index = self.find(kid)?;
        let superseded = self.primary();
        match self.state(index) {
            KeyState::Active(Role::Primary) => return Ok(superseded),
            KeyState::Retired => return Err(Error::Retired { kid: *kid }),
            _ => {}
        }
        self.sign(index)?;
        Ok(superseded)
    }

    /// Makes the key the primary that was so before, and returns both.
    pub(crate) fn rollback(&mut self) -> Result<(Kid, Kid), Error> {
        let primary = self.primary();
        let previous = (0..self.lives.len())
            .filter(|index| self.lives[*index].kid != primary && self.lives[*index].is_alive())
            .filter_map(|index| Some((self.lives[index].begun(self.now)?, index)))
            .max()
            .ok_or(Error::NothingToRollBack { kid: primary })?
            .1;
        self.sign(previous)?;
        Ok((self.lives[previous].kid, primary))
    }

    /// Settles when `kid` stops verifying: not before `until`, and it cuts no overlap short.
    pub(crate) fn retire(
        &mut self,
        kid: &Kid,
        until: Option<SystemTime>,
    ) -> Result<SystemTime, Error> {
        let index = self.find(kid)?;
        let life = &self.lives[index];
        let due = match (self.state(index), life.signs) {
            (KeyState::Active(Role::Primary), _) => return Err(Error::IsPrimary { kid: *kid }),
            (KeyState::Active(Role::Staged), _) => self.now,
            (_, Signs::Never) => life
                .added_at
                .checked_add(self.terms.policy.overlap())
                .map_or(self.now, |due| due.max(self.now)),
            _ => overlap_end(&self.lives, index, self.terms.policy.overlap()).unwrap_or(self.now),
        };
        // One that ends by its overlap does so whatever is asked for.
        let is_settled = self.terms.purpose.ends_by_time() && life.start().is_some();
        let due = until.filter(|_| !is_settled).map_or(due, |until| due.max(until));
        let ends = life.retire_at.map_or(due, |earlier| earlier.min(due));
        self.end(index, ends);
        Ok(ends)
    }

    /// Ends `kid` at once, overlap or not.
    pub(crate) fn cut(&mut self, kid: &Kid) -> Result<SystemTime, Error> {
        let index = self.find(kid)?;
        if self.state(index) == KeyState::Active(Role::Primary) {
            return Err(Error::IsPrimary { kid: *kid });
        }
        let ends = self.lives[index].retire_at.map_or(self.now, |own| own.min(self.now));
        self.end(index, ends);
        Ok(ends)
    }

    /// Takes the key at `index` out of everybody's sight. What it gave an end to keeps that
    /// end: it does not come back to life.
    #[cfg(feature = "store")]
    pub(crate) fn destroy(&mut self, index: usize) {
        let ends: Vec<_> = (0..self.lives.len()).map(|own| self.timeline.ends_at(own)).collect();
        self.lives[index].destroyed_at = Some(self.now);
        let after: Vec<_> =
            (0..self.lives.len()).map(|own| end(&self.lives, own, self.terms)).collect();
        for (life, (before, after)) in self.lives.iter_mut().zip(ends.into_iter().zip(after)) {
            if before != after {
                life.retire_at = before;
            }
        }
        // It has come to its end, by the clock as well: the record says so.
        let life = &mut self.lives[index];
        life.retire_at = Some(life.retire_at.map_or(self.now, |own| own.min(self.now)));
    }

    /// Declares `kid` compromised; says whether that was news.
    pub(crate) fn revoke(&mut self, kid: &Kid, reason: &str) -> Result<bool, Error> {
        let own = self.lives.iter_mut().find(|life| life.kid == *kid);
        let life = own.ok_or(Error::UnknownKey { kid: *kid })?;
        if life.revoked.is_some() {
            return Ok(false);
        }
        life.revoked = Some(Revocation { at: self.now, reason: reason.to_owned() });
        // Who takes over signs, and is to verify what it signs: an end that was settled while
        // it had a successor no longer holds.
        let now = self.now;
        let heir = self
            .lives
            .iter_mut()
            .filter(|life| life.is_alive() && life.retire_at.is_none_or(|end| now < end))
            .filter_map(|life| Some((life.begun(now)?, life)))
            .max_by_key(|(begun, _)| *begun);
        if let Some((_, heir)) = heir {
            heir.retire_at = None;
        }
        Ok(true)
    }

    /// What the key at `index` was before the first step.
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

    fn primary(&self) -> Kid {
        self.lives[self.timeline.primary(self.now)].kid
    }

    fn sign(&mut self, index: usize) -> Result<(), Error> {
        let sequence = self.next_sequence();
        let life = &mut self.lives[index];
        if life.is_short {
            return Err(Error::TooShortToSign { kid: life.kid });
        }
        (life.signs, life.sequence) = (Signs::From(self.now), sequence);
        // To sign with a key is to decide that it stays.
        life.retire_at = None;
        Ok(())
    }

    fn end(&mut self, index: usize, ends: SystemTime) {
        let was_staged = self.state(index) == KeyState::Active(Role::Staged);
        let life = &mut self.lives[index];
        life.retire_at = Some(ends);
        if was_staged {
            // Withdrawn: an end that it would have given to others is not to be.
            life.signs = Signs::Never;
        }
    }

    fn next_sequence(&self) -> u64 {
        self.lives.iter().map(|life| life.sequence).max().unwrap_or(0).saturating_add(1)
    }
}
