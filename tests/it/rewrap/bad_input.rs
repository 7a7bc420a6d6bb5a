//! What a table should not be like, and what a database should not do.

use std::time::Duration;

use dualkey::envelope::{Layout, Sealer};
use dualkey::rewrap::{KeyPart, PgTable, RewrapJob, RewrapJobError, RowKey, SqliteTable};
use sqlx::postgres::{PgPool, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};

use crate::support::cluster::Cluster;
use crate::support::database::Base;
use crate::support::postgres::{runtime, variable};
use crate::support::{aes_key, aes_ring, far};

fn context(key: &RowKey, column: &str) -> String {
    format!("notes/{key}/{column}")
}

/// A sealer whose ring has been rotated, and one as it was before.
fn sealers() -> (Sealer, Sealer) {
    let old = Sealer::new(aes_ring([aes_key(1, "old")]));
    (Sealer::new(aes_ring([aes_key(2, "new"), aes_key(1, "old")])), old)
}

fn rows(old: &Sealer, count: i64) -> Vec<(i64, String)> {
    let seal = |id| old.seal_text("a note", format!("notes/{id}/body")).unwrap();
    (0..count).map(|id| (id, seal(id))).collect()
}

#[test]
fn a_table_that_is_not_right_is_refused_by_name() {
    runtime().block_on(async {
        for base in Base::all().await {
            base.sql(
                "CREATE TABLE keyless (id bigint, body text); \
                 CREATE TABLE notes (id bigint PRIMARY KEY, body text, number integer, \
                     twice text GENERATED ALWAYS AS (body || body) STORED); \
                 CREATE VIEW seen AS SELECT id, body FROM notes",
            )
            .await;
            let refused = |table: &'static str, columns: &'static [&'static str]| {
                let base = &base;
                async move {
                    let error = base.table(table, columns).await.unwrap_err();
                    (error.as_str(), error.to_string())
                }
            };
            assert_eq!(refused("nothing", &["body"]).await.0, "unknown_table");
            assert_eq!(
                refused("x'; DROP TABLE notes; --", &["body"]).await.0,
                match base {
                    Base::Sqlite { .. } => "unknown_table",
                    // It is no name at all there.
                    Base::Postgres { .. } => "database",
                }
            );
            for table in ["keyless", "seen"] {
                let (name, text) = refused(table, &["body"]).await;
                assert_eq!(name, "no_primary_key");
                assert!(text.contains(table), "{text}");
            }
            let (name, text) = refused("notes", &["boddy"]).await;
            assert_eq!(name, "unknown_column");
            assert!(text.contains("it has id, body, number"), "{text}");
            assert_eq!(refused("notes", &[]).await.0, "no_column");
            for column in ["id", "twice"] {
                let error = base.table("notes", &[column]).await.unwrap_err();
                assert_eq!(error.as_str(), "column_type", "{error}");
            }
            if let Base::Postgres { .. } = base {
                let (name, text) = refused("notes", &["number"]).await;
                assert_eq!(name, "column_type");
                assert!(text.contains("is of integer"), "{text}");
            }
        }
    });
}

#[test]
fn sqlite_takes_keys_and_values_that_are_none() {
    runtime().block_on(async {
        let base = Base::sqlite().await;
        let Base::Sqlite { pool, .. } = &base else { unreachable!() };
        base.sql(
            "CREATE TABLE a (id text PRIMARY KEY, body text); INSERT INTO a VALUES (NULL, '')",
        )
        .await;
        base.sql("CREATE TABLE b (id real PRIMARY KEY, body text); INSERT INTO b VALUES (1.5, '')")
            .await;
        for table in ["a", "b"] {
            let error = SqliteTable::open(pool, table, ["body"]).await.unwrap_err();
            assert_eq!(error.as_str(), "key", "{error}");
        }
        // One key of each kind, and values that are no envelopes.
        base.sql("CREATE TABLE notes (id PRIMARY KEY, body) WITHOUT ROWID").await;
        let (sealer, old) = sealers();
        for (id, name) in [("7", "7"), ("'seven'", "seven"), ("x'0708'", "0708")] {
            let body = old.seal_text("a note", format!("notes/{name}/body")).unwrap();
            base.sql(format!("INSERT INTO notes VALUES ({id}, '{body}')")).await;
        }
        base.sql("INSERT INTO notes VALUES (8, 8), (9, 9.5), (10, CAST(x'ff00' AS text))").await;
        let table = SqliteTable::open(pool, "notes", ["body"]).await.unwrap();
        let rewrapped = RewrapJob::new(&sealer, table, context).batch(1).execute().run().await;
        let rewrapped = rewrapped.unwrap();
        assert_eq!(
            (rewrapped.counts.rewritten, rewrapped.counts.unreadable),
            (3, 3),
            "{rewrapped:?}"
        );
        let keys: Vec<_> = rewrapped.unreadable.iter().map(|row| row.key.to_string()).collect();
        assert_eq!(keys, ["8", "9", "10"]);
        let after: Vec<_> = base.dump("notes", &["body"]).await;
        assert_eq!(after.len(), 6);
    });
}

#[test]
fn a_column_that_is_too_short_is_found_before_the_first_write() {
    runtime().block_on(async {
        let Some(base) = Base::postgres().await else { return };
        let old = Sealer::new(aes_ring([aes_key(1, "k")]));
        let sealer = Sealer::new(aes_ring([aes_key(2, "a-longer-kid"), aes_key(1, "k")]));
        let seal = |id: i64| old.seal_text("a note", format!("notes/{id}/other")).unwrap();
        let length = seal(0).len();
        base.sql(format!(
            "CREATE DOMAIN short AS varchar({length}); \
             CREATE TABLE notes (id bigint PRIMARY KEY, body varchar({length}), other short)"
        ))
        .await;
        for id in 0..900 {
            base.sql(format!("INSERT INTO notes VALUES ({id}, NULL, NULL)")).await;
        }
        // The last of them, on the second page.
        base.sql(format!("UPDATE notes SET other = '{}' WHERE id = 899", seal(899))).await;
        base.sql("UPDATE notes SET body = 'dk1.torn' WHERE id = 3").await;
        let before = base.dump("notes", &["body", "other"]).await;
        let notes = base.table("notes", &["body", "other"]).await.unwrap();
        for rewrap in [
            RewrapJob::new(&sealer, notes.clone(), context),
            RewrapJob::new(&sealer, notes, context).execute(),
        ] {
            match rewrap.run().await.unwrap_err() {
                RewrapJobError::TooShort { column, key, max_bytes, needed, .. } => {
                    assert_eq!((column.as_str(), max_bytes), ("other", length));
                    assert_eq!(key, RowKey::new([KeyPart::Text("899".to_owned())]));
                    assert_eq!(needed, sealer.seal_text("a note", "").unwrap().len());
                }
                error => panic!("{error}"),
            }
        }
        assert_eq!(base.dump("notes", &["body", "other"]).await, before);

        // A value of a legacy layout becomes longer, by so much.
        let text = "9ad9a09c9944db8c22e8cf43:068477e78cb13b7b9996c50b5ab535e0:75e3e2bb9ee4fb0958193b";
        let ring = aes_ring([
            aes_key(2, "new"),
            dualkey::envelope::AesKey::hex(
                "f8b4d5fe1f65e1aceed24c60bf2cb755f4f284e001e1a8ab97e328274bb90606",
            )
            .unwrap(),
        ]);
        let sealer = Sealer::new(ring).accept_legacy(Layout::HEX_IV_TAG_CT, far());
        let needed = sealer.seal_text("hello world", "").unwrap().len();
        for (length, fits) in [(needed - 1, false), (needed, true)] {
            base.sql(format!(
                "DROP TABLE notes; CREATE TABLE notes (id bigint PRIMARY KEY, body varchar({length})); \
                 INSERT INTO notes VALUES (1, '{text}')"
            ))
            .await;
            let notes = base.table("notes", &["body"]).await.unwrap();
            let rewrapped = RewrapJob::new(&sealer, notes, context).execute().run().await;
            assert_eq!(rewrapped.is_ok(), fits, "{rewrapped:?}");
        }
    });
}

#[test]
fn a_database_that_may_only_be_read_is_found_before_the_first_write() {
    runtime().block_on(async {
        let (sealer, old) = sealers();
        let read_only = |error: RewrapJobError| {
            assert_eq!(error.as_str(), "read_only", "{error}");
        };
        let base = Base::sqlite().await;
        base.notes(rows(&old, 3)).await;
        let path = base.url().strip_prefix("sqlite:").unwrap();
        let options = SqliteConnectOptions::new().filename(path);
        for options in [options.clone().read_only(true), options.pragma("query_only", "1")] {
            let pool = SqlitePool::connect_with(options).await.unwrap();
            let table = SqliteTable::open(&pool, "notes", ["body"]).await.unwrap();
            let rewrap = RewrapJob::new(&sealer, table, context);
            assert_eq!(rewrap.clone().run().await.unwrap().counts.rewritten, 3);
            read_only(rewrap.execute().run().await.unwrap_err());
        }

        let Some(base) = Base::postgres().await else { return };
        base.notes(rows(&old, 3)).await;
        let Base::Postgres { url, .. } = &base else { unreachable!() };
        let reading = format!("{url}&options[default_transaction_read_only]=on");
        let pool = PgPool::connect(&reading).await.unwrap();
        let table = PgTable::open(&pool, "notes", ["body"]).await.unwrap();
        read_only(RewrapJob::new(&sealer, table, context).execute().run().await.unwrap_err());

        // A user who may read, and one from whom rows are hidden.
        let role = format!("reader_{:x}", getrandom::u64().unwrap());
        base.sql(format!(
            "CREATE ROLE {role}; GRANT SELECT ON notes TO {role}; \
             DO $$ BEGIN EXECUTE 'GRANT USAGE ON SCHEMA ' || current_schema() || ' TO {role}'; END $$"
        ))
        .await;
        let set = format!("SET ROLE {role}");
        let pool = PgPoolOptions::new().after_connect(move |one, _| {
            let set = set.clone();
            Box::pin(async move {
                sqlx::raw_sql(sqlx::AssertSqlSafe(set)).execute(one).await.map(drop)
            })
        });
        let pool = pool.connect(url).await.unwrap();
        let table = PgTable::open(&pool, "notes", ["body"]).await.unwrap();
        read_only(RewrapJob::new(&sealer, table, context).execute().run().await.unwrap_err());
        base.sql("ALTER TABLE notes ENABLE ROW LEVEL SECURITY").await;
        let hidden = PgTable::open(&pool, "notes", ["body"]).await.unwrap_err();
        assert!(matches!(hidden, RewrapJobError::HiddenRows { .. }), "{hidden}");
        base.sql(format!(
            "DO $$ BEGIN EXECUTE 'REVOKE ALL ON SCHEMA ' || current_schema() || ' FROM {role}'; END $$; \
             REVOKE ALL ON notes FROM {role}; DROP ROLE {role}"
        ))
        .await;
    });
}

#[test]
fn a_change_that_the_database_refuses_leaves_its_batch_as_it_was() {
    runtime().block_on(async {
        for base in Base::all().await {
            let (sealer, old) = sealers();
            base.sql(
                "CREATE TABLE notes (id bigint PRIMARY KEY, body text, \
                 CHECK (id <> 25 OR body NOT LIKE '%' OR length(body) < 500))",
            )
            .await;
            for (id, body) in rows(&old, 30) {
                base.sql(format!("INSERT INTO notes VALUES ({id}, '{body}')")).await;
            }
            // Of the row 25 no new value is taken.
            let refuse = match &base {
                Base::Sqlite { .. } => {
                    "CREATE TRIGGER refuse BEFORE UPDATE ON notes WHEN old.id = 25 \
                     BEGIN SELECT RAISE(ABORT, 'not this one'); END"
                }
                Base::Postgres { .. } => {
                    "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS \
                     $$ BEGIN RAISE 'not this one'; END $$; \
                     CREATE TRIGGER refuse BEFORE UPDATE ON notes FOR EACH ROW WHEN (old.id = 25) \
                     EXECUTE FUNCTION refuse()"
                }
            };
            base.sql(refuse).await;
            let before = base.dump("notes", &["body"]).await;
            let notes = base.table("notes", &["body"]).await.unwrap();
            let rewrap = RewrapJob::new(&sealer, notes, context).batch(10).concurrency(1).execute();
            let error = rewrap.run().await.unwrap_err();
            assert!(error.to_string().contains("not this one"), "{error}");
            let after = base.dump("notes", &["body"]).await;
            for (place, (before, after)) in before.iter().zip(&after).enumerate() {
                assert_eq!(before == after, place >= 20, "{}: {place}", base.name());
            }
        }
    });
}

#[test]
fn a_connection_that_is_lost_midway_ends_it_and_the_next_goes_on() {
    let Some(programs) = variable("DUALKEY_TEST_POSTGRES_BIN") else { return };
    let cluster = Cluster::start(&programs);
    runtime().block_on(async {
        let (sealer, old) = sealers();
        let pool = PgPoolOptions::new()
            .max_connections(4)
            .acquire_timeout(Duration::from_secs(2))
            .connect(&cluster.url())
            .await
            .unwrap();
        let base = Base::Postgres { pool: pool.clone(), url: cluster.url() };
        base.notes(rows(&old, 3000)).await;
        let notes = base.table("notes", &["body"]).await.unwrap();
        let rewrap = RewrapJob::new(&sealer, notes, context).batch(100).concurrency(1).execute();
        let (stop, stopped) = (
            std::sync::Mutex::new(Some(cluster)),
            std::sync::Arc::new(std::sync::Mutex::new(None)),
        );
        let kept = stopped.clone();
        let cut = rewrap.clone().on_progress(move |at| {
            if at.rows >= 1000
                && let Some(cluster) = stop.lock().unwrap().take()
            {
                cluster.stop();
                *kept.lock().unwrap() = Some((cluster, at.checkpoint.clone()));
            }
        });
        let error = cut.run().await.unwrap_err();
        assert_eq!(error.as_str(), "database", "{error}");
        let (cluster, checkpoint) = stopped.lock().unwrap().take().unwrap();
        cluster.restart();
        let rewrapped = rewrap.clone().resume(checkpoint).run().await.unwrap();
        assert_eq!((rewrapped.counts.rows, rewrapped.counts.unreadable), (3000, 0));
        let rewrapped = rewrap.run().await.unwrap();
        assert_eq!((rewrapped.counts.current, rewrapped.counts.unreadable), (3000, 0));
        drop(cluster);
    });
}
