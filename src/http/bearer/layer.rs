//! What is to be verified, and how a refusal is worded.

use std::borrow::Cow;
use std::marker::PhantomData;
use std::sync::Arc;

use http::{HeaderValue, StatusCode};
use tower_layer::Layer;

use super::Bearer;
use crate::error::Reason;
use crate::http::Rejection;
use crate::jwt::Jwt;

/// Lets a request through whose bearer token verifies, with its claims, a
/// [`Verified<C>`](crate::Verified), in the extensions. Everything else is 401 with an empty
/// body and a challenge by RFC 6750 §3.
///
/// ```
/// # #[cfg(feature = "axum")]
/// # fn main() -> Result<(), dualkey::Error> {
/// # use dualkey::{KeyRing, Secret, Verified};
/// # use dualkey::http::BearerLayer;
/// # use dualkey::jwt::{Jwt, JwtKey};
/// # use axum::{Extension, Router, routing::get};
/// # #[derive(Clone, serde::Deserialize)]
/// # struct Claims { sub: String }
/// # let secret = "kH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eUkH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eU";
/// # let ring = KeyRing::<JwtKey>::builder().primary(Secret::from(secret)).build()?;
/// async fn news(claims: Option<Extension<Verified<Claims>>>) -> String {
///     claims.map_or("news".into(), |claims| format!("news for {}", claims.sub))
/// }
///
/// let app: Router = Router::new()
///     .route("/news", get(news))
///     .layer(BearerLayer::<Claims>::new(Jwt::new(ring)).optional());
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "axum"))]
/// # fn main() {}
/// ```
#[derive(Debug)]
pub struct BearerLayer<C> {
    pub(super) config: Arc<Config>,
    claims: PhantomData<fn() -> C>,
}

#[derive(Debug, Clone)]
pub(super) struct Config {
    pub(super) jwt: Jwt,
    pub(super) is_optional: bool,
    pub(super) cookie: Option<Cow<'static, str>>,
    pub(super) challenges: Challenges,
}

impl<C> BearerLayer<C> {
    /// Asks every request for a token in its `Authorization` header.
    #[must_use]
    pub fn new(jwt: Jwt) -> Self {
        let challenges = Challenges::default();
        let config = Config { jwt, is_optional: false, cookie: None, challenges };
        Self { config: Arc::new(config), claims: PhantomData }
    }

    /// Lets a request through that has no token, without claims in its extensions: for routes
    /// that serve both. One whose token does not verify is refused all the same, so that its
    /// sender learns of it.
    #[must_use]
    pub fn optional(mut self) -> Self {
        Arc::make_mut(&mut self.config).is_optional = true;
        self
    }

    /// Also takes the token from the cookie `name`, where no `Authorization` header has one. Of
    /// several cookies of this name the first that verifies counts; more than eight are refused
    /// with [`Reason::Repeated`].
    ///
    /// # Security
    /// An attacker on another host of the same site can set a valid token of its own for the whole
    /// domain, in front of the user's. A name with `__Host-` prevents that.
    ///
    /// A browser sends a cookie along with requests that other sites cause: set it with
    /// `SameSite`, and have a CSRF token where that is not enough.
    #[cfg(feature = "cookie")]
    #[must_use]
    pub fn or_cookie(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        Arc::make_mut(&mut self.config).cookie = Some(name.into());
        self
    }

    /// What the challenge calls the service; `restricted` unless set. Characters that cannot
    /// stand there are left out.
    #[must_use]
    pub fn realm(mut self, realm: &str) -> Self {
        Arc::make_mut(&mut self.config).challenges = Challenges::new(realm);
        self
    }
}

impl<C> Clone for BearerLayer<C> {
    fn clone(&self) -> Self {
        Self { config: Arc::clone(&self.config), claims: PhantomData }
    }
}

impl<S, C> Layer<S> for BearerLayer<C> {
    type Service = Bearer<S, C>;

    fn layer(&self, inner: S) -> Self::Service {
        Bearer { inner, layer: self.clone() }
    }
}

/// What a 401 says (RFC 6750 §3): without a token no error, with one always the same.
#[derive(Debug, Clone)]
pub(in crate::http) struct Challenges {
    missing: HeaderValue,
    invalid: HeaderValue,
}

impl Challenges {
    fn new(realm: &str) -> Self {
        let mut quoted = String::new();
        for own in realm.chars().filter(|own| matches!(own, ' '..='~')) {
            if matches!(own, '"' | '\\') {
                quoted.push('\\');
            }
            quoted.push(own);
        }
        let header = |text: String| {
            HeaderValue::from_maybe_shared(bytes::Bytes::from(text))
                .unwrap_or(HeaderValue::from_static("Bearer"))
        };
        Self {
            missing: header(format!("Bearer realm=\"{quoted}\"")),
            invalid: header(format!("Bearer realm=\"{quoted}\", error=\"invalid_token\"")),
        }
    }

    pub(in crate::http) fn rejection(&self, reason: Reason) -> Rejection {
        let challenge = match reason {
            Reason::Missing => &self.missing,
            _ => &self.invalid,
        };
        Rejection::new(StatusCode::UNAUTHORIZED, reason).challenged(challenge)
    }
}

impl Default for Challenges {
    fn default() -> Self {
        Self {
            missing: HeaderValue::from_static("Bearer realm=\"restricted\""),
            invalid: HeaderValue::from_static(
                "Bearer realm=\"restricted\", error=\"invalid_token\"",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_realm_cannot_end_its_quotes() {
        let challenges = Challenges::new("a \"b\\c\r\nX: y\u{7f} é");
        assert_eq!(challenges.missing, "Bearer realm=\"a \\\"b\\\\cX: y \"");
        assert_eq!(Challenges::new("restricted").invalid, Challenges::default().invalid);
    }
}
