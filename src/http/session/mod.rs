//! Signed session cookies: verified on the way in, signed again on the way out.

mod config;
mod cookie;
mod form;
mod future;
mod inner;
mod layer;
mod service;
mod spelling;

pub use cookie::SessionCookie;
pub use future::SessionFuture;
pub use layer::SessionLayer;
pub use service::SessionService;

#[cfg(feature = "axum")]
pub(super) use inner::has_set_cookie;
