//! The kinds of values that refer to a secret elsewhere.

use std::fmt;

/// A value that is not a secret itself, with the tool or the place that has the secret.
///
/// ```
/// use dualkey::Reference;
///
/// let reference = Reference::recognise("op://Production/PostgreSQL/password").unwrap();
/// assert_eq!(reference, Reference::Address { store: "1Password" });
/// assert_eq!(reference.to_string(), "this is a reference to 1Password: rotate the secret there");
///
/// let reference = Reference::recognise("postgres://${DB_USER}:${DB_PASS}@db/app").unwrap();
/// assert_eq!(reference.to_string(), "it is made of other variables: rotate `DB_PASS`");
///
/// assert_eq!(Reference::recognise("yZ8mPq3nR7tV2xC5bN9kL4jH6gF1dS0aQwErTyUiOp1="), None);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reference {
    /// Ciphertext, which a tool decrypts before the service starts.
    Ciphertext {
        /// The tool.
        tool: &'static str,
    },
    /// The address of a secret in a store.
    Address {
        /// The store.
        store: &'static str,
    },
    /// The path of a file with the secret.
    File,
    /// A command of a shell, which prints the secret.
    Command,
    /// A template, which another program fills in.
    Template,
    /// A text with the values of other variables in it.
    Variables {
        /// The variables with the secret part, as far as their names say so; otherwise all. A name that
        /// may be a password is left out.
        names: Vec<String>,
    },
}

impl Reference {
    /// The way out for a secret that has the form of a reference by chance.
    pub(crate) const WAY_OUT: &str =
        "write the bytes of the whole value as `hex:` or `base64:` if they are the secret";

    /// The tool whose metadata the variable `name` is. A file with such a variable holds ciphertext
    /// of the tool, and is made to be shared.
    #[cfg_attr(not(feature = "full"), allow(dead_code, reason = "stores use it, behind a feature"))]
    pub(crate) fn tool_of_metadata(name: &str) -> Option<&'static str> {
        const SOPS: [&str; 5] = ["version", "mac", "lastmodified", "unencrypted", "encrypted"];
        const KEYS: [&str; 7] = ["age", "pgp", "kms", "gcp_kms", "azure_kv", "hc_vault", "hckms"];
        let is_of = |rest: &str, word: &str| {
            rest.strip_prefix(word).is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
        };
        match name.strip_prefix("sops_") {
            Some(rest) if SOPS.iter().chain(&KEYS).any(|word| is_of(rest, word)) => Some("sops"),
            _ if is_of(name, "DOTENV_PUBLIC_KEY") => Some("dotenvx"),
            _ if is_of(name, "DOTENV_VAULT") => Some("dotenv-vault"),
            _ => None,
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ciphertext { tool } => write!(f, "this is ciphertext of {tool}: rotate it there"),
            Self::Address { store } => {
                write!(f, "this is a reference to {store}: rotate the secret there")
            }
            Self::File => f.write_str("this is the path of a file: rotate the secret in it"),
            Self::Command => {
                f.write_str("this is a command that prints the secret: rotate it at its source")
            }
            Self::Template => {
                f.write_str("this is a template of another program: rotate the secret there")
            }
            Self::Variables { names } if names.is_empty() => {
                f.write_str("it is made of other variables: rotate them")
            }
            Self::Variables { names } => {
                let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
                write!(f, "it is made of other variables: rotate {}", names.join(", "))
            }
        }
    }
}
