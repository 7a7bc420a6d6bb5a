//! Middleware: in an axum service, or on any other stack of `tower`, each of this is a line.
//!
//! | what comes | a layer | an axum extractor |
//! |---|---|---|
//! | `Authorization: Bearer`, or a token in a cookie | [`BearerLayer`] | [`VerifiedJwt`] |
//! | a signed session cookie | [`SessionLayer`] | [`VerifiedCookie`] |
//! | a delivery of Meta's or GitHub's | [`WebhookLayer`] | [`VerifiedWebhook`] |
//!
//! A layer verifies before the service inside sees anything, and puts what it verified into the
//! extensions of the request, as [`Verified<T>`](crate::Verified). An extractor does the same for
//! one handler, with the adapter that it finds in the router's state. Choose one of the two for
//! a route: both verify, and count.
//!
//! ```
//! # #[cfg(all(feature = "axum", feature = "jwt"))]
//! # fn main() -> Result<(), dualkey::Error> {
//! use dualkey::{KeyRing, Secret, Verified};
//! use dualkey::http::BearerLayer;
//! use dualkey::jwt::{Jwt, JwtKey};
//! use axum::{Extension, Router, routing::get};
//! use serde::Deserialize;
//!
//! #[derive(Clone, Deserialize)]
//! struct Claims { sub: String }
//!
//! async fn me(Extension(claims): Extension<Verified<Claims>>) -> String {
//!     claims.sub.clone()
//! }
//!
//! # let secret = "kH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eUkH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eU";
//! # let ring = KeyRing::<JwtKey>::builder().primary(Secret::from(secret)).build()?;
//! let app: Router = Router::new()
//!     .route("/me", get(me))
//!     .layer(BearerLayer::<Claims>::new(Jwt::new(ring)));
//! # Ok(())
//! # }
//! # #[cfg(not(all(feature = "axum", feature = "jwt")))]
//! # fn main() {}
//! ```
//!
//! Several layers on one route of axum's go as a tuple, the outermost first:
//! `get(me).layer((session, bearer))`.
//!
//! # What a peer is told
//! Every refusal of a kind is the same, with an empty body (V7). Why it was made is told to the
//! ring's [observer](crate::Observer), and stands as a [`Reason`](crate::Reason) in the
//! extensions of the *response*, where a layer outside can log it; extensions are never sent.
//!
//! A ring that serves nothing because it is [too old](crate::Reason::Stale) or has no
//! [key that signs](crate::Reason::NoPrimary) makes the answer 503
//! instead: a client that is told 401 would throw a valid token away.
//!
//! # What it does not do
//! It limits the size of what it reads, not the time: put a timeout around it. It does not
//! protect a cookie from being sent by another site, which is what `SameSite` and a CSRF token
//! are for.

#[cfg(any(feature = "jwt", feature = "cookie"))]
mod answer;
#[cfg(feature = "axum")]
mod axum;
#[cfg(feature = "jwt")]
mod bearer;
#[cfg(feature = "cookie")]
mod cookies;
mod rejection;
#[cfg(feature = "cookie")]
mod session;
#[cfg(feature = "status")]
mod status;
#[cfg(feature = "webhook")]
mod webhook;

#[cfg(all(feature = "axum", feature = "cookie"))]
pub use self::axum::VerifiedCookie;
#[cfg(all(feature = "axum", feature = "jwt"))]
pub use self::axum::VerifiedJwt;
#[cfg(all(feature = "axum", feature = "webhook"))]
pub use self::axum::VerifiedWebhook;
#[cfg(feature = "jwt")]
pub use bearer::{BearerFuture, BearerLayer, BearerService};
pub use rejection::Rejection;
#[cfg(feature = "cookie")]
pub use session::{SessionCookie, SessionFuture, SessionLayer, SessionService};
#[cfg(feature = "status")]
pub use status::Status;
#[cfg(feature = "webhook")]
pub use webhook::{WebhookBody, WebhookFuture, WebhookLayer, WebhookService};
