//! The layers and extractors: what they let through, and what they say.

#[path = "../../../examples/axum_app.rs"]
#[allow(dead_code)]
pub mod axum_app;
mod bearer;
mod example;
mod load;
mod parsers;
mod persistence;
mod session;
mod several;
pub mod site;
mod status;
mod telemetry;
mod values;
mod webhook;
mod wire;

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use bytes::Bytes;
use dualkey::Reason;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use serde::{Deserialize, Serialize};
use tower::{BoxError, Service, ServiceExt, service_fn};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Claims {
    pub sub: String,
    pub exp: u64,
}

pub fn claims() -> Claims {
    Claims { sub: "user-42".to_owned(), exp: 4_102_444_800 }
}

/// A service that counts what reaches it, and answers what `answer` makes of it.
#[derive(Clone, Default)]
pub struct Probe(Arc<AtomicUsize>);

impl Probe {
    pub fn calls(&self) -> usize {
        self.0.load(SeqCst)
    }

    pub fn service<B: Send + 'static>(
        &self,
        answer: impl Fn(Request<B>) -> Response<Full<Bytes>> + Clone + Send + 'static,
    ) -> impl Service<Request<B>, Response = Response<Full<Bytes>>, Error = Infallible, Future: Send>
    + Clone
    + Send {
        let calls = Arc::clone(&self.0);
        service_fn(move |request| {
            calls.fetch_add(1, SeqCst);
            let response = answer(request);
            async move { Ok(response) }
        })
    }
}

pub fn text(text: impl Into<String>) -> Response<Full<Bytes>> {
    Response::new(Full::from(text.into()))
}

/// What a peer sees of a response, and what the operator does.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub reason: Option<Reason>,
}

impl Answer {
    pub fn header(&self, name: &HeaderName) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// Checks that it is an empty refusal of this kind.
    #[track_caller]
    pub fn assert_refused(&self, status: u16, reason: Reason) {
        assert_eq!((self.status.as_u16(), self.reason), (status, Some(reason)));
        assert_eq!(self.body, Bytes::new());
    }
}

pub async fn ask<S, B, R>(service: S, request: Request<B>) -> Answer
where
    S: Service<Request<B>, Response = Response<R>, Error = Infallible>,
    R: http_body::Body<Data = Bytes, Error: Into<BoxError>>,
{
    let (parts, body) = service.oneshot(request).await.unwrap().into_parts();
    let body = match body.collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) => panic!("{}", error.into()),
    };
    let reason = parts.extensions.get::<Reason>().copied();
    Answer { status: parts.status, headers: parts.headers, body, reason }
}

/// A request without a body, with these headers.
pub fn request<V: AsRef<[u8]>>(
    headers: impl IntoIterator<Item = (HeaderName, V)>,
) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::default());
    for (name, value) in headers {
        request.headers_mut().append(name, HeaderValue::from_bytes(value.as_ref()).unwrap());
    }
    request
}
