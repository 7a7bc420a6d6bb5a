//! What a layer and an extractor cost over the bare adapter, and what a handler costs that does
//! the same by hand: a request as a server hands it over, and the response to it.

use std::convert::Infallible;
use std::future::Future;
use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use axum::body::Body;
use axum::http::header::{AUTHORIZATION, COOKIE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use axum::routing::{get, post};
use axum::{Extension, Router};
use bytes::Bytes;
use cookie::{Cookie, CookieJar, Key};
use criterion::{BatchSize, Criterion};
use dualkey::Verified;
use dualkey::cookie::{CookieKey, CookieSigner};
use dualkey::http::{
    BearerLayer, SessionCookie, SessionLayer, VerifiedCookie, VerifiedJwt, VerifiedWebhook,
    WebhookLayer,
};
use dualkey::jwt::{Jwt, JwtKey};
use dualkey::webhook::{WebhookKey, WebhookVerifier};
use hmac::{Hmac, KeyInit, Mac};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use sha2::Sha256;
use tower::{Layer, Service, service_fn};

use crate::input::{APP_SECRETS, Claims, SECRETS, token};
use crate::ring_of;

/// A request with this header.
fn request(name: HeaderName, value: &HeaderValue, body: &Bytes) -> Request<Body> {
    let mut request = Request::new(Body::from(body.clone()));
    if !body.is_empty() {
        *request.method_mut() = axum::http::Method::POST;
    }
    request.headers_mut().insert(name, value.clone());
    request
}

/// What a future that waits for nothing comes to.
fn run_ready<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("it waits for nothing"),
    }
}

/// Measures a service without the making of its request.
fn serve<S, R>(
    group: &mut criterion::BenchmarkGroup<'_, criterion::measurement::WallTime>,
    name: &str,
    mut service: S,
    make: impl Fn() -> Request<Body>,
) where
    S: Service<Request<Body>, Response = Response<R>, Error = Infallible>,
{
    assert_eq!(run_ready(service.call(make())).unwrap().status(), StatusCode::OK, "{name}");
    group.bench_function(name, |b| {
        b.iter_batched(
            &make,
            |request| black_box(run_ready(service.call(request))),
            BatchSize::SmallInput,
        );
    });
}

/// What is inside a layer: nothing.
fn inner() -> impl Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone {
    service_fn(|request: Request<Body>| async move {
        drop(request);
        Ok(Response::new(Body::empty()))
    })
}

#[derive(Clone)]
struct ByHand<K>(std::sync::Arc<K>);

pub fn bearer(c: &mut Criterion) {
    let mut group = c.benchmark_group("layer_bearer");
    let text = token(SECRETS[0]);
    let header = HeaderValue::try_from(format!("Bearer {text}")).unwrap();
    let none = Bytes::new();
    let make = || request(AUTHORIZATION, &header, &none);
    let jwt = Jwt::new(ring_of::<JwtKey>(&SECRETS[..2]));
    group.bench_function("adapter", |b| {
        b.iter(|| jwt.verify::<Claims>(black_box(&text)).unwrap());
    });
    serve(&mut group, "service", inner(), make);
    serve(&mut group, "layer", BearerLayer::<Claims>::new(jwt.clone()).layer(inner()), make);

    let plain = Router::new().route("/", get(async || StatusCode::OK));
    serve(&mut group, "axum", plain, make);
    let layered = async |claims: Extension<Verified<Claims>>| {
        black_box(&claims.sub);
        StatusCode::OK
    };
    let layer = BearerLayer::<Claims>::new(jwt.clone());
    serve(&mut group, "axum_layer", Router::new().route("/", get(layered).layer(layer)), make);
    let extracted = async |claims: VerifiedJwt<Claims>| {
        black_box(&claims.sub);
        StatusCode::OK
    };
    serve(
        &mut group,
        "axum_extractor",
        Router::new().route("/", get(extracted)).with_state(jwt),
        make,
    );

    let keys = [SECRETS[0], SECRETS[1]].map(|secret| DecodingKey::from_secret(secret.as_bytes()));
    let by_hand = ByHand(std::sync::Arc::new((keys, Validation::new(Algorithm::HS256))));
    let handler = async |Extension(by_hand): Extension<ByHand<([DecodingKey; 2], Validation)>>,
                         headers: HeaderMap| {
        let (keys, validation) = &*by_hand.0;
        let header = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = header.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
        let found =
            keys.iter().find_map(|key| jsonwebtoken::decode::<Claims>(token, key, validation).ok());
        black_box(&found);
        if found.is_some() { StatusCode::OK } else { StatusCode::UNAUTHORIZED }
    };
    let router = Router::new().route("/", get(handler)).layer(Extension(by_hand));
    serve(&mut group, "axum_by_hand", router, make);
    group.finish();
}

pub fn session(c: &mut Criterion) {
    let mut group = c.benchmark_group("layer_session");
    let session = SessionCookie::new(CookieSigner::new(ring_of::<CookieKey>(&SECRETS[..2])), "sid");
    let set = session.issue("user-42-of-the-session").unwrap();
    let pair = set.to_str().unwrap().split(';').next().unwrap().to_owned();
    let header = HeaderValue::try_from(&pair).unwrap();
    let none = Bytes::new();
    let make = || request(COOKIE, &header, &none);
    group.bench_function("adapter", |b| {
        b.iter(|| session.signer().verify("sid", black_box(&pair[4..])).unwrap());
    });
    serve(&mut group, "service", inner(), make);
    serve(&mut group, "layer", SessionLayer::new(session.clone()).layer(inner()), make);

    let plain = Router::new().route("/", get(async || StatusCode::OK));
    serve(&mut group, "axum", plain, make);
    let layered = async |session: Extension<Verified<Cookie<'static>>>| {
        black_box(session.value());
        StatusCode::OK
    };
    let layer = SessionLayer::new(session.clone());
    serve(&mut group, "axum_layer", Router::new().route("/", get(layered).layer(layer)), make);
    let extracted = async |session: VerifiedCookie| {
        black_box(session.value());
        StatusCode::OK
    };
    let router = Router::new().route("/", get(extracted)).with_state(session);
    serve(&mut group, "axum_extractor", router, make);

    let keys = [SECRETS[0], SECRETS[1]].map(|secret| Key::derive_from(secret.as_bytes()));
    let mut jar = CookieJar::new();
    jar.signed_mut(&keys[0]).add(("sid", "user-42-of-the-session"));
    let signed = jar.get("sid").unwrap().stripped().to_string();
    let header = HeaderValue::try_from(signed).unwrap();
    let handler = async |Extension(keys): Extension<ByHand<[Key; 2]>>, headers: HeaderMap| {
        let mut jar = CookieJar::new();
        for header in headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok()) {
            for cookie in Cookie::split_parse(header.to_owned()).flatten() {
                jar.add_original(cookie);
            }
        }
        let found = keys.0.iter().find_map(|key| jar.signed(key).get("sid"));
        black_box(&found);
        if found.is_some() { StatusCode::OK } else { StatusCode::UNAUTHORIZED }
    };
    let by_hand = ByHand(std::sync::Arc::new(keys));
    let router = Router::new().route("/", get(handler)).layer(Extension(by_hand));
    serve(&mut group, "axum_by_hand", router, || request(COOKIE, &header, &none));
    group.finish();
}

pub fn webhook(c: &mut Criterion) {
    let mut group = c.benchmark_group("layer_webhook");
    let body = Bytes::from(vec![b'x'; 4096]);
    let mac = |secret: &str| Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    let tag = mac(APP_SECRETS[0]).chain_update(&body).finalize().into_bytes();
    let digits = tag.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let header = HeaderValue::try_from(format!("sha256={digits}")).unwrap();
    let name = HeaderName::from_static(WebhookVerifier::HEADER);
    let make = || request(name.clone(), &header, &body);
    let hook = WebhookVerifier::new(ring_of::<WebhookKey>(&APP_SECRETS[..2]));
    group.bench_function("adapter", |b| {
        b.iter(|| hook.verify([black_box(&header)], black_box(&body)).unwrap());
    });
    let handler = async |body: Bytes| {
        black_box(&body);
        StatusCode::OK
    };
    serve(&mut group, "axum", Router::new().route("/", post(handler)), make);
    let layer = WebhookLayer::new(hook.clone());
    serve(&mut group, "axum_layer", Router::new().route("/", post(handler).layer(layer)), make);
    let extracted = async |body: VerifiedWebhook| {
        black_box(&body);
        StatusCode::OK
    };
    serve(
        &mut group,
        "axum_extractor",
        Router::new().route("/", post(extracted)).with_state(hook),
        make,
    );

    // Keyed beforehand, and compared in constant time: better than most have it.
    let keys = ByHand(std::sync::Arc::new([mac(APP_SECRETS[0]), mac(APP_SECRETS[1])]));
    let handler = async |Extension(keys): Extension<ByHand<[Hmac<Sha256>; 2]>>,
                         headers: HeaderMap,
                         body: Bytes| {
        let header = headers.get(WebhookVerifier::HEADER).and_then(|value| value.to_str().ok());
        let digits = header.and_then(|value| value.strip_prefix("sha256=")).unwrap_or_default();
        let tag = hex::decode(digits).unwrap_or_default();
        let holds =
            keys.0.iter().any(|key| key.clone().chain_update(&body).verify_slice(&tag).is_ok());
        if holds { StatusCode::OK } else { StatusCode::UNAUTHORIZED }
    };
    let router = Router::new().route("/", post(handler)).layer(Extension(keys));
    serve(&mut group, "axum_by_hand", router, make);
    group.finish();
}
