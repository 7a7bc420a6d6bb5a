//! A service to start from: login, bearer tokens, a session, a webhook, the status page,
//! Prometheus, keys that reload from files, and a graceful end.
//!
//! ```sh
//! cargo run --example axum_app -- keys --init
//! curl -si -H 'content-type: application/json' -d '{"user":"admin"}' http://127.0.0.1:3000/login
//! ```
//!
//! Each key file is a manifest: what an operator changes there, the service takes up. Its login
//! believes whoever names a user: put a check of your own there.
#![allow(missing_docs, unreachable_pub, clippy::print_stdout)]

use std::error::Error;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::extract::{FromRef, State};
use axum::http::StatusCode;
use axum::http::header::SET_COOKIE;
use axum::response::{AppendHeaders, IntoResponse};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use clap::Parser;
use dualkey::cookie::{Cookie, CookieKey, CookieSigner};
use dualkey::http::{SessionCookie, SessionLayer, Status, VerifiedJwt, WebhookLayer};
use dualkey::jwt::{Jwt, JwtKey};
use dualkey::manifest::{Manifest, NewEntry};
use dualkey::source::{FileStore, FollowHandle, KeyStore, StoreError};
use dualkey::telemetry::{RingMetrics, Tracing};
use dualkey::webhook::{WebhookKey, WebhookVerifier};
use dualkey::{KeyMaterial, KeyRing, Policy, Verified};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

type Result<T, E = Box<dyn Error + Send + Sync>> = std::result::Result<T, E>;

const ENVIRONMENT: &str = "development";
/// How long a token and a session live: what the policy of the keys is told.
const LIFE: Duration = Duration::from_secs(24 * 3600);

#[derive(Parser)]
pub struct Options {
    /// The folder with the key files.
    pub keys: PathBuf,
    #[arg(long, help = "Write fresh keys first, where there are none")]
    pub init: bool,
    #[arg(long, default_value = "127.0.0.1:3000")]
    pub listen: SocketAddr,
    #[arg(long, default_value = "instance-1", help = "What reports call it")]
    pub instance: String,
}

#[tokio::main]
async fn main() -> Result<()> {
    tracing_subscriber::fmt().init();
    let options = Options::parse();
    let prometheus = PrometheusBuilder::new().install_recorder()?;
    let service = Service::start(&options).await?;
    let listener = TcpListener::bind(options.listen).await?;
    println!("listening on http://{}", listener.local_addr()?);
    let stopped = async { tokio::signal::ctrl_c().await.unwrap_or_default() };
    axum::serve(listener, service.router(prometheus)).with_graceful_shutdown(stopped).await?;
    service.stop().await
}

pub struct Service {
    tokens: FollowHandle<JwtKey>,
    sessions: FollowHandle<CookieKey>,
    webhooks: FollowHandle<WebhookKey>,
    metrics: RingMetrics,
}

impl Service {
    pub async fn start(options: &Options) -> Result<Self> {
        let metrics = RingMetrics::new();
        Ok(Self {
            tokens: follow("JWT_SECRET", options, &metrics).await?,
            sessions: follow("SESSION_SECRET", options, &metrics).await?,
            webhooks: follow("META_APP_SECRET", options, &metrics).await?,
            metrics,
        })
    }

    pub fn router(&self, prometheus: PrometheusHandle) -> Router {
        let app = App {
            jwt: Jwt::new(self.tokens.ring().clone()),
            session: SessionCookie::new(CookieSigner::new(self.sessions.ring().clone()), "sid"),
        };
        let hook = WebhookVerifier::new(self.webhooks.ring().clone());
        let status = Status::new().watch(&self.tokens).watch(&self.sessions).watch(&self.webhooks);
        let operators = app.session.clone();
        let guard = move |request: &axum::http::request::Parts| {
            operators.verify(&request.headers).is_ok_and(|session| session.value() == "admin")
        };
        let metrics = self.metrics.clone();
        let scrape = async move || (metrics.publish(), prometheus.render()).1;
        // Signs a session again on its next response, once its key is on its way out.
        let session = SessionLayer::new(app.session.clone());
        Router::new()
            .route("/login", post(login))
            .route("/logout", post(logout))
            .route("/api/me", get(api_me))
            .route("/me", get(me).layer(session))
            .route("/webhook", post(deliver).layer(WebhookLayer::new(hook)))
            .route("/metrics", get(scrape)) // for the inside of the network
            .nest("/admin/keys", status.router(guard))
            .with_state(app)
    }

    /// Says good-bye to the fleet, so that no verdict waits for this instance.
    pub async fn stop(self) -> Result<()> {
        self.tokens.stop_async().await?;
        self.sessions.stop_async().await?;
        Ok(self.webhooks.stop_async().await?)
    }
}

async fn follow<K: KeyMaterial>(
    name: &str,
    options: &Options,
    metrics: &RingMetrics,
) -> Result<FollowHandle<K>> {
    let store = FileStore::new(options.keys.join(format!("{name}.json")));
    if options.init {
        init::<K>(name, &options.keys, &store).await?;
    }
    let following = KeyRing::<K>::builder()
        .name(name)
        .environment(ENVIRONMENT)
        .max_staleness(Duration::from_secs(15 * 60))
        .observer(Tracing)
        .observer(metrics.clone())
        .follow(store)
        .instance(&options.instance)
        .spawn()
        .await?;
    metrics.watch(&following);
    Ok(following)
}

/// The first key of a ring, if its file is not there: one that is, is never overwritten.
async fn init<K: KeyMaterial>(name: &str, folder: &Path, store: &FileStore) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    let mut policy = Policy::default();
    policy.max_lifetime = LIFE;
    let key = NewEntry::generate(K::PURPOSE)?;
    let first = Manifest::new(name, K::PURPOSE, ENVIRONMENT, policy, key, SystemTime::now())?;
    match store.compare_and_swap(0, &first).await {
        Ok(()) | Err(StoreError::Conflict { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[derive(Clone, FromRef)]
struct App {
    jwt: Jwt,
    session: SessionCookie,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    sub: String,
    exp: u64,
}

#[derive(Deserialize)]
struct Credentials {
    user: String,
}

async fn login(
    State(app): State<App>,
    Json(who): Json<Credentials>,
) -> Result<impl IntoResponse, StatusCode> {
    let end = (SystemTime::now() + LIFE).duration_since(UNIX_EPOCH).unwrap_or_default();
    let failed = |_| StatusCode::SERVICE_UNAVAILABLE;
    let cookie = app.session.issue(&who.user).map_err(failed)?;
    let token = app.jwt.sign(&Claims { sub: who.user, exp: end.as_secs() }).map_err(failed)?;
    Ok((AppendHeaders([(SET_COOKIE, cookie)]), token))
}

async fn logout(State(app): State<App>) -> Result<impl IntoResponse, StatusCode> {
    let removal = app.session.removal().map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    Ok((AppendHeaders([(SET_COOKIE, removal)]), "see you"))
}

async fn api_me(VerifiedJwt(claims): VerifiedJwt<Claims>) -> String {
    claims.into_inner().sub
}

async fn me(Extension(session): Extension<Verified<Cookie<'static>>>) -> String {
    session.value().to_owned()
}

async fn deliver(Json(event): Json<serde_json::Value>) -> StatusCode {
    tracing::info!(object = %event["object"], "a delivery");
    StatusCode::OK
}
