//! API keys as middleware of `reqwest`.

use std::convert::Infallible;

use http::Extensions;
use http::header::AUTHORIZATION;
use reqwest::redirect::{Attempt, Policy};
use reqwest::{Request, Response, Url};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Error, Middleware, Next, Result};

use super::destination::Destination;
use super::error::ApiError;
use super::keys::ApiKeys;

/// The limit of `reqwest` itself.
const MAX_REDIRECTS: usize = 10;

impl ApiKeys {
    /// A client that shows these keys, and follows a redirect only on the same scheme, host and
    /// port: any other redirect is the answer. It uses no proxy if loopback is
    /// [allowed](Self::allow_loopback).
    ///
    /// It needs TLS, and so one of the features of `reqwest` that bring it, such as
    /// `reqwest/rustls`.
    ///
    /// # Errors
    /// A `reqwest::Error` if TLS cannot be set up.
    pub fn client(&self) -> reqwest::Result<ClientWithMiddleware> {
        self.client_from(reqwest::Client::builder())
    }

    /// Makes a [`client`](Self::client) with the timeouts and other settings of `builder`. Its
    /// redirect policy does not count.
    ///
    /// ```
    /// # use dualkey::{KeyRing, Secret};
    /// # use dualkey::credential::{Credential, api::ApiKeys};
    /// # let ring = KeyRing::<Credential>::builder()
    /// #     .primary(Secret::from("sk-Nf0Vg6Jc3Ds8Pw1Ra4Tb"))
    /// #     .build()?;
    /// use std::time::Duration;
    ///
    /// let builder = reqwest::Client::builder().timeout(Duration::from_secs(60));
    /// let client = ApiKeys::anthropic(ring).client_from(builder);
    /// assert!(client.is_ok());
    /// # Ok::<(), dualkey::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`client`](Self::client).
    pub fn client_from(
        &self,
        builder: reqwest::ClientBuilder,
    ) -> reqwest::Result<ClientWithMiddleware> {
        let rules = &self.form.rules;
        let mut builder = builder.redirect(Policy::custom(|attempt| {
            let is_same =
                attempt.previous().last().is_some_and(|from| is_same(from, attempt.url()));
            if !is_same {
                attempt.stop()
            } else if attempt.previous().len() > MAX_REDIRECTS {
                too_many(attempt)
            } else {
                attempt.follow()
            }
        }));
        if rules.allows_loopback {
            // A proxy of the environment would read what is sent over `http`.
            builder = builder.no_proxy();
        } else if !rules.allows_plain_http {
            builder = builder.https_only(true);
        }
        Ok(ClientBuilder::new(builder.build()?).with(self.clone()).build())
    }

    fn check(&self, request: &Request) -> std::result::Result<(), ApiError<Infallible>> {
        // `reqwest` has moved the user name of a URL into this header.
        let has_basic = request.headers().get_all(AUTHORIZATION).iter().any(|value| {
            let scheme = value.as_bytes().get(..6);
            scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"basic "))
        });
        let mut destination = Destination::from_url(request.url())?;
        destination.has_user_info |= has_basic;
        self.form.rules.check(&destination, request.headers())
    }
}

fn too_many(attempt: Attempt<'_>) -> reqwest::redirect::Action {
    attempt.error("cannot follow the redirect: it is the eleventh; correct the URL")
}

/// Returns whether a redirect stays where the key was shown.
fn is_same(from: &Url, to: &Url) -> bool {
    let has_user_info = !to.username().is_empty() || to.password().is_some();
    (from.scheme(), from.host_str(), from.port_or_known_default())
        == (to.scheme(), to.host_str(), to.port_or_known_default())
        && !has_user_info
}

/// Its errors are [`ApiError`]s, to be found with `downcast_ref` in
/// `reqwest_middleware::Error::Middleware`.
#[async_trait::async_trait]
impl Middleware for ApiKeys {
    async fn handle(
        &self,
        mut request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> Result<Response> {
        self.check(&request).map_err(middleware_error)?;
        let again = request.try_clone();
        let attempt = self.credentials.choose().map_err(|error| middleware_error(error.into()))?;
        self.insert_key(&attempt, request.headers_mut()).map_err(middleware_error)?;
        let answer = next.clone().run(request, extensions).await?;
        let (status, is_last) = (answer.status(), again.is_none());
        let other = self
            .next_key(&attempt, status, answer.headers(), is_last)
            .await
            .map_err(middleware_error)?;
        let (Some(other), Some(mut again)) = (other, again) else { return Ok(answer) };
        // Its connection may be needed for the second one.
        drop(answer);
        self.insert_key(&other, again.headers_mut()).map_err(middleware_error)?;
        let answer = next.run(again, extensions).await?;
        self.next_key(&other, answer.status(), answer.headers(), true)
            .await
            .map_err(middleware_error)?;
        Ok(answer)
    }
}

/// Wraps an error. It is never one of the service inside: those are errors of `reqwest`.
fn middleware_error(error: ApiError<Infallible>) -> Error {
    Error::middleware(error)
}
