//! Cookies that `cookie-signature`, a live express-session server and the `cookie` crate
//! signed, and `Cookie` headers as cookie-parser reads them.

use std::time::{Duration, UNIX_EPOCH};

use dualkey::cookie::{CookieKey, CookieSigner, LegacyCookie};
use dualkey::{KeyRing, ManualClock, NewKey, Reason, Role, Secret};
use proptest::prelude::*;
use serde_json::Value;

use crate::support::far;

const NOW: u64 = 1_763_880_000;

fn file(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn signer(secrets: &[Secret], form: LegacyCookie) -> CookieSigner {
    let mut builder = KeyRing::<CookieKey>::builder()
        .min_secret_bytes(32)
        .clock(ManualClock::at_unix(NOW))
        .primary(NewKey::new(secrets[0].clone()));
    for secret in &secrets[1..] {
        builder = builder.fallback(NewKey::new(secret.clone()));
    }
    CookieSigner::new(builder.build().unwrap()).accept_legacy(form, far())
}

fn secret(value: &Value) -> Secret {
    Secret::from(value.as_str().unwrap())
}

/// Accepted, and native under the primary when it comes back, with its value as it was.
fn resign_as_native(signer: &CookieSigner, value: &str, expected: &str) -> Role {
    let (verified, again) =
        signer.verify_and_resign("sid", value).unwrap_or_else(|error| panic!("{value}: {error:?}"));
    assert_eq!(*verified, expected);
    assert!(verified.needs_resign());
    let native = again.unwrap();
    let (verified_again, again) = signer.verify_and_resign("sid", &native).unwrap();
    assert_eq!((&**verified_again, again), (expected, None));
    assert_eq!(verified_again.kid(), signer.ring().primary().unwrap());
    verified.role()
}

#[test]
fn interop_cookies_of_cookie_signature_have_the_expected_verdict() {
    let file = file(include_str!("../vectors/interop_node_cookies.json"));
    let (mut accepted, mut refused) = (0, 0);
    for vector in file["vectors"].as_array().unwrap() {
        let name = vector["name"].as_str().unwrap();
        let secrets = [secret(&vector["secrets"]["new"]), secret(&vector["secrets"]["old"])];
        let signer = signer(&secrets, LegacyCookie::Express);
        // Percent-encoded, and not.
        for value in ["cookie_value_encoded", "cookie_value_decoded"] {
            let value = vector[value].as_str().unwrap();
            match vector["expected"].as_str().unwrap() {
                "accept" => {
                    let plain = vector["value"].as_str().unwrap();
                    let role = match vector["matched_key"].as_str().unwrap() {
                        "primary" => Role::Primary,
                        _ => Role::Fallback,
                    };
                    assert_eq!(resign_as_native(&signer, value, plain), role, "{name}");
                    accepted += 1;
                }
                _ => {
                    assert!(signer.verify("sid", value).is_err(), "{name}: {value:?}");
                    refused += 1;
                }
            }
            // A form that is not on is not read.
            let ring = signer.ring().clone();
            assert!(CookieSigner::new(ring).verify("sid", value).is_err(), "{name}");
        }
    }
    let left_out =
        ["keygrip", "keygrip_sha256_hex"].map(|name| file[name].as_array().unwrap().len());
    println!(
        "cookie-signature, each percent-encoded and not: {accepted} accepted, {refused} refused; \
         left out, because they are another scheme: {} of keygrip",
        left_out.iter().sum::<usize>(),
    );
    assert_eq!((accepted, refused), (69 * 2, 159 * 2));
}

#[test]
fn interop_cookie_headers_are_read_as_cookie_parser_does() {
    let file = file(include_str!("../vectors/interop_node_cookies.json"));
    let (mut accepted, mut refused, mut otherwise) = (0, 0, 0);
    for vector in file["cookie_parser_headers"].as_array().unwrap() {
        let name = vector["name"].as_str().unwrap();
        let secrets: Vec<_> = vector["secrets"].as_array().unwrap().iter().map(secret).collect();
        let signer = signer(&secrets, LegacyCookie::Express);
        let header = vector["cookie_header"].as_str().unwrap();
        let signed = vector["observed_signedCookies"].as_object().unwrap();
        let names = ["sid", "admin", "__Host-sid", "a", "b"];
        for cookie in names {
            let verdict =
                signer.verify_header(cookie, [header]).map(|(value, _)| value.into_inner());
            // cookie-parser takes the first of a name, here the first that verifies counts.
            if (name, cookie) == ("duplicate, bad first", "sid") {
                assert_eq!(verdict.unwrap(), "hello");
                otherwise += 1;
                continue;
            }
            match signed.get(cookie) {
                None | Some(Value::Bool(false)) => {
                    let reason = verdict.unwrap_err().reason();
                    let is_there = vector["observed_cookies"].get(cookie).is_some()
                        || signed.get(cookie).is_some();
                    assert_eq!(reason == Reason::Missing, !is_there, "{name}: {cookie} {reason}");
                    refused += 1;
                }
                Some(Value::String(value)) => {
                    assert_eq!(verdict.unwrap(), *value, "{name}");
                    accepted += 1;
                }
                // cookie-parser goes on to parse what begins with `j:` as JSON.
                Some(json) => {
                    let value = verdict.unwrap();
                    let parsed: Value =
                        serde_json::from_str(value.strip_prefix("j:").unwrap()).unwrap();
                    assert_eq!(parsed, *json, "{name}");
                    accepted += 1;
                }
            }
        }
    }
    println!(
        "cookie-parser: in 16 headers, {accepted} signed cookies accepted, {refused} not; \
         {otherwise} accepted here alone, behind another of its name"
    );
    assert_eq!((accepted, refused, otherwise), (11, 68, 1));
}

#[test]
fn interop_sessions_of_express_are_resumed_by_whom_express_resumes_them() {
    let file = file(include_str!("../vectors/interop_express_session.json"));
    let signers: Vec<_> = file["servers"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(server, secrets)| {
            let secrets: Vec<_> = match secrets {
                Value::Array(secrets) => secrets.iter().map(secret).collect(),
                one => vec![secret(one)],
            };
            (server, signer(&secrets, LegacyCookie::Express))
        })
        .collect();
    let (mut resumed, mut refused) = (0, 0);
    for vector in file["vectors"].as_array().unwrap() {
        let (value, sid) =
            (vector["cookie_value_encoded"].as_str().unwrap(), vector["sid"].as_str().unwrap());
        for (server, signer) in &signers {
            if vector["observed"][server]["resumed"] == true {
                resign_as_native(signer, value, sid);
                let set_cookie = vector["set_cookie"].as_str().unwrap();
                let header = set_cookie.split(';').next().unwrap();
                assert!(signer.verify_header("connect.sid", [header]).is_ok());
                resumed += 1;
            } else {
                assert!(signer.verify("connect.sid", value).is_err(), "{server} {value}");
                refused += 1;
            }
        }
    }
    let both = &signers.iter().find(|(server, _)| *server == "both").unwrap().1;
    let (mut accepted_odd, mut refused_odd) = (0, 0);
    for vector in file["negative"].as_array().unwrap() {
        let value = vector["cookie_value_encoded"].as_str().unwrap();
        match vector["expected"].as_str().unwrap() {
            "accept" => {
                resign_as_native(both, value, vector["base_sid"].as_str().unwrap());
                accepted_odd += 1;
            }
            _ => {
                assert!(both.verify("connect.sid", value).is_err(), "{}", vector["name"]);
                refused_odd += 1;
            }
        }
    }
    println!(
        "express-session, 18 cookies at {} servers: {resumed} resumed, {refused} refused; changed \
         by hand: {accepted_odd} resumed, {refused_odd} refused",
        signers.len(),
    );
    assert_eq!((resumed + refused, accepted_odd, refused_odd), (18 * 8, 1, 7));
    assert!(resumed >= 80, "{resumed}");
}

#[test]
fn interop_signed_jars_of_the_cookie_crate_have_the_expected_verdict() {
    let file = file(include_str!("../vectors/interop_cookie_rs.json"));
    let key = |name: &Value| {
        let keys = file["keys"].as_array().unwrap();
        let source = &keys.iter().find(|key| key["name"] == *name).unwrap()["source"];
        let bytes = |value: &Value| Secret::from(hex::decode(value.as_str().unwrap()).unwrap());
        if source["from64"].is_null() {
            (LegacyCookie::SignedJarDerived, bytes(&source["derive_from"]))
        } else {
            (LegacyCookie::SignedJar, bytes(&source["from64"]))
        }
    };
    let (mut accepted, mut refused, mut private) = (0, 0, 0);
    for vector in file["vectors"].as_array().unwrap() {
        let (form, secret) = key(&vector["key"]);
        let signer = signer(&[Secret::from(crate::support::secret(0)), secret], form);
        let name = vector["name"].as_str().unwrap();
        let value = vector["cookie_value"].as_str().unwrap();
        let encoded = vector["set_cookie_percent_encoded"].as_str();
        let encoded = encoded.map(|pair| pair.split_once('=').unwrap().1);
        for value in [value].into_iter().chain(encoded) {
            match (vector["jar"].as_str().unwrap(), vector["expected"].as_str().unwrap()) {
                // `PrivateJar` encrypts, and is another form.
                ("private", _) => {
                    assert!(signer.verify(name, value).is_err(), "{vector}");
                    private += 1;
                }
                (_, "accept") => {
                    let plain = vector["plain"].as_str().unwrap_or(&value[44..]);
                    assert_eq!(resign_as_native(&signer, value, plain), Role::Fallback);
                    // Under the other form of the same secret it is not one.
                    let other = match form {
                        LegacyCookie::SignedJar => LegacyCookie::SignedJarDerived,
                        _ => LegacyCookie::SignedJar,
                    };
                    let ring = signer.ring().clone();
                    let other = CookieSigner::new(ring).accept_legacy(other, far());
                    assert!(other.verify(name, value).is_err());
                    accepted += 1;
                }
                _ => {
                    assert!(signer.verify(name, value).is_err(), "{vector}");
                    refused += 1;
                }
            }
        }
    }
    println!(
        "cookie-rs, percent-encoded where that is given too: {accepted} of `SignedJar` accepted, \
         {refused} refused; {private} of `PrivateJar`, all refused"
    );
    assert_eq!((accepted, refused, private), (24 * 3, 48, 48));
}

/// The layout that the chapter "Moving in" names: the name of the cookie is the context.
#[test]
fn interop_private_jars_of_the_cookie_crate_are_opened_by_a_sealer() {
    use dualkey::envelope::{AesKey, Layout, Sealer};
    use dualkey::mac::HmacSha256;
    let file = file(include_str!("../vectors/interop_cookie_rs.json"));
    let bytes = |value: &Value| hex::decode(value.as_str().unwrap()).unwrap();
    let sealers: Vec<_> = file["keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| {
            let source = &key["source"];
            let secret = if source["from64"].is_null() {
                // The second block of the expansion (RFC 5869 §2.3).
                let mac = HmacSha256::new(&bytes(&source["derive_from"]));
                let info = b"COOKIE;SIGNED:HMAC-SHA256;PRIVATE:AEAD-AES-256-GCM";
                let first = mac.mac(&[&info[..], &[1]].concat());
                mac.mac(&[&first[..], info, &[2]].concat()).to_vec()
            } else {
                bytes(&source["from64"])[32..64].to_vec()
            };
            assert_eq!(secret, bytes(&key["encryption_key"]));
            let ring = KeyRing::<AesKey>::builder().primary(Secret::from(secret)).build().unwrap();
            let layout = Layout::BASE64_IV_CT_TAG.context_as_aad();
            (key["name"].clone(), Sealer::new(ring).accept_legacy(layout, far()))
        })
        .collect();
    let (mut opened, mut refused) = (0, 0);
    let vectors = file["vectors"].as_array().unwrap();
    for vector in vectors.iter().filter(|vector| vector["jar"] == "private") {
        let name = vector["name"].as_str().unwrap();
        let value = vector["cookie_value"].as_str().unwrap();
        for (key, sealer) in &sealers {
            let plain = sealer.open(value, name);
            if vector["expected"] == "accept" && vector["key"] == *key {
                assert_eq!(*plain.unwrap(), vector["plain"].as_str().unwrap().as_bytes());
                opened += 1;
            } else {
                assert!(plain.is_err(), "{vector}");
                refused += 1;
            }
        }
    }
    println!("cookie-rs, `PrivateJar` under 3 keys: {opened} opened, {refused} refused");
    assert_eq!((opened, refused), (24, 24 * 2 + 24 * 3));
}

proptest! {
    #![proptest_config(crate::support::cases(256, 20_000))]

    /// The `cookie` crate itself as the reference, in both key forms, any value.
    #[test]
    fn what_signed_jar_signs_is_accepted_and_nothing_else(
        value in any::<String>(),
        derived in any::<bool>(),
        encoded in any::<bool>(),
        place in any::<prop::sample::Index>(),
        to in any::<char>(),
    ) {
        let secret = crate::support::secret(7);
        let (form, key) = if derived {
            (LegacyCookie::SignedJarDerived, cookie::Key::derive_from(secret.as_bytes()))
        } else {
            (LegacyCookie::SignedJar, cookie::Key::from(secret.as_bytes()))
        };
        let mut jar = cookie::CookieJar::new();
        jar.signed_mut(&key).add(cookie::Cookie::new("sid", value.clone()));
        let theirs = jar.get("sid").unwrap();
        let text = if encoded {
            theirs.encoded().stripped().to_string().split_once('=').unwrap().1.to_owned()
        } else {
            theirs.value().to_owned()
        };
        let signer = signer(&[Secret::from(crate::support::secret(8)), Secret::from(secret)], form);
        let signer = signer.max_cookie_bytes(1 << 20);
        prop_assert_eq!(&*signer.verify("sid", &text).unwrap(), &value);

        let mut changed: Vec<char> = theirs.value().chars().collect();
        let place = place.index(changed.len());
        prop_assume!(changed[place] != to);
        changed[place] = to;
        let changed: String = changed.into_iter().collect();
        // A change may be another spelling of the same text.
        let same = percent_encoding::percent_decode_str(&changed).decode_utf8().is_ok_and(|text| text == theirs.value());
        prop_assert!(same || signer.verify("sid", &changed).is_err());
    }
}

#[test]
fn a_legacy_cookie_counts_as_issued_when_it_can_have_been_and_keeps_that() {
    let day = Duration::from_secs(86_400);
    let (start, life) = (UNIX_EPOCH + Duration::from_secs(NOW), 7 * day);
    let clock = ManualClock::new(start);
    let old = "old-secret-2025-Nf0Vg6Jc3Ds8Pw1Ra4Tb7Yx2Zq9Ml5Ki";
    let theirs = "s%3Ahello.jbqmU5IuVEsCRNx6k0jF3uhNAMmpoEHTTE4uZHJATd8";
    let ring = KeyRing::<CookieKey>::builder()
        .min_secret_bytes(32)
        .max_lifetime(life)
        .clock(clock.clone())
        .primary(NewKey::new(Secret::from(crate::support::secret(0))))
        .fallback(NewKey::new(Secret::from(old)))
        .build()
        .unwrap();
    // The last Node server stops in two days; its cookies live for seven.
    let until = start + 2 * day + life;
    let signer = CookieSigner::new(ring.clone()).accept_legacy(LegacyCookie::Express, until);
    let native = |at| {
        clock.set(at);
        signer.verify_and_resign("sid", theirs).map(|(_, again)| again.unwrap())
    };
    let issued = |native: &str| native.rsplit('.').nth(1).unwrap().parse::<u64>().unwrap();
    let seconds = |days: u64| NOW + days * 86_400;

    assert_eq!(issued(&native(start).unwrap()), seconds(0));
    assert_eq!(issued(&native(start + day).unwrap()), seconds(1));
    // After that it does not get younger, however often and late it is shown.
    for days in [2, 3, 8] {
        let native = native(start + days * day).unwrap();
        assert_eq!(issued(&native), seconds(2));
        clock.set(until - Duration::from_secs(1));
        assert!(signer.verify("sid", &native).is_ok());
        clock.set(until);
        assert_eq!(signer.verify("sid", &native).unwrap_err().reason(), Reason::Expired);
    }
    assert_eq!(native(until).unwrap_err().reason(), Reason::LegacyEnded);

    // What came back native keeps its time through the next rotation.
    let first = native(start).unwrap();
    let kid = ring.stage(Secret::from(crate::support::secret(1))).unwrap();
    ring.promote(&kid).unwrap();
    clock.set(start + 3 * day);
    let (_, again) = signer.verify_and_resign("sid", &first).unwrap();
    assert_eq!(issued(&again.unwrap()), seconds(0));
}
