//! Recognising a reference by its form.

use super::address::{address, is_file};
use super::ciphertext::ciphertext;
use super::expansion::{environment, expansion};
use super::kind::Reference;

impl Reference {
    /// Recognises `value`. `None` for any other value, which may be a secret.
    #[must_use = "a reference must not be used as a secret"]
    pub fn recognise(value: &str) -> Option<Self> {
        let value = unquoted(value.trim());
        ciphertext(value)
            .map(|tool| Self::Ciphertext { tool })
            .or_else(|| address(value).map(|store| Self::Address { store }))
            .or_else(|| is_file(value).then_some(Self::File))
            .or_else(|| environment(value))
            .or_else(|| expansion(value))
    }
}

/// `value` without one pair of quotes, which readers such as `docker --env-file` leave.
fn unquoted(value: &str) -> &str {
    let inner = |quote| value.strip_prefix(quote)?.strip_suffix(quote);
    inner('"').or_else(|| inner('\'')).unwrap_or(value)
}
