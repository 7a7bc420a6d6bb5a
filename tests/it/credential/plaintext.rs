//! Passwords that are sent in plaintext, for providers that take no verifier.

use std::io::Write;
use std::sync::{Arc, Mutex};

use dualkey::Secret;
use dualkey::credential::database::{DatabaseError, change_password_plaintext};
use sqlx::Connection;
use sqlx::postgres::{PgConnectOptions, PgConnection};

use super::database::{FIRST, admin, cluster, role, sql};
use crate::support::postgres::runtime;

/// Whatever the password holds, it is the one that logs in, and no more than that happens.
#[test]
fn odd_passwords_are_set_as_they_are() {
    let Some(cluster) = cluster() else { return };
    runtime().block_on(async {
        let mut admin = admin(&cluster).await;
        let odd = "odd \"role\"";
        sql(&mut admin, "CREATE ROLE \"odd \"\"role\"\"\" LOGIN").await;
        let base: PgConnectOptions = cluster.url().parse().unwrap();
        for conforming in ["on", "off"] {
            sql(&mut admin, format!("SET standard_conforming_strings = {conforming}")).await;
            for password in [
                "'; DROP ROLE test; --",
                "\\'; DROP ROLE test; --",
                "back\\slash\\\\and\\n",
                "$$dollar$$ and $1",
                "Straße \u{2168} €uro",
                "%23#/?@:",
                "md5 and more",
                "E'quoted'",
            ] {
                change_password_plaintext(&mut admin, odd, &Secret::from(password)).await.unwrap();
                let login = base.clone().username(odd).password(password);
                let mut session = PgConnection::connect_with(&login).await.unwrap();
                let who: String = sqlx::query_scalar("SELECT session_user::text")
                    .fetch_one(&mut session)
                    .await
                    .unwrap();
                assert_eq!(who, odd, "{conforming} {password}");
            }
        }
        let md5 = format!("md5{}", "0f".repeat(16));
        for password in
            [&b""[..], b"a\0b", &[0xff, 0xfe], md5.as_bytes(), b"SCRAM-SHA-256$4096:x$y:z"]
        {
            let error = change_password_plaintext(&mut admin, odd, &Secret::from(password)).await;
            let error = error.unwrap_err();
            assert!(matches!(error, DatabaseError::Password { .. }), "{error}");
        }
        let error =
            change_password_plaintext(&mut admin, "nowhere", &"some-password-1".into()).await;
        assert!(matches!(error, Err(DatabaseError::Sqlx(_))));
        // The connection is as it was.
        sql(&mut admin, "SELECT 1").await;
        assert!(!admin.is_in_transaction());
    });
}

/// What `tracing` writes.
#[derive(Clone, Default)]
pub(super) struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    pub(super) fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// V10: a superuser's change is in no log of the server, though it logs every statement, and in no
/// event of `tracing`, though `sqlx` tells it every statement.
#[test]
fn v10_a_password_in_plaintext_is_in_no_log() {
    let Some(cluster) = cluster() else { return };
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut admin = admin(&cluster).await;
        role(&mut admin, "app", FIRST).await;
        sql(&mut admin, "ALTER SYSTEM SET log_statement = 'all'; ").await;
        for setting in [
            "log_min_duration_statement = 0",
            "log_min_error_statement = 'debug5'",
            "log_min_duration_sample = 0",
            "log_statement_sample_rate = 1",
            "log_duration = on",
            "debug_print_parse = on",
        ] {
            sql(&mut admin, format!("ALTER SYSTEM SET {setting}")).await;
        }
        sql(&mut admin, "SELECT pg_reload_conf()").await;
        let mut session = PgConnection::connect(&cluster.url()).await.unwrap();
        while !cluster.log().contains("marker-of-this-test") {
            sql(&mut session, "SELECT 'marker-of-this-test'").await;
        }
        change_password_plaintext(&mut session, "app", &"it's-hunter2-in-plaintext".into())
            .await
            .unwrap();
        change_password_plaintext(&mut session, "nowhere", &"hunter2-of-nowhere".into())
            .await
            .unwrap_err();
        let query: String =
            sqlx::query_scalar("SELECT string_agg(query, ' ') FROM pg_stat_activity")
                .fetch_one(&mut admin)
                .await
                .unwrap();
        assert!(
            PgConnection::connect(&cluster.url_of("app", "it's-hunter2-in-plaintext"))
                .await
                .is_ok()
        );
        assert!(!query.contains("hunter2"), "{query}");
    });
    let log = cluster.log();
    assert!(log.contains("marker-of-this-test") && !log.contains("hunter2"), "{log}");
    let told = String::from_utf8(lines.take()).unwrap();
    assert!(told.contains("sqlx") && !told.contains("hunter2"), "{told}");
}
