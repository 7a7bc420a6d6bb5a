//! One instance: a process with a clock of its own, a ring, and a view of the store.

use std::time::{Duration, SystemTime};

use dualkey::source::FollowHandle;
use dualkey::{KeyRing, ManualClock, Secret};

use super::artefact::Artefacts;
use super::bounds::Bounds;
use super::shelf::{Shelf, Weather};

/// 2027-01-15T08:00:00Z.
const BEGIN: u64 = 1_800_000_000;

/// The moment so many seconds after the beginning, to who is off by `off`.
pub fn at(now: u64, off: i64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs((BEGIN + now).saturating_add_signed(off))
}

/// The same as seconds since the epoch.
pub fn seconds(now: u64, off: i64) -> u64 {
    (BEGIN + now).saturating_add_signed(off)
}

/// What an instance is started with.
#[derive(Clone)]
pub enum Start {
    /// It follows the store.
    Store,
    /// It is given its keys, the first of which signs.
    Keys(Vec<Secret>),
}

pub struct Instance<K: Artefacts> {
    pub shelf: Shelf,
    pub off: i64,
    clock: ManualClock,
    ring: Option<KeyRing<K>>,
    following: Option<FollowHandle<K>>,
    /// Numbers its processes: a poll of one that is gone is none.
    pub process: u64,
    /// Since when the store looks as it does.
    pub since: u64,
    /// The name under which its process reports.
    pub name: Option<String>,
    /// Of the manifest that the process before held.
    last_revision: u64,
}

impl<K: Artefacts> Instance<K> {
    pub fn new(shelf: Shelf, off: i64) -> Self {
        let clock = ManualClock::new(at(0, off));
        Self {
            shelf,
            off,
            clock,
            ring: None,
            following: None,
            process: 0,
            since: 0,
            name: None,
            last_revision: 0,
        }
    }

    pub fn set_now(&self, now: u64) {
        self.clock.set(at(now, self.off));
    }

    pub fn ring(&self) -> Option<&KeyRing<K>> {
        self.ring.as_ref()
    }

    pub fn is_up(&self) -> bool {
        self.ring.is_some()
    }

    /// Says whether it could.
    pub fn start(&mut self, name: &str, start: &Start, bounds: &Bounds) -> bool {
        self.process += 1;
        self.name = Some(name.to_owned());
        self.shelf.set_floor(if bounds.starts_go_back { 0 } else { self.last_revision });
        let builder =
            KeyRing::<K>::builder().name("RING").clock(self.clock.clone()).environment("sim");
        match start {
            Start::Store => {
                let builder = match bounds.max_staleness {
                    Some(age) => builder.max_staleness(Duration::from_secs(age)),
                    None => builder,
                };
                let follow = builder.follow(self.shelf.clone()).instance(name);
                self.following = follow.on_demand().ok();
                self.ring = self.following.as_ref().map(|following| following.ring().clone());
                self.shelf.set_floor(0);
            }
            Start::Keys(keys) => {
                let mut builder = builder
                    .max_lifetime(Duration::from_secs(bounds.life))
                    .rollout_window(Duration::from_secs(bounds.rollout));
                for (place, key) in keys.iter().enumerate() {
                    builder = match place {
                        0 => builder.primary(key.clone()),
                        _ => builder.fallback(key.clone()),
                    };
                }
                self.ring = Some(builder.build().unwrap());
            }
        }
        self.is_up()
    }

    /// Without a good-bye.
    pub fn kill(&mut self) {
        self.last_revision = self.last_revision.max(self.revision());
        self.process += 1;
        (self.ring, self.following) = (None, None);
    }

    /// Of the manifest that it holds; 0, if it is down.
    pub fn revision(&self) -> u64 {
        self.ring().map_or(0, |ring| ring.load().revision())
    }

    /// Asks the store, and says whether it holds what is there.
    pub fn poll(&self) -> bool {
        self.following.as_ref().is_some_and(|following| following.refresh().is_ok())
            && self.shelf.weather() == Weather::Fair
    }

    pub fn rewrap(&self, rewrap: &dualkey::RewrapRecord) {
        if let Some(ring) = &self.ring {
            ring.record_rewrap(rewrap);
        }
    }

    /// The last moment at which it may take what was revoked at `revoked`, or not know what
    /// was made then; none, if it may for ever.
    pub fn grace(&self, revoked: u64, bounds: &Bounds) -> Option<u64> {
        match (self.shelf.weather(), bounds.max_staleness) {
            (Weather::Fair, _) => Some(revoked.max(self.since) + bounds.propagation()),
            // It can reach its store, which is that much behind: nobody can know that.
            (Weather::Stale(age), _) => {
                Some((revoked + age).max(self.since) + bounds.propagation())
            }
            // What it read last, it read before.
            (_, Some(age)) => Some(revoked.max(self.since + age)),
            (_, None) => None,
        }
    }
}
