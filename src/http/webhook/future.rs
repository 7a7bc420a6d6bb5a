//! First the body is read; what verified is for the service inside.

use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Request, Response, request};
use http_body::Body;
use http_body_util::Full;
use pin_project_lite::pin_project;
use tower_service::Service;

use super::body::WebhookBody;
use super::reading::Reading;
use crate::verified::Verified;

pin_project! {
    /// The response of a [`WebhookService`](super::WebhookService) service.
    #[must_use = "futures do nothing unless polled"]
    pub struct WebhookFuture<S, B>
    where
        S: Service<Request<Full<Bytes>>>,
    {
        #[pin]
        state: WebhookFutureState<S, B, S::Future>,
    }
}

pin_project! {
    #[project = WebhookFutureStateProjected]
    enum WebhookFutureState<S, B, F> {
        Answered { response: Option<Response<Bytes>> },
        Reading { #[pin] reading: Reading<B>, parts: Option<request::Parts>, inner: S },
        Inner { #[pin] future: F },
    }
}

impl<S, B> WebhookFuture<S, B>
where
    S: Service<Request<Full<Bytes>>>,
{
    pub(super) fn from_response(response: Response<Bytes>) -> Self {
        Self { state: WebhookFutureState::Answered { response: Some(response) } }
    }

    pub(super) fn new(reading: Reading<B>, parts: request::Parts, inner: S) -> Self {
        Self { state: WebhookFutureState::Reading { reading, parts: Some(parts), inner } }
    }
}

impl<S, B, R> Future for WebhookFuture<S, B>
where
    S: Service<Request<Full<Bytes>>, Response = Response<R>>,
    B: Body,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Output = Result<Response<WebhookBody<R>>, S::Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let mut fields = self.as_mut().project();
            let next = match fields.state.as_mut().project() {
                WebhookFutureStateProjected::Answered { response } => {
                    let response =
                        response.take().expect("a future is not polled once it is ready");
                    return Poll::Ready(Ok(response.map(WebhookBody::from_text)));
                }
                WebhookFutureStateProjected::Inner { future } => {
                    let response = ready!(future.poll(context))?;
                    return Poll::Ready(Ok(response.map(WebhookBody::from_inner)));
                }
                WebhookFutureStateProjected::Reading { reading, parts, inner } => {
                    match ready!(reading.poll(context)) {
                        Ok(body) => {
                            let parts = parts.take().expect("they are taken with the last state");
                            WebhookFutureState::Inner { future: inner.call(request(parts, body)) }
                        }
                        Err(rejection) => {
                            WebhookFutureState::Answered { response: Some(rejection.response()) }
                        }
                    }
                }
            };
            fields.state.set(next);
        }
    }
}

/// The request as it came, with the body that was signed.
fn request(mut parts: request::Parts, body: Verified<Bytes>) -> Request<Full<Bytes>> {
    let bytes = Bytes::clone(&body);
    parts.extensions.insert(body);
    Request::from_parts(parts, Full::new(bytes))
}
