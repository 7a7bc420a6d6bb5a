//! The layer.

use tower_layer::Layer;

use super::service::WebhookService;
use crate::webhook::WebhookVerifier;

/// Lets a delivery through whose signature holds, byte for byte and with its headers as they
/// came; the body as a `Verified<Bytes>` stands in the extensions too. Everything else is 401
/// with an empty body, or 413 beyond the [bound](WebhookVerifier::max_body_bytes). A GET is the
/// subscription handshake: it is answered here, and never comes to the service inside.
///
/// The signature is computed while the body streams in, and nothing is handed on before it
/// held. A delivery without a body is refused, whatever its signature: no sender has a use for
/// it, and one such signature would be good for ever. Trailers are not signed, and dropped.
///
/// ```
/// # #[cfg(feature = "axum")]
/// # fn main() -> Result<(), dualkey::Error> {
/// # use dualkey::{KeyRing, Secret};
/// use dualkey::http::WebhookLayer;
/// use dualkey::webhook::{WebhookVerifier, WebhookKey};
/// use axum::{Json, Router, routing::post};
///
/// # let ring = KeyRing::<WebhookKey>::builder()
/// #     .primary(Secret::from("1222e786b144d0e85b9f365372d93676")).build()?;
/// async fn deliver(Json(event): Json<serde_json::Value>) -> String {
///     format!("an event of {}", event["object"])
/// }
///
/// let hook = WebhookVerifier::new(ring);
/// let app: Router = Router::new()
///     .route("/webhook", post(deliver).layer(WebhookLayer::new(hook)));
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "axum"))]
/// # fn main() {}
/// ```
///
/// How long a body may take is for a timeout outside to say.
#[derive(Debug, Clone)]
pub struct WebhookLayer {
    hook: WebhookVerifier,
}

impl WebhookLayer {
    /// Lets through what `hook` verifies.
    #[must_use]
    pub fn new(hook: WebhookVerifier) -> Self {
        Self { hook }
    }
}

impl<S> Layer<S> for WebhookLayer {
    type Service = WebhookService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        WebhookService { inner, hook: self.hook.clone() }
    }
}
