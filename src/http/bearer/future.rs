//! The answer to a request with a token, or without one.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::Response;
use pin_project_lite::pin_project;

use crate::http::answer::Answer;

pin_project! {
    /// The response of a [`BearerService`](super::BearerService) service.
    #[must_use = "futures do nothing unless polled"]
    pub struct BearerFuture<F, R> {
        #[pin]
        pub(super) answer: Answer<F, R>,
    }
}

impl<F, R, E> Future for BearerFuture<F, R>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = Result<Response<R>, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().answer.poll(context)
    }
}
