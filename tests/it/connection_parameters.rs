//! Connection strings that two readers read in two ways, or that hide one value behind another.

use dualkey::postgres::{ConnectionString, ConnectionStringError as Wrong, SslMode};
use sqlx::Connection;
use sqlx::postgres::{PgConnection, PgSslMode};

use crate::support::postgres::{runtime, variable};

fn parse(text: &str) -> ConnectionString {
    ConnectionString::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn parse_error(text: &str) -> Wrong {
    ConnectionString::parse(text).expect_err(text)
}

/// The last value must not win silently: it may lead to another server or weaken the connection.
#[test]
fn a_value_never_replaces_another_one() {
    for text in [
        "postgres://a/app?host=b",
        "postgres://app@db/app?host=a&host=b",
        "postgres://localhost/app?host=a&host=b",
        "host=a host=b dbname=app",
        "hostaddr=10.0.0.1 host=db",
        "host=db user=app user=''",
        "host=db host='' user=app",
        "postgres://app:x@db/app?password=",
        "host=db hostaddr=10.0.0.1",
        "postgres://db/app?sslmode=verify-full&ssl-mode=disable",
        "postgres://db/app?sslrootcert=/a.pem&ssl-ca=/b.pem",
        "postgres://db/app?application_name=a&ApplicationName=b",
        r#"{"username":"a","password":"b","host":"c","host":"d"}"#,
        r#"{"username":"a","user":"b","password":"b","host":"c"}"#,
    ] {
        let error = parse_error(text);
        assert!(
            matches!(error, Wrong::Twice { .. } | Wrong::Parameter { .. }),
            "{text}: {error:?}"
        );
    }
    // The same value twice changes nothing. Prisma has a socket beside `localhost`.
    assert_eq!(
        parse("postgres://db/app?host=db&sslmode=require&ssl-mode=require").host(),
        Some("db")
    );
    assert_eq!(parse("postgres://localhost/app?host=/tmp").host(), Some("/tmp"));
}

/// A password with `@` and `/` must not be cut, or its parts reach another host.
#[test]
fn a_password_that_is_not_encoded_is_refused_and_reaches_no_host() {
    for text in [
        "postgres://app:p@1/x@db/app",
        "postgres://app:1/x@db/app",
        "postgres://app:p@ss/x@db/app",
        "postgres://app:p/ss?x@db/app",
        "postgres://a@b:p@db/app",
        "postgres://db?user=a@b",
    ] {
        let error = parse_error(text);
        assert!(matches!(error, Wrong::Escape { .. } | Wrong::Port), "{text}: {error:?}");
    }
}

#[test]
fn a_host_is_a_name_an_address_or_a_path() {
    for text in [
        "postgres://app@::1/app",
        "postgres://app@[db]/app",
        "postgres://app@db%3Fsslpassword%3Dhunter2/app",
        "postgres://app@db%20x/app",
        "host='db?sslpassword=hunter2' dbname=app",
        "host=db;port=5432 dbname=app",
        "host=db:5432 dbname=app",
        "host=@abstract dbname=app",
        "postgres:///app?host=%40abstract",
    ] {
        let error = parse_error(text);
        assert!(
            matches!(&error, Wrong::Parameter { name, .. } if name == "host"),
            "{text}: {error:?}"
        );
    }
    for (text, host) in [
        ("postgres://db_1.internal/app", "db_1.internal"),
        ("postgres://[fe80::1%25eth0]/app", "fe80::1%eth0"),
        ("host=::1 dbname=app", "::1"),
    ] {
        assert_eq!(parse(text).host(), Some(host), "{text}");
        assert_eq!(parse(text).connect_options().unwrap().get_host(), host, "{text}");
    }
}

/// A name that follows a secret may be the rest of it (V10).
#[test]
fn v10_no_error_names_the_rest_of_a_secret() {
    for text in [
        "postgres://db/app?user=app&password=abc&hunter",
        "postgres://db/app?user=app&password=abc&hunter=x",
        "jdbc:postgresql://db/app?user=app&password=abc&hunter=x",
        "jdbc:postgresql://db/app?user=app&password=abc&hunter",
        "host=db password=abc hunter=x",
        "postgres://db/app?sslkey=-----BEGIN%20PRIVATE%20KEY-----%0Ahunter&sslcert=/a.pem",
        r#"{"username":"app","password":"abc","host":"db","tenant":"hunter"}"#,
        "Host=db;Username=app;Password=hunter;Database=app",
        "r2dbc:postgresql://app:hunter@db/app?a=b",
    ] {
        let said = match ConnectionString::parse(text) {
            Ok(parsed) => format!("{:?} {parsed:?}", parsed.connect_options().map(drop)),
            Err(error) => format!("{error} {error:?}"),
        };
        assert!(!said.contains("hunter"), "{said}");
        assert!(ConnectionString::parse(text).is_err(), "{text}");
    }
    let error = parse_error(r#"{"username":"app","password":"abc","host":"db","tenant":"x"}"#);
    assert!(error.to_string().contains("`tenant`"), "{error}");
}

#[test]
fn what_is_empty_is_not_given() {
    let parsed = parse("postgres://app:@db/app");
    // `sqlx` looks the password up only if there is none.
    let options = parsed.connect_options().unwrap();
    assert!(!format!("{options:?}").contains("password: Some"));
    let parsed = parse("host='' port='' user=app password='' dbname=app sslmode=''");
    assert_eq!((parsed.host(), parsed.ssl_mode()), (None, None));
}

/// NBSP is a character to libpq, and a blank to Rust.
#[test]
fn only_blanks_of_ascii_end_a_value() {
    let parsed = parse("host=db password=a\u{a0}b user=app");
    let url = sqlx::ConnectOptions::to_url_lossy(&parsed.connect_options().unwrap());
    assert_eq!(url.password(), Some("a%C2%A0b"));
    let parsed = parse("postgres://app:x@db/app\u{a0}");
    assert_eq!(parsed.database(), Some("app\u{a0}"));
    assert_eq!(parse("host=db user=app\\").role(), Some("app"));
}

/// JDBC and SQLAlchemy read a blank, libpq reads a plus.
#[test]
fn a_plus_is_read_where_all_readers_agree() {
    let parsed = parse("jdbc:postgresql://db/app?user=a+b&password=x");
    assert_eq!(parsed.role(), Some("a b"));
    let parsed = parse("postgresql+psycopg2://db/app?user=a+b");
    assert_eq!(parsed.role(), Some("a b"));
    let error = parse_error("postgres://db/app?user=a+b&password=x");
    assert!(error.to_string().contains("%2B"), "{error}");
    assert_eq!(parse("postgres://a+b:c+d@db/app").role(), Some("a+b"));
}

#[test]
fn a_search_path_is_a_list_and_a_schema_is_a_name() {
    for (text, schema) in [
        ("postgres://db/app?schema=Tenant1", Some("Tenant1")),
        // The server reads it, in lower case.
        ("jdbc:postgresql://db/app?currentSchema=Tenant1", Some("tenant1")),
        ("postgres://db/app?search_path=%22Tenant%201%22", Some("Tenant 1")),
        ("jdbc:postgresql://db/app?currentSchema=tenant1,public", None),
        ("postgres://db/app?schema_search_path=%22$user%22,public", None),
        ("postgres://db/app?search_path=%22$user%22", None),
    ] {
        assert_eq!(parse(text).schema(), schema, "{text}");
    }
    let list = parse("jdbc:postgresql://db/app?currentSchema=Tenant1,public");
    let options = list.connect_options().unwrap();
    assert_eq!(options.get_options(), Some("-c search_path=\"tenant1\",\"public\""));
    for text in [
        "postgres://db/app?search_path=%22a",
        "postgres://db/app?search_path=a,,b",
        "postgres://db/app?search_path=a%20b",
    ] {
        assert!(matches!(parse_error(text), Wrong::Parameter { .. }), "{text}");
    }
    // The server cuts `options` at each blank of C, not at spaces alone.
    let odd = parse("postgres://db/app?schema=a%09-c%0Ab%5C").connect_options().unwrap();
    assert_eq!(odd.get_options(), Some("-c search_path=\"a\\\t-c\\\nb\\\\\""));
}

/// The server takes the names apart again, through two layers of quotes.
#[test]
fn odd_names_of_schemas_reach_the_server_as_they_are() {
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    runtime().block_on(async {
        let Some(server) = variable("DUALKEY_TEST_POSTGRES") else { return };
        for schema in [
            "Tenant 1",
            "a\"b",
            "a\\b",
            "a'b",
            "a\tb",
            "a\nb",
            "a\u{b}b",
            " a ",
            "\\",
            "\"",
            "é\u{a0}ü",
            "-c role=x",
            "a%b#?&+/@",
            "select",
            "$1",
        ] {
            let encoded = utf8_percent_encode(schema, NON_ALPHANUMERIC);
            let options = parse(&format!("{server}?schema={encoded}&lock_timeout=7s"));
            let options = options.connect_options().unwrap();
            let mut connection = PgConnection::connect_with(&options).await.unwrap();
            // The path, as the server holds it, has no other element.
            let found: String =
                sqlx::query_scalar("SHOW search_path").fetch_one(&mut connection).await.unwrap();
            assert_eq!(found, format!("\"{}\"", schema.replace('"', "\"\"")), "{schema:?}");
            let quoted = found.clone();
            let mut transaction = connection.begin().await.unwrap();
            let create = sqlx::AssertSqlSafe(format!("CREATE SCHEMA {quoted}"));
            sqlx::raw_sql(create).execute(&mut *transaction).await.unwrap();
            let current: String = sqlx::query_scalar("SELECT current_schema()::text")
                .fetch_one(&mut *transaction)
                .await
                .unwrap();
            assert_eq!(current, schema);
            transaction.rollback().await.unwrap();
            connection.close().await.unwrap();
        }
    });
}

/// Neon and Supabase read these words of `options`.
#[test]
fn options_of_a_provider_are_passed_on() {
    for word in ["endpoint=ep-cool-1", "project=ep-cool-1", "reference=abc"] {
        let text = format!("postgres://db/app?options={}", word.replace('=', "%3D"));
        let options = parse(&text).connect_options().unwrap();
        assert_eq!(options.get_options(), Some(word));
    }
    let text = "postgres://db/app?options=--cluster%3Dname-1";
    assert_eq!(parse(text).connect_options().unwrap().get_options(), Some("-c cluster=name-1"));
}

#[test]
fn schemes_and_modes_are_read_in_any_case_and_of_every_framework() {
    for text in ["POSTGRES://app@db/app", "postgis://app@db/app", "pgsql://app@db/app"] {
        assert_eq!(parse(text).host(), Some("db"), "{text}");
    }
    assert_eq!(parse("postgres://db/app?sslmode=Require").ssl_mode(), Some(SslMode::Require));
    for (text, capacity) in [
        ("jdbc:postgresql://db/app?prepareThreshold=0", "statement_cache_capacity: 0"),
        ("jdbc:postgresql://db/app?prepareThreshold=5", "statement_cache_capacity: 100"),
        ("postgres://db/app?prepared_statements=false", "statement_cache_capacity: 0"),
    ] {
        let options = format!("{:?}", parse(text).connect_options().unwrap());
        assert!(options.contains(capacity), "{text}");
    }
    assert!(matches!(
        parse_error("postgres://db/app?uselibpqcompat=false"),
        Wrong::Parameter { .. }
    ));
}

/// `sqlx` trusts other authorities alone if the file holds no certificate, and libpq takes no key
/// that others can read.
#[test]
fn a_file_of_certificates_holds_what_it_is_named_for() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str, mode: u32| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        path.display().to_string()
    };
    let certificate = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n";
    let key = "-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n";
    let root = file("root.pem", certificate, 0o644);
    let empty = file("empty.pem", "", 0o644);
    let good = file("good.key", key, 0o600);
    let shared = file("shared.key", key, 0o644);
    let encrypted = file("encrypted.key", &key.replace("PRIVATE", "ENCRYPTED PRIVATE"), 0o600);
    let tried = |query: &str| {
        parse(&format!("postgres://db/app?sslmode=verify-full&{query}")).connect_options().map(drop)
    };
    assert_eq!(tried(&format!("sslrootcert={root}")), Ok(()));
    assert_eq!(tried(&format!("sslrootcert={root}&sslcert={root}&sslkey={good}")), Ok(()));
    for (query, parameter) in [
        (format!("sslrootcert={empty}"), "sslrootcert"),
        (format!("sslcert={empty}&sslkey={good}"), "sslcert"),
        (format!("sslcert={root}&sslkey={shared}"), "sslkey"),
        (format!("sslcert={root}&sslkey={encrypted}"), "sslkey"),
        (format!("sslcert={root}&sslkey={empty}"), "sslkey"),
    ] {
        let error = tried(&query).unwrap_err();
        assert!(matches!(&error, Wrong::File { name, .. } if *name == parameter), "{error}");
    }
    // Without TLS no file is used.
    let parsed = parse(&format!("postgres://db/app?sslmode=disable&sslrootcert={empty}"));
    assert!(matches!(parsed.connect_options().unwrap().get_ssl_mode(), PgSslMode::Disable));
}

/// Run in a process of its own, for its variables.
#[test]
fn variables_of_libpq_fill_what_is_not_given() {
    const CHILD: &str = "DUALKEY_TEST_VARIABLES";
    if std::env::var_os(CHILD).is_none() {
        for (name, value) in [
            ("PGPORT", "6432"),
            ("PGHOST", "elsewhere"),
            ("PGSSLMODE", "allow"),
            ("PGSSLMODE", "verify"),
            ("PGSSLROOTCERT", "system"),
        ] {
            let status = std::process::Command::new(std::env::current_exe().unwrap())
                .args([
                    "--exact",
                    "connection_parameters::variables_of_libpq_fill_what_is_not_given",
                ])
                .env(CHILD, name)
                .env(name, value)
                .status()
                .unwrap();
            assert!(status.success(), "{name}={value}");
        }
        return;
    }
    let parsed = parse("postgres://app@db/app");
    let options = parsed.connect_options();
    match (std::env::var("PGSSLMODE").as_deref(), std::env::var(CHILD).as_deref()) {
        // `sqlx` takes the first for plaintext and the second for `prefer`.
        (Ok("allow"), _) => assert!(matches!(options.unwrap().get_ssl_mode(), PgSslMode::Prefer)),
        (Ok(_), _) => assert!(options.unwrap_err().to_string().contains("`PGSSLMODE`")),
        (_, Ok("PGPORT")) => {
            assert_eq!((options.unwrap().get_port(), parsed.port()), (6432, 6432));
            assert!(!parsed.is_same_database(&parse("postgres://app@db:5432/app")));
        }
        (_, Ok("PGHOST")) => {
            let without = parse("postgres:///app");
            assert_eq!(without.connect_options().unwrap().get_host(), "elsewhere");
            assert!(!without.is_same_database(&parse("postgres://localhost/app")));
            assert!(without.is_same_database(&parse("postgres://elsewhere/app")));
        }
        // It is no file of that name.
        _ => {
            let parsed = parse("postgres://app@db/app?sslmode=verify-full");
            assert!(
                !format!("{:?}", parsed.connect_options().unwrap()).contains("File(\"system\")")
            );
        }
    }
}
