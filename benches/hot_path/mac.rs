//! Cookies and webhooks.

use std::hint::black_box;

use base64_simd::{AsOut, URL_SAFE_NO_PAD};
use criterion::{BenchmarkId, Criterion, Throughput};
use dualkey::cookie::{Cookie, CookieJar, CookieKey, CookieSigner};
use dualkey::mac::{HmacSha256, verify_any};
use dualkey::webhook::{WebhookKey, WebhookVerifier};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::input::{APP_SECRETS, BODIES, SECRETS};
use crate::{compressions, ring_of};

pub fn cookie_verify(c: &mut Criterion) {
    let mut group = c.benchmark_group("cookie_verify");
    let value = "5f2c7d9be4a14c0d8b1f6e3a2d9c7b50";
    let [one, two, alone] = [&SECRETS[..1], &SECRETS[..2], &SECRETS[1..2]]
        .map(|secrets| CookieSigner::new(ring_of::<CookieKey>(secrets)));
    let (new, old) = (one.sign("session", value).unwrap(), alone.sign("session", value).unwrap());

    // What the format asks for: its two blocks, the outer hash, a tag decoded, a value copied.
    let tag = new[new.len() - 43..].to_owned();
    group.bench_function("floor", |b| {
        b.iter(|| {
            compressions(&[[0x5a; 64]; 2]);
            let mut room = [0; 32];
            URL_SAFE_NO_PAD
                .decode(black_box(tag.as_bytes()), room.as_mut_slice().as_out())
                .unwrap();
            black_box(room);
            black_box(value).to_owned()
        });
    });
    group.bench_function("dualkey_1key", |b| {
        b.iter(|| one.verify("session", black_box(&new)).unwrap());
    });
    group.bench_function("dualkey_2keys_fallback", |b| {
        b.iter(|| two.verify("session", black_box(&old)).unwrap());
    });

    let keys = [SECRETS[0], SECRETS[1]].map(|secret| cookie::Key::derive_from(secret.as_bytes()));
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

pub fn webhook_verify(c: &mut Criterion) {
    let mut group = c.benchmark_group("webhook_verify");
    let [one, two, four] =
        [1, 2, 4].map(|count| WebhookVerifier::new(ring_of::<WebhookKey>(&APP_SECRETS[..count])));
    let header = |secret: &str, body: &[u8]| {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
        mac.update(body);
        let digits =
            mac.finalize().into_bytes().iter().map(|b| format!("{b:02x}")).collect::<String>();
        format!("sha256={digits}")
    };
    let by_loop = |value: &str, body: &[u8]| {
        // With `==`, as in most backends: its time tells where the digits differ.
        APP_SECRETS[..2].iter().any(|secret| header(secret, body) == value)
    };
    for (name, length) in BODIES {
        let body = vec![b'x'; length];
        let [new, old, _, last] = APP_SECRETS.map(|secret| header(secret, &body));
        group.throughput(Throughput::Bytes(length as u64));
        let mut function = |function: &str, run: &mut dyn FnMut()| {
            group.bench_function(BenchmarkId::new(function, name), |b| b.iter(&mut *run));
        };
        function("dualkey_1key", &mut || {
            let _ = black_box(one.verify(black_box([&new]), &body).unwrap());
        });
        function("dualkey_2keys_fallback", &mut || {
            let _ = black_box(two.verify(black_box([&old]), &body).unwrap());
        });
        function("dualkey_4keys_last", &mut || {
            let _ = black_box(four.verify(black_box([&last]), &body).unwrap());
        });
        function("dualkey_2keys_fallback_chunks", &mut || {
            let mut delivery = two.start(black_box([&old])).unwrap();
            for chunk in body.chunks(4096) {
                delivery.update(chunk);
            }
            let _ = black_box(delivery.finish().unwrap());
        });
        // From the mid-state, by the library that a hand-written loop takes.
        let mut message = body.as_chunks::<64>().0.to_vec();
        message.push([0x80; 64]);
        function("floor", &mut || compressions(&message));
        function("by_hand_1key", &mut || {
            black_box(by_loop(black_box(&new), &body));
        });
        function("by_hand_loop_fallback", &mut || {
            black_box(by_loop(black_box(&old), &body));
        });
        // What is computed where there are no SHA extensions, beside that loop.
        let keys = [APP_SECRETS[0], APP_SECRETS[1]].map(|s| HmacSha256::new(s.as_bytes()));
        let tag = keys[1].mac(&body);
        assert_eq!(verify_any(&[&keys[0], &keys[1]], &body, &tag), Some(1));
        function("portable_2keys_fallback", &mut || {
            let keys = [&keys[0], &keys[1]];
            black_box(dualkey::mac::verify_any_portable(&keys, black_box(&body), &tag));
        });
    }
    group.finish();
}
