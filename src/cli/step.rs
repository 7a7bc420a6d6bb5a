//! A step of one secret, as the commands take it.

use super::change::print_change;
use super::context::Context;
use super::failure::Failure;
use super::options::{Actor, Backup, DryRun, TrustClock};
use super::terminal::Terminal;
use crate::error::Error;
use crate::manifest::Change;
use crate::ops::OpsError;
use crate::ops::adopt::in_use::check_adopted;
use crate::ops::inventory::Project;
use crate::ops::rotate::Operator;

/// A step of one secret: its project, and the operator that takes it.
pub(super) struct StepCommand<'a> {
    pub(super) project: Project,
    pub(super) operator: Operator,
    name: &'a str,
    dry_run: DryRun,
}

impl<'a> StepCommand<'a> {
    /// Opens the project of the secret `name`, with an operator that honours the options.
    pub(super) async fn open(
        context: &Context,
        name: &'a str,
        actor: &Actor,
        dry_run: DryRun,
        backup: Backup,
    ) -> Result<Self, Failure> {
        let project = backup.apply(context.project()?);
        let mut operator = Operator::for_project(&project, name, &actor.name()?).await?;
        check_adopted(&project, name).await?;
        if let Some(reason) = &actor.reason {
            operator = operator.reason(reason);
        }
        if dry_run.is_set() {
            operator = operator.dry_run();
        }
        Ok(Self { project, operator, name, dry_run })
    }

    /// Dates the step by this clock, if the option says so.
    pub(super) fn date_by(mut self, clock: TrustClock) -> Self {
        self.operator = clock.apply(self.operator);
        self
    }

    /// Forces a refused step.
    pub(super) fn force(mut self) -> Self {
        self.operator = self.operator.force();
        self
    }

    /// Prints the change, and the next step.
    pub(super) async fn print(
        &self,
        change: &Change,
        terminal: &mut Terminal,
    ) -> Result<(), Failure> {
        print_change(&self.project, self.name, change, self.dry_run, terminal).await
    }

    /// Prints a warning if this clock disagrees with the instances. The step was taken all the
    /// same.
    pub(super) async fn print_clock_warning(&self, terminal: &mut Terminal) -> Result<(), Failure> {
        match self.operator.check_clock().await {
            Err(OpsError::Refused(error @ Error::ClockDisagrees { .. })) => {
                terminal.line(&format!("  warning   {error}"))
            }
            _ => Ok(()),
        }
    }
}
