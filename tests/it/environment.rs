//! Rings from the environment, by the names that a Node backend's `.env` holds.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use dualkey::cookie::CookieKey;
use dualkey::jwt::JwtKey;
use dualkey::source::env::NotUnicode;
use dualkey::webhook::WebhookKey;
use dualkey::{Error, Event, KeyMaterial, KeyRing, KeyState, KeyStatus, Observer, Role};

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
        KeyState::Active(role) => role,
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
            .map(|place| match is_set(place) {
                true => format!("{}={}", names[place], secret(place as u8)),
                false => format!("{}=", names[place]),
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
    let base64 = crate::common::base64url::encode(&bytes).replace('-', "+").replace('_', "/");
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
        .vars("X", |_| Err(NotUnicode))
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
