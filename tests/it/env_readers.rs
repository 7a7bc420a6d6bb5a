//! The readers of `.env` files, and the values that this crate reads and writes in them.
//!
//! bash, `util.parseEnv` of Node (the parser of `node --env-file`), npm's dotenv, python-dotenv and
//! dotenvy are run. systemd and docker are modelled after systemd.exec(5), `EnvironmentFile=`, and
//! after the format that docker's `pkg/kvfile` documents.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use dualkey::manifest::NewEntry;
use dualkey::source::{DotenvStore, KeyStore, StoreError, update};
use dualkey::{ManualClock, Purpose, Secret};
use serde_json::{Value, json};

use crate::support::peers;

const NAME: &str = "API_KEY";

/// Values of a secret: plain ones, and one for each character that some reader treats apart.
const VALUES: [&str; 36] = [
    "plain9Lr2vTb7Yx2Zq9Ml5Ki",
    "b64+/9Lr2vTb7Yx2Zq9Ml5Ki==",
    "url-safe_9Lr2vTb7Yx2Zq9Ml5Ki",
    "postgres://app:new-9Lr2@db:5432/app",
    "postgres://app:n@db/app?sslmode=require&application_name=web",
    "amp&ersand-9Lr2vTb7",
    "semi;colon-9Lr2vTb7",
    "pi|pe-9Lr2vTb7Yx2Z",
    "less<than-9Lr2vTb7",
    "more>than-9Lr2vTb7",
    "(round)-9Lr2vTb7Yx",
    "[square]-9Lr2vTb7Y",
    "{curly,brace}-9Lr2",
    "st*r-9Lr2vTb7Yx2Zq",
    "que?tion-9Lr2vTb7Y",
    "~home/9Lr2vTb7Yx2Z",
    "a:~home/9Lr2vTb7Yx",
    "bang!9Lr2vTb7Yx2Zq",
    "ca^ret-9Lr2vTb7Yx2",
    "per%cent-9Lr2vTb7Y",
    "com,ma-9Lr2vTb7Yx2",
    "equ=als=9Lr2vTb7Yx",
    "hash#9Lr2vTb7Yx2Zq",
    "blank #9Lr2vTb7Yx2",
    "#9Lr2vTb7Yx2Zq9Ml5",
    "in side-9Lr2vTb7Yx",
    " ends-9Lr2vTb7Yx2 ",
    "dol$lar-9Lr2vTb7Yx",
    "dollar$-9Lr2vTb7Yx",
    "${part-9Lr2vTb7Yx2",
    "back`tick-9Lr2vTb7",
    "back\\slash-9Lr2vTb",
    "it's-9Lr2vTb7Yx2Zq",
    "dou\"ble-9Lr2vTb7Yx",
    "bo'th\"-9Lr2vTb7Yx2",
    "schlüssel-名前-9Lr2vTb7",
];

/// A line before and behind its value.
const FORMS: [(&str, &str); 17] = [
    ("API_KEY=", ""),
    ("API_KEY='", "'"),
    ("API_KEY=\"", "\""),
    ("API_KEY=`", "`"),
    ("export API_KEY=", ""),
    ("export API_KEY='", "'"),
    ("export API_KEY=\"", "\""),
    ("API_KEY=", " # of the quarter"),
    ("API_KEY='", "' # of the quarter"),
    ("API_KEY=\"", "\"# of the quarter"),
    ("export API_KEY=", " # of the quarter"),
    ("API_KEY = ", ""),
    ("API_KEY = '", "'"),
    ("API_KEY= ", ""),
    ("API_KEY=", "  "),
    ("  API_KEY=", ""),
    ("API_KEY: ", ""),
];

/// A value for each file, of each reader that is here.
type Read = BTreeMap<&'static str, Vec<Option<String>>>;

fn store(path: &Path) -> DotenvStore {
    DotenvStore::new(path, NAME, Purpose::Credential, "production")
}

fn write_all(folder: &Path, texts: &[String]) -> Vec<PathBuf> {
    let write = |(place, text): (usize, &String)| {
        let path = folder.join(format!("{place}.env"));
        fs::write(&path, text).unwrap();
        path
    };
    texts.iter().enumerate().map(write).collect()
}

/// Reads `name` in all files with all readers.
fn read(files: &[PathBuf], name: &str) -> Read {
    let mut all = Read::new();
    let texts: Vec<_> = files.iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    let each = |reader: &dyn Fn(&str) -> Option<String>| -> Vec<_> {
        texts.iter().map(|text| reader(text)).collect()
    };
    all.insert("systemd", each(&|text| systemd(text).remove(name)));
    all.insert("docker", each(&|text| docker(text)?.remove(name)));
    all.insert("dotenvy", each(&|text| dotenvy_value(text, name)));
    match bash(files, name) {
        Some(values) => _ = all.insert("bash", values),
        None => println!("left out: bash is not here"),
    }
    let request = json!({ "name": name, "files": files });
    let answers = |answer: &Value| -> Option<Vec<Option<String>>> {
        let all = answer.as_array()?.iter();
        Some(all.map(|value| value.as_str().map(str::to_owned)).collect())
    };
    let folder = peers::folder();
    let packages = folder.unwrap_or(Path::new("."));
    if Command::new("node").arg("--version").output().is_ok() {
        let reply = peers::ask(&mut peers::node(packages, "env_peer.cjs"), &request);
        for (key, reader) in [("npm", "npm dotenv"), ("node", "node --env-file")] {
            match answers(&reply[key]) {
                Some(values) => _ = all.insert(reader, values),
                None => println!("left out: {reader} is not here"),
            }
        }
    } else {
        println!("left out: node is not here");
    }
    let mut python = Command::new(packages.join("venv/bin/python"));
    python.arg(peers::scripts().join("env_peer.py"));
    if packages.join("venv/bin/python").exists() {
        all.insert("python-dotenv", answers(&peers::ask(&mut python, &request)).unwrap());
    } else {
        assert!(std::env::var_os("DUALKEY_TEST_PEERS").is_none(), "there is no python-dotenv");
        println!("left out: python-dotenv is not here");
    }
    all
}

fn bash(files: &[PathBuf], name: &str) -> Option<Vec<Option<String>>> {
    let script = r#"
        name=$1; shift
        for file in "$@"; do
            (
                PATH=/nonexistent; set -a; . "$file" >/dev/null 2>&1
                if [ -n "${!name+set}" ]; then printf '=%s\0' "${!name}"; else printf '\0'; fi
            ) </dev/null 2>/dev/null
        done
    "#;
    let output = Command::new("bash")
        .args(["--norc", "--noprofile", "-c", script, "bash", name])
        .args(files)
        .env_clear()
        // A line with `>` writes a file.
        .current_dir(files[0].parent().unwrap())
        .stdin(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).unwrap();
    let all: Vec<_> = text
        .split_terminator('\0')
        .map(|field| field.strip_prefix('=').map(str::to_owned))
        .collect();
    assert_eq!(all.len(), files.len());
    Some(all)
}

fn dotenvy_value(text: &str, name: &str) -> Option<String> {
    let pairs = dotenvy::from_read_iter(text.as_bytes());
    pairs.map_while(Result::ok).find(|(key, _)| key == name).map(|(_, value)| value)
}

/// `EnvironmentFile=` of systemd.exec(5).
fn systemd(text: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut rest = text.chars().peekable();
    while let Some(first) = rest.peek().copied() {
        if first.is_whitespace() {
            rest.next();
            continue;
        }
        let mut key = String::new();
        let is_comment = "#;".contains(first);
        while let Some(character) =
            rest.next_if(|character| *character != '\n' && (is_comment || *character != '='))
        {
            key.push(character);
        }
        if is_comment || rest.next() != Some('=') {
            continue;
        }
        let mut value = String::new();
        let (mut bare, mut kept) = (false, 0);
        while let Some(character) =
            rest.next_if(|character| *character != '\n' && *character != '\r')
        {
            match character {
                '\'' if !bare => {
                    value.extend(rest.by_ref().take_while(|character| *character != '\''))
                }
                '"' if !bare => {
                    while let Some(character) = rest.next().filter(|character| *character != '"') {
                        match (character, rest.peek().copied()) {
                            ('\\', Some('\n')) => _ = rest.next(),
                            ('\\', Some(next)) if "\"\\`$".contains(next) => {
                                value.extend(rest.next());
                            }
                            _ => value.push(character),
                        }
                    }
                }
                '\\' => {
                    bare = true;
                    value.extend(rest.next().filter(|character| *character != '\n'));
                }
                character if character.is_whitespace() && !bare => continue,
                character => {
                    bare = true;
                    value.push(character);
                    if character.is_whitespace() {
                        continue;
                    }
                }
            }
            kept = value.len();
        }
        value.truncate(kept);
        let key = key.trim_end();
        let is_name = |character: char| character.is_ascii_alphanumeric() || character == '_';
        if !key.is_empty() && key.chars().all(is_name) {
            found.insert(key.to_owned(), value);
        }
    }
    found
}

/// `docker --env-file`: names and values as they are, quotes too. `None` for a file that it refuses.
fn docker(text: &str) -> Option<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    for line in text.trim_start_matches('\u{feff}').lines() {
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (key, value) =
            line.split_once('=').map_or((line, None), |(key, value)| (key, Some(value)));
        if key.is_empty() || key.contains([' ', '\t']) {
            return None;
        }
        found.extend(value.map(|text| (key.to_owned(), text.to_owned())));
    }
    Some(found)
}

/// The readers of a line, as the documentation of the store names them.
fn is_reader(reader: &str, line: &str) -> bool {
    let (is_export, has_comment) =
        (line.trim_start().starts_with("export "), line.contains(" # of"));
    let value = line.split_once('=').unwrap_or_default().1;
    match reader {
        "systemd" => !is_export && !has_comment,
        "docker" => !is_export && !has_comment && !value.starts_with(['\'', '"']),
        _ => true,
    }
}

/// Fails unless each reader of `line` reads `value`. The others read no line at all, or are named.
fn agree(all: &Read, place: usize, line: &str, value: &str, is_written: bool) -> usize {
    // A shell ends a command at a bare `&`, and finds no value: such a line is read, not written.
    let is_cut = !is_written && value.contains('&') && !line.contains(['\'', '"']);
    let readers =
        all.iter().filter(|(reader, _)| is_reader(reader, line) && !(is_cut && **reader == "bash"));
    let checked = readers.map(|(reader, values)| {
        assert_eq!(values[place].as_deref(), Some(value), "{reader} reads {line:?}");
    });
    checked.count()
}

fn secret_of(path: &Path) -> Result<String, StoreError> {
    let manifest = pollster::block_on(store(path).load())?;
    let secret = manifest.keys()[0].secret().unwrap().expose().to_vec();
    Ok(String::from_utf8(secret).unwrap())
}

#[test]
fn a_value_that_is_read_is_that_of_every_reader() {
    let folder = tempfile::tempdir().unwrap();
    let mut texts = Vec::new();
    for (start, end) in FORMS {
        texts.extend(VALUES.map(|value| format!("A=1\n{start}{value}{end}\nB=2\n")));
    }
    let files = write_all(folder.path(), &texts);
    let all = read(&files, NAME);
    let (mut taken, mut refused, mut readings) = (0, 0, 0);
    for (place, path) in files.iter().enumerate() {
        match secret_of(path) {
            Ok(value) => {
                let line = texts[place].lines().nth(1).unwrap();
                readings += agree(&all, place, line, &value, false);
                taken += 1;
            }
            Err(error) => {
                // The rest is too short, because a comment begins in it. A value that begins
                // with `#` is not absent.
                let is_named = match &error {
                    StoreError::Dotenv { line, .. } | StoreError::Reference { line, .. } => {
                        *line == Some(2)
                    }
                    StoreError::Manifest { .. } if texts[place].contains('#') => true,
                    _ => texts[place].contains(" ends-"),
                };
                assert!(is_named && error.to_string().contains("API_KEY"), "{error}");
                refused += 1;
            }
        }
    }
    println!(
        "{} lines: {taken} are read as {readings} readings of {} readers have them, {refused} are refused",
        files.len(),
        all.len()
    );
    assert!(taken >= 150 && refused >= 100, "{taken} {refused}");
}

#[test]
fn a_value_that_is_written_is_read_by_every_reader() {
    let folder = tempfile::tempdir().unwrap();
    let old = "old-9Lr2vTb7Yx2Zq9Ml5KiWm3HjPs8Dn4Fg6";
    let (mut written, mut refused) = (Vec::new(), 0);
    let mut place = 0;
    for (start, end) in FORMS {
        for value in VALUES {
            for in_place in [false, true] {
                let path = folder.path().join(format!("write-{place}.env"));
                place += 1;
                let before = format!("A=1\n{start}{old}{end}\nB=2\n");
                fs::write(&path, &before).unwrap();
                let clock = ManualClock::new(std::time::SystemTime::now());
                let now = std::time::SystemTime::now();
                let store = store(&path).clock(clock);
                let new = || NewEntry::new(Secret::from(value));
                let done = pollster::block_on(update(&store, |manifest| {
                    if in_place {
                        manifest.emergency_rotate(&manifest.primary(now), "leaked", new(), now)
                    } else {
                        manifest.stage(new(), now)
                    }
                }));
                let after = fs::read_to_string(&path).unwrap();
                match done {
                    Ok(_) => {
                        let name = if in_place { NAME } else { "API_KEY_NEXT" };
                        let line = if in_place { 1 } else { 2 };
                        let line = after.lines().nth(line).unwrap().to_owned();
                        assert!(!line.contains(" # of"), "no comment on a new value: {line}");
                        written.push((path, name, line, value));
                    }
                    Err(_) => {
                        assert_eq!(after, before, "a refusal writes nothing");
                        refused += 1;
                    }
                }
            }
        }
    }
    let mut readings = 0;
    for name in [NAME, "API_KEY_NEXT"] {
        let cases: Vec<_> = written.iter().filter(|case| case.1 == name).collect();
        let files: Vec<_> = cases.iter().map(|case| case.0.clone()).collect();
        // A line above that a reader refuses is not what is asked about here.
        for (path, case) in files.iter().zip(&cases) {
            fs::write(path, format!("A=1\n{}\nB=2\n", case.2)).unwrap();
        }
        let all = read(&files, name);
        for (place, (_, _, line, value)) in cases.into_iter().enumerate() {
            readings += agree(&all, place, line, value, true);
        }
    }
    println!(
        "{} lines are written, with {readings} equal readings, {refused} are refused",
        written.len()
    );
    assert!(written.len() >= 500 && refused >= 100, "{} {refused}", written.len());
}

#[test]
fn a_line_in_which_some_readers_find_another_value_is_refused() {
    const OTHER: &str = "other-9Lr2vTb7Yx2Zq9Ml5KiWm3HjPs8Dn4F";
    let folder = tempfile::tempdir().unwrap();
    let assignment = "API_KEY=own-9Lr2vTb7Yx2Zq9Ml5KiWm3HjPs8Dn4Fg6";
    let cases = [
        (format!("{assignment}\nAPI_KEY_OLD=#{OTHER}\n"), "API_KEY_OLD", 2),
        (format!("{assignment}\nAPI_KEY_OLD= #{OTHER}\n"), "API_KEY_OLD", 2),
        (format!("{assignment}\nAPI_KEY_OLD=''#{OTHER}\n"), "API_KEY_OLD", 2),
        (format!("{assignment}\nAPI_KEY_OLD=\u{a0}#{OTHER}\n"), "API_KEY_OLD", 2),
        (format!("{assignment}\nAPI_KEY_NEXT=# {OTHER}\n"), "API_KEY_NEXT", 2),
        (format!("{assignment}\n# x\rAPI_KEY={OTHER}\n"), NAME, 2),
        (format!("# x\rAPI_KEY_OLD={OTHER}\n{assignment}\n"), "API_KEY_OLD", 1),
        (format!("{assignment}\nB=1\rAPI_KEY={OTHER}\n"), NAME, 2),
        (format!("{assignment}\n# x\u{2028}API_KEY={OTHER}\n"), NAME, 2),
        (format!("{assignment}\n# x\u{2029}API_KEY={OTHER}\n"), NAME, 2),
        (format!("\u{feff}{assignment}\n"), NAME, 1),
        (format!("\u{a0}{assignment}\n"), NAME, 1),
        (format!("{assignment}\nAPI_KEY+=x\n"), NAME, 2),
        (format!("{assignment}\nA=1;API_KEY={OTHER}\n"), NAME, 2),
        (format!("{assignment}\nA=1 API_KEY={OTHER}\n"), NAME, 2),
        (format!("{assignment}\nA=1&API_KEY={OTHER}\n"), NAME, 2),
        (format!("{assignment}\nA='1' API_KEY={OTHER}\n"), NAME, 2),
        (format!("{assignment}\nreadonly API_KEY_OLD={OTHER}\n"), "API_KEY_OLD", 2),
        (format!("{assignment}\nunset API_KEY\n"), NAME, 2),
        (format!("{assignment}\nexport API_KEY\n"), NAME, 2),
        (format!("export\t{assignment}\n"), NAME, 1),
        (format!("export  {assignment}\n"), NAME, 1),
        (format!("\t{assignment}\n"), NAME, 1),
        (format!("{}\n", assignment.replace('=', " =")), NAME, 1),
        (format!("{}\n", assignment.replace('=', "\t=")), NAME, 1),
        (format!("{}\n", assignment.replace('=', ": ")), NAME, 1),
        (format!("{assignment}\t# of the quarter\n"), NAME, 1),
        (format!("export {assignment}\t\n"), NAME, 1),
        (format!("A=1 API_KEY={OTHER}\n"), NAME, 1),
        (format!("API_KEY+={OTHER}\n"), NAME, 1),
        (format!("{assignment}\nAPI_KEY # of the quarter\n"), NAME, 2),
        (format!("{assignment}\n'API_KEY'={OTHER}\n"), NAME, 2),
        (format!("{assignment}\nexport \"API_KEY={OTHER}\"\n"), NAME, 2),
        (format!("{assignment}\nexport A=1 'API_KEY'={OTHER}\n"), NAME, 2),
        (format!("{assignment}\neval 'API_KEY={OTHER}'\n"), NAME, 2),
        (format!("{assignment}\nfor API_KEY in {OTHER}; do :; done\n"), NAME, 2),
        (format!("{assignment}\nprintf -v API_KEY {OTHER}\n"), NAME, 2),
        (format!("{assignment}\nif :; then API_KEY={OTHER}; fi\n"), NAME, 2),
        (format!("{assignment}\nA=1 2>&1 API_KEY={OTHER}\n"), NAME, 2),
        (format!("{assignment}\nA=$((API_KEY=5))\n"), NAME, 2),
    ];
    for (place, (text, name, line)) in cases.iter().enumerate() {
        let files = write_all(folder.path(), std::slice::from_ref(text));
        let error = secret_of(&files[0]);
        let error = error.expect_err(text);
        let is_named = matches!(&error, StoreError::Dotenv { line: found, variable, .. }
            if *found == Some(*line) && variable.starts_with(NAME));
        assert!(is_named, "{text:?}: {error}");
        let all = read(&files, name);
        let readings: std::collections::BTreeSet<_> =
            all.values().map(|values| &values[0]).collect();
        assert!(all.len() < 8 || readings.len() > 1, "case {place}, {text:?}: all read the same");
    }
}

#[test]
fn a_line_that_only_resembles_one_of_another_value_is_no_reason_to_refuse() {
    let folder = tempfile::tempdir().unwrap();
    let secret = "own-9Lr2vTb7Yx2Zq9Ml5KiWm3HjPs8Dn4Fg6";
    let texts = [
        "# API_KEY=x",
        "A=API_KEY",
        "A=API_KEY=1",
        "A='1;API_KEY=2'",
        "A=\"1 API_KEY=2\" # API_KEY=3",
        "A=1 # API_KEY=2",
        "A=1#API_KEY=2",
        "A=postgres://app:n@db/app?sslmode=require&MY_API_KEY=1",
        "A= # API_KEY_OLD",
        "A=#000000",
        "A='a\u{2028}b'",
        "MY_API_KEY=1",
        "API_KEYS=1",
    ]
    .map(|line| format!("{line}\nAPI_KEY={secret}\n{line}\n"));
    let files = write_all(folder.path(), &texts);
    let all = read(&files, NAME);
    for (place, path) in files.iter().enumerate() {
        assert_eq!(secret_of(path).unwrap(), secret, "{:?}", texts[place]);
        for (reader, values) in &all {
            assert_eq!(values[place].as_deref(), Some(secret), "{reader}: {:?}", texts[place]);
        }
    }
}
