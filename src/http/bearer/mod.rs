//! Bearer tokens (RFC 6750): a JWT in the `Authorization` header, or in a cookie.

mod challenge;
mod config;
mod credentials;
mod future;
mod layer;
mod service;

pub use future::BearerFuture;
pub use layer::BearerLayer;
pub use service::BearerService;

#[cfg(feature = "axum")]
pub(super) use challenge::Challenges;
#[cfg(feature = "axum")]
pub(super) use credentials::token;
