//! The registered claims of RFC 7519 §4.1 against a `Validation`.

use std::time::Duration;

use super::Validation;
use crate::error::{Claim, Reason};

/// A `Validation`, with what it asks for looked up once.
#[derive(Debug)]
pub(super) struct Rules {
    pub(super) validation: Validation,
    required: Vec<Claim>,
}

impl Rules {
    pub(super) fn new(validation: Validation) -> Self {
        // Of `required_spec_claims`, `jsonwebtoken` knows these and ignores others.
        let required = [Claim::Exp, Claim::Nbf, Claim::Iss, Claim::Sub, Claim::Aud]
            .into_iter()
            .filter(|claim| validation.required_spec_claims.contains(claim.as_str()))
            .collect();
        Self { validation, required }
    }

    pub(super) fn is_iss(&self, iss: &str) -> bool {
        self.validation.iss.as_ref().is_some_and(|any| any.contains(iss))
    }

    pub(super) fn is_sub(&self, sub: &str) -> bool {
        self.validation.sub.as_deref() == Some(sub)
    }

    pub(super) fn is_aud(&self, aud: &str) -> bool {
        self.validation.aud.as_ref().is_some_and(|any| any.contains(aud))
    }
}

/// The registered claim of this name.
pub(super) fn named(name: &[u8; 3]) -> Option<Claim> {
    match name {
        b"iss" => Some(Claim::Iss),
        b"sub" => Some(Claim::Sub),
        b"aud" => Some(Claim::Aud),
        b"exp" => Some(Claim::Exp),
        b"nbf" => Some(Claim::Nbf),
        b"iat" => Some(Claim::Iat),
        b"jti" => Some(Claim::Jti),
        _ => None,
    }
}

/// What a payload says of its registered claims.
#[derive(Default, Debug, PartialEq)]
pub(super) struct Registered {
    /// Nanoseconds since the epoch.
    pub(super) exp: Found<i128>,
    pub(super) nbf: Found<i128>,
    /// Whether it is one of those that are asked for.
    pub(super) iss: Found<bool>,
    pub(super) sub: Found<bool>,
    pub(super) aud: Found<bool>,
    pub(super) iat: bool,
    pub(super) jti: bool,
    pub(super) twice: Option<Claim>,
}

#[derive(Default, Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found<T> {
    #[default]
    Absent,
    WrongType,
    /// Of the wrong type, and an array or an object.
    Compound,
    Is(T),
}

impl Registered {
    pub(super) fn check(&self, rules: &Rules, now: Duration) -> Result<(), Reason> {
        let validation = &rules.validation;
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
        for claim in &rules.required {
            match claim {
                Claim::Exp => required(self.exp, *claim)?,
                Claim::Nbf => required(self.nbf, *claim)?,
                Claim::Iss => required(self.iss, *claim)?,
                Claim::Sub => required(self.sub, *claim)?,
                Claim::Aud => required(self.aud, *claim)?,
                // Nobody can ask for them.
                Claim::Iat | Claim::Jti => {}
            }
        }
        self.check_times(validation, now)?;
        one_of(self.sub, validation.sub.is_some(), Claim::Sub)?;
        one_of(self.iss, validation.iss.is_some(), Claim::Iss)?;
        // An audience is checked wherever there is one: who names none of their
        // own is not meant (RFC 7519 §4.1.3).
        one_of(self.aud, validation.validate_aud, Claim::Aud)
    }

    fn check_times(&self, validation: &Validation, now: Duration) -> Result<(), Reason> {
        let now = now.as_nanos() as i128;
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
    nanoseconds(i128::from(seconds))
}

pub(super) fn nanoseconds(seconds: i128) -> i128 {
    seconds * 1_000_000_000
}
