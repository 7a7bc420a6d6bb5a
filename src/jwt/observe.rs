//! A proxy between `serde_json` and the caller's type, which observes the registered claims while
//! the type is deserialized. A pass of its own for them takes 33 to 40 % more instructions for a
//! whole `verify`, counted as `benches/instructions` does.
//!
//! Invariant: **the proxy changes nothing that the type is made of, and decides nothing.**
//!
//! - Each method calls the same method of the inner object once, with the arguments that it got
//!   and with the same object behind the next proxy. It returns the result unchanged. One call
//!   differs: a registered claim that the type ignores is deserialized with `deserialize_any`, so
//!   that it can be observed. That fails for a number that no type holds, so the caller deserializes
//!   again without the proxy before it reports an error.
//! - A type need not visit all members, and may read a claim in a way that shows the proxy nothing.
//!   So the observation counts only if the proxy saw every name, the end of the members, and no
//!   value that it does not understand ([`Watch::registered`]). Otherwise
//!   [`claims::read`](super::claims::read) reads the payload again, and its result alone counts.
//! - The caller's type may verify another token within its own `Deserialize`. So there is no state
//!   outside of [`Watch`], which lives for one token.
//!
//! The tests in `tests/fast_vs_reference.rs` and the fuzz target `jwt` prove it: for types of each
//! kind, the verdict and the claims are those of the verifier in `reference.rs`, which does not use
//! the proxy.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, Visitor,
};

use super::watch::{ClaimValue, Level, Name, Payload, Watch};

/// Parses the claims of `payload`, and lets `watch` observe the registered ones.
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

/// A deserializer, a visitor or a seed, at a level of the payload.
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
        if L::IS_VALUE {
            // The one change of a call: the rules may need a claim that the type ignores.
            self.deserialize_any(visitor)
        } else {
            self.inner.deserialize_ignored_any(Tap::<_, L>::new(visitor, self.watch))
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

/// The members of the payload, in their order.
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
        self.watch.begin_member();
        let key = self.map.next_key_seed(Tap::<_, Name>::new(seed, self.watch))?;
        self.watch.end_name(key.is_none());
        Ok(key)
    }

    #[inline]
    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        let Some(claim) = self.watch.begin_value() else {
            return self.map.next_value_seed(seed);
        };
        let value = self.map.next_value_seed(Tap::<_, ClaimValue>::new(seed, self.watch))?;
        self.watch.note(claim);
        Ok(value)
    }

    fn size_hint(&self) -> Option<usize> {
        self.map.size_hint()
    }
}
