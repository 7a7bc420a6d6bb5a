//! The registered claims that were observed while the payload was parsed.
//!
//! Only whole numbers, texts and `null` are understood. Everything else makes the observation odd,
//! and then it counts for nothing.

use super::registered::{Found, Registered, Rules, find_claim, nanoseconds, set_once};
use crate::error::Claim;

/// The registered claims that were observed so far.
pub(super) struct Watch<'r> {
    rules: &'r Rules,
    found: Registered,
    /// The name of the current member, once it was seen: the registered claim, if it is one.
    name: Option<Option<Claim>>,
    value: Value,
    /// Set after the last member.
    is_whole: bool,
    /// Set if something was observed that is not understood.
    is_odd: bool,
}

impl<'r> Watch<'r> {
    #[inline]
    pub(super) fn new(rules: &'r Rules) -> Self {
        let found = Registered::default();
        Self { rules, found, name: None, value: Value::Other, is_whole: false, is_odd: false }
    }

    /// Returns the registered claims, if all members were observed and understood.
    #[inline]
    pub(super) fn registered(&self) -> Option<&Registered> {
        (self.is_whole && !self.is_odd).then_some(&self.found)
    }

    /// Starts the next member.
    #[inline]
    pub(super) fn begin_member(&mut self) {
        self.name = None;
    }

    /// Takes note that the name of a member was read, or that there is no further member.
    #[inline]
    pub(super) fn end_name(&mut self, is_last: bool) {
        self.is_whole = is_last;
        self.is_odd |= !is_last && self.name.is_none();
    }

    /// Starts the value of the current member, and returns its claim if that is a registered one.
    #[inline]
    pub(super) fn begin_value(&mut self) -> Option<Claim> {
        let claim = self.name.flatten()?;
        self.value = Value::Other;
        Some(claim)
    }
}

/// The observed value of a registered claim.
enum Value {
    Number(u64),
    Text { is_asked: bool },
    Null,
    Other,
}

impl Watch<'_> {
    /// Takes note of `claim`, whose value has been read.
    #[inline]
    pub(super) fn note(&mut self, claim: Claim) {
        let found = &mut self.found;
        let is_first = match (claim, &self.value) {
            (Claim::Exp, Value::Number(seconds)) => set_once(&mut found.exp, date(*seconds)),
            (Claim::Nbf, Value::Number(seconds)) => set_once(&mut found.nbf, date(*seconds)),
            (Claim::Iss, Value::Text { is_asked }) => {
                set_once(&mut found.iss, Found::Is(*is_asked))
            }
            (Claim::Sub, Value::Text { is_asked }) => {
                set_once(&mut found.sub, Found::Is(*is_asked))
            }
            (Claim::Aud, Value::Text { is_asked }) => {
                set_once(&mut found.aud, Found::Is(*is_asked))
            }
            (Claim::Exp, Value::Null) => set_once(&mut found.exp, Found::Null),
            (Claim::Nbf, Value::Null) => set_once(&mut found.nbf, Found::Null),
            (Claim::Iss, Value::Null) => set_once(&mut found.iss, Found::Null),
            (Claim::Sub, Value::Null) => set_once(&mut found.sub, Found::Null),
            (Claim::Aud, Value::Null) => set_once(&mut found.aud, Found::Null),
            (Claim::Iat, _) => !std::mem::replace(&mut found.iat, true),
            (Claim::Jti, _) => !std::mem::replace(&mut found.jti, true),
            _ => false,
        };
        self.is_odd |= !is_first;
    }
}

fn date(seconds: u64) -> Found<i128> {
    Found::Is(nanoseconds(i128::from(seconds)))
}

/// A place in the payload: its top level, the name of a member, or the value of a claim.
pub(super) trait Level: Sized {
    /// Set if a map at this level holds the members.
    const HOLDS_MEMBERS: bool = false;
    /// Set if a value is observed although the type ignores it.
    const IS_VALUE: bool = false;

    fn number(watch: &mut Watch<'_>, _number: u64) {
        Self::other(watch);
    }

    fn text(watch: &mut Watch<'_>, _text: &str) {
        Self::other(watch);
    }

    fn null(watch: &mut Watch<'_>) {
        Self::other(watch);
    }

    fn other(watch: &mut Watch<'_>);
}

/// The top level of the payload.
pub(super) struct Payload;
/// The name of a member.
pub(super) struct Name;
/// The value of a registered claim.
pub(super) struct ClaimValue;

impl Level for Payload {
    const HOLDS_MEMBERS: bool = true;

    fn other(watch: &mut Watch<'_>) {
        watch.is_odd = true;
    }
}

impl Level for Name {
    #[inline]
    fn text(watch: &mut Watch<'_>, text: &str) {
        watch.name = Some(text.as_bytes().try_into().ok().and_then(find_claim));
    }

    fn other(watch: &mut Watch<'_>) {
        watch.is_odd = true;
    }
}

impl Level for ClaimValue {
    const IS_VALUE: bool = true;

    #[inline]
    fn number(watch: &mut Watch<'_>, number: u64) {
        watch.value = Value::Number(number);
    }

    #[inline]
    fn text(watch: &mut Watch<'_>, text: &str) {
        let is_asked = match watch.name.flatten() {
            Some(Claim::Iss) => watch.rules.is_iss(text),
            Some(Claim::Sub) => watch.rules.is_sub(text),
            Some(Claim::Aud) => watch.rules.is_aud(text),
            _ => false,
        };
        watch.value = Value::Text { is_asked };
    }

    #[inline]
    fn null(watch: &mut Watch<'_>) {
        watch.value = Value::Null;
    }

    fn other(watch: &mut Watch<'_>) {
        watch.value = Value::Other;
    }
}
