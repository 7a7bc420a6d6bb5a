//! API keys that go out with requests.
//!
//! ```
//! # #[cfg(feature = "reqwest")] {
//! use dualkey::{KeyRing, Secret};
//! use dualkey::credential::Credential;
//! use dualkey::credential::api::ApiKeys;
//! use reqwest_middleware::ClientBuilder;
//!
//! # let (key, backup) = ("sk-ant-T4nZ8yB1cF6gJ0sD3pA5", "sk-ant-Nf0Vg6Jc3Ds8Pw1Ra4Tb");
//! // In a service: KeyRing::<Credential>::from_env("ANTHROPIC_API_KEY")?
//! let ring = KeyRing::<Credential>::builder()
//!     .primary(Secret::from(key))
//!     .fallback(Secret::from(backup))
//!     .build()?;
//! # fn client() -> reqwest::Client { unimplemented!() }
//! # fn with(client: reqwest::Client, ring: KeyRing<Credential>) -> reqwest_middleware::ClientWithMiddleware {
//! let client = ClientBuilder::new(client).with(ApiKeys::anthropic(ring)).build();
//! # client }
//! # }
//! # Ok::<(), dualkey::Error>(())
//! ```
//!
//! The primary goes into the header that the provider wants. Where the answer is 401, and only
//! then, the request is sent once more, with the next key, if its body can be sent twice; the key
//! that was refused rests, and is tried again by one request when its rest is over. 403, 5xx and a
//! timeout are handed through: another key would be no help, and would be shown for nothing. 429
//! is waited out, where the answer says for how long ([`max_retry_after`](ApiKeys::max_retry_after)),
//! and the request is sent once more with the *same* key: the limit is not to be gone around.
//!
//! No request is sent more than twice. If every key was refused, the answer is
//! [`ApiError::Refused`], with the kids of all.
//!
//! # Security
//! The key goes with every request that comes through: to whichever host. Bind it to that of the
//! provider with [`only_host`](ApiKeys::only_host), as the presets do. A client that follows
//! redirects must not take the header elsewhere: `reqwest` drops `Authorization` where the host
//! changes, and no header that it does not know.

mod layer;
#[cfg(feature = "reqwest")]
mod middleware;
mod replay;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use http::{StatusCode, Uri};

use super::{Credential, Credentials, Shown};
use crate::error::Error;
use crate::kid::Kid;
use crate::ring::KeyRing;

pub use layer::{ApiKeyLayer, ApiKeyService};
pub use replay::{Once, Replay};

/// What a 429 may ask for before it is handed through.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(30);
/// The version of the Anthropic API that is asked for, where the request does not say.
const ANTHROPIC_VERSION: HeaderValue = HeaderValue::from_static("2023-06-01");

/// How API keys go out: from which ring, in which header, to which host.
///
/// As a tower layer it is an [`ApiKeyLayer`]; with the feature `reqwest` it is a
/// `reqwest_middleware::Middleware` itself. A clone shares what is known of the keys.
#[derive(Debug, Clone)]
pub struct ApiKeys {
    credentials: Credentials,
    form: Arc<Form>,
}

#[derive(Debug, Clone)]
struct Form {
    header: HeaderName,
    prefix: &'static str,
    /// What else goes out, where it is not there.
    with: Option<(HeaderName, HeaderValue)>,
    host: Option<String>,
    max_retry_after: Duration,
}

/// Why a request was not answered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApiError<E> {
    /// Every key was refused.
    #[error("the provider refuses every key of `{ring}`: {}", .kids.iter().map(Kid::to_string).collect::<Vec<_>>().join(", "))]
    Refused {
        /// The name of the ring.
        ring: String,
        /// All keys that it has to offer.
        kids: Vec<Kid>,
    },
    /// A key holds what no header can: a line end, a character that is not of ASCII.
    #[error(
        "the key `{kid}` of `{ring}` cannot stand in a header: it holds a line end, or no ASCII"
    )]
    NotAHeader {
        /// The name of the ring.
        ring: String,
        /// The key in question.
        kid: Kid,
    },
    /// The request goes to another host than the keys are for: they were not shown.
    #[error("the keys are for `{expected}`, and not shown to `{found}`")]
    OtherHost {
        /// The host that they are for.
        expected: String,
        /// The host that the request names.
        found: String,
    },
    /// The ring serves nothing.
    #[error(transparent)]
    Ring(#[from] Error),
    /// The service inside failed.
    #[error("the request could not be sent")]
    Inner(#[source] E),
}

impl ApiKeys {
    /// For the Anthropic API: in `x-api-key`, with `anthropic-version: 2023-06-01` where the
    /// request does not say another, to `api.anthropic.com` alone.
    #[must_use]
    pub fn anthropic(ring: KeyRing<Credential>) -> Self {
        let with = Some((HeaderName::from_static("anthropic-version"), ANTHROPIC_VERSION));
        let own = Self::new(ring, HeaderName::from_static("x-api-key"), "", with);
        own.only_host("api.anthropic.com")
    }

    /// For an API that wants `Authorization: Bearer` (RFC 6750), at `host` alone.
    #[must_use]
    pub fn bearer(ring: KeyRing<Credential>, host: &str) -> Self {
        Self::new(ring, AUTHORIZATION, "Bearer ", None).only_host(host)
    }

    /// In a header of this name, to whichever host.
    #[must_use]
    pub fn header(ring: KeyRing<Credential>, header: HeaderName) -> Self {
        Self::new(ring, header, "", None)
    }

    fn new(
        ring: KeyRing<Credential>,
        header: HeaderName,
        prefix: &'static str,
        with: Option<(HeaderName, HeaderValue)>,
    ) -> Self {
        let (host, max_retry_after) = (None, MAX_RETRY_AFTER);
        let form = Form { header, prefix, with, host, max_retry_after };
        Self { credentials: Credentials::new(ring), form: Arc::new(form) }
    }

    /// Shows the keys to this host alone: a name as it stands in the URI, without a port.
    #[must_use]
    pub fn only_host(mut self, host: &str) -> Self {
        Arc::make_mut(&mut self.form).host = Some(host.to_ascii_lowercase());
        self
    }

    /// How long a request waits where a 429 says when to come back: 30 seconds at most unless
    /// set. A 429 that asks for more, or says nothing, is handed through; with zero, every one.
    #[must_use]
    pub fn max_retry_after(mut self, most: Duration) -> Self {
        Arc::make_mut(&mut self.form).max_retry_after = most;
        self
    }

    /// How long a key that was refused rests: as [`Credentials::rest`].
    #[must_use]
    pub fn rest(mut self, first: Duration, longest: Duration) -> Self {
        self.credentials = self.credentials.rest(first, longest);
        self
    }

    /// What is known of the keys.
    #[must_use]
    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// Puts `shown` into the headers of a request.
    fn put<E>(&self, shown: &Shown, headers: &mut HeaderMap) -> Result<(), ApiError<E>> {
        let text = zeroize::Zeroizing::new(
            [self.form.prefix.as_bytes(), shown.secret().expose()].concat(),
        );
        let value = HeaderValue::from_bytes(&text).ok().filter(|own| own.to_str().is_ok());
        let Some(mut value) = value else {
            let ring = self.credentials.ring().name().to_owned();
            return Err(ApiError::NotAHeader { ring, kid: shown.kid() });
        };
        // Kept out of the tables of HTTP/2, and out of `Debug`.
        value.set_sensitive(true);
        headers.insert(self.form.header.clone(), value);
        if let Some((name, value)) = &self.form.with {
            headers.entry(name).or_insert_with(|| value.clone());
        }
        Ok(())
    }

    fn check_host<E>(&self, host: Option<&str>) -> Result<(), ApiError<E>> {
        let Some(expected) = &self.form.host else { return Ok(()) };
        let found = host.unwrap_or_default().to_ascii_lowercase();
        match found == *expected {
            true => Ok(()),
            false => Err(ApiError::OtherHost { expected: expected.clone(), found }),
        }
    }

    /// The key that a request is to be sent again with, after this answer to an attempt with
    /// `shown`; where the answer says when, it was waited for. None after the last attempt.
    async fn again<E>(
        &self,
        shown: &Shown,
        status: StatusCode,
        headers: &HeaderMap,
        is_last: bool,
    ) -> Result<Option<Shown>, ApiError<E>> {
        match status {
            StatusCode::UNAUTHORIZED => match self.credentials.refused(shown) {
                Some(next) if !is_last => Ok(Some(next)),
                _ if self.credentials.all_rest() => {
                    let ring = self.credentials.ring().name().to_owned();
                    Err(ApiError::Refused { ring, kids: self.credentials.offered() })
                }
                // The next goes to whoever comes next.
                _ => Ok(None),
            },
            StatusCode::TOO_MANY_REQUESTS if !is_last => {
                let after = headers.get(RETRY_AFTER).and_then(|own| own.to_str().ok());
                let after = after.and_then(|text| retry_after(text, SystemTime::now()));
                let Some(after) = after.filter(|after| *after <= self.form.max_retry_after) else {
                    return Ok(None);
                };
                tokio::time::sleep(after).await;
                Ok(Some(shown.clone()))
            }
            // Whatever else it is, the key was not refused; whether it was even looked at is
            // known of what went well alone.
            status => {
                if status.is_success() {
                    self.credentials.accepted(shown);
                }
                Ok(None)
            }
        }
    }
}

/// `Retry-After` as RFC 9110 section 10.2.3 has it: seconds, or a date.
fn retry_after(text: &str, now: SystemTime) -> Option<Duration> {
    match text.trim().parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => {
            let date = httpdate::parse_http_date(text.trim()).ok()?;
            Some(date.duration_since(now).unwrap_or_default())
        }
    }
}

/// The host of a request: of its URI, or of its header.
fn host_of(uri: &Uri, headers: &HeaderMap) -> Option<String> {
    let named = || {
        let host = headers.get(http::header::HOST)?.to_str().ok()?;
        host.parse::<http::uri::Authority>().ok().map(|own| own.host().to_owned())
    };
    uri.host().map(str::to_owned).or_else(named)
}
