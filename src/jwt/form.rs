//! The JSON of claims that are to be signed, and a check of their form.
//!
//! `serde_json` writes them through [`Notes`], a formatter that takes note of the registered
//! claims on their way. Where it sees something that it does not understand (raw JSON, a date
//! with a fraction, a name that is perhaps there twice), the JSON is read again by [`claims`].

use std::collections::HashSet;
use std::fmt;
use std::io::{self, Write};

use serde::Serialize;
use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::ser::{CharEscape, CompactFormatter, Formatter};

use super::claims;
use super::registered::{Found, Registered, Rules, named, nanoseconds, once};
use super::sign::Refusal;
use crate::error::{Claim, Reason};

/// Deeper JSON is refused by `serde_json` when it is read, whatever its features.
const MAX_DEPTH: usize = 127;

/// Serializes `claims`, unless a verifier with these rules would reject them for their form.
pub(super) fn to_json<C: Serialize + ?Sized>(
    claims: &C,
    rules: &Rules,
) -> Result<Vec<u8>, Refusal> {
    let mut notes = Notes::default();
    let mut json = Vec::with_capacity(128);
    let mut serializer = serde_json::Serializer::with_formatter(&mut json, Noting(&mut notes));
    claims.serialize(&mut serializer).map_err(Refusal::Serialize)?;
    if json.first() != Some(&b'{') {
        return Err(Refusal::NoObject);
    }
    check(&notes, &json, rules)?;
    Ok(json)
}

fn check(notes: &Notes, json: &[u8], rules: &Rules) -> Result<(), Refusal> {
    let read;
    let registered = match notes.is_odd {
        false if notes.deepest > MAX_DEPTH => return Err(Refusal::TooDeep),
        false => &notes.found,
        true => {
            read = again(json, rules)?;
            &read
        }
    };
    registered.check_form(rules).map_err(Refusal::Rejected)?;
    match registered.exp {
        // No clock shows a time before it.
        Found::Is(exp) if exp < 0 && rules.validation.validate_exp => Err(Refusal::BeforeTheEpoch),
        _ => Ok(()),
    }
}

/// Reads JSON that was not understood when it was written.
#[cold]
fn again(json: &[u8], rules: &Rules) -> Result<Registered, Refusal> {
    let unreadable = |_| Refusal::Rejected(Reason::Payload);
    let text = std::str::from_utf8(json).map_err(|_| Refusal::Rejected(Reason::Payload))?;
    if depth(json) > MAX_DEPTH {
        return Err(Refusal::TooDeep);
    }
    let registered = claims::read(text, rules).map_err(Refusal::Rejected)?;
    // A registered one has words of its own.
    if registered.twice.is_none() {
        let mut deserializer = serde_json::Deserializer::from_str(text);
        if !deserializer.deserialize_map(Unique).map_err(unreadable)? {
            return Err(Refusal::Twice);
        }
    }
    Ok(registered)
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

/// The registered claims, the names and the depth of the JSON that was written.
#[derive(Default)]
struct Notes {
    found: Registered,
    place: Place,
    /// The name that is written, or was last.
    name: Name,
    /// A bit for each name that was there, by its hash.
    names: [u64; 16],
    depth: usize,
    deepest: usize,
    /// Set if something was written that is not understood.
    is_odd: bool,
}

#[derive(Default, Clone, Copy)]
enum Place {
    /// Anything else: only the depth counts there.
    #[default]
    Elsewhere,
    /// In the name of a member.
    Name,
    /// Before the value of a registered claim.
    Value(Claim),
    /// In an array of audiences.
    Audiences,
}

#[derive(Default)]
struct Name {
    claim: Option<Claim>,
    hash: u64,
    has_piece: bool,
}

/// The value of a registered claim.
enum Value {
    Number(i128),
    Text,
    Null,
}

impl Notes {
    #[inline]
    fn begin_name(&mut self) {
        if self.depth == 1 {
            self.place = Place::Name;
            self.name = Name::default();
        }
    }

    #[inline]
    fn fragment(&mut self, fragment: &str) {
        let Place::Name = self.place else { return };
        // A name that comes in pieces has an escape, or is made by `Display`.
        self.is_odd |= std::mem::replace(&mut self.name.has_piece, true);
        self.name.claim = fragment.as_bytes().try_into().ok().and_then(named);
        self.name.hash = fragment.bytes().fold(0, |hash: u64, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
        });
    }

    #[inline]
    fn begin_value(&mut self) {
        if self.depth == 1 {
            // 1,024 bits: two names seldom have one.
            let bit = self.name.hash >> 54;
            let word = &mut self.names[(bit >> 6) as usize];
            let mask = 1 << (bit & 63);
            self.is_odd |= *word & mask != 0;
            *word |= mask;
            self.place = self.name.claim.map_or(Place::Elsewhere, Place::Value);
        }
    }

    #[inline]
    fn text(&mut self) {
        if let Place::Value(claim) = self.place {
            self.note(claim, Value::Text);
        }
    }

    #[inline]
    fn number(&mut self, number: i128) {
        match self.place {
            Place::Elsewhere => {}
            Place::Value(claim) => self.note(claim, Value::Number(number)),
            Place::Name | Place::Audiences => self.is_odd = true,
        }
    }

    #[inline]
    fn null(&mut self) {
        match self.place {
            Place::Elsewhere => {}
            Place::Value(claim) => self.note(claim, Value::Null),
            Place::Name | Place::Audiences => self.is_odd = true,
        }
    }

    /// Something else than a whole number, a text or `null`.
    #[inline]
    fn other(&mut self) {
        self.is_odd |= !matches!(self.place, Place::Elsewhere);
    }

    #[inline]
    fn begin_array(&mut self) {
        match self.place {
            Place::Value(Claim::Aud) => {
                self.is_odd |= !once(&mut self.found.aud, Found::Is(false));
                self.place = Place::Audiences;
            }
            _ => self.begin_other(),
        }
        self.enter();
    }

    #[inline]
    fn begin_object(&mut self) {
        self.begin_other();
        self.enter();
    }

    #[inline]
    fn begin_other(&mut self) {
        self.other();
        self.place = Place::Elsewhere;
    }

    #[inline]
    fn enter(&mut self) {
        self.depth += 1;
        self.deepest = self.deepest.max(self.depth);
    }

    #[inline]
    fn leave(&mut self) {
        self.depth -= 1;
        self.place = Place::Elsewhere;
    }

    #[inline]
    fn note(&mut self, claim: Claim, value: Value) {
        let found = &mut self.found;
        let is_first = match (claim, value) {
            (Claim::Exp, Value::Number(number)) => once(&mut found.exp, date(number)),
            (Claim::Nbf, Value::Number(number)) => once(&mut found.nbf, date(number)),
            (Claim::Iss, Value::Text) => once(&mut found.iss, Found::Is(false)),
            (Claim::Sub, Value::Text) => once(&mut found.sub, Found::Is(false)),
            (Claim::Aud, Value::Text) => once(&mut found.aud, Found::Is(false)),
            (Claim::Exp, Value::Null) => once(&mut found.exp, Found::Null),
            (Claim::Nbf, Value::Null) => once(&mut found.nbf, Found::Null),
            (Claim::Iss, Value::Null) => once(&mut found.iss, Found::Null),
            (Claim::Sub, Value::Null) => once(&mut found.sub, Found::Null),
            (Claim::Aud, Value::Null) => once(&mut found.aud, Found::Null),
            (Claim::Iat, _) => !std::mem::replace(&mut found.iat, true),
            (Claim::Jti, _) => !std::mem::replace(&mut found.jti, true),
            _ => false,
        };
        self.is_odd |= !is_first;
        self.place = Place::Elsewhere;
    }
}

/// A number of 64 bits, so that it is within the bounds of a date.
fn date(number: i128) -> Found<i128> {
    Found::Is(nanoseconds(number))
}

/// Writes compact JSON, and takes note of it.
struct Noting<'n>(&'n mut Notes);

macro_rules! noting {
    ($($method:ident($($argument:ident: $type:ty),*) $notes:ident => $note:expr;)*) => {$(
        #[inline]
        fn $method<W: ?Sized + Write>(
            &mut self, writer: &mut W $(, $argument: $type)*
        ) -> io::Result<()> {
            let $notes = &mut *self.0;
            $note;
            CompactFormatter.$method(writer $(, $argument)*)
        }
    )*};
}

impl Formatter for Noting<'_> {
    noting! {
        write_null() notes => notes.null();
        write_bool(value: bool) notes => notes.other();
        write_i8(value: i8) notes => notes.number(i128::from(value));
        write_i16(value: i16) notes => notes.number(i128::from(value));
        write_i32(value: i32) notes => notes.number(i128::from(value));
        write_i64(value: i64) notes => notes.number(i128::from(value));
        write_i128(value: i128) notes => notes.other();
        write_u8(value: u8) notes => notes.number(i128::from(value));
        write_u16(value: u16) notes => notes.number(i128::from(value));
        write_u32(value: u32) notes => notes.number(i128::from(value));
        write_u64(value: u64) notes => notes.number(i128::from(value));
        write_u128(value: u128) notes => notes.other();
        write_f32(value: f32) notes => notes.other();
        write_f64(value: f64) notes => notes.other();
        write_number_str(value: &str) notes => notes.other();
        begin_string() notes => notes.text();
        write_string_fragment(fragment: &str) notes => notes.fragment(fragment);
        write_char_escape(escape: CharEscape) notes => {
            notes.is_odd |= matches!(notes.place, Place::Name);
        };
        begin_array() notes => notes.begin_array();
        end_array() notes => notes.leave();
        begin_object() notes => notes.begin_object();
        end_object() notes => notes.leave();
        begin_object_key(first: bool) notes => notes.begin_name();
        begin_object_value() notes => notes.begin_value();
        // JSON that is written as it is.
        write_raw_fragment(fragment: &str) notes => notes.is_odd = true;
    }
}
