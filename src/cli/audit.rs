//! The audit trail.

use std::io::{self, Read};
use std::path::Path;

use zeroize::Zeroizing;

use super::args::{self, AuditCommand};
use super::{Context, Failure, Status, Terminal};
use crate::ops::OpsError;
use crate::ops::audit::{Action, Listing, Outcome, Query, Verification, import, to_json};
use crate::ops::rotate;
use crate::source::disk;

/// The largest log to import: 64 MiB, half a million lines. A longer one is imported in parts.
const MAX_BYTES: usize = 64 * 1024 * 1024;

pub(super) async fn run(context: &Context, args: args::Audit, terminal: &mut Terminal) -> Status {
    match args.command {
        Some(AuditCommand::Verify) => {
            let verified = context.project()?.verify_trail().await?;
            for forged in &verified.forged {
                terminal.line(&forged.to_string())?;
            }
            let Verification { records, is_torn, problem, .. } = verified;
            if is_torn {
                terminal.line(&format!(
                    "UNFINISHED: half a record is after record {records}, and counts as none; its \
                     writer was killed, or it is forged; the next record takes its place"
                ))?;
            }
            terminal.line(&match &problem {
                None => format!("whole: {records} records, each as it was written"),
                Some(problem) => format!("BROKEN: {problem}; {records} records hold"),
            })?;
            Ok(if is_torn || problem.is_some() { 3 } else { 0 })
        }
        Some(AuditCommand::Import { log }) => {
            let project = context.project()?;
            let text = read(&log).map_err(OpsError::io(&log))?;
            let own = import(&*project.trail().await?, &text, project.now()).await?;
            terminal.line(&format!(
                "{} records were taken over, {} were there already",
                own.taken, own.known
            ))?;
            Ok(0)
        }
        Some(AuditCommand::Restart { who }) => {
            let project = context.project()?;
            let reason = who.reason.clone().ok_or(OpsError::NoReason { what: "a new trail" })?;
            let secret = &project.inventory().audit.secret;
            terminal.confirm(&who, secret, "the trail is put aside, and a new one begins")?;
            let record = project.record(secret, Action::RESTARTED, &who.actor()?).reason(reason);
            if who.dry_run {
                terminal.line(&match project.trail_to_put_aside().await? {
                    Some(path) => format!("would put {} aside, and start with:", path.display()),
                    None => "would start with:".to_owned(),
                })?;
                terminal.line(&record.to_string())?;
                return Ok(0);
            }
            terminal.line(&match project.restart_trail(&record).await? {
                Some(aside) => {
                    format!("started a new trail; the old one is in {}", aside.display())
                }
                None => "started a new trail; there was no old one".to_owned(),
            })?;
            Ok(0)
        }
        None => query(context, &args, terminal).await,
    }
}

/// The log at `path`, or from standard input.
fn read(path: &Path) -> io::Result<Zeroizing<String>> {
    if path.as_os_str() != "-" {
        return disk::read_text(path, MAX_BYTES);
    }
    let mut text = Zeroizing::new(String::new());
    let most = MAX_BYTES as u64;
    io::stdin().lock().take(most.saturating_add(1)).read_to_string(&mut text)?;
    match text.len() > MAX_BYTES {
        true => Err(io::Error::other(format!("it has more than {MAX_BYTES} bytes"))),
        false => Ok(text),
    }
}

async fn query(context: &Context, args: &args::Audit, terminal: &mut Terminal) -> Status {
    // An old log may tell of environments that are gone.
    let project = match context.project() {
        Err(Failure::Ops(OpsError::UnknownEnvironment { .. })) => context.project_of(None)?,
        project => project?,
    };
    let trail = project.trail().await?;
    let mut query = Query::new();
    if let Some(environment) = &context.environment {
        query = query.environment(environment);
    }
    if let Some(actor) = &args.actor {
        query = query.actor(actor);
    }
    if let Some(moment) = args.since {
        query = query.since(moment);
    }
    if let Some(moment) = args.until {
        query = query.until(moment);
    }
    let found = if args.last_rotations {
        let mut found = Listing::default();
        for item in &project.inventory().secrets {
            if args.secret.as_ref().is_none_or(|name| *name == item.name) {
                let own = query.clone().outcome(args.outcome.unwrap_or(Outcome::Success));
                let own = own.secret(&item.name).rotations().take(1);
                let own = trail.read(&own).await?;
                found.records.extend(own.records);
                found.problem = found.problem.or(own.problem);
                // Each goes back as far as it has to.
                if own.forged.len() > found.forged.len() {
                    found.forged = own.forged;
                }
            }
        }
        found
    } else {
        for action in &args.action {
            query = query.action(action.clone());
        }
        if let Some(secret) = &args.secret {
            query = query.secret(secret);
        }
        if let Some(outcome) = args.outcome {
            query = query.outcome(outcome);
        }
        trail.read(&query.take(args.take)).await?
    };
    match args.json {
        true => terminal.json(&to_json(&found))?,
        false => terminal.records(&found)?,
    }
    Ok(if found.forged.is_empty() && found.problem.is_none() { 0 } else { 3 })
}

/// Tells what was done elsewhere.
pub(super) async fn record(
    context: &Context,
    args: args::Record,
    terminal: &mut Terminal,
) -> Status {
    let project = context.project()?;
    let mut record = project.record(&args.name, args.action, &args.who.actor()?);
    record.reason = args.who.reason;
    if !args.who.dry_run {
        rotate::record(&project, &record).await?;
    }
    terminal.line(&record.to_string())?;
    Ok(0)
}
