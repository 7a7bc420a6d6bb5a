//! The facts about the keys of a secret that the trail has, and the manifest lacks.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::kid::Kid;
use crate::lifecycle::KeyState;
use crate::lifecycle::Role;
use crate::lifecycle::SigningStart;
use crate::manifest::{Entry, Manifest};
use crate::ops::audit::{Action, Outcome, Query, Record, Trail};
use crate::ops::error::OpsError;
use crate::ops::inventory::{Place, SecretSpec};

/// The facts about the keys of a secret that the trail has, and the manifest lacks.
#[derive(Default)]
pub(super) struct TrailFacts {
    /// The earliest record that says that the primary signs, where only the date of a `.env` file says
    /// since when.
    pub(super) signs_since: Option<SystemTime>,
    /// True if the primary may have signed for longer than is known.
    pub(super) is_at_least: bool,
    /// The staged keys that were added again after they had expired.
    pub(super) restaged: Vec<Kid>,
}

impl TrailFacts {
    /// The facts without a trail.
    pub(super) fn for_manifest(item: &SecretSpec, manifest: &Manifest, now: SystemTime) -> Self {
        let is_at_least = is_dated_by_file(item, manifest, &manifest.primary(now));
        Self { is_at_least, ..Self::default() }
    }

    /// Since when the primary signs, by the manifest and the trail.
    pub(super) fn signing_since(&self, manifest: &Manifest, now: SystemTime) -> Option<SystemTime> {
        let since = manifest.key(&manifest.primary(now))?.life.signing_since();
        Some(self.signs_since.map_or(since, |first| since.min(first)))
    }

    /// Reads the facts from `trail`.
    pub(super) async fn read(
        trail: &dyn Trail,
        item: &SecretSpec,
        manifest: &Manifest,
        now: SystemTime,
    ) -> Result<Self, OpsError> {
        let mut facts = Self::for_manifest(item, manifest, now);
        let records = async |action: Action| {
            let query = Query::new().secret(&item.name).environment(manifest.environment());
            let query = query.of_steps().action(action).outcome(Outcome::Success);
            let all: Vec<_> =
                trail.query(&query).await?.into_iter().map(|entry| entry.record).collect();
            Ok::<_, OpsError>(all)
        };
        if let Some(primary) = manifest.key(&manifest.primary(now)).filter(|_| facts.is_at_least) {
            let kid = primary.kid();
            let mut all = records(Action::CREATED).await?;
            all.retain(|record| record.kid == Some(kid));
            // It was made then, and not only found.
            let is_made = |record: &Record| is_same_second(record.at, primary.added_at());
            facts.is_at_least = !all.iter().any(is_made);
            // A kid that is a number may have been that of another value.
            if !kid.as_str().starts_with(&format!("{}-", item.purpose.as_str())) {
                facts.signs_since = all.iter().map(|record| record.at).min();
            }
        }
        let is_staged =
            |key: &&Entry| manifest.state(&key.kid(), now) == Some(KeyState::Live(Role::Staged));
        let staged: Vec<_> = manifest.keys().iter().filter(is_staged).collect();
        if !staged.is_empty() {
            let all = records(Action::RESTAGED).await?;
            let is_again = |key: &&&Entry| {
                // A record has the operator's clock, which may be behind the last change by the skew.
                let longest = manifest.policy().skew + Duration::from_secs(1);
                let is_of_key = |record: &Record| {
                    let (at, added_at) = (record.at, key.added_at());
                    let apart =
                        at.duration_since(added_at).or_else(|_| added_at.duration_since(at));
                    record.kid == Some(key.kid()) && apart.is_ok_and(|apart| apart <= longest)
                };
                all.iter().any(is_of_key)
            };
            facts.restaged = staged.iter().filter(is_again).map(|key| key.kid()).collect();
        }
        Ok(facts)
    }
}

/// Returns whether both are in one second: a record has no part of it.
fn is_same_second(one: SystemTime, other: SystemTime) -> bool {
    let seconds =
        |moment: SystemTime| moment.duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs());
    seconds(one) == seconds(other)
}

/// Returns whether nothing but the date of its `.env` file says since when the key `kid` signs: it was
/// there before the first step.
fn is_dated_by_file(item: &SecretSpec, manifest: &Manifest, kid: &Kid) -> bool {
    let is_first = |key: &Entry| key.signing_start() == SigningStart::From(UNIX_EPOCH);
    matches!(item.store, Place::Dotenv(_)) && manifest.key(kid).is_some_and(is_first)
}
