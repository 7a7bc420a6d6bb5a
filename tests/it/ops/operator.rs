//! Steps and their records, where the store or the trail fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::SeqCst};

use dualkey::manifest::{Manifest, NewEntry};
use dualkey::ops::OpsError;
use dualkey::ops::audit::{
    Action, AuditError, AuditFuture, AuditKey, FileTrail, Guard, Listing, Outcome, Problem, Query,
    Record, Sink, Trail, Verification, import,
};
use dualkey::ops::rotate::Operator;
use dualkey::source::{FileStore, KeyStore, StoreError, StoreFuture, update};
use dualkey::{Clock, Error, KeyRing, ManualClock, NewKey, Policy, Purpose, Report, Secret};

use crate::support::secret;
use crate::support::shell::at;

/// What fails.
const NOTHING: u8 = 0;
/// To store: what was to be stored is not there.
const BEFORE: u8 = 1;
/// To say that it was stored, as when a connection is lost: it is there.
const AFTER: u8 = 2;
/// The same, and from then on it says nothing any more.
const CUT: u8 = 3;
/// To say anything.
const SILENT: u8 = 4;

#[derive(Debug, Clone)]
struct Flaky {
    store: FileStore,
    fails: Arc<AtomicU8>,
}

impl Flaky {
    fn lost(&self) -> StoreError {
        StoreError::Client { store: "flaky".to_owned(), source: "connection lost".into() }
    }
}

impl KeyStore for Flaky {
    fn load(&self) -> StoreFuture<'_, Manifest> {
        Box::pin(async {
            match self.fails.load(SeqCst) {
                SILENT => Err(self.lost()),
                _ => self.store.load().await,
            }
        })
    }

    fn compare_and_swap<'a>(&'a self, expected: u64, next: &'a Manifest) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            match self.fails.load(SeqCst) {
                NOTHING => self.store.compare_and_swap(expected, next).await,
                BEFORE => Err(self.lost()),
                fails => {
                    self.store.compare_and_swap(expected, next).await?;
                    self.fails.store(if fails == AFTER { NOTHING } else { SILENT }, SeqCst);
                    Err(self.lost())
                }
            }
        })
    }

    fn reports(&self) -> StoreFuture<'_, Vec<Report>> {
        self.store.reports()
    }
}

/// A trail that takes no record of one outcome.
#[derive(Debug)]
struct Deaf {
    trail: FileTrail,
    to: Outcome,
}

impl Sink for Deaf {
    fn append<'a>(&'a self, records: &'a [Record]) -> AuditFuture<'a, ()> {
        Box::pin(async move {
            if records.iter().any(|record| record.outcome == self.to) {
                Err(AuditError::Io {
                    path: "audit.log".into(),
                    source: std::io::Error::other("no space left"),
                })
            } else {
                self.trail.append(records).await
            }
        })
    }
}

impl Trail for Deaf {
    fn read<'a>(&'a self, query: &'a Query) -> AuditFuture<'a, Listing> {
        Trail::read(&self.trail, query)
    }

    fn is_empty(&self) -> AuditFuture<'_, bool> {
        Trail::is_empty(&self.trail)
    }

    fn verify(&self) -> AuditFuture<'_, Verification> {
        self.trail.verify()
    }

    fn ring(&self) -> &KeyRing<AuditKey> {
        self.trail.ring()
    }

    fn lock<'a>(&'a self, secret: &'a str) -> AuditFuture<'a, Guard> {
        self.trail.lock(secret)
    }
}

struct World {
    _folder: tempfile::TempDir,
    trail: FileTrail,
    store: Flaky,
    clock: ManualClock,
}

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ring = KeyRing::<AuditKey>::builder().primary(Secret::from(secret(0))).build().unwrap();
        let trail = FileTrail::new(folder.path().join("audit.log"), ring);
        let store = FileStore::new(folder.path().join("jwt.json"));
        let store = Flaky { store, fails: Arc::default() };
        let world = Self {
            _folder: folder,
            trail,
            store,
            clock: ManualClock::new(at("2026-01-15T10:00:00Z")),
        };
        let first = entry(1);
        let policy = Policy::default();
        world
            .operator()
            .create("JWT_SECRET", Purpose::Jwt, "production", policy, first)
            .await
            .unwrap();
        world
    }

    fn operator(&self) -> Operator {
        Operator::new(self.store.clone(), self.trail.clone(), "ada").clock(self.clock.clone())
    }

    fn fail(&self, fails: u8) {
        self.store.fails.store(fails, SeqCst);
    }

    /// What was told of stagings, the oldest first.
    fn recorded_outcomes(&self) -> Vec<Outcome> {
        let query = Query::new().action(Action::STAGED).with_started();
        let mut all = self.trail.find(&query).unwrap();
        all.reverse();
        assert!(self.trail.check().unwrap().is_whole());
        all.into_iter().map(|entry| entry.record.outcome).collect()
    }
}

fn entry(seed: u64) -> NewEntry {
    NewEntry::new(Secret::from(secret(seed)))
}

#[tokio::test]
async fn a_store_that_fails_leaves_a_record_of_what_is_there() {
    use Outcome::{Failed, Started, Success};

    let world = World::new().await;
    world.fail(BEFORE);
    assert!(world.operator().stage(entry(2)).await.is_err());
    assert_eq!(world.recorded_outcomes(), [Started, Failed]);

    // The answer was lost, and the step was taken: that is no failure.
    world.fail(AFTER);
    let staged = world.operator().stage(entry(2)).await.unwrap();
    assert_eq!(world.recorded_outcomes(), [Started, Failed, Started, Success]);
    assert_eq!(world.operator().load().await.unwrap().keys()[1].kid(), staged.kid);

    // No operator can say yet: it stays started until one can.
    let world = World::new().await;
    let before = world.store.store.load().await.unwrap();
    world.fail(CUT);
    let error = world.operator().stage(entry(2)).await.unwrap_err();
    assert!(error.to_string().contains("connection lost"), "{error}");
    assert_eq!(world.recorded_outcomes(), [Started]);
    assert_eq!(world.store.store.load().await.unwrap().revision(), before.revision() + 1);
    world.fail(NOTHING);
    assert_eq!(world.operator().settle().await.unwrap(), Some(Success));
    assert_eq!(world.recorded_outcomes(), [Started, Success]);
    assert_eq!(world.operator().settle().await.unwrap(), None);
}

/// Records of others about the secret do not count as the outcome of the step.
#[tokio::test]
async fn what_was_left_is_settled_whatever_instances_and_old_logs_tell() {
    let world = World::new().await;
    world.fail(CUT);
    world.operator().stage(entry(2)).await.unwrap_err();
    world.fail(NOTHING);
    // An instance that follows the store, and an old log that is taken over.
    let seen = Record::new(
        at("2026-01-15T10:00:01Z"),
        "JWT_SECRET",
        Action::STAGED,
        "instance-1",
        "production",
    );
    world.trail.write(&[seen]).unwrap();
    let log = "2026-01-15 11:00:00 UTC | JWT_SECRET | ROTATED | bob | production | SUCCESS";
    import(&world.trail, log, at("2026-01-15T12:00:00Z")).await.unwrap();
    assert_eq!(world.operator().settle().await.unwrap(), Some(Outcome::Success));
    assert_eq!(world.operator().settle().await.unwrap(), None);
}

#[tokio::test]
async fn a_trail_that_fails_stops_a_step_before_it_is_taken() {
    let world = World::new().await;
    let deaf = Deaf { trail: world.trail.clone(), to: Outcome::Started };
    let operator = Operator::new(world.store.clone(), deaf, "ada").reason("leaked");
    for error in [
        operator.stage(entry(2)).await.unwrap_err(),
        operator.emergency_rotate(None, entry(3)).await.unwrap_err(),
    ] {
        assert!(matches!(error, OpsError::Audit(_)), "{error}");
    }
    assert_eq!(world.operator().load().await.unwrap().revision(), 1, "nothing was changed");

    // It was told that it begins; that it was done, the next tells.
    let deaf = Deaf { trail: world.trail.clone(), to: Outcome::Success };
    let operator = Operator::new(world.store.clone(), deaf, "ada");
    let error = operator.stage(entry(2)).await.unwrap_err();
    assert!(matches!(error, OpsError::Unsettled { .. }), "{error}");
    assert_eq!(world.recorded_outcomes(), [Outcome::Started]);
    world.operator().rollback().await.unwrap_err();
    assert_eq!(world.recorded_outcomes(), [Outcome::Started, Outcome::Success]);
}

#[tokio::test]
async fn what_was_left_is_settled_by_what_is_stored() {
    let world = World::new().await;
    let started = |revision: u64, manifest: &Manifest| {
        let mut record = Record::new(
            at("2026-01-15T09:59:00Z"),
            "JWT_SECRET",
            Action::STAGED,
            "bob",
            "production",
        );
        record.outcome = Outcome::Started;
        record.revision = Some(revision);
        record.fingerprint = Some(manifest.fingerprint());
        record.kid = Some(manifest.keys()[manifest.keys().len() - 1].kid());
        record.to = Some("staged".to_owned());
        record
    };
    let now = at("2026-01-15T10:00:00Z");
    let first = world.operator().load().await.unwrap();
    let mine = first.stage(entry(2), now).unwrap().manifest;
    let other = first.stage(entry(3), now).unwrap().manifest;

    // Never stored.
    world.trail.write(&[started(2, &mine)]).unwrap();
    assert_eq!(world.operator().settle().await.unwrap(), Some(Outcome::Abandoned));
    // Another stored another change of that number.
    world.trail.write(&[started(2, &mine)]).unwrap();
    world.store.compare_and_swap(1, &other).await.unwrap();
    assert_eq!(world.operator().settle().await.unwrap(), Some(Outcome::Abandoned));
    // Stored.
    world.trail.write(&[started(2, &other)]).unwrap();
    assert_eq!(world.operator().settle().await.unwrap(), Some(Outcome::Success));
    // Another operator continued, past the trail.
    world.trail.write(&[started(2, &mine)]).unwrap();
    let kid = other.keys()[1].kid();
    update(&world.store, |manifest| manifest.force("past it").promote(&kid, now)).await.unwrap();
    assert_eq!(world.operator().settle().await.unwrap(), Some(Outcome::Unknown));
    // In the name of who began it.
    let last = world.trail.find(&Query::new().take(1)).unwrap().remove(0).record;
    assert_eq!((last.actor.as_str(), last.at), ("bob", now));
}

#[tokio::test]
async fn a_refusal_is_recorded_and_a_dry_run_is_not() {
    let world = World::new().await;
    let staged = world.operator().stage(entry(2)).await.unwrap();
    let count = || world.trail.find(&Query::new().with_started()).unwrap().len();
    let before = count();
    let forced = world.operator().force();
    let policy = Policy::default();
    let made = forced.create("JWT_SECRET", Purpose::Jwt, "production", policy, entry(9)).await;
    assert!(matches!(made, Err(OpsError::NoReason { .. })));
    let dry_run = world.operator().dry_run();
    assert!(dry_run.promote(None).await.is_err());
    dry_run.clone().reason("sure").force().promote(None).await.unwrap();
    dry_run.reason("leaked").emergency_rotate(None, entry(3)).await.unwrap();
    assert_eq!(count(), before);
    assert_eq!(world.operator().load().await.unwrap().revision(), 2);

    let refused = world.operator().reason("now").promote(None).await.unwrap_err();
    assert!(matches!(refused, OpsError::Refused(Error::NotAgreed { .. })), "{refused}");
    let last = world.trail.find(&Query::new().take(1)).unwrap().remove(0).record;
    assert_eq!((last.outcome, last.action), (Outcome::Failed, Action::ROTATED));
    assert!(last.reason.unwrap().starts_with("now; refused: the key"));

    // What is done already is not told again.
    world.operator().reason("sure").force().promote(None).await.unwrap();
    let before = count();
    world.operator().reason("sure").force().promote(Some(staged.kid)).await.unwrap();
    assert_eq!(count(), before);
    assert!(world.operator().stage_if_none(entry(4)).await.unwrap().is_some());
    assert!(world.operator().stage_if_none(entry(5)).await.unwrap().is_none());
}

#[tokio::test]
async fn a_policy_is_set_and_recorded() {
    let world = World::new().await;
    let mut policy = Policy::default();
    assert!(!world.operator().set_policy(policy).await.unwrap());
    policy.max_lifetime *= 2;
    assert!(world.operator().set_policy(policy).await.unwrap());
    assert_eq!(*world.operator().load().await.unwrap().policy(), policy);
    let told = world.trail.find(&Query::new().action(Action::POLICY_SET)).unwrap();
    assert_eq!(told.len(), 1);
}

/// The rule: nothing is signed for whoever has a revoked key of the audit.
#[tokio::test]
async fn a_step_that_only_a_revoked_key_signed_is_not_settled() {
    let world = World::new().await;
    let staged = world.operator().stage(entry(2)).await.unwrap();
    let leaked = world.trail.ring().keys()[0].kid;
    let mut forged = Record::new(
        world.clock.now(),
        "JWT_SECRET",
        Action::EMERGENCY_ROTATED,
        "eve@rival.example",
        "production",
    );
    forged = forged.change(&staged).outcome(Outcome::Started).reason("I chose this");
    world.trail.write(&[forged]).unwrap();
    let replacement = NewKey::from(Secret::from(secret(7)));
    world.trail.ring().emergency_rotate(&leaked, "it leaked", replacement).unwrap();

    // It is listed as what it is, and decides nothing.
    let listing = world.trail.read(&Query::new().with_started()).unwrap();
    assert!(!listing.records[0].is_vouched);
    let found = world.trail.find(&Query::new().with_started()).unwrap();
    assert!(found.is_empty(), "no other key has signed yet");
    assert_eq!(world.operator().settle().await.unwrap(), None);
    // Nor once another key has signed what comes after it, so that it is no later forgery.
    let other = Record::new(world.clock.now(), "OTHER", Action::REMINDED, "ada", "production");
    world.trail.write(&[other]).unwrap();
    let found = world.trail.find(&Query::new().secret("JWT_SECRET").with_started()).unwrap();
    assert_eq!(found[0].record.actor, "eve@rival.example");
    assert_eq!(world.operator().settle().await.unwrap(), None);
    let promoted = world.operator().reason("sure").force().promote(None).await.unwrap();
    assert_eq!(promoted.kid, staged.kid);
    // Nor later, when what comes after it is signed by another key.
    assert_eq!(world.operator().settle().await.unwrap(), None);
    let concluded = Query::new().actor("eve@rival.example").outcome(Outcome::Success);
    assert!(world.trail.find(&concluded).unwrap().is_empty());
    assert!(!world.trail.find(&Query::new().with_started()).unwrap().is_empty());
}

/// The rule: what is compromised waits for no old record. Other steps do.
#[tokio::test]
async fn an_emergency_goes_through_where_an_old_record_was_removed() {
    let world = World::new().await;
    // The only records of the secret are the ones before it.
    for n in 0..3 {
        let other = Record::new(world.clock.now(), "OTHER", Action::REMINDED, "ada", "production");
        world.trail.write(&[other.reason(n.to_string())]).unwrap();
    }
    let text = std::fs::read_to_string(world.trail.path()).unwrap();
    let mut lines: Vec<_> = text.lines().collect();
    lines.remove(2);
    std::fs::write(world.trail.path(), lines.join("\n") + "\n").unwrap();

    let refused = world.operator().stage(entry(2)).await.unwrap_err();
    let is_removed = |problem: &Problem| *problem == Problem::Removed { n: 3 };
    assert!(
        matches!(&refused, OpsError::Audit(AuditError::Broken { problem }) if is_removed(problem)),
        "{refused}"
    );
    world.operator().reason("it leaked").emergency_rotate(None, entry(3)).await.unwrap();
    assert_eq!(world.operator().load().await.unwrap().revision(), 2);
    assert_eq!(world.trail.check().unwrap().problem, Some(Problem::Removed { n: 3 }));
}

/// The rule: a store that a step has written proves that there was a trail.
#[tokio::test]
async fn a_store_with_steps_and_a_trail_without_records_is_an_error() {
    let world = World::new().await;
    let (log, head) =
        (world.trail.path().to_owned(), world.trail.path().with_extension("log.head"));
    std::fs::remove_file(log).unwrap();
    std::fs::remove_file(head).unwrap();
    let operator = world.operator().reason("it leaked");
    for refused in [
        operator.stage(entry(2)).await.unwrap_err(),
        operator.emergency_rotate(None, entry(2)).await.unwrap_err(),
        operator.clone().dry_run().stage(entry(2)).await.unwrap_err(),
    ] {
        let expected = Problem::Missing;
        assert!(
            matches!(&refused, OpsError::Audit(AuditError::Broken { problem }) if *problem == expected),
            "{refused}"
        );
    }
    assert_eq!(world.operator().load().await.unwrap().revision(), 1);
    let restarted = Record::new(world.clock.now(), "audit", Action::RESTARTED, "ada", "production");
    assert_eq!(world.trail.restart(&restarted).unwrap(), None);
    operator.stage(entry(2)).await.unwrap();
}
