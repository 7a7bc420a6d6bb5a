//! Webhooks signed with `X-Hub-Signature-256`, as Meta (Graph, Messenger, Instagram,
//! WhatsApp) and GitHub send them.
//!
//! ```text
//! X-Hub-Signature-256: "sha256=" 64 lower-case hexadecimal digits:
//!                      HMAC-SHA-256(app secret, raw body)
//! ```
//!
//! It promises: the raw bytes are checked before anything parses them, whole or as
//! they stream in; all keys are tried, always, in constant time; exactly one header of
//! exactly this form. Meta escapes the text before it signs, and sends what it signed:
//! verify the body as it came, never one that was parsed and serialised again.
//!
//! It does not promise *freshness*: the signature covers no time, so a delivery can be
//! replayed. Keep a list of delivery ids where that matters.
//!
//! # Rotation
//! Here the *peer* switches. Meta signs with a new app secret the moment it is reset,
//! so nobody can stage it first: what arrives before the ring learns of it is refused,
//! and comes again by retry; [`promote`](crate::KeyRing::promote) records what the
//! peer did. Where the secret is one's own choice, as on GitHub, stage it first. Retries
//! go on for 36 hours (Graph) to 7 days (WhatsApp): set the ring's
//! [`longest_life`](crate::RingBuilder::longest_life) to that.

mod handshake;
mod signature;
mod unescaped;

#[cfg(test)]
mod tests;

use std::fmt;

use crate::error::{Reason, VerifyError};
use crate::kid::Kid;
use crate::mac::{HmacSha256, Lanes, MAX_LANES};
use crate::purpose::Purpose;
use crate::ring::KeyMaterial;
use crate::ring::KeyRing;
use crate::ring::key::sealed;
use crate::ring::snapshot::Unit;
use crate::verified::Verified;

pub use handshake::VerifyToken;
use unescaped::Escaper;

/// What is refused unset: "up to 3 MB", as Meta documents of WhatsApp's webhooks.
const MAX_BODY_BYTES: usize = 3 * 1024 * 1024;

/// The material of an app secret. Secrets have at least 32 bytes; Meta's are 32
/// hexadecimal digits, which are taken as the text they are.
pub struct WebhookKey(HmacSha256);

/// Verifies deliveries over a ring of app secrets, and answers the subscription
/// handshake. A clone is cheap, and shares the ring.
///
/// ```
/// use dualkey::{KeyRing, Secret};
/// use dualkey::webhook::{MetaWebhook, WebhookKey};
///
/// let ring = KeyRing::<WebhookKey>::builder()
///     .primary(Secret::from("0f1e2d3c4b5a69788796a5b4c3d2e1f0"))
///     .fallback(Secret::from("1222e786b144d0e85b9f365372d93676"))
///     .build()?;
/// let hook = MetaWebhook::new(ring);
///
/// let body = br#"{"object":"page"}"#;
/// let header = "sha256=369ad91d36d1279d28942b6b543b6a2ea42853d03276bf28ec4655a0b7a0c7e1";
/// let delivery = hook.verify([header], body).expect("signed with the old secret");
/// assert_eq!(*delivery, body);
/// assert!(hook.verify([header], b"something else").is_err());
/// # Ok::<(), dualkey::Error>(())
/// ```
///
/// With `http`, that is `hook.verify(headers.get_all(MetaWebhook::HEADER), &body)`: two
/// headers are refused, so hand over all that there are.
#[derive(Debug, Clone)]
pub struct MetaWebhook {
    ring: KeyRing<WebhookKey>,
    verify_tokens: Option<KeyRing<VerifyToken>>,
    accepts_unescaped: bool,
    max_body_bytes: usize,
}

impl MetaWebhook {
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
    /// # use dualkey::webhook::{MetaWebhook, WebhookKey};
    /// # let ring = KeyRing::<WebhookKey>::builder()
    /// #     .primary(Secret::from("0f1e2d3c4b5a69788796a5b4c3d2e1f0")).build()?;
    /// let hook = MetaWebhook::new(ring).accept_unescaped();
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

    /// The ring that it verifies with.
    #[must_use]
    pub fn ring(&self) -> &KeyRing<WebhookKey> {
        &self.ring
    }

    /// Verifies a whole body against `signatures`, the values of all its
    /// [`HEADER`](Self::HEADER)s, of which there must be one.
    ///
    /// # Errors
    /// A [`VerifyError`], of which the peer may be told nothing.
    ///
    /// # Security
    /// Constant-time in the contents, not in the length of the body nor in the number
    /// of keys.
    pub fn verify<'b, S: AsRef<[u8]>>(
        &self,
        signatures: impl IntoIterator<Item = S>,
        body: &'b [u8],
    ) -> Result<Verified<&'b [u8]>, VerifyError> {
        let mut delivery = self.start(signatures)?;
        delivery.update(body);
        Ok(delivery.finish()?.map(|()| body))
    }

    /// Starts a body that comes in chunks. Its signature is checked for its form at
    /// once, and the keys are those of this moment until it is finished.
    ///
    /// ```
    /// # use dualkey::{KeyRing, Secret};
    /// # use dualkey::webhook::{MetaWebhook, WebhookKey};
    /// # let ring = KeyRing::<WebhookKey>::builder()
    /// #     .primary(Secret::from("1222e786b144d0e85b9f365372d93676")).build()?;
    /// # let hook = MetaWebhook::new(ring);
    /// # let header = "sha256=369ad91d36d1279d28942b6b543b6a2ea42853d03276bf28ec4655a0b7a0c7e1";
    /// let mut delivery = hook.start([header]).expect("a signature of the right form");
    /// delivery.update(br#"{"object":"#);
    /// delivery.update(br#""page"}"#);
    /// let verified = delivery.finish().expect("the body that was signed");
    /// # Ok::<(), dualkey::Error>(())
    /// ```
    ///
    /// # Errors
    /// A [`VerifyError`] if there is not exactly one signature of the right form.
    pub fn start<S: AsRef<[u8]>>(
        &self,
        signatures: impl IntoIterator<Item = S>,
    ) -> Result<Delivery, VerifyError> {
        let unit = Unit::new(&self.ring);
        let signature = match signature::only(signatures) {
            Ok(signature) => signature,
            Err(reason) => return Err(unit.view().reject(reason)),
        };
        let lanes = {
            let view = unit.view();
            let primary = view.primary().map_err(|_| view.reject(view.unavailable()))?;
            let mut macs = [&primary.material().0; MAX_LANES];
            let mut count = 0;
            for (mac, (key, _)) in macs.iter_mut().zip(view.verifying()) {
                *mac = &key.material().0;
                count += 1;
            }
            Lanes::new(&macs[..count])
        };
        let escaped = self.accepts_unescaped.then(Escaper::default);
        Ok(Delivery { unit, lanes, signature, escaped, room: Some(self.max_body_bytes) })
    }
}

/// A body on its way in: fed chunk by chunk, and nothing until it is finished.
#[must_use = "a delivery that is not finished is not verified"]
pub struct Delivery {
    unit: Unit<WebhookKey>,
    lanes: Lanes,
    signature: [u8; 32],
    escaped: Option<Escaper>,
    /// How many bytes may come; none, if more came than might.
    room: Option<usize>,
}

impl Delivery {
    /// Feeds the next chunk, of any length. Beyond the
    /// [bound](MetaWebhook::max_body_bytes), nothing is looked at any more.
    pub fn update(&mut self, chunk: &[u8]) {
        self.room = self.room.and_then(|room| room.checked_sub(chunk.len()));
        if self.room.is_none() {
            return;
        }
        if let Some(escaped) = &mut self.escaped {
            escaped.update(&self.lanes, chunk);
        }
        self.lanes.update(chunk);
    }

    /// How many bytes may still come; none, if more came than might.
    #[cfg(feature = "tower")]
    pub(crate) fn room(&self) -> Option<usize> {
        self.room
    }

    /// Gives the body up.
    #[cfg(feature = "tower")]
    pub(crate) fn reject(&self, reason: Reason) -> VerifyError {
        self.unit.view().reject(reason)
    }

    /// Ends the body, and says whether one of the keys signed it.
    ///
    /// # Errors
    /// A [`VerifyError`], of which the peer may be told nothing but
    /// [`Reason::TooLarge`].
    pub fn finish(self) -> Result<Verified<()>, VerifyError> {
        let view = self.unit.view();
        if self.room.is_none() {
            return Err(view.reject(Reason::TooLarge));
        }
        // V5: every form is computed and compared, whichever matches.
        let escaped = self.escaped.map(Escaper::finish).unwrap_or_default();
        let forms = [Some(self.lanes.finish())].into_iter().chain(escaped);
        let found = forms.flatten().fold(None, |found: Option<usize>, tags| {
            let place = tags.matching(&self.signature);
            found.or(place)
        });
        match found.and_then(|place| view.nth(place)) {
            Some(key) => Ok(view.accept(key, ())),
            None => Err(view.reject(Reason::Signature)),
        }
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery").finish_non_exhaustive()
    }
}

impl sealed::Sealed for WebhookKey {}

impl KeyMaterial for WebhookKey {
    const PURPOSE: Purpose = Purpose::Webhook;
    type Options = ();

    fn prepare(secret: &[u8], _: Kid, (): &()) -> Result<Self, String> {
        Ok(Self(HmacSha256::new(secret)))
    }

    fn self_test(&self) -> bool {
        self.0.self_test()
    }
}

impl fmt::Debug for WebhookKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookKey([REDACTED])")
    }
}
