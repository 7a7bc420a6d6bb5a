//! The session layer around a service that knows of no signature: what the layer verified is
//! what every parser of cookies inside reads, and nothing else; and a cookie goes out signed if a
//! browser stores it as the session, or not at all.
#![no_main]

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::pin::pin;
use std::rc::Rc;
use std::sync::LazyLock;
use std::task::{Context, Poll, Waker};

use arbitrary::Arbitrary;
use cookie::Cookie;
use dualkey::cookie::{CookieKey, CookieSigner};
use dualkey::http::{SessionCookie, SessionLayer};
use dualkey::{KeyRing, ManualClock, Secret, Verified};
use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderMap, HeaderValue, Request, Response};
use libfuzzer_sys::fuzz_target;
use tower_layer::Layer;
use tower_service::Service;

const SECRET: &str = "kH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eUq8WzRkH7vQ2mXw9LrT4nZ8yB1cF6gJ";

/// Texts before and after a name.
const AROUND: [&str; 16] = [
    "", " ", "\t", "\u{a0}", "\u{3000}", "\u{85}", "\"", "$", "=", ",", ", ", "; ", "%20", "%00",
    "a=", "\u{200b}",
];

#[derive(Debug, Arbitrary)]
enum Part {
    Bytes(Vec<u8>),
    /// The name of the session, each character of which is percent-encoded so many times.
    Name {
        before: u8,
        encoded: [u8; 3],
        is_upper: bool,
        after: u8,
    },
    Value(String),
    /// A pair that verifies.
    Signed(String),
    /// Text in between.
    Around(u8),
    Equals,
    Semicolon,
}

#[derive(Debug, Arbitrary)]
struct Input {
    cookies: Vec<Vec<Part>>,
    sets: Vec<Vec<Part>>,
    decodes: bool,
}

static SESSION: LazyLock<SessionCookie> = LazyLock::new(|| {
    let ring = KeyRing::<CookieKey>::builder()
        .primary(Secret::from(SECRET))
        .clock(ManualClock::at_unix(1_700_000_000));
    SessionCookie::new(CookieSigner::new(ring.build().unwrap()).max_cookie_bytes(1 << 20), "sid")
});

fn around(place: u8) -> &'static str {
    AROUND[usize::from(place) % AROUND.len()]
}

fn write_header(parts: &[Part], signed: &mut Vec<String>) -> Vec<u8> {
    let mut text = Vec::new();
    for part in parts {
        match part {
            Part::Bytes(bytes) => text.extend(bytes),
            Part::Name { before, encoded, is_upper, after } => {
                text.extend(around(*before).as_bytes());
                for (byte, times) in b"sid".iter().zip(encoded) {
                    let byte = if *is_upper { byte.to_ascii_uppercase() } else { *byte };
                    match times % 3 {
                        0 => text.push(byte),
                        times => text.extend(
                            format!("%{}{byte:x}", "25".repeat(usize::from(times) - 1)).bytes(),
                        ),
                    }
                }
                text.extend(around(*after).as_bytes());
            }
            Part::Value(value) => text.extend(value.as_bytes()),
            Part::Signed(value) => {
                signed.push(value.clone());
                text.extend(
                    format!("sid={}", SESSION.signer().sign("sid", value).unwrap()).bytes(),
                );
            }
            Part::Around(place) => text.extend(around(*place).as_bytes()),
            Part::Equals => text.push(b'='),
            Part::Semicolon => text.push(b';'),
        }
    }
    text
}

/// Reads the values of the session in the `Cookie` headers, in the way of one parser.
type Parser = fn(&HeaderMap) -> Vec<String>;

/// Each with whether it percent-decodes.
const PARSERS: [(&str, bool, Parser); 5] = [
    ("plain", false, |headers| {
        values(texts(headers).iter().flat_map(|text| Cookie::split_parse(text.as_str())).flatten())
    }),
    ("encoded", true, |headers| {
        values(
            texts(headers)
                .iter()
                .flat_map(|text| Cookie::split_parse_encoded(text.as_str()))
                .flatten(),
        )
    }),
    ("RFC 6265", false, |headers| {
        let pairs = headers
            .get_all(COOKIE)
            .iter()
            .flat_map(|header| header.as_bytes().split(|byte| *byte == b';'));
        pairs
            .map(split_pair)
            .filter(|(name, _)| name == b"sid")
            .map(|(_, value)| lossy(&value))
            .collect()
    }),
    ("naive", false, |headers| {
        let texts: Vec<_> =
            headers.get_all(COOKIE).iter().map(|header| lossy(header.as_bytes())).collect();
        let pairs =
            texts.iter().flat_map(|text| text.split(';')).filter_map(|pair| pair.split_once('='));
        let bare = |text: &str| text.trim().trim_matches(['"', '\'']).trim().to_lowercase();
        let pairs = pairs.filter(|(name, _)| bare(name) == "sid");
        pairs.map(|(_, value)| value.trim().trim_matches('"').to_owned()).collect()
    }),
    // RFC 2109 separates with commas too, and Python with white space.
    ("any separator", false, |headers| {
        let texts: Vec<_> =
            headers.get_all(COOKIE).iter().map(|header| lossy(header.as_bytes())).collect();
        let pairs = texts
            .iter()
            .flat_map(|text| text.split(|c: char| ";, \t".contains(c) || c.is_whitespace()));
        let pairs = pairs
            .filter_map(|pair| pair.split_once('='))
            .filter(|(name, _)| name.eq_ignore_ascii_case("sid"));
        pairs.map(|(_, value)| value.to_owned()).collect()
    }),
];

fn texts(headers: &HeaderMap) -> Vec<String> {
    let all = headers.get_all(COOKIE).iter();
    all.filter_map(|header| String::from_utf8(header.as_bytes().to_vec()).ok()).collect()
}

fn values<'c>(cookies: impl Iterator<Item = Cookie<'c>>) -> Vec<String> {
    cookies
        .filter(|cookie| cookie.name().eq_ignore_ascii_case("sid"))
        .map(|cookie| cookie.value().to_owned())
        .collect()
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The name and the value that a browser stores (RFC 6265bis §5.6).
fn split_pair(header: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let trim = |text: &[u8]| {
        let text: Vec<u8> = text.iter().copied().skip_while(|byte| b" \t".contains(byte)).collect();
        let end = text.iter().rposition(|byte| !b" \t".contains(byte)).map_or(0, |last| last + 1);
        text[..end].to_vec()
    };
    let pair = header.split(|byte| *byte == b';').next().unwrap_or_default();
    match pair.iter().position(|byte| *byte == b'=') {
        Some(equals) => (trim(&pair[..equals]), trim(&pair[equals + 1..])),
        None => (Vec::new(), trim(pair)),
    }
}

/// The service inside: it keeps the request's headers and session, and sets these cookies.
#[derive(Clone)]
struct Inner {
    sets: Vec<HeaderValue>,
    seen: Rc<RefCell<Option<(HeaderMap, Option<String>)>>>,
}

impl Service<Request<()>> for Inner {
    type Response = Response<()>;
    type Error = Infallible;
    type Future = Ready<Result<Response<()>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        let session = request.extensions().get::<Verified<Cookie<'static>>>();
        let session = session.map(|cookie| cookie.value().to_owned());
        *self.seen.borrow_mut() = Some((request.headers().clone(), session));
        let mut response = Response::new(());
        for set in &self.sets {
            response.headers_mut().append(SET_COOKIE, set.clone());
        }
        ready(Ok(response))
    }
}

fn ask(
    layer: &SessionLayer,
    cookies: &[HeaderValue],
    sets: Vec<HeaderValue>,
) -> (HeaderMap, Option<String>, Response<()>) {
    let inner = Inner { sets, seen: Rc::default() };
    let mut request = Request::new(());
    for cookie in cookies {
        request.headers_mut().append(COOKIE, cookie.clone());
    }
    let future = layer.layer(inner.clone()).call(request);
    let Poll::Ready(Ok(response)) = pin!(future).poll(&mut Context::from_waker(Waker::noop()))
    else {
        panic!("the service inside is ready");
    };
    let (headers, session) = inner.seen.take().unwrap();
    (headers, session, response)
}

/// Every parser reads the session that was verified, once, or none.
fn agree(headers: &HeaderMap, verified: Option<&String>, decodes: bool) {
    for (parser, does, read) in PARSERS {
        let values = read(headers);
        let expected: Vec<_> = verified.iter().map(|value| value.as_str()).collect();
        if decodes && !does {
            assert_eq!(values.len(), expected.len(), "{parser}: {headers:?}")
        } else {
            assert_eq!(values, expected, "{parser}: {headers:?}")
        }
    }
}

fuzz_target!(|input: Input| {
    let layer = SessionLayer::new(SESSION.clone());
    let layer = if input.decodes { layer.sign_for_inner_encoded() } else { layer.sign_for_inner() };
    let mut signed = Vec::new();
    let header = |parts: &Vec<Part>, signed: &mut Vec<String>| {
        HeaderValue::from_bytes(&write_header(parts, signed)).ok()
    };
    let cookies: Vec<_> =
        input.cookies.iter().filter_map(|parts| header(parts, &mut signed)).collect();
    let sets: Vec<_> =
        input.sets.iter().filter_map(|parts| header(parts, &mut Vec::new())).collect();

    let (headers, verified, response) = ask(&layer, &cookies, sets.clone());
    assert!(verified.iter().all(|value| signed.contains(value)), "{verified:?} was never signed");
    agree(&headers, verified.as_ref(), input.decodes);

    let answered: Vec<_> = response.headers().get_all(SET_COOKIE).iter().cloned().collect();
    if response.status() == 500 {
        assert!(answered.is_empty() && !sets.is_empty());
        return;
    }
    assert_eq!(answered.len(), sets.len());
    for (set, answer) in sets.iter().zip(answered) {
        let (name, value) = split_pair(set.as_bytes());
        if name != b"sid" || value.is_empty() || value == b"\"\"" {
            assert_eq!(*set, answer, "signed although it is not the session's");
            // What it is sent back as, and what a parser of `Set-Cookie` makes of it.
            let (name, value) = split_pair(answer.as_bytes());
            let sent = if name.is_empty() { value } else { [&name[..], b"=", &value].concat() };
            let back =
                HeaderMap::from_iter(HeaderValue::from_bytes(&sent).map(|header| (COOKIE, header)));
            for (parser, _, read) in &PARSERS[..4] {
                let values = read(&back);
                assert!(
                    values.iter().all(|value| value.is_empty() || value == "\"\""),
                    "{parser} reads {set:?} as the session"
                );
            }
            continue;
        }
        // It comes back as the session that was set.
        let pair = answer.as_bytes().split(|byte| *byte == b';').next().unwrap();
        let pair = HeaderValue::from_bytes(pair).unwrap();
        let (headers, verified, _) = ask(&layer, &[pair], Vec::new());
        assert!(verified.is_some(), "{answer:?} does not verify");
        agree(&headers, verified.as_ref(), input.decodes);
        if !input.decodes {
            assert_eq!(verified.unwrap().as_bytes(), value);
        }
    }
});
