use std::time::Duration;

use crate::lifecycle::Role;
use proptest::prelude::*;

use super::*;
use crate::clock::ManualClock;
use crate::error::Reason;
use crate::mac::HmacSha256;
use crate::ring::KeyRing;
use crate::ring::NewKey;
use crate::secret::Secret;

const SECRET: &str = "kH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eUkH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eU";
const OTHER: &str = "Nf0Vg6Jc3Ds8Pw1Ra4Tb7Yx2Zq9Ml5KiNf0Vg6Jc3Ds8Pw1Ra4Tb7Yx2Zq9Ml5Ki";

fn key(secret: &str, kid: &str) -> NewKey<CookieKey> {
    NewKey::new(Secret::from(secret)).kid(kid.parse().unwrap())
}

fn signer(clock: &ManualClock) -> CookieSigner {
    let ring = KeyRing::builder().primary(key(SECRET, "a")).clock(clock.clone()).build().unwrap();
    CookieSigner::new(ring)
}

/// Frozen: computed by Python's `hmac` from the layout in the module's documentation.
#[test]
fn the_native_format_is_that_of_the_test_vector() {
    let clock = ManualClock::at_unix(1_700_000_000);
    let value = signer(&clock).sign("session", "user 42;é").unwrap();
    assert_eq!(
        value,
        "user%2042%3B%C3%A9.a.1700000000.aUa0q335gU9m-aQ8rrVg8C5lrbSyF0DTtJzxoWfHW4w"
    );
}

#[test]
fn signing_again_keeps_the_time_of_the_first_issue() {
    let clock = ManualClock::at_unix(1_700_000_000);
    let signer = signer(&clock);
    let first = signer.sign("session", "user-42").unwrap();
    signer.ring().stage(key(OTHER, "b")).unwrap();
    signer.ring().promote(&"b".parse().unwrap()).unwrap();

    clock.advance(Duration::from_secs(60));
    let (verified, again) = signer.verify_and_resign("session", &first).unwrap();
    let again = again.unwrap();
    assert_eq!((verified.as_str(), verified.needs_resign()), ("user-42", true));
    assert!(again.starts_with("user-42.b.1700000000."), "{again}");
    // What came back is under the primary, and stays as it is.
    let (verified, none) = signer.verify_and_resign("session", &again).unwrap();
    assert_eq!((verified.role(), none), (Role::Primary, None));

    clock.advance(signer.ring().policy().max_lifetime - Duration::from_secs(60));
    let error = signer.verify("session", &again).unwrap_err();
    assert_eq!(error.reason(), Reason::Expired);
}

#[test]
fn a_cookie_of_a_staged_key_is_not_signed_back() {
    let clock = ManualClock::at_unix(1_700_000_000);
    let (here, there) = (signer(&clock), signer(&clock));
    for signer in [&here, &there] {
        signer.ring().stage(key(OTHER, "b")).unwrap();
    }
    there.ring().promote(&"b".parse().unwrap()).unwrap();
    let newer = there.sign("session", "user-42").unwrap();
    let (verified, again) = here.verify_and_resign("session", &newer).unwrap();
    assert_eq!((verified.role(), again), (Role::Staged, None));
}

#[test]
fn a_jar_signs_verifies_and_rotates_with_the_attributes_of_the_signer() {
    let clock = ManualClock::at_unix(1_700_000_000);
    let signer = signer(&clock).attributes(Cookie::build("").path("/app").secure(true));
    let mut jar = CookieJar::new();
    signer.jar(&mut jar).add(Cookie::build(("session", "a b")).http_only(true)).unwrap();
    let sent = jar.get("session").unwrap().clone();
    assert_eq!(sent.http_only(), Some(true));

    signer.ring().stage(key(OTHER, "b")).unwrap();
    signer.ring().promote(&"b".parse().unwrap()).unwrap();
    let mut jar = CookieJar::new();
    // As frameworks read a request: whole, percent-encoded.
    let header = sent.encoded().stripped().to_string();
    jar.add_original(Cookie::parse_encoded(header).unwrap());
    assert_eq!(signer.jar(&mut jar).get("session").unwrap().value(), "a b");
    let again = jar.delta().next().unwrap();
    assert_eq!((again.path(), again.secure(), again.http_only()), (Some("/app"), Some(true), None));
    assert_eq!(*signer.verify("session", again.value()).unwrap(), "a b");
    signer.jar(&mut jar).remove(Cookie::build("session").path("/app"));
    assert!(jar.get("session").is_none());
}

/// V3: whichever key it names, and although the form is checked beside the MAC.
#[test]
fn a_malformed_cookie_is_malformed_under_a_known_and_under_an_unknown_key() {
    let signer = signer(&ManualClock::at_unix(1_700_000_000));
    let reason = |value: &str| signer.verify("session", value).unwrap_err().reason();
    let good = signer.sign("session", "v").unwrap();
    let (mac, other) = (&good[good.len() - 43..], "A".repeat(43));
    // The last character of 43 holds four bits: others of its alphabet are stray ones.
    let stray = format!("{}B", "A".repeat(42));
    assert_eq!(good, format!("v.a.1700000000.{mac}"));
    for (kid, whole) in [("a", Reason::Signature), ("b", Reason::UnknownKid)] {
        assert_eq!(reason(&format!("v.{kid}.1700000000.{other}")), whole);
        let numbers = ["", "0170000000", "+170000000", "-1", "1e9", " 1", "99999999999999999999"];
        for number in numbers {
            assert_eq!(reason(&format!("v.{kid}.{number}.{other}")), Reason::Malformed, "{number}");
        }
        for mac in [&stray, "é", &format!("{}=", &other[1..]), &format!("{}+", &other[1..])] {
            assert_eq!(reason(&format!("v.{kid}.1700000000.{mac}")), Reason::Malformed, "{mac}");
        }
    }
}

/// A server that signs what its users choose gives away a MAC of any text under the secret:
/// none of them is the native key.
#[test]
fn never_true_under_a_key_that_a_legacy_signature_gives_away() {
    let signer = signer(&ManualClock::at_unix(1_700_000_000));
    for label in ["dualkey cookie v1", "dualkey cookie v1\0", "dualkey kid v1\0cookie"] {
        let given_away = HmacSha256::new(&HmacSha256::new(SECRET.as_bytes()).mac(label.as_bytes()));
        let forged =
            format::sign(&given_away, "session", "admin", "a".parse().unwrap(), 1_700_000_000);
        assert_eq!(signer.verify("session", &forged).unwrap_err().reason(), Reason::Signature);
    }
}

/// A cookie of a legacy form names no key.
#[test]
fn v5_all_keys_are_tried_wherever_the_match_is() {
    use crate::encoding::BASE64;
    use crate::mac::count::assert_tries_all;
    let forms = [LegacyCookie::Express, LegacyCookie::SignedJar, LegacyCookie::SignedJarDerived];
    for (form, keys) in forms.into_iter().flat_map(|form| (1..=4).map(move |keys| (form, keys))) {
        let secret = |place: usize| format!("{place}{SECRET}");
        let key = |place| key(&secret(place), &format!("k{place}"));
        let builder = KeyRing::builder().primary(key(0));
        let ring = (1..keys).fold(builder, |builder, place| builder.fallback(key(place)));
        let clock = ManualClock::at_unix(1_700_000_000);
        let signer = CookieSigner::new(ring.clock(clock).build().unwrap());
        let until = std::time::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let signer = signer.accept_legacy(form, until);
        let cookies = (0..=keys).map(|place| {
            let keys = legacy::LegacyKeys::new(secret(place).as_bytes());
            let tag = BASE64.encode_to_string(keys.key(form).unwrap().mac(b"user-42"));
            match form {
                LegacyCookie::Express => format!("s:user-42.{tag}"),
                _ => format!("{tag}=user-42"),
            }
        });
        let cookies: Vec<_> = cookies.collect();
        assert_tries_all(keys, 1, |place| {
            signer.verify("session", &cookies[place.unwrap_or(keys)]).is_ok()
        });
    }
}

proptest! {
    #[test]
    fn every_value_comes_back_and_only_under_its_name(name in "[!-~]{1,20}", other in "[!-~]{1,20}", value in any::<String>()) {
        prop_assume!(name != other);
        let signer = signer(&ManualClock::at_unix(1_700_000_000));
        let signed = signer.sign(&name, &value).unwrap();
        prop_assert_eq!(&*signer.verify(&name, &signed).unwrap(), &value);
        prop_assert!(signer.verify(&other, &signed).is_err());
        // RFC 6265 §4.1.1: what may stand in a cookie.
        prop_assert!(signed.bytes().all(|byte| byte.is_ascii_graphic() && !b"\",;\\".contains(&byte)));
    }

    #[test]
    fn never_true_with_one_character_changed(value in any::<String>(), place in any::<prop::sample::Index>(), to in any::<char>()) {
        let signer = signer(&ManualClock::at_unix(1_700_000_000));
        let signed = signer.sign("session", &value).unwrap();
        let mut changed: Vec<char> = signed.chars().collect();
        let place = place.index(changed.len());
        prop_assume!(changed[place] != to);
        changed[place] = to;
        let changed: String = changed.into_iter().collect();
        prop_assert!(signer.verify("session", &changed).is_err());
    }

    #[test]
    fn never_true_under_another_secret_or_a_foreign_signature(value in "[a-z]{0,30}") {
        let clock = ManualClock::at_unix(1_700_000_000);
        let signer = signer(&clock);
        let ring = KeyRing::builder().primary(key(OTHER, "a")).clock(clock).build().unwrap();
        let stranger = CookieSigner::new(ring).sign("session", &value).unwrap();
        prop_assert!(signer.verify("session", &stranger).is_err());
        // The secret itself is not the key of the MAC.
        let parts = format!("{value}.a.1700000000");
        let raw = HmacSha256::new(SECRET.as_bytes());
        let mut mac = crate::mac::Lanes::new(&[&raw]);
        for part in ["session", &value, "a", "1700000000"] {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part.as_bytes());
        }
        let tag = crate::mac::lanes::bytes(&mac.finish().first());
        let text = crate::encoding::BASE64URL.encode_to_string(tag);
        let forged = format!("{parts}.{text}");
        prop_assert!(signer.verify("session", &forged).is_err());
    }
}
