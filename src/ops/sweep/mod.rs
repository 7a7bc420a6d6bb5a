//! A sweep over everything that a secret of the inventory has sealed.

mod checkpoints;
mod open;

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::audit::{Action, Outcome, Record};
use super::error::OpsError;
use super::inventory::{Data, Project};
use crate::envelope::{AesKey, Sealer};
use crate::error::Obstacle;
use crate::evidence::Report;
use crate::evidence::Verdict;
use crate::manifest::Entry;
use crate::rewrap::{BATCH, CONCURRENCY, Progress, Rewrap, RowKey, RowStore, Swept, Unreadable};
use crate::ring::KeyRing;
use crate::source::{KeyStore, StoreError};
use checkpoints::{Checkpoints, remove};

/// What the report of a sweep is kept under, among those of the instances.
pub const INSTANCE: &str = "dualkey-rewrap";

/// Goes through every table that the inventory names for a secret, and leaves the report beside
/// its manifest, where the verdict on the old key looks for it.
///
/// ```no_run
/// # async fn sweep() -> Result<(), dualkey::ops::OpsError> {
/// use dualkey::ops::inventory::{Inventory, Project};
/// use dualkey::ops::sweep::Sweeper;
///
/// let project = Project::new(Inventory::read("dualkey.toml")?);
/// let tables = Sweeper::new(&project, "ENCRYPTION_KEY", "ada@example.com").execute().run().await?;
/// for (table, swept) in &tables {
///     println!("{table}: {} rewritten", swept.counts.rewritten);
/// }
/// # Ok(())
/// # }
/// ```
#[must_use = "it does nothing until it runs"]
pub struct Sweeper<'p> {
    project: &'p Project,
    name: String,
    actor: String,
    reason: Option<String>,
    executes: bool,
    renews_all: bool,
    rescues: bool,
    batch: usize,
    concurrency: usize,
    rows_per_second: Option<NonZeroU32>,
    checkpoint: Option<PathBuf>,
    on_progress: Arc<OnProgress>,
    on_unreadable: Arc<OnUnreadable>,
}

type OnProgress = dyn Fn(&str, &Progress) + Send + Sync;
type OnUnreadable = dyn Fn(&Unreadable) + Send + Sync;

impl<'p> Sweeper<'p> {
    /// Of what the secret `name` has sealed, in the name of `actor`.
    pub fn new(project: &'p Project, name: &str, actor: &str) -> Self {
        Self {
            project,
            name: name.to_owned(),
            actor: actor.to_owned(),
            reason: None,
            executes: false,
            renews_all: false,
            rescues: false,
            batch: BATCH,
            concurrency: CONCURRENCY,
            rows_per_second: None,
            checkpoint: None,
            on_progress: Arc::new(|_, _| {}),
            on_unreadable: Arc::new(|_| {}),
        }
    }

    /// Why, for the trail.
    pub fn reason(mut self, reason: &str) -> Self {
        self.reason = Some(reason.to_owned());
        self
    }

    /// Writes, and leaves a report. Without it nothing is changed, but for the record of
    /// [`open_revoked`](Self::open_revoked).
    pub fn execute(mut self) -> Self {
        self.executes = true;
        self
    }

    /// Seals every row again: see [`Rewrap::renew_all`].
    pub fn renew_all(mut self) -> Self {
        self.renews_all = true;
        self
    }

    /// After a compromise: as [`Dangerous::open_revoked`](crate::rewrap::Dangerous::open_revoked).
    /// Needs a [`reason`](Self::reason), which is told to the trail before anything is opened.
    pub fn open_revoked(mut self) -> Self {
        self.rescues = true;
        self
    }

    /// As [`Rewrap::batch`].
    pub fn batch(mut self, rows: usize) -> Self {
        self.batch = rows;
        self
    }

    /// As [`Rewrap::concurrency`].
    pub fn concurrency(mut self, batches: usize) -> Self {
        self.concurrency = batches.max(1);
        self
    }

    /// As [`Rewrap::rows_per_second`].
    pub fn rows_per_second(mut self, rows: NonZeroU32) -> Self {
        self.rows_per_second = Some(rows);
        self
    }

    /// Keeps how far it has come in the file at `path`, begins with what it holds, and removes it
    /// at the end.
    pub fn checkpoint(mut self, path: impl Into<PathBuf>) -> Self {
        self.checkpoint = Some(path.into());
        self
    }

    /// Has `tell` called with the table and how far it is, after each batch.
    pub fn on_progress(mut self, tell: impl Fn(&str, &Progress) + Send + Sync + 'static) -> Self {
        self.on_progress = Arc::new(tell);
        self
    }

    /// Has `tell` called of each value that cannot be read.
    pub fn on_unreadable(mut self, tell: impl Fn(&Unreadable) + Send + Sync + 'static) -> Self {
        self.on_unreadable = Arc::new(tell);
        self
    }

    /// Goes through all tables; says of each, by its name, what was found and done.
    ///
    /// # Errors
    /// [`OpsError::NoData`], [`OpsError::Sweep`], and what keeps the inventory, the store or the
    /// trail from being read or written.
    pub async fn run(self) -> Result<Vec<(String, Swept)>, OpsError> {
        let item = self.project.inventory().secret(&self.name)?;
        if item.data.is_empty() {
            return Err(OpsError::NoData { name: item.name.clone() });
        }
        if self.rescues && self.reason.is_none() {
            return Err(OpsError::NoReason { what: "to open under a revoked key" });
        }
        let store = self.project.store(&self.name)?;
        let ring = self.ring(&*store).await?;
        let mut tables = Vec::new();
        for data in &item.data {
            tables.push((data, self.open(data).await?));
        }
        if self.rescues {
            // Before it does, and if it writes nothing too (V8).
            let record = self.record(Action::OPENED_REVOKED, &ring, self.reason.clone());
            self.project.trail().await?.append(&[record]).await?;
        }
        if !self.executes {
            return self.tables(&ring, tables).await;
        }
        let trail = self.project.trail().await?;
        let record = self.record(Action::REWRAPPED, &ring, self.reason.clone());
        trail.append(&[record.outcome(Outcome::Begun)]).await?;
        let swept = self.tables(&ring, tables).await;
        let (outcome, found) = match &swept {
            Ok(all) => (Outcome::Success, self.summary(all)),
            Err(error) => (Outcome::Failed, error.to_string()),
        };
        let found: String = found.chars().take(200).collect();
        let record = self.record(Action::REWRAPPED, &ring, Some(found));
        trail.append(&[record.outcome(outcome)]).await?;
        let mut swept = match swept {
            Ok(swept) => swept,
            Err(error) => {
                // What it sealed counts. The first error is the one to tell.
                let _ = self.leave(&*store, &ring, &mut []).await;
                return Err(error);
            }
        };
        self.leave(&*store, &ring, &mut swept).await?;
        if let Some(path) = &self.checkpoint {
            remove(path)?;
        }
        Ok(swept)
    }

    /// The keys, as they are stored now.
    async fn ring(&self, store: &dyn KeyStore) -> Result<KeyRing<AesKey>, OpsError> {
        let manifest = store.load().await?;
        let ring = manifest.build_ring(
            KeyRing::<AesKey>::builder()
                .name(&self.name)
                .environment(manifest.environment())
                .clock(self.project.shared_clock()),
        )?;
        Ok(ring)
    }

    async fn tables(
        &self,
        ring: &KeyRing<AesKey>,
        tables: Vec<(&Data, Arc<dyn RowStore>)>,
    ) -> Result<Vec<(String, Swept)>, OpsError> {
        let file = Checkpoints::read(self.checkpoint.as_deref())?;
        let mut all = Vec::new();
        for (data, rows) in tables {
            let rewrap = self.rewrap(ring, data, rows, &file);
            all.push((data.table.clone(), rewrap.run().await?));
        }
        Ok(all)
    }

    fn rewrap(
        &self,
        ring: &KeyRing<AesKey>,
        data: &Data,
        rows: Arc<dyn RowStore>,
        file: &Arc<Checkpoints>,
    ) -> Rewrap {
        let mut sealer = Sealer::new(ring.clone());
        for layout in &data.layouts {
            // For as long as the inventory says that there are such values.
            let now = ring.now();
            let until = now.checked_add(Duration::from_secs(365 * 24 * 60 * 60)).unwrap_or(now);
            sealer = sealer.accept_legacy(*layout, until);
        }
        let (template, table) = (data.context.clone(), data.table.clone());
        let context = move |key: &RowKey, column: &str| filled(&template, &table, key, column);
        let mut rewrap =
            Rewrap::new(&sealer, rows, context).batch(self.batch).concurrency(self.concurrency);
        if self.executes {
            rewrap = rewrap.execute();
        }
        if data.may_hold_nothing {
            rewrap = rewrap.may_hold_nothing();
        }
        if self.renews_all {
            rewrap = rewrap.renew_all();
        }
        if self.rescues {
            rewrap = rewrap.dangerous().open_revoked();
        }
        if let Some(rate) = self.rows_per_second {
            rewrap = rewrap.rows_per_second(rate);
        }
        // Two databases may have tables of one name.
        let place = format!("{} {}", data.database, data.table);
        if let Some(checkpoint) = file.of(&place) {
            rewrap = rewrap.resume(checkpoint);
        }
        let (told, table, file) =
            (Arc::clone(&self.on_progress), data.table.clone(), Arc::clone(file));
        let unreadable = Arc::clone(&self.on_unreadable);
        let executes = self.executes;
        rewrap
            .on_progress(move |progress| {
                // Without it, nothing is changed.
                if executes {
                    file.keep(&place, &progress.checkpoint);
                }
                told(&table, progress);
            })
            .on_unreadable(move |own| unreadable(own))
    }

    /// The rewrap in the words of the trail.
    fn summary(&self, all: &[(String, Swept)]) -> String {
        let scope = if self.renews_all { "all rows renewed; " } else { "" };
        scope.to_owned() + &all.iter().map(summary).collect::<Vec<_>>().join("; ")
    }

    fn record(&self, action: Action, ring: &KeyRing<AesKey>, reason: Option<String>) -> Record {
        let mut record = self.project.record(&self.name, action, &self.actor);
        if let Some(kid) = ring.primary() {
            record = record.kid(kid);
        }
        record.reason = reason;
        record
    }

    /// The start of the first rewrap that counts, if a key was used after the rewrap before, and this one
    /// started before that use.
    async fn missed(
        &self,
        store: &dyn KeyStore,
        before: &[Report],
        own: &Swept,
    ) -> Result<Option<SystemTime>, OpsError> {
        let (manifest, now) = (store.load().await?, self.project.now());
        let obstacles = |key: &Entry| match manifest.retirement(&key.kid(), before, now) {
            Ok(Verdict::Blocked(obstacles)) => obstacles,
            _ => Vec::new(),
        };
        let moments = manifest.keys().iter().flat_map(obstacles).filter_map(|own| match own {
            Obstacle::UsedAfterRewrap { not_before, .. } => Some(not_before),
            _ => None,
        });
        Ok(moments.max().filter(|not_before| own.started_at < *not_before && own.is_complete()))
    }

    /// Leaves the report where the verdict looks for it: of a rewrap that failed, how much it sealed.
    async fn leave(
        &self,
        store: &dyn KeyStore,
        ring: &KeyRing<AesKey>,
        swept: &mut [(String, Swept)],
    ) -> Result<(), OpsError> {
        let all = swept.iter().map(|(_, own)| own.clone()).reduce(Swept::merge);
        let before = match store.reports().await {
            Ok(reports) => reports,
            // Such a store keeps none, and retires by force.
            Err(StoreError::NoReports { .. }) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        if let Some(own) = before.iter().find(|own| own.instance == INSTANCE) {
            // The counts of sealed messages go on from the last rewrap.
            ring.absorb(own);
        }
        if let Some(all) = all {
            match self.missed(store, &before, &all).await? {
                // It may miss the same row: the rewrap before stays the evidence, and another one must
                // follow.
                Some(not_before) => {
                    for (_, own) in swept {
                        own.counts_from = own.counts_from.max(Some(not_before));
                    }
                }
                None => ring.record_sweep(&all.sweep()),
            }
        }
        let mut report = ring.report(INSTANCE);
        report.has_stopped = true;
        report.observed_since = report.reported_at;
        // It has gone through what there is, and says nothing of who uses it.
        (report.buckets, report.last_as_fallback) = (Vec::new(), Vec::new());
        Ok(store.save_report(&report).await?)
    }
}

/// The context of a value, by the template of the inventory.
fn filled(template: &str, table: &str, key: &RowKey, column: &str) -> String {
    let mut text = String::with_capacity(template.len() + 32);
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let (mark, after) = after.split_once('}').unwrap_or((after, ""));
        text.push_str(before);
        match mark {
            "table" => text.push_str(table),
            "column" => text.push_str(column),
            "key" => text.push_str(&key.to_string()),
            place => {
                let part = place.parse().ok().and_then(|place: usize| key.parts().get(place));
                text.push_str(&part.map(ToString::to_string).unwrap_or_default());
            }
        }
        rest = after;
    }
    text + rest
}

fn summary((table, swept): &(String, Swept)) -> String {
    let own = &swept.counts;
    let nothing = if own.nothing_sealed > 0 { ", nothing sealed" } else { "" };
    format!(
        "{table}: {} rows, {} rewritten, {} unreadable, {} left{nothing}",
        own.rows, own.rewritten, own.unreadable, own.left
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rewrap::KeyPart;

    #[test]
    fn a_context_is_filled_in() {
        let key = RowKey::new([KeyPart::Text("a{1}".to_owned()), KeyPart::Integer(7)]);
        for (template, expected) in [
            ("", ""),
            ("notes", "notes"),
            ("{table}/{key}/{column}", "notes/a{1}/7/body"),
            ("{0}|{1}|{2}", "a{1}|7|"),
        ] {
            assert_eq!(filled(template, "notes", &key, "body"), expected);
        }
    }
}
