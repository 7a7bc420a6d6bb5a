//! The role and the state of a key at a moment.

/// The role of a key at a moment. It is derived from the times of all keys of a
/// ring, never stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Role {
    /// Signs and verifies.
    Primary,
    /// Verifies only, because another has taken over.
    Fallback,
    /// Verifies only, because its time to sign has not come: another instance
    /// may sign with it already.
    Staged,
}

impl Role {
    /// A stable name for logs and metric labels.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Fallback => "fallback",
            Self::Staged => "staged",
        }
    }
}

/// The state of a key at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeyState {
    /// The key verifies, in this role.
    Live(Role),
    /// It has stopped verifying, because its end is past.
    Expired,
    /// The key is compromised, and verifies nothing. It stays so when its secret is wiped.
    Revoked,
    /// The secret of the key was wiped; the record is kept.
    Destroyed,
}

impl KeyState {
    /// A stable name for logs and metric labels.
    ///
    /// ```
    /// use dualkey::{KeyState, Role};
    /// assert_eq!(KeyState::Live(Role::Staged).as_str(), "staged");
    /// assert_eq!(KeyState::Expired.as_str(), "expired");
    /// ```
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live(role) => role.as_str(),
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::Destroyed => "destroyed",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_state_has_a_stable_name() {
        let states = [
            (KeyState::Live(Role::Primary), "primary"),
            (KeyState::Live(Role::Fallback), "fallback"),
            (KeyState::Live(Role::Staged), "staged"),
            (KeyState::Expired, "expired"),
            (KeyState::Revoked, "revoked"),
            (KeyState::Destroyed, "destroyed"),
        ];
        for (state, name) in states {
            assert_eq!(state.as_str(), name);
        }
    }
}
