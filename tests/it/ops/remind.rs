//! Reminders: told once for each state and day, to a webhook that may fail.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use axum::routing::post;
use axum::{Json, Router};
use dualkey::manifest::NewEntry;
use dualkey::ops::OpsError;
use dualkey::ops::audit::{Action, Outcome, Query, Record};
use dualkey::ops::generate::Generated;
use dualkey::ops::inventory::{Inventory, Project};
use dualkey::ops::remind::{Delivery, remind, reminders};
use dualkey::ops::rotate::{CreateOptions, Operator, create};
use dualkey::{ManualClock, Purpose};
use tokio::net::TcpListener;

use crate::support::shell::{DAY, at, inventory};

/// What the other side does, one after the other; then it says 200.
#[derive(Debug, Clone, Copy)]
enum Answer {
    Status(u16),
    After(u16, &'static str),
    Stall,
    Hang,
}

#[derive(Clone, Default)]
struct Hook {
    answers: Arc<Mutex<VecDeque<Answer>>>,
    seen: Arc<Mutex<Vec<(std::time::Instant, serde_json::Value)>>>,
}

async fn receive(
    State(hook): State<Hook>,
    Json(message): Json<serde_json::Value>,
) -> impl IntoResponse {
    hook.seen.lock().unwrap().push((std::time::Instant::now(), message));
    let answer = hook.answers.lock().unwrap().pop_front();
    let mut headers = HeaderMap::new();
    let status = match answer {
        None => 200,
        Some(Answer::Status(status)) => status,
        Some(Answer::After(status, after)) => {
            headers.insert("retry-after", after.parse().unwrap());
            status
        }
        Some(Answer::Stall) => {
            tokio::time::sleep(Duration::from_secs(3600)).await;
            200
        }
        Some(Answer::Hang) => std::future::pending().await,
    };
    (StatusCode::from_u16(status).unwrap(), headers)
}

async fn hook() -> (Hook, String) {
    let hook = Hook::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/services/T0SECRET", listener.local_addr().unwrap());
    let app = Router::new().route("/services/T0SECRET", post(receive)).with_state(hook.clone());
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    (hook, url)
}

const TABLES: &str = r#"
[[secret]]
name = "JWT_SECRET"
purpose = "jwt"
priority = "critical"
store = { file = "JWT_SECRET.json" }
rotate = "quarterly"

[[secret]]
name = "DEPLOY_KEY"
purpose = "credential"
priority = "service"
store = { manual = "the dashboard" }
rotate = "30 days"
"#;

async fn project(folder: &Path, clock: &ManualClock, url: &str) -> Project {
    let path = folder.join("dualkey.toml");
    inventory(&path, TABLES);
    let url = url.to_owned();
    let project = Project::new(Inventory::read(path).unwrap())
        .clock(clock.clone())
        .variables(move |name| (name == "HOOK").then(|| url.clone()));
    for (name, purpose) in [("AUDIT_SECRET", Purpose::Audit), ("JWT_SECRET", Purpose::Jwt)] {
        create(&project, name, CreateOptions::new("ada"), Generated::new(purpose).unwrap().entry())
            .await
            .unwrap();
    }
    let record = Record::new(project.now(), "DEPLOY_KEY", Action::ROTATED, "ada", "production");
    project.trail().await.unwrap().append(&[record]).await.unwrap();
    project
}

fn quick() -> Delivery {
    let mut delivery = Delivery::default();
    delivery.pause = Duration::from_millis(5);
    delivery.patience = Duration::from_millis(300);
    delivery.longest_wait = Duration::from_millis(400);
    delivery
}

#[tokio::test]
async fn each_state_is_sent_once_a_day() {
    let folder = tempfile::tempdir().unwrap();
    let clock = ManualClock::new(at("2026-01-02T09:00:00Z"));
    let (hook, url) = hook().await;
    let project = project(folder.path(), &clock, &url).await;
    let count = || hook.seen.lock().unwrap().len();
    let states = async || {
        let told = remind(&project, "agent", quick()).await.unwrap();
        told.iter().map(|reminder| (reminder.secret.clone(), reminder.state)).collect::<Vec<_>>()
    };
    assert_eq!(states().await, []);
    assert_eq!(count(), 0, "nothing is posted where there is nothing to tell");

    let reminder = |secret: &str, state| (secret.to_owned(), state);
    clock.set(at("2026-01-09T00:00:00Z"));
    assert_eq!(states().await, [reminder("JWT_SECRET", "soon")]);
    clock.set(at("2026-01-09T23:59:59Z"));
    assert_eq!(states().await, []);
    clock.set(at("2026-01-10T00:00:00Z"));
    assert_eq!(states().await, [reminder("JWT_SECRET", "soon")]);
    clock.set(at("2026-01-15T08:00:00Z"));
    assert_eq!(states().await, [reminder("JWT_SECRET", "due")]);
    clock.set(at("2026-02-02T08:00:00Z"));
    assert_eq!(
        states().await,
        [reminder("JWT_SECRET", "overdue"), reminder("DEPLOY_KEY", "overdue")]
    );
    assert_eq!(count(), 4, "both in one message");

    // Two states on one day are two.
    let operator =
        Operator::new(project.store("JWT_SECRET").unwrap(), project.trail().await.unwrap(), "ada");
    let operator = operator.clock(clock.clone()).reason("in a <public> log\n& more");
    operator.emergency_rotate(None, NewEntry::generate(Purpose::Jwt).unwrap()).await.unwrap();
    assert_eq!(states().await, [reminder("JWT_SECRET", "emergency")]);
    assert_eq!(states().await, []);
    // One of the night is told in the morning, and once.
    clock.set(at("2026-02-02T23:59:00Z"));
    operator.emergency_rotate(None, NewEntry::generate(Purpose::Jwt).unwrap()).await.unwrap();
    assert_eq!(states().await, [], "it was told today that there was one");
    clock.set(at("2026-02-03T08:00:00Z"));
    assert_eq!(
        states().await,
        [reminder("DEPLOY_KEY", "overdue"), reminder("JWT_SECRET", "emergency")]
    );
    clock.set(at("2026-02-04T08:00:00Z"));
    assert_eq!(states().await, [reminder("DEPLOY_KEY", "overdue")]);
    // Left midway.
    operator.stage(NewEntry::generate(Purpose::Jwt).unwrap()).await.unwrap();
    clock.advance(2 * DAY);
    assert_eq!(
        states().await,
        [reminder("JWT_SECRET", "stuck"), reminder("DEPLOY_KEY", "overdue")]
    );

    let seen = hook.seen.lock().unwrap().clone();
    let text = seen[4].1["text"].as_str().unwrap();
    assert!(text.contains("in a &lt;public&gt; log &amp; more"), "{text}");
    for (_, message) in &seen {
        assert_eq!(message.as_object().unwrap().len(), 1, "as Slack takes it");
    }
    let trail = project.trail().await.unwrap();
    let told = trail.query(&Query::new().action(Action::REMINDED)).await.unwrap();
    assert!(told.len() == 11 && trail.verify().await.unwrap().is_whole());
}

/// Two hosts with the same line in their crontab: on one thread, too, where whoever waits must
/// not keep the other from going on.
#[tokio::test]
async fn of_many_at_once_one_tells() {
    let folder = tempfile::tempdir().unwrap();
    let clock = ManualClock::new(at("2026-01-02T09:00:00Z"));
    let (hook, url) = hook().await;
    let project = project(folder.path(), &clock, &url).await;
    clock.set(at("2026-01-15T09:00:00Z"));
    let mut all = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let project = project.clone();
        all.spawn(async move { remind(&project, "agent", quick()).await.unwrap().len() });
    }
    let told: usize = all.join_all().await.into_iter().sum();
    assert_eq!((told, hook.seen.lock().unwrap().len()), (1, 1));
    let trail = project.trail().await.unwrap();
    assert_eq!(trail.query(&Query::new().action(Action::REMINDED)).await.unwrap().len(), 1);
}

#[tokio::test]
async fn what_may_pass_is_tried_again_and_what_is_refused_is_not() {
    for (answers, posts, is_sent) in [
        (&[Answer::Status(500), Answer::Status(503)][..], 3, true),
        (&[Answer::Stall], 2, true),
        (&[Answer::Hang, Answer::Hang, Answer::Status(502)], 4, true),
        (&[Answer::After(429, "0")], 2, true),
        (&[Answer::After(503, "3600")], 2, true),
        (&[Answer::After(429, "Wed, 21 Oct 2026 07:28:00 GMT")], 2, true),
        (&[Answer::Status(500); 9], 5, false),
        (&[Answer::Hang; 9], 5, false),
        (&[Answer::Status(404)], 1, false),
        (&[Answer::Status(403)], 1, false),
        (&[Answer::Status(302)], 1, false),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let clock = ManualClock::new(at("2026-01-02T09:00:00Z"));
        let (hook, url) = hook().await;
        let project = project(folder.path(), &clock, &url).await;
        clock.set(at("2026-01-15T09:00:00Z"));
        hook.answers.lock().unwrap().extend(answers);
        let told = remind(&project, "agent", quick()).await;
        assert_eq!(hook.seen.lock().unwrap().len(), posts, "{answers:?}");
        assert_eq!(told.is_ok(), is_sent, "{answers:?}: {told:?}");
        let left = reminders(&project).await.unwrap().len();
        assert_eq!(left, usize::from(!is_sent), "what was not sent is sent later");
        if let Err(error) = told {
            let text = format!("{error} {error:?}");
            assert!(matches!(error, OpsError::Remind { .. }), "{text}");
            assert!(!text.contains("T0SECRET") && !text.contains("127.0.0.1"), "{text}");
        }
    }
}

#[tokio::test]
async fn a_retry_comes_when_it_was_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let clock = ManualClock::new(at("2026-01-02T09:00:00Z"));
    let (hook, url) = hook().await;
    let project = project(folder.path(), &clock, &url).await;
    clock.set(at("2026-01-15T09:00:00Z"));
    hook.answers.lock().unwrap().push_back(Answer::After(429, "1"));
    let mut delivery = quick();
    delivery.longest_wait = Duration::from_secs(30);
    remind(&project, "agent", delivery).await.unwrap();
    let seen = hook.seen.lock().unwrap();
    // Not before; how much later is the machine's.
    assert!(seen[1].0 - seen[0].0 >= Duration::from_secs(1));
}

#[tokio::test]
async fn no_listener_and_no_url_are_errors_without_the_url() {
    let folder = tempfile::tempdir().unwrap();
    let clock = ManualClock::new(at("2026-01-02T09:00:00Z"));
    // A port that was free a moment ago.
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    for url in [format!("http://127.0.0.1:{port}/T0SECRET"), "not a url T0SECRET".to_owned()] {
        let folder = tempfile::tempdir_in(folder.path()).unwrap();
        clock.set(at("2026-01-02T09:00:00Z"));
        let project = project(folder.path(), &clock, &url).await;
        clock.set(at("2026-01-15T09:00:00Z"));
        let error = remind(&project, "agent", quick()).await.unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(matches!(error, OpsError::Remind { .. }) && !text.contains("T0SECRET"), "{text}");
        let unset = project.clone().variables(|_| None);
        let error = remind(&unset, "agent", quick()).await.unwrap_err();
        assert!(error.to_string().contains("HOOK"), "{error}");
        let trail = project.trail().await.unwrap();
        let query = Query::new().action(Action::REMINDED).outcome(Outcome::Success);
        assert!(trail.query(&query).await.unwrap().is_empty());
    }
}
