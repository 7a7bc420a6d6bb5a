//! Recognising a reference by its form.

use super::address::{is_file, store_of};
use super::ciphertext::tool_of_ciphertext;
use super::expansion::{recognise_expansion, recognise_variable};
use super::kind::Reference;

impl Reference {
    /// Recognises `value`. `None` for any other value, which may be a secret.
    #[must_use = "a reference must not be used as a secret"]
    pub fn recognise(value: &str) -> Option<Self> {
        let value = strip_quotes(value.trim());
        tool_of_ciphertext(value)
            .map(|tool| Self::Ciphertext { tool })
            .or_else(|| store_of(value).map(|store| Self::Address { store }))
            .or_else(|| is_file(value).then_some(Self::File))
            .or_else(|| recognise_variable(value))
            .or_else(|| recognise_expansion(value))
    }
}

/// `value` without one pair of quotes, which readers such as `docker --env-file` leave.
fn strip_quotes(value: &str) -> &str {
    let inner = |quote| value.strip_prefix(quote)?.strip_suffix(quote);
    inner('"').or_else(|| inner('\'')).unwrap_or(value)
}
