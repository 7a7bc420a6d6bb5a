//! The fleets that are explored, all within what they declare.

use super::documents::{Declared, INSTANCES};
use super::fleet::{EVERY_STEP, Happens, Kind, World};

/// A fleet, explored with every way in which its clocks differ by up to the skew.
pub struct Family {
    pub name: &'static str,
    pub world: World,
}

/// What the fleets declare, in hours.
pub const DECLARED: Declared = Declared { lifetime: 2, rollout: 1, skew: 1 };

const WORLD: World = World {
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
    menu: EVERY_STEP,
    has_delays: false,
    max_staleness: None,
    keeps_names: false,
    happens: Happens {
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
const LEAK: &[Kind] =
    &[Kind::Stage, Kind::Promote, Kind::Rollback, Kind::Revoke, Kind::EmergencyRotate];

/// How much is explored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// Within seconds in a debug build.
    Smallest,
    /// What finds each planted fault.
    Small,
    /// At least a million states.
    Quick,
    /// The whole space of the stated bounds.
    Full,
}

/// The fleets of a size.
pub fn families(size: Size) -> Vec<Family> {
    let by_size = |smallest, small, quick, full| match size {
        Size::Smallest => smallest,
        Size::Small => small,
        Size::Quick => quick,
        Size::Full => full,
    };
    let sized = |world: World, (steps, horizon): (u8, u8)| World { steps, horizon, ..world };
    let losing = Happens { can_lose_store: true, ..WORLD.happens };
    let telling = Happens { revokes_locally: true, ..WORLD.happens };
    vec![
        Family {
            name: "any step at any moment",
            world: sized(WORLD, by_size((2, 2), (2, 4), (3, 3), (3, 6))),
        },
        Family {
            name: "four instances",
            world: sized(World { running: 4, ..WORLD }, by_size((1, 3), (1, 5), (2, 5), (3, 3))),
        },
        Family {
            name: "instances come and go",
            world: sized(
                World { joining: 1, disturbances: 2, ..WORLD },
                by_size((1, 2), (1, 4), (2, 4), (2, 7)),
            ),
        },
        Family {
            name: "two operators, late stores",
            world: sized(
                World { operators: 2, has_delays: true, ..WORLD },
                by_size((1, 4), (1, 6), (2, 7), (3, 4)),
            ),
        },
        Family {
            name: "max_staleness, stores lost",
            world: sized(
                World { menu: LEAK, max_staleness: Some(1), happens: losing, ..WORLD },
                by_size((2, 2), (2, 4), (2, 7), (3, 8)),
            ),
        },
        Family {
            name: "instances revoke themselves",
            world: sized(
                World { menu: LEAK, happens: telling, ..WORLD },
                by_size((2, 2), (2, 4), (2, 7), (3, 8)),
            ),
        },
    ]
}

/// The fleets from every state of which a rotation must be completed.
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
    /// Each way in which the clocks differ. Instances are alike, and so are operators.
    pub fn worlds(&self) -> Vec<World> {
        let slots = self.world.running + self.world.joining;
        let mut worlds = Vec::new();
        for ahead in 0..=slots {
            for operators_ahead in 0..=self.world.operators {
                // All ahead is none ahead.
                if ahead == slots && operators_ahead == self.world.operators {
                    continue;
                }
                let mut world = self.world.clone();
                // The last ones are ahead, and of those that may join the first.
                for place in 0..ahead {
                    world.clocks[slots - 1 - place] = 1;
                }
                for place in 0..operators_ahead {
                    world.operator_clocks[self.world.operators - 1 - place] = 1;
                }
                worlds.push(world);
            }
        }
        worlds
    }
}
