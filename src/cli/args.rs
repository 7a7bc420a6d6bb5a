//! The arguments, as `--help` shows them.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use clap::builder::PossibleValuesParser;
use clap::{Args, Parser, Subcommand};

use super::Failure;
use crate::kid::Kid;
use crate::ops::audit::{Action, Outcome};
use crate::ops::recognise::{Keep, NoStore};
use crate::ops::rotate::CHECKS;
use crate::purpose::Purpose;
use crate::rewrap::{BATCH, CONCURRENCY};

#[derive(Parser)]
#[command(
    name = "dualkey",
    version,
    about = "Rotate a backend's secrets with zero downtime",
    after_help = "Begin with:\n  dualkey init                                 an inventory of the secrets in .env\n  dualkey adopt                                their values, as they are\n  dualkey status\n\nExit status: 0 done, 1 failed, 2 wrong arguments; of `rotate` also 3 staged, not promoted; of `status` also 3 due, 4 overdue, 5 stuck."
)]
pub(super) struct Cli {
    /// The inventory of the secrets
    #[arg(
        long,
        global = true,
        env = "DUALKEY_INVENTORY",
        hide_env_values = true,
        default_value = "dualkey.toml",
        value_name = "FILE"
    )]
    pub(super) inventory: PathBuf,
    /// The environment; that of the inventory unless set
    #[arg(long, global = true, env = "DUALKEY_ENV", hide_env_values = true)]
    pub(super) env: Option<String>,
    /// Takes the time from a file that holds it as RFC 3339, for a rehearsal: its records say so
    #[arg(
        long,
        global = true,
        env = "DUALKEY_CLOCK",
        hide_env_values = true,
        hide = true,
        value_name = "FILE"
    )]
    pub(super) clock: Option<PathBuf>,
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Subcommand)]
pub(super) enum Command {
    /// Write an inventory, dualkey.toml: of the secrets in the .env file that is there
    #[command(
        after_help = "Shows what it recognises and what it leaves out, and no value. Without a .env file it writes an inventory to be edited.\n\nExamples:\n  dualkey init && dualkey adopt\n  dualkey init --from .env.production --store file"
    )]
    Init(Init),
    /// Take over the values in use, so that what they signed and sealed stays valid
    #[command(
        after_help = "Of a secret X, the variables X_NEW, X, X_OLD and X_BACKUP are a primary and its fallbacks, and X_NEXT is staged. Nothing is written unless all values can be taken, and no variable is changed.\n\nExamples:\n  dualkey adopt\n  dualkey adopt --dry-run\n  dualkey adopt JWT_SECRET --from .env.production\n  dualkey adopt --from-env"
    )]
    Adopt(Adopt),
    /// Make new secrets: as .env.rotation, as one value, as JSON, or into their stores
    #[command(
        after_help = "Examples:\n  dualkey generate                             .env.rotation, for the secrets of the inventory\n  dualkey generate JWT_SECRET --print          one value\n  dualkey generate API_TOKEN --purpose jwt --json\n  dualkey generate JWT_SECRET --store --by ada  the first key of a ring\n\nFor a value that is in use: dualkey adopt. One that is shorter than its purpose asks for, such as one of 44 bytes from `openssl rand -base64 32`, needs `min_secret_bytes` in the inventory."
    )]
    Generate(Generate),
    /// Rotate: check, stage a new key, wait until every instance holds it, promote it
    #[command(
        after_help = "Exit status: 0 rotated, 3 the new key is staged and does not sign yet: the output names the command that promotes it, 1 failed.\n\nA value that is shorter than its purpose asks for, such as one of 44 bytes from `openssl rand -base64 32`, needs `min_secret_bytes` in the inventory.\n\nExamples:\n  dualkey rotate JWT_SECRET --by ada --reason 'the quarter'\n  dualkey rotate JWT_SECRET --dry-run\n  pbpaste | dualkey rotate ANTHROPIC_API_KEY --value-from -"
    )]
    Rotate(Rotate),
    /// Add a new key: it verifies, and does not sign yet
    #[command(
        after_help = "A value that is shorter than its purpose asks for, such as one of 44 bytes from `openssl rand -base64 32`, needs `min_secret_bytes` in the inventory.\n\nExamples:\n  dualkey stage JWT_SECRET\n  dualkey stage JWT_SECRET --at 2026-04-15T00:00:00Z\n  dualkey stage DATABASE_URL --value-from new-url.txt"
    )]
    Stage(Stage),
    /// Have the staged key sign
    #[command(
        after_help = "Examples:\n  dualkey promote JWT_SECRET\n  dualkey promote SMTP_PASSWORD --deployed     every instance was restarted with the staged key"
    )]
    Promote(Promote),
    /// Have the key before sign again
    #[command(after_help = "Example:\n  dualkey rollback JWT_SECRET --reason 'logins fail'")]
    Rollback(Rollback),
    /// Give the old key its end, if nothing needs it
    #[command(after_help = "Example:\n  dualkey retire JWT_SECRET")]
    Retire(Retire),
    /// Declare a key compromised: it verifies nothing, at once and for good
    #[command(
        after_help = "Example:\n  dualkey revoke JWT_SECRET --kid 3kZ… --reason 'in a public log'"
    )]
    Revoke(Revoke),
    /// Revoke the key that signs, and have another sign at once: a staged one, or a new one
    #[command(after_help = "Example:\n  dualkey emergency JWT_SECRET --reason 'in a public log'")]
    Emergency(Emergency),
    /// Add an expired key again: it verifies, and does not sign until it is promoted
    #[command(
        after_help = "Example:\n  dualkey restage ENCRYPTION_KEY --kid 3kZ… --reason 'rows in a restored backup'"
    )]
    Restage(Restage),
    /// Correct the times of a manifest that was written while a clock was ahead
    #[command(after_help = "Example:\n  dualkey repair-clock JWT_SECRET")]
    RepairClock(RepairClock),
    /// Wipe the secret of a key that is retired or revoked, and keep its record
    #[command(after_help = "Example:\n  dualkey destroy JWT_SECRET --kid 3kZ…")]
    Destroy(Destroy),
    /// Bring everything that a secret has sealed under its primary, while the service runs
    #[command(
        after_help = "Goes through the tables that the inventory names as the secret's `data`. Exit status: 0 all of it, 3 values could not be read, or the application kept writing them: each is listed; 3 also for a rewrap that started too early to count.\n\nExamples:\n  dualkey rewrap ENCRYPTION_KEY                what would be done\n  dualkey rewrap ENCRYPTION_KEY --execute\n  dualkey rewrap ENCRYPTION_KEY --execute --renew-all --checkpoint renew.ckpt\n  dualkey rewrap ENCRYPTION_KEY --execute --open-revoked --reason 'in a public log'"
    )]
    Rewrap(Rewrap),
    /// Have a secret live by the policy of the inventory
    #[command(after_help = "Example:\n  dualkey policy JWT_SECRET")]
    Policy(Policy),
    /// Tell the audit trail what was done elsewhere
    #[command(after_help = "Example:\n  dualkey record GITHUB_DEPLOY_KEY rotated --by ada")]
    Record(Record),
    /// Show how every secret stands
    #[command(
        after_help = "Exit status: 0 nothing to do, 3 due, 4 overdue, 5 stuck, 1 unread; the worst counts.\n\nExamples:\n  dualkey status\n  dualkey status --json | jq '.[] | select(.state == \"overdue\")'"
    )]
    Status(Status),
    /// Look for problems of the project, and name a remedy for each
    #[command(
        after_help = "Exit status: 0 nothing found, 3 something was.\n\nExample:\n  dualkey doctor"
    )]
    Doctor(Doctor),
    /// Post what is due, overdue or stuck to a webhook, once a day
    #[command(
        after_help = "Examples:\n  dualkey remind\n  dualkey remind --dry-run                     the message, not sent"
    )]
    Remind(Remind),
    /// Follow the inventory: rotate what is automatic, remind of the rest
    #[command(
        after_help = "Examples:\n  dualkey agent --every 1m\n  dualkey agent --once                         for cron"
    )]
    Agent(Agent),
    /// Look at the audit trail
    #[command(
        after_help = "Examples:\n  dualkey audit --secret JWT_SECRET --take 10\n  dualkey audit --action rotated --since 2026-01-01T00:00:00Z --json\n  dualkey audit verify\n  dualkey audit import rotation.log"
    )]
    Audit(Audit),
    /// Print the tables that stores and trails in PostgreSQL need
    #[command(after_help = "Example:\n  dualkey schema | psql \"$DATABASE_URL\"")]
    Schema,
    /// Print a completion script for a shell
    #[command(after_help = "Example:\n  dualkey completions bash > /etc/bash_completion.d/dualkey")]
    Completions { shell: clap_complete::Shell },
}

/// Who takes a step, and how.
#[derive(Args)]
pub(super) struct Who {
    /// The operator, for the audit trail; the user of the operating system unless set
    #[arg(long, env = "DUALKEY_BY", hide_env_values = true, value_name = "NAME")]
    by: Option<String>,
    /// Why, for the audit trail
    #[arg(long)]
    pub(super) reason: Option<String>,
    /// Say what would be done, and do nothing
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Do not ask before what cannot be undone
    #[arg(long, short)]
    pub(super) yes: bool,
    /// Keep a copy of a .env file before it is changed
    #[arg(long)]
    pub(super) backup: bool,
}

impl Who {
    pub(super) fn actor(&self) -> Result<String, Failure> {
        actor(self.by.as_deref())
    }
}

/// The name that was given, or that of the user of the operating system.
pub(super) fn actor(by: Option<&str>) -> Result<String, Failure> {
    let variable = |name| std::env::var(name).ok().filter(|own| !own.is_empty());
    let named = || ["SUDO_USER", "USER", "LOGNAME", "USERNAME"].into_iter().find_map(variable);
    let given = by.filter(|own| !own.is_empty()).map(str::to_owned);
    given.or_else(named).or_else(system_user).ok_or_else(|| {
        Failure::Usage("the operator is not named: pass `--by NAME`, or set DUALKEY_BY".to_owned())
    })
}

/// The user of this process by the system's own records, which a job of cron has too.
#[cfg(unix)]
fn system_user() -> Option<String> {
    use nix::unistd::{User, getuid};
    let named = User::from_uid(getuid()).ok().flatten().map(|own| own.name);
    Some(named.filter(|own| !own.is_empty()).unwrap_or_else(|| format!("uid {}", getuid())))
}

#[cfg(not(unix))]
fn system_user() -> Option<String> {
    None
}

/// Where a new value comes from.
#[derive(Args)]
pub(super) struct Value {
    /// The new secret, from a file or (`-`) from standard input, where another makes it
    #[arg(long, value_name = "FILE")]
    pub(super) value_from: Option<PathBuf>,
    /// The algorithm of a key of tokens: HS256, HS384 or HS512
    #[arg(long)]
    pub(super) algorithm: Option<String>,
}

#[derive(Args)]
pub(super) struct Init {
    /// A file with the secrets; again for another. The .env file beside the inventory unless set
    #[arg(long, value_name = "FILE")]
    pub(super) from: Vec<PathBuf>,
    /// The place of the secrets: `dotenv`, in the .env file, for services that read it when they
    /// start; `file`, each in a file that services follow with dualkey
    #[arg(long, default_value = "dotenv", value_parser = store)]
    pub(super) store: Keep,
    /// Say what would be done, and do nothing
    #[arg(long)]
    pub(super) dry_run: bool,
}

#[derive(Args)]
pub(super) struct Adopt {
    /// The secrets, by their names in the inventory; all unless named
    pub(super) names: Vec<String>,
    /// A .env file with the values; again for another. That beside the inventory unless set
    #[arg(long, value_name = "FILE", conflicts_with = "from_env")]
    pub(super) from: Vec<PathBuf>,
    /// Take the values from the environment of this process
    #[arg(long)]
    pub(super) from_env: bool,
    #[command(flatten)]
    pub(super) who: Who,
}

#[derive(Args)]
pub(super) struct Generate {
    /// The secrets; those of the inventory that are made here unless named
    pub(super) names: Vec<String>,
    /// What names are for that are not in the inventory
    #[arg(long, value_parser = purpose)]
    pub(super) purpose: Option<Purpose>,
    /// Print one value, and nothing else
    #[arg(long, conflicts_with_all = ["json", "store"])]
    pub(super) print: bool,
    /// Print them as JSON
    #[arg(long, conflicts_with = "store")]
    pub(super) json: bool,
    /// Make each the first key of its store
    #[arg(long)]
    pub(super) store: bool,
    /// Its first key is what a file or (`-`) standard input holds: one that is in use, or that
    /// another makes
    #[arg(long, value_name = "FILE", requires = "store")]
    pub(super) value_from: Option<PathBuf>,
    /// Create it even though the audit trail says that one existed, or a value of it is in use.
    /// Needs --reason
    #[arg(long, requires = "store", requires = "reason")]
    pub(super) force: bool,
    /// The file that is written, and never written over
    #[arg(long, default_value = ".env.rotation", value_name = "FILE")]
    pub(super) output: PathBuf,
    #[command(flatten)]
    pub(super) who: Who,
}

#[derive(Args)]
pub(super) struct Rotate {
    /// The secret, by its name in the inventory
    pub(super) name: String,
    #[command(flatten)]
    pub(super) value: Value,
    /// Go on although this check fails; again for another. Needs --reason
    #[arg(long, value_name = "CHECK", requires = "reason", value_parser = PossibleValuesParser::new(CHECKS))]
    pub(super) skip: Vec<String>,
    /// The longest wait until every instance that reports holds the new key
    #[arg(long, default_value = "10m", value_parser = duration, value_name = "TIME")]
    pub(super) wait: Duration,
    #[command(flatten)]
    pub(super) who: Who,
}

#[derive(Args)]
pub(super) struct Stage {
    /// The secret, by its name in the inventory
    pub(super) name: String,
    #[command(flatten)]
    pub(super) value: Value,
    /// When it begins to sign by itself, on all instances at once
    #[arg(long, value_parser = moment, value_name = "TIME")]
    pub(super) at: Option<SystemTime>,
    #[command(flatten)]
    pub(super) dated: Dated,
    #[command(flatten)]
    pub(super) who: Who,
}

#[derive(Args)]
pub(super) struct Promote {
    /// The secret, by its name in the inventory
    pub(super) name: String,
    /// The key; the staged one unless named
    #[arg(long, allow_hyphen_values = true)]
    pub(super) kid: Option<Kid>,
    /// Every instance has been restarted with the staged key, and none reports it
    #[arg(long, conflicts_with = "force")]
    pub(super) deployed: bool,
    /// Whatever the instances say: those that do not hold it refuse what it signs
    #[arg(long)]
    pub(super) force: bool,
    #[command(flatten)]
    pub(super) dated: Dated,
    #[command(flatten)]
    pub(super) who: Who,
}

#[derive(Args)]
pub(super) struct Rollback {
    /// The secret, by its name in the inventory
    pub(super) name: String,
    /// Force the step, although some instances may not hold the key, or it expires soon. Needs --reason
    #[arg(long, requires = "reason")]
    pub(super) force: bool,
    #[command(flatten)]
    pub(super) dated: Dated,
    #[command(flatten)]
    pub(super) who: Who,
}

#[derive(Args)]
pub(super) struct Restage {
    /// The secret, by its name in the inventory
    pub(super) name: String,
    /// The expired key
    #[arg(long, allow_hyphen_values = true)]
    pub(super) kid: Kid,
    /// Force the step, although tokens or sessions become valid again. Needs --reason
    #[arg(long, requires = "reason")]
    pub(super) force: bool,
    #[command(flatten)]
    pub(super) dated: Dated,
    #[command(flatten)]
    pub(super) who: Who,
}

#[derive(Args)]
pub(super) struct RepairClock {
    /// The secret, by its name in the inventory
    pub(super) name: String,
    #[command(flatten)]
    pub(super) dated: Dated,
    #[command(flatten)]
    pub(super) who: Who,
}

/// The choice of the clock that dates a step.
#[derive(Args)]
pub(super) struct Dated {
    /// Trust this clock, although the reports of the instances disagree with it
    #[arg(long)]
    pub(super) trust_clock: bool,
}

#[derive(Args)]
pub(super) struct Retire {
    /// The secret, by its name in the inventory
    pub(super) name: String,
    /// The key; the only fallback unless named
    #[arg(long, allow_hyphen_values = true)]
    pub(super) kid: Option<Kid>,
    /// Whatever the verdict: what it signed is refused, what it sealed cannot be opened
    #[arg(long)]
    pub(super) force: bool,
    #[command(flatten)]
    pub(super) dated: Dated,
    #[command(flatten)]
    pub(super) who: Who,
}

#[derive(Args)]
pub(super) struct Revoke {
    /// The secret, by its name in the inventory
    pub(super) name: String,
    /// The key
    #[arg(long, allow_hyphen_values = true)]
    pub(super) kid: Kid,
    #[command(flatten)]
    pub(super) who: Who,
}

#[derive(Args)]
pub(super) struct Emergency {
    /// The secret, by its name in the inventory
    pub(super) name: String,
    /// The compromised key; the one that signs unless named
    #[arg(long, allow_hyphen_values = true)]
    pub(super) kid: Option<Kid>,
    #[command(flatten)]
    pub(super) value: Value,
    #[command(flatten)]
    pub(super) who: Who,
}

#[derive(Args)]
pub(super) struct Destroy {
    /// The secret, by its name in the inventory
    pub(super) name: String,
    /// The key
    #[arg(long, allow_hyphen_values = true)]
    pub(super) kid: Kid,
    /// Whatever the verdict: what an encryption key sealed is lost
    #[arg(long)]
    pub(super) force: bool,
    #[command(flatten)]
    pub(super) dated: Dated,
    #[command(flatten)]
    pub(super) who: Who,
}

#[derive(Args)]
pub(super) struct Rewrap {
    /// The secret, by its name in the inventory
    pub(super) name: String,
    /// Write; else it is said what would be done
    #[arg(long)]
    pub(super) execute: bool,
    /// Seal every row again, also those under the primary. Needed once for rows that a version
    /// without this option rewrapped, if a key from before that has leaked or may leak
    #[arg(long)]
    pub(super) renew_all: bool,
    /// After a compromise: open under revoked keys too, and seal again. Needs --reason; the trail
    /// says so, also without --execute
    #[arg(long, requires = "reason")]
    pub(super) open_revoked: bool,
    /// How many rows are committed together
    #[arg(long, default_value_t = BATCH, value_name = "ROWS")]
    pub(super) batch: usize,
    /// How many batches are under way at one time
    #[arg(long, default_value_t = CONCURRENCY, value_name = "COUNT")]
    pub(super) concurrency: usize,
    /// How many rows in a second, at most
    #[arg(long, value_name = "ROWS")]
    pub(super) rate: Option<std::num::NonZeroU32>,
    /// Keep in this file how far it has come, and go on from there
    #[arg(long, value_name = "FILE")]
    pub(super) checkpoint: Option<PathBuf>,
    /// As JSON, for scripts
    #[arg(long)]
    pub(super) json: bool,
    /// The operator, for the audit trail; the user of the operating system unless set
    #[arg(long, env = "DUALKEY_BY", hide_env_values = true, value_name = "NAME")]
    pub(super) by: Option<String>,
    /// Why, for the audit trail
    #[arg(long)]
    pub(super) reason: Option<String>,
}

#[derive(Args)]
pub(super) struct Policy {
    /// The secret, by its name in the inventory
    pub(super) name: String,
    #[command(flatten)]
    pub(super) dated: Dated,
    #[command(flatten)]
    pub(super) who: Who,
}

#[derive(Args)]
pub(super) struct Record {
    /// The secret, by its name in the inventory
    pub(super) name: String,
    /// What was done: rotated, revoked, or a word of yours
    #[arg(value_parser = action)]
    pub(super) action: Action,
    #[command(flatten)]
    pub(super) who: Who,
}

#[derive(Args)]
pub(super) struct Status {
    /// The secrets; all unless named
    pub(super) names: Vec<String>,
    /// As JSON, for scripts
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Args)]
pub(super) struct Doctor {
    /// As JSON, for scripts
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Args)]
pub(super) struct Remind {
    #[command(flatten)]
    pub(super) who: Who,
}

#[derive(Args)]
pub(super) struct Agent {
    /// How often it looks
    #[arg(long, default_value = "1m", value_parser = duration, value_name = "TIME")]
    pub(super) every: Duration,
    /// Look once, and end
    #[arg(long)]
    pub(super) once: bool,
    /// What the audit trail calls it
    #[arg(
        long,
        env = "DUALKEY_BY",
        hide_env_values = true,
        default_value = "agent",
        value_name = "NAME"
    )]
    pub(super) by: String,
}

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Audit {
    #[command(subcommand)]
    pub(super) command: Option<AuditCommand>,
    /// Of this secret
    #[arg(long)]
    pub(super) secret: Option<String>,
    /// Of this action, as in rotated; again for another
    #[arg(long, value_parser = action)]
    pub(super) action: Vec<Action>,
    /// Of this actor
    #[arg(long)]
    pub(super) actor: Option<String>,
    /// That went so: success, failed, begun, abandoned
    #[arg(long, value_parser = outcome)]
    pub(super) outcome: Option<Outcome>,
    /// Not before this
    #[arg(long, value_parser = moment, value_name = "TIME")]
    pub(super) since: Option<SystemTime>,
    /// Before this
    #[arg(long, value_parser = moment, value_name = "TIME")]
    pub(super) until: Option<SystemTime>,
    /// At most so many, the newest
    #[arg(long, default_value_t = 100, value_name = "COUNT")]
    pub(super) take: usize,
    /// The last rotation of each secret that went well
    #[arg(long, conflicts_with_all = ["action", "take"])]
    pub(super) last_rotations: bool,
    /// As JSON, for scripts
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Subcommand)]
pub(super) enum AuditCommand {
    /// Whether it is as it was written; names the first record that is not. Exit status 3 then
    Verify,
    /// Take over an old log of lines as `2026-01-15 10:00:00 UTC | JWT_SECRET | ROTATED | who | prod | SUCCESS`
    Import {
        /// The log; `-` for standard input
        log: PathBuf,
    },
    /// Put a broken trail aside, and begin a new one that says so
    Restart {
        #[command(flatten)]
        who: Who,
    },
}

fn store(text: &str) -> Result<Keep, String> {
    text.parse().map_err(|error: NoStore| error.to_string())
}

fn purpose(text: &str) -> Result<Purpose, String> {
    Purpose::named(text)
        .ok_or_else(|| format!("one of {}", Purpose::ALL.map(Purpose::as_str).join(", ")))
}

fn action(text: &str) -> Result<Action, String> {
    text.parse().map_err(|_| "one word of letters, as in rolled-back".to_owned())
}

fn outcome(text: &str) -> Result<Outcome, String> {
    let all = || Outcome::ALL.map(Outcome::as_str).join(", ").to_lowercase();
    text.parse().map_err(|_| format!("one of {}", all()))
}

fn moment(text: &str) -> Result<SystemTime, String> {
    let time = text.parse::<jiff::Timestamp>().and_then(SystemTime::try_from);
    time.map_err(|_| "a time is as in 2026-01-15T10:00:00Z".to_owned())
}

fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "a time is as in 90s, 10m or 1h".to_owned();
    let length: jiff::SignedDuration = text.parse().map_err(|_| wrong())?;
    Duration::try_from(length).map_err(|_| wrong())
}
