//! A pool moves to another credential when the server, or PgBouncer, refuses the one in use, and
//! on no other error.

use std::time::Duration;

use dualkey::credential::database::{DatabaseError, Login, PoolerProblem, RotatingPool};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPoolOptions};
use sqlx::{Connection, Executor, Row};

use super::database::{FIRST, SECOND, admin, ask, cluster, kid, role, sql};
use super::ring;
use crate::support::pooler::Pooler;
use crate::support::postgres::runtime;

fn code(error: &DatabaseError) -> String {
    let DatabaseError::Sqlx(error) = error else { panic!("{error:?}") };
    error.as_database_error().and_then(|error| error.code()).unwrap_or_default().into_owned()
}

fn options() -> PgPoolOptions {
    PgPoolOptions::new().acquire_timeout(Duration::from_secs(20))
}

/// 28000 of `pg_hba.conf`, and of ident, says nothing of the password: the error comes as it is,
/// and no credential cools down.
#[test]
fn what_pg_hba_rejects_is_no_refusal_of_the_credential() {
    let Some(cluster) = cluster() else { return };
    runtime().block_on(async {
        let mut admin = admin(&cluster).await;
        role(&mut admin, "app", FIRST).await;
        role(&mut admin, "app_b", SECOND).await;
        let test = "host all test 127.0.0.1/32 scram-sha-256\n";
        for line in ["", "host all app 127.0.0.1/32 reject\n", "host all app 127.0.0.1/32 ident\n"]
        {
            cluster.set_hba(&format!("{line}{test}"));
            let (ring, told, _) = ring(&[
                ("first", &cluster.url_of("app", FIRST)),
                ("other", &cluster.url_of("app_b", SECOND)),
            ]);
            let pool = RotatingPool::new(ring, Login::Url, options()).unwrap();
            // Until the server has read the file.
            let error = loop {
                match pool.inner().acquire().await {
                    Ok(connection) => drop(connection.close().await),
                    Err(error) => break error,
                }
            };
            assert_eq!(error.as_database_error().unwrap().code().unwrap(), "28000", "{error}");
            let error = pool.acquire().await.unwrap_err();
            assert_eq!(code(&error), "28000", "{line}: {error}");
            assert!(matches!(pool.probe(&kid("first")).await, Err(DatabaseError::Sqlx(_))));
            assert!(told.take().is_empty() && !pool.credentials().is_cooling_down());
            cluster.set_hba("host all all 127.0.0.1/32 scram-sha-256\n");
            while pool.acquire().await.is_err() {}
        }
    });
}

/// 28000 of a role that may not log in, or is gone, is of the credential: the routine says so,
/// whatever language the server speaks.
#[test]
fn a_role_that_may_not_log_in_is_refused_in_every_language() {
    let Some(cluster) = cluster() else { return };
    runtime().block_on(async {
        cluster.restart_in("de");
        let mut admin = admin(&cluster).await;
        role(&mut admin, "gone", FIRST).await;
        role(&mut admin, "app_a", FIRST).await;
        role(&mut admin, "app_b", SECOND).await;
        sql(&mut admin, "ALTER ROLE app_a NOLOGIN").await;
        for (name, password) in [("app_a", FIRST), ("app_b", "a-wrong-password")] {
            let url = cluster.url_of(name, password);
            let error = PgConnection::connect(&url).await.unwrap_err().to_string();
            println!("{error}");
            let good = cluster.url_of("app_b", SECOND);
            let (ring, told, _) = ring(&[("first", &url), ("second", &good)]);
            let pool = RotatingPool::new(ring, Login::Url, options()).unwrap();
            ask(pool.clone()).await.unwrap();
            assert_eq!(told.take(), ["first refused", "first -> second"], "{error}");
        }
        // Without a password to ask for, the server finds that the role is gone, and says 28000.
        cluster
            .set_hba("host all test 127.0.0.1/32 scram-sha-256\nhost all all 127.0.0.1/32 trust\n");
        sql(&mut admin, "DROP ROLE gone").await;
        let url = cluster.url_of("gone", FIRST);
        let error = loop {
            let error = PgConnection::connect(&url).await.unwrap_err();
            let refusal = error.as_database_error().unwrap();
            if refusal.code().unwrap() == "28000" {
                break refusal.message().to_owned();
            }
        };
        let good = cluster.url_of("app_b", SECOND);
        let (ring, told, _) = ring(&[("first", &url), ("second", &good)]);
        let pool = RotatingPool::new(ring, Login::Url, options()).unwrap();
        ask(pool.clone()).await.unwrap();
        assert_eq!(told.take(), ["first refused", "first -> second"], "{error}");
    });
}

/// PgBouncer says 08P01 for a wrong password, and passes on with it that a role may not log in.
#[test]
fn what_pgbouncer_says_of_the_login_is_a_refusal() {
    let Some(cluster) = cluster() else { return };
    runtime().block_on(async {
        let mut admin = admin(&cluster).await;
        role(&mut admin, "app_a", FIRST).await;
        role(&mut admin, "app_b", SECOND).await;
        role(&mut admin, "out", FIRST).await;
        sql(&mut admin, "ALTER ROLE out NOLOGIN").await;
        for method in ["scram-sha-256", "md5", "plain"] {
            let settings = Pooler::of(&cluster.url()).line(&format!("auth_type = {method}"));
            let settings = settings.user("app_a", FIRST).user("app_b", SECOND).user("out", FIRST);
            let Some(pooler) = settings.start() else { return };
            let good = format!("{}?pgbouncer=true", pooler.url_of("app_b", SECOND));
            for (role, password) in
                [("app_a", "a-wrong-password"), ("unknown-role", FIRST), ("out", FIRST)]
            {
                let (ring, told, _) =
                    ring(&[("first", &pooler.url_of(role, password)), ("second", &good)]);
                let pool = RotatingPool::new(ring, Login::Url, options()).unwrap();
                pool.fetch_all(sqlx::query("SELECT $1::int").bind(1)).await.unwrap();
                assert_eq!(told.take(), ["first refused", "first -> second"], "{method} {role}");
                let refused = pool.probe(&kid("first")).await.unwrap_err();
                assert!(matches!(refused, DatabaseError::Refused { .. }), "{method} {refused}");
            }
        }
    });
}

/// PgBouncer says 08P01 of its own limits and settings as well: another credential would meet the
/// same.
#[test]
fn what_pgbouncer_says_of_itself_is_no_refusal() {
    let Some(cluster) = cluster() else { return };
    runtime().block_on(async {
        let mut admin = admin(&cluster).await;
        role(&mut admin, "app", FIRST).await;
        let settings = Pooler::of(&cluster.url()).user("app", FIRST).size(1);
        let settings = settings.line("query_wait_timeout = 1").line("ignore_startup_parameters =");
        let Some(pooler) = settings.start() else { return };
        let plain: PgConnectOptions = pooler.url_of("app", "none").parse().unwrap();
        let login = |options: &PgConnectOptions| Login::Password(Box::new(options.clone()));
        let pool = |options: &PgConnectOptions| {
            let (ring, told, _) = ring(&[("first", FIRST), ("other", SECOND)]);
            (RotatingPool::new(ring, login(options), self::options()).unwrap(), told)
        };

        // It connects: `sqlx` sends `extra_float_digits`, unless told not to.
        let (rotating, told) = pool(&plain);
        let held = rotating.begin().await.unwrap();
        // The one connection of the server is taken.
        let error = rotating.begin().await.unwrap_err();
        assert!(code(&error) == "08P01" && error.to_string().contains("query_wait_timeout"));
        held.rollback().await.unwrap();
        assert!(told.take().is_empty());

        let (rotating, told) = pool(&plain.clone().options([("search_path", "other")]));
        let error = rotating.acquire().await.unwrap_err();
        let DatabaseError::Pooler { problem, .. } = &error else { panic!("{error:?}") };
        assert_eq!(*problem, PoolerProblem::StartupParameter { name: "options".to_owned() });
        assert!(error.to_string().contains("ignore_startup_parameters"), "{error}");
        assert!(told.take().is_empty());

        let (rotating, told) = pool(&plain.clone().database("nowhere"));
        let error = rotating.acquire().await.unwrap_err();
        assert!(code(&error) == "08P01" && error.to_string().contains("nowhere"), "{error}");
        assert!(told.take().is_empty());
    });
}

/// Prepared statements of a session do not outlive a transaction: the error names the setting, and
/// with the setting all works.
#[test]
fn prepared_statements_in_transaction_mode_work_or_the_error_names_the_setting() {
    let Some(cluster) = cluster() else { return };
    runtime().block_on(async {
        let mut admin = admin(&cluster).await;
        role(&mut admin, "app", FIRST).await;
        let settings = Pooler::of(&cluster.url()).user("app", FIRST).size(1);
        let Some(pooler) = settings.start() else { return };
        let url = pooler.url_of("app", FIRST);
        let plain: PgConnectOptions = url.parse().unwrap();
        let query = || sqlx::query("SELECT $1::int").bind(1);
        let (password_ring, told, _) = ring(&[("first", FIRST)]);
        // Under the same name, on the same connection of the server; and without a cache as well.
        for capacity in [100, 0] {
            let login = plain.clone().statement_cache_capacity(capacity);
            let login = Login::Password(Box::new(login));
            let pool = RotatingPool::new(password_ring.clone(), login, options()).unwrap();
            let (mut one, mut two) = (pool.acquire().await.unwrap(), pool.acquire().await.unwrap());
            let mut results = Vec::new();
            for connection in [&mut one, &mut two] {
                results.push(connection.fetch_one(query()).await.map(drop));
            }
            let error = DatabaseError::from(results.into_iter().find_map(Result::err).unwrap());
            let DatabaseError::Pooler { problem, .. } = &error else { panic!("{error:?}") };
            assert_eq!(*problem, PoolerProblem::PreparedStatement);
            let text = sqlx::Error::from(error).to_string();
            assert!(text.contains("pgbouncer=true"), "{text}");
        }
        // With the setting, many at once, and others who prepare under the same names.
        let login = Login::Password(Box::new(plain.clone().statement_cache_capacity(0)));
        let by_password =
            RotatingPool::new(password_ring, login, options()).unwrap().behind_pooler();
        let (url_ring, also_told, _) = ring(&[("first", &format!("{url}?pgbouncer=true"))]);
        let by_url = RotatingPool::new(url_ring, Login::Url, options()).unwrap();
        let mut tasks = tokio::task::JoinSet::new();
        for pool in [by_password, by_url] {
            for _ in 0..4 {
                let pool = pool.clone();
                tasks.spawn(async move {
                    for number in 0..20 {
                        let query = || sqlx::query("SELECT $1::int AS number").bind(number);
                        let rows = pool.fetch_all(query()).await.unwrap();
                        assert_eq!(rows[0].get::<i32, _>("number"), number);
                        assert!(pool.fetch_optional(query()).await.unwrap().is_some());
                        pool.execute(query()).await.unwrap();
                        pool.execute("SELECT 1").await.unwrap();
                        let mut transaction = pool.begin().await.unwrap();
                        let text = sqlx::query_scalar::<_, String>("SELECT $1::text").bind("x");
                        let echo = text.fetch_one(&mut *transaction).await.unwrap();
                        transaction.commit().await.unwrap();
                        assert_eq!(echo, "x");
                    }
                    pool.probe_with(&kid("first"), "SELECT 1").await.unwrap();
                });
            }
        }
        tasks.join_all().await;
        assert!(told.take().is_empty() && also_told.take().is_empty());
    });
}
