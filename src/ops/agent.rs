//! The agent: follows the inventory, rotates what is automatic, reminds of the rest.
//!
//! All that it knows is in the stores and in the trail: it may be killed at any moment, started
//! again, and run twice at once, and takes no step twice.

use std::time::{Duration, SystemTime};

use super::audit::Outcome;
use super::error::OpsError;
use super::inventory::{Project, SecretSpec};
use super::remind::{Delivery, Reminder, remind};
use super::rotate::facts::{to_retire, with_role};
use super::rotate::{Check, CheckOutcome, Operator, checks};
use super::schedule::{ScheduleState, schedule_state};
use crate::evidence::Report;
use crate::evidence::old_key::{OldKey, OldKeyStep};
use crate::kid::Kid;
use crate::lifecycle::KeyState;
use crate::lifecycle::Role;
use crate::lifecycle::SigningStart;
use crate::manifest::{Change, Manifest};

/// Follows an inventory.
///
/// ```no_run
/// # async fn start() -> Result<(), dualkey::ops::OpsError> {
/// use dualkey::ops::agent::Agent;
/// use dualkey::ops::inventory::{Inventory, Project};
/// use std::time::{Duration, SystemTime};
///
/// let project = Project::new(Inventory::read("dualkey.toml")?);
/// let agent = Agent::new(project, "agent@host-1");
/// loop {
///     let tick = agent.tick().await;
///     for (secret, error) in &tick.errors {
///         eprintln!("{secret}: {error}");
///     }
///     tokio::time::sleep(Duration::from_secs(60)).await;
/// }
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Agent {
    project: Project,
    actor: String,
    delivery: Delivery,
}

/// What a tick did.
#[derive(Debug, Default)]
#[non_exhaustive]
#[must_use = "its errors are for somebody to see"]
pub struct Tick {
    /// The steps that were taken, each with its secret.
    pub steps: Vec<(String, Change)>,
    /// Of steps that somebody had left: how they went.
    pub settled: Vec<(String, Outcome)>,
    /// What somebody was reminded of.
    pub reminded: Vec<Reminder>,
    /// What went wrong, each with its secret; nothing else was kept from being done by it.
    pub errors: Vec<(String, OpsError)>,
}

impl Agent {
    /// Follows `project` in the name of `actor`.
    #[must_use]
    pub fn new(project: Project, actor: &str) -> Self {
        Self { project, actor: actor.to_owned(), delivery: Delivery::default() }
    }

    /// How reminders are delivered.
    #[must_use]
    pub fn delivery(mut self, delivery: Delivery) -> Self {
        self.delivery = delivery;
        self
    }

    /// Looks at every secret once: takes the step that is next of each that is automatic, and
    /// reminds of what is for somebody.
    pub async fn tick(&self) -> Tick {
        let mut tick = Tick::default();
        for item in self.project.secrets().filter(|item| item.automatic) {
            if let Err(error) = self.follow(item, &mut tick).await {
                tick.errors.push((item.name.clone(), error));
            }
        }
        match remind(&self.project, &self.actor, self.delivery).await {
            Ok(reminded) => tick.reminded = reminded,
            Err(error) => tick.errors.push(("reminders".to_owned(), error)),
        }
        tick
    }

    async fn follow(&self, item: &SecretSpec, tick: &mut Tick) -> Result<(), OpsError> {
        let operator = Operator::for_project(&self.project, &item.name, &self.actor).await?;
        let operator = operator.reason("by the calendar");
        if let Some(outcome) = operator.settle().await? {
            tick.settled.push((item.name.clone(), outcome));
        }
        if let Some(change) = self.step(item, &operator).await? {
            tick.steps.push((item.name.clone(), change));
        }
        Ok(())
    }

    /// The step that is next, if one is.
    async fn step(
        &self,
        item: &SecretSpec,
        operator: &Operator,
    ) -> Result<Option<Change>, OpsError> {
        let (manifest, reports) = (operator.load().await?, operator.reports().await?);
        let now = self.project.now();
        let staged = with_role(&manifest, Role::Staged, now);
        // One that somebody staged for a moment ahead signs by itself, then and not before.
        let is_waiting = |kid: &&Kid| {
            manifest.key(kid).is_some_and(|key| key.signing_start() == SigningStart::Unscheduled)
        };
        if let Some(kid) = staged.iter().find(is_waiting) {
            // Asked without a step, which would be told as a refusal at each turn.
            return match manifest.promote(kid, &reports, now) {
                Ok(_) => operator.promote(Some(*kid)).await.map(Some),
                Err(_) => Ok(None),
            };
        }
        for kid in to_retire(&manifest, now) {
            let is_over = match manifest.state(&kid, now) {
                Some(KeyState::Expired) => true,
                _ => is_to_retire(&manifest, &kid, &reports, now)?,
            };
            if is_over && item.purpose.expires_by_time() {
                return operator.retire(Some(kid)).await.map(Some);
            }
        }
        if !staged.is_empty() {
            return Ok(None);
        }
        let since = manifest.key(&manifest.primary(now)).map(|key| key.life.signing_since());
        let due =
            item.policy.schedule.zip(since).and_then(|(schedule, since)| schedule.next(since));
        match due.map(|due| schedule_state(due, now, 0)) {
            Some(ScheduleState::Due | ScheduleState::Overdue { .. }) => {}
            _ => return Ok(None),
        }
        let is_bad = |check: &Check| check.outcome == CheckOutcome::Failed;
        let mut failed = checks(&self.project, &item.name).await?;
        failed.retain(is_bad);
        if !failed.is_empty() {
            return Err(OpsError::Checks { failed });
        }
        operator.stage_if_none(item.new_key(None)?).await
    }

    /// Turns at every `pause`, until `stop` is done, and hands each to `tell`. Before each, what
    /// `reopen` gives is followed; where it gives none, that is told, and the last one is.
    pub async fn run(
        mut self,
        pause: Duration,
        stop: impl Future<Output = ()>,
        mut reopen: impl FnMut() -> Result<Project, OpsError>,
        mut tell: impl FnMut(Tick),
    ) {
        let mut stop = std::pin::pin!(stop);
        loop {
            let failed = match reopen() {
                Ok(project) => {
                    self.project = project;
                    None
                }
                Err(error) => Some(error),
            };
            // A tick is not cut off: it would leave a step begun.
            let mut tick = self.tick().await;
            tick.errors.extend(failed.map(|error| ("inventory".to_owned(), error)));
            tell(tick);
            if tokio::time::timeout(pause, &mut stop).await.is_ok() {
                return;
            }
        }
    }
}

/// Whether the fallback `kid` is to be retired now, by the rule that advice follows.
fn is_to_retire(
    manifest: &Manifest,
    kid: &Kid,
    reports: &[Report],
    now: SystemTime,
) -> Result<bool, OpsError> {
    let verdict = manifest.retirement(kid, reports, now)?;
    let old = OldKey {
        state: KeyState::Live(Role::Fallback),
        is_retired: manifest.key(kid).is_some_and(|key| key.retire_at().is_some()),
        verifies_until: manifest.verifies_until(kid),
        verdict: Some(&verdict),
        rewrap_from: None,
    };
    let step = old.next_step(manifest.purpose(), manifest.policy(), now);
    Ok(matches!(step, Some(OldKeyStep::Retire { from: None, .. })))
}
