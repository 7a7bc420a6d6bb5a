//! Connection strings, read as libpq reads them: by its own `PQconninfoParse`, through Python.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};

use dualkey::postgres::{ConnectionString, ConnectionStringError as Wrong};

type Parsed = Option<BTreeMap<String, String>>;

const SCRIPT: &str = r#"
import ctypes, json, sys
pq = ctypes.CDLL("libpq.so.5")
class Option(ctypes.Structure):
    _fields_ = [(n, ctypes.c_char_p) for n in ("keyword", "envvar", "compiled", "val", "label", "dispchar")] + [("size", ctypes.c_int)]
pq.PQconninfoParse.restype = ctypes.POINTER(Option)
pq.PQconninfoParse.argtypes = [ctypes.c_char_p, ctypes.c_void_p]
pq.PQconninfoFree.argtypes = [ctypes.c_void_p]
def parse(text):
    options = pq.PQconninfoParse(text.encode(), None)
    if not options:
        return None
    found, place = {}, 0
    while options[place].keyword:
        if options[place].val:
            found[options[place].keyword.decode()] = options[place].val.decode("utf-8", "replace")
        place += 1
    pq.PQconninfoFree(options)
    return found
print(json.dumps([parse(text) for text in json.load(sys.stdin)]))
"#;

/// What libpq reads in each text; `None` if it is not there.
fn libpq(texts: &[String]) -> Option<Vec<Parsed>> {
    let mut child = Command::new("python3")
        .args(["-c", SCRIPT])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let input = serde_json::to_vec(texts).unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(&input).is_ok());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    serde_json::from_slice(&output.stdout).ok()
}

/// The password, which the options of `sqlx` show in no other way.
fn password(parsed: &ConnectionString) -> Option<String> {
    let url =
        sqlx::ConnectOptions::to_url_lossy(&parsed.connect_options().unwrap().username("app"));
    url.password()
        .map(|password| percent_encoding::percent_decode_str(password).decode_utf8_lossy().into())
}

/// Compares what both read. Returns whether both read the text.
fn compare(text: &str, theirs: &Parsed) -> bool {
    let parsed = ConnectionString::parse(text);
    let (parsed, theirs) = match (parsed, theirs) {
        (Ok(parsed), Some(theirs)) => (parsed, theirs),
        (Err(_), None) => return false,
        // Deliberately stricter: what other readers read in another way, or what is not supported.
        (
            Err(
                Wrong::Escape { .. }
                | Wrong::Port
                | Wrong::SeveralHosts
                | Wrong::Twice { .. }
                | Wrong::Parameter { .. },
            ),
            Some(_),
        ) => return false,
        // It names nothing.
        (Err(_), Some(theirs)) if theirs.is_empty() => return false,
        // A further `=` in a value, and parameters of other clients.
        (Ok(_), None) if text.contains("://") || text.contains("db=") => return false,
        (parsed, theirs) => panic!("{text:?}: {parsed:?}, and libpq {theirs:?}"),
    };
    let get = |name: &str| theirs.get(name).map(String::as_str).filter(|value| !value.is_empty());
    assert_eq!(parsed.role(), get("user"), "{text:?}");
    assert_eq!(parsed.database(), get("dbname"), "{text:?}");
    assert_eq!(parsed.host(), get("host").or(get("hostaddr")), "{text:?}");
    assert_eq!(parsed.port().to_string(), get("port").unwrap_or("5432"), "{text:?}");
    if get("password").is_some() {
        assert_eq!(password(&parsed).as_deref(), get("password"), "{text:?}");
    }
    true
}

fn random(rng: &mut fastrand::Rng) -> String {
    const PARTS: [&str; 44] = [
        "postgres://",
        "postgresql://",
        "host=",
        "user=",
        "password=",
        "dbname=",
        "port=",
        "app",
        "db",
        "5432",
        "0",
        ":",
        "@",
        "/",
        "?",
        "&",
        "=",
        " ",
        "'",
        "\\",
        "%41",
        "%2F",
        "%40",
        "%zz",
        "%",
        "[::1]",
        "[",
        "]",
        ",",
        "#",
        "+",
        "\t",
        "é",
        "\u{a0}",
        "$",
        "\"",
        "host=db ",
        "sslmode=require",
        "application_name=x",
        "options=",
        "connect_timeout=3",
        "hostaddr=10.0.0.1",
        "''",
        "\n",
    ];
    let start = ["postgres://app:x@db/", "postgres://", "host=db user=app password=", ""];
    let mut text = start[rng.usize(..start.len())].to_owned();
    for _ in 0..rng.usize(1..9) {
        text.push_str(PARTS[rng.usize(..PARTS.len())]);
    }
    text
}

#[test]
fn a_string_is_read_as_libpq_reads_it() {
    let mut texts: Vec<String> = [
        "postgres://app:p%40ss@db.example.com:5433/notes",
        "postgresql://app:x@db/notes?sslmode=require&application_name=web",
        "postgres://app@db",
        "postgres://app@db/",
        "postgres://",
        "postgres:///notes",
        "postgres://:x@db/notes",
        "postgres://app:@db/notes",
        "postgres://a:b:c@db/notes",
        "postgres://[::1]:5433/notes",
        "postgres://%2Fvar%2Frun/notes",
        "postgres:///notes?host=/var/run&port=5433",
        "postgres:///notes?user=app&password=a%2Bb",
        "postgres://db/a%2Fb",
        "host=db user=app password='a b\\'c' dbname=app",
        "host = db  user= 'app'dbname=app",
        "password=a\\ b\\\\c host=db",
        "password=a'b host=db",
        "password='' host=db",
        "host=db password=a\u{a0}b",
        "host=db user=app\\",
        "hostaddr=10.0.0.1 dbname=app",
        "host='db",
        "host",
        "host db",
        "=x",
    ]
    .map(str::to_owned)
    .into();
    let mut rng = fastrand::Rng::with_seed(21);
    // Blanks around the whole are removed here; libpq before 17 keeps them.
    let blanks = [' ', '\t', '\n'];
    let trimmed = |text: String| text.trim_matches(blanks).to_owned();
    texts.extend((0..20_000).map(|_| trimmed(random(&mut rng))));
    let Some(theirs) = libpq(&texts) else {
        println!("left out: there is no python3 with libpq.so.5");
        return;
    };
    assert_eq!(theirs.len(), texts.len());
    let both = texts.iter().zip(&theirs).filter(|(text, expected)| compare(text, expected)).count();
    println!("{} strings, {both} read by both", texts.len());
    assert!(both > 1_000, "{both}");
}
