//! One pass over a table: pages in the order of their keys, several of them at once.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::Rewrap;
use super::checkpoint::Checkpoint;
use super::error::SweepError;
use super::pace::Pace;
use super::report::{Counts, Swept, Unreadable};
use super::row::{Row, RowKey, RowStore, Swap, Value};
use crate::envelope::{How, RewrapError, Sealer};
use crate::error::Reason;
use crate::kid::Kid;

/// So often is a value looked at again that somebody else has written, or is about to.
const ROUNDS: u32 = 6;
/// Before the second time; then twice as long each time.
const PAUSE: Duration = Duration::from_millis(5);

/// What a batch of rows came to.
#[derive(Default)]
struct Tally {
    counts: Counts,
    by_kid: BTreeMap<Kid, u64>,
    unreadable: Vec<Unreadable>,
}

/// A value that is to be written, and the key that it is under until then.
struct Due {
    swap: Swap,
    from: Kid,
    to: Kid,
}

/// Ends its task when it is dropped.
struct Batch(JoinHandle<Result<Tally, SweepError>>);

impl Drop for Batch {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Runs `plan` to its end.
pub(super) async fn run(plan: Rewrap) -> Result<Swept, SweepError> {
    if Handle::try_current().is_err() {
        return Err(SweepError::NoRuntime);
    }
    let plan = Arc::new(plan);
    let begun = plan.begun()?;
    let mut at = match &plan.checkpoint {
        Some(checkpoint) => {
            checkpoint.check(&begun)?;
            checkpoint.clone()
        }
        None => begun,
    };
    if plan.executes {
        plan.rows.check_writable().await?;
        plan.check_lengths(at.after.clone()).await?;
    }
    let mut swept = Swept::new(at.started_at, plan.executes);
    swept.counts = at.counts;
    swept.by_kid = std::mem::take(&mut at.by_kid);
    plan.look_again(&mut swept, std::mem::take(&mut at.unreadable)).await?;

    let total = plan.rows.count(at.after.as_ref()).await?;
    let mut pace = Pace::new(plan.rows_per_second, total);
    let mut next = at.after.clone();
    let mut running: VecDeque<(RowKey, Batch)> = VecDeque::new();
    let mut has_ended = false;
    loop {
        while running.len() < plan.concurrency && !has_ended {
            pace.wait().await;
            let page = plan.page(next.as_ref()).await?;
            let Some(last) = page.last().map(|row| row.key.clone()) else {
                has_ended = true;
                break;
            };
            pace.add(page.len() as u64);
            next = Some(last.clone());
            let batch = tokio::spawn(Arc::clone(&plan).done(page));
            running.push_back((last, Batch(batch)));
        }
        // In their order, so that what is told was committed, and everything before it.
        let Some((last, mut batch)) = running.pop_front() else { break };
        let tally = match (&mut batch.0).await {
            Ok(tally) => tally?,
            // Of the context's maker, or of a store: whoever wrote it is to see it.
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => return Err(SweepError::NoRuntime),
        };
        swept.add(tally.counts, tally.by_kid, plan.told(tally.unreadable));
        at.after = Some(last);
        if let Some(told) = &plan.on_progress {
            told(&pace.progress(checkpoint(&at, &swept)));
        }
    }
    swept.finished_at = plan.sealer.ring().now();
    let counts_from = plan.sealer.ring().load().rewrap_counts_from(swept.finished_at);
    swept.counts_from = counts_from.filter(|from| swept.started_at < *from);
    if !plan.may_hold_nothing {
        swept.check_sealed();
    }
    Ok(swept)
}

impl Rewrap {
    /// Where it begins.
    fn begun(&self) -> Result<Checkpoint, SweepError> {
        Ok(Checkpoint {
            table: self.rows.name().to_owned(),
            columns: self.rows.columns().iter().map(|own| own.name.clone()).collect(),
            primary: self.sealer.ring().primary().ok_or(crate::error::Error::NothingSigns)?,
            renews_all: self.how.renews_all,
            executes: self.executes,
            started_at: self.sealer.ring().now(),
            after: None,
            counts: Counts::default(),
            by_kid: BTreeMap::new(),
            unreadable: Vec::new(),
        })
    }

    async fn page(&self, after: Option<&RowKey>) -> Result<Vec<Row>, SweepError> {
        let page = self.rows.page(after, self.batch, self.sealer.max_stored_bytes()).await?;
        // Else it would go on for ever.
        match page.last().map(|row| &row.key) == after && after.is_some() {
            true => Err(SweepError::Key {
                table: self.rows.name().to_owned(),
                problem: "the page after a key ends with that key",
            }),
            false => Ok(page),
        }
    }

    /// Finds before the first write what a column is too short for.
    async fn check_lengths(&self, after: Option<RowKey>) -> Result<(), SweepError> {
        if self.rows.columns().iter().all(|column| column.max_bytes.is_none()) {
            return Ok(());
        }
        let mut next = after;
        loop {
            let page = self.page(next.as_ref()).await?;
            let Some(last) = page.last() else { return Ok(()) };
            next = Some(last.key.clone());
            for row in &page {
                let columns = self.rows.columns().iter().zip(&row.values);
                for (place, (column, value)) in columns.enumerate() {
                    if column.max_bytes.is_some() {
                        // Whatever else is wrong with it is found when its turn comes.
                        self.judged(row, place, value, true, &mut Tally::default())?;
                    }
                }
            }
        }
    }

    /// What a checkpoint says could not be read: it may have been mended since.
    async fn look_again(
        self: &Arc<Self>,
        swept: &mut Swept,
        unreadable: Vec<(RowKey, String)>,
    ) -> Result<(), SweepError> {
        let columns = self.rows.columns();
        let place = |name: &str| columns.iter().position(|own| own.name == name);
        let places: Vec<(RowKey, usize)> =
            unreadable.into_iter().filter_map(|(key, name)| Some((key, place(&name)?))).collect();
        for some in places.chunks(self.batch) {
            swept.counts.unreadable = swept.counts.unreadable.saturating_sub(some.len() as u64);
            let rows = self.only(some).await?;
            let tally = self.written(rows).await?;
            swept.add(tally.counts, tally.by_kid, self.told(tally.unreadable));
        }
        Ok(())
    }

    /// The values at `places` as they are now.
    async fn only(&self, places: &[(RowKey, usize)]) -> Result<Vec<(Row, Vec<usize>)>, SweepError> {
        let mut wanted: HashMap<&RowKey, Vec<usize>> = HashMap::new();
        for (key, place) in places {
            wanted.entry(key).or_default().push(*place);
        }
        let keys: Vec<RowKey> = wanted.keys().map(|key| (*key).clone()).collect();
        let rows = self.rows.again(&keys, self.sealer.max_stored_bytes()).await?;
        let with_places = |row: Row| {
            let places = wanted.get(&row.key).cloned().unwrap_or_default();
            (row, places)
        };
        Ok(rows.into_iter().map(with_places).collect())
    }

    async fn done(self: Arc<Self>, page: Vec<Row>) -> Result<Tally, SweepError> {
        let seen = page.len() as u64;
        let all: Vec<usize> = (0..self.rows.columns().len()).collect();
        let mut tally =
            self.written(page.into_iter().map(|row| (row, all.clone())).collect()).await?;
        tally.counts.rows += seen;
        Ok(tally)
    }

    /// Brings the values at these places of `rows` under the primary.
    async fn written(&self, mut rows: Vec<(Row, Vec<usize>)>) -> Result<Tally, SweepError> {
        let (mut tally, mut round) = (Tally::default(), 1);
        loop {
            let mut due = Vec::new();
            for (row, places) in &rows {
                for &place in places {
                    // A store that has fewer values than columns has nothing there.
                    let value = row.values.get(place).unwrap_or(&Value::Null);
                    due.extend(self.judged(row, place, value, !self.executes, &mut tally)?);
                }
            }
            if due.is_empty() {
                return Ok(tally);
            }
            let (kids, swaps): (Vec<_>, Vec<_>) =
                due.into_iter().map(|due| ((due.from, due.to), due.swap)).unzip();
            let written = self.rows.swap(&swaps).await?;
            let mut missed = Vec::new();
            for (place, (swap, (from, to))) in swaps.into_iter().zip(kids).enumerate() {
                match written.get(place) {
                    Some(true) => tally.rewritten(to),
                    _ if round == ROUNDS => {
                        tally.counts.left += 1;
                        *tally.by_kid.entry(from).or_default() += 1;
                    }
                    _ => missed.push((swap.key, swap.column)),
                }
            }
            if missed.is_empty() {
                return Ok(tally);
            }
            tally.counts.changed_meanwhile += missed.len() as u64;
            // Whoever holds a row is about to write it.
            tokio::time::sleep(PAUSE * 2_u32.pow(round)).await;
            round += 1;
            rows = self.only(&missed).await?;
        }
    }

    /// What a value is, into `tally`; what is to be written, if it is to be.
    fn judged(
        &self,
        row: &Row,
        place: usize,
        value: &Value,
        is_dry_run: bool,
        tally: &mut Tally,
    ) -> Result<Option<Due>, SweepError> {
        let column = &self.rows.columns()[place];
        let stored = match value {
            Value::TooLarge => {
                tally.unreadable(self.unreadable(row, place, Reason::TooLarge, None));
                return Ok(None);
            }
            value => value.as_bytes().unwrap_or_default(),
        };
        if stored.is_empty() {
            tally.counts.empty += 1;
            return Ok(None);
        }
        let context = (self.context)(&row.key, &column.name);
        let how = How { is_dry_run, is_text: matches!(value, Value::Text(_)), ..self.how };
        let renewed = match self.sealer.renewed(stored, &context, how) {
            Ok(renewed) => renewed,
            Err(RewrapError::Open(error)) => {
                let kid = Sealer::kid_of(stored);
                tally.unreadable(self.unreadable(row, place, error.reason(), kid));
                return Ok(None);
            }
            Err(RewrapError::Seal(error)) => return Err(error.into()),
        };
        if let Some((needed, max_bytes)) = renewed.length.zip(column.max_bytes)
            && needed > max_bytes
        {
            let (table, column) = (self.rows.name().to_owned(), column.name.clone());
            let key = row.key.clone();
            return Err(SweepError::TooShort { table, column, key, max_bytes, needed });
        }
        let Some(new) = renewed.value else {
            let count = match renewed.length {
                Some(_) => &mut tally.counts.rewritten,
                None => &mut tally.counts.current,
            };
            *count += 1;
            *tally.by_kid.entry(renewed.from).or_default() += 1;
            return Ok(None);
        };
        let new = match (value, String::from_utf8(new)) {
            (Value::Text(_), Ok(text)) => Value::Text(text),
            (_, Ok(text)) => Value::Bytes(text.into_bytes()),
            (_, Err(bytes)) => Value::Bytes(bytes.into_bytes()),
        };
        let swap = Swap { key: row.key.clone(), column: place, old: value.clone(), new };
        Ok(Some(Due { swap, from: renewed.from, to: renewed.to }))
    }

    fn unreadable(&self, row: &Row, place: usize, reason: Reason, kid: Option<Kid>) -> Unreadable {
        Unreadable {
            table: self.rows.name().to_owned(),
            key: row.key.clone(),
            column: self.rows.columns()[place].name.clone(),
            reason,
            kid,
        }
    }

    /// The same, each told.
    fn told(&self, unreadable: Vec<Unreadable>) -> Vec<Unreadable> {
        if let Some(told) = &self.on_unreadable {
            unreadable.iter().for_each(|own| told(own));
        }
        unreadable
    }
}

impl Tally {
    fn rewritten(&mut self, to: Kid) {
        self.counts.rewritten += 1;
        *self.by_kid.entry(to).or_default() += 1;
    }

    fn unreadable(&mut self, own: Unreadable) {
        self.counts.unreadable += 1;
        self.unreadable.push(own);
    }
}

fn checkpoint(at: &Checkpoint, swept: &Swept) -> Checkpoint {
    Checkpoint {
        counts: swept.counts,
        by_kid: swept.by_kid.clone(),
        unreadable: swept
            .unreadable
            .iter()
            .map(|own| (own.key.clone(), own.column.clone()))
            .collect(),
        ..at.clone()
    }
}
