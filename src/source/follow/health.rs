//! How a follower fares, for whoever operates the service.

use std::time::{Duration, SystemTime};

use crate::fingerprint::Fingerprint;

/// How a ring fares that follows a store.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Health {
    /// How many changes the ring has seen in this process, plus one.
    pub generation: u64,
    /// The revision of the manifest that it holds.
    pub revision: u64,
    /// What distinguishes its state from others.
    pub fingerprint: Fingerprint,
    /// When the store was last read and agreed with.
    pub last_success: SystemTime,
    /// How long ago that is.
    pub age: Duration,
    /// Whether the ring serves nothing, because that is too long ago.
    pub is_stale: bool,
    /// `false` if the ring serves nothing: what it holds is too old, or its last key that could
    /// sign was revoked.
    pub is_serving: bool,
    /// When the manifest was last changed, if that lies ahead of this instance's clock by more
    /// than the skew. One of both clocks is wrong: set this one, or correct the manifest with
    /// [`Manifest::repair_clock`](crate::manifest::Manifest::repair_clock).
    pub changed_ahead: Option<SystemTime>,
    /// How often it was changed by what the store held.
    pub reloads: u64,
    /// How often the store could not be read, or held what cannot be used.
    pub failures: u64,
    /// How often in a row, up to now.
    pub failures_in_a_row: u64,
    /// What went wrong last; none, if nothing has since the last success. A change that is not
    /// confirmed yet shows here too, and is not counted as a failure.
    pub last_error: Option<String>,
    /// What keeps the store from saying itself that it has changed; none, if it does or if it
    /// never can. It is asked from time to time all the same. A problem that arises later shows
    /// here as well, until it has ended.
    pub watch_error: Option<String>,
    /// What went wrong with the last report of this instance; none, if it is stored or none
    /// is kept.
    pub report_error: Option<String>,
    /// Whether turns are run, and by what.
    pub state: FollowState,
    /// Number of turns that have ended: each loads the manifest and, if one is due, saves a
    /// report.
    pub turns: u64,
    /// When the last turn ended, whatever came of it. Of a follower that runs, this is never
    /// much older than the poll interval and four times its [`timeout`](super::FollowBuilder::timeout).
    pub last_turn: Option<SystemTime>,
    /// Number of turns in which the store did not answer in time.
    pub turns_timed_out: u64,
    /// Number of turns in which a panic was caught, of the store or of other code.
    pub turns_panicked: u64,
    /// Number of calls that still block their thread, although nothing waits for them any more.
    pub unanswered_calls: usize,
    /// Number of events of this ring on which an observer panicked.
    pub observer_panics: u64,
}

/// Whether a follower runs turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FollowState {
    /// A thread runs them.
    Running,
    /// They run when the service calls [`FollowHandle::refresh`](super::FollowHandle::refresh).
    OnDemand,
    /// The follower was stopped or dropped: the ring stays as it is.
    Stopped,
    /// The thread has ended although nothing stopped it: restart the service. Until then,
    /// [`FollowHandle::refresh`](super::FollowHandle::refresh) works.
    Ended,
}

impl FollowState {
    /// A stable name for metric labels.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::OnDemand => "on_demand",
            Self::Stopped => "stopped",
            Self::Ended => "ended",
        }
    }
}
