//! The registered claims of RFC 7519 §4.1 against a `Validation`, in one pass over
//! the payload that builds no tree.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::Validation;
use crate::error::{Claim, Reason};

/// Checks the claims of `payload`, whose signature held.
pub(super) fn check(payload: &str, validation: &Validation, now: SystemTime) -> Result<(), Reason> {
    let mut deserializer = serde_json::Deserializer::from_str(payload);
    let claims = deserializer
        .deserialize_map(Pass { validation, found: Registered::default() })
        .map_err(|_| Reason::Payload)?;
    deserializer.end().map_err(|_| Reason::Payload)?;
    claims.check(validation, now)
}

#[derive(Default)]
struct Registered {
    /// Nanoseconds since the epoch.
    exp: Found<i128>,
    nbf: Found<i128>,
    /// Whether it is one of those that are asked for.
    iss: Found<bool>,
    sub: Found<bool>,
    aud: Found<bool>,
    iat: bool,
    jti: bool,
    twice: Option<Claim>,
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Found<T> {
    #[default]
    Absent,
    WrongType,
    /// Of the wrong type, and an array or an object.
    Compound,
    Is(T),
}

impl Registered {
    fn check(&self, validation: &Validation, now: SystemTime) -> Result<(), Reason> {
        if let Some(claim) = self.twice {
            return Err(Reason::DuplicateClaim(claim));
        }
        // These refuse a token whether or not they are asked for, as `jsonwebtoken` does.
        for (is_compound, claim) in [
            (self.exp == Found::Compound, Claim::Exp),
            (self.nbf == Found::Compound, Claim::Nbf),
            (self.sub == Found::Compound, Claim::Sub),
        ] {
            if is_compound {
                return Err(Reason::ClaimType(claim));
            }
        }
        for name in &validation.required_spec_claims {
            match name.as_str() {
                "exp" => required(self.exp, Claim::Exp)?,
                "nbf" => required(self.nbf, Claim::Nbf)?,
                "iss" => required(self.iss, Claim::Iss)?,
                "sub" => required(self.sub, Claim::Sub)?,
                "aud" => required(self.aud, Claim::Aud)?,
                _ => {}
            }
        }
        self.check_times(validation, now)?;
        one_of(self.sub, validation.sub.is_some(), Claim::Sub)?;
        one_of(self.iss, validation.iss.is_some(), Claim::Iss)?;
        // An audience is checked wherever there is one: who names none of their
        // own is not meant (RFC 7519 §4.1.3).
        one_of(self.aud, validation.validate_aud, Claim::Aud)
    }

    fn check_times(&self, validation: &Validation, now: SystemTime) -> Result<(), Reason> {
        let now = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as i128);
        let leeway = seconds(validation.leeway);
        let early = seconds(validation.reject_tokens_expiring_in_less_than);
        if validation.validate_exp && self.exp == Found::WrongType {
            return Err(Reason::ClaimType(Claim::Exp));
        }
        if validation.validate_nbf && self.nbf == Found::WrongType {
            return Err(Reason::ClaimType(Claim::Nbf));
        }
        if let Found::Is(exp) = self.exp {
            // `jsonwebtoken` asks this of a token even where `exp` is not validated.
            let too_early = (validation.validate_exp || validation.validate_nbf) && exp < early;
            // "on or after which it must not be accepted", RFC 7519 §4.1.4.
            if too_early || (validation.validate_exp && exp - early + leeway <= now) {
                return Err(Reason::Expired);
            }
        }
        match self.nbf {
            Found::Is(nbf) if validation.validate_nbf && nbf > now + leeway => {
                Err(Reason::NotYetValid)
            }
            _ => Ok(()),
        }
    }
}

fn required<T>(claim: Found<T>, name: Claim) -> Result<(), Reason> {
    match claim {
        Found::Absent => Err(Reason::MissingClaim(name)),
        Found::WrongType | Found::Compound => Err(Reason::ClaimType(name)),
        Found::Is(_) => Ok(()),
    }
}

fn one_of(claim: Found<bool>, is_asked: bool, name: Claim) -> Result<(), Reason> {
    match claim {
        Found::WrongType | Found::Compound if is_asked => Err(Reason::ClaimType(name)),
        Found::Is(false) if is_asked => Err(Reason::WrongClaim(name)),
        _ => Ok(()),
    }
}

/// Seconds in nanoseconds: the whole range of `u64` fits, and sums of it.
fn seconds(seconds: u64) -> i128 {
    i128::from(seconds) * 1_000_000_000
}

struct Pass<'v> {
    validation: &'v Validation,
    found: Registered,
}

impl<'de> Visitor<'de> for Pass<'_> {
    type Value = Registered;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a claims set")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Registered, A::Error> {
        let Self { validation, mut found } = self;
        let is_iss = |iss: &str| validation.iss.as_ref().is_some_and(|any| any.contains(iss));
        let is_sub = |sub: &str| validation.sub.as_deref() == Some(sub);
        let is_aud = |aud: &str| validation.aud.as_ref().is_some_and(|any| any.contains(aud));
        while let Some(name) = map.next_key_seed(Name)? {
            let Some(claim) = name else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let again = match claim {
                Claim::Exp => set(&mut found.exp, date(map.next_value::<&RawValue>()?.get())),
                Claim::Nbf => set(&mut found.nbf, date(map.next_value::<&RawValue>()?.get())),
                Claim::Iss => set(&mut found.iss, map.next_value_seed(Text(&is_iss))?),
                Claim::Sub => set(&mut found.sub, map.next_value_seed(Text(&is_sub))?),
                Claim::Aud => set(&mut found.aud, map.next_value_seed(TextOrTexts(&is_aud))?),
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

/// Whether it was set before.
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
        const ALL: [Claim; 7] =
            [Claim::Iss, Claim::Sub, Claim::Aud, Claim::Exp, Claim::Nbf, Claim::Iat, Claim::Jti];
        Ok(ALL.into_iter().find(|claim| claim.as_str() == name))
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
        return match whole <= LAST {
            true => Found::Is(whole.max(-LAST) * 1_000_000_000),
            false => Found::WrongType,
        };
    }
    if text.starts_with(['[', '{']) {
        return Found::Compound;
    }
    match text.parse::<f64>() {
        Ok(value) if value < LAST as f64 => {
            let value = value.max(-LAST as f64);
            Found::Is(value.trunc() as i128 * 1_000_000_000 + (value.fract() * 1e9) as i128)
        }
        _ => Found::WrongType,
    }
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
