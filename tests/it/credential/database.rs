//! A pool whose password rotates, against a server of its own that asks for it by SCRAM.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use dualkey::credential::database::{
    DatabaseError, Login, RotatingPool, change_password, scram_verifier,
};
use dualkey::credential::{Credential, Credentials};
use dualkey::{KeyRing, Kid, Secret};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection};
use tokio::task::JoinSet;

use super::{key, ring};
use crate::support::cluster::Cluster;
use crate::support::postgres::{runtime, variable};

pub(super) const FIRST: &str = "first-T4nZ8yB1cF6gJ0sD3pA5";
pub(super) const SECOND: &str = "second-Nf0Vg6Jc3Ds8Pw1Ra4Tb";

pub(super) fn cluster() -> Option<Cluster> {
    variable("DUALKEY_TEST_POSTGRES_BIN").map(|programs| Cluster::start(&programs))
}

pub(super) async fn admin(cluster: &Cluster) -> PgConnection {
    PgConnection::connect(&cluster.url()).await.unwrap()
}

pub(super) async fn sql(connection: &mut PgConnection, text: impl Into<String>) {
    sqlx::raw_sql(AssertSqlSafe(text.into())).execute(connection).await.unwrap();
}

pub(super) async fn role(connection: &mut PgConnection, name: &str, password: &str) {
    sql(connection, format!("CREATE ROLE {name} LOGIN")).await;
    change_password(connection, name, &Secret::from(password)).await.unwrap();
}

pub(super) async fn connections(admin: &mut PgConnection, role: &str) -> i64 {
    let count = "SELECT count(*) FROM pg_stat_activity WHERE usename = $1";
    sqlx::query_scalar(count).bind(role).fetch_one(admin).await.unwrap()
}

/// The longest lifetime of a connection, so short that each is replaced often, as in a service that
/// has been up for hours.
const LIFETIME: Duration = Duration::from_millis(200);

pub(super) fn options() -> PgPoolOptions {
    PgPoolOptions::new()
        .max_connections(6)
        .max_lifetime(LIFETIME)
        .acquire_timeout(Duration::from_secs(20))
}

pub(super) fn kid(name: &str) -> Kid {
    name.parse().unwrap()
}

/// Queries all the time, from a few tasks.
pub(super) struct Load {
    goes_on: Arc<AtomicBool>,
    done: Arc<AtomicU64>,
    tasks: JoinSet<(u64, Vec<String>)>,
}

impl Load {
    pub(super) fn start<F, Fut>(query: F) -> Self
    where
        F: Fn() -> Fut + Clone + Send + 'static,
        Fut: Future<Output = Result<(), sqlx::Error>> + Send + 'static,
    {
        let (goes_on, done) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicU64::new(0)));
        let mut tasks = JoinSet::new();
        for _ in 0..8 {
            let (goes_on, done, query) = (goes_on.clone(), done.clone(), query.clone());
            tasks.spawn(async move {
                let (mut queries, mut failures) = (0, Vec::new());
                while goes_on.load(Relaxed) {
                    match query().await {
                        Ok(()) => queries += 1,
                        Err(error) => failures.push(error.to_string()),
                    }
                    done.fetch_add(1, Relaxed);
                }
                (queries, failures)
            });
        }
        Self { goes_on, done, tasks }
    }

    /// Waits for twice the longest lifetime, then until so many more were asked.
    pub(super) async fn more(&self, count: u64) {
        tokio::time::sleep(LIFETIME * 2).await;
        let until = self.done.load(Relaxed) + count;
        while self.done.load(Relaxed) < until {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    pub(super) async fn stop(self) -> (u64, Vec<String>) {
        self.goes_on.store(false, Relaxed);
        let all = self.tasks.join_all().await;
        all.into_iter().fold((0, Vec::new()), |(sum, mut list), (queries, failures)| {
            list.extend(failures);
            (sum + queries, list)
        })
    }
}

/// A query on a connection, and a transaction.
pub(super) async fn ask(pool: RotatingPool) -> Result<(), sqlx::Error> {
    let mut connection = pool.acquire().await?;
    let one: i32 = sqlx::query_scalar("SELECT 1").fetch_one(&mut *connection).await?;
    drop(connection);
    let mut transaction = pool.begin().await?;
    let two: i32 = sqlx::query_scalar("SELECT 2").fetch_one(&mut *transaction).await?;
    transaction.commit().await?;
    assert_eq!((one, two), (1, 2));
    Ok(())
}

pub(super) fn login(cluster: &Cluster, role: &str) -> Login {
    let options: PgConnectOptions = cluster.url_of(role, "none").parse().unwrap();
    Login::Password(Box::new(options))
}

#[test]
fn a_password_is_changed_under_load_and_no_query_fails() {
    let Some(cluster) = cluster() else { return };
    runtime().block_on(async {
        let mut admin = admin(&cluster).await;
        role(&mut admin, "app", FIRST).await;
        let (ring, switches, _) = ring(&[("first", FIRST)]);
        let pool = RotatingPool::new(ring.clone(), login(&cluster, "app"), options()).unwrap();
        let shared = pool.clone();
        let load = Load::start(move || ask(shared.clone()));
        load.more(200).await;

        // Everywhere first; then on the server, from which moment the old one is dead.
        ring.stage(key("second", SECOND)).unwrap();
        load.more(50).await;
        change_password(&mut admin, "app", &Secret::from(SECOND)).await.unwrap();
        let old = cluster.url_of("app", FIRST);
        assert!(PgConnection::connect(&old).await.is_err());
        // Until a connection is made again.
        let mut told = switches.take();
        while told.len() < 2 {
            load.more(50).await;
            told.extend(switches.take());
        }
        ring.promote(&kid("second")).unwrap();
        load.more(500).await;
        let (queries, failures) = load.stop().await;
        assert!(failures.is_empty(), "{failures:?}");
        told.extend(switches.take());
        assert_eq!(told[..2], ["first refused", "first -> second"], "{told:?}");
        assert!(told[2..].iter().all(|event| event == "first refused"), "{told:?}");

        // The usual way: whoever is restarted after the change, and whoever was not yet.
        change_password(&mut admin, "app", &Secret::from(FIRST)).await.unwrap();
        let naive = options().connect_lazy(&cluster.url_of("app", FIRST)).unwrap();
        let asked = naive.clone();
        let load = Load::start(move || {
            let pool = asked.clone();
            async move { sqlx::query("SELECT 1").execute(&pool).await.map(drop) }
        });
        load.more(200).await;
        change_password(&mut admin, "app", &Secret::from(SECOND)).await.unwrap();
        // Until no connection from before is left.
        tokio::time::sleep(LIFETIME * 3).await;
        load.more(100).await;
        naive.set_connect_options(cluster.url_of("app", SECOND).parse().unwrap());
        load.more(100).await;
        let (naive_queries, lost) = load.stop().await;
        assert!(!lost.is_empty());
        assert!(
            lost.iter().all(|error| error.contains("password authentication failed")),
            "{lost:?}"
        );
        println!(
            "a password changed under load: {queries} transactions and queries, 0 failed; \
             the usual way: {naive_queries} went through, {} failed",
            lost.len()
        );
    });
}

#[test]
fn of_two_roles_that_take_turns_the_old_ones_connections_drain_and_none_is_cut() {
    let Some(cluster) = cluster() else { return };
    runtime().block_on(async {
        let mut admin = admin(&cluster).await;
        role(&mut admin, "app_a", FIRST).await;
        role(&mut admin, "app_b", "of the time before").await;
        let (ring, switches, _) = ring(&[("a", &cluster.url_of("app_a", FIRST))]);
        // Without an end of their own: only the switch closes them.
        let options = PgPoolOptions::new().max_connections(6).max_lifetime(None);
        let pool = RotatingPool::new(ring.clone(), Login::Url, options).unwrap();
        let shared = pool.clone();
        let load = Load::start(move || ask(shared.clone()));
        load.more(200).await;
        let mut held = pool.begin().await.unwrap();
        let pid: i32 =
            sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut *held).await.unwrap();

        change_password(&mut admin, "app_b", &Secret::from(SECOND)).await.unwrap();
        ring.stage(key("wrong", &cluster.url_of("app_b", "another-password-1"))).unwrap();
        ring.stage(key("b", &cluster.url_of("app_b", SECOND))).unwrap();
        let wrong = pool.probe(&kid("wrong")).await.unwrap_err();
        assert!(matches!(&wrong, DatabaseError::Refused { kids, .. } if *kids == [kid("wrong")]));
        assert!(pool.probe(&kid("nobody")).await.is_err());
        pool.probe(&kid("b")).await.unwrap();
        ring.promote(&kid("b")).unwrap();
        while connections(&mut admin, "app_a").await > 1 {
            load.more(10).await;
        }
        // The one that is in use goes on, and is closed as it comes back.
        let still: i32 =
            sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut *held).await.unwrap();
        assert_eq!(still, pid);
        held.commit().await.unwrap();
        while connections(&mut admin, "app_a").await > 0 {
            load.more(10).await;
        }
        sql(&mut admin, "ALTER ROLE app_a NOLOGIN").await;
        load.more(200).await;
        let (queries, failures) = load.stop().await;
        assert!(failures.is_empty() && queries > 400, "{failures:?}");
        assert!(switches.take().is_empty());
        assert_eq!(connections(&mut admin, "app_a").await, 0);
        assert!(connections(&mut admin, "app_b").await > 0);
    });
}

#[test]
fn a_wrong_password_that_was_promoted_leaves_all_with_the_old_one() {
    let Some(cluster) = cluster() else { return };
    runtime().block_on(async {
        let mut admin = admin(&cluster).await;
        role(&mut admin, "app", FIRST).await;
        let (ring, switches, clock) = ring(&[("first", FIRST)]);
        let pool = RotatingPool::new(ring.clone(), login(&cluster, "app"), options()).unwrap();
        let shared = pool.clone();
        let load = Load::start(move || ask(shared.clone()));
        load.more(100).await;
        ring.stage(key("wrong", "typed-by-hand-and-wrong")).unwrap();
        ring.promote(&kid("wrong")).unwrap();
        load.more(300).await;
        clock.advance(Duration::from_secs(1));
        load.more(300).await;
        // It was changed on the server.
        change_password(&mut admin, "app", &Secret::from("typed-by-hand-and-wrong")).await.unwrap();
        clock.advance(Duration::from_secs(2));
        load.more(300).await;
        let (_, failures) = load.stop().await;
        assert!(failures.is_empty(), "{failures:?}");
        let told = switches.take();
        assert_eq!(told[0], "wrong refused");
        let switches = told.iter().filter(|event| event.contains("->")).collect::<Vec<_>>();
        assert_eq!(switches, ["wrong -> first", "first -> wrong"], "{told:?}");
    });
}

#[test]
fn what_is_promoted_and_no_url_takes_nothing_down() {
    let Some(cluster) = cluster() else { return };
    runtime().block_on(async {
        let mut admin = admin(&cluster).await;
        role(&mut admin, "app", FIRST).await;
        let (ring, switches, _) = ring(&[("first", &cluster.url_of("app", FIRST))]);
        let pool = RotatingPool::new(ring.clone(), Login::Url, options()).unwrap();
        let shared = pool.clone();
        let load = Load::start(move || ask(shared.clone()));
        load.more(50).await;
        ring.stage(key("typo", "postgers://app:s3cret-s3cret@db/app")).unwrap();
        let error = pool.probe(&kid("typo")).await.unwrap_err();
        assert!(matches!(&error, DatabaseError::NotAUrl { kid, .. } if *kid == *"typo"));
        ring.promote(&kid("typo")).unwrap();
        load.more(200).await;
        let (_, failures) = load.stop().await;
        assert!(failures.is_empty(), "{failures:?}");
        assert_eq!(switches.take(), ["typo unusable", "typo -> first"]);
    });
}

#[test]
fn what_is_promoted_and_cannot_be_tried_is_waited_for() {
    let Some(cluster) = cluster() else { return };
    runtime().block_on(async {
        let mut admin = admin(&cluster).await;
        role(&mut admin, "app_a", FIRST).await;
        role(&mut admin, "app_b", SECOND).await;
        let (ring, switches, _) = ring(&[("a", &cluster.url_of("app_a", FIRST))]);
        let pool = RotatingPool::new(ring.clone(), Login::Url, options()).unwrap();
        let shared = pool.clone();
        let load = Load::start(move || ask(shared.clone()));
        load.more(50).await;
        // The server has no room for it yet: that says nothing of the password.
        sql(&mut admin, "ALTER ROLE app_b CONNECTION LIMIT 0").await;
        ring.stage(key("b", &cluster.url_of("app_b", SECOND))).unwrap();
        assert!(matches!(pool.probe(&kid("b")).await, Err(DatabaseError::Sqlx(_))));
        ring.promote(&kid("b")).unwrap();
        load.more(100).await;
        assert_eq!(connections(&mut admin, "app_b").await, 0);
        sql(&mut admin, "ALTER ROLE app_b CONNECTION LIMIT -1").await;
        while connections(&mut admin, "app_b").await == 0 {
            load.more(10).await;
        }
        let (_, failures) = load.stop().await;
        assert!(failures.is_empty(), "{failures:?}");
        assert!(switches.take().is_empty());
    });
}

#[test]
fn a_server_that_is_away_is_no_refusal() {
    let Some(cluster) = cluster() else { return };
    runtime().block_on(async {
        let mut admin = admin(&cluster).await;
        role(&mut admin, "app", FIRST).await;
        let (ring, switches, _) = ring(&[("first", FIRST), ("other", SECOND)]);
        let options = options().acquire_timeout(Duration::from_millis(700));
        let pool = RotatingPool::new(ring, login(&cluster, "app"), options).unwrap();
        ask(pool.clone()).await.unwrap();
        for _ in 0..2 {
            cluster.stop();
            for _ in 0..3 {
                let error = pool.acquire().await.unwrap_err();
                assert!(matches!(error, DatabaseError::Sqlx(_)), "{error}");
            }
            cluster.restart();
            // Until the server is done with what it finds.
            while ask(pool.clone()).await.is_err() {}
        }

        // A network that swallows everything, and one that answers with something else.
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = silent.local_addr().unwrap().port();
        let rude = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let rude_port = rude.local_addr().unwrap().port();
        tokio::spawn(async move { while rude.accept().await.is_ok() {} });
        for port in [port, rude_port] {
            let login: PgConnectOptions =
                format!("postgres://app:x@127.0.0.1:{port}/postgres").parse().unwrap();
            let (ring, told, _) = super::ring(&[("first", FIRST), ("other", SECOND)]);
            let options = PgPoolOptions::new().acquire_timeout(Duration::from_millis(200));
            let pool = RotatingPool::new(ring, Login::Password(Box::new(login)), options).unwrap();
            let error = pool.acquire().await.unwrap_err();
            assert!(matches!(error, DatabaseError::Sqlx(_)), "{error}");
            assert!(told.take().is_empty());
        }

        // No such database, and no room: the server has let it in, or was not asked.
        let url = cluster.url_of("app", FIRST).replace("/postgres", "/nowhere");
        let (ring, told, _) = super::ring(&[("first", &url), ("other", &url.replace("app", "b"))]);
        let pool = RotatingPool::new(ring, Login::Url, PgPoolOptions::new()).unwrap();
        let error = pool.acquire().await.unwrap_err();
        assert!(
            matches!(&error, DatabaseError::Sqlx(source) if source.to_string().contains("nowhere"))
        );
        let mut one = PgConnection::connect(&cluster.url()).await.unwrap();
        sql(&mut one, "ALTER ROLE app CONNECTION LIMIT 0").await;
        let url = cluster.url_of("app", FIRST);
        let (ring, full, _) = super::ring(&[("first", &url), ("other", &url.replace("app", "b"))]);
        let options = PgPoolOptions::new().acquire_timeout(Duration::from_millis(500));
        let pool = RotatingPool::new(ring, Login::Url, options).unwrap();
        let error = pool.acquire().await.unwrap_err();
        assert!(matches!(&error, DatabaseError::Sqlx(_)), "{error}");
        assert!(switches.take().is_empty() && told.take().is_empty() && full.take().is_empty());
    });
}

#[test]
fn a_pool_whose_every_credential_is_refused_says_so_and_comes_back() {
    let Some(cluster) = cluster() else { return };
    runtime().block_on(async {
        let mut admin = admin(&cluster).await;
        role(&mut admin, "app", "what-nobody-here-knows").await;
        let (ring, switches, _) = ring(&[("first", FIRST), ("second", SECOND)]);
        let pool = RotatingPool::new(ring, login(&cluster, "app"), options()).unwrap();
        let mut told = Vec::new();
        for _ in 0..2 {
            let error = pool.begin().await.unwrap_err();
            let DatabaseError::Refused { ring, kids, .. } = &error else { panic!("{error}") };
            assert_eq!(
                (ring.as_str(), &kids[..]),
                ("PROVIDER_KEY", &[kid("first"), kid("second")][..])
            );
            let text = format!("{error} {error:?} {pool:?}");
            assert!(!text.contains(FIRST) && !text.contains(SECOND), "{text}");
            told.extend(switches.take());
        }
        // In each round each once, and one to find out whether it is taken by now, which may end in
        // the round after.
        assert!(told.len() <= 12, "{told:?}");
        // As an error of `sqlx`, it can be told from others.
        let error = sqlx::Error::from(pool.acquire().await.unwrap_err());
        let sqlx::Error::Configuration(source) = &error else { panic!("{error}") };
        assert!(source.downcast_ref::<DatabaseError>().is_some());
        change_password(&mut admin, "app", &Secret::from(SECOND)).await.unwrap();
        let mut tries = 0;
        while let Err(error) = ask(pool.clone()).await {
            tries += 1;
            assert!(tries < 3, "{error}");
        }
        pool.execute("CREATE TEMPORARY TABLE t (a int)").await.unwrap();
        let query = sqlx::query("SELECT $1::int AS one").bind(1);
        assert_eq!(pool.fetch_all(query).await.unwrap().len(), 1);
        assert!(pool.fetch_optional("SELECT 1 WHERE false").await.unwrap().is_none());
        assert!(pool.inner().size() > 0);
    });
}

#[test]
fn v8_a_revoked_password_makes_no_connection_any_more() {
    let Some(cluster) = cluster() else { return };
    runtime().block_on(async {
        let mut admin = admin(&cluster).await;
        role(&mut admin, "app_a", FIRST).await;
        role(&mut admin, "app_b", SECOND).await;
        let urls = [cluster.url_of("app_a", FIRST), cluster.url_of("app_b", SECOND)];
        let (ring, ..) = ring(&[("a", &urls[0])]);
        let pool = RotatingPool::new(ring.clone(), Login::Url, PgPoolOptions::new()).unwrap();
        ask(pool.clone()).await.unwrap();
        assert!(connections(&mut admin, "app_a").await > 0);
        ring.emergency_rotate(&kid("a"), "in a log", key("b", &urls[1])).unwrap();
        // V8: from the next load on, though the server takes it yet.
        ask(pool.clone()).await.unwrap();
        while connections(&mut admin, "app_a").await > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(connections(&mut admin, "app_b").await > 0);
    });
}

#[test]
fn what_is_no_url_is_named_and_not_printed() {
    runtime().block_on(async {
        for text in [
            "postgres://app:s3cret-s3cret@db:port/app",
            "mysql://app:s3cret-s3cret@db/app",
            "s3cret-s3cret-and-no-url",
        ] {
            let good = "postgres://app:good-and-long@127.0.0.1:1/app";
            let (ring, ..) = ring(&[("good", good), ("bad", text)]);
            let error = RotatingPool::new(ring, Login::Url, PgPoolOptions::new()).unwrap_err();
            assert!(matches!(&error, DatabaseError::NotAUrl { kid, .. } if *kid == *"bad"));
            assert!(!format!("{error} {error:?}").contains("s3cret"), "{error:?}");
        }
        // V10: `sqlx` would show the password.
        let options = PgConnectOptions::new().username("app").password("s3cret-s3cret");
        let shown = format!("{:?}", Login::Password(Box::new(options)));
        assert!(shown.contains("app") && !shown.contains("s3cret"), "{shown}");
        let bytes =
            KeyRing::<Credential>::builder().primary(Secret::from([0xff_u8, 0xfe].repeat(9)));
        let ring = { bytes }.dangerous().allow_placeholders().build().unwrap();
        let options = Box::new(PgConnectOptions::new());
        let pool = RotatingPool::from_credentials(
            Credentials::new(ring),
            Login::Password(options),
            PgPoolOptions::new(),
        );
        assert!(matches!(pool, Err(DatabaseError::NotAUrl { .. })));
    });
}

#[test]
fn the_server_takes_the_verifier_as_its_own() {
    let Some(cluster) = cluster() else { return };
    runtime().block_on(async {
        let mut admin = admin(&cluster).await;
        for (place, password) in
            ["pencil-and-paper", "I\u{ad}X \u{2168} Straße", "'; DROP ROLE test; --"]
                .into_iter()
                .enumerate()
        {
            let name = format!("odd \"role\" {place}");
            let quoted = name.replace('"', "\"\"");
            sql(&mut admin, format!("CREATE ROLE \"{quoted}\" LOGIN")).await;
            change_password(&mut admin, &name, &Secret::from(password)).await.unwrap();
            let base: PgConnectOptions = cluster.url().parse().unwrap();
            let login = base.username(&name).password(password);
            let mut one = PgConnection::connect_with(&login).await.unwrap();
            let who: String =
                sqlx::query_scalar("SELECT current_user::text").fetch_one(&mut one).await.unwrap();
            assert_eq!(who, name);
            let wrong = login.password("something else");
            let error = PgConnection::connect_with(&wrong).await.unwrap_err();
            assert_eq!(error.as_database_error().unwrap().code().unwrap(), "28P01");
        }
        // As it is, and not hashed once more.
        let verifier = scram_verifier(&Secret::from("pencil-and-paper")).unwrap();
        sql(&mut admin, format!("CREATE ROLE kept PASSWORD '{verifier}'")).await;
        let stored: String =
            sqlx::query_scalar("SELECT rolpassword FROM pg_authid WHERE rolname = 'kept'")
                .fetch_one(&mut admin)
                .await
                .unwrap();
        assert_eq!(stored, verifier);
        let pool = PgPool::connect(&cluster.url_of("test", "wrong")).await;
        assert!(pool.is_err(), "this server asks");
        let error = change_password(&mut admin, "nobody", &Secret::from("x")).await.unwrap_err();
        assert!(matches!(error, DatabaseError::Sqlx(_)), "{error}");
    });
}
