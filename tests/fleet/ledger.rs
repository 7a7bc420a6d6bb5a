//! What the steps of a run have declared, and what therefore must hold of each answer.

use std::collections::{BTreeMap, BTreeSet};

use dualkey::manifest::Manifest;
use dualkey::{KeyState, Kid};

use super::bounds::Bounds;
use super::program::{Step, Taken};

/// A violation: its kind, by which violations are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A valid artefact was rejected, and no step declared that.
    Lost,
    /// The same, where a step said that an instance which has not reloaded does not do that.
    NewRejected,
    /// An instance that holds a revocation, or should, accepted what the key signs.
    RevokedAccepted,
    /// An instance that has not reloaded did, where the step said that it does not.
    CompromisedAccepted,
    /// An expired key was live again without a `restage`.
    Revived,
    /// A revoked key was live again.
    Unrevoked,
    /// A step was refused and changed the store all the same.
    RefusedAndChanged,
}

/// A step that made a key the primary.
struct Promoted {
    kid: Kid,
    revision: u64,
    stored: u64,
    new_rejected: bool,
}

struct Revoked {
    revision: u64,
    stored: u64,
    is_accepted: bool,
}

#[derive(Default)]
pub struct Ledger {
    promoted: Vec<Promoted>,
    revoked: BTreeMap<Kid, Revoked>,
    /// Forced retirements, by the last revision that made one.
    cut: BTreeMap<Kid, u64>,
    /// Keys that a manifest of the store showed as expired at its own time.
    expired: BTreeSet<Kid>,
    latest: u64,
}

/// What is said of a rejection that no key's life excuses.
pub enum Rejection {
    Declared,
    Violation(Kind),
}

impl Ledger {
    /// Notes a step that was stored at `now`, and returns what it did against the rules.
    pub fn note(&mut self, now: u64, taken: &Taken) -> Vec<(Kind, String)> {
        let Taken { step, before, after, .. } = taken;
        let dated = after.changed_at();
        let revision = after.revision();
        self.latest = revision;
        let restaged = match step {
            Step::ForceRestage(kid) => Some(*kid),
            _ => None,
        };
        let (primary, was) = (after.primary(dated), before.primary(dated));
        // Whichever step made it the primary again, it has signed with it since.
        if primary != was {
            let new_rejected = taken.new_rejected;
            self.promoted.push(Promoted { kid: primary, revision, stored: now, new_rejected });
        }
        for key in after.keys().iter().filter(|key| key.revoked().is_some()) {
            self.revoked.entry(key.kid()).or_insert(Revoked {
                revision,
                stored: now,
                is_accepted: taken.compromised_accepted,
            });
        }
        if let Step::ForceRetire(kid) = step {
            self.cut.insert(*kid, revision);
        }
        self.expired.extend(expired_kids(before));
        let is_expired = |kid: &Kid| before.state(kid, dated) == Some(KeyState::Expired);
        self.expired.extend(before.keys().iter().map(|key| key.kid()).filter(is_expired));
        let mut violations = Vec::new();
        if let Some(kid) = restaged {
            self.expired.remove(&kid);
        }
        for kid in after.keys().iter().map(|key| key.kid()) {
            let is_live = matches!(after.state(&kid, dated), Some(KeyState::Live(_)));
            if is_live && self.expired.contains(&kid) {
                violations.push((Kind::Revived, format!("{step:?} revived the key {kid}")));
            }
            if is_live && self.revoked.contains_key(&kid) {
                violations.push((Kind::Unrevoked, format!("{step:?} unrevoked the key {kid}")));
            }
        }
        self.expired.extend(expired_kids(after));
        violations
    }

    /// Whether no step has been stored after this one.
    pub fn is_latest(&self, revision: u64) -> bool {
        self.latest == revision
    }

    pub fn is_revoked(&self, kid: &Kid) -> bool {
        self.revoked.contains_key(kid)
    }

    /// What to say of an instance, with `held` for its revision, that accepts what the key
    /// `kid` signs. `is_in_grace` says whether an instance may still not know of a revocation at
    /// this moment.
    pub fn judge_accepted(
        &self,
        kid: &Kid,
        held: u64,
        is_in_grace: impl FnOnce(u64) -> bool,
    ) -> Option<Kind> {
        if let Some(revoked) = self.revoked.get(kid) {
            return if held >= revoked.revision || !is_in_grace(revoked.stored) {
                Some(Kind::RevokedAccepted)
            } else {
                (!revoked.is_accepted).then_some(Kind::CompromisedAccepted)
            };
        }
        (held == self.latest && self.expired.contains(kid)).then_some(Kind::Revived)
    }

    /// What to say of an instance, with `held` for its revision, that rejects an artefact
    /// which was made under the key `kid` by an instance with the revision `made`.
    pub fn judge_rejected(
        &self,
        kid: &Kid,
        made: u64,
        held: u64,
        now: u64,
        bounds: &Bounds,
    ) -> Rejection {
        if self.cut.get(kid).is_some_and(|cut| made < *cut) {
            return Rejection::Declared;
        }
        let is_missing = |promoted: &&Promoted| {
            promoted.kid == *kid
                && held < promoted.revision
                && now <= promoted.stored + bounds.rollout
        };
        let mut missing = self.promoted.iter().filter(is_missing).peekable();
        if missing.peek().is_none() {
            Rejection::Violation(Kind::Lost)
        } else if missing.any(|promoted| promoted.new_rejected) {
            Rejection::Declared
        } else {
            Rejection::Violation(Kind::NewRejected)
        }
    }
}

/// The keys that `manifest` shows as expired at the moment of its last change.
fn expired_kids(manifest: &Manifest) -> impl Iterator<Item = Kid> {
    let at = manifest.changed_at();
    let is_expired = move |kid: &Kid| manifest.state(kid, at) == Some(KeyState::Expired);
    manifest.keys().iter().map(|key| key.kid()).filter(is_expired)
}
