//! Sealing: an envelope with a fresh data key and fresh nonces.

use zeroize::Zeroizing;

use super::aead::{Cipher, KEY_LEN, NONCE_LEN, TAG_LEN};
use super::format::{Head, associated, to_text};
use super::key::AesKey;
use super::sealer::Sealer;
use crate::error::Error;
use crate::kid::Kid;
use crate::observer::Event;
use crate::ring::Key;
use crate::ring::snapshot::View;

impl Sealer {
    /// Seals `payload` under the primary, to be opened in the same `context` alone.
    ///
    /// # Errors
    /// [`Error::Seal`] if it is too large or the operating system gives no random numbers;
    /// [`Error::Exhausted`] if the primary has sealed as much as it may.
    pub fn seal(
        &self,
        payload: impl AsRef<[u8]>,
        context: impl AsRef<[u8]>,
    ) -> Result<Vec<u8>, Error> {
        self.ring.read(|view| seal_payload(self, view, payload.as_ref(), context.as_ref()))
    }

    /// As [`seal`](Self::seal), in text form.
    ///
    /// # Errors
    /// As for [`seal`](Self::seal).
    pub fn seal_text(
        &self,
        payload: impl AsRef<[u8]>,
        context: impl AsRef<[u8]>,
    ) -> Result<String, Error> {
        self.seal(payload, context).map(|blob| to_text(&blob))
    }
}

/// Seals `payload` under the primary.
pub(super) fn seal_payload(
    sealer: &Sealer,
    view: &View<'_, AesKey>,
    payload: &[u8],
    context: &[u8],
) -> Result<Vec<u8>, Error> {
    if payload.len() > sealer.max_payload_bytes {
        return Err(too_large());
    }
    Draft::from_payload(view.primary()?, payload).seal(view, context)
}

/// An envelope that is not sealed yet: its head, room for the wrap and the nonce, and the payload
/// in the clear. The payload is sealed in its place, and wiped if it is not.
pub(super) struct Draft<'k> {
    key: &'k Key<AesKey>,
    blob: Zeroizing<Vec<u8>>,
    /// The place of the first byte of the wrap.
    wrap: usize,
    /// The place of the first byte of the payload.
    payload: usize,
}

impl<'k> Draft<'k> {
    /// A draft under `key` that holds `payload`.
    pub(super) fn from_payload(key: &'k Key<AesKey>, payload: &[u8]) -> Self {
        let mut draft = Self::new(key, payload.len());
        draft.blob.extend_from_slice(payload);
        draft
    }

    /// A draft under `key` whose payload is `length` zeros, to be written over.
    pub(super) fn for_length(key: &'k Key<AesKey>, length: usize) -> Self {
        let mut draft = Self::new(key, length);
        draft.blob.resize(draft.payload + length, 0);
        draft
    }

    fn new(key: &'k Key<AesKey>, length: usize) -> Self {
        let kid = key.kid();
        let head = Head { kid: kid.as_bytes() };
        let payload = head.len() + NONCE_LEN;
        // All of it at once: a buffer that grew would leave a copy of the payload behind.
        let mut blob = Zeroizing::new(Vec::with_capacity(payload + length + TAG_LEN));
        head.write(&mut blob);
        let wrap = blob.len();
        blob.resize(payload, 0);
        Self { key, blob, wrap, payload }
    }

    /// Returns the payload, to be written.
    pub(super) fn payload(&mut self) -> &mut [u8] {
        &mut self.blob[self.payload..]
    }

    /// Returns the kid of the key that it is under.
    pub(super) fn kid(&self) -> Kid {
        self.key.kid()
    }

    /// Returns how long the envelope is once it is sealed.
    pub(super) fn sealed_len(&self) -> usize {
        self.blob.len() + TAG_LEN
    }

    /// Seals the payload under a new data key, and counts it as a message of the key.
    pub(super) fn seal(
        mut self,
        view: &View<'_, AesKey>,
        context: &[u8],
    ) -> Result<Vec<u8>, Error> {
        let Fresh { dek, wrap_nonce, nonce } = Fresh::draw()?;
        let (key, kid) = (self.key.material(), self.key.kid());
        let count = key.count().ok_or(Error::Exhausted { kid })?;
        if AesKey::is_worth_telling(count) {
            view.emit(Event::MessageLimitNear { ring: view.ring(), kid, sealed: count });
        }
        let (start, payload) = self.blob.split_at_mut(self.payload);
        let (head, rest) = start.split_at_mut(self.wrap);
        let mut wrapped = dek.clone();
        let wrap_tag = key
            .cipher
            .seal(&wrap_nonce, head, &mut *wrapped)
            .expect("a key of 32 bytes is not too long a message");
        self.key.counters().count_signed();
        let mut place = 0;
        for part in [&wrap_nonce[..], &wrapped[..], &wrap_tag, &nonce[..]] {
            rest[place..place + part.len()].copy_from_slice(part);
            place += part.len();
        }
        let cipher = Cipher::new(key.backend, &dek);
        let tag = associated(context, |associated| cipher.seal(&nonce, associated, payload));
        let tag = tag.ok_or_else(too_large)?;
        self.blob.extend_from_slice(&tag);
        Ok(std::mem::take(&mut *self.blob))
    }
}

/// The random parts of an envelope.
struct Fresh {
    dek: Zeroizing<[u8; KEY_LEN]>,
    wrap_nonce: [u8; NONCE_LEN],
    nonce: [u8; NONCE_LEN],
}

impl Fresh {
    /// Draws them from the operating system alone, in one call: three calls would take longer than the
    /// ciphers do for a short payload.
    fn draw() -> Result<Self, Error> {
        let mut bytes = Zeroizing::new([0; KEY_LEN + 2 * NONCE_LEN]);
        getrandom::fill(&mut *bytes).map_err(|error| Error::Seal {
            problem: "the operating system gives no random numbers",
            source: Some(Box::new(error)),
        })?;
        let (key, nonces) = bytes.split_at(KEY_LEN);
        let (first, second) = nonces.split_at(NONCE_LEN);
        let mut dek = Zeroizing::new([0; KEY_LEN]);
        let (mut wrap_nonce, mut nonce) = ([0; NONCE_LEN], [0; NONCE_LEN]);
        dek.copy_from_slice(key);
        wrap_nonce.copy_from_slice(first);
        nonce.copy_from_slice(second);
        Ok(Self { dek, wrap_nonce, nonce })
    }
}

fn too_large() -> Error {
    let problem = "the payload is too large: raise `max_payload_bytes`, or store it in parts";
    Error::Seal { problem, source: None }
}
