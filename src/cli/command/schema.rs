//! `dualkey schema`: the tables in PostgreSQL.

use crate::cli::failure::Status;
use crate::cli::terminal::Terminal;
use crate::ops::audit::PostgresTrail;
use crate::source::PostgresStore;

/// Print the tables that stores and trails in PostgreSQL need
#[derive(clap::Args)]
#[command(after_help = "Example:\n  dualkey schema | psql \"$DATABASE_URL\"")]
pub(super) struct Args {}

pub(super) fn run(terminal: &mut Terminal) -> Status {
    terminal.lines(PostgresStore::SCHEMA)?;
    terminal.lines(PostgresTrail::SCHEMA)?;
    Ok(0)
}
