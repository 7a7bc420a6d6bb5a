//! The claims of a bearer token.

use std::ops::Deref;

use axum_core::extract::{FromRef, FromRequestParts, OptionalFromRequestParts};
use http::request::Parts;
use serde::de::DeserializeOwned;

use crate::error::Reason;
use crate::http::Rejection;
use crate::http::bearer::{Challenges, token};
use crate::jwt::Jwt;
use crate::verified::Verified;

/// The claims of the token in the `Authorization` header, verified by the [`Jwt`] in the state.
///
/// As an `Option` it is `None` for a request without a token; one whose token does not verify
/// is refused all the same. The rejection is 401 with an empty body and a challenge by RFC 6750.
///
/// ```
/// # use dualkey::{KeyRing, Secret};
/// use dualkey::http::VerifiedJwt;
/// use dualkey::jwt::{Jwt, JwtKey};
/// use axum::{Router, extract::FromRef, routing::get};
/// use serde::Deserialize;
///
/// #[derive(Clone)]
/// struct App { jwt: Jwt }
///
/// impl FromRef<App> for Jwt {
///     fn from_ref(app: &App) -> Self {
///         app.jwt.clone()
///     }
/// }
///
/// #[derive(Deserialize)]
/// struct Claims { sub: String }
///
/// async fn me(VerifiedJwt(claims): VerifiedJwt<Claims>) -> String {
///     claims.into_inner().sub
/// }
///
/// # let secret = "kH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eUkH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eU";
/// # let ring = KeyRing::<JwtKey>::builder().primary(Secret::from(secret)).build()?;
/// let app: Router =
///     Router::new().route("/me", get(me)).with_state(App { jwt: Jwt::new(ring) });
/// # Ok::<(), dualkey::Error>(())
/// ```
#[derive(Debug, Clone)]
#[cfg_attr(docsrs, doc(cfg(feature = "axum")))]
pub struct VerifiedJwt<C>(pub Verified<C>);

impl<C> Deref for VerifiedJwt<C> {
    type Target = Verified<C>;

    fn deref(&self) -> &Verified<C> {
        &self.0
    }
}

impl<S, C> FromRequestParts<S> for VerifiedJwt<C>
where
    S: Send + Sync,
    C: DeserializeOwned,
    Jwt: FromRef<S>,
{
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Rejection> {
        verify_token(parts, state)?.ok_or_else(|| {
            let error = Jwt::from_ref(state).ring().reject(Reason::Missing);
            Challenges::default().rejection(error.reason())
        })
    }
}

impl<S, C> OptionalFromRequestParts<S> for VerifiedJwt<C>
where
    S: Send + Sync,
    C: DeserializeOwned,
    Jwt: FromRef<S>,
{
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Option<Self>, Rejection> {
        verify_token(parts, state)
    }
}

fn verify_token<S, C>(parts: &Parts, state: &S) -> Result<Option<VerifiedJwt<C>>, Rejection>
where
    C: DeserializeOwned,
    Jwt: FromRef<S>,
{
    let jwt = Jwt::from_ref(state);
    let verified = match token(&parts.headers) {
        Ok(None) => return Ok(None),
        Ok(Some(token)) => jwt.verify(token),
        Err(reason) => Err(jwt.ring().reject(reason)),
    };
    match verified {
        Ok(claims) => Ok(Some(VerifiedJwt(claims))),
        Err(error) => Err(Challenges::default().rejection(error.reason())),
    }
}
