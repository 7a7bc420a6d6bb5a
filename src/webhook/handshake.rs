//! The subscription handshake: a GET that shows a token and wants its challenge back.

use super::token::{VerifyToken, digest};
use super::verifier::WebhookVerifier;
use crate::error::{Reason, VerifyError};
use crate::mac::lanes::matching;
use crate::ring::snapshot::{Matched, View};
use crate::verified::Verified;

/// A longer query is none of Meta's.
const MAX_QUERY_BYTES: usize = 4 * 1024;

impl WebhookVerifier {
    /// Answers the GET by which Meta confirms a subscription: the challenge, to be sent
    /// back as the body, in plain text and not as markup.
    ///
    /// `query` is the query of the request as it came, without the question mark:
    /// `hub.mode=subscribe&hub.challenge=…&hub.verify_token=…`.
    ///
    /// ```
    /// use dualkey::{KeyRing, Secret};
    /// use dualkey::webhook::{WebhookVerifier, VerifyToken, WebhookKey};
    ///
    /// let secrets = KeyRing::<WebhookKey>::builder()
    ///     .primary(Secret::from("0f1e2d3c4b5a69788796a5b4c3d2e1f0"))
    ///     .build()?;
    /// let tokens = KeyRing::<VerifyToken>::builder()
    ///     .primary(Secret::from("hV3-dashboard-token"))
    ///     .build()?;
    /// let hook = WebhookVerifier::new(secrets).verify_tokens(tokens);
    ///
    /// let query = "hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=hV3-dashboard-token";
    /// assert_eq!(*hook.handshake(query).expect("the token of the ring"), "1158201444");
    /// # Ok::<(), dualkey::Error>(())
    /// ```
    ///
    /// # Errors
    /// A [`VerifyError`]: no tokens are set, the token is another one, the mode is not
    /// `subscribe`, or a parameter is missing or there twice. Answer 403 to all of them.
    ///
    /// # Security
    /// All tokens of the ring are compared, in constant time: neither which one matched
    /// nor where one differs shows in the duration.
    pub fn handshake(&self, query: &str) -> Result<Verified<String>, VerifyError> {
        let Some(tokens) = &self.verify_tokens else {
            return Err(self.ring.reject(Reason::Missing));
        };
        tokens.read(|view| match read_challenge(view, query) {
            Ok((key, challenge)) => Ok(view.accept(key, challenge)),
            Err(reason) => Err(view.reject(reason)),
        })
    }
}

/// Reads the challenge of a query whose token is one of the ring.
fn read_challenge<'r>(
    view: &View<'r, VerifyToken>,
    query: &str,
) -> Result<(Matched<'r, VerifyToken>, String), Reason> {
    if query.len() > MAX_QUERY_BYTES {
        return Err(Reason::TooLarge);
    }
    let parameter = |name: &str| {
        let mut values =
            form_urlencoded::parse(query.as_bytes()).filter(|(other, _)| other == name);
        match (values.next(), values.next()) {
            (None, _) => Err(Reason::Missing),
            (Some(_), Some(_)) => Err(Reason::Repeated),
            (Some((_, value)), None) => Ok(value),
        }
    };
    if parameter("hub.mode")? != "subscribe" {
        return Err(Reason::Malformed);
    }
    let challenge = parameter("hub.challenge")?;
    let shown = digest(parameter("hub.verify_token")?.as_bytes());

    let known: Vec<_> = view.verifying().map(|(key, _)| key.material().0).collect();
    let key = matching(&known, &shown).and_then(|place| view.nth(place));
    let key = key.ok_or(Reason::Signature)?;
    Ok((key, challenge.into_owned()))
}
