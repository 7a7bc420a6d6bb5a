use std::time::Duration;

use dualkey::cookie::{Cookie, CookieKey, CookieSigner, LegacyCookie, SameSite};
use dualkey::http::{SessionCookie, SessionLayer};
use dualkey::{KeyRing, ManualClock, Reason, Secret, Verified};
use http::header::{CACHE_CONTROL, COOKIE, SET_COOKIE};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;
use proptest::prelude::*;
use tower::Layer;

use super::{Answer, Probe, ask, request, text};
use crate::support::{cases, far, ring, secret};

type Body = Full<bytes::Bytes>;

/// Says which session it was given.
fn who(request: Request<Body>) -> Response<Body> {
    match request.extensions().get::<Verified<Cookie<'static>>>() {
        Some(session) => text(format!("{}={}", session.name(), session.value())),
        None => text("nobody"),
    }
}

async fn send_through(
    probe: &Probe,
    layer: &SessionLayer,
    answer: impl Fn(Request<Body>) -> Response<Body> + Clone + Send + 'static,
    cookies: impl AsRef<[u8]>,
) -> Answer {
    let none = cookies.as_ref().is_empty();
    let headers = (!none).then_some((COOKIE, cookies));
    ask(layer.layer(probe.service(answer)), request(headers)).await
}

fn session(ring: &KeyRing<CookieKey>) -> SessionCookie {
    SessionCookie::new(CookieSigner::new(ring.clone()), "sid")
}

/// The pair that a browser sends back of a `Set-Cookie`.
fn pair(set_cookie: &HeaderValue) -> String {
    set_cookie.to_str().unwrap().split(';').next().unwrap().to_owned()
}

fn rotate(ring: &KeyRing<CookieKey>) {
    let kid = ring.stage(Secret::from(secret(7))).unwrap();
    ring.promote(&kid).unwrap();
}

#[tokio::test]
async fn a_cookie_under_a_fallback_is_signed_again_with_the_attributes_of_the_layer() {
    let clock = ManualClock::at_unix(1_800_000_000);
    let ring = KeyRing::<CookieKey>::builder()
        .primary(Secret::from(secret(0)))
        .clock(clock.clone())
        .build()
        .unwrap();
    let attributes = Cookie::build("").path("/app").http_only(true).same_site(SameSite::Strict);
    let signer = CookieSigner::new(ring.clone()).attributes(attributes);
    let session = SessionCookie::new(signer.clone(), "sid");
    let (probe, layer) = (Probe::default(), SessionLayer::new(session.clone()));
    let old = pair(&session.issue("user-42").unwrap());

    let answer = send_through(&probe, &layer, who, &old).await;
    assert_eq!((answer.status.as_u16(), answer.text()), (200, "sid=user-42"));
    assert!(answer.headers.is_empty(), "under the primary nothing is to be done");

    rotate(&ring);
    clock.advance(Duration::from_secs(3600));
    let answer = send_through(&probe, &layer, who, format!("a=1; {old}; b=2")).await;
    assert_eq!(answer.text(), "sid=user-42");
    let again = &answer.headers[SET_COOKIE];
    assert!(again.to_str().unwrap().ends_with("; HttpOnly; SameSite=Strict; Path=/app"));
    let new = pair(again);
    assert_ne!(new, old);
    // The time of its first issue is kept: no rotation prolongs a session.
    assert!(new.contains(".1800000000."), "{new}");
    let answer = send_through(&probe, &layer, who, &new).await;
    assert_eq!(answer.text(), "sid=user-42");
    assert!(answer.headers.is_empty());
    assert_eq!(probe.calls(), 3);
}

#[tokio::test]
async fn a_legacy_cookie_comes_back_native() {
    let ring = KeyRing::<CookieKey>::builder()
        .min_secret_bytes(48)
        .primary(Secret::from("old-secret-2025-Nf0Vg6Jc3Ds8Pw1Ra4Tb7Yx2Zq9Ml5Ki"))
        .build()
        .unwrap();
    let signer = CookieSigner::new(ring).accept_legacy(LegacyCookie::Express, far());
    let layer = SessionLayer::new(SessionCookie::new(signer, "sid"));
    let probe = Probe::default();
    let express = "sid=s%3Ahello.jbqmU5IuVEsCRNx6k0jF3uhNAMmpoEHTTE4uZHJATd8";
    let answer = send_through(&probe, &layer, who, express).await;
    assert_eq!(answer.text(), "sid=hello");
    let native = pair(&answer.headers[SET_COOKIE]);
    assert_eq!(send_through(&probe, &layer, who, &native).await.text(), "sid=hello");
}

#[tokio::test]
async fn what_the_service_inside_says_of_the_cookie_stands() {
    let ring = ring::<CookieKey>(0);
    let (probe, session) = (Probe::default(), session(&ring));
    let layer = SessionLayer::new(session.clone());
    let old = pair(&session.issue("user-42").unwrap());
    rotate(&ring);
    let with = |name: http::HeaderName, value: HeaderValue| {
        move |_: Request<Body>| {
            let mut response = text("");
            response.headers_mut().insert(name.clone(), value.clone());
            response
        }
    };
    let status = |code: u16| {
        move |_: Request<Body>| {
            let mut response = text("");
            *response.status_mut() = StatusCode::from_u16(code).unwrap();
            response
        }
    };
    let signed = async |answer: Answer| {
        answer.headers.get_all(SET_COOKIE).iter().filter(|header| pair(header).len() > 5).count()
    };

    // Never for a request that failed inside.
    for code in [400, 401, 403, 404, 429, 500, 502, 503] {
        let answer = send_through(&probe, &layer, status(code), &old).await;
        assert_eq!(answer.headers.get(SET_COOKIE), None, "{code}");
    }
    for code in [101, 200, 204, 206, 302, 303, 304] {
        let answer = send_through(&probe, &layer, status(code), &old).await;
        assert_eq!(signed(answer).await, 1, "{code}");
    }
    // A logout stays one, and a login too.
    let logout = session.removal().unwrap();
    let answer = send_through(&probe, &layer, with(SET_COOKIE, logout.clone()), &old).await;
    assert_eq!(answer.headers.get_all(SET_COOKIE).iter().collect::<Vec<_>>(), [&logout]);
    let login = session.issue("user-7").unwrap();
    let answer = send_through(&probe, &layer, with(SET_COOKIE, login.clone()), &old).await;
    assert_eq!(answer.headers.get_all(SET_COOKIE).iter().collect::<Vec<_>>(), [&login]);
    // Another cookie is another matter.
    let other = HeaderValue::from_static("sid2=1; Path=/");
    let answer = send_through(&probe, &layer, with(SET_COOKIE, other), &old).await;
    assert_eq!(answer.headers.get_all(SET_COOKIE).iter().count(), 2);
    // A shared cache would give it to another user.
    for cached in ["public, max-age=3600", "max-age=1, S-MaxAge=60", "PUBLIC"] {
        let value = HeaderValue::from_static(cached);
        let answer = send_through(&probe, &layer, with(CACHE_CONTROL, value), &old).await;
        assert_eq!(answer.headers.get(SET_COOKIE), None, "{cached}");
    }
    let private = HeaderValue::from_static("private, max-age=3600");
    let answer = send_through(&probe, &layer, with(CACHE_CONTROL, private), &old).await;
    assert_eq!(signed(answer).await, 1);
}

#[tokio::test]
async fn a_session_that_does_not_verify_is_refused_or_absent_and_is_kept_or_removed() {
    let ring = ring::<CookieKey>(0);
    let (probe, session) = (Probe::default(), session(&ring));
    let required = SessionLayer::new(session.clone());
    let good = pair(&session.issue("user-42").unwrap());
    let flipped =
        format!("{}{}", &good[..good.len() - 1], if good.ends_with('A') { "B" } else { "A" });
    let other = SessionCookie::new(CookieSigner::new(ring.clone()), "other");
    let moved = pair(&other.issue("user-42").unwrap()).replace("other=", "sid=");
    let cases: [(Vec<u8>, Reason); 8] = [
        (b"".to_vec(), Reason::Missing),
        (b"other=1".to_vec(), Reason::Missing),
        (b"sid=".to_vec(), Reason::Malformed),
        (moved.into_bytes(), Reason::Signature),
        (b"sid=\xff\xfe".to_vec(), Reason::Malformed),
        (vec![good.clone(); 100].join("; ").into_bytes(), Reason::Repeated),
        (b"sid=x; sid=y".to_vec(), Reason::Malformed),
        (format!("sid={}", "x".repeat(5000)).into_bytes(), Reason::TooLarge),
    ];
    for (cookies, reason) in cases {
        let answer = send_through(&probe, &required, who, &cookies).await;
        answer.assert_refused(401, reason);
        assert!(answer.headers.is_empty(), "ignored, unless asked to remove it");
        let answer = send_through(&probe, &required.clone().remove_invalid(), who, &cookies).await;
        answer.assert_refused(401, reason);
        let removed = answer.headers.get(SET_COOKIE).map(pair);
        assert_eq!(removed, (reason != Reason::Missing).then(|| "sid=".to_owned()));
        assert_eq!(probe.calls(), 0);
    }
    let answer = send_through(&probe, &required, who, &flipped).await;
    assert!(matches!(answer.reason, Some(Reason::Signature | Reason::Malformed)));

    let optional = required.clone().optional();
    assert_eq!(send_through(&probe, &optional, who, "").await.text(), "nobody");
    let answer = send_through(&probe, &optional, who, "sid=x").await;
    assert_eq!((answer.text(), answer.headers.len()), ("nobody", 0));
    let answer = send_through(&probe, &optional.clone().remove_invalid(), who, "sid=x").await;
    assert_eq!(answer.text(), "nobody");
    let removal = answer.header(&SET_COOKIE);
    assert!(removal.starts_with("sid=; ") && removal.contains("Max-Age=0"), "{removal}");
    assert!(removal.contains("Path=/"), "{removal}");
    assert_eq!(send_through(&probe, &optional, who, &good).await.text(), "sid=user-42");
    // V8: a session under a revoked key is the session of no user.
    let kid = ring.primary().unwrap();
    ring.emergency_rotate(&kid, "leaked", Secret::from(secret(8))).unwrap();
    let calls = probe.calls();
    send_through(&probe, &required, who, &good).await.assert_refused(401, Reason::RevokedKey);
    assert_eq!(probe.calls(), calls);
}

/// As of tokens: the session of another cookie is another's.
#[tokio::test]
async fn no_inner_service_takes_the_session_of_another_layer_for_this() {
    let ring = ring::<CookieKey>(0);
    let (probe, outer) = (Probe::default(), session(&ring));
    let inner = SessionCookie::new(CookieSigner::new(ring), "admin");
    let cookies = pair(&outer.issue("user-42").unwrap());
    let service = SessionLayer::new(inner).optional().layer(probe.service(who));
    for bad in ["", "; admin=x"] {
        let headers = [(COOKIE, format!("{cookies}{bad}"))];
        let service = SessionLayer::new(outer.clone()).layer(service.clone());
        let answer = ask(service, request(headers)).await;
        assert_eq!((answer.status.as_u16(), answer.text()), (200, "nobody"));
    }
}

#[tokio::test]
async fn a_ring_that_is_too_old_logs_no_user_out() {
    use dualkey::manifest::{Manifest, NewEntry};
    use dualkey::{Policy, Purpose};
    let clock = ManualClock::at_unix(1_800_000_000);
    let now = dualkey::Clock::now(&clock);
    let entry = NewEntry::new(Secret::from(secret(0)));
    let manifest =
        Manifest::new("X", Purpose::Cookie, "test", Policy::default(), entry, now).unwrap();
    let ring = manifest
        .build_ring(
            KeyRing::<CookieKey>::builder()
                .environment("test")
                .clock(clock.clone())
                .max_staleness(Duration::from_secs(60)),
        )
        .unwrap();
    let (probe, session) = (Probe::default(), session(&ring));
    let good = pair(&session.issue("user-42").unwrap());
    clock.advance(Duration::from_secs(61));
    let layer = SessionLayer::new(session).remove_invalid();
    for layer in [layer.clone(), layer.clone().optional(), layer.sign_for_inner()] {
        let answer = send_through(&probe, &layer, who, &good).await;
        answer.assert_refused(503, Reason::Stale);
        assert!(answer.headers.is_empty(), "the cookie stays");
    }
    assert_eq!(probe.calls(), 0);
}

/// What a service inside that knows of no signature sees, and sets.
fn plain(request: Request<Body>) -> Response<Body> {
    let cookies = request.headers().get(COOKIE).map_or("", |all| all.to_str().unwrap());
    let mut response = text(cookies);
    let sets = request.uri().query().unwrap_or_default();
    for set in sets.split('&').filter(|set| !set.is_empty()) {
        let value = set.replace('+', " ");
        response.headers_mut().append(SET_COOKIE, HeaderValue::try_from(value).unwrap());
    }
    response
}

#[tokio::test]
async fn a_service_inside_that_knows_of_no_signature_is_given_none() {
    let ring = ring::<CookieKey>(0);
    let (probe, session) = (Probe::default(), session(&ring));
    let layer = SessionLayer::new(session.clone()).sign_for_inner();
    let ask = async |uri: &'static str, cookies: Vec<String>| {
        let headers = cookies.into_iter().map(|cookie| (COOKIE, cookie));
        let mut request = request(headers);
        *request.uri_mut() = uri.parse().unwrap();
        ask(layer.layer(probe.service(plain)), request).await
    };
    // Who has none is given one, and the signature is the layer's.
    let answer = ask("/?sid=abc-_=;+Path=/;+HttpOnly&theme=dark", vec![]).await;
    let sets: Vec<_> = answer.headers.get_all(SET_COOKIE).iter().collect();
    assert_eq!(sets[1], "theme=dark");
    let set = sets[0].to_str().unwrap();
    assert!(set.starts_with("sid=abc-_%3D.") && set.ends_with("; Path=/; HttpOnly"), "{set}");
    let good = pair(sets[0]);
    assert_eq!(*session.signer().verify("sid", &good[4..]).unwrap(), "abc-_=");

    // It comes back without: byte for byte, and beside the others that every parser reads alike.
    let answer = ask("/", vec![format!("a=1;{good}; b = 2 ;; flag")]).await;
    assert_eq!(answer.text(), "sid=abc-_=; a=1; b=2");
    let answer = ask("/", vec!["a=1".to_owned(), good.clone(), "sid=forged".to_owned()]).await;
    assert_eq!(answer.text(), "sid=abc-_=; a=1");
    // What does not verify does not come to it, nor what was never signed.
    for cookies in ["sid=abc-_=", "sid=abc-_=; sid=def", " sid =x"] {
        assert_eq!(ask("/", vec![cookies.to_owned()]).await.text(), "");
        assert_eq!(ask("/", vec![format!("a=1; {cookies}")]).await.text(), "a=1");
    }
    // A removal stays as it is.
    let answer = ask("/?sid=;+Max-Age=0", vec![good.clone()]).await;
    assert_eq!(answer.header(&SET_COOKIE), "sid=; Max-Age=0");
    // After a rotation it is signed again, whether or not it is set inside.
    rotate(&ring);
    let answer = ask("/", vec![good.clone()]).await;
    let again = pair(&answer.headers[SET_COOKIE]);
    assert_ne!(again, good);
    assert_eq!(ask("/", vec![again]).await.text(), "sid=abc-_=");
    let answer = ask("/?sid=new", vec![good.clone()]).await;
    assert_eq!(answer.headers.get_all(SET_COOKIE).iter().count(), 1);
    assert!(pair(&answer.headers[SET_COOKIE]).starts_with("sid=new."));
}

#[tokio::test]
async fn a_cookie_is_read_as_browsers_read_it() {
    let (probe, session) = (Probe::default(), session(&ring::<CookieKey>(0)));
    let layer = SessionLayer::new(session.clone()).sign_for_inner();
    let set = async |set: &'static str| {
        let answer = move |_: Request<Body>| {
            let mut response = text("");
            response.headers_mut().insert(SET_COOKIE, HeaderValue::from_static(set));
            response
        };
        send_through(&probe, &layer, answer, "").await
    };
    // A removal may be in quotes.
    let removal = "sid=\"\"; Max-Age=0";
    assert_eq!(set(removal).await.header(&SET_COOKIE), removal);
    // Blanks and tabs around the name and the value do not count.
    let answer = set("\tsid \t= \tnew\t; Path=/").await;
    let new_pair = pair(&answer.headers[SET_COOKIE]);
    assert_eq!(*session.signer().verify("sid", &new_pair[4..]).unwrap(), "new");
    assert_eq!(
        send_through(&probe, &layer, plain, format!("\ta\t=\t1\t; {new_pair}")).await.text(),
        "sid=new; a=1"
    );
}

#[tokio::test]
async fn a_sensitive_header_stays_sensitive() {
    let (probe, session) = (Probe::default(), session(&ring::<CookieKey>(0)));
    let layer = SessionLayer::new(session.clone()).sign_for_inner();
    for is_sensitive in [false, true] {
        let mark = move |text: &str| {
            let mut value = HeaderValue::try_from(text).unwrap();
            value.set_sensitive(is_sensitive);
            value
        };
        let answer = move |request: Request<Body>| {
            assert_eq!(request.headers()[COOKIE].is_sensitive(), is_sensitive);
            let mut response = text("");
            response.headers_mut().insert(SET_COOKIE, mark("sid=new"));
            response
        };
        let mut request = request([(COOKIE, "")]);
        request.headers_mut().insert(COOKIE, mark(&pair(&session.issue("old").unwrap())));
        let answer = ask(layer.layer(probe.service(answer)), request).await;
        assert_eq!(answer.headers[SET_COOKIE].is_sensitive(), is_sensitive);
    }
}

#[tokio::test]
async fn no_signed_value_becomes_two_cookies() {
    let ring = ring::<CookieKey>(0);
    let (probe, session) = (Probe::default(), session(&ring));
    let layer = SessionLayer::new(session.clone()).sign_for_inner();
    let encoded = SessionLayer::new(session.clone()).sign_for_inner_encoded();
    for (value, seen) in [
        ("a; admin=1", "sid=a%3B%20admin%3D1"),
        ("a\r\nX: y", "sid=a%0D%0AX%3A%20y"),
        ("Zoë", "sid=Zo%C3%AB"),
        ("\"q\"", "sid=%22q%22"),
    ] {
        let cookies = pair(&session.issue(value).unwrap());
        let answer = send_through(&probe, &layer, plain, &cookies).await;
        assert_eq!(answer.text(), "", "parsers read it differently");
        let answer = send_through(&probe, &encoded, plain, &cookies).await;
        assert_eq!(answer.text(), seen);
    }
}

/// A cookie that could not be signed would be refused by the next request.
#[tokio::test]
async fn what_cannot_be_signed_is_not_sent() {
    let (probe, session) = (Probe::default(), session(&ring::<CookieKey>(0)));
    let layer = SessionLayer::new(session).sign_for_inner();
    let set = format!("sid={}", "x".repeat(5000));
    let answer = move |_: Request<Body>| {
        let mut response = text("logged in");
        response.headers_mut().insert(SET_COOKIE, HeaderValue::try_from(&set).unwrap());
        response
    };
    let answer = send_through(&probe, &layer, answer, "").await;
    assert_eq!((answer.status.as_u16(), answer.text(), answer.headers.len()), (500, "", 0));
}

#[test]
fn a_name_or_an_attribute_that_breaks_the_header_is_an_error() {
    let ring = ring::<CookieKey>(0);
    for name in ["", "a b", "a;b", "a=b", "a\r\nSet-Cookie: x", "é"] {
        let session = SessionCookie::new(CookieSigner::new(ring.clone()), name);
        assert!(session.issue("x").is_err() && session.removal().is_err(), "{name:?}");
    }
    let signer = CookieSigner::new(ring).attributes(Cookie::build("").path("/\r\nX: y"));
    assert!(SessionCookie::new(signer, "sid").issue("x").is_err());
}

proptest! {
    #![proptest_config(cases(300, 20_000))]

    /// Whatever stands beside it: a service inside sees no session but the one that was signed,
    /// and every other cookie that no parser takes for another.
    #[test]
    fn a_service_inside_never_sees_a_session_that_was_not_signed(
        pairs in proptest::collection::vec("( ?(sid|sidx|a|SID|x-sid| )[ =\"]{0,2}[a-z.=\" ]{0,6} ?)|[ -~&&[^;]]{0,12}", 0..8),
        place in any::<proptest::sample::Index>(),
        is_signed in any::<bool>(),
        is_split in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let session = session(&ring::<CookieKey>(0));
        let mut pairs = pairs;
        let signed = pair(&session.issue("user-42").unwrap());
        if is_signed {
            pairs.insert(place.index(pairs.len() + 1), signed.clone());
        }
        let name = |text: &str| text.split('=').next().unwrap_or_default().trim().to_owned();
        // The first that verifies counts, and of more than eight none.
        let named = pairs.iter().filter(|pair| pair.contains('=') && name(pair) == "sid");
        let holds = is_signed && named.count() <= 8;
        let headers: Vec<_> = if is_split {
            pairs.clone()
        } else {
            vec![pairs.join(";")]
        };
        let layer = SessionLayer::new(session).sign_for_inner();
        let probe = Probe::default();
        let request = request(headers.into_iter().map(|value| (COOKIE, value)));
        let answer = runtime.block_on(ask(layer.layer(probe.service(plain)), request));
        let seen: Vec<_> = Cookie::split_parse(answer.text()).flatten().collect();
        let sessions: Vec<_> =
            seen.iter().filter(|cookie| cookie.name() == "sid").map(|cookie| cookie.value()).collect();
        prop_assert_eq!(sessions, if holds { vec!["user-42"] } else { vec![] });
        let is_token = |text: &str| {
            let is_one = |character: char| character.is_ascii_graphic() && !"()<>@,;:\\\"/[]?={}%'".contains(character);
            !text.is_empty() && !text.starts_with('$') && text.chars().all(is_one)
        };
        let is_value = |text: &str| {
            let inner = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text);
            inner.chars().all(|character| character.is_ascii_graphic() && !"\",;\\".contains(character))
        };
        let expected: Vec<_> = pairs
            .iter()
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| (name.trim(), value.trim()))
            .filter(|(name, value)| is_token(name) && is_value(value) && !name.eq_ignore_ascii_case("sid"))
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let rest = answer.text().strip_prefix("sid=user-42").filter(|_| holds).unwrap_or(answer.text());
        prop_assert_eq!(rest.trim_start_matches("; "), expected.join("; "));
    }
}
