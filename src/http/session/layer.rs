//! The layer: its settings.

use std::sync::Arc;

use tower_layer::Layer;

use super::config::Config;
use super::cookie::SessionCookie;
use super::form::Form;
use super::service::SessionService;

/// Lets a request through whose session cookie verifies, with the cookie as it was signed, a
/// [`Verified<Cookie>`](crate::cookie::Cookie), in the extensions. Everything else is 401 with
/// an empty body, unless sessions are [optional](Self::optional).
///
/// Of several cookies of the name the first that verifies counts, as for
/// [`verify_header`](crate::cookie::CookieSigner::verify_header).
///
/// A cookie that came under a fallback, or in a legacy form, is signed again on the response,
/// with the attributes of the [signer](crate::cookie::CookieSigner::attributes) and the time of
/// its first issue. A request carries no attributes: if the cookies have a `Max-Age` or a
/// `Domain`, set [`persistent`](crate::cookie::CookieSigner::persistent) and
/// [`domain`](crate::cookie::CookieSigner::domain). Not on a response that says 4xx or 5xx; not where the service inside sets
/// or removes the cookie itself; and not where a shared cache may keep the response
/// (`Cache-Control: public` or `s-maxage`).
///
/// ```
/// # #[cfg(feature = "axum")]
/// # fn main() -> Result<(), dualkey::Error> {
/// # use dualkey::{KeyRing, Secret, Verified};
/// use dualkey::cookie::{Cookie, CookieKey, CookieSigner};
/// use dualkey::http::{SessionCookie, SessionLayer};
/// # use axum::{Extension, Router, routing::get};
///
/// # let secret = "kH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eUkH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eU";
/// # let ring = KeyRing::<CookieKey>::builder().primary(Secret::from(secret)).build()?;
/// async fn me(Extension(session): Extension<Verified<Cookie<'static>>>) -> String {
///     format!("the session {}", session.value())
/// }
///
/// let session = SessionCookie::new(CookieSigner::new(ring), "sid");
/// let app: Router = Router::new().route("/me", get(me)).layer(SessionLayer::new(session));
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "axum"))]
/// # fn main() {}
/// ```
#[derive(Debug, Clone)]
pub struct SessionLayer {
    config: Arc<Config>,
}

impl SessionLayer {
    /// Asks every request for `cookie`.
    #[must_use]
    pub fn new(cookie: SessionCookie) -> Self {
        let config =
            Config { cookie, is_optional: false, removes_invalid: false, signs_for_inner: None };
        Self { config: Arc::new(config) }
    }

    /// Lets a request through whose cookie is missing or does not verify, without a cookie in
    /// its extensions: as from somebody who is not logged in. While the ring serves nothing, a
    /// request that has a cookie is 503 all the same: its sender may well be logged in.
    #[must_use]
    pub fn optional(mut self) -> Self {
        Arc::make_mut(&mut self.config).is_optional = true;
        self
    }

    /// Has the browser forget a cookie that does not verify. Unless this is called it is
    /// ignored, and stays where it is: an instance that does not know a key yet would log out
    /// for good whom another would have let in. One that is not valid yet, by a clock that is
    /// behind, stays in each case.
    ///
    /// A browser does it if the path and the domain are those that the cookie was set with.
    #[must_use]
    pub fn remove_invalid(mut self) -> Self {
        Arc::make_mut(&mut self.config).removes_invalid = true;
        self
    }

    /// Signs a cookie that the service inside reads and sets by itself, unsigned, as the
    /// middleware of `tower-sessions` does: a request's comes to it without the signature, a
    /// response's goes out with one. Sessions are [optional](Self::optional) then: who has none
    /// is given one. A cookie keeps the attributes that the service gave it; one that is signed
    /// again without being set has those of the signer, so give both the same.
    ///
    /// The service reads the session that was verified, or none, with every parser of cookies:
    /// - The request has one pair of the session. Other pairs remain if their name is a token
    ///   without `%` and `'` that no parser takes for the session's, and their value has the octets of
    ///   RFC 6265 §4.1.1. The layer removes the rest.
    /// - The value of a session has no white space and none of `" ' % + , ; \`, which parsers read
    ///   differently. A session with another value counts as one that does not verify, with
    ///   [`Reason::Payload`](crate::Reason::Payload); for them there is
    ///   [`sign_for_inner_encoded`](Self::sign_for_inner_encoded).
    /// - A response that sets such a value, or a cookie whose name only some parsers take for the
    ///   session's, is 500 with an empty body, and with an
    ///   [`Arc<Error>`](crate::Error) in its extensions.
    ///
    /// Whatever reads cookies must be inside of this layer: a layer outside of it, such as
    /// `CookieManagerLayer`, sees the request as the client sent it.
    ///
    /// ```
    /// # #[cfg(feature = "axum")]
    /// # fn main() -> Result<(), dualkey::Error> {
    /// # use dualkey::{KeyRing, Secret};
    /// # use dualkey::cookie::{CookieKey, CookieSigner};
    /// # use dualkey::http::{SessionCookie, SessionLayer};
    /// # use axum::{Router, http::StatusCode, routing::get};
    /// # let secret = "kH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eUkH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eU";
    /// # let ring = KeyRing::<CookieKey>::builder().primary(Secret::from(secret)).build()?;
    /// use tower_sessions::{MemoryStore, Session, SessionManagerLayer};
    ///
    /// async fn count(session: Session) -> Result<String, StatusCode> {
    ///     let failed = |_| StatusCode::INTERNAL_SERVER_ERROR;
    ///     let visits = session.get::<u64>("visits").await.map_err(failed)?.unwrap_or_default() + 1;
    ///     session.insert("visits", visits).await.map_err(failed)?;
    ///     Ok(format!("visit {visits}"))
    /// }
    ///
    /// let sessions = SessionManagerLayer::new(MemoryStore::default()).with_name("sid");
    /// let signed = SessionLayer::new(SessionCookie::new(CookieSigner::new(ring), "sid"));
    /// let app: Router = Router::new()
    ///     .route("/", get(count))
    ///     .layer(sessions)
    ///     .layer(signed.sign_for_inner()); // the one outside comes last
    /// # Ok(())
    /// # }
    /// # #[cfg(not(feature = "axum"))]
    /// # fn main() {}
    /// ```
    #[must_use]
    pub fn sign_for_inner(mut self) -> Self {
        self.sign_in(Form::Plain);
        self
    }

    /// Signs as [`sign_for_inner`](Self::sign_for_inner) does, for a service inside that
    /// percent-encodes the values that it sets and percent-decodes those that it reads, with
    /// `Cookie::encoded` and `Cookie::parse_encoded`, `tower-cookies` or `axum-extra`. The session
    /// has any value, which the layer sees decoded.
    ///
    /// ```
    /// # #[cfg(feature = "axum")]
    /// # fn main() -> Result<(), dualkey::Error> {
    /// # use dualkey::{KeyRing, Secret};
    /// # use dualkey::cookie::{CookieKey, CookieSigner};
    /// # use dualkey::http::{SessionCookie, SessionLayer};
    /// # use axum::{Router, routing::get};
    /// # let secret = "kH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eUkH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eU";
    /// # let ring = KeyRing::<CookieKey>::builder().primary(Secret::from(secret)).build()?;
    /// let signed = SessionLayer::new(SessionCookie::new(CookieSigner::new(ring), "sid"));
    /// // The service sets `sid=a%20b`, and reads `sid=a%20b` again.
    /// let app: Router = Router::new()
    ///     .route("/", get(|| async { [("set-cookie", "sid=a%20b")] }))
    ///     .layer(signed.sign_for_inner_encoded());
    /// # use tower::ServiceExt;
    /// # let request = http::Request::new(axum::body::Body::empty());
    /// # let answer = pollster::block_on(app.oneshot(request)).expect("it answers");
    /// # let set = answer.headers()["set-cookie"].to_str().expect("it is ASCII");
    /// assert!(set.starts_with("sid=a%20b."));
    /// # Ok(())
    /// # }
    /// # #[cfg(not(feature = "axum"))]
    /// # fn main() {}
    /// ```
    ///
    /// # Security
    /// **A service that does not percent-decode reads another session** than the layer verified,
    /// if the value has a character that is encoded.
    #[must_use]
    pub fn sign_for_inner_encoded(mut self) -> Self {
        self.sign_in(Form::Encoded);
        self
    }

    fn sign_in(&mut self, form: Form) {
        let config = Arc::make_mut(&mut self.config);
        (config.signs_for_inner, config.is_optional) = (Some(form), true);
    }
}

impl<S> Layer<S> for SessionLayer {
    type Service = SessionService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        SessionService { inner, config: Arc::clone(&self.config) }
    }
}
