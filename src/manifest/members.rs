//! The members of an object of JSON, whatever they hold, and however often one is there.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The members of an object in their order, each with its value as text.
#[derive(Default)]
pub(super) struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// Reads a name. One that is no text, because it has half of a surrogate pair, stays as it is written: a
/// single odd name hides no other member.
fn read_name(written: &RawValue) -> Cow<'_, str> {
    match serde_json::from_str(written.get()) {
        Ok(Name(name)) => name,
        Err(_) => Cow::Borrowed(written.get()),
    }
}

impl<'a> Members<'a> {
    /// Reads the members of `text`; none, if it is no object.
    pub(super) fn read(text: &'a str) -> Self {
        serde_json::from_str(text).unwrap_or_default()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        self.0.iter().map(|(name, value)| (&**name, *value))
    }

    /// Returns the text of each member `name`.
    pub(super) fn values_of<'m>(&'m self, name: &'m str) -> impl Iterator<Item = &'a str> + 'm {
        self.0.iter().filter(move |(member, _)| member == name).map(|(_, value)| value.get())
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some((name, value)) = map.next_entry::<&RawValue, _>()? {
                    members.push((read_name(name), value));
                }
                Ok(Members(members))
            }
        }
        input.deserialize_map(Object)
    }
}
