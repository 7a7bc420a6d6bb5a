//! The JSON of claims that are to be signed, and a check of their form.
//!
//! `serde_json` writes them with a formatter that takes [notes] of the registered claims. Where it
//! writes something that the notes do not understand (raw JSON, a date with a fraction, a name that
//! is perhaps there twice), the JSON is read again by [`claims`]. The names of a struct are known
//! before they are written, most of them when this is compiled: [`record`] passes them on.

mod notes;
mod record;

use std::collections::HashSet;
use std::fmt;

use serde::Serialize;
use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};

use super::claims;
use super::refusal::Refusal;
use super::registered::{Found, Rules};
use crate::error::Reason;
use notes::Notes;
use record::{Noting, Outermost};

/// Deeper JSON is refused by `serde_json` when it is read, whatever its features.
const MAX_DEPTH: usize = 127;

/// Serializes `claims`, unless a verifier with these rules would reject them for their form.
pub(super) fn to_json<C: Serialize + ?Sized>(
    claims: &C,
    rules: &Rules,
) -> Result<Vec<u8>, Refusal> {
    let notes = Notes::default();
    let mut json = Vec::with_capacity(128);
    let mut serializer = serde_json::Serializer::with_formatter(&mut json, Noting::new(&notes));
    let outermost = Outermost::new(&mut serializer, &notes);
    claims.serialize(outermost).map_err(Refusal::Serialize)?;
    if json.first() != Some(&b'{') {
        return Err(Refusal::NoObject);
    }
    check(&notes, &json, rules)?;
    Ok(json)
}

#[inline]
fn check(notes: &Notes, json: &[u8], rules: &Rules) -> Result<(), Refusal> {
    let exp = if notes.is_odd() {
        check_again(json, rules)?
    } else if notes.deepest() > MAX_DEPTH {
        return Err(Refusal::TooDeep);
    } else {
        // Each claim that was understood has the right type, and is there once.
        match rules.required.iter().find(|claim| notes.is_missing(**claim)) {
            Some(claim) => return Err(Refusal::Rejected(Reason::MissingClaim(*claim))),
            None => notes.exp(),
        }
    };
    match exp {
        // No clock shows a time before it.
        Found::Is(exp) if exp < 0 && rules.validation.validate_exp => Err(Refusal::BeforeTheEpoch),
        _ => Ok(()),
    }
}

/// Checks JSON that was not understood when it was written, and returns its `exp`.
#[cold]
fn check_again(json: &[u8], rules: &Rules) -> Result<Found<i128>, Refusal> {
    let unreadable = |_| Refusal::Rejected(Reason::Payload);
    let text = std::str::from_utf8(json).map_err(|_| Refusal::Rejected(Reason::Payload))?;
    if depth(json) > MAX_DEPTH {
        return Err(Refusal::TooDeep);
    }
    let registered = claims::read(text, rules).map_err(Refusal::Rejected)?;
    // First, because a registered claim that is there twice has words of its own.
    registered.check_form(rules).map_err(Refusal::Rejected)?;
    if has_lone_surrogate(json) {
        return Err(Refusal::LoneSurrogate);
    }
    let mut deserializer = serde_json::Deserializer::from_str(text);
    if deserializer.deserialize_map(Unique).map_err(unreadable)? {
        Ok(registered.exp)
    } else {
        Err(Refusal::Twice)
    }
}

/// Counts the arrays and objects of valid JSON that are open at once.
fn depth(json: &[u8]) -> usize {
    let (mut open, mut deepest) = (0_usize, 0);
    let mut bytes = json.iter();
    let mut is_string = false;
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => is_string = !is_string,
            b'\\' => {
                bytes.next();
            }
            b'[' | b'{' if !is_string => {
                open += 1;
                deepest = deepest.max(open);
            }
            b']' | b'}' if !is_string => open = open.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// Returns whether a text of valid JSON has an escape of half a character: a type that takes the
/// text cannot be read from it, while one that ignores the text can.
fn has_lone_surrogate(json: &[u8]) -> bool {
    let mut rest = json;
    let mut is_within_pair = false;
    while let Some((byte, behind)) = rest.split_first() {
        let (unit, behind) = match (byte, behind) {
            (b'\\', [b'u', a, b, c, d, behind @ ..]) => {
                let digit = |byte: &u8| char::from(*byte).to_digit(16).unwrap_or_default();
                (digit(a) << 12 | digit(b) << 8 | digit(c) << 4 | digit(d), behind)
            }
            (b'\\', [_, behind @ ..]) => (0, behind),
            _ => (0, behind),
        };
        let is_low = (0xdc00..0xe000).contains(&unit);
        if is_low != is_within_pair {
            return true;
        }
        is_within_pair = (0xd800..0xdc00).contains(&unit);
        rest = behind;
    }
    is_within_pair
}

/// A visitor that checks that the members of an object have different names.
struct Unique;

impl<'de> Visitor<'de> for Unique {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a claims set")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<bool, A::Error> {
        let mut names = HashSet::new();
        let mut is_unique = true;
        while let Some(name) = map.next_key::<String>()? {
            map.next_value::<IgnoredAny>().map_err(A::Error::custom)?;
            is_unique &= names.insert(name);
        }
        Ok(is_unique)
    }
}
