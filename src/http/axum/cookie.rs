//! A session cookie.

use std::convert::Infallible;
use std::ops::Deref;

use axum_core::extract::{FromRef, FromRequestParts, OptionalFromRequestParts};
use axum_core::response::{IntoResponseParts, ResponseParts};
use http::header::SET_COOKIE;
use http::request::Parts;
use http::{HeaderValue, StatusCode};

use crate::cookie::Cookie;
use crate::error::{Reason, VerifyError};
use crate::http::session::has_set_cookie;
use crate::http::{Rejection, SessionCookie};
use crate::verified::Verified;

/// The session cookie of a request, verified by the [`SessionCookie`] in the state.
///
/// As part of the response it sets the whole cookie again, with the attributes of the
/// [signer](crate::cookie::CookieSigner::attributes), if that
/// [needs to be](Verified::needs_resign) signed again, and nothing otherwise. Put it in front of a
/// cookie of this name that the handler sets itself, or leave it out: of two the browser keeps the
/// last, and none is added behind one that is there. As an `Option` it is `None` for a request without a cookie, and for one whose cookie does not verify. The
/// rejection is 401 with an empty body.
///
/// ```
/// # use dualkey::{KeyRing, Secret};
/// use dualkey::cookie::{CookieKey, CookieSigner};
/// use dualkey::http::{SessionCookie, VerifiedCookie};
/// use axum::{Router, response::IntoResponse, routing::get};
///
/// async fn me(session: VerifiedCookie) -> impl IntoResponse {
///     let text = format!("the session {}", session.value());
///     (session, text) // signed again, if need be
/// }
///
/// # let secret = "kH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eUkH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eU";
/// # let ring = KeyRing::<CookieKey>::builder().primary(Secret::from(secret)).build()?;
/// let session = SessionCookie::new(CookieSigner::new(ring), "sid");
/// let app: Router = Router::new().route("/me", get(me)).with_state(session);
/// # Ok::<(), dualkey::Error>(())
/// ```
#[derive(Debug, Clone)]
#[cfg_attr(docsrs, doc(cfg(feature = "axum")))]
pub struct VerifiedCookie {
    session: Verified<Cookie<'static>>,
    again: Option<HeaderValue>,
}

impl VerifiedCookie {
    /// The cookie, with the value that was signed.
    pub fn into_inner(self) -> Verified<Cookie<'static>> {
        self.session
    }
}

impl Deref for VerifiedCookie {
    type Target = Verified<Cookie<'static>>;

    fn deref(&self) -> &Verified<Cookie<'static>> {
        &self.session
    }
}

impl IntoResponseParts for VerifiedCookie {
    type Error = Infallible;

    fn into_response_parts(self, mut response: ResponseParts) -> Result<ResponseParts, Infallible> {
        // A login or a logout of the handler counts.
        let is_set = has_set_cookie(response.headers(), self.session.name());
        if let Some(again) = self.again.filter(|_| !is_set) {
            response.headers_mut().append(SET_COOKIE, again);
        }
        Ok(response)
    }
}

impl<S> FromRequestParts<S> for VerifiedCookie
where
    S: Send + Sync,
    SessionCookie: FromRef<S>,
{
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Rejection> {
        let cookie = SessionCookie::from_ref(state);
        let found = verify_cookie(parts, &cookie)
            .and_then(|found| found.ok_or_else(|| cookie.signer().ring().reject(Reason::Missing)));
        found.map_err(rejection)
    }
}

impl<S> OptionalFromRequestParts<S> for VerifiedCookie
where
    S: Send + Sync,
    SessionCookie: FromRef<S>,
{
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Option<Self>, Rejection> {
        match verify_cookie(parts, &SessionCookie::from_ref(state)) {
            // Its sender may well be logged in.
            Err(error) if error.reason().is_unavailable() => Err(rejection(error)),
            found => Ok(found.ok().flatten()),
        }
    }
}

fn verify_cookie(
    parts: &Parts,
    cookie: &SessionCookie,
) -> Result<Option<VerifiedCookie>, VerifyError> {
    let found = cookie.verify_and_resign(&parts.headers)?;
    Ok(found.map(|(session, again)| VerifiedCookie { session, again }))
}

fn rejection(error: VerifyError) -> Rejection {
    Rejection::new(StatusCode::UNAUTHORIZED, error.reason())
}
