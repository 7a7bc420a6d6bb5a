//! Signed cookies over a ring: a value that the client can read and not change.
//!
//! ```text
//! value "." kid "." issued "." mac
//!
//! value   percent-encoded, as the `cookie` crate does it
//! kid     the key that signed it
//! issued  when the value was first signed, in decimal seconds since the epoch
//! mac     43 characters of unpadded base64url:
//!         HMAC-SHA-256(key, len name len value len kid len issued)
//! key     HMAC-SHA-256("dualkey cookie v1", secret): HKDF-Extract (RFC 5869 §2.2), with the
//!         label as the salt
//! ```
//!
//! Each part is in the MAC after its length in bytes, as a big-endian `u64`; the value
//! percent-encoded, so that one value has one MAC. Frameworks percent-decode the cookies that
//! they read and percent-encode those that they write: a value verifies in each of these
//! spellings.
//!
//! It promises *integrity, authenticity and age*: a value cannot be changed, moved to
//! a cookie of another name, or kept past its age; a value that is signed again
//! keeps the time of its first issue. It does not promise *confidentiality* (the
//! client reads it) or *freshness* (a client may send an older value of the same
//! cookie until that is too old).
//!
//! Cookies that other libraries signed under the same secret are [read for a
//! while](CookieSigner::accept_legacy), and come back in this form.

pub(crate) mod attributes;
mod format;
pub(crate) mod header;
mod jar;
mod legacy;
mod verify;

#[cfg(test)]
mod tests;

use std::time::{Duration, SystemTime};

pub use cookie::{Cookie, CookieJar, SameSite};
use zeroize::Zeroize;

use crate::error::{Error, Reason, VerifyError};
use crate::kid::Kid;
use crate::mac::HmacSha256;
use crate::purpose::Purpose;
use crate::ring::KeyMaterial;
use crate::ring::KeyRing;
use crate::ring::key::sealed;
use crate::ring::snapshot::View;
use crate::verified::Verified;

use attributes::Again;
use header::{Found, unquoted_text};
pub use jar::Jar;
pub use legacy::LegacyCookie;
use legacy::LegacyKeys;
use verify::Verdict;

/// The default bound of a value, and what browsers keep of a cookie (RFC 6265 §6.1).
const MAX_COOKIE_BYTES: usize = 4096;

/// The material of a key that signs cookies. Secrets have at least 64 bytes.
pub struct CookieKey {
    native: HmacSha256,
    legacy: LegacyKeys,
}

/// Signs and verifies cookies over a ring. A clone is cheap, and shares the ring.
///
/// ```
/// use dualkey::{KeyRing, Secret};
/// use dualkey::cookie::{CookieKey, CookieSigner};
///
/// # let secret = "kH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eUkH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eU";
/// let ring = KeyRing::<CookieKey>::builder().primary(Secret::from(secret)).build()?;
/// let signer = CookieSigner::new(ring);
///
/// let value = signer.sign("session", "user-42")?;
/// assert_eq!(*signer.verify("session", &value).expect("just signed"), "user-42");
/// assert!(signer.verify("another", &value).is_err());
/// # Ok::<(), dualkey::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct CookieSigner {
    ring: KeyRing<CookieKey>,
    max_age: Option<Duration>,
    max_cookie_bytes: usize,
    attributes: Cookie<'static>,
    is_persistent: bool,
    legacy: Vec<(LegacyCookie, SystemTime)>,
}

impl CookieSigner {
    /// Cookies live as long as the ring's longest life, and have at most 4 KiB.
    #[must_use]
    pub fn new(ring: KeyRing<CookieKey>) -> Self {
        let attributes = Cookie::build("")
            .path("/")
            .http_only(true)
            .secure(true)
            .same_site(SameSite::Lax)
            .build();
        Self {
            max_age: None,
            ring,
            max_cookie_bytes: MAX_COOKIE_BYTES,
            attributes,
            is_persistent: false,
            legacy: Vec::new(),
        }
    }

    /// Refuses cookies that were issued more than `age` ago, however often they were
    /// signed again. The ring's longest life unless set.
    ///
    /// With a longer age than the ring's longest life, a rotation ends cookies early. The age is
    /// checked here; [`persistent`](Self::persistent) sets it as the `Max-Age` too.
    #[must_use]
    pub fn max_age(mut self, age: Duration) -> Self {
        self.max_age = Some(age);
        self
    }

    /// Refuses, and refuses to make, names and values of more than `bytes` together.
    /// 4 KiB unless set.
    #[must_use]
    pub fn max_cookie_bytes(mut self, bytes: usize) -> Self {
        self.max_cookie_bytes = bytes;
        self
    }

    /// Also accepts cookies of a legacy `form`, until `until`. They are never written: such a
    /// value [`needs_resign`](Verified::needs_resign), and comes back native.
    ///
    /// It holds no time of issue, and counts as issued at the last moment at which it can
    /// have been: now, or the [age](Self::max_age) before `until`, whichever is earlier. So
    /// take for `until` the moment at which the last server that writes this form stops,
    /// plus the age that cookies live: nobody is logged out early, and nobody prolongs an
    /// old cookie by showing it again. With an earlier date, what came in this form ends
    /// there, whether it has come back native or not.
    ///
    /// ```
    /// use dualkey::{KeyRing, Secret};
    /// use dualkey::cookie::{CookieKey, CookieSigner, LegacyCookie};
    /// # use dualkey::ManualClock;
    /// use std::time::{Duration, SystemTime, UNIX_EPOCH};
    ///
    /// # let clock = ManualClock::at_unix(1_700_000_000);
    /// # let until = UNIX_EPOCH + Duration::from_secs(1_701_000_000);
    /// # /*
    /// let until = SystemTime::now() + Duration::from_secs(14 * 86400);
    /// # */
    /// // SESSION_SECRET as express-session had it.
    /// let secret = Secret::from("old-secret-2025-Nf0Vg6Jc3Ds8Pw1Ra4Tb7Yx2Zq9Ml5Ki");
    /// let ring = KeyRing::<CookieKey>::builder().min_secret_bytes(48).primary(secret);
    /// # let ring = ring.clock(clock);
    /// let signer = CookieSigner::new(ring.build()?).accept_legacy(LegacyCookie::Express, until);
    ///
    /// let header = "theme=dark; sid=s%3Ahello.jbqmU5IuVEsCRNx6k0jF3uhNAMmpoEHTTE4uZHJATd8";
    /// let (session, again) = signer.verify_header("sid", [header]).expect("set by express");
    /// assert_eq!(*session, "hello");
    /// let native = again.expect("to be set in the response");
    /// assert_eq!(*signer.verify("sid", &native).expect("native from now on"), "hello");
    /// # Ok::<(), dualkey::Error>(())
    /// ```
    ///
    /// # Security
    /// A legacy signature covers the value alone: until the date, a value that the other
    /// library signed for one cookie is accepted for every other. All keys are checked, in
    /// constant time.
    #[must_use]
    pub fn accept_legacy(mut self, form: LegacyCookie, until: SystemTime) -> Self {
        self.legacy.retain(|(known, _)| *known != form);
        self.legacy.push((form, until));
        self
    }

    /// The ring that it signs and verifies with.
    #[must_use]
    pub fn ring(&self) -> &KeyRing<CookieKey> {
        &self.ring
    }

    /// Signs `value` for the cookie `name` with the primary, issued now. The result is
    /// the cookie's value: ASCII that stands in a header as it is.
    ///
    /// # Errors
    /// [`Error::Sign`] if it would be too large.
    pub fn sign(&self, name: &str, value: &str) -> Result<String, Error> {
        self.ring.read(|view| self.signed(view, name, value, view.since_epoch()))
    }

    /// Verifies the value of the cookie `name`, as it is in the request or as a framework
    /// percent-decoded it, and returns the value that was signed.
    ///
    /// # Errors
    /// A [`VerifyError`]; only if [`is_authentic`](VerifyError::is_authentic) may the
    /// peer be told why.
    ///
    /// # Security
    /// A cookie names its key, and is checked with that key alone, in constant time:
    /// the duration does not tell where a tag differs. The length of the value shows.
    pub fn verify(&self, name: &str, value: &str) -> Result<Verified<String>, VerifyError> {
        self.ring.read(|view| match self.verdict(view, name, unquoted_text(value)) {
            Ok((key, signed)) => Ok(signed.accepted(view, key)),
            Err(reason) => Err(view.reject(reason)),
        })
    }

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
            let verdict = self.verdict(view, name, unquoted_text(value));
            let (verified, again) = self.resigned(view, name, verdict)?;
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
        let found = Found::of(name, first.iter().chain(&rest).map(AsRef::as_ref));
        self.ring.read(|view| {
            let found = found.and_then(|found| found.ok_or(Reason::Missing));
            let verdict = found.and_then(|found| self.verdict_of(view, name, &found));
            let (verified, again) = self.resigned(view, name, verdict)?;
            Ok((verified, again.map(|again| again.signed)))
        })
    }

    /// Verifies the cookies of one name, with the whole cookie if the one that counts is signed
    /// again.
    pub(crate) fn verify_and_set(
        &self,
        name: &str,
        found: &Found<'_>,
    ) -> Result<(Verified<String>, Option<Cookie<'static>>), VerifyError> {
        self.ring.read(|view| {
            let verdict = self.verdict_of(view, name, found);
            let (verified, again) = self.resigned(view, name, verdict)?;
            Ok((verified, again.map(|again| self.complete(view, name, again))))
        })
    }

    /// A jar over `jar` that signs what goes in and verifies what comes out.
    pub fn jar<'j>(&'j self, jar: &'j mut CookieJar) -> Jar<'j> {
        Jar::new(self, jar)
    }

    /// That of the ring, unless one was set.
    fn max_age_in(&self, view: &View<'_, CookieKey>) -> Duration {
        self.max_age.unwrap_or(view.policy().longest_life)
    }

    fn signed(
        &self,
        view: &View<'_, CookieKey>,
        name: &str,
        value: &str,
        issued: Duration,
    ) -> Result<String, Error> {
        let key = view.primary()?;
        let signed = format::sign(&key.material().native, name, value, key.kid(), issued.as_secs());
        if name.len() + signed.len() > self.max_cookie_bytes {
            let problem = "the cookie is too large: browsers drop it, so keep less in it";
            return Err(Error::Sign { problem, source: None });
        }
        key.counters().signed();
        Ok(signed)
    }

    fn resigned(
        &self,
        view: &View<'_, CookieKey>,
        name: &str,
        verdict: Verdict<'_>,
    ) -> Result<(Verified<String>, Option<Again>), VerifyError> {
        let (key, signed) = verdict.map_err(|reason| view.reject(reason))?;
        // The time that its text holds.
        let issued = Duration::from_secs(signed.issued.as_secs());
        let is_contested = signed.is_contested;
        let verified = signed.accepted(view, key);
        if !verified.needs_resign() || is_contested {
            return Ok((verified, None));
        }
        // A value that cannot be signed again (its kid is longer now) stays as it is.
        let again = self.signed(view, name, &verified, issued).ok();
        Ok((verified, again.map(|signed| Again { signed, issued })))
    }
}

impl sealed::Sealed for CookieKey {}

impl KeyMaterial for CookieKey {
    const PURPOSE: Purpose = Purpose::Cookie;
    type Options = ();

    fn prepare(secret: &[u8], _: Kid, (): &()) -> Result<Self, String> {
        // A key of its own: no signature that another library makes under the same secret
        // can be one of these. Deliberately not HMAC(secret, label): a server that signs what
        // users choose would sign the label, and set the key as a cookie.
        let mut key = HmacSha256::new(b"dualkey cookie v1").mac(secret);
        let native = HmacSha256::new(&key);
        key.zeroize();
        Ok(Self { native, legacy: LegacyKeys::new(secret) })
    }

    fn self_test(&self) -> bool {
        self.native.self_test()
    }
}

impl std::fmt::Debug for CookieKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CookieKey([REDACTED])")
    }
}
