//! What a peer is told of a request that is refused: its status, and nothing else.

use std::fmt;

use http::header::WWW_AUTHENTICATE;
use http::{HeaderValue, Response, StatusCode};

use crate::error::Reason;

/// A request was refused. As a response it is a status with an empty body, the same for every
/// reason but those of a ring that serves nothing
/// ([`Reason::is_unavailable`]), which are 503, and a body that is too large, which is 413.
#[derive(Debug, Clone)]
pub struct Rejection {
    status: StatusCode,
    reason: Reason,
    challenge: Option<HeaderValue>,
}

impl Rejection {
    #[cfg_attr(
        not(feature = "full"),
        allow(dead_code, reason = "each caller needs an adapter, and no adapter may be on")
    )]
    pub(crate) fn new(status: StatusCode, reason: Reason) -> Self {
        let status = match reason {
            reason if reason.is_unavailable() => StatusCode::SERVICE_UNAVAILABLE,
            _ => status,
        };
        Self { status, reason, challenge: None }
    }

    /// With a challenge, if it is a 401 (RFC 9110 §11.6.1).
    #[cfg(feature = "jwt")]
    pub(crate) fn with_challenge(mut self, challenge: &HeaderValue) -> Self {
        self.challenge = (self.status == StatusCode::UNAUTHORIZED).then(|| challenge.clone());
        self
    }

    /// Why, for the operator: not for the peer.
    #[must_use]
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// What the peer is told.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The response: empty, with the reason in its extensions, which are never sent.
    #[must_use]
    pub fn response<B: Default>(&self) -> Response<B> {
        let mut response = Response::new(B::default());
        *response.status_mut() = self.status;
        if let Some(challenge) = &self.challenge {
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge.clone());
        }
        response.extensions_mut().insert(self.reason);
        response
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "refused: {}", self.status)
    }
}

impl std::error::Error for Rejection {}
