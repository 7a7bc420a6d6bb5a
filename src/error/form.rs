//! The form of a value that is not a secret alone.

use std::fmt;

use crate::reference::Reference;

/// The form of a value that is not a secret alone: taken as it is, what surrounds the secret would
/// become a part of the key.
///
/// ```
/// use dualkey::jwt::JwtKey;
/// use dualkey::{Error, KeyRing, ValueForm};
///
/// # let secret = "kH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eUkH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eU";
/// let lookup = |name: &str| Ok((name == "JWT_SECRET").then(|| format!("{secret}\n")));
/// let refused = KeyRing::<JwtKey>::builder().vars("JWT_SECRET", lookup).build().unwrap_err();
/// assert!(matches!(refused, Error::NotASecret { form: ValueForm::LineEnd, .. }));
/// assert!(refused.to_string().starts_with("cannot use JWT_SECRET: a line end"));
///
/// // After `hex:` and `base64:`, each byte counts.
/// let digits: String = format!("{secret}\n").bytes().map(|byte| format!("{byte:02x}")).collect();
/// let lookup = |name: &str| Ok((name == "JWT_SECRET").then(|| format!("hex:{digits}")));
/// assert!(KeyRing::<JwtKey>::builder().vars("JWT_SECRET", lookup).build().is_ok());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ValueForm {
    /// It begins or ends with a quote.
    Quote,
    /// It begins or ends with white space.
    Whitespace,
    /// It holds a line end, or begins or ends with an escaped one.
    LineEnd,
    /// It begins or ends with a character that is not shown, or holds a control character.
    Hidden,
    /// JSON, or a text that was JSON.
    Json,
    /// A JSON Web Key with a secret in it (RFC 7517).
    JsonWebKey,
    /// A set of JSON Web Keys with secrets in it (RFC 7517).
    JsonWebKeySet,
    /// Several secrets.
    List,
    /// A line of a configuration: a name and its value.
    Assignment,
    /// It begins with `hex:` or `base64:` in another spelling, or is a URL of data.
    Prefix,
    /// A comment is in it, or a remark beside the secret.
    Comment,
    /// It is in brackets, as a template is.
    Brackets,
    /// Ciphertext of a tool, or a reference to a secret in another place.
    Reference(Reference),
}

impl ValueForm {
    /// The reason and the remedy; `None` for a reference, which has its own text.
    fn parts(&self) -> Option<(&'static str, &'static str)> {
        Some(match self {
            Self::Quote => (
                "its value begins or ends with a quote, which would be a part of the key",
                "remove the quotes, which the reader of the file or the shell has left",
            ),
            Self::Whitespace => (
                "its value begins or ends with white space, which would be a part of the key",
                "remove the white space",
            ),
            Self::LineEnd => (
                "a line end in its value would be a part of the key",
                "set it without the line end (`printf %s` instead of `echo`, `base64 -w 0`)",
            ),
            Self::Hidden => (
                "a character that is not shown, in its value, would be a part of the key",
                "type the value again, or copy it from another place",
            ),
            Self::Json => (
                "its value is JSON, and the secret is one member of it (of \
                 HASURA_GRAPHQL_JWT_SECRET, `key`)",
                "set the variable to that member alone",
            ),
            Self::JsonWebKey => (
                "its value is a JSON Web Key, and the secret is its member `k`",
                "set the variable to `base64:` and the value of `k`",
            ),
            Self::JsonWebKeySet => (
                "its value is JSON with a set of keys, of which each has its secret in the member `k`",
                "set one variable for each key, to `base64:` and the value of `k`",
            ),
            Self::List => (
                "its value is a list of secrets, which would be one key",
                "set one variable for each (X for the newest, X_OLD and X_BACKUP for older ones)",
            ),
            Self::Assignment => (
                "its value holds a name with a value, as a line of a file does",
                "set it to the secret alone, and each other variable in a line of its own",
            ),
            Self::Prefix => (
                "its value begins with a prefix that is not known",
                "write `hex:` or `base64:`, in lower case",
            ),
            Self::Comment => (
                "its value holds a comment, as white space and `#` or words beside a secret are, which \
                 would be a part of the key",
                "remove the comment, which the reader of the file has left",
            ),
            Self::Brackets => (
                "its value is in brackets, as a template is, which would be a part of the key",
                "remove the brackets",
            ),
            Self::Reference(_) => return None,
        })
    }
}

impl fmt::Display for ValueForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self, self.parts()) {
            (Self::Reference(reference), _) => {
                write!(f, "{reference}; have the service started with the secret itself")?;
            }
            (_, Some((reason, remedy))) => write!(f, "{reason}; {remedy}")?,
            (_, None) => {}
        }
        write!(f, ", or {}", Reference::WAY_OUT)
    }
}
