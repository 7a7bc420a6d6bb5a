//! The fleets that are explored, all within their declared bounds.

use super::documents::{Declared, INSTANCES};
use super::fleet::{Deviations, EVERY_STEP, World};
use super::step_kinds::StepKind;

/// A fleet that is explored once for each way in which its clocks differ by up to the skew.
pub struct Family {
    pub name: &'static str,
    pub world: World,
}

/// The policy of the fleets, in hours.
pub const DECLARED: Declared = Declared { lifetime: 2, rollout: 1, skew: 1 };

/// A policy for clocks that do not differ.
const NO_SKEW: Declared = Declared { skew: 0, ..DECLARED };

/// A policy whose rollout window is longer than the lifetime.
const SLOW: Declared = Declared { lifetime: 1, rollout: 2, skew: 0 };

/// A policy whose overlap is one hour.
const SHORT: Declared = Declared { lifetime: 1, rollout: 0, skew: 0 };

/// Two instances with right clocks, and an operator who takes any step.
pub(super) const WORLD: World = World {
    declared: DECLARED,
    running: 2,
    joining: 0,
    operators: 1,
    keys: 3,
    clocks: [0; INSTANCES],
    operator_clocks: [0; 2],
    steps: 2,
    disturbances: 0,
    horizon: 8,
    step_kinds: EVERY_STEP,
    has_delays: false,
    max_staleness: None,
    report_lag: 0,
    keeps_names: false,
    deviations: Deviations {
        longer_lifetime: 0,
        later: 0,
        can_lose_store: false,
        has_no_gate: false,
        loses_first_report: false,
        starts_go_back: false,
        forgets_revocations: false,
        revokes_locally: false,
    },
};

/// The steps of a leak.
const LEAK: &[StepKind] = &[
    StepKind::Stage,
    StepKind::Promote,
    StepKind::Rollback,
    StepKind::Revoke,
    StepKind::EmergencyRotate,
];

/// The steps of a rotation.
const ROTATION: &[StepKind] = &[StepKind::Stage, StepKind::Promote];

/// The steps of a rotation, and those of a key that has ended.
const ENDS: &[StepKind] = &[
    StepKind::Stage,
    StepKind::Promote,
    StepKind::ForcePromote,
    StepKind::Retire,
    StepKind::ForceRetire,
    StepKind::Restage,
];

/// The steps of scheduled rotations, of which the first may be withdrawn.
const WITHDRAWN: &[StepKind] = &[StepKind::Schedule(0), StepKind::Schedule(2), StepKind::Retire];

/// The steps of a rotation and of its rollback, and a change to a longer policy.
const LONGER: &[StepKind] = &[
    StepKind::Stage,
    StepKind::Promote,
    StepKind::Rollback,
    StepKind::SetPolicy(Declared { lifetime: 4, ..SLOW }),
];

/// The steps of a rotation, and those that need reports.
const EVIDENCE: &[StepKind] =
    &[StepKind::Stage, StepKind::Promote, StepKind::Rollback, StepKind::Retire, StepKind::Destroy];

/// The steps of a rotation and of its rollback, and changes of the policy.
const POLICIES: &[StepKind] = &[
    StepKind::Stage,
    StepKind::Promote,
    StepKind::Rollback,
    StepKind::SetPolicy(Declared { lifetime: 1, rollout: 1, skew: 1 }),
    StepKind::SetPolicy(Declared { lifetime: 4, rollout: 1, skew: 1 }),
];

/// The steps of a rotation, and a change to a shorter policy.
const SHORTER: &[StepKind] = &[
    StepKind::Stage,
    StepKind::Promote,
    StepKind::SetPolicy(Declared { lifetime: 1, rollout: 1, skew: 1 }),
];

/// The extent of a search.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Size {
    /// Fleets for the tests, which a debug build explores in seconds.
    Smallest,
    /// Fleets that find each planted fault.
    Small,
    /// Fleets with more than ten million states.
    Quick,
    /// The largest fleets.
    Full,
}

/// Returns the families of a size, and those of smaller sizes that have more hours or steps.
pub fn families(size: Size) -> Vec<Family> {
    let mut all = families_of(size);
    for smaller in [Size::Quick, Size::Small] {
        if smaller < size {
            for family in families_of(smaller) {
                if !all.iter().any(|larger| larger.contains(&family)) {
                    all.push(family);
                }
            }
        }
    }
    all
}

/// Returns the families of exactly one size.
fn families_of(size: Size) -> Vec<Family> {
    let by_size = |smallest, small, quick, full| match size {
        Size::Smallest => smallest,
        Size::Small => small,
        Size::Quick => quick,
        Size::Full => full,
    };
    let sized = |world: World, (steps, horizon): (u8, u8)| World { steps, horizon, ..world };
    let losing_stores = Deviations { can_lose_store: true, ..WORLD.deviations };
    let revoking = Deviations { revokes_locally: true, ..WORLD.deviations };
    vec![
        Family {
            name: "any step at any moment",
            world: sized(WORLD, by_size((2, 2), (2, 4), (3, 2), (3, 6))),
        },
        Family {
            name: "four instances",
            world: sized(World { running: 4, ..WORLD }, by_size((1, 3), (1, 5), (2, 4), (3, 3))),
        },
        Family {
            name: "instances come and go",
            world: sized(
                World { joining: 1, disturbances: 2, ..WORLD },
                by_size((1, 2), (1, 4), (2, 3), (2, 7)),
            ),
        },
        Family {
            name: "two operators, late stores",
            world: sized(
                World { operators: 2, has_delays: true, ..WORLD },
                by_size((1, 4), (1, 6), (2, 6), (3, 3)),
            ),
        },
        Family {
            name: "a whole overlap, two operators",
            world: sized(
                World { operators: 2, step_kinds: ROTATION, ..WORLD },
                by_size((2, 3), (3, 9), (3, 9), (4, 9)),
            ),
        },
        Family {
            name: "a whole overlap, other policies",
            world: sized(
                World { step_kinds: POLICIES, ..WORLD },
                by_size((2, 3), (3, 8), (3, 8), (4, 10)),
            ),
        },
        Family {
            name: "a whole overlap, a shorter policy",
            world: sized(
                World { operators: 2, step_kinds: SHORTER, ..WORLD },
                by_size((2, 3), (3, 7), (3, 7), (4, 9)),
            ),
        },
        Family {
            name: "max_staleness, stores lost",
            world: sized(
                World {
                    step_kinds: LEAK,
                    max_staleness: Some(1),
                    deviations: losing_stores,
                    ..WORLD
                },
                by_size((2, 2), (2, 4), (2, 7), (3, 7)),
            ),
        },
        Family {
            name: "ends, and keys that are restaged",
            world: sized(
                World { declared: SHORT, step_kinds: ENDS, keys: 2, ..WORLD },
                by_size((3, 4), (3, 6), (4, 6), (5, 8)),
            ),
        },
        Family {
            name: "starts that are withdrawn",
            world: sized(
                World { declared: NO_SKEW, step_kinds: WITHDRAWN, ..WORLD },
                by_size((2, 3), (3, 7), (3, 7), (4, 9)),
            ),
        },
        Family {
            name: "ends that a policy moves",
            world: sized(
                World { declared: SLOW, step_kinds: LONGER, keys: 2, ..WORLD },
                by_size((4, 5), (4, 5), (4, 6), (5, 9)),
            ),
        },
        Family {
            name: "late reports",
            world: sized(
                World { step_kinds: EVIDENCE, report_lag: 1, ..WORLD },
                by_size((2, 2), (2, 4), (3, 5), (3, 8)),
            ),
        },
        Family {
            name: "instances revoke themselves",
            world: sized(
                World { step_kinds: LEAK, deviations: revoking, ..WORLD },
                by_size((2, 2), (2, 4), (2, 7), (3, 7)),
            ),
        },
    ]
}

/// Returns the fleets on which P8 is checked.
pub fn recoveries(size: Size) -> Vec<(&'static str, World)> {
    let by_size = |small, quick, full| match size {
        Size::Smallest | Size::Small => small,
        Size::Quick => quick,
        Size::Full => full,
    };
    let sized = |world: World, (steps, horizon): (u8, u8)| World { steps, horizon, ..world };
    let apart = World { clocks: [0, 1, 0, 0], ..WORLD };
    let restarting = World { disturbances: 2, ..WORLD };
    vec![
        ("recovery after any step", sized(apart, by_size((1, 3), (2, 3), (3, 4)))),
        ("recovery of instances", sized(restarting, by_size((1, 2), (1, 4), (2, 5)))),
    ]
}

impl Family {
    /// Returns whether each run of `other` is a run of this family.
    fn contains(&self, other: &Self) -> bool {
        let (world, smaller) = (&self.world, &other.world);
        self.name == other.name && smaller.steps <= world.steps && smaller.horizon <= world.horizon
    }

    /// Returns the fleet once for each way in which its clocks differ by up to the skew. The instances that
    /// run at the start are interchangeable. So are those that may join, and the operators.
    pub fn worlds(&self) -> Vec<World> {
        let (running, joining) = (self.world.running, self.world.joining);
        let mut worlds = Vec::new();
        for running_ahead in 0..=running {
            for joining_ahead in 0..=joining {
                for operators_ahead in 0..=self.world.operators {
                    // Clocks that are all ahead do not differ from each other.
                    let ahead = (running_ahead, joining_ahead, operators_ahead);
                    let is_equal = ahead == (0, 0, 0);
                    let are_all = ahead == (running, joining, self.world.operators);
                    if are_all || !is_equal && self.world.declared.skew == 0 {
                        continue;
                    }
                    let mut world = self.world.clone();
                    world.clocks[running - running_ahead..running].fill(1);
                    world.clocks[running..running + joining_ahead].fill(1);
                    world.operator_clocks
                        [self.world.operators - operators_ahead..self.world.operators]
                        .fill(1);
                    worlds.push(world);
                }
            }
        }
        worlds
    }
}
