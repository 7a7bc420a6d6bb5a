//! The challenges of a refusal.

use http::{HeaderValue, StatusCode};

use crate::error::Reason;
use crate::http::Rejection;

/// The challenges of a 401 (RFC 6750 §3): without a token no error, with one always the same.
#[derive(Debug, Clone)]
pub(in crate::http) struct Challenges {
    missing: HeaderValue,
    invalid: HeaderValue,
}

impl Challenges {
    pub(super) fn new(realm: &str) -> Self {
        let mut quoted = String::new();
        for character in realm.chars().filter(|character| matches!(character, ' '..='~')) {
            if matches!(character, '"' | '\\') {
                quoted.push('\\');
            }
            quoted.push(character);
        }
        let header = |text: String| {
            HeaderValue::from_maybe_shared(bytes::Bytes::from(text))
                .unwrap_or(HeaderValue::from_static("Bearer"))
        };
        Self {
            missing: header(format!("Bearer realm=\"{quoted}\"")),
            invalid: header(format!("Bearer realm=\"{quoted}\", error=\"invalid_token\"")),
        }
    }

    pub(in crate::http) fn rejection(&self, reason: Reason) -> Rejection {
        let challenge = match reason {
            Reason::Missing => &self.missing,
            _ => &self.invalid,
        };
        Rejection::new(StatusCode::UNAUTHORIZED, reason).with_challenge(challenge)
    }
}

impl Default for Challenges {
    fn default() -> Self {
        Self {
            missing: HeaderValue::from_static("Bearer realm=\"restricted\""),
            invalid: HeaderValue::from_static(
                "Bearer realm=\"restricted\", error=\"invalid_token\"",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_realm_cannot_end_its_quotes() {
        let challenges = Challenges::new("a \"b\\c\r\nX: y\u{7f} é");
        assert_eq!(challenges.missing, "Bearer realm=\"a \\\"b\\\\cX: y \"");
        assert_eq!(Challenges::new("restricted").invalid, Challenges::default().invalid);
    }
}
