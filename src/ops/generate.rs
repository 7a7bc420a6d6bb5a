//! New secrets: of the right length and alphabet, from the operating system's generator.
//!
//! | purpose | bytes from the generator | as text | bits |
//! |---|---|---|---|
//! | tokens, cookies, webhooks, verify tokens, audit | 64 | 128 hexadecimal digits | 512 |
//! | AES-256 | 32 | 64 hexadecimal digits | 256 |
//! | credentials | as needed | 32 of `A-Z a-z 0-9`, each as likely | 190 |
//!
//! HMAC-SHA-256 gains nothing beyond 256 bits; 128 digits are what operators have always made
//! for it, and every purpose here takes them. A credential has no character that a URL, a shell
//! or a `.env` file would have escaped.

use std::fmt;
use std::path::Path;
use std::time::SystemTime;

use serde::Serialize;
use zeroize::Zeroizing;

use super::error::OpsError;
use crate::error::Error;
use crate::kid::Kid;
use crate::manifest::NewEntry;
use crate::manifest::random::{random_bits, random_secret};
use crate::moment::Exact;
use crate::purpose::Purpose;
use crate::secret::Secret;
use crate::source::disk;
use crate::variable_names::NEW;

/// A new secret, and what is public of it.
///
/// ```
/// use dualkey::Purpose;
/// use dualkey::ops::generate::Generated;
///
/// let new = Generated::new(Purpose::Jwt)?;
/// assert_eq!((new.text().expose().len(), new.bits()), (128, 512));
/// assert!(!format!("{new:?}").contains(std::str::from_utf8(new.text().expose())?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Generated {
    purpose: Purpose,
    secret: Secret,
}

impl Generated {
    /// A new secret for `purpose`.
    ///
    /// # Errors
    /// [`Error::Random`] if the operating system has none to give.
    pub fn new(purpose: Purpose) -> Result<Self, Error> {
        Ok(Self { purpose, secret: random_secret(purpose)? })
    }

    /// What it is for.
    #[must_use]
    pub fn purpose(&self) -> Purpose {
        self.purpose
    }

    /// Its strength, in bits: the logarithm of how many there are, each as likely.
    #[must_use]
    pub fn bits(&self) -> u32 {
        random_bits(self.purpose)
    }

    /// As it stands in a variable.
    #[must_use]
    pub fn text(&self) -> Secret {
        Secret::from(self.purpose.encode(self.secret.expose()).as_bytes())
    }

    /// The kid that a ring will call it by, unless one is set; none for a credential, whose
    /// name tells nothing of it.
    #[must_use]
    pub fn kid(&self) -> Option<Kid> {
        let derives = self.purpose.has_derived_kid();
        derives.then(|| crate::lifecycle::identity::derive_kid(self.secret.expose(), self.purpose))
    }

    /// As a key for a manifest.
    #[must_use]
    pub fn entry(&self) -> NewEntry {
        NewEntry::new(self.secret.clone())
    }
}

impl fmt::Debug for Generated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Generated").field("purpose", &self.purpose).finish_non_exhaustive()
    }
}

/// New secrets for several names, as a file that operators know: `.env.rotation`.
///
/// ```
/// use dualkey::Purpose;
/// use dualkey::ops::generate::Sheet;
/// use std::time::{Duration, UNIX_EPOCH};
///
/// let at = UNIX_EPOCH + Duration::from_secs(1_768_471_200);
/// let sheet = Sheet::new(at, [("JWT_SECRET", Purpose::Jwt)])?;
/// let text = sheet.to_env();
/// let text = std::str::from_utf8(text.expose())?;
/// assert!(text.starts_with("# Generated: 2026-01-15T10:00:00Z\n"));
/// assert!(text.contains("\nJWT_SECRET_NEW="));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Sheet {
    at: SystemTime,
    rows: Vec<(String, Generated)>,
}

impl Sheet {
    /// A new secret for each of `names`.
    ///
    /// # Errors
    /// [`Error::Random`] if the operating system has none to give.
    pub fn new<'n>(
        at: SystemTime,
        names: impl IntoIterator<Item = (&'n str, Purpose)>,
    ) -> Result<Self, Error> {
        let row = |(name, purpose): (&str, _)| Ok((name.to_owned(), Generated::new(purpose)?));
        Ok(Self { at, rows: names.into_iter().map(row).collect::<Result<_, Error>>()? })
    }

    /// The names with their secrets.
    #[must_use]
    pub fn rows(&self) -> &[(String, Generated)] {
        &self.rows
    }

    /// As the text of a `.env` file, each name with `_NEW` after it.
    #[must_use]
    pub fn to_env(&self) -> Secret {
        let head =
            format!("# Generated: {}\n# Hand them over, and delete this file.\n", self.time());
        let rows: Vec<_> = self
            .rows
            .iter()
            .map(|(name, new)| {
                let lead =
                    format!("\n# {name}: {}, {} bits\n{name}{NEW}=", new.purpose, new.bits());
                (lead, new.text())
            })
            .collect();
        // With its room from the start: a text that grows leaves parts of a secret behind unwiped.
        let length = rows.iter().map(|(lead, value)| lead.len() + value.expose().len() + 1);
        let mut text = Zeroizing::new(String::with_capacity(head.len() + length.sum::<usize>()));
        text.push_str(&head);
        for (lead, value) in &rows {
            text.push_str(lead);
            text.push_str(std::str::from_utf8(value.expose()).unwrap_or_default());
            text.push('\n');
        }
        Secret::from(text.as_bytes())
    }

    /// As JSON: `generated` and `secrets`, each with `name`, `purpose`, `bits`, `kid` and
    /// `value`.
    #[must_use]
    pub fn to_json(&self) -> Secret {
        #[derive(Serialize)]
        struct SecretFields<'a> {
            name: &'a str,
            purpose: &'a str,
            bits: u32,
            kid: Option<String>,
            value: &'a str,
        }
        #[derive(Serialize)]
        struct All<'a> {
            generated: String,
            secrets: Vec<SecretFields<'a>>,
        }
        let texts: Vec<_> = self.rows.iter().map(|(_, new)| new.text()).collect();
        let rows = self.rows.iter().zip(&texts).map(|((name, new), text)| SecretFields {
            name,
            purpose: new.purpose.as_str(),
            bits: new.bits(),
            kid: new.kid().map(|kid| kid.to_string()),
            value: std::str::from_utf8(text.expose()).unwrap_or_default(),
        });
        let all = All { generated: self.time(), secrets: rows.collect() };
        crate::manifest::json::wiped::to_wiped(&all).expect("texts and numbers are JSON")
    }

    /// Writes [`to_env`](Self::to_env) to a new file with mode 0600.
    ///
    /// # Errors
    /// [`OpsError::Exists`]: it is never written over, because its secrets may be in use;
    /// [`OpsError::Io`].
    pub fn write_new(&self, path: &Path) -> Result<(), OpsError> {
        disk::write_new(path, self.to_env().expose()).map_err(OpsError::of_new_file(path))
    }

    /// Checks that [`write_new`](Self::write_new) would find nothing at `path`, and writes nothing.
    ///
    /// ```
    /// use dualkey::Purpose;
    /// use dualkey::ops::OpsError;
    /// use dualkey::ops::generate::Sheet;
    /// use std::time::SystemTime;
    ///
    /// # let folder = tempfile::tempdir()?;
    /// let path = folder.path().join(".env.rotation");
    /// let sheet = Sheet::new(SystemTime::now(), [("JWT_SECRET", Purpose::Jwt)])?;
    /// sheet.check_new(&path)?;
    /// assert!(!path.exists());
    /// sheet.write_new(&path)?;
    /// assert!(matches!(sheet.check_new(&path), Err(OpsError::Exists { .. })));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`OpsError::Exists`], also of a link that leads nowhere; [`OpsError::Io`] if there is no
    /// folder for it.
    pub fn check_new(&self, path: &Path) -> Result<(), OpsError> {
        let exists = || std::io::Error::from(std::io::ErrorKind::AlreadyExists);
        let found = match path.symlink_metadata() {
            Ok(_) => Err(exists()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                disk::folder(path).metadata().map(|_| ())
            }
            Err(error) => Err(error),
        };
        found.map_err(OpsError::of_new_file(path))
    }

    fn time(&self) -> String {
        Exact(self.at).to_string()
    }
}
