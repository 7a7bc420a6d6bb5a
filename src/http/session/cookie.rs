//! One signed cookie of a service: who signs it, and its name.

use std::borrow::Cow;

use http::{HeaderMap, HeaderValue};

use super::spelling;
use crate::cookie::{Cookie, CookieSigner};
use crate::error::{Error, Reason, VerifyError};
use crate::http::cookies;
use crate::verified::Verified;

/// A cookie that a service signs: what a login sets, a request is checked for, and a logout
/// removes. Its attributes are those of the [signer](CookieSigner::attributes).
///
/// ```
/// use dualkey::{KeyRing, Secret};
/// use dualkey::cookie::{CookieKey, CookieSigner};
/// use dualkey::http::SessionCookie;
/// use http::{HeaderMap, HeaderValue, header::COOKIE};
///
/// # let secret = "kH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eUkH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eU";
/// # let ring = KeyRing::<CookieKey>::builder().primary(Secret::from(secret)).build()?;
/// let session = SessionCookie::new(CookieSigner::new(ring), "sid");
///
/// // The login's answer:
/// let set_cookie = session.issue("user-42")?;
/// let text = set_cookie.to_str().expect("it is ASCII");
/// assert!(text.starts_with("sid=user-42.") && text.contains("; HttpOnly; "));
///
/// // A later request:
/// let mut headers = HeaderMap::new();
/// let pair = text.split(';').next().unwrap_or_default();
/// headers.insert(COOKIE, pair.parse::<HeaderValue>().expect("as a browser sends it"));
/// assert_eq!(session.verify(&headers).expect("just signed").value(), "user-42");
/// # Ok::<(), dualkey::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct SessionCookie {
    signer: CookieSigner,
    name: Cow<'static, str>,
}

impl SessionCookie {
    /// The cookie `name`, signed by `signer`.
    ///
    /// The name is a token (RFC 9110 §5.6.2) without `%` and `'` that does not begin with `$`, since
    /// parsers read every other one differently: no cookie of such a name is issued, and
    /// [`sign_for_inner`](crate::http::SessionLayer::sign_for_inner) admits none.
    #[must_use]
    pub fn new(signer: CookieSigner, name: impl Into<Cow<'static, str>>) -> Self {
        Self { signer, name: name.into() }
    }

    /// The name of the cookie.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Who signs it.
    #[must_use]
    pub fn signer(&self) -> &CookieSigner {
        &self.signer
    }

    /// Signs `value`, issued now: the `Set-Cookie` of a login.
    ///
    /// # Errors
    /// [`Error::Sign`] if it would be too large, or if the name or an attribute cannot stand in
    /// a header.
    pub fn issue(&self, value: &str) -> Result<HeaderValue, Error> {
        self.set(self.signer.sign(&self.name, value)?)
    }

    /// Has the browser forget it: the `Set-Cookie` of a logout.
    ///
    /// # Errors
    /// [`Error::Sign`] if the name or an attribute cannot stand in a header.
    pub fn removal(&self) -> Result<HeaderValue, Error> {
        let mut cookie = self.signer.template();
        cookie.make_removal();
        self.header(cookie, String::new())
    }

    /// Verifies the cookie of a request, of which `headers` are the headers: of a few of this
    /// name the first counts.
    ///
    /// # Errors
    /// [`Reason::Missing`] if there is none, [`Reason::Repeated`] if there are more than eight,
    /// else as for [`CookieSigner::verify`].
    pub fn verify(&self, headers: &HeaderMap) -> Result<Verified<Cookie<'static>>, VerifyError> {
        let found = self.found(headers)?.ok_or(Reason::Missing);
        let value = found.map_err(|reason| self.signer.ring().reject(reason))?;
        Ok(self.signer.verify(&self.name, value)?.map(|value| self.cookie(value)))
    }

    /// What stands in the request.
    pub(in crate::http) fn found<'h>(
        &self,
        headers: &'h HeaderMap,
    ) -> Result<Option<&'h str>, VerifyError> {
        cookies::find(headers, &self.name).map_err(|reason| self.signer.ring().reject(reason))
    }

    /// Verifies `value`, with the `Set-Cookie` by which it is signed again if it needs to be.
    pub(in crate::http) fn verify_and_resign(
        &self,
        value: &str,
    ) -> Result<(Verified<Cookie<'static>>, Option<HeaderValue>), VerifyError> {
        let (session, again) = self.signer.verify_and_resign(&self.name, value)?;
        // What cannot be set goes on as it is.
        let again = again.and_then(|again| self.set(again).ok());
        Ok((session.map(|value| self.cookie(value)), again))
    }

    fn cookie(&self, value: String) -> Cookie<'static> {
        Cookie::new(self.name.clone(), value)
    }

    fn set(&self, signed: String) -> Result<HeaderValue, Error> {
        self.header(self.signer.template(), signed)
    }

    fn header(&self, mut cookie: Cookie<'static>, value: String) -> Result<HeaderValue, Error> {
        cookie.set_name(self.name.clone());
        cookie.set_value(value);
        let is_plain = spelling::is_plain(self.name.as_bytes());
        let header = HeaderValue::try_from(cookie.to_string()).ok().filter(|_| is_plain);
        let problem = "the name of the cookie is no token without `%` and `'`, or one of its attributes \
                       cannot be in a header; choose another";
        header.ok_or(Error::Sign { problem, source: None })
    }
}
