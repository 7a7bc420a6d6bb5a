//! Whether a secret may become a key: length, emptiness, placeholders, public keys where a secret
//! belongs, and texts that are not a secret alone.

mod form;

use crate::error::{Error, ValueForm};
use crate::kid::Kid;
use crate::lifecycle::Policy;
use crate::lifecycle::identity::derive_kid;
use crate::purpose::{Purpose, SecretLength};
use crate::secret::Secret;
use crate::variable_names::variable_number;

/// What the builder relaxed.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Rules {
    pub(crate) min_secret_bytes: Option<usize>,
    /// Whether `dangerous()` set the minimum.
    pub(crate) unlocked: bool,
    pub(crate) allow_short_fallbacks: bool,
    pub(crate) allow_placeholders: bool,
    /// Whether it is of a manifest, where a builder's settings do not help.
    pub(crate) is_stored: bool,
}

impl Rules {
    /// The rules of a manifest with `policy`.
    pub(crate) fn from_policy(policy: &Policy) -> Self {
        let dangerous = policy.dangerous_min_secret_bytes;
        Self {
            min_secret_bytes: dangerous.or(policy.min_secret_bytes),
            unlocked: dangerous.is_some(),
            is_stored: true,
            ..Self::default()
        }
    }
}

/// Returns `true` if `secret` is shorter than the floor of its purpose, so that a public digest of
/// it would confirm a guess.
pub(crate) fn is_below_floor(secret: &Secret, purpose: Purpose, algorithm: Option<&str>) -> bool {
    match purpose.length(algorithm) {
        SecretLength::AtLeast { floor, .. } => secret.expose().len() < floor,
        SecretLength::Exactly(_) => false,
    }
}

/// The kid that was set, or the one that an unnamed key gets. A short secret that was admitted
/// never signs, and may be guessed: its kid is a number, as that of a secret that people choose.
pub(crate) fn kid(
    set: Option<Kid>,
    secret: &Secret,
    purpose: Purpose,
    is_short: bool,
    number: impl FnOnce() -> usize,
) -> Result<Kid, Error> {
    match set {
        Some(kid) => Ok(kid),
        None if purpose.has_derived_kid() && !is_short => Ok(derive_kid(secret.expose(), purpose)),
        None => Ok(Kid::new(&numbered_kid(purpose, number()))?),
    }
}

/// The kid of a key by its number.
pub(crate) fn numbered_kid(purpose: Purpose, number: usize) -> String {
    format!("{purpose}-{number}")
}

/// The number of a short key from a variable: by its name alone, so that all instances call the
/// key the same, whichever other variables they have. The keys of other purposes are counted.
pub(crate) fn number_of(variable: Option<&str>, purpose: Purpose) -> Option<usize> {
    let variable = variable.filter(|_| purpose.has_derived_kid())?;
    Some(variable_number(variable))
}

/// Checks the secret of a key, which errors call `label`. Returns `true` if it is a short one that was
/// admitted.
pub(crate) fn check(
    secret: &Secret,
    label: &str,
    is_fallback: bool,
    purpose: Purpose,
    algorithm: Option<&str>,
    rules: &Rules,
) -> Result<bool, Error> {
    let (text, secret) = (secret.text(), secret.expose());
    if secret.is_empty() {
        return Err(Error::EmptySecret { key: label.to_owned() });
    }
    // What is only shown to others may be one: a provider gives what it gives.
    if let Some(what) = asymmetric_kind(secret).filter(|_| purpose != Purpose::Credential) {
        return Err(Error::AsymmetricKey { key: label.to_owned(), what });
    }
    let form = match text {
        Some(text) => form::detect(text, label, purpose),
        // A secret from code has no variable that something could be around.
        None => is_json_web_key(secret)
            .then_some(ValueForm::JsonWebKey)
            .filter(|_| purpose != Purpose::Credential),
    };
    if let Some(form) = form {
        return Err(Error::NotASecret { key: label.to_owned(), form });
    }
    // Before the length: `changeme` is too short as well, and a longer placeholder is no remedy.
    let is_name = secret == label.as_bytes();
    let why = placeholder_reason(secret, text.is_some(), purpose)
        .or_else(|| is_name.then_some("the name of its variable"));
    if let Some(why) = why.filter(|_| !rules.allow_placeholders) {
        let remedy = placeholder_remedy(is_fallback, purpose, rules);
        return Err(Error::Placeholder { key: label.to_owned(), why, remedy });
    }

    let (standard, floor) = match purpose.length(algorithm) {
        SecretLength::AtLeast { minimum, floor } => (minimum, floor),
        SecretLength::Exactly(expected) if secret.len() == expected => return Ok(false),
        SecretLength::Exactly(expected) => {
            let (key, length) = (label.to_owned(), secret.len());
            return Err(Error::WrongLength { key, length, expected, generate: purpose.generate() });
        }
    };
    let minimum = match rules.min_secret_bytes {
        None => standard,
        Some(relaxed) if rules.unlocked => relaxed,
        Some(relaxed) => relaxed.max(floor),
    };
    let is_short = secret.len() < minimum;
    if !is_short || (is_fallback && rules.allow_short_fallbacks) {
        return Ok(is_short);
    }
    let remedy = short_remedy(is_fallback, minimum > floor, purpose, rules);
    Err(Error::ShortSecret { key: label.to_owned(), length: secret.len(), minimum, remedy })
}

fn short_remedy(is_fallback: bool, is_relaxed: bool, purpose: Purpose, rules: &Rules) -> String {
    const ADMIT: &str = "admit it with `allow_short_fallbacks()`";
    if is_fallback {
        return format!("if it must still verify for a while, {ADMIT}");
    }
    let generate = format!("generate a longer one (`{}`)", purpose.generate());
    let relax = match (is_relaxed, purpose) {
        (true, _) => ", or relax it with `min_secret_bytes`",
        (false, Purpose::Jwt) => {
            "; less than the standards ask for (RFC 7518 section 3.2) only `dangerous()` admits"
        }
        (false, Purpose::Cookie | Purpose::Webhook | Purpose::Audit) => {
            "; less than the standards ask for (RFC 2104 section 3) only `dangerous()` admits"
        }
        (false, _) => "; less only `dangerous()` admits",
    };
    let keep = match (purpose, rules.is_stored) {
        // It belongs to the other side, which takes the new one first.
        (Purpose::Credential, _) => String::new(),
        (_, true) => "; to keep it for a while, make it a fallback of a new one".to_owned(),
        (_, false) => {
            format!("; to keep it for a while, make it a fallback of a new one, and {ADMIT}")
        }
    };
    format!("{generate}{relax}{keep}")
}

fn placeholder_remedy(is_fallback: bool, purpose: Purpose, rules: &Rules) -> &'static str {
    match (is_fallback, purpose.has_revivable_values(), rules.is_stored) {
        (false, ..) => "set it to a random secret",
        (true, true, false) => {
            "as a fallback it verifies what attackers forge with it; leave it out, which logs every \
             user out who has a session or token under it, or admit it with \
             `dangerous().allow_placeholders()` for as long as these are needed"
        }
        (true, true, true) => {
            "as a fallback it verifies what attackers forge with it; leave it out, which logs every \
             user out who has a session or token under it"
        }
        (true, false, false) => {
            "as a fallback it verifies what attackers forge with it; leave it out, which rejects \
             everything under it, or admit it with `dangerous().allow_placeholders()` for as long as \
             that is needed"
        }
        (true, false, true) => {
            "as a fallback it verifies what attackers forge with it; leave it out, which rejects \
             everything under it"
        }
    }
}

/// The form of the value `text` of a variable, if it is not a secret alone.
pub(crate) fn form_of(text: &str, variable: &str, purpose: Purpose) -> Option<ValueForm> {
    form::detect(text, variable, purpose)
}

/// Returns the error of the `text` of a variable that is not `expected`: its form says more, where it
/// has one.
pub(crate) fn encoding_error(
    variable: &str,
    text: &str,
    purpose: Purpose,
    expected: &'static str,
) -> Error {
    let key = variable.to_owned();
    match form::detect(text, variable, purpose) {
        Some(form) => Error::NotASecret { key, form },
        None => Error::Encoding { key, expected },
    }
}

/// What a value looks like that is a key of an asymmetric algorithm. Under an
/// HMAC a public key would be a secret that is public.
fn asymmetric_kind(secret: &[u8]) -> Option<&'static str> {
    // The first bytes of public and private keys without their PEM lines: of RSA, of ECDSA with P-256
    // and P-384, of Ed25519 (RFC 5280, RFC 5958), and of a PEM document.
    const BASE64: [&str; 10] = [
        "MIIBIjANBgkqhkiG9w0BAQ",
        "MIICIjANBgkqhkiG9w0BAQ",
        "MIIBojANBgkqhkiG9w0BAQ",
        "MIGfMA0GCSqGSIb3DQEBAQ",
        "MFkwEwYHKoZIzj0CAQ",
        "MHYwEAYHKoZIzj0CAQ",
        "MCowBQYDK2Vw",
        "MC4CAQAwBQYDK2Vw",
        "MIGHAgEAMBMGByqGSM49AgEG",
        "LS0tLS1CRUdJTi",
    ];
    let text = std::str::from_utf8(secret).unwrap_or_default().trim_start();
    if text.contains("-----BEGIN") {
        return Some("a PEM document");
    }
    if text.starts_with("AGE-SECRET-KEY-1") || text.starts_with("age1") && text.len() == 62 {
        return Some("a key of age");
    }
    if BASE64.iter().any(|start| text.starts_with(start)) {
        return Some("a public or private key in base64");
    }
    if ["ssh-rsa ", "ssh-ed25519 ", "ecdsa-sha2-"].iter().any(|start| text.starts_with(start)) {
        return Some("an SSH public key");
    }
    // One of a secret is no asymmetric key, and has a message that says where the secret is.
    let kinds = ["RSA", "EC", "OKP", "AKP"].map(|kind| format!("\"{kind}\""));
    let is_asymmetric = kinds.iter().any(|kind| text.contains(kind.as_str()));
    (is_json_web_key(secret) && is_asymmetric).then_some("a JSON Web Key")
}

/// Whether the value is a JSON Web Key (RFC 7517).
fn is_json_web_key(secret: &[u8]) -> bool {
    let text = std::str::from_utf8(secret).unwrap_or_default().trim_start();
    text.starts_with('{') && text.contains("\"kty\"")
}

/// The reason why a value is a placeholder. `is_text` says that it is the whole value of a variable, and
/// not bytes that the caller means.
fn placeholder_reason(secret: &[u8], is_text: bool, purpose: Purpose) -> Option<&'static str> {
    const WORDS: [&str; 35] = [
        "changeme",
        "changeit",
        "default",
        "development",
        "dev",
        "dummy",
        "empty",
        "example",
        "false",
        "fixme",
        "foobar",
        "hidden",
        "keyboardcat",
        "knownafterapply",
        "masked",
        "mysecret",
        "nan",
        "nil",
        "none",
        "null",
        "objectobject",
        "password",
        "placeholder",
        "redacted",
        "secret",
        "secretkey",
        "sensitive",
        "sensitivevalue",
        "shhhhh",
        "supersecret",
        "test",
        "testing",
        "todo",
        "true",
        "undefined",
    ];
    const STARTS: [&str; 10] = [
        "changeme",
        "changethis",
        "replaceme",
        "replacethis",
        "replacewith",
        "insertyour",
        "putyour",
        "yoursecret",
        "yoursuper",
        "enteryour",
    ];
    // Bytes that are no text may by chance begin with `<` and end with `>`.
    let text = std::str::from_utf8(secret).unwrap_or_default().trim();
    // A credential may be a document.
    let is_document = purpose == Purpose::Credential && form::is_json(text);
    if form::is_template(text) && !is_document {
        return Some("a template that was not filled in");
    }
    if is_unset_alone(text) || text.contains("[object Object]") {
        return Some("a value of JavaScript or Python that is not set");
    }
    if is_text && is_unset(text) {
        return Some(
            "a value of JavaScript or Python that is not set is a part of it; if it is the secret, write \
             its bytes as `hex:` or `base64:`",
        );
    }
    // With its room from the start: growing would leave parts of the secret behind.
    let mut plain = zeroize::Zeroizing::new(String::with_capacity(text.len()));
    let letters = text.chars().filter(char::is_ascii_alphanumeric);
    plain.extend(letters.map(|letter| letter.to_ascii_lowercase()));
    let yours = plain.starts_with("your")
        && ["secret", "key", "token", "here"].iter().any(|word| plain.contains(word));
    if WORDS.contains(&plain.as_str()) || STARTS.iter().any(|s| plain.starts_with(s)) || yours {
        return Some("a word that takes the place of a secret");
    }
    // A random secret of eight bytes and more never consists of a repeated part.
    let repeats = |part: usize| secret.chunks(part).all(|chunk| secret.starts_with(chunk));
    let longest = (secret.len() / 2).min(16);
    (1..=longest).any(|part| secret.len() >= 8 && repeats(part)).then_some("a repetition")
}

fn is_unset_alone(text: &str) -> bool {
    UNSET.contains(&text)
}

const UNSET: [&str; 4] = ["undefined", "null", "None", "NaN"];

/// Returns whether `text` was joined from parts of which one is not set: `prod-undefined`.
fn is_unset(text: &str) -> bool {
    let is_apart = |rest: &str, next: Option<char>| {
        rest.is_empty() || next.is_some_and(|next| "-_.:/ ".contains(next))
    };
    UNSET.iter().any(|word| {
        let after = text.strip_prefix(word).is_some_and(|rest| is_apart(rest, rest.chars().next()));
        let before =
            text.strip_suffix(word).is_some_and(|rest| is_apart(rest, rest.chars().next_back()));
        after || before
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placeholder(secret: &[u8]) -> Option<&'static str> {
        super::placeholder_reason(secret, true, Purpose::Jwt)
    }

    #[test]
    fn placeholders_are_known() {
        for value in [
            "changeme",
            "CHANGE_ME",
            "change-me-in-production-please-it-is-important-0123456789",
            "secret",
            "your-256-bit-secret",
            "your_super_secret_jwt_key_goes_here_0123456789abcdef",
            "undefined",
            "null",
            "[object Object]",
            "<your jwt secret>",
            "${JWT_SECRET}",
            "{{ .Values.jwtSecret }}",
            "keyboard cat",
            "test",
            "replace-with-a-long-random-string",
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
            "secretsecretsecretsecretsecretsecretsecretsecretsecretsecretsecr",
        ] {
            assert!(placeholder(value.as_bytes()).is_some(), "{value}");
        }
        assert!(placeholder(&[0; 64]).is_some());
    }

    #[test]
    fn secrets_are_not_taken_for_placeholders() {
        for value in [
            "new-secret-2026-kH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5",
            "0f1e2d3c4b5a69788796a5b4c3d2e1f0",
            "youth-9XkqLr2vTb7Yx2Zq9Ml5KiWm3HjPs8Dn4Fg6",
            "test_sk_51Hx9LrT4nZ8yB1cF6gJ0sD3pA5kH7vQ2m",
        ] {
            assert_eq!(placeholder(value.as_bytes()), None, "{value}");
        }
        let binary: Vec<u8> = (0..64).collect();
        assert_eq!(placeholder(&binary), None);
        // A template or a word of a text, and chance in 32 random bytes.
        let mut random: Vec<u8> = (0..32).map(|byte| 200_u8.wrapping_add(byte * 7)).collect();
        assert_eq!(placeholder(&random), None);
        (random[0], random[31]) = (b'<', b'>');
        assert_eq!(placeholder(&random), None);
    }

    #[test]
    fn a_json_web_key_of_a_secret_is_refused_from_code_too() {
        let key = format!(r#"{{"kty":"oct","k":"{}"}}"#, "q83vEjRWeJCrze8S".repeat(6));
        let (secret, rules) = (Secret::from(key.as_str()), Rules::default());
        for purpose in [Purpose::Jwt, Purpose::Cookie, Purpose::Webhook, Purpose::Audit] {
            let refused = check(&secret, "the primary key", false, purpose, None, &rules);
            let is_named = |error: &Error| {
                matches!(error, Error::NotASecret { form: ValueForm::JsonWebKey, .. })
            };
            assert!(refused.as_ref().err().is_some_and(is_named), "{purpose}: {refused:?}");
        }
        assert!(
            check(&secret, "the primary key", false, Purpose::Credential, None, &rules).is_ok()
        );
    }

    #[test]
    fn public_keys_are_known() {
        for value in [
            "-----BEGIN PUBLIC KEY-----\nMIIB",
            "  -----BEGIN RSA PRIVATE KEY-----",
            "ssh-ed25519 AAAAC3Nz",
            r#"{"kty":"RSA","n":"0vx7"}"#,
        ] {
            assert!(asymmetric_kind(value.as_bytes()).is_some(), "{value}");
        }
    }

    #[test]
    fn a_placeholder_is_named_by_its_kind() {
        let unset = Some("a value of JavaScript or Python that is not set");
        for value in ["undefined", "null", "None", "NaN", "prefix [object Object] suffix"] {
            assert_eq!(placeholder(value.as_bytes()), unset, "{value}");
        }
        for (text, expected) in [
            ("undefined", true),
            ("prod-undefined", true),
            ("undefined-prod", true),
            ("produndefined", false),
            ("undefinedprod", false),
            ("prod", false),
        ] {
            assert_eq!(is_unset(text), expected, "{text}");
        }
        // One part alone is no repetition, however short it is.
        assert_eq!(placeholder(b"Xk39Qw2Zr7Lt"), None);
        assert_eq!(placeholder(b"Xk39QwXk39Qw"), Some("a repetition"));
    }

    #[test]
    fn a_credential_may_be_a_document_in_brackets_and_no_template() {
        let template = Some("a template that was not filled in");
        for (text, purpose, expected) in [
            (r#"["a"]"#, Purpose::Credential, None),
            (r#"["a"]"#, Purpose::Jwt, template),
            ("<your secret>", Purpose::Credential, template),
            ("<your secret>", Purpose::Jwt, template),
        ] {
            let found = placeholder_reason(text.as_bytes(), true, purpose);
            assert_eq!(found, expected, "{purpose} {text}");
        }
    }

    #[test]
    fn a_key_of_age_and_a_json_web_key_are_known_by_their_whole_form() {
        let age = Some("a key of age");
        let (public, short) =
            (format!("age1{}", "q".repeat(58)), format!("age1{}", "q".repeat(40)));
        for (text, expected) in [
            (public.as_str(), age),
            ("AGE-SECRET-KEY-1QQQ", age),
            (short.as_str(), None),
            (&"q".repeat(62), None),
            (r#"{"kty":"RSA"}"#, Some("a JSON Web Key")),
            (r#"{"kty":"oct"}"#, None),
            (r#"{"alg":"RSA"}"#, None),
            (r#"a "kty" of "RSA""#, None),
        ] {
            assert_eq!(asymmetric_kind(text.as_bytes()), expected, "{text}");
        }
        assert!(!is_json_web_key(b"{}"));
    }

    #[test]
    fn a_value_has_a_form_in_its_own_right() {
        let form = |text: &str| form_of(text, "JWT_SECRET", Purpose::Jwt);
        assert_eq!(form("\"kH7vQ2mXw9LrT4nZ\""), Some(ValueForm::Quote));
        assert_eq!(form("kH7vQ2mXw9LrT4nZ"), None);
    }

    /// A text of `length` characters that is no placeholder.
    fn secret_of(length: usize) -> Secret {
        let mut generator = fastrand::Rng::with_seed(length as u64);
        Secret::from((0..length).map(|_| generator.alphanumeric()).collect::<String>())
    }

    /// Returns what is refused as too short: the minimum and the remedy; `None` if it is admitted.
    fn refusal(length: usize, purpose: Purpose, rules: &Rules) -> Option<(usize, String)> {
        match check(&secret_of(length), "the primary key", false, purpose, None, rules) {
            Ok(is_short) => {
                assert!(!is_short);
                None
            }
            Err(Error::ShortSecret { minimum, remedy, .. }) => Some((minimum, remedy)),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn a_secret_has_the_least_length_and_a_setting_goes_to_the_floor_alone() {
        let SecretLength::AtLeast { minimum, floor } = Purpose::Jwt.length(None) else { panic!() };
        let rules = Rules::default();
        assert_eq!(refusal(minimum, Purpose::Jwt, &rules), None);
        let (asked, remedy) = refusal(minimum - 1, Purpose::Jwt, &rules).unwrap();
        assert_eq!(asked, minimum);
        assert!(remedy.contains("min_secret_bytes") == (minimum > floor), "{remedy}");

        let relaxed = Rules { min_secret_bytes: Some(floor - 8), ..rules };
        assert_eq!(refusal(floor, Purpose::Jwt, &relaxed), None);
        let (asked, remedy) = refusal(floor - 1, Purpose::Jwt, &relaxed).unwrap();
        assert_eq!(asked, floor);
        assert!(remedy.contains("RFC 7518") && remedy.contains("dangerous()"), "{remedy}");

        let unlocked = Rules { unlocked: true, ..relaxed };
        assert_eq!(refusal(floor - 8, Purpose::Jwt, &unlocked), None);
        assert_eq!(refusal(floor - 9, Purpose::Jwt, &unlocked).unwrap().0, floor - 8);

        // A public digest would confirm a guess of what is below the floor.
        assert!(!is_below_floor(&secret_of(floor), Purpose::Jwt, None));
        assert!(is_below_floor(&secret_of(floor - 1), Purpose::Jwt, None));
        assert!(!is_below_floor(&secret_of(1), Purpose::Envelope, None));
    }

    #[test]
    fn only_a_fallback_that_is_allowed_may_be_short() {
        let allowed = Rules { allow_short_fallbacks: true, ..Rules::default() };
        let admit = |is_fallback, rules: &Rules| {
            check(&secret_of(10), "the key", is_fallback, Purpose::Jwt, None, rules)
        };
        assert!(admit(true, &allowed).unwrap());
        assert!(admit(false, &allowed).is_err());
        assert!(admit(true, &Rules::default()).is_err());
    }

    #[test]
    fn an_encryption_key_has_exactly_its_length() {
        let check = |bytes: usize| {
            let secret = Secret::from(&secret_of(64).expose()[..bytes]);
            check(&secret, "the key", false, Purpose::Envelope, None, &Rules::default())
        };
        assert!(!check(32).unwrap());
        for bytes in [31, 33] {
            let refused = check(bytes);
            assert!(matches!(refused, Err(Error::WrongLength { expected: 32, .. })), "{refused:?}");
        }
    }

    #[test]
    fn the_policy_of_a_manifest_is_its_rules() {
        let policy = Policy { min_secret_bytes: Some(40), ..Policy::default() };
        let rules = Rules::from_policy(&policy);
        assert_eq!(
            (rules.min_secret_bytes, rules.unlocked, rules.is_stored),
            (Some(40), false, true)
        );
        let policy = Policy { dangerous_min_secret_bytes: Some(8), ..Policy::default() };
        let rules = Rules::from_policy(&policy);
        assert_eq!(
            (rules.min_secret_bytes, rules.unlocked, rules.is_stored),
            (Some(8), true, true)
        );
    }

    /// The kid of a short key must not depend on its secret, which may be guessed.
    #[test]
    fn a_key_without_a_kid_is_derived_from_its_secret_unless_that_is_short() {
        let secret = secret_of(64);
        let kid = |set, purpose, is_short| kid(set, &secret, purpose, is_short, || 7).unwrap();
        let set: Kid = "set".parse().unwrap();
        assert_eq!(kid(Some(set), Purpose::Jwt, false), set);
        let derived = derive_kid(secret.expose(), Purpose::Jwt);
        assert_eq!(kid(None, Purpose::Jwt, false), derived);
        assert_eq!(kid(None, Purpose::Jwt, true), *"jwt-7");
        assert_eq!(kid(None, Purpose::Credential, false), *"credential-7");
        assert_eq!(kid(None, Purpose::Credential, true), *"credential-7");
        let first = number_of(Some("JWT_SECRET"), Purpose::Jwt);
        let second = number_of(Some("JWT_SECRET_OLD"), Purpose::Jwt);
        assert!(first.is_some() && second.is_some() && first != second, "{first:?} {second:?}");
        assert_eq!(number_of(None, Purpose::Jwt), None);
        assert_eq!(number_of(Some("DB_PASSWORD"), Purpose::Credential), None);
    }

    #[test]
    fn the_name_of_a_variable_is_no_secret_and_a_placeholder_has_a_remedy() {
        let label = "MY_OWN_LONG_NAME_OF_A_VARIABLE_0123456789_ABCDEFGHIJKLMNOPQRSTUV";
        let of = |text: &str, is_fallback, rules: &Rules| match check(
            &Secret::from(text),
            label,
            is_fallback,
            Purpose::Jwt,
            None,
            rules,
        ) {
            Err(Error::Placeholder { why, remedy, .. }) => Some((why, remedy)),
            _ => None,
        };
        let rules = Rules::default();
        let stored = Rules { is_stored: true, ..rules };
        assert_eq!(of(label, false, &rules).unwrap().0, "the name of its variable");
        assert_eq!(of("changeme", false, &rules).unwrap().1, "set it to a random secret");
        let as_fallback = of("changeme", true, &rules).unwrap().1;
        assert!(as_fallback.contains("allow_placeholders"), "{as_fallback}");
        let as_stored = of("changeme", true, &stored).unwrap().1;
        assert!(!as_stored.contains("allow_placeholders"), "{as_stored}");
        let admitted = Rules { allow_placeholders: true, unlocked: true, ..rules };
        assert_eq!(of("changeme", true, &admitted), None);
    }
}
