//! A stored value, brought under the primary: what a sweep does to each.

use zeroize::Zeroizing;

use super::aead::KEY_LEN;
use super::format::{self, OVERHEAD, Stored, TEXT_MARK};
use super::key::AesKey;
use super::open::{decrypted, keyed, unwrap};
use super::rewrap::RewrapError;
use super::seal::wrapped;
use super::{Sealer, is_binary};
use crate::key::Key;
use crate::kid::Kid;
use crate::observer::Event;
use crate::ring::View;
use crate::verified::Role;

/// How a sweep goes about it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct How {
    /// Opens every payload, and not the wrap alone.
    pub(crate) opens_all: bool,
    /// Opens under revoked keys too, and seals what it finds anew.
    pub(crate) rescues: bool,
    /// Makes nothing.
    pub(crate) is_rehearsal: bool,
    /// What was in a legacy layout becomes an envelope in text form.
    pub(crate) is_text: bool,
}

/// What became of a stored value.
pub(crate) struct Renewed {
    /// The key that it was under.
    pub(crate) from: Kid,
    /// The key that it is under now.
    pub(crate) to: Kid,
    /// How long that is which is to be stored in its place; none, if it stays.
    pub(crate) length: Option<usize>,
    /// What is to be stored in its place: not in a rehearsal.
    pub(crate) value: Option<Vec<u8>>,
}

impl Sealer {
    /// No stored value that this sealer reads has more bytes.
    pub(crate) fn max_stored_bytes(&self) -> usize {
        format::max_stored(self.max_payload_bytes)
    }

    /// Whatever is `stored` under the primary, where it is under a key on its way out.
    pub(crate) fn renewed(
        &self,
        stored: &[u8],
        context: &[u8],
        how: How,
    ) -> Result<Renewed, RewrapError> {
        self.ring.read(|view| match Stored::of(stored, self.max_payload_bytes) {
            Ok(Stored::Native(blob)) => {
                let is_text = !is_binary(stored);
                self.renewed_envelope(view, &blob, context, How { is_text, ..how })
            }
            Ok(Stored::Legacy(_)) => self.renewed_legacy(view, stored, context, how),
            Err(reason) => Err(view.reject(reason).into()),
        })
    }

    fn renewed_envelope(
        &self,
        view: &View<'_, AesKey>,
        blob: &[u8],
        context: &[u8],
        how: How,
    ) -> Result<Renewed, RewrapError> {
        let mut dek = Zeroizing::new([0; KEY_LEN]);
        let found = self.head(blob).and_then(|head| {
            let (key, role) = keyed(view, head, how.rescues)?;
            unwrap(head, key, blob, &mut dek)?;
            let payload = match role {
                Some(_) if !how.opens_all => None,
                _ => Some(Zeroizing::new(decrypted(head, key, blob, &dek, context)?)),
            };
            Ok((head, key, role, payload))
        });
        let (head, key, role, payload) = found.map_err(|reason| view.reject(reason))?;
        let from = key.kid();
        match (role, payload) {
            // Who has a revoked key may have the data keys that it wraps: a new one is made.
            (None, Some(payload)) => {
                tell_rescued(view, key);
                self.anew(view, from, &payload, context, how)
            }
            // Deliberately not counted as a use: that a sweep went through says nothing of who
            // needs the key.
            (Some(Role::Fallback), _) => {
                let primary = view.primary()?;
                let tail = &blob[head.len()..];
                let start = head.len() - head.kid.len() + primary.kid().as_bytes().len();
                let length = Some(stored_len(start + tail.len(), how.is_text));
                let value = match how.is_rehearsal {
                    true => None,
                    false => {
                        let mut blob = wrapped(view, &dek, tail.len())?;
                        blob.extend_from_slice(tail);
                        Some(stored_as(blob, how.is_text))
                    }
                };
                Ok(Renewed { from, to: primary.kid(), length, value })
            }
            _ => Ok(Renewed { from, to: from, length: None, value: None }),
        }
    }

    fn renewed_legacy(
        &self,
        view: &View<'_, AesKey>,
        stored: &[u8],
        context: &[u8],
        how: How,
    ) -> Result<Renewed, RewrapError> {
        let opened = self.opened(view, stored, context, how.rescues);
        let opened = opened.map_err(|reason| view.reject(reason))?;
        let payload = Zeroizing::new(opened.payload);
        if opened.role.is_none() {
            tell_rescued(view, opened.key);
        }
        self.anew(view, opened.key.kid(), &payload, context, how)
    }

    /// `payload` in a new envelope.
    fn anew(
        &self,
        view: &View<'_, AesKey>,
        from: Kid,
        payload: &[u8],
        context: &[u8],
        how: How,
    ) -> Result<Renewed, RewrapError> {
        let to = view.primary()?.kid();
        let length = OVERHEAD + to.as_bytes().len() + payload.len();
        let length = Some(stored_len(length, how.is_text));
        let value = match how.is_rehearsal {
            true => None,
            false => Some(stored_as(self.sealed(view, payload, context)?, how.is_text)),
        };
        Ok(Renewed { from, to, length, value })
    }
}

fn tell_rescued(view: &View<'_, AesKey>, key: &Key<AesKey>) {
    view.tell(Event::OpenedRevoked { ring: view.ring(), kid: key.kid() });
}

fn stored_as(blob: Vec<u8>, is_text: bool) -> Vec<u8> {
    match is_text {
        true => format::to_text(&blob).into_bytes(),
        false => blob,
    }
}

fn stored_len(blob: usize, is_text: bool) -> usize {
    match is_text {
        true => TEXT_MARK.len() + (blob * 4).div_ceil(3),
        false => blob,
    }
}
