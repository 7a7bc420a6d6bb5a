//! The peers of `benches/hot_path`, which runs this for one group after the other: the
//! libraries that the crate itself does without, on the same input.

#[path = "../../hot_path/input.rs"]
#[allow(dead_code)]
mod input;

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput};
use dualkey::envelope::{AesKey, Backend, Sealer};
use dualkey::{KeyRing, Secret};
use input::{
    APP_SECRETS, BODIES, CONTEXT, Claims, DEK, HEAD, PAYLOADS, SECRETS, STRANGER, claims, kek,
    token,
};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};

type Group = (&'static str, fn(&mut Criterion));

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(3))
        .configure_from_args();
    let groups: [Group; 4] = [
        ("jwt_verify", jwt_verify),
        ("jwt_sign", jwt_sign),
        ("webhook_verify", webhook_verify),
        ("envelope_open", envelope_open),
    ];
    let wanted = std::env::var("DUALKEY_BENCH_GROUP").ok();
    for (_, group) in groups.iter().filter(|(name, _)| wanted.as_deref().is_none_or(|w| w == *name))
    {
        group(&mut criterion);
    }
}

fn jwt_verify(c: &mut Criterion) {
    let mut group = c.benchmark_group("jwt_verify");
    let (new, old, forged) = (token(SECRETS[0]), token(SECRETS[1]), token(STRANGER));
    let keys = [SECRETS[0], SECRETS[1]].map(|secret| DecodingKey::from_secret(secret.as_bytes()));
    let validation = Validation::new(Algorithm::HS256);
    let by_loop = |token: &str| {
        let decode = |key| jsonwebtoken::decode::<Claims>(token, key, &validation).ok();
        keys.iter().find_map(decode)
    };
    group.bench_function("aws_lc_jsonwebtoken_1key", |b| {
        b.iter(|| by_loop(black_box(&new)).unwrap());
    });
    group.bench_function("aws_lc_jsonwebtoken_loop_fallback", |b| {
        b.iter(|| by_loop(black_box(&old)).unwrap());
    });
    group.bench_function("aws_lc_jsonwebtoken_loop_forged", |b| {
        b.iter(|| by_loop(black_box(&forged)).is_none());
    });
    group.finish();
}

fn jwt_sign(c: &mut Criterion) {
    let mut group = c.benchmark_group("jwt_sign");
    let (key, header) =
        (EncodingKey::from_secret(SECRETS[0].as_bytes()), Header::new(Algorithm::HS256));
    let claims = claims();
    group.bench_function("aws_lc_jsonwebtoken_1key", |b| {
        b.iter(|| jsonwebtoken::encode(&header, black_box(&claims), &key).unwrap());
    });
    group.finish();
}

fn webhook_verify(c: &mut Criterion) {
    let mut group = c.benchmark_group("webhook_verify");
    let ring_keys = [APP_SECRETS[0], APP_SECRETS[1]]
        .map(|secret| ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret.as_bytes()));
    let aws_keys = [APP_SECRETS[0], APP_SECRETS[1]]
        .map(|secret| aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, secret.as_bytes()));
    for (name, length) in BODIES {
        let body = vec![b'x'; length];
        group.throughput(Throughput::Bytes(length as u64));
        let sign = |key| format!("sha256={}", hex::encode(ring::hmac::sign(key, &body)));
        let headers = [sign(&ring_keys[0]), sign(&ring_keys[1])];
        let by_ring = |header: &str| {
            let tag = hex::decode(&header[7..]).unwrap();
            ring_keys.iter().any(|key| ring::hmac::verify(key, &body, &tag).is_ok())
        };
        let by_aws_lc = |header: &str| {
            let tag = hex::decode(&header[7..]).unwrap();
            aws_keys.iter().any(|key| aws_lc_rs::hmac::verify(key, &body, &tag).is_ok())
        };
        for (place, function) in ["1key", "loop_fallback"].into_iter().enumerate() {
            let header = &headers[place];
            group.bench_function(BenchmarkId::new(format!("ring_{function}"), name), |b| {
                b.iter(|| assert!(by_ring(black_box(header))));
            });
            group.bench_function(BenchmarkId::new(format!("aws_lc_{function}"), name), |b| {
                b.iter(|| assert!(by_aws_lc(black_box(header))));
            });
        }
    }
    group.finish();
}

/// `nonce | ciphertext | tag`, by one of two libraries of the same interface.
macro_rules! by_hand {
    ($library:ident) => {{
        use $library::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
        let key =
            |bytes: &[u8; 32]| LessSafeKey::new(UnboundKey::new(&AES_256_GCM, bytes).unwrap());
        let seal = move |bytes: &[u8; 32], associated: &[u8], payload: &[u8]| {
            let nonce = [3; 12];
            let mut sealed = payload.to_vec();
            let tag = key(bytes)
                .seal_in_place_separate_tag(
                    Nonce::assume_unique_for_key(nonce),
                    Aad::from(associated),
                    &mut sealed,
                )
                .unwrap();
            [&nonce[..], &sealed, tag.as_ref()].concat()
        };
        let open = |key: &LessSafeKey, associated: &[u8], sealed: &[u8]| {
            let (nonce, rest) = sealed.split_first_chunk::<12>().unwrap();
            let mut payload = rest.to_vec();
            let nonce = Nonce::assume_unique_for_key(*nonce);
            let length =
                key.open_in_place(nonce, Aad::from(associated), &mut payload).unwrap().len();
            payload.truncate(length);
            payload
        };
        (key, seal, open)
    }};
}

fn envelope_open(c: &mut Criterion) {
    let mut group = c.benchmark_group("envelope_open");
    for (name, length) in PAYLOADS {
        let payload = vec![b'x'; length];
        group.throughput(Throughput::Bytes(length as u64));
        let ring = KeyRing::<AesKey>::builder()
            .primary(Secret::from(kek(0)))
            .backend(Backend::AwsLc)
            .build()
            .unwrap();
        let sealer = Sealer::new(ring);
        let blob = sealer.seal(&payload, CONTEXT).unwrap();
        group.bench_function(BenchmarkId::new("dualkey_aws_lc_1key", name), |b| {
            b.iter(|| sealer.open(black_box(&blob), CONTEXT).unwrap());
        });
        macro_rules! function {
            ($name:literal, $library:ident) => {
                let (key, seal, open) = by_hand!($library);
                let outer = key(&kek(0));
                let wrapped = seal(&kek(0), HEAD, &DEK);
                let sealed = seal(&DEK, CONTEXT, &payload);
                group.bench_function(BenchmarkId::new($name, name), |b| {
                    b.iter(|| {
                        let dek = open(&outer, HEAD, black_box(&wrapped));
                        let dek: [u8; 32] = dek.try_into().unwrap();
                        open(&key(&dek), CONTEXT, black_box(&sealed))
                    });
                });
            };
        }
        function!("ring_1key", ring);
        function!("aws_lc_1key", aws_lc_rs);
    }
    group.finish();
}
