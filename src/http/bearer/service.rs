//! One request, verified before the service inside sees it.

use std::marker::PhantomData;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use serde::de::DeserializeOwned;
use tower_service::Service;

use super::config::Config;
use super::credentials::{self, Presented};
use super::future::BearerFuture;
use crate::error::Reason;
use crate::http::answer::{Answer, replace};

/// The service that [`BearerLayer`](super::BearerLayer) puts around another.
#[derive(Debug)]
pub struct BearerService<S, C> {
    inner: S,
    config: Arc<Config>,
    claims: PhantomData<fn() -> C>,
}

impl<S, C> BearerService<S, C> {
    pub(super) fn new(inner: S, config: Arc<Config>) -> Self {
        Self { inner, config, claims: PhantomData }
    }
}

impl<S: Clone, C> Clone for BearerService<S, C> {
    fn clone(&self) -> Self {
        Self::new(self.inner.clone(), Arc::clone(&self.config))
    }
}

impl<S, C, B, R> Service<Request<B>> for BearerService<S, C>
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
        let config = &self.config;
        let token = credentials::find(request.headers(), config.cookie.as_deref());
        let verified = match token {
            Ok(Some(Presented::Header(token))) => config.jwt.verify::<C>(token).map(Some),
            #[cfg(feature = "cookie")]
            Ok(Some(Presented::Cookies(found))) => {
                config.jwt.verify_first::<C>(found.values()).map(Some)
            }
            Ok(None) if config.is_optional => Ok(None),
            Ok(None) => Err(config.jwt.ring().reject(Reason::Missing)),
            Err(reason) => Err(config.jwt.ring().reject(reason)),
        };
        let answer = match verified {
            Ok(claims) => {
                replace(request.extensions_mut(), claims);
                Answer::from_future(self.inner.call(request))
            }
            Err(error) => {
                Answer::from_refusal(config.challenges.rejection(error.reason()).response())
            }
        };
        BearerFuture { answer }
    }
}
