//! `dualkey audit` without a further word: the records that a filter admits.

use std::time::SystemTime;

use crate::cli::context::Context;
use crate::cli::failure::{Failure, Status};
use crate::cli::parse::{action, moment};
use crate::cli::terminal::Terminal;
use crate::ops::OpsError;
use crate::ops::audit::{Action, Listing, Outcome, Query, Trail, to_json};
use crate::ops::inventory::Project;

/// A filter of the records, and their form.
#[derive(clap::Args)]
pub(super) struct QueryArgs {
    /// Of this secret
    #[arg(long)]
    secret: Option<String>,
    /// Of this action, as in rotated; again for another
    #[arg(long, value_parser = action)]
    action: Vec<Action>,
    /// Of this actor
    #[arg(long)]
    actor: Option<String>,
    /// That went so: success, failed, started, abandoned
    #[arg(long, value_parser = outcome)]
    outcome: Option<Outcome>,
    /// Not before this
    #[arg(long, value_parser = moment, value_name = "TIME")]
    since: Option<SystemTime>,
    /// Before this
    #[arg(long, value_parser = moment, value_name = "TIME")]
    until: Option<SystemTime>,
    /// At most so many, the newest
    #[arg(long, default_value_t = 100, value_name = "COUNT")]
    take: usize,
    /// The last rotation of each secret that went well
    #[arg(long, conflicts_with_all = ["action", "take"])]
    last_rotations: bool,
    /// As JSON, for scripts
    #[arg(long)]
    json: bool,
}

fn outcome(text: &str) -> Result<Outcome, String> {
    let words = || Outcome::ALL.map(Outcome::as_str).join(", ").to_lowercase();
    text.parse().map_err(|_| format!("one of {}", words()))
}

pub(super) async fn run(context: &Context, args: &QueryArgs, terminal: &mut Terminal) -> Status {
    // An old log may tell of environments that are gone.
    let project = match context.project() {
        Err(Failure::Ops(OpsError::UnknownEnvironment { .. })) => context.project_of(None)?,
        project => project?,
    };
    let trail = project.trail().await?;
    let query = new_query(context, args);
    let listing = if args.last_rotations {
        read_last_rotations(&project, &*trail, &query, args).await?
    } else {
        trail.read(&narrow(query, args)).await?
    };
    if args.json {
        terminal.json(&to_json(&listing))?;
    } else {
        print_records(&listing, terminal)?;
    }
    Ok(if listing.forged.is_empty() && listing.problem.is_none() { 0 } else { 3 })
}

/// Returns a query by environment, actor and time.
fn new_query(context: &Context, args: &QueryArgs) -> Query {
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
    query
}

/// Narrows `query` to the actions, the secret, the outcome and the count of `args`.
fn narrow(mut query: Query, args: &QueryArgs) -> Query {
    for action in &args.action {
        query = query.action(action.clone());
    }
    if let Some(secret) = &args.secret {
        query = query.secret(secret);
    }
    if let Some(outcome) = args.outcome {
        query = query.outcome(outcome);
    }
    query.take(args.take)
}

/// Reads the last rotation of each secret that `query` and `args` admit.
async fn read_last_rotations(
    project: &Project,
    trail: &dyn Trail,
    query: &Query,
    args: &QueryArgs,
) -> Result<Listing, Failure> {
    let mut listing = Listing::default();
    let query = query.clone().outcome(args.outcome.unwrap_or(Outcome::Success));
    let is_asked = |name: &String| args.secret.as_ref().is_none_or(|secret| secret == name);
    for item in project.inventory().secrets.iter().filter(|item| is_asked(&item.name)) {
        let query = query.clone().secret(&item.name).rotations().take(1);
        let found = trail.read(&query).await?;
        listing.records.extend(found.records);
        listing.problem = listing.problem.or(found.problem);
        // Each reads back as far as it has to.
        if found.forged.len() > listing.forged.len() {
            listing.forged = found.forged;
        }
    }
    Ok(listing)
}

fn print_records(listing: &Listing, terminal: &mut Terminal) -> Result<(), Failure> {
    for found in &listing.records {
        let doubt =
            if found.is_vouched { "" } else { " | UNVOUCHED: only a revoked key signed it" };
        terminal.line(&format!("{}{doubt}", found.record))?;
    }
    for forged in &listing.forged {
        terminal.line(&forged.to_string())?;
    }
    match &listing.problem {
        None => Ok(()),
        Some(problem) => terminal.line(&format!(
            "BROKEN: {problem}; older records are not shown (see `dualkey audit verify`)"
        )),
    }
}
