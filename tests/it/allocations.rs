//! What the hot paths allocate: nothing but their results, and nothing for what is refused.

use std::borrow::Cow;

use allocation_counter::measure;
use bytes::Bytes;
use dualkey::cookie::{CookieKey, CookieSigner};
use dualkey::envelope::Sealer;
use dualkey::http::{BearerLayer, SessionCookie, SessionLayer, WebhookLayer};
use dualkey::jwt::{Jwt, JwtKey};
use dualkey::webhook::{WebhookKey, WebhookVerifier};
use dualkey::{KeyMaterial, KeyRing, Secret};
use http::header::{AUTHORIZATION, COOKIE};
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use serde::Deserialize;
use serde_json::json;
use tower::{Layer, Service, service_fn};

use crate::support::{aes_key, aes_ring, secret};

fn ring<K: KeyMaterial>() -> KeyRing<K> {
    let builder = KeyRing::builder().primary(Secret::from(secret(0)));
    builder.fallback(Secret::from(secret(1))).build().unwrap()
}

/// A token without a `kid`.
fn forge(secret: &str, header: &str, claims: &serde_json::Value) -> String {
    crate::support::forge(secret.as_bytes(), header, claims.to_string().as_bytes())
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

    let hook = WebhookVerifier::new(ring::<WebhookKey>());
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

    let hook = WebhookVerifier::new(ring::<WebhookKey>());
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
        let mut blob = blobs.pop().unwrap();
        assert!(sealer.open_in_place(&mut blob, "notes/7/body").is_ok());
        std::mem::forget(blob);
    });
    assert_eq!(in_place, 0);
}

/// What an inner service that does nothing is called with.
type Body = Full<Bytes>;

fn request(name: HeaderName, value: &HeaderValue, body: &Bytes) -> Request<Body> {
    let mut request = Request::new(Full::new(body.clone()));
    if !body.is_empty() {
        *request.method_mut() = Method::POST;
    }
    request.headers_mut().insert(name, value.clone());
    request
}

/// What `service` allocates for a request, and how it answers.
fn serve<S, R>(mut service: S, make: impl Fn() -> Request<Body>) -> (u64, StatusCode)
where
    S: Service<Request<Body>, Response = Response<R>, Error = std::convert::Infallible>,
{
    let mut status = StatusCode::OK;
    // The request is made outside of what is counted.
    let mut counted = 0;
    for _ in 0..3 {
        let request = make();
        counted = measure(|| status = pollster::block_on(service.call(request)).unwrap().status())
            .count_total;
    }
    (counted, status)
}

/// Over the adapter, a layer allocates what the extensions of a request take, a map and a box
/// for what verified; and for a refusal the same of a response, and the challenge.
#[test]
fn a_layer_allocates_the_extensions_alone() {
    #[derive(Clone, Deserialize)]
    #[allow(dead_code)]
    struct Claims {
        exp: u64,
    }
    let inner = || {
        service_fn(async |request: Request<Body>| {
            drop(request);
            Ok(Response::new(Body::default()))
        })
    };
    let none = Bytes::new();
    let header = |text: String| HeaderValue::try_from(text).unwrap();

    let jwt = Jwt::new(ring::<JwtKey>());
    let token = jwt.sign(&json!({ "exp": 4_102_444_800_u64 })).unwrap();
    let layer = BearerLayer::<Claims>::new(jwt);
    let good = header(format!("Bearer {token}"));
    let bad = header(format!("Bearer {}", &token[1..]));
    let bare = serve(inner(), || request(AUTHORIZATION, &good, &none));
    let let_in = serve(layer.layer(inner()), || request(AUTHORIZATION, &good, &none));
    let refused = serve(layer.layer(inner()), || request(AUTHORIZATION, &bad, &none));
    assert_eq!(
        (bare, let_in.1, refused.1),
        ((0, StatusCode::OK), StatusCode::OK, StatusCode::UNAUTHORIZED)
    );
    println!("bearer: {} allocations let in, {} refused", let_in.0, refused.0);
    assert_eq!((let_in.0, refused.0), (3, 5));

    let session = SessionCookie::new(CookieSigner::new(ring::<CookieKey>()), "sid");
    let set = session.issue("user-42").unwrap();
    let pair = set.to_str().unwrap().split(';').next().unwrap();
    let layer = SessionLayer::new(session.clone());
    let (good, bad) = (header(pair.to_owned()), header(pair[..pair.len() - 1].to_owned()));
    let let_in = serve(layer.layer(inner()), || request(COOKIE, &good, &none));
    let refused = serve(layer.layer(inner()), || request(COOKIE, &bad, &none));
    assert_eq!((let_in.1, refused.1), (StatusCode::OK, StatusCode::UNAUTHORIZED));
    println!("session: {} allocations let in, {} refused", let_in.0, refused.0);
    // And the value of the cookie.
    assert_eq!((let_in.0, refused.0), (4, 3));

    let body = Bytes::from(vec![b'x'; 10_000]);
    let tag = dualkey::mac::HmacSha256::new(secret(1).as_bytes()).mac(&body);
    let name = HeaderName::from_static(WebhookVerifier::HEADER);
    let good = header(format!("sha256={}", hex::encode(tag)));
    let bad = header(format!("sha256={}", "0".repeat(64)));
    let layer = WebhookLayer::new(WebhookVerifier::new(ring::<WebhookKey>()));
    let let_in = serve(layer.layer(inner()), || request(name.clone(), &good, &body));
    let refused = serve(layer.layer(inner()), || request(name.clone(), &bad, &body));
    assert_eq!((let_in.1, refused.1), (StatusCode::OK, StatusCode::UNAUTHORIZED));
    println!("webhook: {} allocations let in, {} refused", let_in.0, refused.0);
    // A body that comes whole is handed on without a copy.
    assert_eq!((let_in.0, refused.0), (3, 3));
}
