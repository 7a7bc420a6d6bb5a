//! `KeyStore`: load, and compare-and-swap on the revision.

use std::any::Any;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::error::StoreError;
use crate::error::Error;
use crate::evidence::Report;
use crate::manifest::{Change, Manifest};

/// What a store's methods return: a future that can be sent between threads.
pub type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// Where the manifest of one ring lives.
///
/// Two methods make a store: [`load`](Self::load), and
/// [`compare_and_swap`](Self::compare_and_swap) on the revision, so that one of two
/// operators at the same time gets a conflict. Reports and a push of changes are for stores that can.
///
/// What is there and cannot be read is an error, never an empty manifest: a ring that
/// follows the store keeps what it has (V9).
///
/// A ring that [follows](crate::RingBuilder::follow) a store makes its calls on a worker thread,
/// one at a time, and gives each the [timeout](crate::source::FollowBuilder::timeout). A call may block
/// that thread. One that is out of time is dropped at its next `.await`; if it blocks, the next call
/// may start on another thread while it still runs. A panic counts as a failure.
pub trait KeyStore: fmt::Debug + Send + Sync + 'static {
    /// The manifest, whole and checked.
    fn load(&self) -> StoreFuture<'_, Manifest>;

    /// Stores `next` if the revision that is there is `expected`, where 0 means
    /// that there is no manifest; else it is a [`StoreError::Conflict`].
    fn compare_and_swap<'a>(&'a self, expected: u64, next: &'a Manifest) -> StoreFuture<'a, ()>;

    /// Has `wake` called whenever the manifest may have changed, for as long as the result
    /// lives. `None`, if the store cannot report changes: then it is asked from time to time.
    ///
    /// A watch that may stop working and recover has a [`WatchStatus`], which followers show in
    /// [`Health::watch_error`](crate::source::Health::watch_error).
    fn watch(&self, wake: Wake) -> StoreFuture<'_, Option<Watch>> {
        drop(wake);
        Box::pin(async { Ok(None) })
    }

    /// What the instances of the service last said. A report that is there and cannot be read does
    /// not fail the call: it is returned as [`Report::for_unreadable`], and the others with it.
    fn reports(&self) -> StoreFuture<'_, Vec<Report>> {
        Box::pin(async { Err(no_reports(self)) })
    }

    /// Keeps `report` in the place of the last one of its instance.
    fn save_report<'a>(&'a self, report: &'a Report) -> StoreFuture<'a, ()> {
        let _ = report;
        Box::pin(async { Err(no_reports(self)) })
    }

    /// Drops the report of `instance`, if there is one.
    fn forget_report<'a>(&'a self, instance: &'a str) -> StoreFuture<'a, ()> {
        let _ = instance;
        Box::pin(async { Err(no_reports(self)) })
    }

    /// Returns whether a step stored `manifest`, which this store holds. An audit trail has a
    /// record of that step. Variables that a person set hold a manifest without a step.
    fn has_steps(&self, manifest: &Manifest) -> bool {
        manifest.revision() > 0
    }
}

fn no_reports(store: &(impl fmt::Debug + ?Sized)) -> StoreError {
    StoreError::NoReports { store: format!("{store:?}") }
}

impl<S: KeyStore + ?Sized> KeyStore for Arc<S> {
    fn load(&self) -> StoreFuture<'_, Manifest> {
        (**self).load()
    }

    fn compare_and_swap<'a>(&'a self, expected: u64, next: &'a Manifest) -> StoreFuture<'a, ()> {
        (**self).compare_and_swap(expected, next)
    }

    fn watch(&self, wake: Wake) -> StoreFuture<'_, Option<Watch>> {
        (**self).watch(wake)
    }

    fn reports(&self) -> StoreFuture<'_, Vec<Report>> {
        (**self).reports()
    }

    fn save_report<'a>(&'a self, report: &'a Report) -> StoreFuture<'a, ()> {
        (**self).save_report(report)
    }

    fn forget_report<'a>(&'a self, instance: &'a str) -> StoreFuture<'a, ()> {
        (**self).forget_report(instance)
    }

    fn has_steps(&self, manifest: &Manifest) -> bool {
        (**self).has_steps(manifest)
    }
}

/// Says that a store may have changed. Cheap to clone, and to call.
#[derive(Clone)]
pub struct Wake(Arc<dyn Fn() + Send + Sync>);

impl Wake {
    /// Calls `wake`, which must not wait.
    pub fn new(wake: impl Fn() + Send + Sync + 'static) -> Self {
        Self(Arc::new(wake))
    }

    /// The store may have changed.
    pub fn wake(&self) {
        (self.0)();
    }
}

impl fmt::Debug for Wake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wake")
    }
}

/// Keeps a store watched: until it is dropped.
#[must_use = "dropped, it watches nothing"]
pub struct Watch {
    #[expect(dead_code, reason = "held for its drop")]
    guard: Box<dyn Any + Send + Sync>,
    status: Option<WatchStatus>,
}

impl Watch {
    /// Drops `guard` to end the watch.
    pub fn new(guard: impl Any + Send + Sync) -> Self {
        Self { guard: Box::new(guard), status: None }
    }

    /// Has followers show the problem of `status`, for as long as it has one.
    pub fn with_status(self, status: WatchStatus) -> Self {
        Self { status: Some(status), ..self }
    }

    /// The status of this watch, if it has one.
    pub(super) fn status(&self) -> Option<&WatchStatus> {
        self.status.as_ref()
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watch")
    }
}

/// The present problem of a watch, shared between the store and the rings that follow it. Cheap to
/// clone: each clone is the same status.
///
/// ```
/// use dualkey::source::{Watch, WatchStatus};
///
/// let status = WatchStatus::default();
/// let watch = Watch::new(()).with_status(status.clone());
/// // When the connection that hears of changes is lost, in a task of the store:
/// status.set_problem("cannot listen for changes: the connection was lost");
/// assert!(status.problem().is_some());
/// // And when it is there again:
/// status.clear();
/// assert_eq!(status.problem(), None);
/// # drop(watch);
/// ```
#[derive(Clone, Default)]
pub struct WatchStatus(Arc<Mutex<Option<String>>>);

impl WatchStatus {
    /// Sets the reason why the watch does not report changes now: a sentence for the operator,
    /// without a secret.
    pub fn set_problem(&self, problem: impl Into<String>) {
        *self.lock() = Some(problem.into());
    }

    /// Removes the problem: the watch reports changes again.
    pub fn clear(&self) {
        *self.lock() = None;
    }

    /// Returns the present problem.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Option<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for WatchStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WatchStatus").field(&self.problem()).finish()
    }
}

/// The number of times that a step is tried because another writer was faster.
const ATTEMPTS: usize = 10;

/// Calls `attempt` again while its error is a conflict with another writer, at most ten times in all.
pub(crate) async fn retry_conflicts<T, E>(
    is_conflict: impl Fn(&E) -> bool,
    mut attempt: impl AsyncFnMut() -> Result<T, E>,
) -> Result<T, E> {
    for _ in 1..ATTEMPTS {
        match attempt().await {
            Err(error) if is_conflict(&error) => {}
            result => return result,
        }
    }
    attempt().await
}

/// Loads the manifest, takes `step`, and stores what comes of it. If another was faster, it
/// starts over, so that both changes are there; `step` then runs again, on what the other
/// left.
///
/// ```no_run
/// # async fn rotate(store: &dyn dualkey::source::KeyStore) -> Result<(), dualkey::source::StoreError> {
/// use dualkey::source::{KeyStore, update};
/// use std::time::SystemTime;
///
/// let kid = "2026-q2".parse()?;
/// let reports = store.reports().await?;
/// let change = update(store, |manifest| {
///     manifest.promote(&kid, &reports, SystemTime::now())
/// }).await?;
/// println!("{} signs; come back at {:?}", change.kid, change.verifies_until);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// A [`StoreError`]: the refusal of the step, if it refuses; a conflict, after ten of them.
pub async fn update<S: KeyStore + ?Sized>(
    store: &S,
    mut step: impl FnMut(&Manifest) -> Result<Change, Error>,
) -> Result<Change, StoreError> {
    let is_conflict = |error: &StoreError| matches!(error, StoreError::Conflict { .. });
    retry_conflicts(is_conflict, async || {
        let current = store.load().await?;
        let change = step(&current)?;
        if change.has_changed(&current) {
            store.compare_and_swap(current.revision(), &change.manifest).await?;
        }
        Ok(change)
    })
    .await
}
