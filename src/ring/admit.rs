//! Whether a secret may become a key: length, emptiness, placeholders, and public
//! keys where a secret belongs.

use std::time::SystemTime;

use crate::error::Error;
use crate::key::{Key, KeyMaterial, NewKey, derived_kid};
use crate::kid::Kid;
use crate::purpose::{Purpose, SecretLength};
#[cfg(feature = "store")]
use crate::ring::Policy;
use crate::secret::Secret;

/// What the builder relaxed.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Rules {
    pub(crate) min_secret_bytes: Option<usize>,
    /// Whether `dangerous()` set the minimum.
    pub(crate) unlocked: bool,
    pub(crate) allow_short_fallbacks: bool,
    pub(crate) allow_placeholders: bool,
}

#[cfg(feature = "store")]
impl Rules {
    /// The rules of a manifest with `policy`.
    pub(crate) fn of_policy(policy: &Policy) -> Self {
        let dangerous = policy.dangerous_min_secret_bytes;
        Self {
            min_secret_bytes: dangerous.or(policy.min_secret_bytes),
            unlocked: dangerous.is_some(),
            ..Self::default()
        }
    }
}

/// Returns `true` if `secret` is shorter than the floor of its purpose, so that a public digest of
/// it would confirm a guess.
#[cfg(feature = "store")]
pub(crate) fn is_below_floor(secret: &Secret, purpose: Purpose, algorithm: Option<&str>) -> bool {
    match purpose.length(algorithm) {
        SecretLength::AtLeast { floor, .. } => secret.expose().len() < floor,
        SecretLength::Exactly(_) => false,
    }
}

/// Checks `new`, which errors call `label`, and prepares it; `number` names a key whose
/// kid may not be derived.
pub(super) fn prepare<K: KeyMaterial>(
    new: &NewKey<K>,
    label: &str,
    is_fallback: bool,
    options: &K::Options,
    rules: &Rules,
    number: impl FnOnce() -> usize,
    now: SystemTime,
) -> Result<Key<K>, Error> {
    let options = new.options.as_ref().unwrap_or(options);
    let algorithm = K::algorithm(options);
    let is_short = check(&new.secret, label, is_fallback, K::PURPOSE, algorithm.as_deref(), rules)?;
    let kid = kid(new.kid, &new.secret, K::PURPOSE, is_short, number)?;
    new.prepare(kid, options, is_short, now)
        .map_err(|algorithm| Error::UnsupportedAlgorithm { key: label.to_owned(), algorithm })
}

/// The kid that was set, or the one that an unnamed key gets. A short secret that was admitted
/// never signs, and may be guessed: its kid is a number, as that of a secret that people choose.
pub(crate) fn kid(
    set: Option<Kid>,
    secret: &Secret,
    purpose: Purpose,
    is_short: bool,
    number: impl FnOnce() -> usize,
) -> Result<Kid, Error> {
    match set {
        Some(kid) => Ok(kid),
        None if purpose.derives_kid() && !is_short => Ok(derived_kid(secret.expose(), purpose)),
        None => Kid::new(&numbered(purpose, number())),
    }
}

/// The kid of a key by its number.
pub(crate) fn numbered(purpose: Purpose, number: usize) -> String {
    format!("{purpose}-{number}")
}

/// The number of a short key from a variable: by its name alone, so that all instances call the
/// key the same, whichever other variables they have. The keys of other purposes are counted.
pub(crate) fn number_of(variable: Option<&str>, purpose: Purpose) -> Option<usize> {
    let variable = variable.filter(|_| purpose.derives_kid())?;
    Some(match variable {
        own if own.ends_with("_NEW") => 1,
        own if own.ends_with("_OLD") => 3,
        own if own.ends_with("_BACKUP") => 4,
        own if own.ends_with("_NEXT") => 5,
        _ => 2,
    })
}

/// A key that is to sign has no end of its own: what it signed last would be cut off.
pub(super) fn only_fallbacks_end<K: KeyMaterial>(
    new: &NewKey<K>,
    label: &str,
) -> Result<(), Error> {
    match new.retire_at {
        Some(_) => Err(Error::EndsWhileItSigns { key: label.to_owned() }),
        None => Ok(()),
    }
}

/// Checks the secret of a key, which errors call `label`; says whether it is a short one
/// that was let in.
pub(crate) fn check(
    secret: &Secret,
    label: &str,
    is_fallback: bool,
    purpose: Purpose,
    algorithm: Option<&str>,
    rules: &Rules,
) -> Result<bool, Error> {
    let secret = secret.expose();
    if secret.is_empty() {
        return Err(Error::EmptySecret { key: label.to_owned() });
    }
    // What is only shown to others may be one: a provider gives what it gives.
    if let Some(what) = asymmetric(secret).filter(|_| purpose != Purpose::Credential) {
        return Err(Error::AsymmetricKey { key: label.to_owned(), what });
    }
    // Before the length: `changeme` is too short as well, and a longer
    // placeholder is no mend.
    if let Some(why) = placeholder(secret).filter(|_| !rules.allow_placeholders) {
        return Err(Error::Placeholder { key: label.to_owned(), why });
    }

    let (standard, floor) = match purpose.length(algorithm) {
        SecretLength::AtLeast { minimum, floor } => (minimum, floor),
        SecretLength::Exactly(expected) if secret.len() == expected => return Ok(false),
        SecretLength::Exactly(expected) => {
            let (key, length) = (label.to_owned(), secret.len());
            return Err(Error::WrongLength { key, length, expected, generate: purpose.generate() });
        }
    };
    let minimum = match rules.min_secret_bytes {
        None => standard,
        Some(relaxed) if rules.unlocked => relaxed,
        Some(relaxed) => relaxed.max(floor),
    };
    let is_short = secret.len() < minimum;
    if !is_short || (is_fallback && rules.allow_short_fallbacks) {
        return Ok(is_short);
    }
    let mend = match () {
        () if is_fallback => {
            "if it must still verify for a while, let it in with `allow_short_fallbacks()`"
        }
        () if minimum > floor => {
            "generate a longer one (`openssl rand -hex 64`), or relax it with `min_secret_bytes`"
        }
        () => {
            "generate a longer one (`openssl rand -hex 64`); less than the standards ask for \
             (RFC 7518 section 3.2) is only to be had through `dangerous()`"
        }
    };
    Err(Error::ShortSecret { key: label.to_owned(), length: secret.len(), minimum, mend })
}

/// What a value looks like that is a key of an asymmetric algorithm. Under an
/// HMAC a public key would be a secret that everybody knows.
fn asymmetric(secret: &[u8]) -> Option<&'static str> {
    let text = std::str::from_utf8(secret).unwrap_or_default().trim_start();
    if text.starts_with("-----BEGIN") {
        return Some("a PEM document");
    }
    if ["ssh-rsa ", "ssh-ed25519 ", "ecdsa-sha2-"].iter().any(|start| text.starts_with(start)) {
        return Some("an SSH public key");
    }
    (text.starts_with('{') && text.contains("\"kty\"")).then_some("a JSON Web Key")
}

/// What gives a value away that nobody filled in.
fn placeholder(secret: &[u8]) -> Option<&'static str> {
    const WORDS: [&str; 29] = [
        "changeme",
        "changeit",
        "default",
        "development",
        "dev",
        "dummy",
        "empty",
        "example",
        "false",
        "fixme",
        "foobar",
        "keyboardcat",
        "mysecret",
        "nan",
        "nil",
        "none",
        "null",
        "objectobject",
        "password",
        "placeholder",
        "secret",
        "secretkey",
        "shhhhh",
        "supersecret",
        "test",
        "testing",
        "todo",
        "true",
        "undefined",
    ];
    const STARTS: [&str; 10] = [
        "changeme",
        "changethis",
        "replaceme",
        "replacethis",
        "replacewith",
        "insertyour",
        "putyour",
        "yoursecret",
        "yoursuper",
        "enteryour",
    ];
    // Bytes that are no text may by chance begin with `<` and end with `>`.
    let text = std::str::from_utf8(secret).unwrap_or_default().trim();
    let wrapped = [("<", ">"), ("${", "}"), ("{{", "}}"), ("[", "]"), ("%", "%")]
        .iter()
        .any(|(open, close)| text.len() > 2 && text.starts_with(open) && text.ends_with(close));
    if wrapped {
        return Some("a template that was not filled in");
    }
    let plain: String =
        text.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    let yours = plain.starts_with("your")
        && ["secret", "key", "token", "here"].iter().any(|word| plain.contains(word));
    if WORDS.contains(&plain.as_str()) || STARTS.iter().any(|s| plain.starts_with(s)) || yours {
        return Some("a word that stands for a secret");
    }
    // A random secret of eight bytes and more never consists of a repeated part.
    let repeats = |part: usize| secret.chunks(part).all(|chunk| secret.starts_with(chunk));
    let longest = (secret.len() / 2).min(16);
    (1..=longest).any(|part| secret.len() >= 8 && repeats(part)).then_some("a repetition")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_known() {
        for value in [
            "changeme",
            "CHANGE_ME",
            "change-me-in-production-please-it-is-important-0123456789",
            "secret",
            "your-256-bit-secret",
            "your_super_secret_jwt_key_goes_here_0123456789abcdef",
            "undefined",
            "null",
            "[object Object]",
            "<your jwt secret>",
            "${JWT_SECRET}",
            "{{ .Values.jwtSecret }}",
            "keyboard cat",
            "test",
            "replace-with-a-long-random-string",
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
            "secretsecretsecretsecretsecretsecretsecretsecretsecretsecretsecr",
        ] {
            assert!(placeholder(value.as_bytes()).is_some(), "{value}");
        }
        assert!(placeholder(&[0; 64]).is_some());
    }

    #[test]
    fn secrets_are_not_taken_for_placeholders() {
        for value in [
            "new-secret-2026-kH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5",
            "0f1e2d3c4b5a69788796a5b4c3d2e1f0",
            "youth-9XkqLr2vTb7Yx2Zq9Ml5KiWm3HjPs8Dn4Fg6",
            "test_sk_51Hx9LrT4nZ8yB1cF6gJ0sD3pA5kH7vQ2m",
        ] {
            assert_eq!(placeholder(value.as_bytes()), None, "{value}");
        }
        let binary: Vec<u8> = (0..64).collect();
        assert_eq!(placeholder(&binary), None);
        // A template or a word of a text, and chance in 32 random bytes.
        let mut random: Vec<u8> = (0..32).map(|byte| 200_u8.wrapping_add(byte * 7)).collect();
        assert_eq!(placeholder(&random), None);
        (random[0], random[31]) = (b'<', b'>');
        assert_eq!(placeholder(&random), None);
    }

    #[test]
    fn public_keys_are_known() {
        for value in [
            "-----BEGIN PUBLIC KEY-----\nMIIB",
            "  -----BEGIN RSA PRIVATE KEY-----",
            "ssh-ed25519 AAAAC3Nz",
            r#"{"kty":"RSA","n":"0vx7"}"#,
        ] {
            assert!(asymmetric(value.as_bytes()).is_some(), "{value}");
        }
    }
}
