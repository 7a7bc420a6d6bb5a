//! The body of a delivery.

use std::ops::Deref;

use axum_core::extract::{FromRef, FromRequest, OptionalFromRequest, Request};
use bytes::Bytes;

use crate::http::Rejection;
use crate::http::webhook::{Reading, rejection};
use crate::verified::Verified;
use crate::webhook::WebhookVerifier;

/// The body of a delivery, verified by the [`WebhookVerifier`] in the state, byte for byte.
///
/// Its bound is [that of the `WebhookVerifier`](WebhookVerifier::max_body_bytes): axum's
/// `DefaultBodyLimit` does not count. As an `Option` it is `None` for a request without a
/// signature, whose body is not read. The rejection is 401 with an empty body, or 413 beyond
/// the bound.
///
/// The subscription handshake is a GET, and a route of its own:
/// [`WebhookVerifier::handshake`], or the [layer](crate::http::WebhookLayer), which answers it.
///
/// ```
/// # use dualkey::{KeyRing, Secret};
/// use dualkey::http::VerifiedWebhook;
/// use dualkey::webhook::{WebhookVerifier, WebhookKey};
/// use axum::{Router, http::StatusCode, routing::post};
///
/// async fn deliver(VerifiedWebhook(body): VerifiedWebhook) -> StatusCode {
///     match serde_json::from_slice::<serde_json::Value>(&body) {
///         Ok(_event) => StatusCode::OK,
///         Err(_) => StatusCode::BAD_REQUEST,
///     }
/// }
///
/// # let ring = KeyRing::<WebhookKey>::builder()
/// #     .primary(Secret::from("1222e786b144d0e85b9f365372d93676")).build()?;
/// let app: Router =
///     Router::new().route("/webhook", post(deliver)).with_state(WebhookVerifier::new(ring));
/// # Ok::<(), dualkey::Error>(())
/// ```
#[derive(Debug, Clone)]
#[cfg_attr(docsrs, doc(cfg(feature = "axum")))]
pub struct VerifiedWebhook(pub Verified<Bytes>);

impl Deref for VerifiedWebhook {
    type Target = Verified<Bytes>;

    fn deref(&self) -> &Verified<Bytes> {
        &self.0
    }
}

impl<S> FromRequest<S> for VerifiedWebhook
where
    S: Send + Sync,
    WebhookVerifier: FromRef<S>,
{
    type Rejection = Rejection;

    async fn from_request(request: Request, state: &S) -> Result<Self, Rejection> {
        let hook = WebhookVerifier::from_ref(state);
        let delivery = hook
            .start(request.headers().get_all(WebhookVerifier::HEADER))
            .map_err(|error| rejection(error.reason()))?;
        Ok(Self(Reading::new(delivery, request.into_body()).await?))
    }
}

impl<S> OptionalFromRequest<S> for VerifiedWebhook
where
    S: Send + Sync,
    WebhookVerifier: FromRef<S>,
{
    type Rejection = Rejection;

    async fn from_request(request: Request, state: &S) -> Result<Option<Self>, Rejection> {
        if !request.headers().contains_key(WebhookVerifier::HEADER) {
            return Ok(None);
        }
        <Self as FromRequest<S>>::from_request(request, state).await.map(Some)
    }
}
