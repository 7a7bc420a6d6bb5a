//! The formatter and the serializers that write claims and take notes of them.
//!
//! They change no byte: each method calls the same method of the inner object, once.

use std::fmt;
use std::io::{self, Write};

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};
use serde_json::ser::{CharEscape, CompactFormatter, Formatter};

use super::notes::Notes;

/// Writes compact JSON, and takes note of it.
pub(super) struct Noting<'n>(&'n Notes);

impl<'n> Noting<'n> {
    #[inline]
    pub(super) fn new(notes: &'n Notes) -> Self {
        Self(notes)
    }
}

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
pub(super) struct Outermost<'n, S> {
    inner: S,
    notes: &'n Notes,
}

impl<'n, S> Outermost<'n, S> {
    #[inline]
    pub(super) fn new(inner: S, notes: &'n Notes) -> Self {
        Self { inner, notes }
    }
}

/// The fields of claims that are a struct.
pub(super) struct Struct<'n, S> {
    inner: S,
    notes: &'n Notes,
}

macro_rules! pass_on {
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

    pass_on! {
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
        self.notes.begin_struct();
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
