//! Verifying: a cookie in the native form or in a legacy one, and several of one name.

use crate::lifecycle::Role;
use std::time::{Duration, UNIX_EPOCH};

use super::format::{Parts, other_spellings};
use super::header::{CookieValues, strip_text_quotes};
use super::key::CookieKey;
use super::legacy::{LegacyCookie, readings};
use super::signer::CookieSigner;
use crate::error::{Reason, VerifyError};
use crate::mac::verify_any;
use crate::ring::snapshot::{Matched, Tried, View};
use crate::verified::Verified;

impl CookieSigner {
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
        self.ring.read(|view| match verify_text(self, view, name, strip_text_quotes(value)) {
            Ok((key, signed)) => Ok(signed.accept(view, key)),
            Err(reason) => Err(view.reject(reason)),
        })
    }

    /// Verifies the cookies of one name.
    #[cfg_attr(
        not(feature = "full"),
        allow(dead_code, reason = "only `http`, a higher module, reads whole requests")
    )]
    pub(crate) fn verify_found(
        &self,
        name: &str,
        found: &CookieValues<'_>,
    ) -> Result<Verified<String>, VerifyError> {
        self.ring.read(|view| match verify_found(self, view, name, found) {
            Ok((key, signed)) => Ok(signed.accept(view, key)),
            Err(reason) => Err(view.reject(reason)),
        })
    }
}

/// A signed value, with the time of its first issue, and its form if that is not the native one.
pub(super) struct Signed {
    value: String,
    /// The time since the Unix epoch.
    pub(super) issued: Duration,
    form: Option<LegacyCookie>,
    /// Set if another cookie of the name verifies as another value, or soon will: this one would take
    /// its place if it was signed again.
    pub(super) is_contested: bool,
}

/// A key and what it signed, or the reason why there is none.
pub(super) type VerifyResult<'r> = Result<(Matched<'r, CookieKey>, Signed), Reason>;

impl Signed {
    /// Returns the value, marked as verified under `key`, and counts the use.
    #[inline]
    pub(super) fn accept(
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

/// Verifies the cookies of one name: of several the first that verifies counts, a native one before
/// a legacy one.
pub(super) fn verify_found<'r>(
    signer: &CookieSigner,
    view: &View<'r, CookieKey>,
    name: &str,
    found: &CookieValues<'_>,
) -> VerifyResult<'r> {
    match found {
        CookieValues::One(value) => verify_text(signer, view, name, as_text(value)?),
        CookieValues::Several(..) => verify_first(signer, view, name, found.values()),
    }
}

pub(super) fn verify_text<'r>(
    signer: &CookieSigner,
    view: &View<'r, CookieKey>,
    name: &str,
    value: &str,
) -> VerifyResult<'r> {
    match verify_native(signer, view, name, value) {
        Err(reason) => verify_legacy(signer, view, value, reason),
        result => result,
    }
}

#[cold]
#[inline(never)]
fn verify_first<'r>(
    signer: &CookieSigner,
    view: &View<'r, CookieKey>,
    name: &str,
    values: &[&[u8]],
) -> VerifyResult<'r> {
    let native = |value: &&[u8]| verify_native(signer, view, name, as_text(value)?);
    // Authentic, from an instance whose clock is ahead: newer than each that is valid here.
    let is_newer = |reason: &Reason| *reason == Reason::NotYetValid;
    let mut reasons = Vec::with_capacity(values.len());
    for (place, value) in values.iter().enumerate() {
        match native(value) {
            Ok((key, mut signed)) if key.1 == Role::Fallback => {
                signed.is_contested = reasons.iter().any(is_newer);
                for other in &values[place + 1..] {
                    match native(other) {
                        // The same session, from a later login.
                        Ok((_, other)) if other.value == signed.value => {
                            signed.issued = signed.issued.max(other.issued);
                        }
                        Ok(_) => signed.is_contested = true,
                        Err(reason) => signed.is_contested |= is_newer(&reason),
                    }
                }
                return Ok((key, signed));
            }
            Ok(found) => return Ok(found),
            Err(reason) => reasons.push(reason),
        }
    }
    let legacy =
        |place: usize, reason| verify_legacy(signer, view, as_text(values[place])?, reason);
    for place in 0..values.len() {
        match legacy(place, reasons[place]) {
            Ok((key, mut signed)) => {
                let has_another_value = |(_, other): (_, Signed)| other.value != signed.value;
                signed.is_contested = reasons.iter().any(is_newer)
                    || (place + 1..values.len())
                        .any(|other| legacy(other, reasons[other]).is_ok_and(has_another_value));
                return Ok((key, signed));
            }
            Err(refused) => reasons[place] = refused,
        }
    }
    let is_idle = view.verifying().next().is_none();
    Err(Reason::foremost(&reasons, is_idle))
}

/// Verifies a value, which does not verify natively because of `native`, in the legacy forms that
/// are on.
fn verify_legacy<'r>(
    signer: &CookieSigner,
    view: &View<'r, CookieKey>,
    value: &str,
    native: Reason,
) -> VerifyResult<'r> {
    if native.is_authentic() || native == Reason::TooLarge {
        return Err(native);
    }
    // A native value can have the shape of a legacy one, and the other way round: the
    // signatures are under different keys, so that each is what its own says.
    try_legacy_forms(signer, view, value).map_err(|legacy| match (native, legacy) {
        (Reason::Malformed, Some(reason)) => reason,
        (Reason::Malformed, None) if LegacyCookie::is_one(value) => Reason::LegacyNotAccepted,
        _ => native,
    })
}

/// Tries the legacy forms that are on; no reason if the value has the shape of none.
fn try_legacy_forms<'r>(
    signer: &CookieSigner,
    view: &View<'r, CookieKey>,
    value: &str,
) -> Result<(Matched<'r, CookieKey>, Signed), Option<Reason>> {
    let mut reason = None;
    for (form, until) in &signer.legacy {
        for text in readings(value) {
            let Some((value, tag)) = form.split(&text) else { continue };
            let now = view.now();
            if now >= *until {
                reason.get_or_insert(Reason::LegacyEnded);
                continue;
            }
            reason = Some(Reason::Signature);
            let Some(key) = find_legacy_signer(view, *form, value.as_bytes(), &tag) else {
                continue;
            };
            let last_issue = until.checked_sub(signer.max_age_in(view)).unwrap_or(UNIX_EPOCH);
            let issued = now.min(last_issue).duration_since(UNIX_EPOCH).unwrap_or_default();
            let (value, form) = (value.to_owned(), Some(*form));
            return Ok((key, Signed { value, issued, form, is_contested: false }));
        }
    }
    Err(reason)
}

#[inline]
fn verify_native<'r>(
    signer: &CookieSigner,
    view: &View<'r, CookieKey>,
    name: &str,
    value: &str,
) -> VerifyResult<'r> {
    if name.len() + value.len() > signer.max_cookie_bytes {
        return Err(Reason::TooLarge);
    }
    match verify_as_written(signer, view, name, value) {
        Err(reason) if !reason.is_authentic() => {
            verify_respelled(signer, view, name, value, reason)
        }
        result => result,
    }
}

/// Verifies a value that a framework percent-decoded or percent-encoded. Whatever spelling
/// verifies, its value is the one that was signed.
#[cold]
#[inline(never)]
fn verify_respelled<'r>(
    signer: &CookieSigner,
    view: &View<'r, CookieKey>,
    name: &str,
    value: &str,
    mut reason: Reason,
) -> VerifyResult<'r> {
    for spelling in other_spellings(value) {
        match verify_as_written(signer, view, name, &spelling) {
            Err(refused) => reason = Reason::foremost(&[reason, refused], false),
            result => return result,
        }
    }
    Err(reason)
}

#[inline]
fn verify_as_written<'r>(
    signer: &CookieSigner,
    view: &View<'r, CookieKey>,
    name: &str,
    value: &str,
) -> VerifyResult<'r> {
    let parts = Parts::split(value).ok_or(Reason::Malformed)?;
    // Put together first: for what was just written in pieces, a hash has to wait, and so
    // the key is looked up and the clock read meanwhile.
    let mut room = [0; _];
    let message = parts.message(&mut room, name);
    let key = view
        .named(parts.kid.as_bytes())
        .map_err(|reason| if parts.is_whole() { reason } else { Reason::Malformed })?;
    let now = view.since_epoch();
    let issued = parts.verify(&key.0.material().native, &message)?;
    // Authentic from here on.
    match now.checked_sub(issued) {
        Some(age) if age >= signer.max_age_in(view) => return Err(Reason::Expired),
        None if issued - now > view.policy().skew => {
            return Err(Reason::NotYetValid);
        }
        _ => {}
    }
    let value = parts.decode().ok_or(Reason::Payload)?;
    Ok((key, Signed { value, issued, form: None, is_contested: false }))
}

fn as_text(value: &[u8]) -> Result<&str, Reason> {
    std::str::from_utf8(value).map_err(|_| Reason::Malformed)
}

/// Finds the key that made `tag`: all that have one of this form are computed and compared, in
/// constant time (V5).
fn find_legacy_signer<'r>(
    view: &View<'r, CookieKey>,
    form: LegacyCookie,
    value: &[u8],
    tag: &[u8; 32],
) -> Option<Matched<'r, CookieKey>> {
    let able = |key: Matched<'r, CookieKey>| Some((key.0.material().legacy.key(form)?, key));
    let tried = Tried::new(view.verifying().filter_map(able))?;
    verify_any(tried.macs(), value, tag).and_then(|place| tried.key(place))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revoked_key_hides_no_other_reason_in_a_ring_that_serves_nothing() {
        let reasons = [Reason::RevokedKey, Reason::UnknownKid];
        assert_eq!(Reason::foremost(&reasons, false), Reason::RevokedKey);
        assert_eq!(Reason::foremost(&reasons, true), Reason::UnknownKid);
        assert_eq!(Reason::foremost(&reasons[..1], true), Reason::RevokedKey);
    }
}
