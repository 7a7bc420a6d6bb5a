//! The page on which an operator sees a rotation.

use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::Router;
use dualkey::cookie::{CookieKey, CookieSigner};
use dualkey::envelope::{AesKey, Sealer};
use dualkey::http::Status;
use dualkey::jwt::{Jwt, JwtKey};
use dualkey::manifest::{Manifest, NewEntry};
use dualkey::ops::audit::AuditKey;
use dualkey::source::{FileStore, KeyStore, update};
use dualkey::{Clock, KeyRing, Kid, ManualClock, Policy, Purpose, RewrapRecord, Schedule, Secret};
use reqwest::Client;
use serde_json::{Value, json};

use super::site::serve;
use crate::support::bounds::{extreme, moments};
use crate::support::peers;
use crate::support::{aes_key, key, secret};

const DAY: Duration = Duration::from_secs(24 * 3600);
const PASSWORD: &str = "let-me-see";

async fn start(status: Status) -> String {
    let router = status.router(|request| {
        request
            .headers
            .get("x-password")
            .is_some_and(|value| value.as_bytes() == PASSWORD.as_bytes())
    });
    format!("http://{}/admin/keys", serve(Router::new().nest("/admin/keys", router)).await)
}

async fn page(url: &str) -> String {
    let request = Client::new().get(url).header("x-password", PASSWORD);
    request.send().await.unwrap().text().await.unwrap()
}

async fn json(url: &str) -> Value {
    serde_json::from_str(&page(&format!("{url}?format=json")).await).unwrap()
}

/// A rotation of tokens at a moment of its life: the clock, the ring, and how to use it.
struct Scene {
    clock: ManualClock,
    ring: KeyRing<JwtKey>,
    jwt: Jwt,
    old: Kid,
}

impl Scene {
    fn new() -> Self {
        let clock = ManualClock::at_unix(1_800_000_000);
        let mut policy = Policy::default();
        policy.schedule = Some(Schedule::Quarterly);
        let ring = KeyRing::<JwtKey>::builder()
            .name("JWT_SECRET")
            .primary(key(0, "2026-q3"))
            .policy(policy)
            .clock(clock.clone())
            .build()
            .unwrap();
        clock.advance(DAY * 30);
        Self { clock, jwt: Jwt::new(ring.clone()), old: ring.primary().unwrap(), ring }
    }

    fn sign(&self) -> String {
        let exp = self.clock.now().duration_since(std::time::UNIX_EPOCH).unwrap() + DAY * 7;
        self.jwt.sign(&json!({ "sub": "x", "exp": exp.as_secs() })).unwrap()
    }

    fn verify(&self, token: &str, times: usize) {
        for _ in 0..times {
            assert!(self.jwt.verify::<Value>(token).is_ok());
        }
    }
}

#[tokio::test]
async fn no_request_that_the_guard_refuses_sees_the_page() {
    let scene = Scene::new();
    let url = start(Status::new().watch(&scene.ring)).await;
    let client = Client::new();
    for query in ["", "?format=json", "?refresh=30"] {
        let response = client.get(format!("{url}{query}")).send().await.unwrap();
        assert_eq!(response.status(), 403);
        assert_eq!(response.text().await.unwrap(), "");
        let wrong = client.get(format!("{url}{query}")).header("x-password", "x");
        assert_eq!(wrong.send().await.unwrap().status(), 403);
        let right = client.get(format!("{url}{query}")).header("x-password", PASSWORD);
        let response = right.send().await.unwrap();
        assert_eq!(response.status(), 200);
        let policy = response.headers()["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
        assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"));
        assert_eq!(response.headers()["cache-control"], "no-store");
        assert_eq!(response.headers()["x-content-type-options"], "nosniff");
    }
    let accept =
        client.get(&url).header("x-password", PASSWORD).header("accept", "application/json");
    assert_eq!(accept.send().await.unwrap().headers()["content-type"], "application/json");
}

#[tokio::test]
async fn each_step_of_a_rotation_is_shown_with_what_is_to_be_done() {
    let scene = Scene::new();
    let url = start(Status::new().watch(&scene.ring)).await;
    let look = async || json(&url).await["rings"][0].clone();
    let key = |ring: &Value, kid: &str| {
        let keys = ring["keys"].as_array().unwrap();
        keys.iter().find(|key| key["kid"] == kid).unwrap().clone()
    };
    let old_token = scene.sign();
    scene.verify(&old_token, 20);

    let ring = look().await;
    assert_eq!((&ring["name"], &ring["purpose"]), (&json!("JWT_SECRET"), &json!("jwt")));
    assert_eq!(key(&ring, "2026-q3")["state"], "primary");
    assert_eq!(key(&ring, "2026-q3")["verdict"], Value::Null);
    assert_eq!(ring["rotation_due"], "2027-04-15T00:00:00Z");
    let advice = ring["advice"].as_str().unwrap();
    assert!(advice.starts_with("Nothing to do until 2027-04-15"), "{advice}");
    let uses = &ring["instances"][0]["uses"][0];
    assert_eq!((&uses["verified_as_primary"], &uses["signed"]), (&json!(20), &json!(1)));

    scene.ring.stage(self::key(1, "2026-q4")).unwrap();
    let ring = look().await;
    assert_eq!(key(&ring, "2026-q4")["state"], "staged");
    let advice = "The key 2026-q4 is staged: promote it once every instance holds it.";
    assert_eq!((&ring["advice"], &ring["is_fleet"]), (&json!(advice), &json!(false)));

    scene.ring.promote(&"2026-q4".parse().unwrap()).unwrap();
    scene.verify(&old_token, 7);
    let ring = look().await;
    let old = key(&ring, "2026-q3");
    assert_eq!((&old["state"], &old["verdict"]["answer"]), (&json!("fallback"), &json!("wait")));
    assert_eq!(old["verdict"]["until"], old["verifies_until"]);
    assert_eq!(ring["instances"][0]["uses"][0]["verified_as_fallback"], 7);
    let advice = ring["advice"].as_str().unwrap();
    assert!(advice.starts_with("Wait until ") && advice.contains("(in 7 d 1 h)"), "{advice}");

    // A day before the end, and after it, without a single visitor.
    scene.clock.advance(DAY * 6);
    let advice = look().await["advice"].as_str().unwrap().to_owned();
    assert!(advice.contains("(in 1 d 1 h)"), "{advice}");
    scene.clock.advance(DAY * 2);
    let ring = look().await;
    let old = key(&ring, "2026-q3");
    assert_eq!((&old["state"], &old["verdict"]["answer"]), (&json!("expired"), &json!("blocked")));
    let reasons = old["verdict"]["reasons"].as_array().unwrap();
    assert_eq!(reasons.len(), 1, "{reasons:?}");
    let reason = reasons[0].as_str().unwrap();
    assert!(reason.starts_with("0 verifications under the primary"), "{reason}");
    assert!(reason.contains("`min_observed_verifications`"), "{reason}");
    let token = scene.sign();
    scene.verify(&token, 1000);
    assert_eq!(key(&look().await, "2026-q3")["verdict"]["answer"], "safe");

    scene.ring.revoke(&scene.old, "found in a <b>log</b>").unwrap();
    let ring = look().await;
    let old = key(&ring, "2026-q3");
    assert_eq!(
        (&old["state"], &old["revoked"]["reason"]),
        (&json!("revoked"), &json!("found in a <b>log</b>"))
    );
    let html = page(&url).await;
    assert!(html.contains("found in a &lt;b&gt;log&lt;/b&gt;") && !html.contains("<b>log"));
}

/// Keys of the audit need no agreement, so no instance was asked.
#[tokio::test]
async fn a_staged_key_of_the_audit_is_not_said_to_be_held_where_no_instance_reports() {
    let ring = KeyRing::<AuditKey>::builder()
        .name("AUDIT_SECRET")
        .primary(key(0, "old"))
        .clock(ManualClock::at_unix(1_800_000_000))
        .build()
        .unwrap();
    let url = start(Status::new().watch(&ring)).await;
    ring.stage(key(1, "new")).unwrap();
    let ring = json(&url).await["rings"][0].clone();
    let advice = "The key new is staged: promote it once every instance holds it.";
    assert_eq!((&ring["advice"], &ring["is_fleet"]), (&json!(advice), &json!(false)));
}

/// V10: no output holds a byte of a secret.
#[tokio::test]
async fn v10_the_page_holds_no_secret_and_no_markup_of_others() {
    let clock = ManualClock::at_unix(1_800_000_000);
    let ring = KeyRing::<CookieKey>::builder()
        .name("</h2><script>alert(1)</script>")
        .primary(key(0, "a"))
        .fallback(key(1, "b"))
        .clock(clock)
        .build()
        .unwrap();
    let url = start(Status::new().watch(&ring)).await;
    for text in [page(&url).await, page(&format!("{url}?format=json")).await] {
        for seed in [0, 1] {
            let secret = secret(seed);
            let escaped = secret.replace('&', "&amp;").replace('<', "&lt;");
            assert!((0..57).all(|start| !text.contains(&secret[start..start + 8])));
            assert!((0..57).all(|start| !text.contains(&escaped[start..start + 8])));
        }
    }
    let html = page(&url).await;
    assert!(!html.contains("<script") && html.contains("&lt;script&gt;"));
}

/// Two instances that follow one file: the page of either speaks for both.
#[tokio::test]
async fn the_page_speaks_for_the_fleet() {
    let clock = ManualClock::at_unix(1_800_000_000);
    let folder = tempfile::tempdir().unwrap();
    let store = FileStore::new(folder.path().join("session.json"));
    let entry =
        |seed, kid: &str| NewEntry::new(Secret::from(secret(seed))).kid(kid.parse().unwrap());
    let policy = Policy::default();
    let first =
        Manifest::new("SESSION", Purpose::Cookie, "test", policy, entry(0, "old"), clock.now());
    store.compare_and_swap(0, &first.unwrap()).await.unwrap();
    let follow = |name: &str| {
        let builder = KeyRing::<CookieKey>::builder()
            .name("SESSION")
            .environment("test")
            .clock(clock.clone());
        let following = builder.follow(store.clone()).instance(name);
        following.on_demand().unwrap()
    };
    // One that ran the day before, and fell without a word.
    drop(follow("web-0"));
    clock.advance(DAY + Duration::from_secs(1));
    let (one, two) = (follow("web-1"), follow("web-2"));
    let url = start(Status::new().watch(&one)).await;
    let look = async || json(&url).await["rings"][0].clone();
    let signer = CookieSigner::new(two.ring().clone());
    let value = signer.sign("sid", "x").unwrap();

    clock.advance(Duration::from_secs(300));
    update(&store, |manifest| manifest.stage(entry(1, "new"), clock.now())).await.unwrap();
    one.refresh_async().await.unwrap();
    let ring = look().await;
    let names: Vec<_> =
        ring["instances"].as_array().unwrap().iter().map(|instance| &instance["name"]).collect();
    assert_eq!(names, ["web-0", "web-1", "web-2"]);
    assert_eq!(ring["instances"][2]["agrees"], false);
    let may_run = |place: usize| ring["instances"][place]["may_run"].as_bool().unwrap();
    assert!(!may_run(0) && may_run(1) && may_run(2), "{ring}");
    assert_eq!(ring["advice"], "Wait before promoting new: the instance web-2 holds other keys.");
    assert_eq!((&ring["revision"], &ring["store"]["reloads"]), (&json!(2), &json!(1)));

    two.refresh_async().await.unwrap();
    assert_eq!(look().await["advice"], "The key new may be promoted: every instance holds it.");
    let kid = "new".parse().unwrap();
    let reports = store.reports().await.unwrap();
    update(&store, |manifest| manifest.promote(&kid, &reports, clock.now())).await.unwrap();
    one.refresh_async().await.unwrap();
    two.refresh_async().await.unwrap();
    for _ in 0..5 {
        assert!(signer.verify("sid", &value).is_ok());
    }
    // What the other saw is known from its next report on.
    clock.advance(Duration::from_secs(3700));
    two.refresh_async().await.unwrap();
    let ring = look().await;
    assert_eq!(ring["instances"][2]["uses"][0]["verified_as_fallback"], 5);
    assert_eq!(ring["keys"][0]["last_as_fallback"], "2027-01-16T08:05:01Z");

    // A store that breaks is told of, and the page stays.
    std::fs::write(folder.path().join("session.json"), "{").unwrap();
    one.refresh_async().await.unwrap_err();
    let ring = look().await;
    assert_eq!(ring["store"]["failures_in_a_row"], 1);
    assert_eq!(ring["store"]["errors"].as_array().unwrap().len(), 1);
    assert!(page(&url).await.contains("The store: "));
    two.stop_async().await.unwrap();
    assert_eq!(look().await["instances"][2]["has_stopped"], true);

    // Where the others cannot be asked, no verdict is safe, whatever this process saw.
    clock.advance(DAY * 9);
    assert_eq!(look().await["keys"][0]["verdict"]["answer"], "blocked");
    let signer = CookieSigner::new(one.ring().clone());
    let value = signer.sign("sid", "x").unwrap();
    assert!((0..1000).all(|_| signer.verify("sid", &value).is_ok()));
    assert_eq!(look().await["keys"][0]["verdict"]["answer"], "safe");
    // A report that cannot be read is shown, escaped, and no agreement.
    let broken = folder.path().join("session.json.reports/%3cb%3e%1b.json");
    std::fs::write(&broken, "{").unwrap();
    let row = look().await["instances"][0].clone();
    assert_eq!((&row["name"], &row["agrees"]), (&json!("<b>\\u{1b}"), &json!(false)));
    assert_eq!(
        (&row["may_run"], &row["problem"]),
        (&json!(false), &json!("it is no report, at line 1 column 1"))
    );
    let html = page(&url).await;
    assert!(html.contains("cannot read its report: it is no report"), "{html}");
    assert!(html.contains("&lt;b&gt;\\u{1b}") && !html.contains("<b>\u{1b}"), "{html}");
    // One from the future is shown to be that.
    let mut ahead = one.ring().report("web-9");
    ahead.reported_at += 3650 * DAY;
    store.save_report(&ahead).await.unwrap();
    assert_eq!(look().await["instances"][4]["is_from_the_future"], true);
    assert!(page(&url).await.contains("reported from the future"));

    let reports = folder.path().join("session.json.reports");
    std::fs::remove_dir_all(&reports).unwrap();
    std::fs::write(&reports, "").unwrap();
    let verdict = look().await["keys"][0]["verdict"].clone();
    assert_eq!(verdict["answer"], "blocked");
    let reason = verdict["reasons"][0].as_str().unwrap();
    assert!(reason.starts_with("the other instances cannot be asked: "), "{reason}");
}

#[tokio::test]
async fn the_page_shows_policies_and_moments_at_their_bounds() {
    let clock = ManualClock::at_unix(0);
    let mut shown = 0;
    for begin in moments() {
        clock.set(begin);
        let mut status = Status::new();
        for (place, policy) in extreme().into_iter().enumerate() {
            let ring = KeyRing::<JwtKey>::builder()
                .name(format!("RING_{place}"))
                .primary(key(0, "old"))
                .policy(policy)
                .clock(clock.clone())
                .build()
                .unwrap();
            let new = ring.stage(key(1, "new")).unwrap();
            if place % 2 == 0 {
                ring.promote(&new).unwrap();
            }
            status = status.watch(&ring);
        }
        let url = start(status).await;
        for now in moments() {
            clock.set(now);
            let rings = json(&url).await["rings"].as_array().unwrap().len();
            let html = page(&url).await;
            assert!(html.contains("RING_0") && html.ends_with("</html>"), "{begin:?} {now:?}");
            shown += rings;
        }
    }
    assert_eq!(shown, 243 * 4 * 4);
}

/// Where Chromium is: Debian's, or what a variable names.
fn chromium() -> Option<PathBuf> {
    let named = std::env::var_os("DUALKEY_TEST_CHROMIUM").map(PathBuf::from);
    named.or_else(|| Some(PathBuf::from("/usr/bin/chromium")).filter(|path| path.exists()))
}

/// What a browser shows of the page, at two widths, light and dark.
async fn browse(folder: &Path, chromium: &Path, url: &str, name: &str) -> Value {
    let shots = Path::new(env!("CARGO_TARGET_TMPDIR")).join("status");
    std::fs::create_dir_all(&shots).unwrap();
    let request = json!({
        "chromium": chromium, "url": url, "headers": { "x-password": PASSWORD },
        "shots": shots, "name": name,
    });
    let mut node = peers::node(folder, "browser.cjs");
    let answer = tokio::task::spawn_blocking(move || peers::ask(&mut node, &request));
    answer.await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_shows_a_live_rotation_to_everybody() {
    let (folder, chromium) = match (peers::folder(), chromium()) {
        (Ok(folder), Some(chromium)) => (folder, chromium),
        (Err(why), _) => return println!("0 pages browsed: {why}"),
        (_, None) => return println!("0 pages browsed: there is no Chromium"),
    };
    let scene = Scene::new();
    let sealer_ring = KeyRing::<AesKey>::builder()
        .name("ENCRYPTION_KEY")
        .primary(aes_key(0, "kek-1"))
        .clock(scene.clock.clone())
        .build()
        .unwrap();
    Sealer::new(sealer_ring.clone()).seal("x", "row").unwrap();
    let url = start(Status::new().watch(&scene.ring).watch(&sealer_ring)).await;
    // Requests go on all the time.
    let (jwt, token) = (scene.jwt.clone(), scene.sign());
    let load = tokio::spawn(async move {
        loop {
            assert!(jwt.verify::<Value>(&token).is_ok());
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    let mut pages = 0;
    let mut check = |answer: &Value, url: &str| {
        assert_eq!(answer["problems"], json!([]));
        // Nothing but the page is ever asked for.
        let requests = answer["requests"].as_array().unwrap();
        assert!(requests.iter().all(|request| request == url), "{requests:?}");
        for (name, view) in answer["views"].as_object().unwrap() {
            assert_eq!(view["status"], 200);
            assert_eq!(view["violations"], json!([]), "{name}");
            let passes = view["passes"].as_array().unwrap();
            for rule in ["color-contrast", "region", "landmark-one-main", "svg-img-alt"] {
                assert!(
                    passes.iter().any(|passed| passed == rule),
                    "{rule} was not checked: {passes:?}"
                );
            }
            assert_eq!(view["landmarks"], json!(["header", "nav", "main", "footer"]));
            assert_eq!(view["overflow"], 0, "{name} scrolls to the side");
            let dark = view["background"] != "rgb(255, 255, 255)";
            assert_eq!(dark, name.ends_with("dark"), "{}", view["background"]);
            for key in view["rings"]
                .as_array()
                .unwrap()
                .iter()
                .flat_map(|ring| ring["keys"].as_array().unwrap())
            {
                assert!(key["bar"]["height"].as_f64().unwrap() >= 20.0);
                assert!(!key["segments"].as_array().unwrap().is_empty(), "{key}");
                for segment in key["segments"].as_array().unwrap() {
                    let pattern = format!("url(\"#{}\")", segment["state"].as_str().unwrap());
                    assert_eq!(segment["fill"], pattern, "a pattern and not a colour alone");
                }
            }
            pages += 1;
        }
        answer["views"]["phone-light"]["rings"].clone()
    };
    let states = |key: &Value| -> Vec<String> {
        let segments = key["segments"].as_array().unwrap();
        segments.iter().map(|segment| segment["state"].as_str().unwrap().to_owned()).collect()
    };
    let at = |key: &Value, state: &str, end: &str| {
        let segments = key["segments"].as_array().unwrap();
        segments.iter().find(|segment| segment["state"] == state).unwrap()[end].as_f64().unwrap()
    };

    // Staged, then promoted by hand.
    scene.ring.stage(key(1, "2026-q4")).unwrap();
    let rings = check(&browse(folder, &chromium, &url, "1-staged").await, &url);
    let new = &rings[0]["keys"][1];
    assert_eq!((new["state"].as_str(), states(new)), (Some("staged"), vec!["staged".to_owned()]));
    assert!((at(new, "staged", "from") - 0.5).abs() < 0.01, "it begins now");

    scene.clock.advance(DAY);
    let new = "2026-q4".parse::<Kid>().unwrap();
    scene.ring.promote(&new).unwrap();
    scene.clock.advance(DAY * 2);
    let shown = browse(folder, &chromium, &url, "2-overlap").await;
    let rings = check(&shown, &url);
    let (old, new) = (&rings[0]["keys"][0], &rings[0]["keys"][1]);
    assert_eq!(states(old), ["primary", "fallback", "expired"]);
    assert_eq!(states(new), ["staged", "primary"]);
    // Ten overlaps and a quarter wide: the promotion was two days before the middle.
    let overlap = scene.ring.overlap().as_secs_f64() * 2.5;
    let promoted = 0.5 - DAY.as_secs_f64() * 2.0 / overlap;
    assert!((at(old, "fallback", "from") - promoted).abs() < 0.01);
    assert!((at(new, "primary", "from") - promoted).abs() < 0.01);
    assert!((at(old, "fallback", "to") - at(old, "fallback", "from") - 0.4).abs() < 0.01);
    assert_eq!(old["verdict"], "wait");
    assert!(old["verdictText"].as_str().unwrap().contains("(in 5 d 1 h)"), "{old}");
    let cell = &rings[0]["uses"][0]["cells"][0];
    let used: u64 = cell["fallback"].as_str().unwrap().parse().unwrap();
    assert!(used > 0, "{cell}");
    assert!(cell["text"].as_str().unwrap().contains("as a fallback"));
    let usage = &scene.ring.keys()[0].usage;
    assert!(used <= usage.verified_as_fallback);

    // Past its end, and too little traffic; an encryption key that is still needed.
    load.abort();
    let _ = load.await;
    scene.clock.advance(DAY * 7);
    let kek = sealer_ring.stage(aes_key(1, "kek-2")).unwrap();
    sealer_ring.promote(&kek).unwrap();
    sealer_ring.record_rewrap(&RewrapRecord {
        started_at: scene.clock.now(),
        finished_at: scene.clock.now(),
        unreadable: 2,
        nothing_sealed: 0,
        rows: vec![("kek-1".parse().unwrap(), 17)],
    });
    scene.clock.advance(DAY * 9);
    let rings = check(&browse(folder, &chromium, &url, "3-blocked").await, &url);
    let old = &rings[0]["keys"][0];
    assert_eq!(
        (old["state"].as_str(), old["verdict"].as_str()),
        (Some("expired"), Some("blocked"))
    );
    let kek = &rings[1]["keys"][0];
    assert_eq!(kek["verdict"], "blocked");
    let reasons = kek["reasons"].to_string();
    assert!(
        reasons.contains("17 rows need it") && reasons.contains("2 rows could not be read"),
        "{reasons}"
    );

    let token = scene.sign();
    scene.verify(&token, 1000);
    scene
        .ring
        .emergency_rotate(&"2026-q4".parse().unwrap(), "found in a public log", key(2, "2027-q1"))
        .unwrap();
    scene.clock.advance(DAY);
    let rings = check(&browse(folder, &chromium, &url, "4-revoked").await, &url);
    let (revoked, fresh) = (&rings[0]["keys"][1], &rings[0]["keys"][2]);
    assert_eq!(
        (revoked["state"].as_str(), fresh["state"].as_str()),
        (Some("revoked"), Some("primary"))
    );
    assert_eq!(states(revoked).last().map(String::as_str), Some("revoked"));
    assert!(revoked["text"].as_str().unwrap().contains("found in a public log"));
    // The one before was superseded by the one that is revoked now.
    let text = rings[0]["keys"][0]["text"].as_str().unwrap();
    assert!(text.starts_with("Superseded 19 d ago; "), "{text}");
    println!("{pages} pages browsed: no violation, nothing loaded beside them");
}

/// Text of others changes the direction of no text of the page, and hides none.
#[tokio::test]
async fn the_page_shows_text_of_others_in_its_order() {
    let loud = "a\u{202e}b\u{2066}c\u{61c}d\u{200b}e\u{9b}f\ng";
    let ring = KeyRing::<CookieKey>::builder()
        .name(format!("X {loud}"))
        .primary(key(0, "a"))
        .fallback(key(1, "b"))
        .build()
        .unwrap();
    ring.revoke(&"b".parse().unwrap(), loud).unwrap();
    let url = start(Status::new().watch(&ring)).await;
    for text in [page(&url).await, page(&format!("{url}?format=json")).await] {
        let is_loud = |character: char| "\u{202e}\u{2066}\u{61c}\u{200b}\u{9b}".contains(character);
        assert!(!text.contains(is_loud), "{text}");
        assert!(text.contains("u{202e}"), "{text}");
    }
}
