//! Two roles that share ownership, as the documentation of the module sets them up.

use dualkey::Secret;
use dualkey::credential::database::{Login, RotatingPool, change_password};
use sqlx::Connection;
use sqlx::postgres::PgConnection;

use super::database::{FIRST, Load, SECOND, admin, ask, cluster, connections, kid, options, sql};
use super::{key, ring};
use crate::support::pooler::Pooler;
use crate::support::postgres::runtime;

const RECIPE: &str = include_str!("../../../src/credential/database/two_roles.sql");

async fn owners(connection: &mut PgConnection) -> Vec<String> {
    let query = "SELECT DISTINCT tableowner::text FROM pg_tables WHERE schemaname = 'public'";
    sqlx::query_scalar(query).persistent(false).fetch_all(connection).await.unwrap()
}

#[test]
fn two_roles_of_one_owner_alter_what_the_other_created_and_take_turns_under_load() {
    let Some(cluster) = cluster() else { return };
    runtime().block_on(async {
        let mut admin = admin(&cluster).await;
        sql(&mut admin, RECIPE).await;
        change_password(&mut admin, "app_a", &Secret::from(FIRST)).await.unwrap();
        change_password(&mut admin, "app_b", &Secret::from("of the time before")).await.unwrap();
        let (ring, told, _) = ring(&[("a", &cluster.url_of("app_a", FIRST))]);
        let pool = RotatingPool::new(ring.clone(), Login::Url, options()).unwrap();
        pool.execute("CREATE TABLE notes (id serial PRIMARY KEY, body text)").await.unwrap();
        let shared = pool.clone();
        let load = Load::start(move || {
            let pool = shared.clone();
            async move {
                let mut transaction = pool.begin().await?;
                sqlx::query("INSERT INTO notes (body) VALUES ('x')")
                    .execute(&mut *transaction)
                    .await?;
                transaction.commit().await?;
                ask(pool).await
            }
        });
        load.more(50).await;
        change_password(&mut admin, "app_b", &Secret::from(SECOND)).await.unwrap();
        ring.stage(key("b", &cluster.url_of("app_b", SECOND))).unwrap();
        let alter = "ALTER TABLE notes ADD COLUMN probe int; DROP TABLE notes";
        pool.probe_with(&kid("b"), alter).await.unwrap();
        ring.promote(&kid("b")).unwrap();
        while connections(&mut admin, "app_b").await == 0 {
            load.more(20).await;
        }
        load.more(100).await;
        let (_, failures) = load.stop().await;
        assert!(failures.is_empty() && told.take().is_empty(), "{failures:?}");
        // What a created, b alters, and the other way round.
        let mut b = PgConnection::connect(&cluster.url_of("app_b", SECOND)).await.unwrap();
        sql(&mut b, "ALTER TABLE notes ADD COLUMN seen timestamptz; CREATE TABLE more (a int)")
            .await;
        sql(&mut b, "DISCARD ALL").await;
        sql(&mut b, "CREATE TABLE after_discard (a int)").await;
        let mut a = PgConnection::connect(&cluster.url_of("app_a", FIRST)).await.unwrap();
        sql(&mut a, "ALTER TABLE more ADD COLUMN b int; DROP TABLE after_discard").await;
        assert_eq!(owners(&mut a).await, ["app_owner"]);
        // Who leaves the role shares what it creates all the same.
        sql(&mut a, "SET ROLE NONE").await;
        sql(&mut admin, "GRANT CREATE ON SCHEMA public TO app_a").await;
        sql(&mut a, "CREATE TABLE alone (a int)").await;
        sql(&mut b, "INSERT INTO alone VALUES (1)").await;
    });
}

#[test]
fn the_roles_share_ownership_behind_pgbouncer_in_transaction_mode() {
    let Some(cluster) = cluster() else { return };
    runtime().block_on(async {
        let mut admin = admin(&cluster).await;
        sql(&mut admin, RECIPE).await;
        change_password(&mut admin, "app_a", &Secret::from(FIRST)).await.unwrap();
        change_password(&mut admin, "app_b", &Secret::from(SECOND)).await.unwrap();
        let settings = Pooler::of(&cluster.url()).user("app_a", FIRST).user("app_b", SECOND);
        let Some(pooler) = settings.start() else { return };
        let url = |role, password| format!("{}?pgbouncer=true", pooler.url_of(role, password));
        let (ring, told, _) = ring(&[("a", &url("app_a", FIRST)), ("b", &url("app_b", SECOND))]);
        let pool = RotatingPool::new(ring.clone(), Login::Url, options()).unwrap();
        pool.execute("CREATE TABLE notes (body text)").await.unwrap();
        pool.probe_with(&kid("b"), "ALTER TABLE notes ADD COLUMN seen timestamptz").await.unwrap();
        assert_eq!(owners(&mut admin).await, ["app_owner"]);
        assert!(told.take().is_empty());
    });
}
