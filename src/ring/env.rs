//! Keys from the environment, by the names that backends already use.
//!
//! For a name `X`, unset and empty being the same:
//!
//! | variable | the key |
//! |---|---|
//! | `X_NEW`, `X`, `X_OLD`, `X_BACKUP` | the first that is set, in this order, is the primary; the others are fallbacks |
//! | `X_NEXT` | staged: it verifies, and does not sign |
//!
//! The same secret under two names is one key, under the first name. A secret is
//! the UTF-8 text of the variable, as Node's and Python's libraries take it;
//! `hex:` and `base64:` before it say otherwise, and base64 may be of either alphabet (RFC 4648 §4,
//! §5), padded or not. The key of an AES ring is 32 bytes, as 64 hexadecimal digits or as base64.
//!
//! A value that is not a secret alone is refused, with the variable in the error
//! ([`ValueForm`](crate::ValueForm)): one that begins or ends with a quote, white space or a line end;
//! JSON, a list of secrets, a comment, `NAME=value`. A credential follows its own format: only its
//! first and last character count, and a comment behind it. Ciphertext and the
//! address of a secret in a store are refused too ([`Reference`](crate::Reference)). After `hex:` and
//! `base64:` every byte counts.
//!
//! A ring that tries its keys (tokens, cookies, webhooks) verifies with four at most. If all five
//! variables are set, and different, `X_BACKUP` is left out, and the observer is warned.
//!
//! `X_NEW` leads into the race of a rolling deploy: the instance that has it signs
//! before the others can verify. It works, and the observer is warned. The way
//! without the race: `X_NEXT` on every instance first, then `X_NEW`.
//!
//! What a process cannot know from its environment it does not pretend to know:
//! when a key was superseded, so a fallback verifies until it is retired, and a
//! retirement counts its overlap from the start of the process; and what was revoked
//! in memory, which is gone at the next start unless the variable is.

use std::env::VarError;

use zeroize::Zeroizing;

use crate::error::Error;
use crate::lifecycle::admission;
use crate::purpose::Purpose;
use crate::ring::{KeyMaterial, KeyRing, NewKey, RingBuilder};
use crate::secret::Secret;
use crate::text::is_hidden;
use crate::variable_names::{BACKUP, CURRENT, NEW, NEXT, OLD};

impl<K: KeyMaterial> KeyRing<K> {
    /// A ring from the environment variables around `name`, with everything else
    /// as the builder has it. To hear its warnings, give the builder an
    /// [`observer`](RingBuilder::observer) and its keys by [`env`](RingBuilder::env).
    ///
    /// ```no_run
    /// use dualkey::KeyRing;
    /// use dualkey::jwt::JwtKey;
    ///
    /// let ring = KeyRing::<JwtKey>::from_env("JWT_SECRET")?;
    /// # Ok::<(), dualkey::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`RingBuilder::build`]; the variable is named.
    pub fn from_env(name: &str) -> Result<Self, Error> {
        Self::builder().env(name).build()
    }
}

impl<K: KeyMaterial> RingBuilder<K> {
    /// Adds the keys of the environment variables around `name`, and names the
    /// ring after it.
    pub fn env(self, name: &str) -> Self {
        self.vars(name, process)
    }

    /// As [`env`](Self::env), with a lookup of your own: the parsed `.env` of a
    /// test, a configuration that was merged.
    ///
    /// ```
    /// use dualkey::KeyRing;
    /// use dualkey::jwt::JwtKey;
    /// use std::collections::HashMap;
    ///
    /// # let (new, old) = ("kH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eUkH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eU",
    /// #     "Nf0Vg6Jc3Ds8Pw1Ra4Tb7Yx2Zq9Ml5KiNf0Vg6Jc3Ds8Pw1Ra4Tb7Yx2Zq9Ml5Ki");
    /// let vars = HashMap::from([("JWT_SECRET", new), ("JWT_SECRET_OLD", old)]);
    /// let ring = KeyRing::<JwtKey>::builder()
    ///     .vars("JWT_SECRET", |name| Ok(vars.get(name).map(|value| value.to_string())))
    ///     .build()?;
    /// assert_eq!(ring.keys().len(), 2);
    /// # Ok::<(), dualkey::Error>(())
    /// ```
    pub fn vars(
        mut self,
        name: &str,
        lookup: impl Fn(&str) -> Result<Option<String>, LookupError>,
    ) -> Self {
        match read(K::PURPOSE, name, &lookup) {
            Ok(found) => self.take(name, found).name(name),
            Err(error) => {
                self.failed.get_or_insert(error);
                self
            }
        }
    }

    fn take(mut self, name: &str, found: EnvSecrets) -> Self {
        if found.signing.is_empty() {
            self.failed.get_or_insert(Error::NoPrimary {
                ring: name.to_owned(),
                remedy: match found.next {
                    None => format!("set {name} to a random secret (`{}`)", K::PURPOSE.generate()),
                    Some(_) => format!("{name}{NEXT} is only staged: set {name} as well"),
                },
            });
            return self;
        }
        self.warnings.extend(found.warnings);
        for (place, (variable, secret)) in found.signing.into_iter().enumerate() {
            let key = labelled_key(variable, secret);
            self = if place == 0 { self.primary(key) } else { self.fallback(key) };
        }
        if let Some((variable, secret)) = found.next {
            self = self.staged(labelled_key(variable, secret));
        }
        self
    }
}

/// A key that errors call by its variable.
fn labelled_key<K: KeyMaterial>(variable: String, secret: Secret) -> NewKey<K> {
    let mut key = NewKey::new(secret);
    key.label = Some(variable);
    key
}

/// The error of a lookup. It is never an absence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LookupError {
    /// The value of the variable is not UTF-8.
    #[error("the value is not UTF-8")]
    NotUnicode,
    /// The lookup failed, so that it is not known whether the variable is set.
    #[error("the lookup failed: {problem}")]
    Failed {
        /// The reason, without a part of the value.
        problem: String,
    },
}

impl LookupError {
    /// Returns the error of a ring that needs the value of `variable`.
    pub(crate) fn for_variable(self, variable: String) -> Error {
        match self {
            Self::NotUnicode => Error::NotUnicode { variable },
            Self::Failed { problem } => Error::LookupFailed { variable, problem },
        }
    }
}

/// Answers with the value of a variable.
pub(crate) type Lookup = dyn Fn(&str) -> Result<Option<String>, LookupError> + Send + Sync;

/// The variables of this process.
pub(crate) fn process(variable: &str) -> Result<Option<String>, LookupError> {
    match std::env::var(variable) {
        Ok(value) => Ok(Some(value)),
        Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(_)) => Err(LookupError::NotUnicode),
    }
}

/// What the environment holds, each secret once, with the name of its variable.
pub(crate) struct EnvSecrets {
    pub(crate) signing: Vec<(String, Secret)>,
    pub(crate) next: Option<(String, Secret)>,
    /// The dangers that the variables show, each with its variable.
    pub(crate) warnings: Vec<(String, &'static str)>,
    /// Whether `X_BACKUP` is set, and no key of it was made.
    pub(crate) is_backup_left_out: bool,
}

impl EnvSecrets {
    /// All secrets, with the names of their variables.
    pub(crate) fn all(&self) -> impl Iterator<Item = &(String, Secret)> + Clone {
        self.signing.iter().chain(&self.next)
    }
}

pub(crate) fn read(
    purpose: Purpose,
    name: &str,
    lookup: &(impl Fn(&str) -> Result<Option<String>, LookupError> + ?Sized),
) -> Result<EnvSecrets, Error> {
    if name.is_empty() || name.contains('=') || name.chars().any(is_hidden) {
        return Err(Error::NotAVariable { length: name.len() });
    }
    let value = |suffix: &str| {
        let variable = format!("{name}{suffix}");
        match lookup(&variable) {
            Ok(Some(text)) if !text.is_empty() => Ok(Some((variable, Zeroizing::new(text)))),
            Ok(_) => Ok(None),
            Err(error) => Err(error.for_variable(variable)),
        }
    };
    // All first: a lookup that fails is an error, also of a variable that is left out.
    let [new, current, old, backup, next] =
        [value(NEW)?, value(CURRENT)?, value(OLD)?, value(BACKUP)?, value(NEXT)?];
    let mut signing: Vec<(String, Secret)> = Vec::new();
    let known = |signing: &[(String, Secret)], secret: &Secret| {
        signing.iter().any(|(_, other)| other.expose() == secret.expose())
    };
    for (variable, text) in [new, current, old].into_iter().flatten() {
        let secret = decode(purpose, &variable, &text)?;
        if !known(&signing, &secret) {
            signing.push((variable, secret));
        }
    }
    let decode_next = |(variable, text): (String, Zeroizing<String>)| {
        decode(purpose, &variable, &text).map(|secret| (variable, secret))
    };
    let next = next.map(decode_next).transpose()?;
    let mut next = next.filter(|(_, secret)| !known(&signing, secret));
    let is_full = signing.len() + usize::from(next.is_some()) >= purpose.max_live_keys();
    let mut left_out = None;
    let is_next = |secret: &Secret| {
        next.as_ref().is_some_and(|(_, staged)| staged.expose() == secret.expose())
    };
    if let Some((variable, text)) = backup {
        match decode(purpose, &variable, &text) {
            Ok(secret) if known(&signing, &secret) => {}
            // One secret under two names is one key, under the first name.
            Ok(secret) if is_next(&secret) => {
                next = None;
                signing.push((variable, secret));
            }
            _ if is_full => left_out = Some(variable),
            decoded => signing.push((variable, decoded?)),
        }
    }
    let mut warnings = Vec::new();
    let (new, old) = (format!("{name}{NEW}"), format!("{name}{OLD}"));
    if signing.first().is_some_and(|(first, _)| *first == old) {
        warnings.push((
            old,
            "the old key signs, because no newer one is set: has a variable been lost?",
        ));
    }
    if signing.len() > 1 && signing[0].0 == new {
        warnings.push((
            new,
            "it signs at once, before other instances can verify: deploy it as _NEXT first",
        ));
    }
    let is_backup_left_out = left_out.is_some();
    warnings.extend(left_out.map(|variable| {
        let why = "it is left out, and what it signed is rejected: four keys are set besides, which \
                   is the most that may verify; remove the variable of the key that has expired";
        (variable, why)
    }));
    Ok(EnvSecrets { signing, next, warnings, is_backup_left_out })
}

/// The secret of `variable`, whose value is `text`.
fn decode(purpose: Purpose, variable: &str, text: &str) -> Result<Secret, Error> {
    purpose
        .decode(text.to_owned())
        .map_err(|expected| admission::encoding_error(variable, text, purpose, expected))
}
