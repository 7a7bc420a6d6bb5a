//! Making envelopes: a fresh data key and fresh nonces for each.

use zeroize::Zeroizing;

use super::Sealer;
use super::aead::{Cipher, KEY_LEN, NONCE_LEN, TAG_LEN};
use super::format::{Head, associated};
use super::key::AesKey;
use crate::error::Error;
use crate::observer::Event;
use crate::ring::View;

impl Sealer {
    pub(super) fn sealed(
        &self,
        view: &View<'_, AesKey>,
        payload: &[u8],
        context: &[u8],
    ) -> Result<Vec<u8>, Error> {
        if payload.len() > self.max_payload_bytes {
            return Err(too_large());
        }
        let dek: Zeroizing<[u8; KEY_LEN]> = random()?;
        let nonce: Zeroizing<[u8; NONCE_LEN]> = random()?;
        let mut blob = wrapped(view, &dek, NONCE_LEN + payload.len() + TAG_LEN)?;
        blob.extend_from_slice(&*nonce);
        let start = blob.len();
        blob.extend_from_slice(payload);
        let cipher = Cipher::new(view.primary()?.material().backend, &dek);
        let tag =
            associated(context, |associated| cipher.seal(&nonce, associated, &mut blob[start..]));
        let tag = tag.ok_or_else(too_large)?;
        blob.extend_from_slice(&tag);
        Ok(blob)
    }
}

/// The head of a new envelope, with `dek` wrapped under the primary, and `room` for what
/// comes after it.
pub(super) fn wrapped(
    view: &View<'_, AesKey>,
    dek: &[u8; KEY_LEN],
    room: usize,
) -> Result<Vec<u8>, Error> {
    let key = view.primary()?;
    let kid = key.kid();
    let sealed = key.material().count().ok_or(Error::Exhausted { kid })?;
    if AesKey::is_worth_telling(sealed) {
        view.tell(Event::WearsOut { ring: view.ring(), kid, sealed });
    }
    let head = Head { kid: kid.as_bytes() };
    let mut blob = Vec::with_capacity(head.len() + room);
    head.write(&mut blob);
    let nonce: Zeroizing<[u8; NONCE_LEN]> = random()?;
    let mut wrap = Zeroizing::new(*dek);
    let tag = key
        .material()
        .cipher
        .seal(&nonce, &blob, &mut *wrap)
        .expect("a key of 32 bytes is not too long a message");
    for part in [&nonce[..], &*wrap, &tag] {
        blob.extend_from_slice(part);
    }
    key.counters().signed();
    Ok(blob)
}

/// From the operating system alone.
fn random<const N: usize>() -> Result<Zeroizing<[u8; N]>, Error> {
    let mut bytes = Zeroizing::new([0; N]);
    getrandom::fill(&mut *bytes).map_err(|error| Error::Seal {
        problem: "the operating system gives no random numbers",
        source: Some(Box::new(error)),
    })?;
    Ok(bytes)
}

fn too_large() -> Error {
    let problem = "the payload is too large: raise `max_payload_bytes`, or store it in parts";
    Error::Seal { problem, source: None }
}
