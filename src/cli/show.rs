//! What is printed.

use std::time::{Duration, SystemTime};

use comfy_table::Color;
use jiff::{SpanRound, Unit};

use super::Failure;
use super::terminal::{Terminal, cell};
use crate::error::Error;
use crate::error::Obstacle;
use crate::evidence::Verdict;
use crate::lifecycle::KeyState;
use crate::manifest::{Change, RolloutEffect};
use crate::moment::{At, NotBefore};
use crate::ops::OpsError;
use crate::ops::audit::{Action, Listing};
use crate::ops::doctor::Finding;
use crate::ops::inventory::{Place, Project};
use crate::ops::rotate::{Check, CheckOutcome};
use crate::ops::schedule::{Other, Standing, State, standing_of};
use crate::source::StoreError;

/// A moment as operators read it.
pub(super) fn time(moment: SystemTime) -> String {
    At(moment).to_string()
}

/// A moment from which a step is accepted, or until which a key verifies: it has come at the minute
/// that is shown.
fn from_time(moment: SystemTime) -> String {
    NotBefore(moment).to_string()
}

/// A length of time in its two largest units: `7d 1h`.
pub(super) fn length(time: Duration) -> String {
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    let (smallest, is_short) = match seconds {
        ..60 => (Unit::Second, true),
        60..86_400 => (Unit::Minute, false),
        86_400..864_000 => (Unit::Hour, false),
        _ => (Unit::Day, false),
    };
    let round = SpanRound::new().largest(Unit::Day).smallest(smallest).days_are_24_hours();
    let round = round.mode(jiff::RoundMode::Trunc);
    let span = jiff::Span::new().try_seconds(seconds).and_then(|own| own.round(round));
    match span {
        Ok(span) if is_short || !span.is_zero() => format!("{span:#}"),
        _ => "0s".to_owned(),
    }
}

/// When, and how far away that is.
fn when(moment: SystemTime, now: SystemTime) -> String {
    match moment.duration_since(now) {
        Ok(ahead) if ahead.as_secs() > 0 => {
            format!("{}, in {}", from_time(moment), length(ahead))
        }
        _ => {
            let ago = length(now.duration_since(moment).unwrap_or_default());
            format!("{}, {ago} ago", time(moment))
        }
    }
}

impl Terminal {
    /// What a step did, what comes next, and when.
    pub(super) async fn step(
        &mut self,
        project: &Project,
        name: &str,
        change: &Change,
        is_rehearsal: bool,
    ) -> Result<(), Failure> {
        let action = Action::from(change.action);
        let done = action.as_str().to_lowercase().replace('_', " ");
        let state = |own: Option<KeyState>| own.map_or("-", KeyState::as_str);
        let lead = if is_rehearsal { "would be " } else { "" };
        // Each run would make another key.
        let kid = match is_rehearsal && change.from.is_none() {
            true => "a new one".to_owned(),
            false => change.kid.to_string(),
        };
        self.line(&format!("{name} ({}): {lead}{done}", project.environment_name()))?;
        let (from, to) = (state(change.from), state(Some(change.to)));
        self.line(&format!("  key       {kid}, {from} -> {to}"))?;
        if let Some(kid) = change.revoked {
            self.line(&format!("  revoked   {kid}"))?;
        }
        if let Some(until) = change.until {
            let what = if change.kid_ends() { "ends     " } else { "old key  " };
            let until = when(until, project.now());
            let verb = if change.kid_ends() { "" } else { "verifies until " };
            self.line(&format!("  {what} {verb}{until}"))?;
        }
        // Instances read a `.env` file when they start.
        let is_dotenv = matches!(project.inventory().secret(name)?.store, Place::Dotenv(_));
        if change.effect != RolloutEffect::NONE {
            let load = if is_dotenv { "restart with this file" } else { "reload" };
            self.line(&format!("  effect    {}", change.effect.until(load)))?;
        }
        if is_rehearsal {
            return self.line("  nothing was changed");
        }
        let is_urgent = [Action::EMERGENCY_ROTATED, Action::REVOKED].contains(&action);
        if is_dotenv && is_urgent {
            return self.line("  next      deploy this file and restart every instance now");
        }
        let own = standing_of(project, name).await?;
        self.next(&own, project.now())
    }

    /// What comes next, and when.
    pub(super) fn next(&mut self, standing: &Standing, now: SystemTime) -> Result<(), Failure> {
        if let State::Unread { why } = &standing.state {
            return self.line(&format!("  next      {why}"));
        }
        let next = &standing.next;
        self.line(&format!("  next      {}", next.what))?;
        if let Some(at) = next.at {
            self.line(&format!("  when      {}", when(at, now)))?;
        }
        match &next.command {
            Some(command) => self.line(&format!("  command   {command}")),
            None => Ok(()),
        }
    }

    pub(super) fn checks(&mut self, all: &[Check]) -> Result<(), Failure> {
        for own in all {
            let mark = match own.outcome {
                CheckOutcome::Passed => "ok  ",
                CheckOutcome::Warned => "note",
                CheckOutcome::Failed => "FAIL",
                CheckOutcome::Unneeded => "-   ",
            };
            self.line(&format!("  {mark} {:<10} {}", own.name, own.found))?;
        }
        Ok(())
    }

    /// The reason of a wait of at most `wait`, and the effect of an interruption.
    pub(super) fn waiting(
        &mut self,
        obstacles: &[Obstacle],
        wait: Duration,
    ) -> Result<(), Failure> {
        let text = Verdict::Blocked(obstacles.to_vec()).to_string();
        let text = text.trim_start_matches("blocked: ");
        let wait = length(wait);
        self.line(&format!("  waiting   up to {wait} (Ctrl-C leaves the key staged): {text}"))
    }

    pub(super) fn table(&mut self, all: &[Standing], now: SystemTime) -> Result<(), Failure> {
        let mut table = self.new_table(&[
            "secret", "priority", "state", "primary", "since", "others", "due", "next",
        ]);
        for own in all {
            let since = own.since.map(|since| {
                let age = length(now.duration_since(since).unwrap_or_default());
                if own.is_since_at_least { format!("at least {age}") } else { age }
            });
            let others: Vec<_> = own
                .others
                .iter()
                .map(|other| {
                    let (kid, state) = (other.kid, other.state.as_str());
                    let place = place(other.variable.as_deref());
                    match words(other, now) {
                        Some(words) => format!("{kid} ({state}, {words}){place}"),
                        None => format!("{kid} ({state}){place}"),
                    }
                })
                .collect();
            let date =
                |moment: SystemTime| time(moment).split(' ').next().unwrap_or_default().to_owned();
            let state = match &own.state {
                State::Overdue { days } => format!("overdue {days}d"),
                State::Soon { days } => format!("in {days}d"),
                other => other.as_str().to_owned(),
            };
            let state = cell([state]);
            let state = match (&own.state, self.is_colored()) {
                (_, false) => state,
                (
                    State::Overdue { .. }
                    | State::Stuck { .. }
                    | State::Absent
                    | State::Unread { .. },
                    _,
                ) => state.fg(Color::Red),
                (State::Due | State::Soon { .. }, _) => state.fg(Color::Yellow),
                _ => state,
            };
            let text = |own: Option<String>| own.unwrap_or_else(|| "-".to_owned());
            table.add_row(vec![
                cell([&own.name]),
                cell([own.priority.as_str()]),
                state,
                cell([text(
                    own.primary.map(|kid| format!("{kid}{}", place(own.variable.as_deref()))),
                )]),
                cell([text(since)]),
                if others.is_empty() { cell(["-"]) } else { cell(others) },
                cell([text(own.due.map(date))]),
                cell([next(own, now)]),
            ]);
        }
        self.print(&table)?;
        for own in all {
            if let State::Stuck { why } | State::Unread { why } = &own.state {
                self.line(&format!("{}: {why}", own.name))?;
            }
            if let Some(what) = wait(own) {
                self.line(&format!("{}: {what}", own.name))?;
            }
            for warning in &own.warnings {
                self.line(&format!("{}: {warning}", own.name))?;
            }
        }
        Ok(())
    }

    pub(super) fn records(&mut self, all: &Listing) -> Result<(), Failure> {
        for own in &all.records {
            let doubt = match own.is_vouched {
                true => "",
                false => " | UNVOUCHED: only a revoked key signed it",
            };
            self.line(&format!("{}{doubt}", own.record))?;
        }
        for own in &all.forged {
            self.line(&own.to_string())?;
        }
        match &all.problem {
            None => Ok(()),
            Some(problem) => self.line(&format!(
                "BROKEN: {problem}; older records are not shown (see `dualkey audit verify`)"
            )),
        }
    }

    pub(super) fn findings(&mut self, all: &[Finding]) -> Result<(), Failure> {
        for own in all {
            self.line(&format!("{:<8} {}: {}", own.check, own.subject, own.found))?;
            self.line(&format!("         fix: {}", own.mend))?;
        }
        let count = all.len();
        self.line(&match count {
            0 => "nothing is wrong".to_owned(),
            1 => "1 thing is wrong".to_owned(),
            _ => format!("{count} things are wrong"),
        })
    }
}

/// The lines about what went wrong, and when to come back, where that would be the remedy.
pub(super) fn failed(failure: &Failure) -> Vec<String> {
    if let Failure::Ops(OpsError::Adopt { refusals }) = failure {
        let count = refusals.len();
        let head = format!("error: cannot adopt {count} of the secrets; nothing was changed:");
        let rows = refusals.iter().map(|own| format!("  {}: {}", own.secret, own.problem));
        return std::iter::once(head).chain(rows).collect();
    }
    let mut lines = vec![format!("error: {failure}")];
    if let Failure::Ops(OpsError::Refused(error) | OpsError::Store(StoreError::Refused(error))) =
        failure
        && let Error::Blocked { obstacles, .. } = error
    {
        let until = obstacles.iter().filter_map(|own| match own {
            Obstacle::TooEarly { until } => Some(*until),
            _ => None,
        });
        lines.extend(until.max().map(|until| format!("  when      {}", from_time(until))));
    }
    lines
}

/// The variable of a key: the kid of a credential is a number, which another secret may have after a
/// restart.
fn place(variable: Option<&str>) -> String {
    variable.map(|own| format!(" in {own}")).unwrap_or_default()
}

/// The words of a wait, which the command to look again does not say.
fn wait(own: &Standing) -> Option<&str> {
    let is_status = |command: &&String| command.starts_with("dualkey status ");
    own.next.command.as_ref().filter(is_status).map(|_| own.next.what.as_str())
}

/// The next step of a secret, with the moment from which it is accepted. A rotation is accepted at
/// once: when it is due is in its own column.
fn next(own: &Standing, now: SystemTime) -> String {
    let step = own.next.command.as_deref().unwrap_or(&own.next.what);
    let at = own.next.at.filter(|at| now < *at && Some(*at) != own.due);
    match at.filter(|_| own.next.command.is_some()) {
        Some(at) => format!("from {}: {step}", from_time(at)),
        None => step.to_owned(),
    }
}

/// The future of a key, or why it cannot be retired.
fn words(own: &Other, now: SystemTime) -> Option<String> {
    if let Some(at) = own.signs_from {
        return Some(format!("signs from {}", from_time(at)));
    }
    let ends = own.ends_at.filter(|ends| now < *ends);
    let is_live = matches!(own.state, KeyState::Active(_));
    if let Some(ends) = ends.filter(|_| is_live) {
        return Some(format!("ends {}", from_time(ends)));
    }
    own.verdict.as_ref().map(|verdict| match verdict {
        Verdict::Safe if is_live => "can be retired".to_owned(),
        Verdict::Safe => "can be destroyed".to_owned(),
        Verdict::Wait { until } => format!("needed until {}", from_time(*until)),
        Verdict::Blocked(obstacles) => match obstacles.first() {
            Some(obstacle) => obstacle.to_string(),
            None => "needed".to_owned(),
        },
    })
}
