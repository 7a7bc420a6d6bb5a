//! The variables of `.env` files, divided into secrets and others.

use std::collections::HashSet;
use std::path::PathBuf;

use super::classify::classify;
use super::name_table::Meaning;
use super::names;
use super::recognised::{LeftOut, Recognised};
use crate::ops::error::OpsError;
use crate::source::dotenv::listing::{EncryptedFile, Listing, Variable};
use crate::variable_names::{CURRENT, SUFFIXES};

/// The suffixes of the variables beside the one that has the name of the secret.
fn other_suffixes() -> impl Iterator<Item = &'static str> {
    SUFFIXES.into_iter().filter(|suffix| *suffix != CURRENT)
}

/// The variables of `.env` files, divided into secrets and others.
///
/// ```
/// use dualkey::Purpose;
/// use dualkey::ops::inventory::Inventory;
/// use dualkey::ops::recognise::{ProposedStore, Survey};
///
/// # let folder = tempfile::tempdir()?;
/// let path = folder.path().join(".env");
/// std::fs::write(&path, "PORT=3000\nSESSION_SECRET=yZ8mPq3nR7tV2xC5bN9kL4jH6gF1dS0aQwErTyUiOp1=\n")?;
/// let survey = Survey::read(&[path])?;
/// assert_eq!(survey.secrets[0].purpose, Purpose::Cookie);
/// assert_eq!(survey.left_out[0].name, "PORT");
///
/// let text = survey.to_inventory(folder.path(), ProposedStore::Dotenv);
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
    pub(crate) encrypted: Vec<EncryptedFile>,
}

impl Survey {
    /// Reads `files`, and looks at each variable.
    ///
    /// # Errors
    /// [`OpsError::Store`] for a file that cannot be read, that others may write, or in which a
    /// line leaves the next ones unclear; [`OpsError::Io`] for one that is not there.
    pub fn read(files: &[PathBuf]) -> Result<Self, OpsError> {
        let mut survey = Self {
            files: files.to_vec(),
            secrets: Vec::new(),
            left_out: Vec::new(),
            encrypted: Vec::new(),
        };
        for path in files {
            let missing = || std::io::Error::from(std::io::ErrorKind::NotFound);
            let listing =
                Listing::read(path)?.ok_or_else(|| OpsError::for_path(path)(missing()))?;
            // Of the lines after it nothing is known: an inventory would lack their secrets.
            let is_cut = |variable: &&Variable| {
                variable.problem.as_ref().is_some_and(|problem| problem.is_of_other(&variable.name))
            };
            if let Some(unclear) =
                listing.variables.iter().find(is_cut).and_then(|variable| variable.problem.clone())
            {
                return Err(unclear.error(path).into());
            }
            survey.add(&listing);
            survey.encrypted.extend(listing.encrypted);
        }
        Ok(survey)
    }

    fn add(&mut self, listing: &Listing) {
        let set: HashSet<_> = listing
            .variables
            .iter()
            .filter(|variable| !variable.value.is_empty())
            .map(|variable| variable.name.as_str())
            .collect();
        let base = |name: &str| {
            let base = other_suffixes().find_map(|suffix| name.strip_suffix(suffix));
            base.map(str::to_owned)
        };
        for variable in &listing.variables {
            let name = &variable.name;
            match base(name) {
                // It is looked at with the variable of the secret.
                Some(base) if set.contains(base.as_str()) => continue,
                Some(base) if matches!(names::meaning(&base), Some(Meaning::Secret { .. })) => {
                    let why = format!(
                        "`{base}` is not set: rename this variable to `{base}`, or set both"
                    );
                    self.leave_out(name, why);
                    continue;
                }
                _ => {}
            }
            let names = other_suffixes().map(|suffix| format!("{name}{suffix}"));
            let with: Vec<_> = names.filter_map(|name| listing.get(&name)).collect();
            match classify(variable, &with, &listing.path) {
                _ if self.secrets.iter().any(|secret| secret.name == *name) => {
                    self.leave_out(name, "it is in another of the files too".to_owned());
                }
                Ok(recognised) => self.secrets.push(recognised),
                Err(why) => {
                    for other in with {
                        self.leave_out(&other.name, format!("it belongs to `{name}`"));
                    }
                    self.leave_out(name, why);
                }
            }
        }
    }

    fn leave_out(&mut self, name: &str, why: String) {
        self.left_out.push(LeftOut { name: name.to_owned(), why });
    }
}
