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

impl RolloutEffect {
    /// The effect in words, on instances that have to `load` the step: `reload`, for example.
    pub(crate) fn describe(self, load: &str) -> String {
        match (self.new_rejected, self.compromised_accepted) {
            (false, false) => "nothing valid is rejected".to_owned(),
            (true, false) => {
                format!("instances reject what the new primary signs until they {load}")
            }
            (false, true) => {
                format!("instances accept what the compromised key signs until they {load}")
            }
            (true, true) => format!(
                "until they {load}, instances reject what the new primary signs, and accept what \
                 the compromised key signs"
            ),
        }
    }
}

impl fmt::Display for RolloutEffect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.describe("reload"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_effect_is_described_in_its_own_words() {
        let describe = |new_rejected, compromised_accepted| {
            RolloutEffect { new_rejected, compromised_accepted }.describe("restart")
        };
        assert_eq!(describe(false, false), "nothing valid is rejected");
        let (new, compromised) = (describe(true, false), describe(false, true));
        assert!(new.contains("reject what the new primary signs until they restart"), "{new}");
        assert!(compromised.contains("accept what the compromised key signs"), "{compromised}");
        let both = describe(true, true);
        assert!(both.contains("reject") && both.contains("accept"), "{both}");
        let effect = RolloutEffect { new_rejected: true, compromised_accepted: false };
        assert_eq!(effect.to_string(), effect.describe("reload"));
    }
}
