//! A model checker over the library's own manifests, verdicts and rings. It explores every run of small
//! fleets breadth first, so the first run that breaks a property is a shortest one.
//!
//! The library computes every step, state of a key, verdict and declared effect. The model adds the
//! fleet around it: stores that show old manifests, clocks that differ, reports that are late, and
//! values that are valid for their lifetime. Time passes in ticks of one hour.
//!
//! # Properties
//!
//! [`property::Property`] states each one, and where it is checked. The exploration prints the list.
//!
//! P1 to P8 are checked on signing keys. R1 to R3, P3 on each state and P5 on each step are checked on
//! encryption keys. Each load is replayed through a real ring, once for each pair of manifests ([`replay`]).
//! One load in 16 is also replayed through a ring that follows a store ([`following`]). For P2, each step
//! declares whether instances without it accept a revoked key.
//!
//! These exemptions apply:
//! - P1 and R1: an instance that has not loaded a step may reject the values of the new primary, if the
//!   step declares that. Only forced promotions, forced rollbacks, revocations and emergency rotations may
//!   declare it.
//! - P1, P4, R1, R2 and R3: every instance may reject the values of a key that was retired or destroyed
//!   by force, until a step restages it.
//! - P1: every instance may reject the values of a key that the latest manifest or any instance revokes.
//!   P4 does not apply to a key that the latest manifest revokes.
//! - P3: an instance that has revoked its primary serves nothing.
//!
//! # Bounds
//!
//! A fleet declares these bounds. [`counterexamples::bounds`] and [`rows::row_bounds`] lift each one,
//! and list the property that then breaks.
//! - The maximum lifetime of a value.
//! - The rollout window: within it, every instance acts on a step. It applies to the overlap of two keys,
//!   before a scheduled start, before a rewrap, and to a rewrap command after a step.
//! - The skew: the clocks of instances and operators differ by no more. It applies to the overlap, before
//!   a scheduled start and before a rewrap.
//! - The promotion gate: without force, no key is promoted until every report has the fingerprint of the
//!   latest manifest.
//! - The report at a start: a process that starts reports its manifest before it serves.
//! - The reports of a running instance: the last one is at most an hour old.
//! - No step back at a start: a process that starts reads no manifest that is older than the oldest one
//!   that a running instance holds.
//! - `max_staleness`: an instance that loses its store serves nothing once its last read is too old.
//! - A ring keeps the revocations that it made itself when it reloads.
//! - A rewrap visits all tables.
//!
//! A run is bounded by its hours, and by the numbers of instances, operators, keys, steps, starts and
//! stops, and rewraps ([`fleet::World`], [`rows::RowWorld`]).
//!
//! # Actions
//!
//! - An hour passes. Before it does, each instance must have loaded every step whose rollout window is
//!   over.
//! - An operator takes a step ([`documents::Step`]) by its own clock, with the reports of that moment.
//!   It may compute the step and store it later, within the rollout window, unless the other operator
//!   stores first. If the answer of the store is lost, the step is stored, and the operator may take any
//!   step next. So a lost answer needs no action of its own.
//! - An instance loads the latest manifest, or an older one that the store may still show. It never
//!   loads one that is older than the manifest that it holds.
//! - An instance reports its manifest. Until then, operators read its former report. In the fleet `late
//!   reports`, that one also has its former time.
//! - An instance is killed. Its last report remains. An instance starts, and reports at once.
//! - An instance revokes a key itself, without its store.
//! - An instance or a command starts a rewrap. The rewrap visits the rows under one key, ends, or is
//!   killed. Another instance continues it.
//!
//! At every tick, each instance that serves signs a value or seals a row. Runs without these values are not
//! explored, because a value only makes a violation more likely.
//!
//! # Not modelled
//!
//! - `repair_clock`, import, aliases, and changes of a policy other than of its lifetime, rollout window
//!   and skew.
//! - A policy whose skew changes, in a fleet of signing keys.
//! - Sources that an operator edits by hand: environment variables, and manifests that are changed
//!   without a step or are not valid.
//! - A clock whose difference from the right time changes during a run, or is not a multiple of an hour.
//! - A graceful stop of an instance, which reports that it has stopped.
//! - Several rings, and several stores.
//! - A report that is destroyed, forged or unreadable.
//! - Traffic: each report has enough of it, and no use of an old key.
//! - A value whose date is ahead of the clock of its reader. Real cookies are verified at the tick of
//!   their date and three hours after a load only.
//! - `max_staleness` of a real ring during a run, and the real loop that reloads: the model decides when
//!   an instance serves and when it reads its store. Single loads check `max_staleness` of a real ring
//!   ([`following`]).
//! - A store that fails, as an action of a run. It is checked for single loads ([`following`]). The loop
//!   that repeats a step after a lost answer is checked for single steps ([`operators`]).
//! - The real `RewrapJob`: the model decides which rows a rewrap visits. Real rings seal and open values.
//! - Signing keys other than those of cookies, and threads.
pub mod adapter;
pub mod counterexamples;
pub mod documents;
pub mod engine;
pub mod faults;
pub mod fleet;
pub mod following;
pub mod history;
pub mod operators;
pub mod property;
pub mod recovery;
pub mod replay;
pub mod rows;
pub mod run;
pub mod step_kinds;
pub mod worlds;
