use dualkey::http::BearerLayer;
use dualkey::jwt::{Jwt, JwtKey};
use dualkey::{Claim, KeyRing, ManualClock, Reason, Secret, Verified};
use http::header::{AUTHORIZATION, COOKIE, WWW_AUTHENTICATE};
use http::{HeaderName, Request};
use http_body_util::Full;
use std::time::Duration;
use tower::Layer;

use super::{Answer, Claims, Probe, ask, claims, request, text};
use crate::support::{EventLog, forge, ring, secret};

const CHALLENGE: &str = "Bearer realm=\"restricted\"";
const INVALID: &str = "Bearer realm=\"restricted\", error=\"invalid_token\"";

/// What an inner service says of the claims that it was given.
async fn send_through(
    probe: &Probe,
    layer: &BearerLayer<Claims>,
    headers: Vec<(HeaderName, Vec<u8>)>,
) -> Answer {
    let inner = probe.service(|request: Request<Full<bytes::Bytes>>| {
        match request.extensions().get::<Verified<Claims>>() {
            Some(claims) => text(format!("{} under {:?}", claims.sub, claims.role())),
            None => text("nobody"),
        }
    });
    ask(layer.layer(inner), request(headers)).await
}

/// A ring, with an observer of its refusals.
fn build_watched() -> (Probe, EventLog, KeyRing<JwtKey>) {
    let event_log = EventLog::default();
    let builder = KeyRing::builder().primary(Secret::from(secret(0))).observer(event_log.clone());
    (Probe::default(), event_log, builder.build().unwrap())
}

fn bearer(token: &str) -> Vec<(HeaderName, Vec<u8>)> {
    vec![(AUTHORIZATION, format!("Bearer {token}").into_bytes())]
}

#[tokio::test]
async fn a_token_reaches_the_handler_with_the_key_that_made_it() {
    let (probe, ring) = (Probe::default(), ring::<JwtKey>(0));
    let jwt = Jwt::new(ring.clone());
    let layer = BearerLayer::<Claims>::new(jwt.clone());
    let token = jwt.sign(&claims()).unwrap();
    let answer = send_through(&probe, &layer, bearer(&token)).await;
    assert_eq!((answer.status.as_u16(), answer.text()), (200, "user-42 under Primary"));

    let kid = ring.stage(Secret::from(secret(7))).unwrap();
    ring.promote(&kid).unwrap();
    let answer = send_through(&probe, &layer, bearer(&token)).await;
    assert_eq!(answer.text(), "user-42 under Fallback");
    assert_eq!(probe.calls(), 2);
}

#[tokio::test]
async fn bearer_in_any_case_is_the_same_scheme_and_excuses_nothing() {
    let probe = Probe::default();
    let jwt = Jwt::new(ring::<JwtKey>(0));
    let layer = BearerLayer::<Claims>::new(jwt.clone());
    let good = jwt.sign(&claims()).unwrap();
    let other = Jwt::new(KeyRing::builder().primary(Secret::from(secret(9))).build().unwrap());
    let bad = other.sign(&claims()).unwrap();
    // RFC 9110 §11.1: the name of a scheme has no case.
    for scheme in ["Bearer", "bearer", "BEARER", "bEaReR"] {
        let header = |token: &str| vec![(AUTHORIZATION, format!("{scheme} {token}").into_bytes())];
        assert_eq!(send_through(&probe, &layer, header(&good)).await.status, 200, "{scheme}");
        let calls = probe.calls();
        send_through(&probe, &layer, header(&bad)).await.assert_refused(401, Reason::UnknownKid);
        assert_eq!(probe.calls(), calls);
    }
}

/// V7: to the peer every failure is the same.
#[tokio::test]
async fn v7_every_refusal_of_a_token_is_the_same_to_its_sender() {
    let (probe, event_log, ring) = build_watched();
    let jwt = Jwt::new(ring);
    let layer = BearerLayer::<Claims>::new(jwt.clone());
    let good = jwt.sign(&claims()).unwrap();
    let header = r#"{"alg":"HS256","typ":"JWT"}"#;
    let late = forge(secret(0).as_bytes(), header, br#"{"sub":"x","exp":1}"#);
    let forged = forge(secret(9).as_bytes(), header, br#"{"sub":"x","exp":4102444800}"#);
    let wrong = forge(secret(0).as_bytes(), header, br#"{"exp":4102444800}"#);
    let with = |value: Vec<u8>| vec![(AUTHORIZATION, value)];
    let mut two = bearer(&good);
    two.extend(bearer(&good));
    let cases = [
        (two, Reason::Repeated),
        (bearer(&late), Reason::Expired),
        (bearer(&forged), Reason::Signature),
        (bearer(&wrong), Reason::Payload),
        (bearer(""), Reason::Malformed),
        (with(b"Bearer".to_vec()), Reason::Malformed),
        (bearer(&format!("{good} ")), Reason::Malformed),
        (bearer(&format!("{good}\t")), Reason::Malformed),
        (bearer(&format!("{good},{good}")), Reason::Malformed),
        (with([b"Bearer \xff\xfe".as_slice(), good.as_bytes()].concat()), Reason::Malformed),
        (with("Bearer é.é.é".as_bytes().to_vec()), Reason::Malformed),
        (bearer(&"x".repeat(9000)), Reason::TooLarge),
    ];
    let count = cases.len();
    for (headers, reason) in cases {
        let answer = send_through(&probe, &layer, headers).await;
        answer.assert_refused(401, reason);
        assert_eq!(answer.header(&WWW_AUTHENTICATE), INVALID);
        assert_eq!(answer.headers.len(), 1);
    }
    assert_eq!((probe.calls(), event_log.all().len()), (0, count), "each is told of once");
}

#[tokio::test]
async fn a_request_without_a_token_is_asked_for_one_and_gets_no_error() {
    let (probe, event_log, ring) = build_watched();
    let layer = BearerLayer::<Claims>::new(Jwt::new(ring));
    for headers in [
        vec![],
        vec![(AUTHORIZATION, b"Basic dXNlcjpwYXNz".to_vec())],
        vec![(AUTHORIZATION, b"Bearerx y".to_vec())],
        vec![(COOKIE, b"token=x".to_vec())],
    ] {
        let answer = send_through(&probe, &layer, headers).await;
        answer.assert_refused(401, Reason::Missing);
        assert_eq!(answer.header(&WWW_AUTHENTICATE), CHALLENGE);
    }
    let named = layer.realm("the \"api\"");
    let answer = send_through(&probe, &named, vec![]).await;
    assert_eq!(answer.header(&WWW_AUTHENTICATE), "Bearer realm=\"the \\\"api\\\"\"");
    assert_eq!(probe.calls(), 0);
    assert!(event_log.all().iter().all(|event| event.contains("Missing")), "{:?}", event_log.all());
}

#[tokio::test]
async fn optional_admits_no_request_with_a_token_that_does_not_verify() {
    let probe = Probe::default();
    let jwt = Jwt::new(ring::<JwtKey>(0));
    let layer = BearerLayer::<Claims>::new(jwt.clone()).optional();
    let good = jwt.sign(&claims()).unwrap();
    assert_eq!(send_through(&probe, &layer, vec![]).await.text(), "nobody");
    let basic = vec![(AUTHORIZATION, b"Basic dXNlcjpwYXNz".to_vec())];
    assert_eq!(send_through(&probe, &layer, basic).await.text(), "nobody");
    assert_eq!(send_through(&probe, &layer, bearer(&good)).await.text(), "user-42 under Primary");
    let calls = probe.calls();
    send_through(&probe, &layer, bearer(&good[1..])).await.assert_refused(401, Reason::Malformed);
    let mut two = bearer(&good);
    two.extend(bearer("x"));
    send_through(&probe, &layer, two).await.assert_refused(401, Reason::Repeated);
    assert_eq!(probe.calls(), calls);
}

#[tokio::test]
async fn a_cookie_serves_where_no_header_has_a_token() {
    let probe = Probe::default();
    let jwt = Jwt::new(ring::<JwtKey>(0));
    let layer = BearerLayer::<Claims>::new(jwt.clone()).or_cookie("token");
    let good = jwt.sign(&claims()).unwrap();
    let cookie = |pairs: String| vec![(COOKIE, pairs.into_bytes())];
    for pairs in [
        format!("token={good}"),
        format!("theme=dark; token={good}; lang=de"),
        format!("token=\"{good}\""),
        // Of a few, the first that verifies counts.
        format!("token={good}; token=x; token=y"),
        format!("token=x; token={good}"),
    ] {
        assert_eq!(send_through(&probe, &layer, cookie(pairs)).await.status, 200);
    }
    // HTTP/2 may send each in a field of its own.
    let mut split = cookie("theme=dark".to_owned());
    split.extend(cookie(format!("token={good}")));
    assert_eq!(send_through(&probe, &layer, split).await.status, 200);

    let calls = probe.calls();
    // A header that has a token is the one that counts.
    let mut both = cookie(format!("token={good}"));
    both.extend(bearer("x"));
    send_through(&probe, &layer, both).await.assert_refused(401, Reason::Malformed);
    let many = vec![format!("token={good}"); 100].join("; ");
    send_through(&probe, &layer, cookie(many)).await.assert_refused(401, Reason::Repeated);
    send_through(&probe, &layer, vec![(COOKIE, b"token=\xff\xff".to_vec())])
        .await
        .assert_refused(401, Reason::Malformed);
    send_through(&probe, &layer, cookie("other=1".to_owned()))
        .await
        .assert_refused(401, Reason::Missing);
    assert_eq!(probe.calls(), calls);
}

/// Two layers around one another, with claims of one type: what the outer one verified is not
/// what the inner one asks for.
#[tokio::test]
async fn no_inner_service_takes_what_another_layer_verified_for_this() {
    let probe = Probe::default();
    let (one, other) = (Jwt::new(ring::<JwtKey>(0)), Jwt::new(ring::<JwtKey>(0)));
    let inner = probe.service(|request: Request<Full<bytes::Bytes>>| {
        match request.extensions().get::<Verified<Claims>>() {
            Some(claims) => text(claims.sub.clone()),
            None => text("nobody"),
        }
    });
    let outer = BearerLayer::<Claims>::new(one.clone()).or_cookie("outer");
    let within = BearerLayer::<Claims>::new(other.clone()).optional();
    let token = one.sign(&claims()).unwrap();
    let headers = vec![(COOKIE, format!("outer={token}").into_bytes())];
    let answer = ask(outer.layer(within.layer(inner)), request(headers)).await;
    assert_eq!((answer.status.as_u16(), answer.text()), (200, "nobody"));
}

/// A 401 would have the client throw a valid token away.
#[tokio::test]
async fn a_ring_that_is_too_old_is_no_fault_of_the_token() {
    use dualkey::manifest::{Manifest, NewEntry};
    use dualkey::{Policy, Purpose};
    let clock = ManualClock::at_unix(1_800_000_000);
    let entry = NewEntry::new(Secret::from(secret(0)));
    let now = dualkey::Clock::now(&clock);
    let manifest = Manifest::new("X", Purpose::Jwt, "test", Policy::default(), entry, now).unwrap();
    let ring = manifest
        .build_ring(
            KeyRing::<JwtKey>::builder()
                .environment("test")
                .clock(clock.clone())
                .max_staleness(Duration::from_secs(60)),
        )
        .unwrap();
    let (probe, jwt) = (Probe::default(), Jwt::new(ring));
    let layer = BearerLayer::<Claims>::new(jwt.clone());
    let token = jwt.sign(&claims()).unwrap();
    assert_eq!(send_through(&probe, &layer, bearer(&token)).await.status, 200);
    clock.advance(Duration::from_secs(61));
    for headers in [bearer(&token), bearer("x"), vec![]] {
        let answer = send_through(&probe, &layer, headers).await;
        answer.assert_refused(503, Reason::Stale);
        assert!(answer.headers.is_empty());
    }
    assert_eq!(probe.calls(), 1);
}

/// Of several token cookies the first that verifies counts, whichever others there are.
#[tokio::test]
async fn of_several_cookies_with_a_token_the_first_that_verifies_counts() {
    let (probe, event_log, ring) = build_watched();
    let jwt = Jwt::new(ring.clone());
    let layer = BearerLayer::<Claims>::new(jwt.clone()).or_cookie("token");
    let of = |sub: &str| jwt.sign(&Claims { sub: sub.to_owned(), ..claims() }).unwrap();
    let (good, second) = (of("user-42"), of("another"));
    let header = r#"{"alg":"HS256","typ":"JWT"}"#;
    let forge =
        |seed: u64, payload: &str| forge(secret(seed).as_bytes(), header, payload.as_bytes());
    let unknown = Jwt::new(KeyRing::builder().primary(Secret::from(secret(9))).build().unwrap());
    let bad: [(Vec<u8>, Reason); 9] = [
        (b"".to_vec(), Reason::Malformed),
        (b"\xff\xfe".to_vec(), Reason::Malformed),
        (b"x".repeat(9000), Reason::TooLarge),
        (unknown.sign(&claims()).unwrap().into_bytes(), Reason::UnknownKid),
        (forge(9, r#"{"sub":"x","exp":4102444800}"#).into_bytes(), Reason::Signature),
        (forge(0, r#"{"sub":"x","exp":1}"#).into_bytes(), Reason::Expired),
        (
            forge(0, r#"{"sub":"x","exp":4102444800,"nbf":4102444800}"#).into_bytes(),
            Reason::NotYetValid,
        ),
        (
            forge(0, r#"{"sub":"x","exp":4102444800,"aud":"x"}"#).into_bytes(),
            Reason::WrongClaim(Claim::Aud),
        ),
        // Of another service that has the secret: its claims are no claims of this one.
        (forge(0, r#"{"uid":"x","exp":4102444800}"#).into_bytes(), Reason::Payload),
    ];
    let headers = |tokens: &[&[u8]], is_one: bool| {
        let pairs: Vec<_> = tokens.iter().map(|token| [b"token=", *token].concat()).collect();
        if is_one {
            vec![(COOKIE, pairs.join(&b"; "[..]))]
        } else {
            pairs.into_iter().map(|pair| (COOKIE, pair)).collect()
        }
    };
    for (token, reason) in &bad {
        for is_one in [true, false] {
            for tokens in [[token, good.as_bytes()], [good.as_bytes(), token]] {
                let answer = send_through(&probe, &layer, headers(&tokens, is_one)).await;
                assert_eq!(answer.text(), "user-42 under Primary", "{reason}");
            }
            assert!(event_log.all().is_empty(), "{:?}", event_log.all());
            send_through(&probe, &layer, headers(&[token], is_one))
                .await
                .assert_refused(401, *reason);
            assert_eq!(event_log.take().len(), 1);
        }
        // The reason does not depend on the order.
        for (other, second) in &bad {
            let reasons = [[token, other], [other, token]].map(|tokens| {
                let tokens = tokens.map(|token| &token[..]);
                send_through(&probe, &layer, headers(&tokens, true))
            });
            let [there, back] = reasons;
            let (there, back) = (there.await.reason.unwrap(), back.await.reason.unwrap());
            assert_eq!(there, back);
            assert!([*reason, *second].contains(&there));
            assert_eq!(there.is_authentic(), reason.is_authentic() || second.is_authentic());
            assert_eq!(event_log.take().len(), 2, "each request is told of once");
        }
    }
    let both = headers(&[good.as_bytes(), second.as_bytes()], true);
    assert_eq!(send_through(&probe, &layer, both).await.text(), "user-42 under Primary");
    // The use of one key is counted, and once.
    let before = ring.keys()[0].usage.verified_as_primary;
    let all = headers(&[&bad[4].0, &bad[5].0, good.as_bytes(), second.as_bytes()], true);
    assert_eq!(send_through(&probe, &layer, all).await.status, 200);
    assert_eq!(ring.keys()[0].usage.verified_as_primary, before + 1);
    // At most eight.
    for place in 0..8 {
        let mut tokens = vec![&b"x"[..]; 7];
        tokens.insert(place, good.as_bytes());
        assert_eq!(
            send_through(&probe, &layer, headers(&tokens, true)).await.status,
            200,
            "{place}"
        );
        tokens.push(b"");
        send_through(&probe, &layer, headers(&tokens, true))
            .await
            .assert_refused(401, Reason::Repeated);
    }
    // Tokens that do not verify are no request without a token, even where that one passes.
    let optional = layer.optional();
    send_through(&probe, &optional, headers(&[b"x", b"y"], true))
        .await
        .assert_refused(401, Reason::Malformed);
}
