use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll};

use bytes::Bytes;
use dualkey::http::WebhookLayer;
use dualkey::mac::HmacSha256;
use dualkey::webhook::{VerifyToken, WebhookKey, WebhookVerifier};
use dualkey::{KeyRing, Reason, Secret, Verified};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Method, Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use proptest::prelude::*;
use tower::{BoxError, Layer};

use super::{Answer, Probe, ask, text};
use crate::support::{EventLog, cases, ring, secret};

const TOKEN: &str = "hV3-dashboard-token";

pub fn signature(seed: u64, body: &[u8]) -> String {
    format!("sha256={}", hex::encode(HmacSha256::new(secret(seed).as_bytes()).mac(body)))
}

fn hook(ring: KeyRing<WebhookKey>) -> WebhookVerifier {
    let tokens = KeyRing::<VerifyToken>::builder().primary(Secret::from(TOKEN)).build().unwrap();
    WebhookVerifier::new(ring).verify_tokens(tokens)
}

/// A body that comes in these frames, and says how many of them were asked for.
struct Frames {
    frames: VecDeque<Result<Frame<Bytes>, BoxError>>,
    asked: Arc<AtomicUsize>,
    announced: Option<u64>,
}

impl Frames {
    fn new(chunks: &[&[u8]]) -> Self {
        let frame = |chunk: &&[u8]| Ok(Frame::data(Bytes::copy_from_slice(chunk)));
        Self { frames: chunks.iter().map(frame).collect(), asked: Arc::default(), announced: None }
    }
}

impl Body for Frames {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.asked.fetch_add(1, SeqCst);
        Poll::Ready(self.frames.pop_front())
    }

    fn size_hint(&self) -> SizeHint {
        self.announced.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

/// Says what it was given: the body, and what is known of it.
fn echo(request: Request<Full<Bytes>>) -> Response<Full<Bytes>> {
    let verified = request.extensions().get::<Verified<Bytes>>().expect("it is verified");
    let kind = request.headers().get(CONTENT_TYPE).map_or("", |kind| kind.to_str().unwrap());
    let head = format!("{:?} {kind} ", verified.role());
    text(head + std::str::from_utf8(verified).unwrap())
}

async fn deliver(probe: &Probe, hook: &WebhookVerifier, signature: &str, body: Frames) -> Answer {
    let mut request = Request::new(body);
    *request.method_mut() = Method::POST;
    request.headers_mut().insert(CONTENT_TYPE, "application/odd; x=1".parse().unwrap());
    request.headers_mut().insert(WebhookVerifier::HEADER, signature.parse().unwrap());
    ask(WebhookLayer::new(hook.clone()).layer(probe.service(echo)), request).await
}

#[tokio::test]
async fn a_delivery_is_handed_on_byte_for_byte_whatever_its_chunks() {
    let (probe, hook) = (Probe::default(), hook(ring(1)));
    let body = br#"{"object":"page"}"#;
    for (seed, role) in [(0, "Primary"), (1, "Fallback")] {
        let tag = signature(seed, body);
        for chunks in [
            vec![body.as_slice()],
            vec![&body[..3], &body[3..]],
            vec![&body[..3], &[], &body[3..9], &body[9..]],
            body.chunks(1).collect(),
        ] {
            let answer = deliver(&probe, &hook, &tag, Frames::new(&chunks)).await;
            let expected = format!("{role} application/odd; x=1 {{\"object\":\"page\"}}");
            assert_eq!((answer.status.as_u16(), answer.text()), (200, expected.as_str()));
        }
    }
    assert_eq!(probe.calls(), 8);
}

#[tokio::test]
async fn nothing_is_handed_on_before_the_signature_held() {
    let event_log = EventLog::default();
    let ring = KeyRing::<WebhookKey>::builder()
        .primary(Secret::from(secret(0)))
        .observer(event_log.clone())
        .build()
        .unwrap();
    let (probe, hook) = (Probe::default(), hook(ring));
    let body = b"event".as_slice();
    let tag = signature(0, body);
    let broken = || {
        let mut frames = Frames::new(&[b"eve"]);
        frames.frames.push_back(Err("the peer went away".into()));
        frames.frames.push_back(Ok(Frame::data(Bytes::from_static(b"nt"))));
        frames
    };
    let cases = [
        (signature(9, body), Frames::new(&[body]), 401, Reason::Signature),
        (tag.clone(), Frames::new(&[b"even"]), 401, Reason::Signature),
        (tag.clone(), Frames::new(&[b"event", b"s"]), 401, Reason::Signature),
        (tag.clone(), broken(), 400, Reason::Interrupted),
        // An empty body, and a signature that is right.
        (signature(0, b""), Frames::new(&[]), 401, Reason::Malformed),
        (signature(0, b""), Frames::new(&[b"", b""]), 401, Reason::Malformed),
    ];
    let count = cases.len();
    for (tag, body, status, reason) in cases {
        deliver(&probe, &hook, &tag, body).await.assert_refused(status, reason);
    }
    assert_eq!((probe.calls(), event_log.all().len()), (0, count), "each is told of once");
}

#[tokio::test]
async fn a_body_is_not_read_under_a_signature_of_the_wrong_form() {
    let (probe, hook) = (Probe::default(), hook(ring(0)));
    for (tag, reason) in [("", Reason::Malformed), ("sha256=00", Reason::Malformed)] {
        let body = Frames::new(&[b"event"]);
        let asked = Arc::clone(&body.asked);
        deliver(&probe, &hook, tag, body).await.assert_refused(401, reason);
        assert_eq!(asked.load(SeqCst), 0);
    }
    let layer = WebhookLayer::new(hook);
    let tag = signature(0, b"event");
    for (tags, reason) in [(vec![], Reason::Missing), (vec![&tag, &tag], Reason::Repeated)] {
        let mut request = Request::new(Frames::new(&[b"event"]));
        *request.method_mut() = Method::PUT;
        for tag in tags {
            request.headers_mut().append(WebhookVerifier::HEADER, tag.parse().unwrap());
        }
        ask(layer.layer(probe.service(echo)), request).await.assert_refused(401, reason);
    }
    assert_eq!(probe.calls(), 0);
}

#[tokio::test]
async fn a_byte_over_the_bound_is_too_much_and_not_waited_for() {
    let (probe, hook) = (Probe::default(), hook(ring(0)).max_body_bytes(10));
    let whole = b"0123456789".as_slice();
    assert_eq!(
        deliver(&probe, &hook, &signature(0, whole), Frames::new(&[whole])).await.status,
        200
    );
    let over = b"0123456789a".as_slice();
    let tag = signature(0, over);
    for chunks in [vec![over], vec![whole, b"a"], over.chunks(1).collect()] {
        let mut body = Frames::new(&chunks);
        // What would come after it is never asked for.
        body.frames.extend((0..100).map(|_| Ok(Frame::data(Bytes::from_static(b"more")))));
        let asked = Arc::clone(&body.asked);
        deliver(&probe, &hook, &tag, body).await.assert_refused(413, Reason::TooLarge);
        assert_eq!(asked.load(SeqCst), chunks.len());
    }
    // What says that it is too large is not read at all; what says less than it is, is.
    let mut announced = Frames::new(&[over]);
    announced.announced = Some(11);
    let asked = Arc::clone(&announced.asked);
    deliver(&probe, &hook, &tag, announced).await.assert_refused(413, Reason::TooLarge);
    assert_eq!(asked.load(SeqCst), 0);
    let mut lying = Frames::new(&[over]);
    lying.announced = Some(3);
    deliver(&probe, &hook, &tag, lying).await.assert_refused(413, Reason::TooLarge);
    // A layer outside may have a bound of its own.
    let mut limited = Frames::new(&[b"012"]);
    let error = http_body_util::Limited::new(Full::new(Bytes::from_static(b"xyz")), 1);
    let error = http_body_util::BodyExt::collect(error).await.unwrap_err();
    limited.frames.push_back(Err(error));
    deliver(&probe, &hook, &tag, limited).await.assert_refused(413, Reason::TooLarge);
    assert_eq!(probe.calls(), 1);
}

/// The bound is the adapter's own, whole or in chunks.
#[test]
fn the_adapter_refuses_a_byte_over_the_bound() {
    let hook = hook(ring(0)).max_body_bytes(10);
    let (whole, over) = (b"0123456789".as_slice(), b"0123456789a".as_slice());
    assert!(hook.verify([signature(0, whole)], whole).is_ok());
    for chunk in [1, 3, 11] {
        let mut delivery = hook.start([signature(0, over)]).unwrap();
        over.chunks(chunk).for_each(|chunk| delivery.update(chunk));
        assert_eq!(delivery.finish().unwrap_err().reason(), Reason::TooLarge, "{chunk}");
    }
    let large = vec![b'x'; 3 * 1024 * 1024 + 1];
    let hook = WebhookVerifier::new(ring(0));
    assert!(hook.verify([signature(0, &large[1..])], &large[1..]).is_ok());
    let refused = hook.verify([signature(0, &large)], &large).unwrap_err();
    assert_eq!(refused.reason(), Reason::TooLarge);
}

#[tokio::test]
async fn trailers_are_not_signed_and_do_not_arrive() {
    let (probe, hook) = (Probe::default(), hook(ring(0)));
    let mut body = Frames::new(&[b"event"]);
    let mut trailers = HeaderMap::new();
    trailers.insert("x-more", "y".parse().unwrap());
    body.frames.push_back(Ok(Frame::trailers(trailers)));
    let answer = deliver(&probe, &hook, &signature(0, b"event"), body).await;
    assert!(answer.text().ends_with(" event"));
}

async fn shake(probe: &Probe, hook: &WebhookVerifier, query: &str) -> Answer {
    let request = Request::get(format!("/webhook?{query}")).body(Frames::new(&[])).unwrap();
    ask(WebhookLayer::new(hook.clone()).layer(probe.service(echo)), request).await
}

#[tokio::test]
async fn the_handshake_is_answered_and_never_handed_on() {
    let (probe, hook) = (Probe::default(), hook(ring(0)));
    let query = |token: &str, challenge: &str| {
        format!("hub.mode=subscribe&hub.challenge={challenge}&hub.verify_token={token}")
    };
    let answer = shake(&probe, &hook, &query(TOKEN, "1158201444")).await;
    assert_eq!((answer.status.as_u16(), answer.text()), (200, "1158201444"));

    // Markup is served as what it is not: text.
    let answer = shake(&probe, &hook, &query(TOKEN, "%3Cscript%3Ealert(1)%3C/script%3E")).await;
    assert_eq!(answer.text(), "<script>alert(1)</script>");
    assert_eq!(answer.header(&CONTENT_TYPE), "text/plain; charset=utf-8");
    assert_eq!(answer.header(&http::header::X_CONTENT_TYPE_OPTIONS), "nosniff");

    for (query, reason) in [
        (query("another-token-of-them", "1"), Reason::Signature),
        (query("", "1"), Reason::Signature),
        (format!("hub.mode=subscribe&hub.verify_token={TOKEN}"), Reason::Missing),
        (format!("hub.challenge=1&hub.verify_token={TOKEN}"), Reason::Missing),
        (query(TOKEN, "1") + "&hub.challenge=2", Reason::Repeated),
        (query(TOKEN, "1").replace("subscribe", "x"), Reason::Malformed),
        (String::new(), Reason::Missing),
    ] {
        shake(&probe, &hook, &query).await.assert_refused(403, reason);
    }
    let none = WebhookVerifier::new(ring(0));
    shake(&probe, &none, &query(TOKEN, "1")).await.assert_refused(403, Reason::Missing);
    assert_eq!(probe.calls(), 0);
}

proptest! {
    #![proptest_config(cases(200, 5000))]

    /// However a body is cut, it arrives as it was signed; and never under another key, nor if
    /// a byte of it is another.
    #[test]
    fn no_cut_changes_a_body_and_no_change_passes(
        body in proptest::collection::vec(any::<u8>(), 1..300),
        cuts in proptest::collection::vec(0..300_usize, 0..6),
        place in any::<proptest::sample::Index>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(body.len())).collect();
            cuts.extend([0, body.len()]);
            cuts.sort_unstable();
            let hook = hook(ring(0)).accept_unescaped();
            let send = async |seed, sent: &[u8]| {
                let probe = Probe::default();
                let chunks: Vec<_> = cuts.windows(2).map(|cut| &sent[cut[0]..cut[1]]).collect();
                let service = probe.service(|request: Request<Full<Bytes>>| {
                    Response::new(Full::new(Bytes::clone(
                        request.extensions().get::<Verified<Bytes>>().unwrap(),
                    )))
                });
                let mut request = Request::new(Frames::new(&chunks));
                *request.method_mut() = Method::POST;
                let tag = signature(seed, &body).parse().unwrap();
                request.headers_mut().insert(WebhookVerifier::HEADER, tag);
                let answer = ask(WebhookLayer::new(hook.clone()).layer(service), request).await;
                (answer.status.as_u16(), answer.body, probe.calls())
            };
            prop_assert_eq!(send(0, &body).await, (200, Bytes::from(body.clone()), 1));
            prop_assert_eq!(send(9, &body).await, (401, Bytes::new(), 0));
            let mut other = body.clone();
            other[place.index(body.len())] ^= 1;
            prop_assert_eq!(send(0, &other).await, (401, Bytes::new(), 0));
            Ok(())
        })?;
    }
}
