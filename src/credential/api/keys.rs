//! `ApiKeys`: the ring, the header and the host of API keys.

use std::sync::Arc;
use std::time::Duration;

use http::header::{AUTHORIZATION, HeaderName, HeaderValue};

use super::destination::Rules;
use crate::credential::{Credential, Credentials};
use crate::ring::KeyRing;

/// What a 429 may ask for before it is handed through.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(30);
/// The version of the Anthropic API that is asked for, where the request does not say.
const ANTHROPIC_VERSION: HeaderValue = HeaderValue::from_static("2023-06-01");

/// How API keys go out: from which ring, in which header, to which host.
///
/// As a tower layer it is an [`ApiKeyLayer`](super::ApiKeyLayer); with the feature `reqwest` it is a
/// `reqwest_middleware::Middleware` itself. A clone shares what is known of the keys.
#[derive(Debug, Clone)]
pub struct ApiKeys {
    pub(super) credentials: Credentials,
    pub(super) form: Arc<Form>,
}

/// The form in which keys are sent.
#[derive(Debug, Clone)]
pub(super) struct Form {
    pub(super) header: HeaderName,
    pub(super) prefix: &'static str,
    /// A header that is sent too, unless the request has it.
    pub(super) with: Option<(HeaderName, HeaderValue)>,
    pub(super) rules: Rules,
    pub(super) max_retry_after: Duration,
}

impl ApiKeys {
    /// For the Anthropic API: in `x-api-key`, with `anthropic-version: 2023-06-01` where the
    /// request does not say another, to `api.anthropic.com` alone.
    #[must_use]
    pub fn anthropic(ring: KeyRing<Credential>) -> Self {
        let with = Some((HeaderName::from_static("anthropic-version"), ANTHROPIC_VERSION));
        let keys = Self::new(ring, HeaderName::from_static("x-api-key"), "", with);
        keys.only_host("api.anthropic.com")
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
        self.rules_mut().host = Some(host.to_ascii_lowercase());
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
        self.rules_mut().port = Some(port);
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
        self.rules_mut().allows_loopback = true;
        self
    }

    /// Settings that show keys to more than the provider.
    pub fn dangerous(self) -> Dangerous {
        Dangerous(self)
    }

    fn rules_mut(&mut self) -> &mut Rules {
        &mut Arc::make_mut(&mut self.form).rules
    }

    /// How long a request waits where a 429 says when to come back: 30 seconds at most unless
    /// set. A 429 that asks for more, or says nothing, is handed through; with zero, every one.
    #[must_use]
    pub fn max_retry_after(mut self, most: Duration) -> Self {
        Arc::make_mut(&mut self.form).max_retry_after = most;
        self
    }

    /// How long a key that was refused cools down: as [`Credentials::cool_down`].
    #[must_use]
    pub fn cool_down(mut self, first: Duration, longest: Duration) -> Self {
        self.credentials = self.credentials.cool_down(first, longest);
        self
    }

    /// What is known of the keys.
    #[must_use]
    pub fn credentials(&self) -> &Credentials {
        &self.credentials
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
        keys.rules_mut().allows_plain_http = true;
        keys
    }
}
