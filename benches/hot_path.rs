//! The hot paths beside what one writes by hand, on the same input in one run.
//!
//! ```sh
//! cargo bench --bench hot_path             # a minute or two for each group
//! cargo bench --bench hot_path -- --quick  # a few seconds for each group
//! cargo bench --bench ratios               # the table of ratios, from the last run
//! ```
//!
//! `dualkey_1key` has one key, `dualkey_2keys_fallback` two of which the second matches;
//! `*_loop_fallback` is the loop over `[new, old]` that everybody writes.
#![allow(missing_docs, clippy::unwrap_used)]

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use aes_gcm::Aes256Gcm;
use aes_gcm::aead::AeadInOut;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use dualkey::cookie::{Cookie, CookieJar, CookieKey, CookieSigner};
use dualkey::envelope::{AesKey, Sealer};
use dualkey::jwt::{Algorithm, Header, Jwt, JwtKey, Validation};
use dualkey::webhook::{MetaWebhook, WebhookKey};
use dualkey::{KeyMaterial, KeyRing, NewKey, Secret};
use hmac::{Hmac, KeyInit, Mac};
use jsonwebtoken::{DecodingKey, EncodingKey};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

const NEW: &str = "kH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eUq8WzRkH7vQ2mXw9LrT4nZ8yB1cF6gJ";
const OLD: &str = "Nf0Vg6Jc3Ds8Pw1Ra4Tb7Yx2Zq9Ml5KiUe8HzNf0Vg6Jc3Ds8Pw1Ra4Tb7Yx2Zq9";

/// One key, or two of which the old one is the fallback.
fn ring<K: KeyMaterial>(secrets: &[&str]) -> KeyRing<K> {
    let mut builder = KeyRing::builder().primary(Secret::from(secrets[0]));
    for secret in &secrets[1..] {
        builder = builder.fallback(Secret::from(*secret));
    }
    builder.build().unwrap()
}

#[derive(Serialize, Deserialize)]
struct Claims {
    sub: String,
    name: String,
    role: String,
    sid: String,
    iat: u64,
    exp: u64,
}

/// Of 300 bytes, without a `kid`, as another library writes it.
fn token(secret: &str) -> String {
    let claims = Claims {
        sub: "user-0123456789abcdef".to_owned(),
        name: "Ada Lovelace".to_owned(),
        role: "administrator".to_owned(),
        sid: "5f2c7d9be4a14c0d8b1f6e3a2d9c7b50".to_owned(),
        iat: 1_700_000_000,
        exp: 4_102_444_800,
    };
    let key = EncodingKey::from_secret(secret.as_bytes());
    let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key).unwrap();
    assert!((280..=320).contains(&token.len()), "{}", token.len());
    token
}

fn jwt_verify(c: &mut Criterion) {
    let mut group = c.benchmark_group("jwt_verify");
    let (new, old) = (token(NEW), token(OLD));
    let one = Jwt::new(ring::<JwtKey>(&[NEW]));
    let two = Jwt::new(ring::<JwtKey>(&[NEW, OLD]));
    group.bench_function("dualkey_1key", |b| {
        b.iter(|| one.verify::<Claims>(black_box(&new)).unwrap());
    });
    group.bench_function("dualkey_2keys_primary", |b| {
        b.iter(|| two.verify::<Claims>(black_box(&new)).unwrap());
    });
    group.bench_function("dualkey_2keys_fallback", |b| {
        b.iter(|| two.verify::<Claims>(black_box(&old)).unwrap());
    });

    let keys = [NEW, OLD].map(|secret| DecodingKey::from_secret(secret.as_bytes()));
    let validation = Validation::new(Algorithm::HS256);
    let by_loop = |token: &str| {
        let decode = |key| jsonwebtoken::decode::<Claims>(token, key, &validation).ok();
        keys.iter().find_map(decode).unwrap()
    };
    group.bench_function("jsonwebtoken_1key", |b| b.iter(|| by_loop(black_box(&new))));
    group.bench_function("jsonwebtoken_loop_fallback", |b| b.iter(|| by_loop(black_box(&old))));
    group.finish();
}

fn cookie_verify(c: &mut Criterion) {
    let mut group = c.benchmark_group("cookie_verify");
    let value = "5f2c7d9be4a14c0d8b1f6e3a2d9c7b50";
    let one = CookieSigner::new(ring::<CookieKey>(&[NEW]));
    let two = CookieSigner::new(ring::<CookieKey>(&[NEW, OLD]));
    let new = one.sign("session", value).unwrap();
    let old = CookieSigner::new(ring::<CookieKey>(&[OLD])).sign("session", value).unwrap();
    group.bench_function("dualkey_1key", |b| {
        b.iter(|| one.verify("session", black_box(&new)).unwrap());
    });
    group.bench_function("dualkey_2keys_fallback", |b| {
        b.iter(|| two.verify("session", black_box(&old)).unwrap());
    });

    let keys = [NEW, OLD].map(|secret| cookie::Key::derive_from(secret.as_bytes()));
    let jar = |key: &cookie::Key| {
        let mut jar = CookieJar::new();
        jar.signed_mut(key).add(Cookie::new("session", value));
        jar
    };
    let (new, old) = (jar(&keys[0]), jar(&keys[1]));
    let by_loop =
        |jar: &CookieJar| keys.iter().find_map(|key| jar.signed(key).get("session")).unwrap();
    group.bench_function("cookie_rs_1key", |b| b.iter(|| by_loop(black_box(&new))));
    group.bench_function("cookie_rs_loop_fallback", |b| b.iter(|| by_loop(black_box(&old))));
    group.finish();
}

fn webhook_verify(c: &mut Criterion) {
    let mut group = c.benchmark_group("webhook_verify");
    let (new, old) = ("0f1e2d3c4b5a69788796a5b4c3d2e1f0", "1222e786b144d0e85b9f365372d93676");
    let one = MetaWebhook::new(ring::<WebhookKey>(&[new]));
    let two = MetaWebhook::new(ring::<WebhookKey>(&[new, old]));
    let header = |secret: &str, body: &[u8]| {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
        mac.update(body);
        let digits =
            mac.finalize().into_bytes().iter().map(|b| format!("{b:02x}")).collect::<String>();
        format!("sha256={digits}")
    };
    let by_loop = |value: &str, body: &[u8]| {
        // With `==`, as in most backends: its time tells where the digits differ.
        [new, old].into_iter().any(|secret| header(secret, body) == value)
    };
    for (name, length) in [("256B", 256), ("4KiB", 4096), ("64KiB", 65536)] {
        let body = vec![b'x'; length];
        let (by_new, by_old) = (header(new, &body), header(old, &body));
        group.throughput(Throughput::Bytes(length as u64));
        group.bench_function(BenchmarkId::new("dualkey_1key", name), |b| {
            b.iter(|| one.verify(black_box([&by_new]), &body).unwrap());
        });
        group.bench_function(BenchmarkId::new("dualkey_2keys_fallback", name), |b| {
            b.iter(|| two.verify(black_box([&by_old]), &body).unwrap());
        });
        group.bench_function(BenchmarkId::new("by_hand_1key", name), |b| {
            b.iter(|| by_loop(black_box(&by_new), &body));
        });
        group.bench_function(BenchmarkId::new("by_hand_loop_fallback", name), |b| {
            b.iter(|| by_loop(black_box(&by_old), &body));
        });
    }
    group.finish();
}

const SIZES: [(&str, usize); 3] = [("100B", 100), ("1KiB", 1024), ("1MiB", 1 << 20)];
const CONTEXT: &[u8] = b"notes/7/body";

/// A ring whose primary is new, and one envelope of each of its two keys.
fn envelopes(payload: &[u8]) -> (Sealer, Vec<u8>, Vec<u8>) {
    let key = |seed: u8| Secret::from(std::array::from_fn::<u8, 32, _>(|i| (i as u8 * 7) ^ seed));
    let ring = KeyRing::<AesKey>::builder().primary(key(0x5a)).build().unwrap();
    let sealer = Sealer::new(ring.clone());
    let old = sealer.seal(payload, CONTEXT).unwrap();
    let kid = ring.stage(key(0xa5)).unwrap();
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
fn envelope_open(c: &mut Criterion) {
    let mut group = c.benchmark_group("envelope_open");
    for (name, length) in SIZES {
        let payload = vec![b'x'; length];
        let (sealer, old, new) = envelopes(&payload);
        group.throughput(Throughput::Bytes(length as u64));
        group.bench_function(BenchmarkId::new("dualkey_1key", name), |b| {
            b.iter(|| sealer.open(black_box(&new), CONTEXT).unwrap());
        });
        group.bench_function(BenchmarkId::new("dualkey_2keys_fallback", name), |b| {
            b.iter(|| sealer.open(black_box(&old), CONTEXT).unwrap());
        });
        let kek = Aes256Gcm::new(&[0x5a; 32].into());
        let wrapped = seal_by_hand(&kek, b"head", &[7; 32]);
        let sealed = seal_by_hand(&Aes256Gcm::new(&[7; 32].into()), CONTEXT, &payload);
        group.bench_function(BenchmarkId::new("by_hand_aes_gcm", name), |b| {
            b.iter(|| {
                let dek = open_by_hand(&kek, b"head", black_box(&wrapped));
                let dek: [u8; 32] = dek.try_into().unwrap();
                open_by_hand(&Aes256Gcm::new(&dek.into()), CONTEXT, black_box(&sealed))
            });
        });
    }
    group.finish();
}

/// By hand, a rotation is to decrypt and to encrypt again.
fn envelope_rewrap(c: &mut Criterion) {
    let mut group = c.benchmark_group("envelope_rewrap");
    for (name, length) in SIZES {
        let payload = vec![b'x'; length];
        let (sealer, old, _) = envelopes(&payload);
        // The copy that is rewrapped is made beforehand, and its head put back each time.
        let mut blob = old.clone();
        let head = old.len() - length - 28;
        group.bench_function(BenchmarkId::new("dualkey", name), |b| {
            b.iter(|| {
                blob[..head].copy_from_slice(&old[..head]);
                assert!(sealer.rewrap(black_box(&mut blob)).unwrap());
            });
        });
        let keys = [0x5a, 0xa5].map(|byte| Aes256Gcm::new(&[byte; 32].into()));
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

/// What a reader pays to find the primary, at rest and while another thread swaps the
/// ring every millisecond.
fn ring_load(c: &mut Criterion) {
    let mut group = c.benchmark_group("ring_load");
    // A key from the start that only verifies has no end, so the clock is not read; one
    // that was superseded has, and it is.
    let one = ring::<JwtKey>(&[NEW]);
    let withdrawn = one.stage(NewKey::new(Secret::from(OLD))).unwrap();
    one.retire(&withdrawn).unwrap();
    let two = ring::<JwtKey>(&[OLD]);
    let kid = two.stage(NewKey::new(Secret::from(NEW))).unwrap();
    two.promote(&kid).unwrap();
    let by_hand = RwLock::new(Arc::new([NEW.to_owned(), OLD.to_owned()]));
    let kids: Vec<_> = two.keys().iter().map(|key| key.kid).collect();

    for state in ["at_rest", "swapping"] {
        let done = AtomicBool::new(state == "at_rest");
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut turn = 0;
                while !done.load(Relaxed) {
                    two.promote(&kids[turn % 2]).unwrap();
                    // Settled already: an equal set is swapped in.
                    one.retire(&withdrawn).unwrap();
                    *by_hand.write().unwrap() = Arc::new([NEW.to_owned(), OLD.to_owned()]);
                    turn += 1;
                    std::thread::sleep(Duration::from_millis(1));
                }
            });
            group.bench_function(BenchmarkId::new("dualkey_1key", state), |b| {
                b.iter(|| black_box(&one).primary());
            });
            group.bench_function(BenchmarkId::new("dualkey_2keys_fallback", state), |b| {
                b.iter(|| black_box(&two).primary());
            });
            group.bench_function(BenchmarkId::new("by_hand_loop_fallback", state), |b| {
                b.iter(|| Arc::clone(&black_box(&by_hand).read().unwrap()));
            });
            done.store(true, Relaxed);
        });
    }
    group.finish();
}

criterion_group!(
    benches,
    ring_load,
    jwt_verify,
    cookie_verify,
    webhook_verify,
    envelope_open,
    envelope_rewrap
);
criterion_main!(benches);
