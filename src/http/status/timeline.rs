//! The life of a key as a bar: what it is from when to when, with now in the middle.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::model::{KeyDetails, Ring};

/// The width of a bar, in its own units.
pub(super) const WIDTH: u32 = 1000;

/// The part of time that is shown: as much behind as ahead.
#[derive(Clone, Copy)]
pub(super) struct Span {
    pub(super) from: SystemTime,
    pub(super) to: SystemTime,
}

/// What a key is for a part of the time that is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) state: &'static str,
    pub(super) x: u32,
    pub(super) width: u32,
}

impl Span {
    /// An overlap and a quarter to both sides, or as far as the next thing that is to happen.
    pub(super) fn for_ring(ring: &Ring) -> Self {
        let now = ring.now.0;
        let overlap = Duration::from_secs(ring.overlap_seconds.max(4));
        let ahead = ring
            .keys
            .iter()
            .flat_map(|key| [key.status.signs_from, key.status.verifies_until])
            .flatten()
            .filter_map(|moment| moment.0.duration_since(now).ok())
            .max()
            .unwrap_or_default();
        let margin = |length: Duration, part| length.saturating_add(length / part);
        let half = margin(overlap, 4).max(margin(ahead, 8).min(overlap.saturating_mul(4)));
        Self {
            from: now.checked_sub(half).unwrap_or(UNIX_EPOCH),
            to: now.checked_add(half).unwrap_or(now),
        }
    }

    fn x(self, moment: SystemTime) -> u32 {
        let whole = self.to.duration_since(self.from).unwrap_or_default().as_secs_f64();
        let part = moment.duration_since(self.from).unwrap_or_default().as_secs_f64();
        // Rounded, and within the bar.
        ((part / whole.max(1.0)).min(1.0) * f64::from(WIDTH)) as u32
    }

    /// The parts of the life of `key` that are in sight, from left to right.
    pub(super) fn segments(self, key: &KeyDetails) -> Vec<Segment> {
        // From when on it is what; each ends where the next begins.
        let mut turns = vec![(
            key.added_at.0,
            match key.status.signs_from {
                None if key.status.state == "staged" => "staged",
                None => "fallback",
                Some(_) => "staged",
            },
        )];
        turns.extend(key.status.signs_from.map(|from| (from.0, "primary")));
        turns.extend(key.superseded_at.map(|moment| (moment.0, "fallback")));
        turns.extend(key.status.verifies_until.map(|ends| (ends.0, "expired")));
        turns.extend(key.revoked.as_ref().map(|revoked| (revoked.at.0, "revoked")));
        // What is over takes the rest with it.
        let mut segments: Vec<Segment> = Vec::new();
        for (place, (begin, state)) in turns.iter().enumerate() {
            let later = turns[place + 1..].iter().map(|(moment, _)| *moment).min();
            let end = later.unwrap_or(self.to);
            let (x, end) = (self.x(*begin), self.x(end));
            if end > x {
                segments.push(Segment { state, x, width: end - x });
            }
        }
        segments
    }
}

#[cfg(test)]
mod tests {
    use super::super::model::Moment;
    use super::*;
    use crate::manifest::status_json::KeyJson;

    fn ring(now: SystemTime, overlap_seconds: u64, verifies_until: SystemTime) -> Ring {
        let key = KeyDetails {
            status: KeyJson {
                kid: "a".to_owned(),
                variable: None,
                state: "fallback",
                signs_from: Some(Moment(now)),
                verifies_until: Some(Moment(verifies_until)),
                verdict: None,
            },
            added_at: Moment(UNIX_EPOCH),
            superseded_at: Some(Moment(now)),
            revoked: None,
            last_as_fallback: None,
        };
        Ring {
            name: "ring".to_owned(),
            purpose: "jwt",
            now: Moment(now),
            advice: String::new(),
            warnings: Vec::new(),
            is_stale: false,
            is_fleet: false,
            generation: 1,
            revision: 1,
            fingerprint: String::new(),
            overlap_seconds,
            observation_window_seconds: overlap_seconds,
            next_transition: None,
            rotation_due: None,
            keys: vec![key],
            instances: Vec::new(),
            store: None,
        }
    }

    #[test]
    fn a_bar_of_any_length_at_any_time_is_within_its_width() {
        let last = Duration::from_secs(i64::MAX as u64);
        let moments = [Duration::ZERO, Duration::from_secs(1_800_000_000), last];
        let moments = moments.map(|since| UNIX_EPOCH + since);
        for (now, verifies_until) in
            moments.iter().flat_map(|one| moments.map(|other| (*one, other)))
        {
            for overlap in [0, 1, 3_155_760_000, u64::MAX / 4, u64::MAX] {
                let ring = ring(now, overlap, verifies_until);
                let span = Span::for_ring(&ring);
                assert!(span.from <= now && now <= span.to);
                let segments = span.segments(&ring.keys[0]);
                assert!(
                    segments.iter().all(|segment| segment.x + segment.width <= WIDTH),
                    "{segments:?}"
                );
            }
        }
    }
}
