//! The state of a fleet and of its rows.

use super::super::documents::{FinishedRewrap, INSTANCES};
use super::super::history::{DOWN, History, NO_REPORT};
use super::{COMMAND, IDLE, REWRAPS, UNVISITED};

/// The state of a fleet and of its rows at a tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RowState {
    pub(super) history: History,
    pub(super) now: u8,
    /// The number of steps that were stored.
    pub(super) steps: u8,
    /// The number of starts and stops.
    pub(super) disturbed: u8,
    /// The number of rewraps that were started.
    pub(super) rewrapped: u8,
    pub(super) instances: [Instance; INSTANCES],
    pub(super) rewraps: [RunningRewrap; REWRAPS],
    /// The record of the last command.
    pub(super) command: Option<FinishedRewrap>,
    /// By set of rows: the keys that the rows are under, by bit. The index of a set has a bit for each
    /// running rewrap that has visited its rows. The last set holds the rows that no rewrap visits.
    pub(super) rows: [u8; UNVISITED + 1],
}

/// The state of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Instance {
    /// The place of its manifest, or [`DOWN`].
    pub(super) holds: u8,
    /// The place of the manifest of its last report, or [`NO_REPORT`].
    pub(super) reported: u8,
    /// The tick at which it was stopped, by its clock.
    pub(super) stopped_at: u8,
    /// The last rewrap that it knows of.
    pub(super) rewrap: Option<FinishedRewrap>,
    /// The rewrap of its last report.
    pub(super) reported_rewrap: Option<FinishedRewrap>,
}

impl Instance {
    /// An instance that has never run.
    pub(super) const ABSENT: Self = Self {
        holds: DOWN,
        reported: NO_REPORT,
        stopped_at: 0,
        rewrap: None,
        reported_rewrap: None,
    };

    pub(super) fn is_running(&self) -> bool {
        self.holds != DOWN
    }

    /// Reports the manifest and the last rewrap.
    pub(super) fn report(&mut self) {
        (self.reported, self.reported_rewrap) = (self.holds, self.rewrap);
    }
}

/// Chooses the record of the rewrap that finished last, or `new` if both finished at the same tick.
pub(super) fn choose_later(
    held: Option<FinishedRewrap>,
    new: FinishedRewrap,
) -> Option<FinishedRewrap> {
    held.filter(|held| new.finished < held.finished).or(Some(new))
}

/// A rewrap that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct RunningRewrap {
    /// The instance that runs it, or [`COMMAND`], or [`IDLE`].
    pub(super) owner: u8,
    /// The place of the manifest of a command. An instance uses the manifest that it holds.
    pub(super) holds: u8,
    /// The primary with which it started.
    pub(super) primary: u8,
    pub(super) started: u8,
    /// The keys that it leaves rows under, by bit.
    pub(super) left: u8,
    pub(super) has_unreadable: bool,
    pub(super) mode: Mode,
}

/// The rows that a rewrap seals again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    /// The rows under fallbacks.
    Plain,
    /// The rows under fallbacks and under revoked keys.
    Rescues,
    /// All rows that it can open.
    RenewsAll,
    /// No rows.
    ReadsOnly,
}

impl RunningRewrap {
    /// A rewrap that does not run.
    pub(super) const NONE: Self = Self {
        owner: IDLE,
        holds: 0,
        primary: 0,
        started: 0,
        left: 0,
        has_unreadable: false,
        mode: Mode::Plain,
    };

    pub(super) fn is_running(&self) -> bool {
        self.owner != IDLE
    }

    pub(super) fn is_command(&self) -> bool {
        self.owner == COMMAND
    }
}

impl RowState {
    pub(super) fn running(&self) -> impl Iterator<Item = &Instance> {
        self.instances.iter().filter(|instance| instance.is_running())
    }

    /// Returns the keys that rows are under, by bit.
    pub(super) fn keys_of_rows(&self) -> u8 {
        self.rows.iter().fold(0, |all, rows| all | rows)
    }

    /// Ends the rewrap at `place`, and joins the rows that it has visited with the others.
    pub(super) fn end_rewrap(&mut self, place: usize) {
        self.rewraps[place] = RunningRewrap::NONE;
        let bit = 1 << place;
        for set in (0..UNVISITED).filter(|set| set & bit != 0) {
            self.rows[set ^ bit] |= self.rows[set];
            self.rows[set] = 0;
        }
    }
}
