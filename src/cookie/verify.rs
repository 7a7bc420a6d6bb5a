//! The verdict on a cookie, in the native form or in a legacy one, and on several of one name.

use std::time::{Duration, UNIX_EPOCH};

use super::format::{Parts, other_spellings};
use super::header::Found;
use super::legacy::readings;
use super::{CookieKey, CookieSigner, LegacyCookie};
use crate::error::Reason;
use crate::lifecycle::Role;
use crate::mac::verify_any;
use crate::ring::snapshot::{Matched, Tried, View};
use crate::verified::Verified;

/// What was signed, since when, and in which form if not the native one.
pub(crate) struct Signed {
    value: String,
    /// The time since the Unix epoch.
    pub(super) issued: Duration,
    form: Option<LegacyCookie>,
    /// Another cookie of the name verifies too, as another value, or soon will: signed again, this
    /// one would take its place.
    pub(super) is_contested: bool,
}

/// A key and what it signed, or the reason why there is none.
pub(crate) type Verdict<'r> = Result<(Matched<'r, CookieKey>, Signed), Reason>;

impl Signed {
    /// The value, marked as verified under `key`.
    #[inline]
    pub(crate) fn accepted(
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
    /// The verdict on the cookies of one name: of several the first that verifies counts, a
    /// native one before a legacy one.
    pub(crate) fn verdict_of<'r>(
        &self,
        view: &View<'r, CookieKey>,
        name: &str,
        found: &Found<'_>,
    ) -> Verdict<'r> {
        match found {
            Found::One(value) => self.verdict(view, name, text(value)?),
            Found::Several(..) => self.first_of(view, name, found.values()),
        }
    }

    pub(super) fn verdict<'r>(
        &self,
        view: &View<'r, CookieKey>,
        name: &str,
        value: &str,
    ) -> Verdict<'r> {
        match self.native(view, name, value) {
            Err(reason) => self.legacy(view, value, reason),
            verdict => verdict,
        }
    }

    #[cold]
    #[inline(never)]
    fn first_of<'r>(
        &self,
        view: &View<'r, CookieKey>,
        name: &str,
        values: &[&[u8]],
    ) -> Verdict<'r> {
        let native = |value: &&[u8]| self.native(view, name, text(value)?);
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
        let legacy = |place: usize, reason| self.legacy(view, text(values[place])?, reason);
        for place in 0..values.len() {
            match legacy(place, reasons[place]) {
                Ok((key, mut signed)) => {
                    let differs = |(_, other): (_, Signed)| other.value != signed.value;
                    signed.is_contested = reasons.iter().any(is_newer)
                        || (place + 1..values.len())
                            .any(|other| legacy(other, reasons[other]).is_ok_and(differs));
                    return Ok((key, signed));
                }
                Err(refused) => reasons[place] = refused,
            }
        }
        let is_idle = view.verifying().next().is_none();
        Err(Reason::foremost(&reasons, is_idle))
    }

    /// The verdict on a value that does not verify natively, because of `native`: in the legacy
    /// forms that are on.
    fn legacy<'r>(&self, view: &View<'r, CookieKey>, value: &str, native: Reason) -> Verdict<'r> {
        if native.is_authentic() || native == Reason::TooLarge {
            return Err(native);
        }
        // A native value can have the shape of a legacy one, and the other way round: the
        // signatures are under different keys, so that each is what its own says.
        self.in_legacy_forms(view, value).map_err(|legacy| match (native, legacy) {
            (Reason::Malformed, Some(reason)) => reason,
            (Reason::Malformed, None) if LegacyCookie::is_one(value) => Reason::LegacyNotAccepted,
            _ => native,
        })
    }

    /// What a value is in the legacy forms that are on; no reason if it has the shape of none.
    fn in_legacy_forms<'r>(
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
                let (value, form) = (value.to_owned(), Some(*form));
                return Ok((key, Signed { value, issued, form, is_contested: false }));
            }
        }
        Err(reason)
    }

    #[inline]
    fn native<'r>(&self, view: &View<'r, CookieKey>, name: &str, value: &str) -> Verdict<'r> {
        if name.len() + value.len() > self.max_cookie_bytes {
            return Err(Reason::TooLarge);
        }
        match self.as_written(view, name, value) {
            Err(reason) if !reason.is_authentic() => self.respelled(view, name, value, reason),
            verdict => verdict,
        }
    }

    /// The verdict on a value that a framework percent-decoded or percent-encoded. Whatever
    /// spelling verifies, its value is the one that was signed.
    #[cold]
    #[inline(never)]
    fn respelled<'r>(
        &self,
        view: &View<'r, CookieKey>,
        name: &str,
        value: &str,
        mut reason: Reason,
    ) -> Verdict<'r> {
        for spelling in other_spellings(value) {
            match self.as_written(view, name, &spelling) {
                Err(refused) => reason = Reason::foremost(&[reason, refused], false),
                verdict => return verdict,
            }
        }
        Err(reason)
    }

    #[inline]
    fn as_written<'r>(&self, view: &View<'r, CookieKey>, name: &str, value: &str) -> Verdict<'r> {
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
        Ok((key, Signed { value, issued, form: None, is_contested: false }))
    }
}

fn text(value: &[u8]) -> Result<&str, Reason> {
    std::str::from_utf8(value).map_err(|_| Reason::Malformed)
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
