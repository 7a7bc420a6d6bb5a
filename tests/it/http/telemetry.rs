//! What a service's own tools see of a rotation.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use dualkey::cookie::{CookieKey, CookieSigner};
use dualkey::jwt::{Jwt, JwtKey};
use dualkey::manifest::{Manifest, NewEntry};
use dualkey::source::{ClosureStore, FileStore, KeyStore, update};
use dualkey::telemetry::{RingMetrics, Tracing};
use dualkey::{Clock, KeyRing, ManualClock, Policy, Purpose, Secret};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use reqwest::Client;
use tracing_subscriber::fmt::MakeWriter;

use super::claims;
use super::site::serve;
use crate::support::{key, secret};

/// The exporter of this process: the recorder behind the facade can be set once.
fn exporter() -> PrometheusHandle {
    static HANDLE: LazyLock<PrometheusHandle> =
        LazyLock::new(|| PrometheusBuilder::new().install_recorder().unwrap());
    HANDLE.clone()
}

/// The series of a ring, as an endpoint gives them: by name and labels but that of the ring.
async fn scrape(url: &str, ring: &str) -> BTreeMap<String, f64> {
    let text = Client::new().get(url).send().await.unwrap().text().await.unwrap();
    let label = format!("ring=\"{ring}\"");
    let of_ring = text.lines().filter(|line| line.contains(&label));
    of_ring
        .map(|line| {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let series = series.replace(&format!("{label},"), "").replace(&format!(",{label}"), "");
            (series.replace(&format!("{{{label}}}"), ""), value.parse().unwrap())
        })
        .collect()
}

async fn endpoint(metrics: &RingMetrics) -> String {
    let (metrics, handle) = (metrics.clone(), exporter());
    let scrape = get(async move || {
        metrics.publish();
        handle.render()
    });
    format!("http://{}/metrics", serve(Router::new().route("/metrics", scrape)).await)
}

#[tokio::test]
async fn a_rotation_is_seen_at_an_endpoint_of_prometheus() {
    let clock = ManualClock::at_unix(1_800_000_000);
    let metrics = RingMetrics::new();
    let ring = KeyRing::<JwtKey>::builder()
        .name("METRICS_JWT")
        .primary(key(0, "old"))
        .clock(clock.clone())
        .observer(metrics.clone())
        .build()
        .unwrap();
    metrics.watch(&ring);
    let url = endpoint(&metrics).await;
    let jwt = Jwt::new(ring.clone());
    let token = jwt.sign(&claims()).unwrap();
    let verify = |token: &str, times: usize| {
        (0..times).filter(|_| jwt.verify::<super::Claims>(token).is_ok()).count()
    };
    assert_eq!((verify(&token, 30), verify("x", 3), verify(&token[1..], 2)), (30, 0, 0));

    let seen = scrape(&url, "METRICS_JWT").await;
    let is = |seen: &BTreeMap<String, f64>, name: &str, value: f64| {
        assert_eq!(seen.get(name), Some(&value), "{name} of {seen:#?}");
    };
    is(&seen, "dualkey_verifications_total{kid=\"old\",role=\"primary\"}", 30.0);
    is(&seen, "dualkey_verifications_total{kid=\"old\",role=\"fallback\"}", 0.0);
    is(&seen, "dualkey_signatures_total{kid=\"old\"}", 1.0);
    is(&seen, "dualkey_rejections_total{reason=\"malformed\"}", 5.0);
    is(&seen, "dualkey_generation", 1.0);
    is(&seen, "dualkey_next_transition_seconds", f64::INFINITY);
    is(&seen, "dualkey_stale", 0.0);

    clock.advance(Duration::from_secs(86_400));
    ring.stage(key(1, "new")).unwrap();
    ring.promote(&"new".parse().unwrap()).unwrap();
    clock.advance(Duration::from_secs(3600));
    let new = jwt.sign(&claims()).unwrap();
    assert_eq!((verify(&token, 6), verify(&new, 4), verify("x", 5)), (6, 4, 0));
    let seen = scrape(&url, "METRICS_JWT").await;
    is(&seen, "dualkey_verifications_total{kid=\"old\",role=\"fallback\"}", 6.0);
    is(&seen, "dualkey_verifications_total{kid=\"new\",role=\"primary\"}", 4.0);
    is(&seen, "dualkey_rotations_total{step=\"staged\"}", 1.0);
    is(&seen, "dualkey_rotations_total{step=\"promoted\"}", 1.0);
    is(&seen, "dualkey_key_age_seconds", 3600.0);
    is(&seen, "dualkey_keys{state=\"primary\"}", 1.0);
    is(&seen, "dualkey_keys{state=\"fallback\"}", 1.0);
    let overlap = ring.overlap().as_secs_f64();
    is(&seen, "dualkey_next_transition_seconds", overlap - 3600.0);

    // The shares that a rotation is watched by.
    let sum = |name: &str| -> f64 {
        seen.iter().filter(|(series, _)| series.starts_with(name)).map(|(_, value)| value).sum()
    };
    let verified = sum("dualkey_verifications_total");
    let share = verified / (verified + sum("dualkey_rejections_total"));
    assert_eq!((verified, share), (40.0, 0.8));
    let fallback: f64 = seen
        .iter()
        .filter(|(series, _)| series.contains("role=\"fallback\""))
        .map(|(_, value)| value)
        .sum();
    assert_eq!(fallback / verified, 0.15);

    ring.retire(&"old".parse().unwrap()).unwrap();
    ring.revoke(&"old".parse().unwrap(), "leaked").unwrap();
    let seen = scrape(&url, "METRICS_JWT").await;
    is(&seen, "dualkey_keys{state=\"fallback\"}", 0.0);
    is(&seen, "dualkey_keys{state=\"revoked\"}", 1.0);
    is(&seen, "dualkey_keys{state=\"expired\"}", 0.0);
    is(&seen, "dualkey_rotations_total{step=\"retired\"}", 1.0);
    is(&seen, "dualkey_rotations_total{step=\"revoked\"}", 1.0);
}

/// No peer can add a series, whatever it sends.
#[tokio::test]
async fn the_labels_are_bounded_and_hold_nothing_of_a_request() {
    let metrics = RingMetrics::new();
    let ring = KeyRing::<CookieKey>::builder()
        .name("METRICS_BOUNDED")
        .primary(key(0, "only"))
        .observer(metrics.clone())
        .build()
        .unwrap();
    metrics.watch(&ring);
    let url = endpoint(&metrics).await;
    let signer = CookieSigner::new(ring);
    let mut random = fastrand::Rng::with_seed(7);
    for turn in 0..3000 {
        let good = signer.sign("sid", &format!("user-{turn}")).unwrap();
        let length = random.usize(..good.len());
        let cut = good[..length].to_owned() + &good[good.len() - length / 2..];
        let named = good.replace(".only.", &format!(".kid{turn}."));
        for value in [cut, named, "x".repeat(turn * 2)] {
            let _ = signer.verify("sid", &value);
        }
    }
    let seen = scrape(&url, "METRICS_BOUNDED").await;
    assert!(seen.len() < 30, "{seen:#?}");
    let held = secret(0);
    for series in seen.keys() {
        assert!(!series.contains("user-") && !series.contains("kid1"), "{series}");
        assert!((0..57).all(|start| !series.contains(&held[start..start + 8])), "{series}");
    }
}

/// Keeps what is written.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'w> MakeWriter<'w> for Log {
    type Writer = Self;

    fn make_writer(&'w self) -> Self {
        self.clone()
    }
}

/// The lines that `work` writes at a level, without their time.
fn lines(level: tracing::Level, work: impl FnOnce()) -> Vec<String> {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_ansi(false)
        .without_time()
        .with_writer(log.clone())
        .finish();
    tracing::subscriber::with_default(subscriber, work);
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    text.lines().map(|line| line.trim().to_owned()).collect()
}

/// A rotation in a store that a ring follows, with everything that can be told of.
fn life() {
    let clock = ManualClock::at_unix(1_800_000_000);
    let folder = tempfile::tempdir().unwrap();
    let file = FileStore::new(folder.path().join("x.json"));
    let entry =
        |seed, kid: &str| NewEntry::new(Secret::from(secret(seed))).kid(kid.parse().unwrap());
    let now = || clock.now();
    let first = Manifest::new("X", Purpose::Jwt, "test", Policy::default(), entry(0, "a"), now());
    pollster::block_on(file.compare_and_swap(0, &first.unwrap())).unwrap();
    let following = KeyRing::<JwtKey>::builder()
        .name("X")
        .environment("test")
        .clock(clock.clone())
        .observer(Tracing)
        .follow(file.clone())
        .on_demand()
        .unwrap();
    let jwt = Jwt::new(following.ring().clone());
    let token = jwt.sign(&claims()).unwrap();
    let b = "b".parse().unwrap();
    pollster::block_on(update(&file, |manifest| manifest.stage(entry(1, "b"), now()))).unwrap();
    following.refresh().unwrap();
    clock.advance(Duration::from_secs(7200));
    let forced = |manifest: &Manifest| manifest.force("nobody else is there").promote(&b, now());
    pollster::block_on(update(&file, forced)).unwrap();
    following.refresh().unwrap();
    assert!(jwt.verify::<super::Claims>(&token).is_ok());
    assert!(jwt.verify::<super::Claims>("x").is_err());
    pollster::block_on(update(&file, |manifest| {
        manifest.revoke(&"a".parse().unwrap(), "it leaked", now())
    }))
    .unwrap();
    following.refresh().unwrap();
    std::fs::write(folder.path().join("x.json"), "{").unwrap();
    following.refresh().unwrap_err();
}

#[test]
fn tracing_tells_an_operator_each_step_and_a_forger_cannot_fill_a_log() {
    let info = lines(tracing::Level::INFO, life);
    let expected = [
        "INFO dualkey: staged ring=\"X\" kid=b",
        "INFO dualkey: reloaded ring=\"X\" revision=2 generation=2",
        "INFO dualkey: promoted ring=\"X\" kid=b",
        "INFO dualkey: reloaded ring=\"X\" revision=3 generation=3",
        "WARN dualkey: revoked ring=\"X\" kid=a reason=\"it leaked\"",
        "INFO dualkey: reloaded ring=\"X\" revision=4 generation=4",
        "WARN dualkey: reload failed ring=\"X\" error=",
    ];
    assert_eq!(info.len(), expected.len(), "{info:#?}");
    for (line, expected) in info.iter().zip(expected) {
        assert!(line.starts_with(expected), "{line}");
    }
    let all = lines(tracing::Level::TRACE, life);
    let count = |text: &str| all.iter().filter(|line| line.contains(text)).count();
    assert_eq!(count("TRACE dualkey: verified by a fallback ring=\"X\" kid=a"), 1);
    assert_eq!(count("DEBUG dualkey: rejected ring=\"X\" reason=malformed"), 1);
    // V10: no output holds a byte of a secret.
    let text = all.join("\n");
    for seed in [0, 1] {
        let secret = secret(seed);
        assert!((0..57).all(|start| !text.contains(&secret[start..start + 8])));
    }
}

/// Both are told, in the order in which they were added, and each once.
#[test]
fn a_ring_may_have_several_observers() {
    let (one, two) = (crate::support::EventLog::default(), crate::support::EventLog::default());
    let ring = KeyRing::<JwtKey>::builder()
        .primary(Secret::from(secret(0)))
        .observer(one.clone())
        .observer(Tracing)
        .observer(two.clone())
        .build()
        .unwrap();
    assert!(Jwt::new(ring).verify::<super::Claims>("x").is_err());
    assert_eq!((one.all().len(), one.all()), (1, two.all()));
}

/// Of a ring that follows a store, when that was last read shows too.
#[tokio::test]
async fn the_last_reload_shows_of_a_ring_that_follows() {
    let clock = ManualClock::at_unix(1_800_000_000);
    let entry = NewEntry::new(Secret::from(secret(0)));
    let now = clock.now();
    let manifest =
        Manifest::new("METRICS_STORE", Purpose::Jwt, "test", Policy::default(), entry, now);
    let text = manifest.unwrap().to_json().unwrap();
    let broken = Arc::new(Mutex::new(false));
    let is_broken = Arc::clone(&broken);
    let store = ClosureStore::new("a closure", move || {
        let answer = if *is_broken.lock().unwrap() {
            Err(io::Error::other("gone").into())
        } else {
            Ok(Some(text.clone()))
        };
        async move { answer }
    });
    let metrics = RingMetrics::new();
    let following = KeyRing::<JwtKey>::builder()
        .name("METRICS_STORE")
        .environment("test")
        .clock(clock.clone())
        .max_staleness(Duration::from_secs(600))
        .observer(metrics.clone())
        .follow(store)
        .on_demand()
        .unwrap();
    metrics.watch(&following);
    let url = endpoint(&metrics).await;
    clock.advance(Duration::from_secs(300));
    following.refresh_async().await.unwrap();
    *broken.lock().unwrap() = true;
    clock.advance(Duration::from_secs(601));
    following.refresh_async().await.unwrap_err();
    let seen = scrape(&url, "METRICS_STORE").await;
    assert_eq!(seen["dualkey_last_reload_timestamp_seconds"], 1_800_000_300.0);
    assert_eq!((seen["dualkey_reload_failures_total"], seen["dualkey_stale"]), (1.0, 1.0));
    assert_eq!(seen["dualkey_revision"], 1.0);
}

/// A client of a store says what it likes; a log is read in a terminal.
#[test]
fn what_a_store_says_stays_on_its_line_of_a_log() {
    let said = Arc::new(Mutex::new(None));
    let answer = Arc::clone(&said);
    let clock = ManualClock::at_unix(1_800_000_000);
    let entry = NewEntry::new(Secret::from(secret(0)));
    let now = clock.now();
    let first = Manifest::new("X", Purpose::Jwt, "test", Policy::default(), entry, now).unwrap();
    let text = first.to_json().unwrap();
    let store = ClosureStore::new("a closure", move || {
        let answer = match *answer.lock().unwrap() {
            Some(said) => Err(io::Error::other(said).into()),
            None => Ok(Some(text.clone())),
        };
        async move { answer }
    });
    let following = KeyRing::<JwtKey>::builder()
        .name("X")
        .environment("test")
        .clock(clock)
        .observer(Tracing)
        .follow(store)
        .on_demand()
        .unwrap();
    for loud in
        ["\u{1b}[2J\u{1b}]0;x\u{7}", "a\nERROR fake", "\u{9b}31m", "\u{202e}\u{61c}\u{200b}"]
    {
        *said.lock().unwrap() = Some(loud);
        let log = lines(tracing::Level::INFO, || drop(following.refresh()));
        assert_eq!(log.len(), 1, "{log:?}");
        let is_loud = |character: char| {
            character.is_control() || "\u{202e}\u{61c}\u{200b}".contains(character)
        };
        assert!(!log[0].contains(is_loud) && log[0].contains("reload failed"), "{log:?}");
    }
}

/// A ring that is given no observer writes to `tracing`, from its first danger on; one with an observer
/// writes there only if it is given `Tracing`, and then once.
#[test]
fn a_ring_without_an_observer_is_not_silent() {
    let vars = |name: &str| {
        Ok(match name {
            "X_NEW" => Some(secret(0)),
            "X" => Some(secret(1)),
            "X_OLD" => Some(secret(2)),
            _ => None,
        })
    };
    let life = |builder: dualkey::RingBuilder<JwtKey>| {
        let ring = builder.vars("X", vars).build().unwrap();
        let old = KeyRing::<JwtKey>::builder().primary(Secret::from(secret(1))).build().unwrap();
        let token = Jwt::new(old).sign(&claims()).unwrap();
        let jwt = Jwt::new(ring.clone());
        assert!(jwt.verify::<super::Claims>(&token).is_ok());
        assert!(jwt.verify::<super::Claims>("x").is_err());
        ring.revoke(&ring.keys()[2].kid, "it leaked").unwrap();
    };
    let bare = || life(KeyRing::builder());
    let info = lines(tracing::Level::INFO, bare);
    assert_eq!(info.len(), 2, "{info:#?}");
    assert!(info[0].starts_with("WARN dualkey: it signs at once"), "{info:#?}");
    assert!(info[0].ends_with("ring=\"X\" variable=\"X_NEW\""), "{info:#?}");
    assert!(info[1].starts_with("WARN dualkey: revoked ring=\"X\" kid="), "{info:#?}");
    assert!(info[1].ends_with("variable=\"X_OLD\" reason=\"it leaked\""), "{info:#?}");
    let all = lines(tracing::Level::TRACE, bare);
    let count = |all: &[String], text: &str| all.iter().filter(|line| line.contains(text)).count();
    assert_eq!(
        (all.len(), count(&all, "verified by a fallback"), count(&all, "rejected")),
        (4, 1, 1)
    );
    assert_eq!(count(&all, "variable=\"X\""), 1, "{all:#?}");

    let event_log = crate::support::EventLog::default();
    let observed =
        lines(tracing::Level::TRACE, || life(KeyRing::builder().observer(event_log.clone())));
    assert_eq!((observed.len(), event_log.all().len()), (0, 4));
    let given = lines(tracing::Level::TRACE, || life(KeyRing::builder().observer(Tracing)));
    assert_eq!(given, all);
    let both = || life(KeyRing::builder().observer(event_log.clone()).observer(Tracing));
    assert_eq!(lines(tracing::Level::TRACE, both), all);
    // V10: no output holds a byte of a secret.
    let text = all.join("\n");
    for seed in [0, 1, 2] {
        let secret = secret(seed);
        assert!((0..57).all(|start| !text.contains(&secret[start..start + 8])));
    }
}
