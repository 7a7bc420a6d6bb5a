//! The fleets with stored rows that are explored, all within their declared bounds.

use super::super::documents::{Declared, INSTANCES, KEYS};
use super::super::step_kinds::StepKind;
use super::super::worlds::Size;
use super::world::{RewrapOptions, RowDeviations, RowWorld};

/// A fleet with stored rows, and its name.
pub struct NamedRowWorld {
    pub name: &'static str,
    pub world: RowWorld,
}

const DECLARED: Declared = Declared { lifetime: 1, rollout: 1, skew: 1 };

/// A policy with a longer rollout window.
const LONGER: Declared = Declared { lifetime: 1, rollout: 2, skew: 0 };

pub(super) const ROTATION: &[StepKind] =
    &[StepKind::Stage, StepKind::Promote, StepKind::Retire, StepKind::Destroy];

/// Every kind of step. The change of the policy is from a lifetime, a rollout window and a skew of 1 h.
pub const EVERY_ROW_STEP: &[StepKind] = &[
    StepKind::Stage,
    StepKind::Schedule(-1),
    StepKind::Schedule(0),
    StepKind::Promote,
    StepKind::ForcePromote,
    StepKind::AssumeDeployed,
    StepKind::Rollback,
    StepKind::ForceRollback,
    StepKind::Retire,
    StepKind::ForceRetire,
    StepKind::Restage,
    StepKind::Revoke,
    StepKind::EmergencyRotate,
    StepKind::Destroy,
    StepKind::ForceDestroy,
    StepKind::SetPolicy(Declared { lifetime: 1, rollout: 2, skew: 1 }),
];

/// Two instances whose clocks differ by the skew, and an operator who takes steps of these kinds.
pub(super) fn world_with_skew(step_kinds: &'static [StepKind]) -> RowWorld {
    RowWorld {
        declared: DECLARED,
        running: 2,
        joining: 0,
        operators: 1,
        keys: KEYS,
        clocks: [0, 1, 0, 0],
        operator_clocks: [0, 1],
        steps: 4,
        disturbances: 0,
        rewraps: 1,
        at_once: 1,
        horizon: 7,
        step_kinds,
        options: RewrapOptions::default(),
        deviations: RowDeviations::default(),
    }
}

const LEAK: &[StepKind] = &[
    StepKind::Stage,
    StepKind::Promote,
    StepKind::Revoke,
    StepKind::EmergencyRotate,
    StepKind::Retire,
    StepKind::Destroy,
];

pub(super) const ROLLBACK: &[StepKind] = &[StepKind::Stage, StepKind::Promote, StepKind::Rollback];

const POLICIES: &[StepKind] = &[
    StepKind::Stage,
    StepKind::Promote,
    StepKind::SetPolicy(Declared { lifetime: 1, rollout: 1, skew: 0 }),
    StepKind::SetPolicy(Declared { lifetime: 2, rollout: 1, skew: 0 }),
];

const RESTAGED: &[StepKind] =
    &[StepKind::Stage, StepKind::Promote, StepKind::ForceRetire, StepKind::Restage, POLICIES[2]];

/// Two instances with equal clocks, and an operator who takes steps of these kinds.
pub(super) fn world_without_skew(step_kinds: &'static [StepKind]) -> RowWorld {
    RowWorld {
        declared: Declared { skew: 0, ..DECLARED },
        clocks: [0; INSTANCES],
        operator_clocks: [0; 2],
        steps: 3,
        horizon: 4,
        ..world_with_skew(step_kinds)
    }
}

/// Returns the fleets that are explored, all within the declared bounds.
pub fn row_worlds(size: Size) -> Vec<NamedRowWorld> {
    match size {
        Size::Smallest => {
            let rotation = RowWorld { steps: 4, keys: 2, ..world_without_skew(ROTATION) };
            vec![NamedRowWorld { name: "a rotation", world: rotation }, leak(), rollback()]
        }
        Size::Small | Size::Quick => small_worlds(),
        Size::Full => small_worlds().into_iter().chain(full_worlds()).collect(),
    }
}

fn leak() -> NamedRowWorld {
    let rescues = RewrapOptions { rescues: true, ..RewrapOptions::default() };
    NamedRowWorld {
        name: "a leak",
        world: RowWorld { options: rescues, steps: 2, ..world_without_skew(LEAK) },
    }
}

fn rollback() -> NamedRowWorld {
    NamedRowWorld {
        name: "a rollback",
        world: RowWorld { steps: 4, keys: 2, ..world_without_skew(ROLLBACK) },
    }
}

fn small_worlds() -> Vec<NamedRowWorld> {
    let reads_only = RewrapOptions { reads_only: true, ..RewrapOptions::default() };
    vec![
        NamedRowWorld {
            name: "a rotation, with clocks that differ",
            world: RowWorld { steps: 3, horizon: 5, ..world_with_skew(ROTATION) },
        },
        NamedRowWorld {
            name: "a rotation, with a rewrap that writes nothing",
            world: RowWorld { options: reads_only, ..world_without_skew(ROTATION) },
        },
        leak(),
        NamedRowWorld {
            name: "a policy that becomes shorter",
            world: RowWorld { declared: LONGER, ..world_without_skew(POLICIES) },
        },
        rollback(),
    ]
}

fn full_worlds() -> Vec<NamedRowWorld> {
    let late = RewrapOptions { reports_later: true, ..RewrapOptions::default() };
    let all = RewrapOptions {
        rescues: true,
        reads_only: true,
        has_checkpoints: true,
        ..RewrapOptions::default()
    };
    vec![
        NamedRowWorld { name: "every step", world: world_without_skew(EVERY_ROW_STEP) },
        NamedRowWorld {
            name: "every step, with clocks that differ",
            world: RowWorld {
                steps: 2,
                horizon: 5,
                operators: 2,
                ..world_with_skew(EVERY_ROW_STEP)
            },
        },
        NamedRowWorld {
            name: "policies that become shorter",
            world: RowWorld { declared: LONGER, steps: 4, ..world_without_skew(POLICIES) },
        },
        NamedRowWorld {
            name: "a shorter policy, and a key that is restaged",
            world: RowWorld { declared: LONGER, steps: 4, keys: 2, ..world_without_skew(RESTAGED) },
        },
        NamedRowWorld {
            name: "a whole rotation",
            world: RowWorld { steps: 4, ..world_without_skew(ROTATION) },
        },
        NamedRowWorld {
            name: "late reports",
            world: RowWorld { options: late, ..world_without_skew(ROTATION) },
        },
        NamedRowWorld {
            name: "two rewraps at once",
            world: RowWorld { rewraps: 2, at_once: 2, keys: 2, ..world_without_skew(ROTATION) },
        },
        NamedRowWorld {
            name: "every way to rewrap",
            world: RowWorld { options: all, ..world_without_skew(LEAK) },
        },
        NamedRowWorld {
            name: "instances that stop and start",
            world: RowWorld {
                joining: 1,
                disturbances: 2,
                steps: 4,
                keys: 2,
                ..world_without_skew(ROTATION)
            },
        },
        NamedRowWorld {
            name: "four instances with rows",
            world: RowWorld { running: 4, steps: 3, ..world_without_skew(ROTATION) },
        },
        NamedRowWorld {
            name: "a command",
            world: RowWorld {
                options: BY_COMMAND,
                rewraps: 2,
                at_once: 2,
                keys: 2,
                ..world_without_skew(ROLLBACK)
            },
        },
    ]
}

pub(super) const BY_COMMAND: RewrapOptions = RewrapOptions {
    by_command: true,
    rescues: false,
    renews_all: false,
    reads_only: false,
    has_checkpoints: false,
    reports_later: false,
};
