//! API keys against a local server that plays the provider.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Request, Response, StatusCode, header::HeaderName};
use dualkey::credential::Credential;
use dualkey::credential::api::{ApiError, ApiKeyLayer, ApiKeys, Once};
use dualkey::{KeyRing, ManualClock};
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware};
use tokio::sync::Barrier;
use tower::{Layer, Service, ServiceExt};

use super::{Switches, key, ring};
use crate::support::postgres::runtime;

const A: &str = "sk-test-a-T4nZ8yB1cF6gJ0sD3pA5";
const B: &str = "sk-test-b-Nf0Vg6Jc3Ds8Pw1Ra4Tb";
const C: &str = "sk-test-c-Yx2Zq9Ml5KiUe8HzqQ7w";

/// The provider: which key gets which answer, and who showed what.
#[derive(Clone, Default)]
struct Provider(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    /// Of a key that is not here it knows nothing: 401.
    answers: HashMap<String, u16>,
    retry_after: Option<String>,
    /// In their order: the key, the path and the body.
    seen: Vec<(String, String, Bytes)>,
    /// Until all have come, none is answered.
    gate: Option<Arc<Barrier>>,
}

impl Provider {
    fn answer(&self, key: &str, status: u16) {
        self.0.lock().unwrap().answers.insert(key.to_owned(), status);
    }

    fn take_seen(&self) -> Vec<(String, String, Bytes)> {
        std::mem::take(&mut self.0.lock().unwrap().seen)
    }

    fn keys(&self) -> Vec<String> {
        self.take_seen().into_iter().map(|(key, ..)| key).collect()
    }

    async fn start(&self) -> SocketAddr {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(take).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        address
    }
}

async fn take(
    State(provider): State<Provider>,
    headers: HeaderMap,
    request: Request<Body>,
) -> Response<Body> {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    let bearer =
        text("authorization").map(|header| header.strip_prefix("Bearer ").unwrap().to_owned());
    let key = text("x-api-key").or(bearer).unwrap_or_default();
    let path = request.uri().path().to_owned();
    let body = axum::body::to_bytes(request.into_body(), 1 << 20).await.unwrap();
    let (status, gate, retry_after) = {
        let mut state = provider.0.lock().unwrap();
        state.seen.push((key.clone(), path, body));
        let status = state.answers.get(&key).copied().unwrap_or(401);
        (status, state.gate.clone(), state.retry_after.clone())
    };
    // The first attempts of all are refused at the same moment.
    if let Some(gate) = gate.filter(|_| status == 401) {
        gate.wait().await;
    }
    let mut response = Response::builder().status(status);
    if let Some(after) = retry_after.filter(|_| status == 429) {
        response = response.header("retry-after", after);
    }
    let version = text("anthropic-version").unwrap_or_default();
    response.body(Body::from(version)).unwrap()
}

fn client(keys: ApiKeys) -> ClientWithMiddleware {
    keys.client().unwrap()
}

fn bearer(ring: &KeyRing<Credential>) -> ApiKeys {
    ApiKeys::bearer(ring.clone(), "127.0.0.1").allow_loopback()
}

async fn world(
    keys: &[(&str, &str)],
) -> (Provider, String, KeyRing<Credential>, Switches, ManualClock) {
    let provider = Provider::default();
    let url = format!("http://{}/v1/messages", provider.start().await);
    let (ring, switches, clock) = ring(keys);
    (provider, url, ring, switches, clock)
}

fn refused_kids(error: &reqwest_middleware::Error) -> Vec<String> {
    let reqwest_middleware::Error::Middleware(error) = error else { panic!("{error}") };
    match error.downcast_ref::<ApiError<std::convert::Infallible>>().unwrap() {
        ApiError::Refused { ring, kids } => {
            assert_eq!(ring, "PROVIDER_KEY");
            kids.iter().map(ToString::to_string).collect()
        }
        error => panic!("{error}"),
    }
}

#[test]
fn only_a_401_is_answered_with_the_next_key() {
    runtime().block_on(async {
        for status in [200, 204, 301, 400, 403, 404, 408, 418, 429, 500, 502, 503, 504] {
            let (provider, url, ring, switches, _) = world(&[("a", A), ("b", B)]).await;
            provider.answer(A, status);
            provider.answer(B, 200);
            let client = client(bearer(&ring));
            for _ in 0..3 {
                let answer = client.post(&url).body("{}").send().await.unwrap();
                assert_eq!(answer.status(), status);
            }
            assert_eq!(provider.keys(), [A, A, A], "{status}");
            assert!(switches.take().is_empty());
        }
        let (provider, url, ring, switches, clock) = world(&[("a", A), ("b", B)]).await;
        provider.answer(B, 200);
        let client = client(bearer(&ring));
        for body in ["first", "second"] {
            let answer = client.post(&url).body(body).send().await.unwrap();
            assert_eq!(answer.status(), 200);
        }
        // Whole, both times; the last good one is kept.
        let bodies: Vec<_> =
            provider.take_seen().into_iter().map(|(key, _, body)| (key, body)).collect();
        let expected = [(A, "first"), (B, "first"), (B, "second")];
        assert_eq!(bodies, expected.map(|(key, body)| (key.to_owned(), Bytes::from(body))));
        assert_eq!(switches.take(), ["a refused", "a -> b"]);
        // Its cool-down is over, and it is refused again: for twice as long.
        for (after, keys) in [(29, &[B][..]), (30, &[A, B]), (59, &[B]), (60, &[A, B])] {
            clock.set(std::time::UNIX_EPOCH + Duration::from_secs(1_800_000_000));
            let base = if after >= 59 { 30 } else { 0 };
            clock.advance(Duration::from_secs(base + after));
            assert_eq!(client.post(&url).body("x").send().await.unwrap().status(), 200);
            assert_eq!(provider.keys(), keys, "{after}");
        }
        switches.take();
        // It has recovered.
        provider.answer(A, 200);
        clock.advance(Duration::from_secs(1000));
        for _ in 0..2 {
            client.post(&url).body("x").send().await.unwrap();
        }
        assert_eq!(provider.keys(), [A, A]);
        assert_eq!(switches.take(), ["b -> a"]);
        let used = ring.keys();
        assert!(used[0].usage.verified_as_primary == 2 && used[1].usage.verified_as_fallback > 3);
    });
}

#[test]
fn a_staged_key_comes_before_a_fallback_and_a_revoked_one_never() {
    runtime().block_on(async {
        let (provider, url, ring, _, _) = world(&[("a", A), ("b", B)]).await;
        ring.stage(key("c", C)).unwrap();
        provider.answer(B, 200);
        provider.answer(C, 200);
        let client = client(bearer(&ring));
        client.post(&url).body("x").send().await.unwrap();
        assert_eq!(provider.keys(), [A, C]);
        ring.promote(&"c".parse().unwrap()).unwrap();
        ring.revoke(&"b".parse().unwrap(), "in a public log").unwrap();
        provider.answer(C, 401);
        // The other one, although it cools down: it may have been fixed.
        let error = client.post(&url).body("x").send().await.unwrap_err();
        assert_eq!(refused_kids(&error), ["c", "a"]);
        assert_eq!(provider.keys(), [C, A]);
    });
}

#[test]
fn if_all_are_refused_the_error_names_them_and_none_is_shown_three_times() {
    runtime().block_on(async {
        let (provider, url, ring, _, _) = world(&[("a", A), ("b", B), ("c", C)]).await;
        let client = client(bearer(&ring));
        // The second 401 is the answer: the third key is for the next request.
        let answer = client.post(&url).body("x").send().await.unwrap();
        assert_eq!((answer.status().as_u16(), provider.keys().len()), (401, 2));
        let error = client.post(&url).body("x").send().await.unwrap_err();
        assert_eq!(refused_kids(&error), ["a", "b", "c"]);
        assert_eq!(provider.keys(), [C, A]);
        let shown = format!("{error} {error:?}");
        assert!(![A, B, C].iter().any(|secret| shown.contains(secret)), "{shown}");
        // One attempt each, by turns, so that an outage ends by itself.
        provider.answer(B, 200);
        for _ in 0..2 {
            assert_eq!(client.post(&url).body("x").send().await.unwrap().status(), 200);
        }
        assert_eq!(provider.keys(), [B, B]);
    });
}

#[test]
fn a_body_that_is_gone_is_not_sent_again_and_the_next_request_has_the_next_key() {
    runtime().block_on(async {
        let (provider, url, ring, switches, _) = world(&[("a", A), ("b", B)]).await;
        provider.answer(B, 200);
        let http = Client::builder(TokioExecutor::new()).build_http();
        let mut service = ApiKeyLayer::new(bearer(&ring)).layer(http);
        let request =
            || Request::post(&url).body(Once(Full::new(Bytes::from("a stream")))).unwrap();
        let answer = service.ready().await.unwrap().call(request()).await.unwrap();
        assert_eq!(
            (answer.status(), provider.keys()),
            (StatusCode::UNAUTHORIZED, vec![A.to_owned()])
        );
        let answer = service.ready().await.unwrap().call(request()).await.unwrap();
        assert_eq!((answer.status(), provider.keys()), (StatusCode::OK, vec![B.to_owned()]));
        assert_eq!(switches.take(), ["a refused", "a -> b"]);
        let (_, url, ring, ..) = world(&[("a", A)]).await;
        let http = Client::builder(TokioExecutor::new()).build_http();
        let mut service = ApiKeyLayer::new(bearer(&ring)).layer(http);
        let request = Request::post(&url).body(Full::new(Bytes::from("x"))).unwrap();
        let error = service.ready().await.unwrap().call(request).await.unwrap_err();
        assert!(matches!(error, ApiError::Refused { .. }), "{error}");
    });
}

#[test]
fn a_thousand_refused_at_once_make_one_switch_and_one_more_attempt_each() {
    runtime().block_on(async {
        const REQUESTS: usize = 1000;
        let (provider, url, ring, switches, _) = world(&[("a", A), ("b", B), ("c", C)]).await;
        provider.answer(B, 200);
        provider.0.lock().unwrap().gate = Some(Arc::new(Barrier::new(REQUESTS)));
        let client = client(bearer(&ring));
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..REQUESTS {
            let (client, url) = (client.clone(), format!("{url}/{number}"));
            tasks.spawn(async move { client.post(url).body("x").send().await.unwrap().status() });
        }
        let statuses = tasks.join_all().await;
        assert!(statuses.iter().all(|status| *status == 200));
        let mut attempts: HashMap<String, Vec<String>> = HashMap::new();
        for (key, path, _) in provider.take_seen() {
            attempts.entry(path).or_default().push(key);
        }
        assert_eq!(attempts.len(), REQUESTS);
        assert!(attempts.values().all(|keys| *keys == [A, B]));
        assert_eq!(switches.take(), ["a refused", "a -> b"]);
        println!("API keys: {REQUESTS} requests refused at once: one switch, two attempts each");
    });
}

#[test]
fn retry_after_is_waited_for_with_the_same_key() {
    runtime().block_on(async {
        let (provider, url, ring, switches, _) = world(&[("a", A), ("b", B)]).await;
        provider.answer(A, 429);
        provider.answer(B, 200);
        let send = |keys: ApiKeys| {
            let (client, url) = (client(keys), url.clone());
            async move { client.post(url).body("x").send().await.unwrap().status().as_u16() }
        };
        let after = |text: &str| provider.0.lock().unwrap().retry_after = Some(text.to_owned());
        // Nothing said; more than is waited for; no number.
        assert_eq!((send(bearer(&ring)).await, provider.keys()), (429, vec![A.to_owned()]));
        for text in ["31", "3600", "soon", "-1", "18446744073709551616"] {
            after(text);
            assert_eq!((send(bearer(&ring)).await, provider.keys().len()), (429, 1), "{text}");
        }
        // A moment that has passed, in each of the forms of a date, and no time at all.
        for text in ["0", "Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT"] {
            after(text);
            assert_eq!(send(bearer(&ring)).await, 429, "{text}");
            assert_eq!(provider.keys(), [A, A], "{text}");
            let none = bearer(&ring).max_retry_after(Duration::ZERO);
            assert_eq!((send(none).await, provider.keys().len()), (429, 2));
        }
        assert!(switches.take().is_empty(), "a limit is no refusal, and is not gone around");
    });
}

#[test]
fn retry_after_takes_its_time() {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let (ring, ..) = ring(&[("a", A)]);
        let start = tokio::time::Instant::now();
        let answers = Arc::new(Mutex::new(vec![200, 429]));
        let inner = tower::service_fn(move |_: Request<String>| {
            let status = answers.lock().unwrap().pop().unwrap();
            let answer = Response::builder().status(status).header("retry-after", "20").body(());
            async move { answer }
        });
        let mut service = ApiKeyLayer::new(bearer(&ring)).layer(inner);
        let request = Request::get("http://127.0.0.1/").body(String::new()).unwrap();
        assert_eq!(service.call(request).await.unwrap().status(), 200);
        assert_eq!(start.elapsed().as_secs(), 20);
    });
}

#[test]
fn a_timeout_and_a_server_that_is_gone_switch_nothing() {
    runtime().block_on(async {
        let (ring, switches, _) = ring(&[("a", A), ("b", B)]);
        let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = gone.local_addr().unwrap();
        let slow = reqwest::Client::builder().timeout(Duration::from_millis(50));
        let client = bearer(&ring).client_from(slow).unwrap();
        // It takes connections, and says nothing.
        let error = client.post(format!("http://{address}/")).body("x").send().await.unwrap_err();
        assert!(
            matches!(&error, reqwest_middleware::Error::Reqwest(source) if source.is_timeout())
        );
        drop(gone);
        let error = client.post(format!("http://{address}/")).body("x").send().await.unwrap_err();
        assert!(
            matches!(&error, reqwest_middleware::Error::Reqwest(source) if source.is_connect())
        );
        assert!(switches.take().is_empty());
        assert_eq!(ring.keys()[0].usage.verified_as_primary, 0);
    });
}

#[test]
fn the_presets_put_the_key_where_it_is_wanted_and_show_it_to_no_other_host() {
    runtime().block_on(async {
        let (provider, url, ring, ..) = world(&[("a", A)]).await;
        provider.answer(A, 200);
        let anthropic = ApiKeys::anthropic(ring.clone());
        let error = client(anthropic.clone()).get(&url).send().await.unwrap_err();
        assert!(error.to_string().contains("api.anthropic.com"), "{error}");
        assert!(provider.keys().is_empty());
        let client = client(anthropic.only_host("127.0.0.1").allow_loopback());
        let version = client.get(&url).send().await.unwrap().text().await.unwrap();
        assert_eq!(version, "2023-06-01");
        let response =
            client.get(&url).header("anthropic-version", "2099-01-01").send().await.unwrap();
        assert_eq!(response.text().await.unwrap(), "2099-01-01");
        assert_eq!(provider.keys(), [A, A]);

        let inner = tower::service_fn(|request: Request<()>| async move {
            let value = &request.headers()["authorization"];
            assert!(value.is_sensitive() && !format!("{request:?}").contains("sk-test"));
            Ok::<_, std::io::Error>(Response::new(()))
        });
        let service = ApiKeyLayer::new(bearer(&ring)).layer(inner);
        let request = Request::get("https://127.0.0.1/v1").body(()).unwrap();
        assert!(service.oneshot(request).await.is_ok());
    });
}

/// The error of a request to `uri`, with this `Host` header; none if a key was shown.
async fn send(keys: &ApiKeys, uri: &str, host: Option<&str>) -> Option<ApiError<std::io::Error>> {
    let inner = tower::service_fn(|request: Request<()>| async move {
        assert!(request.headers().contains_key("authorization"));
        Ok::<_, std::io::Error>(Response::new(()))
    });
    let mut request = Request::get(uri);
    if let Some(host) = host {
        request = request.header("host", host);
    }
    ApiKeyLayer::new(keys.clone()).layer(inner).oneshot(request.body(()).unwrap()).await.err()
}

#[test]
fn a_key_is_shown_over_https_at_the_default_port_and_to_its_host_alone() {
    runtime().block_on(async {
        let (ring, ..) = ring(&[("a", A)]);
        let bound = ApiKeys::bearer(ring.clone(), "api.example.com");
        let unbound = ApiKeys::header(ring.clone(), http::header::AUTHORIZATION);
        for keys in [&bound, &unbound] {
            for uri in [
                "https://api.example.com/v1",
                "https://api.example.com:443/",
                "HTTPS://API.Example.COM/",
                "https://api.example.com:0443/",
                "https://api.example.com",
            ] {
                assert!(send(keys, uri, None).await.is_none(), "{uri}");
                assert!(send(keys, uri, Some("API.example.com")).await.is_none(), "{uri}");
            }
            for uri in [
                "http://api.example.com/",
                "HTTP://api.example.com:443/",
                "ws://api.example.com/",
                "wss://api.example.com/",
                "http://127.0.0.1/",
                "http://localhost:80/",
            ] {
                let error = send(keys, uri, None).await.unwrap();
                let is_host = uri.contains("127") || uri.contains("localhost");
                let is_refused = matches!(error, ApiError::Scheme { .. })
                    || is_host && matches!(error, ApiError::OtherHost { .. });
                assert!(is_refused, "{uri}: {error}");
            }
            for port in ["0", "80", "444", "4443", "8080", "65979", "99999", "443443"] {
                let error =
                    send(keys, &format!("https://api.example.com:{port}/"), None).await.unwrap();
                assert!(matches!(error, ApiError::Port { expected: 443, .. }), "{error}");
            }
            for user in ["evil@", "evil:x@", "@", ":@", "api.example.com@"] {
                let error =
                    send(keys, &format!("https://{user}api.example.com/"), None).await.unwrap();
                assert!(matches!(error, ApiError::UserInfo), "{error}");
                assert!(!error.to_string().contains("evil"));
            }
            // The destination is not known: not even with a header.
            for host in [None, Some("api.example.com")] {
                for uri in ["/v1", "*", "api.example.com:443"] {
                    let error = send(keys, uri, host).await.unwrap();
                    assert!(matches!(error, ApiError::NotAbsolute), "{uri}: {error}");
                }
            }
            for host in [
                "evil.example",
                "api.example.com.evil.example",
                "x@api.example.com",
                "",
                "api.example.com,b",
            ] {
                let error = send(keys, "https://api.example.com/", Some(host)).await.unwrap();
                assert!(matches!(error, ApiError::OtherHost { .. }), "{host}: {error}");
            }
        }
        for host in [
            "evil.example",
            "api.example.com.",
            "xapi.example.com",
            "api.example.com.evil.example",
            "127.0.0.1",
        ] {
            let error = send(&bound, &format!("https://{host}/"), None).await.unwrap();
            assert!(matches!(error, ApiError::OtherHost { .. }), "{host}: {error}");
        }
        // A scheme that connectors do not take for `https`.
        let uri =
            http::Uri::builder().scheme("HTTPS").authority("api.example.com").path_and_query("/");
        let inner = tower::service_fn(|_: Request<()>| async {
            Ok::<_, std::io::Error>(Response::new(()))
        });
        let request = Request::get(uri.build().unwrap()).body(()).unwrap();
        let error = ApiKeyLayer::new(bound).layer(inner).oneshot(request).await.unwrap_err();
        assert!(matches!(error, ApiError::Scheme { .. }), "{error}");
    });
}

#[test]
fn a_key_is_shown_elsewhere_only_where_that_was_set() {
    runtime().block_on(async {
        let (ring, ..) = ring(&[("a", A)]);
        let unbound = ApiKeys::header(ring.clone(), http::header::AUTHORIZATION);
        let local = unbound.clone().allow_loopback();
        for uri in [
            "http://localhost/",
            "http://LOCALHOST:1/",
            "http://127.0.0.1:8080/",
            "http://127.255.0.9/",
            "http://[::1]:3000/",
            "https://127.0.0.1:8443/",
            "https://api.example.com/",
        ] {
            assert!(send(&local, uri, None).await.is_none(), "{uri}");
        }
        for uri in [
            "http://localhost.evil.example/",
            "http://evil.localhost/",
            "http://localhost./",
            "http://128.0.0.1/",
            "http://127.0.0.1.evil.example/",
            "http://[::2]/",
            "http://[::ffff:127.0.0.1]/",
            "http://0.0.0.0/",
            "http://127.1/",
            "http://0x7f.0.0.1/",
            "http://api.example.com/",
            "ftp://localhost/",
        ] {
            let error = send(&local, uri, None).await.unwrap();
            assert!(matches!(error, ApiError::Scheme { .. }), "{uri}: {error}");
        }
        assert!(matches!(
            send(&local, "http://x@localhost/", None).await,
            Some(ApiError::UserInfo)
        ));
        assert!(matches!(
            send(&local, "http://localhost:99999/", None).await,
            Some(ApiError::Port { .. })
        ));
        assert!(matches!(
            send(&local, "http://localhost/", Some("evil.example")).await,
            Some(ApiError::OtherHost { .. })
        ));
        // A bound host stays bound.
        let bound = ApiKeys::bearer(ring.clone(), "api.example.com").allow_loopback();
        let error = send(&bound, "http://127.0.0.1/", None).await.unwrap();
        assert!(matches!(error, ApiError::OtherHost { .. }), "{error}");
        assert!(send(&bound, "https://api.example.com:8443/", None).await.is_some());

        let port = ApiKeys::bearer(ring.clone(), "api.example.com").only_port(8443);
        assert!(send(&port, "https://api.example.com:8443/", None).await.is_none());
        for uri in [
            "https://api.example.com/",
            "https://api.example.com:443/",
            "https://api.example.com:8444/",
        ] {
            assert!(
                matches!(send(&port, uri, None).await, Some(ApiError::Port { expected: 8443, .. })),
                "{uri}"
            );
        }
        assert!(matches!(
            send(&port, "http://api.example.com:8443/", None).await,
            Some(ApiError::Scheme { .. })
        ));

        let http = ApiKeys::bearer(ring, "gateway").dangerous().allow_plain_http();
        for uri in ["http://gateway/", "http://gateway:80/", "https://gateway/"] {
            assert!(send(&http, uri, None).await.is_none(), "{uri}");
        }
        for uri in ["http://gateway:8080/", "http://gateway:443/", "https://gateway:80/"] {
            assert!(matches!(send(&http, uri, None).await, Some(ApiError::Port { .. })), "{uri}");
        }
        assert!(send(&http.only_port(8080), "http://gateway:8080/", None).await.is_none());
    });
}

#[test]
fn the_middleware_shows_a_key_where_the_layer_does() {
    runtime().block_on(async {
        let (provider, url, ring, ..) = world(&[("a", A)]).await;
        provider.answer(A, 200);
        let header = HeaderName::from_static("x-api-key");
        let error = async |keys: &ApiKeys, url: &str| {
            // Of another client too: the checks are those of the middleware.
            let client = ClientBuilder::new(reqwest::Client::new()).with(keys.clone()).build();
            let error = client.get(url).send().await.unwrap_err();
            let reqwest_middleware::Error::Middleware(error) = error else {
                panic!("{url}: {error}")
            };
            assert!(!format!("{error} {error:?}").contains("sk-test"));
            error.downcast::<ApiError<std::convert::Infallible>>().unwrap()
        };
        for keys in [bearer(&ring), ApiKeys::header(ring.clone(), header).allow_loopback()] {
            for user in ["evil:x", "evil", ":x"] {
                let user = url.replace("http://", &format!("http://{user}@"));
                assert!(matches!(error(&keys, &user).await, ApiError::UserInfo), "{user}");
                // A request that was made by hand keeps them in its URL.
                let request = reqwest::Request::new(reqwest::Method::GET, user.parse().unwrap());
                let error = client(keys.clone()).execute(request).await.unwrap_err();
                assert!(error.to_string().contains("user name or a password"), "{error}");
            }
            assert!(provider.keys().is_empty());
            assert_eq!(client(keys).get(&url).send().await.unwrap().status(), 200);
            assert_eq!(provider.keys(), [A]);
        }
        let strict = ApiKeys::bearer(ring.clone(), "127.0.0.1");
        assert!(matches!(error(&strict, &url).await, ApiError::Scheme { .. }));
        let secure = url.replace("http://", "HTTPS://");
        assert!(matches!(error(&strict, &secure).await, ApiError::Port { expected: 443, .. }));
        assert!(matches!(
            error(&ApiKeys::anthropic(ring), "https://b\u{fc}cher.example/").await,
            ApiError::OtherHost { .. }
        ));
        assert!(provider.keys().is_empty());
    });
}

#[test]
fn a_redirect_takes_no_key_to_another_scheme_host_or_port() {
    runtime().block_on(async {
        let (other, elsewhere, ring, ..) = world(&[("a", A)]).await;
        other.answer(A, 200);
        let provider = Provider::default();
        provider.answer(A, 200);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let to = move |target: String| {
            axum::routing::any(move || async move {
                (StatusCode::TEMPORARY_REDIRECT, [("location", target)])
            })
        };
        let router = Router::new()
            .route("/here", to("/v1".to_owned()))
            .route("/whole", to(format!("http://127.0.0.1:{port}/v1")))
            .route("/twice", to("/here".to_owned()))
            .route("/loop", to("/loop".to_owned()))
            .route("/port", to(elsewhere.clone()))
            .route("/then-port", to("/port".to_owned()))
            .route("/name", to(format!("http://localhost:{port}/v1")))
            .route("/user", to(format!("http://evil@127.0.0.1:{port}/v1")))
            .route("/scheme", to(format!("https://127.0.0.1:{port}/v1")))
            .fallback(take)
            .with_state(provider.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });

        let header = HeaderName::from_static("x-api-key");
        for keys in [bearer(&ring), ApiKeys::header(ring.clone(), header).allow_loopback()] {
            // A policy of the builder does not count.
            let builder =
                reqwest::Client::builder().redirect(reqwest::redirect::Policy::limited(50));
            let client = keys.client_from(builder).unwrap();
            let get = |path: &str| client.get(format!("http://127.0.0.1:{port}{path}")).send();
            for path in ["/here", "/whole", "/twice"] {
                assert_eq!(get(path).await.unwrap().status(), 200, "{path}");
                assert_eq!(provider.keys(), [A], "{path}");
            }
            for path in ["/port", "/then-port", "/name", "/user", "/scheme"] {
                let answer = get(path).await.unwrap();
                assert_eq!(answer.status(), 307, "{path}: the redirect is the answer");
                assert!(other.keys().is_empty() && provider.keys().is_empty(), "{path}");
            }
            assert!(get("/loop").await.unwrap_err().is_redirect());
        }
    });
}

#[test]
fn a_key_that_no_header_can_hold_is_named_and_not_shown() {
    runtime().block_on(async {
        for secret in ["sk-with-a-line-end\nx-evil: 1", "sk-with-an-umlaut-ä-in-it"] {
            let (ring, ..) = ring(&[("a", secret)]);
            let header = HeaderName::from_static("x-api-key");
            let keys = ApiKeys::header(ring, header);
            let inner = tower::service_fn(|_: Request<()>| async move {
                Ok::<_, std::io::Error>(Response::new(()))
            });
            let service = ApiKeyLayer::new(keys).layer(inner);
            let request = Request::get("https://api.example.com/").body(()).unwrap();
            let error = service.oneshot(request).await.unwrap_err();
            assert!(matches!(&error, ApiError::NotAHeader { kid, .. } if *kid == *"a"), "{error}");
            assert!(!format!("{error} {error:?}").contains("sk-with"));
        }
    });
}
