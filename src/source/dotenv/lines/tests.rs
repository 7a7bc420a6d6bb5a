use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn read(text: &str, name: &str) -> Result<Option<String>, Unclear> {
    Lines::parse(text).value(name).map(|value| value.map(|value| value.to_string()))
}

fn problem(text: &str, name: &str) -> Option<LineProblem> {
    read(text, name).err().map(|unclear| unclear.problem)
}

/// A word of a sentence is no variable, and a long line needs room for itself alone.
#[test]
fn the_text_of_another_variable_blocks_nothing() {
    let long = format!("X=abc\nY={}", "a ".repeat(100_000));
    for text in ["X=abc\nY=rotate X", "X=abc\nY=rotate X # monthly", "X=abc\nY='a' X", &long] {
        assert_eq!(read(text, "X"), Ok(Some("abc".to_owned())), "{}", &text[..20.min(text.len())]);
    }
    assert_eq!(problem("X=abc\nX", "X"), Some(LineProblem::Shell));
}

#[test]
fn values_are_read_where_all_readers_agree() {
    for (text, expected) in [
        ("X=abc", "abc"),
        ("  export X=abc # why", "abc"),
        ("export X=abc\r\n", "abc"),
        ("X='a b # $c'", "a b # $c"),
        ("X=\"a b # c\"  ", "a b # c"),
        ("export X=\"a b # c\" # why", "a b # c"),
        ("X=abc # why", "abc"),
        ("X='abc' # why", "abc"),
        ("X='abc'\t# why", "abc"),
        ("X=", ""),
        ("X='' # why", ""),
        ("X=''", ""),
        ("X=postgres://u:p@h:5432/d?ssl=1&x=y", "postgres://u:p@h:5432/d?ssl=1&x=y"),
        ("Y='one\nX=no\n'\nX=yes", "yes"),
    ] {
        assert_eq!(read(text, "X"), Ok(Some(expected.to_owned())), "{text:?}");
    }
    for text in ["# X=abc", "XX=abc", "=abc", "X Y=abc", "X:abc", "Y=X", "Y=X=1", "echo $X"] {
        assert_eq!(read(text, "X"), Ok(None), "{text:?}");
    }
    for text in [
        "X=a#b",
        "X=a$b",
        "X=a b",
        "X=\"a$b\"",
        "X=\"a\\nb\"",
        "X='a\nb'",
        "X=a\\b",
        "X=~/a",
        "X=a:~b",
        "X='a${b'",
        "X=it's",
        "X=\"a\" b",
        "X=`ab`",
        "export X='a'#b",
        "X=\"a\"# why",
    ] {
        assert_eq!(problem(text, "X"), Some(LineProblem::Value), "{text:?}");
    }
    for (text, expected) in [
        ("X=abc ", LineProblem::Blanks),
        ("X= abc", LineProblem::Blanks),
        ("X= 'abc'", LineProblem::Blanks),
        ("export X= abc", LineProblem::Blanks),
        ("X: abc", LineProblem::Colon),
        ("X=abc\t# why", LineProblem::Blanks),
        ("export X=abc\t", LineProblem::Blanks),
        ("X=abc\nY=1 2>&1 X=b", LineProblem::Shell),
        ("X=abc\nY=1 > a X=b", LineProblem::Shell),
        ("X = abc ", LineProblem::Spaced),
        ("X =abc", LineProblem::Spaced),
        ("X\t=abc # why", LineProblem::Spaced),
        ("export X =", LineProblem::Spaced),
        ("export\tX=abc", LineProblem::Indented),
        ("export  X=abc", LineProblem::Indented),
        ("\tX=abc", LineProblem::Indented),
        ("\texport X=abc", LineProblem::Indented),
        ("X=a\nexport X=b", LineProblem::Twice { first: 1 }),
        ("X=a\nX: b", LineProblem::Twice { first: 1 }),
        ("X=#abc", LineProblem::Hash),
        ("X= # why", LineProblem::Hash),
        ("export X=#abc", LineProblem::Hash),
        ("X=''#abc", LineProblem::Value),
        ("X=abc\u{a0}# why", LineProblem::Value),
        ("X='a\u{2028}b'", LineProblem::Value),
        ("X=\u{a0}#abc", LineProblem::Invisible),
        ("X\u{a0}=abc", LineProblem::Invisible),
        ("\u{b}X=abc", LineProblem::Invisible),
        ("\u{feff}X=abc", LineProblem::Invisible),
        ("Y=1\n\u{feff}export X=abc", LineProblem::Invisible),
        ("X", LineProblem::Shell),
        ("export X", LineProblem::Shell),
        ("X=abc\nX[0]=b", LineProblem::Shell),
        ("X=abc\nX+=b", LineProblem::Shell),
        ("X=abc\nY= X=b", LineProblem::Shell),
        ("X=abc\ndeclare -x Y X", LineProblem::Shell),
        ("Y=1 X=b", LineProblem::Shell),
        ("X+=b", LineProblem::Shell),
        ("X=abc\nexport \"X=b\"", LineProblem::Shell),
        ("X=abc\nexport 'X'=b", LineProblem::Shell),
        ("X=abc\n'X'=b", LineProblem::Shell),
        ("X=abc\nX # why", LineProblem::Shell),
        ("X=abc\nread X", LineProblem::Shell),
        ("X=abc\nfor X in a b; do :; done", LineProblem::Shell),
        ("X=abc\nprintf -v X b", LineProblem::Shell),
        ("X=abc\neval 'X=b'", LineProblem::Shell),
        ("X=abc\n(( X = 5 ))", LineProblem::Shell),
        ("X=abc\nY=$((X=5))", LineProblem::Shell),
        ("X=abc\nif true; then X=b; fi", LineProblem::Shell),
        ("X=abc\nexport -- X=b", LineProblem::Shell),
        ("X=abc\ncommand export X=b", LineProblem::Shell),
        ("X=abc\n>a X=b", LineProblem::Shell),
        ("Y=1\rX=abc", LineProblem::Break),
        ("X=abc\n# why\u{2029}", LineProblem::Break),
        ("X=abc\nY='a' # \rX=b", LineProblem::Break),
    ] {
        assert_eq!(problem(text, "X"), Some(expected), "{text:?}");
    }
}

#[test]
fn a_reference_is_no_value_however_it_is_written() {
    for text in [
        "X=vault:secret/data/app#KEY",
        "X=\"encrypted:BDqDBibm4wsYqMpCjTQ6BsDHmMadg9K3dAt\"",
        "export X='op://app/db/password'",
        "X=ENC[AES256_GCM,data:a=,iv:b=,tag:c=,type:str]",
        "X=/run/secrets/jwt",
        "X=postgres://${DB_USER}:${DB_PASS}@db/app",
        "X='postgres://$DB_USER:$DB_PASS@db/app'",
        "X=$(cat /run/secrets/jwt)",
        "X=`cat /run/secrets/jwt`",
    ] {
        let found = problem(text, "X");
        assert!(matches!(found, Some(LineProblem::Reference(_))), "{text:?}: {found:?}");
    }
}

#[test]
fn an_odd_line_of_another_leaves_the_rest_readable() {
    for odd in [
        "Y=\"Support\" <no-reply@example.com>",
        "Y=it's",
        "Y=5\" tall",
        "Y='it\\'s'",
        "Y='a' 'b'",
        "Y=`open",
        "Y={\"a\": \"b\"}",
        "Y=\"{\\\"a\\\": 1}\"",
        "Y='one\ntwo'",
        "Y=\"one\ntwo\" # why",
        "Y='one\ntwo' more",
        "Y: value",
        "no assignment",
        "it's no assignment",
        "export Y",
        "- Y=1",
        "Y = 1",
        "cat <<EOF\nA 'quote\nEOF",
        "# it's a comment \\",
        "Y=C:\\\\",
        "\u{feff}Y=1",
        "Y=#1",
        "Y='a\rb'",
        "Y=\"X=1;X=2\"",
        "Y=1\r",
        "export X",
        "Y=1;X=2",
        "Y=1 X=2",
        "X+=1",
        "export\tY=1",
        "\tY=1",
        "Y =1",
        "Y: X=1",
        "Y X=1",
        "Y=docker run -e X=1 image",
        "Y=1 X=2 command",
        "Y=1 > X",
        "echo X=1",
        "export Y='X=1'",
    ] {
        for (lead, end) in [("", "\n"), ("export ", "\r\n")] {
            let text = format!("{odd}{end}{lead}X=abc{end}Z=1");
            assert_eq!(read(&text, "X"), Ok(Some("abc".to_owned())), "{text:?}");
            let mut lines = Lines::parse(&text);
            lines.set("X_NEXT", "new", &["X"]).unwrap();
            let expected = format!("{odd}{end}{lead}X=abc{end}{lead}X_NEXT=new{end}Z=1");
            assert_eq!(*lines.text(), expected);
        }
    }
}

#[test]
fn a_line_that_leaves_the_next_unclear_is_named_and_blocks_what_follows_alone() {
    for (odd, expected, reach) in [
        ("Y='never closed", LineProblem::Quote, 9),
        ("Y=\"never closed", LineProblem::Quote, 9),
        ("Y='a' 'b", LineProblem::Quote, 9),
        ("Y=\"a\\\"", LineProblem::Quote, 9),
        ("Y=C:\\", LineProblem::Backslash, 1),
    ] {
        let text = format!("Z=1\nX_OLD=old\n{odd}\nX=abc\nX_NEXT=new\n");
        let error = Unclear { line: Some(3), variable: "Y".to_owned(), problem: expected };
        assert_eq!(read(&text, "X"), Err(error.clone()), "{text:?}");
        assert_eq!(read(&text, "X_NEXT").is_err(), reach > 1, "{text:?}");
        assert_eq!(read(&text, "X_OLD"), Ok(Some("old".to_owned())), "{text:?}");
        assert_eq!(read(&text, "X_NEW"), Ok(None), "it is not there");
        // A new line is not put where it is unclear.
        let mut lines = Lines::parse(odd);
        assert_eq!(lines.set("X", "abc", &[]), Err(Unclear { line: Some(1), ..error }));
    }
    // Up to the quote that some readers take for the closing one.
    let text = "Y='a\nX=abc\nb' 'c'\nX_OLD=old\n";
    assert_eq!(problem(text, "X"), Some(LineProblem::Quote));
    assert_eq!(read(text, "X_OLD"), Ok(Some("old".to_owned())));
}

#[test]
fn edits_look_like_what_is_there() {
    let edit = |text: &str, edit: fn(&mut Lines)| {
        let mut lines = Lines::parse(text);
        edit(&mut lines);
        lines.text().to_string()
    };
    for (before, after) in [
        ("A=1\nX=old # why\nB=2", "A=1\nX=new\nB=2"),
        ("export X=\"old\"\r\n", "export X=\"new\"\r\n"),
        ("  X='old'  # 'why'\n", "  X='new'\n"),
        ("X='one\ntwo'\nB=2\n", "X='new'\nB=2\n"),
        ("X= # why", "X=new"),
        ("X=`old`", "X=new"),
        ("A=1", "A=1\nX=new"),
        ("A=1\r\nB=2\r\n", "A=1\r\nB=2\r\nX=new\r\n"),
        ("", "X=new\n"),
    ] {
        assert_eq!(edit(before, |lines| lines.set("X", "new", &[]).unwrap()), after, "{before:?}");
    }
    for (before, after) in [
        ("X=a\nB=2\n", "X=a\nX_OLD=new\nB=2\n"),
        ("B=2\r\n export X='a'", "B=2\r\n export X='a'\r\n export X_OLD='new'"),
        ("B=2\n", "B=2\nX_OLD=new\n"),
    ] {
        let edited = edit(before, |lines| lines.set("X_OLD", "new", &["X"]).unwrap());
        assert_eq!(edited, after, "{before:?}");
    }
    let edited = edit("A=1\nX='one\ntwo' # why\nB=2", |lines| lines.remove("X").unwrap());
    assert_eq!(edited, "A=1\nB=2");
    let odd = edit("X=old\n", |lines| lines.set("X", "a b$c", &[]).unwrap());
    assert_eq!(odd, "X='a b$c'\n");
    for value in ["a&b", "a;b", "a|b", "(a)", "a<b>", "~a", "a #b", "a$b", "é", "a\"b", "{a,b}"] {
        let edited = edit("X=old\n", |lines| lines.set("X", "new", &[]).unwrap());
        assert_eq!(edited, "X=new\n");
        let mut lines = Lines::parse("X=old\n");
        lines.set("X", value, &[]).unwrap();
        assert_eq!(*lines.text(), format!("X='{value}'\n"));
    }
    for value in ["a'b\"c", "a\nb", "a\\b", "a${b}c", "a'$b", "a\0b"] {
        let error = Lines::parse("X=old").set("X", value, &[]).unwrap_err();
        assert_eq!(error.problem, LineProblem::Unwritable, "{value:?}");
    }
}

fn line() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec!["A", "X", "X_OLD", "schlüssel", "名前", "B_2"]);
    let lead = prop::sample::select(vec!["", "export ", "  "]);
    let value = prop::sample::select(vec![
        "",
        "plain",
        "'single # quoted'",
        "\"double\"",
        "a b",
        "\"open",
        "'two\nlines'",
        "a#b",
        "`tick`",
        "'é'",
        "$HOME",
        "x=y",
    ]);
    let rest = prop::sample::select(vec!["", " # why", "  "]);
    prop_oneof![
        4 => (lead, name, value, rest).prop_map(|(lead, name, value, rest)| format!("{lead}{name}={value}{rest}")),
        1 => prop::sample::select(vec!["", "# a comment", "no assignment", "   ", "\t# é"]).prop_map(str::to_owned),
    ]
}

fn file() -> impl Strategy<Value = String> {
    let ends = prop::sample::select(vec!["\n", "\r\n"]);
    (prop::collection::vec((line(), ends), 0..8), any::<bool>()).prop_map(|(lines, has_end)| {
        let mut text: String = lines.iter().flat_map(|(line, end)| [line.as_str(), end]).collect();
        if !has_end {
            let whole = text.trim_end_matches(['\n', '\r']).len();
            text.truncate(whole);
        }
        text
    })
}

/// What `dotenvy` makes of a file, line by line of ours where it takes them at all.
fn as_dotenvy(text: &str) -> Option<BTreeMap<String, String>> {
    let pairs = dotenvy::from_read_iter(text.as_bytes());
    let mut found = BTreeMap::new();
    for pair in pairs {
        let (name, value) = pair.ok()?;
        found.entry(name).or_insert(value);
    }
    Some(found)
}

/// A word behind the quote of a value may hold a quote that opens more of it.
#[test]
fn a_quote_behind_a_closed_value_makes_the_lines_after_it_unclear() {
    for text in
        ["A=\"open\nB=\"double\"\nX=y\nX_OLD=\"open", "A=\"closed\"word\"open\nX=y\nB=\"end"]
    {
        let found = as_dotenvy(text).unwrap();
        assert_eq!(found.get("X"), None, "{text}");
        assert!(Lines::parse(text).value("X").is_err(), "{text}");
    }
    // In a comment it opens nothing, and one that is closed in its line ends there.
    for text in ["A=\"closed\" # it's\nX=y\n", "A=\"closed\"word\"more\"\nX=y\n"] {
        let value = Lines::parse(text).value("X").unwrap().unwrap();
        assert_eq!(value.as_str(), "y", "{text}");
    }
}

proptest! {
    /// Everything but the touched line is byte for byte the same.
    #[test]
    fn an_edit_touches_one_line(
        text in file(),
        name in prop::sample::select(vec!["X", "X_OLD", "NEW"]),
        value in "[A-Za-z0-9+/=]{1,20}|[a-z $#]{1,10}",
        removes in any::<bool>(),
    ) {
        let mut lines = Lines::parse(&text);
        prop_assert_eq!(&*lines.text(), &text, "what is not touched");
        let before: Vec<String> = lines.lines.iter().map(|line| line.text.to_string()).collect();
        let place = lines.place(name);
        let edited = if removes { lines.remove(name) } else { lines.set(name, &value, &["X"]) };
        let after: Vec<String> = lines.lines.iter().map(|line| line.text.to_string()).collect();
        let (Ok(place), Ok(())) = (place, edited) else {
            prop_assert_eq!(before, after);
            prop_assert_eq!(&*lines.text(), &text);
            return Ok(());
        };
        match (place, removes) {
            (None, true) => prop_assert_eq!(&before, &after),
            (Some(place), true) => {
                let mut expected = before.clone();
                expected.remove(place);
                prop_assert_eq!(&expected, &after);
            }
            (Some(place), false) => {
                prop_assert_eq!(before.len(), after.len());
                for other in (0..before.len()).filter(|other| *other != place) {
                    prop_assert_eq!(&before[other], &after[other]);
                }
            }
            (None, false) => {
                // But for the end of the line before a last one, which had none.
                let new = lines.place(name).unwrap().unwrap();
                let mut rest = after.clone();
                rest.remove(new);
                let rest: String = rest.concat();
                let added = rest.strip_prefix(&text).unwrap_or(&rest).len();
                prop_assert!(rest == text || (new > 0 && ["\n", "\r\n"].contains(&&rest[rest.len() - added..])));
            }
        }
        if !removes {
            let again = Lines::parse(&lines.text());
            prop_assert_eq!(again.value(name).unwrap().map(|found| found.to_string()), Some(value));
        }
    }

    /// Where this reader and `dotenvy` both take a file, they take it for the same.
    #[test]
    fn values_are_those_of_dotenvy(text in file()) {
        let lines = Lines::parse(&text);
        if let Some(found) = as_dotenvy(&text) {
            for name in ["A", "X", "X_OLD", "B_2"] {
                if let Ok(Some(value)) = lines.value(name) {
                    prop_assert_eq!(Some(&*value), found.get(name), "{} in {:?}", name, text);
                }
            }
        }
    }
}
