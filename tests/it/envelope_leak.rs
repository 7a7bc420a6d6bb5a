//! An encryption key leaks to an attacker who has a backup of what it sealed.

use aes_gcm::aead::AeadInOut;
use aes_gcm::{Aes256Gcm, KeyInit};
use dualkey::Reason;
use dualkey::envelope::Sealer;

use crate::common::{BACKENDS, aes_key, aes_ring_of, base64url, secret};

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

/// V8.
#[test]
fn a_key_that_leaks_after_a_rewrap_forges_and_reads_nothing_that_is_stored() {
    for backend in BACKENDS {
        let ring = aes_ring_of(backend, [aes_key(1, "old")]);
        let sealer = Sealer::new(ring.clone());
        let mut blob = sealer.seal("a note", "notes/7/body").unwrap();
        let mut text = sealer.seal_text("a note", "notes/7/body").unwrap();
        let decode = |text: &str| base64url::decode(text.strip_prefix("dk1.").unwrap());
        let backups = [blob.clone(), decode(&text)];
        let new = ring.stage(aes_key(2, "new")).unwrap();
        ring.promote(&new).unwrap();
        assert!(sealer.rewrap(&mut blob, "notes/7/body").unwrap());
        assert!(sealer.rewrap_text(&mut text, "notes/7/body").unwrap());
        ring.revoke(&"old".parse().unwrap(), "in a public log").unwrap();

        for (today, backup) in [blob, decode(&text)].iter().zip(&backups) {
            let dek = data_key(&kek(1), backup);
            // The attack itself works: on a row that was wrapped only, it is a note of the service.
            let wrapped = wrapped_only(backup, 1, 2, "new");
            let believed = sealer.open(forged(&wrapped, &dek, "notes/7/body"), "notes/7/body");
            assert_eq!(*believed.unwrap(), b"the attacker's");

            let refused = sealer.open(forged(today, &dek, "notes/7/body"), "notes/7/body");
            assert_eq!(refused.unwrap_err().reason(), Reason::Signature);
            assert!(!reads(today, &dek, "notes/7/body"));
            assert_eq!(*sealer.open(today, "notes/7/body").unwrap(), b"a note");
            // The backup itself names the revoked key.
            let reason = sealer.open(backup, "notes/7/body").unwrap_err().reason();
            assert_eq!(reason, Reason::RevokedKey);
        }
    }
}
