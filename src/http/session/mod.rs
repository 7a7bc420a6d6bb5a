//! Signed session cookies: verified on the way in, signed again on the way out.

mod cookie;
mod future;
mod inner;
mod layer;
mod service;

pub use cookie::SessionCookie;
pub use future::SessionFuture;
pub use layer::SessionLayer;
pub use service::Session;
