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
    // A moment that is derived from a correct time is correct.
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

    /// Keeps each key that the repair supersedes for the longer window of an earlier policy.
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

    /// Moves a moment to be as long after now as it was after the wrong time.
    fn shift(&self, moment: SystemTime) -> SystemTime {
        let ahead = moment.duration_since(self.changed_at).unwrap_or_default();
        self.now.checked_add(ahead).unwrap_or(self.now)
    }

    /// Moves a moment if it is after the wrong time.
    fn shift_if_ahead(&self, moment: SystemTime) -> SystemTime {
        if moment > self.changed_at { self.shift(moment) } else { moment }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lifecycle::terms::EarlierWindow;
    use crate::lifecycle::{Policy, Revocation};
    use crate::purpose::Purpose;
    use std::time::{Duration, UNIX_EPOCH};

    const SECOND: Duration = Duration::from_secs(1);
    const HOUR: Duration = Duration::from_secs(3600);
    /// The clock was ahead by this much.
    const AHEAD: Duration = Duration::from_secs(100 * 3600);
    /// The window of the default policy without its skew.
    const POLICY_WINDOW: Duration = HOUR;
    /// A lifetime of one day and the window.
    const OVERLAP: Duration = Duration::from_secs(25 * 3600);

    fn now() -> SystemTime {
        UNIX_EPOCH + HOUR * 10_000
    }

    fn changed_at() -> SystemTime {
        now() + AHEAD
    }

    fn terms(purpose: Purpose) -> Terms {
        let day = HOUR * 24;
        let policy = Policy { max_lifetime: day, skew: Duration::ZERO, ..Policy::default() };
        Terms::new(purpose, policy)
    }

    fn life(kid: &str, start: SigningStart, sequence: u64, added_at: SystemTime) -> Life {
        let life = Life::new(kid.parse().unwrap(), added_at);
        Life { signing_start: start, sequence, ..life }
    }

    /// A key that every instance holds.
    fn signer(kid: &str, from: SystemTime, sequence: u64) -> Life {
        life(kid, SigningStart::From(from), sequence, UNIX_EPOCH)
    }

    fn revoked(at: SystemTime) -> Option<Revocation> {
        Some(Revocation { at, reason: "leaked".to_owned() })
    }

    fn repaired(lives: &[Life]) -> Vec<Life> {
        repair_clock(lives.to_vec(), changed_at(), &[], &terms(Purpose::Jwt), now())
    }

    fn starts(lives: &[Life]) -> Vec<SigningStart> {
        repaired(lives).iter().map(|life| life.signing_start).collect()
    }

    #[test]
    fn an_end_moves_only_if_it_follows_from_the_wrong_time() {
        let (now, changed_at) = (now(), changed_at());
        let (signs, never) = (SigningStart::From(UNIX_EPOCH), SigningStart::Never);
        let (jwt, envelope) = (Purpose::Jwt, Purpose::Envelope);
        let (ahead, shifted) = (changed_at + HOUR, now + HOUR);
        let (past, middle, late) = (now - HOUR, now + HOUR * 50, now + HOUR * 90);
        for (purpose, start, added_at, is_right, is_forced, end, expected) in [
            (jwt, signs, UNIX_EPOCH, true, true, past, past),
            (jwt, signs, UNIX_EPOCH, true, true, middle, now),
            (jwt, signs, UNIX_EPOCH, true, false, ahead, ahead),
            (jwt, signs, UNIX_EPOCH, false, false, ahead, shifted),
            (jwt, never, UNIX_EPOCH, true, false, ahead, shifted),
            (envelope, signs, UNIX_EPOCH, true, false, ahead, shifted),
            (jwt, signs, UNIX_EPOCH, false, false, changed_at, changed_at),
            (jwt, signs, UNIX_EPOCH, false, false, middle, middle),
            // A key of unknown past has the overlap from when it was added.
            (jwt, never, UNIX_EPOCH, false, false, middle, now),
            (jwt, never, now - HOUR * 5, false, false, middle, now + OVERLAP - HOUR * 5),
            (jwt, never, now + HOUR * 50, false, false, late, now + OVERLAP),
            (jwt, never, now, false, false, now + HOUR, now + HOUR),
        ] {
            let terms = terms(purpose);
            let repair = Repair { terms: &terms, changed_at, now };
            let mut life = life("key", start, 1, added_at);
            life.retire_at = Some(end);
            repair.correct(&mut life, is_right, is_forced);
            let case = (purpose, start, is_right, is_forced, end);
            assert_eq!(life.retire_at, Some(expected), "{case:?}");
        }
    }

    #[test]
    fn other_moments_move_only_from_the_wrong_time() {
        let (now, changed_at, terms) = (now(), changed_at(), terms(Purpose::Jwt));
        let repair = Repair { terms: &terms, changed_at, now };
        for (moment, is_right, kept, until) in [
            (changed_at, false, changed_at, changed_at),
            (changed_at + SECOND, false, now + SECOND, now + SECOND),
            (changed_at + SECOND, true, changed_at + SECOND, now + SECOND),
        ] {
            let mut life = signer("key", UNIX_EPOCH, 1);
            life.kept_until = Some(moment);
            life.earlier_end = Some(EarlierEnd { at: changed_at + HOUR, until: moment });
            repair.correct(&mut life, is_right, false);
            assert_eq!(life.kept_until, Some(kept));
            assert_eq!(life.earlier_end, Some(EarlierEnd { at: changed_at + HOUR, until }));
        }
        for (moment, superseded_at, recorded) in [
            (now - SECOND, Some(now - SECOND), now - SECOND),
            (now, Some(now), now),
            (now + SECOND, None, now),
        ] {
            let mut life = signer("key", UNIX_EPOCH, 1);
            (life.superseded_at, life.revoked) = (Some(moment), revoked(moment));
            (life.destroyed_at, life.retire_at) = (Some(moment), Some(now + HOUR));
            repair.correct(&mut life, false, false);
            assert_eq!(life.superseded_at, superseded_at);
            assert_eq!(life.revoked, revoked(recorded));
            // A wiped key has no end after that.
            assert_eq!((life.destroyed_at, life.retire_at), (Some(recorded), Some(recorded)));
        }
    }

    #[test]
    fn a_key_that_may_sign_is_kept_for_a_longer_window_of_before() {
        let now = now();
        let longer = EarlierWindow { length: POLICY_WINDOW * 3, until: now + HOUR };
        let kept = now + OVERLAP + POLICY_WINDOW * 2;
        let superseded = |at| Life { superseded_at: Some(at), ..signer("key", UNIX_EPOCH, 1) };
        let kept_until = |kept| Life { kept_until: Some(kept), ..signer("key", UNIX_EPOCH, 1) };
        for (earlier_window, life, expected) in [
            (None, signer("key", UNIX_EPOCH, 1), None),
            (Some(longer), signer("key", UNIX_EPOCH, 1), Some(kept)),
            (Some(longer), superseded(now), None),
            (Some(longer), superseded(now + SECOND), Some(kept)),
            (Some(longer), life("key", SigningStart::Unscheduled, 1, UNIX_EPOCH), None),
            (Some(longer), kept_until(kept + HOUR), Some(kept + HOUR)),
        ] {
            let terms = Terms { earlier_window, ..terms(Purpose::Jwt) };
            let repair = Repair { terms: &terms, changed_at: changed_at(), now };
            let mut lives = [life];
            repair.keep_for_earlier_window(&mut lives);
            assert_eq!(lives[0].kept_until, expected, "{:?}", lives[0]);
        }
    }

    #[test]
    fn what_was_superseded_by_the_right_time_is_kept_as_it_was() {
        let ahead = changed_at() + HOUR;
        for (superseded_at, expected) in [(now(), ahead), (now() + SECOND, now() + HOUR)] {
            let mut old = signer("old", UNIX_EPOCH, 1);
            (old.superseded_at, old.kept_until) = (Some(superseded_at), Some(ahead));
            let lives = repaired(&[old, signer("new", superseded_at, 2)]);
            assert_eq!(lives[0].kept_until, Some(expected));
        }
        // A forced retirement comes now.
        let mut old = signer("old", UNIX_EPOCH, 1);
        old.retire_at = Some(now() + HOUR);
        let (lives, forced) = (vec![old, signer("new", now() - HOUR, 2)], ["old".parse().unwrap()]);
        let lives = repair_clock(lives, changed_at(), &forced, &terms(Purpose::Jwt), now());
        assert_eq!(lives[0].retire_at, Some(now()));
    }

    #[test]
    fn a_start_by_the_wrong_time_comes_now_if_every_instance_holds_the_key() {
        let (now, changed_at) = (now(), changed_at());
        let held = now - POLICY_WINDOW;
        let (from, staged) = (SigningStart::From, SigningStart::Unscheduled);
        for (start, added_at, expected) in [
            (now, now, from(now)),
            (now + SECOND, held, from(now)),
            (now + SECOND, held + SECOND, staged),
            (changed_at, held, from(now)),
            (changed_at, changed_at, staged),
            (changed_at + SECOND, changed_at, from(changed_at + SECOND)),
        ] {
            let old = signer("old", UNIX_EPOCH, 1);
            let lives = repaired(&[old, life("new", from(start), 2, added_at)]);
            assert_eq!(lives[1].signing_start, expected, "{start:?}, {added_at:?}");
            assert_eq!(lives[0].signing_start, from(UNIX_EPOCH));
            assert_eq!(lives[1].added_at, added_at.min(now));
        }
    }

    #[test]
    fn keys_that_start_now_stay_in_their_order() {
        // `last` started last, whatever the sequence.
        let (last, first) = (signer("last", now() + HOUR * 2, 1), signer("first", now() + HOUR, 2));
        let lives = repaired(&[last, first, signer("old", UNIX_EPOCH, 9)]);
        assert_eq!(lives[0].start(), Some((now(), 5)));
        assert_eq!(lives[1].start(), Some((now(), 4)));
        assert_eq!(lives[2].start(), Some((UNIX_EPOCH, 3)));
    }

    #[test]
    fn the_last_live_key_signs_where_no_other_does() {
        let (now, from) = (now(), SigningStart::From);
        let new = life("new", from(now + HOUR), 1, now + HOUR);
        assert_eq!(starts(std::slice::from_ref(&new)), [from(now)]);
        let mut later = life("later", from(now + HOUR * 2), 2, now + HOUR);
        assert_eq!(starts(&[new.clone(), later.clone()]), [SigningStart::Unscheduled, from(now)]);
        // A revoked key does not sign again, and neither does an expired one.
        later.revoked = revoked(now);
        assert_eq!(starts(&[new.clone(), later])[0], from(now));
        let mut expired = signer("expired", now + HOUR * 2, 2);
        expired.retire_at = Some(now);
        assert_eq!(starts(&[new, expired])[0], from(now));
    }

    #[test]
    fn the_primary_is_no_longer_superseded() {
        let (now, from) = (now(), SigningStart::From);
        // A key that some may not hold took over by the wrong time, and the old key was retired.
        let mut old = signer("old", UNIX_EPOCH, 1);
        (old.superseded_at, old.retire_at) = (Some(now + HOUR), Some(now + HOUR * 2));
        let lives = repaired(&[old, life("new", from(now + HOUR), 2, now)]);
        assert_eq!((lives[0].superseded_at, lives[0].retire_at), (None, None));
        assert_eq!(lives[0].start(), Some((UNIX_EPOCH, 1)));

        // A later key has expired: the old key signs after it.
        for (start, expected) in
            [(now - HOUR, (now, 3)), (now, (now, 3)), (changed_at() + HOUR, (UNIX_EPOCH, 1))]
        {
            let mut later = signer("later", start, 2);
            later.retire_at = Some(now);
            let lives = repaired(&[signer("old", UNIX_EPOCH, 1), later]);
            assert_eq!(lives[0].start(), Some(expected), "{start:?}");
            assert_eq!(superseded_at(&lives, 0).filter(|at| *at <= now), None);
        }
    }
}
