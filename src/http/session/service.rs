//! One request: its cookie verified, and what is to be done with the response.

use std::task::{Context, Poll};

use http::{Request, Response, StatusCode};
use tower_service::Service;

use super::future::After;
use super::{SessionFuture, SessionLayer, inner};
use crate::error::Reason;
use crate::http::Rejection;
use crate::http::answer::{Answer, replace};

/// What [`SessionLayer`] makes of a service.
#[derive(Debug, Clone)]
pub struct Session<S> {
    pub(super) inner: S,
    pub(super) layer: SessionLayer,
}

impl<S, B, R> Service<Request<B>> for Session<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: Default,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = SessionFuture<S::Future, R>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let config = &self.layer.config;
        let found = config.cookie.found(request.headers());
        let verified = match found {
            Ok(Some(value)) => config.cookie.verify_and_resign(value).map(Some),
            Ok(None) if config.is_optional => Ok(None),
            Ok(None) => Err(config.cookie.signer().ring().reject(Reason::Missing)),
            Err(error) => Err(error),
        };
        let mut after = After::new(&self.layer.config);
        let session = match verified {
            Ok(Some((session, again))) => {
                after.again = again;
                Some(session)
            }
            Ok(None) => None,
            Err(error) => {
                let reason = error.reason();
                after.removes = config.removes_invalid
                    && !(reason == Reason::Missing || reason.is_unavailable());
                if !config.is_optional || reason.is_unavailable() {
                    let rejection = Rejection::new(StatusCode::UNAUTHORIZED, reason);
                    return SessionFuture { answer: Answer::refused(rejection.response()), after };
                }
                None
            }
        };
        if config.signs_for_inner {
            inner::unsign(request.headers_mut(), config.cookie.name(), session.as_deref());
        }
        replace(request.extensions_mut(), session);
        SessionFuture { answer: Answer::inner(self.inner.call(request)), after }
    }
}
