//! The layer: its settings.

use std::marker::PhantomData;
use std::sync::Arc;

use tower_layer::Layer;

use super::challenge::Challenges;
use super::config::Config;
use super::service::BearerService;
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
    config: Arc<Config>,
    claims: PhantomData<fn() -> C>,
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
    /// with [`Reason::Repeated`](crate::Reason::Repeated).
    ///
    /// # Security
    /// An attacker on another host of the same site can set a valid token of its own for the whole
    /// domain, in front of the user's. A name with `__Host-` prevents that.
    ///
    /// A browser sends a cookie along with requests that other sites cause: set it with
    /// `SameSite`, and have a CSRF token where that is not enough.
    #[cfg(feature = "cookie")]
    #[must_use]
    pub fn or_cookie(mut self, name: impl Into<std::borrow::Cow<'static, str>>) -> Self {
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
    type Service = BearerService<S, C>;

    fn layer(&self, inner: S) -> Self::Service {
        BearerService::new(inner, Arc::clone(&self.config))
    }
}
