//! How much a key is used: counters that survive every swap of the ring.
//!
//! A verification adds to one counter of a shard of its own thread, so that two
//! threads that verify with one key do not fight for a cache line. What it does is
//! the same for every role, so that its duration does not depend on which key matched.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::lifecycle::Role;

/// How often a key was used by this process, since it was added to the ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct KeyUsage {
    /// Values verified or opened while it was the primary.
    pub verified_as_primary: u64,
    /// Values verified, opened or rewrapped while it was a fallback, or staged.
    pub verified_as_fallback: u64,
    /// Values signed or sealed.
    pub signed: u64,
    /// When it last verified a value as a fallback, to the second.
    pub last_seen_as_fallback: Option<SystemTime>,
}

#[derive(Debug)]
pub(crate) struct Counters {
    shards: Box<[Shard]>,
}

/// 128 bytes: two lines of 64, which some processors fetch together.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard {
    // By role: [primary, fallback].
    verified: [AtomicU64; 2],
    // Seconds since the epoch. That of the primary is written to keep the work
    // the same, and never read.
    last_seen: [AtomicU64; 2],
    signed: AtomicU64,
}

impl Counters {
    pub(crate) fn new() -> Self {
        let threads = std::thread::available_parallelism().map_or(1, |count| count.get());
        let shards = threads.next_power_of_two().clamp(1, 64);
        Self { shards: (0..shards).map(|_| Shard::default()).collect() }
    }

    /// Counts a use, at a time since the Unix epoch.
    #[inline]
    pub(crate) fn count_verified(&self, role: Role, now: Duration) {
        // Hidden from the optimizer, which would make a branch on the role of it.
        let index = std::hint::black_box(usize::from(role != Role::Primary));
        let shard = self.shard();
        shard.verified[index].fetch_add(1, Relaxed);
        // A plain store: a lost race between two verifications of the same
        // second loses nothing.
        shard.last_seen[index].store(now.as_secs(), Relaxed);
    }

    /// Counts a use as the primary, where its role may show.
    #[inline]
    pub(crate) fn count_verified_as_primary(&self) {
        self.shard().verified[0].fetch_add(1, Relaxed);
    }

    pub(crate) fn count_signed(&self) {
        self.shard().signed.fetch_add(1, Relaxed);
    }

    pub(crate) fn read(&self) -> KeyUsage {
        let sum = |read: fn(&Shard) -> &AtomicU64| {
            self.shards.iter().map(|shard| read(shard).load(Relaxed)).sum()
        };
        let last_seen =
            self.shards.iter().map(|shard| shard.last_seen[1].load(Relaxed)).max().unwrap_or(0);
        KeyUsage {
            verified_as_primary: sum(|shard| &shard.verified[0]),
            verified_as_fallback: sum(|shard| &shard.verified[1]),
            signed: sum(|shard| &shard.signed),
            last_seen_as_fallback: (last_seen > 0)
                .then(|| UNIX_EPOCH + Duration::from_secs(last_seen)),
        }
    }

    #[inline]
    fn shard(&self) -> &Shard {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        thread_local! {
            static MINE: usize = NEXT.fetch_add(1, Relaxed);
        }
        // A thread that is being torn down takes the first.
        let mine = MINE.try_with(|mine| *mine).unwrap_or(0);
        // The count is a power of two.
        &self.shards[mine & (self.shards.len() - 1)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_use_is_lost_between_threads() {
        let counters = Counters::new();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for second in 0..1000 {
                        counters.count_verified(Role::Primary, Duration::ZERO);
                        counters.count_verified(Role::Fallback, Duration::from_secs(second));
                        counters.count_signed();
                    }
                });
            }
        });
        let usage = counters.read();
        assert_eq!((usage.verified_as_primary, usage.verified_as_fallback), (8000, 8000));
        assert_eq!(usage.signed, 8000);
        assert_eq!(usage.last_seen_as_fallback, Some(UNIX_EPOCH + Duration::from_secs(999)));
    }

    #[test]
    fn last_seen_is_of_fallback_hits_only() {
        let counters = Counters::new();
        counters.count_verified(Role::Primary, Duration::from_secs(7));
        assert_eq!(counters.read().last_seen_as_fallback, None);
        counters.count_verified(Role::Staged, Duration::from_secs(9));
        assert_eq!(
            counters.read().last_seen_as_fallback,
            Some(UNIX_EPOCH + Duration::from_secs(9))
        );
    }
}
