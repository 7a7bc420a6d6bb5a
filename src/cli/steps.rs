//! The steps of a rotation.

use std::io::Read;

use zeroize::Zeroizing;

use super::args::{self, Dated, Value, Who};
use super::{Context, Failure, Status, Terminal};
use crate::error::Error;
use crate::lifecycle::KeyState;
use crate::lifecycle::Role;
use crate::manifest::NewEntry;
use crate::ops::OpsError;
use crate::ops::inventory::{Item, Project};
use crate::ops::rotate::{self, Operator, Progress, Walked, walk};
use crate::ops::schedule::standing_of;
use crate::secret::Secret;
use crate::source::disk;

/// A secret is a line, and no file.
const MAX_BYTES: usize = 64 * 1024;

/// The exit status of a rotation whose new key is staged, and does not sign yet.
const STAGED: u8 = 3;

pub(super) async fn rotate(
    context: &Context,
    args: args::Rotate,
    terminal: &mut Terminal,
) -> Status {
    let (project, operator) = open(context, &args.name, &args.who).await?;
    let new = new(&project, &args.name, &args.value)?;
    let name = args.name.as_str();
    terminal.line(&format!("{name} ({}): rotate", project.environment_name()))?;
    let operator = match args.skip.iter().any(|check| check == "clock") {
        true => operator.trust_clock(),
        false => operator,
    };
    let operator = match args.skip.is_empty() {
        true => operator,
        // What was skipped stands in the trail.
        false => operator.reason(format!(
            "{} (skipped: {})",
            args.who.reason.as_deref().unwrap_or_default(),
            args.skip.join(", ")
        )),
    };
    let is_rehearsal = args.who.dry_run;
    let mut failed = None;
    let walked = walk(&project, name, &operator, new, &args.skip, args.wait, |progress| {
        let told = match progress {
            Progress::Checked(all) => terminal.checks(all),
            Progress::Staged(_) if is_rehearsal => Ok(()),
            Progress::Staged(change) => terminal.line(&format!("  staged    {}", change.kid)),
            Progress::Waiting(obstacles) => terminal.waiting(obstacles, args.wait),
        };
        failed = failed.take().or(told.err());
    })
    .await?;
    if let Some(failure) = failed {
        return Err(failure);
    }
    match walked {
        Walked::Promoted(change) => terminal.step(&project, name, &change, false).await?,
        Walked::Staged { staged, .. } if is_rehearsal => {
            terminal.step(&project, name, &staged, true).await?;
        }
        Walked::Staged { .. } => {
            terminal.line("  the new key verifies, and does not sign yet")?;
            let own = standing_of(&project, name).await?;
            terminal.next(&own, project.now())?;
            return Ok(STAGED);
        }
    }
    Ok(0)
}

pub(super) async fn stage(context: &Context, args: args::Stage, terminal: &mut Terminal) -> Status {
    let (project, operator) = open_dated(context, &args.name, &args.who, &args.dated).await?;
    let mut new = new(&project, &args.name, &args.value)?;
    if let Some(moment) = args.at {
        new = new.signs_from(moment);
    }
    let change = operator.stage(new).await?;
    terminal.step(&project, &args.name, &change, args.who.dry_run).await?;
    Ok(0)
}

pub(super) async fn promote(
    context: &Context,
    args: args::Promote,
    terminal: &mut Terminal,
) -> Status {
    let (project, mut operator) = open_dated(context, &args.name, &args.who, &args.dated).await?;
    if args.deployed {
        operator = operator.deployed();
    }
    if args.force {
        terminal.confirm(
            &args.who,
            &args.name,
            "instances that do not hold the key refuse what it signs",
        )?;
        operator = operator.force();
    }
    let change = operator.promote(args.kid).await?;
    terminal.step(&project, &args.name, &change, args.who.dry_run).await?;
    Ok(0)
}

pub(super) async fn rollback(
    context: &Context,
    args: args::Rollback,
    terminal: &mut Terminal,
) -> Status {
    let (project, mut operator) = open_dated(context, &args.name, &args.who, &args.dated).await?;
    if args.force {
        operator = operator.force();
    }
    let change = operator.rollback().await?;
    terminal.step(&project, &args.name, &change, args.who.dry_run).await?;
    Ok(0)
}

pub(super) async fn restage(
    context: &Context,
    args: args::Restage,
    terminal: &mut Terminal,
) -> Status {
    let (project, mut operator) = open_dated(context, &args.name, &args.who, &args.dated).await?;
    if args.force {
        terminal.confirm(&args.who, &args.name, "what the key signed becomes valid again")?;
        operator = operator.force();
    }
    let change = operator.restage(&args.kid).await?;
    terminal.step(&project, &args.name, &change, args.who.dry_run).await?;
    Ok(0)
}

pub(super) async fn repair_clock(
    context: &Context,
    args: args::RepairClock,
    terminal: &mut Terminal,
) -> Status {
    let (project, operator) = open_dated(context, &args.name, &args.who, &args.dated).await?;
    let before = operator.load().await?;
    let change = operator.repair_clock().await?;
    if !change.has_changed(&before) {
        let environment = project.environment_name();
        terminal.line(&format!(
            "{} ({environment}): nothing to correct: the last change is not ahead of this clock",
            args.name
        ))?;
        return Ok(0);
    }
    terminal.step(&project, &args.name, &change, args.who.dry_run).await?;
    Ok(0)
}

pub(super) async fn retire(
    context: &Context,
    args: args::Retire,
    terminal: &mut Terminal,
) -> Status {
    let (project, mut operator) = open_dated(context, &args.name, &args.who, &args.dated).await?;
    if args.force {
        terminal.confirm(
            &args.who,
            &args.name,
            "what the key signed is refused, what it sealed cannot be opened",
        )?;
        operator = operator.force();
    }
    let change = rotate::retire(&project, &args.name, &operator, args.kid).await?;
    terminal.step(&project, &args.name, &change, args.who.dry_run).await?;
    Ok(0)
}

pub(super) async fn revoke(
    context: &Context,
    args: args::Revoke,
    terminal: &mut Terminal,
) -> Status {
    let (project, operator) = open(context, &args.name, &args.who).await?;
    terminal.confirm(&args.who, &args.name, "the key verifies nothing any more")?;
    let change = operator.revoke(&args.kid).await?;
    terminal.clock_warning(&operator).await?;
    terminal.step(&project, &args.name, &change, args.who.dry_run).await?;
    Ok(0)
}

pub(super) async fn emergency(
    context: &Context,
    args: args::Emergency,
    terminal: &mut Terminal,
) -> Status {
    let (project, operator) = open(context, &args.name, &args.who).await?;
    let new = new(&project, &args.name, &args.value)?;
    terminal.confirm(&args.who, &args.name, "everything that the key signed is refused")?;
    let change = operator.emergency(args.kid, new).await?;
    terminal.clock_warning(&operator).await?;
    terminal.step(&project, &args.name, &change, args.who.dry_run).await?;
    if args.value.value_from.is_some() && change.from == Some(KeyState::Active(Role::Staged)) {
        terminal
            .line("  note      a key was staged already, and was taken: not the one handed over")?;
    }
    Ok(0)
}

pub(super) async fn destroy(
    context: &Context,
    args: args::Destroy,
    terminal: &mut Terminal,
) -> Status {
    let (project, mut operator) = open_dated(context, &args.name, &args.who, &args.dated).await?;
    terminal.confirm(&args.who, &args.name, "the secret of the key is wiped")?;
    if args.force {
        operator = operator.force();
    }
    let change = operator.destroy(&args.kid).await?;
    terminal.step(&project, &args.name, &change, args.who.dry_run).await?;
    Ok(0)
}

pub(super) async fn policy(
    context: &Context,
    args: args::Policy,
    terminal: &mut Terminal,
) -> Status {
    let (project, operator) = open_dated(context, &args.name, &args.who, &args.dated).await?;
    let item = project.inventory().secret(&args.name)?;
    let is_news = operator.set_policy(item.policy).await?;
    let said = match (is_news, args.who.dry_run) {
        (false, _) => "it lives by the policy of the inventory already",
        (true, false) => "it lives by the policy of the inventory",
        (true, true) => "it would live by the policy of the inventory; nothing was changed",
    };
    terminal.line(&format!("{} ({}): {said}", args.name, project.environment_name()))?;
    Ok(0)
}

async fn open(context: &Context, name: &str, who: &Who) -> Result<(Project, Operator), Failure> {
    let mut project = context.project()?;
    if who.backup {
        project = project.backup();
    }
    let operator = context.operator(&project, name, who).await?;
    Ok((project, operator))
}

async fn open_dated(
    context: &Context,
    name: &str,
    who: &Who,
    dated: &Dated,
) -> Result<(Project, Operator), Failure> {
    let (project, operator) = open(context, name, who).await?;
    let operator = if dated.trust_clock { operator.trust_clock() } else { operator };
    Ok((project, operator))
}

/// The new key: made here, or read.
fn new(project: &Project, name: &str, value: &Value) -> Result<NewEntry, Failure> {
    let item = project.inventory().secret(name)?;
    let given = value.value_from.as_ref().map(|path| read(item, path)).transpose()?;
    let new = item.new_key(given)?;
    Ok(match &value.algorithm {
        Some(algorithm) => new.algorithm(algorithm),
        None => new,
    })
}

/// A secret from a file or from standard input, without the end of its line.
pub(super) fn read(item: &Item, path: &std::path::Path) -> Result<Secret, Failure> {
    let io = |source| OpsError::Io { path: path.to_owned(), source };
    let text = match path.as_os_str() == "-" {
        true => read_input().map_err(io)?,
        false => match disk::read_text(path, MAX_BYTES) {
            Err(source) if disk::is_no_file(&source) => {
                let problem = format!("{source}; pass `-` to read standard input");
                return Err(io(std::io::Error::other(problem)).into());
            }
            text => text.map_err(io)?,
        },
    };
    let line = text.trim_end_matches(['\n', '\r']);
    let decoded = item.purpose.decode(line.to_owned());
    decoded.map_err(|expected| {
        Failure::Usage(format!("what {} holds for {} is not {expected}", path.display(), item.name))
    })
}

/// What standard input holds, up to the longest secret.
fn read_input() -> std::io::Result<Zeroizing<String>> {
    // With all of its room, so that no part is left behind unwiped.
    let mut text = Zeroizing::new(String::with_capacity(MAX_BYTES + 1));
    std::io::stdin().lock().take(MAX_BYTES as u64 + 1).read_to_string(&mut text)?;
    match text.len() > MAX_BYTES {
        true => Err(std::io::Error::other(format!("it has more than {MAX_BYTES} bytes"))),
        false => Ok(text),
    }
}

impl Terminal {
    /// Says if this clock disagrees with the instances, where the step was taken all the same.
    async fn clock_warning(&mut self, operator: &Operator) -> Result<(), Failure> {
        match operator.check_clock().await {
            Err(OpsError::Refused(error @ Error::ClockDisagrees { .. })) => {
                self.line(&format!("  warning   {error}"))
            }
            _ => Ok(()),
        }
    }
}
