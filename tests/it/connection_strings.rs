//! Connection strings: every form, every parameter, and no value in any output (V10).

use std::sync::{Arc, Mutex};

use dualkey::postgres::{ConnectionString, ConnectionStringError as Wrong, SslMode};
use proptest::prelude::*;
use sqlx::postgres::PgSslMode;

fn parse(text: &str) -> ConnectionString {
    ConnectionString::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn parse_error(text: &str) -> Wrong {
    ConnectionString::parse(text).expect_err(text)
}

#[test]
fn every_form_leads_to_the_same_place() {
    for text in [
        "postgres://app:p%40ss@db.example.com:5433/notes",
        "postgresql://app:p%40ss@DB.example.com:5433/notes?",
        " postgresql://app:p%40ss@db.example.com:5433/notes\n",
        "postgresql+psycopg2://app:p%40ss@db.example.com:5433/notes",
        "postgresql+asyncpg://app:p%40ss@db.example.com:5433/notes?",
        "postgresql+psycopg://app:p%40ss@db.example.com/notes?port=5433",
        "postgres:///notes?host=db.example.com&port=5433&user=app&password=p%40ss",
        "postgresql://localhost:5433/notes?host=db.example.com&user=app&password=p%40ss",
        "jdbc:postgresql://db.example.com:5433/notes?user=app&password=p%40ss",
        "host=db.example.com port=5433 user=app password=p@ss dbname=notes",
        "host = 'db.example.com' port= 5433 user =app password='p@ss' dbname=notes",
        r#"{"engine":"postgres","username":"app","password":"p@ss","host":"db.example.com","port":5433,"dbname":"notes"}"#,
        r#"{"username":"app","password":"p@ss","host":"db.example.com","port":"5433","dbname":"notes","dbInstanceIdentifier":"x"}"#,
    ] {
        let parsed = parse(text);
        assert_eq!(parsed.host().map(str::to_ascii_lowercase).as_deref(), Some("db.example.com"));
        assert_eq!(
            (parsed.port(), parsed.role(), parsed.database()),
            (5433, Some("app"), Some("notes"))
        );
        let options = parsed.connect_options().unwrap();
        assert_eq!((options.get_port(), options.get_username()), (5433, "app"), "{text}");
        assert_eq!(options.get_database(), Some("notes"));
        assert_eq!(options.to_url_lossy_password(), Some("p@ss".to_owned()), "{text}");
        assert!(parsed.is_same_database(&parse("postgres://other@db.example.com:5433/notes")));
    }
}

/// The password, which `sqlx` shows in no other way.
trait Password {
    fn to_url_lossy_password(&self) -> Option<String>;
}

impl Password for sqlx::postgres::PgConnectOptions {
    fn to_url_lossy_password(&self) -> Option<String> {
        use sqlx::ConnectOptions;
        let url = self.to_url_lossy();
        url.password().map(|password| {
            percent_encoding::percent_decode_str(password).decode_utf8_lossy().into()
        })
    }
}

#[test]
fn sockets_and_addresses_are_read() {
    for (text, host) in [
        ("postgres:///notes?host=/var/run/postgresql", "/var/run/postgresql"),
        ("postgres://%2Fvar%2Frun%2Fpostgresql/notes", "/var/run/postgresql"),
        ("postgres://app:x@localhost/notes?host=/var/run/postgresql", "/var/run/postgresql"),
        ("socket:/var/run/postgresql/?db=notes", "/var/run/postgresql"),
        ("socket://app:x@/var/run/postgresql?db=notes&encoding=utf8", "/var/run/postgresql"),
        ("host=/var/run/postgresql dbname=notes", "/var/run/postgresql"),
        ("postgres://[2001:db8::1]:5432/notes", "2001:db8::1"),
        ("postgres://[::1]/notes", "::1"),
        ("hostaddr=10.0.0.7 dbname=notes", "10.0.0.7"),
    ] {
        let parsed = parse(text);
        assert_eq!((parsed.host(), parsed.database()), (Some(host), Some("notes")), "{text}");
    }
    // A socket is not encrypted, whatever the mode: as with libpq.
    let parsed = parse("postgres:///notes?host=/var/run/postgresql&sslmode=verify-full");
    let options = parsed.connect_options().unwrap();
    assert!(matches!(options.get_ssl_mode(), PgSslMode::Disable));
    assert_eq!(options.get_socket().unwrap().to_str(), Some("/var/run/postgresql"));
}

#[test]
fn what_cannot_be_read_is_refused_with_the_remedy() {
    let escape = |text: &str| {
        let error = parse_error(text);
        assert!(matches!(error, Wrong::Escape { .. } | Wrong::Port), "{text}: {error:?}");
        assert!(error.to_string().contains("%23"), "{error}");
    };
    for text in [
        "postgres://app:p#ss@db/app",
        "postgres://app:p/ss@db/app",
        "postgres://app:p?ss@db/app",
        "postgres://app:p@ss@db/app",
        "postgres://app:1?ss=x@db/app",
        "postgres://app:p%ss@db/app",
        "postgres://app:p%2@db/app",
        "postgres://app:p%00s@db/app",
        "postgres://app:p%ff@db/app",
    ] {
        escape(text);
    }
    for text in [
        "postgres://a:5432,b:5433/app",
        "postgres://app:x@a,b/app",
        "jdbc:postgresql://a:5432,b:5432/app",
        "host=a,b dbname=app",
        "postgres:///app?host=a,b",
    ] {
        assert_eq!(parse_error(text), Wrong::SeveralHosts, "{text}");
    }
    for (text, scheme) in [
        ("mysql://app:x@db/app", "mysql"),
        ("jdbc:mysql://db/app", "mysql"),
        ("redis://:x@cache", "redis"),
        ("postgrest://db/app", "postgrest"),
        (r#"{"engine":"mysql","username":"a","password":"b","host":"c"}"#, "mysql"),
    ] {
        assert_eq!(parse_error(text), Wrong::Scheme { scheme: scheme.to_owned() }, "{text}");
    }
    for text in ["", "hunter2", "db/app", "postgres:/db", "host=db 'x", "host='db", "=x", "host"] {
        assert_eq!(parse_error(text), Wrong::Form, "{text}");
    }
    for text in ["{", r#"{"host":"db"}"#, r#"{"username":[],"password":"x","host":"db"}"#] {
        assert_eq!(parse_error(text), Wrong::Json, "{text}");
    }
    for text in ["postgres://db:0/app", "postgres://db:65536/app", "postgres://db:+1/app"] {
        assert_eq!(parse_error(text), Wrong::Port, "{text}");
    }
}

#[test]
fn no_parameter_is_ignored() {
    // Used and translated.
    let parsed =
        parse("postgresql://app:x@db/app?schema=tenant1&application_name=web&lock_timeout=5s");
    assert_eq!(parsed.schema(), Some("tenant1"));
    let options = parsed.connect_options().unwrap();
    assert_eq!(options.get_application_name(), Some("web"));
    assert_eq!(options.get_options(), Some("-c lock_timeout=5s -c search_path=\"tenant1\""));
    for text in [
        "postgres://db/app?options=-c%20search_path%3Dtenant1",
        "postgres://db/app?options=-c+search_path%3Dtenant1",
        "postgres://db/app?options[search_path]=tenant1",
        "postgres://db/app?search_path=tenant1",
        "jdbc:postgresql://db/app?currentSchema=tenant1",
        "host=db dbname=app options='-c search_path=tenant1'",
        "postgres://db/app?schema=tenant1&search_path=tenant1",
    ] {
        assert_eq!(parse(text).schema(), Some("tenant1"), "{text}");
    }
    // Dropped, and said once for each.
    let parsed = parse(
        "postgres://db/app?connection_limit=5&pool_timeout=10&connect_timeout=3&pgbouncer=true",
    );
    assert_eq!(parsed.notes().len(), 3, "{:?}", parsed.notes());
    assert!(parsed.notes()[0].contains("`connection_limit`"));
    // Refused by name.
    for (query, name) in [
        ("tenant=7", "tenant"),
        ("sslpassword=hunter2", "sslpassword"),
        ("Schema=tenant1", "Schema"),
        ("sslmode=on", "sslmode"),
        ("channel_binding=require", "channel_binding"),
        ("target_session_attrs=read-only", "target_session_attrs"),
        ("client_encoding=latin1", "client_encoding"),
        ("schema=", "schema"),
        ("schema=a,b", "schema"),
        ("ssl=maybe", "ssl"),
        ("sslcert=/a", "sslcert"),
        ("sslrootcert=system&sslmode=require", "sslrootcert"),
        ("gssencmode=require", "gssencmode"),
        ("statement_cache_size=many", "statement_cache_size"),
        ("options=-d+5", "options"),
        ("service=app", "service"),
        ("sslidentity=a.p12", "sslidentity"),
        ("hunter%202=x", "?"),
    ] {
        let error = parse_error(&format!("postgres://app:x@db/app?{query}"));
        assert!(
            matches!(&error, Wrong::Parameter { name: found, .. } if found == name),
            "{error:?}"
        );
        assert!(error.to_string().contains(&format!("`{name}`")), "{error}");
    }
    for query in [
        "schema=a&schema=b",
        "schema=a&search_path=b",
        "schema=a&options=-c+search_path%3Db",
        "sslmode=require&sslmode=disable",
        "sslmode=disable&ssl=true",
        "dbname=other",
        "user=other",
        "port=1&port=2",
        "lock_timeout=1&options=-c+lock_timeout%3D2",
    ] {
        let error = parse_error(&format!("postgres://app:x@db/app?{query}"));
        assert!(matches!(error, Wrong::Twice { .. }), "{query}: {error:?}");
    }
}

#[test]
fn every_mode_of_tls_is_that_of_libpq() {
    for (query, mode) in [
        ("", None),
        ("sslmode=disable", Some(SslMode::Disable)),
        ("sslmode=allow", Some(SslMode::Allow)),
        ("sslmode=prefer", Some(SslMode::Prefer)),
        ("sslmode=require", Some(SslMode::Require)),
        ("sslmode=no-verify", Some(SslMode::Require)),
        ("sslmode=verify-ca", Some(SslMode::VerifyCa)),
        ("sslmode=verify-full", Some(SslMode::VerifyFull)),
        ("sslmode=require&sslrootcert=/ca.pem", Some(SslMode::VerifyCa)),
        ("sslrootcert=system", Some(SslMode::VerifyFull)),
        ("ssl=true", Some(SslMode::VerifyFull)),
        ("ssl=require", Some(SslMode::Require)),
        ("ssl=false", None),
        ("sslmode=require&sslaccept=strict", Some(SslMode::VerifyFull)),
        ("sslmode=require&sslaccept=accept_invalid_certs", Some(SslMode::Require)),
    ] {
        assert_eq!(parse(&format!("postgres://db/app?{query}")).ssl_mode(), mode, "{query}");
    }
    // What `sqlx` would do without encryption.
    let options = parse("postgres://db/app?sslmode=allow").connect_options().unwrap();
    assert!(matches!(options.get_ssl_mode(), PgSslMode::Prefer));
    let parsed = parse("postgres://db/app?sslmode=verify-full&sslrootcert=/no/such/ca.pem");
    let error = parsed.connect_options().unwrap_err();
    assert!(error.to_string().contains("`sslrootcert` cannot be used: /no/such/ca.pem"), "{error}");
}

#[test]
fn two_roles_are_of_one_database_and_another_host_port_or_name_is_not() {
    let parsed = parse("postgres://app_a:one@db/app");
    for same in ["postgres://app_b:two@DB:5432/app?sslmode=require", "host=db dbname=app user=c"] {
        assert!(parsed.is_same_database(&parse(same)), "{same}");
    }
    for other in
        ["postgres://app_a@db2/app", "postgres://app_a@db:5433/app", "postgres://app_a@db/b"]
    {
        assert!(!parsed.is_same_database(&parse(other)), "{other}");
    }
    // Without a database its name is that of the role.
    assert!(parse("postgres://app@db").is_same_database(&parse("postgres://app@db/app")));
}

/// What `tracing` is told while `work` runs.
fn trace(work: impl FnOnce()) -> String {
    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);
    impl std::io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    tracing::subscriber::with_default(subscriber, work);
    let bytes = lines.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

/// `sqlx` logs what it does not know, with the value.
#[test]
fn v10_no_output_holds_a_value_of_a_connection_string() {
    let secret = "hunter2";
    let texts = [
        format!("postgres://app:{secret}@db/app?sslpassword={secret}"),
        format!("postgres://app:{secret}@db/app?tenant={secret}"),
        format!("postgres://app:{secret}@db/app?{secret}=1"),
        format!("postgres://app:{secret}#@db/app"),
        format!("postgres://app:x@db/app?connection_limit={secret}&sslmode={secret}"),
        format!("postgres://app:x@db:{secret}/app"),
        format!("{secret}://app:x@db/app"),
        format!("postgres://app:{secret}@db/app?connection_limit={secret}"),
        format!("host=db password='{secret}' user=app sslmode={secret}"),
        format!(
            "{{\"username\":\"a\",\"password\":\"{secret}\",\"host\":\"db\",\"engine\":\"{secret}\"}}"
        ),
        format!("{{\"username\":\"a\",\"password\":\"{secret}\",\"host\":\"db\"}}"),
        secret.to_owned(),
    ];
    let mut said = String::new();
    let lines = trace(|| {
        for text in &texts {
            match ConnectionString::parse(text) {
                Ok(parsed) => {
                    said += &format!(
                        "{parsed:?} {:?} {:?}\n",
                        parsed.notes(),
                        parsed.connect_options().is_ok()
                    );
                }
                Err(error) => said += &format!("{error} {error:?}\n"),
            }
        }
    });
    // The subscriber hears `sqlx`, which says what it is given.
    let parser =
        || drop("postgres://db/app?tenant=hunter2".parse::<sqlx::postgres::PgConnectOptions>());
    assert!(trace(parser).contains(secret));
    // A scheme is public: it is what stands before the first colon.
    let said: String = said.lines().filter(|line| !line.contains("Scheme")).collect();
    assert!(!said.contains(secret), "{said}");
    assert!(!lines.contains(secret), "{lines}");
}

proptest! {
    #![proptest_config(crate::support::cases(500, 20_000))]

    #[test]
    fn any_role_password_and_database_come_through(
        role in "[^\0]{1,12}", password in "[^\0]{1,24}", database in "[^\0]{1,12}", schema in "[^\0,]{1,12}",
    ) {
        use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
        let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let url = format!(
            "postgres://{}:{}@db/{}?schema={}",
            encoded(&role), encoded(&password), encoded(&database), encoded(&schema),
        );
        let quoted = |text: &str| text.replace('\\', "\\\\").replace('\'', "\\'");
        let words = format!(
            "host=db user='{}' password='{}' dbname='{}' schema='{}'",
            quoted(&role), quoted(&password), quoted(&database), quoted(&schema),
        );
        for text in [url, words] {
            let parsed = ConnectionString::parse(&text).unwrap();
            prop_assert_eq!((parsed.role(), parsed.database()), (Some(&*role), Some(&*database)));
            prop_assert_eq!(parsed.schema(), Some(&*schema));
            let options = parsed.connect_options().unwrap();
            prop_assert_eq!(options.get_username(), &role);
            // `sqlx` writes the role into a URL as it is.
            let password_of = options.username("app").to_url_lossy_password();
            prop_assert_eq!(password_of, Some(password.clone()));
        }
    }

    #[test]
    fn nothing_panics(text in "\\PC{0,60}", tail in "[a-z=&?/@:%'{}\" \\\\0-9]{0,40}") {
        for start in ["", "postgres://", "jdbc:postgresql:", "socket:", "host=", "{"] {
            let _ = ConnectionString::parse(&format!("{start}{text}{tail}"));
        }
    }
}
