//! PgBouncer in front of PostgreSQL, as most services reach it.

use sqlx::Connection;
use sqlx::postgres::{PgConnectOptions, PgConnection};

use crate::cluster::Cluster;
use crate::pooler::Pooler;
use crate::postgres::{runtime, variable};

/// Options of a client that sends no startup parameter that PgBouncer refuses.
pub fn plain(url: &str) -> PgConnectOptions {
    url.parse::<PgConnectOptions>().unwrap().extra_float_digits(None)
}

/// The pooler of these tests is one: it serves a transaction, and checks passwords.
#[test]
fn the_pooler_of_the_tests_pools_and_checks_passwords() {
    let Some(programs) = variable("DUALKEY_TEST_POSTGRES_BIN") else { return };
    let cluster = Cluster::start(&programs);
    let settings = Pooler::of(&cluster.url()).mode("transaction").user("stranger", "unknown");
    let Some(mut pooler) = settings.size(1).start() else { return };
    runtime().block_on(async {
        let mut own = PgConnection::connect_with(&plain(&pooler.url())).await.unwrap();
        let mut other = PgConnection::connect_with(&plain(&pooler.url())).await.unwrap();
        let pid = "SELECT pg_backend_pid()";
        let mut pids = Vec::new();
        for connection in [&mut own, &mut other] {
            let mut transaction = connection.begin().await.unwrap();
            let pid = sqlx::query_scalar(pid).persistent(false).fetch_one(&mut *transaction).await;
            pids.push(pid.unwrap());
            transaction.commit().await.unwrap();
        }
        let pids: Vec<i32> = pids;
        assert_eq!(pids[0], pids[1], "two clients share the one server connection");
        drop((own, other));

        let wrong = plain(&pooler.url_of("test", "wrong"));
        let refused = PgConnection::connect_with(&wrong).await.unwrap_err();
        let code = refused.as_database_error().and_then(|error| error.code());
        assert_eq!(code.as_deref(), Some("08P01"), "{refused} {}", pooler.log());
        pooler.set_password("test", "another");
        pooler.stop();
        assert!(PgConnection::connect_with(&plain(&pooler.url())).await.is_err());
        pooler.restart();
    });
}
