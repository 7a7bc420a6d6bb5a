//! The claims and the registered ones among them in one parse: what the caller's type is
//! made of passes through here, and is looked at on its way.
//!
//! Where the type does not walk through all members, or takes a registered claim as
//! something else than a whole number, a text or `null`, that is not seen; [`parse`] says so, and
//! the pass over any payload must be asked.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, Visitor,
};

use super::registered::{Found, Registered, Rules, named, nanoseconds, once};
use crate::error::Claim;

/// Parses the claims of `payload`, and lets `watch` see them pass.
#[inline]
pub(super) fn parse<'p, C: Deserialize<'p>>(
    payload: &'p str,
    watch: &mut Watch<'_>,
) -> Result<C, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(payload);
    let claims = C::deserialize(Tap::<_, Payload>::new(&mut deserializer, watch))?;
    deserializer.end()?;
    Ok(claims)
}

pub(super) struct Watch<'r> {
    rules: &'r Rules,
    found: Registered,
    /// The name of the member that is read, once it was seen.
    name: Option<Option<Claim>>,
    value: Value,
    /// Whether the members have come to their end.
    is_whole: bool,
    /// Whether something has passed by that is not understood.
    is_odd: bool,
}

impl<'r> Watch<'r> {
    #[inline]
    pub(super) fn new(rules: &'r Rules) -> Self {
        let found = Registered::default();
        Self { rules, found, name: None, value: Value::Other, is_whole: false, is_odd: false }
    }

    /// What the payload says of its registered claims, if all of that was seen.
    #[inline]
    pub(super) fn registered(&self) -> Option<&Registered> {
        (self.is_whole && !self.is_odd).then_some(&self.found)
    }
}

/// What a registered claim was seen to be.
enum Value {
    Number(u64),
    Text { is_asked: bool },
    Null,
    Other,
}

impl Watch<'_> {
    /// Takes note of `claim`, whose value has been read.
    #[inline]
    fn note(&mut self, claim: Claim) {
        let found = &mut self.found;
        let is_first = match (claim, &self.value) {
            (Claim::Exp, Value::Number(seconds)) => once(&mut found.exp, date(*seconds)),
            (Claim::Nbf, Value::Number(seconds)) => once(&mut found.nbf, date(*seconds)),
            (Claim::Iss, Value::Text { is_asked }) => once(&mut found.iss, Found::Is(*is_asked)),
            (Claim::Sub, Value::Text { is_asked }) => once(&mut found.sub, Found::Is(*is_asked)),
            (Claim::Aud, Value::Text { is_asked }) => once(&mut found.aud, Found::Is(*is_asked)),
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
    }
}

fn date(seconds: u64) -> Found<i128> {
    Found::Is(nanoseconds(i128::from(seconds)))
}

/// What passes through: the payload, the name of a member, or the value of a claim.
trait Level: Sized {
    /// Whether a map is that of the members.
    const HOLDS_MEMBERS: bool = false;
    /// Whether what the type ignores is of interest.
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

struct Payload;
struct Name;
struct ClaimValue;

impl Level for Payload {
    const HOLDS_MEMBERS: bool = true;

    fn other(watch: &mut Watch<'_>) {
        watch.is_odd = true;
    }
}

impl Level for Name {
    #[inline]
    fn text(watch: &mut Watch<'_>, text: &str) {
        watch.name = Some(text.as_bytes().try_into().ok().and_then(named));
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

/// A deserializer, a visitor or a seed that something passes through.
struct Tap<'w, 'r, T, L> {
    inner: T,
    watch: &'w mut Watch<'r>,
    level: PhantomData<L>,
}

impl<'w, 'r, T, L> Tap<'w, 'r, T, L> {
    #[inline]
    fn new(inner: T, watch: &'w mut Watch<'r>) -> Self {
        Self { inner, watch, level: PhantomData }
    }
}

impl<'de, S: DeserializeSeed<'de>, L: Level> DeserializeSeed<'de> for Tap<'_, '_, S, L> {
    type Value = S::Value;

    #[inline]
    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<S::Value, D::Error> {
        self.inner.deserialize(Tap::<_, L>::new(from, self.watch))
    }
}

macro_rules! deserialize {
    ($($method:ident($($argument:ident: $type:ty),*);)*) => {$(
        #[inline]
        fn $method<V: Visitor<'de>>(
            self, $($argument: $type,)* visitor: V
        ) -> Result<V::Value, D::Error> {
            self.inner.$method($($argument,)* Tap::<_, L>::new(visitor, self.watch))
        }
    )*};
}

impl<'de, D: Deserializer<'de>, L: Level> Deserializer<'de> for Tap<'_, '_, D, L> {
    type Error = D::Error;

    deserialize! {
        deserialize_any(); deserialize_bool();
        deserialize_i8(); deserialize_i16(); deserialize_i32(); deserialize_i64(); deserialize_i128();
        deserialize_u8(); deserialize_u16(); deserialize_u32(); deserialize_u64(); deserialize_u128();
        deserialize_f32(); deserialize_f64(); deserialize_char();
        deserialize_str(); deserialize_string(); deserialize_bytes(); deserialize_byte_buf();
        deserialize_option(); deserialize_unit(); deserialize_seq(); deserialize_map();
        deserialize_identifier();
        deserialize_unit_struct(name: &'static str);
        deserialize_newtype_struct(name: &'static str);
        deserialize_tuple(len: usize);
        deserialize_tuple_struct(name: &'static str, len: usize);
        deserialize_struct(name: &'static str, fields: &'static [&'static str]);
        deserialize_enum(name: &'static str, variants: &'static [&'static str]);
    }

    #[inline]
    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        match L::IS_VALUE {
            // What the type ignores may be what is asked for.
            true => self.deserialize_any(visitor),
            false => self.inner.deserialize_ignored_any(Tap::<_, L>::new(visitor, self.watch)),
        }
    }

    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

macro_rules! visit {
    ($($method:ident($type:ty) as $kind:ident;)*) => {$(
        #[inline]
        fn $method<E: Error>(self, value: $type) -> Result<V::Value, E> {
            visit!(@ $kind self.watch, value);
            self.inner.$method(value)
        }
    )*};
    (@ number $watch:expr, $value:ident) => { L::number($watch, $value) };
    (@ text $watch:expr, $value:ident) => { L::text($watch, &$value) };
    (@ other $watch:expr, $value:ident) => { L::other($watch) };
}

impl<'de, V: Visitor<'de>, L: Level> Visitor<'de> for Tap<'_, '_, V, L> {
    type Value = V::Value;

    visit! {
        visit_u64(u64) as number;
        visit_str(&str) as text; visit_borrowed_str(&'de str) as text; visit_string(String) as text;
        visit_bool(bool) as other; visit_char(char) as other;
        visit_i8(i8) as other; visit_i16(i16) as other; visit_i32(i32) as other;
        visit_i64(i64) as other; visit_i128(i128) as other;
        visit_u8(u8) as other; visit_u16(u16) as other; visit_u32(u32) as other;
        visit_u128(u128) as other;
        visit_f32(f32) as other; visit_f64(f64) as other;
        visit_bytes(&[u8]) as other; visit_borrowed_bytes(&'de [u8]) as other;
        visit_byte_buf(Vec<u8>) as other;
    }

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.expecting(f)
    }

    #[inline]
    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        L::null(self.watch);
        self.inner.visit_none()
    }

    #[inline]
    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        L::null(self.watch);
        self.inner.visit_unit()
    }

    #[inline]
    fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<V::Value, D::Error> {
        self.inner.visit_some(Tap::<_, L>::new(from, self.watch))
    }

    #[inline]
    fn visit_newtype_struct<D: Deserializer<'de>>(self, from: D) -> Result<V::Value, D::Error> {
        self.inner.visit_newtype_struct(Tap::<_, L>::new(from, self.watch))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<V::Value, A::Error> {
        L::other(self.watch);
        self.inner.visit_seq(seq)
    }

    #[inline]
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<V::Value, A::Error> {
        if L::HOLDS_MEMBERS {
            return self.inner.visit_map(Members { map, watch: self.watch });
        }
        L::other(self.watch);
        self.inner.visit_map(map)
    }

    fn visit_enum<A: EnumAccess<'de>>(self, data: A) -> Result<V::Value, A::Error> {
        L::other(self.watch);
        self.inner.visit_enum(data)
    }
}

/// The members of the payload, one after the other.
struct Members<'w, 'r, A> {
    map: A,
    watch: &'w mut Watch<'r>,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Members<'_, '_, A> {
    type Error = A::Error;

    #[inline]
    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        self.watch.name = None;
        let key = self.map.next_key_seed(Tap::<_, Name>::new(seed, self.watch))?;
        self.watch.is_whole = key.is_none();
        self.watch.is_odd |= key.is_some() && self.watch.name.is_none();
        Ok(key)
    }

    #[inline]
    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        let Some(claim) = self.watch.name.flatten() else {
            return self.map.next_value_seed(seed);
        };
        self.watch.value = Value::Other;
        let value = self.map.next_value_seed(Tap::<_, ClaimValue>::new(seed, self.watch))?;
        self.watch.note(claim);
        Ok(value)
    }

    fn size_hint(&self) -> Option<usize> {
        self.map.size_hint()
    }
}
