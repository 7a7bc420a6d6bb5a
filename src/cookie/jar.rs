//! A jar over [`cookie::CookieJar`] that signs, verifies, and signs again.

use cookie::{Cookie, CookieJar};

use super::attributes::persist;
use super::header::{CookieValues, strip_text_quotes};
use super::signer::CookieSigner;
use crate::error::{Error, Reason, VerifyError};
use crate::verified::Verified;

impl CookieSigner {
    /// Returns a jar over `jar` that signs what goes in and verifies what comes out.
    pub fn jar<'j>(&'j self, jar: &'j mut CookieJar) -> Jar<'j> {
        Jar { signer: self, jar }
    }
}

/// A view of a [`CookieJar`] in which every cookie is signed.
///
/// A cookie that was made under a key on its way out goes back into the jar signed
/// by the primary, with the attributes of the signer: whoever writes the jar's
/// [`delta`](CookieJar::delta) into the response rotates it.
///
/// A jar holds one cookie of a name: of several in a header, the one that was added last, whether
/// or not it verifies or is the one that counts: it is signed again over the other ones. Where a
/// name may come several times, use [`CookieSigner::verify_header`], which takes the first that
/// verifies, or the layer and the extractor of `http`.
///
/// The values in the jar are those of the `Set-Cookie` header. A framework that percent-encodes
/// them once more, and percent-decodes those that it reads, changes nothing: each spelling
/// verifies, here and in the layers of `http`.
///
/// ```
/// use dualkey::cookie::{Cookie, CookieJar, CookieSigner, CookieKey};
/// # use dualkey::{KeyRing, Secret};
/// # let (old, new) = ("Nf0Vg6Jc3Ds8Pw1Ra4Tb7Yx2Zq9Ml5KiNf0Vg6Jc3Ds8Pw1Ra4Tb7Yx2Zq9Ml5Ki",
/// #     "kH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eUkH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eU");
/// # let ring = KeyRing::<CookieKey>::builder().primary(Secret::from(old)).build()?;
/// let signer = CookieSigner::new(ring.clone());
///
/// let mut response = CookieJar::new();
/// signer.jar(&mut response).add(Cookie::new("session", "user-42"))?;
///
/// let kid = ring.stage(Secret::from(new))?;
/// ring.promote(&kid)?;
///
/// let mut request = CookieJar::new();
/// request.add_original(response.get("session").expect("just added").clone());
/// let session = signer.jar(&mut request).get("session").expect("its key is a fallback now");
/// assert_eq!(session.value(), "user-42");
/// assert_eq!(request.delta().count(), 1); // signed again
/// # Ok::<(), dualkey::Error>(())
/// ```
#[derive(Debug)]
pub struct Jar<'j> {
    signer: &'j CookieSigner,
    jar: &'j mut CookieJar,
}

impl Jar<'_> {
    /// The cookie `name`, verified, with the value that was signed. If it needs to be,
    /// it is signed again and put into the jar.
    ///
    /// # Errors
    /// [`Reason::Missing`] if there is none, else as for [`CookieSigner::verify`].
    pub fn get(&mut self, name: &str) -> Result<Verified<Cookie<'static>>, VerifyError> {
        let cookie = self.jar.get(name).cloned();
        let cookie = cookie.ok_or_else(|| self.signer.ring().reject(Reason::Missing))?;
        let found = CookieValues::One(strip_text_quotes(cookie.value()).as_bytes());
        let (value, again) = self.signer.verify_and_set(name, &found)?;
        if let Some(again) = again {
            self.jar.add(again);
        }
        Ok(value.map(|value| {
            let mut cookie = cookie.into_owned();
            cookie.set_value(value);
            cookie
        }))
    }

    /// Signs `cookie` and puts it into the jar, with its own attributes. Give it the `Path` and the
    /// `Domain` of the signer: when it is signed again, it has the attributes and the lifetime of
    /// the signer.
    ///
    /// A `Max-Age` of the cookie is kept, but never exceeds the time for which the value
    /// [verifies](CookieSigner::max_age). An `Expires` becomes the `Max-Age` until then. Without
    /// both it has the `Max-Age` of a [persistent](CookieSigner::persistent) signer. An
    /// `Expiration::Session` ends with the browser, and a removal stays one.
    ///
    /// ```
    /// # use dualkey::{KeyRing, Secret};
    /// use dualkey::cookie::{Cookie, CookieJar, CookieKey, CookieSigner};
    /// use std::time::Duration;
    ///
    /// # let secret = "kH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eUkH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eU";
    /// # let ring = KeyRing::<CookieKey>::builder().primary(Secret::from(secret)).build()?;
    /// let signer = CookieSigner::new(ring).max_age(Duration::from_secs(3600));
    /// let mut jar = CookieJar::new();
    /// signer.jar(&mut jar).add(Cookie::build(("sid", "user-42")).path("/").permanent())?;
    /// let cookie = jar.get("sid").expect("just added");
    /// assert!(cookie.to_string().ends_with("; Path=/; Max-Age=3600")); // not twenty years
    /// # Ok::<(), dualkey::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`CookieSigner::sign`]; the jar stays as it is.
    pub fn add(&mut self, cookie: impl Into<Cookie<'static>>) -> Result<(), Error> {
        let mut cookie = cookie.into();
        cookie.set_value(self.signer.sign(cookie.name(), cookie.value())?);
        self.signer.ring().read(|view| persist(self.signer, view, &mut cookie));
        self.jar.add(cookie);
        Ok(())
    }

    /// Removes `cookie`. A browser does it if the path and the domain are those that
    /// the cookie was set with.
    pub fn remove(&mut self, cookie: impl Into<Cookie<'static>>) {
        self.jar.remove(cookie.into());
    }
}
