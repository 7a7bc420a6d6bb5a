//! The arguments that every command has, and the commands: a file for each, with its arguments and
//! its `run`.

mod adopt;
mod agent;
mod audit;
mod completions;
mod destroy;
mod doctor;
mod emergency_rotate;
mod generate;
mod init;
mod policy;
mod promote;
mod record;
mod remind;
mod repair_clock;
mod restage;
mod retire;
mod revoke;
mod rewrap;
mod rollback;
mod rotate;
mod schema;
mod stage;
mod status;

use std::path::PathBuf;

use clap::{CommandFactory, Parser, Subcommand};

use super::context::Context;
use super::failure::Status;
use super::terminal::Terminal;

#[derive(Parser)]
#[command(
    name = "dualkey",
    version,
    about = "Rotate a backend's secrets with zero downtime",
    after_help = "Begin with:\n  dualkey init                                 an inventory of the secrets in .env\n  dualkey adopt                                their values, as they are\n  dualkey status\n\nExit status: 0 done, 1 failed, 2 wrong arguments; of `rotate` also 3 staged, not promoted; of `status` also 3 due, 4 overdue, 5 stuck; of `doctor` and `audit verify` also 3 something was found; of `rewrap` also 3 values were left."
)]
pub(in crate::cli) struct Cli {
    /// The inventory of the secrets
    #[arg(
        long,
        global = true,
        env = "DUALKEY_INVENTORY",
        hide_env_values = true,
        default_value = "dualkey.toml",
        value_name = "FILE"
    )]
    inventory: PathBuf,
    /// The environment; that of the inventory unless set
    #[arg(long, global = true, env = "DUALKEY_ENV", hide_env_values = true)]
    env: Option<String>,
    /// Takes the time from a file that holds it as RFC 3339, to try a rotation out: its records say so
    #[arg(
        long,
        global = true,
        env = "DUALKEY_CLOCK",
        hide_env_values = true,
        hide = true,
        value_name = "FILE"
    )]
    clock: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

/// The commands, in the order of the help.
#[derive(Subcommand)]
enum Command {
    Init(init::Args),
    Adopt(adopt::Args),
    Generate(generate::Args),
    Rotate(rotate::Args),
    Stage(stage::Args),
    Promote(promote::Args),
    Rollback(rollback::Args),
    Retire(retire::Args),
    Revoke(revoke::Args),
    EmergencyRotate(emergency_rotate::Args),
    Restage(restage::Args),
    RepairClock(repair_clock::Args),
    Destroy(destroy::Args),
    Rewrap(rewrap::Args),
    Policy(policy::Args),
    Record(record::Args),
    Status(status::Args),
    Doctor(doctor::Args),
    Remind(remind::Args),
    Agent(agent::Args),
    Audit(audit::Args),
    Schema(schema::Args),
    Completions(completions::Args),
}

impl Cli {
    /// Runs the command of these arguments.
    pub(in crate::cli) async fn run(self, terminal: &mut Terminal) -> Status {
        let context =
            Context { inventory: self.inventory, environment: self.env, clock: self.clock };
        match self.command {
            Command::Init(args) => init::run(&context, &args, terminal),
            Command::Adopt(args) => adopt::run(&context, args, terminal).await,
            Command::Generate(args) => generate::run(&context, args, terminal).await,
            Command::Rotate(args) => rotate::run(&context, args, terminal).await,
            Command::Stage(args) => stage::run(&context, args, terminal).await,
            Command::Promote(args) => promote::run(&context, args, terminal).await,
            Command::Rollback(args) => rollback::run(&context, args, terminal).await,
            Command::Retire(args) => retire::run(&context, args, terminal).await,
            Command::Revoke(args) => revoke::run(&context, args, terminal).await,
            Command::EmergencyRotate(args) => emergency_rotate::run(&context, args, terminal).await,
            Command::Restage(args) => restage::run(&context, args, terminal).await,
            Command::RepairClock(args) => repair_clock::run(&context, args, terminal).await,
            Command::Destroy(args) => destroy::run(&context, args, terminal).await,
            Command::Rewrap(args) => rewrap::run(&context, args, terminal).await,
            Command::Policy(args) => policy::run(&context, args, terminal).await,
            Command::Record(args) => record::run(&context, args, terminal).await,
            Command::Status(args) => status::run(&context, args, terminal).await,
            Command::Doctor(args) => doctor::run(&context, args, terminal).await,
            Command::Remind(args) => remind::run(&context, args, terminal).await,
            Command::Agent(args) => agent::run(&context, args, terminal).await,
            Command::Audit(args) => audit::run(&context, args, terminal).await,
            Command::Schema(_) => schema::run(terminal),
            Command::Completions(args) => completions::run(args, &mut Self::command(), terminal),
        }
    }
}
