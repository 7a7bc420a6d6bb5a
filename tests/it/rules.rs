//! The rules of verification, each by its number.

use std::time::Duration;

use dualkey::cookie::{CookieKey, CookieSigner, LegacyCookie};
use dualkey::envelope::{AesKey, Layout, RewrapError, Sealer};
use dualkey::jwt::{Algorithm, Header, Jwt, JwtKey, Validation};
use dualkey::webhook::{VerifyToken, WebhookKey, WebhookVerifier};
use dualkey::{Error, KeyRing, ManualClock, NewKey, Reason, Role, Secret};
use serde_json::{Value, json};

use crate::support::{EventLog, aes_key, aes_ring, encode, far, forge, key, ring, secret};

const FAR: &[u8] = br#"{"sub":"user-42","exp":4102444800}"#;

fn reason<T>(verdict: Result<T, dualkey::VerifyError>) -> Result<(), Reason> {
    verdict.map(drop).map_err(|error| error.reason())
}

#[test]
fn v1_the_algorithm_of_a_token_selects_nothing() {
    let ring = KeyRing::<JwtKey>::builder()
        .primary(key(0, "narrow"))
        .fallback(key(1, "wide").algorithm(Algorithm::HS512))
        .build()
        .unwrap();
    let jwt = Jwt::new(ring);
    let claims: Value = serde_json::from_slice(FAR).unwrap();
    let token = |seed, algorithm, kid: Option<&str>| {
        let header = Header { kid: kid.map(str::to_owned), ..Header::new(algorithm) };
        encode(secret(seed).as_bytes(), &header, &claims)
    };
    let verdict = |token: &str| reason(jwt.verify::<Value>(token));
    assert_eq!(verdict(&token(0, Algorithm::HS256, None)), Ok(()));
    assert_eq!(verdict(&token(1, Algorithm::HS512, None)), Ok(()));
    // A good MAC of the right secret, in an algorithm that is not the key's.
    assert_eq!(verdict(&token(1, Algorithm::HS256, None)), Err(Reason::Signature));
    assert_eq!(verdict(&token(0, Algorithm::HS512, None)), Err(Reason::Signature));
    assert_eq!(verdict(&token(0, Algorithm::HS512, Some("narrow"))), Err(Reason::Algorithm));
    assert_eq!(verdict(&token(0, Algorithm::HS384, None)), Err(Reason::Algorithm));
    // And the key's own algorithm, if it is not among those that are asked for.
    let jwt = jwt.validation(Validation::new(Algorithm::HS512));
    assert_eq!(
        reason(jwt.verify::<Value>(&token(0, Algorithm::HS256, None))),
        Err(Reason::Algorithm)
    );
    assert_eq!(reason(jwt.verify::<Value>(&token(1, Algorithm::HS512, None))), Ok(()));
}

#[test]
fn v2_a_named_key_is_checked_alone_and_an_unknown_name_never() {
    let ring = KeyRing::<JwtKey>::builder()
        .primary(key(0, "new"))
        .fallback(key(1, "old").alias("issuer-7".parse().unwrap()))
        .build()
        .unwrap();
    let jwt = Jwt::new(ring);
    let token = |seed, kid: &str| {
        let header = format!(r#"{{"alg":"HS256","kid":{}}}"#, json!(kid));
        forge(secret(seed).as_bytes(), &header, FAR)
    };
    let verdict = |seed, kid: &str| reason(jwt.verify::<Value>(&token(seed, kid)));
    assert_eq!(verdict(0, "new"), Ok(()));
    assert_eq!(verdict(1, "old"), Ok(()));
    assert_eq!(verdict(1, "issuer-7"), Ok(()));
    assert_eq!(verdict(1, "new"), Err(Reason::Signature));
    assert_eq!(verdict(0, "old"), Err(Reason::Signature));
    for kid in ["", "NEW", "new ", "ne", "newer", "../new", "new\0"] {
        assert_eq!(verdict(0, kid), Err(Reason::UnknownKid), "{kid:?}");
    }
    // Without a name, every key may be meant.
    for seed in 0..2 {
        let token = forge(secret(seed).as_bytes(), r#"{"alg":"HS256"}"#, FAR);
        assert_eq!(reason(jwt.verify::<Value>(&token)), Ok(()));
    }
    let token = forge(secret(2).as_bytes(), r#"{"alg":"HS256"}"#, FAR);
    assert_eq!(reason(jwt.verify::<Value>(&token)), Err(Reason::Signature));
}

#[test]
fn v3_what_is_malformed_is_not_tried_and_counts_for_no_key() {
    let ring = ring::<JwtKey>(1);
    let jwt = Jwt::new(ring.clone());
    // The MAC holds; the base64 under it does not.
    for payload in ["eyJleHAiOjQxMDI0NDQ4MDB9=", "eyJleHAiOjQxMDI0NDQ4MDB\u{39}A", "e yJ9", "eyJ/"]
    {
        for seed in 0..2 {
            let message = format!("eyJhbGciOiJIUzI1NiJ9.{payload}");
            let tag =
                dualkey::mac::HmacSha256::new(secret(seed).as_bytes()).mac(message.as_bytes());
            let token = format!("{message}.{}", crate::support::base64url::encode(&tag));
            assert_eq!(reason(jwt.verify::<Value>(&token)), Err(Reason::Malformed), "{payload}");
        }
    }
    // Sizes are bounded before any work, at the bound exactly.
    let token = forge(secret(0).as_bytes(), r#"{"alg":"HS256"}"#, FAR);
    let jwt = |bytes| Jwt::new(ring.clone()).max_token_bytes(bytes);
    assert_eq!(reason(jwt(token.len()).verify::<Value>(&token)), Ok(()));
    assert_eq!(reason(jwt(token.len() - 1).verify::<Value>(&token)), Err(Reason::TooLarge));
    let uses: u64 = ring
        .keys()
        .iter()
        .map(|key| key.usage.verified_as_primary + key.usage.verified_as_fallback)
        .sum();
    assert_eq!(uses, 1);
}

#[test]
fn v4_nothing_in_a_payload_is_looked_at_before_the_signature_held() {
    let jwt = Jwt::new(ring::<JwtKey>(1));
    for payload in
        [&b"not JSON"[..], b"{\"exp\":1}", b"", b"\xff\xfe", b"{\"exp\":\"x\"}", b"[[[[[["]
    {
        let forged = forge(b"a stranger's key", r#"{"alg":"HS256"}"#, payload);
        let error = jwt.verify::<Value>(&forged).unwrap_err();
        assert_eq!(error.reason(), Reason::Signature, "{payload:?}");
        assert!(!error.is_authentic());
        // The same, authentic, has an error of its own.
        let authentic = forge(secret(1).as_bytes(), r#"{"alg":"HS256"}"#, payload);
        assert!(jwt.verify::<Value>(&authentic).unwrap_err().is_authentic(), "{payload:?}");
    }
}

/// No answer shows that all keys are computed and compared: unit tests of the adapters count
/// that. This is the way through them: wherever in the ring the key is, the answer is the
/// same.
#[test]
fn v5_the_answer_is_the_same_wherever_the_match_is() {
    let jwt = Jwt::new(ring::<JwtKey>(3));
    let hook = WebhookVerifier::new(ring::<WebhookKey>(3));
    for seed in 0..4 {
        let role = if seed == 0 { Role::Primary } else { Role::Fallback };
        let token = forge(secret(seed).as_bytes(), r#"{"alg":"HS256"}"#, FAR);
        assert_eq!(jwt.verify::<Value>(&token).unwrap().role(), role);
        let tag = dualkey::mac::HmacSha256::new(secret(seed).as_bytes()).mac(b"body");
        let hex: String = tag.iter().map(|byte| format!("{byte:02x}")).collect();
        let delivery = hook.verify([format!("sha256={hex}")], b"body").unwrap();
        assert_eq!(delivery.role(), role);
    }
}

/// The envelope names its key, and no other is tried, not even where it would open.
#[test]
fn v6_an_envelope_is_opened_with_the_key_it_names_and_never_by_trial() {
    let sealer = |keys: Vec<NewKey<AesKey>>| Sealer::new(aes_ring(keys));
    let both = sealer(vec![aes_key(0, "new"), aes_key(1, "old")]);
    let blob = both.seal("a note", "context").unwrap();
    let opened = both.open(&blob, "context").unwrap();
    assert_eq!((opened.kid(), opened.role()), ("new".parse().unwrap(), Role::Primary));
    // The same secret under another name: it would open, and is not tried.
    let renamed = sealer(vec![aes_key(0, "renamed"), aes_key(1, "old")]);
    assert_eq!(reason(renamed.open(&blob, "context")), Err(Reason::UnknownKid));
    // The name on another secret: that one is taken, and no other.
    let swapped = sealer(vec![aes_key(1, "new"), aes_key(0, "old")]);
    assert_eq!(reason(swapped.open(&blob, "context")), Err(Reason::Signature));
    // The name is bound as associated data: it cannot be put right from outside.
    let forged = [&blob[..5], b"old", &blob[8..]].concat();
    assert_eq!(reason(swapped.open(&forged, "context")), Err(Reason::Signature));
    // A key that is known by an alias as well opens what names it so.
    let alias = sealer(vec![aes_key(0, "renamed").alias("new".parse().unwrap())]);
    assert_eq!(reason(alias.open(&blob, "context")), Ok(()));
    // A refusal counts for no key.
    let uses = |sealer: &Sealer| {
        let keys = sealer.ring().keys();
        keys.iter()
            .map(|key| key.usage.verified_as_primary + key.usage.verified_as_fallback)
            .sum::<u64>()
    };
    assert_eq!((uses(&both), uses(&renamed), uses(&swapped)), (1, 0, 0));
}

#[test]
fn v7_to_the_peer_every_failure_before_the_signature_is_the_same() {
    let event_log = EventLog::default();
    let ring = KeyRing::<JwtKey>::builder()
        .name("JWT_SECRET")
        .primary(key(0, "a"))
        .observer(event_log.clone())
        .build()
        .unwrap();
    let jwt = Jwt::new(ring);
    let bad = [
        ("".to_owned(), Reason::Malformed),
        ("x".repeat(9000), Reason::TooLarge),
        (forge(secret(1).as_bytes(), r#"{"alg":"HS256"}"#, FAR), Reason::Signature),
        (forge(secret(0).as_bytes(), r#"{"alg":"HS256","kid":"x"}"#, FAR), Reason::UnknownKid),
        (forge(secret(0).as_bytes(), r#"{"alg":"none"}"#, FAR), Reason::Algorithm),
        (
            forge(secret(0).as_bytes(), r#"{"alg":"HS256","crit":[]}"#, FAR),
            Reason::UnsupportedHeader,
        ),
    ];
    for (token, reason) in &bad {
        let error = jwt.verify::<Value>(token).unwrap_err();
        assert_eq!(error.to_string(), "verification failed");
        assert!(std::error::Error::source(&error).is_none());
        assert_eq!(error.reason(), *reason);
    }
    // The operator was told each of them.
    let event_log: Vec<_> = event_log.all();
    assert_eq!(event_log.len(), bad.len());
    for (event_log, (_, reason)) in event_log.iter().zip(&bad) {
        assert_eq!(*event_log, format!("Rejected {{ ring: \"JWT_SECRET\", reason: {reason:?} }}"));
    }
    // After the signature held, an error may be specific.
    let expired = forge(secret(0).as_bytes(), r#"{"alg":"HS256"}"#, br#"{"exp":1}"#);
    assert_eq!(jwt.verify::<Value>(&expired).unwrap_err().to_string(), "refused: expired");
}

#[test]
fn v8_a_revoked_key_verifies_nothing_and_does_not_come_back() {
    let clock = ManualClock::at_unix(1_700_000_000);
    let ring = KeyRing::<CookieKey>::builder()
        .primary(key(0, "old"))
        .clock(clock.clone())
        .build()
        .unwrap();
    let signer = CookieSigner::new(ring.clone());
    let value = signer.sign("session", "user-42").unwrap();
    ring.stage(key(1, "new")).unwrap();
    ring.promote(&"new".parse().unwrap()).unwrap();
    assert_eq!(reason(signer.verify("session", &value)), Ok(()));

    let old = "old".parse().unwrap();
    ring.revoke(&old, "found in a public log").unwrap();
    assert_eq!(reason(signer.verify("session", &value)), Err(Reason::RevokedKey));
    // Whatever its dates, whatever the clock says.
    for seconds in [0, 1_600_000_000, 1_700_000_000, 4_000_000_000] {
        clock.set(std::time::UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(reason(signer.verify("session", &value)), Err(Reason::RevokedKey));
    }
    // Sticky: not by promotion, rollback, retirement, nor as a new key of the same secret.
    assert!(matches!(ring.promote(&old), Err(Error::Revoked { .. })));
    assert!(matches!(ring.rollback(), Err(Error::NothingToRollBack { .. })));
    assert!(matches!(ring.retire(&old), Err(Error::Revoked { .. })));
    assert!(matches!(ring.stage(key(0, "another-name")), Err(Error::Revoked { .. })));
    assert!(matches!(ring.stage(key(2, "old")), Err(Error::DuplicateKid { .. })));
    // To say it twice changes nothing.
    let generation = ring.load().generation();
    ring.revoke(&old, "again").unwrap();
    assert_eq!(ring.load().generation(), generation);
    let known = ring.load();
    assert_eq!(known.key(&old).unwrap().revoked().unwrap().reason, "found in a public log");
}

/// A load that began before a revocation may end after it; the next one sees it.
#[test]
fn v8_a_delivery_that_streams_keeps_its_generation_and_the_next_does_not() {
    let ring = ring::<WebhookKey>(1);
    let hook = WebhookVerifier::new(ring.clone());
    let tag = dualkey::mac::HmacSha256::new(secret(1).as_bytes()).mac(b"body");
    let hex: String = tag.iter().map(|byte| format!("{byte:02x}")).collect();
    let header = [format!("sha256={hex}")];
    let mut streaming = hook.start(&header).unwrap();
    ring.revoke(&ring.keys()[1].kid, "leaked").unwrap();
    streaming.update(b"body");
    assert!(streaming.finish().is_ok());
    assert_eq!(reason(hook.verify(&header, b"body")), Err(Reason::Signature));
}

/// The one exception: data is rescued under a revoked key, by name, and the observer is notified.
#[test]
fn v8_a_revoked_key_opens_nothing_but_for_a_rescue_that_is_reported() {
    let event_log = EventLog::default();
    let ring = KeyRing::<AesKey>::builder()
        .name("ENCRYPTION_KEY")
        .primary(aes_key(0, "leaked"))
        .observer(event_log.clone())
        .build()
        .unwrap();
    let sealer = Sealer::new(ring.clone()).accept_legacy(Layout::BASE64_IV_CT_TAG, far());
    let mut blob = sealer.seal("a note", "context").unwrap();
    let mut text = sealer.seal_text("a note", "context").unwrap();
    let before = (blob.clone(), text.clone());
    ring.emergency_rotate(&"leaked".parse().unwrap(), "in a public log", aes_key(1, "new"))
        .unwrap();

    let revoked = Err(Reason::RevokedKey);
    assert_eq!(reason(sealer.open(&blob, "context")), revoked);
    assert_eq!(reason(sealer.open(&text, "context")), revoked);
    assert_eq!(reason(sealer.open(&text, "another")), revoked, "nothing is tried with it");
    assert_eq!(reason(sealer.open_in_place(&mut blob.clone(), "context")), revoked);
    assert_eq!(reason(sealer.needs_rewrap(&blob)), revoked);
    // To rewrap is to trust the payload, which whoever has the leaked key may have written.
    assert!(
        matches!(sealer.rewrap(&mut blob, "context"), Err(RewrapError::Open(e)) if e.reason() == Reason::RevokedKey)
    );
    assert!(
        matches!(sealer.rewrap_text(&mut text, "context"), Err(RewrapError::Open(e)) if e.reason() == Reason::RevokedKey)
    );
    assert_eq!((&blob, &text), (&before.0, &before.1));
    assert!(!event_log.all().iter().any(|event| event.starts_with("OpenedRevoked")));

    for stored in [&blob[..], text.as_bytes()] {
        let heard = event_log.all().len();
        let rescued = sealer.dangerous().open_revoked(stored, "context").unwrap();
        assert_eq!(rescued, b"a note");
        assert_eq!(
            event_log.all()[heard..],
            ["OpenedRevoked { ring: \"ENCRYPTION_KEY\", kid: Kid(leaked) }"]
        );
        // The rescue opens what it should, and not everything.
        let error = sealer.dangerous().open_revoked(stored, "another").unwrap_err();
        assert_eq!(error.reason(), Reason::Signature);
        let again = sealer.seal(&rescued, "context").unwrap();
        assert_eq!(reason(sealer.open(&again, "context")), Ok(()));
        // What is under a key that is not revoked, it opens without a word.
        let heard = event_log.all().len();
        assert!(sealer.dangerous().open_revoked(&again, "context").is_ok());
        assert_eq!(event_log.all().len(), heard);
    }
}

/// The same for a legacy value, whose key is found by trial.
#[test]
fn v8_a_legacy_value_of_a_revoked_key_is_rescued_and_not_opened() {
    let key = AesKey::hex("f8b4d5fe1f65e1aceed24c60bf2cb755f4f284e001e1a8ab97e328274bb90606");
    let event_log = EventLog::default();
    let ring = KeyRing::<AesKey>::builder()
        .primary(key.unwrap().kid("leaked".parse().unwrap()))
        .observer(event_log.clone())
        .build()
        .unwrap();
    let text = "9ad9a09c9944db8c22e8cf43:068477e78cb13b7b9996c50b5ab535e0:75e3e2bb9ee4fb0958193b";
    let sealer = Sealer::new(ring.clone()).accept_legacy(Layout::HEX_IV_TAG_CT, far());
    assert_eq!(reason(sealer.open(text, "")), Ok(()));
    ring.emergency_rotate(&"leaked".parse().unwrap(), "in a public log", aes_key(1, "new"))
        .unwrap();
    assert_eq!(reason(sealer.open(text, "")), Err(Reason::Signature));
    assert!(sealer.migrate(text, "").is_err());
    assert_eq!(sealer.dangerous().open_revoked(text, "").unwrap(), b"hello world");
    assert!(event_log.all().last().unwrap().starts_with("OpenedRevoked"));
    // Not without the layout.
    let plain = Sealer::new(ring).dangerous().open_revoked(text, "").unwrap_err();
    assert_eq!(plain.reason(), Reason::LegacyNotAccepted);
}

/// A legacy cookie names no key: one that is revoked is not among those that are checked.
#[test]
fn v8_a_legacy_cookie_of_a_revoked_key_is_refused() {
    let old = "old-secret-2025-Nf0Vg6Jc3Ds8Pw1Ra4Tb7Yx2Zq9Ml5Ki";
    let ring = KeyRing::<CookieKey>::builder()
        .min_secret_bytes(32)
        .primary(key(0, "new"))
        .fallback(NewKey::new(Secret::from(old)).kid("old".parse().unwrap()))
        .build()
        .unwrap();
    let signer = CookieSigner::new(ring.clone()).accept_legacy(LegacyCookie::Express, far());
    let value = "s%3Ahello.jbqmU5IuVEsCRNx6k0jF3uhNAMmpoEHTTE4uZHJATd8";
    assert_eq!(reason(signer.verify("sid", value)), Ok(()));
    ring.revoke(&"old".parse().unwrap(), "leaked").unwrap();
    assert_eq!(reason(signer.verify("sid", value)), Err(Reason::Signature));
}

#[test]
fn v9_a_source_that_is_empty_or_broken_makes_no_ring_and_no_key() {
    use dualkey::ring::env::LookupError;
    let build = |lookup: &dyn Fn(&str) -> Result<Option<String>, LookupError>| {
        KeyRing::<JwtKey>::builder().vars("JWT_SECRET", lookup).build()
    };
    assert!(matches!(build(&|_| Ok(None)), Err(Error::NoPrimary { .. })));
    assert!(matches!(build(&|_| Ok(Some(String::new()))), Err(Error::NoPrimary { .. })));
    assert!(matches!(build(&|_| Err(LookupError::NotUnicode)), Err(Error::NotUnicode { .. })));
    let failed = || Err(LookupError::Failed { problem: "no answer in 5 s".to_owned() });
    let error = build(&|_| failed()).unwrap_err();
    assert!(matches!(&error, Error::LookupFailed { .. }), "{error}");
    assert!(error.to_string().contains("no answer in 5 s"), "{error}");
    // One broken variable among good ones: nothing is built from the rest.
    let half = |name: &str| match name {
        "JWT_SECRET_OLD" => Ok(Some("hex:0".to_owned())),
        _ => Ok(Some(secret(0))),
    };
    assert!(matches!(build(&half), Err(Error::Encoding { .. })));
    // A change that fails leaves the ring that serves.
    let ring = ring::<JwtKey>(3);
    let before = ring.load();
    assert!(ring.stage(Secret::from("")).is_err());
    assert!(ring.stage(Secret::from(secret(9))).is_err());
    assert!(std::sync::Arc::ptr_eq(&before, &ring.load()));
}

#[test]
fn v10_no_output_holds_a_byte_of_a_secret() {
    let marker = "TOPSECRETkH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eUkH7vQ2mXw9LrT4nZ8yB1cF6";
    let secret = || Secret::from(marker);
    let event_log = EventLog::default();
    let mut output = Vec::new();
    macro_rules! shows {
        ($value:expr) => {{
            match $value {
                value => output.push(format!("{value:?} {value:#?}")),
            }
        }};
    }
    shows!(secret());
    shows!(NewKey::<JwtKey>::new(secret()));
    shows!(KeyRing::<JwtKey>::builder().primary(secret()));
    let ring =
        KeyRing::<JwtKey>::builder().primary(secret()).observer(event_log.clone()).build().unwrap();
    shows!(&ring);
    shows!(ring.load());
    shows!(ring.keys());
    shows!(ring.load().keys());
    shows!(Jwt::new(ring.clone()));
    let cookies = KeyRing::<CookieKey>::builder().primary(secret()).build().unwrap();
    shows!(&cookies);
    shows!(CookieSigner::new(cookies.clone()));
    let mut jar = dualkey::cookie::CookieJar::new();
    shows!(CookieSigner::new(cookies).jar(&mut jar));
    let sealed = KeyRing::<AesKey>::builder().primary(Secret::from(&marker.as_bytes()[..32]));
    let sealed = Sealer::new(sealed.build().unwrap());
    shows!(&sealed);
    shows!(sealed.dangerous());
    shows!(sealed.ring().load());
    shows!(AesKey::sha256(marker).unwrap());
    let hooks = KeyRing::<WebhookKey>::builder().primary(secret()).build().unwrap();
    let tokens = KeyRing::<VerifyToken>::builder().primary(secret()).build().unwrap();
    shows!(&tokens);
    let hook = WebhookVerifier::new(hooks).verify_tokens(tokens);
    shows!(hook.start(["sha256=".to_owned() + &"0".repeat(64)]).unwrap());
    let query = format!("hub.mode=subscribe&hub.challenge=1&hub.verify_token=x{marker}");
    shows!(hook.handshake(&query).unwrap_err());
    shows!(&hook);
    shows!(dualkey::mac::HmacSha256::new(marker.as_bytes()));
    shows!(dualkey::mac::HmacSha384::new(marker.as_bytes()));
    shows!(dualkey::mac::HmacSha512::new(marker.as_bytes()));
    let lanes = dualkey::mac::Lanes::new(&[&dualkey::mac::HmacSha256::new(marker.as_bytes())]);
    shows!(&lanes);
    shows!(lanes.finish());

    let mut errors = vec![
        ring.stage(secret()).unwrap_err(),
        KeyRing::<JwtKey>::builder().primary(Secret::from(&marker[..20])).build().unwrap_err(),
        KeyRing::<JwtKey>::builder().primary(secret()).fallback(secret()).build().unwrap_err(),
        KeyRing::<AesKey>::builder().primary(secret()).build().unwrap_err(),
        KeyRing::<AesKey>::builder().vars("X", |_| Ok(Some(marker.into()))).build().unwrap_err(),
        AesKey::hex(marker).unwrap_err(),
        AesKey::base64(&format!("{marker}*")).unwrap_err(),
    ];
    for bad in [format!("hex:{marker}"), format!("base64:{marker}!"), format!("<{marker}>")] {
        let vars = KeyRing::<JwtKey>::builder().vars("X", |_| Ok(Some(bad.clone())));
        errors.push(vars.build().unwrap_err());
    }
    ring.emergency_rotate(
        &ring.primary().unwrap(),
        "leaked",
        Secret::from(crate::support::secret(1)),
    )
    .unwrap();
    errors.push(ring.stage(secret()).unwrap_err());
    output.extend(errors.iter().map(|error| format!("{error} {error:?}")));
    let event_log = event_log.all();
    assert!(!event_log.is_empty());
    output.extend(event_log);

    let bytes = format!("{:?}", &marker.as_bytes()[..4]);
    for text in &output {
        assert!(!text.contains("TOPSECRET") && !text.contains("kH7vQ2"), "{text}");
        assert!(!text.contains(bytes.trim_matches(['[', ']'])), "{text}");
    }
    assert!(output.len() > 25, "{}", output.len());
}
