//! What a rewrap finds, does and reports.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dualkey::envelope::{AesKey, Layout, Sealer};
use dualkey::rewrap::{
    Checkpoint, Column, ConditionalWrite, KeyPart, Progress, RewrapJob, RewrapJobError,
    RewrapReport, Row, RowFuture, RowKey, RowStore, Unreadable, Value,
};
use dualkey::{Clock, KeyRing, Kid, ManualClock, Obstacle, Reason, Verdict};

use crate::support::database::Base;
use crate::support::postgres::runtime;
use crate::support::{EventLog, aes_key, aes_ring, far};

fn context(key: &RowKey, column: &str) -> String {
    format!("notes/{key}/{column}")
}

fn kid(name: &str) -> Kid {
    name.parse().unwrap()
}

/// A ring before its rotation, and the sealer of the same ring.
fn ring() -> (KeyRing<AesKey>, Sealer) {
    let ring = aes_ring([aes_key(1, "old")]);
    (ring.clone(), Sealer::new(ring))
}

fn rotate(ring: &KeyRing<AesKey>) {
    let new = ring.stage(aes_key(2, "new")).unwrap();
    ring.promote(&new).unwrap();
}

fn seal_note(sealer: &Sealer, id: i64) -> (i64, String) {
    (id, sealer.seal_text(format!("note {id}"), format!("notes/{id}/body")).unwrap())
}

fn by_kid(rewrapped: &RewrapReport) -> Vec<(String, u64)> {
    rewrapped.by_kid.iter().map(|(kid, count)| (kid.to_string(), *count)).collect()
}

fn pairs(all: &[(&str, u64)]) -> Vec<(String, u64)> {
    all.iter().map(|(kid, count)| ((*kid).to_owned(), *count)).collect()
}

#[test]
fn a_rewrap_only_looks_unless_it_is_told_to_execute() {
    runtime().block_on(async {
        for base in Base::all().await {
            let (ring, sealer) = ring();
            base.notes((0..250).map(|id| seal_note(&sealer, id))).await;
            rotate(&ring);
            let before = base.dump("notes", &["body"]).await;
            let notes = base.table("notes", &["body"]).await.unwrap();
            let rewrap = RewrapJob::new(&sealer, notes, context).batch(40);
            let rewrapped = rewrap.clone().run().await.unwrap();
            assert_eq!(
                (rewrapped.counts.rows, rewrapped.counts.rewritten),
                (250, 250),
                "{}",
                base.name()
            );
            assert!(!rewrapped.has_written && rewrapped.is_complete());
            assert_eq!(by_kid(&rewrapped), pairs(&[("old", 250)]));
            assert_eq!(base.dump("notes", &["body"]).await, before);
            // Nothing was sealed for it.
            assert_eq!(ring.keys()[1].usage.signed, 0);

            let rewrapped = rewrap.clone().execute().run().await.unwrap();
            assert_eq!((rewrapped.counts.rewritten, rewrapped.counts.current), (250, 0));
            assert_eq!(by_kid(&rewrapped), pairs(&[("new", 250)]));
            for (id, body) in base.texts("notes", "body").await {
                let body = sealer.open(body.unwrap(), format!("notes/{id}/body")).unwrap();
                assert_eq!((body.kid(), &body[..]), (kid("new"), format!("note {id}").as_bytes()));
            }
            // A second time there is nothing to do.
            let after = base.dump("notes", &["body"]).await;
            let again = rewrap.execute().run().await.unwrap();
            assert_eq!((again.counts.rewritten, again.counts.current), (0, 250));
            assert_eq!(base.dump("notes", &["body"]).await, after);
        }
    });
}

#[test]
fn a_table_in_which_nothing_is_sealed_is_no_evidence() {
    runtime().block_on(async {
        for base in Base::all().await {
            let (ring, sealer) = ring();
            rotate(&ring);
            base.notes([]).await;
            let notes = base.table("notes", &["body"]).await.unwrap();
            let rewrap = RewrapJob::new(&sealer, notes, context);
            // Without a row, and with rows that hold no value.
            for rows in [0, 2] {
                for id in 0..rows {
                    base.sql(format!("INSERT INTO notes (id, body) VALUES ({id}, NULL)")).await;
                }
                for rewrap in [rewrap.clone(), rewrap.clone().execute()] {
                    let rewrapped = rewrap.run().await.unwrap();
                    let counts = rewrapped.counts;
                    assert_eq!((counts.rows, counts.nothing_sealed), (rows, 1), "{}", base.name());
                    assert!(!rewrapped.is_complete());
                    ring.record_rewrap(&rewrapped.record());
                    let Verdict::Blocked(all) = ring.retirement(&kid("old")).unwrap() else {
                        panic!("a rewrap of nothing is taken as evidence");
                    };
                    assert!(all.contains(&Obstacle::NothingSealed { tables: 1 }), "{all:?}");
                }
            }
            let allowed = rewrap.clone().may_hold_nothing().execute().run().await.unwrap();
            assert!(allowed.is_complete());
            ring.record_rewrap(&allowed.record());
            let against = ring.retirement(&kid("old")).unwrap().to_string();
            assert!(!against.contains("nothing sealed"), "{against}");
            // A value that cannot be read is sealed, for all that is known.
            base.write(1, "dk1.torn").await;
            let torn = rewrap.clone().run().await.unwrap();
            assert_eq!((torn.counts.unreadable, torn.counts.nothing_sealed), (1, 0));
            // One sealed value is enough; a table beside it that holds none is counted.
            let (_, body) = seal_note(&sealer, 1);
            base.write(1, &body).await;
            let full = rewrap.run().await.unwrap();
            assert!(full.is_complete());
            let mut blank = allowed;
            blank.counts.nothing_sealed = 1;
            assert_eq!(full.merge(blank).record().nothing_sealed, 1);
        }
    });
}

/// Until the rollout is over, an instance may seal under the old key behind the rewrap.
#[test]
fn a_rewrap_that_started_too_early_says_from_when_one_counts() {
    runtime().block_on(async {
        let base = Base::sqlite().await;
        let clock = ManualClock::at_unix(1_800_000_000);
        let builder = KeyRing::<AesKey>::builder().clock(clock.clone());
        let ring = builder.primary(aes_key(1, "old")).build().unwrap();
        let sealer = Sealer::new(ring.clone());
        base.notes((0..3).map(|id| seal_note(&sealer, id))).await;
        let notes = base.table("notes", &["body"]).await.unwrap();
        let rewrap = RewrapJob::new(&sealer, notes, context);
        // Before a rotation there is no old key.
        assert_eq!(rewrap.clone().run().await.unwrap().counts_from, None);
        rotate(&ring);
        let window = ring.policy().rollout_window + ring.policy().skew;
        let counts_from = clock.now() + window;
        clock.advance(window - Duration::from_secs(1));
        for rewrap in [rewrap.clone(), rewrap.clone().execute()] {
            let rewrapped = rewrap.run().await.unwrap();
            assert_eq!(rewrapped.counts_from, Some(counts_from));
            assert!(rewrapped.is_too_early() && rewrapped.is_complete());
            ring.record_rewrap(&rewrapped.record());
            let verdict = ring.retirement(&kid("old")).unwrap();
            let Verdict::Blocked(all) = &verdict else { panic!("{verdict:?}") };
            let (started_at, not_before) = (rewrapped.started_at, counts_from);
            assert!(all.contains(&Obstacle::RewrapTooEarly { started_at, not_before }), "{all:?}");
        }
        clock.advance(Duration::from_secs(1));
        let rewrapped = rewrap.execute().run().await.unwrap();
        assert_eq!((rewrapped.counts_from, rewrapped.is_too_early()), (None, false));
        // Of several tables, one that started too early is enough.
        let mut early = rewrapped.clone();
        early.counts_from = Some(counts_from);
        assert!(rewrapped.clone().merge(early).is_too_early());
        ring.record_rewrap(&rewrapped.record());
        assert!(matches!(ring.retirement(&kid("old")).unwrap(), Verdict::Wait { .. }));
    });
}

#[test]
fn the_report_is_what_a_verdict_takes() {
    runtime().block_on(async {
        let base = Base::sqlite().await;
        let (ring, sealer) = ring();
        base.notes((0..3).map(|id| seal_note(&sealer, id))).await;
        rotate(&ring);
        let notes = base.table("notes", &["body"]).await.unwrap();
        let rewrap = RewrapJob::new(&sealer, notes, context);
        let against = |rewrapped: &RewrapReport| {
            ring.record_rewrap(&rewrapped.record());
            match ring.retirement(&kid("old")).unwrap() {
                Verdict::Blocked(obstacles) => obstacles,
                verdict => panic!("{verdict:?}"),
            }
        };
        let looked = rewrap.clone().run().await.unwrap();
        assert!(against(&looked).contains(&Obstacle::RowsLeft { rows: 3 }));
        let written = rewrap.clone().execute().run().await.unwrap();
        let is_of_rows = |obstacle: &Obstacle| {
            matches!(obstacle, Obstacle::RowsLeft { .. } | Obstacle::RowsUnreadable { .. })
        };
        assert!(!against(&written).iter().any(is_of_rows));
        base.write(1, "dk1.torn").await;
        let torn = rewrap.run().await.unwrap();
        assert!(against(&torn).contains(&Obstacle::RowsUnreadable { rows: 1 }));
        // The rewrap itself is no use of the old key.
        assert_eq!(ring.keys()[0].usage.verified_as_fallback, 0);
        assert!(!torn.is_complete());

        let other = RewrapReport::clone(&written);
        let both = other.merge(torn);
        assert_eq!((both.counts.rows, both.counts.unreadable), (6, 1));
        assert!(!both.has_written && both.unreadable.len() == 1);
    });
}

#[test]
fn what_cannot_be_read_is_listed_by_its_key_and_not_touched() {
    runtime().block_on(async {
        for base in Base::all().await {
            let (ring, sealer) = ring();
            let other = Sealer::new(aes_ring([aes_key(9, "other")]));
            let good = |id| seal_note(&sealer, id);
            let mut torn = good(2).1;
            torn.truncate(60);
            let mut flipped = good(3).1.into_bytes();
            let place = flipped.len() - 10;
            flipped[place] = if flipped[place] == b'A' { b'B' } else { b'A' };
            let mut wrap = good(4).1.into_bytes();
            wrap[60] = if wrap[60] == b'A' { b'B' } else { b'A' };
            let text = |bytes| String::from_utf8(bytes).unwrap();
            let unknown = other.seal_text("x", "notes/5/body").unwrap();
            let large = sealer.seal_text(vec![b'x'; 3000], "notes/7/body").unwrap();
            base.notes([
                good(1),
                (2, torn),
                (3, text(flipped)),
                (4, text(wrap)),
                (5, unknown),
                (6, good(1).1),
                (7, large),
                (8, "never sealed".to_owned()),
                (9, String::new()),
                good(10),
                (11, "x".repeat(20_000)),
            ])
            .await;
            base.sql("INSERT INTO notes VALUES (12, NULL)").await;
            rotate(&ring);
            let sealer = sealer.max_payload_bytes(2000);
            let before = base.dump("notes", &["body"]).await;
            let event_log = Arc::new(Mutex::new(Vec::new()));
            let rewrap = |executes: bool| {
                let event_log = Arc::clone(&event_log);
                let (base, sealer) = (&base, &sealer);
                async move {
                    let notes = base.table("notes", &["body"]).await.unwrap();
                    let job = RewrapJob::new(sealer, notes, context).batch(4);
                    let job = if executes { job.execute() } else { job };
                    job.on_unreadable(move |one: &Unreadable| {
                        event_log.lock().unwrap().push(one.clone())
                    })
                }
            };
            // A torn wrap, a torn payload and one of another row show in a dry run already.
            let rewrapped = rewrap(false).await.run().await.unwrap();
            let reasons = |rewrapped: &RewrapReport| -> Vec<(String, Reason)> {
                rewrapped.unreadable.iter().map(|row| (row.key.to_string(), row.reason)).collect()
            };
            let list = |all: &[(&str, Reason)]| -> Vec<(String, Reason)> {
                all.iter().map(|(key, reason)| ((*key).to_owned(), *reason)).collect()
            };
            let expected = list(&[
                ("2", Reason::Malformed),
                ("3", Reason::Signature),
                ("4", Reason::Signature),
                ("5", Reason::UnknownKid),
                ("6", Reason::Signature),
                ("7", Reason::TooLarge),
                ("8", Reason::Malformed),
                ("11", Reason::TooLarge),
            ]);
            assert_eq!(reasons(&rewrapped), expected, "{}", base.name());
            assert_eq!(rewrapped.unreadable[3].kid, Some(kid("other")));
            assert_eq!(*event_log.lock().unwrap(), rewrapped.unreadable);
            assert_eq!((rewrapped.counts.empty, rewrapped.counts.rewritten), (2, 2));
            assert_eq!(rewrapped.counts.unreadable, 8);
            assert_eq!(base.dump("notes", &["body"]).await, before);
            let rewrapped = rewrap(true).await.run().await.unwrap();
            assert_eq!((reasons(&rewrapped), rewrapped.counts.rewritten), (expected.clone(), 2));
            let after = base.dump("notes", &["body"]).await;
            for ((key, before), (_, after)) in before.iter().zip(&after) {
                let is_same = !["1", "10"].contains(&key.as_str());
                assert_eq!(before == after, is_same, "{key}");
            }
            // Under the primary a value that does not open is found as well.
            base.write(10, &sealer.seal_text("another's", "notes/1/body").unwrap()).await;
            let rewrapped = rewrap(true).await.run().await.unwrap();
            let mut expected = expected;
            expected.insert(7, ("10".to_owned(), Reason::Signature));
            assert_eq!((reasons(&rewrapped), rewrapped.counts.current), (expected, 1));
        }
    });
}

#[test]
fn several_columns_of_texts_and_bytes_go_in_one_rewrap() {
    runtime().block_on(async {
        for base in Base::all().await {
            let (ring, sealer) = ring();
            let bytes = base.bytes();
            base.sql(format!(
                "CREATE TABLE \"odd \"\"name\" (a text, \"B b\" bigint, one text, two {bytes}, \
                 PRIMARY KEY (a, \"B b\"))"
            ))
            .await;
            for (a, b) in [("x", 2), ("x", 10), ("y'\"", -3), ("", 0)] {
                let context = |column: &str| format!("notes/{a}/{b}/{column}");
                let one = sealer.seal_text("one", context("one")).unwrap();
                let two = hex::encode(sealer.seal("two", context("two")).unwrap());
                let two = match &base {
                    Base::Sqlite { .. } => format!("x'{two}'"),
                    Base::Postgres { .. } => format!("'\\x{two}'"),
                };
                let a = a.replace('\'', "''");
                base.sql(format!(
                    "INSERT INTO \"odd \"\"name\" VALUES ('{a}', {b}, '{one}', {two})"
                ))
                .await;
            }
            rotate(&ring);
            // What PostgreSQL takes for a name is as in its own statements.
            let name = match &base {
                Base::Sqlite { .. } => "odd \"name",
                Base::Postgres { .. } => "\"odd \"\"name\"",
            };
            let table = base.table(name, &["two", "one"]).await.unwrap();
            let rewrap = RewrapJob::new(&sealer, table, context).batch(1).execute();
            let rewrapped = rewrap.run().await.unwrap();
            assert_eq!(rewrapped.unreadable, [], "{}", base.name());
            assert_eq!((rewrapped.counts.rows, rewrapped.counts.rewritten), (4, 8));
            let all = base.dump(name, &["one", "two"]).await;
            assert_eq!(all.len(), 4);
            for (key, values) in all {
                let [Value::Text(one), Value::Bytes(two)] = &values[..] else {
                    panic!("{values:?}")
                };
                for (column, stored) in [("one", one.as_bytes()), ("two", &two[..])] {
                    let opened = sealer.open(stored, format!("notes/{key}/{column}")).unwrap();
                    assert_eq!((opened.kid(), &opened[..]), (kid("new"), column.as_bytes()));
                }
            }
        }
    });
}

#[test]
fn large_values_are_read_a_few_at_a_time() {
    runtime().block_on(async {
        for base in Base::all().await {
            let (ring, sealer) = ring();
            let large = vec![b'x'; 300_000];
            let seal = |id: i64| sealer.seal_text(&large, format!("notes/{id}/body")).unwrap();
            base.notes((0..16).map(|id| (id, seal(id)))).await;
            rotate(&ring);
            let notes = base.table("notes", &["body"]).await.unwrap();
            // Not all sixteen of the page, which would be 6 MB.
            let page = notes.load_page(None, 16, 1 << 20).await.unwrap();
            assert!(page.len() > 1 && page.len() < 16, "{}: {}", base.name(), page.len());
            let rewrapped = RewrapJob::new(&sealer, notes, context).execute().run().await.unwrap();
            assert_eq!(
                (rewrapped.counts.rows, rewrapped.counts.rewritten),
                (16, 16),
                "{}",
                base.name()
            );
        }
    });
}

/// Another hand, which writes a row between the read and the write of the rewrap.
#[derive(Debug)]
struct Meddled {
    inner: Arc<dyn RowStore>,
    meddle: Mutex<Vec<(RowKey, Value)>>,
    /// Whose rows are never to be had.
    held: Vec<RowKey>,
}

impl RowStore for Meddled {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn columns(&self) -> &[Column] {
        self.inner.columns()
    }

    fn load_page<'a>(
        &'a self,
        after: Option<&'a RowKey>,
        rows: usize,
        max: usize,
    ) -> RowFuture<'a, Vec<Row>> {
        self.inner.load_page(after, rows, max)
    }

    fn load_rows<'a>(&'a self, keys: &'a [RowKey], max: usize) -> RowFuture<'a, Vec<Row>> {
        self.inner.load_rows(keys, max)
    }

    fn write_values<'a>(&'a self, writes: &'a [ConditionalWrite]) -> RowFuture<'a, Vec<bool>> {
        Box::pin(async move {
            let mine = std::mem::take(&mut *self.meddle.lock().unwrap());
            let mut first = Vec::new();
            for (key, new) in mine {
                let is_same_row = |write: &&ConditionalWrite| write.key == key;
                let old = writes.iter().find(is_same_row).unwrap().old.clone();
                first.push(ConditionalWrite { key, column: 0, old, new });
            }
            assert!(
                self.inner.write_values(&first).await.unwrap().iter().all(|is_written| *is_written)
            );
            let free: Vec<_> =
                writes.iter().filter(|write| !self.held.contains(&write.key)).cloned().collect();
            let mut done = self.inner.write_values(&free).await?.into_iter();
            let mut is_done =
                |write: &ConditionalWrite| !self.held.contains(&write.key) && done.next().unwrap();
            Ok(writes.iter().map(&mut is_done).collect())
        })
    }
}

#[test]
fn a_write_of_the_application_is_never_undone() {
    runtime().block_on(async {
        for base in Base::all().await {
            let (ring, sealer) = ring();
            base.notes((0..20).map(|id| seal_note(&sealer, id))).await;
            let inner = base.table("notes", &["body"]).await.unwrap();
            let keys: Vec<_> = inner
                .load_page(None, 20, 1 << 20)
                .await
                .unwrap()
                .into_iter()
                .map(|row| row.key)
                .collect();
            let behind = sealer.seal_text("mine, under the old key", "notes/3/body").unwrap();
            rotate(&ring);
            let mine = sealer.seal_text("mine", "notes/2/body").unwrap();
            let rows = Meddled {
                inner,
                meddle: Mutex::new(vec![
                    (keys[2].clone(), Value::Text(mine.clone())),
                    (keys[3].clone(), Value::Text(behind)),
                    (keys[4].clone(), Value::Text(String::new())),
                ]),
                held: vec![keys[7].clone()],
            };
            let rewrap = RewrapJob::new(&sealer, rows, context).execute().batch(50);
            let rewrapped = rewrap.run().await.unwrap();
            let counts = rewrapped.counts;
            assert_eq!((counts.rewritten, counts.current, counts.empty), (17, 1, 1));
            assert_eq!((counts.left, counts.unreadable), (1, 0));
            assert!(counts.changed_meanwhile >= 4 && !rewrapped.is_complete());
            assert_eq!(by_kid(&rewrapped), pairs(&[("new", 18), ("old", 1)]));
            let all = base.texts("notes", "body").await;
            assert_eq!(all[2].1.as_ref(), Some(&mine), "{}", base.name());
            let opened = sealer.open(all[3].1.as_ref().unwrap(), "notes/3/body").unwrap();
            assert_eq!((&opened[..], opened.kid()), (&b"mine, under the old key"[..], kid("new")));
            assert_eq!(all[4].1.as_deref(), Some(""));
        }
    });
}

#[test]
fn a_row_that_another_client_has_locked_is_passed_over_and_taken_later() {
    runtime().block_on(async {
        let Some(base) = Base::postgres().await else { return };
        let Base::Postgres { pool, .. } = &base else { unreachable!() };
        let (ring, sealer) = ring();
        base.notes((0..10).map(|id| seal_note(&sealer, id))).await;
        rotate(&ring);
        let notes = base.table("notes", &["body"]).await.unwrap();
        let rewrap = RewrapJob::new(&sealer, notes, context).execute();
        let mut other = pool.begin().await.unwrap();
        let hold = "SELECT 1 FROM notes WHERE id = 4 FOR UPDATE";
        sqlx::query(hold).execute(&mut *other).await.unwrap();
        // It ends although the other does not.
        let rewrapped = rewrap.clone().run().await.unwrap();
        assert_eq!((rewrapped.counts.rewritten, rewrapped.counts.left), (9, 1));
        other.rollback().await.unwrap();
        let rewrapped = rewrap.run().await.unwrap();
        assert_eq!((rewrapped.counts.rewritten, rewrapped.counts.current), (1, 9));
    });
}

#[test]
fn rows_of_node_are_taken_over_in_every_layout() {
    let vectors: serde_json::Value =
        serde_json::from_str(include_str!("../../vectors/interop_node_aesgcm.json")).unwrap();
    runtime().block_on(async {
        for base in Base::all().await {
            let mut taken = 0;
            for vector in vectors["vectors"].as_array().unwrap() {
                let is_plain = vector["aad_hex"].as_str() == Some("")
                    && vector["expected"] == "accept"
                    && vector["formats"].is_object()
                    && vector["plaintext_hex"].is_string();
                if !is_plain {
                    continue;
                }
                let key =
                    |name: &str| AesKey::hex(vector["keys_hex"][name].as_str().unwrap()).unwrap();
                let ring = aes_ring([key("new"), key("old")]);
                let stored = Layout::ALL.iter().zip(0_i64..).map(|(layout, id)| {
                    (id, vector["formats"][layout.name()].as_str().unwrap().to_owned())
                });
                base.notes(stored).await;
                let mut sealer = Sealer::new(ring.clone());
                for layout in Layout::ALL {
                    sealer = sealer.accept_legacy(layout, far());
                }
                let notes = base.table("notes", &["body"]).await.unwrap();
                let rewrapped =
                    RewrapJob::new(&sealer, notes, context).execute().run().await.unwrap();
                assert_eq!(rewrapped.counts.rewritten, 4, "{rewrapped:?}");
                let natively = Sealer::new(ring);
                let plaintext = hex::decode(vector["plaintext_hex"].as_str().unwrap()).unwrap();
                for (id, body) in base.texts("notes", "body").await {
                    let opened = natively.open(body.unwrap(), format!("notes/{id}/body")).unwrap();
                    assert_eq!(*opened, plaintext);
                    taken += 1;
                }
                base.sql("DROP TABLE notes").await;
            }
            println!("{}: {taken} rows of Node were taken over", base.name());
            assert!(taken >= 12, "{taken}");
        }
    });
}

#[test]
fn v8_data_under_a_revoked_key_is_rescued_only_by_name_and_reported() {
    runtime().block_on(async {
        for base in Base::all().await {
            let event_log = EventLog::default();
            let ring = KeyRing::<AesKey>::builder()
                .dangerous()
                .allow_placeholders()
                .primary(aes_key(1, "old"))
                .observer(event_log.clone())
                .build()
                .unwrap();
            let sealer = Sealer::new(ring.clone());
            base.notes((0..5).map(|id| seal_note(&sealer, id))).await;
            ring.emergency_rotate(&kid("old"), "in a log", aes_key(2, "new")).unwrap();
            let notes = base.table("notes", &["body"]).await.unwrap();
            let rewrap = RewrapJob::new(&sealer, notes, context).execute();
            let before = base.dump("notes", &["body"]).await;
            let rewrapped = rewrap.clone().run().await.unwrap();
            assert_eq!(rewrapped.counts.unreadable, 5);
            assert!(rewrapped.unreadable.iter().all(|row| row.reason == Reason::RevokedKey));
            assert_eq!(base.dump("notes", &["body"]).await, before);
            let opened =
                || event_log.all().iter().filter(|line| line.contains("OpenedRevoked")).count();
            assert_eq!(opened(), 0);

            let rewrapped = rewrap.dangerous().open_revoked().run().await.unwrap();
            assert_eq!((rewrapped.counts.rewritten, rewrapped.counts.unreadable), (5, 0));
            assert_eq!(opened(), 5);
            for ((id, body), (_, before)) in base.texts("notes", "body").await.iter().zip(before) {
                let body = body.as_ref().unwrap();
                assert!(sealer.open(body, format!("notes/{id}/body")).is_ok());
                // Sealed again, with another data key: nothing of the payload is as it was.
                let [Value::Text(before)] = &before[..] else { unreachable!() };
                let end = |text: &str| text[text.len() - 30..].to_owned();
                assert_ne!(end(body), end(before));
            }
        }
    });
}

#[test]
fn v8_a_legacy_value_under_a_revoked_key_is_rescued_by_name_and_reported() {
    runtime().block_on(async {
        for base in Base::all().await {
            let event_log = EventLog::default();
            let node = "f8b4d5fe1f65e1aceed24c60bf2cb755f4f284e001e1a8ab97e328274bb90606";
            let ring = KeyRing::<AesKey>::builder()
                .primary(AesKey::hex(node).unwrap().kid(kid("node")))
                .observer(event_log.clone())
                .build()
                .unwrap();
            let sealer = Sealer::new(ring.clone()).accept_legacy(Layout::HEX_IV_TAG_CT, far());
            let text = "9ad9a09c9944db8c22e8cf43:068477e78cb13b7b9996c50b5ab535e0:\
                        75e3e2bb9ee4fb0958193b";
            assert!(sealer.needs_rewrap(text).unwrap());
            base.notes([(0, text.to_owned())]).await;
            ring.emergency_rotate(&kid("node"), "in a log", aes_key(2, "new")).unwrap();
            let notes = base.table("notes", &["body"]).await.unwrap();
            let rewrap = RewrapJob::new(&sealer, notes, context).execute();
            assert_eq!(rewrap.clone().run().await.unwrap().counts.unreadable, 1);
            let opened =
                || event_log.all().iter().filter(|line| line.contains("OpenedRevoked")).count();
            assert_eq!(opened(), 0);
            let rewrapped = rewrap.dangerous().open_revoked().run().await.unwrap();
            assert_eq!((rewrapped.counts.rewritten, opened()), (1, 1));
        }
    });
}

#[test]
fn a_checkpoint_is_gone_on_with_and_is_of_one_rewrap() {
    runtime().block_on(async {
        for base in Base::all().await {
            let (ring, sealer) = ring();
            let mut notes: Vec<_> = (0..100).map(|id| seal_note(&sealer, id)).collect();
            notes[5].1 = "torn".to_owned();
            base.notes(notes).await;
            rotate(&ring);
            let notes = base.table("notes", &["body"]).await.unwrap();
            let reached = Arc::new(Mutex::new(Vec::<Progress>::new()));
            let keep = Arc::clone(&reached);
            let rewrap = RewrapJob::new(&sealer, notes.clone(), context).batch(10).concurrency(3);
            let rewrap = rewrap.execute();
            let whole = rewrap
                .clone()
                .on_progress(move |at| keep.lock().unwrap().push(at.clone()))
                .run()
                .await
                .unwrap();
            let reached = std::mem::take(&mut *reached.lock().unwrap());
            let rows: Vec<_> = reached.iter().map(|progress| progress.rows).collect();
            assert_eq!(reached.len(), 10, "{rows:?}");
            assert!(reached.iter().all(|progress| progress.total == Some(100)));
            assert_eq!(reached[9].remaining, Some(Duration::ZERO));

            // From the middle: what was counted before counts, and what was torn is looked at.
            let half = reached[4].checkpoint.to_json().unwrap();
            let half = Checkpoint::from_json(half.as_bytes()).unwrap();
            assert_eq!(half, reached[4].checkpoint);
            base.write(5, &seal_note(&sealer, 5).1).await;
            let rewrapped = rewrap.clone().resume(half.clone()).run().await.unwrap();
            assert_eq!(rewrapped.started_at, whole.started_at);
            let counts = rewrapped.counts;
            assert_eq!((counts.rows, counts.unreadable), (100, 0), "{}", base.name());
            assert_eq!((counts.rewritten, counts.current), (49, 51));
            assert_eq!(by_kid(&rewrapped), pairs(&[("new", 100)]));

            let others = [
                rewrap.clone().renew_all(),
                RewrapJob::new(&sealer, notes.clone(), context),
                RewrapJob::new(&Sealer::new(aes_ring([aes_key(3, "third")])), notes, context)
                    .execute(),
            ];
            for other in others {
                let refused = other.resume(half.clone()).run().await.unwrap_err();
                assert!(matches!(refused, RewrapJobError::Checkpoint { .. }), "{refused}");
            }
            let text = half.to_json().unwrap();
            for torn in [&text[..text.len() / 2], "", "{}", &text.replace("rewrap", "seep")] {
                assert!(Checkpoint::from_json(torn.as_bytes()).is_err(), "{torn}");
            }
        }
    });
}

/// A table of as many rows as one likes, none of which is kept.
#[derive(Debug)]
struct Endless {
    rows: i64,
    envelope: String,
    columns: Vec<Column>,
}

impl RowStore for Endless {
    fn name(&self) -> &str {
        "endless"
    }

    fn columns(&self) -> &[Column] {
        &self.columns
    }

    fn load_page<'a>(
        &'a self,
        after: Option<&'a RowKey>,
        rows: usize,
        _: usize,
    ) -> RowFuture<'a, Vec<Row>> {
        let start = match after.map(RowKey::parts) {
            Some([KeyPart::Integer(last)]) => last + 1,
            _ => 0,
        };
        let end = self.rows.min(start + rows as i64);
        Box::pin(async move {
            let row = |id| Row {
                key: RowKey::new([KeyPart::Integer(id)]),
                values: vec![Value::Text(self.envelope.clone())],
            };
            Ok((start..end).map(row).collect())
        })
    }

    fn load_rows<'a>(&'a self, _: &'a [RowKey], _: usize) -> RowFuture<'a, Vec<Row>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn write_values<'a>(&'a self, writes: &'a [ConditionalWrite]) -> RowFuture<'a, Vec<bool>> {
        Box::pin(async { Ok(vec![true; writes.len()]) })
    }

    fn count<'a>(&'a self, _: Option<&'a RowKey>) -> RowFuture<'a, Option<u64>> {
        Box::pin(async { Ok(Some(self.rows as u64)) })
    }
}

fn endless(rows: i64) -> (Sealer, Endless) {
    let (ring, sealer) = ring();
    let envelope = sealer.seal_text("a note", "").unwrap();
    rotate(&ring);
    let columns = vec![Column { name: "body".to_owned(), max_bytes: None }];
    (sealer, Endless { rows, envelope, columns })
}

/// A store that does not get on.
#[derive(Debug)]
struct Stuck(Endless);

impl RowStore for Stuck {
    fn name(&self) -> &str {
        "stuck"
    }

    fn columns(&self) -> &[Column] {
        self.0.columns()
    }

    fn load_page<'a>(
        &'a self,
        _: Option<&'a RowKey>,
        rows: usize,
        max: usize,
    ) -> RowFuture<'a, Vec<Row>> {
        self.0.load_page(None, rows, max)
    }

    fn load_rows<'a>(&'a self, keys: &'a [RowKey], max: usize) -> RowFuture<'a, Vec<Row>> {
        self.0.load_rows(keys, max)
    }

    /// Fewer answers than it was asked for.
    fn write_values<'a>(&'a self, _: &'a [ConditionalWrite]) -> RowFuture<'a, Vec<bool>> {
        Box::pin(async { Ok(Vec::new()) })
    }
}

#[test]
fn a_store_that_does_not_get_on_ends_the_rewrap() {
    runtime().block_on(async {
        let (sealer, table) = endless(20);
        let rewrap = RewrapJob::new(&sealer, Stuck(table), |_, _| "").execute().batch(10);
        let error = rewrap.run().await.unwrap_err();
        assert_eq!(error.as_str(), "key", "{error}");
    });
}

#[test]
fn outside_a_runtime_it_is_an_error() {
    let (sealer, table) = endless(1);
    let error = pollster::block_on(RewrapJob::new(&sealer, table, |_, _| "").run()).unwrap_err();
    assert!(matches!(error, RewrapJobError::NoRuntime), "{error}");
}

#[test]
fn memory_does_not_grow_with_the_number_of_rows() {
    let peak = |rows| {
        let (sealer, table) = endless(rows);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        // All of it on this thread, where it is counted.
        let info = allocation_counter::measure(|| {
            let rewrap = RewrapJob::new(&sealer, table, |_, _| "").execute().batch(50);
            let rewrapped = runtime.block_on(rewrap.run()).unwrap();
            assert_eq!(rewrapped.counts.rewritten, rows as u64);
        });
        info.bytes_max
    };
    let (few, many) = (peak(1_000), peak(10_000));
    println!("a rewrap over 1,000 rows holds {few} bytes at most, over 10,000 rows {many}");
    assert!(many < few + few / 10, "{few}, {many}");
}

#[test]
fn a_rate_is_kept_to() {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let (sealer, table) = endless(1000);
        let start = tokio::time::Instant::now();
        let rate = NonZeroU32::new(100).unwrap();
        let rewrap = RewrapJob::new(&sealer, table, |_, _| "").execute().batch(10);
        let rewrap = rewrap.rows_per_second(rate);
        rewrap.run().await.unwrap();
        // The last batch begins when those before it may have been.
        let took = start.elapsed();
        assert!((9_800..=10_100).contains(&took.as_millis()), "{took:?}");
    });
}
