//! A key as a manifest holds it, and one on its way in.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use super::random::random_secret;
use super::recogniser::{Candidate, Recogniser};
use super::unknown::Unknown;
use crate::error::Error;
use crate::kid::Kid;
use crate::lifecycle::admission::{self, Rules};
use crate::lifecycle::identity::{Identity, check_unique, secret_prints};
use crate::lifecycle::life::{FROM_BEGINNING, Life};
use crate::lifecycle::{Revocation, SigningStart};
use crate::purpose::Purpose;
use crate::secret::{Secret, wipe_stack};

/// A key as a manifest holds it.
pub struct Entry {
    pub(crate) life: Life,
    pub(crate) aliases: Vec<Kid>,
    /// Where the purpose leaves a choice.
    pub(crate) algorithm: Option<String>,
    /// None once it was destroyed.
    pub(crate) secret: Option<Secret>,
    /// Of a secret that was wiped.
    pub(crate) recogniser: Option<Recogniser>,
    pub(crate) forced_steps: Vec<ForcedStep>,
    /// The fields of a newer version.
    pub(super) unknown: Unknown,
    /// Not stored: the variable that it was read from.
    pub(crate) variable: Option<String>,
}

impl Clone for Entry {
    fn clone(&self) -> Self {
        // The unused bytes of a copy come from the stack.
        wipe_stack();
        Self {
            life: self.life.clone(),
            aliases: self.aliases.clone(),
            algorithm: self.algorithm.clone(),
            secret: self.secret.clone(),
            recogniser: self.recogniser.clone(),
            forced_steps: self.forced_steps.clone(),
            unknown: self.unknown.clone(),
            variable: self.variable.clone(),
        }
    }
}

/// The record of a step that was forced: when, which step, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ForcedStep {
    /// When.
    pub at: SystemTime,
    /// The name of the [`ChangeAction`](super::ChangeAction).
    pub action: String,
    /// Why, in the operator's words.
    pub reason: String,
}

impl Entry {
    /// The key's public name.
    #[must_use]
    pub fn kid(&self) -> Kid {
        self.life.kid
    }

    /// Further names under which tokens may refer to it.
    #[must_use]
    pub fn aliases(&self) -> &[Kid] {
        &self.aliases
    }

    /// Returns the name of the environment variable that it was read from, if it was: in a manifest of
    /// an [`EnvStore`](crate::source::EnvStore) or a [`DotenvStore`](crate::source::DotenvStore).
    ///
    /// ```
    /// use dualkey::cookie::CookieKey;
    /// use dualkey::source::{EnvStore, KeyStore};
    ///
    /// # let secret = "kH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eUkH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eU";
    /// let lookup = |name: &str| Ok((name == "SESSION_SECRET").then(|| secret.to_owned()));
    /// let store = EnvStore::<CookieKey>::vars("SESSION_SECRET", "production", lookup);
    /// let manifest = pollster::block_on(store.load())?;
    /// assert_eq!(manifest.keys()[0].variable(), Some("SESSION_SECRET"));
    /// # Ok::<(), dualkey::source::StoreError>(())
    /// ```
    #[must_use]
    pub fn variable(&self) -> Option<&str> {
        self.variable.as_deref()
    }

    /// The algorithm that it is bound to, where its purpose leaves a choice: `HS512`.
    #[must_use]
    pub fn algorithm(&self) -> Option<&str> {
        self.algorithm.as_deref()
    }

    /// When it signs.
    #[must_use]
    pub fn signing_start(&self) -> SigningStart {
        self.life.signing_start
    }

    /// When it came into the manifest.
    #[must_use]
    pub fn added_at(&self) -> SystemTime {
        self.life.added_at
    }

    /// Returns the moment at which another key took over, once a step has recorded it.
    #[must_use]
    pub fn superseded_at(&self) -> Option<SystemTime> {
        self.life.superseded_at
    }

    /// From when on it verifies nothing, where that was set.
    #[must_use]
    pub fn retire_at(&self) -> Option<SystemTime> {
        self.life.retire_at
    }

    /// Since when and why it is revoked, if it is.
    #[must_use]
    pub fn revoked(&self) -> Option<&Revocation> {
        self.life.revoked.as_ref()
    }

    /// When its secret was wiped, if it was.
    #[must_use]
    pub fn destroyed_at(&self) -> Option<SystemTime> {
        self.life.destroyed_at
    }

    /// Returns the steps that an operator forced.
    #[must_use]
    pub fn forced_steps(&self) -> &[ForcedStep] {
        &self.forced_steps
    }

    /// Whether its retirement was forced.
    pub(super) fn has_forced_retirement(&self) -> bool {
        let is_it =
            |step: &ForcedStep| step.action == "retire" && Some(step.at) == self.life.retire_at;
        self.forced_steps.iter().any(is_it)
    }

    /// Its secret; none once that was destroyed.
    #[must_use]
    pub fn secret(&self) -> Option<&Secret> {
        self.secret.as_ref()
    }

    /// Wipes the secret, and keeps what recognises it.
    pub(super) fn wipe(&mut self, purpose: Purpose) -> Result<(), Error> {
        if let Some(secret) = self.secret.take() {
            self.recogniser = Some(Recogniser::new(&secret, purpose)?);
        }
        // A newer version may keep secret text there.
        self.unknown.clear();
        Ok(())
    }

    /// Whether `candidate` is the secret of this key, which was wiped.
    pub(super) fn is_wiped_secret(&self, candidate: &Candidate) -> bool {
        let recogniser = self.recogniser.as_ref().filter(|_| self.secret.is_none());
        recogniser.is_some_and(|recogniser| recogniser.is_match(candidate))
    }

    /// The refusal of the secret of a key that is revoked or destroyed.
    pub(super) fn refusal(&self) -> Error {
        let kid = self.life.kid;
        match self.life.revoked {
            Some(_) => Error::Revoked { kid },
            None => Error::Destroyed { kid },
        }
    }

    /// Returns the identity of the key among those of its manifest.
    fn identity(&self) -> Identity<'_> {
        Identity {
            kid: self.life.kid,
            aliases: &self.aliases,
            prints: self.secret.as_ref().map(|secret| secret_prints(secret.expose())),
            is_revoked: self.life.revoked.is_some(),
        }
    }

    pub(super) fn names(&self) -> impl Iterator<Item = Kid> {
        std::iter::once(self.life.kid).chain(self.aliases.iter().copied())
    }

    /// Returns a digest of its secret.
    pub(crate) fn secret_print(&self) -> Option<[u8; 32]> {
        self.secret.as_ref().map(|secret| secret_prints(secret.expose())[0])
    }

    pub(super) fn sign_from_beginning(mut self, now: SystemTime) -> Self {
        (self.life.added_at, self.life.sequence) = (now, 1);
        self.life.signing_start = FROM_BEGINNING;
        self
    }

    pub(super) fn verify_only(mut self, now: SystemTime) -> Self {
        (self.life.added_at, self.life.signing_start) = (now, SigningStart::Never);
        self
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("kid", &self.life.kid)
            .field("signing_start", &self.life.signing_start)
            .field("retire_at", &self.life.retire_at)
            .field("revoked", &self.life.revoked)
            .field("destroyed_at", &self.life.destroyed_at)
            .finish_non_exhaustive()
    }
}

/// A key on its way into a manifest: a secret, and what is set about it. Wherever one is
/// taken, a [`Secret`] will do.
///
/// ```
/// use dualkey::Purpose;
/// use dualkey::manifest::NewEntry;
///
/// let key = NewEntry::generate(Purpose::Jwt)?.kid("2026-q2".parse()?).algorithm("HS512");
/// # Ok::<(), dualkey::Error>(())
/// ```
#[derive(Clone)]
pub struct NewEntry {
    secret: Secret,
    kid: Option<Kid>,
    aliases: Vec<Kid>,
    algorithm: Option<String>,
    /// What errors call it until it has a kid: the variable it stood in.
    label: Option<String>,
    pub(super) signs_from: Option<SystemTime>,
}

impl NewEntry {
    /// A key with `secret`, and nothing else set.
    #[must_use]
    pub fn new(secret: impl Into<Secret>) -> Self {
        Self {
            secret: secret.into(),
            kid: None,
            aliases: Vec::new(),
            algorithm: None,
            label: None,
            signs_from: None,
        }
    }

    /// A key with a new secret from the operating system's generator: of an AES key 32
    /// bytes; of a credential 32 letters and digits, 190 bits; of all others 128 hexadecimal
    /// digits, 512 bits, so that it can also be set in a variable.
    ///
    /// # Errors
    /// [`Error::Random`] if the system has none to give.
    pub fn generate(purpose: Purpose) -> Result<Self, Error> {
        random_secret(purpose).map(Self::new)
    }

    /// Names the key. Without it the kid is derived, as for
    /// [`NewKey::kid`](crate::NewKey::kid).
    #[must_use]
    pub fn kid(mut self, kid: Kid) -> Self {
        self.kid = Some(kid);
        self
    }

    /// Adds a name under which others refer to the key.
    #[must_use]
    pub fn alias(mut self, alias: Kid) -> Self {
        self.aliases.push(alias);
        self
    }

    /// Binds a key of tokens to an algorithm: `HS256` unless set.
    #[must_use]
    pub fn algorithm(mut self, name: &str) -> Self {
        self.algorithm = Some(name.to_owned());
        self
    }

    /// Schedules it: it begins to sign at `moment`, on every instance at once.
    #[must_use]
    pub fn signs_from(mut self, moment: SystemTime) -> Self {
        self.signs_from = Some(moment);
        self
    }

    pub(crate) fn label(mut self, variable: &str) -> Self {
        self.label = Some(variable.to_owned());
        self
    }

    pub(super) fn admit(
        self,
        purpose: Purpose,
        rules: &Rules,
        is_fallback: bool,
        number: impl FnOnce(Option<usize>) -> usize,
    ) -> Result<Entry, Error> {
        let first = admission::number_of(self.label.as_deref(), purpose);
        let label = match (self.label, self.kid) {
            (Some(label), _) => label,
            (None, Some(kid)) => format!("the key `{kid}`"),
            (None, None) => "the new key".to_owned(),
        };
        if let Some(algorithm) = &self.algorithm
            && !(purpose == Purpose::Jwt && ["HS256", "HS384", "HS512"].contains(&&**algorithm))
        {
            return Err(Error::UnsupportedAlgorithm { key: label, algorithm: algorithm.clone() });
        }
        let algorithm = self.algorithm.as_deref();
        let is_short =
            admission::check(&self.secret, &label, is_fallback, purpose, algorithm, rules)?;
        let is_guessable = is_short || admission::is_below_floor(&self.secret, purpose, algorithm);
        let kid = admission::kid(self.kid, &self.secret, purpose, is_guessable, || number(first))?;
        Ok(Entry {
            life: Life { is_short, is_guessable, ..Life::new(kid, UNIX_EPOCH) },
            aliases: self.aliases,
            algorithm: self.algorithm,
            secret: Some(self.secret),
            recogniser: None,
            forced_steps: Vec::new(),
            unknown: Unknown::default(),
            variable: None,
        })
    }
}

impl<S: Into<Secret>> From<S> for NewEntry {
    fn from(secret: S) -> Self {
        Self::new(secret)
    }
}

impl fmt::Debug for NewEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewEntry").field("kid", &self.kid).finish_non_exhaustive()
    }
}

/// What must hold of the keys of a manifest beside their roles: names and secrets are there
/// once, and no time lies where it cannot.
pub(super) fn check_all(keys: &[Entry], changed_at: SystemTime) -> Result<(), Error> {
    // First: a secret that was wiped derives the kid that its record still has.
    check_wiped(keys)?;
    let identities: Vec<_> = keys.iter().map(Entry::identity).collect();
    check_unique(&identities)?;
    for (place, key) in keys.iter().enumerate() {
        let kid = key.life.kid;
        let wrong = |problem: &str| Err(Error::manifest(format!("the key `{kid}`: {problem}")));
        for other in &keys[..place] {
            if key.life.start().is_some() && key.life.start() == other.life.start() {
                return wrong("it begins to sign with another one, and none is the later");
            }
        }
        let life = &key.life;
        if life.added_at > changed_at {
            return wrong("it was added after the manifest was last changed");
        }
        if life.superseded_at.is_some_and(|at| at > changed_at) {
            return wrong("it was superseded after the manifest was last changed");
        }
        if life.destroyed_at.is_some_and(|at| at > changed_at || at < life.added_at) {
            return wrong("it was destroyed before it was added, or after the last change");
        }
        match (&key.secret, life.destroyed_at) {
            (Some(_), Some(_)) => return wrong("it is destroyed, and has a secret"),
            (None, None) => return wrong("it has no secret, and is not destroyed"),
            _ => {}
        }
        if let (Some(at), None) = (life.destroyed_at, &life.revoked)
            && life.retire_at.is_none_or(|end| end > at)
        {
            return wrong("it was destroyed before it came to its end");
        }
        if let (Some(end), Some((from, _))) = (life.retire_at, life.start())
            && life.is_alive()
            && end < from
        {
            return wrong("it comes to its end before it begins to sign");
        }
    }
    Ok(())
}

/// Refuses a key whose secret is that of a key whose secret was wiped.
fn check_wiped(keys: &[Entry]) -> Result<(), Error> {
    let wiped: Vec<_> = keys.iter().filter(|key| key.recogniser.is_some()).collect();
    // A revoked key verifies nothing, whatever its secret is.
    for key in keys.iter().filter(|key| !wiped.is_empty() && key.life.is_alive()) {
        let Some(candidate) = key.secret.as_ref().map(Candidate::new) else { continue };
        if let Some(former) = wiped.iter().find(|former| former.is_wiped_secret(&candidate)) {
            return Err(former.refusal());
        }
    }
    Ok(())
}
