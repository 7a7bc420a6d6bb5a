//! What a step made of a manifest, and steps that go over a refusal.

use std::fmt;
use std::time::SystemTime;

use super::{Manifest, Override};
use crate::error::Error;
use crate::kid::Kid;
use crate::ring::KeyState;

/// What a step made of a manifest.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Change {
    /// The next manifest, of the next revision; the same, if nothing had to change.
    pub manifest: Manifest,
    /// What was done.
    pub action: Action,
    /// The key that it was done to: the new one, the one that signs now, the one that ends.
    pub kid: Kid,
    /// What that key was before; nothing, if it was not there.
    pub from: Option<KeyState>,
    /// What it is now.
    pub to: KeyState,
    /// Of an emergency, the compromised key, which was revoked with it.
    pub revoked: Option<Kid>,
    /// When the key that no longer signs stops verifying: come back then. Of a retirement,
    /// when the key does.
    pub until: Option<SystemTime>,
    /// What instances that have not reloaded yet do meanwhile.
    pub meanwhile: Meanwhile,
}

/// What is done to a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Action {
    /// Added: it verifies, and does not sign yet.
    Stage,
    /// Made the primary.
    Promote,
    /// Made the primary again.
    Rollback,
    /// Given its end.
    Retire,
    /// Declared compromised.
    Revoke,
    /// Made the primary because the one before was compromised.
    EmergencyRotate,
    /// Wiped.
    Destroy,
    /// Nothing: what all keys live by was set.
    SetPolicy,
}

/// What instances that have not reloaded yet do with what those that have make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Meanwhile {
    /// They take all of it: everybody holds the keys that sign.
    NothingIsRefused,
    /// They refuse all that the new primary signs, because they do not know it; and they take
    /// what the compromised key signs, as they did.
    NewIsRefused,
    /// They take what the compromised key signs, as they did; what the new primary signs they
    /// know.
    CompromisedIsTaken,
}

/// Steps that go over a refusal; the key that they are done to keeps a record of it.
#[derive(Debug, Clone, Copy)]
#[must_use = "nothing is forced until one of its steps is taken"]
pub struct Forced<'m> {
    pub(super) manifest: &'m Manifest,
    pub(super) reason: &'m str,
}

impl Forced<'_> {
    /// [`Manifest::promote`], whatever the instances hold: those that do not hold the key
    /// refuse what it signs.
    ///
    /// # Errors
    /// As there, but for [`Error::NotAgreed`].
    pub fn promote(self, kid: &Kid, now: SystemTime) -> Result<Change, Error> {
        let mut change = self.manifest.promoted(kid, now.max(self.manifest.changed_at))?;
        change.meanwhile = Meanwhile::NewIsRefused;
        self.recorded(change)
    }

    /// Ends the key `kid` at once, whatever the verdict: what it signed is refused, and what
    /// it sealed cannot be opened.
    ///
    /// # Errors
    /// As for [`Manifest::retire`], but for [`Error::Blocked`].
    pub fn retire(self, kid: &Kid, now: SystemTime) -> Result<Change, Error> {
        let now = now.max(self.manifest.changed_at);
        self.recorded(self.manifest.retired(kid, now, |steps| steps.cut(kid))?)
    }

    /// [`Manifest::destroy`], whatever the verdict: **what an encryption key sealed is lost.**
    ///
    /// # Errors
    /// [`Error::UnknownKey`], [`Error::Destroyed`], or [`Error::InUse`] if it is neither
    /// revoked nor retired.
    pub fn destroy(self, kid: &Kid, now: SystemTime) -> Result<Change, Error> {
        self.recorded(self.manifest.destroyed(kid, now.max(self.manifest.changed_at))?)
    }

    fn recorded(self, mut change: Change) -> Result<Change, Error> {
        if change.has_changed(self.manifest) {
            let at = change.manifest.changed_at;
            let (action, reason) = (change.action.as_str().to_owned(), self.reason.to_owned());
            let key = change.manifest.keys.iter_mut().find(|key| key.life.kid == change.kid);
            if let Some(key) = key {
                key.overrides.push(Override { at, action, reason });
            }
        }
        Ok(change)
    }
}

impl Change {
    /// Whether [`until`](Self::until) is the end of the key itself, and not of the one before.
    #[cfg(feature = "cli")]
    pub(crate) fn kid_ends(&self) -> bool {
        self.action == Action::Retire
    }

    /// Whether there is anything to store.
    #[must_use]
    pub fn has_changed(&self, before: &Manifest) -> bool {
        self.manifest.revision != before.revision
    }
}

impl Action {
    /// A stable name for records and metric labels.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stage => "stage",
            Self::Promote => "promote",
            Self::Rollback => "rollback",
            Self::Retire => "retire",
            Self::Revoke => "revoke",
            Self::EmergencyRotate => "emergency_rotate",
            Self::Destroy => "destroy",
            Self::SetPolicy => "set_policy",
        }
    }
}

impl fmt::Display for Meanwhile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NothingIsRefused => "nothing that is valid is refused",
            Self::NewIsRefused => {
                "instances that have not reloaded yet refuse all that the new primary signs, and \
                 still take what the old one does"
            }
            Self::CompromisedIsTaken => {
                "instances that have not reloaded yet still take what the compromised key signs"
            }
        })
    }
}
