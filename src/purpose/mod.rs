//! The purpose of a key, with the rules that follow from it.

mod codec;

use std::fmt;

/// What the keys of a ring are for: one secret serves one purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Purpose {
    /// Tokens, [`jwt`](crate::jwt).
    Jwt,
    /// Session cookies, [`cookie`](crate::cookie).
    Cookie,
    /// Webhook deliveries, [`webhook`](crate::webhook).
    Webhook,
    /// The tokens of a webhook's handshake.
    VerifyToken,
    /// Data at rest, [`envelope`](crate::envelope).
    Envelope,
    /// What is shown to others, and verified by them: an outgoing API key, a password, a URL
    /// with one.
    Credential,
    /// The records of the audit trail, `ops::audit`.
    Audit,
}

/// How long a secret must be, in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum SecretLength {
    /// The longer the better.
    AtLeast {
        /// Unless it is relaxed.
        minimum: usize,
        /// The least length without `dangerous()`.
        floor: usize,
    },
    /// The length of the cipher's key: no setting relaxes it.
    Exactly(usize),
}

/// The rules of a purpose, by field.
struct Spec {
    name: &'static str,
    has_expiry_by_time: bool,
    has_revivable_values: bool,
    needs_rewrap: bool,
    needs_traffic: bool,
    #[cfg_attr(
        not(feature = "full"),
        allow(dead_code, reason = "stores use it, behind a feature")
    )]
    needs_agreement: bool,
    is_made_elsewhere: bool,
    max_live_keys: usize,
    has_derived_kid: bool,
    /// A command that generates a secret.
    generate: &'static str,
    length: SecretLength,
}

/// The most keys that are tried for a value that names none (V2).
pub(crate) const MAX_TRIED_KEYS: usize = 4;

/// The most live keys where a value names its key.
const MAX_NAMED_KEYS: usize = 16;

/// A secret that verifies values of limited lifetime: the rules that most purposes share.
const SIGNING: Spec = Spec {
    name: "",
    has_expiry_by_time: true,
    has_revivable_values: false,
    needs_rewrap: false,
    needs_traffic: true,
    needs_agreement: true,
    is_made_elsewhere: false,
    max_live_keys: MAX_TRIED_KEYS,
    has_derived_kid: true,
    generate: "openssl rand -hex 64",
    length: SecretLength::AtLeast { minimum: 64, floor: 32 },
};

// RFC 7518 section 3.2: a key is as long as the output of its hash.
static JWT: Spec = Spec { name: "jwt", has_revivable_values: true, ..SIGNING };
static COOKIE: Spec = Spec { name: "cookie", has_revivable_values: true, ..SIGNING };
static WEBHOOK: Spec = Spec {
    name: "webhook",
    is_made_elsewhere: true,
    length: SecretLength::AtLeast { minimum: 32, floor: 32 },
    ..SIGNING
};
static VERIFY_TOKEN: Spec = Spec {
    name: "verify-token",
    has_derived_kid: false,
    length: SecretLength::AtLeast { minimum: 16, floor: 16 },
    ..SIGNING
};
static ENVELOPE: Spec = Spec {
    name: "envelope",
    has_expiry_by_time: false,
    needs_rewrap: true,
    needs_traffic: false,
    max_live_keys: MAX_NAMED_KEYS,
    generate: "openssl rand -hex 32",
    // The key of AES-256.
    length: SecretLength::Exactly(32),
    ..SIGNING
};
static CREDENTIAL: Spec = Spec {
    name: "credential",
    has_expiry_by_time: false,
    is_made_elsewhere: true,
    max_live_keys: MAX_NAMED_KEYS,
    has_derived_kid: false,
    // A generated password has more; a provider may give less.
    length: SecretLength::AtLeast { minimum: 16, floor: 8 },
    ..SIGNING
};
static AUDIT: Spec = Spec {
    name: "audit",
    has_expiry_by_time: false,
    needs_traffic: false,
    needs_agreement: false,
    max_live_keys: MAX_NAMED_KEYS,
    ..SIGNING
};

impl Purpose {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Jwt,
        Self::Cookie,
        Self::Webhook,
        Self::VerifyToken,
        Self::Envelope,
        Self::Credential,
        Self::Audit,
    ];

    fn spec(self) -> &'static Spec {
        match self {
            Self::Jwt => &JWT,
            Self::Cookie => &COOKIE,
            Self::Webhook => &WEBHOOK,
            Self::VerifyToken => &VERIFY_TOKEN,
            Self::Envelope => &ENVELOPE,
            Self::Credential => &CREDENTIAL,
            Self::Audit => &AUDIT,
        }
    }

    /// Returns its name: frozen, because it is in manifests and a part of derived kids.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.spec().name
    }

    /// The purpose of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|purpose| purpose.as_str() == name)
    }

    /// Returns `true` if a superseded key expires when its overlap is over. Other keys do not: an
    /// encryption key is needed until a rewrap replaces it, a credential until no instance shows it,
    /// and an audit key for as long as its records are kept.
    #[must_use]
    pub fn has_expiry_by_time(self) -> bool {
        self.spec().has_expiry_by_time
    }

    /// Whether a key that is live again makes tokens or sessions valid again.
    pub(crate) fn has_revivable_values(self) -> bool {
        self.spec().has_revivable_values
    }

    /// Whether only a rewrap over what is stored says that a key is not needed.
    pub(crate) fn needs_rewrap(self) -> bool {
        self.spec().needs_rewrap
    }

    /// Whether the verdict on its keys needs verifications under the primary: a rewrap replaces them,
    /// and keys of the audit verify what is stored.
    pub(crate) fn needs_traffic(self) -> bool {
        self.spec().needs_traffic
    }

    /// Whether instances hold its keys, and so have to agree before another one signs. The
    /// keys of the audit are read again for each record.
    #[cfg_attr(not(feature = "full"), allow(dead_code, reason = "stores use it, behind a feature"))]
    pub(crate) fn needs_agreement(self) -> bool {
        self.spec().needs_agreement
    }

    /// Returns `true` if its values come from the other side, which signs with them or verifies them. The
    /// other side would not know a random value that was made here.
    #[must_use]
    pub fn is_made_elsewhere(self) -> bool {
        self.spec().is_made_elsewhere
    }

    /// Returns the largest number of keys that may verify at one time: more where a value names its key,
    /// so that no key is tried.
    #[must_use]
    pub fn max_live_keys(self) -> usize {
        self.spec().max_live_keys
    }

    /// Returns whether the kid of a key that may sign is derived from its secret: not from one that
    /// people choose, of which it would confirm a guess. A short secret that never signs has none
    /// either: see [`admission::kid`](crate::lifecycle::admission::kid).
    pub(crate) fn has_derived_kid(self) -> bool {
        self.spec().has_derived_kid
    }

    /// Returns whether a secret of `length` bytes may be guessed, so that a public digest of it
    /// would confirm a guess.
    #[cfg_attr(not(feature = "full"), allow(dead_code, reason = "stores use it, behind a feature"))]
    pub(crate) fn is_guessable(self, length: usize) -> bool {
        let is_short = match self.length(None) {
            SecretLength::AtLeast { minimum, .. } => length < minimum,
            SecretLength::Exactly(_) => false,
        };
        is_short || !self.has_derived_kid()
    }

    /// A command that makes a good secret.
    pub(crate) fn generate(self) -> &'static str {
        self.spec().generate
    }

    /// How long a secret must be for `algorithm`, where there is a choice of it.
    pub(crate) fn length(self, algorithm: Option<&str>) -> SecretLength {
        match (self.spec().length, algorithm) {
            (SecretLength::AtLeast { minimum, .. }, Some("HS512")) if self == Self::Jwt => {
                SecretLength::AtLeast { minimum, floor: 64 }
            }
            (SecretLength::AtLeast { minimum, .. }, Some("HS384")) if self == Self::Jwt => {
                SecretLength::AtLeast { minimum, floor: 48 }
            }
            (length, _) => length,
        }
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
