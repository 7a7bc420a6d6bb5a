//! What rings tell, as records: for transitions that a process makes itself.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use super::action::Action;
use super::record::Record;
use super::sink::Sink;
use crate::clock::{Clock, SystemClock};
use crate::observer::{Event, Observer};

/// Feeds a [`Sink`] with what rings tell: staged, promoted, rolled back, retired, revoked,
/// forced, opened under a revoked key. A clone feeds the same sink.
///
/// A ring does not wait for it: records are written by a thread of their own, and what could
/// not be written is [counted](Self::lost). A step that must not go through unaudited is taken
/// with [`Operator`](crate::ops::rotate::Operator). A ring that follows a store tells what others did
/// there, as seen by this instance.
///
/// ```
/// use dualkey::{KeyRing, Secret};
/// use dualkey::cookie::CookieKey;
/// use dualkey::ops::audit::{AuditKey, AuditObserver, FileTrail, Query};
///
/// # let folder = tempfile::tempdir().unwrap();
/// # let (audit, old, new) = ("aB3vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eUkH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eU",
/// #     "kH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eUkH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eU",
/// #     "Nf0Vg6Jc3Ds8Pw1Ra4Tb7Yx2Zq9Ml5KiNf0Vg6Jc3Ds8Pw1Ra4Tb7Yx2Zq9Ml5Ki");
/// let key = KeyRing::<AuditKey>::builder().primary(Secret::from(audit)).build()?;
/// let trail = FileTrail::new(folder.path().join("audit.log"), key);
/// let observer = AuditObserver::new(trail.clone(), "instance-1", "production");
/// let ring = KeyRing::<CookieKey>::builder()
///     .name("SESSION_SECRET")
///     .primary(Secret::from(old))
///     .observer(observer.clone())
///     .build()?;
/// ring.stage(Secret::from(new))?;
///
/// assert_eq!(observer.finish(), 0, "nothing was lost");
/// assert_eq!(trail.find(&Query::new().secret("SESSION_SECRET"))?.len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct AuditObserver {
    inner: Arc<Inner>,
}

struct Inner {
    sender: Mutex<Option<Sender<Record>>>,
    writer: Mutex<Option<JoinHandle<()>>>,
    lost: Arc<AtomicU64>,
    actor: String,
    environment: String,
    clock: Arc<dyn Clock>,
}

impl AuditObserver {
    /// Feeds `sink`, in the name of `actor`, the instance.
    #[must_use]
    pub fn new(sink: impl Sink, actor: &str, environment: &str) -> Self {
        Self::with_clock(sink, actor, environment, SystemClock)
    }

    /// The same, with a clock of your own.
    #[must_use]
    pub fn with_clock(sink: impl Sink, actor: &str, environment: &str, clock: impl Clock) -> Self {
        let (sender, receiver) = channel();
        let lost = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&lost);
        #[cfg(feature = "tokio")]
        let runtime = tokio::runtime::Handle::try_current().ok();
        let write = move || {
            // What a database's client needs.
            #[cfg(feature = "tokio")]
            let _entered = runtime.as_ref().map(tokio::runtime::Handle::enter);
            write(sink, &receiver, &count);
        };
        let name = "dualkey audit".to_owned();
        let writer = std::thread::Builder::new().name(name).spawn(write);
        Self {
            inner: Arc::new(Inner {
                // Without a thread, everything is lost, and counted.
                sender: Mutex::new(writer.is_ok().then_some(sender)),
                writer: Mutex::new(writer.ok()),
                lost,
                actor: actor.to_owned(),
                environment: environment.to_owned(),
                clock: Arc::new(clock),
            }),
        }
    }

    /// How many records could not be written so far.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.inner.lost.load(Ordering::Relaxed)
    }

    /// Waits until everything that was told is written, and says how many records could not
    /// be. What is told afterwards is lost, and counted.
    pub fn finish(&self) -> u64 {
        drop(self.inner.sender.lock().unwrap_or_else(PoisonError::into_inner).take());
        let writer = self.inner.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer {
            // If it panicked, what it was about to write is not counted as written.
            let _ = writer.join();
        }
        self.lost()
    }

    fn send(&self, ring: &str, action: Action, kid: crate::kid::Kid, reason: Option<&str>) {
        let Inner { actor, environment, clock, .. } = &*self.inner;
        let mut record = Record::new(clock.now(), ring, action, actor, environment).kid(kid);
        record.reason = reason.map(str::to_owned);
        let sender = self.inner.sender.lock().unwrap_or_else(PoisonError::into_inner);
        if sender.as_ref().is_none_or(|sender| sender.send(record).is_err()) {
            self.inner.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn write(sink: impl Sink, records: &Receiver<Record>, lost: &AtomicU64) {
    // What has piled up meanwhile is written together.
    while let Ok(first) = records.recv() {
        let batch: Vec<_> = std::iter::once(first).chain(records.try_iter().take(255)).collect();
        if pollster::block_on(sink.append(&batch)).is_err() {
            lost.fetch_add(batch.len() as u64, Ordering::Relaxed);
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        drop(self.sender.get_mut().unwrap_or_else(PoisonError::into_inner).take());
        if let Some(writer) = self.writer.get_mut().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = writer.join();
        }
    }
}

impl Observer for AuditObserver {
    fn observe(&self, event: &Event<'_>) {
        match *event {
            Event::Staged { ring, kid, .. } => self.send(ring, Action::STAGED, kid, None),
            Event::Promoted { ring, kid } => self.send(ring, Action::ROTATED, kid, None),
            Event::RolledBack { ring, kid } => self.send(ring, Action::ROLLED_BACK, kid, None),
            Event::Retired { ring, kid, .. } => self.send(ring, Action::RETIRED, kid, None),
            Event::Forced { ring, kid, reason } => {
                self.send(ring, Action::FORCED, kid, Some(reason));
            }
            Event::Revoked { ring, kid, reason } => {
                self.send(ring, Action::REVOKED, kid, Some(reason));
            }
            Event::OpenedRevoked { ring, kid } => {
                self.send(ring, Action::OPENED_REVOKED, kid, None);
            }
            _ => {}
        }
    }
}

impl fmt::Debug for AuditObserver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditObserver").field("actor", &self.inner.actor).finish_non_exhaustive()
    }
}
