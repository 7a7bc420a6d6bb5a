//! The registered claims of RFC 7519 §4.1 against a `Validation`.

use std::time::Duration;

use super::Validation;
use crate::error::{Claim, Reason};

/// A `Validation`, with what it asks for looked up once.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    pub(super) validation: Validation,
    /// Nanoseconds.
    leeway: i128,
    pub(super) required: Vec<Claim>,
}

impl Rules {
    pub(super) fn new(validation: Validation) -> Self {
        let leeway = seconds(validation.leeway);
        let mut rules = Self { validation, leeway, required: Vec::new() };
        rules.look_up_required();
        rules
    }

    /// Takes the settings of `validation`, and keeps the checks that its defaults lack.
    pub(super) fn update(&self, mut validation: Validation) -> Self {
        // `jsonwebtoken` has it off by default, so that off does not mean that it was turned off.
        validation.validate_nbf = true;
        let required = &mut validation.required_spec_claims;
        // A list of other claims does not mean that `exp` was left out. An empty one does.
        if validation.validate_exp && !required.is_empty() {
            required.insert(Claim::Exp.as_str().to_owned());
        }
        let before = &self.validation;
        validation.iss = validation.iss.or_else(|| before.iss.clone());
        validation.aud = validation.aud.or_else(|| before.aud.clone());
        validation.sub = validation.sub.or_else(|| before.sub.clone());
        let has_leeway = validation.leeway != Validation::default().leeway;
        let mut rules = Self::new(validation);
        if !has_leeway {
            rules.leeway = self.leeway;
        }
        rules
    }

    pub(super) fn add_issuer(&mut self, issuer: String) {
        self.validation.iss.get_or_insert_default().insert(issuer);
        self.look_up_required();
    }

    pub(super) fn add_audience(&mut self, audience: String) {
        self.validation.aud.get_or_insert_default().insert(audience);
        self.validation.validate_aud = true;
        self.look_up_required();
    }

    pub(super) fn set_leeway(&mut self, leeway: Duration) {
        self.leeway = leeway.as_nanos() as i128;
    }

    fn look_up_required(&mut self) {
        // Of `required_spec_claims`, `jsonwebtoken` knows these and ignores others.
        self.required = [Claim::Exp, Claim::Nbf, Claim::Iss, Claim::Sub, Claim::Aud]
            .into_iter()
            .filter(|claim| {
                self.validation.required_spec_claims.contains(claim.as_str())
                    || self.is_asked(*claim)
            })
            .collect();
    }

    /// Checks whether a value of `claim` was asked for. A claim that was asked for is required:
    /// a token for another issuer or audience may lack it (RFC 8725 §3.8, §3.9).
    fn is_asked(&self, claim: Claim) -> bool {
        let validation = &self.validation;
        match claim {
            Claim::Iss => validation.iss.is_some(),
            Claim::Sub => validation.sub.is_some(),
            Claim::Aud => validation.validate_aud && validation.aud.is_some(),
            Claim::Exp | Claim::Nbf | Claim::Iat | Claim::Jti => false,
        }
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
#[inline(always)]
pub(super) fn find_claim(name: &[u8; 3]) -> Option<Claim> {
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
    /// There, and `null`: counts as absent, but not beside another of its name.
    Null,
    WrongType,
    /// Of the wrong type, and an array or an object.
    Compound,
    Is(T),
}

impl Registered {
    pub(super) fn check(&self, rules: &Rules, now: Duration) -> Result<(), Reason> {
        self.check_form(rules)?;
        self.check_times(rules, now)?;
        let validation = &rules.validation;
        check_value(self.sub, validation.sub.is_some(), Claim::Sub)?;
        check_value(self.iss, validation.iss.is_some(), Claim::Iss)?;
        // An audience is checked wherever there is one: who names none of their
        // own is not meant (RFC 7519 §4.1.3).
        check_value(self.aud, validation.validate_aud, Claim::Aud)
    }

    /// Checks what depends neither on the time nor on who is meant: which claims are there, how
    /// often, and of which type.
    pub(super) fn check_form(&self, rules: &Rules) -> Result<(), Reason> {
        let validation = &rules.validation;
        if let Some(claim) = self.twice {
            return Err(Reason::DuplicateClaim(claim));
        }
        // These refuse a token whether or not they are asked for, as `jsonwebtoken` does.
        for (is_compound, claim) in [
            (matches!(self.exp, Found::Compound), Claim::Exp),
            (matches!(self.nbf, Found::Compound), Claim::Nbf),
            (matches!(self.sub, Found::Compound), Claim::Sub),
        ] {
            if is_compound {
                return Err(Reason::ClaimType(claim));
            }
        }
        for claim in &rules.required {
            match claim {
                Claim::Exp => require(self.exp, *claim)?,
                Claim::Nbf => require(self.nbf, *claim)?,
                Claim::Iss => require(self.iss, *claim)?,
                Claim::Sub => require(self.sub, *claim)?,
                Claim::Aud => require(self.aud, *claim)?,
                // Nobody can ask for them.
                Claim::Iat | Claim::Jti => {}
            }
        }
        check_type(self.exp, validation.validate_exp, Claim::Exp)?;
        check_type(self.nbf, validation.validate_nbf, Claim::Nbf)?;
        // An issuer or a subject that was asked for is required, so its type is checked.
        check_type(self.aud, validation.validate_aud, Claim::Aud)
    }

    fn check_times(&self, rules: &Rules, now: Duration) -> Result<(), Reason> {
        let (validation, leeway) = (&rules.validation, rules.leeway);
        let now = now.as_nanos() as i128;
        let early = seconds(validation.reject_tokens_expiring_in_less_than);
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

fn require<T>(claim: Found<T>, name: Claim) -> Result<(), Reason> {
    match claim {
        Found::Absent | Found::Null => Err(Reason::MissingClaim(name)),
        Found::WrongType | Found::Compound => Err(Reason::ClaimType(name)),
        Found::Is(_) => Ok(()),
    }
}

fn check_type<T>(claim: Found<T>, is_checked: bool, name: Claim) -> Result<(), Reason> {
    match claim {
        Found::WrongType | Found::Compound if is_checked => Err(Reason::ClaimType(name)),
        _ => Ok(()),
    }
}

fn check_value(claim: Found<bool>, is_checked: bool, name: Claim) -> Result<(), Reason> {
    match claim {
        Found::Is(false) if is_checked => Err(Reason::WrongClaim(name)),
        _ => Ok(()),
    }
}

/// Sets a claim, and returns whether it was absent before.
pub(super) fn set_once<T: PartialEq>(claim: &mut Found<T>, value: Found<T>) -> bool {
    std::mem::replace(claim, value) == Found::Absent
}

/// Seconds in nanoseconds: the whole range of `u64` fits, and sums of it.
fn seconds(seconds: u64) -> i128 {
    nanoseconds(i128::from(seconds))
}

pub(super) fn nanoseconds(seconds: i128) -> i128 {
    seconds * 1_000_000_000
}
