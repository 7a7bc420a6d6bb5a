//! The people who rotate, each way as it is done.

use std::time::SystemTime;

use dualkey::manifest::{Change, Manifest, NewEntry};
use dualkey::source::{KeyStore, StoreError, update};
use dualkey::{Error, KeyState, Kid, Report, Role, Secret};
use pollster::block_on;

use super::bounds::Bounds;
use super::shelf::Shelf;

/// How a secret is rotated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// The new secret in the place of the old one, and a restart.
    SwapAndRestart,
    /// `[new, old]`, a rolling restart; a life later `[new]`, and another.
    NewAndOld,
    /// Staged in the store; promoted by hand, once every instance holds it.
    Staged,
    /// Staged with the moment at which it begins to sign.
    Scheduled,
    /// Operators who take any step at any moment.
    Anything,
}

impl Way {
    /// The ways of a plain rotation.
    pub const ALL: [Self; 4] =
        [Self::SwapAndRestart, Self::NewAndOld, Self::Staged, Self::Scheduled];

    pub fn name(self) -> &'static str {
        match self {
            Self::SwapAndRestart => "swap and restart",
            Self::NewAndOld => "[new, old], rolling",
            Self::Staged => "staged by hand",
            Self::Scheduled => "scheduled",
            Self::Anything => "any step at any moment",
        }
    }

    pub fn has_store(self) -> bool {
        matches!(self, Self::Staged | Self::Scheduled | Self::Anything)
    }
}

/// Where a rotation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    Begin,
    /// The new key verifies everywhere, or will.
    Waits {
        since: u64,
    },
    /// It signs.
    Signs {
        since: u64,
    },
    /// The old one is on its way out.
    Retired,
    Done {
        at: u64,
    },
}

/// What comes of a visit.
pub struct Visit {
    /// When he looks again.
    pub next: u64,
    /// Whether the manifest has changed.
    pub has_stored: bool,
    /// Whether everything that is stored is to be sealed again now.
    pub wants_rewrap: bool,
}

pub struct Operator {
    shelf: Shelf,
    way: Way,
    pub stage: Stage,
    pub old: Kid,
    pub new: Option<Kid>,
    seeds: u64,
}

impl Operator {
    pub fn new(shelf: Shelf, way: Way, old: Kid) -> Self {
        Self { shelf, way, stage: Stage::Begin, old, new: None, seeds: 100 }
    }

    /// A key that no other run of this seed has.
    fn key(&mut self, make: fn(u64) -> Secret) -> NewEntry {
        self.seeds += 1;
        NewEntry::new(make(self.seeds)).kid(format!("k{}", self.seeds).parse().unwrap())
    }

    fn take(
        &self,
        step: impl FnMut(&Manifest) -> Result<Change, Error>,
    ) -> Result<Change, StoreError> {
        block_on(update(&self.shelf, step))
    }

    fn reports(&self) -> Vec<Report> {
        block_on(self.shelf.reports()).unwrap()
    }

    /// Looks at the store, and does what comes next.
    pub fn visit(
        &mut self,
        now: u64,
        clock: SystemTime,
        bounds: &Bounds,
        make: fn(u64) -> Secret,
        random: &mut fastrand::Rng,
    ) -> Visit {
        let mut visit =
            Visit { next: now + random.u64(300..900), has_stored: false, wants_rewrap: false };
        match self.stage {
            Stage::Begin => {
                let mut new = self.key(make);
                if self.way == Way::Scheduled {
                    let ahead = bounds.rollout + bounds.skew + random.u64(1..1800);
                    new = new.signs_from(clock + std::time::Duration::from_secs(ahead));
                }
                // Two at once: who is late is told, looks again, and withdraws his own.
                let seen = block_on(self.shelf.load()).unwrap();
                let change = self.take(|manifest| manifest.stage(new.clone(), clock)).unwrap();
                if random.u64(..4) == 0 {
                    let late = seen.stage(self.key(make), clock).unwrap().manifest;
                    let told = block_on(self.shelf.compare_and_swap(seen.revision(), &late));
                    assert!(matches!(told, Err(StoreError::Conflict { .. })), "{told:?}");
                    let key = self.key(make);
                    let extra =
                        self.take(|manifest| manifest.stage(key.clone(), clock)).unwrap().kid;
                    let _ = self.take(|manifest| manifest.retire(&extra, &[], clock)).unwrap();
                }
                self.new = Some(change.kid);
                self.stage = Stage::Waits { since: now };
                visit.has_stored = true;
            }
            Stage::Waits { since } if now < since + bounds.rollout + bounds.skew => {
                visit.next = since + bounds.rollout + bounds.skew + random.u64(1..600);
            }
            Stage::Waits { .. } => {
                let new = self.new.unwrap();
                let manifest = block_on(self.shelf.load()).unwrap();
                let signs = manifest.state(&new, clock) == Some(KeyState::Live(Role::Primary));
                let reports = self.reports();
                let promoted = signs
                    || match self.take(|manifest| manifest.promote(&new, &reports, clock)) {
                        Ok(_) => true,
                        Err(StoreError::Refused(
                            Error::NotAgreed { .. } | Error::ClockDisagrees { .. },
                        )) => false,
                        Err(error) => panic!("{error}"),
                    };
                if promoted {
                    self.stage = Stage::Signs { since: now };
                    visit.has_stored = !signs;
                }
            }
            Stage::Signs { since } => {
                let reports = self.reports();
                // Too early, on purpose: it is refused, or settles what is so anyway.
                match self.take(|manifest| manifest.retire(&self.old, &reports, clock)) {
                    Ok(change) => {
                        self.stage = Stage::Retired;
                        visit.next = now + random.u64(300..900);
                        visit.has_stored = change.manifest.revision() > 0;
                    }
                    Err(StoreError::Refused(
                        Error::Blocked { .. } | Error::ClockDisagrees { .. },
                    )) => {
                        let settled = since + bounds.rollout + bounds.skew + 2 * bounds.clock_off;
                        // Again, until its report is what the verdict asks for.
                        visit.wants_rewrap = now > settled;
                    }
                    Err(error) => panic!("{error}"),
                }
            }
            Stage::Retired => {
                let manifest = block_on(self.shelf.load()).unwrap();
                let over = manifest.verifies_until(&self.old).is_some_and(|end| end <= clock);
                let reports = self.reports();
                if over {
                    // Once nobody can be asked to verify under it any more.
                    match self.take(|manifest| manifest.destroy(&self.old, &reports, clock)) {
                        Ok(_) => {
                            self.stage = Stage::Done { at: now };
                            visit.has_stored = true;
                        }
                        Err(StoreError::Refused(
                            Error::Blocked { .. }
                            | Error::InUse { .. }
                            | Error::ClockDisagrees { .. },
                        )) => {}
                        Err(error) => panic!("{error}"),
                    }
                } else {
                    visit.next = now + random.u64(600..1800);
                }
            }
            Stage::Done { .. } => {}
        }
        visit
    }

    /// Somebody has found the key that signs. Returns it, and the one that takes over if that
    /// is new to everybody.
    pub fn emergency_rotate(
        &mut self,
        now: u64,
        clock: SystemTime,
        make: fn(u64) -> Secret,
    ) -> (Kid, Option<Kid>) {
        let leaked = block_on(self.shelf.load()).unwrap().primary(clock);
        let spare = self.key(make);
        let take = |manifest: &Manifest| {
            manifest.emergency_rotate(&leaked, "leaked", spare.clone(), clock)
        };
        let change = self.take(take).unwrap();
        self.stage = Stage::Done { at: now };
        let is_new = change.effect.new_rejected;
        (leaked, is_new.then_some(change.kid))
    }
}
