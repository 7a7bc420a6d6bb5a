//! Verifying and signing again: what came under a fallback, or in a legacy form, is signed by the
//! primary.

use std::time::Duration;

use super::Cookie;
use super::attributes::{Again, complete};
use super::header::{CookieValues, strip_text_quotes};
use super::key::CookieKey;
use super::signer::{CookieSigner, sign_at};
use super::verify::{VerifyResult, verify_found, verify_text};
use crate::error::{Reason, VerifyError};
use crate::ring::snapshot::View;
use crate::verified::Verified;

impl CookieSigner {
    /// Signs what was verified once more if it
    /// [`needs_resign`](Verified::needs_resign), with the time of its first issue:
    /// one load of the ring for both. [`set_cookie`](Self::set_cookie) makes the whole cookie.
    ///
    /// # Errors
    /// As for [`verify`](Self::verify).
    pub fn verify_and_resign(
        &self,
        name: &str,
        value: &str,
    ) -> Result<(Verified<String>, Option<String>), VerifyError> {
        self.ring.read(|view| {
            let result = verify_text(self, view, name, strip_text_quotes(value));
            let (verified, again) = resign(self, view, name, result)?;
            Ok((verified, again.map(|again| again.signed)))
        })
    }

    /// As [`verify_and_resign`](Self::verify_and_resign), for the cookie `name` of a request's
    /// `Cookie` headers.
    ///
    /// A browser sends several of one name if they were set for several paths or domains. The
    /// first that verifies counts, and a native one before a legacy one. Only that one is signed
    /// again, with the time of the last issue of this value among them. It is not while another of
    /// its form verifies as another value, or is not valid yet: the answer would overwrite it.
    ///
    /// With `http`, that is `signer.verify_header("sid", headers.get_all(COOKIE))`.
    ///
    /// # Errors
    /// [`Reason::Missing`] if there is none, [`Reason::Repeated`] if there are more than eight,
    /// else as for [`verify`](Self::verify). Of several that do not verify, the reason is the
    /// same in each order.
    ///
    /// # Security
    /// A cookie of an attacker hides no session by being invalid. A *valid* one does: an attacker
    /// on another host of the same site can log in as itself and set its own session for the
    /// whole domain, in front of the user's. A name with `__Host-` prevents that, since browsers
    /// refuse it with a `Domain`. Nine such cookies of one name lock the user out until they are
    /// removed.
    pub fn verify_header<H: AsRef<[u8]>>(
        &self,
        name: &str,
        headers: impl IntoIterator<Item = H>,
    ) -> Result<(Verified<String>, Option<String>), VerifyError> {
        let mut headers = headers.into_iter();
        let first = headers.next();
        // Of one header, as most requests have, nothing is allocated.
        let rest: Vec<H> = headers.collect();
        let found = CookieValues::from_headers(name, first.iter().chain(&rest).map(AsRef::as_ref));
        self.ring.read(|view| {
            let found = found.and_then(|found| found.ok_or(Reason::Missing));
            let result = found.and_then(|found| verify_found(self, view, name, &found));
            let (verified, again) = resign(self, view, name, result)?;
            Ok((verified, again.map(|again| again.signed)))
        })
    }

    /// Verifies the cookies of one name, with the whole cookie if the one that counts is signed
    /// again.
    pub(crate) fn verify_and_set(
        &self,
        name: &str,
        found: &CookieValues<'_>,
    ) -> Result<(Verified<String>, Option<Cookie<'static>>), VerifyError> {
        self.ring.read(|view| {
            let result = verify_found(self, view, name, found);
            let (verified, again) = resign(self, view, name, result)?;
            Ok((verified, again.map(|again| complete(self, view, name, again))))
        })
    }
}

/// Accepts what was verified, and signs it again if it needs to be.
fn resign(
    signer: &CookieSigner,
    view: &View<'_, CookieKey>,
    name: &str,
    result: VerifyResult<'_>,
) -> Result<(Verified<String>, Option<Again>), VerifyError> {
    let (key, signed) = result.map_err(|reason| view.reject(reason))?;
    // The time that its text holds.
    let issued = Duration::from_secs(signed.issued.as_secs());
    let is_contested = signed.is_contested;
    let verified = signed.accept(view, key);
    if !verified.needs_resign() || is_contested {
        return Ok((verified, None));
    }
    // A value that cannot be signed again (its kid is longer now) stays as it is.
    let again = sign_at(signer, view, name, &verified, issued).ok();
    Ok((verified, again.map(|signed| Again { signed, issued })))
}
