//! Values that are not a secret themselves: ciphertext of a tool, or a reference to a secret in
//! another place.
//!
//! It guarantees: a value is recognised by a marker and by the form of what follows it. Random
//! hexadecimal digits, base64 and base64url have no such marker, also behind the name of a tool: what
//! follows the name has to consist of words, as a path in a store does.
//!
//! It does not guarantee that every tool is known. A value of an unknown tool counts as a secret.

mod address;
mod ciphertext;
mod command;
mod expansion;
mod kind;
mod recognise;
mod words;

pub use self::kind::Reference;
pub(crate) use self::words::is_named;

#[cfg(test)]
mod tests;
