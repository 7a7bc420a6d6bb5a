//! Stores and a trail in PostgreSQL, by the library and by the command line.

use std::time::{Duration, UNIX_EPOCH};

use dualkey::ops::audit::{
    Action, AuditError, AuditKey, Outcome, PostgresTrail, Problem, Query, Record, Sink, Trail,
};
use dualkey::{KeyRing, Secret};
use sqlx::postgres::{PgPool, PgPoolOptions};

use crate::support::cluster::Cluster;
use crate::support::pooler::Pooler;
use crate::support::postgres::{runtime, variable};
use crate::support::shell::Shell;
use crate::support::{is_full, secret};

/// A schema of its own in the database of the tests, with the URL that leads there.
async fn schema() -> Option<(PgPool, String)> {
    let url = variable("DUALKEY_TEST_POSTGRES")?;
    let name = format!("ops_{:x}", getrandom::u64().unwrap());
    let pool = PgPool::connect(&url).await.unwrap();
    let create = format!("CREATE SCHEMA {name}");
    sqlx::raw_sql(sqlx::AssertSqlSafe(create)).execute(&pool).await.unwrap();
    let url = format!("{url}?options[search_path]={name}");
    let pool = PgPoolOptions::new().max_connections(8).connect(&url).await.unwrap();
    Some((pool, url))
}

fn ring() -> KeyRing<AuditKey> {
    KeyRing::builder().primary(Secret::from(secret(0))).build().unwrap()
}

fn record(place: u64) -> Record {
    let at = UNIX_EPOCH + Duration::from_secs(1_768_471_200 + place);
    let secret = ["JWT_SECRET", "a | b\n"][place as usize % 2];
    Record::new(at, secret, Action::STAGED, "ada", "production").reason(place.to_string())
}

async fn sql(pool: &PgPool, text: &str) {
    sqlx::raw_sql(sqlx::AssertSqlSafe(text.to_owned())).execute(pool).await.unwrap();
}

#[test]
fn what_is_changed_in_the_database_is_found() {
    runtime().block_on(async {
        let Some((pool, _)) = schema().await else { return };
        sqlx::raw_sql(PostgresTrail::SCHEMA).execute(&pool).await.unwrap();
        let trail = PostgresTrail::new(pool.clone(), ring());
        assert!(trail.verify().await.unwrap().is_whole(), "nothing is whole");
        assert!(trail.is_empty().await.unwrap());
        let records: Vec<_> = (0..100).map(record).collect();
        trail.append(&records[..60]).await.unwrap();
        trail.append(&records[60..]).await.unwrap();
        let verified = trail.verify().await.unwrap();
        assert_eq!((verified.records, verified.problem), (100, None));

        let found = trail.query(&Query::new().secret("a | b\n").take(3)).await.unwrap();
        assert_eq!(found.iter().map(|entry| entry.n).collect::<Vec<_>>(), [100, 98, 96]);
        assert_eq!(found[0].record, records[99]);
        let query = Query::new().since(records[10].at).until(records[20].at);
        assert_eq!(trail.query(&query.clone().actor("ada")).await.unwrap().len(), 10);
        assert!(trail.query(&query.outcome(Outcome::Failed)).await.unwrap().is_empty());

        sql(&pool, "CREATE TABLE good AS SELECT * FROM dualkey_audit").await;
        let changed = |n| Problem::Changed { n };
        for (edit, expected) in [
            ("UPDATE dualkey_audit SET line = replace(line, 'ada', 'eve') WHERE n = 7", changed(7)),
            ("UPDATE dualkey_audit SET actor = 'eve' WHERE n = 8", changed(8)),
            ("UPDATE dualkey_audit SET secret = 'X' WHERE n = 9", changed(9)),
            ("UPDATE dualkey_audit SET at = 'X' WHERE n = 10", changed(10)),
            ("UPDATE dualkey_audit SET action = 'X' WHERE n = 11", changed(11)),
            ("UPDATE dualkey_audit SET environment = 'X' WHERE n = 12", changed(12)),
            ("UPDATE dualkey_audit SET outcome = 'X' WHERE n = 13", changed(13)),
            ("UPDATE dualkey_audit SET n = 1000 WHERE n = 50", Problem::Removed { n: 50 }),
            ("DELETE FROM dualkey_audit WHERE n = 1", Problem::Removed { n: 1 }),
            ("DELETE FROM dualkey_audit WHERE n = 42", Problem::Removed { n: 42 }),
            (
                "DELETE FROM dualkey_audit WHERE n = 100",
                Problem::Truncated { expected: 100, found: 99 },
            ),
            ("DELETE FROM dualkey_audit", Problem::Truncated { expected: 100, found: 0 }),
        ] {
            sql(&pool, edit).await;
            let verified = trail.verify().await.unwrap();
            assert_eq!(verified.problem, Some(expected), "{edit}");
            sql(&pool, "DELETE FROM dualkey_audit; INSERT INTO dualkey_audit SELECT * FROM good")
                .await;
        }
        // Nothing is built on what was cut off.
        sql(&pool, "DELETE FROM dualkey_audit WHERE n = 100").await;
        let error = trail.append(&records[..1]).await.unwrap_err();
        assert!(matches!(error, AuditError::Broken { .. }), "{error}");
        sql(&pool, "DELETE FROM dualkey_audit_head").await;
        assert_eq!(trail.verify().await.unwrap().problem, Some(Problem::NoHead));
        assert!(!trail.is_empty().await.unwrap(), "it has records");
        sql(&pool, "DELETE FROM dualkey_audit").await;
        assert!(trail.is_empty().await.unwrap());
        sql(&pool, "INSERT INTO dualkey_audit_head (line) VALUES ('X')").await;
        assert!(!trail.is_empty().await.unwrap(), "it has a head, which does not read");
    });
}

/// The rows of the table, and the head, as a forger sees them.
async fn rows(pool: &PgPool) -> Vec<(i64, String)> {
    sqlx::query_as("SELECT n, line FROM dualkey_audit ORDER BY n").fetch_all(pool).await.unwrap()
}

/// One edit of a forger who can write the tables, and has no key.
async fn forge(pool: &PgPool, numbers: &mut impl FnMut(usize) -> usize, old_head: &str) {
    let all = rows(pool).await;
    let (place, other) = (numbers(all.len()), numbers(all.len()));
    let (n, line) = &all[place];
    let forged = line.replace("| ada |", "| eve@rival.example |");
    let text = match numbers(8) {
        0 => format!("UPDATE dualkey_audit SET line = '{forged}' WHERE n = {n}"),
        1 => format!("DELETE FROM dualkey_audit WHERE n = {n}"),
        2 => format!("DELETE FROM dualkey_audit WHERE n >= {n}"),
        3 => format!(
            "UPDATE dualkey_audit SET line = CASE n WHEN {n} THEN '{}' ELSE '{line}' END \
             WHERE n IN ({n}, {})",
            all[other].1, all[other].0
        ),
        4 => format!(
            "INSERT INTO dualkey_audit SELECT {}, at, secret, action, 'eve@rival.example', \
             environment, outcome, '{}' FROM dualkey_audit WHERE n = {n}",
            all.last().unwrap().0 + 1 + numbers(3) as i64,
            [&forged, line][numbers(2)]
        ),
        5 => format!("UPDATE dualkey_audit SET secret = 'OTHER' WHERE n = {n}"),
        6 => "DELETE FROM dualkey_audit_head".to_owned(),
        _ => format!("UPDATE dualkey_audit_head SET line = '{old_head}'"),
    };
    sql(pool, &text).await;
}

#[test]
fn a_forger_in_the_database_is_found_and_decides_nothing() {
    runtime().block_on(async {
        let Some((pool, _)) = schema().await else { return };
        sqlx::raw_sql(PostgresTrail::SCHEMA).execute(&pool).await.unwrap();
        let programs = if is_full() { 1_000 } else { 60 };
        let mut state = 7_u64;
        let mut numbers = |count: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) as usize % count
        };
        let (mut found, mut refused) = (0, 0);
        for _ in 0..programs {
            sql(&pool, "DELETE FROM dualkey_audit; DELETE FROM dualkey_audit_head").await;
            let trail = PostgresTrail::new(pool.clone(), ring());
            trail.append(&[record(0), record(1)]).await.unwrap();
            let head = sqlx::query_scalar("SELECT line FROM dualkey_audit_head");
            let old_head: String = head.fetch_one(&pool).await.unwrap();
            let records: Vec<_> = (2..8).map(record).collect();
            trail.append(&records).await.unwrap();
            let honest = rows(&pool).await;
            for _ in 0..1 + numbers(2) {
                forge(&pool, &mut numbers, &old_head).await;
                if rows(&pool).await.is_empty() {
                    break;
                }
            }
            let (now, verified) = (rows(&pool).await, trail.verify().await.unwrap());
            let columns = "SELECT count(*) FROM dualkey_audit WHERE secret = 'OTHER'";
            let others: i64 = sqlx::query_scalar(columns).fetch_one(&pool).await.unwrap();
            let head = sqlx::query_scalar("SELECT line FROM dualkey_audit_head");
            let head: Option<String> = head.fetch_optional(&pool).await.unwrap();
            let is_old = head.as_ref() == Some(&old_head);
            // An older copy of all of it cannot be found.
            let is_copy = is_old && now.len() < honest.len() && now[..] == honest[..now.len()];
            let is_tampered = (now != honest && !is_copy) || others > 0 || head.is_none();
            assert_eq!(!verified.is_whole(), is_tampered, "{verified:?} {now:#?}");
            found += usize::from(is_tampered);

            let listing = trail.read(&Query::new()).await.unwrap();
            for entry in &listing.records {
                assert!(honest[entry.n as usize - 1].1.starts_with(&entry.record.to_string()));
            }
            let query = Query::new().secret("JWT_SECRET").take(1);
            if let Ok(last) = trail.query(&query).await
                && !is_old
            {
                assert_eq!(last[0].n, 7, "the last record of the secret");
            }
            match trail.append(&[record(8)]).await {
                Ok(()) => assert!(!rows(&pool).await.last().unwrap().1.contains("rival")),
                Err(AuditError::Broken { .. }) => {
                    refused += 1;
                    assert_eq!(rows(&pool).await, now);
                }
                Err(error) => panic!("{error}"),
            }
        }
        println!("{programs} programs: {found} found, {refused} refused to continue");
        assert!(found > programs / 2 && refused > 0);
    });
}

/// The rule: a trail without a record is empty, whatever rows are in its table.
#[test]
fn rows_after_an_empty_trail_make_it_no_trail() {
    runtime().block_on(async {
        let Some((pool, _)) = schema().await else { return };
        sqlx::raw_sql(PostgresTrail::SCHEMA).execute(&pool).await.unwrap();
        let trail = PostgresTrail::new(pool.clone(), ring());
        trail.append(&[]).await.unwrap();
        sql(&pool, "INSERT INTO dualkey_audit VALUES (1, '', '', '', '', '', '', 'junk')").await;
        assert!(trail.is_empty().await.unwrap());
        sql(&pool, "DELETE FROM dualkey_audit").await;
        trail.append(&[record(0)]).await.unwrap();
        assert!(!trail.is_empty().await.unwrap());
        sql(&pool, "DELETE FROM dualkey_audit_head").await;
        assert!(!trail.is_empty().await.unwrap(), "a record without a head is a trace");
    });
}

#[test]
fn what_was_taken_over_into_a_database_stands_where_it_belongs_in_time() {
    runtime().block_on(async {
        let Some((pool, _)) = schema().await else { return };
        sqlx::raw_sql(PostgresTrail::SCHEMA).execute(&pool).await.unwrap();
        super::audit::check_old_and_new(&PostgresTrail::new(pool, ring())).await;
    });
}

#[test]
fn many_append_at_once_and_one_at_a_time_does_something_to_a_secret() {
    runtime().block_on(async {
        let Some((pool, _)) = schema().await else { return };
        sqlx::raw_sql(PostgresTrail::SCHEMA).execute(&pool).await.unwrap();
        let trail = PostgresTrail::new(pool.clone(), ring());
        let each = if is_full() { 1000 } else { 60 };
        let tasks: Vec<_> = (0..8)
            .map(|task| {
                let trail = trail.clone();
                tokio::spawn(async move {
                    for place in 0..each {
                        let mut record = record(place);
                        record.actor = format!("task-{task}");
                        trail.append(&[record]).await.unwrap();
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        let verified = trail.verify().await.unwrap();
        assert_eq!((verified.records, verified.problem), (each * 8, None));
        for task in 0..8 {
            let entries = trail.query(&Query::new().actor(&format!("task-{task}"))).await.unwrap();
            assert_eq!(entries.len() as u64, each);
        }

        let held = trail.lock("production/JWT_SECRET").await.unwrap();
        let _other = trail.lock("production/SESSION_SECRET").await.unwrap();
        let waits = trail.clone();
        let waiting =
            tokio::spawn(async move { waits.lock("production/JWT_SECRET").await.map(|_| ()) });
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(!waiting.is_finished());
        drop(held);
        waiting.await.unwrap().unwrap();
    });
}

fn kek() -> String {
    hex::encode(&secret(5).as_bytes()[..32])
}

const INVENTORY: &str = r#"
version = 1
environment = "production"
kek = "DUALKEY_KEK"

[audit]
postgres = "DATABASE_URL"
secret = "AUDIT_SECRET"

[[secret]]
name = "AUDIT_SECRET"
purpose = "audit"
priority = "critical"
store = { postgres = "DATABASE_URL" }

[[secret]]
name = "SESSION_SECRET"
purpose = "cookie"
priority = "critical"
store = { postgres = "DATABASE_URL" }
rotate = "quarterly"
"#;

#[test]
fn the_command_line_works_on_a_database() {
    let runtime = runtime();
    let Some((pool, url)) = runtime.block_on(schema()) else { return };
    let mut shell = Shell::new("2026-01-02T09:00:00Z");
    std::fs::write(shell.path("dualkey.toml"), INVENTORY).unwrap();
    let (_, schema) = shell.run("schema");
    runtime.block_on(sql(&pool, &schema));
    let run = |line: &str| {
        let words: Vec<_> = line.split(' ').collect();
        let mut command = shell.command(&words);
        command.env("DATABASE_URL", &url).env("DUALKEY_KEK", kek());
        let output = command.output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap()
            + std::str::from_utf8(&output.stderr).unwrap();
        (output.status.code().unwrap(), text)
    };
    for (line, says) in [
        ("generate --store AUDIT_SECRET SESSION_SECRET", "SESSION_SECRET (production): created"),
        ("stage SESSION_SECRET", "- -> staged"),
        ("promote SESSION_SECRET --force --reason alone --yes", "staged -> primary"),
        ("emergency-rotate SESSION_SECRET --reason leaked --yes", "emergency rotated"),
        ("rotate AUDIT_SECRET", "AUDIT_SECRET (production): rotated"),
        ("audit verify", "whole: 13 records"),
        ("audit --last-rotations", "EMERGENCY_ROTATED"),
        ("doctor", "nothing is wrong"),
    ] {
        let (status, text) = run(line);
        assert!(status == 0 && text.contains(says), "{line}: {text}");
    }
    // A trail that was deleted, and a new one.
    runtime.block_on(sql(&pool, "DELETE FROM dualkey_audit; DELETE FROM dualkey_audit_head"));
    for (line, status, says) in [
        ("audit verify", 3, "it has no record"),
        ("stage SESSION_SECRET", 1, "it has no record"),
        ("audit restart --reason deleted --yes", 0, "started a new trail"),
        ("stage SESSION_SECRET", 0, "- -> staged"),
        ("audit verify", 0, "whole: 3 records"),
    ] {
        let (found, text) = run(line);
        assert!(found == status && text.contains(says), "{line}: {text}");
    }
    // What is not set, and what is none.
    let (status, text) = shell.run("status SESSION_SECRET");
    assert!(status == 1 && text.contains("the variable DATABASE_URL is not set"), "{text}");
    let mut command = shell.command(&["status", "SESSION_SECRET"]);
    command.env("DATABASE_URL", "hunter2").env("DUALKEY_KEK", kek());
    let output = command.output().unwrap();
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(text.contains("DATABASE_URL") && !text.contains("hunter2"), "{text}");
}

/// The rule: one command after the other takes the lock of the trail, whichever server connection
/// it gets.
#[test]
fn the_command_line_works_through_a_pooler_in_transaction_mode() {
    let Some(programs) = variable("DUALKEY_TEST_POSTGRES_BIN") else { return };
    let cluster = Cluster::start(&programs);
    let Some(pooler) = Pooler::of(&cluster.url()).size(2).start() else { return };
    let mut shell = Shell::new("2026-01-02T09:00:00Z");
    std::fs::write(shell.path("dualkey.toml"), INVENTORY).unwrap();
    let (_, schema) = shell.run("schema");
    runtime().block_on(async {
        let pool = PgPool::connect(&cluster.url()).await.unwrap();
        sql(&pool, &schema).await;
    });
    for (line, says) in [
        ("generate --store AUDIT_SECRET SESSION_SECRET", "SESSION_SECRET (production): created"),
        ("stage SESSION_SECRET", "- -> staged"),
        ("promote SESSION_SECRET --force --reason alone --yes", "staged -> primary"),
        ("stage SESSION_SECRET", "- -> staged"),
        ("emergency-rotate SESSION_SECRET --reason leaked --yes", "emergency rotated"),
        ("audit verify", "whole: "),
        ("doctor", "nothing is wrong"),
    ] {
        let words: Vec<_> = line.split(' ').collect();
        let mut command = shell.command(&words);
        command.env("DATABASE_URL", pooler.url()).env("DUALKEY_KEK", kek());
        let output = command.output().unwrap();
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        let is_done = output.status.success() && text.contains(says);
        assert!(is_done, "{line}: {text}{}", pooler.log());
    }
}
