//! The answer to a subscription handshake.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Response, StatusCode};

use crate::http::Rejection;
use crate::webhook::WebhookVerifier;

/// Answers a subscription handshake: its challenge as plain text, which no browser takes
/// for markup; or 403.
pub(super) fn answer_handshake(
    hook: &WebhookVerifier,
    query: &str,
) -> Result<Response<Bytes>, Rejection> {
    let challenge = hook
        .handshake(query)
        .map_err(|error| Rejection::new(StatusCode::FORBIDDEN, error.reason()))?;
    let mut response = Response::new(Bytes::from(challenge.into_inner()));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    Ok(response)
}
