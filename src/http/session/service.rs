//! One request: its cookie verified, and what is to be done with the response.

use std::task::{Context, Poll};

use http::{Request, Response, StatusCode};
use tower_service::Service;

use super::cookie::Resigned;
use super::future::After;
use super::layer::Config;
use super::{SessionFuture, SessionLayer, inner};
use crate::error::{Reason, VerifyError};
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
        let verified = match config.cookie.verify_and_resign(request.headers()) {
            Ok(None) if !config.is_optional => {
                Err(config.cookie.signer().ring().reject(Reason::Missing))
            }
            verified => verified,
        };
        let mut after = After::new(&self.layer.config);
        let verified = verified.and_then(|found| config.with_pair(found));
        let (session, pair) = match verified {
            Ok((Some((session, again)), pair)) => {
                after.again = again;
                (Some(session), pair)
            }
            Ok((None, _)) => (None, None),
            Err(error) => {
                let reason = error.reason();
                // A cookie that is not valid yet is authentic.
                let stays = matches!(reason, Reason::Missing | Reason::NotYetValid);
                after.removes = config.removes_invalid && !stays && !reason.is_unavailable();
                if !config.is_optional || reason.is_unavailable() {
                    let rejection = Rejection::new(StatusCode::UNAUTHORIZED, reason);
                    return SessionFuture { answer: Answer::refused(rejection.response()), after };
                }
                (None, None)
            }
        };
        if config.signs_for_inner.is_some() {
            inner::unsign(request.headers_mut(), config.cookie.name(), pair);
        }
        replace(request.extensions_mut(), session);
        SessionFuture { answer: Answer::inner(self.inner.call(request)), after }
    }
}

impl Config {
    /// The pair that the service inside reads of a session, beside it.
    fn with_pair(
        &self,
        found: Option<Resigned>,
    ) -> Result<(Option<Resigned>, Option<String>), VerifyError> {
        let (Some(form), Some((session, _))) = (self.signs_for_inner, &found) else {
            return Ok((found, None));
        };
        match inner::pair(form, session.name(), session.value()) {
            Some(pair) => Ok((found, Some(pair))),
            None => Err(self.cookie.signer().ring().reject(Reason::Payload)),
        }
    }
}
