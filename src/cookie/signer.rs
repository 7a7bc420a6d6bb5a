//! `CookieSigner`: a ring, the settings of its cookies, and signing.

use std::time::{Duration, SystemTime};

use super::key::CookieKey;
use super::legacy::LegacyCookie;
use super::{Cookie, SameSite, format};
use crate::error::Error;
use crate::ring::KeyRing;
use crate::ring::snapshot::View;

/// The default bound of a value, and what browsers keep of a cookie (RFC 6265 §6.1).
const MAX_COOKIE_BYTES: usize = 4096;

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
    pub(super) ring: KeyRing<CookieKey>,
    max_age: Option<Duration>,
    pub(super) max_cookie_bytes: usize,
    pub(super) attributes: Cookie<'static>,
    pub(super) is_persistent: bool,
    pub(super) legacy: Vec<(LegacyCookie, SystemTime)>,
}

impl CookieSigner {
    /// Cookies live as long as the ring's max lifetime, and have at most 4 KiB.
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
    /// signed again. The ring's max lifetime unless set.
    ///
    /// With a longer age than the ring's max lifetime, a rotation ends cookies early. The age is
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
    /// value [`needs_resign`](crate::Verified::needs_resign), and comes back native.
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

    /// Returns the ring that it signs and verifies with.
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
        self.ring.read(|view| sign_at(self, view, name, value, view.since_epoch()))
    }

    /// Returns the age that was set, or the max lifetime of the ring.
    pub(super) fn max_age_in(&self, view: &View<'_, CookieKey>) -> Duration {
        self.max_age.unwrap_or(view.policy().max_lifetime)
    }
}

/// Signs `value` with the primary, as first issued at `issued`.
pub(super) fn sign_at(
    signer: &CookieSigner,
    view: &View<'_, CookieKey>,
    name: &str,
    value: &str,
    issued: Duration,
) -> Result<String, Error> {
    let key = view.primary()?;
    let signed = format::sign(&key.material().native, name, value, key.kid(), issued.as_secs());
    if name.len() + signed.len() > signer.max_cookie_bytes {
        let problem = "the cookie is too large: browsers drop it, so keep less in it";
        return Err(Error::Sign { problem, source: None });
    }
    key.counters().count_signed();
    Ok(signed)
}
