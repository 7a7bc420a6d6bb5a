//! The suffixes of the variables of one secret, in one table.
//!
//! For a secret `X`: the first of `X_NEW`, `X`, `X_OLD` and `X_BACKUP` that is set signs, the others
//! verify, and `X_NEXT` is staged.

/// The suffix of a new key, which signs instead of the current one.
pub(crate) const NEW: &str = "_NEW";
/// The suffix of the current key: none.
pub(crate) const CURRENT: &str = "";
/// The suffix of the previous key.
pub(crate) const OLD: &str = "_OLD";
/// The suffix of the key before the previous one.
pub(crate) const BACKUP: &str = "_BACKUP";
/// The suffix of a staged key.
pub(crate) const NEXT: &str = "_NEXT";

/// The suffixes, in the order in which the variables are written. The number of a variable is its
/// place, counted from 1.
pub(crate) const SUFFIXES: [&str; 5] = [NEW, CURRENT, OLD, BACKUP, NEXT];

/// The suffixes of the keys that sign or verify, the newest first.
#[allow(dead_code, reason = "stores and operators use it, behind features")]
pub(crate) const SIGNING: [&str; 4] = [NEW, CURRENT, OLD, BACKUP];

/// Returns the number of the variable `name`: that of its suffix. A name without a suffix counts as
/// that of the current key.
pub(crate) fn variable_number(name: &str) -> usize {
    let has_suffix = |suffix: &str| suffix != CURRENT && name.ends_with(suffix);
    let place = SUFFIXES.iter().position(|suffix| has_suffix(suffix));
    place
        .or_else(|| SUFFIXES.iter().position(|suffix| *suffix == CURRENT))
        .map_or(0, |place| place + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_a_variable_is_the_place_of_its_suffix() {
        let numbers = SUFFIXES.map(|suffix| variable_number(&format!("JWT_SECRET{suffix}")));
        assert_eq!(numbers, [1, 2, 3, 4, 5]);
        assert_eq!(SIGNING[..], SUFFIXES[..4]);
    }
}
