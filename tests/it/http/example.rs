//! The service of `examples/axum_app.rs` does what it says.

use std::time::{Duration, SystemTime};

use dualkey::mac::HmacSha256;
use dualkey::manifest::{Manifest, NewEntry};
use dualkey::source::{FileStore, KeyStore, update};
use dualkey::webhook::WebhookVerifier;
use dualkey::{Purpose, Secret};
use metrics_exporter_prometheus::PrometheusBuilder;
use reqwest::Client;
use serde_json::json;

use super::axum_app::{Options, Service};
use super::site::serve;
use crate::support::secret;

#[tokio::test]
async fn the_service_to_start_from_rotates_while_it_runs() {
    let folder = tempfile::tempdir().unwrap();
    let options = |init: bool| Options {
        keys: folder.path().join("keys"),
        init,
        listen: ([127, 0, 0, 1], 0).into(),
        instance: "instance-1".to_owned(),
    };
    // Without keys it does not start; and it makes none up.
    assert!(Service::start(&options(false)).await.is_err());
    let service = Service::start(&options(true)).await.unwrap();
    let handle = PrometheusBuilder::new().build_recorder().handle();
    let url = format!("http://{}", serve(service.router(handle)).await);
    let client = Client::new();
    let login = async |user: &str| {
        let request = client.post(format!("{url}/login")).json(&json!({ "user": user }));
        let response = request.send().await.unwrap();
        let set = response.headers()["set-cookie"].to_str().unwrap().to_owned();
        (set.split(';').next().unwrap().to_owned(), response.text().await.unwrap())
    };
    let get = async |path: &str, name: &str, value: &str| {
        let request = client.get(format!("{url}{path}")).header(name, value);
        let response = request.send().await.unwrap();
        let again = response.headers().get("set-cookie").cloned();
        (response.status().as_u16(), response.text().await.unwrap(), again)
    };
    let (cookie, token) = login("user-42").await;
    let bearer = format!("Bearer {token}");
    assert_eq!(get("/me", "cookie", &cookie).await, (200, "user-42".to_owned(), None));
    assert_eq!(get("/api/me", "authorization", &bearer).await.1, "user-42");
    assert_eq!(get("/me", "cookie", "sid=admin").await.0, 401);
    assert_eq!(get("/api/me", "authorization", "Bearer x").await.0, 401);
    assert_eq!(get("/admin/keys", "cookie", &cookie).await.0, 403);
    let (admin, _) = login("admin").await;
    let (status, page, _) = get("/admin/keys", "cookie", &admin).await;
    assert!(status == 200 && page.contains("SESSION_SECRET") && page.contains("instance-1"));
    assert_eq!(get("/metrics", "accept", "*/*").await.0, 200);

    // An operator rotates the session's key in its file.
    let store = FileStore::new(folder.path().join("keys/SESSION_SECRET.json"));
    let entry = NewEntry::new(Secret::from(secret(1))).kid("next".parse().unwrap());
    update(&store, |manifest| manifest.stage(entry.clone(), SystemTime::now())).await.unwrap();
    let kid = "next".parse().unwrap();
    // The instance says that it holds the key, once it does.
    let promoted = async {
        loop {
            let reports = store.reports().await.unwrap();
            let step = |manifest: &Manifest| manifest.promote(&kid, &reports, SystemTime::now());
            if update(&store, step).await.is_ok() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), promoted).await.unwrap();
    let resigned = async {
        loop {
            let (status, user, again) = get("/me", "cookie", &cookie).await;
            assert_eq!((status, user.as_str()), (200, "user-42"), "at every moment");
            if let Some(again) = again {
                break again;
            }
        }
    };
    let again = tokio::time::timeout(Duration::from_secs(60), resigned).await.unwrap();
    assert!(again.to_str().unwrap().contains(".next."));

    let app_secret = FileStore::new(folder.path().join("keys/META_APP_SECRET.json"));
    let manifest = app_secret.load().await.unwrap();
    assert_eq!(manifest.purpose(), Purpose::Webhook);
    let body = r#"{"object":"page"}"#;
    let secret = manifest.keys()[0].secret().unwrap();
    let tag = hex::encode(HmacSha256::new(secret.expose()).mac(body.as_bytes()));
    let send = client
        .post(format!("{url}/webhook"))
        .header(WebhookVerifier::HEADER, format!("sha256={tag}"))
        .header("content-type", "application/json")
        .body(body);
    assert_eq!(send.send().await.unwrap().status(), 200);
    service.stop().await.unwrap();
    assert!(app_secret.reports().await.unwrap()[0].has_stopped);
}
