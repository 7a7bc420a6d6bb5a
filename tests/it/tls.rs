//! TLS to PostgreSQL, against a server that takes nothing else.

use std::path::{Path, PathBuf};
use std::process::Command;

use dualkey::KeyRing;
use dualkey::credential::Credential;
use dualkey::credential::database::{Login, RotatingPool};
use dualkey::envelope::Sealer;
use dualkey::postgres::ConnectionString;
use sqlx::Connection;
use sqlx::postgres::{PgConnection, PgPoolOptions};

use crate::support::cluster::Cluster;
use crate::support::notes::{context, rings, rotated};
use crate::support::postgres::{runtime, variable};
use crate::support::shell::Shell;

/// Certificates of a test's own: an authority, a server with its names, a client.
struct Certificates(tempfile::TempDir);

impl Certificates {
    fn make() -> Self {
        let certificates = Self(tempfile::tempdir().unwrap());
        for authority in ["ca", "other-ca"] {
            let subject = format!("/CN={authority}");
            certificates.openssl(&[
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
                "-days",
                "30",
                "-subj",
                &subject,
                "-keyout",
                &format!("{authority}.key"),
                "-out",
                &format!("{authority}.pem"),
                "-addext",
                "keyUsage=critical,keyCertSign",
            ]);
        }
        certificates.issue("server", "subjectAltName=DNS:localhost");
        certificates.issue("carol", "extendedKeyUsage=clientAuth");
        certificates
    }

    fn issue(&self, name: &str, extension: &str) {
        let (key, request, subject) =
            (format!("{name}.key"), format!("{name}.csr"), format!("/CN={name}"));
        self.openssl(&[
            "req",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-subj",
            &subject,
            "-keyout",
            &key,
            "-out",
            &request,
        ]);
        std::fs::write(self.path("extension"), format!("{extension}\nbasicConstraints=CA:FALSE\n"))
            .unwrap();
        self.openssl(&[
            "x509",
            "-req",
            "-in",
            &request,
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca.key",
            "-days",
            "30",
            "-CAcreateserial",
            "-extfile",
            "extension",
            "-out",
            &format!("{name}.pem"),
        ]);
    }

    fn openssl(&self, arguments: &[&str]) {
        let output =
            Command::new("openssl").args(arguments).current_dir(self.0.path()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }
}

/// A server that refuses connections without TLS, and admits one role by a certificate alone.
async fn cluster(certificates: &Certificates) -> Option<Cluster> {
    let cluster = Cluster::start(&variable("DUALKEY_TEST_POSTGRES_BIN")?);
    let mut admin = PgConnection::connect(&cluster.url()).await.unwrap();
    sqlx::raw_sql("CREATE ROLE carol LOGIN").execute(&mut admin).await.unwrap();
    admin.close().await.unwrap();
    cluster.stop();
    for (name, from) in
        [("server.crt", "server.pem"), ("server.key", "server.key"), ("root.crt", "ca.pem")]
    {
        cluster.write(&format!("data/{name}"), &certificates.read(from));
    }
    cluster.configure("ssl = on\nssl_ca_file = 'root.crt'");
    cluster.write(
        "data/pg_hba.conf",
        b"local all all scram-sha-256\nhostssl all carol 127.0.0.1/32 cert\nhostssl all all 127.0.0.1/32 scram-sha-256\n",
    );
    cluster.restart();
    Some(cluster)
}

/// The URL of the superuser, with another host and these parameters.
fn url(cluster: &Cluster, host: &str, query: &str) -> String {
    cluster.url().replace("127.0.0.1", host) + "?" + query
}

async fn try_connect(text: &str) -> Result<bool, String> {
    let options = ConnectionString::parse(text).and_then(|parsed| parsed.connect_options());
    let options = options.map_err(|error| error.to_string())?;
    let mut connection =
        PgConnection::connect_with(&options).await.map_err(|error| error.to_string())?;
    let is_encrypted =
        sqlx::query_scalar("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
            .fetch_one(&mut connection)
            .await
            .map_err(|error| error.to_string())?;
    connection.close().await.map_err(|error| error.to_string())?;
    Ok(is_encrypted)
}

fn parameter(name: &str, path: &Path) -> String {
    format!("&{name}={}", path.display())
}

#[test]
fn each_mode_checks_what_it_says() {
    runtime().block_on(async {
        let certificates = Certificates::make();
        let Some(cluster) = cluster(&certificates).await else { return };
        let root = parameter("sslrootcert", &certificates.path("ca.pem"));
        let other = parameter("sslrootcert", &certificates.path("other-ca.pem"));
        for (host, query, expected) in [
            // The server has a certificate for `localhost`, of an authority of its own.
            ("127.0.0.1", "sslmode=disable".to_owned(), Err("no encryption")),
            ("127.0.0.1", "".to_owned(), Ok(true)),
            ("127.0.0.1", "sslmode=allow".to_owned(), Ok(true)),
            ("127.0.0.1", "sslmode=prefer".to_owned(), Ok(true)),
            ("127.0.0.1", "sslmode=require".to_owned(), Ok(true)),
            ("127.0.0.1", "sslmode=require&connection_limit=5".to_owned(), Ok(true)),
            ("127.0.0.1", format!("sslmode=require{root}"), Ok(true)),
            ("127.0.0.1", format!("sslmode=require{other}"), Err("UnknownIssuer")),
            ("127.0.0.1", "sslmode=verify-ca".to_owned(), Err("UnknownIssuer")),
            ("127.0.0.1", format!("sslmode=verify-ca{root}"), Ok(true)),
            ("127.0.0.1", format!("sslmode=verify-ca{other}"), Err("UnknownIssuer")),
            ("localhost", format!("sslmode=verify-full{root}"), Ok(true)),
            ("localhost", format!("ssl=true{root}"), Ok(true)),
            ("127.0.0.1", format!("sslmode=verify-full{root}"), Err("not valid for name")),
            ("localhost", format!("sslmode=verify-full{other}"), Err("UnknownIssuer")),
            ("localhost", "sslrootcert=system".to_owned(), Err("UnknownIssuer")),
        ] {
            let found = try_connect(&url(&cluster, host, &query)).await;
            match (&found, expected) {
                (Ok(found), Ok(expected)) => assert_eq!(*found, expected, "{query}"),
                (Err(error), Err(word)) => assert!(error.contains(word), "{query}: {error}"),
                _ => panic!("{host} {query}: {found:?}"),
            }
        }
        // A socket is not encrypted, whatever the mode.
        let socket = format!(
            "{}&host={}",
            url(&cluster, "localhost", "sslmode=verify-full"),
            cluster.folder().display()
        );
        assert_eq!(try_connect(&socket).await, Ok(false));
    });
}

#[test]
fn a_client_certificate_is_the_login() {
    runtime().block_on(async {
        let certificates = Certificates::make();
        let Some(cluster) = cluster(&certificates).await else { return };
        let query = format!(
            "sslmode=verify-full{}{}{}",
            parameter("sslrootcert", &certificates.path("ca.pem")),
            parameter("sslcert", &certificates.path("carol.pem")),
            parameter("sslkey", &certificates.path("carol.key")),
        );
        let carol = format!("postgres://carol@localhost:{}/postgres?{query}", cluster.port());
        assert_eq!(try_connect(&carol).await, Ok(true));
        let without =
            format!("postgres://carol@localhost:{}/postgres?sslmode=require", cluster.port());
        let error = try_connect(&without).await.unwrap_err();
        assert!(error.contains("certificate"), "{error}");
        // By one who is not carol.
        let error = try_connect(&carol.replace("carol@", "test@")).await.unwrap_err();
        assert!(error.contains("password"), "{error}");
    });
}

#[test]
fn the_pool_and_the_command_line_reach_a_server_that_takes_tls_alone() {
    runtime().block_on(async {
        let certificates = Certificates::make();
        let Some(cluster) = cluster(&certificates).await else { return };
        let encrypted = url(&cluster, "127.0.0.1", "sslmode=require");
        let ring = KeyRing::<Credential>::builder().name("DATABASE_URL");
        let ring = ring.primary(dualkey::Secret::from(encrypted.as_str())).build().unwrap();
        let pool = RotatingPool::new(ring, Login::Url, PgPoolOptions::new()).unwrap();
        let rows = pool.fetch_all(sqlx::query("SELECT 1")).await.unwrap();
        assert_eq!(rows.len(), 1);

        let shell = Shell::new("2026-11-26T00:00:00Z");
        std::fs::write(
            shell.path("dualkey.toml"),
            "version = 1\nenvironment = \"production\"\nkek = \"KEK\"\n[audit]\npostgres = \"DATABASE_URL\"\n\
             secret = \"AUDIT_SECRET\"\n[[secret]]\nname = \"AUDIT_SECRET\"\npurpose = \"audit\"\n\
             priority = \"critical\"\nstore = { postgres = \"DATABASE_URL\" }\n",
        )
        .unwrap();
        let schema = format!("{}{}", dualkey::source::PostgresStore::SCHEMA, dualkey::ops::audit::PostgresTrail::SCHEMA);
        sqlx::raw_sql(sqlx::AssertSqlSafe(schema)).execute(&mut *pool.acquire().await.unwrap()).await.unwrap();
        let run = |url: &str| {
            let mut command = shell.command(&["generate", "--store", "AUDIT_SECRET"]);
            command.env("DATABASE_URL", url).env("KEK", "9f2c4b7e1a6d8035c4e7f1920b3a5d6c8e7f90a1b2c3d4e5f60718293a4b5c6d");
            let output = command.output().unwrap();
            (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
        };
        let (status, text) = run(&(encrypted.clone() + "&connection_limit=1"));
        assert_eq!(status, Some(0), "{text}");
        assert!(text.contains("note: DATABASE_URL: `connection_limit`"), "{text}");
        assert_eq!(text.matches("note:").count(), 1, "{text}");
        let (status, text) = run(&url(&cluster, "127.0.0.1", "sslmode=disable"));
        assert_eq!(status, Some(1), "{text}");
        assert!(text.contains("no encryption"), "{text}");
    });
}

/// As managed servers are, which take nothing else.
#[test]
fn a_rewrap_on_the_command_line_reaches_a_server_that_takes_tls_alone() {
    runtime().block_on(async {
        let certificates = Certificates::make();
        let Some(cluster) = cluster(&certificates).await else { return };
        let mut shell = Shell::new("2026-11-26T00:00:00Z");
        let (_, manifest) = rotated(&mut shell).await;
        let (_, before) = rings(&manifest);
        let body = Sealer::new(before).seal_text("a note", context(1)).unwrap();
        let encrypted = url(&cluster, "127.0.0.1", "sslmode=require&schema=tenant1");
        let options = ConnectionString::parse(&encrypted).unwrap().connect_options().unwrap();
        let mut admin = PgConnection::connect_with(&options).await.unwrap();
        let table = format!(
            "CREATE SCHEMA tenant1; CREATE TABLE notes (id bigint PRIMARY KEY, body text); \
             INSERT INTO notes VALUES (1, '{body}')"
        );
        sqlx::raw_sql(sqlx::AssertSqlSafe(table)).execute(&mut admin).await.unwrap();
        let run = |url: &str| {
            let mut command = shell.command(&["rewrap", "ENCRYPTION_KEY", "--execute"]);
            let output =
                command.env_remove("DUALKEY_CLOCK").env("DATABASE_URL", url).output().unwrap();
            let text = [output.stdout, output.stderr].concat();
            (output.status.code(), String::from_utf8_lossy(&text).into_owned())
        };
        let (status, text) = run(&url(&cluster, "127.0.0.1", "sslmode=disable&schema=tenant1"));
        assert_eq!(status, Some(1), "{text}");
        assert!(text.contains("no encryption"), "{text}");
        let (status, text) = run(&encrypted);
        assert_eq!(status, Some(0), "{text}");
        assert!(text.contains("notes     1 rows: 1 rewritten"), "{text}");
    });
}
