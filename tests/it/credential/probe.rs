//! A statement of the user's finds a role that may log in and lacks a right.

use std::time::Duration;

use dualkey::credential::database::{DatabaseError, Login, RotatingPool};

use super::database::{
    FIRST, Load, SECOND, admin, ask, cluster, connections, kid, options, role, sql,
};
use super::{key, ring};
use crate::support::postgres::runtime;

const STATEMENT: &str = "UPDATE notes SET body = '' WHERE false";

#[test]
fn a_probe_with_a_statement_tells_a_wrong_password_from_a_missing_right() {
    let Some(cluster) = cluster() else { return };
    runtime().block_on(async {
        let mut admin = admin(&cluster).await;
        role(&mut admin, "app_a", FIRST).await;
        role(&mut admin, "app_b", SECOND).await;
        sql(&mut admin, "CREATE TABLE notes (body text); GRANT ALL ON notes TO app_a").await;
        let (ring, told, _) = ring(&[
            ("a", &cluster.url_of("app_a", FIRST)),
            ("b", &cluster.url_of("app_b", SECOND)),
            ("wrong", &cluster.url_of("app_b", "a-wrong-password")),
        ]);
        let pool = RotatingPool::new(ring, Login::Url, options()).unwrap();
        pool.probe_with(&kid("a"), STATEMENT).await.unwrap();
        pool.probe(&kid("b")).await.unwrap();
        let error = pool.probe_with(&kid("b"), STATEMENT).await.unwrap_err();
        let DatabaseError::Statement { kid: failed, source, .. } = &error else {
            panic!("{error:?}")
        };
        assert_eq!(*failed, kid("b"));
        assert_eq!(source.as_database_error().unwrap().code().unwrap(), "42501");
        let error = pool.probe_with(&kid("wrong"), STATEMENT).await.unwrap_err();
        assert!(matches!(error, DatabaseError::Refused { .. }), "{error}");
        // It is bounded, and leaves nothing behind.
        let slow = "SET LOCAL statement_timeout = 20; SELECT pg_sleep(60)";
        let error = pool.probe_with(&kid("a"), slow).await.unwrap_err();
        assert!(matches!(error, DatabaseError::Statement { .. }), "{error}");
        pool.probe_with(&kid("a"), "INSERT INTO notes VALUES ('left')").await.unwrap();
        let left: i64 =
            sqlx::query_scalar("SELECT count(*) FROM notes").fetch_one(&mut admin).await.unwrap();
        assert_eq!(left, 0);
        assert!(told.take().is_empty(), "a probe changes nothing of the pool");
    });
}

#[test]
fn a_promoted_role_that_lacks_a_right_is_not_taken_until_it_has_it() {
    let Some(cluster) = cluster() else { return };
    runtime().block_on(async {
        let mut admin = admin(&cluster).await;
        role(&mut admin, "app_a", FIRST).await;
        role(&mut admin, "app_b", SECOND).await;
        sql(&mut admin, "CREATE TABLE notes (body text); GRANT ALL ON notes TO app_a").await;
        let (ring, told, clock) = ring(&[("a", &cluster.url_of("app_a", FIRST))]);
        let pool = RotatingPool::new(ring.clone(), Login::Url, options()).unwrap();
        let pool = pool.with_probe(STATEMENT);
        let shared = pool.clone();
        let load = Load::start(move || ask(shared.clone()));
        load.more(50).await;
        ring.stage(key("b", &cluster.url_of("app_b", SECOND))).unwrap();
        ring.promote(&kid("b")).unwrap();
        // Until it is tried.
        let mut switches = told.take();
        while switches.len() < 2 {
            load.more(20).await;
            switches.extend(told.take());
        }
        assert_eq!(switches[..2], ["b unusable", "b -> a"], "{switches:?}");
        clock.advance(Duration::from_secs(1));
        load.more(200).await;
        assert_eq!(connections(&mut admin, "app_b").await, 0);
        sql(&mut admin, "GRANT ALL ON notes TO app_b").await;
        let who = || async {
            let mut connection = pool.acquire().await.unwrap();
            let query = sqlx::query_scalar::<_, String>("SELECT session_user::text");
            query.fetch_one(&mut *connection).await.unwrap()
        };
        while switches.last().unwrap() != "a -> b" {
            // Longer than it cools down, also if it was tried just before it had the right.
            clock.advance(Duration::from_secs(120));
            load.more(20).await;
            switches.extend(told.take());
        }
        while who().await != "app_b" {
            load.more(20).await;
        }
        let (_, failures) = load.stop().await;
        assert!(failures.is_empty(), "{failures:?}");
    });
}
