//! Whether a trail is as it was written: a walk over its lines, from the first on.

use super::error::{AuditError, Problem, Verification};
use super::key::{AuditKey, Found, check, hash, last, signed};
use super::line;
use crate::encoding::{BASE64URL, exactly};
use crate::error::Error;
use crate::kid::Kid;
use crate::ring::KeyRing;

/// Where a trail ends: kept beside it, so that its last records cannot be cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Head {
    pub(super) n: u64,
    /// Of the last line; none, if there is no record.
    pub(super) hash: Option<[u8; 32]>,
    pub(super) revoked: Option<Kid>,
}

const HEAD: &str = "dualkey audit head v1";

impl Head {
    /// One line, which no record can be: those begin with a date.
    pub(super) fn write(&self, ring: &KeyRing<AuditKey>) -> Result<String, Error> {
        let hash = self.hash.map_or_else(|| "-".to_owned(), |own| BASE64URL.encode_to_string(own));
        signed(ring, &format!("{HEAD} | n={} | last={hash}", self.n))
    }

    /// What [`write`](Self::write) wrote, if that was this ring.
    pub(super) fn read(ring: &KeyRing<AuditKey>, text: &str) -> Option<Self> {
        let text = text.strip_suffix('\n').unwrap_or(text);
        let revoked = match check(ring, text) {
            Found::Holds => None,
            Found::UnderRevoked(kid) => Some(kid),
            Found::Unknown(_) | Found::Wrong => return None,
        };
        let (part, ..) = line::split(text)?;
        let (n, hash) = part.strip_prefix(HEAD)?.strip_prefix(" | n=")?.split_once(" | last=")?;
        let hash = match hash {
            "-" => None,
            hash => Some(exactly(hash.as_bytes())?),
        };
        Some(Self { n: n.parse().ok()?, hash, revoked })
    }
}

/// Where the trail ends whose last line is `tail`, and that the head is not ahead of it; none,
/// if there has never been a record.
pub(super) fn join(
    ring: &KeyRing<AuditKey>,
    head: Option<Head>,
    tail: Option<&str>,
) -> Result<Option<Head>, AuditError> {
    let broken = |problem| Err(AuditError::Broken { problem });
    let (head, tail) = match (head, tail) {
        (None, None) => return Ok(None),
        (None, Some(_)) => return broken(Problem::NoHead),
        (Some(Head { n: 0, .. }), None) => return Ok(Some(Head::default())),
        (Some(head), None) => return broken(Problem::Truncated { expected: head.n, found: 0 }),
        (Some(head), Some(tail)) => (head, tail),
    };
    let n = last(ring, tail, head.n)?.link.n;
    let own = hash(tail);
    if head.n > n {
        return broken(Problem::Truncated { expected: head.n, found: n });
    }
    if head.n == n && head.hash != Some(own) {
        return broken(Problem::Changed { n });
    }
    Ok(Some(Head { n, hash: Some(own), revoked: None }))
}

/// A walk over the lines of a trail.
pub(super) struct Walk<'r> {
    ring: &'r KeyRing<AuditKey>,
    head: Option<Head>,
    /// How many records hold so far.
    records: u64,
    last: Option<[u8; 32]>,
    /// Whether the hash of the line that the head names was as it says.
    reached_head: bool,
    torn: Vec<u64>,
    /// Whether the line before is none.
    is_suspect: bool,
    /// The record that should have come, while it is looked for further on.
    missing: Option<u64>,
    /// A record that does not follow on the one before, with its hash: which of the two is
    /// another's, the next one tells.
    unlinked: Option<(u64, [u8; 32])>,
    /// Since which record nothing but a revoked key vouches.
    revoked: Option<(u64, Kid)>,
    problem: Option<Problem>,
}

impl<'r> Walk<'r> {
    pub(super) fn new(ring: &'r KeyRing<AuditKey>, head: Option<Head>) -> Self {
        Self {
            ring,
            head,
            records: 0,
            last: None,
            reached_head: head.is_some_and(|head| head.n == 0),
            torn: Vec::new(),
            is_suspect: false,
            missing: None,
            unlinked: None,
            revoked: None,
            problem: None,
        }
    }

    /// Takes the next line; false, once nothing more can be learned.
    pub(super) fn line(&mut self, text: &str) -> bool {
        if self.problem.is_none() {
            self.problem = self.step(text);
        }
        self.problem.is_none()
    }

    fn step(&mut self, text: &str) -> Option<Problem> {
        if self.unlinked.is_some() {
            return self.foreign(line::parse(text).and_then(|own| own.link.prev));
        }
        let next = self.records.saturating_add(1);
        let (own, found) = (line::parse(text), check(self.ring, text));
        let own = match (own, found) {
            (Some(own), Found::Holds) => {
                self.revoked = None;
                own
            }
            (Some(own), Found::UnderRevoked(kid)) => {
                self.revoked.get_or_insert((own.link.n, kid));
                own
            }
            _ if self.missing.is_some() => return None,
            (Some(own), Found::Unknown(kid)) => {
                return Some(Problem::UnknownKey { n: own.link.n, kid });
            }
            (Some(_), Found::Wrong) => return Some(Problem::Changed { n: next }),
            // A line that was never finished, if the next record follows on the one before.
            (None, _) if !self.is_suspect => {
                self.is_suspect = true;
                return None;
            }
            (None, _) => return Some(Problem::Changed { n: next }),
        };
        if let Some(missing) = self.missing {
            return (own.link.n == missing).then_some(Problem::Moved { n: missing });
        }
        if own.link.n > next {
            match self.is_suspect {
                true => return Some(Problem::Changed { n: next }),
                false => self.missing = Some(next),
            }
            return None;
        }
        if own.link.n < next {
            return Some(Problem::Moved { n: own.link.n });
        }
        if own.link.prev != self.last {
            self.unlinked = Some((next, hash(text)));
            return None;
        }
        if std::mem::take(&mut self.is_suspect) {
            self.torn.push(self.records);
        }
        self.records = next;
        let own = hash(text);
        self.last = Some(own);
        if let Some(head) = self.head.filter(|head| head.n == next) {
            if head.hash != Some(own) {
                return Some(Problem::Changed { n: next });
            }
            self.reached_head = true;
        }
        None
    }

    /// Which of two records that do not follow on each other is not of this trail, by what comes
    /// after both of them: what that follows on is.
    fn foreign(&self, next: Option<[u8; 32]>) -> Option<Problem> {
        let (n, own) = self.unlinked?;
        let is_own = next == Some(own) && n > 1;
        Some(Problem::Changed { n: if is_own { n - 1 } else { n } })
    }

    /// After the last line; `is_torn`, if something stands after it that is none.
    pub(super) fn finish(mut self, is_torn: bool) -> Verification {
        let own = self.problem.take().or_else(|| self.missed(is_torn));
        if (is_torn || self.is_suspect) && own.is_none() {
            self.torn.push(self.records);
        }
        Verification { records: self.records, problem: own, torn: self.torn }
    }

    fn missed(&self, is_torn: bool) -> Option<Problem> {
        if let Some(n) = self.missing {
            return Some(Problem::Removed { n });
        }
        if self.unlinked.is_some() {
            return self.foreign(self.head.and_then(|head| head.hash));
        }
        let head = match self.head {
            Some(head) => head,
            None if self.records == 0 => return None,
            None => return Some(Problem::NoHead),
        };
        if !self.reached_head {
            let found = self.records;
            // A last line that is none was a record once.
            return Some(match self.is_suspect && !is_torn && head.n == found.saturating_add(1) {
                true => Problem::Changed { n: head.n },
                false => Problem::Truncated { expected: head.n, found },
            });
        }
        let revoked = match head.revoked {
            Some(kid) if head.n == self.records => self.revoked.or(Some((head.n, kid))),
            _ => self.revoked,
        };
        revoked.map(|(n, kid)| Problem::RevokedKey { n, kid })
    }
}
