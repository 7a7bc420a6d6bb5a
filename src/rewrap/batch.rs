//! One batch of rows: loaded, planned, written, and tried again where another writer was faster.

use std::collections::HashMap;
use std::time::Duration;

use super::error::RewrapJobError;
use super::job::RewrapJob;
use super::key::RowKey;
use super::plan::{Plan, PlannedWrite, Selection};
use super::report::Tally;
use super::row::Row;

/// The number of times that a value is written, if another writer changes it or is about to.
const ROUNDS: u32 = 6;
/// The pause before the second time is twice this; each further one is twice the one before.
const PAUSE: Duration = Duration::from_millis(5);

impl RewrapJob {
    /// Loads the rows of the batch after this key.
    pub(super) async fn load_batch(
        &self,
        after: Option<&RowKey>,
    ) -> Result<Vec<Row>, RewrapJobError> {
        let rows = self.rows.load_page(after, self.batch, self.sealer.max_stored_bytes()).await?;
        if after.is_some() && rows.last().map(|row| &row.key) == after {
            // Without this check it would never end.
            return Err(RewrapJobError::Key {
                table: self.rows.name().to_owned(),
                problem: "the page after a key ends with that key",
            });
        }
        Ok(rows)
    }

    /// Loads the values at `places`, each a row and the place of a column, as they are now.
    pub(super) async fn load_values(
        &self,
        places: &[(RowKey, usize)],
    ) -> Result<Vec<Selection>, RewrapJobError> {
        let mut wanted: HashMap<&RowKey, Vec<usize>> = HashMap::new();
        for (key, place) in places {
            wanted.entry(key).or_default().push(*place);
        }
        let keys: Vec<RowKey> = wanted.keys().map(|key| (*key).clone()).collect();
        let rows = self.rows.load_rows(&keys, self.sealer.max_stored_bytes()).await?;
        let select = |row: Row| {
            let columns = wanted.get(&row.key).cloned().unwrap_or_default();
            Selection { row, columns }
        };
        Ok(rows.into_iter().map(select).collect())
    }

    /// Brings all values of `rows` under the primary.
    pub(super) async fn rewrap_batch(&self, rows: Vec<Row>) -> Result<Tally, RewrapJobError> {
        let count = rows.len() as u64;
        let columns: Vec<usize> = (0..self.rows.columns().len()).collect();
        let select = |row| Selection { row, columns: columns.clone() };
        let mut tally = self.rewrap_values(rows.into_iter().map(select).collect()).await?;
        tally.counts.rows += count;
        Ok(tally)
    }

    /// Brings the selected values under the primary.
    pub(super) async fn rewrap_values(
        &self,
        rows: Vec<Selection>,
    ) -> Result<Tally, RewrapJobError> {
        let Plan { writes, mut tally } = self.plan(&rows)?;
        drop(rows);
        let conflicts = self.write_batch(writes, &mut tally).await?;
        self.retry_conflicts(conflicts, &mut tally).await?;
        Ok(tally)
    }

    /// Writes the planned values, and returns those in whose place another value is by now.
    async fn write_batch(
        &self,
        writes: Vec<PlannedWrite>,
        tally: &mut Tally,
    ) -> Result<Vec<PlannedWrite>, RewrapJobError> {
        if writes.is_empty() {
            return Ok(Vec::new());
        }
        let (kids, writes): (Vec<_>, Vec<_>) = writes
            .into_iter()
            .map(|planned| ((planned.from, planned.to), planned.conditional))
            .unzip();
        let written = self.rows.write_values(&writes).await?;
        let mut conflicts = Vec::new();
        for (place, (conditional, (from, to))) in writes.into_iter().zip(kids).enumerate() {
            match written.get(place) {
                Some(true) => tally.add_rewritten(to),
                Some(false) | None => conflicts.push(PlannedWrite { conditional, from, to }),
            }
        }
        Ok(conflicts)
    }

    /// Loads, plans and writes values again that another writer changed. After the last round the
    /// rest stays as it is, and is counted.
    async fn retry_conflicts(
        &self,
        mut conflicts: Vec<PlannedWrite>,
        tally: &mut Tally,
    ) -> Result<(), RewrapJobError> {
        for round in 1..ROUNDS {
            if conflicts.is_empty() {
                return Ok(());
            }
            tally.counts.changed_meanwhile += conflicts.len() as u64;
            let places: Vec<_> = conflicts
                .into_iter()
                .map(|PlannedWrite { conditional, .. }| (conditional.key, conditional.column))
                .collect();
            // A writer that holds a row is about to write it.
            tokio::time::sleep(PAUSE * 2_u32.pow(round)).await;
            let plan = self.plan(&self.load_values(&places).await?)?;
            tally.add(plan.tally);
            conflicts = self.write_batch(plan.writes, tally).await?;
        }
        for write in conflicts {
            tally.add_left(write.from);
        }
        Ok(())
    }
}
