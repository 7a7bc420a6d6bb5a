//! The `Set-Cookie` of a signed value: its attributes, and the time that it has left.

use std::borrow::Cow;
use std::time::Duration;

use cookie::{Cookie, SameSite, time};

use super::format;
use super::header::is_plain;
use super::key::CookieKey;
use super::signer::CookieSigner;
use crate::error::Error;
use crate::ring::snapshot::View;

/// A value that was signed again, and the first issue that its `Max-Age` counts from.
pub(super) struct Again {
    pub(super) signed: String,
    /// Since the Unix epoch.
    pub(super) issued: Duration,
}

impl CookieSigner {
    /// Sets the attributes of all cookies to those of `template`, whose name and value do not
    /// count. A request carries no attributes, so that a cookie that is signed again has these.
    /// `Path=/`, `HttpOnly`, `Secure`, `SameSite=Lax` unless set. Without a `Path` in the template
    /// it is `/`: browsers would take another one from each request.
    ///
    /// A `Max-Age` of the template is kept, but never exceeds the time that a cookie has
    /// [left](Self::max_age). An `Expires` becomes the `Max-Age` until then. A `Max-Age` of zero
    /// or less, and an `Expires` in the past, would remove a cookie that is valid, and count as
    /// not set.
    #[must_use]
    pub fn attributes(mut self, template: impl Into<Cookie<'static>>) -> Self {
        self.attributes = template.into();
        if self.attributes.path().is_none() {
            self.attributes.set_path("/");
        }
        self
    }

    /// Makes cookies persistent: `Max-Age` is the time that a cookie has left of its
    /// [age](Self::max_age) since its first issue, when it is issued and when it is signed again.
    ///
    /// Unless this is called, cookies have no `Max-Age` and end with the browser. Call it if the
    /// cookies that you move from have one: a request does not show that.
    ///
    /// ```
    /// use dualkey::{KeyRing, Secret};
    /// use dualkey::cookie::{CookieKey, CookieSigner};
    /// use std::time::Duration;
    ///
    /// # let secret = "kH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eUkH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eU";
    /// # let ring = KeyRing::<CookieKey>::builder().primary(Secret::from(secret)).build()?;
    /// let signer = CookieSigner::new(ring).max_age(Duration::from_secs(3600)).persistent();
    /// let set_cookie = signer.set_cookie("sid", &signer.sign("sid", "user-42")?)?.to_string();
    /// assert!(set_cookie.ends_with("; Max-Age=3600"));
    /// # Ok::<(), dualkey::Error>(())
    /// ```
    #[must_use]
    pub fn persistent(mut self) -> Self {
        self.is_persistent = true;
        self
    }

    /// Sets the `Domain` of cookies: browsers send them to this host and to all below it. Without
    /// one, or with an empty one, they send them to the host that set them alone.
    ///
    /// It must equal the `Domain` of the cookies that you move from: a browser keeps cookies of
    /// one name and of different domains side by side, and sends all of them.
    #[must_use]
    pub fn domain(mut self, domain: impl Into<Cow<'static, str>>) -> Self {
        let domain = domain.into();
        if domain.is_empty() {
            self.attributes.unset_domain();
        } else {
            self.attributes.set_domain(domain);
        }
        self
    }

    /// Sets the `Path` of cookies, which begins with a slash. `/` unless set.
    #[must_use]
    pub fn path(mut self, path: impl Into<Cow<'static, str>>) -> Self {
        self.attributes.set_path(path);
        self
    }

    /// Sets the `SameSite` of cookies. [`SameSite::Lax`] unless set.
    #[must_use]
    pub fn same_site(mut self, same_site: SameSite) -> Self {
        self.attributes.set_same_site(same_site);
        self
    }

    /// Sets whether cookies are `Secure`: sent over HTTPS alone. `true` unless set.
    #[must_use]
    pub fn secure(mut self, is_secure: bool) -> Self {
        self.attributes.set_secure(is_secure);
        self
    }

    /// Sets whether cookies are `HttpOnly`: hidden from scripts. `true` unless set.
    #[must_use]
    pub fn http_only(mut self, is_http_only: bool) -> Self {
        self.attributes.set_http_only(is_http_only);
        self
    }

    /// Sets whether cookies are `Partitioned`: one for each site that embeds yours. Such cookies
    /// are always `Secure`. `false` unless set.
    #[must_use]
    pub fn partitioned(mut self, is_partitioned: bool) -> Self {
        self.attributes.set_partitioned(is_partitioned);
        self
    }

    /// Returns the whole cookie of a value that this signer has just signed, for the first time
    /// or again: its `Display` is the content of the `Set-Cookie` header.
    ///
    /// ```
    /// # use dualkey::{KeyRing, Secret};
    /// use dualkey::cookie::{CookieKey, CookieSigner};
    ///
    /// # let (old, new) = ("Nf0Vg6Jc3Ds8Pw1Ra4Tb7Yx2Zq9Ml5KiNf0Vg6Jc3Ds8Pw1Ra4Tb7Yx2Zq9Ml5Ki",
    /// #     "kH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eUkH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eU");
    /// # let ring = KeyRing::<CookieKey>::builder().primary(Secret::from(old)).build()?;
    /// let signer = CookieSigner::new(ring).domain("example.com").persistent();
    /// let login = signer.set_cookie("sid", &signer.sign("sid", "user-42")?)?;
    /// # let kid = signer.ring().stage(Secret::from(new))?;
    /// # signer.ring().promote(&kid)?;
    ///
    /// // After a rotation:
    /// let header = login.stripped().to_string();
    /// let (session, again) = signer.verify_header("sid", [header]).expect("a fallback signed it");
    /// assert_eq!(*session, "user-42");
    /// if let Some(again) = again {
    ///     let set_cookie = signer.set_cookie("sid", &again)?.to_string();
    ///     assert!(set_cookie.contains("; Domain=example.com; Max-Age="));
    /// }
    /// # Ok::<(), dualkey::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Sign`] if `signed` is not the text of a signed cookie, if the name is not a token,
    /// if an attribute cannot be in a header, if the path does not begin with a slash, or if
    /// browsers drop a cookie with these attributes: `SameSite=None` without `Secure`, or a name
    /// with a prefix (`__Host-`, `__Secure-`, `__Http-`, `__Host-Http-`) without those that it
    /// demands.
    ///
    /// # Security
    /// It does not verify `signed`: pass it the results of [`sign`](Self::sign),
    /// [`verify_and_resign`](Self::verify_and_resign) and [`verify_header`](Self::verify_header).
    pub fn set_cookie(&self, name: &str, signed: &str) -> Result<Cookie<'static>, Error> {
        let issued = format::Parts::split(signed).and_then(|parts| parts.issued_if_whole());
        let issued = issued.ok_or(refuse(
            "the value is not that of a signed cookie; pass the result of `sign` or `verify_header`",
        ))?;
        let again = Again { signed: signed.to_owned(), issued };
        check(self.ring().read(|view| complete(self, view, name, again)))
    }

    /// Returns the cookie that removes the cookie `name` from a browser: with the `Path` and the
    /// `Domain` that it is set with, since a browser removes no other.
    ///
    /// # Errors
    /// [`Error::Sign`] as for [`set_cookie`](Self::set_cookie).
    pub fn removal(&self, name: &str) -> Result<Cookie<'static>, Error> {
        let mut cookie = self.attributes.clone();
        cookie.set_name(name.to_owned());
        cookie.make_removal();
        check(cookie)
    }
}

/// Makes the whole cookie: the one place where a cookie gets its attributes.
pub(super) fn complete(
    signer: &CookieSigner,
    view: &View<'_, CookieKey>,
    name: &str,
    again: Again,
) -> Cookie<'static> {
    let mut cookie = signer.attributes.clone();
    cookie.set_name(name.to_owned());
    cookie.set_value(again.signed);
    let lifetime = lifetime(signer, view, &cookie, again.issued);
    cookie.set_max_age(lifetime);
    cookie.unset_expires();
    cookie
}

/// Returns the `Max-Age` of a cookie that was first issued at `issued`; `None` for one that ends
/// with the browser.
fn lifetime(
    signer: &CookieSigner,
    view: &View<'_, CookieKey>,
    cookie: &Cookie<'_>,
    issued: Duration,
) -> Option<time::Duration> {
    let now = view.since_epoch();
    // A clock that moved back makes no cookie older.
    let age = now.saturating_sub(issued);
    let left = seconds(signer.max_age_in(view).saturating_sub(age));
    let lifetime = read_lifetime(cookie, now).map(|seconds| seconds.min(left));
    lifetime.or(signer.is_persistent.then_some(left)).map(time::Duration::seconds)
}

/// Bounds the lifetime of a cookie that is issued now by that of its value. One without a
/// lifetime of its own gets that of the signer.
pub(super) fn persist(signer: &CookieSigner, view: &View<'_, CookieKey>, cookie: &mut Cookie<'_>) {
    let now = view.since_epoch();
    let stays_as_it_is = match (cookie.max_age(), cookie.expires()) {
        (Some(age), _) => !age.is_positive(),
        // A removal, or one that ends with the browser.
        (None, Some(_)) => read_lifetime(cookie, now).is_none(),
        (None, None) => false,
    };
    let lifetime = (!stays_as_it_is).then(|| lifetime(signer, view, cookie, now)).flatten();
    if lifetime.is_some() {
        cookie.set_max_age(lifetime);
        cookie.unset_expires();
    }
}

/// The seconds that a cookie lives by its own attributes, at least one; `None` if it has none, or
/// if they would remove it. `Max-Age` counts before `Expires` (RFC 6265 §5.3).
fn read_lifetime(cookie: &Cookie<'_>, now: Duration) -> Option<i64> {
    let max_age = cookie.max_age().and_then(|age| Duration::try_from(age).ok());
    let until = || {
        let until = cookie.expires_datetime()?.unix_timestamp();
        Some(Duration::from_secs(u64::try_from(until).ok()?).saturating_sub(now))
    };
    let lifetime = max_age.filter(|age| !age.is_zero()).or_else(until);
    lifetime.filter(|left| !left.is_zero()).map(seconds)
}

/// Whole seconds, rounded up: never zero, which would remove the cookie, and never more than
/// every parser takes, 2^31 - 1.
fn seconds(left: Duration) -> i64 {
    let seconds = left.as_secs().saturating_add(u64::from(left.subsec_nanos() > 0));
    i32::try_from(seconds.max(1)).unwrap_or(i32::MAX).into()
}

/// Returns the cookie, if a browser keeps it as it is.
pub(crate) fn check(cookie: Cookie<'static>) -> Result<Cookie<'static>, Error> {
    if !is_plain(cookie.name().as_bytes()) {
        return Err(refuse(
            "parsers read the name of the cookie differently; choose a token without `%` and `'`",
        ));
    }
    let texts = [cookie.path(), cookie.domain()];
    if texts.into_iter().flatten().any(|text| text.contains(|c: char| c == ';' || c.is_control())) {
        return Err(refuse(
            "the path or the domain of the cookie cannot be in a header; remove semicolons and \
             control characters",
        ));
    }
    // RFC 6265 §5.2.4.
    if !cookie.path().is_some_and(|path| path.starts_with('/')) {
        return Err(refuse(
            "browsers take another path from each request; let the path of the cookie begin with \
             a slash",
        ));
    }
    if cookie.same_site() == Some(SameSite::None) && !is_secure(&cookie) {
        return Err(refuse(
            "browsers drop a cookie with `SameSite=None` that is not `Secure`; change one of them",
        ));
    }
    if has_what_its_name_demands(&cookie) {
        Ok(cookie)
    } else {
        Err(refuse(
            "browsers drop the cookie: a name with `__Secure-` needs `Secure`, one with `__Host-` \
             also `Path=/` and no `Domain`, one with `__Http-` `Secure` and `HttpOnly`, and one \
             with `__Host-Http-` all of them; change the attributes or the name",
        ))
    }
}

/// Returns whether the header has `Secure`.
fn is_secure(cookie: &Cookie<'_>) -> bool {
    cookie.secure() == Some(true)
        || cookie.partitioned() == Some(true)
        || (cookie.secure().is_none() && cookie.same_site() == Some(SameSite::None))
}

/// Returns whether the attributes are those that the prefix of the name demands (RFC 6265bis
/// §4.1.3), which browsers compare without its case.
fn has_what_its_name_demands(cookie: &Cookie<'_>) -> bool {
    let has_prefix = |prefix: &str| {
        let start = cookie.name().get(..prefix.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    };
    let is_of_host = has_prefix("__Host-");
    let is_of_http = has_prefix("__Http-") || has_prefix("__Host-Http-");
    let needs_secure = is_of_host || is_of_http || has_prefix("__Secure-");
    (!needs_secure || is_secure(cookie))
        && (!is_of_host || (cookie.path() == Some("/") && cookie.domain().is_none()))
        && (!is_of_http || cookie.http_only() == Some(true))
}

fn refuse(problem: &'static str) -> Error {
    Error::Sign { problem, source: None }
}
