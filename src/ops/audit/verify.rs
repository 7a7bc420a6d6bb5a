//! Whether a trail is as it was written: a walk over its lines, from the first on.

use super::chain::MAX_FORGED;
use super::error::{AuditError, Forged, Problem, Verification};
use super::key::{AuditKey, Found, check, hash, signed};
use super::line::{self, Link};
use super::segments::as_text;
use super::torn::is_torn;
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

/// The end of a trail, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// No head was ever written, or it was removed.
    Missing,
    /// The head was changed, or is under a key that the ring does not hold.
    Unreadable,
    At(Head),
}

impl End {
    /// Returns what a look at the head came to.
    pub(super) fn of(head: Result<Option<Head>, AuditError>) -> Result<Self, AuditError> {
        match head {
            Err(AuditError::Broken { .. }) => Ok(Self::Unreadable),
            head => Ok(Self::from(head?)),
        }
    }

    pub(super) fn head(self) -> Option<Head> {
        match self {
            Self::At(head) => Some(head),
            Self::Missing | Self::Unreadable => None,
        }
    }
}

impl From<Option<Head>> for End {
    fn from(head: Option<Head>) -> Self {
        head.map_or(Self::Missing, Self::At)
    }
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

/// A walk over the lines of a trail.
pub(super) struct Walk<'r> {
    ring: &'r KeyRing<AuditKey>,
    head: Option<Head>,
    is_unreadable: bool,
    /// How many records hold so far.
    records: u64,
    last: Option<[u8; 32]>,
    /// Whether the hash of the line that the head names was as it says.
    reached_head: bool,
    /// Lines since the last record that are none so far, and what is wrong if they were one.
    suspects: Vec<(String, Problem)>,
    forged: Vec<Forged>,
    /// The record that should have come, while it is looked for further on.
    missing: Option<u64>,
    /// A record that does not follow on the one before, with its hash: which of the two is
    /// another's, the next one tells.
    unlinked: Option<(u64, [u8; 32])>,
    /// Since which record nothing but a revoked key vouches.
    revoked: Option<(u64, Kid)>,
    /// The keys whose revocation a record before says.
    ended: Vec<Kid>,
    /// The first record that such a key signed all the same: nothing vouches for it.
    late: Option<(u64, Kid)>,
    problem: Option<Problem>,
}

impl<'r> Walk<'r> {
    pub(super) fn new(ring: &'r KeyRing<AuditKey>, end: End) -> Self {
        let head = end.head();
        Self {
            ring,
            head,
            is_unreadable: end == End::Unreadable,
            records: 0,
            last: None,
            reached_head: head.is_some_and(|head| head.n == 0),
            suspects: Vec::new(),
            forged: Vec::new(),
            missing: None,
            unlinked: None,
            revoked: None,
            ended: Vec::new(),
            late: None,
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
                self.ended.extend(own.record.revokes(self.ring.name()));
                own
            }
            (Some(own), Found::UnderRevoked(kid)) => {
                self.revoked.get_or_insert((own.link.n, kid));
                if self.ended.contains(&kid) {
                    self.late.get_or_insert((own.link.n, kid));
                }
                own
            }
            (Some(own), Found::Unknown(kid)) => {
                return self.suspect(text, Problem::UnknownKey { n: own.link.n, kid });
            }
            _ => return self.suspect(text, Problem::Changed { n: next }),
        };
        if let Some(missing) = self.missing {
            return (own.link.n == missing).then_some(Problem::Moved { n: missing });
        }
        if own.link.n > next {
            let changed = self.suspects.first().map(|(_, problem)| problem.clone());
            if changed.is_none() {
                self.missing = Some(next);
            }
            return changed;
        }
        if own.link.n < next {
            return Some(Problem::Moved { n: own.link.n });
        }
        if own.link.prev != self.last {
            self.unlinked = Some((next, hash(text)));
            return None;
        }
        // The record that should come is there, so what was before it is none.
        self.forge();
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

    /// Takes a line that is no record, whatever it says.
    #[cfg(feature = "postgres")]
    pub(super) fn stray(&mut self, text: &str) -> bool {
        let n = self.records.saturating_add(1);
        if self.problem.is_none() {
            self.suspect(text, Problem::Changed { n });
        }
        self.problem.is_none()
    }

    fn suspect(&mut self, text: &str, problem: Problem) -> Option<Problem> {
        if self.missing.is_none() && self.suspects.len() < MAX_FORGED {
            self.suspects.push((text.to_owned(), problem));
        }
        None
    }

    /// The lines since the last record are known to be none.
    fn forge(&mut self) {
        for (line, _) in self.suspects.drain(..) {
            if self.forged.len() < MAX_FORGED {
                self.forged.push(Forged { after: self.records, line });
            }
        }
    }

    /// After the last line; `rest` is what is after its end.
    pub(super) fn finish(mut self, rest: &[u8]) -> Verification {
        let text = as_text(rest);
        let next = Link { n: self.records.saturating_add(1), prev: self.last };
        let is_torn = !rest.is_empty() && self.suspects.is_empty() && is_torn(rest, next);
        if !rest.is_empty() && !is_torn {
            // A record of which only the line end is missing, or a forged line.
            self.line(&text);
        }
        let missed = self.problem.take().or_else(|| self.missed(!rest.is_empty()));
        if missed.is_none() {
            self.forge();
        }
        // A forged line was put before whatever else is wrong.
        let forged = self.forged.first().map(|own| Problem::Forged { after: own.after });
        let problem = forged.or(missed);
        Verification { records: self.records, problem, is_torn, forged: self.forged }
    }

    fn missed(&self, has_rest: bool) -> Option<Problem> {
        if let Some(n) = self.missing {
            return Some(Problem::Removed { n });
        }
        if self.unlinked.is_some() {
            return self.foreign(self.head.and_then(|head| head.hash));
        }
        let head = match self.head {
            Some(head) => head,
            None => {
                let has_nothing = self.records == 0 && self.suspects.is_empty() && !has_rest;
                return (!has_nothing || self.is_unreadable).then_some(Problem::NoHead);
            }
        };
        if !self.reached_head {
            let found = self.records;
            // A last line that is none was a record once.
            return Some(match self.suspects.first() {
                Some((_, problem)) if head.n == found.saturating_add(1) => problem.clone(),
                _ => Problem::Truncated { expected: head.n, found },
            });
        }
        let revoked = match head.revoked {
            Some(kid) if head.n == self.records => self.revoked.or(Some((head.n, kid))),
            _ => self.revoked,
        };
        self.late.or(revoked).map(|(n, kid)| Problem::RevokedKey { n, kid })
    }
}
