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
//! key     HMAC-SHA-256(secret, "dualkey cookie v1")
//! ```
//!
//! Each part stands in the MAC after its length in bytes, as a big-endian `u64`; the
//! value as it stands in the cookie, so that one value has one text.
//!
//! It promises *integrity, authenticity and age*: a value cannot be changed, moved to
//! a cookie of another name, or kept past its age; a value that is signed again
//! keeps the time of its first issue. It does not promise *confidentiality* (the
//! client reads it) or *freshness* (a client may send an older value of the same
//! cookie until that is too old).

mod format;
mod jar;

#[cfg(test)]
mod tests;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub use cookie::{Cookie, CookieJar, SameSite};
use zeroize::Zeroize;

use crate::error::{Error, Reason, VerifyError};
use crate::key::{KeyMaterial, SecretLength, sealed};
use crate::kid::Kid;
use crate::mac::HmacSha256;
use crate::ring::{KeyRing, Matched, View};
use crate::verified::Verified;

use format::Parts;
pub use jar::Jar;

/// The default bound of a value, and what browsers keep of a cookie (RFC 6265 §6.1).
const MAX_COOKIE_BYTES: usize = 4096;

/// The material of a key that signs cookies. Secrets have at least 64 bytes.
pub struct CookieKey(HmacSha256);

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
    max_age: Duration,
    max_cookie_bytes: usize,
    attributes: Cookie<'static>,
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
        Self { max_age: ring.longest_life(), ring, max_cookie_bytes: MAX_COOKIE_BYTES, attributes }
    }

    /// Refuses cookies that were issued more than `age` ago, however often they were
    /// signed again. The ring's longest life unless set.
    ///
    /// With a longer age than the ring was told of, a rotation ends cookies early.
    #[must_use]
    pub fn max_age(mut self, age: Duration) -> Self {
        self.max_age = age;
        self
    }

    /// Refuses, and refuses to make, names and values of more than `bytes` together.
    /// 4 KiB unless set.
    #[must_use]
    pub fn max_cookie_bytes(mut self, bytes: usize) -> Self {
        self.max_cookie_bytes = bytes;
        self
    }

    /// The attributes of cookies that are signed again, since a request carries none:
    /// those of `template`, whose name and value do not count. `Path=/`, `HttpOnly`,
    /// `Secure`, `SameSite=Lax` unless set.
    #[must_use]
    pub fn attributes(mut self, template: impl Into<Cookie<'static>>) -> Self {
        self.attributes = template.into();
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
        self.ring.read(|view| self.signed(view, name, value, view.now()))
    }

    /// Verifies the value of the cookie `name`, as it stands in the request, and
    /// returns what was signed.
    ///
    /// # Errors
    /// A [`VerifyError`]; only if [`is_authentic`](VerifyError::is_authentic) may the
    /// peer be told why.
    ///
    /// # Security
    /// A cookie names its key, and is checked with that key alone, in constant time:
    /// the duration does not tell where a tag differs. The length of the value shows.
    pub fn verify(&self, name: &str, value: &str) -> Result<Verified<String>, VerifyError> {
        self.ring
            .read(|view| self.verified(view, name, value))
            .map(|verified| verified.map(|(value, _)| value))
    }

    /// Signs what was verified once more if it
    /// [`needs_resign`](Verified::needs_resign), with the time of its first issue:
    /// one load of the ring for both.
    ///
    /// # Errors
    /// As for [`verify`](Self::verify).
    pub fn verify_and_resign(
        &self,
        name: &str,
        value: &str,
    ) -> Result<(Verified<String>, Option<String>), VerifyError> {
        self.ring.read(|view| {
            let verified = self.verified(view, name, value)?;
            let again = match verified.needs_resign() {
                // What cannot be signed again (its kid is longer now) goes on as it is.
                true => self.signed(view, name, &verified.0, verified.1).ok(),
                false => None,
            };
            Ok((verified.map(|(value, _)| value), again))
        })
    }

    /// A jar over `jar` that signs what goes in and verifies what comes out.
    pub fn jar<'j>(&'j self, jar: &'j mut CookieJar) -> Jar<'j> {
        Jar::new(self, jar)
    }

    fn signed(
        &self,
        view: &View<'_, CookieKey>,
        name: &str,
        value: &str,
        issued: SystemTime,
    ) -> Result<String, Error> {
        let key = view.primary();
        let issued = issued.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let signed = format::sign(&key.material().0, name, value, key.kid(), issued);
        if name.len() + signed.len() > self.max_cookie_bytes {
            let problem = "the cookie is too large: browsers drop it, so keep less in it";
            return Err(Error::Sign { problem, source: None });
        }
        key.counters().signed();
        Ok(signed)
    }

    fn verified(
        &self,
        view: &View<'_, CookieKey>,
        name: &str,
        value: &str,
    ) -> Result<Verified<(String, SystemTime)>, VerifyError> {
        match self.verdict(view, name, value) {
            Ok((key, value)) => Ok(view.accept(key, value)),
            Err(reason) => Err(view.reject(reason)),
        }
    }

    fn verdict<'r>(
        &self,
        view: &View<'r, CookieKey>,
        name: &str,
        value: &str,
    ) -> Result<(Matched<'r, CookieKey>, (String, SystemTime)), Reason> {
        if name.len() + value.len() > self.max_cookie_bytes {
            return Err(Reason::TooLarge);
        }
        let parts = Parts::split(value).ok_or(Reason::Malformed)?;
        let (key, role) = view.named(parts.kid)?;
        if !parts.verify(&key.material().0, name) {
            return Err(Reason::Signature);
        }
        // Authentic from here on.
        let now = view.now();
        let issued = UNIX_EPOCH.checked_add(Duration::from_secs(parts.issued));
        let issued = issued.ok_or(Reason::NotYetValid)?;
        match now.duration_since(issued) {
            Ok(age) if age >= self.max_age => return Err(Reason::Expired),
            Err(ahead) if ahead.duration() > self.ring.skew() => return Err(Reason::NotYetValid),
            _ => {}
        }
        let value = parts.decoded().ok_or(Reason::Payload)?;
        Ok(((key, role), (value, issued)))
    }
}

impl sealed::Sealed for CookieKey {}

impl KeyMaterial for CookieKey {
    const PURPOSE: &'static str = "cookie";
    type Options = ();

    fn length((): &()) -> SecretLength {
        SecretLength { minimum: 64, floor: 32 }
    }

    fn prepare(secret: &[u8], _: Kid, (): &()) -> Result<Self, String> {
        // A key of its own: no signature that another library makes under the same
        // secret can be one of these.
        let mut key = HmacSha256::new(secret).mac(b"dualkey cookie v1");
        let material = Self(HmacSha256::new(&key));
        key.zeroize();
        Ok(material)
    }
}

impl std::fmt::Debug for CookieKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CookieKey([REDACTED])")
    }
}
