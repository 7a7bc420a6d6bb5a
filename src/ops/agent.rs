//! The agent: follows the inventory, rotates what is automatic, reminds of the rest.
//!
//! The next step of a secret is the one that its status shows. The agent takes it if it needs no
//! operator: it promotes a staged key that every instance holds, retires an old key that is safe to
//! retire or has expired, and stages a key when a rotation is due. Every other step is left to an operator.
//!
//! All that it knows is in the stores and in the trail: it may be killed at any moment, started
//! again, and run twice at once, and takes no step twice.

use std::time::Duration;

use super::audit::{Action, Outcome, Query, Trail};
use super::error::OpsError;
use super::inventory::{Project, SecretSpec};
use super::remind::{Delivery, Reminder, remind};
use super::rotate::{CheckOutcome, Operator, checks};
use super::schedule::read_facts;
use crate::error::Error;
use crate::evidence::next_step::automatic::{AutomaticStep, automatic_step};
use crate::kid::Kid;
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

    /// Takes the next step, if an agent may, and if it is due.
    async fn step(
        &self,
        item: &SecretSpec,
        operator: &Operator,
    ) -> Result<Option<Change>, OpsError> {
        let (manifest, reports) = (operator.load().await?, operator.reports().await?);
        let (trail, now) = (self.project.trail().await?, self.project.now());
        let facts = read_facts(&*trail, item, &manifest, &reports, now).await?;
        match automatic_step(&facts) {
            // Both are asked without a step, which would be recorded as a refusal at each turn.
            Some(AutomaticStep::Promote { kid }) => match manifest.promote(&kid, &reports, now) {
                // One that was restaged is to open rows, and not to seal them. A trail that was started
                // again does not say so.
                Ok(_)
                    if item.purpose.needs_rewrap()
                        && !is_staged(&*trail, &manifest, kid).await? =>
                {
                    Ok(None)
                }
                Ok(_) => operator.promote(Some(kid)).await.map(Some),
                Err(error @ Error::ClockDisagrees { .. }) => Err(error.into()),
                Err(_) => Ok(None),
            },
            Some(AutomaticStep::Retire { kid }) => {
                manifest.retire(&kid, &reports, now)?;
                operator.retire(Some(kid)).await.map(Some)
            }
            Some(AutomaticStep::Stage) => {
                self.check(item).await?;
                operator.stage_if_none(item.new_key(None)?).await
            }
            Some(AutomaticStep::Check) => self.check(item).await.map(|()| None),
            None => Ok(None),
        }
    }

    /// Fails if a check before a rotation of `item` does.
    async fn check(&self, item: &SecretSpec) -> Result<(), OpsError> {
        let mut failed = checks(&self.project, &item.name).await?;
        failed.retain(|check| check.outcome == CheckOutcome::Failed);
        if failed.is_empty() { Ok(()) } else { Err(OpsError::Checks { failed }) }
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

/// Returns whether the trail says that the key `kid` of `manifest` was staged.
async fn is_staged(trail: &dyn Trail, manifest: &Manifest, kid: Kid) -> Result<bool, OpsError> {
    let query = Query::new().secret(manifest.ring()).environment(manifest.environment());
    let query = query.action(Action::STAGED).outcome(Outcome::Success);
    let records = trail.query(&query).await?;
    Ok(records.iter().any(|entry| entry.record.kid == Some(kid)))
}
