//! `Key<K>`: a kid, the times that a key lives by, and its prepared material.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use crate::encoding::BASE64URL;
use crate::kid::{Kid, is_same};
use crate::mac::{HmacSha256, HmacSha512};
use crate::ring::usage::{Counters, Usage};
use crate::secret::Secret;

/// What a key of a purpose is prepared into. Sealed: the purposes are those of
/// this crate, each with a type of its own, so that one secret serves one purpose.
pub trait KeyMaterial: sealed::Sealed + fmt::Debug + Sized + Send + Sync + 'static {
    /// The purpose, as it stands in a derived kid: frozen.
    const PURPOSE: &'static str;

    /// Whether a superseded key ends by itself when its overlap is over.
    #[doc(hidden)]
    const ENDS_BY_TIME: bool = true;

    /// The most keys that may verify at one time.
    #[doc(hidden)]
    const CAP: usize = crate::mac::MAX_LANES;

    /// Whether a kid may be derived from the secret: not from one that can be guessed.
    #[doc(hidden)]
    const DERIVES_KID: bool = true;

    /// A command that makes a good secret of this purpose.
    #[doc(hidden)]
    const GENERATE: &'static str = "openssl rand -hex 64";

    /// What else a key of this purpose is made with.
    #[doc(hidden)]
    type Options: fmt::Debug + Clone + Default + Send + Sync;

    #[doc(hidden)]
    fn length(options: &Self::Options) -> SecretLength;

    /// The secret that the text of a variable stands for; what it should have been is the
    /// error. As Node's and Python's libraries take it: its UTF-8 bytes.
    #[doc(hidden)]
    fn from_text(text: String) -> Result<Secret, &'static str> {
        Ok(Secret::from(text))
    }

    /// The name of an algorithm that is not to be had is the error.
    #[doc(hidden)]
    fn prepare(secret: &[u8], kid: Kid, options: &Self::Options) -> Result<Self, String>;
}

pub(crate) mod sealed {
    pub trait Sealed {}
}

/// How long a secret must be, in bytes.
#[doc(hidden)]
#[derive(Debug, Clone, Copy)]
pub enum SecretLength {
    /// The longer the better.
    AtLeast {
        /// Unless it is relaxed.
        minimum: usize,
        /// Below which only `dangerous()` goes.
        floor: usize,
    },
    /// The length of the cipher's key: no setting relaxes it.
    Exactly(usize),
}

/// When a key signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Signs {
    /// It only ever verifies: an old key whose past is not known.
    Never,
    /// It is staged, and waits for `promote`.
    Unscheduled,
    /// From this moment on, until another one takes over.
    From(SystemTime),
}

/// That a key is compromised: since when this is known, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Revocation {
    /// When it was revoked.
    pub at: SystemTime,
    /// Why, in the operator's words.
    pub reason: String,
}

/// A key of a ring: its kid, its times, its prepared material.
///
/// The secret it was made from is not kept. A role is not part of a key: it is
/// derived from the times of all keys of a ring
/// ([`KeySet::state`](crate::KeySet::state)).
pub struct Key<K> {
    core: Arc<Core<K>>,
    pub(crate) signs: Signs,
    /// Which of two keys that sign from the same moment is the later one.
    pub(crate) sequence: u64,
    pub(crate) retire_at: Option<SystemTime>,
    pub(crate) revoked: Option<Revocation>,
}

/// Aligned to two lines of a cache, so that how long it takes to read does not depend on
/// where the allocator has put which key.
#[repr(align(128))]
struct Core<K> {
    kid: Kid,
    aliases: Box<[Kid]>,
    material: K,
    counters: Counters,
    prints: [[u8; 32]; 2],
    added_at: SystemTime,
    is_short: bool,
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

    /// When it signs.
    #[must_use]
    pub fn signs(&self) -> Signs {
        self.signs
    }

    /// From when on it verifies nothing, where that was set; its end by the
    /// overlap is not stored.
    #[must_use]
    pub fn retire_at(&self) -> Option<SystemTime> {
        self.retire_at
    }

    /// Since when and why it is revoked, if it is.
    #[must_use]
    pub fn revoked(&self) -> Option<&Revocation> {
        self.revoked.as_ref()
    }

    /// When it came into this ring, by this process.
    #[must_use]
    pub fn added_at(&self) -> SystemTime {
        self.core.added_at
    }

    /// How often this process used it.
    #[must_use]
    pub fn usage(&self) -> Usage {
        self.core.counters.read()
    }

    /// Since when it signs or will, and which of two of one moment is the later.
    pub(crate) fn start(&self) -> Option<(SystemTime, u64)> {
        match self.signs {
            Signs::From(moment) => Some((moment, self.sequence)),
            Signs::Never | Signs::Unscheduled => None,
        }
    }

    /// Its start, if that has come and it may sign: a short fallback never does.
    pub(crate) fn begun(&self, now: SystemTime) -> Option<(SystemTime, u64)> {
        self.start().filter(|(from, _)| *from <= now && !self.is_short())
    }

    /// Whether its secret is shorter than a key's that signs.
    pub(crate) fn is_short(&self) -> bool {
        self.core.is_short
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

    pub(crate) fn names(&self) -> impl Iterator<Item = Kid> {
        std::iter::once(self.core.kid).chain(self.core.aliases.iter().copied())
    }

    /// Whether both were made from one secret, as HMAC pads it.
    pub(crate) fn same_secret(&self, other: &Self) -> bool {
        self.core.prints.iter().zip(&other.core.prints).any(|(own, other)| own == other)
    }
}

impl<K> Clone for Key<K> {
    fn clone(&self) -> Self {
        Self {
            core: Arc::clone(&self.core),
            signs: self.signs,
            sequence: self.sequence,
            retire_at: self.retire_at,
            revoked: self.revoked.clone(),
        }
    }
}

impl<K> fmt::Debug for Key<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("kid", &self.core.kid)
            .field("signs", &self.signs)
            .field("retire_at", &self.retire_at)
            .field("revoked", &self.revoked)
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
        Ok(Key {
            core: Arc::new(Core {
                kid,
                aliases: self.aliases.clone().into(),
                material: K::prepare(secret, kid, options)?,
                counters: Counters::new(),
                prints: prints(secret),
                added_at,
                is_short,
            }),
            // When it signs, and in which order, is for the ring to say.
            signs: Signs::Unscheduled,
            sequence: 0,
            retire_at: self.retire_at,
            revoked: None,
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

/// The kid of a key that nobody named.
pub(crate) fn derived_kid(secret: &[u8], purpose: &str) -> Kid {
    let tag = HmacSha256::new(secret).mac(&[b"dualkey kid v1\0", purpose.as_bytes()].concat());
    Kid::new(&BASE64URL.encode_to_string(&tag[..12])).expect("16 characters of base64url are a kid")
}

/// What tells two secrets apart after HMAC has padded them, with blocks of 64
/// bytes and with blocks of 128: equal in one of the two is the same secret.
fn prints(secret: &[u8]) -> [[u8; 32]; 2] {
    const LABEL: &[u8] = b"dualkey print v1";
    let wide = HmacSha512::new(secret).mac(LABEL);
    let mut half = [0; 32];
    half.copy_from_slice(&wide[..32]);
    [HmacSha256::new(secret).mac(LABEL), half]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frozen: a change would rename every key in the field.
    #[test]
    fn derived_kids_are_those_of_the_test_vectors() {
        let secret = b"kH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5kH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5";
        for (purpose, kid) in [
            ("jwt", "ccR5-2VI_YqfJw9i"),
            ("cookie", "pDK4NH-BDfnjgS8_"),
            ("webhook", "IDtCyjmk3u6bn09I"),
            ("envelope", "xUemqEaLmY_4yeod"),
        ] {
            assert_eq!(derived_kid(secret, purpose), *kid, "{purpose}");
        }
    }
}
