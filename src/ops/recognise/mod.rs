//! Recognises the secrets of a `.env` file, by the names and the shapes of their values.
//!
//! It guarantees: no byte of a value is shown or written; of a secret only its length is used. A
//! variable is a secret if its name says so and its value does not speak against it, or if its value
//! has the shape of one. Each other variable is left out with a reason.
//!
//! It does not guarantee that a secret with an unusual name is found: the list of what was left out
//! is for a reader.

mod names;
mod shape;
mod text;

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use self::names::{Named, Wants};
pub(crate) use self::shape::is_elsewhere;
use super::error::OpsError;
use super::inventory::Priority;
use crate::error::Error;
use crate::lifecycle::admission::{Rules, check};
use crate::purpose::{Purpose, SecretLength};
use crate::reference::Reference;
use crate::source::{Encrypted, Listing, Variable};

/// The endings of the variables that belong to one secret.
const SUFFIXES: [&str; 4] = ["_NEW", "_OLD", "_BACKUP", "_NEXT"];

/// The store that an inventory proposes for the secrets of a `.env` file.
///
/// ```
/// use dualkey::ops::recognise::Keep;
///
/// assert_eq!("dotenv".parse(), Ok(Keep::Dotenv));
/// assert!("vault".parse::<Keep>().is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Keep {
    /// The `.env` file itself: for services that read it when they start.
    #[default]
    Dotenv,
    /// A manifest in a file for each secret: for services that follow it with this crate.
    File,
}

/// The name of no store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a store is one of `dotenv` and `file`")]
pub struct NoStore;

impl std::str::FromStr for Keep {
    type Err = NoStore;

    fn from_str(text: &str) -> Result<Self, NoStore> {
        match text {
            "dotenv" => Ok(Self::Dotenv),
            "file" => Ok(Self::File),
            _ => Err(NoStore),
        }
    }
}

/// The variables of `.env` files, divided into secrets and others.
///
/// ```
/// use dualkey::Purpose;
/// use dualkey::ops::inventory::Inventory;
/// use dualkey::ops::recognise::{Keep, Survey};
///
/// # let folder = tempfile::tempdir()?;
/// let path = folder.path().join(".env");
/// std::fs::write(&path, "PORT=3000\nSESSION_SECRET=yZ8mPq3nR7tV2xC5bN9kL4jH6gF1dS0aQwErTyUiOp1=\n")?;
/// let survey = Survey::read(&[path])?;
/// assert_eq!(survey.secrets[0].purpose, Purpose::Cookie);
/// assert_eq!(survey.left_out[0].name, "PORT");
///
/// let text = survey.to_inventory(folder.path(), Keep::Dotenv);
/// let inventory = Inventory::parse(&text, folder.path().join("dualkey.toml"))?;
/// assert_eq!(inventory.secrets.len(), 2, "the session secret, and that of the audit trail");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct Survey {
    /// The files that were read.
    pub files: Vec<PathBuf>,
    /// The secrets, in the order of their variables.
    pub secrets: Vec<Recognised>,
    /// The other variables.
    pub left_out: Vec<LeftOut>,
    /// The files that a tool encrypts.
    pub(crate) encrypted: Vec<Encrypted>,
}

/// A variable that was recognised as a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recognised {
    /// The name of the variable, and of the secret.
    pub name: String,
    /// The other variables of the secret that are set: `X_OLD`, `X_NEXT`.
    pub with: Vec<String>,
    /// The file with the variables.
    pub file: PathBuf,
    /// The purpose of the secret.
    pub purpose: Purpose,
    /// The harm of a leak.
    pub priority: Priority,
    /// The schedule, as the inventory writes it.
    pub rotate: &'static str,
    /// The place where it is rotated by hand, if this crate cannot rotate it.
    pub manual: Option<String>,
    /// The distance of the value in use from the minimum of its purpose.
    pub short: Short,
    /// True if the value is a placeholder, which has to be replaced before it is adopted.
    pub is_placeholder: bool,
}

/// The distance of a value in use from the minimum of its purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Short {
    /// It is long enough.
    No,
    /// It is no shorter than the floor of the purpose, which is given: `min_secret_bytes` admits
    /// it.
    Floor(usize),
    /// It has this many bytes, fewer than the floor: `dangerous_min_secret_bytes` admits it.
    Below(usize),
}

/// A variable that was not taken for a secret of the inventory.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LeftOut {
    /// The name of the variable.
    pub name: String,
    /// Why it was left out.
    pub why: String,
}

impl Survey {
    /// Reads `files`, and looks at each variable.
    ///
    /// # Errors
    /// [`OpsError::Store`] for a file that cannot be read, that others may write, or in which a
    /// line leaves the next ones unclear; [`OpsError::Io`] for one that is not there.
    pub fn read(files: &[PathBuf]) -> Result<Self, OpsError> {
        let mut own = Self {
            files: files.to_vec(),
            secrets: Vec::new(),
            left_out: Vec::new(),
            encrypted: Vec::new(),
        };
        for path in files {
            let missing = || std::io::Error::from(std::io::ErrorKind::NotFound);
            let listing = Listing::read(path)?.ok_or_else(|| OpsError::io(path)(missing()))?;
            // Of the lines after it nothing is known: an inventory would lack their secrets.
            let is_cut = |variable: &&Variable| {
                variable.problem.as_ref().is_some_and(|own| own.is_of_other(&variable.name))
            };
            if let Some(unclear) =
                listing.variables.iter().find(is_cut).and_then(|own| own.problem.clone())
            {
                return Err(unclear.error(path).into());
            }
            own.add(&listing);
            own.encrypted.extend(listing.encrypted);
        }
        Ok(own)
    }

    /// The text of an inventory with these secrets, that of the audit trail first. The inventory is
    /// in the folder `root`.
    #[must_use]
    pub fn to_inventory(&self, root: &Path, keep: Keep) -> String {
        text::inventory(self, root, keep)
    }

    fn add(&mut self, listing: &Listing) {
        let set: HashSet<_> = listing
            .variables
            .iter()
            .filter(|own| !own.value.is_empty())
            .map(|own| own.name.as_str())
            .collect();
        let base = |name: &str| {
            let base = SUFFIXES.iter().find_map(|ending| name.strip_suffix(ending));
            base.map(str::to_owned)
        };
        for variable in &listing.variables {
            let name = &variable.name;
            match base(name) {
                // It is looked at with the variable of the secret.
                Some(base) if set.contains(base.as_str()) => continue,
                Some(base) if matches!(names::of(&base), Some(Named::Secret { .. })) => {
                    let why = format!(
                        "`{base}` is not set: rename this variable to `{base}`, or set both"
                    );
                    self.leave(name, why);
                    continue;
                }
                _ => {}
            }
            let names = SUFFIXES.iter().map(|ending| format!("{name}{ending}"));
            let with: Vec<_> = names.filter_map(|name| listing.get(&name)).collect();
            match judge(variable, &with, &listing.path) {
                _ if self.secrets.iter().any(|own| own.name == *name) => {
                    self.leave(name, "it is in another of the files too".to_owned());
                }
                Ok(own) => self.secrets.push(own),
                Err(why) => {
                    for other in with {
                        self.leave(&other.name, format!("it belongs to `{name}`"));
                    }
                    self.leave(name, why);
                }
            }
        }
    }

    fn leave(&mut self, name: &str, why: String) {
        self.left_out.push(LeftOut { name: name.to_owned(), why });
    }
}

/// Judges a variable, with the others of its secret. The error is the reason to leave it out.
fn judge(variable: &Variable, with: &[&Variable], file: &Path) -> Result<Recognised, String> {
    let (name, value) = (&variable.name, variable.value.as_str());
    if value.is_empty() {
        let why = variable.problem.as_ref().map(ToString::to_string);
        return Err(why.unwrap_or_else(|| "it has no value".to_owned()));
    }
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let named = names::of(name);
    let hints_at_secret = matches!(named, Some(Named::Secret { .. }))
        || shape::holds_password(value)
        || shape::has_known_prefix(value);
    let all = || std::iter::once(variable).chain(with.iter().copied());
    if let Some(Named::Out(why)) = named {
        return Err(match shape::has_known_prefix(value) && !shape::is_publishable(value) {
            true => format!("{why}; but its value has the shape of a provider's secret: revoke it"),
            false => why.to_owned(),
        });
    }
    if shape::is_publishable(value) {
        return Err("its value is made to be published".to_owned());
    }
    for own in all() {
        let lead = if own.name == *name { String::new() } else { format!("`{}`: ", own.name) };
        if let Some(why) = Reference::recognise(&own.value) {
            return Err(format!("{lead}{why}"));
        }
        let is_document = matches!(named, Some(Named::Secret { manual: Some(_), .. }));
        if let Some(why) = shape::asymmetric(&own.value).filter(|_| !is_document) {
            return Err(format!("{lead}{why}"));
        }
    }
    if let Some(other) = with.iter().find(|own| shape::is_elsewhere(value, &own.value)) {
        let other = &other.name;
        return Err(format!(
            "`{other}` is of another server or database, and not an old value of it: rename `{other}`"
        ));
    }
    let (purpose, priority, rotate, manual) = match named {
        Some(Named::Secret { purpose, priority, rotate, wants, manual }) => {
            suits(value, wants)?;
            (purpose, priority, rotate, manual.map(str::to_owned))
        }
        _ if value.starts_with("whsec_") => {
            (Purpose::Webhook, Priority::Standard, "semi-annual", None)
        }
        _ if shape::holds_password(value) && shape::is_of_database(value) => {
            (Purpose::Credential, Priority::Critical, "quarterly", None)
        }
        _ if hints_at_secret || shape::is_hook(value, false) => {
            (Purpose::Credential, Priority::Standard, "semi-annual", None)
        }
        _ => return Err(unknown(value)),
    };
    if !name.bytes().all(is_name) {
        return Err("a secret is named with letters, digits and `_`: rename it".to_owned());
    }
    // What is rotated elsewhere is not read here.
    if manual.is_none()
        && let Some(own) = all().find(|own| own.problem.is_some())
    {
        let lead = if own.name == *name { String::new() } else { format!("`{}`: ", own.name) };
        let problem = own.problem.as_ref().map(ToString::to_string).unwrap_or_default();
        return Err(format!("{lead}{problem}; then add the secret to the inventory"));
    }
    if purpose == Purpose::Credential && shape::is_abbreviated(value) {
        return Err(unset(name));
    }
    let mut own = Recognised {
        name: name.clone(),
        with: with.iter().map(|own| own.name.clone()).collect(),
        file: file.to_owned(),
        purpose,
        priority,
        rotate,
        manual,
        short: Short::No,
        is_placeholder: false,
    };
    if own.manual.is_none() {
        measure(&mut own, variable, with)?;
    }
    Ok(own)
}

/// Fails with the reason, if the value is not what the name lets expect.
fn suits(value: &str, wants: Wants) -> Result<(), String> {
    let without = || "it is a URL or a name without a password".to_owned();
    match wants {
        Wants::Anything => Ok(()),
        Wants::Secretive => match shape::plain(value) {
            Some(why) => Err(why.to_owned()),
            // The key of a DSN stands before its host.
            None if shape::is_url(value)
                && !shape::is_hook(value, true)
                && !value.contains('@') =>
            {
                Err(without())
            }
            None => Ok(()),
        },
        Wants::Random => match shape::is_random(value) || shape::has_known_prefix(value) {
            true => Ok(()),
            false => Err("neither its name nor its value is that of a secret".to_owned()),
        },
        Wants::Password => match shape::holds_password(value) {
            true => Ok(()),
            false => Err(without()),
        },
        Wants::Hook => match shape::is_hook(value, true) || shape::is_random(value) {
            true => Ok(()),
            false => Err(without()),
        },
    }
}

/// The remark on a variable of which neither the name nor the value is known.
fn unknown(value: &str) -> String {
    match () {
        () if shape::is_url(value) => "it is a URL without a password",
        () if value.len() >= 32 && shape::is_random(value) => {
            "its name is not that of a secret, but its value looks random: add it by hand if it is one"
        }
        () => "its name is not that of a secret",
    }
    .to_owned()
}

/// The remark on a provider's secret that was never filled in.
fn unset(name: &str) -> String {
    format!("its value is a placeholder: set `{name}`, and add it to the inventory")
}

/// Sets how short the values are that sign, or will.
fn measure(own: &mut Recognised, variable: &Variable, with: &[&Variable]) -> Result<(), String> {
    let ends = |own: &&&Variable, ending: &str| own.name == format!("{}{ending}", variable.name);
    let newer = with.iter().find(|own| ends(own, "_NEW"));
    let staged = with.iter().find(|own| ends(own, "_NEXT"));
    let signing: Vec<_> = std::iter::once(newer.copied().unwrap_or(variable))
        .chain(staged.copied())
        .map(|own| own.name.as_str())
        .collect();
    for variable in std::iter::once(variable).chain(with.iter().copied()) {
        let value = variable.value.as_str().to_owned();
        let Ok(secret) = own.purpose.decode(value) else {
            return by_hand(own);
        };
        let is_fallback = !signing.contains(&variable.name.as_str());
        let rules = Rules { allow_short_fallbacks: is_fallback, ..Rules::default() };
        let length = secret.expose().len();
        match check(&secret, &variable.name, is_fallback, own.purpose, None, &rules) {
            Ok(_) => {}
            Err(Error::ShortSecret { .. }) => {
                own.short = own.short.and(Short::of(own.purpose, None, length))
            }
            Err(Error::WrongLength { .. }) => return by_hand(own),
            // A provider's that was never set is not in use.
            Err(Error::Placeholder { .. }) if own.purpose == Purpose::Credential => {
                return Err(unset(&variable.name));
            }
            Err(Error::Placeholder { .. }) => own.is_placeholder = true,
            Err(error) => return Err(error.to_string()),
        }
    }
    Ok(())
}

/// The key of a passphrase or of another cipher: this crate keeps its calendar alone.
fn by_hand(own: &mut Recognised) -> Result<(), String> {
    own.manual =
        Some("the service, which makes its key of a value that is no AES-256 key".to_owned());
    Ok(())
}

impl Short {
    /// The distance of a value of `length` bytes, which is less than the minimum.
    pub(crate) fn of(purpose: Purpose, algorithm: Option<&str>, length: usize) -> Self {
        match purpose.length(algorithm) {
            SecretLength::AtLeast { floor, .. } if length < floor => Self::Below(length),
            SecretLength::AtLeast { floor, .. } => Self::Floor(floor),
            SecretLength::Exactly(_) => Self::No,
        }
    }

    /// The one that falls short further.
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Below(one), Self::Below(other)) => Self::Below(one.min(other)),
            (own @ Self::Below(_), _) | (_, own @ Self::Below(_)) => own,
            (Self::No, own) | (own, _) => own,
        }
    }

    /// The line of the inventory that admits the value; `None`, if none is needed.
    #[must_use]
    pub fn setting(self) -> Option<String> {
        match self {
            Self::No => None,
            Self::Floor(bytes) => Some(format!("min_secret_bytes = {bytes}")),
            Self::Below(bytes) => Some(format!("dangerous_min_secret_bytes = {bytes}")),
        }
    }
}
