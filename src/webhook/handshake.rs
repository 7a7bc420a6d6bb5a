//! The subscription handshake: a GET that shows a token and wants its challenge back.

use super::MetaWebhook;
use crate::error::{Reason, VerifyError};
use crate::kid::Kid;
use crate::mac::HmacSha256;
use crate::mac::lanes::matching;
use crate::purpose::Purpose;
use crate::ring::KeyMaterial;
use crate::ring::key::sealed;
use crate::ring::snapshot::{Matched, View};
use crate::verified::Verified;

/// A longer query is none of Meta's.
const MAX_QUERY_BYTES: usize = 4 * 1024;

/// The material of a verify token, which is chosen by a person and typed into the app's
/// dashboard. Tokens have at least 16 bytes; their kids are numbered, not derived.
pub struct VerifyToken([u32; 8]);

impl MetaWebhook {
    /// Answers the GET by which Meta confirms a subscription: the challenge, to be sent
    /// back as the body, in plain text and not as markup.
    ///
    /// `query` is the query of the request as it came, without the question mark:
    /// `hub.mode=subscribe&hub.challenge=…&hub.verify_token=…`.
    ///
    /// ```
    /// use dualkey::{KeyRing, Secret};
    /// use dualkey::webhook::{MetaWebhook, VerifyToken, WebhookKey};
    ///
    /// let secrets = KeyRing::<WebhookKey>::builder()
    ///     .primary(Secret::from("0f1e2d3c4b5a69788796a5b4c3d2e1f0"))
    ///     .build()?;
    /// let tokens = KeyRing::<VerifyToken>::builder()
    ///     .primary(Secret::from("hV3-dashboard-token"))
    ///     .build()?;
    /// let hook = MetaWebhook::new(secrets).verify_tokens(tokens);
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
        tokens.read(|view| match challenge(view, query) {
            Ok((key, challenge)) => Ok(view.accept(key, challenge)),
            Err(reason) => Err(view.reject(reason)),
        })
    }
}

fn challenge<'r>(
    view: &View<'r, VerifyToken>,
    query: &str,
) -> Result<(Matched<'r, VerifyToken>, String), Reason> {
    if query.len() > MAX_QUERY_BYTES {
        return Err(Reason::TooLarge);
    }
    let parameter = |name: &str| {
        let mut values = form_urlencoded::parse(query.as_bytes()).filter(|(own, _)| own == name);
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

/// Tokens of different lengths are compared by their digests, so that the length of the
/// right one does not show.
fn digest(token: &[u8]) -> [u32; 8] {
    HmacSha256::new(b"dualkey verify token v1").mac_words(token)
}

impl sealed::Sealed for VerifyToken {}

impl KeyMaterial for VerifyToken {
    const PURPOSE: Purpose = Purpose::VerifyToken;
    type Options = ();

    fn prepare(secret: &[u8], _: Kid, (): &()) -> Result<Self, String> {
        Ok(Self(digest(secret)))
    }

    fn self_test(&self) -> bool {
        let mut other = self.0;
        other[7] ^= 1;
        matching(&[self.0], &self.0) == Some(0) && matching(&[self.0], &other).is_none()
    }
}

impl std::fmt::Debug for VerifyToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("VerifyToken([REDACTED])")
    }
}
