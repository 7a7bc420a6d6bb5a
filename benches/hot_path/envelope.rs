//! Envelopes: opened, and rewrapped.

use std::hint::black_box;

use aes_gcm::Aes256Gcm;
use aes_gcm::aead::AeadInOut;
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput};
use dualkey::envelope::{AesKey, Sealer};
use dualkey::{KeyRing, Secret};
use hmac::KeyInit;

use crate::input::{CONTEXT, DEK, HEAD, PAYLOADS, kek};

/// A ring whose primary is new, and one envelope of each of its two keys.
fn envelopes(payload: &[u8]) -> (Sealer, Vec<u8>, Vec<u8>) {
    let ring = KeyRing::<AesKey>::builder().primary(Secret::from(kek(1))).build().unwrap();
    let sealer = Sealer::new(ring.clone());
    let old = sealer.seal(payload, CONTEXT).unwrap();
    let kid = ring.stage(Secret::from(kek(0))).unwrap();
    ring.promote(&kid).unwrap();
    let new = sealer.seal(payload, CONTEXT).unwrap();
    (sealer, old, new)
}

/// What one writes by hand with the `aes-gcm` crate: `nonce | ciphertext | tag`.
fn seal_by_hand(cipher: &Aes256Gcm, associated: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut nonce = [0; 12];
    getrandom::fill(&mut nonce).unwrap();
    let mut sealed = [&nonce, payload].concat();
    let buffer = &mut sealed[12..];
    let tag = cipher.encrypt_inout_detached(&nonce.into(), associated, buffer.into()).unwrap();
    sealed.extend_from_slice(&tag);
    sealed
}

fn open_by_hand(cipher: &Aes256Gcm, associated: &[u8], sealed: &[u8]) -> Vec<u8> {
    let (nonce, rest) = sealed.split_first_chunk::<12>().unwrap();
    let (ciphertext, tag) = rest.split_last_chunk::<16>().unwrap();
    let mut payload = ciphertext.to_vec();
    let buffer = payload.as_mut_slice().into();
    cipher.decrypt_inout_detached(&(*nonce).into(), associated, buffer, &(*tag).into()).unwrap();
    payload
}

/// Both unwrap a data key and open the payload with it: the same two messages.
pub fn open(c: &mut Criterion) {
    let mut group = c.benchmark_group("envelope_open");
    for (name, length) in PAYLOADS {
        let payload = vec![b'x'; length];
        let (sealer, old, new) = envelopes(&payload);
        group.throughput(Throughput::Bytes(length as u64));
        group.bench_function(BenchmarkId::new("dualkey_1key", name), |b| {
            b.iter(|| sealer.open(black_box(&new), CONTEXT).unwrap());
        });
        group.bench_function(BenchmarkId::new("dualkey_2keys_fallback", name), |b| {
            b.iter(|| sealer.open(black_box(&old), CONTEXT).unwrap());
        });
        let kek = Aes256Gcm::new(&kek(0).into());
        let wrapped = seal_by_hand(&kek, HEAD, &DEK);
        let sealed = seal_by_hand(&Aes256Gcm::new(&DEK.into()), CONTEXT, &payload);
        group.bench_function(BenchmarkId::new("by_hand_aes_gcm", name), |b| {
            b.iter(|| {
                let dek = open_by_hand(&kek, HEAD, black_box(&wrapped));
                let dek: [u8; 32] = dek.try_into().unwrap();
                open_by_hand(&Aes256Gcm::new(&dek.into()), CONTEXT, black_box(&sealed))
            });
        });
    }
    group.finish();
}

/// By hand, a rotation is to decrypt and to encrypt again.
pub fn rewrap(c: &mut Criterion) {
    let mut group = c.benchmark_group("envelope_rewrap");
    for (name, length) in PAYLOADS.into_iter().chain([("10KB", 10_000)]) {
        let payload = vec![b'x'; length];
        let (sealer, old, _) = envelopes(&payload);
        let size = if length > 100_000 { BatchSize::LargeInput } else { BatchSize::SmallInput };
        group.bench_function(BenchmarkId::new("dualkey_2keys_fallback", name), |b| {
            b.iter_batched_ref(
                || old.clone(),
                |blob| assert!(sealer.rewrap(black_box(blob), CONTEXT).unwrap()),
                size,
            );
        });
        let keys = [0, 1].map(|place| Aes256Gcm::new(&kek(place).into()));
        let sealed = seal_by_hand(&keys[0], CONTEXT, &payload);
        group.bench_function(BenchmarkId::new("by_hand_aes_gcm", name), |b| {
            b.iter(|| {
                let payload = open_by_hand(&keys[0], CONTEXT, black_box(&sealed));
                seal_by_hand(&keys[1], CONTEXT, &payload)
            });
        });
    }
    group.finish();
}
