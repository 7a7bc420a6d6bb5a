//! A query, asked of the lines of a trail from the last one back.

use std::collections::HashMap;

use super::action::{Action, Outcome};
use super::chain::{Chain, ChainRecord};
use super::head::TrailEnd;
use super::key::{AuditKey, MacOutcome, check};
use super::line::{self, Line};
use super::problem::Problem;
use super::query::{Entry, Filter, Listing, Query, merge_imported};
use crate::kid::Kid;
use crate::lifecycle::KeyState;
use crate::ring::KeyRing;

/// Looks for the records of a query among the lines of a trail, which it is given from the last
/// one back. It believes only those that are records of the chain.
pub(super) struct Search<'a> {
    chain: Chain<'a>,
    wanted: Wanted<'a>,
}

struct Wanted<'a> {
    ring: &'a KeyRing<AuditKey>,
    query: &'a Query,
    filter: Filter,
    take: usize,
    found: Vec<Entry>,
    /// Those that happened before what was written after them.
    imported: Vec<Entry>,
    problem: Option<Problem>,
    late: &'a Late,
}

/// The keys of the audit that were revoked, each with the record that says so: what comes after
/// that under such a key was never signed by an honest writer.
#[derive(Default)]
pub(super) struct Late(HashMap<Kid, u64>);

impl Late {
    /// Returns whether the ring has a revoked key, so that a search needs this.
    pub(super) fn is_needed(ring: &KeyRing<AuditKey>) -> bool {
        ring.keys().iter().any(|key| matches!(key.state, KeyState::Revoked))
    }

    /// The query by which they are found.
    pub(super) fn query(ring: &KeyRing<AuditKey>) -> Query {
        let query = Query::new().secret(ring.name()).outcome(Outcome::Success);
        query.action(Action::REVOKED).action(Action::EMERGENCY_ROTATED)
    }

    pub(super) fn from_listing(ring: &KeyRing<AuditKey>, found: &Listing) -> Self {
        let set = ring.load();
        let is_live = |kid: &Kid| set.key(kid).is_some_and(|key| key.revoked().is_none());
        let mut revocations = HashMap::new();
        // The newest first, so that the oldest counts.
        for entry in found.records.iter().filter(|entry| is_live(&entry.signer)) {
            revocations.extend(entry.record.revokes(ring.name()).map(|kid| (kid, entry.n)));
        }
        Self(revocations)
    }

    fn is_revoked_before(&self, n: u64, signer: &Kid) -> bool {
        self.0.get(signer).is_some_and(|revoked| n > *revoked)
    }
}

impl<'a> Search<'a> {
    pub(super) fn new(
        ring: &'a KeyRing<AuditKey>,
        end: TrailEnd,
        query: &'a Query,
        late: &'a Late,
    ) -> Self {
        let wanted = Wanted {
            ring,
            query,
            filter: query.filter(),
            take: query.take.unwrap_or(usize::MAX),
            found: Vec::new(),
            imported: Vec::new(),
            problem: None,
            late,
        };
        Self { chain: Chain::new(ring, end), wanted }
    }

    /// Returns whether nothing more is asked for.
    pub(super) fn is_done(&self) -> bool {
        self.wanted.found.len() >= self.wanted.take || self.wanted.problem.is_some()
    }

    /// Takes the line before the last one.
    pub(super) fn take_line(&mut self, text: &str) {
        let Self { chain, wanted } = self;
        chain.take_line(text, &mut |link| wanted.take_record(&link));
    }

    /// Returns what was found; `is_whole`, if there is no line before the last one. `rest` is what
    /// is after the last line end.
    pub(super) fn finish(mut self, is_whole: bool, rest: &[u8]) -> Listing {
        let Self { chain, wanted } = &mut self;
        let problem = chain.finish(is_whole, &mut |link| wanted.take_record(&link));
        let problem = problem.or_else(|| chain.take_rest(rest));
        let Wanted { found, imported, take, .. } = self.wanted;
        Listing {
            records: merge_imported(found, imported, take),
            forged: self.chain.forged,
            problem: self.wanted.problem.or(problem),
        }
    }
}

impl Wanted<'_> {
    /// Keeps a record of the chain, if it is asked for.
    fn take_record(&mut self, link: &ChainRecord<'_>) {
        if self.found.len() >= self.take || !self.filter.is_match(link.text) {
            return;
        }
        let Some(Line { record, signer, .. }) = line::parse(link.text) else {
            // It is a record of the chain, and this version does not read it.
            self.problem = Some(Problem::Changed { n: link.n });
            return;
        };
        let lacks_revision = self.query.is_of_steps && record.revision.is_none();
        let is_vouched = link.is_vouched && !self.late.is_revoked_before(link.n, &signer);
        if lacks_revision || (self.query.needs_voucher && !is_vouched) {
            return;
        }
        let problem = match check(self.ring, link.text) {
            MacOutcome::Holds | MacOutcome::UnderRevoked(_) => None,
            MacOutcome::Unknown(kid) => Some(Problem::UnknownKey { n: link.n, kid }),
            MacOutcome::Wrong => Some(Problem::Changed { n: link.n }),
        };
        if problem.is_some() {
            self.problem = problem;
            return;
        }
        let into = match record.imported_at {
            None => &mut self.found,
            Some(_) => &mut self.imported,
        };
        into.push(Entry { n: link.n, record, signer, is_vouched });
    }
}
