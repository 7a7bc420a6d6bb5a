//! Over real sockets, with HTTP/1.1 and HTTP/2.

use std::convert::Infallible;
use std::net::SocketAddr;

use axum::http::StatusCode;
use bytes::Bytes;
use dualkey::http::BearerLayer;
use dualkey::jwt::{Jwt, JwtKey};
use dualkey::webhook::WebhookVerifier;
use dualkey::{Secret, Verified};
use http::{HeaderMap, Request, Response};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use reqwest::{Client, RequestBuilder};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tower::{BoxError, Layer, ServiceExt, service_fn};

use super::site::{Site, TOKEN};
use super::webhook::signature;
use super::{Claims, claims};
use crate::support::{ring, secret};

/// One client for each version.
fn clients() -> [Client; 2] {
    [Client::new(), Client::builder().http2_prior_knowledge().build().unwrap()]
}

async fn answer(request: RequestBuilder) -> (u16, String) {
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

#[tokio::test]
async fn each_layer_and_each_extractor_holds_in_both_versions() {
    for client in clients() {
        let site = Site::new();
        let url = format!("http://{}", site.start().await);
        let login = client.post(format!("{url}/login")).send().await.unwrap();
        let set = login.headers()["set-cookie"].to_str().unwrap().to_owned();
        let cookie = set.split(';').next().unwrap().to_owned();
        let token = login.text().await.unwrap();
        let get = |path: &str| client.get(format!("{url}{path}"));
        let post = |path: &str| client.post(format!("{url}{path}"));
        let tag = |body: &str| signature(0, body.as_bytes());

        let mut reached = 0;
        let mut check = async |request: RequestBuilder, expected: Result<&str, u16>| {
            let (status, body) = answer(request).await;
            reached += usize::from(expected.is_ok());
            match expected {
                Ok(text) => assert_eq!((status, body.as_str()), (200, text)),
                Err(code) => assert_eq!((status, body.as_str()), (code, "")),
            }
            assert_eq!(site.reached.count(), reached);
        };
        for path in ["/layer/bearer", "/extract/jwt"] {
            check(get(path).bearer_auth(&token), Ok("user-42")).await;
            check(get(path).bearer_auth(&token[1..]), Err(401)).await;
            check(get(path), Err(401)).await;
        }
        for path in ["/layer/optional", "/extract/jwt/optional"] {
            check(get(path).bearer_auth(&token), Ok("user-42")).await;
            check(get(path).bearer_auth("x"), Err(401)).await;
            check(get(path), Ok("nobody")).await;
        }
        check(get("/layer/cookie").header("cookie", format!("token={token}")), Ok("user-42")).await;
        check(get("/layer/cookie").header("cookie", &cookie), Err(401)).await;
        for path in ["/layer/session", "/extract/cookie"] {
            check(get(path).header("cookie", &cookie), Ok("user-42")).await;
            check(get(path).header("cookie", "sid=user-42"), Err(401)).await;
            check(get(path), Err(401)).await;
        }
        check(get("/extract/cookie/optional").header("cookie", &cookie), Ok("user-42")).await;
        check(get("/extract/cookie/optional").header("cookie", "sid=x"), Ok("nobody")).await;
        for path in ["/layer/webhook", "/extract/webhook", "/extract/webhook/optional"] {
            let body = "{\"object\":\"page\"}";
            let send = |tag: String| post(path).header(WebhookVerifier::HEADER, tag).body(body);
            check(send(tag(body)), Ok(body)).await;
            check(send(tag("another")), Err(401)).await;
            let large = "x".repeat(64 * 1024 + 1);
            let over = post(path).header(WebhookVerifier::HEADER, tag(&large)).body(large);
            check(over, Err(413)).await;
        }
        check(post("/layer/webhook").body("{}"), Err(401)).await;
        check(post("/extract/webhook").body("{}"), Err(401)).await;
        check(post("/extract/webhook/optional").body("{}"), Ok("nobody")).await;

        let query = |token: &str| {
            let challenge = "hub.mode=subscribe&hub.challenge=%3Cb%3E1%3C/b%3E";
            get(&format!("/layer/webhook?{challenge}&hub.verify_token={token}"))
        };
        let shaken = query(TOKEN).send().await.unwrap();
        assert_eq!(shaken.headers()["content-type"], "text/plain; charset=utf-8");
        assert_eq!(shaken.text().await.unwrap(), "<b>1</b>");
        check(query("another"), Err(403)).await;
    }
}

/// Logged in by the session of another middleware, and through a rotation.
#[tokio::test]
async fn a_session_of_tower_sessions_survives_a_rotation() {
    for client in clients() {
        let site = Site::new();
        let url = format!("http://{}/layer/inner", site.start().await);
        let response = client.get(&url).send().await.unwrap();
        let pair = |response: &reqwest::Response| {
            let set = response.headers().get("set-cookie")?.to_str().unwrap().to_owned();
            Some(set.split(';').next().unwrap().to_owned())
        };
        let mut cookie = pair(&response).unwrap();
        assert_eq!(response.text().await.unwrap(), "visit 1");
        let unsigned = cookie.split('.').next().unwrap().to_owned();
        for (visit, expected) in (2..).zip([false, true, false, true]) {
            if expected {
                let ring = site.session.signer().ring();
                let kid = ring.stage(Secret::from(secret(100 + visit))).unwrap();
                ring.promote(&kid).unwrap();
            }
            let response = client.get(&url).header("cookie", &cookie).send().await.unwrap();
            let again = pair(&response);
            assert_eq!(response.text().await.unwrap(), format!("visit {visit}"));
            // It is set by the middleware inside when it changed, and signed either way.
            cookie = again.unwrap_or(cookie);
        }
        assert!(cookie.split('.').count() > 2, "{cookie}");
        // The same session without its signature is the session of no user.
        let response = client.get(&url).header("cookie", &unsigned).send().await.unwrap();
        assert_eq!(response.text().await.unwrap(), "visit 1");
    }
}

/// A connection on which bytes are written as they stand.
struct Raw(TcpStream);

impl Raw {
    async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self(stream)
    }

    async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        // A server that has seen enough may have hung up.
        let _ = self.0.write_all(bytes.as_ref()).await;
    }

    /// The status and the body of the next response.
    async fn answer(&mut self) -> (u16, String) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match self.0.read_u8().await {
                Ok(byte) => head.push(byte),
                Err(_) => return (0, String::new()),
            }
        }
        let head = String::from_utf8(head).unwrap().to_lowercase();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
        self.0.read_exact(&mut body).await.unwrap();
        (status, String::from_utf8(body).unwrap())
    }
}

#[tokio::test]
async fn what_no_library_would_send_reaches_no_handler() {
    let site = Site::new();
    let address = site.start().await;
    let token = site.jwt.sign(&claims()).unwrap();
    let set = site.session.issue("user-42").unwrap();
    let cookie = set.to_str().unwrap().split(';').next().unwrap().to_owned();
    let (start, end) = token.split_at(20);
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("/layer/bearer", format!("Authorization: Bearer {start}\n{end}").into()),
        ("/layer/bearer", format!("Authorization: Bearer {start}\r\n {end}").into()),
        ("/layer/bearer", format!("Authorization: Bearer {start}\0{end}").into()),
        ("/layer/bearer", [b"Authorization: Bearer \xff", token.as_bytes()].concat()),
        (
            "/layer/bearer",
            format!("Authorization: Bearer {token}\r\nauthorization: Bearer {token}").into(),
        ),
        ("/layer/bearer", format!("Authorization: Bearer\t{token}").into()),
        ("/layer/session", format!("Cookie: {}", vec![cookie.as_str(); 100].join("; ")).into()),
        ("/layer/session", format!("Cookie: {}", vec!["sid=x"; 100].join("; ")).into()),
        ("/layer/session", [b"Cookie: sid=\xc3\x28", &cookie.as_bytes()[4..]].concat()),
        ("/layer/session", format!("Cookie: {}\n{}", &cookie[..9], &cookie[9..]).into()),
    ];
    for (path, header) in cases {
        for path in [
            path,
            &path
                .replace("/layer/bearer", "/extract/jwt")
                .replace("/layer/session", "/extract/cookie"),
        ] {
            let mut raw = Raw::connect(address).await;
            raw.send(format!("GET {path} HTTP/1.1\r\nHost: x\r\n")).await;
            raw.send(&header).await;
            raw.send("\r\n\r\n").await;
            let (status, body) = raw.answer().await;
            assert!(matches!(status, 400 | 401), "{status} {path} {header:?}");
            assert_eq!((body.as_str(), site.reached.count()), ("", 0));
        }
    }
}

#[tokio::test]
async fn bodies_that_lie_break_off_or_vanish_reach_no_handler() {
    let site = Site::new();
    let address = site.start().await;
    let head = |path: &str, more: &str, tag: &str| {
        format!("POST {path} HTTP/1.1\r\nHost: x\r\nX-Hub-Signature-256: {tag}\r\n{more}\r\n\r\n")
    };
    let tag = signature(0, b"event");
    for path in ["/layer/webhook", "/extract/webhook"] {
        // Says more than it sends, and goes: politely, so that it may hear the answer.
        let mut raw = Raw::connect(address).await;
        raw.send(head(path, "Content-Length: 6", &tag)).await;
        raw.send("event").await;
        raw.0.shutdown().await.unwrap();
        assert!(matches!(raw.answer().await.0, 0 | 400));
        // A chunk that is announced and does not come.
        let mut raw = Raw::connect(address).await;
        raw.send(head(path, "Transfer-Encoding: chunked", &tag)).await;
        raw.send("5\r\nevent\r\n9\r\nmo").await;
        raw.0.shutdown().await.unwrap();
        assert!(matches!(raw.answer().await.0, 0 | 400));
        // And without the last chunk, all that was signed is not all that there is.
        let mut raw = Raw::connect(address).await;
        raw.send(head(path, "Transfer-Encoding: chunked", &tag)).await;
        raw.send("5\r\nevent\r\n").await;
        raw.0.shutdown().await.unwrap();
        assert!(matches!(raw.answer().await.0, 0 | 400));
        // Says less than it sends.
        let mut raw = Raw::connect(address).await;
        raw.send(head(path, "Content-Length: 3", &tag)).await;
        raw.send("event").await;
        assert_eq!(raw.answer().await.0, 401);
        // Says two things, or nothing that is a number.
        for lengths in ["Content-Length: 5\r\nContent-Length: 6", "Content-Length: 5x"] {
            let mut raw = Raw::connect(address).await;
            raw.send(head(path, lengths, &tag)).await;
            raw.send("event").await;
            assert_eq!(raw.answer().await.0, 400);
        }
        // A byte over the bound: refused before it is sent.
        let mut raw = Raw::connect(address).await;
        raw.send(head(path, "Content-Length: 65537", &tag)).await;
        assert_eq!(raw.answer().await.0, 413);
        // Vanishes midway, many times.
        for _ in 0..100 {
            let mut raw = Raw::connect(address).await;
            raw.send(head(path, "Content-Length: 5", &tag)).await;
            raw.send("eve").await;
            drop(raw);
        }
    }
    assert_eq!(site.reached.count(), 0);
    // It serves on.
    let mut raw = Raw::connect(address).await;
    raw.send(head("/layer/webhook", "Content-Length: 5", &tag)).await;
    raw.send("event").await;
    assert_eq!(raw.answer().await, (200, "event".to_owned()));
}

#[tokio::test]
async fn a_slow_body_is_handed_on_when_its_last_byte_is_there() {
    let site = Site::new();
    let address = site.start().await;
    let body = b"{\"object\":\"page\",\"entry\":[]}";
    let tag = signature(0, body);
    for path in ["/layer/webhook", "/extract/webhook"] {
        let before = site.reached.count();
        let mut slow = Raw::connect(address).await;
        slow.send(format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nX-Hub-Signature-256: {tag}\r\n\
             Transfer-Encoding: chunked\r\n\r\n"
        ))
        .await;
        for byte in body {
            slow.send([b"1\r\n", [*byte].as_slice(), b"\r\n"].concat()).await;
            // Another request is answered first: what was sent has been read.
            let mut other = Raw::connect(address).await;
            other.send("GET /layer/bearer HTTP/1.1\r\nHost: x\r\n\r\n").await;
            assert_eq!(other.answer().await.0, 401);
            assert_eq!(site.reached.count(), before);
        }
        slow.send("0\r\n\r\n").await;
        assert_eq!(slow.answer().await, (200, String::from_utf8(body.to_vec()).unwrap()));
    }
}

#[tokio::test]
async fn a_connection_outlives_its_refusals() {
    let site = Site::new();
    let mut raw = Raw::connect(site.start().await).await;
    let token = site.jwt.sign(&claims()).unwrap();
    for turn in 0..100 {
        let token = if turn % 2 == 0 { &token } else { &token[1..] };
        let request = format!(
            "GET /layer/bearer HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n"
        );
        raw.send(request).await;
        let expected = if turn % 2 == 0 { (200, "user-42") } else { (401, "") };
        assert_eq!(raw.answer().await, (expected.0, expected.1.to_owned()));
    }
}

/// As tonic has it: boxed and cloned services, bodies that are boxed and end with trailers.
#[tokio::test]
async fn a_layer_serves_on_hyper_with_boxed_bodies_and_trailers() {
    type Boxed = UnsyncBoxBody<Bytes, BoxError>;
    let jwt = Jwt::new(ring::<JwtKey>(0));
    let inner = service_fn(async |request: Request<Boxed>| {
        let claims = request.extensions().get::<Verified<Claims>>().cloned().unwrap();
        let body = request.into_body().collect().await.unwrap();
        assert!(body.trailers().is_some_and(|trailers| trailers["x-end"] == "request"));
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", "0".parse().unwrap());
        let text = Bytes::from(format!("{} sent {} bytes", claims.sub, body.to_bytes().len()));
        let frames = [Ok::<_, BoxError>(Frame::data(text)), Ok(Frame::trailers(trailers))];
        let body = StreamBody::new(Stream(frames.into_iter().collect())).boxed_unsync();
        Ok::<_, Infallible>(Response::new(body))
    });
    let service = BearerLayer::<Claims>::new(jwt.clone())
        .layer(inner)
        .map_request(|request: Request<Incoming>| {
            request.map(|body| body.map_err(BoxError::from).boxed_unsync())
        })
        .boxed_clone();

    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let service = TowerToHyperService::new(service.clone());
            tokio::spawn(async move {
                let server = auto::Builder::new(TokioExecutor::new());
                let _ = server.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });

    let stream = TcpStream::connect(address).await.unwrap();
    let handshake =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (mut client, connection) = handshake.await.unwrap();
    tokio::spawn(connection);
    for (token, expected) in [(jwt.sign(&claims()).unwrap(), 200), ("x".to_owned(), 401)] {
        let mut trailers = HeaderMap::new();
        trailers.insert("x-end", "request".parse().unwrap());
        let frames = [
            Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"12345"))),
            Ok(Frame::trailers(trailers)),
        ];
        let request = Request::post(format!("http://{address}/package.Service/Method"))
            .header("authorization", format!("Bearer {token}"))
            .body(StreamBody::new(Stream(frames.into_iter().collect())))
            .unwrap();
        let response = client.send_request(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::from_u16(expected).unwrap());
        let body = response.into_body().collect().await.unwrap();
        let is_ended = body.trailers().is_some_and(|trailers| trailers["grpc-status"] == "0");
        assert_eq!(is_ended, expected == 200);
        let text = if expected == 200 { "user-42 sent 5 bytes" } else { "" };
        assert_eq!(body.to_bytes(), text);
    }
}

/// What is there, as a stream.
struct Stream<T>(std::collections::VecDeque<T>);

impl<T: Unpin> futures_core::Stream for Stream<T> {
    type Item = T;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<T>> {
        std::task::Poll::Ready(self.0.pop_front())
    }
}
