//! The rows of a table, loaded only while the ring follows its store.

use std::sync::Arc;

use crate::envelope::AesKey;
use crate::rewrap::{Column, ConditionalWrite, RewrapJobError, Row, RowFuture, RowKey, RowStore};
use crate::source::{FollowHandle, StoreError};

/// The rows of a table. They are sealed as soon as they are loaded, so each load checks that the ring
/// has the keys of its store.
#[derive(Debug)]
pub(super) struct FollowedRows {
    pub(super) rows: Arc<dyn RowStore>,
    pub(super) following: Arc<FollowHandle<AesKey>>,
}

impl FollowedRows {
    /// Fails if the store was unreadable for longer than the rollout window: a rewrap by another process
    /// counts from that time on, and does not see what this one seals under the key before.
    ///
    /// Deliberately not the `max_staleness` of the ring: it would report the rows as unreadable.
    async fn check_followed(&self) -> Result<(), RewrapJobError> {
        // A step may have changed the policy.
        let window = self.following.ring().policy().rollout_window;
        if self.following.health().age <= window {
            return Ok(());
        }
        let mut refreshed = self.following.refresh_async().await;
        if matches!(refreshed, Err(StoreError::Unconfirmed { .. })) {
            // The second reading confirms the change.
            refreshed = self.following.refresh_async().await;
        }
        match refreshed {
            // The follower may have read the store while this one waited for its turn.
            Err(source) if self.following.health().age > window => {
                Err(RewrapJobError::KeysOutdated {
                    table: self.name().to_owned(),
                    window,
                    source: Box::new(source),
                })
            }
            _ => Ok(()),
        }
    }
}

impl RowStore for FollowedRows {
    fn name(&self) -> &str {
        self.rows.name()
    }

    fn columns(&self) -> &[Column] {
        self.rows.columns()
    }

    fn load_page<'a>(
        &'a self,
        after: Option<&'a RowKey>,
        rows: usize,
        max_value_bytes: usize,
    ) -> RowFuture<'a, Vec<Row>> {
        Box::pin(async move {
            let page = self.rows.load_page(after, rows, max_value_bytes).await?;
            self.check_followed().await.map(|()| page)
        })
    }

    fn load_rows<'a>(
        &'a self,
        keys: &'a [RowKey],
        max_value_bytes: usize,
    ) -> RowFuture<'a, Vec<Row>> {
        Box::pin(async move {
            let rows = self.rows.load_rows(keys, max_value_bytes).await?;
            self.check_followed().await.map(|()| rows)
        })
    }

    fn write_values<'a>(&'a self, writes: &'a [ConditionalWrite]) -> RowFuture<'a, Vec<bool>> {
        self.rows.write_values(writes)
    }

    fn count<'a>(&'a self, after: Option<&'a RowKey>) -> RowFuture<'a, Option<u64>> {
        self.rows.count(after)
    }

    fn check_writable(&self) -> RowFuture<'_, ()> {
        self.rows.check_writable()
    }
}
