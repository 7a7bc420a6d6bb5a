//! Whether a cookie is what it says, in the native form or in a legacy one.

use std::time::{Duration, UNIX_EPOCH};

use super::format::Parts;
use super::legacy::readings;
use super::{CookieKey, CookieSigner, LegacyCookie};
use crate::error::Reason;
use crate::mac::verify_any;
use crate::ring::{Matched, Tried, View};
use crate::verified::Verified;

/// What was signed, since when, and in which form if not the native one.
pub(super) struct Signed {
    value: String,
    /// Since the Unix epoch.
    pub(super) issued: Duration,
    form: Option<LegacyCookie>,
}

impl Signed {
    /// The value, marked as verified under `key`.
    #[inline]
    pub(super) fn accepted(
        self,
        view: &View<'_, CookieKey>,
        key: Matched<'_, CookieKey>,
    ) -> Verified<String> {
        match self.form {
            Some(form) => view.accept_legacy(key, form.name(), self.value),
            None => view.accept(key, self.value),
        }
    }
}

impl CookieSigner {
    pub(super) fn verdict<'r>(
        &self,
        view: &View<'r, CookieKey>,
        name: &str,
        value: &str,
    ) -> Result<(Matched<'r, CookieKey>, Signed), Reason> {
        if name.len() + value.len() > self.max_cookie_bytes {
            return Err(Reason::TooLarge);
        }
        let native = match self.native(view, name, value) {
            Err(reason) if !reason.is_authentic() => reason,
            verdict => return verdict,
        };
        // A native value can have the shape of a legacy one, and the other way round: the
        // signatures are under different keys, so that each is what its own says.
        self.legacy(view, value).map_err(|legacy| match (native, legacy) {
            (Reason::Malformed, Some(reason)) => reason,
            (Reason::Malformed, None) if LegacyCookie::is_one(value) => Reason::LegacyNotAccepted,
            _ => native,
        })
    }

    /// What a value is in the legacy forms that are on; no reason if it has the shape of none.
    fn legacy<'r>(
        &self,
        view: &View<'r, CookieKey>,
        value: &str,
    ) -> Result<(Matched<'r, CookieKey>, Signed), Option<Reason>> {
        let mut reason = None;
        for (form, until) in &self.legacy {
            for text in readings(value) {
                let Some((value, tag)) = form.split(&text) else { continue };
                let now = view.now();
                if now >= *until {
                    reason.get_or_insert(Reason::LegacyEnded);
                    continue;
                }
                reason = Some(Reason::Signature);
                let Some(key) = legacy_match(view, *form, value.as_bytes(), &tag) else { continue };
                let last_issue = until.checked_sub(self.max_age_in(view)).unwrap_or(UNIX_EPOCH);
                let issued = now.min(last_issue).duration_since(UNIX_EPOCH).unwrap_or_default();
                return Ok((key, Signed { value: value.to_owned(), issued, form: Some(*form) }));
            }
        }
        Err(reason)
    }

    fn native<'r>(
        &self,
        view: &View<'r, CookieKey>,
        name: &str,
        value: &str,
    ) -> Result<(Matched<'r, CookieKey>, Signed), Reason> {
        let parts = Parts::split(value).ok_or(Reason::Malformed)?;
        // Put together first: for what was just written in pieces, a hash has to wait, and so
        // the key is looked up and the clock read meanwhile.
        let mut room = [0; _];
        let message = parts.message(&mut room, name);
        let key = view.named(parts.kid.as_bytes()).map_err(|reason| match parts.is_whole() {
            true => reason,
            false => Reason::Malformed,
        })?;
        let now = view.since_epoch();
        let issued = parts.verify(&key.0.material().native, &message)?;
        // Authentic from here on.
        match now.checked_sub(issued) {
            Some(age) if age >= self.max_age_in(view) => return Err(Reason::Expired),
            None if issued - now > view.policy().skew => {
                return Err(Reason::NotYetValid);
            }
            _ => {}
        }
        let value = parts.decoded().ok_or(Reason::Payload)?;
        Ok((key, Signed { value, issued, form: None }))
    }
}

/// The key that made `tag`: all that have one of this form are computed and compared, in
/// constant time (V5).
fn legacy_match<'r>(
    view: &View<'r, CookieKey>,
    form: LegacyCookie,
    value: &[u8],
    tag: &[u8; 32],
) -> Option<Matched<'r, CookieKey>> {
    let able = |key: Matched<'r, CookieKey>| Some((key.0.material().legacy.of(form)?, key));
    let tried = Tried::of(view.verifying().filter_map(able))?;
    verify_any(tried.macs(), value, tag).and_then(|place| tried.key(place))
}
