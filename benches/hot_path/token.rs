//! JSON Web Tokens.

use std::hint::black_box;

use base64_simd::{AsOut, URL_SAFE_NO_PAD};
use criterion::Criterion;
use dualkey::jwt::{Algorithm, Header, Jwt, JwtKey, Validation};
use hmac::{Hmac, KeyInit, Mac};
use jsonwebtoken::{DecodingKey, EncodingKey};
use sha2::Sha256;

use crate::input::{BorrowedClaims, Claims, SECRETS, STRANGER, claims, token};
use crate::{compressions, ring_of};

pub fn verify(c: &mut Criterion) {
    let mut group = c.benchmark_group("jwt_verify");
    let (new, old, last) = (token(SECRETS[0]), token(SECRETS[1]), token(SECRETS[3]));
    let forged = token(STRANGER);
    let [one, two, four] = [1, 2, 4].map(|count| Jwt::new(ring_of::<JwtKey>(&SECRETS[..count])));
    let mut buffer = Vec::new();
    group.bench_function("floor", |b| b.iter(floor(&new)));
    group.bench_function("dualkey_1key_borrowed", |b| {
        b.iter(|| {
            let claims = one.verify_in::<BorrowedClaims<'_>>(black_box(&new), &mut buffer);
            let _ = black_box(claims.unwrap());
        });
    });
    group.bench_function("dualkey_1key", |b| {
        b.iter(|| one.verify::<Claims>(black_box(&new)).unwrap());
    });
    group.bench_function("dualkey_2keys_primary", |b| {
        b.iter(|| two.verify::<Claims>(black_box(&new)).unwrap());
    });
    group.bench_function("dualkey_2keys_fallback", |b| {
        b.iter(|| two.verify::<Claims>(black_box(&old)).unwrap());
    });
    group.bench_function("dualkey_4keys_last", |b| {
        b.iter(|| four.verify::<Claims>(black_box(&last)).unwrap());
    });
    group.bench_function("dualkey_2keys_forged", |b| {
        b.iter(|| two.verify::<Claims>(black_box(&forged)).is_err());
    });
    // The last of four keys is named; and the same token at a ring of that key alone.
    let alone = Jwt::new(ring_of::<JwtKey>(&SECRETS[3..]));
    let named = alone.sign(&claims()).unwrap();
    group.bench_function("dualkey_kid", |b| {
        b.iter(|| four.verify::<Claims>(black_box(&named)).unwrap());
    });
    group.bench_function("dualkey_kid_1key", |b| {
        b.iter(|| alone.verify::<Claims>(black_box(&named)).unwrap());
    });

    // Keyed beforehand, and compared in constant time: better than most have it.
    let keys = [SECRETS[0], SECRETS[1]]
        .map(|secret| Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap());
    group.bench_function("by_hand_1key", |b| {
        b.iter(|| verify_by_hand(&keys, black_box(&new)).unwrap())
    });
    group.bench_function("by_hand_loop_fallback", |b| {
        b.iter(|| verify_by_hand(&keys, black_box(&old)).unwrap());
    });

    let keys = [SECRETS[0], SECRETS[1]].map(|secret| DecodingKey::from_secret(secret.as_bytes()));
    let validation = Validation::new(Algorithm::HS256);
    let by_loop = |token: &str| {
        let decode = |key| jsonwebtoken::decode::<Claims>(token, key, &validation).ok();
        keys.iter().find_map(decode)
    };
    group.bench_function("jsonwebtoken_1key", |b| b.iter(|| by_loop(black_box(&new)).unwrap()));
    group.bench_function("jsonwebtoken_loop_fallback", |b| {
        b.iter(|| by_loop(black_box(&old)).unwrap());
    });
    group.bench_function("jsonwebtoken_loop_forged", |b| {
        b.iter(|| by_loop(black_box(&forged)).is_none());
    });
    group.finish();
}

/// Without a check of the header, of a claim or of the time.
fn verify_by_hand(keys: &[Hmac<Sha256>], token: &str) -> Option<Claims> {
    let (message, signature) = token.rsplit_once('.')?;
    let (_, payload) = message.split_once('.')?;
    let tag = URL_SAFE_NO_PAD.decode_to_vec(signature).ok()?;
    keys.iter().find(|key| (*key).clone().chain_update(message).verify_slice(&tag).is_ok())?;
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode_to_vec(payload).ok()?).ok()
}

/// The compressions of the one key, of blocks that are padded already; the payload decoded
/// into a buffer; and parsed, borrowing.
fn floor(token: &str) -> impl FnMut() -> u64 {
    let (message, _) = token.rsplit_once('.').unwrap();
    let payload = message.split_once('.').unwrap().1.to_owned();
    let mut blocks = vec![[0; 64]; (message.len() + 9).div_ceil(64)];
    for (block, part) in blocks.iter_mut().zip(message.as_bytes().chunks(64)) {
        block[..part.len()].copy_from_slice(part);
    }
    let mut buffer = vec![0; 1024];
    move || {
        compressions(&blocks);
        let payload = black_box(payload.as_bytes());
        let decoded = URL_SAFE_NO_PAD.decode(payload, buffer.as_out()).unwrap();
        let claims: BorrowedClaims<'_> = serde_json::from_slice(decoded).unwrap();
        black_box(&claims).exp
    }
}

pub fn sign(c: &mut Criterion) {
    let mut group = c.benchmark_group("jwt_sign");
    let (jwt, claims) = (Jwt::new(ring_of::<JwtKey>(&SECRETS[..2])), claims());
    group.bench_function("dualkey_2keys_primary", |b| {
        b.iter(|| jwt.sign(black_box(&claims)).unwrap());
    });
    let (key, header) =
        (EncodingKey::from_secret(SECRETS[0].as_bytes()), Header::new(Algorithm::HS256));
    group.bench_function("jsonwebtoken_1key", |b| {
        b.iter(|| jsonwebtoken::encode(&header, black_box(&claims), &key).unwrap());
    });
    group.finish();
}
