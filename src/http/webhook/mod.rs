//! Webhooks of Meta and GitHub: nothing is handed on before the signature over the whole body
//! held.

mod body;
mod future;
mod handshake;
mod layer;
mod reading;
mod service;

pub use body::WebhookBody;
pub use future::WebhookFuture;
pub use layer::WebhookLayer;
#[cfg(feature = "axum")]
pub(super) use reading::{Reading, rejection};
pub use service::WebhookService;
