//! Reminders: one message to a webhook, when something is due, overdue or stuck, or an
//! emergency rotation was done; once for each state and day.

use std::collections::HashSet;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use reqwest::StatusCode;
use reqwest::header::RETRY_AFTER;
use serde_json::json;

use super::audit::{Action, Entry, Outcome, Query, Record, Trail};
use super::error::OpsError;
use super::inventory::Project;
use super::schedule::{ScheduleState, SecretStatus, secret_statuses};
use crate::moment::NotBefore;
use crate::retry_after::retry_after;
use crate::text::is_hidden;

/// How long ago an emergency may be that nobody has been told of.
const EMERGENCY_WITHIN: Duration = Duration::from_secs(7 * 24 * 60 * 60);
const EMERGENCY: &str = "emergency";

/// Something that somebody should be told.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reminder {
    /// The secret.
    pub secret: String,
    /// The environment.
    pub environment: String,
    /// Of what: `soon`, `due`, `overdue`, `stuck`, `unread` or `emergency`.
    pub state: &'static str,
    /// In words.
    pub text: String,
}

/// How a message is delivered.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Delivery {
    /// How often it is tried: 5 times unless set.
    pub attempts: u32,
    /// The time before the second attempt, which doubles with each: half a second unless set.
    pub pause: Duration,
    /// How long an attempt may take: 10 seconds unless set.
    pub patience: Duration,
    /// The longest time that a `Retry-After` is heeded for: a minute unless set.
    pub longest_wait: Duration,
}

impl Default for Delivery {
    fn default() -> Self {
        Self {
            attempts: 5,
            pause: Duration::from_millis(500),
            patience: Duration::from_secs(10),
            longest_wait: Duration::from_secs(60),
        }
    }
}

/// What somebody should be told today, and was not yet.
///
/// # Errors
/// What keeps the inventory or the trail from being read.
pub async fn reminders(project: &Project) -> Result<Vec<Reminder>, OpsError> {
    let trail = project.trail().await?;
    let (now, environment) = (project.now(), project.environment_name());
    let all = secret_statuses(project).await?;
    let mut all: Vec<_> =
        all.iter().filter_map(|status| Reminder::for_status(status, now)).collect();
    // One of the night, too: it is told once, by whoever comes first.
    let since = now.checked_sub(EMERGENCY_WITHIN).unwrap_or(now);
    let query = Query::new().action(Action::EMERGENCY_ROTATED).outcome(Outcome::Success);
    let emergencies = trail.query(&query.environment(environment).since(since)).await?;
    let query = Query::new().action(Action::REMINDED).environment(environment).since(since);
    let mut told = trail.query(&query.outcome(Outcome::Success)).await?;
    for entry in emergencies {
        let Record { actor, secret, reason, .. } = &entry.record;
        let is_after = |other: &Entry| {
            let record = &other.record;
            record.secret == *secret
                && record.reason.as_deref() == Some(EMERGENCY)
                && other.n > entry.n
        };
        if told.iter().any(is_after) {
            continue;
        }
        let why = reason.as_deref().unwrap_or("no reason was given");
        all.push(Reminder {
            secret: secret.clone(),
            environment: environment.to_owned(),
            state: EMERGENCY,
            text: format!("{actor} rotated it in an emergency: {why}"),
        });
    }
    told.retain(|entry| entry.record.at >= day(now));
    let mut known: HashSet<_> = told
        .into_iter()
        .filter_map(|entry| Some((entry.record.secret, entry.record.reason?)))
        .collect();
    all.retain(|reminder| known.insert((reminder.secret.clone(), reminder.state.to_owned())));
    Ok(all)
}

/// Posts what somebody should be told today, as one message, to the webhook of the inventory,
/// and records in the name of `actor` that they were. Nothing is posted where there is nothing
/// to tell.
///
/// Who is killed between the two posts it again: better twice than not at all.
///
/// # Errors
/// [`OpsError::Variable`] if there is something to tell and no webhook; [`OpsError::Remind`] if
/// it could not be delivered: then it is tried anew with the next call.
pub async fn remind(
    project: &Project,
    actor: &str,
    delivery: Delivery,
) -> Result<Vec<Reminder>, OpsError> {
    if reminders(project).await?.is_empty() {
        return Ok(Vec::new());
    }
    // Of two at once, the second finds that it was told. No secret has a name with a space.
    let (trail, environment) = (project.trail().await?, project.environment_name());
    let _guard = trail.lock(&format!("reminders of {environment}")).await?;
    let all = reminders(project).await?;
    if all.is_empty() {
        return Ok(all);
    }
    const WHAT: &str = "the URL of the webhook for reminders";
    let Some(variable) = &project.inventory().remind.webhook else {
        return Err(OpsError::NoWebhook);
    };
    let url = project.variable(WHAT, variable)?;
    post(&url, &message(&all), delivery).await?;
    let record = |reminder: &Reminder| {
        project.record(&reminder.secret, Action::REMINDED, actor).reason(reminder.state)
    };
    let records: Vec<_> = all.iter().map(record).collect();
    trail.append(&records).await?;
    Ok(all)
}

/// The message as JSON that Slack takes, and others who take its form: `{"text": …}`.
#[must_use]
pub fn message(reminders: &[Reminder]) -> serde_json::Value {
    let line = |reminder: &Reminder| {
        let Reminder { secret, environment, state, text } = reminder;
        format!("• *{}* ({}), {state}: {}", escape(secret), escape(environment), escape(text))
    };
    let lines: Vec<_> = reminders.iter().map(line).collect();
    json!({ "text": format!("Secrets that need an operator:\n{}", lines.join("\n")) })
}

/// As Slack asks for it; and a text stays on its line.
fn escape(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    text.replace(is_hidden, " ")
}

/// Posts `message`. What could be delivered later is tried again: no answer, 429 and 5xx; what
/// the other side refuses is not.
async fn post(url: &str, message: &serde_json::Value, delivery: Delivery) -> Result<(), OpsError> {
    // Deliberately not the errors' own words: they name the URL, which is a secret.
    let failed = |problem: String| OpsError::Remind { problem };
    let client = reqwest::Client::builder()
        .timeout(delivery.patience)
        // It is one place, and its secret is not for another.
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .map_err(|error| failed(error.without_url().to_string()))?;
    let mut pause = delivery.pause;
    let mut attempt = 1;
    loop {
        let answer = client.post(url).json(message).send().await;
        let (problem, wait) = match answer {
            Ok(answer) if answer.status().is_success() => return Ok(()),
            Ok(answer) => {
                let status = answer.status();
                let is_later = status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error();
                if !is_later {
                    return Err(failed(format!("it was refused with {status}")));
                }
                let after = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
                let after = after.and_then(|text| retry_after(text, SystemTime::now()));
                (format!("the last answer was {status}"), after)
            }
            Err(error) if error.is_builder() => {
                return Err(failed("its URL is none".to_owned()));
            }
            Err(error) if error.is_timeout() => ("no answer in time".to_owned(), None),
            Err(error) => (error.without_url().to_string(), None),
        };
        if attempt >= delivery.attempts {
            return Err(failed(format!("tried {attempt} times, {problem}")));
        }
        let wait = wait.unwrap_or_default().max(pause).min(delivery.longest_wait);
        tokio::time::sleep(wait).await;
        (attempt, pause) = (attempt + 1, pause.saturating_mul(2));
    }
}

impl Reminder {
    /// What somebody should be told of a secret that stands so.
    fn for_status(status: &SecretStatus, now: SystemTime) -> Option<Self> {
        // A rotation that is due says so itself.
        let from = status.next.at.filter(|at| Some(*at) != status.due && *at > now);
        let from = from.map_or_else(String::new, |at| format!("from {}: ", NotBefore(at)));
        let next = status.next.command.as_deref();
        let next = next.map(|command| format!(" ({from}`{command}`)")).unwrap_or_default();
        let text = match &status.state {
            // What was never made needs nobody, until somebody uses it.
            ScheduleState::UpToDate | ScheduleState::Underway | ScheduleState::Absent => {
                return None;
            }
            ScheduleState::Soon { days } => format!("its rotation is due in {days} days{next}"),
            ScheduleState::Due => format!("its rotation is due today{next}"),
            ScheduleState::Overdue { days } => {
                format!("its rotation is overdue by {days} days{next}")
            }
            ScheduleState::Stuck { why } => format!("its rotation is stuck: {why}{next}"),
            ScheduleState::Unread { why } => format!("it cannot be read: {why}{next}"),
        };
        let (secret, environment) = (status.name.clone(), status.environment.clone());
        Some(Self { secret, environment, state: status.state.as_str(), text })
    }
}

/// The beginning of the day, UTC.
fn day(now: SystemTime) -> SystemTime {
    let time = Timestamp::try_from(now).unwrap_or_default().to_zoned_datetime(TimeZone::UTC);
    let start = time.start_of_day().map(|start| start.timestamp());
    start.ok().and_then(|start| start.try_into().ok()).unwrap_or(now)
}
