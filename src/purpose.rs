//! What keys are for, and what follows from it.

use std::fmt;

use zeroize::Zeroizing;

use crate::encoding::{from_any_base64, from_hex};
#[cfg(feature = "store")]
use crate::error::Error;
use crate::mac::MAX_LANES;
use crate::secret::Secret;

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

/// How many letters a new password has.
#[cfg(feature = "store")]
const CREDENTIAL_LETTERS: usize = 32;

/// How long a secret must be, in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum SecretLength {
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

    /// Its name: frozen, because it stands in manifests and goes into derived kids.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Jwt => "jwt",
            Self::Cookie => "cookie",
            Self::Webhook => "webhook",
            Self::VerifyToken => "verify-token",
            Self::Envelope => "envelope",
            Self::Credential => "credential",
            Self::Audit => "audit",
        }
    }

    /// The purpose of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|purpose| purpose.as_str() == name)
    }

    /// Whether a superseded key ends by itself when its overlap is over. What is sealed is
    /// needed until somebody has rewrapped it, a credential until nobody shows it any more, and
    /// a record of the audit is to be verified after years.
    #[must_use]
    pub fn ends_by_time(self) -> bool {
        !matches!(self, Self::Envelope | Self::Credential | Self::Audit)
    }

    /// Whether a key that is live again makes tokens or sessions valid again.
    pub(crate) fn revives_what_it_signed(self) -> bool {
        matches!(self, Self::Jwt | Self::Cookie)
    }

    /// Whether only a sweep over what is stored says that a key is not needed.
    pub(crate) fn needs_sweep(self) -> bool {
        self == Self::Envelope
    }

    /// Whether the verdict on its keys needs verifications under the primary: a rewrap replaces them,
    /// and keys of the audit verify what is stored.
    pub(crate) fn needs_traffic(self) -> bool {
        !matches!(self, Self::Envelope | Self::Audit)
    }

    /// Whether instances hold its keys, and so have to agree before another one signs. The
    /// keys of the audit are read anew for each record.
    #[cfg(feature = "store")]
    pub(crate) fn needs_agreement(self) -> bool {
        self != Self::Audit
    }

    /// Whether its values come from the other side: from who signs with it, or who verifies it. A
    /// random one that was made here would be known to nobody there.
    #[must_use]
    pub fn is_made_elsewhere(self) -> bool {
        matches!(self, Self::Webhook | Self::Credential)
    }

    /// The most keys that may verify at one time: where none is tried, more may be kept.
    #[must_use]
    pub fn cap(self) -> usize {
        match self {
            Self::Envelope | Self::Credential | Self::Audit => 16,
            _ => MAX_LANES,
        }
    }

    /// Returns whether the kid of a key that may sign is derived from its secret: not from one that
    /// people choose, of which it would confirm a guess. A short secret that never signs has none
    /// either: see [`admit::kid`](crate::ring::admit::kid).
    pub(crate) fn derives_kid(self) -> bool {
        !matches!(self, Self::VerifyToken | Self::Credential)
    }

    /// Returns whether a secret of `length` bytes may be guessed, so that a public digest of it
    /// would confirm a guess.
    #[cfg(feature = "store")]
    pub(crate) fn is_guessable(self, length: usize) -> bool {
        let is_short = match self.length(None) {
            SecretLength::AtLeast { minimum, .. } => length < minimum,
            SecretLength::Exactly(_) => false,
        };
        is_short || !self.derives_kid()
    }

    /// The secret that the text of a variable stands for; what it should have been is the
    /// error. `hex:` and `base64:`, of either alphabet, say what follows. Else it is, as Node's and Python's
    /// libraries take it, its UTF-8 bytes; of an AES key, hexadecimal digits or base64.
    pub(crate) fn decode(self, text: String) -> Result<Secret, &'static str> {
        let text = Zeroizing::new(text);
        if let Some(digits) = text.strip_prefix("hex:") {
            return from_hex(digits).map(Secret::from).ok_or("hexadecimal digits after `hex:`");
        }
        if let Some(base64) = text.strip_prefix("base64:") {
            return from_any_base64(base64).map(Secret::from).ok_or("base64 after `base64:`");
        }
        if self != Self::Envelope {
            return Ok(Secret::of_value(&text));
        }
        // A key in hexadecimal digits would be base64 of another length as well.
        let is_hex =
            text.len().is_multiple_of(2) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let bytes = if is_hex { from_hex(&text) } else { from_any_base64(&text) };
        bytes.map(Secret::from).ok_or("64 hexadecimal digits or base64 of 32 bytes")
    }

    /// A new secret from the operating system's generator.
    #[cfg(feature = "store")]
    pub(crate) fn random(self) -> Result<Secret, Error> {
        let random = |bytes: &mut [u8]| {
            getrandom::fill(bytes).map_err(|error| Error::Random { source: Box::new(error) })
        };
        let mut bytes = Zeroizing::new([0; 64]);
        random(&mut *bytes)?;
        match self {
            Self::Envelope => Ok(Secret::from(&bytes[..32])),
            Self::Credential => {
                const LETTERS: &[u8; 62] =
                    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
                // With its room from the start: growing would leave parts behind.
                let mut text = Zeroizing::new(Vec::with_capacity(CREDENTIAL_LETTERS));
                while text.len() < CREDENTIAL_LETTERS {
                    // Deliberately not the remainder of every byte: of 256, four numbers would
                    // be left over, and eight letters come up more often.
                    let fair = bytes.iter().filter(|byte| **byte < 248);
                    let left = CREDENTIAL_LETTERS - text.len();
                    text.extend(fair.take(left).map(|byte| LETTERS[usize::from(byte % 62)]));
                    random(&mut *bytes)?;
                }
                Ok(Secret::from(&text[..]))
            }
            _ => {
                const DIGITS: &[u8; 16] = b"0123456789abcdef";
                let mut text = Zeroizing::new(Vec::with_capacity(128));
                let halves = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
                text.extend(halves.map(|half| DIGITS[usize::from(half)]));
                Ok(Secret::from(&text[..]))
            }
        }
    }

    /// The logarithm of how many of those there are.
    #[cfg(feature = "ops")]
    pub(crate) fn random_bits(self) -> u32 {
        match self {
            Self::Envelope => 256,
            // 32 times 5.954, the logarithm of 62.
            Self::Credential => 190,
            _ => 512,
        }
    }

    /// The text that stands for a secret in a variable: what [`decode`](Self::decode) reads.
    #[cfg(feature = "store")]
    pub(crate) fn encode(self, secret: &[u8]) -> Zeroizing<String> {
        let text = std::str::from_utf8(secret).ok().filter(|text| {
            let is_printed = text.chars().all(|own| !own.is_control());
            is_printed && !text.starts_with("hex:") && !text.starts_with("base64:")
        });
        match text {
            Some(text) if self != Self::Envelope => Zeroizing::new(text.to_owned()),
            _ => {
                let prefix = if self == Self::Envelope { "" } else { "hex:" };
                // With its room from the start, so that no part is left behind unwiped.
                let mut text = String::with_capacity(prefix.len() + secret.len() * 2);
                text.push_str(prefix);
                for half in secret.iter().flat_map(|byte| [byte >> 4, byte & 15]) {
                    text.push(char::from_digit(half.into(), 16).unwrap_or_default());
                }
                Zeroizing::new(text)
            }
        }
    }

    /// The text of a secret for a reader that reads `like`: an AES key in the form of that text,
    /// because a reader of base64 takes hexadecimal digits for another key.
    #[cfg(feature = "store")]
    pub(crate) fn encode_like(self, secret: &[u8], like: Option<&str>) -> Zeroizing<String> {
        let is_hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let (prefix, is_base64) = match like {
            Some(text) if text.starts_with("hex:") => ("hex:", false),
            Some(text) if text.starts_with("base64:") => ("base64:", true),
            Some(text) => ("", !is_hex(text)),
            None => ("", false),
        };
        if self != Self::Envelope || (prefix.is_empty() && !is_base64) {
            return self.encode(secret);
        }
        // With its room from the start, so that no part is left behind unwiped.
        let mut text = String::with_capacity(prefix.len() + secret.len() * 2 + 4);
        text.push_str(prefix);
        match is_base64 {
            // In the alphabet that the reader is known to take.
            true if like.is_some_and(|like| like.contains(['-', '_'])) => {
                base64_simd::URL_SAFE.encode_append(secret, &mut text);
            }
            true => base64_simd::STANDARD.encode_append(secret, &mut text),
            false => text.push_str(&self.encode(secret)),
        }
        Zeroizing::new(text)
    }

    /// A command that makes a good secret.
    pub(crate) fn generate(self) -> &'static str {
        match self {
            Self::Envelope => "openssl rand -hex 32",
            _ => "openssl rand -hex 64",
        }
    }

    /// How long a secret must be for `algorithm`, where there is a choice of it.
    pub(crate) fn length(self, algorithm: Option<&str>) -> SecretLength {
        match self {
            // RFC 7518 section 3.2: the output of the hash.
            Self::Jwt => SecretLength::AtLeast {
                minimum: 64,
                floor: match algorithm {
                    Some("HS512") => 64,
                    Some("HS384") => 48,
                    _ => 32,
                },
            },
            Self::Cookie | Self::Audit => SecretLength::AtLeast { minimum: 64, floor: 32 },
            Self::Webhook => SecretLength::AtLeast { minimum: 32, floor: 32 },
            Self::VerifyToken => SecretLength::AtLeast { minimum: 16, floor: 16 },
            // What a password has; a provider may give less.
            Self::Credential => SecretLength::AtLeast { minimum: 16, floor: 8 },
            // The key of AES-256.
            Self::Envelope => SecretLength::Exactly(32),
        }
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
