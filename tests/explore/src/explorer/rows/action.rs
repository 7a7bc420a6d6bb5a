//! The actions of a fleet with stored rows.

use std::fmt;

use super::super::documents::Step;
use super::super::history::name_manifest;
use super::COMMAND;
use super::state::Mode;

/// An action that changes the state of a fleet or of its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowAction {
    /// A tick passes.
    PassTime,
    /// An operator computes and stores a step.
    Step {
        operator: usize,
        step: Step,
    },
    /// A running instance loads the manifest that is `behind` places before the latest.
    Reload {
        instance: usize,
        behind: u8,
    },
    /// A running instance reports its manifest and its last rewrap.
    Report {
        instance: usize,
    },
    /// An instance starts with a manifest, and reports it.
    Start {
        instance: usize,
        behind: u8,
    },
    /// An instance is killed, and its rewraps end.
    Stop {
        instance: usize,
    },
    StartRewrap {
        owner: u8,
        place: usize,
        mode: Mode,
    },
    /// A rewrap visits the rows under a key that it has not visited yet.
    Visit {
        owner: u8,
        place: usize,
        key: usize,
    },
    /// A rewrap visits all remaining rows, and records its result.
    EndRewrap {
        owner: u8,
        place: usize,
    },
    /// A rewrap ends without a record.
    KillRewrap {
        owner: u8,
        place: usize,
    },
    /// Another instance continues a rewrap.
    Continue {
        instance: usize,
        place: usize,
    },
}

struct Owner(u8);

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            COMMAND => f.write_str("a command"),
            instance => write!(f, "instance {instance}"),
        }
    }
}

impl fmt::Display for RowAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::PassTime => f.write_str("an hour passes"),
            Self::Step { operator, step } => write!(f, "operator {operator}: {step}"),
            Self::Reload { instance, behind } => {
                write!(f, "instance {instance} loads {}", name_manifest(behind))
            }
            Self::Report { instance } => write!(f, "instance {instance} reports"),
            Self::Start { instance, behind } => {
                write!(f, "instance {instance} starts with {}", name_manifest(behind))
            }
            Self::Stop { instance } => write!(f, "instance {instance} stops"),
            Self::StartRewrap { owner, place, mode } => {
                let rows = match mode {
                    Mode::Plain => "",
                    Mode::Rescues => ", which opens rows under revoked keys",
                    Mode::RenewsAll => " of all rows",
                    Mode::ReadsOnly => ", which writes nothing",
                };
                write!(f, "{} starts rewrap {place}{rows}", Owner(owner))
            }
            Self::Visit { owner, place, key } => {
                write!(f, "rewrap {place}, of {}, visits the rows under k{key}", Owner(owner))
            }
            Self::EndRewrap { owner, place } => {
                write!(f, "rewrap {place}, of {}, visits all remaining rows and ends", Owner(owner))
            }
            Self::KillRewrap { owner, place } => {
                write!(f, "rewrap {place}, of {}, is killed", Owner(owner))
            }
            Self::Continue { instance, place } => {
                write!(f, "instance {instance} continues rewrap {place} from its checkpoint")
            }
        }
    }
}
