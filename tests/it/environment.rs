//! Rings from the environment, by the names that a Node backend's `.env` holds.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use dualkey::cookie::CookieKey;
use dualkey::credential::Credential;
use dualkey::envelope::AesKey;
use dualkey::jwt::{Jwt, JwtKey};
use dualkey::manifest::Manifest;
use dualkey::ring::env::LookupError;
use dualkey::source::{DotenvStore, EnvStore, KeyStore, StoreError, update};
use dualkey::webhook::{VerifyToken, WebhookKey};
use dualkey::{
    Error, Event, KeyMaterial, KeyRing, KeyState, KeyStatus, Observer, Purpose, Role, Secret,
    ValueForm,
};

/// A secret of 64 bytes that differs by `seed`.
fn secret(seed: u8) -> String {
    format!("{seed:02}-kH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eUkH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5")
}

#[derive(Debug, Clone, Default)]
struct Warnings(Arc<Mutex<Vec<String>>>);

impl Observer for Warnings {
    fn observe(&self, event: &Event<'_>) {
        if let Event::EnvironmentWarning { variable, .. } = event {
            self.0.lock().unwrap().push((*variable).to_owned());
        }
    }
}

/// A ring from the lines of a `.env` file, and the variables that it warned of.
fn from_dotenv<K: KeyMaterial>(
    name: &str,
    dotenv: &str,
) -> Result<(KeyRing<K>, Vec<String>), Error> {
    let vars: HashMap<_, _> = dotenv.lines().filter_map(|line| line.split_once('=')).collect();
    let warnings = Warnings::default();
    let ring = KeyRing::builder()
        .vars(name, |name| Ok(vars.get(name).map(|value| (*value).to_owned())))
        .observer(warnings.clone())
        .build()?;
    let warnings = warnings.0.lock().unwrap().clone();
    Ok((ring, warnings))
}

/// The roles of a ring's keys, in their order.
fn roles<K: KeyMaterial>(ring: &KeyRing<K>) -> Vec<Role> {
    let role = |key: KeyStatus| match key.state {
        KeyState::Live(role) => role,
        other => panic!("{other:?}"),
    };
    ring.keys().into_iter().map(role).collect()
}

/// What a Node backend keeps, name by name: the secrets that are signed with have rings
/// of their own, and the patterns of all names work.
#[test]
fn the_names_of_a_node_backend_work_as_they_stand() {
    let (a, b) = (secret(1), secret(2));
    let dotenv = format!(
        "JWT_SECRET={a}\nJWT_SECRET_NEW={b}\nSESSION_SECRET={a}\nSESSION_SECRET_OLD={b}\n\
         META_APP_SECRET=0f1e2d3c4b5a69788796a5b4c3d2e1f0\n\
         META_APP_SECRET_OLD=1222e786b144d0e85b9f365372d93676\n\
         ENCRYPTION_KEY={a}\nENCRYPTION_KEY_OLD={b}\n\
         ANTHROPIC_API_KEY={a}\nANTHROPIC_API_KEY_BACKUP={b}\n\
         DATABASE_URL=postgres://app:{a}@db/app\nDATABASE_URL_OLD=postgres://app:{b}@db/app\n"
    );
    let both = vec![Role::Primary, Role::Fallback];
    let (ring, warnings) = from_dotenv::<JwtKey>("JWT_SECRET", &dotenv).unwrap();
    assert_eq!((roles(&ring), ring.name()), (both.clone(), "JWT_SECRET"));
    assert_eq!(warnings, ["JWT_SECRET_NEW"]);
    let (ring, warnings) = from_dotenv::<CookieKey>("SESSION_SECRET", &dotenv).unwrap();
    assert_eq!((roles(&ring), warnings.len()), (both.clone(), 0));
    let (ring, _) = from_dotenv::<WebhookKey>("META_APP_SECRET", &dotenv).unwrap();
    assert_eq!(roles(&ring), both);
    for name in ["ENCRYPTION_KEY", "ANTHROPIC_API_KEY", "DATABASE_URL"] {
        assert_eq!(roles(&from_dotenv::<JwtKey>(name, &dotenv).unwrap().0), both, "{name}");
    }
}

/// A ring of one purpose from one value, as it is.
fn ring_with<K: KeyMaterial>(value: &str) -> Result<KeyRing<K>, Error> {
    let lookup = |name: &str| Ok((name == "X").then(|| value.to_owned()));
    KeyRing::builder().vars("X", lookup).build()
}

fn build(dotenv: &str) -> Result<(KeyRing<JwtKey>, Vec<String>), Error> {
    from_dotenv("X", dotenv)
}

#[test]
fn the_first_that_is_set_is_the_primary_and_the_rest_are_fallbacks() {
    let names = ["X_NEW", "X", "X_OLD", "X_BACKUP"];
    for set in 1..16_u8 {
        let is_set = |place: usize| set & 1 << place != 0;
        let lines: Vec<_> = (0..4)
            // Unset and empty are the same.
            .map(|place| {
                if is_set(place) {
                    format!("{}={}", names[place], secret(place as u8))
                } else {
                    format!("{}=", names[place])
                }
            })
            .collect();
        let (ring, warnings) = build(&lines.join("\n")).unwrap();
        let first = (0..4).find(|place| is_set(*place)).unwrap();
        let alone = build(&format!("X={}", secret(first as u8))).unwrap().0;
        assert_eq!(ring.primary().unwrap(), alone.primary().unwrap(), "{set:04b}");
        assert_eq!(roles(&ring).len() as u32, set.count_ones());
        // Who signs with X_NEW while others know only X races with them.
        let races = is_set(0) && set.count_ones() > 1;
        let lost = first == 2;
        assert_eq!(warnings.len(), usize::from(races) + usize::from(lost), "{set:04b}");
    }
}

#[test]
fn next_is_staged_and_does_not_sign() {
    let (ring, warnings) = build(&format!("X={}\nX_NEXT={}", secret(1), secret(2))).unwrap();
    assert_eq!(roles(&ring), [Role::Primary, Role::Staged]);
    assert!(warnings.is_empty());
    let error = build(&format!("X_NEXT={}", secret(2))).unwrap_err();
    assert!(error.to_string().contains("set X as well"), "{error}");
}

#[test]
fn the_same_secret_under_two_names_is_one_key_under_the_first() {
    let a = secret(1);
    let (ring, warnings) = build(&format!("X_NEW={a}\nX={a}\nX_OLD={a}\nX_NEXT={a}")).unwrap();
    assert_eq!(roles(&ring), [Role::Primary]);
    assert!(warnings.is_empty());
    let (ring, _) = build(&format!("X={a}\nX_OLD={}\nX_NEXT={a}", secret(2))).unwrap();
    assert_eq!(roles(&ring), [Role::Primary, Role::Fallback]);
}

#[test]
fn binary_secrets_are_hex_or_base64_where_they_say_so() {
    let bytes = secret(1).into_bytes();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let base64 = crate::support::base64url::encode(&bytes).replace('-', "+").replace('_', "/");
    let plain = build(&format!("X={}", secret(1))).unwrap().0.primary().unwrap();
    assert_eq!(build(&format!("X=hex:{hex}")).unwrap().0.primary().unwrap(), plain);
    assert_eq!(build(&format!("X=base64:{base64}")).unwrap().0.primary().unwrap(), plain);
    // Without a prefix it is the text, as Node takes it.
    assert_ne!(build(&format!("X={hex}")).unwrap().0.primary().unwrap(), plain);
    for bad in ["X=hex:xyz", "X=base64:*"] {
        assert!(matches!(build(bad), Err(Error::Encoding { .. })));
    }
}

#[test]
fn errors_name_the_variable() {
    let error = build("").unwrap_err().to_string();
    assert!(error.contains("set X to a random secret"), "{error}");
    let error = build(&format!("X={}\nX_OLD=short-one", secret(1))).unwrap_err().to_string();
    assert!(error.starts_with("X_OLD has 9 bytes"), "{error}");
    let error = build("X=changeme").unwrap_err().to_string();
    assert!(error.starts_with("X is a placeholder"), "{error}");
    let error = KeyRing::<JwtKey>::builder()
        .vars("X", |_| Err(LookupError::NotUnicode))
        .build()
        .unwrap_err()
        .to_string();
    assert!(error.starts_with("X_NEW is not UTF-8"), "{error}");
}

#[test]
fn the_process_environment_is_read() {
    // Nothing sets these: the error is that of an empty environment.
    let error = KeyRing::<JwtKey>::from_env("DUALKEY_TEST_NO_SUCH_SECRET").unwrap_err();
    assert!(matches!(error, Error::NoPrimary { .. }), "{error}");
}

/// What surrounds a secret on its way into a variable is never a part of the key, whatever it is for:
/// the error has the form, the variable and the way out, and no byte of the secret (V10).
#[test]
fn a_value_that_is_not_a_secret_alone_is_refused_by_name() {
    fn assert_refused<K: KeyMaterial>(value: &str, form: &ValueForm) {
        let error = ring_with::<K>(value).unwrap_err();
        let Error::NotASecret { key, form: found } = &error else { panic!("{value:?}: {error:?}") };
        assert_eq!((key.as_str(), found), ("X", form), "{value:?}");
        let text = format!("{error} {error:?}");
        assert!(text.starts_with("cannot use X: "), "{text}");
        assert!(text.contains("`hex:` or `base64:`"), "{text}");
        let trimmed = value.trim();
        assert!((0..trimmed.len() - 8).all(|start| {
            trimmed.get(start..start + 8).is_none_or(|part| {
                !part.is_ascii() || part.starts_with("base64:") || !text.contains(part)
            })
        }));
    }
    let random = secret(1);
    for (value, form) in [
        (format!("{random}\n"), ValueForm::LineEnd),
        (format!("{random}\r"), ValueForm::LineEnd),
        (format!(" {random}"), ValueForm::Whitespace),
        (format!("{random}\u{a0}"), ValueForm::Whitespace),
        (format!("\u{feff}{random}"), ValueForm::Hidden),
        (format!("{random}\u{200b}"), ValueForm::Hidden),
        (format!("\"{random}\""), ValueForm::Quote),
        (format!("'{random}"), ValueForm::Quote),
    ] {
        assert_refused::<JwtKey>(&value, &form);
        assert_refused::<CookieKey>(&value, &form);
        assert_refused::<WebhookKey>(&value, &form);
        assert_refused::<VerifyToken>(&value, &form);
        assert_refused::<Credential>(&value, &form);
        assert_refused::<AesKey>(&value, &form);
    }
    let json = format!(r#"{{"type":"HS256","key":"{random}"}}"#);
    for (value, form) in [
        (json.clone(), ValueForm::Json),
        (format!(r#"{{"kty":"oct","k":"{random}"}}"#), ValueForm::JsonWebKey),
        (format!("{random},{}", secret(2)), ValueForm::List),
        (format!("X={random}"), ValueForm::Assignment),
        (format!("{random}\n{random}"), ValueForm::LineEnd),
    ] {
        assert_refused::<JwtKey>(&value, &form);
        assert_refused::<CookieKey>(&value, &form);
    }
    let error = ring_with::<JwtKey>(&json).unwrap_err().to_string();
    assert!(error.contains("JSON") && error.contains("`key`"), "{error}");
    assert!(!error.contains("asymmetric") && !error.contains("template"), "{error}");
    // A credential may be a document, and a certificate with escaped line ends.
    ring_with::<Credential>(&json).unwrap();
    ring_with::<Credential>(&format!("-----BEGIN PRIVATE KEY-----\\n{random}\\n")).unwrap();
    ring_with::<Credential>(&format!("postgres://app:{random}@a.example,b.example/app")).unwrap();
}

/// The way out: after a prefix, every byte counts.
#[test]
fn every_byte_after_a_prefix_counts() {
    let quoted = format!("\"{}\"\n", secret(1));
    let hex: String = quoted.bytes().map(|byte| format!("{byte:02x}")).collect();
    let base64 = crate::support::base64url::encode(quoted.as_bytes());
    let by_hand = KeyRing::<JwtKey>::builder().primary(Secret::from(quoted.as_bytes())).build();
    let by_hand = by_hand.unwrap().primary();
    assert_eq!(ring_with::<JwtKey>(&format!("hex:{hex}")).unwrap().primary(), by_hand);
    assert_eq!(ring_with::<JwtKey>(&format!("base64:{base64}")).unwrap().primary(), by_hand);
    // In code, a caller has the bytes that it means.
    let text = KeyRing::<JwtKey>::builder().primary(Secret::from(quoted)).build();
    assert_eq!(text.unwrap().primary(), by_hand);
}

#[test]
fn values_that_are_not_set_or_not_filled_in_are_refused() {
    let random = secret(1);
    for value in [
        "${X}",
        "{{ x }}",
        "<your secret>",
        "%X%",
        "undefined",
        "null",
        "[object Object]",
        "#{X}",
        "{JWT_SECRET}",
        "__JWT_SECRET__",
        "@@JWT_SECRET@@",
        "%{JWT_SECRET}",
        "#{JWT_SECRET}#",
        "X",
        "(sensitive value)",
    ] {
        let error = ring_with::<JwtKey>(value).unwrap_err();
        assert!(matches!(error, Error::Placeholder { .. }), "{value}: {error}");
    }
    for value in [
        format!("{random}-undefined"),
        format!("null:{random}"),
        format!("{random}[object Object]"),
    ] {
        let error = ring_with::<JwtKey>(&value).unwrap_err();
        assert!(matches!(error, Error::Placeholder { .. }), "{value}: {error}");
    }
    for value in [
        format!("-----BEGIN PUBLIC KEY-----\\n{random}"),
        format!("MIIBIjANBgkqhkiG9w0BAQEFAAO{random}"),
    ] {
        let error = ring_with::<JwtKey>(&value).unwrap_err();
        assert!(matches!(error, Error::AsymmetricKey { .. }), "{value}: {error}");
    }
    ring_with::<JwtKey>(&format!("{random}nullable")).unwrap();
    // The way out of the forms that chance makes.
    for value in [format!("<{random}>"), format!("[{random}]"), format!("None of {random}")] {
        assert!(ring_with::<JwtKey>(&value).is_err(), "{value}");
        let digits: String = value.bytes().map(|byte| format!("{byte:02x}")).collect();
        ring_with::<JwtKey>(&format!("hex:{digits}")).unwrap();
    }
    ring_with::<JwtKey>(&format!("undefine{random}")).unwrap();
}

/// RFC 4648 §4, §5: no text is of both alphabets, unless it means the same in both.
#[test]
fn either_alphabet_of_base64_is_one_key() {
    let bytes: Vec<u8> =
        (0..64).map(|place: u8| 0xfb_u8.wrapping_add(place.wrapping_mul(5))).collect();
    let url = crate::support::base64url::encode(&bytes);
    assert!(url.contains('-') && url.contains('_'), "{url}");
    let plain = url.replace('-', "+").replace('_', "/");
    let key =
        |text: &str| ring_with::<JwtKey>(&format!("base64:{text}")).map(|ring| ring.primary());
    let padding = "==";
    let first = key(&url).unwrap();
    for text in [&url, &plain] {
        assert_eq!(key(text).unwrap(), first);
        assert_eq!(key(&format!("{text}{padding}")).unwrap(), first);
        for bad in [
            format!("{text}{padding}="),
            format!(" {text}"),
            format!("{}\n{}", &text[..8], &text[8..]),
        ] {
            let error = key(&bad).unwrap_err();
            let is_refused = matches!(error, Error::Encoding { .. } | Error::NotASecret { .. });
            assert!(is_refused, "{bad}: {error}");
        }
    }
    let mixed = url.replacen('-', "+", 1);
    assert!(matches!(key(&mixed), Err(Error::Encoding { .. })), "{mixed}");
    // The last of these 86 characters has four bits that must be zero.
    assert_eq!(url.len() % 4, 2);
    let stray = format!("{}B", &url[..url.len() - 1]);
    assert!(url.ends_with(['A', 'Q', 'g', 'w']));
    assert!(matches!(key(&stray), Err(Error::Encoding { .. })), "{stray}");
}

/// V9: a failed lookup is an error, never an absence; of each of the five variables.
#[test]
fn a_lookup_that_fails_is_an_error() {
    for failing in ["X_NEW", "X", "X_OLD", "X_BACKUP", "X_NEXT"] {
        let lookup = move |name: &str| {
            if name == failing {
                Err(LookupError::NotUnicode)
            } else {
                Ok(Some(secret(name.len() as u8)))
            }
        };
        let error = KeyRing::<JwtKey>::builder().vars("X", lookup).build().unwrap_err();
        assert!(matches!(&error, Error::NotUnicode { variable } if variable == failing), "{error}");
        let store = EnvStore::<JwtKey>::vars("X", "test", lookup);
        let error = pollster::block_on(store.load()).unwrap_err();
        assert!(
            matches!(&error, StoreError::Refused(Error::NotUnicode { variable }) if variable == failing),
            "{error}"
        );
    }
    // No variable has such a name, so that none can be absent; it may be a secret.
    for name in ["", "A=kH7vQ2mXw9Lr", "kH7vQ2mXw9Lr\0", "kH7vQ2mXw9Lr\n"] {
        let error = KeyRing::<JwtKey>::from_env(name).unwrap_err();
        assert!(matches!(error, Error::NotAVariable { length } if length == name.len()), "{error}");
        assert!(!format!("{error} {error:?}").contains("kH7v"), "{error}");
    }
}

/// The lines of five variables, all different but for those in `same`.
fn five_variables(same: &[(&str, &str)]) -> String {
    let names = ["X_NEW", "X", "X_OLD", "X_BACKUP", "X_NEXT"];
    let value = |name: &str| {
        let name = same.iter().find(|(twin, _)| *twin == name).map_or(name, |(_, other)| other);
        match names.iter().position(|known| *known == name) {
            Some(place) => secret(place as u8),
            None => name.to_owned(),
        }
    };
    names.map(|name| format!("{name}={}", value(name))).join("\n")
}

#[test]
fn of_five_keys_the_backup_is_left_out_with_a_warning() {
    let (ring, warnings) = build(&five_variables(&[])).unwrap();
    assert_eq!(warnings, ["X_NEW", "X_BACKUP"]);
    assert_eq!(roles(&ring), [Role::Primary, Role::Fallback, Role::Fallback, Role::Staged]);
    let jwt = Jwt::new(ring);
    for (place, name) in ["X_NEW", "X", "X_OLD", "X_BACKUP", "X_NEXT"].into_iter().enumerate() {
        let alone = build(&format!("X={}", secret(place as u8))).unwrap().0;
        let claims = serde_json::json!({ "sub": name, "exp": 4_102_444_800_u64 });
        let token = Jwt::new(alone).sign(&claims).unwrap();
        let verified = jwt.verify::<serde_json::Value>(&token);
        assert_eq!(verified.is_ok(), name != "X_BACKUP", "{name}");
    }
    // Whatever it holds: it is no key.
    for value in ["short", "changeme", "hex:xyz", "\"quoted\""] {
        let (ring, warnings) = build(&five_variables(&[("X_BACKUP", value)])).unwrap();
        assert_eq!(
            (roles(&ring).len(), warnings.last().unwrap().as_str()),
            (4, "X_BACKUP"),
            "{value}"
        );
    }
    // Four keys fit, and each is checked.
    let (ring, warnings) = build(&five_variables(&[("X_NEXT", "")])).unwrap();
    assert_eq!((roles(&ring).len(), warnings.len()), (4, 1));
    assert!(build(&five_variables(&[("X_NEXT", ""), ("X_BACKUP", "short")])).is_err());
    for (name, other) in [
        ("X_NEXT", "X"),
        ("X_BACKUP", "X_OLD"),
        ("X", "X_NEW"),
        ("X_BACKUP", "X_NEXT"),
        ("X_OLD", "X"),
    ] {
        let (ring, warnings) = build(&five_variables(&[(name, other)])).unwrap();
        assert_eq!((roles(&ring).len(), warnings.len()), (4, 1), "{name} is {other}");
    }
    // Where no key is tried, more may be kept.
    let (ring, warnings) = from_dotenv::<Credential>("X", &five_variables(&[])).unwrap();
    assert_eq!((roles(&ring).len(), warnings.len()), (5, 1));
}

/// A ring that follows variables is told as well: when it is made, and when a change shows a danger.
#[test]
fn a_ring_that_follows_variables_hears_their_dangers() {
    let dotenv = Arc::new(Mutex::new(five_variables(&[("X_BACKUP", "")])));
    let lookup = Arc::clone(&dotenv);
    let store = EnvStore::<JwtKey>::vars("X", "test", move |name| {
        let lines = lookup.lock().unwrap().clone();
        let value = lines.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        Ok(value.map(str::to_owned))
    });
    let heard = Warnings::default();
    let following = KeyRing::<JwtKey>::builder()
        .name("X")
        .environment("test")
        .observer(heard.clone())
        .follow(store)
        .on_demand()
        .unwrap();
    let warnings = || std::mem::take(&mut *heard.0.lock().unwrap());
    assert_eq!(warnings(), ["X_NEW"]);
    *dotenv.lock().unwrap() = five_variables(&[]);
    following.refresh().unwrap();
    assert_eq!(warnings(), ["X_NEW", "X_BACKUP"]);
    following.refresh().unwrap();
    assert!(warnings().is_empty(), "each once");
    let variables = |ring: &KeyRing<JwtKey>| -> Vec<_> {
        ring.keys().into_iter().map(|key| key.variable.unwrap()).collect()
    };
    assert_eq!(variables(following.ring()), ["X_NEW", "X", "X_OLD", "X_NEXT"]);
    // A key keeps its counters in another variable, and is shown under that.
    *dotenv.lock().unwrap() = format!(
        "X={}\nX_OLD={}\nX_BACKUP={}\nX_NEXT={}",
        secret(0),
        secret(1),
        secret(2),
        secret(4)
    );
    following.refresh().unwrap();
    assert_eq!(variables(following.ring()), ["X", "X_OLD", "X_BACKUP", "X_NEXT"]);
    assert!(warnings().is_empty());
}

/// A change of a `.env` file would overwrite what was left out.
#[test]
fn a_file_with_five_keys_is_read_and_no_step_but_a_revocation_writes_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(".env");
    std::fs::write(&path, five_variables(&[])).unwrap();
    let store = DotenvStore::new(&path, "X", Purpose::Jwt, "test");
    let manifest = pollster::block_on(store.load()).unwrap();
    let heard = Warnings::default();
    let builder = KeyRing::<JwtKey>::builder().environment("test").observer(heard.clone());
    let ring = manifest.build_ring(builder).unwrap();
    assert_eq!(*heard.0.lock().unwrap(), ["X_NEW", "X_BACKUP"]);
    assert_eq!(ring.keys()[1].variable.as_deref(), Some("X"));
    let staged = manifest.keys()[3].kid();
    let step =
        |manifest: &Manifest| manifest.force("a test").promote(&staged, manifest.changed_at());
    let error = pollster::block_on(update(&store, step)).unwrap_err();
    assert!(matches!(error, StoreError::Dotenv { line: Some(4), .. }), "{error}");
    assert!(error.to_string().contains("cannot use X_BACKUP in"), "{error}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), five_variables(&[]));
    // The same admission as of variables.
    std::fs::write(&path, format!("X='{} '\n", secret(1))).unwrap();
    let error = pollster::block_on(DotenvStore::new(&path, "X", Purpose::Jwt, "test").load());
    let error = error.unwrap_err().to_string();
    assert!(error.contains("cannot use X: its value begins or ends with white space"), "{error}");
}

/// The remedy for a fallback is not a new secret.
#[test]
fn the_message_on_a_weak_key_says_how_to_keep_it() {
    let builder = || KeyRing::<CookieKey>::builder().primary(Secret::from(secret(1)));
    let fallback = builder().allow_short_fallbacks().fallback(Secret::from("keyboard cat"));
    let error = fallback.build().unwrap_err().to_string();
    for part in ["fallback", "forge", "logs every user out", "allow_placeholders"] {
        assert!(error.contains(part), "{error}");
    }
    assert!(!error.contains("set it to a random secret"), "{error}");
    let variables = format!("X={}\nX_OLD=changeme", secret(1));
    let error = from_dotenv::<WebhookKey>("X", &variables).unwrap_err().to_string();
    assert!(error.starts_with("X_OLD is a placeholder") && error.contains("fallback"), "{error}");
    let primary =
        KeyRing::<WebhookKey>::builder().primary(Secret::from("Twenty-six bytes are here!"));
    let error = primary.build().unwrap_err().to_string();
    for part in ["fallback", "allow_short_fallbacks", "RFC 2104"] {
        assert!(error.contains(part), "{error}");
    }
    assert!(!error.contains("7518"), "{error}");
}
