//! An attacker who has an encryption key and a backup of what it sealed.

use aes_gcm::aead::AeadInOut;
use aes_gcm::{Aes256Gcm, KeyInit};

use super::secret;

/// The bytes of `aes_key(seed, _)`.
pub fn kek(seed: u64) -> [u8; 32] {
    secret(seed).as_bytes()[..32].try_into().unwrap()
}

/// Returns where the wrap and the payload of an envelope begin, by the drawing.
fn places(blob: &[u8]) -> (usize, usize) {
    let wrap = 5 + usize::from(blob[4]);
    (wrap, wrap + 60)
}

fn open(key: &[u8; 32], associated: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let (nonce, rest) = sealed.split_first_chunk::<12>().unwrap();
    let (ciphertext, tag) = rest.split_last_chunk::<16>().unwrap();
    let mut payload = ciphertext.to_vec();
    Aes256Gcm::new(key.into())
        .decrypt_inout_detached(
            &(*nonce).into(),
            associated,
            payload.as_mut_slice().into(),
            &(*tag).into(),
        )
        .ok()?;
    Some(payload)
}

fn seal(key: &[u8; 32], associated: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut nonce = [0; 12];
    getrandom::fill(&mut nonce).unwrap();
    let mut ciphertext = payload.to_vec();
    let tag = Aes256Gcm::new(key.into())
        .encrypt_inout_detached(&nonce.into(), associated, ciphertext.as_mut_slice().into())
        .unwrap();
    [&nonce[..], &ciphertext, &tag].concat()
}

fn covered(context: &str) -> Vec<u8> {
    [b"DK\x01\x01", context.as_bytes()].concat()
}

/// The data key of an envelope, for whoever has the key that wraps it.
pub fn data_key(kek: &[u8; 32], blob: &[u8]) -> [u8; 32] {
    let (wrap, payload) = places(blob);
    open(kek, &blob[..wrap], &blob[wrap..payload]).unwrap().try_into().unwrap()
}

/// Returns what the attacker puts in the place of `today`, whose head and wrap are kept: a payload
/// of theirs under a data key that they have.
pub fn forged(today: &[u8], dek: &[u8; 32], context: &str) -> Vec<u8> {
    let (_, payload) = places(today);
    [&today[..payload], &seal(dek, &covered(context), b"the attacker's")].concat()
}

/// Returns whether today's payload is under a data key that the attacker has.
pub fn reads(today: &[u8], dek: &[u8; 32], context: &str) -> bool {
    let (_, payload) = places(today);
    open(dek, &covered(context), &today[payload..]).is_some()
}

/// A rewrap as it was once: another wrap about the same data key and payload.
pub fn wrapped_only(blob: &[u8], from: u64, to: u64, kid: &str) -> Vec<u8> {
    let (_, payload) = places(blob);
    let head = [b"DK\x01\x01", &[u8::try_from(kid.len()).unwrap()][..], kid.as_bytes()].concat();
    let wrap = seal(&kek(to), &head, &data_key(&kek(from), blob));
    [&head[..], &wrap, &blob[payload..]].concat()
}
