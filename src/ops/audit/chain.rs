//! The chain of a trail, followed back from its signed end.
//!
//! The head is signed and holds the hash of the last record, and each record holds the hash of
//! the one before. So a line is a record of this trail only if its hash is the one that comes
//! next on the way back. Every other line is forged, whatever it says and whoever signed it.
//!
//! A writer that is killed between its records and the head leaves records beyond the head.
//! Those follow on it, one by one, each under its own MAC.

use super::head::{Head, TrailEnd};
use super::key::{AuditKey, MacOutcome, check, hash, is_genuine};
use super::line;
use super::lines::as_text;
use super::problem::{Forged, MAX_FORGED, Problem};
use super::torn::is_torn;
use crate::ring::KeyRing;

/// A record of the trail, on the way back.
pub(super) struct ChainRecord<'l> {
    pub(super) n: u64,
    pub(super) text: &'l str,
    /// True if a key that is not revoked signed it, or a later record, or the head.
    pub(super) is_vouched: bool,
}

/// The place that the way back has come to.
enum Position {
    /// Before the record that the head names: the lines so far, the last one first.
    BeyondHead(Vec<String>),
    /// This record comes next.
    Before { n: u64, hash: [u8; 32] },
    /// The first record was found.
    AtFirst,
}

/// The way back over the lines of a trail, from the last one on.
pub(super) struct Chain<'r> {
    ring: &'r KeyRing<AuditKey>,
    head: Option<Head>,
    is_unreadable: bool,
    place: Position,
    /// The number of lines kept that are no records, until the head is reached.
    kept: usize,
    is_vouched: bool,
    /// The end of the trail.
    end: Option<Head>,
    /// Lines since the last record that are none so far.
    strays: Vec<String>,
    /// True if one of them has the number of the record that comes next.
    is_changed: bool,
    pub(super) forged: Vec<Forged>,
}

impl<'r> Chain<'r> {
    pub(super) fn new(ring: &'r KeyRing<AuditKey>, end: TrailEnd) -> Self {
        Self {
            ring,
            head: end.head(),
            is_unreadable: end == TrailEnd::Unreadable,
            place: Position::BeyondHead(Vec::new()),
            kept: 0,
            is_vouched: false,
            end: None,
            strays: Vec::new(),
            is_changed: false,
            forged: Vec::new(),
        }
    }

    /// Takes the line before the last one, and passes on each record that it makes known.
    pub(super) fn take_line(&mut self, text: &str, pass: &mut dyn FnMut(ChainRecord<'_>)) {
        let line_hash = hash(text);
        match &mut self.place {
            Position::BeyondHead(lines) => match self.head {
                Some(head) if head.hash == Some(line_hash) => self.begin(Some(text), pass),
                // Only whether there are any counts.
                None if !lines.is_empty() => {}
                head => {
                    let may_follow = line::link(text)
                        .is_some_and(|link| head.is_some_and(|head| link.n >= head.n));
                    if may_follow || self.kept < MAX_FORGED {
                        self.kept += usize::from(!may_follow);
                        lines.push(text.to_owned());
                    }
                }
            },
            Position::Before { hash, .. } if *hash == line_hash => self.take_record(text, pass),
            Position::Before { n, .. } => {
                self.is_changed |= line::link(text).is_some_and(|link| link.n == *n);
                self.add_stray(text);
            }
            Position::AtFirst => self.add_stray(text),
        }
    }

    /// Returns where the trail ends, once that is known.
    pub(super) fn end(&self) -> Option<Head> {
        self.end
    }

    /// Ends the way back; `is_whole`, if there is no line before the last one. Returns what
    /// keeps the records from being known.
    pub(super) fn finish(
        &mut self,
        is_whole: bool,
        pass: &mut dyn FnMut(ChainRecord<'_>),
    ) -> Option<Problem> {
        if let Position::BeyondHead(lines) = &self.place
            && is_whole
        {
            match self.head {
                None if lines.is_empty() && !self.is_unreadable => return None,
                None => return Some(Problem::NoHead),
                Some(head) if head.n == 0 => self.begin(None, pass),
                Some(head) => return Some(find_loss(self.ring, head, lines)),
            }
        }
        match self.place {
            Position::Before { n, .. } if is_whole && self.is_changed => {
                Some(Problem::Changed { n })
            }
            Position::Before { n, .. } if is_whole => Some(Problem::Removed { n }),
            Position::AtFirst => {
                self.forge_strays(0);
                None
            }
            _ => None,
        }
    }

    /// Continues from the record that the head names, or from the beginning; beyond it are the
    /// records that follow on it.
    fn begin(&mut self, text: Option<&str>, pass: &mut dyn FnMut(ChainRecord<'_>)) {
        let Some(head) = self.head else { return };
        let Position::BeyondHead(lines) = std::mem::replace(&mut self.place, Position::AtFirst)
        else {
            return;
        };
        let (mut end, mut beyond) = (Head { revoked: None, ..head }, Vec::new());
        for text in lines.into_iter().rev() {
            let is_next = line::parse(&text).is_some_and(|line| {
                Some(line.link.n) == end.n.checked_add(1) && line.link.prev == end.hash
            });
            if is_next && is_genuine(self.ring, &text) {
                end = Head { n: end.n.saturating_add(1), hash: Some(hash(&text)), revoked: None };
                beyond.push(text);
            } else {
                self.add_stray(&text);
                self.forge_strays(end.n);
            }
        }
        self.end = Some(end);
        for (place, text) in beyond.iter().enumerate().rev() {
            let n = head.n.saturating_add(place as u64 + 1);
            self.check_voucher(text);
            pass(ChainRecord { n, text, is_vouched: self.is_vouched });
        }
        self.is_vouched |= head.revoked.is_none();
        if let Some(text) = text {
            self.take_record(text, pass);
        }
    }

    /// Takes the record that comes next.
    fn take_record(&mut self, text: &str, pass: &mut dyn FnMut(ChainRecord<'_>)) {
        // Its hash is the one that comes next, so it is as it was written.
        let Some(link) = line::link(text) else { return };
        self.forge_strays(link.n);
        self.check_voucher(text);
        pass(ChainRecord { n: link.n, text, is_vouched: self.is_vouched });
        self.place = match (link.n.checked_sub(1), link.prev) {
            (Some(n), Some(hash)) => Position::Before { n, hash },
            _ => Position::AtFirst,
        };
    }

    /// Takes what is after the last line end: half a record, or forged.
    pub(super) fn take_rest(&mut self, rest: &[u8]) -> Option<Problem> {
        if rest.is_empty() {
            return None;
        }
        let Some(end) = self.end else {
            return self.head.is_none().then_some(Problem::NoHead);
        };
        let next = line::Link { n: end.n.saturating_add(1), prev: end.hash };
        if !is_torn(rest, next) {
            self.forged.insert(0, Forged { after: end.n, line: as_text(rest).into_owned() });
        }
        None
    }

    /// Notes whether the key of this record vouches for it, and so for all before it.
    fn check_voucher(&mut self, text: &str) {
        self.is_vouched = self.is_vouched || check(self.ring, text) == MacOutcome::Holds;
    }

    fn add_stray(&mut self, text: &str) {
        if self.strays.len() < MAX_FORGED {
            self.strays.push(text.to_owned());
        }
    }

    /// Keeps the lines since the last record as forged: they are after record `after`.
    fn forge_strays(&mut self, after: u64) {
        self.is_changed = false;
        for line in self.strays.drain(..) {
            if self.forged.len() < MAX_FORGED {
                self.forged.push(Forged { after, line });
            }
        }
    }
}

/// Finds the problem with the record that `head` names, which is none of `lines`.
fn find_loss(ring: &KeyRing<AuditKey>, head: Head, lines: &[String]) -> Problem {
    if lines.iter().any(|text| line::link(text).is_some_and(|link| link.n == head.n)) {
        return Problem::Changed { n: head.n };
    }
    let before = |text: &String| line::link(text).map(|link| link.n).filter(|n| *n < head.n);
    let is_record = |text: &&String| before(text).is_some() && is_genuine(ring, text);
    let found = lines.iter().find(is_record).and_then(before).unwrap_or(0);
    Problem::Truncated { expected: head.n, found }
}
