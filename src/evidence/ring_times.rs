//! The times of the keys of a ring, with the verdicts that follow from them and from what was observed:
//! the same for a ring in memory and for a manifest in a store.

use std::time::SystemTime;

use crate::error::{Error, Obstacle};
use crate::evidence::key_evidence::KeyEvidence;
use crate::evidence::reports::{collect_evidence, rewraps};
use crate::evidence::retirement::{decide_verdict, expected_traffic};
use crate::evidence::window::UsageWindow;
use crate::evidence::{Report, Verdict};
use crate::fingerprint::Fingerprint;
use crate::kid::Kid;
use crate::lifecycle::life::Life;
use crate::lifecycle::terms::Terms;
use crate::lifecycle::timeline::{Timeline, superseded_since};
use crate::lifecycle::{KeyState, Role};

/// The times of the keys of a ring.
#[derive(Debug, Clone)]
pub(crate) struct RingTimes {
    pub(crate) lives: Vec<Life>,
    pub(crate) timeline: Timeline,
    pub(crate) terms: Terms,
}

/// The uses of keys that were observed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Observed<'a> {
    /// By this process alone.
    Process(&'a UsageWindow),
    /// By the instances that report. The ring has the `fingerprint`, and was last changed at `changed_at`.
    Fleet { reports: &'a [Report], fingerprint: Fingerprint, changed_at: SystemTime },
}

impl RingTimes {
    /// Returns the verdict on the key `kid`.
    ///
    /// # Errors
    /// [`Error::UnknownKey`].
    pub(crate) fn retirement(
        &self,
        kid: &Kid,
        observed: Observed<'_>,
        now: SystemTime,
    ) -> Result<Verdict, Error> {
        let index = self.index(kid)?;
        let evidence = self.evidence(index, observed, now);
        let rewraps: Vec<_> = match observed {
            Observed::Process(window) => window.rewrap.iter().collect(),
            Observed::Fleet { reports, .. } => rewraps(reports, &self.terms.policy, now),
        };
        let (lives, timeline, terms) = (&self.lives, &self.timeline, &self.terms);
        Ok(decide_verdict(lives, index, timeline, terms, evidence, &rewraps, now))
    }

    /// Returns the obstacle that the verdict on the fallback `kid` will have once its time is over, by
    /// what was observed until now.
    ///
    /// # Errors
    /// [`Error::UnknownKey`].
    pub(crate) fn expected_obstacle(
        &self,
        kid: &Kid,
        observed: Observed<'_>,
        now: SystemTime,
    ) -> Result<Option<Obstacle>, Error> {
        let index = self.index(kid)?;
        let state = self.timeline.state(index, &self.lives[index], now);
        if state != KeyState::Live(Role::Fallback) || !self.terms.purpose.needs_traffic() {
            return Ok(None);
        }
        let evidence = self.evidence(index, observed, now);
        Ok(expected_traffic(&evidence, &self.terms.policy, now))
    }

    /// Collects the evidence on the key at `index`.
    fn evidence(&self, index: usize, observed: Observed<'_>, now: SystemTime) -> KeyEvidence {
        let (kid, policy) = (&self.lives[index].kid, &self.terms.policy);
        let began = superseded_since(&self.lives, index, now);
        match observed {
            Observed::Process(window) => {
                window.key_evidence(kid, began, now, policy.observation_window)
            }
            Observed::Fleet { reports, fingerprint, changed_at } => {
                collect_evidence(reports, (kid, began), fingerprint, policy, changed_at, now)
            }
        }
    }

    fn index(&self, kid: &Kid) -> Result<usize, Error> {
        let index = self.lives.iter().position(|life| life.kid == *kid);
        index.ok_or(Error::UnknownKey { kid: *kid })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lifecycle::{Policy, SigningStart};
    use crate::purpose::Purpose;
    use std::time::{Duration, UNIX_EPOCH};

    const HOUR: Duration = Duration::from_secs(3600);

    fn kid(text: &str) -> Kid {
        text.parse().unwrap()
    }

    /// A primary, and a key that it superseded at `began`.
    fn times(purpose: Purpose, began: SystemTime) -> RingTimes {
        let life = |name, sequence, start| Life {
            signing_start: SigningStart::From(start),
            sequence,
            ..Life::new(kid(name), UNIX_EPOCH)
        };
        let lives = vec![life("old", 1, UNIX_EPOCH), life("new", 2, began)];
        let terms = Terms::new(purpose, Policy::default());
        let timeline = Timeline::new(&lives, began, &terms, "ring").unwrap();
        RingTimes { lives, timeline, terms }
    }

    #[test]
    fn a_process_and_its_report_alone_have_the_same_verdict() {
        let began = UNIX_EPOCH + HOUR * 10_000;
        let now = began + HOUR * 12;
        let window = UsageWindow::new(began);
        let fingerprint = Fingerprint::NONE;
        let reports = [Report {
            ring: "ring".to_owned(),
            fingerprint,
            observed_since: began,
            problem: None,
            ..Report::for_unreadable("web-1", now, "")
        }];
        let fleet = Observed::Fleet { reports: &reports, fingerprint, changed_at: began };
        for purpose in [Purpose::Jwt, Purpose::Envelope, Purpose::Audit] {
            let (times, mut found) = (times(purpose, began), Vec::new());
            for observed in [Observed::Process(&window), fleet] {
                let verdict = times.retirement(&kid("old"), observed, now).unwrap();
                let expected = times.expected_obstacle(&kid("old"), observed, now).unwrap();
                let is_traffic = matches!(expected, Some(Obstacle::TooLittleTraffic { .. }));
                found.push((verdict, is_traffic));
            }
            assert_eq!(found[0], found[1], "{purpose:?}");
            // Twelve hours are no whole window, and a key that signs has no verdict to come.
            assert!(!found[0].1, "{purpose:?}");
            let new = times.expected_obstacle(&kid("new"), fleet, now).unwrap();
            assert_eq!(new, None, "{purpose:?}");
        }
    }

    #[test]
    fn traffic_is_expected_for_a_fallback_whose_verdict_needs_it() {
        let began = UNIX_EPOCH + HOUR * 10_000;
        let now = began + HOUR * 25;
        let window = UsageWindow::new(began);
        for (purpose, name, is_expected) in [
            (Purpose::Jwt, "old", true),
            (Purpose::Jwt, "new", false),
            (Purpose::Envelope, "old", false),
            (Purpose::Audit, "old", false),
        ] {
            let times = times(purpose, began);
            let expected = times.expected_obstacle(&kid(name), Observed::Process(&window), now);
            assert_eq!(expected.unwrap().is_some(), is_expected, "{purpose:?}, {name}");
        }
    }

    #[test]
    fn a_key_that_the_ring_has_not_is_unknown() {
        let (now, other) = (UNIX_EPOCH + HOUR * 10_000, kid("other"));
        let window = UsageWindow::new(now);
        let (times, observed) = (times(Purpose::Jwt, now), Observed::Process(&window));
        let verdict = times.retirement(&other, observed, now).map(drop);
        let expected = times.expected_obstacle(&other, observed, now).map(drop);
        for result in [verdict, expected] {
            assert!(matches!(result, Err(Error::UnknownKey { kid }) if kid == other));
        }
    }
}
