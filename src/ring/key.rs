//! `Key<K>`: a kid, the times of a key, and its prepared material.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use crate::evidence::KeyUsage;
use crate::evidence::usage::Counters;
use crate::kid::{Kid, is_same};
use crate::lifecycle::fingerprint::Marks;
use crate::lifecycle::identity::{Identity, derive_kid, secret_prints};
use crate::lifecycle::life::Life;
use crate::lifecycle::{Revocation, SigningStart};
use crate::purpose::Purpose;
use crate::secret::Secret;

/// What a key of a purpose is prepared into. Sealed: the purposes are those of
/// this crate, each with a type of its own, so that one secret serves one purpose.
pub trait KeyMaterial: sealed::Sealed + fmt::Debug + Sized + Send + Sync + 'static {
    /// What its keys are for.
    const PURPOSE: Purpose;

    /// What else a key of this purpose is made with.
    #[doc(hidden)]
    type Options: fmt::Debug + Clone + Default + Send + Sync;

    /// The name of the algorithm that a key is bound to, where there is a choice.
    #[doc(hidden)]
    fn algorithm(_: &Self::Options) -> Option<String> {
        None
    }

    /// `options` with the algorithm of this name, as a manifest has it; the name is the
    /// error if there is none.
    #[doc(hidden)]
    fn with_algorithm(
        options: &Self::Options,
        name: Option<&str>,
    ) -> Result<Self::Options, String> {
        match name {
            None => Ok(options.clone()),
            Some(name) => Err(name.to_owned()),
        }
    }

    /// The name of an algorithm that is not to be had is the error.
    #[doc(hidden)]
    fn prepare(secret: &[u8], kid: Kid, options: &Self::Options) -> Result<Self, String>;

    /// Whether it verifies what it signs, or opens what it seals, and nothing else.
    #[doc(hidden)]
    fn self_test(&self) -> bool;
}

pub(crate) mod sealed {
    pub trait Sealed {}
}

/// A key of a ring: its kid, its times, its prepared material.
///
/// The secret it was made from is not kept. A role is not part of a key: it is
/// derived from the times of all keys of a ring
/// ([`KeySet::state`](crate::KeySet::state)).
pub struct Key<K> {
    core: Arc<Core<K>>,
    pub(crate) life: Life,
    variable: Option<Arc<str>>,
}

/// Aligned to two lines of a cache, so that how long it takes to read does not depend on
/// where the allocator has put which key.
#[repr(align(128))]
struct Core<K> {
    kid: Kid,
    aliases: Box<[Kid]>,
    /// The kid that is derived from the secret, of a numbered key. What the key signed before it
    /// was numbered names it so. It is not shown: it would confirm a guess of the secret.
    former: Option<Box<Kid>>,
    material: K,
    counters: Counters,
    prints: [[u8; 32]; 2],
    algorithm: Option<String>,
}

impl<K> Key<K> {
    /// The key's public name.
    #[must_use]
    pub fn kid(&self) -> Kid {
        self.core.kid
    }

    /// Further names under which tokens may refer to it.
    #[must_use]
    pub fn aliases(&self) -> &[Kid] {
        &self.core.aliases
    }

    /// Returns the name of the environment variable that the key was read from, if it was.
    ///
    /// ```
    /// use dualkey::KeyRing;
    /// use dualkey::jwt::JwtKey;
    ///
    /// # let secret = "kH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eUkH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eU";
    /// let lookup = |name: &str| Ok((name == "JWT_SECRET").then(|| secret.to_owned()));
    /// let ring = KeyRing::<JwtKey>::builder().vars("JWT_SECRET", lookup).build()?;
    /// assert_eq!(ring.load().keys()[0].variable(), Some("JWT_SECRET"));
    /// # Ok::<(), dualkey::Error>(())
    /// ```
    #[must_use]
    pub fn variable(&self) -> Option<&str> {
        self.variable.as_deref()
    }

    /// When it signs.
    #[must_use]
    pub fn signing_start(&self) -> SigningStart {
        self.life.signing_start
    }

    /// From when on it verifies nothing, where that was set; its end by the
    /// overlap is not stored.
    #[must_use]
    pub fn retire_at(&self) -> Option<SystemTime> {
        self.life.retire_at
    }

    /// Since when and why it is revoked, if it is.
    #[must_use]
    pub fn revoked(&self) -> Option<&Revocation> {
        self.life.revoked.as_ref()
    }

    /// When it came into the ring: into the manifest that the ring was given, or else into
    /// this process.
    #[must_use]
    pub fn added_at(&self) -> SystemTime {
        self.life.added_at
    }

    /// How often this process used it.
    #[must_use]
    pub fn usage(&self) -> KeyUsage {
        self.core.counters.read()
    }

    /// The same key, with another life.
    pub(crate) fn with_life(&self, life: Life) -> Self {
        Self { core: Arc::clone(&self.core), life, variable: self.variable.clone() }
    }

    /// The same key, read from another variable.
    pub(crate) fn with_variable(mut self, variable: Option<&str>) -> Self {
        self.variable = variable.map(Arc::from);
        self
    }

    pub(crate) fn material(&self) -> &K {
        &self.core.material
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.core.counters
    }

    /// Whether `name` is its kid or one of its aliases.
    pub(crate) fn is_named(&self, name: &[u8]) -> bool {
        is_same(self.core.kid.as_bytes(), name)
            || self.core.aliases.iter().any(|alias| is_same(alias.as_bytes(), name))
    }

    /// Returns whether `name` is the kid that it had before it was numbered.
    pub(crate) fn has_former_name(&self, name: &[u8]) -> bool {
        self.core.former.as_ref().is_some_and(|former| is_same(former.as_bytes(), name))
    }

    /// The algorithm that it is bound to, where its purpose leaves a choice.
    pub(crate) fn algorithm(&self) -> Option<&str> {
        self.core.algorithm.as_deref()
    }

    /// Returns the parts that a fingerprint covers.
    pub(crate) fn marks(&self) -> Marks<'_> {
        Marks { life: &self.life, aliases: &self.core.aliases, print: self.core.prints[0] }
    }

    /// Whether it was made from `secret`, as HMAC pads it.
    pub(crate) fn is_of(&self, secret: &Secret) -> bool {
        self.core.prints == secret_prints(secret.expose())
    }

    /// Returns the identity of the key among those of its ring.
    pub(crate) fn identity(&self) -> Identity<'_> {
        Identity {
            kid: self.core.kid,
            aliases: &self.core.aliases,
            prints: Some(self.core.prints),
            is_revoked: self.life.revoked.is_some(),
        }
    }
}

impl<K> Clone for Key<K> {
    fn clone(&self) -> Self {
        self.with_life(self.life.clone())
    }
}

impl<K> fmt::Debug for Key<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("kid", &self.core.kid)
            .field("signing_start", &self.life.signing_start)
            .field("retire_at", &self.life.retire_at)
            .field("revoked", &self.life.revoked)
            .finish_non_exhaustive()
    }
}

/// A key on its way into a ring: a secret, and what is set about it.
///
/// Wherever one is taken, a [`Secret`] will do.
///
/// ```
/// use dualkey::{NewKey, Secret};
/// use dualkey::cookie::CookieKey;
///
/// let key = NewKey::<CookieKey>::new(Secret::from("kH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5"))
///     .kid("2026-q1".parse()?);
/// # Ok::<(), dualkey::Error>(())
/// ```
pub struct NewKey<K: KeyMaterial> {
    pub(crate) secret: Secret,
    pub(crate) kid: Option<Kid>,
    pub(crate) aliases: Vec<Kid>,
    pub(crate) signs_from: Option<SystemTime>,
    pub(crate) retire_at: Option<SystemTime>,
    /// Those of the ring, unless set.
    pub(crate) options: Option<K::Options>,
    /// What errors call it until it has a kid: the variable it stood in.
    pub(crate) label: Option<String>,
}

impl<K: KeyMaterial> NewKey<K> {
    /// A key with `secret`, and nothing else set.
    #[must_use]
    pub fn new(secret: impl Into<Secret>) -> Self {
        Self {
            secret: secret.into(),
            kid: None,
            aliases: Vec::new(),
            signs_from: None,
            retire_at: None,
            options: None,
            label: None,
        }
    }

    /// Names the key. Without it the kid is derived: unpadded base64url of the
    /// first 12 bytes of HMAC-SHA-256 with the secret as key over
    /// `dualkey kid v1`, a zero byte and the purpose, so that all instances
    /// that hold one secret call it the same.
    ///
    /// A key that people choose (a credential, a verify token), and a short fallback that never
    /// signs, are numbered instead: `credential-1`, `jwt-3`. The number of a key from a variable
    /// is that of the variable (`X_NEW` 1, `X` 2, `X_OLD` 3, `X_BACKUP` 4), or the next that is
    /// free. What a short fallback signed under its derived kid still verifies.
    ///
    /// # Security
    /// A derived kid is a digest of the secret. It says nothing of a random one. Of a secret that
    /// is weak it allows guesses, as every token, cookie or sealed row under that secret does: so
    /// it is with a key that signs although it is short
    /// ([`Dangerous::min_secret_bytes`](crate::Dangerous::min_secret_bytes)), and with an AES key
    /// from a passphrase.
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

    /// Schedules a staged key: it promotes itself at `moment`, on every instance.
    ///
    /// For the primary and the fallbacks of a builder it is the moment since which they
    /// have signed: where both are known, a fallback ends when its overlap is over.
    #[must_use]
    pub fn signs_from(mut self, moment: SystemTime) -> Self {
        self.signs_from = Some(moment);
        self
    }

    /// Sets from when on a fallback verifies nothing. A key that is to sign ends by the
    /// overlap of the ring, and is refused with one.
    #[must_use]
    pub fn retire_at(mut self, moment: SystemTime) -> Self {
        self.retire_at = Some(moment);
        self
    }

    /// Returns whether a kid or an alias was set to `name`.
    pub(crate) fn is_named(&self, name: &str) -> bool {
        self.kid.iter().chain(&self.aliases).any(|known| *known == *name)
    }

    /// What errors call it: its variable, its kid, or `place`.
    pub(crate) fn label(&self, place: impl FnOnce() -> String) -> String {
        let kid = || self.kid.map(|kid| format!("the key `{kid}`"));
        self.label.clone().or_else(kid).unwrap_or_else(place)
    }

    /// Prepares the material. The checks have been made.
    pub(crate) fn prepare(
        &self,
        kid: Kid,
        options: &K::Options,
        is_short: bool,
        added_at: SystemTime,
    ) -> Result<Key<K>, String> {
        let secret = self.secret.expose();
        let is_numbered = K::PURPOSE.has_derived_kid() && kid.is_numbered(K::PURPOSE.as_str());
        let former = is_numbered.then(|| Box::new(derive_kid(secret, K::PURPOSE)));
        Ok(Key {
            core: Arc::new(Core {
                kid,
                aliases: self.aliases.clone().into(),
                former,
                material: K::prepare(secret, kid, options)?,
                counters: Counters::new(),
                prints: secret_prints(secret),
                algorithm: K::algorithm(options),
            }),
            variable: self.label.as_deref().map(Arc::from),
            // When it signs, and in which order, is for the ring to say.
            life: Life {
                retire_at: self.retire_at,
                is_short,
                is_guessable: is_short,
                ..Life::new(kid, added_at)
            },
        })
    }
}

impl<K: KeyMaterial> fmt::Debug for NewKey<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewKey")
            .field("kid", &self.kid)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl<K: KeyMaterial, S: Into<Secret>> From<S> for NewKey<K> {
    fn from(secret: S) -> Self {
        Self::new(secret)
    }
}
