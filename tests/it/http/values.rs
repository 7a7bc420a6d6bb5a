//! Values that need an escape, from each way out to each way in.

use std::time::{Duration, UNIX_EPOCH};

use axum::Router;
use axum::routing::get;
use dualkey::cookie::{Cookie, CookieJar, CookieKey, CookieSigner, LegacyCookie};
use dualkey::http::{SessionCookie, SessionLayer, VerifiedCookie};
use dualkey::mac::HmacSha256;
use dualkey::{KeyRing, ManualClock, NewKey, Secret, Verified};
use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use tower::Layer;

use super::{Answer, Probe, ask, request, text};
use crate::support::secret;

const VALUES: [&str; 36] = [
    "",
    "user-42",
    ";",
    ",",
    " ",
    "a b",
    " a ",
    "\"",
    "\"a\"",
    "'",
    "\\",
    "=",
    "a=b==",
    "%",
    "100%",
    "%41",
    "%20",
    "%2520",
    "%zz",
    "%%",
    "%c3",
    "+",
    "a+b",
    ".",
    "a.b.c.d",
    "a.new.1800000000.x",
    "é",
    "日本",
    "🍪",
    "\0",
    "\r\nSet-Cookie: a=b",
    "\t",
    "\u{7f}",
    "\u{a0}",
    "s:a.b",
    "/:@[]^|(){}<>`#?",
];

/// The characters that `encodeURIComponent` leaves.
const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'!')
    .remove(b'~')
    .remove(b'*')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')');

fn session(kid: &str) -> SessionCookie {
    let key = NewKey::<CookieKey>::new(Secret::from(secret(0))).kid(kid.parse().unwrap());
    let clock = ManualClock::at_unix(1_800_000_000);
    let ring = KeyRing::builder().primary(key).clock(clock).build().unwrap();
    let until = UNIX_EPOCH + Duration::from_secs(1_800_600_000);
    SessionCookie::new(CookieSigner::new(ring).accept_legacy(LegacyCookie::Express, until), "sid")
}

/// The texts that the value may have in a `Cookie` header: as it is issued, and as a framework
/// writes the cookie of a jar, which most of them percent-encode once more.
fn write_texts(session: &SessionCookie, value: &str) -> Vec<String> {
    let issued = session.issue(value).unwrap();
    let issued = issued.to_str().unwrap().split(';').next().unwrap().to_owned();
    let mut jar = CookieJar::new();
    session.signer().jar(&mut jar).add(Cookie::new("sid", value.to_owned())).unwrap();
    let cookie = jar.get("sid").unwrap();
    vec![issued, cookie.stripped().to_string(), cookie.encoded().stripped().to_string()]
}

/// The values that each way in reads of a `Cookie` header.
async fn read(session: &SessionCookie, header: &str) -> Vec<(&'static str, Option<String>)> {
    let signer = session.signer();
    let mut found = Vec::new();
    for (way, header) in [
        ("as it is", header.to_owned()),
        ("in quotes", format!("a=1; {}\"{}\"; b=2", &header[..4], &header[4..])),
    ] {
        let way = |of: &'static str| if way == "as it is" { of } else { "in quotes" };
        let headers = || [(COOKIE, header.clone())];
        let shown = |answer: Answer| (answer.status == 200).then(|| answer.text().to_owned());
        let who = |request: http::Request<http_body_util::Full<bytes::Bytes>>| {
            text(request.extensions().get::<Verified<Cookie<'static>>>().unwrap().value())
        };
        let probe = Probe::default();
        let layer = SessionLayer::new(session.clone()).layer(probe.service(who));
        found.push((way("layer"), shown(ask(layer, request(headers())).await)));
        let me = async |session: VerifiedCookie| session.value().to_owned();
        let app = Router::new().route("/", get(me)).with_state(session.clone());
        let mut asked = request(headers());
        *asked.uri_mut() = "/".parse().unwrap();
        found.push((way("extractor"), shown(ask(app, asked.map(axum::body::Body::new)).await)));
        let all = HeaderMap::from_iter([(COOKIE, HeaderValue::try_from(&header).unwrap())]);
        let verified = session.verify(&all).ok();
        found.push((way("verify of a request"), verified.map(|cookie| cookie.value().to_owned())));
        let verified = signer.verify_header("sid", all.get_all(COOKIE)).ok();
        found.push((way("verify_header"), verified.map(|(cookie, _)| cookie.into_inner())));
    }
    let verified = |value: &str| signer.verify("sid", value).ok().map(Verified::into_inner);
    found.push(("verify", verified(&header[4..])));
    // Frameworks read a header with the `cookie` crate, percent-decoded or not.
    for (way, cookie) in [
        ("a jar", Cookie::parse(header.to_owned()).unwrap()),
        ("a jar, decoded", Cookie::parse_encoded(header.to_owned()).unwrap()),
    ] {
        found.push((way, verified(cookie.value())));
        let again = signer.verify_and_resign("sid", cookie.value()).ok();
        found.push((way, again.map(|(value, _)| value.into_inner())));
        let mut jar = CookieJar::new();
        jar.add_original(cookie);
        let cookie = signer.jar(&mut jar).get("sid").ok();
        found.push((way, cookie.map(|cookie| cookie.value().to_owned())));
    }
    // In quotes, which the `cookie` crate leaves around the value.
    let quoted = format!("{}\"{}\"", &header[..4], &header[4..]);
    found.push(("verify, in quotes", verified(&quoted[4..])));
    for (way, cookie) in [
        ("a jar, in quotes", Cookie::parse(quoted.clone()).unwrap()),
        ("a jar, decoded, in quotes", Cookie::parse_encoded(quoted).unwrap()),
    ] {
        let again = signer.verify_and_resign("sid", cookie.value()).ok();
        found.push((way, again.map(|(value, _)| value.into_inner())));
        let mut jar = CookieJar::new();
        jar.add_original(cookie);
        let cookie = signer.jar(&mut jar).get("sid").ok();
        found.push((way, cookie.map(|cookie| cookie.value().to_owned())));
    }
    found
}

#[tokio::test]
async fn a_value_that_needs_an_escape_verifies_through_every_entry_point() {
    let mut checks = 0;
    for kid in ["new", "a/b:c+d=e@f~g"] {
        let session = session(kid);
        for value in VALUES {
            for header in write_texts(&session, value) {
                for (way, found) in read(&session, &header).await {
                    assert_eq!(found.as_deref(), Some(value), "{way}: {header}");
                    checks += 1;
                }
            }
        }
    }
    println!("{checks} values read");
    assert_eq!(checks, 2 * 36 * 3 * 20);
}

/// Never true of a text that the signer did not write: a change inside an escape is a change.
#[tokio::test]
async fn never_true_of_an_escape_that_was_changed() {
    let session = session("new");
    for value in ["a b", "100%", "%20", "é"] {
        let written = write_texts(&session, value);
        for changed in [
            written[0].replace("%20", "+"),
            written[0].replace("%20", "%2b"),
            written[0].replace("%25", "%26"),
            written[0].replace("%C3", "%c4"),
            written[2].replace("%25", "%2525"),
        ] {
            let is_same = written.contains(&changed);
            for (way, found) in read(&session, &changed).await {
                // A text that is escaped once too often for one is right for another.
                assert!(found.is_none() || found.as_deref() == Some(value), "{way}: {changed}");
                assert!(is_same || !way.contains("verify") || found.is_none(), "{way}: {changed}");
            }
        }
    }
}

#[tokio::test]
async fn a_legacy_value_that_needs_an_escape_verifies_through_every_entry_point() {
    use base64::Engine;
    let session = session("new");
    for value in VALUES {
        let tag = HmacSha256::new(secret(0).as_bytes()).mac(value.as_bytes());
        let tag = base64::engine::general_purpose::STANDARD_NO_PAD.encode(tag);
        let plain = format!("s:{value}.{tag}");
        let component = percent_encode(plain.as_bytes(), COMPONENT).to_string();
        let lower = lower_case_escapes(&component);
        for text in [&component, &lower] {
            for (way, found) in read(&session, &format!("sid={text}")).await {
                assert_eq!(found.as_deref(), Some(value), "{way}: {text}");
            }
        }
        // As a framework decoded it.
        let found = session.signer().verify("sid", &plain).map(Verified::into_inner).ok();
        assert_eq!(found.as_deref(), Some(value), "{plain}");
        // Encoded twice, or with a plus for a blank, it is read as what was signed or refused.
        let twice = percent_encode(component.as_bytes(), COMPONENT).to_string();
        for text in [twice, component.replace("%20", "+")] {
            for (way, found) in read(&session, &format!("sid={text}")).await {
                assert!(found.is_none_or(|found| found == value), "{way}: {text}");
            }
        }
    }
}

/// The forms of `SignedJar`, with all three forms on.
#[tokio::test]
async fn a_value_of_a_signed_jar_that_needs_an_escape_verifies_through_every_entry_point() {
    let secret = secret(0);
    let until = UNIX_EPOCH + Duration::from_secs(1_800_600_000);
    let signer = session("new").signer().clone();
    let signer = signer.accept_legacy(LegacyCookie::SignedJar, until);
    let signer = signer.accept_legacy(LegacyCookie::SignedJarDerived, until);
    let session = SessionCookie::new(signer, "sid");
    let mut checks = 0;
    for key in [cookie::Key::from(secret.as_bytes()), cookie::Key::derive_from(secret.as_bytes())] {
        for value in VALUES {
            let mut jar = CookieJar::new();
            jar.signed_mut(&key).add(Cookie::new("sid", value.to_owned()));
            let theirs = jar.get("sid").unwrap();
            for (way, found) in read(&session, &theirs.encoded().stripped().to_string()).await {
                assert_eq!(found.as_deref(), Some(value), "{way}: {theirs}");
                checks += 1;
            }
            // Not encoded, as frameworks write it that encode nothing, where it is one pair and means
            // the same when it is decoded.
            let plain = theirs.stripped().to_string();
            let is_one = |byte: u8| byte.is_ascii_graphic() && !b"\";%".contains(&byte);
            if plain.bytes().all(is_one) {
                for (way, found) in read(&session, &plain).await {
                    assert_eq!(found.as_deref(), Some(value), "{way}: {plain}");
                    checks += 1;
                }
            }
            let found = session.signer().verify("sid", theirs.value()).ok();
            assert_eq!(found.map(Verified::into_inner).as_deref(), Some(value), "{theirs}");
        }
    }
    println!("{checks} values read");
}

fn lower_case_escapes(text: &str) -> String {
    let mut rest = text;
    let mut lower = String::new();
    while let Some(at) = rest.find('%') {
        lower.push_str(&rest[..at]);
        lower.push_str(&rest[at..at + 3].to_lowercase());
        rest = &rest[at + 3..];
    }
    lower + rest
}
