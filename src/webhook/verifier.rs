//! `WebhookVerifier`: the rings of a webhook, and its settings.

use super::key::WebhookKey;
use super::token::VerifyToken;
use crate::ring::KeyRing;

/// The default bound of a body: "up to 3 MB", as Meta documents of WhatsApp's webhooks.
const MAX_BODY_BYTES: usize = 3 * 1024 * 1024;

/// Verifies deliveries over a ring of app secrets, and answers the subscription
/// handshake. A clone is cheap, and shares the ring.
///
/// ```
/// use dualkey::{KeyRing, Secret};
/// use dualkey::webhook::{WebhookVerifier, WebhookKey};
///
/// let ring = KeyRing::<WebhookKey>::builder()
///     .primary(Secret::from("0f1e2d3c4b5a69788796a5b4c3d2e1f0"))
///     .fallback(Secret::from("1222e786b144d0e85b9f365372d93676"))
///     .build()?;
/// let hook = WebhookVerifier::new(ring);
///
/// let body = br#"{"object":"page"}"#;
/// let header = "sha256=369ad91d36d1279d28942b6b543b6a2ea42853d03276bf28ec4655a0b7a0c7e1";
/// let delivery = hook.verify([header], body).expect("signed with the old secret");
/// assert_eq!(*delivery, body);
/// assert!(hook.verify([header], b"something else").is_err());
/// # Ok::<(), dualkey::Error>(())
/// ```
///
/// With `http`, that is `hook.verify(headers.get_all(WebhookVerifier::HEADER), &body)`: two
/// headers are refused, so hand over all that there are.
#[derive(Debug, Clone)]
pub struct WebhookVerifier {
    pub(super) ring: KeyRing<WebhookKey>,
    pub(super) verify_tokens: Option<KeyRing<VerifyToken>>,
    pub(super) accepts_unescaped: bool,
    pub(super) max_body_bytes: usize,
}

impl WebhookVerifier {
    /// The name of the header that holds the signature.
    pub const HEADER: &'static str = "x-hub-signature-256";

    /// Verifies deliveries; refuses every handshake, until
    /// [`verify_tokens`](Self::verify_tokens) are set.
    #[must_use]
    pub fn new(ring: KeyRing<WebhookKey>) -> Self {
        Self { ring, verify_tokens: None, accepts_unescaped: false, max_body_bytes: MAX_BODY_BYTES }
    }

    /// The tokens that [`handshake`](Self::handshake) takes: secrets that rotate too.
    #[must_use]
    pub fn verify_tokens(mut self, ring: KeyRing<VerifyToken>) -> Self {
        self.verify_tokens = Some(ring);
        self
    }

    /// Also takes a body of which the signature covers an escaped form: for a proxy on the way
    /// that parses what Meta sent and writes the characters instead of their escapes.
    ///
    /// Meta writes every character beyond ASCII as `\uXXXX`, and `/`, `<`, `%` and `@` as `\/`,
    /// `\u003C`, `\u0025` and `\u0040`. Two forms are tried beside the raw body: with all of these
    /// escapes, and with those beyond ASCII alone. A form is tried only for a body that holds such
    /// characters and no escape `\uXXXX` of one: of JSON, only what means the same is accepted. The
    /// escape of half a pair of surrogates may remain, as it has no character. Blanks between the
    /// members are not undone.
    ///
    /// ```
    /// # use dualkey::{KeyRing, Secret};
    /// # use dualkey::webhook::{WebhookVerifier, WebhookKey};
    /// # let ring = KeyRing::<WebhookKey>::builder()
    /// #     .primary(Secret::from("0f1e2d3c4b5a69788796a5b4c3d2e1f0")).build()?;
    /// let hook = WebhookVerifier::new(ring).accept_unescaped();
    /// // Meta has sent and signed {"text":"caf\u00e9 50\u0025"}:
    /// let header = "sha256=a67d6ccf1dcf509810cf741c95ef12020f35cd12de4a57f1adc7b005aba51a03";
    /// assert!(hook.verify([header], r#"{"text":"café 50%"}"#.as_bytes()).is_ok());
    /// # Ok::<(), dualkey::Error>(())
    /// ```
    ///
    /// # Security
    /// At most three MACs are computed for each key. All are compared, always.
    #[must_use]
    pub fn accept_unescaped(mut self) -> Self {
        self.accepts_unescaped = true;
        self
    }

    /// Refuses bodies of more than `bytes`. 3 MiB unless set: WhatsApp's are the largest that
    /// Meta sends, with up to 3 MB; GitHub's have up to 25 MB.
    #[must_use]
    pub fn max_body_bytes(mut self, bytes: usize) -> Self {
        self.max_body_bytes = bytes;
        self
    }

    /// Returns the ring that it verifies with.
    #[must_use]
    pub fn ring(&self) -> &KeyRing<WebhookKey> {
        &self.ring
    }
}
