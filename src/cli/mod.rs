//! The command line, `dualkey`: the library calls of [`ops`](crate::ops), with arguments before
//! and text after them.
//!
//! ```sh
//! cargo install dualkey --features cli
//! dualkey --help
//! ```
//!
//! It holds no logic of its own: what it does, a program can do. It prints no secret but where
//! it is asked for one (`generate --print`, `generate --json`).

mod adopt;
mod args;
mod audit;
mod generate;
mod init;
mod look;
mod rewrap;
mod show;
mod steps;
mod terminal;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use clap::{CommandFactory, Parser};

use self::args::{Cli, Command, Who};
use self::terminal::{Terminal, complain, refuse};
use crate::clock::Clock;
use crate::ops::OpsError;
use crate::ops::adopt::check_adopted;
use crate::ops::inventory::{Inventory, Project};
use crate::ops::rotate::Operator;
use crate::source::disk;

/// A time is a line.
const MAX_CLOCK_BYTES: usize = 1024;

/// Why a command ends without having done what was asked.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Ops(#[from] OpsError),
    #[error("{0}")]
    Usage(String),
    #[error("cannot write to the terminal: {0}")]
    Output(#[from] io::Error),
}

impl<E: Into<OpsError>> From<E> for Failure
where
    E: private::OfLibrary,
{
    fn from(error: E) -> Self {
        Self::Ops(error.into())
    }
}

/// The errors of the library that are not yet one of `ops`.
mod private {
    pub(super) trait OfLibrary {}
    impl OfLibrary for crate::error::Error {}
    impl OfLibrary for crate::source::StoreError {}
    impl OfLibrary for crate::ops::audit::AuditError {}
}

/// What a command says to the shell.
type Status = Result<u8, Failure>;

/// Runs the command of this process's arguments.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse(error),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let mut terminal = Terminal::new();
    let status = match runtime {
        Ok(runtime) => runtime.block_on(run(cli, &mut terminal)),
        Err(error) => Err(error.into()),
    };
    match status {
        Ok(status) => status.into(),
        // Whoever read it has seen enough.
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(failure) => {
            show::failed(&failure).iter().for_each(|line| complain(line));
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli, terminal: &mut Terminal) -> Status {
    let context = Context { inventory: cli.inventory, environment: cli.env, clock: cli.clock };
    match cli.command {
        Command::Init(args) => init::run(&context, &args, terminal),
        Command::Adopt(args) => adopt::run(&context, args, terminal).await,
        Command::Generate(args) => generate::run(&context, args, terminal).await,
        Command::Rotate(args) => steps::rotate(&context, args, terminal).await,
        Command::Stage(args) => steps::stage(&context, args, terminal).await,
        Command::Promote(args) => steps::promote(&context, args, terminal).await,
        Command::Rollback(args) => steps::rollback(&context, args, terminal).await,
        Command::Restage(args) => steps::restage(&context, args, terminal).await,
        Command::RepairClock(args) => steps::repair_clock(&context, args, terminal).await,
        Command::Retire(args) => steps::retire(&context, args, terminal).await,
        Command::Revoke(args) => steps::revoke(&context, args, terminal).await,
        Command::Emergency(args) => steps::emergency(&context, args, terminal).await,
        Command::Destroy(args) => steps::destroy(&context, args, terminal).await,
        Command::Policy(args) => steps::policy(&context, args, terminal).await,
        Command::Record(args) => audit::record(&context, args, terminal).await,
        Command::Rewrap(args) => rewrap::run(&context, args, terminal).await,
        Command::Status(args) => look::status(&context, args, terminal).await,
        Command::Doctor(args) => look::doctor(&context, args, terminal).await,
        Command::Remind(args) => look::remind(&context, args, terminal).await,
        Command::Agent(args) => look::agent(&context, args, terminal).await,
        Command::Audit(args) => audit::run(&context, args, terminal).await,
        Command::Schema => look::schema(terminal),
        Command::Completions { shell } => {
            terminal.script(|out| {
                clap_complete::generate(shell, &mut Cli::command(), "dualkey", out);
            })?;
            Ok(0)
        }
    }
}

/// What every command is told.
struct Context {
    inventory: PathBuf,
    environment: Option<String>,
    clock: Option<PathBuf>,
}

impl Context {
    fn project(&self) -> Result<Project, Failure> {
        self.project_of(self.environment.as_deref())
    }

    fn project_of(&self, environment: Option<&str>) -> Result<Project, Failure> {
        let mut project = Project::new(Inventory::read(&self.inventory)?)
            .on_note(|note| complain(&format!("note: {note}")));
        if let Some(environment) = environment {
            project = project.environment(environment)?;
        }
        if let Some(path) = &self.clock {
            project = project.clock(FileClock::open(path)?);
        }
        Ok(project)
    }

    fn now(&self) -> Result<SystemTime, Failure> {
        match &self.clock {
            Some(path) => Ok(FileClock::open(path)?.now()),
            None => Ok(SystemTime::now()),
        }
    }

    /// Takes steps of the secret `name` as `who` asks for.
    async fn operator(
        &self,
        project: &Project,
        name: &str,
        who: &Who,
    ) -> Result<Operator, Failure> {
        let mut operator = Operator::of(project, name, &who.actor()?).await?;
        check_adopted(project, name).await?;
        if let Some(reason) = &who.reason {
            operator = operator.reason(reason);
        }
        if who.dry_run {
            operator = operator.dry_run();
        }
        Ok(operator)
    }
}

/// A clock whose time stands in a file, as RFC 3339: for rehearsals. What it cannot read leaves
/// it where it was.
#[derive(Debug)]
struct FileClock {
    path: PathBuf,
    last: Arc<Mutex<SystemTime>>,
}

impl FileClock {
    fn open(path: &std::path::Path) -> Result<Self, Failure> {
        let now = Self::read(path)
            .map_err(|problem| Failure::Usage(format!("{}: {problem}", path.display())))?;
        Ok(Self { path: path.to_owned(), last: Arc::new(Mutex::new(now)) })
    }

    fn read(path: &std::path::Path) -> Result<SystemTime, String> {
        let text = disk::read_text(path, MAX_CLOCK_BYTES).map_err(|error| error.to_string())?;
        let time = text.trim().parse::<jiff::Timestamp>().and_then(SystemTime::try_from);
        time.map_err(|_| "it holds no time as in 2026-01-15T10:00:00Z".to_owned())
    }
}

impl Clock for FileClock {
    fn now(&self) -> SystemTime {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        *last = Self::read(&self.path).unwrap_or(*last);
        *last
    }
}
