//! The correction of the times of a manifest that was written while a clock was ahead.

use std::time::SystemTime;

use crate::kid::Kid;
use crate::lifecycle::SigningStart;
use crate::lifecycle::life::{EarlierEnd, Life};
use crate::lifecycle::terms::Terms;
use crate::lifecycle::timeline::{Timeline, superseded_at, superseded_since};
use crate::lifecycle::transitions::renumber;

/// The times of a repair.
#[derive(Clone, Copy)]
struct Repair<'a> {
    terms: &'a Terms,
    /// The time of the last step, by the wrong clock.
    changed_at: SystemTime,
    /// The right time.
    now: SystemTime,
}

/// Corrects the times of a manifest that was written while a clock was ahead: `now` is the
/// right time, `changed_at` the time of the last step. Ends that the keys have by their
/// overlap stay; those of `forced` retirements come now.
///
/// A key that started to sign by the wrong time, and that every instance holds, signs from
/// now on. One that some instances may not hold is staged again, unless without it no key
/// would sign.
pub(crate) fn repair_clock(
    mut lives: Vec<Life>,
    changed_at: SystemTime,
    forced: &[Kid],
    terms: &Terms,
    now: SystemTime,
) -> Vec<Life> {
    let repair = Repair { terms, changed_at, now };
    let mut started: Vec<_> = (0..lives.len())
        .filter_map(|index| Some((lives[index].start()?, index)))
        .filter(|((from, _), _)| now < *from && *from <= changed_at)
        .collect();
    started.sort_unstable();
    // What follows from a right moment is right.
    let is_right: Vec<_> =
        (0..lives.len()).map(|index| superseded_since(&lives, index, changed_at) <= now).collect();
    for (life, is_right) in lives.iter_mut().zip(is_right) {
        let is_forced = forced.contains(&life.kid);
        repair.correct(life, is_right, is_forced);
    }
    repair.keep_for_earlier_window(&mut lives);
    renumber(&mut lives);
    let mut sequence = lives.len() as u64;
    let mut latest = None;
    for (_, index) in started {
        let life = &mut lives[index];
        let held = life.added_at.checked_add(terms.window(now));
        let is_held = held.is_some_and(|held| held <= now);
        sequence = sequence.saturating_add(1);
        life.sequence = sequence;
        life.signing_start =
            if is_held { SigningStart::From(now) } else { SigningStart::Unscheduled };
        if life.is_alive() && !is_held {
            latest = Some(index);
        }
    }
    for life in &mut lives {
        life.added_at = life.added_at.min(now);
    }
    match (Timeline::new_unchecked(&lives, now, terms).primary(now), latest) {
        // Another key superseded it by the wrong time alone.
        (Some(index), _) => {
            (lives[index].superseded_at, lives[index].retire_at) = (None, None);
            if superseded_at(&lives, index).is_some_and(|at| at <= now) {
                (lives[index].signing_start, lives[index].sequence) =
                    (SigningStart::From(now), sequence.saturating_add(1));
            }
        }
        (None, Some(index)) => lives[index].signing_start = SigningStart::From(now),
        (None, None) => {}
    }
    lives
}

impl Repair<'_> {
    /// Corrects the ends of a key and its past moments. They stay where they are if they follow from a
    /// right moment.
    fn correct(&self, life: &mut Life, is_right: bool, is_forced: bool) {
        let Self { terms, changed_at, now } = *self;
        let (by_time, has_start) = (terms.purpose.has_expiry_by_time(), life.start().is_some());
        let overlap_of_added = life.added_at.min(now).checked_add(terms.policy.overlap());
        life.retire_at = life.retire_at.map(|end| match () {
            () if end <= now => end,
            () if is_forced => now,
            () if is_right && has_start && by_time => end,
            () if end > changed_at => self.shift(end),
            () if has_start => end,
            () => end.min(overlap_of_added.unwrap_or(end).max(now)),
        });
        life.superseded_at = life.superseded_at.filter(|at| *at <= now);
        if !is_right {
            life.kept_until = life.kept_until.map(|kept| self.shift_if_ahead(kept));
        }
        life.earlier_end = life
            .earlier_end
            .map(|earlier| EarlierEnd { until: self.shift_if_ahead(earlier.until), ..earlier });
        if let Some(revocation) = &mut life.revoked {
            revocation.at = revocation.at.min(now);
        }
        life.destroyed_at = life.destroyed_at.map(|at| at.min(now));
        if let Some(at) = life.destroyed_at {
            life.retire_at = life.retire_at.map(|end| end.min(at));
        }
    }

    /// What the repair supersedes is superseded within the window of an earlier policy.
    fn keep_for_earlier_window(&self, lives: &mut [Life]) {
        let window = self.terms.window(self.now);
        if window <= self.terms.policy.window() {
            return;
        }
        let kept = self.now.checked_add(self.terms.kept_for(window));
        for index in 0..lives.len() {
            let is_over = superseded_at(lives, index).is_some_and(|at| at <= self.now);
            if lives[index].start().is_some() && !is_over {
                lives[index].kept_until = lives[index].kept_until.max(kept);
            }
        }
    }

    /// As long after now as it was after the wrong time.
    fn shift(&self, moment: SystemTime) -> SystemTime {
        let ahead = moment.duration_since(self.changed_at).unwrap_or_default();
        self.now.checked_add(ahead).unwrap_or(self.now)
    }

    fn shift_if_ahead(&self, moment: SystemTime) -> SystemTime {
        if moment > self.changed_at { self.shift(moment) } else { moment }
    }
}
