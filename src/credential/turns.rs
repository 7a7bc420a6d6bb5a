//! Which credential has its turn: what was refused rests, the last good one is kept.

use std::time::{Duration, SystemTime};

use crate::kid::Kid;
use crate::lifecycle::Role;

/// What a ring has to offer, the primary first, a staged one before a fallback.
pub(super) type Offer = Vec<(Kid, Role)>;

/// What has happened to whom.
#[derive(Debug, Default)]
pub(super) struct Turns {
    /// The one in use.
    current: Option<Kid>,
    /// Numbers what happens, so that late news of what came before is known for that.
    turn: u64,
    records: Vec<Record>,
}

/// That a credential was refused, or was taken again after it.
#[derive(Debug)]
struct Record {
    kid: Kid,
    /// How often in a row.
    failures: u32,
    /// Until when it rests.
    until: Option<SystemTime>,
    /// When that was; what was shown before says nothing new.
    turn: u64,
}

/// A credential that has its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) kid: Kid,
    pub(super) role: Role,
    pub(super) turn: u64,
    /// It was refused before, and its rest is over: this one finds out for all.
    pub(super) is_probe: bool,
}

/// What a refusal says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Refusal {
    pub(super) is_news: bool,
    /// It was the one in use.
    pub(super) was_current: bool,
}

/// How long one that was refused rests.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    pub(super) first: Duration,
    pub(super) longest: Duration,
}

impl Pace {
    fn until(self, failures: u32, now: SystemTime) -> SystemTime {
        let doubled = 2_u32.checked_pow(failures.saturating_sub(1));
        let rest = doubled.and_then(|times| self.first.checked_mul(times));
        let rest = rest.unwrap_or(self.longest).min(self.longest);
        now.checked_add(rest).unwrap_or(now)
    }

    /// Whether the time until `until` is over; one that is farther away than any can be is of a
    /// clock that has jumped back.
    fn is_over(self, until: SystemTime, now: SystemTime) -> bool {
        until.duration_since(now).map_or(true, |left| left.is_zero() || left > self.longest)
    }
}

impl Turns {
    /// Who is shown at `now`. `None` if nothing is on offer.
    pub(super) fn choose(&mut self, offer: &Offer, now: SystemTime, pace: Pace) -> Option<Choice> {
        // A credential that left the ring is nobody's any more.
        self.records.retain(|own| offer.iter().any(|(kid, _)| *kid == own.kid));
        let (primary, _) = *offer.first()?;
        let kid = match self.until(&primary) {
            None => primary,
            Some(until) if pace.is_over(until, now) => {
                return self.probe(offer, primary, now, pace);
            }
            Some(_) => self.kept(offer, now, pace)?,
        };
        self.current = Some(kid);
        self.choice(offer, kid)
    }

    /// The primary rests: the one in use, or the next that does not rest; if all do, the one in
    /// use all the same, because who refuses everything may do so by mistake.
    fn kept(&self, offer: &Offer, now: SystemTime, pace: Pace) -> Option<Kid> {
        let is_offered = |own: &Kid| offer.iter().any(|(kid, _)| kid == own);
        let in_use = self.current.filter(is_offered);
        let mut all = in_use.into_iter().chain(offer.iter().map(|(kid, _)| *kid));
        let free = all.find(|kid| !self.is_resting(kid, now, pace));
        free.or(in_use).or_else(|| offer.first().map(|(kid, _)| *kid))
    }

    /// Lets one find out whether `kid` is taken again, while all others go on.
    fn probe(&mut self, offer: &Offer, kid: Kid, now: SystemTime, pace: Pace) -> Option<Choice> {
        let turn = self.next_turn();
        let record = self.record(kid);
        (record.until, record.turn) = (Some(pace.until(record.failures, now)), turn);
        self.choice(offer, kid).map(|choice| Choice { is_probe: true, ..choice })
    }

    /// It was taken. Says from which one the use has changed to it, if it has.
    pub(super) fn accepted(&mut self, choice: &Choice) -> Option<Kid> {
        self.until(&choice.kid)?;
        let turn = self.next_turn();
        let record = self.record(choice.kid);
        if choice.turn < record.turn {
            // It was shown before it was refused.
            return None;
        }
        (record.failures, record.until, record.turn) = (0, None, turn);
        let before = self.current.replace(choice.kid);
        before.filter(|before| *before != choice.kid)
    }

    /// It was refused: it rests. The echo of a refusal that is known is no news.
    pub(super) fn refused(&mut self, choice: &Choice, now: SystemTime, pace: Pace) -> Refusal {
        let was_current = self.current == Some(choice.kid);
        let turn = self.next_turn();
        let record = self.record(choice.kid);
        let is_news = choice.turn >= record.turn;
        if is_news {
            record.failures = record.failures.saturating_add(1);
            (record.until, record.turn) = (Some(pace.until(record.failures, now)), turn);
        }
        Refusal { is_news, was_current }
    }

    /// Who is shown to who has just been refused with `kid`. One that does not rest; the same
    /// again, if its refusal was an echo, and it is taken by now. Where all rest, another one: it
    /// may have been mended. None, if there is no other.
    pub(super) fn next(
        &mut self,
        offer: &Offer,
        kid: &Kid,
        now: SystemTime,
        pace: Pace,
    ) -> Option<Choice> {
        let mut next = self.kept(offer, now, pace)?;
        if self.is_resting(&next, now, pace) {
            let others = offer.iter().map(|(kid, _)| *kid).filter(|other| other != kid);
            next = others.min_by_key(|kid| self.until(kid))?;
        }
        self.current = Some(next);
        self.choice(offer, next)
    }

    /// Whether all that is on offer was refused.
    pub(super) fn all_rest(&self, offer: &Offer, now: SystemTime, pace: Pace) -> bool {
        offer.iter().all(|(kid, _)| self.is_resting(kid, now, pace))
    }

    /// The credential `kid`, as of now.
    pub(super) fn choice(&self, offer: &Offer, kid: Kid) -> Option<Choice> {
        let (kid, role) = *offer.iter().find(|(own, _)| *own == kid)?;
        Some(Choice { kid, role, turn: self.turn, is_probe: false })
    }

    fn is_resting(&self, kid: &Kid, now: SystemTime, pace: Pace) -> bool {
        self.until(kid).is_some_and(|until| !pace.is_over(until, now))
    }

    fn until(&self, kid: &Kid) -> Option<SystemTime> {
        self.records.iter().find(|own| own.kid == *kid)?.until
    }

    fn record(&mut self, kid: Kid) -> &mut Record {
        let place = self.records.iter().position(|own| own.kid == kid);
        let place = place.unwrap_or_else(|| {
            self.records.push(Record { kid, failures: 0, until: None, turn: 0 });
            self.records.len() - 1
        });
        &mut self.records[place]
    }

    fn next_turn(&mut self) -> u64 {
        self.turn += 1;
        self.turn
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::UNIX_EPOCH;

    const PACE: Pace = Pace { first: Duration::from_secs(30), longest: Duration::from_secs(100) };

    fn offer() -> Offer {
        let kid = |name: &str| name.parse().unwrap();
        vec![(kid("a"), Role::Primary), (kid("b"), Role::Staged), (kid("c"), Role::Fallback)]
    }

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_800_000_000 + seconds)
    }

    fn chosen(turns: &mut Turns, now: u64) -> (String, bool) {
        let choice = turns.choose(&offer(), at(now), PACE).unwrap();
        (choice.kid.to_string(), choice.is_probe)
    }

    #[test]
    fn what_was_refused_rests_for_longer_each_time_and_is_probed_by_one() {
        let mut turns = Turns::default();
        let first = turns.choose(&offer(), at(0), PACE).unwrap();
        assert_eq!(first.kid, *"a");
        assert!(turns.refused(&first, at(0), PACE).is_news);
        let mut now = 0;
        for rest in [30, 60, 100, 100, 100] {
            assert_eq!(chosen(&mut turns, now + rest - 1), ("b".to_owned(), false));
            let probe = turns.choose(&offer(), at(now + rest), PACE).unwrap();
            assert!(probe.kid == *"a" && probe.is_probe);
            // All others go on, for as long as this one may take.
            assert_eq!(chosen(&mut turns, now + rest), ("b".to_owned(), false));
            now += rest;
            assert!(turns.refused(&probe, at(now), PACE).is_news);
            let next = turns.next(&offer(), &probe.kid, at(now), PACE).unwrap();
            assert_eq!(next.kid, *"b");
        }
        let probe = turns.choose(&offer(), at(now + 100), PACE).unwrap();
        assert_eq!(turns.accepted(&probe), Some("b".parse().unwrap()));
        assert_eq!(chosen(&mut turns, now + 100), ("a".to_owned(), false));
    }

    #[test]
    fn late_news_is_no_news() {
        let mut turns = Turns::default();
        let early = turns.choose(&offer(), at(0), PACE).unwrap();
        assert!(turns.refused(&early, at(0), PACE).is_news);
        // A thousand that were under way, some of which were taken before it was revoked.
        for _ in 0..1000 {
            assert!(!turns.refused(&early, at(1), PACE).is_news);
            assert_eq!(turns.accepted(&early), None);
        }
        assert_eq!(chosen(&mut turns, 1), ("b".to_owned(), false));
        let probe = turns.choose(&offer(), at(30), PACE).unwrap();
        assert!(probe.is_probe, "its rest did not grow");
        turns.accepted(&probe);
        // The same, after it has recovered.
        let echo = turns.refused(&early, at(31), PACE);
        assert!(!echo.is_news);
        assert_eq!(turns.next(&offer(), &early.kid, at(31), PACE).unwrap().kid, *"a");
        assert_eq!(chosen(&mut turns, 31), ("a".to_owned(), false));
    }

    #[test]
    fn where_all_rest_each_is_shown_by_turns() {
        let mut turns = Turns::default();
        let mut shown = turns.choose(&offer(), at(0), PACE).unwrap();
        // The next good one; then one that had been refused, which may have been mended.
        for (now, next) in [(0, "b"), (5, "c"), (10, "a"), (11, "b")] {
            assert!(!turns.all_rest(&offer(), at(now), PACE) || now == 11);
            turns.refused(&shown, at(now), PACE);
            shown = turns.next(&offer(), &shown.kid, at(now), PACE).unwrap();
            assert_eq!(shown.kid, *next);
        }
        let alone = vec![offer()[0]];
        assert_eq!(turns.next(&alone, &alone[0].0, at(11), PACE), None);
        assert_eq!(chosen(&mut turns, 12), ("b".to_owned(), false));
        let shown = turns.choose(&offer(), at(12), PACE).unwrap();
        turns.accepted(&shown);
        assert_eq!(chosen(&mut turns, 13), ("b".to_owned(), false));
    }

    #[test]
    fn a_clock_that_jumps_back_lets_nobody_rest_for_ever() {
        let mut turns = Turns::default();
        let shown = turns.choose(&offer(), at(1_000_000), PACE).unwrap();
        turns.refused(&shown, at(1_000_000), PACE);
        let shown = turns.choose(&offer(), at(0), PACE).unwrap();
        assert!(shown.kid == *"a" && shown.is_probe);
    }

    #[test]
    fn who_left_the_ring_is_not_shown() {
        let mut turns = Turns::default();
        let shown = turns.choose(&offer(), at(0), PACE).unwrap();
        turns.refused(&shown, at(0), PACE);
        assert_eq!(chosen(&mut turns, 1), ("b".to_owned(), false));
        let left: Offer = offer().into_iter().filter(|(kid, _)| *kid != *"b").collect();
        assert_eq!(turns.choose(&left, at(1), PACE).unwrap().kid, *"c");
        assert_eq!(turns.choose(&Vec::new(), at(1), PACE), None);
    }
}
