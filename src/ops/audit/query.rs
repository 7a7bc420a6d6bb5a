//! Which records are asked for.

use std::cmp::Reverse;
use std::time::SystemTime;

use super::action::{Action, Outcome};
use super::error::AuditError;
use super::escape::Escaped;
use super::line::{LineTime, Start, start};
use super::problem::{Forged, Problem};
use super::record::Record;
use crate::kid::Kid;

/// Which records are asked for: those for which everything that is set holds, the newest
/// first. That is as they were written, whatever the clock said; those that were
/// [imported](super::import) stand where their time is.
///
/// ```
/// use dualkey::ops::audit::{Action, Query};
///
/// let rotations = Query::new().secret("JWT_SECRET").action(Action::ROTATED).take(1);
/// ```
#[derive(Debug, Clone, Default)]
#[must_use = "a query is asked of a trail"]
pub struct Query {
    pub(super) secret: Option<String>,
    pub(super) actions: Vec<Action>,
    pub(super) actor: Option<String>,
    pub(super) environment: Option<String>,
    pub(super) outcome: Option<Outcome>,
    pub(super) since: Option<SystemTime>,
    pub(super) until: Option<SystemTime>,
    pub(super) take: Option<usize>,
    pub(super) with_started: bool,
    pub(super) is_of_steps: bool,
    pub(super) needs_voucher: bool,
}

/// A record of the trail: its MAC, its number and its place in the chain hold.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// Its number: 1 is the first of the trail.
    pub n: u64,
    /// The record.
    pub record: Record,
    /// The key that signed it.
    pub signer: Kid,
    /// True if a key that is not revoked signed it or a later record. If not, whoever has the
    /// revoked key may have written it.
    pub is_vouched: bool,
}

/// The result of a way back from the end of a trail: records, and lines that are none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Listing {
    /// The records that were asked for, the newest first.
    pub records: Vec<Entry>,
    /// The lines between the records read that are no records, at most 100.
    pub forged: Vec<Forged>,
    /// The problem that keeps older records from being known.
    pub problem: Option<Problem>,
}

impl Listing {
    /// The records, to decide by.
    ///
    /// # Errors
    /// [`AuditError::Broken`] if older records cannot be known: one that was asked for may be
    /// among them.
    pub fn into_records(self) -> Result<Vec<Entry>, AuditError> {
        match self.problem {
            Some(problem) => Err(AuditError::Broken { problem }),
            None => Ok(self.records),
        }
    }
}

impl Query {
    /// All records, but for [`Outcome::Started`]: another one says how those went.
    pub fn new() -> Self {
        Self::default()
    }

    /// Those of this secret.
    pub fn secret(mut self, name: &str) -> Self {
        self.secret = Some(name.to_owned());
        self
    }

    /// Those of this action; called again, of that one too.
    pub fn action(mut self, action: Action) -> Self {
        self.actions.push(action);
        self
    }

    /// Those after which another key signs: rotated, rolled back, rotated in an emergency.
    pub fn rotations(mut self) -> Self {
        self.actions.extend(Action::ROTATIONS);
        self
    }

    /// Those of this actor.
    pub fn actor(mut self, actor: &str) -> Self {
        self.actor = Some(actor.to_owned());
        self
    }

    /// Those of this environment.
    pub fn environment(mut self, environment: &str) -> Self {
        self.environment = Some(environment.to_owned());
        self
    }

    /// Those that went so; with [`Outcome::Started`], those that were begun.
    pub fn outcome(mut self, outcome: Outcome) -> Self {
        self.outcome = Some(outcome);
        self
    }

    /// Those at `moment` and after it, to the second.
    pub fn since(mut self, moment: SystemTime) -> Self {
        self.since = Some(moment);
        self
    }

    /// Those before `moment`.
    pub fn until(mut self, moment: SystemTime) -> Self {
        self.until = Some(moment);
        self
    }

    /// At most so many.
    pub fn take(mut self, count: usize) -> Self {
        self.take = Some(count);
        self
    }

    /// Also what was only begun.
    pub fn with_started(mut self) -> Self {
        self.with_started = true;
        self
    }

    /// Only what is told of steps by who takes them: each with the revision that it makes. What
    /// instances saw of them, what was refused and what was imported has none.
    pub(crate) fn of_steps(mut self) -> Self {
        self.is_of_steps = true;
        self
    }

    /// Without those that only a revoked key vouches for: what they say decides nothing.
    pub(super) fn require_voucher(&self) -> Self {
        Self { needs_voucher: true, ..self.clone() }
    }

    /// Returns the filter of this query for lines: nothing of a line that does not match is
    /// taken apart or copied.
    pub(super) fn filter(&self) -> Filter {
        let escaped = |text: &Option<String>| text.as_ref().map(|text| Escaped(text).to_string());
        let time = |moment: Option<SystemTime>| moment.map(|moment| LineTime(moment).to_string());
        Filter {
            secret: escaped(&self.secret),
            actions: self.actions.clone(),
            actor: escaped(&self.actor),
            environment: escaped(&self.environment),
            outcome: self.outcome,
            since: time(self.since),
            until: time(self.until),
            with_started: self.with_started || self.outcome == Some(Outcome::Started),
        }
    }
}

/// Merges `imported`, in any order, into `written`, the newest first, as a query asks for them.
pub(super) fn merge_imported(
    written: Vec<Entry>,
    mut imported: Vec<Entry>,
    take: usize,
) -> Vec<Entry> {
    if imported.is_empty() {
        return written;
    }
    imported.sort_by_key(|other| Reverse((other.record.at, other.n)));
    let mut imported = imported.into_iter().peekable();
    let mut all = Vec::new();
    for entry in written {
        while let Some(other) = imported.next_if(|other| other.record.at > entry.record.at) {
            all.push(other);
        }
        all.push(entry);
    }
    all.extend(imported);
    all.truncate(take);
    all
}

/// A query in the words of a line.
pub(super) struct Filter {
    pub(super) secret: Option<String>,
    pub(super) actions: Vec<Action>,
    pub(super) actor: Option<String>,
    pub(super) environment: Option<String>,
    pub(super) outcome: Option<Outcome>,
    pub(super) since: Option<String>,
    pub(super) until: Option<String>,
    pub(super) with_started: bool,
}

impl Filter {
    /// Returns whether `line` is asked for.
    pub(super) fn is_match(&self, line: &str) -> bool {
        start(line).is_some_and(|(start, _)| self.is_match_of_start(&start))
    }

    fn is_match_of_start(&self, start: &Start<'_>) -> bool {
        let is =
            |asked: &Option<String>, found: &str| asked.as_ref().is_none_or(|text| text == found);
        // Written so that text is ordered as time is.
        is(&self.secret, start.secret)
            && is(&self.actor, start.actor)
            && is(&self.environment, start.environment)
            && self.outcome.is_none_or(|outcome| outcome.as_str() == start.outcome)
            && (self.with_started || start.outcome != Outcome::Started.as_str())
            && (self.actions.is_empty()
                || self.actions.iter().any(|action| action.as_str() == start.action))
            && self.since.as_ref().is_none_or(|since| start.time >= since.as_str())
            && self.until.as_ref().is_none_or(|until| start.time < until.as_str())
    }
}
