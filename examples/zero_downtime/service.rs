//! The service: login, a route that needs a token or a session, and the webhook.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::header::{AUTHORIZATION, COOKIE, SET_COOKIE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{AppendHeaders, IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use dualkey::cookie::{Cookie, CookieJar, CookieKey, CookieSigner};
use dualkey::jwt::{Algorithm, Jwt, JwtKey, Validation};
use dualkey::webhook::{MetaWebhook, VerifyToken, WebhookKey};
use dualkey::{Event, KeyMaterial, KeyRing, KeyStatus, Kid, Observer, Reason, Role, Secret};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::Result;

pub const LIFE: Duration = Duration::from_secs(4);
const ROLLOUT_WINDOW: Duration = Duration::from_secs(2);
const SKEW: Duration = Duration::from_secs(1);
pub const ROLE: &str = "x-key-role";
pub const VERIFY_TOKEN: &str = "hV3-dashboard-token-of-the-demo";

#[derive(Serialize, Deserialize)]
struct Claims {
    sub: String,
    exp: u64,
}

/// What a login gives: a token, and how long it and the session cookie live.
#[derive(Serialize, Deserialize)]
pub struct Login {
    pub token: String,
    pub valid_until: u64,
}

#[derive(Clone)]
struct App {
    jwt: Jwt,
    cookies: CookieSigner,
    hook: MetaWebhook,
}

impl App {
    fn new(rings: &Rings) -> Result<Self> {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.leeway = 0;
        let tokens =
            KeyRing::<VerifyToken>::builder().primary(Secret::from(VERIFY_TOKEN)).build()?;
        Ok(Self {
            jwt: Jwt::new(rings.jwt.clone()).validation(validation),
            cookies: CookieSigner::new(rings.session.clone()),
            hook: MetaWebhook::new(rings.webhook.clone()).verify_tokens(tokens),
        })
    }

    fn router(self) -> Router {
        Router::new()
            .route("/login", post(login))
            .route("/me", get(me))
            .route("/webhook", get(handshake).post(webhook))
            .with_state(Arc::new(self))
    }
}

async fn login(State(app): State<Arc<App>>) -> Response {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let valid_until = now.as_secs() + LIFE.as_secs();
    let mut jar = CookieJar::new();
    let signed =
        app.cookies.jar(&mut jar).add(Cookie::build(("session", "user-42")).http_only(true));
    let token = app.jwt.sign(&Claims { sub: "user-42".to_owned(), exp: valid_until });
    match (signed, token) {
        (Ok(()), Ok(token)) => {
            (set_cookies(&jar), Json(Login { token, valid_until })).into_response()
        }
        _ => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// Needs a token or a session.
async fn me(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if let Some(token) = text(AUTHORIZATION).strip_prefix("Bearer ") {
        return match app.jwt.verify::<Claims>(token) {
            Ok(claims) => ([(ROLE, role(claims.role()))], claims.sub.clone()).into_response(),
            Err(_) => StatusCode::UNAUTHORIZED.into_response(),
        };
    }
    let mut jar = CookieJar::new();
    for cookie in Cookie::split_parse_encoded(text(COOKIE)).flatten() {
        jar.add_original(cookie.into_owned());
    }
    let session = app.cookies.jar(&mut jar).get("session");
    match session {
        // The jar signed it again if it came under a fallback.
        Ok(session) => {
            let role = [(ROLE, role(session.role()))];
            (role, set_cookies(&jar), session.value().to_owned()).into_response()
        }
        Err(_) => StatusCode::UNAUTHORIZED.into_response(),
    }
}

async fn webhook(State(app): State<Arc<App>>, headers: HeaderMap, body: Bytes) -> Response {
    match app.hook.verify(headers.get_all(MetaWebhook::HEADER), &body) {
        Ok(delivery) => [(ROLE, role(delivery.role()))].into_response(),
        Err(_) => StatusCode::UNAUTHORIZED.into_response(),
    }
}

async fn handshake(State(app): State<Arc<App>>, RawQuery(query): RawQuery) -> Response {
    match app.hook.handshake(&query.unwrap_or_default()) {
        Ok(challenge) => challenge.into_inner().into_response(),
        Err(_) => StatusCode::FORBIDDEN.into_response(),
    }
}

fn set_cookies(jar: &CookieJar) -> impl axum::response::IntoResponseParts + use<> {
    let cookies = jar.delta().map(|cookie| (SET_COOKIE, cookie.encoded().to_string()));
    AppendHeaders(cookies.collect::<Vec<_>>())
}

fn role(role: Role) -> &'static str {
    match role {
        Role::Primary => "primary",
        Role::Staged => "staged",
        _ => "fallback",
    }
}

/// One set of the three secrets.
#[derive(Clone)]
pub struct Secrets {
    jwt: Secret,
    session: Secret,
    pub meta: Secret,
}

impl Secrets {
    pub fn generate() -> Result<Self> {
        let hex = |bytes: usize| {
            let mut random = vec![0; bytes];
            getrandom::fill(&mut random).map_err(|error| error.to_string())?;
            Ok::<_, String>(Secret::from(
                random.iter().map(|byte| format!("{byte:02x}")).collect::<String>(),
            ))
        };
        Ok(Self { jwt: hex(64)?, session: hex(64)?, meta: hex(16)? })
    }
}

/// The rings of one instance.
#[derive(Clone)]
pub struct Rings {
    jwt: KeyRing<JwtKey>,
    session: KeyRing<CookieKey>,
    webhook: KeyRing<WebhookKey>,
}

impl Rings {
    fn new<const N: usize>(secrets: [&Secrets; N], reasons: &Reasons) -> Result<Self> {
        fn ring<K: KeyMaterial>(
            name: &str,
            secrets: impl Iterator<Item = Secret>,
            reasons: &Reasons,
        ) -> Result<KeyRing<K>> {
            let mut builder = KeyRing::builder()
                .name(name)
                .longest_life(LIFE)
                .rollout_window(ROLLOUT_WINDOW)
                .skew(SKEW)
                .observer(reasons.clone());
            for (place, secret) in secrets.enumerate() {
                builder =
                    if place == 0 { builder.primary(secret) } else { builder.fallback(secret) };
            }
            Ok(builder.build()?)
        }
        let of = |pick: fn(&Secrets) -> &Secret| secrets.into_iter().map(move |s| pick(s).clone());
        Ok(Self {
            jwt: ring("JWT_SECRET", of(|secrets| &secrets.jwt), reasons)?,
            session: ring("SESSION_SECRET", of(|secrets| &secrets.session), reasons)?,
            webhook: ring("META_APP_SECRET", of(|secrets| &secrets.meta), reasons)?,
        })
    }

    /// The same kids on every instance, because they are derived from the secrets.
    pub fn stage(&self, new: &Secrets) -> Result<[Kid; 3]> {
        Ok([
            self.jwt.stage(new.jwt.clone())?,
            self.session.stage(new.session.clone())?,
            self.webhook.stage(new.meta.clone())?,
        ])
    }

    pub fn promote(&self, [jwt, session, webhook]: &[Kid; 3]) -> Result<()> {
        self.jwt.promote(jwt)?;
        self.session.promote(session)?;
        self.webhook.promote(webhook)?;
        Ok(())
    }

    pub fn retire(&self, [jwt, session, webhook]: &[Kid; 3]) -> Result<()> {
        self.jwt.retire(jwt)?;
        self.session.retire(session)?;
        self.webhook.retire(webhook)?;
        Ok(())
    }

    pub fn revoke(&self, [jwt, session, webhook]: &[Kid; 3], reason: &str) -> Result<()> {
        self.jwt.revoke(jwt, reason)?;
        self.session.revoke(session, reason)?;
        self.webhook.revoke(webhook, reason)?;
        Ok(())
    }

    pub fn primaries(&self) -> [Kid; 3] {
        [self.jwt.primary(), self.session.primary(), self.webhook.primary()]
    }

    pub fn overlap(&self) -> Duration {
        self.jwt.overlap()
    }

    /// The keys of its rings, in the order of the columns of the report.
    pub fn keys(&self) -> [Vec<KeyStatus>; 3] {
        [self.jwt.keys(), self.session.keys(), self.webhook.keys()]
    }
}

/// Why something was refused, as the operators see it: by ring and reason.
#[derive(Debug, Clone, Default)]
pub struct Reasons(Arc<Mutex<BTreeMap<(String, Reason), u64>>>);

impl Observer for Reasons {
    fn observe(&self, event: &Event<'_>) {
        if let Event::Rejected { ring, reason } = event {
            let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            *counts.entry(((*ring).to_owned(), *reason)).or_default() += 1;
        }
    }
}

impl Reasons {
    pub fn counts(&self) -> BTreeMap<(String, Reason), u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The instances, as a load balancer sees them.
pub struct Fleet {
    instances: Vec<Mutex<Option<Instance>>>,
    pub reasons: Reasons,
}

struct Instance {
    rings: Rings,
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<std::io::Result<()>>,
}

impl Fleet {
    pub async fn start<const N: usize>(secrets: [&Secrets; N], count: usize) -> Result<Self> {
        let mut fleet = Self { instances: Vec::new(), reasons: Reasons::default() };
        for _ in 0..count {
            let instance = Instance::start(secrets, &fleet.reasons).await?;
            fleet.instances.push(Mutex::new(Some(instance)));
        }
        Ok(fleet)
    }

    /// The rings of all instances: what an operator's command would reach.
    pub fn rings(&self) -> Vec<Rings> {
        let rings = |slot: &Mutex<Option<Instance>>| Some(lock(slot).as_ref()?.rings.clone());
        self.instances.iter().filter_map(rings).collect()
    }

    /// The address of an instance that is up, by turns.
    pub fn address(&self, turn: usize) -> Option<SocketAddr> {
        (0..self.instances.len())
            .map(|next| &self.instances[(turn + next) % self.instances.len()])
            .find_map(|slot| lock(slot).as_ref().map(|instance| instance.address))
    }

    /// Takes an instance out of rotation, lets it finish, and starts it with `secrets`.
    pub async fn restart<const N: usize>(
        &self,
        index: usize,
        secrets: [&Secrets; N],
    ) -> Result<()> {
        let instance = lock(&self.instances[index]).take();
        if let Some(instance) = instance {
            instance.stop().await?;
        }
        let instance = Instance::start(secrets, &self.reasons).await?;
        *lock(&self.instances[index]) = Some(instance);
        Ok(())
    }

    /// Stops all instances, and returns their rings to be looked at.
    pub async fn stop(&self) -> Result<Vec<Rings>> {
        let rings = self.rings();
        for slot in &self.instances {
            let instance = lock(slot).take();
            if let Some(instance) = instance {
                instance.stop().await?;
            }
        }
        Ok(rings)
    }
}

impl Instance {
    async fn start<const N: usize>(secrets: [&Secrets; N], reasons: &Reasons) -> Result<Self> {
        let rings = Rings::new(secrets, reasons)?;
        let router = App::new(&rings)?.router();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel::<()>();
        let server = axum::serve(listener, router).with_graceful_shutdown(async {
            let _ = stopped.await;
        });
        Ok(Self { rings, address, stop, task: tokio::spawn(server.into_future()) })
    }

    async fn stop(self) -> Result<()> {
        let _ = self.stop.send(());
        Ok(self.task.await??)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
