//! Verification of a whole trail: a walk over its lines, from the first on.
//!
//! The walk is at one [`Cursor`], which each line moves. A line is a record if its MAC holds, its
//! number comes next, and it names the hash of the record before. A line that is none is only
//! known to be forged once the record comes that should be there; until then it may be that
//! record, changed.

use super::head::{Head, TrailEnd};
use super::key::{AuditKey, MacOutcome, check, hash};
use super::line::{self, Line, Link};
use super::lines::as_text;
use super::problem::{Forged, MAX_FORGED, Problem, Verification};
use super::torn::is_torn;
use crate::kid::Kid;
use crate::ring::KeyRing;

/// A walk over the lines of a trail.
pub(super) struct Walk<'r> {
    ring: &'r KeyRing<AuditKey>,
    end: TrailEnd,
    /// The number of records that hold so far.
    records: u64,
    /// The hash of the last of them.
    last: Option<[u8; 32]>,
    cursor: Cursor,
    revoked: RevokedSigners,
    forged: Vec<Forged>,
}

/// The state of a walk between two lines.
enum Cursor {
    /// The line before is the last record that holds, or there is none yet.
    Linked,
    /// These lines came since the last record, at least one: none of them is a record so far.
    Suspect { lines: Vec<Suspect> },
    /// Record `n` should have come, and a later one did: the walk looks for it further on.
    Missing { n: u64 },
    /// Record `n`, which has this hash, does not follow on the one before: the next line shows
    /// which of the two is foreign.
    Foreign { n: u64, hash: [u8; 32], is_after_suspects: bool },
    /// The trail is broken: nothing more can be learned.
    Broken(Problem),
}

/// A line that is no record so far.
struct Suspect {
    text: String,
    /// The problem, if the line was a record once.
    problem: Problem,
}

impl Cursor {
    /// Adds a line that is no record to those since the last one.
    fn suspect(mut lines: Vec<Suspect>, text: &str, problem: Problem) -> Self {
        if lines.len() < MAX_FORGED {
            lines.push(Suspect { text: text.to_owned(), problem });
        }
        Self::Suspect { lines }
    }

    /// Returns whether half a record after the last line may have been left by its writer.
    fn is_torn_end_allowed(&self) -> bool {
        match self {
            Self::Linked | Self::Missing { .. } => true,
            Self::Foreign { is_after_suspects, .. } => !is_after_suspects,
            // Half a record is reported beside the break.
            Self::Broken(_) => true,
            Self::Suspect { .. } => false,
        }
    }
}

impl<'r> Walk<'r> {
    pub(super) fn new(ring: &'r KeyRing<AuditKey>, end: TrailEnd) -> Self {
        Self {
            ring,
            end,
            records: 0,
            last: None,
            cursor: Cursor::Linked,
            revoked: RevokedSigners::default(),
            forged: Vec::new(),
        }
    }

    /// Takes the next line; false, once nothing more can be learned.
    pub(super) fn take_line(&mut self, text: &str) -> bool {
        self.cursor = match std::mem::replace(&mut self.cursor, Cursor::Linked) {
            Cursor::Linked => self.follow(Vec::new(), text),
            Cursor::Suspect { lines } => self.follow(lines, text),
            Cursor::Missing { n } => self.seek(n, text),
            Cursor::Foreign { n, hash, .. } => {
                let next = line::parse(text).and_then(|line| line.link.prev);
                Cursor::Broken(foreign(n, hash, next))
            }
            Cursor::Broken(problem) => Cursor::Broken(problem),
        };
        !matches!(self.cursor, Cursor::Broken(_))
    }

    /// Takes a line that is no record, whatever it says.
    #[cfg(feature = "store-postgres")]
    pub(super) fn take_stray(&mut self, text: &str) -> bool {
        let changed = Problem::Changed { n: self.next() };
        self.cursor = match std::mem::replace(&mut self.cursor, Cursor::Linked) {
            Cursor::Linked => Cursor::suspect(Vec::new(), text, changed),
            Cursor::Suspect { lines } => Cursor::suspect(lines, text, changed),
            Cursor::Foreign { n, hash, .. } => Cursor::Foreign { n, hash, is_after_suspects: true },
            cursor @ (Cursor::Missing { .. } | Cursor::Broken(_)) => cursor,
        };
        !matches!(self.cursor, Cursor::Broken(_))
    }

    /// Takes the line after the last record and the lines `suspects`, which may be the next one.
    fn follow(&mut self, suspects: Vec<Suspect>, text: &str) -> Cursor {
        let next = self.next();
        let link = match self.read(text) {
            Ok(line) => line.link,
            Err(problem) => return Cursor::suspect(suspects, text, problem),
        };
        if link.n > next {
            return match suspects.into_iter().next() {
                Some(suspect) => Cursor::Broken(suspect.problem),
                None => Cursor::Missing { n: next },
            };
        }
        if link.n < next {
            return Cursor::Broken(Problem::Moved { n: link.n });
        }
        if link.prev != self.last {
            let is_after_suspects = !suspects.is_empty();
            return Cursor::Foreign { n: next, hash: hash(text), is_after_suspects };
        }
        // The record that should come is there, so no line before it is one.
        self.forge(suspects);
        self.accept(next, hash(text))
    }

    /// Takes the next record, and compares it with the head if it is the one that the head names.
    fn accept(&mut self, n: u64, hash: [u8; 32]) -> Cursor {
        (self.records, self.last) = (n, Some(hash));
        match self.end.head() {
            Some(head) if head.n == n && head.hash != Some(hash) => {
                Cursor::Broken(Problem::Changed { n })
            }
            _ => Cursor::Linked,
        }
    }

    /// Looks whether `text` is record `n`, which should have come before.
    fn seek(&mut self, n: u64, text: &str) -> Cursor {
        match self.read(text) {
            Ok(line) if line.link.n == n => Cursor::Broken(Problem::Moved { n }),
            _ => Cursor::Missing { n },
        }
    }

    /// Reads a line whose MAC holds; if there is none, returns the problem that the line has if
    /// it was a record.
    fn read(&mut self, text: &str) -> Result<Line, Problem> {
        let changed = Problem::Changed { n: self.next() };
        let Some(line) = line::parse(text) else { return Err(changed) };
        match check(self.ring, text) {
            MacOutcome::Holds => self.revoked.add_good(line.record.revokes(self.ring.name())),
            MacOutcome::UnderRevoked(kid) => self.revoked.add_revoked(line.link.n, kid),
            MacOutcome::Unknown(kid) => return Err(Problem::UnknownKey { n: line.link.n, kid }),
            MacOutcome::Wrong => return Err(changed),
        }
        Ok(line)
    }

    /// The number of the record that should come next.
    fn next(&self) -> u64 {
        self.records.saturating_add(1)
    }

    /// Keeps the lines since the last record, which are known to be no records.
    fn forge(&mut self, suspects: Vec<Suspect>) {
        for suspect in suspects {
            if self.forged.len() < MAX_FORGED {
                self.forged.push(Forged { after: self.records, line: suspect.text });
            }
        }
    }

    /// Ends the walk after the last line; `rest` is what is after its line end.
    pub(super) fn finish(mut self, rest: &[u8]) -> Verification {
        let text = as_text(rest);
        let next = Link { n: self.next(), prev: self.last };
        let is_torn = !rest.is_empty() && self.cursor.is_torn_end_allowed() && is_torn(rest, next);
        if !rest.is_empty() && !is_torn {
            // A record of which only the line end is missing, or a forged line.
            self.take_line(&text);
        }
        let has_lines = self.records > 0 || !rest.is_empty();
        let head = self.end.head();
        let (problem, suspects) = match std::mem::replace(&mut self.cursor, Cursor::Linked) {
            Cursor::Broken(problem) => (Some(problem), Vec::new()),
            Cursor::Missing { n } => (Some(Problem::Removed { n }), Vec::new()),
            Cursor::Foreign { n, hash, .. } => {
                (Some(foreign(n, hash, head.and_then(|head| head.hash))), Vec::new())
            }
            Cursor::Linked => (self.check_end(has_lines, None), Vec::new()),
            Cursor::Suspect { lines } => {
                let problem = lines.first().map(|suspect| &suspect.problem);
                (self.check_end(true, problem), lines)
            }
        };
        if problem.is_none() {
            self.forge(suspects);
        }
        // A forged line was put before whatever else is wrong.
        let forged = self.forged.first().map(|line| Problem::Forged { after: line.after });
        let problem = forged.or(problem);
        Verification { records: self.records, problem, is_torn, forged: self.forged }
    }

    /// Compares the records with the signed end. `suspect` is the problem of the first line after
    /// the last record, if there is one and it was a record once.
    fn check_end(&self, has_lines: bool, suspect: Option<&Problem>) -> Option<Problem> {
        let Some(head) = self.end.head() else {
            return (has_lines || self.end == TrailEnd::Unreadable).then_some(Problem::NoHead);
        };
        let found = self.records;
        if found < head.n {
            return Some(match suspect {
                // The last record is there, and was changed.
                Some(problem) if head.n == self.next() => problem.clone(),
                _ => Problem::Truncated { expected: head.n, found },
            });
        }
        self.revoked.problem(head, found)
    }
}

/// Finds which of two records that do not follow on each other is not of this trail: record `n`,
/// which has this hash, or the one before. It is the one that the line after both, which names
/// the hash `next`, does not follow on.
fn foreign(n: u64, hash: [u8; 32], next: Option<[u8; 32]>) -> Problem {
    let is_followed = next == Some(hash) && n > 1;
    Problem::Changed { n: if is_followed { n - 1 } else { n } }
}

/// Records that a revoked key signed.
#[derive(Default)]
struct RevokedSigners {
    /// The keys whose revocation a record before says.
    recorded: Vec<Kid>,
    /// The first record that nothing but a revoked key vouches for, with that key.
    unvouched: Option<(u64, Kid)>,
    /// The first record under a key whose revocation was recorded before: nothing vouches for it.
    late: Option<(u64, Kid)>,
}

impl RevokedSigners {
    /// Adds a record of a key that is not revoked: it vouches for all before it. `revoked` is the
    /// key whose revocation it records.
    fn add_good(&mut self, revoked: Option<Kid>) {
        self.unvouched = None;
        self.recorded.extend(revoked);
    }

    /// Adds record `n` under the revoked key `kid`.
    fn add_revoked(&mut self, n: u64, kid: Kid) {
        self.unvouched.get_or_insert((n, kid));
        if self.recorded.contains(&kid) {
            self.late.get_or_insert((n, kid));
        }
    }

    /// Returns the first record that nothing vouches for; `head` vouches as the last of `records`
    /// does.
    fn problem(&self, head: Head, records: u64) -> Option<Problem> {
        let unvouched = match head.revoked {
            Some(kid) if head.n == records => self.unvouched.or(Some((head.n, kid))),
            _ => self.unvouched,
        };
        self.late.or(unvouched).map(|(n, kid)| Problem::RevokedKey { n, kid })
    }
}
