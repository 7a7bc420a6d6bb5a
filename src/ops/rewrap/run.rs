//! The run of a rewrap: its records in the trail, and each table.

use std::sync::Arc;

use super::checkpoints::{Checkpoints, remove};
use super::followed::FollowedRows;
use super::job::ProjectRewrap;
use super::report::leave_report;
use super::table::{open_table, rewrap_of_table};
use crate::envelope::AesKey;
use crate::ops::audit::{Action, Outcome, Record};
use crate::ops::error::OpsError;
use crate::ops::inventory::Data;
use crate::rewrap::{RewrapReport, RowStore};
use crate::ring::KeyRing;
use crate::source::{FollowHandle, KeyStore};

impl ProjectRewrap<'_> {
    /// Goes through all tables; says of each, by its name, what was found and done.
    ///
    /// # Errors
    /// [`OpsError::NoData`], [`OpsError::Rewrap`], and what keeps the inventory, the store or the
    /// trail from being read or written.
    pub async fn run(self) -> Result<Vec<(String, RewrapReport)>, OpsError> {
        let item = self.project.inventory().secret(&self.name)?;
        if item.data.is_empty() {
            return Err(OpsError::NoData { name: item.name.clone() });
        }
        if self.rescues && self.reason.is_none() {
            return Err(OpsError::NoReason { what: "to open under a revoked key" });
        }
        let store = self.project.store(&self.name)?;
        let following = Arc::new(self.follow(Arc::clone(&store)).await?);
        let ring = following.ring().clone();
        let mut tables: Vec<(_, Arc<dyn RowStore>)> = Vec::new();
        for data in &item.data {
            let rows = open_table(self.project, data, self.concurrency).await?;
            let following = Arc::clone(&following);
            tables.push((data, Arc::new(FollowedRows { rows, following })));
        }
        if self.rescues {
            // Before it does, and if it writes nothing too (V8).
            let record = self.record(Action::OPENED_REVOKED, &ring, self.reason.clone());
            self.project.trail().await?.append(&[record]).await?;
        }
        if !self.executes {
            return self.rewrap_tables(&ring, tables).await;
        }
        let trail = self.project.trail().await?;
        let record = self.record(Action::REWRAPPED, &ring, self.reason.clone());
        trail.append(&[record.outcome(Outcome::Started)]).await?;
        let rewrapped = self.rewrap_tables(&ring, tables).await;
        let (outcome, found) = match &rewrapped {
            Ok(all) => (Outcome::Success, self.summarize(all)),
            Err(error) => (Outcome::Failed, error.to_string()),
        };
        let found: String = found.chars().take(200).collect();
        let record = self.record(Action::REWRAPPED, &ring, Some(found));
        trail.append(&[record.outcome(outcome)]).await?;
        let mut rewrapped = match rewrapped {
            Ok(rewrapped) => rewrapped,
            Err(error) => {
                // The messages that it sealed count. The first error is the one to return.
                let _ = leave_report(self.project, &*store, &ring, &mut []).await;
                return Err(error);
            }
        };
        leave_report(self.project, &*store, &ring, &mut rewrapped).await?;
        if let Some(path) = &self.checkpoint {
            remove(path)?;
        }
        Ok(rewrapped)
    }

    /// Loads the ring, and has it follow `store`. It has no name of an instance, so it leaves no reports
    /// while it runs.
    async fn follow(&self, store: Arc<dyn KeyStore>) -> Result<FollowHandle<AesKey>, OpsError> {
        let manifest = store.load().await?;
        let builder = KeyRing::<AesKey>::builder()
            .name(&self.name)
            .environment(manifest.environment())
            .clock(self.project.shared_clock());
        Ok(builder.follow(store).spawn().await?)
    }

    async fn rewrap_tables(
        &self,
        ring: &KeyRing<AesKey>,
        tables: Vec<(&Data, Arc<dyn RowStore>)>,
    ) -> Result<Vec<(String, RewrapReport)>, OpsError> {
        let file = Checkpoints::read(self.checkpoint.as_deref())?;
        let mut all = Vec::new();
        for (data, rows) in tables {
            let rewrap = rewrap_of_table(self, ring, data, rows, &file);
            all.push((data.table.clone(), rewrap.run().await?));
        }
        Ok(all)
    }

    /// The rewrap in the words of the trail.
    fn summarize(&self, all: &[(String, RewrapReport)]) -> String {
        let scope = if self.renews_all { "all rows renewed; " } else { "" };
        scope.to_owned() + &all.iter().map(summarize_table).collect::<Vec<_>>().join("; ")
    }

    fn record(&self, action: Action, ring: &KeyRing<AesKey>, reason: Option<String>) -> Record {
        let mut record = self.project.record(&self.name, action, &self.actor);
        if let Some(kid) = ring.primary() {
            record = record.kid(kid);
        }
        record.reason = reason;
        record
    }
}

fn summarize_table((table, rewrapped): &(String, RewrapReport)) -> String {
    let counts = &rewrapped.counts;
    let nothing = if counts.nothing_sealed > 0 { ", nothing sealed" } else { "" };
    format!(
        "{table}: {} rows, {} rewritten, {} unreadable, {} left{nothing}",
        counts.rows, counts.rewritten, counts.unreadable, counts.left
    )
}
