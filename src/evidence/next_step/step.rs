//! The step that should be taken next, as data.

use std::time::SystemTime;

use crate::error::Obstacle;
use crate::kid::Kid;

/// The step that should be taken next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NextStep {
    /// Set the clock: the last change lies ahead of it, and so do the reports.
    SetClock,
    /// Set the clock, or correct the manifest if it was written with a wrong one.
    RepairClock,
    /// Wait for the moment from which the staged key signs.
    AwaitStart {
        kid: Kid,
        at: SystemTime,
        /// An instance that must reload before that moment.
        obstacle: Option<Obstacle>,
    },
    /// Promote the staged key.
    Promote { staged: Staged, deployment: Deployment },
    /// Wait until every instance has reloaded; then promote the staged key, if there is one.
    AwaitReload {
        staged: Option<Staged>,
        obstacle: Obstacle,
        /// When the instances count as gone, if they report no more.
        gone_at: Option<SystemTime>,
    },
    /// Retire the key.
    Retire {
        kid: Kid,
        /// The moment from which the step is accepted; `None` for now.
        from: Option<SystemTime>,
        /// The obstacle until then, if that is not the time alone.
        because: Option<Obstacle>,
    },
    /// Destroy the secret of the key.
    Destroy {
        kid: Kid,
        from: Option<SystemTime>,
        because: Option<Obstacle>,
        /// When the key expires, if it is retired and still live.
        verifies_until: Option<SystemTime>,
    },
    /// Rewrap what the key has sealed.
    Rewrap { kid: Kid, scope: RewrapScope, from: Option<SystemTime>, obstacle: Obstacle },
    /// Restage the key, which has expired, and rewrap what it has sealed.
    Restage { kid: Kid, obstacle: Obstacle },
    /// Withdraw the key, which was restaged, once nothing needs it.
    Withdraw { kid: Kid },
    /// Keep the key until the obstacle is over, at an unknown moment.
    Keep {
        kid: Kid,
        obstacle: Obstacle,
        /// When the instance of the obstacle counts as gone, if it reports no more.
        gone_at: Option<SystemTime>,
    },
    /// Remove the key by force, if the operator knows that nothing needs it: no evidence is expected.
    Force {
        kid: Kid,
        removal: Removal,
        ground: Ground,
        from: Option<SystemTime>,
        obstacle: Obstacle,
    },
    /// Take the key out of the `.env` file. It is forced on a ground, if the key has no end.
    TakeOutOfFile { kid: Kid, from: Option<SystemTime>, forced: Option<Ground> },
    /// Rotate, from that moment on.
    Rotate { due: SystemTime },
    /// No step.
    Nothing,
}

/// A staged key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Staged {
    pub(crate) kid: Kid,
    pub(crate) is_one_of_several: bool,
}

/// The knowledge of which instances hold a staged key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deployment {
    /// Every instance reports that it holds the key, or holds none.
    Reported,
    /// No instance reports.
    Unreported,
    /// The key is in a file, whose readers report nothing.
    File,
}

/// The rows that a rewrap covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RewrapScope {
    /// Those under an old key.
    Old,
    /// Those under a staged key too.
    All,
    /// Those under a revoked key too.
    Revoked,
}

/// The step that removes a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Removal {
    /// Retire the key.
    Retire,
    /// Destroy its secret.
    Destroy,
}

/// The ground on which an operator forces the removal of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ground {
    /// Every row is rewrapped.
    Rewrapped,
    /// The overlap of the key is over.
    OverlapOver,
}

impl NextStep {
    /// The moment from which the step is accepted; `None` for now.
    pub(crate) fn from(&self) -> Option<SystemTime> {
        match self {
            Self::AwaitStart { at, .. } => Some(*at),
            Self::Retire { from, .. }
            | Self::Destroy { from, .. }
            | Self::Rewrap { from, .. }
            | Self::Force { from, .. }
            | Self::TakeOutOfFile { from, .. } => *from,
            Self::Rotate { due } => Some(*due),
            Self::SetClock
            | Self::RepairClock
            | Self::Promote { .. }
            | Self::AwaitReload { .. }
            | Self::Restage { .. }
            | Self::Withdraw { .. }
            | Self::Keep { .. }
            | Self::Nothing => None,
        }
    }
}
