//! One request, verified before the service inside sees it.

use std::task::{Context, Poll};

use http::{Request, Response};
use serde::de::DeserializeOwned;
use tower_service::Service;

use super::{BearerFuture, BearerLayer, credentials};
use crate::error::Reason;

/// What [`BearerLayer`] makes of a service.
#[derive(Debug)]
pub struct Bearer<S, C> {
    pub(super) inner: S,
    pub(super) layer: BearerLayer<C>,
}

impl<S: Clone, C> Clone for Bearer<S, C> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), layer: self.layer.clone() }
    }
}

impl<S, C, B, R> Service<Request<B>> for Bearer<S, C>
where
    S: Service<Request<B>, Response = Response<R>>,
    C: DeserializeOwned + Clone + Send + Sync + 'static,
    R: Default,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = BearerFuture<S::Future, R>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let config = &self.layer.config;
        let token = credentials::of(request.headers(), config.cookie.as_deref());
        let verified = match token {
            Ok(None) if config.is_optional => return BearerFuture::inner(self.inner.call(request)),
            Ok(Some(token)) => config.jwt.verify::<C>(token),
            Ok(None) => Err(config.jwt.ring().reject(Reason::Missing)),
            Err(reason) => Err(config.jwt.ring().reject(reason)),
        };
        match verified {
            Ok(claims) => {
                request.extensions_mut().insert(claims);
                BearerFuture::inner(self.inner.call(request))
            }
            Err(error) => {
                BearerFuture::refused(config.challenges.rejection(error.reason()).response())
            }
        }
    }
}
