//! What the hot paths allocate: nothing but their results, and nothing for what is refused.

use std::borrow::Cow;

use allocation_counter::measure;
use dualkey::cookie::{CookieKey, CookieSigner};
use dualkey::envelope::Sealer;
use dualkey::jwt::{Jwt, JwtKey};
use dualkey::webhook::{MetaWebhook, WebhookKey};
use dualkey::{KeyMaterial, KeyRing, Secret};
use serde::Deserialize;
use serde_json::json;

use crate::common::{aes_key, aes_ring, secret};

fn ring<K: KeyMaterial>() -> KeyRing<K> {
    let builder = KeyRing::builder().primary(Secret::from(secret(0)));
    builder.fallback(Secret::from(secret(1))).build().unwrap()
}

/// A token without a `kid`.
fn forge(secret: &str, header: &str, claims: &serde_json::Value) -> String {
    crate::common::forge(secret.as_bytes(), header, claims.to_string().as_bytes())
}

/// Of `work`, once everything that is done once has been.
fn allocations(mut work: impl FnMut()) -> u64 {
    work();
    work();
    measure(work).count_total
}

#[derive(Deserialize)]
struct Numbers {
    exp: u64,
}

#[derive(Deserialize)]
struct Texts<'p> {
    #[serde(borrow)]
    sub: Cow<'p, str>,
}

#[derive(Deserialize)]
struct Owned {
    sub: String,
}

#[test]
fn a_token_whose_claims_own_no_text_is_verified_without_an_allocation() {
    let jwt = Jwt::new(ring::<JwtKey>());
    let mut buffer = Vec::new();
    for length in [1, 100, 1000, 5500] {
        let claims = json!({ "sub": "x".repeat(length), "exp": 4_102_444_800_u64 });
        let named = jwt.sign(&claims).unwrap();
        let header = json!({ "alg": "HS256", "typ": "JWT" }).to_string();
        for token in [named, forge(&secret(1), &header, &claims)] {
            let none = allocations(|| {
                assert_eq!(jwt.verify::<Numbers>(&token).unwrap().exp, 4_102_444_800);
            });
            let borrowed = allocations(|| {
                assert_eq!(
                    jwt.verify_in::<Texts<'_>>(&token, &mut buffer).unwrap().sub.len(),
                    length
                );
            });
            let owned = allocations(|| {
                assert_eq!(jwt.verify::<Owned>(&token).unwrap().sub.len(), length);
            });
            assert_eq!((none, borrowed, owned), (0, 0, 1), "{length}");
        }
    }
}

#[test]
fn what_does_not_hold_is_refused_without_an_allocation() {
    let jwt = Jwt::new(ring::<JwtKey>());
    let header = json!({ "alg": "HS256", "typ": "JWT" }).to_string();
    let forged = forge(&secret(7), &header, &json!({ "exp": 4_102_444_800_u64 }));
    let late = forge(&secret(1), &header, &json!({ "exp": 1 }));
    let cut = &forged[..forged.len() - 1];
    for token in [forged.as_str(), &late, cut, "", "a.b", "e30", &"x".repeat(9000)] {
        assert_eq!(allocations(|| assert!(jwt.verify::<Numbers>(token).is_err())), 0, "{token}");
    }

    let signer = CookieSigner::new(ring::<CookieKey>());
    let good = signer.sign("session", "user-42").unwrap();
    let (start, tag) = good.split_at(good.len() - 43);
    let other = if tag.starts_with('A') { "B" } else { "A" };
    let flipped = [start, other, &tag[1..]].concat();
    for cookie in [flipped.as_str(), "", "a.b.c.d", &good[1..]] {
        let none = allocations(|| assert!(signer.verify("session", cookie).is_err()));
        assert_eq!(none, 0, "{cookie}");
    }

    let hook = MetaWebhook::new(ring::<WebhookKey>());
    let header = format!("sha256={}", "0".repeat(64));
    let none = allocations(|| assert!(hook.verify([&header], b"body").is_err()));
    assert_eq!(none, 0);
}

#[test]
fn cookies_webhooks_and_envelopes_allocate_their_results_alone() {
    let signer = CookieSigner::new(ring::<CookieKey>());
    for length in [1, 30, 300, 3000] {
        let value = "x".repeat(length);
        let cookie = signer.sign("session", &value).unwrap();
        let one = allocations(|| assert_eq!(*signer.verify("session", &cookie).unwrap(), value));
        let header = format!("theme=dark; session={cookie}");
        let read = allocations(|| assert!(signer.verify_header("session", [&header]).is_ok()));
        assert_eq!(read, one, "of a header");
        assert_eq!(one, 1, "{length}");
    }

    let hook = MetaWebhook::new(ring::<WebhookKey>());
    let body = vec![b'x'; 10_000];
    let tag = dualkey::mac::HmacSha256::new(secret(1).as_bytes()).mac(&body);
    let header = format!("sha256={}", hex::encode(tag));
    let whole = allocations(|| assert!(hook.verify([&header], &body).is_ok()));
    let chunks = allocations(|| {
        let mut delivery = hook.start([&header]).unwrap();
        body.chunks(1000).for_each(|chunk| delivery.update(chunk));
        assert!(delivery.finish().is_ok());
    });
    assert_eq!((whole, chunks), (0, 0));

    let sealer = Sealer::new(aes_ring([aes_key(0, "new"), aes_key(1, "old")]));
    let blob = sealer.seal(&body, "notes/7/body").unwrap();
    assert_eq!(allocations(|| assert!(sealer.open(&blob, "notes/7/body").is_ok())), 1);
    assert_eq!(
        allocations(|| assert!(sealer.open(&blob[..blob.len() - 1], "notes/7/body").is_err())),
        1,
    );
    let mut blobs = vec![blob.clone(), blob.clone(), blob.clone()];
    let in_place = allocations(|| {
        let mut own = blobs.pop().unwrap();
        assert!(sealer.open_in_place(&mut own, "notes/7/body").is_ok());
        std::mem::forget(own);
    });
    assert_eq!(in_place, 0);
}
