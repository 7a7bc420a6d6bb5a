//! The URLs of one ring name one database.

use std::collections::HashMap;

use dualkey::KeyRing;
use dualkey::credential::Credential;
use dualkey::credential::database::{DatabaseError, Login, RotatingPool};
use sqlx::postgres::PgPoolOptions;

use super::database::{FIRST, Load, SECOND, admin, ask, cluster, connections, kid, role};
use super::{key, ring};
use crate::support::postgres::runtime;

const URL: &str = "postgres://app:oldpassword1@db/app";

fn of(variables: &[(&str, &str)]) -> KeyRing<Credential> {
    let all: HashMap<_, _> = variables.iter().copied().collect();
    let lookup = |name: &str| Ok(all.get(name).map(|value| (*value).to_owned()));
    KeyRing::builder().vars("DATABASE_URL", lookup).build().unwrap()
}

/// A backup that is another database is refused with both variables, what differs and the remedy,
/// and without a value.
#[test]
fn a_url_of_another_database_is_refused_with_both_names() {
    runtime().block_on(async {
        for (other, differs) in [
            (
                "postgres://app_backup:otherpassword@backup-host/backup",
                "another host and another database",
            ),
            ("postgres://app:otherpassword@db:6432/app", "another port"),
            ("postgresql://app:otherpassword@DB./reports", "another database"),
            ("postgres://app:otherpassword@db", "another database"),
        ] {
            // The database of a URL without one is that of the role's name.
            let other = other.replace("app:otherpassword@db\"", "b:otherpassword@db");
            let other = match other.as_str() {
                "postgres://app:otherpassword@db" => "postgres://app_b:otherpassword@db",
                other => other,
            };
            for suffix in ["_BACKUP", "_OLD", "_NEXT", "_NEW"] {
                let name = format!("DATABASE_URL{suffix}");
                let ring = of(&[("DATABASE_URL", URL), (&name, other)]);
                let error = RotatingPool::new(ring.clone(), Login::Url, PgPoolOptions::new());
                let error = error.unwrap_err();
                assert!(matches!(error, DatabaseError::OtherDatabase { .. }), "{error:?}");
                let text = error.to_string();
                let names = [format!("`{name}`"), "`DATABASE_URL`".to_owned(), differs.to_owned()];
                assert!(names.iter().all(|name| text.contains(name)), "{text}");
                assert!(text.contains("UrlOfAnyDatabase") && !text.contains("password1"), "{text}");
                assert!(!format!("{text} {error:?}").contains("otherpassword"), "{error:?}");
                let allowed =
                    RotatingPool::new(ring, Login::UrlOfAnyDatabase, PgPoolOptions::new());
                assert!(allowed.is_ok());
            }
        }
        // Two roles of one database are a rotation, however the URL is written.
        for other in [
            "postgres://app_b:otherpassword@db/app",
            "postgresql://app_b:otherpassword@DB:5432/app?application_name=web",
        ] {
            let ring = of(&[("DATABASE_URL", URL), ("DATABASE_URL_BACKUP", other)]);
            assert!(RotatingPool::new(ring, Login::Url, PgPoolOptions::new()).is_ok());
        }
        // Keys without a variable are named by their kids.
        let (ring, ..) = ring(&[("a", URL), ("b", "postgres://app:otherpassword@other/app")]);
        let error = RotatingPool::new(ring, Login::Url, PgPoolOptions::new()).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("`a`") && text.contains("`b`") && text.contains("host"), "{text}");
    });
}

/// One that is stored later gets no connection, is reported, and takes nothing down.
#[test]
fn a_url_of_another_database_that_is_stored_later_is_never_used() {
    let Some(cluster) = cluster() else { return };
    runtime().block_on(async {
        let mut admin = admin(&cluster).await;
        role(&mut admin, "app_a", FIRST).await;
        role(&mut admin, "app_b", SECOND).await;
        let elsewhere = cluster.url_of("app_b", SECOND).replace("/postgres", "/template1");
        let (ring, told, clock) = ring(&[("first", &cluster.url_of("app_a", FIRST))]);
        let pool = RotatingPool::new(ring.clone(), Login::Url, super::database::options()).unwrap();
        let shared = pool.clone();
        let load = Load::start(move || ask(shared.clone()));
        load.more(50).await;
        ring.stage(key("elsewhere", &elsewhere)).unwrap();
        let error = pool.probe(&kid("elsewhere")).await.unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, DatabaseError::OtherDatabase { .. }), "{text}");
        assert!(text.contains("`elsewhere`") && text.contains("`first`"), "{text}");
        assert!(pool.probe_with(&kid("elsewhere"), "SELECT 1").await.is_err());
        ring.promote(&kid("elsewhere")).unwrap();
        load.more(200).await;
        clock.advance(std::time::Duration::from_secs(1));
        load.more(200).await;
        let (_, failures) = load.stop().await;
        assert!(failures.is_empty(), "{failures:?}");
        // Not even in need: the one before is refused from now on, and there is nowhere to go.
        dualkey::credential::database::change_password(&mut admin, "app_a", &SECOND.into())
            .await
            .unwrap();
        let error = loop {
            if let Err(error) = pool.acquire().await {
                break error;
            }
        };
        assert!(matches!(error, DatabaseError::Refused { .. }), "{error}");
        let told = told.take();
        assert_eq!(told[..2], ["elsewhere unusable", "elsewhere -> first"], "{told:?}");
        assert_eq!(connections(&mut admin, "app_b").await, 0);
    });
}

/// Where it is allowed, the pool moves to another database.
#[test]
fn with_the_setting_a_pool_fails_over_to_another_database() {
    let Some(cluster) = cluster() else { return };
    runtime().block_on(async {
        let mut admin = admin(&cluster).await;
        role(&mut admin, "app", FIRST).await;
        let there = cluster.url_of("app", FIRST).replace("/postgres", "/template1");
        let (ring, ..) = ring(&[("first", &cluster.url_of("app", SECOND)), ("other", &there)]);
        let pool = RotatingPool::new(ring, Login::UrlOfAnyDatabase, PgPoolOptions::new()).unwrap();
        let mut connection = pool.acquire().await.unwrap();
        let database: String = sqlx::query_scalar("SELECT current_database()::text")
            .fetch_one(&mut *connection)
            .await
            .unwrap();
        assert_eq!(database, "template1");
    });
}

/// V10: a parameter that nothing knows is refused by its name, and its value reaches no output.
#[test]
fn v10_a_secret_in_a_url_parameter_is_refused_and_shown_nowhere() {
    let lines = super::plaintext::Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        for login in [Login::Url, Login::UrlOfAnyDatabase] {
            let good = "postgres://app:oldpassword1@db/app";
            let (ring, ..) =
                ring(&[("good", good), ("bad", &format!("{good}?sslpassword=hunter2"))]);
            let error = RotatingPool::new(ring, login, PgPoolOptions::new()).unwrap_err();
            let text = format!("{error} {error:?}");
            assert!(text.contains("sslpassword") && !text.contains("hunter2"), "{text}");
        }
    });
    let told = String::from_utf8(lines.take()).unwrap();
    assert!(!told.contains("hunter2"), "{told}");
}
