//! The registered claims of any payload, in one pass that builds no tree. It decides where
//! [`observe`](super::observe) has not understood everything, and the two must agree elsewhere.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::registered::{self, Found, Registered, Rules, nanoseconds};
use crate::error::{Claim, Reason};

/// Reads the registered claims of `payload`, whose signature held.
pub(super) fn read(payload: &str, rules: &Rules) -> Result<Registered, Reason> {
    let mut deserializer = serde_json::Deserializer::from_str(payload);
    let claims = deserializer
        .deserialize_map(Pass { rules, found: Registered::default() })
        .map_err(|_| Reason::Payload)?;
    deserializer.end().map_err(|_| Reason::Payload)?;
    Ok(claims)
}

struct Pass<'v> {
    rules: &'v Rules,
    found: Registered,
}

impl<'de> Visitor<'de> for Pass<'_> {
    type Value = Registered;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a claims set")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Registered, A::Error> {
        let Self { rules, mut found } = self;
        let is_iss = |iss: &str| rules.is_iss(iss);
        let is_sub = |sub: &str| rules.is_sub(sub);
        let is_aud = |aud: &str| rules.is_aud(aud);
        while let Some(name) = map.next_key_seed(Name)? {
            let Some(claim) = name else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let again = match claim {
                Claim::Exp => set(&mut found.exp, date(map.next_value::<&RawValue>()?.get())),
                Claim::Nbf => set(&mut found.nbf, date(map.next_value::<&RawValue>()?.get())),
                Claim::Iss => set(&mut found.iss, text(map.next_value()?, Text(&is_iss))?),
                Claim::Sub => set(&mut found.sub, text(map.next_value()?, Text(&is_sub))?),
                Claim::Aud => set(&mut found.aud, text(map.next_value()?, TextOrTexts(&is_aud))?),
                Claim::Iat => {
                    map.next_value::<IgnoredAny>()?;
                    std::mem::replace(&mut found.iat, true)
                }
                Claim::Jti => {
                    map.next_value::<IgnoredAny>()?;
                    std::mem::replace(&mut found.jti, true)
                }
            };
            if again {
                found.twice.get_or_insert(claim);
            }
        }
        Ok(found)
    }
}

/// Sets a claim, and returns whether it was set before.
fn set<T>(claim: &mut Found<T>, value: Found<T>) -> bool {
    !matches!(std::mem::replace(claim, value), Found::Absent)
}

/// The name of a member, if it is that of a registered claim.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Option<Claim>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name {
    type Value = Option<Claim>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a claim")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(name.as_bytes().try_into().ok().and_then(registered::find_claim))
    }
}

/// A NumericDate (RFC 7519 §2), seconds since the epoch, whole or not: in nanoseconds.
///
/// Read from the text of the value and not through a visitor, whose view of a number
/// depends on features of `serde_json` that others may turn on.
fn date(text: &str) -> Found<i128> {
    // Later than this it would be a date that never comes: refused, not rounded. What
    // lies as far in the past is past all the same.
    const LAST: i128 = u64::MAX as i128;
    if let Ok(whole) = text.parse::<i128>() {
        return if whole <= LAST {
            Found::Is(nanoseconds(whole.max(-LAST)))
        } else {
            Found::WrongType
        };
    }
    if text == "null" {
        return Found::Null;
    }
    if text.starts_with(['[', '{']) {
        return Found::Compound;
    }
    match text.parse::<f64>() {
        Ok(value) if value < LAST as f64 => {
            let value = value.max(-LAST as f64);
            Found::Is(nanoseconds(value.trunc() as i128) + (value.fract() * 1e9) as i128)
        }
        _ => Found::WrongType,
    }
}

/// Reads a value with `seed`, unless it is `null` or a number.
///
/// A number is known by its text: under `serde_json/arbitrary_precision`, which others may turn on,
/// a visitor is shown some numbers as objects.
fn text<'de, S, E>(value: &'de RawValue, seed: S) -> Result<Found<bool>, E>
where
    S: DeserializeSeed<'de, Value = Found<bool>>,
    E: serde::de::Error,
{
    if value.get() == "null" {
        return Ok(Found::Null);
    }
    if value.get().starts_with(|first: char| first == '-' || first.is_ascii_digit()) {
        return Ok(Found::WrongType);
    }
    seed.deserialize(&mut serde_json::Deserializer::from_str(value.get())).map_err(E::custom)
}

/// Declares a seed that takes any JSON value: of a string it makes whether that is asked
/// for; of an array, what the method makes of it; of the others `WrongType`.
macro_rules! seed {
    ($seed:ident, $visit_seq:item) => {
        impl<'de> DeserializeSeed<'de> for $seed<'_> {
            type Value = Found<bool>;

            fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
                from.deserialize_any(self)
            }
        }

        impl<'de> Visitor<'de> for $seed<'_> {
            type Value = Found<bool>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }

            fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
                Ok(Found::Is((self.0)(value)))
            }

            $visit_seq

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Found::Compound)
            }

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Found::WrongType)
            }

            fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
                Ok(Found::WrongType)
            }

            fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
                Ok(Found::WrongType)
            }

            fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
                Ok(Found::WrongType)
            }

            fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
                Ok(Found::WrongType)
            }
        }
    };
}

/// A string, and whether it is one of those that are asked for.
struct Text<'p>(&'p dyn Fn(&str) -> bool);

seed! { Text,
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Found::Compound)
    }
}

/// A string or an array of strings, and whether one of them is asked for.
struct TextOrTexts<'p>(&'p dyn Fn(&str) -> bool);

seed! { TextOrTexts,
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut all = Found::Is(false);
        while let Some(one) = seq.next_element_seed(Text(self.0))? {
            all = match (all, one) {
                (Found::Is(any), Found::Is(this)) => Found::Is(any | this),
                _ => Found::WrongType,
            };
        }
        Ok(all)
    }
}
