//! What becomes of a request that is verified before the service inside sees it.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::{Extensions, Response};
use pin_project_lite::pin_project;

use crate::verified::Verified;

pin_project! {
    /// The answer of the service inside, or a refusal.
    #[project = Projected]
    pub(super) enum Answer<F, R> {
        Inner { #[pin] future: F },
        Refused { response: Option<Response<R>> },
    }
}

/// Puts what was verified into the extensions, in the place of what a layer outside has put
/// there: that is of other keys, and nobody inside is to take it for this.
pub(super) fn replace<T: Clone + Send + Sync + 'static>(
    extensions: &mut Extensions,
    verified: Option<Verified<T>>,
) {
    match verified {
        Some(verified) => drop(extensions.insert(verified)),
        None => drop(extensions.remove::<Verified<T>>()),
    }
}

impl<F, R> Answer<F, R> {
    pub(super) fn from_future(future: F) -> Self {
        Self::Inner { future }
    }

    pub(super) fn from_refusal(response: Response<R>) -> Self {
        Self::Refused { response: Some(response) }
    }
}

impl<F, R, E> Future for Answer<F, R>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = Result<Response<R>, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            Projected::Inner { future } => future.poll(context),
            Projected::Refused { response } => {
                let response = response.take().expect("a future is not polled once it is ready");
                Poll::Ready(Ok(response))
            }
        }
    }
}
