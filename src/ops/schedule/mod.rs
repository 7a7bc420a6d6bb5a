//! The calendar: how each secret stands, as a pure function of what is stored and of the time.
//!
//! Days are those of UTC, as [`Schedule`](crate::Schedule) counts them: what is due on 15 January is due from that
//! midnight on, and overdue by one day on the 16th.

mod advice;
mod old_key;

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use jiff::tz::TimeZone;
use jiff::{Timestamp, Unit};

use super::audit::{Action, Outcome, Query, Record, Trail};
use super::error::OpsError;
use super::inventory::{Item, Place, Priority, Project};
use super::json;
use super::rotate::{begun, check_new, reports};
use super::warnings::{encrypted, of_policy, of_reports};
use crate::evidence::Report;
use crate::evidence::Verdict;
use crate::kid::Kid;
use crate::lifecycle::KeyState;
use crate::lifecycle::Role;
use crate::lifecycle::Signs;
use crate::manifest::{Entry, Manifest};
use crate::purpose::Purpose;
use crate::source::StoreError;

/// How a secret stands.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Standing {
    /// Its name.
    pub name: String,
    /// The environment.
    pub environment: String,
    /// What it is for.
    pub purpose: Purpose,
    /// How much hangs on it.
    pub priority: Priority,
    /// The key that signs, where there is a manifest.
    pub primary: Option<Kid>,
    /// The variable that this key was read from, if it was.
    pub variable: Option<String>,
    /// Since when it signs, or since when the secret is what it is.
    pub since: Option<SystemTime>,
    /// True if it may have signed for longer: a key that was in a `.env` file before its first step has
    /// the earliest moment that is known, which is that of its adoption or of the last edit of the file.
    pub is_since_at_least: bool,
    /// All other keys that still verify, or that should not.
    pub others: Vec<Other>,
    /// When the next rotation is due.
    pub due: Option<SystemTime>,
    /// How it stands.
    pub state: State,
    /// What comes next.
    pub next: Next,
    /// What is wrong with the reports of its instances: one that cannot be read, one from the
    /// future. And the dangers that its variables show.
    pub warnings: Vec<String>,
}

/// A key beside the primary.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Other {
    /// Its kid.
    pub kid: Kid,
    /// The variable that it was read from, if it was.
    pub variable: Option<String>,
    /// What it is.
    pub state: KeyState,
    /// Since when it is in the manifest.
    pub added_at: SystemTime,
    /// When it begins to sign by itself, if it is staged for a moment ahead.
    pub signs_from: Option<SystemTime>,
    /// When it stops verifying, if that is known.
    pub ends_at: Option<SystemTime>,
    /// Whether its end was set by a retirement, and does not only follow from its overlap.
    pub is_retired: bool,
    /// True if it is staged because it was added again after it had expired: to read what is still
    /// under it, and not to sign.
    pub is_restaged: bool,
    /// The verdict on it, where a step depends on that: on a fallback, on an expired key of a purpose
    /// that does not end by time, and on a revoked encryption key.
    pub verdict: Option<Verdict>,
}

/// How a secret stands, from nothing to do to what cannot wait.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum State {
    /// Nothing is to be done.
    Rested,
    /// A rotation is under way.
    Underway,
    /// A rotation is due within the days ahead.
    Soon {
        /// In so many days.
        days: u32,
    },
    /// A rotation is due today.
    Due,
    /// A rotation was due.
    Overdue {
        /// So many days ago.
        days: u32,
    },
    /// A rotation has stopped midway.
    Stuck {
        /// Where.
        why: String,
    },
    /// Its store holds nothing yet.
    Absent,
    /// It cannot be read.
    Unread {
        /// Why not.
        why: String,
    },
}

/// What comes next, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Next {
    /// In words.
    pub what: String,
    /// The command that does it.
    pub command: Option<String>,
    /// Not before this.
    pub at: Option<SystemTime>,
}

impl State {
    /// A stable name.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Rested => "rested",
            Self::Underway => "underway",
            Self::Soon { .. } => "soon",
            Self::Due => "due",
            Self::Overdue { .. } => "overdue",
            Self::Stuck { .. } => "stuck",
            Self::Absent => "absent",
            Self::Unread { .. } => "unread",
        }
    }

    /// What a scheduler is told: 0 for nothing to do, 3 for due, 4 for overdue, 5 for stuck, 1
    /// for what is absent or cannot be read.
    #[must_use]
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::Rested | Self::Underway | Self::Soon { .. } => 0,
            Self::Due => 3,
            Self::Overdue { .. } => 4,
            Self::Stuck { .. } => 5,
            Self::Absent | Self::Unread { .. } => 1,
        }
    }
}

/// How a rotation that is due at `due` stands at `now`, of which somebody is told `ahead` days
/// before.
///
/// ```
/// use dualkey::ops::schedule::{State, dueness};
/// use std::time::{Duration, UNIX_EPOCH};
///
/// // 2026-04-15T00:00:00Z.
/// let due = UNIX_EPOCH + Duration::from_secs(1_776_211_200);
/// let day = Duration::from_secs(24 * 3600);
/// assert_eq!(dueness(due, due - 8 * day, 7), State::Rested);
/// assert_eq!(dueness(due, due - Duration::from_secs(1), 7), State::Soon { days: 1 });
/// assert_eq!(dueness(due, due, 7), State::Due);
/// assert_eq!(dueness(due, due + day, 7), State::Overdue { days: 1 });
/// ```
#[must_use]
pub fn dueness(due: SystemTime, now: SystemTime, ahead: u16) -> State {
    let date = |moment: SystemTime| {
        Timestamp::try_from(moment).ok().map(|own| own.to_zoned_datetime(TimeZone::UTC).date())
    };
    // What no calendar holds lies far ahead, or is a clock that shows nothing.
    let (Some(due), Some(now)) = (date(due), date(now)) else { return State::Rested };
    let days = now.until((Unit::Day, due)).map_or(0, |span| span.get_days());
    let count = days.unsigned_abs();
    match days {
        0 => State::Due,
        ..0 => State::Overdue { days: count },
        _ if count <= u32::from(ahead) => State::Soon { days: count },
        _ => State::Rested,
    }
}

/// How every secret of the environment stands, in the order of the inventory.
///
/// # Errors
/// None of one secret, which stands as [`State::Unread`]; only where the trail cannot be read
/// is nothing known of those that are rotated by hand.
pub async fn standings(project: &Project) -> Result<Vec<Standing>, OpsError> {
    let trail = project.trail().await;
    let mut all = Vec::new();
    for item in project.secrets() {
        all.push(standing(project, item, &trail).await);
    }
    Ok(all)
}

/// How the secret `name` stands.
///
/// # Errors
/// [`OpsError::UnknownSecret`], [`OpsError::OtherEnvironment`]. One that cannot be read stands as
/// [`State::Unread`].
pub async fn standing_of(project: &Project, name: &str) -> Result<Standing, OpsError> {
    let item = project.inventory().secret(name)?;
    item.check_environment(project.environment_name())?;
    let trail = project.trail().await;
    Ok(standing(project, item, &trail).await)
}

async fn standing(
    project: &Project,
    item: &Item,
    trail: &Result<Arc<dyn Trail>, OpsError>,
) -> Standing {
    let name = (item, project.environment_name());
    let trail = match trail {
        Ok(trail) => Some(&**trail),
        // Nothing is decided by a trail that is missing or cannot be read, nor without it.
        Err(error @ OpsError::Audit(_)) => return Standing::unread(name, error),
        Err(_) => None,
    };
    let own = read(project, item, trail).await;
    let mut own = own.unwrap_or_else(|error| Standing::unread(name, &error));
    let encrypted = encrypted(project, item, name.1);
    own.warnings.extend(encrypted.map(|own| format!("{}; {}", own.found(), own.remedy())));
    if own.state == State::Absent {
        own.advise_adoption(project);
    }
    own
}

async fn read(
    project: &Project,
    item: &Item,
    trail: Option<&dyn Trail>,
) -> Result<Standing, OpsError> {
    let (now, environment) = (project.now(), project.environment_name());
    let ahead = project.inventory().remind.days_ahead;
    if let Place::Manual(_) = item.store {
        let Some(trail) = trail else {
            let secret = project.inventory().audit.secret.clone();
            return Err(OpsError::NoAuditKey { secret });
        };
        let query = Query::new().secret(&item.name).environment(environment);
        let query = query.rotations().outcome(Outcome::Success).take(1);
        let last = trail.query(&query).await?.pop().map(|own| own.record.at);
        return Ok(Standing::by_hand((item, environment), last, now, ahead));
    }
    let store = project.store(&item.name)?;
    let manifest = match (store.load().await, trail) {
        (Err(error @ StoreError::Missing { .. }), Some(trail)) => {
            check_new(trail, &item.name, environment).await?;
            return Err(error.into());
        }
        (manifest, _) => manifest.map_err(|error| match error {
            StoreError::Missing { .. } => error.into(),
            error => item.explain(error),
        })?,
    };
    let reports = reports(&*store).await?;
    let left = match trail {
        Some(trail) => begun(trail, &item.name, environment).await?,
        None => None,
    };
    let past = match trail {
        Some(trail) => Past::read(trail, item, &manifest, now).await?,
        None => Past::unknown(item, &manifest, now),
    };
    let mut own = Standing::with_past(item, &manifest, &reports, now, (ahead, &past));
    if let Some(record) = left {
        let why = format!("{} began {}, and has not said how it went", record.actor, record.action);
        own.state = own.state.max(State::Stuck { why });
    }
    Ok(own)
}

/// The facts about the keys of a secret that the trail has, and the manifest lacks.
#[derive(Default)]
struct Past {
    /// The earliest record that says that the primary signs, where only the date of a `.env` file says
    /// since when.
    signs_since: Option<SystemTime>,
    /// True if the primary may have signed for longer than is known.
    is_at_least: bool,
    /// The staged keys that were added again after they had expired.
    restaged: Vec<Kid>,
}

impl Past {
    fn unknown(item: &Item, manifest: &Manifest, now: SystemTime) -> Self {
        let is_at_least = is_dated_by_file(item, manifest, &manifest.primary(now));
        Self { is_at_least, ..Self::default() }
    }

    async fn read(
        trail: &dyn Trail,
        item: &Item,
        manifest: &Manifest,
        now: SystemTime,
    ) -> Result<Self, OpsError> {
        let mut own = Self::unknown(item, manifest, now);
        let records = async |action: Action| {
            let query = Query::new().secret(&item.name).environment(manifest.environment());
            let query = query.of_steps().action(action).outcome(Outcome::Success);
            let all: Vec<_> =
                trail.query(&query).await?.into_iter().map(|own| own.record).collect();
            Ok::<_, OpsError>(all)
        };
        if let Some(primary) = manifest.key(&manifest.primary(now)).filter(|_| own.is_at_least) {
            let kid = primary.kid();
            let mut all = records(Action::CREATED).await?;
            all.retain(|own| own.kid == Some(kid));
            // It was made then, and not only found.
            own.is_at_least = !all.iter().any(|own| is_same_second(own.at, primary.added_at()));
            // A kid that is a number may have been that of another value.
            if !kid.as_str().starts_with(&format!("{}-", item.purpose.as_str())) {
                own.signs_since = all.iter().map(|own| own.at).min();
            }
        }
        let is_staged =
            |key: &&Entry| manifest.state(&key.kid(), now) == Some(KeyState::Active(Role::Staged));
        let staged: Vec<_> = manifest.keys().iter().filter(is_staged).collect();
        if !staged.is_empty() {
            let all = records(Action::RESTAGED).await?;
            let is_again = |key: &&&Entry| {
                let is_own = |own: &Record| {
                    own.kid == Some(key.kid()) && is_same_second(own.at, key.added_at())
                };
                all.iter().any(is_own)
            };
            own.restaged = staged.iter().filter(is_again).map(|key| key.kid()).collect();
        }
        Ok(own)
    }
}

/// Returns whether both are in one second: a record has no part of it.
fn is_same_second(one: SystemTime, other: SystemTime) -> bool {
    let seconds = |own: SystemTime| own.duration_since(UNIX_EPOCH).ok().map(|own| own.as_secs());
    seconds(one) == seconds(other)
}

/// Returns whether nothing but the date of its `.env` file says since when the key `kid` signs: it was
/// there before the first step.
fn is_dated_by_file(item: &Item, manifest: &Manifest, kid: &Kid) -> bool {
    let is_first = |key: &Entry| key.signs() == Signs::From(UNIX_EPOCH);
    matches!(item.store, Place::Dotenv(_)) && manifest.key(kid).is_some_and(is_first)
}

/// How secrets stand, as a JSON array: what `dualkey status --json` prints.
#[must_use]
pub fn to_json(standings: &[Standing]) -> String {
    json::standings(standings)
}

impl Standing {
    /// How a secret stands of which `manifest` is stored, by what the instances `reports` say.
    #[must_use]
    pub fn of(
        item: &Item,
        manifest: &Manifest,
        reports: &[Report],
        now: SystemTime,
        ahead: u16,
    ) -> Self {
        let past = Past::unknown(item, manifest, now);
        Self::with_past(item, manifest, reports, now, (ahead, &past))
    }

    /// The same, with what the trail says.
    fn with_past(
        item: &Item,
        manifest: &Manifest,
        reports: &[Report],
        now: SystemTime,
        (ahead, past): (u16, &Past),
    ) -> Self {
        let kid = manifest.primary(now);
        let since = manifest.key(&kid).map(|key| key.life.signing_since());
        let since = since.map(|since| past.signs_since.map_or(since, |first| since.min(first)));
        // By the inventory, which is what an operator edits.
        let due = item.policy.schedule.zip(since).and_then(|(own, since)| own.next(since));
        let others: Vec<_> = manifest
            .keys()
            .iter()
            .filter(|key| key.kid() != kid && key.secret().is_some())
            .filter_map(|key| Other::of(key, item, manifest, reports, now))
            .map(|own| Other { is_restaged: past.restaged.contains(&own.kid), ..own })
            .collect();
        let mut own = Self {
            name: item.name.clone(),
            environment: manifest.environment().to_owned(),
            purpose: manifest.purpose(),
            priority: item.priority,
            primary: Some(kid),
            variable: None,
            since,
            is_since_at_least: past.is_at_least,
            others,
            due,
            state: due.map_or(State::Rested, |due| dueness(due, now, ahead)),
            next: Next { what: String::new(), command: None, at: None },
            warnings: of_reports(reports, manifest.policy(), now),
        };
        own.warnings.extend(
            manifest.warnings.iter().map(|(variable, warning)| format!("{variable}: {warning}")),
        );
        own.variable = manifest.key(&kid).and_then(|key| key.variable()).map(str::to_owned);
        own.warnings.extend(of_policy(manifest.policy(), &own.name));
        own.warnings.extend(own.expected_traffic(item, manifest, reports, now));
        own.advise(item, manifest, reports, now);
        own
    }

    /// How a secret stands that is rotated by hand, the last time at `last`.
    #[must_use]
    pub fn by_hand(
        (item, environment): (&Item, &str),
        last: Option<SystemTime>,
        now: SystemTime,
        ahead: u16,
    ) -> Self {
        let due = item.policy.schedule.and_then(|own| match last {
            Some(last) => own.next(last),
            // Nobody has ever said that it was done.
            None => Some(now),
        });
        let mut own = Self::bare((item, environment));
        (own.since, own.due) = (last, due);
        own.state = due.map_or(State::Rested, |due| dueness(due, now, ahead));
        let Place::Manual(place) = &item.store else { return own };
        let command = format!("dualkey record {} rotated", item.name);
        own.next = match due {
            Some(at) => Next {
                what: format!("rotate it in {place}, and say so"),
                command: Some(command),
                at: Some(at),
            },
            None => Next { what: "nothing".to_owned(), command: None, at: None },
        };
        own
    }

    /// One that cannot be read.
    #[must_use]
    pub fn unread((item, environment): (&Item, &str), error: &OpsError) -> Self {
        let mut own = Self::bare((item, environment));
        if !matches!(error, OpsError::Store(StoreError::Missing { .. })) {
            own.state = State::Unread { why: error.to_string() };
            return own;
        }
        own.state = State::Absent;
        (own.next.what, own.next.command) = match &item.store {
            Place::Dotenv(path) => (format!("set it in {path}"), None),
            _ => {
                let command = item.command(&format!("generate {} --store", item.name));
                ("make its first key".to_owned(), Some(command))
            }
        };
        own
    }

    fn bare((item, environment): (&Item, &str)) -> Self {
        Self {
            name: item.name.clone(),
            environment: environment.to_owned(),
            purpose: item.purpose,
            priority: item.priority,
            primary: None,
            variable: None,
            since: None,
            is_since_at_least: false,
            others: Vec::new(),
            due: None,
            state: State::Rested,
            next: Next {
                what: "correct what is wrong with it".to_owned(),
                command: None,
                at: None,
            },
            warnings: Vec::new(),
        }
    }
}

impl Other {
    fn of(
        key: &Entry,
        item: &Item,
        manifest: &Manifest,
        reports: &[Report],
        now: SystemTime,
    ) -> Option<Self> {
        let (kid, state) = (key.kid(), manifest.state(&key.kid(), now)?);
        let verdict = match (state, &item.store) {
            // Nobody reports: only the time says anything.
            (KeyState::Active(Role::Fallback), Place::Dotenv(_)) => {
                manifest.ends_at(&kid).map(|until| Verdict::Wait { until })
            }
            (KeyState::Active(Role::Fallback), _) => manifest.retirement(&kid, reports, now).ok(),
            (KeyState::Retired, _) if !manifest.purpose().ends_by_time() => {
                manifest.retirement(&kid, reports, now).ok()
            }
            (KeyState::Revoked, _) if manifest.purpose().needs_sweep() => {
                manifest.retirement(&kid, reports, now).ok()
            }
            _ => None,
        };
        let is_retired = key.retire_at().is_some();
        let (added_at, ends_at) = (key.added_at(), manifest.ends_at(&kid));
        let signs_from = match (state, key.signs()) {
            (KeyState::Active(Role::Staged), Signs::From(moment)) => Some(moment),
            _ => None,
        };
        let variable = key.variable().map(str::to_owned);
        Some(Self {
            kid,
            variable,
            state,
            added_at,
            signs_from,
            ends_at,
            is_retired,
            is_restaged: false,
            verdict,
        })
    }
}
