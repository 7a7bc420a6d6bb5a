//! The store of the fleet, and what it does to each of its readers.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use dualkey::Report;
use dualkey::manifest::Manifest;
use dualkey::source::{KeyStore, StoreError, StoreFuture};

/// How the store looks to one instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weather {
    Fair,
    /// No answer.
    Down,
    /// The text ends in the middle.
    Torn,
    /// What was there so many seconds ago.
    Stale(u64),
}

#[derive(Debug, Default)]
struct Held {
    now: u64,
    /// Since when, and what.
    texts: Vec<(u64, Manifest, Vec<u8>)>,
    reports: BTreeMap<String, Report>,
}

#[derive(Debug, Clone)]
pub struct Shelf {
    held: Arc<Mutex<Held>>,
    weather: Arc<Mutex<Weather>>,
    /// No older revision is shown to this one.
    floor: Arc<AtomicU64>,
}

impl Shelf {
    pub fn new() -> Self {
        Self::from_held(Arc::default())
    }

    /// The same store, as another sees it.
    pub fn share(&self) -> Self {
        Self::from_held(Arc::clone(&self.held))
    }

    fn from_held(held: Arc<Mutex<Held>>) -> Self {
        Self { held, weather: Arc::new(Mutex::new(Weather::Fair)), floor: Arc::default() }
    }

    pub fn set_floor(&self, revision: u64) {
        self.floor.store(revision, Relaxed);
    }

    pub fn set_now(&self, now: u64) {
        self.held.lock().unwrap().now = now;
    }

    pub fn set_weather(&self, weather: Weather) {
        *self.weather.lock().unwrap() = weather;
    }

    pub fn weather(&self) -> Weather {
        *self.weather.lock().unwrap()
    }

    fn error(&self) -> StoreError {
        StoreError::Client { store: "the shelf".to_owned(), source: "no answer".into() }
    }

    fn read(&self) -> Result<Manifest, StoreError> {
        let held = self.held.lock().unwrap();
        let missing = || StoreError::Missing { store: "the shelf".to_owned() };
        let wrong = |source| StoreError::Manifest {
            store: "the shelf".to_owned(),
            source: Box::new(source),
        };
        let (_, last, text) = held.texts.last().ok_or_else(missing)?;
        match self.weather() {
            // As it was read and checked when it was stored.
            Weather::Fair => Ok(last.clone()),
            Weather::Down => Err(self.error()),
            Weather::Torn => Manifest::from_json(&text[..text.len() * 2 / 3]).map_err(wrong),
            Weather::Stale(age) => {
                let then = held.now.saturating_sub(age);
                let floor = self.floor.load(Relaxed);
                let is_shown = |stored: &&(u64, Manifest, Vec<u8>)| {
                    stored.0 <= then || stored.1.revision() <= floor
                };
                let old = held.texts.iter().rev().find(is_shown);
                old.map(|(_, manifest, _)| manifest.clone()).ok_or_else(missing)
            }
        }
    }

    fn swap(&self, expected: u64, next: &Manifest) -> Result<(), StoreError> {
        let mut held = self.held.lock().unwrap();
        let found = held.texts.last().map_or(0, |(_, manifest, _)| manifest.revision());
        if found != expected {
            let store = "the shelf".to_owned();
            return Err(StoreError::Conflict { store, expected, found });
        }
        let text = next.to_json()?.expose().to_vec();
        let read = Manifest::from_json(&text)?;
        let now = held.now;
        held.texts.push((now, read, text));
        Ok(())
    }
}

impl KeyStore for Shelf {
    fn load(&self) -> StoreFuture<'_, Manifest> {
        Box::pin(async { self.read() })
    }

    fn compare_and_swap<'a>(&'a self, expected: u64, next: &'a Manifest) -> StoreFuture<'a, ()> {
        Box::pin(async move { self.swap(expected, next) })
    }

    fn reports(&self) -> StoreFuture<'_, Vec<Report>> {
        Box::pin(async {
            match self.weather() {
                Weather::Down => Err(self.error()),
                _ => Ok(self.held.lock().unwrap().reports.values().cloned().collect()),
            }
        })
    }

    fn save_report<'a>(&'a self, report: &'a Report) -> StoreFuture<'a, ()> {
        Box::pin(async {
            if self.weather() == Weather::Down {
                return Err(self.error());
            }
            let mut held = self.held.lock().unwrap();
            held.reports.insert(report.instance.clone(), report.clone());
            Ok(())
        })
    }

    fn forget_report<'a>(&'a self, instance: &'a str) -> StoreFuture<'a, ()> {
        Box::pin(async {
            self.held.lock().unwrap().reports.remove(instance);
            Ok(())
        })
    }
}
