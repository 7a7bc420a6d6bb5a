//! The run of a rewrap: batches in the order of their keys, several of them at once.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::checkpoint::Checkpoint;
use super::error::RewrapJobError;
use super::job::{Mode, RewrapJob};
use super::key::RowKey;
use super::progress::ProgressMeter;
use super::report::{Counts, RewrapReport, Tally};
use super::row::Row;
use crate::error::Error;

impl RewrapJob {
    /// Goes through the table, to its end.
    ///
    /// # Errors
    /// A [`RewrapJobError`]. Batches that were committed before it stay: run it again.
    pub async fn run(self) -> Result<RewrapReport, RewrapJobError> {
        if Handle::try_current().is_err() {
            return Err(RewrapJobError::NoRuntime);
        }
        let mut run = Run::start(self).await?;
        run.retry_unreadable().await?;
        run.rewrap_rows().await?;
        Ok(run.finish())
    }

    /// The checkpoint of a run that starts now.
    fn first_checkpoint(&self) -> Result<Checkpoint, RewrapJobError> {
        Ok(Checkpoint {
            table: self.rows.name().to_owned(),
            columns: self.rows.columns().iter().map(|column| column.name.clone()).collect(),
            primary: self.sealer.ring().primary().ok_or(Error::NothingSigns)?,
            renews_all: self.options.renews_all,
            executes: self.mode == Mode::Execute,
            started_at: self.sealer.ring().now(),
            after: None,
            counts: Counts::default(),
            by_kid: BTreeMap::new(),
            unreadable: Vec::new(),
        })
    }

    /// Fails before the first write if a column is too short for what would be written.
    async fn check_all_lengths(&self, after: Option<RowKey>) -> Result<(), RewrapJobError> {
        if self.rows.columns().iter().all(|column| column.max_bytes.is_none()) {
            return Ok(());
        }
        let mut after = after;
        loop {
            let rows = self.load_batch(after.as_ref()).await?;
            let Some(last) = rows.last() else { return Ok(()) };
            rows.iter().try_for_each(|row| self.check_lengths(row))?;
            after = Some(last.key.clone());
        }
    }
}

/// A run that has started.
struct Run {
    job: Arc<RewrapJob>,
    /// The last row that was rewrapped, with all before it.
    at: Checkpoint,
    report: RewrapReport,
}

/// A batch that is being rewrapped. Ends its task when it is dropped.
struct Batch(JoinHandle<Result<Tally, RewrapJobError>>);

impl Run {
    async fn start(job: RewrapJob) -> Result<Self, RewrapJobError> {
        let first = job.first_checkpoint()?;
        let mut at = match &job.checkpoint {
            Some(checkpoint) => {
                checkpoint.check(&first)?;
                checkpoint.clone()
            }
            None => first,
        };
        if job.mode == Mode::Execute {
            job.rows.check_writable().await?;
            job.check_all_lengths(at.after.clone()).await?;
        }
        let mut report = RewrapReport::new(at.started_at, job.mode == Mode::Execute);
        report.counts = at.counts;
        report.by_kid = std::mem::take(&mut at.by_kid);
        Ok(Self { job: Arc::new(job), at, report })
    }

    /// Rewraps the values that were unreadable before the checkpoint: they may be readable by now.
    async fn retry_unreadable(&mut self) -> Result<(), RewrapJobError> {
        let job = Arc::clone(&self.job);
        let columns = job.rows.columns();
        let place = |name: &str| columns.iter().position(|column| column.name == name);
        let unreadable = std::mem::take(&mut self.at.unreadable).into_iter();
        let places: Vec<(RowKey, usize)> =
            unreadable.filter_map(|(key, name)| Some((key, place(&name)?))).collect();
        for places in places.chunks(job.batch) {
            let unreadable = &mut self.report.counts.unreadable;
            *unreadable = unreadable.saturating_sub(places.len() as u64);
            let rows = job.load_values(places).await?;
            self.add(job.rewrap_values(rows).await?);
        }
        Ok(())
    }

    /// Rewraps the rows after the checkpoint.
    async fn rewrap_rows(&mut self) -> Result<(), RewrapJobError> {
        let job = Arc::clone(&self.job);
        let total = job.rows.count(self.at.after.as_ref()).await?;
        let mut meter = ProgressMeter::new(job.rows_per_second, total);
        let mut next = self.at.after.clone();
        let mut running: VecDeque<(RowKey, Batch)> = VecDeque::new();
        let mut has_ended = false;
        loop {
            while running.len() < job.concurrency && !has_ended {
                meter.wait().await;
                let rows = job.load_batch(next.as_ref()).await?;
                let Some(last) = rows.last().map(|row| row.key.clone()) else {
                    has_ended = true;
                    break;
                };
                meter.add(rows.len() as u64);
                next = Some(last.clone());
                running.push_back((last, Batch::spawn(Arc::clone(&job), rows)));
            }
            // In their order, so that a checkpoint is only reported once everything before it was
            // committed.
            let Some((last, batch)) = running.pop_front() else { return Ok(()) };
            self.add(batch.join().await?);
            self.at.after = Some(last);
            if let Some(on_progress) = &job.on_progress {
                on_progress(&meter.progress(self.checkpoint()));
            }
        }
    }

    /// Adds the result of a batch to the report.
    fn add(&mut self, tally: Tally) {
        if let Some(on_unreadable) = &self.job.on_unreadable {
            tally.unreadable.iter().for_each(|value| on_unreadable(value));
        }
        self.report.add(tally);
    }

    fn checkpoint(&self) -> Checkpoint {
        let unreadable = self.report.unreadable.iter();
        Checkpoint {
            counts: self.report.counts,
            by_kid: self.report.by_kid.clone(),
            unreadable: unreadable.map(|value| (value.key.clone(), value.column.clone())).collect(),
            ..self.at.clone()
        }
    }

    fn finish(self) -> RewrapReport {
        let (ring, mut report) = (self.job.sealer.ring(), self.report);
        report.finished_at = ring.now();
        let counts_from = ring.load().rewrap_counts_from(report.finished_at);
        report.counts_from = counts_from.filter(|from| report.started_at < *from);
        if !self.job.may_hold_nothing {
            report.check_sealed();
        }
        report
    }
}

impl Batch {
    fn spawn(job: Arc<RewrapJob>, rows: Vec<Row>) -> Self {
        Self(tokio::spawn(async move { job.rewrap_batch(rows).await }))
    }

    async fn join(mut self) -> Result<Tally, RewrapJobError> {
        match (&mut self.0).await {
            Ok(result) => result,
            // A panic of the caller's `context`, or of a store: its author is to see it.
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => Err(RewrapJobError::NoRuntime),
        }
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        self.0.abort();
    }
}
