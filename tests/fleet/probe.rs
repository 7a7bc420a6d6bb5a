//! What is looked at where operators take any step: after each change, and around each moment
//! at which a role changes, every instance signs, and every instance is shown all there is.
//!
//! An attacker holds every key as well, and signs with it at each of these moments.

use dualkey::{KeyRing, Kid, ManualClock, NewKey, Reason, Secret};
use pollster::block_on;

use super::artefact::Artefacts;
use super::instance::{at, seconds};
use super::ledger::{Kind, Rejection};
use super::program::{Step, turning_points};
use super::world::{Event, Held, World};
use dualkey::source::KeyStore;

/// What an attacker does with the keys.
pub(super) struct Attacker<K: Artefacts> {
    clock: ManualClock,
    rings: Vec<(Kid, KeyRing<K>)>,
}

impl<K: Artefacts> Attacker<K> {
    pub(super) fn new() -> Self {
        Self { clock: ManualClock::new(at(0, 0)), rings: Vec::new() }
    }

    pub(super) fn steals(&mut self, kid: Kid, secret: Secret) {
        let key = NewKey::new(secret).kid(kid);
        let ring = KeyRing::<K>::builder().clock(self.clock.clone()).primary(key);
        self.rings.push((kid, ring.build().unwrap()));
    }
}

impl<K: Artefacts> World<K> {
    /// An operator takes a step.
    pub(super) fn take_step(&mut self) {
        for name in std::mem::take(&mut self.gone) {
            // Of an instance that is gone no report is waited for.
            block_on(self.shelf.forget_report(&name)).unwrap();
        }
        if K::IS_STORED && self.random.bool() {
            self.rewrap();
        }
        let (taken, wrong) = self.program.visit(self.now, &mut self.random);
        if let Some(wrong) = wrong {
            self.note(Kind::RefusedAndChanged, wrong);
        }
        for taken in &taken {
            self.outcome.steps += 1;
            if let Some((kid, secret)) = &taken.added {
                self.attacker.steals(*kid, secret.clone());
            }
            for (kind, what) in self.ledger.note(self.now, taken) {
                self.note(kind, what);
            }
            let is_leak = matches!(taken.step, Step::Revoke(_) | Step::Emergency(_));
            self.outcome.leaks += u64::from(is_leak);
        }
        self.outcome.refused = self.program.refused;
        if let Some(last) = taken.last() {
            (0..self.instances.len()).for_each(|instance| self.poll_soon(instance));
            let off = self.bounds.clock_off;
            for moment in turning_points(&last.after, self.now) {
                for when in [moment.saturating_sub(off), moment, moment + off] {
                    self.schedule(
                        when.max(self.now),
                        Event::Probe { revision: last.after.revision() },
                    );
                }
            }
        }
        if self.program.is_done() {
            self.end = self.end.min(self.now + 2 * self.bounds.rollout);
            return;
        }
        let next = self.program.next_visit(self.now, &self.bounds, &mut self.random);
        // Every instance has reported when an operator looks.
        for instance in 0..self.instances.len() {
            let process = self.instances[instance].process;
            let when = next.saturating_sub(self.random.u64(1..120)).max(self.now);
            self.schedule(when, Event::Poll { instance, process });
        }
        self.schedule(next, Event::Operator);
    }

    /// Every instance signs, and every instance is shown everything.
    pub(super) fn probe(&mut self) {
        for instance in 0..self.instances.len() {
            self.sign(instance);
        }
        for instance in 0..self.instances.len() {
            self.show_all(instance);
        }
    }

    /// An instance that has just changed signs, and the others are shown that; and it is shown
    /// everything.
    pub(super) fn probe_changed(&mut self, instance: usize) {
        if let Some(place) = self.sign(instance) {
            for other in 0..self.instances.len() {
                self.show(other, place);
            }
        }
        self.show_all(instance);
    }

    /// Returns the place of what `instance` signs.
    pub(super) fn sign(&mut self, instance: usize) -> Option<usize> {
        let node = &self.instances[instance];
        let ring = node.ring()?;
        let (now, off) = (self.now, self.bounds.clock_off);
        let set = ring.load();
        let life = set.policy().max_lifetime.as_secs();
        let kid = set.primary(at(now, node.off))?.kid();
        // One that serves nothing makes nothing.
        let artefact = K::make(ring, seconds(now, node.off), life)?;
        let until = if K::IS_STORED { u64::MAX } else { now + life - 2 * off };
        let revision = set.revision();
        if self.held.len() >= 24 {
            // The oldest and the youngest are what matters.
            let middle = self.random.usize(8..16);
            self.held.remove(middle);
        }
        self.held.push(Held { artefact, kid, until, revision });
        Some(self.held.len() - 1)
    }

    pub(super) fn show_all(&mut self, instance: usize) {
        if !self.instances[instance].is_up() {
            return;
        }
        let now = self.now;
        self.held.retain(|held| held.until > now);
        for place in 0..self.held.len() {
            self.show(instance, place);
        }
        self.attacker.clock.set(at(now, 0));
        for place in 0..self.attacker.rings.len() {
            self.show_forged(instance, place);
        }
    }

    /// Shows what a client holds, and judges the answer.
    pub(super) fn show(&mut self, instance: usize, place: usize) {
        let (node, held) = (&self.instances[instance], &self.held[place]);
        let Some(ring) = node.ring() else { return };
        let (kid, made, revision) = (held.kid, held.revision, node.revision());
        let answer = K::verify(ring, &held.artefact);
        self.outcome.requests += 1;
        match answer {
            Ok(_) => self.judge_accepted(instance, kid, "what a client holds"),
            Err(Reason::Stale) => self.outcome.unavailable += 1,
            // An age that the policy sets, and not the life of a key.
            Err(Reason::Expired) => {}
            Err(_) if self.ledger.is_revoked(&kid) => {}
            Err(reason) => {
                match self.ledger.judge_rejected(&kid, made, revision, self.now, &self.bounds) {
                    Rejection::Declared => self.outcome.declared += 1,
                    Rejection::Violation(kind) => {
                        self.outcome.lost += 1;
                        let what = format!(
                            "a valid artefact of {kid}, made at revision {made}, is rejected: {reason}"
                        );
                        self.note_at(kind, &what, instance);
                    }
                }
            }
        }
    }

    fn show_forged(&mut self, instance: usize, place: usize) {
        let Some(ring) = self.instances[instance].ring() else { return };
        let (kid, forger) = &self.attacker.rings[place];
        let kid = *kid;
        let artefact = K::make(forger, seconds(self.now, 0), 3600).unwrap();
        self.outcome.requests += 1;
        if K::verify(ring, &artefact).is_ok() {
            self.judge_accepted(instance, kid, "what an attacker signs");
        }
    }

    fn judge_accepted(&mut self, instance: usize, kid: Kid, what: &str) {
        let node = &self.instances[instance];
        let is_in_grace =
            |since: u64| node.grace(since, &self.bounds).is_none_or(|end| self.now <= end);
        if let Some(kind) = self.ledger.judge_accepted(&kid, node.revision(), is_in_grace) {
            self.note_at(kind, &format!("{what} under {kid} is accepted"), instance);
        }
    }

    fn note_at(&mut self, kind: Kind, what: &str, instance: usize) {
        let node = &self.instances[instance];
        let what = format!(
            "{what}; instance {instance}, clock {:+} s, revision {}, store {:?} since {} s",
            node.off,
            node.revision(),
            node.shelf.weather(),
            node.since,
        );
        self.note(kind, what);
    }

    fn note(&mut self, kind: Kind, what: String) {
        *self.outcome.kinds.entry(kind).or_default() += 1;
        if self.outcome.violations.len() < 3 {
            let steps = self.program.log.join("\n");
            let text = format!("at {} s: {kind:?}: {what}; {:?}\n{steps}", self.now, self.bounds);
            self.outcome.violations.push(text);
        }
    }
}
