//! Options that several commands have. A command has only those that it honours.

use clap::Args;

use super::failure::Failure;
use super::terminal::Terminal;
use crate::ops::inventory::Project;
use crate::ops::rotate::Operator;

/// The operator.
#[derive(Args)]
pub(super) struct OperatorName {
    /// The operator, for the audit trail; the user of the operating system unless set
    #[arg(long, env = "DUALKEY_BY", hide_env_values = true, value_name = "NAME")]
    by: Option<String>,
}

/// The operator, and the reason of a step.
#[derive(Args)]
pub(super) struct Actor {
    #[command(flatten)]
    by: OperatorName,
    /// Why, for the audit trail
    #[arg(long)]
    pub(super) reason: Option<String>,
}

/// The choice of a run without effects.
#[derive(Args, Clone, Copy)]
pub(super) struct DryRun {
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
}

/// The consent to a step that cannot be undone.
#[derive(Args, Clone, Copy)]
pub(super) struct Confirmation {
    /// Do not ask before what cannot be undone
    #[arg(long, short)]
    yes: bool,
}

/// The choice of a copy of the `.env` file that a step changes.
#[derive(Args, Clone, Copy)]
pub(super) struct Backup {
    /// Keep a copy of a .env file before it is changed
    #[arg(long)]
    backup: bool,
}

/// The choice of the clock that dates a step.
#[derive(Args, Clone, Copy)]
pub(super) struct TrustClock {
    /// Trust this clock, although the reports of the instances disagree with it
    #[arg(long)]
    trust_clock: bool,
}

impl OperatorName {
    /// Returns the name that was given, or that of the user of the operating system.
    pub(super) fn name(&self) -> Result<String, Failure> {
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let user = || ["SUDO_USER", "USER", "LOGNAME", "USERNAME"].into_iter().find_map(variable);
        let given = self.by.clone().filter(|name| !name.is_empty());
        given.or_else(user).or_else(system_user).ok_or_else(|| {
            let problem = "the operator is not named: pass `--by NAME`, or set DUALKEY_BY";
            Failure::Usage(problem.to_owned())
        })
    }
}

/// Returns the user of this process by the records of the system, which a job of cron has too.
#[cfg(unix)]
fn system_user() -> Option<String> {
    use nix::unistd::{User, getuid};
    let name = User::from_uid(getuid()).ok().flatten().map(|user| user.name);
    Some(name.filter(|name| !name.is_empty()).unwrap_or_else(|| format!("uid {}", getuid())))
}

#[cfg(not(unix))]
fn system_user() -> Option<String> {
    None
}

impl Actor {
    pub(super) fn name(&self) -> Result<String, Failure> {
        self.by.name()
    }
}

impl DryRun {
    pub(super) fn is_set(self) -> bool {
        self.dry_run
    }
}

impl Confirmation {
    /// Asks for the name of the secret before a step with an `effect` that cannot be undone. A dry
    /// run has no effect, so it is not asked for.
    pub(super) fn ask(
        self,
        dry_run: DryRun,
        name: &str,
        effect: &str,
        terminal: &mut Terminal,
    ) -> Result<(), Failure> {
        if self.yes || dry_run.is_set() {
            return Ok(());
        }
        terminal.confirm(name, effect)
    }
}

impl Backup {
    pub(super) fn apply(self, project: Project) -> Project {
        if self.backup { project.backup() } else { project }
    }
}

impl TrustClock {
    pub(super) fn apply(self, operator: Operator) -> Operator {
        if self.trust_clock { operator.trust_clock() } else { operator }
    }
}
