//! One request: its cookie verified, and what is to be done with the response.

use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response, StatusCode};
use tower_service::Service;

use super::config::Config;
use super::future::{After, SessionFuture};
use super::inner;
use crate::error::Reason;
use crate::http::Rejection;
use crate::http::answer::{Answer, replace};

/// The service that [`SessionLayer`](super::SessionLayer) puts around another.
#[derive(Debug, Clone)]
pub struct SessionService<S> {
    pub(super) inner: S,
    pub(super) config: Arc<Config>,
}

impl<S, B, R> Service<Request<B>> for SessionService<S>
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
        let config = &self.config;
        let verified = match config.cookie.verify_and_resign(request.headers()) {
            Ok(None) if !config.is_optional => {
                Err(config.cookie.signer().ring().reject(Reason::Missing))
            }
            verified => verified,
        };
        let mut after = After::new(config);
        let verified = verified.and_then(|found| config.add_pair(found));
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
                    return SessionFuture {
                        answer: Answer::from_refusal(rejection.response()),
                        after,
                    };
                }
                (None, None)
            }
        };
        if config.signs_for_inner.is_some() {
            inner::unsign(request.headers_mut(), config.cookie.name(), pair);
        }
        replace(request.extensions_mut(), session);
        SessionFuture { answer: Answer::from_future(self.inner.call(request)), after }
    }
}
