//! The actions of a fleet.

use std::fmt;

use super::super::documents::Step;
use super::super::history::name_manifest;

/// An action that changes the state of a fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// A tick passes.
    PassTime,
    /// An operator computes and stores a step.
    Step { operator: usize, step: Step },
    /// An operator computes a step, and stores it later.
    Compute { operator: usize, step: Step },
    /// An operator stores the step that it computed.
    Store { operator: usize, step: Step },
    /// A running instance loads the manifest that is `behind` places before the latest.
    Reload { instance: usize, behind: u8 },
    /// A running instance reports the manifest that it holds.
    Report { instance: usize },
    /// An instance starts with a manifest, and reports it.
    Start { instance: usize, behind: u8 },
    /// An instance is killed.
    Stop { instance: usize },
    /// An instance revokes a key itself.
    RevokeLocally { instance: usize, key: usize },
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::PassTime => f.write_str("an hour passes"),
            Self::Step { operator, step } => write!(f, "operator {operator}: {step}"),
            Self::Compute { operator, step } => {
                write!(f, "operator {operator} computes, and does not store yet: {step}")
            }
            Self::Store { operator, step } => write!(f, "operator {operator} stores: {step}"),
            Self::Reload { instance, behind } => {
                write!(f, "instance {instance} loads {}", name_manifest(behind))
            }
            Self::Report { instance } => write!(f, "instance {instance} reports"),
            Self::Start { instance, behind } => {
                write!(f, "instance {instance} starts with {}", name_manifest(behind))
            }
            Self::Stop { instance } => write!(f, "instance {instance} stops"),
            Self::RevokeLocally { instance, key } => {
                write!(f, "instance {instance} revokes k{key} itself")
            }
        }
    }
}
