//! `dualkey rewrap`: all stored data under the primary, with its progress.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use crate::cli::change::print_next;
use crate::cli::context::Context;
use crate::cli::failure::{Failure, Status};
use crate::cli::options::Actor;
use crate::cli::terminal::{Terminal, complain};
use crate::duration::Length;
use crate::moment::Exact;
use crate::moment::NotBefore;
use crate::ops::inventory::Project;
use crate::ops::rewrap::ProjectRewrap;
use crate::ops::schedule::secret_status;
use crate::rewrap::{BATCH, CONCURRENCY, RewrapReport, Unreadable};
use crate::text::Plain;

/// Bring everything that a secret has sealed under its primary, while the service runs
#[derive(clap::Args)]
#[command(
    after_help = "Goes through the tables that the inventory names as the secret's `data`. Exit status: 0 all of it, 3 values could not be read, or the application kept writing them: each is listed; 3 also for a rewrap that started too early to count.\n\nExamples:\n  dualkey rewrap ENCRYPTION_KEY                what would be done\n  dualkey rewrap ENCRYPTION_KEY --execute\n  dualkey rewrap ENCRYPTION_KEY --execute --renew-all --checkpoint renew.ckpt\n  dualkey rewrap ENCRYPTION_KEY --execute --open-revoked --reason 'in a public log'"
)]
pub(super) struct Args {
    /// The secret, by its name in the inventory
    name: String,
    /// Write; else it is said what would be done
    #[arg(long)]
    execute: bool,
    /// Seal every row again, also those under the primary. Needed once for rows that a version
    /// without this option rewrapped, if a key from before that has leaked or may leak
    #[arg(long)]
    renew_all: bool,
    /// After a compromise: open under revoked keys too, and seal again. Needs --reason; the trail
    /// says so, also without --execute
    #[arg(long, requires = "reason")]
    open_revoked: bool,
    /// How many rows are committed together
    #[arg(long, default_value_t = BATCH, value_name = "ROWS")]
    batch: usize,
    /// How many batches are under way at one time
    #[arg(long, default_value_t = CONCURRENCY, value_name = "COUNT")]
    concurrency: usize,
    /// How many rows in a second, at most
    #[arg(long, value_name = "ROWS")]
    rate: Option<std::num::NonZeroU32>,
    /// Keep in this file how far it has come, and go on from there
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// As JSON, for scripts
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    actor: Actor,
}

pub(super) async fn run(context: &Context, args: Args, terminal: &mut Terminal) -> Status {
    let project = context.project()?;
    let job = new_job(&project, &args)?;
    let bar = new_bar();
    let start = Instant::now();
    let result = show_progress(job, &bar).run().await;
    bar.finish_and_clear();
    let tables = result?;
    if args.json {
        let rows: Vec<_> =
            tables.iter().map(|(table, rewrapped)| to_json(table, rewrapped)).collect();
        terminal.json(&format!("{:#}", json!(rows)))?;
    } else {
        print_tables(&project, &args, &tables, start.elapsed(), terminal)?;
        print_remedy(&args, &tables, terminal)?;
        if args.execute {
            let status = secret_status(&project, &args.name).await?;
            print_next(&status, project.now(), terminal)?;
        }
    }
    // One that does not count is to be repeated, as one that is not complete.
    let is_done = |rewrapped: &RewrapReport| {
        rewrapped.is_complete() && !(args.execute && rewrapped.is_too_early())
    };
    Ok(if tables.iter().all(|(_, rewrapped)| is_done(rewrapped)) { 0 } else { 3 })
}

fn new_job<'p>(project: &'p Project, args: &Args) -> Result<ProjectRewrap<'p>, Failure> {
    let mut job = ProjectRewrap::new(project, &args.name, &args.actor.name()?)
        .batch(args.batch)
        .concurrency(args.concurrency);
    if args.execute {
        job = job.execute();
    }
    if args.renew_all {
        job = job.renew_all();
    }
    if args.open_revoked {
        job = job.open_revoked();
    }
    if let Some(reason) = &args.actor.reason {
        job = job.reason(reason);
    }
    if let Some(rate) = args.rate {
        job = job.rows_per_second(rate);
    }
    if let Some(path) = &args.checkpoint {
        job = job.checkpoint(path);
    }
    Ok(job)
}

/// Returns a bar, which is drawn on a terminal alone.
fn new_bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{prefix} {wide_bar} {pos}/{len} {msg}");
    let bar = ProgressBar::new(0);
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// Has `job` move the bar, and print each value that it cannot read.
fn show_progress<'p>(job: ProjectRewrap<'p>, bar: &ProgressBar) -> ProjectRewrap<'p> {
    let (moved, suspended) = (bar.clone(), bar.clone());
    let last = Mutex::new(String::new());
    job.on_progress(move |table, progress| {
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        if *last != table {
            table.clone_into(&mut last);
            moved.reset();
            moved.set_prefix(Plain(table).to_string());
        }
        if let Some(total) = progress.total {
            moved.set_length(total.max(progress.rows));
        }
        moved.set_position(progress.rows);
        let remaining = progress
            .remaining
            .map_or_else(String::new, |length| format!(", {} left", Length(length)));
        moved.set_message(format!("{:.0} rows/s{remaining}", progress.rows_per_second));
    })
    // As they are found: a list of millions would fit in no report.
    .on_unreadable(move |value| suspended.suspend(|| print_unreadable(value)))
}

fn print_unreadable(value: &Unreadable) {
    let kid = value.kid.map_or_else(String::new, |kid| format!(", under {kid}"));
    let (table, key, column) = (&value.table, &value.key, &value.column);
    complain(&format!("unreadable: {table} {key} {column}: {}{kid}", value.reason));
}

/// Prints the counts of each table, and the time that they took.
fn print_tables(
    project: &Project,
    args: &Args,
    tables: &[(String, RewrapReport)],
    time: Duration,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    let mode = if args.execute { "rewrap" } else { "what a rewrap would do" };
    terminal.line(&format!("{} ({}): {mode}", args.name, project.environment_name()))?;
    for (table, rewrapped) in tables {
        print_table(table, rewrapped, terminal)?;
    }
    let rows: u64 = tables.iter().map(|(_, rewrapped)| rewrapped.counts.rows).sum();
    let rate = rows as f64 / time.as_secs_f64().max(0.001);
    terminal.line(&format!("  took      {}, {rate:.0} rows per second", Length(time)))
}

/// Prints the next command, and the remedy of a rewrap that does not count.
fn print_remedy(
    args: &Args,
    tables: &[(String, RewrapReport)],
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    if !args.execute {
        let all = if args.renew_all { " --renew-all" } else { "" };
        let rescue = if args.open_revoked { " --open-revoked --reason WHY" } else { "" };
        terminal.line(if args.open_revoked {
            "  nothing was changed; the trail says that revoked keys were used"
        } else {
            "  nothing was changed"
        })?;
        let name = &args.name;
        terminal.line(&format!("  command   dualkey rewrap {name} --execute{all}{rescue}"))?;
    }
    match tables.iter().filter_map(|(_, rewrapped)| rewrapped.counts_from).max() {
        Some(from) if args.execute => {
            terminal.line(&format!(
                "  problem   this rewrap started too early to count: until {} an instance that \
                 has not reloaded may seal under the old key",
                NotBefore(from)
            ))?;
            terminal.line("  remedy    rewrap again then: this one retires no old key")
        }
        Some(from) => terminal.line(&format!(
            "  note      a rewrap that starts at or after {} retires the old key",
            NotBefore(from)
        )),
        None => Ok(()),
    }
}

fn print_table(
    table: &str,
    rewrapped: &RewrapReport,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    let counts = &rewrapped.counts;
    let many = |count: u64, what: &str| {
        if count == 0 { String::new() } else { format!(", {count} {what}") }
    };
    terminal.line(&format!(
        "  {table:<9} {} rows: {} rewritten, {} current{}{}{}{}",
        counts.rows,
        counts.rewritten,
        counts.current,
        many(counts.empty, "empty"),
        many(counts.changed_meanwhile, "changed meanwhile, and looked at again"),
        many(counts.left, "left, which somebody else goes on writing"),
        many(counts.unreadable, "unreadable"),
    ))?;
    for (kid, values) in &rewrapped.by_kid {
        terminal.line(&format!("  under     {kid}: {values}"))?;
    }
    if counts.nothing_sealed > 0 {
        terminal.line(&format!(
            "  problem   nothing is sealed in {table}, so no old key can be retired by this rewrap"
        ))?;
        terminal.line(
            "  remedy    correct the database, the schema or the table in the inventory; for a \
             table without data add `may_hold_nothing = true`",
        )?;
    }
    Ok(())
}

fn to_json(table: &str, rewrapped: &RewrapReport) -> serde_json::Value {
    let unreadable = rewrapped.unreadable.iter().map(|value| {
        json!({
            "key": value.key.to_string(),
            "column": value.column,
            "reason": value.reason.to_string(),
            "kid": value.kid.map(|kid| kid.to_string()),
        })
    });
    let by_kid = rewrapped.by_kid.iter().map(|(kid, values)| (kid.to_string(), *values));
    json!({
        "table": table,
        "has_written": rewrapped.has_written,
        "counts_from": rewrapped.counts_from.map(|from| Exact(from).to_string()),
        "counts": rewrapped.counts,
        "by_kid": by_kid.collect::<BTreeMap<_, _>>(),
        "unreadable": unreadable.collect::<Vec<_>>(),
    })
}
