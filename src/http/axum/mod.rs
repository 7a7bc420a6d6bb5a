//! Extractors: what is verified for one handler, by the adapter in the router's state.

#[cfg(feature = "cookie")]
mod cookie;
#[cfg(feature = "jwt")]
mod jwt;
#[cfg(feature = "webhook")]
mod webhook;

#[cfg(feature = "cookie")]
pub use cookie::VerifiedCookie;
#[cfg(feature = "jwt")]
pub use jwt::VerifiedJwt;
#[cfg(feature = "webhook")]
pub use webhook::VerifiedWebhook;

use axum_core::body::Body;
use axum_core::response::{IntoResponse, Response};

use super::Rejection;

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        self.response::<Body>()
    }
}
