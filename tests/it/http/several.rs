//! Several cookies of one name: the first that verifies counts, at each entry point.

use std::time::{Duration, UNIX_EPOCH};

use axum::Router;
use axum::response::IntoResponse;
use axum::routing::get;
use dualkey::cookie::{Cookie, CookieJar, CookieKey, CookieSigner, LegacyCookie};
use dualkey::http::{SessionCookie, SessionLayer, VerifiedCookie};
use dualkey::mac::HmacSha256;
use dualkey::{KeyRing, ManualClock, NewKey, Reason, Secret, Verified};
use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderMap, HeaderValue, Response};
use tower::Layer;

use super::{Answer, Probe, ask, request, text};
use crate::support::{EventLog, secret};

const NOW: u64 = 1_800_000_000;
const DAY: u64 = 86_400;

fn key(seed: u64, kid: &str) -> NewKey<CookieKey> {
    NewKey::new(Secret::from(secret(seed))).kid(kid.parse().unwrap())
}

/// The primary is `new`, the fallback `old`, and `leaked` is revoked.
struct Site {
    clock: ManualClock,
    session: SessionCookie,
}

impl Site {
    fn new() -> Self {
        let clock = ManualClock::at_unix(NOW);
        let ring = KeyRing::<CookieKey>::builder()
            .primary(key(0, "new"))
            .fallback(key(1, "old"))
            .fallback(key(2, "leaked"))
            .clock(clock.clone())
            .build()
            .unwrap();
        ring.revoke(&"leaked".parse().unwrap(), "leaked").unwrap();
        let until = UNIX_EPOCH + Duration::from_secs(NOW + 8 * DAY);
        let signer = CookieSigner::new(ring).accept_legacy(LegacyCookie::Express, until);
        Self { clock, session: SessionCookie::new(signer, "sid") }
    }

    /// A native cookie of `value`, as another instance signed it that long ago.
    fn sign_native(&self, seed: u64, kid: &str, value: &str, age: u64) -> String {
        let clock = ManualClock::at_unix(NOW - age);
        let ring = KeyRing::builder().primary(key(seed, kid)).clock(clock).build().unwrap();
        let signed = CookieSigner::new(ring).sign("sid", value).unwrap();
        format!("sid={signed}")
    }

    fn sign_fresh(&self, value: &str) -> String {
        self.sign_native(0, "new", value, 60)
    }

    fn sign_express(&self, value: &str) -> String {
        let tag = HmacSha256::new(secret(1).as_bytes()).mac(value.as_bytes());
        let text = format!("s:{value}.{}", base64(&tag));
        let pair = Cookie::new("sid", text).encoded().stripped().to_string();
        assert!(pair.starts_with("sid=s%3A"), "{pair}");
        pair
    }

    /// The verdict and the pair that the answer sets, the same at each entry point.
    async fn check_everywhere(
        &self,
        headers: &[Vec<u8>],
    ) -> (Result<String, Reason>, Option<String>) {
        let headers = || headers.iter().map(|value| (COOKIE, value));
        let found = |answer: Answer| {
            let value = match answer.reason {
                None => Ok(answer.text().to_owned()),
                Some(reason) => Err(reason),
            };
            (value, answer.headers.get(SET_COOKIE).map(pair))
        };
        let probe = Probe::default();
        let layer = SessionLayer::new(self.session.clone()).layer(probe.service(who));
        let layered = found(ask(layer, request(headers())).await);

        let app = Router::new().route("/", get(me)).with_state(self.session.clone());
        let mut asked = request(headers());
        *asked.uri_mut() = "/".parse().unwrap();
        let extracted = found(ask(app, asked.map(axum::body::Body::new)).await);
        assert_eq!(layered, extracted);

        let app = Router::new().route("/", get(maybe)).with_state(self.session.clone());
        let mut asked = request(headers());
        *asked.uri_mut() = "/".parse().unwrap();
        let optional = found(ask(app, asked.map(axum::body::Body::new)).await);
        assert_eq!(optional.0.ok(), layered.0.clone().ok().or(Some("nobody".to_owned())));

        let all: HeaderMap = request(headers()).headers().clone();
        let verified = self.session.verify(&all);
        let verified = verified.map(|cookie| cookie.value().to_owned());
        assert_eq!(layered.0, verified.map_err(|error| error.reason()));

        let by_hand = self.session.signer().verify_header("sid", all.get_all(COOKIE));
        let by_hand = by_hand
            .map(|(value, again)| (value.into_inner(), again.map(|again| format!("sid={again}"))));
        let by_hand = by_hand.map_err(|error| error.reason());
        assert_eq!(layered.0, by_hand.clone().map(|(value, _)| value));
        assert_eq!(layered.1, by_hand.ok().and_then(|(_, again)| again));
        layered
    }

    /// The same for these pairs in one header, in one header each, and in quotes.
    async fn check_any_way<P: AsRef<[u8]>>(
        &self,
        pairs: &[P],
    ) -> (Result<String, Reason>, Option<String>) {
        let pairs: Vec<Vec<u8>> = pairs.iter().map(|pair| pair.as_ref().to_vec()).collect();
        let one = vec![pairs.join(&b"; "[..])];
        let found = self.check_everywhere(&one).await;
        assert_eq!(self.check_everywhere(&pairs).await, found);
        let quoted = pairs.iter().map(|pair| [&b"a=1; sid=\""[..], &pair[4..], b"\""].concat());
        assert_eq!(self.check_everywhere(&quoted.collect::<Vec<_>>()).await, found);
        found
    }
}

fn base64(bytes: &[u8]) -> String {
    use ::base64::Engine;
    ::base64::engine::general_purpose::STANDARD_NO_PAD.encode(bytes)
}

fn pair(set_cookie: &HeaderValue) -> String {
    set_cookie.to_str().unwrap().split(';').next().unwrap().to_owned()
}

fn who(
    request: http::Request<http_body_util::Full<bytes::Bytes>>,
) -> Response<http_body_util::Full<bytes::Bytes>> {
    text(request.extensions().get::<Verified<Cookie<'static>>>().unwrap().value())
}

async fn me(session: VerifiedCookie) -> impl IntoResponse {
    let value = session.value().to_owned();
    (session, value)
}

async fn maybe(session: Option<VerifiedCookie>) -> String {
    session.map_or("nobody".to_owned(), |session| session.value().to_owned())
}

#[tokio::test]
async fn a_fresh_login_counts_before_a_legacy_cookie_and_is_not_overwritten() {
    let site = Site::new();
    let (old, new) = (site.sign_express("old"), site.sign_fresh("new"));
    for pairs in [[&old, &new], [&new, &old]] {
        let (value, set) = site.check_any_way(&pairs).await;
        assert_eq!((value.as_deref(), set), (Ok("new"), None));
    }
    // The same once the date of the legacy form is past.
    site.clock.advance(Duration::from_secs(3 * DAY));
    let until = UNIX_EPOCH + Duration::from_secs(NOW + DAY);
    let signer = site.session.signer().clone().accept_legacy(LegacyCookie::Express, until);
    let site = Site { session: SessionCookie::new(signer, "sid"), ..site };
    for pairs in [[&old, &new], [&new, &old]] {
        let (value, set) = site.check_any_way(&pairs).await;
        assert_eq!((value.as_deref(), set), (Ok("new"), None));
    }
    assert_eq!(site.check_any_way(&[&old]).await.0, Err(Reason::LegacyEnded));
}

#[tokio::test]
async fn a_cookie_that_does_not_verify_hides_no_other() {
    let site = Site::new();
    let good = site.sign_fresh("user-42");
    let bad: [Vec<u8>; 10] = [
        b"sid=".to_vec(),
        b"sid=x".to_vec(),
        b"sid=\xff\xfe".to_vec(),
        b"sid=s%3Ax.AAAA".to_vec(),
        format!("sid={}", "x".repeat(5000)).into_bytes(),
        site.sign_native(7, "new", "admin", 60).into_bytes(),
        site.sign_native(7, "unknown", "admin", 60).into_bytes(),
        site.sign_native(2, "leaked", "admin", 60).into_bytes(),
        site.sign_native(0, "new", "too old", 7 * DAY).into_bytes(),
        site.sign_express("x").replace("s%3Ax", "s%3Ay").into_bytes(),
    ];
    for bad in &bad {
        let name = String::from_utf8_lossy(bad).into_owned();
        for pairs in [[&bad[..], good.as_bytes()], [good.as_bytes(), &bad[..]]] {
            let (value, set) = site.check_any_way(&pairs).await;
            assert_eq!((value.as_deref(), set), (Ok("user-42"), None), "{name}");
        }
        assert!(site.check_any_way(&[bad]).await.0.is_err(), "{name}");
        // One in front of it and one behind.
        let (value, _) = site.check_any_way(&[&bad[..], good.as_bytes(), &bad[..]]).await;
        assert_eq!(value.as_deref(), Ok("user-42"), "{name}");
    }
    // Never true of bad ones alone, however many.
    assert!(site.check_any_way(&bad[..8]).await.0.is_err());
}

#[tokio::test]
async fn the_one_that_counts_is_signed_again_and_no_other() {
    let site = Site::new();
    let (old, express) = (site.sign_native(1, "old", "user-42", 60), site.sign_express("express"));
    for pairs in [vec!["sid=x", &old], vec![&old, "sid=x"], vec![&express, &old], vec![&old, &old]]
    {
        let (value, set) = site.check_any_way(&pairs).await;
        assert_eq!(value.as_deref(), Ok("user-42"), "{pairs:?}");
        let set = set.unwrap();
        assert!(set.starts_with(&format!("sid=user-42.new.{}.", NOW - 60)), "{set}");
    }
    // A legacy cookie beside a native one that is too old.
    let late = site.sign_native(0, "new", "late", 7 * DAY);
    for pairs in [[&express, &late], [&late, &express]] {
        let (value, set) = site.check_any_way(&pairs).await;
        assert_eq!(value.as_deref(), Ok("express"));
        assert!(set.unwrap().starts_with("sid=express.new."));
    }
}

/// Signed again, the first would take the place of the other in the browser.
#[tokio::test]
async fn a_session_is_not_signed_again_over_another_that_verifies() {
    let site = Site::new();
    let (old, new) = (site.sign_native(1, "old", "old", 3600), site.sign_fresh("new"));
    let (value, set) = site.check_any_way(&[&old, &new]).await;
    assert_eq!((value.as_deref(), set), (Ok("old"), None));
    let (value, set) = site.check_any_way(&[&new, &old]).await;
    assert_eq!((value.as_deref(), set), (Ok("new"), None));
    // Of the same session it is one, and as old as its last login.
    let again = site.sign_native(1, "old", "old", 7200);
    for pairs in
        [vec![&old, &site.sign_fresh("old")], vec![&again, &old, &site.sign_fresh("old"), &old]]
    {
        let (value, set) = site.check_any_way(&pairs).await;
        assert_eq!(value.as_deref(), Ok("old"));
        assert!(set.unwrap().starts_with(&format!("sid=old.new.{}.", NOW - 60)), "{pairs:?}");
    }
    for pairs in [[&again, &old], [&old, &again]] {
        let set = site.check_any_way(&pairs).await.1.unwrap();
        assert!(set.starts_with(&format!("sid=old.new.{}.", NOW - 3600)), "{set}");
    }
    // A cookie of another session or another cookie does not change it.
    let late = site.sign_native(0, "new", "old", 7 * DAY);
    let forged = site.sign_native(7, "new", "old", 1);
    for other in [&late, &forged] {
        let set = site.check_any_way(&[&old, other]).await.1.unwrap();
        assert!(set.starts_with(&format!("sid=old.new.{}.", NOW - 3600)), "{set}");
    }
}

/// Signed again, the first of two legacy sessions would count before the other from then on.
#[tokio::test]
async fn a_legacy_session_is_not_signed_again_over_another_that_verifies() {
    let site = Site::new();
    let (old, new) = (site.sign_express("old"), site.sign_express("new"));
    let (value, set) = site.check_any_way(&[&old, &new]).await;
    assert_eq!((value.as_deref(), set), (Ok("old"), None));
    let (value, set) = site.check_any_way(&[&old, "sid=s%3Anew.forged", &old]).await;
    assert_eq!(value.as_deref(), Ok("old"));
    assert!(set.unwrap().starts_with("sid=old.new."));
}

/// All forms are on: the first that verifies counts, whatever its form.
#[tokio::test]
async fn of_several_legacy_forms_the_first_cookie_counts_and_a_native_one_before_all() {
    let site = Site::new();
    let until = UNIX_EPOCH + Duration::from_secs(NOW + 8 * DAY);
    let signer = site.session.signer().clone();
    let signer = signer.accept_legacy(LegacyCookie::SignedJarDerived, until);
    let signer = signer.accept_legacy(LegacyCookie::SignedJar, until);
    let site = Site { session: SessionCookie::new(signer, "sid"), ..site };
    let jar = |key: cookie::Key, value: &str| {
        let mut jar = CookieJar::new();
        jar.signed_mut(&key).add(Cookie::new("sid", value.to_owned()));
        jar.get("sid").unwrap().encoded().stripped().to_string()
    };
    let secret = secret(1);
    let (first, derived) = (
        |value: &str| jar(cookie::Key::from(secret.as_bytes()), value),
        |value: &str| jar(cookie::Key::derive_from(secret.as_bytes()), value),
    );
    let all = [site.sign_express("express"), first("jar"), derived("derived")];
    for (one, value) in all.iter().zip(["express", "jar", "derived"]) {
        let (found, set) = site.check_any_way(&[one]).await;
        assert_eq!(found.as_deref(), Ok(value));
        assert!(set.unwrap().starts_with(&format!("sid={value}.new.{NOW}.")));
        for other in &all {
            let (found, set) = site.check_any_way(&[one, other]).await;
            assert_eq!((found.as_deref(), set.is_some()), (Ok(value), one == other));
        }
        let fresh = site.sign_fresh("fresh");
        for pairs in [[one, &fresh], [&fresh, one]] {
            assert_eq!(site.check_any_way(&pairs).await, (Ok("fresh".to_owned()), None));
        }
    }
    // The same session in two forms is one.
    let (found, set) =
        site.check_any_way(&[site.sign_express("one"), first("one"), derived("one")]).await;
    assert_eq!((found.as_deref(), set.is_some()), (Ok("one"), true));
}

/// A login of an instance whose clock is ahead is authentic, and newer than what is valid here.
#[tokio::test]
async fn a_session_is_not_signed_again_over_a_login_that_is_not_yet_valid() {
    let site = Site::new();
    let ahead = site.sign_native(0, "new", "ahead", 0);
    let (old, express) = (site.sign_native(1, "old", "old", 3600), site.sign_express("express"));
    site.clock.set(UNIX_EPOCH + Duration::from_secs(NOW - 600));
    assert_eq!(site.check_any_way(&[&ahead]).await.0, Err(Reason::NotYetValid));
    for (other, value) in [(&old, "old"), (&express, "express")] {
        for pairs in [[&ahead, other], [other, &ahead]] {
            let found = site.check_any_way(&pairs).await;
            assert_eq!(found, (Ok(value.to_owned()), None), "{value}");
        }
        assert!(site.check_any_way(&[other]).await.1.is_some());
    }
    // Nor is it removed.
    let probe = Probe::default();
    let layer = SessionLayer::new(site.session.clone()).remove_invalid();
    for (pair, is_removed) in [(&ahead, false), (&site.sign_native(7, "new", "ahead", 0), true)] {
        let answer = ask(layer.layer(probe.service(who)), request([(COOKIE, pair)])).await;
        assert_eq!(answer.status, 401);
        assert_eq!(answer.headers.contains_key(SET_COOKIE), is_removed, "{pair}");
    }
    // One that no key has signed is none.
    let forged = site.sign_native(7, "new", "ahead", 0);
    for other in [&old, &express] {
        assert!(site.check_any_way(&[&forged, other]).await.1.is_some());
    }
}

/// What the handler sets is newer than what came with the request.
#[tokio::test]
async fn an_extractor_signs_nothing_again_behind_a_cookie_that_the_handler_sets() {
    use axum::response::AppendHeaders;
    let site = Site::new();
    let old = site.sign_native(1, "old", "user-42", 60);
    let session = site.session.clone();
    let login = session.issue("fresh").unwrap();
    let logout = session.removal().unwrap();
    for set in [login, logout] {
        let [first, second, third] = [set.clone(), set.clone(), set.clone()];
        let response = async move |session: VerifiedCookie| {
            (session, ([(SET_COOKIE, first)], "").into_response())
        };
        let part = async move |session: VerifiedCookie| {
            (AppendHeaders([(SET_COOKIE, second)]), session, "")
        };
        let before = async move |session: VerifiedCookie| {
            (session, AppendHeaders([(SET_COOKIE, third)]), "")
        };
        let other = async |session: VerifiedCookie| {
            (AppendHeaders([(SET_COOKIE, "sid2=x"), (SET_COOKIE, "theme=sid")]), session, "")
        };
        let app = Router::new()
            .route("/response", get(response))
            .route("/part", get(part))
            .route("/before", get(before))
            .route("/other", get(other))
            .with_state(session.clone());
        for path in ["/response", "/part", "/before"] {
            let mut asked = request([(COOKIE, &old)]);
            *asked.uri_mut() = path.parse().unwrap();
            let answer = ask(app.clone(), asked.map(axum::body::Body::new)).await;
            // A browser keeps the last.
            assert_eq!(answer.headers.get_all(SET_COOKIE).iter().next_back(), Some(&set), "{path}");
        }
        let mut asked = request([(COOKIE, &old)]);
        *asked.uri_mut() = "/other".parse().unwrap();
        let answer = ask(app, asked.map(axum::body::Body::new)).await;
        let last = answer.headers.get_all(SET_COOKIE).iter().next_back().map(pair);
        assert!(last.is_some_and(|value| value.starts_with("sid=user-42.new.")));
    }
}

/// The operator hears of it, and a ring that serves nothing says so.
#[test]
fn a_cookie_that_is_not_there_is_the_same_for_a_jar_and_for_a_header() {
    let event_log = EventLog::default();
    let clock = ManualClock::at_unix(NOW);
    let ring = KeyRing::<CookieKey>::builder()
        .primary(key(0, "only"))
        .clock(clock)
        .observer(event_log.clone())
        .build()
        .unwrap();
    let signer = CookieSigner::new(ring.clone());
    let mut events = Vec::new();
    for _ in 0..2 {
        event_log.take();
        let by_header = signer.verify_header("sid", ["a=1"]).map(drop).unwrap_err().reason();
        let of_header = event_log.take();
        let mut jar = CookieJar::new();
        let by_jar = signer.jar(&mut jar).get("sid").map(drop).unwrap_err().reason();
        assert_eq!(by_jar, by_header);
        assert_eq!(event_log.take(), of_header);
        assert_eq!(of_header.len(), 1);
        events.push(by_jar);
        let _ = ring.revoke(&"only".parse().unwrap(), "leaked");
    }
    assert_eq!(events[0], Reason::Missing);
}

#[tokio::test]
async fn of_nine_cookies_of_one_name_none_counts() {
    let site = Site::new();
    let good = site.sign_fresh("user-42");
    for place in 0..8 {
        let mut pairs = vec!["sid=x"; 7];
        pairs.insert(place, &good);
        assert_eq!(site.check_any_way(&pairs).await.0.as_deref(), Ok("user-42"), "{place}");
        pairs.push("sid=");
        assert_eq!(site.check_any_way(&pairs).await, (Err(Reason::Repeated), None), "{place}");
    }
    // Those of other names do not count.
    let others: Vec<_> = (0..50).map(|place| format!("sid{place}=x; SID=x")).collect();
    let header = format!("{}; {good}", others.join("; "));
    assert_eq!(site.check_everywhere(&[header.into_bytes()]).await.0.as_deref(), Ok("user-42"));
}

#[tokio::test]
async fn the_reason_does_not_depend_on_the_order_of_the_cookies() {
    let site = Site::new();
    let ranked: [(String, Reason); 7] = [
        ("sid=x".to_owned(), Reason::Malformed),
        (format!("sid={}", "x".repeat(5000)), Reason::TooLarge),
        ("sid=v.unknown.1800000000.".to_owned() + &"A".repeat(43), Reason::UnknownKid),
        (site.sign_native(7, "new", "admin", 60), Reason::Signature),
        (site.sign_native(2, "leaked", "admin", 60), Reason::RevokedKey),
        (site.sign_native(0, "new", "ahead", 0).replace("ahead", "behind"), Reason::Signature),
        (site.sign_native(0, "new", "late", 7 * DAY), Reason::Expired),
    ];
    for (one, first) in &ranked {
        assert_eq!(site.check_any_way(&[one]).await.0, Err(*first));
        for (other, second) in &ranked {
            let there = site.check_any_way(&[one, other]).await;
            assert_eq!(there, site.check_any_way(&[other, one]).await);
            let reason = there.0.unwrap_err();
            assert!([*first, *second].contains(&reason));
            // Only of a signature that held may the peer hear more.
            assert_eq!(reason.is_authentic(), first.is_authentic() || second.is_authentic());
        }
    }
}
