//! Every cookie parser of the ecosystem behind the session layer, and in front of it: all read
//! the session that was verified, or none.

use std::sync::{Arc, Mutex};

use actix_web::test::TestRequest;
use axum_extra::extract::CookieJar;
use cookie_store::CookieStore;
use dualkey::cookie::{Cookie, CookieKey, CookieSigner};
use dualkey::http::{SessionCookie, SessionLayer};
use dualkey::{Error, Reason, Verified};
use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::Full;
use tower::Layer;
use tower_cookies::{CookieManagerLayer, Cookies};

use super::{Probe, ask, request, text};
use crate::support::ring;

type Body = Full<bytes::Bytes>;

/// The names and values that a parser reads.
type Read = Vec<(String, String)>;

fn pairs<'c>(cookies: impl Iterator<Item = Cookie<'c>>) -> Read {
    cookies.map(|cookie| (cookie.name().to_owned(), cookie.value().to_owned())).collect()
}

/// The text of each header that is UTF-8: a parser that drops the others reads no more.
fn texts(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    headers.get_all(COOKIE).iter().filter_map(|header| std::str::from_utf8(header.as_bytes()).ok())
}

fn plain(headers: &HeaderMap) -> Read {
    pairs(texts(headers).flat_map(Cookie::split_parse).flatten())
}

fn encoded(headers: &HeaderMap) -> Read {
    pairs(texts(headers).flat_map(Cookie::split_parse_encoded).flatten())
}

/// The whole header as one cookie with attributes.
fn as_set_cookie(headers: &HeaderMap) -> Read {
    pairs(texts(headers).filter_map(|text| Cookie::parse_encoded(text).ok()))
}

fn axum_extra(headers: &HeaderMap) -> Read {
    pairs(CookieJar::from_headers(headers).iter().cloned())
}

fn actix(headers: &HeaderMap) -> (Read, Read) {
    let mut request = TestRequest::default();
    for header in headers.get_all(COOKIE) {
        let value = actix_web::http::header::HeaderValue::from_bytes(header.as_bytes()).unwrap();
        request = request.append_header(("cookie", value));
    }
    let request = request.to_http_request();
    let read = |cookies: &[actix_web::cookie::Cookie<'_>]| {
        cookies.iter().map(|cookie| (cookie.name().to_owned(), cookie.value().to_owned())).collect()
    };
    let decoded = request.cookies().map_or(Read::new(), |cookies| read(&cookies));
    let raw = request.cookies_raw().map_or(Read::new(), |cookies| read(&cookies));
    (decoded, raw)
}

/// Splits at `;` and `=`, strips quotes, and ignores the case of names.
fn by_hand(headers: &HeaderMap) -> Read {
    let text = String::from_utf8_lossy(
        &headers
            .get_all(COOKIE)
            .iter()
            .flat_map(|header| [header.as_bytes(), b";"].concat())
            .collect::<Vec<_>>(),
    )
    .into_owned();
    let pairs = text.split(';').filter_map(|part| part.split_once('='));
    let bare = |text: &str| text.trim().trim_matches('"').to_owned();
    pairs.map(|(name, value)| (bare(name).to_lowercase(), bare(value))).collect()
}

/// A parser as in RFC 2109 and Python: commas and white space separate pairs too.
fn by_any_separator(headers: &HeaderMap) -> Read {
    let text: Vec<String> = headers
        .get_all(COOKIE)
        .iter()
        .map(|header| String::from_utf8_lossy(header.as_bytes()).into())
        .collect();
    let pairs = text.iter().flat_map(|line| line.split([';', ',', ' ', '\t']));
    pairs
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// By the name of the parser, whether it percent-decodes, and what it reads.
type Seen = Vec<(&'static str, bool, Read)>;

fn read_all(headers: &HeaderMap) -> Seen {
    let (actix_decoded, actix_raw) = actix(headers);
    vec![
        ("cookie, plain", false, plain(headers)),
        ("cookie, encoded", true, encoded(headers)),
        ("cookie, one", true, as_set_cookie(headers)),
        ("axum-extra", true, axum_extra(headers)),
        ("actix-web", true, actix_decoded),
        ("actix-web, raw", false, actix_raw),
        ("by hand", false, by_hand(headers)),
        ("by any separator", false, by_any_separator(headers)),
    ]
}

/// The cookies that reached the service inside: the session of the layer, and that of each parser.
#[derive(Default)]
struct Inside {
    verified: Option<String>,
    seen: Seen,
}

/// Sends `cookies`, one a header, through `layer`, with `tower-cookies` inside.
async fn send_inside(layer: &SessionLayer, cookies: &[Vec<u8>]) -> Inside {
    let inside = Arc::new(Mutex::new(Inside::default()));
    let put = Arc::clone(&inside);
    let probe = Probe::default();
    let service = probe.service(move |request: Request<Body>| {
        let cookies = request.extensions().get::<Cookies>().unwrap().list();
        let session = request.extensions().get::<Verified<Cookie<'static>>>();
        let mut seen = read_all(request.headers());
        seen.push(("tower-cookies", true, pairs(cookies.into_iter())));
        let verified = session.map(|cookie| cookie.value().to_owned());
        *put.lock().unwrap() = Inside { verified, seen };
        text("")
    });
    let service = layer.layer(CookieManagerLayer::new().layer(service));
    let answer = ask(service, request(cookies.iter().map(|cookie| (COOKIE, cookie)))).await;
    assert_eq!(answer.status, 200);
    let mut inside = inside.lock().unwrap();
    std::mem::take(&mut inside)
}

impl Inside {
    /// Checks that each parser reads what was verified and nothing else, or no session.
    #[track_caller]
    fn check_agrees(&self, name: &str, shown: &dyn std::fmt::Debug) {
        for (parser, _, read) in &self.seen {
            let sessions: Vec<_> = read
                .iter()
                .filter(|(key, _)| key.eq_ignore_ascii_case(name))
                .map(|(_, value)| value)
                .collect();
            let expected: Vec<_> = self.verified.iter().collect();
            assert_eq!(sessions, expected, "{parser} of {shown:?}");
        }
    }
}

fn session(name: &'static str) -> SessionCookie {
    SessionCookie::new(CookieSigner::new(ring::<CookieKey>(0)), name)
}

fn sign(session: &SessionCookie, value: &str) -> String {
    session.issue(value).unwrap().to_str().unwrap().split(';').next().unwrap().to_owned()
}

/// Each character as it is, in the other case, and percent-encoded once and twice.
fn spellings(name: &str) -> Vec<String> {
    let mut all = vec![String::new()];
    for character in name.chars() {
        let code = u32::from(character);
        let forms = [
            character.to_string(),
            character.to_ascii_uppercase().to_string(),
            format!("%{code:02x}"),
            format!("%{code:02X}"),
            format!("%25{code:02X}"),
            format!("%{:02x}", u32::from(character.to_ascii_uppercase())),
        ];
        all = all
            .iter()
            .flat_map(|start| forms.iter().map(move |form| format!("{start}{form}")))
            .collect();
    }
    all.sort();
    all.dedup();
    all
}

/// Texts before and after a name.
const AROUND: [(&str, &str); 26] = [
    (" ", ""),
    ("", " "),
    ("\t", "\t"),
    ("\u{a0}", ""),
    ("", "\u{a0}"),
    ("\u{85}", ""),
    ("", "\u{85}"),
    ("\u{2003}", ""),
    ("", "\u{2003}"),
    ("\u{3000}", ""),
    ("", "\u{3000}"),
    ("", "\u{feff}"),
    ("\u{200b}", ""),
    ("\"", "\""),
    ("'", "'"),
    ("$", ""),
    ("=", ""),
    ("a,", ""),
    ("a=b ", ""),
    ("a=b,", ""),
    ("a=\"b; ", ""),
    ("$Version=1; $", ""),
    ("%20", ""),
    ("", "%20"),
    ("", "%00"),
    ("%c2%a0", "%e3%80%80"),
];

/// The forged pair alone, beside the signed one, in headers of its own, and in those of others.
fn place(forged: &[u8], good: &str) -> Vec<Vec<Vec<u8>>> {
    let good = good.as_bytes();
    let join = |parts: &[&[u8]], by: &[u8]| parts.join(by);
    vec![
        vec![forged.to_vec()],
        vec![join(&[good, forged], b"; ")],
        vec![join(&[forged, good], b"; ")],
        vec![join(&[forged, good, forged], b";")],
        vec![good.to_vec(), forged.to_vec()],
        vec![forged.to_vec(), good.to_vec()],
        vec![join(&[b"a=1", forged], b", ")],
        vec![join(&[b"a=1", forged], b" ")],
        vec![[b"a=\"1; ".as_slice(), forged, b"\""].concat(), good.to_vec()],
        vec![join(&[b"a=\xff", forged, good], b"; ")],
    ]
}

#[tokio::test]
async fn no_parser_inside_reads_a_session_that_was_not_verified() {
    let mut requests = 0;
    for name in ["sid", "Jk.z"] {
        let session = session(name);
        let good = sign(&session, "user-42");
        let layer = SessionLayer::new(session).sign_for_inner();
        let mut names: Vec<String> = spellings(&name[..3])
            .iter()
            .map(|spelling| format!("{spelling}{}", &name[3..]))
            .collect();
        for spelling in
            [name, &name.to_uppercase(), &format!("%{:02x}{}", name.as_bytes()[0], &name[1..])]
        {
            names.extend(AROUND.iter().map(|(before, after)| format!("{before}{spelling}{after}")));
        }
        for spelling in names {
            let forged = format!("{spelling}=admin").into_bytes();
            for cookies in place(&forged, &good) {
                requests += 1;
                let inside = send_inside(&layer, &cookies).await;
                inside.check_agrees(
                    name,
                    &cookies
                        .iter()
                        .map(|cookie| String::from_utf8_lossy(cookie))
                        .collect::<Vec<_>>(),
                );
                // The first of the exact name counts, whatever else is there.
                assert!(inside.verified.is_none_or(|value| value == "user-42"));
            }
        }
    }
    println!("session names: {requests} requests, each read by 9 parsers");
    assert!(requests > 3_500, "{requests}");
}

/// The other cookies of ordinary services are still there.
#[tokio::test]
async fn every_parser_inside_reads_the_harmless_cookies() {
    let session = session("sid");
    let good = sign(&session, "user-42");
    let layer = SessionLayer::new(session).sign_for_inner();
    let others =
        ["theme=dark", "a=b==", "_ga=GA1.2.3", "q=%7B%22a%22%3A1%7D", "e=", "__Host-x=y", "xsid=1"];
    let inside = send_inside(&layer, &[format!("{}; {good}", others.join(";")).into_bytes()]).await;
    assert_eq!(inside.verified.as_deref(), Some("user-42"));
    for (parser, _, read) in &inside.seen {
        let count = if *parser == "cookie, one" { 1 } else { others.len() + 1 };
        assert_eq!(read.len(), count, "{parser}");
    }
}

#[tokio::test]
async fn every_parser_inside_reads_the_value_that_was_verified_or_none() {
    let session = session("sid");
    let plain = SessionLayer::new(session.clone()).sign_for_inner();
    let encoded = SessionLayer::new(session.clone()).sign_for_inner_encoded();
    let same = ["", "user-42", "a.b_c~d", "abc/def==", "a:b@c", "(a)", "x=y&z", "!#$*-<>?[]^`{|}"];
    let differing = [
        "%41",
        "%61dmin",
        "100%",
        "a+b",
        "a b",
        " a",
        "a ",
        "\"a\"",
        "a,b",
        "a;b",
        "a; sid=b",
        "a\\b",
        "é",
        "a\r\nX: y",
        "a\0",
        "%2541",
        "\u{a0}a",
        "a\tb",
        "{\"a\":1}",
        "'a'",
    ];
    for (value, is_same) in
        same.map(|value| (value, true)).into_iter().chain(differing.map(|value| (value, false)))
    {
        let cookies = [sign(&session, value).into_bytes()];
        let seen = send_inside(&plain, &cookies).await;
        seen.check_agrees("sid", &value);
        assert_eq!(seen.verified.as_deref(), is_same.then_some(value));
        // With a service that decodes, every value.
        let seen = send_inside(&encoded, &cookies).await;
        assert_eq!(seen.verified.as_deref(), Some(value));
        for (parser, decodes, read) in seen.seen {
            let sessions: Vec<_> = read.iter().filter(|(key, _)| key == "sid").collect();
            assert_eq!(sessions.len(), 1, "{parser} of {value:?}");
            assert!(!decodes || sessions[0].1 == value, "{parser} of {value:?}: {sessions:?}");
        }
    }
}

/// The name of a session is one that no parser reads differently.
#[tokio::test]
async fn a_session_of_an_ambiguous_name_is_never_admitted() {
    for name in ["%73id", "s%69d", "a b", "$sid", "sid\u{a0}", "\"sid\"", "", "sid=", "sid;", "s[]"]
    {
        let signer = CookieSigner::new(ring::<CookieKey>(0));
        let session = SessionCookie::new(signer.clone(), name);
        assert!(matches!(session.issue("admin"), Err(Error::Sign { .. })), "{name:?}");
        let good = format!("{name}={}", signer.sign(name, "admin").unwrap());
        for layer in [
            SessionLayer::new(session.clone()).sign_for_inner(),
            SessionLayer::new(session.clone()).sign_for_inner_encoded(),
        ] {
            for cookies in [
                vec![good.clone().into_bytes()],
                vec![b"sid=admin".to_vec(), good.clone().into_bytes()],
            ] {
                let inside = send_inside(&layer, &cookies).await;
                assert_eq!(inside.verified, None, "{name:?}");
                for (parser, _, read) in inside.seen {
                    let has_it = read
                        .iter()
                        .any(|(key, _)| key == name || key == "sid" && name.contains('%'));
                    assert!(!has_it, "{parser} of {name:?}: {read:?}");
                }
            }
            let set = HeaderValue::from_bytes(format!("{name}=admin").as_bytes()).unwrap();
            let (status, sets) = answer(&layer, vec![set.clone()]).await;
            assert!(status == 500 || sets == [set], "{name:?}: {status} {sets:?}");
        }
    }
}

/// The status, and each `Set-Cookie`, where the service inside sets these.
async fn answer(layer: &SessionLayer, sets: Vec<HeaderValue>) -> (u16, Vec<HeaderValue>) {
    let inner = move |_: Request<Body>| {
        let mut response: Response<Body> = text("");
        for set in &sets {
            response.headers_mut().append(SET_COOKIE, set.clone());
        }
        response
    };
    let answer = ask(layer.layer(Probe::default().service(inner)), request::<&str>([])).await;
    (answer.status.as_u16(), answer.headers.get_all(SET_COOKIE).iter().cloned().collect())
}

/// The name and value under which a browser stores a cookie (RFC 6265bis §5.6).
fn browser(set: &HeaderValue) -> (Vec<u8>, Vec<u8>) {
    let pair = set.as_bytes().split(|byte| *byte == b';').next().unwrap();
    let trim = |text: &[u8]| {
        let is_blank = |byte: &u8| b" \t".contains(byte);
        let start = text.iter().position(|byte| !is_blank(byte)).unwrap_or(text.len());
        let end = text.iter().rposition(|byte| !is_blank(byte)).map_or(start, |last| last + 1);
        text[start..end].to_vec()
    };
    match pair.iter().position(|byte| *byte == b'=') {
        Some(equals) => (trim(&pair[..equals]), trim(&pair[equals + 1..])),
        None => (Vec::new(), trim(pair)),
    }
}

/// The cookies of this name of each parser of `Set-Cookie`.
fn store_all(set: &HeaderValue, name: &str) -> Vec<String> {
    let mut values = Vec::new();
    let (key, value) = browser(set);
    let mut sent = value.clone();
    if !key.is_empty() {
        sent = [&key[..], b"=", &value].concat();
    }
    // What the browser sends back, and what is made of that.
    let mut headers = HeaderMap::new();
    headers.insert(COOKIE, HeaderValue::from_bytes(&sent).unwrap());
    // By any separator, every other cookie has a few: the layer removes those when they come back.
    for (_, _, read) in read_all(&headers).into_iter().filter(|entry| entry.0 != "by any separator")
    {
        values.extend(
            read.into_iter()
                .filter(|(key, _)| key.eq_ignore_ascii_case(name))
                .map(|(_, value)| value),
        );
    }
    let Ok(text) = std::str::from_utf8(set.as_bytes()) else { return values };
    for cookie in [Cookie::parse(text), Cookie::parse_encoded(text)].into_iter().flatten() {
        values.extend((cookie.name() == name).then(|| cookie.value().to_owned()));
    }
    if let Ok(cookie) = actix_web::cookie::Cookie::parse_encoded(text) {
        values.extend((cookie.name() == name).then(|| cookie.value().to_owned()));
    }
    let url = reqwest::Url::parse("https://example.com/").unwrap();
    let mut store = CookieStore::default();
    if store.parse(text, &url).is_ok() {
        let all = store.get_request_values(&url);
        values.extend(all.filter(|(key, _)| *key == name).map(|(_, value)| value.to_owned()));
    }
    values
}

#[tokio::test]
async fn no_session_goes_out_unsigned_under_any_spelling_of_its_name() {
    let session = session("sid");
    let layer = SessionLayer::new(session.clone()).sign_for_inner();
    let mut names = spellings("sid");
    for spelling in ["sid", "SID", "%73id"] {
        names.extend(AROUND.iter().map(|(before, after)| format!("{before}{spelling}{after}")));
    }
    let (mut refused, mut signed) = (0, 0);
    for name in &names {
        for (rest, beside) in [
            ("=user-7; Path=/", false),
            ("=user-7", true),
            ("=user-7; Path=/\u{ff}", false),
            ("", false),
        ] {
            let set = HeaderValue::from_bytes(format!("{name}{rest}").as_bytes()).unwrap();
            let mut sets = vec![set.clone()];
            if beside {
                sets.insert(0, HeaderValue::from_static("theme=dark"));
                sets.push(HeaderValue::from_static("sid=user-8"));
            }
            let (status, sets) = answer(&layer, sets).await;
            if status == 500 {
                assert!(sets.is_empty());
                refused += 1;
                continue;
            }
            for header in sets {
                let values = store_all(&header, "sid");
                // An oracle: signed is only what a browser stores as the session anyway.
                let is_session = browser(&set).0 == b"sid"
                    || beside && header.as_bytes().starts_with(b"sid=user-8.");
                for value in &values {
                    let verified = session.signer().verify("sid", value);
                    assert!(is_session && verified.is_ok(), "{name:?}{rest} as {header:?}");
                }
                signed += usize::from(!values.is_empty());
            }
        }
    }
    assert!(refused > 500 && signed > 3, "{refused} {signed}");
}

/// A name that a client chose does not become the session's by the signature.
#[tokio::test]
async fn a_foreign_cookie_is_never_signed() {
    let layer = SessionLayer::new(session("sid")).sign_for_inner();
    for set in [
        "theme=dark",
        "xsid=1; Path=/",
        "sidx=1",
        "sid2=sid",
        "a=sid=1",
        "a=1; sid=2",
        "__Host-sid=1; Secure",
        "a=b, c=d",
        "=dark",
        "dark",
        "a=\u{e9}",
        "Theme%20x=1",
    ] {
        let set = HeaderValue::from_bytes(set.as_bytes()).unwrap();
        assert_eq!(answer(&layer, vec![set.clone()]).await, (200, vec![set]));
    }
    for set in [
        "%73id=admin",
        "sid\u{a0}=admin",
        "\u{3000}sid=admin",
        "=sid=admin",
        "sid",
        "SID=admin",
        "%2573id=1",
        "\"sid\"=1",
        " = sid = admin",
        "==sid=admin",
    ] {
        let set = HeaderValue::from_bytes(set.as_bytes()).unwrap();
        assert_eq!(answer(&layer, vec![set.clone()]).await, (500, vec![]), "{set:?}");
    }
}

/// A value comes back to the service as it was set, to every parser alike, or the response is
/// refused with the reason in its extensions.
#[tokio::test]
async fn a_value_comes_back_as_it_was_set_or_is_refused() {
    let session = session("sid");
    let plain = SessionLayer::new(session.clone()).sign_for_inner();
    for value in [
        "abc", "a=b=", "a/b:c", "(a)", "%61dmin", "a%3Db", "a+b", "a b", "\"a\"", "a,b", "é", "a\\",
    ] {
        let set = HeaderValue::from_bytes(format!(" sid =\t{value} ;Path=/").as_bytes()).unwrap();
        let (status, sets) = answer(&plain, vec![set]).await;
        if status == 500 {
            continue;
        }
        assert!(sets[0].as_bytes().ends_with(b";Path=/"));
        let inside = send_inside(
            &plain,
            &[sets[0].as_bytes().split(|byte| *byte == b';').next().unwrap().to_vec()],
        )
        .await;
        assert_eq!(inside.verified.as_deref(), Some(value));
        inside.check_agrees("sid", &value);
    }
    // As `cookie`, `tower-cookies` and `axum-extra` write them.
    let encoded = SessionLayer::new(session.clone()).sign_for_inner_encoded();
    for value in ["abc", "a=b/c+d", "a b; c", "Zoë", "%61dmin", "\"q\"", "100%"] {
        let set = Cookie::new("sid", value).encoded().to_string();
        let (_, sets) = answer(&encoded, vec![HeaderValue::try_from(set).unwrap()]).await;
        let inside = send_inside(&encoded, &[sets[0].as_bytes().to_vec()]).await;
        assert_eq!(inside.verified.as_deref(), Some(value));
        for (parser, decodes, read) in inside.seen {
            assert!(
                !decodes || read == [("sid".to_owned(), value.to_owned())],
                "{parser} of {value:?}: {read:?}"
            );
        }
    }
    // A service that does not encode has nothing else signed for it.
    for text in ["%61dmin", "a%4", "%ff", "a b", "é"] {
        let set = HeaderValue::from_bytes(format!("sid={text}").as_bytes()).unwrap();
        assert_eq!(answer(&encoded, vec![set]).await, (500, vec![]), "{text:?}");
    }
    let inner = |_: Request<Body>| {
        let mut response = text("");
        response.headers_mut().insert(SET_COOKIE, HeaderValue::from_static("sid=a%20b"));
        response
    };
    let probe = Probe::default();
    let service = plain.layer(probe.service(inner));
    let response = tower::ServiceExt::oneshot(service, request::<&str>([])).await.unwrap();
    let error = response.extensions().get::<Arc<Error>>().unwrap();
    assert!(error.to_string().contains("sign_for_inner_encoded"), "{error}");
    assert_eq!(response.extensions().get::<Reason>(), None);
}
