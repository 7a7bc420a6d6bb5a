//! One signed cookie of a service: who signs it, and its name.

use std::borrow::Cow;

use http::{HeaderMap, HeaderValue};

use crate::cookie::attributes::check;
use crate::cookie::header::CookieValues;
use crate::cookie::{Cookie, CookieSigner};
use crate::error::{Error, Reason, VerifyError};
use crate::http::cookies;
use crate::verified::Verified;

/// A session, and the `Set-Cookie` by which it is signed again.
pub(in crate::http) type Resigned = (Verified<Cookie<'static>>, Option<HeaderValue>);

/// A cookie that a service signs: what a login sets, a request is checked for, and a logout
/// removes. Its attributes are those of the [signer](CookieSigner::attributes), which makes it
/// [persistent](CookieSigner::persistent) too.
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
    /// [`Error::Sign`] if it would be too large, and as for [`CookieSigner::set_cookie`].
    pub fn issue(&self, value: &str) -> Result<HeaderValue, Error> {
        let signed = self.signer.sign(&self.name, value)?;
        header(&self.signer.set_cookie(&self.name, &signed)?)
    }

    /// Has the browser forget it: the `Set-Cookie` of a logout. A browser removes the cookie of
    /// this `Path` and this `Domain` alone; for one that was set with others, configure them on
    /// another signer.
    ///
    /// # Errors
    /// [`Error::Sign`] as for [`CookieSigner::set_cookie`].
    pub fn removal(&self) -> Result<HeaderValue, Error> {
        header(&self.signer.removal(&self.name)?)
    }

    /// Verifies the cookie of a request, of which `headers` are the headers. Of several of this
    /// name the first that verifies counts, and a native one before a legacy one.
    ///
    /// # Errors
    /// [`Reason::Missing`] if there is none, [`Reason::Repeated`] if there are more than eight,
    /// else as for [`CookieSigner::verify`].
    ///
    /// # Security
    /// As for [`CookieSigner::verify_header`]: only a name with `__Host-` keeps the cookies of
    /// other hosts of the same site away.
    pub fn verify(&self, headers: &HeaderMap) -> Result<Verified<Cookie<'static>>, VerifyError> {
        let found = self.find(headers)?.ok_or(Reason::Missing);
        let found = found.map_err(|reason| self.signer.ring().reject(reason))?;
        let session = self.signer.verify_found(&self.name, &found)?;
        Ok(session.map(|value| self.cookie(value)))
    }

    fn find<'h>(&self, headers: &'h HeaderMap) -> Result<Option<CookieValues<'h>>, VerifyError> {
        cookies::find(headers, &self.name).map_err(|reason| self.signer.ring().reject(reason))
    }

    /// Verifies the cookie of a request, with the `Set-Cookie` by which it is signed again if it
    /// needs to be; `None` if the request has no cookie of this name.
    pub(in crate::http) fn verify_and_resign(
        &self,
        headers: &HeaderMap,
    ) -> Result<Option<Resigned>, VerifyError> {
        let Some(found) = self.find(headers)? else { return Ok(None) };
        let (session, again) = self.signer.verify_and_set(&self.name, &found)?;
        // A cookie that cannot be set stays as it is.
        let again = again.and_then(|again| check(again).ok());
        let again = again.and_then(|again| header(&again).ok());
        Ok(Some((session.map(|value| self.cookie(value)), again)))
    }

    fn cookie(&self, value: String) -> Cookie<'static> {
        Cookie::new(self.name.clone(), value)
    }
}

fn header(cookie: &Cookie<'_>) -> Result<HeaderValue, Error> {
    let problem = "an attribute of the cookie cannot be in a header; choose another";
    HeaderValue::try_from(cookie.to_string()).map_err(|_| Error::Sign { problem, source: None })
}
