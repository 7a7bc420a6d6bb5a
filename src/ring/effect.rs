//! The effect of a step on instances that have not reloaded yet.

use std::fmt;

/// Effect of a step on instances that have not reloaded yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct RolloutEffect {
    /// They may reject what the new primary signs: they do not know it, or it ends for them.
    pub new_rejected: bool,
    /// They still accept what the compromised key signs.
    pub compromised_accepted: bool,
}

impl RolloutEffect {
    /// Nothing that is valid is rejected, and nothing compromised accepted.
    pub const NONE: Self = Self { new_rejected: false, compromised_accepted: false };
}

impl fmt::Display for RolloutEffect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.new_rejected, self.compromised_accepted) {
            (false, false) => "nothing valid is rejected",
            (true, false) => "instances reject what the new primary signs until they reload",
            (false, true) => "instances accept what the compromised key signs until they reload",
            (true, true) => {
                "until they reload, instances reject what the new primary signs, and accept what \
                 the compromised key signs"
            }
        })
    }
}
