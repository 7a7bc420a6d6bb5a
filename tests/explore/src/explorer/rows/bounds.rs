//! The bounds that stored rows need, each with the smallest fleet that breaks a property without it.
//!
//! Within the bound, the same fleet breaks no property.

use super::super::counterexamples::Bound;
use super::super::property::Property;
use super::world::{RewrapOptions, RowDeviations, RowWorld};
use super::worlds::{BY_COMMAND, ROLLBACK, ROTATION, world_with_skew, world_without_skew};

/// Returns every declared bound that rows need.
pub fn row_bounds() -> Vec<Bound<RowWorld>> {
    let rotation = world_without_skew(ROTATION);
    let skewed = RowWorld { steps: 3, horizon: 5, ..world_with_skew(ROTATION) };
    let joining = RowWorld { running: 1, joining: 1, disturbances: 1, ..rotation.clone() };
    let back = RowWorld {
        options: BY_COMMAND,
        rewraps: 2,
        at_once: 2,
        keys: 2,
        horizon: 3,
        ..world_without_skew(ROLLBACK)
    };
    let renews = RewrapOptions { renews_all: true, ..BY_COMMAND };
    let renews = RowWorld { step_kinds: ROTATION, options: renews, steps: 2, ..back.clone() };
    let with = |world: &RowWorld, deviations| RowWorld { deviations, ..world.clone() };
    let none = RowDeviations::default();
    let keeps = RowDeviations { keeps_document: true, ..none };
    let mut all = Vec::new();
    let mut add = |name, lifted_by, within: &RowWorld, beyond: RowWorld, breaks| {
        all.push(Bound { name, lifted_by, within: within.clone(), beyond, breaks });
    };
    add(
        "rewrap of all tables",
        "every rewrap misses one of the tables",
        &rotation,
        with(&rotation, RowDeviations { misses_table: true, ..none }),
        (Property::R2, 10),
    );
    add(
        "rollout window before a rewrap",
        "an instance acts on the promotion an hour later than within the window",
        &rotation,
        with(&rotation, RowDeviations { later: 1, ..none }),
        (Property::R2, 10),
    );
    add(
        "skew before a rewrap",
        "the clock of the instance that rewraps is ahead by twice the skew",
        &skewed,
        RowWorld { clocks: [0, 2, 0, 0], ..skewed.clone() },
        (Property::R2, 11),
    );
    add(
        "report at the start",
        "the first report of an instance is lost, and a missing report counts as agreement",
        &joining,
        with(&joining, RowDeviations { loses_first_report: true, ..none }),
        (Property::R1, 5),
    );
    add(
        "rewrap command within the rollout window of a rollback",
        "a command that started before a rollback runs beside the rewrap after it",
        &back,
        with(&back, keeps),
        (Property::R2, 13),
    );
    add(
        "rewrap command within the rollout window of a promotion",
        "a command that renews all rows runs beside the rewrap after a promotion",
        &renews,
        with(&renews, keeps),
        (Property::R2, 12),
    );
    all
}
