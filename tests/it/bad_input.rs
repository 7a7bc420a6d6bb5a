//! Each bad input has a clear, typed outcome.

use std::time::Duration;

use dualkey::cookie::{Cookie, CookieJar, CookieKey, CookieSigner, LegacyCookie};
use dualkey::jwt::{Jwt, JwtKey};
use dualkey::webhook::{VerifyToken, WebhookKey, WebhookVerifier};
use dualkey::{Clock, Error, KeyRing, Kid, ManualClock, NewKey, ParseKidError, Reason, Secret};
use serde_json::Value;

use crate::support::{forge, key, ring, secret};

fn build(primary: &str, fallbacks: &[&str]) -> Result<KeyRing<JwtKey>, Error> {
    let mut builder = KeyRing::builder().primary(Secret::from(primary));
    for fallback in fallbacks {
        builder = builder.fallback(Secret::from(*fallback));
    }
    builder.build()
}

#[test]
fn secrets_that_are_none_do_not_make_a_ring() {
    let good = secret(0);
    assert!(matches!(build("", &[]), Err(Error::EmptySecret { .. })));
    assert!(matches!(build(&good, &[""]), Err(Error::EmptySecret { .. })));
    assert!(matches!(
        build(&good[..63], &[]),
        Err(Error::ShortSecret { length: 63, minimum: 64, .. })
    ));
    assert!(matches!(build(&good, &[&secret(1)[..63]]), Err(Error::ShortSecret { .. })));
    for placeholder in ["changeme", "your-256-bit-secret", &"a".repeat(64)] {
        assert!(matches!(build(placeholder, &[]), Err(Error::Placeholder { .. })), "{placeholder}");
        assert!(matches!(build(&good, &[placeholder]), Err(Error::Placeholder { .. })));
    }
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{good}\n-----END PUBLIC KEY-----");
    assert!(matches!(build(&pem, &[]), Err(Error::AsymmetricKey { .. })));
}

#[test]
fn an_error_names_the_key_and_the_mend_and_never_the_secret() {
    let weak = "Nf0Vg6Jc3Ds8Pw1Ra4Tb";
    let vars = |primary: &str, old: &str| {
        let (primary, old) = (primary.to_owned(), old.to_owned());
        KeyRing::<JwtKey>::builder()
            .vars("JWT_SECRET", move |name| {
                Ok(match name {
                    "JWT_SECRET" => Some(primary.clone()),
                    "JWT_SECRET_OLD" => Some(old.clone()),
                    _ => None,
                })
            })
            .build()
            .unwrap_err()
            .to_string()
    };
    let error = vars(&secret(0), weak);
    assert!(error.contains("JWT_SECRET_OLD") && error.contains("allow_short_fallbacks"), "{error}");
    assert!(!error.contains(weak));
    let error = vars(weak, "");
    assert!(error.contains("JWT_SECRET has 20 bytes") && error.contains("openssl rand"), "{error}");
    assert!(!error.contains(weak));
}

#[test]
fn short_secrets_get_in_by_their_settings_alone() {
    let weak = Secret::from("Nf0Vg6Jc3Ds8Pw1Ra4Tb7Yx2Zq9Ml5Ki"); // 32 bytes
    let weaker = Secret::from("Nf0Vg6Jc3Ds8");
    let builder = || KeyRing::<JwtKey>::builder();
    assert!(builder().min_secret_bytes(32).primary(weak.clone()).build().is_ok());
    // Never below RFC 7518 without `dangerous()`.
    let error = builder().min_secret_bytes(1).primary(weaker.clone()).build().unwrap_err();
    assert!(matches!(error, Error::ShortSecret { minimum: 32, .. }), "{error}");
    assert!(builder().dangerous().min_secret_bytes(12).primary(weaker.clone()).build().is_ok());
    // Fallbacks alone, and staged keys are none.
    let good = || Secret::from(secret(0));
    assert!(
        builder().allow_short_fallbacks().primary(good()).fallback(weaker.clone()).build().is_ok()
    );
    assert!(builder().allow_short_fallbacks().primary(weaker.clone()).build().is_err());
    let ring = builder().allow_short_fallbacks().primary(good()).build().unwrap();
    assert!(matches!(ring.stage(weaker.clone()), Err(Error::ShortSecret { .. })));
    // Let in, such a fallback verifies and never signs.
    let short = NewKey::new(weaker).kid("short".parse().unwrap());
    let ring = builder().allow_short_fallbacks().primary(good()).fallback(short).build().unwrap();
    let error = ring.promote(&"short".parse().unwrap()).unwrap_err();
    assert!(matches!(error, Error::TooShortToSign { .. }), "{error}");
    // Not even as the heir of a key that is revoked.
    let old = NewKey::new(Secret::from("Nf0Vg6Jc3Ds8")).signs_from(std::time::UNIX_EPOCH);
    let new = NewKey::new(good()).signs_from(std::time::SystemTime::now());
    let ring = builder().allow_short_fallbacks().primary(new).fallback(old).build().unwrap();
    let error = ring.revoke(&ring.primary().unwrap(), "leaked").unwrap_err();
    assert!(matches!(error, Error::NoPrimary { .. }), "{error}");
    assert!(matches!(ring.rollback(), Err(Error::NothingToRollBack { .. })));
    let wide = NewKey::<JwtKey>::new(weak).algorithm(dualkey::jwt::Algorithm::HS512);
    let error = builder().min_secret_bytes(32).primary(wide).build().unwrap_err();
    assert!(matches!(error, Error::ShortSecret { minimum: 64, .. }), "{error}");
}

#[test]
fn one_secret_is_one_key_whatever_stands_behind_it() {
    let good = secret(0);
    assert!(matches!(build(&good, &[&good]), Err(Error::DuplicateSecret { .. })));
    // HMAC pads with zeros: this is the same key, in hashes of both block lengths.
    let padded = Secret::from([secret(0).as_bytes(), &[0]].concat());
    let short = |bytes: Vec<u8>| Secret::from(bytes);
    let half = secret(0).as_bytes()[..40].to_vec();
    let builder = || KeyRing::<JwtKey>::builder().min_secret_bytes(32);
    let twice =
        builder().primary(short(half.clone())).fallback(short([&half[..], &[0, 0]].concat()));
    assert!(matches!(twice.build(), Err(Error::DuplicateSecret { .. })));
    let wide = NewKey::<JwtKey>::new(padded).algorithm(dualkey::jwt::Algorithm::HS512);
    let twice = builder()
        .primary(NewKey::new(Secret::from(good)).algorithm(dualkey::jwt::Algorithm::HS512))
        .fallback(wide);
    assert!(matches!(twice.build(), Err(Error::DuplicateSecret { .. })));
}

#[test]
fn a_ring_has_one_primary_and_at_most_four_keys_that_verify() {
    let builder = || KeyRing::<CookieKey>::builder();
    assert!(matches!(builder().build(), Err(Error::NoPrimary { .. })));
    let fallback = builder().fallback(Secret::from(secret(0)));
    assert!(matches!(fallback.build(), Err(Error::NoPrimary { .. })));
    let two = builder().primary(Secret::from(secret(0))).primary(Secret::from(secret(1)));
    assert!(matches!(two.build(), Err(Error::PrimaryUnclear { .. })));
    let ahead = std::time::SystemTime::now() + Duration::from_secs(60);
    let ahead = NewKey::new(Secret::from(secret(1))).signs_from(ahead);
    let ahead = builder().primary(Secret::from(secret(0))).fallback(ahead);
    assert!(matches!(ahead.build(), Err(Error::PrimaryUnclear { .. })));

    let mut five = builder().primary(Secret::from(secret(0)));
    for seed in 1..=4 {
        five = five.fallback(Secret::from(secret(seed)));
    }
    assert!(matches!(five.build(), Err(Error::TooManyKeys { count: 5, max_live_keys: 4, .. })));
    let four = ring::<CookieKey>(3);
    let error = four.stage(Secret::from(secret(9))).unwrap_err();
    assert!(matches!(error, Error::TooManyKeys { .. }), "{error}");
    assert_eq!(four.load().generation(), 1);
}

#[test]
fn kids_and_aliases_are_there_once() {
    for kid in ["a\nb", "a\u{7f}", "", "a.b", "k\u{2028}"] {
        assert!(matches!(Kid::new(kid), Err(ParseKidError { .. })), "{kid:?}");
    }
    let ring = |primary: NewKey<JwtKey>, fallback: NewKey<JwtKey>| {
        KeyRing::builder().primary(primary).fallback(fallback).build()
    };
    let alias = |kid: &str| kid.parse::<Kid>().unwrap();
    for (primary, fallback) in [
        (key(0, "a"), key(1, "a")),
        (key(0, "a").alias(alias("b")), key(1, "b")),
        (key(0, "a"), key(1, "b").alias(alias("a"))),
        (key(0, "a").alias(alias("c")), key(1, "b").alias(alias("c"))),
        (key(0, "a").alias(alias("a")), key(1, "b")),
    ] {
        assert!(matches!(ring(primary, fallback), Err(Error::DuplicateKid { .. })));
    }
}

#[test]
fn transitions_that_cannot_be_are_refused_and_change_nothing() {
    let clock = ManualClock::at_unix(1_700_000_000);
    let ring =
        KeyRing::<CookieKey>::builder().primary(key(0, "a")).clock(clock.clone()).build().unwrap();
    let kid = |name: &str| name.parse::<Kid>().unwrap();
    assert!(matches!(ring.promote(&kid("x")), Err(Error::UnknownKey { .. })));
    assert!(matches!(ring.retire(&kid("x")), Err(Error::UnknownKey { .. })));
    assert!(matches!(ring.revoke(&kid("x"), "y"), Err(Error::UnknownKey { .. })));
    assert!(matches!(ring.retire(&kid("a")), Err(Error::IsPrimary { .. })));
    assert!(matches!(ring.rollback(), Err(Error::NothingToRollBack { .. })));
    assert!(matches!(ring.revoke(&kid("a"), "leaked"), Err(Error::NoPrimary { .. })));
    let past = key(1, "b").signs_from(std::time::UNIX_EPOCH);
    assert!(matches!(ring.stage(past), Err(Error::NotAhead { .. })));
    let ends = key(1, "b").retire_at(std::time::UNIX_EPOCH + Duration::from_secs(u32::MAX.into()));
    assert!(matches!(ring.stage(ends), Err(Error::EndsWhileItSigns { .. })));
    assert_eq!(ring.load().generation(), 1);

    // A moment ahead at which nothing would sign: the old key has an end, because the
    // scheduled one takes over; so the scheduled one cannot be revoked after that end.
    ring.stage(key(1, "b")).unwrap();
    ring.promote(&kid("b")).unwrap();
    clock.advance(ring.overlap());
    ring.retire(&kid("a")).unwrap();
    assert!(matches!(ring.promote(&kid("a")), Err(Error::Expired { .. })));
    assert!(matches!(ring.revoke(&kid("b"), "leaked"), Err(Error::NoPrimary { .. })));
    let c = ring.emergency_rotate(&kid("b"), "leaked", key(2, "c")).unwrap();
    assert_eq!((ring.primary().unwrap(), c), (kid("c"), kid("c")));
    assert!(matches!(ring.promote(&kid("b")), Err(Error::Revoked { .. })));
}

#[test]
fn tokens_of_every_wrong_form_are_refused() {
    let ring = KeyRing::<JwtKey>::builder()
        .primary(key(0, "a").alias("issuer-7".parse().unwrap()))
        .fallback(key(1, "b"))
        .build()
        .unwrap();
    let jwt = Jwt::new(ring);
    let reason = |token: &str| jwt.verify::<Value>(token).map(|_| ()).map_err(|e| e.reason());
    let token = |header: &str| forge(secret(0).as_bytes(), header, br#"{"exp":4102444800}"#);
    let good = token(r#"{"alg":"HS256"}"#);
    assert_eq!(reason(&good), Ok(()));

    let parts: Vec<&str> = good.split('.').collect();
    assert_eq!(reason(&parts[..2].join(".")), Err(Reason::Malformed));
    assert_eq!(reason(&format!("{good}.{}", parts[2])), Err(Reason::Malformed));
    assert_eq!(reason(""), Err(Reason::Malformed));
    assert_eq!(reason(&"a".repeat(1 << 20)), Err(Reason::TooLarge));
    assert_eq!(
        reason(&format!("{}.{}.{}", parts[0], "A".repeat(1 << 20), parts[2])),
        Err(Reason::TooLarge)
    );

    for none in ["none", "None", "NONE", "nOnE", "none ", "\\u006eone", ""] {
        let header = format!(r#"{{"alg":"{none}","typ":"JWT"}}"#);
        assert_eq!(reason(&token(&header)), Err(Reason::Algorithm), "{none}");
        let unsigned = token(&header).rsplit_once('.').unwrap().0.to_owned() + ".";
        assert!(reason(&unsigned).is_err(), "{none}");
    }
    for header in [
        r#"{"alg":"HS256","crit":["exp"]}"#,
        r#"{"alg":"HS256","crit":[]}"#,
        r#"{"alg":"HS256","crit":["b64"],"b64":false}"#,
        r#"{"alg":"HS256","b64":false}"#,
    ] {
        assert_eq!(reason(&token(header)), Err(Reason::UnsupportedHeader), "{header}");
    }
    // One text for one token: padding, stray bits, blanks and the other alphabet.
    assert_eq!(reason(&format!("{good}=")), Err(Reason::Malformed));
    assert_eq!(reason(&format!("{good} ")), Err(Reason::Malformed));
    assert_eq!(reason(&format!("{good}\n")), Err(Reason::Malformed));
    let last = good.chars().last().unwrap();
    let digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let next = digits.chars().nth(digits.find(last).unwrap() ^ 1).unwrap();
    assert_eq!(reason(&format!("{}{next}", &good[..good.len() - 1])), Err(Reason::Malformed));

    assert_eq!(reason(&token(r#"{"alg":"HS256","kid":"unknown"}"#)), Err(Reason::UnknownKid));
    assert_eq!(reason(&token(r#"{"alg":"HS256","kid":"issuer-7"}"#)), Ok(()));
    assert_eq!(reason(&token(r#"{"alg":"HS256","kid":"b"}"#)), Err(Reason::Signature));
}

#[test]
fn cookies_of_every_wrong_form_are_refused() {
    let clock = ManualClock::at_unix(1_700_000_000);
    let ring =
        KeyRing::<CookieKey>::builder().primary(key(0, "a")).clock(clock.clone()).build().unwrap();
    let signer = CookieSigner::new(ring.clone());
    let reason =
        |name: &str, value: &str| signer.verify(name, value).map(|_| ()).map_err(|e| e.reason());
    let good = signer.sign("session", "a value; with = odd, \"characters\" 🦀").unwrap();
    assert!(
        good.bytes().all(|byte| byte.is_ascii_graphic() && !b"\",;\\".contains(&byte)),
        "{good}"
    );
    assert_eq!(reason("session", &good), Ok(()));
    assert_eq!(reason("Session", &good), Err(Reason::Signature));
    assert_eq!(reason("other", &good), Err(Reason::Signature));
    for cut in 1..44 {
        assert_eq!(reason("session", &good[..good.len() - cut]), Err(Reason::Malformed), "{cut}");
    }
    assert_eq!(reason("session", &"x".repeat(10 * 1024)), Err(Reason::TooLarge));
    let big = signer.sign("session", &"x".repeat(10 * 1024));
    assert!(matches!(big, Err(Error::Sign { .. })));

    let parts: Vec<&str> = good.rsplitn(4, '.').collect();
    let [mac, issued, kid, value] = parts[..] else { unreachable!() };
    for (changed, expected) in [
        (format!("{value}.{kid}.0{issued}.{mac}"), Reason::Malformed),
        (format!("{value}.{kid}.+{issued}.{mac}"), Reason::Malformed),
        (format!("{value}.{kid}..{mac}"), Reason::Malformed),
        (format!("{value}.{kid}.{}.{mac}", u64::MAX), Reason::Signature),
        (format!("{value}.{kid}.99999999999999999999.{mac}"), Reason::Malformed),
        (format!("{value}.unknown.{issued}.{mac}"), Reason::UnknownKid),
        (format!("{value}.{kid}.1700000001.{mac}"), Reason::Signature),
        // Parts that together are the same text are not the same parts.
        (format!("{value}{kid}.{kid}.{issued}.{mac}"), Reason::Signature),
        (format!("x{value}.{kid}.{issued}.{mac}"), Reason::Signature),
        (format!(".{kid}.{issued}.{mac}"), Reason::Signature),
        (mac.to_owned(), Reason::Malformed),
        (String::new(), Reason::Malformed),
    ] {
        assert_eq!(reason("session", &changed), Err(expected), "{changed}");
    }

    // Age: to the second, and never from further ahead than the skew.
    clock.advance(ring.policy().max_lifetime - Duration::from_secs(1));
    assert_eq!(reason("session", &good), Ok(()));
    clock.advance(Duration::from_secs(1));
    assert_eq!(reason("session", &good), Err(Reason::Expired));
    clock.set(std::time::UNIX_EPOCH + Duration::from_secs(1_700_000_000) - ring.policy().skew);
    assert_eq!(reason("session", &good), Ok(()));
    clock.set(std::time::UNIX_EPOCH + Duration::from_secs(1_699_999_999) - ring.policy().skew);
    assert_eq!(reason("session", &good), Err(Reason::NotYetValid));

    let mut jar = CookieJar::new();
    jar.add_original(Cookie::new("session", "not signed"));
    assert_eq!(signer.jar(&mut jar).get("session").unwrap_err().reason(), Reason::Malformed);
    assert_eq!(signer.jar(&mut jar).get("other").unwrap_err().reason(), Reason::Missing);
    assert_eq!(jar.delta().count(), 0);
}

#[test]
fn webhook_headers_of_every_wrong_form_are_refused() {
    let hook = WebhookVerifier::new(ring::<WebhookKey>(1));
    let body = b"{}";
    let tag = dualkey::mac::HmacSha256::new(secret(0).as_bytes()).mac(body);
    let hex: String = tag.iter().map(|byte| format!("{byte:02x}")).collect();
    let good = format!("sha256={hex}");
    let reason = |headers: &[&str]| hook.verify(headers, body).map(|_| ()).map_err(|e| e.reason());
    assert_eq!(reason(&[&good]), Ok(()));
    assert_eq!(reason(&[]), Err(Reason::Missing));
    assert_eq!(reason(&[&good, &good]), Err(Reason::Repeated));
    for bad in [
        format!("SHA256={hex}"),
        format!("sha256={}", &hex[..63]),
        format!("sha256={hex}0"),
        format!("sha1={}", &hex[..40]),
        format!("sha1={hex}"),
        format!("sha256={}", hex.to_uppercase().replace(|c: char| c.is_ascii_digit(), "A")),
        hex.clone(),
        format!("sha256= {}", &hex[1..]),
        format!("{good}\n"),
        String::new(),
    ] {
        assert_eq!(reason(&[&bad]), Err(Reason::Malformed), "{bad}");
    }
    let zeros = format!("sha256={}", "0".repeat(64));
    assert_eq!(reason(&[&zeros]), Err(Reason::Signature));
    assert_eq!(hook.verify([[0xff_u8; 71]], body).unwrap_err().reason(), Reason::Malformed);
}

#[test]
fn handshakes_of_every_wrong_form_are_refused() {
    let tokens = KeyRing::<VerifyToken>::builder()
        .primary(Secret::from("hV3-dashboard-token"))
        .fallback(Secret::from("the-one-of-last-year"))
        .build()
        .unwrap();
    let hook = WebhookVerifier::new(ring::<WebhookKey>(0));
    let query = "hub.mode=subscribe&hub.challenge=115&hub.verify_token=the-one-of-last-year";
    assert_eq!(hook.handshake(query).unwrap_err().reason(), Reason::Missing);
    let hook = hook.verify_tokens(tokens);
    let reason = |query: &str| hook.handshake(query).map(|_| ()).map_err(|e| e.reason());
    let answer = hook.handshake(query).unwrap();
    assert_eq!((answer.as_str(), answer.kid().as_str()), ("115", "verify-token-2"));
    assert!(answer.needs_resign());
    let escaped =
        "hub.mode=subscribe&hub.challenge=%3Cb%3E+1&hub.verify_token=hV3%2ddashboard-token";
    assert_eq!(*hook.handshake(escaped).unwrap(), "<b> 1");
    for (query, expected) in [
        ("", Reason::Missing),
        ("hub.mode=subscribe&hub.challenge=1", Reason::Missing),
        ("hub.mode=subscribe&hub.verify_token=hV3-dashboard-token", Reason::Missing),
        (
            "hub.mode=unsubscribe&hub.challenge=1&hub.verify_token=hV3-dashboard-token",
            Reason::Malformed,
        ),
        (
            "hub.mode=subscribe&hub.challenge=1&hub.verify_token=hV3-dashboard-toke",
            Reason::Signature,
        ),
        ("hub.mode=subscribe&hub.challenge=1&hub.verify_token=", Reason::Signature),
        (
            "hub_mode=subscribe&hub_challenge=1&hub_verify_token=hV3-dashboard-token",
            Reason::Missing,
        ),
        (
            "hub.mode=subscribe&hub.challenge=1&hub.verify_token=x&hub.verify_token=hV3-dashboard-token",
            Reason::Repeated,
        ),
    ] {
        assert_eq!(reason(query), Err(expected), "{query}");
    }
    assert_eq!(reason(&"x".repeat(5000)), Err(Reason::TooLarge));
}

#[test]
fn legacy_cookies_have_a_typed_outcome() {
    let clock = ManualClock::at_unix(1_700_000_000);
    let old = "old-secret-2025-Nf0Vg6Jc3Ds8Pw1Ra4Tb7Yx2Zq9Ml5Ki";
    let ring = KeyRing::<CookieKey>::builder()
        .min_secret_bytes(32)
        .clock(clock.clone())
        .primary(NewKey::new(Secret::from(old)))
        .build()
        .unwrap();
    let good = "s%3Ahello.jbqmU5IuVEsCRNx6k0jF3uhNAMmpoEHTTE4uZHJATd8";
    let bad = "s%3Ahello.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let jar = format!("{}=hello", "A".repeat(43));
    let until = clock.now() + Duration::from_secs(60);
    let plain = CookieSigner::new(ring.clone());
    let express = plain.clone().accept_legacy(LegacyCookie::Express, until);
    let reason = |signer: &CookieSigner, value: &str| {
        signer.verify("sid", value).map(drop).map_err(|error| error.reason())
    };
    for value in [good, bad, "s:hello.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", &jar] {
        assert_eq!(reason(&plain, value), Err(Reason::LegacyNotAccepted), "{value}");
    }
    assert_eq!(reason(&express, &jar), Err(Reason::LegacyNotAccepted));
    assert_eq!(reason(&express, good), Ok(()));
    assert_eq!(reason(&express, bad), Err(Reason::Signature));
    for value in ["", "s:", "s%3A", "s:.", "s:hello", "hello", "s%3", "%", "%ff%fe", "s:hello.AAAA"]
    {
        assert_eq!(reason(&express, value), Err(Reason::Malformed), "{value}");
    }
    let large = format!("s%3A{}.{}", "x".repeat(5000), "A".repeat(43));
    assert_eq!(reason(&express, &large), Err(Reason::TooLarge));
    // A secret that is too short for the `cookie` crate signs no `SignedJar`.
    let signed_jar = plain.clone().accept_legacy(LegacyCookie::SignedJar, until);
    let tag = dualkey::mac::HmacSha256::new(&old.as_bytes()[..32]).mac(b"hello");
    let of_half = format!("{}hello", crate::support::base64::encode(&tag));
    for value in [&jar, &of_half] {
        assert_eq!(reason(&signed_jar, value), Err(Reason::Signature), "{value}");
    }
    // A native value that does not verify is refused as one, whatever else is on.
    let native = plain.sign("sid", "hello").unwrap();
    assert_eq!(reason(&express, &format!("x{native}")), Err(Reason::Signature));
    // One that looks like a signed one of express is a native one all the same.
    let native = plain.sign("sid", "s:hello.x").unwrap();
    assert_eq!(reason(&express, &native), Ok(()));

    // One name many times: the first that verifies counts, and of nine none.
    let header = |values: &[&str]| {
        let pairs: Vec<_> = values.iter().map(|value| format!("sid={value}")).collect();
        let header = pairs.join("; ");
        express.verify_header("sid", [header]).map(drop).map_err(|error| error.reason())
    };
    assert_eq!(header(&[good, bad, bad]), Ok(()));
    assert_eq!(header(&[bad, good, good]), Ok(()));
    assert_eq!(header(&["", good]), Ok(()));
    assert_eq!(header(&[bad, "", bad]), Err(Reason::Signature));
    let many = vec![bad; 10_000];
    assert_eq!(header(&many), Err(Reason::Repeated));
    let split = [format!("sid={good}"), format!("sid={bad}")];
    assert!(express.verify_header("sid", &split).is_ok());
    let missing: [&str; 0] = [];
    let error = express.verify_header("sid", missing).unwrap_err();
    assert_eq!(error.reason(), Reason::Missing);
    let error = express.verify_header("sid", [b"sid=\xff"]).unwrap_err();
    assert_eq!(error.reason(), Reason::Malformed);

    // At its date it is over.
    clock.advance(Duration::from_secs(59));
    assert_eq!(reason(&express, good), Ok(()));
    clock.advance(Duration::from_secs(1));
    assert_eq!(reason(&express, good), Err(Reason::LegacyEnded));
    assert_eq!(reason(&express, bad), Err(Reason::LegacyEnded));
    // The last date that was given counts.
    let longer = express.accept_legacy(LegacyCookie::Express, crate::support::far());
    assert_eq!(reason(&longer, good), Ok(()));
    assert_eq!(
        reason(&longer.accept_legacy(LegacyCookie::Express, until), good),
        Err(Reason::LegacyEnded)
    );
}

#[test]
fn a_jar_brings_legacy_cookies_back_native() {
    let old = "old-secret-2025-Nf0Vg6Jc3Ds8Pw1Ra4Tb7Yx2Zq9Ml5Ki";
    let ring = KeyRing::<CookieKey>::builder()
        .primary(key(0, "new"))
        .fallback(NewKey::new(Secret::from(old)))
        .allow_short_fallbacks()
        .build()
        .unwrap();
    let signer =
        CookieSigner::new(ring).accept_legacy(LegacyCookie::Express, crate::support::far());
    let value = "s%3Ahello.jbqmU5IuVEsCRNx6k0jF3uhNAMmpoEHTTE4uZHJATd8";
    // As a header is split with and without the percent-decoding.
    for cookie in [
        Cookie::parse(format!("sid={value}")).unwrap(),
        Cookie::parse_encoded(format!("sid={value}")).unwrap(),
    ] {
        let mut jar = CookieJar::new();
        jar.add_original(cookie.into_owned());
        assert_eq!(signer.jar(&mut jar).get("sid").unwrap().value(), "hello");
        let set: Vec<_> = jar.delta().map(|cookie| cookie.value().to_owned()).collect();
        assert_eq!(set.len(), 1);
        assert_eq!(signer.verify("sid", &set[0]).unwrap().kid(), "new".parse::<Kid>().unwrap());
    }
}
