//! The keys of a search. The name of a key is its number, in the order in which keys are added.

use dualkey::manifest::NewEntry;
use dualkey::{Kid, Secret};

/// The most keys of a manifest: three, and one more to complete a rotation.
pub const KEYS: usize = 4;

/// Returns the kid of the key number `index`.
pub fn kid(index: usize) -> Kid {
    Kid::new(&format!("k{index}")).expect("a letter and a digit are a kid")
}

/// Returns the secret of the key number `index`.
pub fn secret(index: usize) -> Secret {
    // An encryption key needs exactly 32 bytes, which is also the minimum for a cookie key.
    let mut bytes = *b"kH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5";
    bytes[0] = b'a' + index as u8;
    Secret::from(&bytes[..])
}

/// Returns the entry with which the key number `index` is added.
pub(super) fn new_entry(index: usize) -> NewEntry {
    NewEntry::new(secret(index)).kid(kid(index))
}

/// Returns the keys for which `is_set` is true, by bit.
pub(super) fn collect_bits(count: usize, is_set: impl Fn(usize) -> bool) -> u8 {
    (0..count).filter(|index| is_set(*index)).fold(0, |all, index| all | 1 << index)
}
