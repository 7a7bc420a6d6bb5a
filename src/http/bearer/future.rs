//! The answer of the service inside, or a refusal.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::Response;
use pin_project_lite::pin_project;

pin_project! {
    /// The response of a [`Bearer`](super::Bearer) service.
    #[must_use = "futures do nothing unless polled"]
    pub struct BearerFuture<F, R> {
        #[pin]
        state: State<F, R>,
    }
}

pin_project! {
    #[project = StateProjected]
    enum State<F, R> {
        Inner { #[pin] future: F },
        Refused { response: Option<Response<R>> },
    }
}

impl<F, R> BearerFuture<F, R> {
    pub(super) fn inner(future: F) -> Self {
        Self { state: State::Inner { future } }
    }

    pub(super) fn refused(response: Response<R>) -> Self {
        Self { state: State::Refused { response: Some(response) } }
    }
}

impl<F, R, E> Future for BearerFuture<F, R>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = Result<Response<R>, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProjected::Inner { future } => Poll::Ready(ready!(future.poll(context))),
            StateProjected::Refused { response } => {
                let response = response.take().expect("a future is not polled once it is ready");
                Poll::Ready(Ok(response))
            }
        }
    }
}
