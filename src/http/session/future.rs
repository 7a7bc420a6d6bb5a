//! The answer of the service inside, with the cookie that it is to carry.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::header::{CACHE_CONTROL, SET_COOKIE};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use pin_project_lite::pin_project;

use super::config::Config;
use super::inner;
use crate::http::answer::Answer;

/// What is to be done with the response.
pub(super) struct After {
    config: Arc<Config>,
    /// The session, signed again.
    pub(super) again: Option<HeaderValue>,
    pub(super) removes: bool,
}

impl After {
    pub(super) fn new(config: &Arc<Config>) -> Self {
        Self { config: Arc::clone(config), again: None, removes: false }
    }

    fn apply<R: Default>(&mut self, response: &mut Response<R>) {
        let cookie = &self.config.cookie;
        let is_set = match self.config.signs_for_inner {
            Some(form) => inner::sign(response.headers_mut(), cookie, form),
            None => Ok(inner::has_set_cookie(response.headers(), cookie.name())),
        };
        match is_set {
            Ok(false) => {}
            // Who sets or removes it inside knows better.
            Ok(true) => return,
            // Without its signature it would be refused by the next request.
            Err(error) => {
                *response = Response::new(R::default());
                *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
                response.extensions_mut().insert(Arc::new(error));
                return;
            }
        }
        if self.removes {
            if let Ok(removal) = cookie.removal() {
                response.headers_mut().append(SET_COOKIE, removal);
            }
            return;
        }
        let status = response.status();
        let has_failed = status.is_client_error() || status.is_server_error();
        if has_failed || is_shared(response.headers()) {
            return;
        }
        if let Some(again) = self.again.take() {
            response.headers_mut().append(SET_COOKIE, again);
        }
    }
}

/// Returns whether a shared cache may keep the response, and give its cookies to other clients.
fn is_shared(headers: &HeaderMap) -> bool {
    let directives = headers.get_all(CACHE_CONTROL).iter().filter_map(|all| all.to_str().ok());
    directives.flat_map(|all| all.split(',')).any(|directive| {
        let name = directive.split('=').next().unwrap_or_default().trim();
        name.eq_ignore_ascii_case("public") || name.eq_ignore_ascii_case("s-maxage")
    })
}

pin_project! {
    /// The response of a [`SessionService`](super::SessionService) service.
    #[must_use = "futures do nothing unless polled"]
    pub struct SessionFuture<F, R> {
        #[pin]
        pub(super) answer: Answer<F, R>,
        pub(super) after: After,
    }
}

impl<F, R, E> Future for SessionFuture<F, R>
where
    F: Future<Output = Result<Response<R>, E>>,
    R: Default,
{
    type Output = Result<Response<R>, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let fields = self.project();
        let mut answer = ready!(fields.answer.poll(context));
        if let Ok(response) = &mut answer {
            fields.after.apply(response);
        }
        Poll::Ready(answer)
    }
}
