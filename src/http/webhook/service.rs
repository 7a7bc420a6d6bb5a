//! One request: a delivery or a handshake.

use std::error::Error;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body::Body;
use http_body_util::Full;
use tower_service::Service;

use super::body::WebhookBody;
use super::future::WebhookFuture;
use super::handshake::answer_handshake;
use super::reading::{Reading, rejection};
use crate::webhook::WebhookVerifier;

/// The service that [`WebhookLayer`](super::WebhookLayer) puts around another.
#[derive(Debug, Clone)]
pub struct WebhookService<S> {
    pub(super) inner: S,
    pub(super) hook: WebhookVerifier,
}

impl<S, B, R> Service<Request<B>> for WebhookService<S>
where
    S: Service<Request<Full<Bytes>>, Response = Response<R>> + Clone,
    B: Body,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Response = Response<WebhookBody<R>>;
    type Error = S::Error;
    type Future = WebhookFuture<S, B>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        if request.method() == Method::GET {
            let answer = answer_handshake(&self.hook, request.uri().query().unwrap_or_default());
            return WebhookFuture::from_response(match answer {
                Ok(response) => response,
                Err(rejection) => rejection.response(),
            });
        }
        let signatures = request.headers().get_all(WebhookVerifier::HEADER);
        let delivery = match self.hook.start(signatures) {
            Ok(delivery) => delivery,
            Err(error) => {
                return WebhookFuture::from_response(rejection(error.reason()).response());
            }
        };
        // The one that is ready is the one to be called.
        let next = self.inner.clone();
        let inner = std::mem::replace(&mut self.inner, next);
        let (parts, body) = request.into_parts();
        WebhookFuture::new(Reading::new(delivery, body), parts, inner)
    }
}
