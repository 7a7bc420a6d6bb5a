//! The declared bounds, each with the smallest fleet that breaks a property without it.
//!
//! Within the bound, the same fleet breaks no property.

use super::documents::{Declared, INSTANCES};
use super::fleet::{Deviations, World};
use super::property::Property;
use super::step_kinds::StepKind;
use super::worlds::{DECLARED, WORLD};

/// A bound, with a fleet within it and the same fleet beyond it.
pub struct Bound<W> {
    /// The name of the bound.
    pub name: &'static str,
    /// The deviation that lifts it.
    pub lifted_by: &'static str,
    pub within: W,
    pub beyond: W,
    /// The property that breaks, and the number of actions of the shortest run.
    pub breaks: (Property, usize),
}

/// Two instances with right clocks, and an operator who takes steps of these kinds.
fn world(step_kinds: &'static [StepKind]) -> World {
    World { horizon: 10, step_kinds, keeps_names: true, ..WORLD }
}

fn beyond(within: &World, deviations: Deviations) -> World {
    World { deviations, ..within.clone() }
}

const ROTATION: &[StepKind] = &[StepKind::Stage, StepKind::Promote];
const FORCED: &[StepKind] = &[StepKind::Stage, StepKind::Promote, StepKind::ForcePromote];
const SCHEDULE: &[StepKind] = &[StepKind::Schedule(0)];
const LEAK: &[StepKind] = &[StepKind::Stage, StepKind::Promote, StepKind::Revoke];

/// Returns every declared bound.
pub fn bounds() -> Vec<Bound<World>> {
    let ahead = |world: World| World { clocks: [0, 1, 0, 0], ..world };
    // The clocks of instances and of operators differ by the skew, so that each part of an overlap is
    // needed.
    let tight = |declared| {
        let rotation = World { declared, operators: 2, operator_clocks: [0, 1], ..world(ROTATION) };
        ahead(World { steps: 3, ..rotation })
    };
    let no_skew = Declared { skew: 0, ..DECLARED };
    let no_window = Declared { rollout: 0, ..DECLARED };
    let same = |world: World| World { clocks: [0; INSTANCES], operator_clocks: [0; 2], ..world };
    let deviations = Deviations::default();
    let forced = world(FORCED);
    let schedule = ahead(world(SCHEDULE));
    let loses_store = Deviations { can_lose_store: true, ..deviations };
    let leak = beyond(&World { max_staleness: Some(1), ..world(LEAK) }, loses_store);
    let joining = World { running: 1, joining: 1, disturbances: 1, ..world(ROTATION) };
    let restarting = World { disturbances: 2, ..world(ROTATION) };
    let reporting = World { report_lag: 1, ..world(ROTATION) };
    let revokes_locally = Deviations { revokes_locally: true, ..deviations };
    let revoking = beyond(&world(LEAK), revokes_locally);
    vec![
        Bound {
            name: "promotion gate",
            lifted_by: "a key is promoted whatever the instances report",
            within: forced.clone(),
            beyond: beyond(&forced, Deviations { has_no_gate: true, ..deviations }),
            breaks: (Property::P1, 3),
        },
        Bound {
            name: "max lifetime",
            lifted_by: "a value is valid for an hour longer than the policy declares",
            within: tight(DECLARED),
            beyond: beyond(&tight(DECLARED), Deviations { longer_lifetime: 1, ..deviations }),
            breaks: (Property::P4, 14),
        },
        Bound {
            name: "rollout window in the overlap",
            lifted_by: "instances act on a step within an hour, but the policy declares no rollout window",
            within: tight(no_window),
            beyond: beyond(&tight(no_window), Deviations { later: 1, ..deviations }),
            breaks: (Property::P4, 13),
        },
        Bound {
            name: "skew in the overlap",
            lifted_by: "clocks differ by an hour, but the policy declares no skew",
            within: same(tight(no_skew)),
            beyond: tight(no_skew),
            breaks: (Property::P1, 10),
        },
        Bound {
            name: "skew before a scheduled start",
            lifted_by: "a clock is an hour ahead, but the policy declares no skew",
            within: schedule.clone(),
            beyond: World { declared: no_skew, ..schedule.clone() },
            breaks: (Property::P1, 2),
        },
        Bound {
            name: "rollout window before a scheduled start",
            lifted_by: "an instance learns of the start an hour later than within the window",
            within: schedule.clone(),
            beyond: beyond(&schedule, Deviations { later: 1, ..deviations }),
            breaks: (Property::P1, 3),
        },
        Bound {
            name: "`max_staleness`",
            lifted_by: "an instance that loses its store serves for ever",
            within: leak.clone(),
            beyond: World { max_staleness: None, ..leak },
            breaks: (Property::P2, 4),
        },
        Bound {
            name: "report of a process that starts",
            lifted_by: "the report is lost, and a missing report counts as agreement",
            within: joining.clone(),
            beyond: beyond(&joining, Deviations { loses_first_report: true, ..deviations }),
            breaks: (Property::P1, 6),
        },
        Bound {
            name: "reports of a running instance",
            lifted_by: "its reports are lost, and it counts as stopped",
            within: reporting.clone(),
            beyond: World { report_lag: 10, ..reporting },
            breaks: (Property::P1, 8),
        },
        Bound {
            name: "no step back at a start",
            lifted_by: "a process starts with an older manifest than any instance holds",
            within: restarting.clone(),
            beyond: beyond(&restarting, Deviations { starts_go_back: true, ..deviations }),
            breaks: (Property::P1, 9),
        },
        Bound {
            name: "a ring keeps revocations",
            lifted_by: "a reload removes the revocations that an instance made itself",
            within: revoking.clone(),
            beyond: beyond(&revoking, Deviations { forgets_revocations: true, ..revokes_locally }),
            breaks: (Property::P5, 5),
        },
    ]
}
