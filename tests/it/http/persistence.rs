//! The attributes and the lifetime of a session that is issued, signed again, and removed.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::routing::get;
use dualkey::cookie::{Cookie, CookieJar, CookieKey, CookieSigner, LegacyCookie, SameSite};
use dualkey::http::{SessionCookie, SessionLayer, VerifiedCookie};
use dualkey::mac::HmacSha256;
use dualkey::{KeyRing, ManualClock, Secret};
use http::HeaderValue;
use http::header::{COOKIE, SET_COOKIE};
use tower::Layer;

use super::{Answer, Probe, ask, request, text};
use crate::support::secret;

const NOW: u64 = 1_800_000_000;
const DAY: u64 = 86_400;
const LIFE: u64 = 7 * DAY;

type Configure = fn(CookieSigner) -> CookieSigner;

/// A ring whose primary was promoted now; what the other signed is signed again.
struct Site {
    clock: ManualClock,
    signer: CookieSigner,
}

impl Site {
    fn new(configure: impl FnOnce(CookieSigner) -> CookieSigner) -> Self {
        let clock = ManualClock::at_unix(NOW);
        let ring = KeyRing::<CookieKey>::builder()
            .primary(Secret::from(secret(0)))
            .max_lifetime(Duration::from_secs(LIFE))
            .clock(clock.clone())
            .build()
            .unwrap();
        Self { clock, signer: configure(CookieSigner::new(ring)) }
    }

    fn session(&self, name: &'static str) -> SessionCookie {
        SessionCookie::new(self.signer.clone(), name)
    }

    fn rotate(&self) {
        let kid = self.signer.ring().stage(Secret::from(secret(7))).unwrap();
        self.signer.ring().promote(&kid).unwrap();
    }

    /// The `Set-Cookie` by which the cookie of a request is signed again: the same from each way.
    async fn sign_again(&self, name: &'static str, pair: &str) -> String {
        let session = self.session(name);
        let shown = |answer: Answer| {
            assert_eq!(answer.status, 200);
            answer.headers.get(SET_COOKIE).unwrap().to_str().unwrap().to_owned()
        };
        let headers = || [(COOKIE, pair)];
        let probe = Probe::default();
        let layer = SessionLayer::new(session.clone()).layer(probe.service(|_| text("")));
        let layered = shown(ask(layer, request(headers())).await);

        let me = async |session: VerifiedCookie| (session, "");
        let app = Router::new().route("/", get(me)).with_state(session.clone());
        let mut asked = request(headers());
        *asked.uri_mut() = "/".parse().unwrap();
        assert_eq!(shown(ask(app, asked.map(axum::body::Body::new)).await), layered);

        let (_, again) = self.signer.verify_header(name, [pair]).unwrap();
        let by_hand = self.signer.set_cookie(name, &again.unwrap()).unwrap();
        assert_eq!(by_hand.to_string(), layered);

        let mut jar = CookieJar::new();
        jar.add_original(Cookie::parse(pair.to_owned()).unwrap());
        let _ = self.signer.jar(&mut jar).get(name).unwrap();
        assert_eq!(jar.delta().next().unwrap().to_string(), layered);
        layered
    }

    /// The `Set-Cookie` of a login now, and the one of a request so much later.
    async fn issue_and_sign_again(&self, after: Duration) -> [String; 2] {
        let issued = self.session("sid").issue("user-42").unwrap();
        self.rotate();
        self.clock.advance(after);
        let again = self.sign_again("sid", pair(&issued)).await;
        [issued.to_str().unwrap().to_owned(), again]
    }
}

fn pair(set_cookie: &HeaderValue) -> &str {
    set_cookie.to_str().unwrap().split(';').next().unwrap()
}

/// The `Max-Age` of a `Set-Cookie`, which has no `Expires`.
fn max_age(set_cookie: &str) -> Option<i64> {
    assert!(!set_cookie.contains("Expires"), "{set_cookie}");
    let (_, rest) = set_cookie.split_once("; Max-Age=")?;
    Some(rest.split(';').next().unwrap().parse().unwrap())
}

fn lifetimes(set_cookies: &[String; 2]) -> [Option<i64>; 2] {
    [max_age(&set_cookies[0]), max_age(&set_cookies[1])]
}

#[tokio::test]
async fn a_persistent_session_lives_as_long_as_it_has_left() {
    let site = Site::new(CookieSigner::persistent);
    let all = site.issue_and_sign_again(Duration::from_secs(3600)).await;
    assert_eq!(lifetimes(&all), [Some(604_800), Some(601_200)]);
    // An age of its own.
    let site = Site::new(|signer| signer.max_age(Duration::from_secs(7200)).persistent());
    let all = site.issue_and_sign_again(Duration::from_secs(3600)).await;
    assert_eq!(lifetimes(&all), [Some(7200), Some(3600)]);
    // Twice signed again, it counts from the first issue.
    let again = HeaderValue::try_from(&all[1]).unwrap();
    let kid = site.signer.ring().stage(Secret::from(secret(8))).unwrap();
    site.signer.ring().promote(&kid).unwrap();
    site.clock.advance(Duration::from_secs(600));
    assert_eq!(max_age(&site.sign_again("sid", pair(&again)).await), Some(3000));
}

/// A cookie that ended with the browser must not become one that stays.
#[tokio::test]
async fn a_session_ends_with_the_browser_unless_asked_otherwise() {
    let site = Site::new(|signer| signer);
    let all = site.issue_and_sign_again(Duration::from_secs(3600)).await;
    assert_eq!(lifetimes(&all), [None, None]);
    let site = Site::new(|signer| signer.max_age(Duration::from_secs(7200)).domain("example.com"));
    let all = site.issue_and_sign_again(Duration::from_secs(3600)).await;
    assert_eq!(lifetimes(&all), [None, None]);
}

#[tokio::test]
async fn a_legacy_session_lives_as_long_as_it_can_have_left() {
    let value = "user-42";
    let tag = HmacSha256::new(secret(0).as_bytes()).mac(value.as_bytes());
    let text = {
        use base64::Engine;
        base64::engine::general_purpose::STANDARD_NO_PAD.encode(tag)
    };
    let pair = Cookie::new("sid", format!("s:{value}.{text}")).encoded().stripped().to_string();
    let until = UNIX_EPOCH + Duration::from_secs(NOW + 8 * DAY);
    let configure = |signer: CookieSigner| signer.accept_legacy(LegacyCookie::Express, until);
    for (is_persistent, expected) in [(false, [None; 3]), (true, [LIFE, LIFE, 6 * DAY].map(Some))] {
        let site = Site::new(|signer| {
            if is_persistent { configure(signer).persistent() } else { configure(signer) }
        });
        for expected in expected {
            let age = max_age(&site.sign_again("sid", &pair).await);
            assert_eq!(age, expected.map(|seconds| i64::try_from(seconds).unwrap()));
            site.clock.advance(Duration::from_secs(DAY));
        }
        // In its last moment it is still no removal.
        site.clock.set(until - Duration::from_nanos(1));
        let age = max_age(&site.sign_again("sid", &pair).await);
        assert_eq!(age, is_persistent.then_some(1));
    }
}

#[tokio::test]
async fn a_lifetime_of_the_attributes_is_kept_and_never_exceeds_what_is_left() {
    use ::cookie::time::{Duration as Time, OffsetDateTime};
    let at = |seconds: u64| OffsetDateTime::from_unix_timestamp(seconds as i64).unwrap();
    let template = || Cookie::build(("", "")).path("/");
    let after = Duration::from_secs(6 * DAY);
    for (attributes, issued, again) in [
        (template().max_age(Time::hours(1)), Some(3600), Some(3600)),
        (template().max_age(Time::days(2)), Some(172_800), Some(86_400)),
        (template().max_age(Time::milliseconds(1)), Some(1), Some(1)),
        (template().permanent(), Some(604_800), Some(86_400)),
        (template().max_age(Time::MAX), Some(604_800), Some(86_400)),
        (template().expires(at(NOW + DAY)), Some(86_400), None),
        (template().expires(at(NOW + 6 * DAY + 60)), Some(518_460), Some(60)),
        (template().expires(at(NOW + 60 * DAY)), Some(604_800), Some(86_400)),
        // These would remove a valid session, and count as not set.
        (template().expires(at(NOW)), None, None),
        (template().expires(at(0)), None, None),
        (template().max_age(Time::ZERO), None, None),
        (template().max_age(Time::seconds(-1)), None, None),
        (template().max_age(Time::MIN), None, None),
        (template().removal(), None, None),
        (template().expires(None), None, None),
    ] {
        let site = Site::new(|signer| signer.attributes(attributes.clone()));
        let all = site.issue_and_sign_again(after).await;
        assert_eq!(lifetimes(&all), [issued, again], "{attributes:?}");
        // Of a persistent session the shorter counts.
        let site = Site::new(|signer| signer.attributes(attributes.clone()).persistent());
        let all = site.issue_and_sign_again(after).await;
        let expected = [issued.or(Some(604_800)), again.or(Some(86_400))];
        assert_eq!(lifetimes(&all), expected, "{attributes:?}");
    }
}

#[tokio::test]
async fn the_max_age_of_a_live_session_is_never_zero() {
    for left in [1, 999_999_999, 1_000_000_000, 1_000_000_001] {
        let site = Site::new(CookieSigner::persistent);
        let after = Duration::from_secs(LIFE) - Duration::from_nanos(left);
        let [_, again] = site.issue_and_sign_again(after).await;
        assert_eq!(max_age(&again), Some(if left > 1_000_000_000 { 2 } else { 1 }), "{left}");
    }
    // The clock moves back: within the skew the session is valid, and no older than new.
    let site = Site::new(CookieSigner::persistent);
    let issued = site.session("sid").issue("user-42").unwrap();
    site.rotate();
    for back in [1, 60, 299] {
        site.clock.set(UNIX_EPOCH + Duration::from_secs(NOW - back));
        assert_eq!(max_age(&site.sign_again("sid", pair(&issued)).await), Some(604_800));
    }
    // Of each age, however short or long.
    for (age, expected) in [
        (Duration::ZERO, 1),
        (Duration::from_nanos(1), 1),
        (Duration::from_secs(1), 1),
        (Duration::from_millis(1001), 2),
        (Duration::from_secs(1 << 31), 2_147_483_647),
        (Duration::MAX, 2_147_483_647),
    ] {
        let site = Site::new(|signer| signer.max_age(age).persistent());
        let issued = site.session("sid").issue("user-42").unwrap();
        assert_eq!(max_age(issued.to_str().unwrap()), Some(expected), "{age:?}");
    }
    // A clock that is before the epoch, or far ahead.
    for now in [SystemTime::UNIX_EPOCH, UNIX_EPOCH + Duration::from_secs(u32::MAX.into())] {
        let site = Site::new(CookieSigner::persistent);
        site.clock.set(now);
        let issued = site.session("sid").issue("user-42").unwrap();
        assert_eq!(max_age(issued.to_str().unwrap()), Some(604_800));
    }
}

#[tokio::test]
async fn every_attribute_is_that_of_the_signer() {
    let plain = "; HttpOnly; SameSite=Lax; Secure; Path=/";
    let cases: [(Configure, &str); 8] = [
        (|signer| signer, plain),
        (
            |signer| signer.domain("example.com"),
            "; HttpOnly; SameSite=Lax; Secure; Path=/; Domain=example.com",
        ),
        (|signer| signer.domain("example.com").domain(""), plain),
        (
            |signer| signer.domain(".example.com").path("/app"),
            "; HttpOnly; SameSite=Lax; Secure; Path=/app; Domain=example.com",
        ),
        (|signer| signer.same_site(SameSite::None), "; HttpOnly; SameSite=None; Secure; Path=/"),
        (
            |signer| signer.same_site(SameSite::Strict).http_only(false).secure(false),
            "; SameSite=Strict; Path=/",
        ),
        (
            |signer| signer.partitioned(true),
            "; HttpOnly; SameSite=Lax; Partitioned; Secure; Path=/",
        ),
        (
            |signer| signer.attributes(Cookie::build(("x", "y")).path("/a")).domain("example.com"),
            "; Path=/a; Domain=example.com",
        ),
    ];
    for (configure, expected) in cases {
        let site = Site::new(configure);
        for set_cookie in site.issue_and_sign_again(Duration::from_secs(60)).await {
            let (pair, attributes) = set_cookie.split_at(set_cookie.find(';').unwrap());
            assert_eq!(attributes, expected);
            assert!(pair.starts_with("sid=user-42."), "{pair}");
        }
        // Removed with the same domain and path, and persistent or not.
        for signer in [site.signer.clone(), site.signer.clone().persistent()] {
            let removal = SessionCookie::new(signer, "sid").removal().unwrap();
            let removal = removal.to_str().unwrap();
            assert!(
                removal.starts_with(&format!("sid={expected}; Max-Age=0; Expires=")),
                "{removal}"
            );
        }
    }
}

/// As [`a_lifetime_of_the_attributes_is_kept_and_never_exceeds_what_is_left`], for the attributes
/// of one cookie.
#[test]
fn a_jar_adds_no_cookie_that_outlives_its_value() {
    use ::cookie::time::{Duration as Time, OffsetDateTime};
    let at = |seconds: u64| OffsetDateTime::from_unix_timestamp(seconds as i64).unwrap();
    let cookie = || Cookie::build(("sid", "v"));
    for (cookie, expected) in [
        (cookie().max_age(Time::hours(1)), "; Max-Age=3600"),
        (cookie().max_age(Time::milliseconds(1)), "; Max-Age=1"),
        (cookie().max_age(Time::days(7)), "; Max-Age=604800"),
        (cookie().max_age(Time::days(8)), "; Max-Age=604800"),
        (cookie().max_age(Time::MAX), "; Max-Age=604800"),
        (cookie().permanent(), "; Max-Age=604800"),
        (cookie().expires(at(NOW + 60)), "; Max-Age=60"),
        (cookie().expires(at(NOW + 60 * DAY)), "; Max-Age=604800"),
        // `Max-Age` counts before `Expires` (RFC 6265 §5.3).
        (cookie().expires(at(0)).max_age(Time::hours(1)), "; Max-Age=3600"),
        (cookie().expires(None).max_age(Time::hours(1)), "; Max-Age=3600"),
        // Asked for: one that ends with the browser, and removals.
        (cookie().expires(None), ""),
        (cookie().max_age(Time::ZERO), "; Max-Age=0"),
        (cookie().max_age(Time::ZERO).expires(at(NOW + 60)), "; Max-Age=0; Expires="),
        (cookie().max_age(Time::seconds(-1)), "; Max-Age=-1"),
        (cookie().expires(at(NOW)), "; Expires="),
        (cookie().expires(at(0)), "; Expires="),
    ] {
        for configure in [|signer| signer, CookieSigner::persistent] {
            let site = Site::new(configure);
            let mut jar = CookieJar::new();
            site.signer.jar(&mut jar).add(cookie.clone()).unwrap();
            let added = jar.get("sid").unwrap();
            assert_eq!(*site.signer.verify("sid", added.value()).unwrap(), "v");
            let attributes = added.to_string().split_off(added.stripped().to_string().len());
            assert!(attributes.starts_with(expected), "{attributes} of {cookie:?}");
            let is_whole = expected.ends_with('=') || attributes == expected;
            assert!(is_whole, "{attributes} of {cookie:?}");
        }
    }
    // The age of the signer is the bound, and the signer gives what is not set.
    let site = Site::new(|signer| signer.max_age(Duration::from_secs(600)).persistent());
    for (cookie, expected) in
        [(cookie(), 600), (cookie().max_age(Time::hours(1)), 600), (cookie().permanent(), 600)]
    {
        let mut jar = CookieJar::new();
        site.signer.jar(&mut jar).add(cookie).unwrap();
        assert_eq!(max_age(&jar.get("sid").unwrap().to_string()), Some(expected));
    }
}

#[test]
fn a_jar_adds_a_cookie_with_the_lifetime_of_the_signer_or_its_own() {
    use ::cookie::time::Duration as Time;
    for (is_persistent, cookie, expected) in [
        (false, Cookie::new("sid", "v"), None),
        (true, Cookie::new("sid", "v"), Some(604_800)),
        (true, Cookie::build(("sid", "v")).max_age(Time::hours(1)).build(), Some(3600)),
        (true, Cookie::build(("sid", "v")).expires(None).build(), None),
    ] {
        let site = Site::new(|signer| if is_persistent { signer.persistent() } else { signer });
        let mut jar = CookieJar::new();
        site.signer.jar(&mut jar).add(cookie).unwrap();
        assert_eq!(max_age(&jar.get("sid").unwrap().to_string()), expected);
    }
}

/// RFC 6265bis §4.1.3: browsers drop such a cookie without a word.
#[test]
fn a_prefix_of_the_name_needs_its_attributes() {
    let ways = |name: &'static str, configure: Configure| {
        let session = Site::new(configure).session(name);
        let signed = session.signer().sign(name, "v").unwrap();
        let ways = [
            session.issue("v").is_ok(),
            session.removal().is_ok(),
            session.signer().set_cookie(name, &signed).is_ok(),
            session.signer().removal(name).is_ok(),
        ];
        assert!(ways.iter().all(|way| *way == ways[0]), "{name}");
        ways[0]
    };
    for name in ["__Host-sid", "__host-sid", "__HOST-"] {
        assert!(ways(name, |signer| signer));
        assert!(ways(name, |signer| signer.partitioned(true).persistent()));
        assert!(ways(name, |signer| signer.same_site(SameSite::None)));
        assert!(!ways(name, |signer| signer.secure(false)), "{name}");
        assert!(!ways(name, |signer| signer.path("/app")), "{name}");
        assert!(!ways(name, |signer| signer.domain("example.com")), "{name}");
        assert!(!ways(name, |signer| signer.attributes(Cookie::new("", ""))), "{name}");
    }
    for name in ["__Secure-sid", "__SECURE-sid"] {
        assert!(ways(name, |signer| signer.path("/app").domain("example.com")));
        assert!(!ways(name, |signer| signer.secure(false)), "{name}");
    }
    for name in ["__Http-sid", "__Host-Http-sid", "__HTTP-sid", "__host-http-sid"] {
        assert!(ways(name, |signer| signer));
        assert!(!ways(name, |signer| signer.http_only(false)), "{name}");
        assert!(!ways(name, |signer| signer.secure(false)), "{name}");
        let is_of_http = name[..7].eq_ignore_ascii_case("__Http-");
        assert_eq!(ways(name, |signer| signer.path("/app").domain("example.com")), is_of_http);
    }
    for name in ["sid", "_Host-sid", "__Hostsid", "x__Host-sid", "__Secure", "__Host", "__Http"] {
        assert!(ways(name, |signer| signer.http_only(false)));
        assert!(ways(name, |signer| signer.secure(false).path("/app").domain("example.com")));
    }
}

/// Browsers drop such a cookie without a word, or keep it under a path of each request.
#[test]
fn attributes_that_no_browser_keeps_as_they_are_are_refused() {
    let ways = |configure: Configure| {
        let session = Site::new(configure).session("sid");
        let ways = [session.issue("v").is_ok(), session.removal().is_ok()];
        assert_eq!(ways[0], ways[1]);
        ways[0]
    };
    // RFC 6265bis §5.7: `SameSite=None` needs `Secure`.
    assert!(!ways(|signer| signer.same_site(SameSite::None).secure(false)));
    assert!(!ways(|signer| signer.secure(false).same_site(SameSite::None).domain("a.example")));
    assert!(ways(|signer| signer.same_site(SameSite::None)));
    assert!(ways(|signer| signer.same_site(SameSite::None).secure(false).partitioned(true)));
    assert!(
        ways(|signer| signer.attributes(Cookie::build("").same_site(SameSite::None).path("/")))
    );
    assert!(ways(|signer| signer.same_site(SameSite::Lax).secure(false)));
    // RFC 6265 §5.2.4: from any other path, the one of the request is taken.
    for configure in [
        |signer: CookieSigner| signer.path(""),
        |signer| signer.path("app"),
        |signer| signer.path(" /"),
    ] as [Configure; 3]
    {
        assert!(!ways(configure));
    }
    assert!(ways(|signer| signer.path("//")));
}

#[tokio::test]
async fn a_template_without_a_path_has_that_of_the_host() {
    for attributes in [Cookie::new("", ""), Cookie::build(("sid", "x")).secure(true).build()] {
        let site = Site::new(|signer| signer.attributes(attributes.clone()).persistent());
        for set_cookie in site.issue_and_sign_again(Duration::from_secs(60)).await {
            assert!(set_cookie.contains("; Path=/; Max-Age="), "{set_cookie}");
        }
        let removal = site.session("sid").removal().unwrap();
        assert!(removal.to_str().unwrap().contains("; Path=/; Max-Age=0; "), "{removal:?}");
    }
}

#[test]
fn only_a_signed_value_becomes_a_cookie() {
    let site = Site::new(|signer| signer);
    let signed = site.signer.sign("sid", "v").unwrap();
    assert!(site.signer.set_cookie("sid", &signed).is_ok());
    for value in ["", "user-42", "v.k.1800000000.", "s:a.b", &signed[..signed.len() - 1]] {
        let error = site.signer.set_cookie("sid", value).unwrap_err().to_string();
        assert!(error.contains("sign"), "{error}");
    }
    for name in ["", "a b", "a;b", "a=b", "é", "%73id", "$Version"] {
        assert!(site.signer.set_cookie(name, &signed).is_err(), "{name:?}");
    }
    for text in ["/;x", "/\r\nX: y", "/\0", "/\u{7f}"] {
        assert!(site.signer.clone().path(text).set_cookie("sid", &signed).is_err(), "{text:?}");
        let signer = site.signer.clone().domain(text);
        assert!(signer.set_cookie("sid", &signed).is_err() && signer.removal("sid").is_err());
        assert!(SessionCookie::new(signer, "sid").issue("v").is_err());
    }
}
