use super::*;

/// A random text of `length` letters and digits, which differs by `seed`.
fn random(seed: u64, length: usize) -> String {
    let mut generator = fastrand::Rng::with_seed(seed);
    (0..length).map(|_| generator.alphanumeric()).collect()
}

fn form(text: &str) -> Option<ValueForm> {
    detect(text, "JWT_SECRET", Purpose::Jwt)
}

#[test]
fn nothing_around_a_secret_becomes_a_part_of_it() {
    let secret = random(1, 64);
    let quotes = ["\"", "'", "`", "\u{201c}", "\u{2019}", "\u{ab}", "&quot;", "%22", "\\u0022"];
    let blanks = [" ", "\t", "\u{a0}", "\u{3000}", "\u{2007}"];
    let hidden =
        ["\u{200b}", "\u{feff}", "\u{200d}", "\u{2060}", "\u{ad}", "\u{202e}", "\0", "\u{7f}"];
    let ends = ["\n", "\r\n", "\r", "\u{2028}", "\u{85}"];
    for (marks, expected) in [
        (&quotes[..], ValueForm::Quote),
        (&blanks[..], ValueForm::Whitespace),
        (&hidden[..], ValueForm::Hidden),
        (&ends[..], ValueForm::LineEnd),
    ] {
        for mark in marks {
            for text in [
                format!("{mark}{secret}"),
                format!("{secret}{mark}"),
                format!("{mark}{secret}{mark}"),
            ] {
                assert_eq!(form(&text), Some(expected.clone()), "{text:?}");
            }
        }
    }
    for end in ["\\n", "\\r\\n", "%0A", "\\u000a"] {
        assert_eq!(form(&format!("{secret}{end}")), Some(ValueForm::LineEnd), "{end}");
    }
    assert_eq!(form(&format!("{secret}\n{secret}")), Some(ValueForm::LineEnd));
    assert_eq!(form(&format!("{secret}\u{1b}[0m")), Some(ValueForm::Hidden));
    assert_eq!(form(&format!("\\\"{secret}\\\"")), Some(ValueForm::Quote));
}

#[test]
fn documents_lists_and_lines_are_known() {
    let (a, b) = (random(1, 64), random(2, 64));
    let (short, other) = (random(3, 24), random(4, 24));
    for (text, expected) in [
        (format!(r#"{{"type":"HS256","key":"{a}"}}"#), ValueForm::Json),
        (format!("{{ \"type\" : \"HS256\", \"key\": \"{a}\" }}"), ValueForm::Json),
        (format!("{{'type': 'HS256', 'key': '{a}'}}"), ValueForm::Json),
        (format!("{{type:HS256,key:{a}}}"), ValueForm::Json),
        (format!(r#"{{\"type\":\"HS256\",\"key\":\"{a}\"}}"#), ValueForm::Json),
        (format!(r#"{{"type":"HS256","key":"{a}"#), ValueForm::Json),
        (format!(r#"{{"the key":"{a}"}}"#), ValueForm::Json),
        (format!(r#"["{a}"]"#), ValueForm::Json),
        (format!(r#"["{a}","{b}"]"#), ValueForm::Json),
        (format!(r#"[{{"key":"{a}"}}]"#), ValueForm::Json),
        (base64_simd::STANDARD.encode_to_string(format!(r#"{{"key":"{a}"}}"#)), ValueForm::Json),
        (format!(r#"{{"kty":"oct","k":"{a}"}}"#), ValueForm::JsonWebKey),
        (format!(r#"{{"keys":[{{"kty":"oct","k":"{a}"}}]}}"#), ValueForm::JsonWebKeySet),
        (format!("{a},{b}"), ValueForm::List),
        (format!("{a}, {b}"), ValueForm::List),
        (format!("{a};{b};{a}"), ValueForm::List),
        (format!("{a} {b}"), ValueForm::List),
        (format!("{a},"), ValueForm::List),
        (format!("{short},{other}"), ValueForm::List),
        (format!("v1:{a},v2:{b}"), ValueForm::List),
        (format!("JWT_SECRET={a}"), ValueForm::Assignment),
        (format!("JWT_SECRET: {a}"), ValueForm::Assignment),
        (format!("export JWT_SECRET={a}"), ValueForm::Assignment),
        (format!("export APP={a}"), ValueForm::Assignment),
        (format!("SESSION_SECRET={a}"), ValueForm::Assignment),
        (format!("secret: {a}"), ValueForm::Assignment),
        (format!("secretKey={a}"), ValueForm::Assignment),
        (format!("{a}JWT_SECRET={b}"), ValueForm::Assignment),
        (format!("{a} NODE_ENV=production"), ValueForm::Assignment),
        (format!("- {a}"), ValueForm::Assignment),
        (format!("!!binary {a}"), ValueForm::Assignment),
        (format!("Base64:{a}"), ValueForm::Prefix),
        (format!("HEX:{a}"), ValueForm::Prefix),
        (format!("base64url:{a}"), ValueForm::Prefix),
        (format!("data:text/plain;base64,{a}"), ValueForm::Prefix),
        (format!("{a} # of production"), ValueForm::Comment),
        (format!("{a} #"), ValueForm::Comment),
        (format!("{a}\t# of production"), ValueForm::Comment),
        (format!("'{a}' # of production"), ValueForm::Quote),
        (format!("# {a}"), ValueForm::Comment),
        (format!("{a},{b} # both"), ValueForm::Comment),
        (format!("{a} // of production"), ValueForm::Comment),
        (format!("{a} of production"), ValueForm::Comment),
        (format!("Bearer {a}"), ValueForm::Comment),
        (format!("<{a}>"), ValueForm::Brackets),
        (format!("[{a}]"), ValueForm::Brackets),
        (format!("${{{a}}}"), ValueForm::Brackets),
    ] {
        // One part alone is no list, whatever follows it.
        let expected = Some(expected).filter(|_| text != format!("{a},"));
        assert_eq!(form(&text), expected, "{text}");
    }
}

#[test]
fn secrets_are_taken_as_they_are() {
    let (a, b) = (random(1, 64), random(2, 31));
    for text in [
        a.clone(),
        format!("{b},{}", random(5, 30)),
        format!("{}#,{a}", random(3, 40)),
        format!("{a},{}", random(4, 8)),
        format!("{b}{{\"{b}"),
        format!("{{{a}}}"),
        format!("{{{b}:{b}"),
        format!("{b}=\"{b}"),
        format!("{b}'{b}\"{b}`{b}"),
        format!("{b}[{b}]{b}"),
        format!("{b} {}", random(5, 30)),
        format!("{b}\\n{b}"),
        format!("{b}={b}"),
        format!("monkey={a}"),
        format!("sk_live_{a}"),
        format!("whsec_{a}"),
        format!("v1:{a}"),
        format!("{a}#{b}"),
        format!("#{a}"),
        format!("{b} {b}#{b}"),
        "correct horse battery staple, and then some more of the same".to_owned(),
        "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXPJBSWY3DPEHPK3A======".to_owned(),
    ] {
        assert_eq!(form(&text), None, "{text}");
    }
}

/// Of each purpose: what the service is to be given is the secret itself.
#[test]
fn ciphertext_and_references_are_no_secrets() {
    for text in [
        "encrypted:BDqDBibm4wsYqMpCjTQ6BsDHmMadg9K3dAt+Z9HPMfLE",
        "op://Production/PostgreSQL/url",
        "vault:secret/data/app#JWT_SECRET",
        "/run/secrets/jwt",
        "ref+awsssm://app/jwt",
        "postgres://app:${DB_PASSWORD}@db/app",
        "${JWT_SECRET}",
        "$(openssl rand -hex 64)",
    ] {
        for purpose in Purpose::ALL {
            let found = detect(text, "X", purpose);
            assert!(matches!(found, Some(ValueForm::Reference(_))), "{text}: {found:?}");
        }
    }
}

/// Kubernetes has base64 of it in a manifest, and a person encodes it twice.
#[test]
fn a_document_in_base64_or_hexadecimal_digits_is_none() {
    let secret = random(1, 86);
    let key = format!(r#"{{"kty": "oct", "k": "{secret}", "use": "~~~???"}}"#);
    let pretty = key.replace('{', "{\n  ").replace(", ", ",\n  ").replace('}', "\n}\n");
    let set = format!("{{\n \"keys\": [\n {key}\n ]\n}}");
    for (text, expected) in [
        (key.clone(), ValueForm::JsonWebKey),
        (pretty.clone(), ValueForm::JsonWebKey),
        (format!("\n{pretty}"), ValueForm::JsonWebKey),
        (format!("\u{feff}{key}"), ValueForm::JsonWebKey),
        (set, ValueForm::JsonWebKeySet),
        (format!("[\n  {key}\n]"), ValueForm::JsonWebKey),
        (format!("{{\n  \"type\": \"HS256\",\n  \"key\": \"{secret}\"\n}}"), ValueForm::Json),
    ] {
        let base64 = base64_simd::STANDARD.encode_to_string(&text);
        for encoded in [
            base64_simd::URL_SAFE.encode_to_string(&text),
            base64_simd::URL_SAFE_NO_PAD.encode_to_string(&text),
            base64_simd::STANDARD_NO_PAD.encode_to_string(&text),
            base64_simd::STANDARD.encode_to_string(&base64),
            text.bytes().map(|byte| format!("{byte:02x}")).collect(),
            base64,
        ] {
            assert_eq!(form(&encoded), Some(expected.clone()), "{text}: {encoded}");
        }
    }
    let ciphertext = base64_simd::STANDARD.encode_to_string("$ANSIBLE_VAULT;1.1;AES256\n6638");
    assert!(matches!(form(&ciphertext), Some(ValueForm::Reference(_))));
    let passphrase = "my-dog-is-number-1-and-likes long walks by the green river and the sea";
    assert_eq!(form(passphrase), None);
    // Digits and letters of a secret, which are a text in base64 as well.
    let text = base64_simd::STANDARD.encode_to_string(&secret);
    assert_eq!(form(&text), None);
}

/// A credential belongs to the format of another.
#[test]
fn a_credential_is_refused_for_its_edges_alone() {
    let credential = |text: &str| detect(text, "DATABASE_URL", Purpose::Credential);
    let a = random(1, 24);
    for text in [
        format!(
            "postgres://app:{a}@a.example,b.example/app?options=-c%20x%3D1&application_name=web"
        ),
        format!("host=db user=app password={a}"),
        format!(r#"{{"type":"service_account","private_key":"{a}\n"}}"#),
        format!(r#"["{a}","{a}"]"#),
        format!("-----BEGIN PRIVATE KEY-----\n{a}\n-----END PRIVATE KEY-----"),
        format!("-----BEGIN PRIVATE KEY-----\\n{a}\\n-----END PRIVATE KEY-----\\n"),
        format!("{a},{a}"),
        format!("{a}#{a}"),
        format!("#{a}"),
        format!("p#ss w$rd {{{a}}}"),
        format!("host=db password='{a} # {a}' user=app"),
        format!("host=db password={a} options='-c x=1'"),
        format!("Bearer {a}"),
        format!("<{a}>"),
        format!("[{a}]"),
        format!("%{a}%"),
    ] {
        assert_eq!(credential(&text), None, "{text}");
        let rules = crate::lifecycle::admission::Rules::default();
        let secret = crate::secret::Secret::from_value(&text);
        let admitted = crate::lifecycle::admission::check(
            &secret,
            "X",
            false,
            Purpose::Credential,
            None,
            &rules,
        );
        assert!(admitted.is_ok(), "{text}: {admitted:?}");
    }
    for (text, expected) in [
        (format!("postgres://app:{a}@db/app\n"), ValueForm::LineEnd),
        (format!("\"postgres://app:{a}@db/app\""), ValueForm::Quote),
        (format!("\u{feff}{a}"), ValueForm::Hidden),
        (format!("{a}='"), ValueForm::Quote),
        (format!("DATABASE_URL=postgres://app:{a}@db/app"), ValueForm::Assignment),
        (format!("{a} # of the quarter"), ValueForm::Comment),
        (format!("postgres://app:{a}@db/app\t# of the quarter"), ValueForm::Comment),
    ] {
        assert_eq!(credential(&text), Some(expected), "{text}");
    }
}

/// Random texts of every alphabet that generators have.
#[test]
fn random_secrets_have_no_form() {
    const ALPHABETS: [&str; 5] = [
        "0123456789abcdef",
        "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567",
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-,",
    ];
    let mut generator = fastrand::Rng::with_seed(22);
    for alphabet in ALPHABETS {
        let letters: Vec<char> = alphabet.chars().collect();
        for length in [32, 43, 44, 64, 86, 88] {
            for _ in 0..500 {
                let mut text: String =
                    (0..length).map(|_| letters[generator.usize(..letters.len())]).collect();
                text.extend(std::iter::repeat_n('=', if alphabet.contains('+') { 2 } else { 0 }));
                let found = form(&text);
                // With a comma between two of 32 and more, no reader can say.
                assert!(found.is_none() || found == Some(ValueForm::List) && length > 32, "{text}");
            }
        }
    }
    // All printable characters of ASCII.
    let mut refused = 0;
    for _ in 0..20_000 {
        let text: String = (0..64).map(|_| char::from(generator.u8(b'!'..=b'~'))).collect();
        let is_quoted = text.starts_with(['"', '\'', '`']) || text.ends_with(['"', '\'', '`']);
        refused += usize::from(!is_quoted && form(&text).is_some());
    }
    println!("{refused} of 20,000 random printable texts were refused");
    assert!(refused <= 40, "{refused}");
}

#[test]
fn a_name_in_marks_or_braces_is_a_template_and_a_mark_on_one_side_is_none() {
    for text in ["@JWT_SECRET@", "{ABCDEFGH}"] {
        assert!(is_template(text), "{text}");
    }
    for text in ["#JWT_SECRET", "JWT_SECRET#", "{abcdefgh", "ABCDEFGH"] {
        assert!(!is_template(text), "{text}");
    }
}

#[test]
fn the_name_of_a_variable_is_words_of_capital_letters() {
    assert!(is_variable("NODE_ENV"));
    for name in ["NODE", "NODE_E", "node_env", "NODE_", ""] {
        assert!(!is_variable(name), "{name}");
    }
    for name in ["APP_KEY", "jwt_secret", "secretKey"] {
        assert!(is_secret_name(name), "{name}");
    }
}

#[test]
fn an_assignment_has_a_name_and_a_value() {
    let is_any = |text: &str| is_assignment(text, "JWT_SECRET");
    assert!(is_any("export ab=value"));
    assert!(!is_any("export a=value"));
    // Another line has run into the secret. Without a value it is the end of base64.
    assert!(is_any("abcNODE_ENV=value"));
    assert!(!is_any("abcNODE_ENV="));
    assert!(is_assignment("abcTOKENX=value", "TOKENX"));
    assert!(!is_assignment("abcTOKENX=value", "OTHERX"));
    assert!(is_assignment_of("JWT_SECRET=v", "JWT_SECRET"));
    assert!(!is_assignment_of("JWT_SECRET=", "JWT_SECRET"));
}

#[test]
fn a_document_of_json_has_both_ends() {
    for text in ["%7b%22a", "%7babc%7d", "%5b1%5d", "[\"a\"]"] {
        assert!(is_json(text), "{text}");
    }
    for text in ["%7babc", "abc%7d", "[{abc]", "[abc]"] {
        assert!(!is_json(text), "{text}");
    }
}

#[test]
fn a_prefix_of_another_spelling_is_known_and_no_prefix_is_none() {
    for text in ["data:text/plain;base64,AA", "Hex:00ff", "b64:AA"] {
        assert!(is_other_prefix(text), "{text}");
    }
    for text in ["data:abc", "abc;base64,AA", "HEX", "hex:00ff", "base64:AA"] {
        assert!(!is_other_prefix(text), "{text}");
    }
}

#[test]
fn a_remark_is_shorter_than_a_secret() {
    let secret = random(1, 40);
    assert!(has_remark(&format!("{secret} {}", "a".repeat(23))));
    assert!(!has_remark(&format!("{secret} {}", "a".repeat(24))));
}

/// A semicolon is common in the text of a generator, and a comma of lists.
#[test]
fn parts_with_any_characters_are_a_list_if_commas_separate_them() {
    let parts = [random(1, 63) + "!", random(2, 63) + "!"];
    assert!(is_list(&parts.join(","), Purpose::Jwt));
    assert!(!is_list(&parts.join(";"), Purpose::Jwt));
}
