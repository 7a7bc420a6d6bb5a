//! Notes on claims while they are written: which registered claims there are, which names, and how
//! deep the JSON is.

use std::cell::Cell;

use crate::error::Claim;
use crate::jwt::registered::{Found, find_claim, nanoseconds};

/// The registered claims, the names and the depth of the JSON that was written.
#[derive(Default)]
pub(super) struct Notes {
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
    fn is_missing(&self, claim: Claim) -> bool {
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
fn set_once<T>(claim: &Cell<Found<T>>, value: Found<T>) -> bool {
    matches!(claim.replace(value), Found::Absent)
}

impl Notes {
    /// Returns whether something was written that is not understood.
    #[inline]
    pub(super) fn is_odd(&self) -> bool {
        self.is_odd.get()
    }

    /// Returns the number of arrays and objects that were open at once.
    #[inline]
    pub(super) fn deepest(&self) -> usize {
        self.deepest.get()
    }

    #[inline]
    pub(super) fn exp(&self) -> Found<i128> {
        self.found.exp.get()
    }

    /// Returns whether a claim is absent or null.
    #[inline]
    pub(super) fn is_missing(&self, claim: Claim) -> bool {
        self.found.is_missing(claim)
    }

    /// Takes note that the members are the fields of a struct.
    #[inline]
    pub(super) fn begin_struct(&self) {
        self.is_struct.set(true);
    }

    #[inline]
    pub(super) fn odd_if(&self, is_odd: bool) {
        self.is_odd.set(self.is_odd.get() | is_odd);
    }

    /// Takes note of a field, whose name is written next. Inlined, so that the name is a constant.
    #[inline(always)]
    pub(super) fn field(&self, name: &'static str) {
        self.name(name.as_bytes());
    }

    #[inline(always)]
    fn name(&self, name: &[u8]) {
        let claim = match name {
            [a, b, c] => find_claim(&[*a, *b, *c]),
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
    pub(super) fn begin_name(&self) {
        if self.depth.get() == 1 && !self.is_struct.get() {
            self.place.set(Place::Name);
            self.next.set(Place::Name);
        }
    }

    #[inline]
    pub(super) fn fragment(&self, fragment: &str) {
        if let Place::Name = self.place.get() {
            // A name in pieces has an escape, or is made by `Display`.
            self.odd_if(!matches!(self.next.get(), Place::Name));
            self.name(fragment.as_bytes());
        }
    }

    #[inline]
    pub(super) fn escape(&self) {
        self.odd_if(matches!(self.place.get(), Place::Name));
    }

    #[inline]
    pub(super) fn begin_value(&self) {
        if self.depth.get() == 1 {
            // An empty name has no fragment.
            self.odd_if(matches!(self.next.get(), Place::Name));
            self.place.set(self.next.get());
        }
    }

    #[inline]
    pub(super) fn text(&self) {
        if let Place::Value(claim) = self.place.get() {
            self.note(claim, Value::Text);
        }
    }

    #[inline]
    pub(super) fn number(&self, number: i128) {
        match self.place.get() {
            Place::Value(claim) => self.note(claim, Value::Number(number)),
            _ => self.other(),
        }
    }

    #[inline]
    pub(super) fn null(&self) {
        match self.place.get() {
            Place::Value(claim) => self.note(claim, Value::Null),
            _ => self.other(),
        }
    }

    /// Something else than a whole number, a text or `null`.
    #[inline]
    pub(super) fn other(&self) {
        self.odd_if(!matches!(self.place.get(), Place::Elsewhere));
    }

    #[inline]
    pub(super) fn begin_array(&self) {
        match self.place.get() {
            Place::Value(Claim::Aud) => {
                self.odd_if(!set_once(&self.found.aud, Found::Is(false)));
                self.place.set(Place::Audiences);
            }
            _ => self.begin_other(),
        }
        self.enter();
    }

    #[inline]
    pub(super) fn begin_object(&self) {
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
    pub(super) fn leave(&self) {
        self.depth.set(self.depth.get().saturating_sub(1));
        self.place.set(Place::Elsewhere);
    }

    #[inline]
    fn note(&self, claim: Claim, value: Value) {
        let found = &self.found;
        let is_first = match (claim, value) {
            (Claim::Exp, Value::Number(number)) => set_once(&found.exp, date(number)),
            (Claim::Nbf, Value::Number(number)) => set_once(&found.nbf, date(number)),
            (Claim::Iss, Value::Text) => set_once(&found.iss, Found::Is(false)),
            (Claim::Sub, Value::Text) => set_once(&found.sub, Found::Is(false)),
            (Claim::Aud, Value::Text) => set_once(&found.aud, Found::Is(false)),
            (Claim::Exp, Value::Null) => set_once(&found.exp, Found::Null),
            (Claim::Nbf, Value::Null) => set_once(&found.nbf, Found::Null),
            (Claim::Iss, Value::Null) => set_once(&found.iss, Found::Null),
            (Claim::Sub, Value::Null) => set_once(&found.sub, Found::Null),
            (Claim::Aud, Value::Null) => set_once(&found.aud, Found::Null),
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
