//! The selection of a credential: one that was refused cools down, and the last good one is kept.

use std::time::{Duration, SystemTime};

use crate::kid::Kid;
use crate::lifecycle::Role;

/// What a ring has to offer, the primary first, a staged one before a fallback.
pub(super) type Offer = Vec<(Kid, Role)>;

/// The credential in use, and the outcomes of those that were refused.
#[derive(Debug, Default)]
pub(super) struct Selector {
    /// The one in use.
    current: Option<Kid>,
    /// Numbers what happens, so that late news of what came before is known for that.
    turn: u64,
    outcomes: Vec<Outcomes>,
}

/// The outcomes of a credential that was refused, and may have been accepted after that.
#[derive(Debug)]
struct Outcomes {
    kid: Kid,
    /// How often in a row.
    failures: u32,
    /// The end of its cool-down.
    until: Option<SystemTime>,
    /// When that was; what was shown before says nothing new.
    turn: u64,
}

/// A credential that was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) kid: Kid,
    pub(super) role: Role,
    pub(super) turn: u64,
    /// It was refused before, and its cool-down is over: this one finds out for all.
    pub(super) is_probe: bool,
}

/// What a refusal says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Refusal {
    pub(super) is_news: bool,
    /// It was the one in use.
    pub(super) was_current: bool,
}

/// The time for which a credential that was refused is not used.
#[derive(Debug, Clone, Copy)]
pub(super) struct CoolDown {
    pub(super) first: Duration,
    pub(super) longest: Duration,
}

impl CoolDown {
    fn until(self, failures: u32, now: SystemTime) -> SystemTime {
        let doubled = 2_u32.checked_pow(failures.saturating_sub(1));
        let pause = doubled.and_then(|times| self.first.checked_mul(times));
        let pause = pause.unwrap_or(self.longest).min(self.longest);
        now.checked_add(pause).unwrap_or(now)
    }

    /// Whether the time until `until` is over; one that is farther away than any can be is of a
    /// clock that has jumped back.
    fn is_over(self, until: SystemTime, now: SystemTime) -> bool {
        until.duration_since(now).map_or(true, |left| left.is_zero() || left > self.longest)
    }
}

impl Selector {
    /// Chooses the credential to show at `now`. `None` if there is none.
    pub(super) fn choose(
        &mut self,
        offer: &Offer,
        now: SystemTime,
        cool_down: CoolDown,
    ) -> Option<Choice> {
        // A credential that left the ring is forgotten.
        self.outcomes.retain(|outcomes| offer.iter().any(|(kid, _)| *kid == outcomes.kid));
        let (primary, _) = *offer.first()?;
        let kid = match self.cools_until(&primary) {
            None => primary,
            Some(until) if cool_down.is_over(until, now) => {
                return self.probe(offer, primary, now, cool_down);
            }
            Some(_) => self.pick_available(offer, now, cool_down)?,
        };
        self.current = Some(kid);
        self.choice(offer, kid)
    }

    /// Picks the credential to show while the primary cools down: the one in use, or the next that
    /// does not cool down. If all do, it is the one in use all the same, because the other side may
    /// refuse everything by mistake.
    fn pick_available(&self, offer: &Offer, now: SystemTime, cool_down: CoolDown) -> Option<Kid> {
        let is_offered = |wanted: &Kid| offer.iter().any(|(kid, _)| kid == wanted);
        let in_use = self.current.filter(is_offered);
        let mut all = in_use.into_iter().chain(offer.iter().map(|(kid, _)| *kid));
        let free = all.find(|kid| !self.is_cooling(kid, now, cool_down));
        free.or(in_use).or_else(|| offer.first().map(|(kid, _)| *kid))
    }

    /// Chooses `kid` for one caller, which finds out whether it is accepted again. All others
    /// continue with another one.
    fn probe(
        &mut self,
        offer: &Offer,
        kid: Kid,
        now: SystemTime,
        cool_down: CoolDown,
    ) -> Option<Choice> {
        let turn = self.advance_turn();
        let outcomes = self.outcomes_mut(kid);
        (outcomes.until, outcomes.turn) = (Some(cool_down.until(outcomes.failures, now)), turn);
        self.choice(offer, kid).map(|choice| Choice { is_probe: true, ..choice })
    }

    /// Notes that the credential was accepted. Returns the one that was in use before, if that is
    /// another one.
    pub(super) fn accept(&mut self, choice: &Choice) -> Option<Kid> {
        self.cools_until(&choice.kid)?;
        let turn = self.advance_turn();
        let outcomes = self.outcomes_mut(choice.kid);
        if choice.turn < outcomes.turn {
            // It was shown before it was refused.
            return None;
        }
        (outcomes.failures, outcomes.until, outcomes.turn) = (0, None, turn);
        let before = self.current.replace(choice.kid);
        before.filter(|before| *before != choice.kid)
    }

    /// Notes that the credential was refused: it cools down. The echo of a refusal that is known is
    /// no news.
    pub(super) fn reject(
        &mut self,
        choice: &Choice,
        now: SystemTime,
        cool_down: CoolDown,
    ) -> Refusal {
        let was_current = self.current == Some(choice.kid);
        let turn = self.advance_turn();
        let outcomes = self.outcomes_mut(choice.kid);
        let is_news = choice.turn >= outcomes.turn;
        if is_news {
            outcomes.failures = outcomes.failures.saturating_add(1);
            (outcomes.until, outcomes.turn) = (Some(cool_down.until(outcomes.failures, now)), turn);
        }
        Refusal { is_news, was_current }
    }

    /// Chooses the credential to try after `kid` was refused: one that does not cool down; `kid`
    /// again, if its refusal was an echo and it is accepted by now. If all cool down, it is another
    /// one, which may have been corrected. `None` if there is no other.
    pub(super) fn choose_after(
        &mut self,
        offer: &Offer,
        kid: &Kid,
        now: SystemTime,
        cool_down: CoolDown,
    ) -> Option<Choice> {
        let mut next = self.pick_available(offer, now, cool_down)?;
        if self.is_cooling(&next, now, cool_down) {
            let others = offer.iter().map(|(kid, _)| *kid).filter(|other| other != kid);
            next = others.min_by_key(|kid| self.cools_until(kid))?;
        }
        self.current = Some(next);
        self.choice(offer, next)
    }

    /// Returns whether every credential was refused, and cools down.
    pub(super) fn is_cooling_down(
        &self,
        offer: &Offer,
        now: SystemTime,
        cool_down: CoolDown,
    ) -> bool {
        offer.iter().all(|(kid, _)| self.is_cooling(kid, now, cool_down))
    }

    /// Returns the credential `kid` as a choice of now.
    pub(super) fn choice(&self, offer: &Offer, kid: Kid) -> Option<Choice> {
        let (kid, role) = *offer.iter().find(|(offered, _)| *offered == kid)?;
        Some(Choice { kid, role, turn: self.turn, is_probe: false })
    }

    fn is_cooling(&self, kid: &Kid, now: SystemTime, cool_down: CoolDown) -> bool {
        self.cools_until(kid).is_some_and(|until| !cool_down.is_over(until, now))
    }

    fn cools_until(&self, kid: &Kid) -> Option<SystemTime> {
        self.outcomes.iter().find(|outcomes| outcomes.kid == *kid)?.until
    }

    fn outcomes_mut(&mut self, kid: Kid) -> &mut Outcomes {
        let place = self.outcomes.iter().position(|outcomes| outcomes.kid == kid);
        let place = place.unwrap_or_else(|| {
            self.outcomes.push(Outcomes { kid, failures: 0, until: None, turn: 0 });
            self.outcomes.len() - 1
        });
        &mut self.outcomes[place]
    }

    fn advance_turn(&mut self) -> u64 {
        self.turn += 1;
        self.turn
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::UNIX_EPOCH;

    const COOL_DOWN: CoolDown =
        CoolDown { first: Duration::from_secs(30), longest: Duration::from_secs(100) };

    fn offer() -> Offer {
        let kid = |name: &str| name.parse().unwrap();
        vec![(kid("a"), Role::Primary), (kid("b"), Role::Staged), (kid("c"), Role::Fallback)]
    }

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_800_000_000 + seconds)
    }

    fn choose_at(selector: &mut Selector, now: u64) -> (String, bool) {
        let choice = selector.choose(&offer(), at(now), COOL_DOWN).unwrap();
        (choice.kid.to_string(), choice.is_probe)
    }

    #[test]
    fn a_refused_credential_cools_down_for_longer_each_time_and_is_probed_by_one() {
        let mut selector = Selector::default();
        let first = selector.choose(&offer(), at(0), COOL_DOWN).unwrap();
        assert_eq!(first.kid, *"a");
        assert!(selector.reject(&first, at(0), COOL_DOWN).is_news);
        let mut now = 0;
        for rest in [30, 60, 100, 100, 100] {
            assert_eq!(choose_at(&mut selector, now + rest - 1), ("b".to_owned(), false));
            let probe = selector.choose(&offer(), at(now + rest), COOL_DOWN).unwrap();
            assert!(probe.kid == *"a" && probe.is_probe);
            // All others go on, for as long as this one may take.
            assert_eq!(choose_at(&mut selector, now + rest), ("b".to_owned(), false));
            now += rest;
            assert!(selector.reject(&probe, at(now), COOL_DOWN).is_news);
            let next = selector.choose_after(&offer(), &probe.kid, at(now), COOL_DOWN).unwrap();
            assert_eq!(next.kid, *"b");
        }
        let probe = selector.choose(&offer(), at(now + 100), COOL_DOWN).unwrap();
        assert_eq!(selector.accept(&probe), Some("b".parse().unwrap()));
        assert_eq!(choose_at(&mut selector, now + 100), ("a".to_owned(), false));
    }

    #[test]
    fn late_news_is_no_news() {
        let mut selector = Selector::default();
        let early = selector.choose(&offer(), at(0), COOL_DOWN).unwrap();
        assert!(selector.reject(&early, at(0), COOL_DOWN).is_news);
        // A thousand that were under way, some of which were taken before it was revoked.
        for _ in 0..1000 {
            assert!(!selector.reject(&early, at(1), COOL_DOWN).is_news);
            assert_eq!(selector.accept(&early), None);
        }
        assert_eq!(choose_at(&mut selector, 1), ("b".to_owned(), false));
        let probe = selector.choose(&offer(), at(30), COOL_DOWN).unwrap();
        assert!(probe.is_probe, "its rest did not grow");
        selector.accept(&probe);
        // The same, after it has recovered.
        let echo = selector.reject(&early, at(31), COOL_DOWN);
        assert!(!echo.is_news);
        assert_eq!(
            selector.choose_after(&offer(), &early.kid, at(31), COOL_DOWN).unwrap().kid,
            *"a"
        );
        assert_eq!(choose_at(&mut selector, 31), ("a".to_owned(), false));
    }

    #[test]
    fn where_all_cool_down_each_is_shown_in_turn() {
        let mut selector = Selector::default();
        let mut shown = selector.choose(&offer(), at(0), COOL_DOWN).unwrap();
        // The next good one; then one that had been refused, which may have been mended.
        for (now, next) in [(0, "b"), (5, "c"), (10, "a"), (11, "b")] {
            assert!(!selector.is_cooling_down(&offer(), at(now), COOL_DOWN) || now == 11);
            selector.reject(&shown, at(now), COOL_DOWN);
            shown = selector.choose_after(&offer(), &shown.kid, at(now), COOL_DOWN).unwrap();
            assert_eq!(shown.kid, *next);
        }
        let alone = vec![offer()[0]];
        assert_eq!(selector.choose_after(&alone, &alone[0].0, at(11), COOL_DOWN), None);
        assert_eq!(choose_at(&mut selector, 12), ("b".to_owned(), false));
        let shown = selector.choose(&offer(), at(12), COOL_DOWN).unwrap();
        selector.accept(&shown);
        assert_eq!(choose_at(&mut selector, 13), ("b".to_owned(), false));
    }

    #[test]
    fn a_clock_that_jumps_back_ends_every_cool_down() {
        let mut selector = Selector::default();
        let shown = selector.choose(&offer(), at(1_000_000), COOL_DOWN).unwrap();
        selector.reject(&shown, at(1_000_000), COOL_DOWN);
        let shown = selector.choose(&offer(), at(0), COOL_DOWN).unwrap();
        assert!(shown.kid == *"a" && shown.is_probe);
    }

    #[test]
    fn a_credential_that_left_the_ring_is_not_shown() {
        let mut selector = Selector::default();
        let shown = selector.choose(&offer(), at(0), COOL_DOWN).unwrap();
        selector.reject(&shown, at(0), COOL_DOWN);
        assert_eq!(choose_at(&mut selector, 1), ("b".to_owned(), false));
        let left: Offer = offer().into_iter().filter(|(kid, _)| *kid != *"b").collect();
        assert_eq!(selector.choose(&left, at(1), COOL_DOWN).unwrap().kid, *"c");
        assert_eq!(selector.choose(&Vec::new(), at(1), COOL_DOWN), None);
    }
}
