//! API keys that go out with requests.
//!
//! ```
//! # #[cfg(feature = "reqwest")] {
//! use dualkey::{KeyRing, Secret};
//! use dualkey::credential::Credential;
//! use dualkey::credential::api::ApiKeys;
//! use reqwest_middleware::ClientWithMiddleware;
//!
//! # let (key, backup) = ("sk-ant-T4nZ8yB1cF6gJ0sD3pA5", "sk-ant-Nf0Vg6Jc3Ds8Pw1Ra4Tb");
//! // In a service: KeyRing::<Credential>::from_env("ANTHROPIC_API_KEY")?
//! let ring = KeyRing::<Credential>::builder()
//!     .primary(Secret::from(key))
//!     .fallback(Secret::from(backup))
//!     .build()?;
//! let client: ClientWithMiddleware = ApiKeys::anthropic(ring).client().expect("TLS is set up");
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
//! A key is shown over `https` and at port 443 only, unless [`only_port`](ApiKeys::only_port),
//! [`allow_loopback`](ApiKeys::allow_loopback) or [`dangerous`](ApiKeys::dangerous) set otherwise,
//! and never to a URL with a user name. Bind it to the host of the provider with
//! [`only_host`](ApiKeys::only_host), as the presets do: without that, it is shown to whichever
//! host a request names.
//!
//! These checks see the request that the caller made, and no redirect. The client that
//! [`ApiKeys::client`] makes follows a redirect only on the same scheme, host and port. **Every
//! other client is unprotected**: on a redirect to another host, `reqwest` drops `Authorization`
//! and keeps headers that it does not know, such as `x-api-key`.

mod destination;
mod layer;
#[cfg(feature = "reqwest")]
mod middleware;
mod replay;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::StatusCode;
use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};

use super::{Credential, Credentials, Shown};
use crate::error::Error;
use crate::kid::Kid;
use crate::ring::KeyRing;

use destination::Rules;

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
    rules: Rules,
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
    /// The host of the URL, or of the `Host` header, is another one: no key was shown.
    #[error(
        "cannot show the key: it is for the host `{expected}`, and the request names `{found}`; \
         correct the URL, or use other keys for that host"
    )]
    OtherHost {
        /// The host that the keys are for, or the one of the URL.
        expected: String,
        /// The host that the request names.
        found: String,
    },
    /// The scheme of the URL is not `https`: no key was shown.
    #[error(
        "cannot show the key: the scheme of the URL is `{found}`; use `https`, or call \
         `allow_loopback` for a server on this machine"
    )]
    Scheme {
        /// The scheme that the request names.
        found: String,
    },
    /// The port of the URL is another one: no key was shown.
    #[error(
        "cannot show the key: it is for the port {expected}, and the request names `{found}`; \
         correct the URL, or call `only_port`"
    )]
    Port {
        /// The port that the keys are for.
        expected: u16,
        /// The port that the request names.
        found: String,
    },
    /// The URL has a user name or a password: no key was shown.
    #[error(
        "cannot show the key: the URL of the request has a user name or a password, or the \
         request has a header of them; remove them"
    )]
    UserInfo,
    /// The URI of the request has no scheme or no host: no key was shown.
    #[error(
        "cannot show the key: the URI of the request has no scheme or no host, so its destination \
         is not known; use an absolute URI, such as `https://api.example.com/v1`"
    )]
    NotAbsolute,
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

    /// For an API that wants `Authorization: Bearer` (RFC 6750), at `host` alone, as
    /// [`only_host`](Self::only_host) has it.
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
        let (rules, max_retry_after) = (Rules::default(), MAX_RETRY_AFTER);
        let form = Form { header, prefix, with, rules, max_retry_after };
        Self { credentials: Credentials::new(ring), form: Arc::new(form) }
    }

    /// Shows the keys to this host alone: a name as it is in the URI, without a port. IPv6
    /// addresses are in brackets, international names in Punycode.
    #[must_use]
    pub fn only_host(mut self, host: &str) -> Self {
        self.rules().host = Some(host.to_ascii_lowercase());
        self
    }

    /// Shows the keys at this port alone: 443 unless set.
    ///
    /// ```
    /// # use dualkey::{KeyRing, Secret};
    /// # use dualkey::credential::Credential;
    /// use dualkey::credential::api::{ApiKeyLayer, ApiKeys};
    /// # use http::{Request, Response};
    /// # use tower::{Layer, ServiceExt, service_fn};
    /// # let ring = KeyRing::<Credential>::builder()
    /// #     .primary(Secret::from("sk-Nf0Vg6Jc3Ds8Pw1Ra4Tb"))
    /// #     .build()?;
    /// # let inner = service_fn(|_: Request<()>| async { Ok::<_, std::io::Error>(Response::new(())) });
    /// # pollster::block_on(async {
    /// let keys = ApiKeys::bearer(ring, "api.example.com").only_port(8443);
    /// let client = ApiKeyLayer::new(keys).layer(inner);
    ///
    /// let request = Request::get("https://api.example.com:8443/v1").body(()).unwrap();
    /// assert!(client.clone().oneshot(request).await.is_ok());
    /// let request = Request::get("https://api.example.com/v1").body(()).unwrap();
    /// assert!(client.oneshot(request).await.is_err());
    /// # });
    /// # Ok::<(), dualkey::Error>(())
    /// ```
    #[must_use]
    pub fn only_port(mut self, port: u16) -> Self {
        self.rules().port = Some(port);
        self
    }

    /// Shows the keys over `http` too, and at every port, if the host is of this machine by its
    /// name: `localhost`, `127.0.0.0/8` or `[::1]`. For tests and local proxies.
    ///
    /// A host that is [bound](Self::only_host) stays bound: name it `localhost` or `127.0.0.1`
    /// as well. No name is resolved: `localhost` is this machine unless it was configured
    /// otherwise.
    ///
    /// ```
    /// # use dualkey::{KeyRing, Secret};
    /// # use dualkey::credential::Credential;
    /// use dualkey::credential::api::{ApiKeyLayer, ApiKeys};
    /// # use http::{Request, Response};
    /// # use tower::{Layer, ServiceExt, service_fn};
    /// # let ring = KeyRing::<Credential>::builder()
    /// #     .primary(Secret::from("sk-Nf0Vg6Jc3Ds8Pw1Ra4Tb"))
    /// #     .build()?;
    /// # let inner = service_fn(|_: Request<()>| async { Ok::<_, std::io::Error>(Response::new(())) });
    /// # pollster::block_on(async {
    /// let keys = ApiKeys::bearer(ring, "localhost").allow_loopback();
    /// let client = ApiKeyLayer::new(keys).layer(inner);
    ///
    /// let request = Request::get("http://localhost:8080/v1").body(()).unwrap();
    /// assert!(client.oneshot(request).await.is_ok());
    /// # });
    /// # Ok::<(), dualkey::Error>(())
    /// ```
    #[must_use]
    pub fn allow_loopback(mut self) -> Self {
        self.rules().allows_loopback = true;
        self
    }

    /// Settings that show keys to more than the provider.
    pub fn dangerous(self) -> Dangerous {
        Dangerous(self)
    }

    fn rules(&mut self) -> &mut Rules {
        &mut Arc::make_mut(&mut self.form).rules
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

/// Settings of [`ApiKeys`] that show keys to more than the provider.
#[must_use = "it does nothing without a setting"]
#[derive(Debug)]
pub struct Dangerous(ApiKeys);

impl Dangerous {
    /// Shows the keys over `http` too, at port 80 unless [set](ApiKeys::only_port).
    ///
    /// # Security
    /// **Every machine on the way reads the keys.** Only for a network in which something else
    /// encrypts, such as a service mesh.
    pub fn allow_plain_http(self) -> ApiKeys {
        let mut keys = self.0;
        keys.rules().allows_plain_http = true;
        keys
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
