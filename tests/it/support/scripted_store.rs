//! A store of which a test says how each call goes.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex};

use dualkey::Report;
use dualkey::manifest::Manifest;
use dualkey::source::{KeyStore, StoreError, StoreFuture, Wake, Watch};

/// How a call goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Answers.
    None,
    /// Returns a future that never completes.
    Hangs,
    /// Blocks the thread until the script is released.
    Blocks,
    /// Panics before there is a future.
    PanicsAtOnce,
    /// Returns a future that panics.
    Panics,
    /// Has seen a change once.
    Unconfirmed,
}

/// A store of which the test says how each call goes.
#[derive(Debug, Clone)]
pub struct Scripted(pub Arc<Script>);

#[derive(Debug)]
pub struct Script {
    pub manifest: Mutex<Manifest>,
    pub load: Mutex<Fault>,
    pub others: Mutex<Fault>,
    wake: Mutex<Option<Wake>>,
    /// Whether calls block, and how many loads have been made.
    is_blocked: Mutex<bool>,
    released: Condvar,
    pub loads: AtomicUsize,
}

impl Scripted {
    pub fn new(manifest: Manifest) -> Self {
        Self(Arc::new(Script {
            manifest: Mutex::new(manifest),
            load: Mutex::new(Fault::None),
            others: Mutex::new(Fault::None),
            wake: Mutex::new(None),
            is_blocked: Mutex::new(true),
            released: Condvar::new(),
            loads: AtomicUsize::new(0),
        }))
    }

    pub fn script(&self, load: Fault, others: Fault) {
        *self.0.load.lock().unwrap() = load;
        *self.0.others.lock().unwrap() = others;
    }

    pub fn put(&self, manifest: &Manifest) {
        *self.0.manifest.lock().unwrap() = manifest.clone();
    }

    /// Has the follower run a turn now.
    pub fn wake(&self) {
        self.0.wake.lock().unwrap().as_ref().unwrap().wake();
    }

    /// Lets every call that blocks return.
    pub fn release(&self) {
        *self.0.is_blocked.lock().unwrap() = false;
        self.0.released.notify_all();
    }

    fn answer<T: Send + 'static>(
        &self,
        fault: Fault,
        answer: Result<T, StoreError>,
    ) -> StoreFuture<'_, T> {
        match fault {
            Fault::None => Box::pin(async { answer }),
            Fault::Hangs => Box::pin(std::future::pending()),
            Fault::Blocks => {
                let blocked = self.0.is_blocked.lock().unwrap();
                drop(self.0.released.wait_while(blocked, |blocked| *blocked).unwrap());
                Box::pin(async { answer })
            }
            Fault::PanicsAtOnce => panic!("scripted"),
            Fault::Panics => Box::pin(async { panic!("scripted") }),
            Fault::Unconfirmed => {
                let store = "scripted".to_owned();
                Box::pin(async { Err(StoreError::Unconfirmed { store }) })
            }
        }
    }
}

impl KeyStore for Scripted {
    fn load(&self) -> StoreFuture<'_, Manifest> {
        self.0.loads.fetch_add(1, SeqCst);
        let (fault, held) = (*self.0.load.lock().unwrap(), self.0.manifest.lock().unwrap().clone());
        self.answer(fault, Ok(held))
    }

    fn compare_and_swap<'a>(&'a self, _: u64, _: &'a Manifest) -> StoreFuture<'a, ()> {
        unreachable!("a follower writes no manifest")
    }

    fn watch(&self, wake: Wake) -> StoreFuture<'_, Option<Watch>> {
        *self.0.wake.lock().unwrap() = Some(wake);
        let fault = *self.0.others.lock().unwrap();
        self.answer(fault, Ok(None))
    }

    fn reports(&self) -> StoreFuture<'_, Vec<Report>> {
        let fault = *self.0.others.lock().unwrap();
        self.answer(fault, Ok(Vec::new()))
    }

    fn save_report<'a>(&'a self, _: &'a Report) -> StoreFuture<'a, ()> {
        let fault = *self.0.others.lock().unwrap();
        self.answer(fault, Ok(()))
    }

    fn forget_report<'a>(&'a self, _: &'a str) -> StoreFuture<'a, ()> {
        let fault = *self.0.others.lock().unwrap();
        self.answer(fault, Ok(()))
    }
}
