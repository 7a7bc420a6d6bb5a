//! Verifying a body: whole, or as it streams in.

use std::fmt;

use super::key::WebhookKey;
use super::signature;
use super::unescaped::Escaper;
use super::verifier::WebhookVerifier;
use crate::error::{Reason, VerifyError};
use crate::mac::{Lanes, MAX_LANES};
use crate::ring::snapshot::Unit;
use crate::verified::Verified;

impl WebhookVerifier {
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
    /// # use dualkey::webhook::{WebhookVerifier, WebhookKey};
    /// # let ring = KeyRing::<WebhookKey>::builder()
    /// #     .primary(Secret::from("1222e786b144d0e85b9f365372d93676")).build()?;
    /// # let hook = WebhookVerifier::new(ring);
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
    /// The number of bytes that may still come; `None` if more came than may.
    room: Option<usize>,
}

impl Delivery {
    /// Feeds the next chunk, of any length. Beyond the
    /// [bound](WebhookVerifier::max_body_bytes), nothing is looked at any more.
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

    /// Returns the number of bytes that may still come; `None` if more came than may.
    pub(crate) fn room(&self) -> Option<usize> {
        self.room
    }

    /// Gives the body up, because of `reason`.
    pub(crate) fn reject(&self, reason: Reason) -> VerifyError {
        self.unit.view().reject(reason)
    }

    /// Ends the body, and says whether one of the keys signed it.
    ///
    /// # Errors
    /// A [`VerifyError`], of which the peer may be told nothing but
    /// [`Reason::TooLarge`].
    pub fn finish(self) -> Result<Verified<()>, VerifyError> {
        if self.room().is_none() {
            return Err(self.reject(Reason::TooLarge));
        }
        let view = self.unit.view();
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
