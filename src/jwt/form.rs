//! The JSON of claims that are to be signed, and a check of their form.
//!
//! `serde_json` writes them with a formatter that takes note of the registered claims on their
//! way. Where it sees something that it does not understand (raw JSON, a date with a fraction, a
//! name that is perhaps there twice), the JSON is read again by [`claims`]. The names of a struct
//! are known before they are written, most of them when this is compiled: [`Struct`] passes them
//! on.

use std::cell::Cell;
use std::collections::HashSet;
use std::fmt;
use std::io::{self, Write};

use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};
use serde_json::ser::{CharEscape, CompactFormatter, Formatter};

use super::claims;
use super::registered::{Found, Rules, named, nanoseconds};
use super::sign::Refusal;
use crate::error::{Claim, Reason};

/// Deeper JSON is refused by `serde_json` when it is read, whatever its features.
const MAX_DEPTH: usize = 127;

/// Serializes `claims`, unless a verifier with these rules would reject them for their form.
pub(super) fn to_json<C: Serialize + ?Sized>(
    claims: &C,
    rules: &Rules,
) -> Result<Vec<u8>, Refusal> {
    let notes = Notes::default();
    let mut json = Vec::with_capacity(128);
    let mut serializer = serde_json::Serializer::with_formatter(&mut json, Noting(&notes));
    let outermost = Outermost { inner: &mut serializer, notes: &notes };
    claims.serialize(outermost).map_err(Refusal::Serialize)?;
    if json.first() != Some(&b'{') {
        return Err(Refusal::NoObject);
    }
    check(&notes, &json, rules)?;
    Ok(json)
}

#[inline]
fn check(notes: &Notes, json: &[u8], rules: &Rules) -> Result<(), Refusal> {
    let exp = match notes.is_odd.get() {
        true => again(json, rules)?,
        false if notes.deepest.get() > MAX_DEPTH => return Err(Refusal::TooDeep),
        // All that was understood has the right type, and is there once.
        false => match rules.required.iter().find(|claim| notes.found.lacks(**claim)) {
            Some(claim) => return Err(Refusal::Rejected(Reason::MissingClaim(*claim))),
            None => notes.found.exp.get(),
        },
    };
    match exp {
        // No clock shows a time before it.
        Found::Is(exp) if exp < 0 && rules.validation.validate_exp => Err(Refusal::BeforeTheEpoch),
        _ => Ok(()),
    }
}

/// Reads JSON that was not understood when it was written, and returns its `exp`.
#[cold]
fn again(json: &[u8], rules: &Rules) -> Result<Found<i128>, Refusal> {
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
    match deserializer.deserialize_map(Unique).map_err(unreadable)? {
        true => Ok(registered.exp),
        false => Err(Refusal::Twice),
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
                let digit = |own: &u8| char::from(*own).to_digit(16).unwrap_or_default();
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

/// The registered claims, the names and the depth of the JSON that was written.
#[derive(Default)]
struct Notes {
    found: Seen,
    place: Cell<Place>,
    /// Set if the members are the fields of a struct.
    is_struct: Cell<bool>,
    /// The place of the next value: `Name` until the name of its member was written.
    next: Cell<Place>,
    /// A bit for each name that was there, by its hash.
    names: [Cell<u64>; 16],
    depth: Cell<usize>,
    deepest: Cell<usize>,
    /// Set if something was written that is not understood.
    is_odd: Cell<bool>,
}

/// The registered claims that were seen.
#[derive(Default)]
struct Seen {
    exp: Cell<Found<i128>>,
    nbf: Cell<Found<i128>>,
    iss: Cell<Found<bool>>,
    sub: Cell<Found<bool>>,
    aud: Cell<Found<bool>>,
    iat: Cell<bool>,
    jti: Cell<bool>,
}

#[derive(Default, Clone, Copy)]
enum Place {
    /// Anything else: only the depth counts there.
    #[default]
    Elsewhere,
    /// At the name of a member that is no field of a struct.
    Name,
    /// Before the value of a registered claim.
    Value(Claim),
    /// In an array of audiences.
    Audiences,
}

/// The value of a registered claim.
enum Value {
    Number(i128),
    Text,
    Null,
}

impl Seen {
    /// Checks whether a claim is absent or null.
    #[inline]
    fn lacks(&self, claim: Claim) -> bool {
        fn is_lacking<T: Copy>(claim: &Cell<Found<T>>) -> bool {
            matches!(claim.get(), Found::Absent | Found::Null)
        }
        match claim {
            Claim::Exp => is_lacking(&self.exp),
            Claim::Nbf => is_lacking(&self.nbf),
            Claim::Iss => is_lacking(&self.iss),
            Claim::Sub => is_lacking(&self.sub),
            Claim::Aud => is_lacking(&self.aud),
            // Neither can be required.
            Claim::Iat | Claim::Jti => false,
        }
    }
}

/// Sets a claim, and returns whether it was absent before.
#[inline]
fn once<T>(claim: &Cell<Found<T>>, value: Found<T>) -> bool {
    matches!(claim.replace(value), Found::Absent)
}

impl Notes {
    #[inline]
    fn odd_if(&self, is_odd: bool) {
        self.is_odd.set(self.is_odd.get() | is_odd);
    }

    /// Takes note of a field, whose name is written next. Inlined, so that the name is a constant.
    #[inline(always)]
    fn field(&self, name: &'static str) {
        self.name(name.as_bytes());
    }

    #[inline(always)]
    fn name(&self, name: &[u8]) {
        let claim = match name {
            [a, b, c] => named(&[*a, *b, *c]),
            _ => None,
        };
        self.next.set(claim.map_or(Place::Elsewhere, Place::Value));
        // 1,024 bits: two names seldom have the same one.
        let byte = |place: usize| u64::from(name.get(place).copied().unwrap_or_default());
        let ends = byte(0) | byte(name.len() / 2) << 8 | byte(name.len().wrapping_sub(1)) << 16;
        let hash = (ends | (name.len() as u64) << 24).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let bit = hash >> 54;
        let word = &self.names[(bit >> 6) as usize];
        let mask = 1 << (bit & 63);
        let before = word.replace(word.get() | mask);
        self.odd_if(before & mask != 0);
    }

    #[inline]
    fn begin_name(&self) {
        if self.depth.get() == 1 && !self.is_struct.get() {
            self.place.set(Place::Name);
            self.next.set(Place::Name);
        }
    }

    #[inline]
    fn fragment(&self, fragment: &str) {
        if let Place::Name = self.place.get() {
            // A name in pieces has an escape, or is made by `Display`.
            self.odd_if(!matches!(self.next.get(), Place::Name));
            self.name(fragment.as_bytes());
        }
    }

    #[inline]
    fn escape(&self) {
        self.odd_if(matches!(self.place.get(), Place::Name));
    }

    #[inline]
    fn begin_value(&self) {
        if self.depth.get() == 1 {
            // An empty name has no fragment.
            self.odd_if(matches!(self.next.get(), Place::Name));
            self.place.set(self.next.get());
        }
    }

    #[inline]
    fn text(&self) {
        if let Place::Value(claim) = self.place.get() {
            self.note(claim, Value::Text);
        }
    }

    #[inline]
    fn number(&self, number: i128) {
        match self.place.get() {
            Place::Value(claim) => self.note(claim, Value::Number(number)),
            _ => self.other(),
        }
    }

    #[inline]
    fn null(&self) {
        match self.place.get() {
            Place::Value(claim) => self.note(claim, Value::Null),
            _ => self.other(),
        }
    }

    /// Something else than a whole number, a text or `null`.
    #[inline]
    fn other(&self) {
        self.odd_if(!matches!(self.place.get(), Place::Elsewhere));
    }

    #[inline]
    fn begin_array(&self) {
        match self.place.get() {
            Place::Value(Claim::Aud) => {
                self.odd_if(!once(&self.found.aud, Found::Is(false)));
                self.place.set(Place::Audiences);
            }
            _ => self.begin_other(),
        }
        self.enter();
    }

    #[inline]
    fn begin_object(&self) {
        self.begin_other();
        self.enter();
    }

    #[inline]
    fn begin_other(&self) {
        self.other();
        self.place.set(Place::Elsewhere);
    }

    #[inline]
    fn enter(&self) {
        let depth = self.depth.get() + 1;
        self.depth.set(depth);
        self.deepest.set(self.deepest.get().max(depth));
    }

    #[inline]
    fn leave(&self) {
        self.depth.set(self.depth.get().saturating_sub(1));
        self.place.set(Place::Elsewhere);
    }

    #[inline]
    fn note(&self, claim: Claim, value: Value) {
        let found = &self.found;
        let is_first = match (claim, value) {
            (Claim::Exp, Value::Number(number)) => once(&found.exp, date(number)),
            (Claim::Nbf, Value::Number(number)) => once(&found.nbf, date(number)),
            (Claim::Iss, Value::Text) => once(&found.iss, Found::Is(false)),
            (Claim::Sub, Value::Text) => once(&found.sub, Found::Is(false)),
            (Claim::Aud, Value::Text) => once(&found.aud, Found::Is(false)),
            (Claim::Exp, Value::Null) => once(&found.exp, Found::Null),
            (Claim::Nbf, Value::Null) => once(&found.nbf, Found::Null),
            (Claim::Iss, Value::Null) => once(&found.iss, Found::Null),
            (Claim::Sub, Value::Null) => once(&found.sub, Found::Null),
            (Claim::Aud, Value::Null) => once(&found.aud, Found::Null),
            (Claim::Iat, _) => !found.iat.replace(true),
            (Claim::Jti, _) => !found.jti.replace(true),
            _ => false,
        };
        self.odd_if(!is_first);
        self.place.set(Place::Elsewhere);
    }
}

/// A number of 64 bits, so that it is within the bounds of a date.
#[inline]
fn date(number: i128) -> Found<i128> {
    Found::Is(nanoseconds(number))
}

/// Writes compact JSON, and takes note of it.
struct Noting<'n>(&'n Notes);

macro_rules! noting {
    ($($method:ident($($argument:ident: $type:ty),*) $notes:ident => $note:expr;)*) => {$(
        #[inline]
        fn $method<W: ?Sized + Write>(
            &mut self, writer: &mut W $(, $argument: $type)*
        ) -> io::Result<()> {
            let $notes = self.0;
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
        write_char_escape(escape: CharEscape) notes => notes.escape();
        begin_array() notes => notes.begin_array();
        end_array() notes => notes.leave();
        begin_object() notes => notes.begin_object();
        end_object() notes => notes.leave();
        begin_object_key(first: bool) notes => notes.begin_name();
        begin_object_value() notes => notes.begin_value();
        // JSON that is written as it is.
        write_raw_fragment(fragment: &str) notes => notes.odd_if(true);
    }
}

/// The serializer of the claims as a whole.
struct Outermost<'n, S> {
    inner: S,
    notes: &'n Notes,
}

/// The fields of claims that are a struct.
struct Struct<'n, S> {
    inner: S,
    notes: &'n Notes,
}

macro_rules! passed_on {
    ($($method:ident($($argument:ident: $type:ty),*) -> $result:ident;)*) => {$(
        #[inline]
        fn $method(self $(, $argument: $type)*) -> Result<S::$result, S::Error> {
            self.inner.$method($($argument),*)
        }
    )*};
}

impl<'n, S: Serializer> Serializer for Outermost<'n, S> {
    type Ok = S::Ok;
    type Error = S::Error;
    type SerializeSeq = S::SerializeSeq;
    type SerializeTuple = S::SerializeTuple;
    type SerializeTupleStruct = S::SerializeTupleStruct;
    type SerializeTupleVariant = S::SerializeTupleVariant;
    type SerializeMap = S::SerializeMap;
    type SerializeStruct = Struct<'n, S::SerializeStruct>;
    type SerializeStructVariant = S::SerializeStructVariant;

    passed_on! {
        serialize_bool(value: bool) -> Ok;
        serialize_i8(value: i8) -> Ok;
        serialize_i16(value: i16) -> Ok;
        serialize_i32(value: i32) -> Ok;
        serialize_i64(value: i64) -> Ok;
        serialize_i128(value: i128) -> Ok;
        serialize_u8(value: u8) -> Ok;
        serialize_u16(value: u16) -> Ok;
        serialize_u32(value: u32) -> Ok;
        serialize_u64(value: u64) -> Ok;
        serialize_u128(value: u128) -> Ok;
        serialize_f32(value: f32) -> Ok;
        serialize_f64(value: f64) -> Ok;
        serialize_char(value: char) -> Ok;
        serialize_str(value: &str) -> Ok;
        serialize_bytes(value: &[u8]) -> Ok;
        serialize_none() -> Ok;
        serialize_unit() -> Ok;
        serialize_unit_struct(name: &'static str) -> Ok;
        serialize_unit_variant(name: &'static str, index: u32, variant: &'static str) -> Ok;
        serialize_seq(length: Option<usize>) -> SerializeSeq;
        serialize_tuple(length: usize) -> SerializeTuple;
        serialize_tuple_struct(name: &'static str, length: usize) -> SerializeTupleStruct;
        serialize_tuple_variant(
            name: &'static str, index: u32, variant: &'static str, length: usize
        ) -> SerializeTupleVariant;
        serialize_map(length: Option<usize>) -> SerializeMap;
        serialize_struct_variant(
            name: &'static str, index: u32, variant: &'static str, length: usize
        ) -> SerializeStructVariant;
    }

    #[inline]
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        // JSON has no other form for it.
        value.serialize(self)
    }

    #[inline]
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        value.serialize(self)
    }

    #[inline]
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        self.inner.serialize_newtype_variant(name, index, variant, value)
    }

    #[inline]
    fn serialize_struct(
        self,
        name: &'static str,
        length: usize,
    ) -> Result<Self::SerializeStruct, S::Error> {
        self.notes.is_struct.set(true);
        Ok(Struct { inner: self.inner.serialize_struct(name, length)?, notes: self.notes })
    }

    #[inline]
    fn collect_str<T: fmt::Display + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        self.inner.collect_str(value)
    }

    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

impl<S: SerializeStruct> SerializeStruct for Struct<'_, S> {
    type Ok = S::Ok;
    type Error = S::Error;

    #[inline(always)]
    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), S::Error> {
        self.notes.field(name);
        self.inner.serialize_field(name, value)
    }

    #[inline]
    fn skip_field(&mut self, name: &'static str) -> Result<(), S::Error> {
        self.inner.skip_field(name)
    }

    #[inline]
    fn end(self) -> Result<S::Ok, S::Error> {
        self.inner.end()
    }
}
