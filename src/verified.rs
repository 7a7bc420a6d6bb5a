//! `Verified<T>`, a value that only a verifier can make.

use std::ops::Deref;

use crate::kid::Kid;
use crate::lifecycle::Role;

/// A value whose signature held, with the key that made it.
///
/// Only the verifiers of this crate make one, so that a function which takes a
/// `Verified<T>` cannot be called with anything else.
///
/// ```compile_fail,E0423
/// let forged = dualkey::Verified("admin");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a verified value that is not looked at was verified for nothing"]
pub struct Verified<T> {
    value: T,
    kid: Kid,
    role: Role,
    needs_resign: bool,
}

impl<T> Verified<T> {
    pub(crate) fn new(value: T, kid: Kid, role: Role) -> Self {
        // Deliberately not for a staged key: what it signed is newer than the
        // primary, and signing it again would turn it back.
        Self { value, kid, role, needs_resign: role == Role::Fallback }
    }

    /// A value of a form that is only read: it needs a new signature, whichever key made it.
    pub(crate) fn legacy(value: T, kid: Kid, role: Role) -> Self {
        Self { value, kid, role, needs_resign: true }
    }

    /// The key that matched.
    #[must_use]
    pub fn kid(&self) -> Kid {
        self.kid
    }

    /// The role that the key had at this moment.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }

    /// Whether the value should be signed, or its envelope wrapped, again: because a fallback
    /// made it, or because it came in a legacy form.
    #[must_use]
    pub fn needs_resign(&self) -> bool {
        self.needs_resign
    }

    /// The value, no longer marked as verified.
    #[must_use]
    pub fn into_inner(self) -> T {
        self.value
    }

    #[cfg_attr(
        not(feature = "full"),
        allow(dead_code, reason = "the adapters use it, each behind a feature")
    )]
    pub(crate) fn map<U>(self, change: impl FnOnce(T) -> U) -> Verified<U> {
        Verified {
            value: change(self.value),
            kid: self.kid,
            role: self.role,
            needs_resign: self.needs_resign,
        }
    }
}

impl<T> Deref for Verified<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> AsRef<T> for Verified<T> {
    fn as_ref(&self) -> &T {
        &self.value
    }
}
