//! The properties that every run must have.

use std::fmt;

/// A property.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Property {
    P1,
    P2,
    P3,
    P4,
    P5,
    P6,
    P7,
    P8,
    R1,
    R2,
    R3,
}

impl Property {
    /// Every property.
    pub const ALL: [Self; 11] = [
        Self::P1,
        Self::P2,
        Self::P3,
        Self::P4,
        Self::P5,
        Self::P6,
        Self::P7,
        Self::P8,
        Self::R1,
        Self::R2,
        Self::R3,
    ];

    /// Returns what must hold.
    pub fn statement(self) -> &'static str {
        match self {
            Self::P1 => {
                "Every instance that serves accepts every valid value, unless a step declared that it \
                 may not."
            }
            Self::P2 => {
                "No instance accepts a key that its manifest revokes. No instance accepts a revoked key \
                 after the propagation bound, which is the longer of the rollout window and \
                 `max_staleness`."
            }
            Self::P3 => {
                "An instance that serves has exactly one primary. A ring has the roles that its \
                 manifest has."
            }
            Self::P4 => {
                "No verdict is `Safe` on a key that an instance signs with or that a valid value needs. \
                 A report names the keys of its ring."
            }
            Self::P5 => {
                "A revocation is final. The end of a key is final unless a step restages the key."
            }
            Self::P6 => "A step or a manifest that is refused changes nothing.",
            Self::P7 => {
                "If two operators take a step at the same time, the store holds the result of both \
                 steps in sequence, or one operator gets a conflict or a refusal."
            }
            Self::P8 => {
                "From every reachable state, a rotation can be completed once the store and the \
                 instances recover."
            }
            Self::R1 => {
                "Every instance that serves can open every row. The secret of a revoked key is kept \
                 while a row is under it."
            }
            Self::R2 => {
                "No verdict is `Safe` on a key that a row is under or that an instance seals with."
            }
            Self::R3 => "No key is destroyed while a row is under it.",
        }
    }

    /// Returns where the exploration checks it.
    pub fn checked(self) -> &'static str {
        match self {
            Self::P1 | Self::P3 | Self::P4 => "each state, each load",
            Self::P2 => "each state, each step, each load",
            Self::P5 => "each step, each state, each load",
            Self::P6 => "each load",
            Self::P7 => "pairs of steps on some manifests",
            Self::P8 => "each state of two small fleets",
            Self::R1 | Self::R2 => "each state with rows",
            Self::R3 => "each step with rows",
        }
    }

    /// Returns what a user sees when it is broken.
    pub fn effect(self) -> &'static str {
        match self {
            Self::P1 => "a valid value is rejected",
            Self::P2 => "a revoked key is accepted",
            Self::P3 => "an instance cannot sign",
            Self::P4 | Self::R2 => "the verdict `Safe` is wrong",
            Self::P5 => "a revocation or an end is undone",
            Self::P6 => "a refused step has an effect",
            Self::P7 => "a step is lost",
            Self::P8 => "no rotation can be completed",
            Self::R1 => "a row cannot be opened",
            Self::R3 => "a needed key is destroyed",
        }
    }
}

impl fmt::Display for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}
