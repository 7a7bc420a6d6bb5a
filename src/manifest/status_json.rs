//! The status of a key as JSON: the one form in which the command line and the status page show it.

use std::time::SystemTime;

use serde::Serialize;

use crate::evidence::Verdict;
use crate::lifecycle::KeyState;

/// The status of a key as JSON, with moments of the type `T`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct KeyJson<T> {
    pub(crate) kid: String,
    /// The environment variable that it was read from, if it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) variable: Option<String>,
    pub(crate) state: &'static str,
    /// The moment from which it signs.
    pub(crate) signs_from: Option<T>,
    pub(crate) verifies_until: Option<T>,
    /// The verdict on an old key.
    pub(crate) verdict: Option<VerdictJson<T>>,
}

/// Returns the end that is written of a key: none if it is revoked, because it verifies nothing.
pub(crate) fn written_end(
    state: KeyState,
    verifies_until: Option<SystemTime>,
) -> Option<SystemTime> {
    verifies_until.filter(|_| state != KeyState::Revoked)
}

/// A verdict as JSON, with moments of the type `T`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct VerdictJson<T> {
    /// `safe`, `wait` or `blocked`.
    pub(crate) answer: &'static str,
    /// The moment until which the key is needed, if that is known.
    pub(crate) until: Option<T>,
    /// The obstacles, in sentences.
    pub(crate) reasons: Vec<String>,
}

impl<T> VerdictJson<T> {
    /// The form of `verdict`; `time` converts a moment from which something holds.
    pub(crate) fn new(verdict: &Verdict, time: impl FnOnce(SystemTime) -> T) -> Self {
        let (answer, until, obstacles) = match verdict {
            Verdict::Safe => ("safe", None, [].as_slice()),
            Verdict::Wait { until } => ("wait", Some(time(*until)), [].as_slice()),
            Verdict::Blocked(obstacles) => ("blocked", None, obstacles.as_slice()),
        };
        Self { answer, until, reasons: obstacles.iter().map(ToString::to_string).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Obstacle;

    #[test]
    fn a_revoked_key_has_no_end_that_lies_ahead() {
        let end = Some(SystemTime::UNIX_EPOCH);
        assert_eq!(written_end(KeyState::Revoked, end), None);
        assert_eq!(written_end(KeyState::Expired, end), end);
    }

    #[test]
    fn each_verdict_has_its_answer_and_its_reasons() {
        let at = SystemTime::UNIX_EPOCH;
        for (verdict, answer, until, reasons) in [
            (Verdict::Safe, "safe", None, 0),
            (Verdict::Wait { until: at }, "wait", Some(0), 0),
            (
                Verdict::Blocked(vec![Obstacle::NoInstance, Obstacle::NotRewrapped]),
                "blocked",
                None,
                2,
            ),
        ] {
            let json = VerdictJson::new(&verdict, |_| 0);
            assert_eq!((json.answer, json.until, json.reasons.len()), (answer, until, reasons));
        }
    }
}
