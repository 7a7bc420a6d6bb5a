//! A service that runs, rotated by the command line while it is used.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use metrics_exporter_prometheus::PrometheusBuilder;
use reqwest::Client;
use serde_json::json;

use crate::http::axum_app::{Options, Service};
use crate::http::site::serve;
use crate::support::shell::Shell;

const INVENTORY: &str = r#"
version = 1
environment = "development"

[audit]
file = "audit.log"
secret = "AUDIT_SECRET"

[[secret]]
name = "AUDIT_SECRET"
purpose = "audit"
priority = "critical"
store = { file = "keys/AUDIT_SECRET.json" }

[[secret]]
name = "JWT_SECRET"
purpose = "jwt"
priority = "critical"
store = { file = "keys/JWT_SECRET.json" }
max_lifetime = "24h"

[[secret]]
name = "SESSION_SECRET"
purpose = "cookie"
priority = "critical"
store = { file = "keys/SESSION_SECRET.json" }
max_lifetime = "24h"
"#;

/// What a client holds: a token for good, a session that it keeps as it is given.
async fn client(url: String, count: Arc<[AtomicU64; 2]>, stop: Arc<AtomicBool>) -> Vec<String> {
    let client = Client::new();
    let login = client.post(format!("{url}/login")).json(&json!({ "user": "user-42" }));
    let login = login.send().await.unwrap();
    let cookie = |response: &reqwest::Response| {
        let set = response.headers().get("set-cookie")?.to_str().ok()?;
        Some(set.split(';').next()?.to_owned())
    };
    let mut session = cookie(&login).unwrap();
    let bearer = format!("Bearer {}", login.text().await.unwrap());
    let mut sessions = vec![session.clone()];
    while !stop.load(Relaxed) {
        let api = client.get(format!("{url}/api/me")).header("authorization", &bearer).send();
        let page = client.get(format!("{url}/me")).header("cookie", &session).send();
        let (api, page) = tokio::join!(api, page);
        for response in [api, page] {
            count[0].fetch_add(1, Relaxed);
            let Ok(response) = response else {
                count[1].fetch_add(1, Relaxed);
                continue;
            };
            if let Some(again) = cookie(&response) {
                session = again;
                sessions.push(session.clone());
            }
            let is_lost = response.status() != 200 || response.text().await.unwrap() != "user-42";
            count[1].fetch_add(u64::from(is_lost), Relaxed);
        }
    }
    sessions
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_line_rotates_a_service_under_load_and_nothing_is_lost() {
    let mut shell = Shell::new("2026-01-02T09:00:00Z");
    std::fs::write(shell.path("dualkey.toml"), INVENTORY).unwrap();
    let options = Options {
        keys: shell.path("keys"),
        init: true,
        listen: ([127, 0, 0, 1], 0).into(),
        instance: "instance-1".to_owned(),
    };
    let service = Service::start(&options).await.unwrap();
    let handle = PrometheusBuilder::new().build_recorder().handle();
    let url = format!("http://{}", serve(service.router(handle)).await);
    let count = Arc::new([AtomicU64::new(0), AtomicU64::new(0)]);
    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..20)
        .map(|_| tokio::spawn(client(url.clone(), Arc::clone(&count), Arc::clone(&stop))))
        .collect();

    // As an operator would, by the hour of the day.
    let mut run = async |line: &str| {
        let words: Vec<_> = line.split(' ').collect();
        let mut command = shell.command(&words);
        command.env_remove("DUALKEY_CLOCK");
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        shell.note(line, &output)
    };
    assert_eq!(run("generate --store AUDIT_SECRET").await.0, 0);
    for round in 0..3 {
        for name in ["JWT_SECRET", "SESSION_SECRET"] {
            let (status, text) =
                run(&format!("rotate {name} --wait 60s --reason round-{round}")).await;
            assert!(status == 0 && text.contains(": rotated\n"), "{text}");
            // Room for requests under each.
            let before = count[0].load(Relaxed);
            while count[0].load(Relaxed) < before + 200 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }
    // Back, and the leaked one for good.
    // The instance may not have reported the last promotion yet.
    for attempt in 0.. {
        let (status, text) = run("rollback SESSION_SECRET").await;
        if status == 0 {
            break;
        }
        assert!(attempt < 100 && text.contains("wait until all report it"), "{text}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let (status, text) = run("audit verify").await;
    assert!(status == 0, "{text}");
    let (_, text) = run("audit --action rotated").await;
    assert_eq!(text.matches("| SUCCESS |").count(), 6, "{text}");
    stop.store(true, Relaxed);
    let mut resigned = 0;
    for client in clients {
        resigned += client.await.unwrap().len() - 1;
    }
    let [requests, lost] = [0, 1].map(|place: usize| count[place].load(Relaxed));
    println!(
        "{requests} requests during 6 rotations and a rollback: {lost} lost, {resigned} sessions signed again"
    );
    assert_eq!(lost, 0);
    assert!(resigned >= 60 && requests > 1200);
    service.stop().await.unwrap();
}
