//! The service: login, a route that needs a token or a session, notes that are sealed at
//! rest, and the webhook.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::SET_COOKIE;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use dualkey::cookie::{Cookie, CookieKey, CookieSigner, LegacyCookie};
use dualkey::envelope::{AesKey, Sealer};
use dualkey::http::{BearerLayer, SessionCookie, SessionLayer, WebhookLayer};
use dualkey::jwt::{Algorithm, Jwt, JwtKey, Validation};
use dualkey::source::{Follow, Following};
use dualkey::webhook::{MetaWebhook, VerifyToken, WebhookKey};
use dualkey::{
    Event, KeyMaterial, KeyRing, KeyStatus, Kid, Observer, Reason, Secret, Sweep, Verified,
};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::Result;
use crate::operator::{ENVIRONMENT, Operator, RINGS, policy};

pub const LIFE: Duration = Duration::from_secs(4);
pub const ROLLOUT_WINDOW: Duration = Duration::from_secs(2);
pub const SKEW: Duration = Duration::from_secs(1);
pub const ROLE: &str = "x-key-role";
/// The cookie that express-session set before this service took over from it.
pub const SESSION: &str = "connect.sid";
/// How long the first phase lasts, in which browsers still hold what express set.
pub const FIRST_PHASE: Duration = Duration::from_secs(3);
pub const VERIFY_TOKEN: &str = "hV3-dashboard-token-of-the-demo";

#[derive(Clone, Serialize, Deserialize)]
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
    session: SessionCookie,
    hook: MetaWebhook,
    sealer: Sealer,
    notes: Notes,
}

impl App {
    fn new(rings: &Rings, site: &Site) -> Result<Self> {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.leeway = 0;
        let tokens =
            KeyRing::<VerifyToken>::builder().primary(Secret::from(VERIFY_TOKEN)).build()?;
        // Over plain HTTP, on this machine.
        let signer = CookieSigner::new(rings.session.clone())
            .attributes(Cookie::build("").path("/").http_only(true))
            .accept_legacy(LegacyCookie::Express, site.express_until);
        Ok(Self {
            jwt: Jwt::new(rings.jwt.clone()).validation(validation),
            session: SessionCookie::new(signer, SESSION),
            hook: MetaWebhook::new(rings.webhook.clone()).verify_tokens(tokens),
            sealer: rings.sealer(),
            notes: site.notes.clone(),
        })
    }

    fn router(self) -> Router {
        let bearer = BearerLayer::<Claims>::new(self.jwt.clone()).optional();
        // Signs again what came under a fallback, or from express.
        let session = SessionLayer::new(self.session.clone()).optional();
        let delivery = WebhookLayer::new(self.hook.clone());
        Router::new()
            .route("/login", post(login))
            .route("/me", get(me).layer((session, bearer)))
            .route("/notes/{id}", get(read_note).put(write_note))
            .route("/webhook", post(webhook).layer(delivery))
            .with_state(Arc::new(self))
    }
}

async fn login(State(app): State<Arc<App>>) -> Response {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let valid_until = now.as_secs() + LIFE.as_secs();
    let cookie = app.session.issue("user-42");
    let token = app.jwt.sign(&Claims { sub: "user-42".to_owned(), exp: valid_until });
    match (cookie, token) {
        (Ok(cookie), Ok(token)) => {
            ([(SET_COOKIE, cookie)], Json(Login { token, valid_until })).into_response()
        }
        _ => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// Needs a token or a session: the layers around it have verified them.
async fn me(
    claims: Option<Extension<Verified<Claims>>>,
    session: Option<Extension<Verified<Cookie<'static>>>>,
) -> Response {
    let (role, user) = match (&claims, &session) {
        (Some(claims), _) => (claims.role(), claims.sub.clone()),
        (None, Some(session)) => (session.role(), session.value().to_owned()),
        (None, None) => return StatusCode::UNAUTHORIZED.into_response(),
    };
    ([(ROLE, role.as_str())], user).into_response()
}

async fn write_note(State(app): State<Arc<App>>, Path(id): Path<u64>, text: String) -> Response {
    match app.sealer.seal_text(text, context(id)) {
        Ok(sealed) => {
            app.notes.put(id, sealed);
            StatusCode::NO_CONTENT.into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn read_note(State(app): State<Arc<App>>, Path(id): Path<u64>) -> Response {
    let Some(sealed) = app.notes.get(id) else { return StatusCode::NOT_FOUND.into_response() };
    match app.sealer.open(sealed, context(id)) {
        Ok(note) => ([(ROLE, note.role().as_str())], note.into_inner()).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// What a note belongs to: it opens as this row and as no other.
fn context(id: u64) -> String {
    format!("notes/{id}/body")
}

async fn webhook(Extension(delivery): Extension<Verified<Bytes>>) -> Response {
    [(ROLE, delivery.role().as_str())].into_response()
}

/// The table of notes: the database behind all instances.
#[derive(Clone, Default)]
pub struct Notes(Arc<Mutex<BTreeMap<u64, String>>>);

impl Notes {
    fn get(&self, id: u64) -> Option<String> {
        lock(&self.0).get(&id).cloned()
    }

    fn put(&self, id: u64, sealed: String) {
        lock(&self.0).insert(id, sealed);
    }

    /// Writes what `change` makes of each note, unless somebody else has written it
    /// meanwhile; says how many it changed.
    fn sweep(&self, change: impl Fn(u64, &str) -> Result<Option<String>>) -> Result<usize> {
        let ids: Vec<u64> = lock(&self.0).keys().copied().collect();
        let mut changed = 0;
        for id in ids {
            let Some(old) = self.get(id) else { continue };
            let Some(new) = change(id, &old)? else { continue };
            if let Some(row) = lock(&self.0).get_mut(&id).filter(|row| **row == old) {
                *row = new;
                changed += 1;
            }
        }
        Ok(changed)
    }
}

/// What the instances of one site share.
#[derive(Clone)]
struct Site {
    notes: Notes,
    reasons: Reasons,
    express_until: SystemTime,
}

/// One set of the four secrets.
#[derive(Clone)]
pub struct Secrets {
    jwt: Secret,
    pub session: Secret,
    pub meta: Secret,
    encryption: Secret,
}

/// The kids of a set of secrets, in the order of the columns of the report.
pub type Kids = [Kid; 4];

impl Secrets {
    pub fn generate() -> Result<Self> {
        let hex = |bytes: usize| {
            let mut random = vec![0; bytes];
            getrandom::fill(&mut random).map_err(|error| error.to_string())?;
            Ok::<_, String>(Secret::from(
                random.iter().map(|byte| format!("{byte:02x}")).collect::<String>(),
            ))
        };
        let mut encryption = [0; 32];
        getrandom::fill(&mut encryption).map_err(|error| error.to_string())?;
        let encryption = Secret::from(encryption);
        Ok(Self { jwt: hex(64)?, session: hex(64)?, meta: hex(16)?, encryption })
    }

    /// In the order of the columns of the report.
    pub fn all(&self) -> [&Secret; 4] {
        [&self.jwt, &self.session, &self.meta, &self.encryption]
    }
}

/// Where an instance has its keys from.
pub enum Keys {
    /// Its environment: they are those that it was started with.
    Given(Vec<Secrets>),
    /// The operator's files, which it follows.
    Stored(Box<Operator>),
}

/// What keeps the rings of an instance after their files.
struct Followings(
    Following<JwtKey>,
    Following<CookieKey>,
    Following<WebhookKey>,
    Following<AesKey>,
);

impl Followings {
    async fn start(operator: &Operator, instance: &str, reasons: &Reasons) -> Result<Self> {
        fn follow<K: KeyMaterial>(
            operator: &Operator,
            place: usize,
            instance: &str,
            reasons: &Reasons,
        ) -> Follow<K> {
            KeyRing::builder()
                .environment(ENVIRONMENT)
                .observer(reasons.clone())
                .follow(operator.store(place))
                .poll(Duration::from_secs(1))
                .instance(instance)
        }
        Ok(Self(
            follow(operator, 0, instance, reasons).spawn().await?,
            follow(operator, 1, instance, reasons).spawn().await?,
            follow(operator, 2, instance, reasons).spawn().await?,
            follow(operator, 3, instance, reasons).spawn().await?,
        ))
    }

    fn rings(&self) -> Rings {
        Rings {
            jwt: self.0.ring().clone(),
            session: self.1.ring().clone(),
            webhook: self.2.ring().clone(),
            encryption: self.3.ring().clone(),
        }
    }

    async fn stop(self) -> Result<()> {
        self.0.stop_async().await?;
        self.1.stop_async().await?;
        self.2.stop_async().await?;
        Ok(self.3.stop_async().await?)
    }
}

/// The rings of one instance.
#[derive(Clone)]
pub struct Rings {
    jwt: KeyRing<JwtKey>,
    session: KeyRing<CookieKey>,
    webhook: KeyRing<WebhookKey>,
    encryption: KeyRing<AesKey>,
}

impl Rings {
    /// Of `secrets`, the first of which sign.
    fn new(secrets: &[Secrets], reasons: &Reasons) -> Result<Self> {
        fn ring<K: KeyMaterial>(
            place: usize,
            secrets: &[Secrets],
            reasons: &Reasons,
        ) -> Result<KeyRing<K>> {
            let mut builder = KeyRing::builder()
                .name(RINGS[place].0)
                .policy(policy())
                .min_secret_bytes(32)
                .observer(reasons.clone());
            for (turn, secrets) in secrets.iter().enumerate() {
                let secret = secrets.all()[place].clone();
                builder =
                    if turn == 0 { builder.primary(secret) } else { builder.fallback(secret) };
            }
            Ok(builder.build()?)
        }
        Ok(Self {
            jwt: ring(0, secrets, reasons)?,
            session: ring(1, secrets, reasons)?,
            webhook: ring(2, secrets, reasons)?,
            encryption: ring(3, secrets, reasons)?,
        })
    }

    pub fn primaries(&self) -> Kids {
        [
            self.jwt.primary(),
            self.session.primary(),
            self.webhook.primary(),
            self.encryption.primary(),
        ]
    }

    fn sealer(&self) -> Sealer {
        Sealer::new(self.encryption.clone())
    }

    pub fn overlap(&self) -> Duration {
        self.jwt.overlap()
    }

    /// The keys of its rings, in the order of the columns of the report.
    pub fn keys(&self) -> [Vec<KeyStatus>; 4] {
        [self.jwt.keys(), self.session.keys(), self.webhook.keys(), self.encryption.keys()]
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
    site: Site,
}

struct Instance {
    rings: Rings,
    followings: Option<Followings>,
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<std::io::Result<()>>,
}

impl Fleet {
    pub async fn start(keys: &Keys, count: usize) -> Result<Self> {
        let site = Site {
            notes: Notes::default(),
            reasons: Reasons::default(),
            express_until: SystemTime::now() + FIRST_PHASE + LIFE,
        };
        let mut fleet = Self { instances: Vec::new(), site };
        for turn in 0..count {
            let instance = Instance::start(keys, turn, &fleet.site).await?;
            fleet.instances.push(Mutex::new(Some(instance)));
        }
        Ok(fleet)
    }

    pub fn reasons(&self) -> &Reasons {
        &self.site.reasons
    }

    /// Wraps the data key of every note under the primary of the first instance, while both
    /// go on serving; says how many notes needed it.
    pub fn rewrap(&self) -> Result<usize> {
        let sealer = self.rings()[0].sealer();
        self.site.notes.sweep(|_, old| {
            let mut text = old.to_owned();
            Ok(sealer.rewrap_text(&mut text)?.then_some(text))
        })
    }

    /// Looks at every note, and tells the first instance which key each needs: what the
    /// verdict on the old one asks for.
    pub fn look_through(&self) -> Result<()> {
        let ring = &self.rings()[0].encryption;
        let started_at = SystemTime::now();
        let rows = Mutex::new(BTreeMap::new());
        let unreadable = Mutex::new(0);
        self.site.notes.sweep(|_, note| {
            match Sealer::kid_of(note) {
                Some(kid) => *lock(&rows).entry(kid).or_default() += 1,
                None => *lock(&unreadable) += 1,
            }
            Ok(None)
        })?;
        let (rows, unreadable) = (lock(&rows).clone(), *lock(&unreadable));
        ring.record_sweep(&Sweep {
            started_at,
            finished_at: SystemTime::now(),
            opened_all: false,
            unreadable,
            rows: rows.into_iter().collect(),
        });
        Ok(())
    }

    /// After a compromise: opens what is under the revoked key, and seals it anew.
    pub fn rescue(&self) -> Result<usize> {
        let sealer = self.rings()[0].sealer();
        self.site.notes.sweep(|id, old| match sealer.needs_rewrap(old) {
            Err(error) if error.reason() == Reason::RevokedKey => {
                let note = sealer.dangerous().open_revoked(old, context(id))?;
                Ok(Some(sealer.seal_text(note, context(id))?))
            }
            _ => Ok(None),
        })
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

    /// Takes an instance out of rotation, lets it finish, and starts it with `keys`.
    pub async fn restart(&self, index: usize, keys: &Keys) -> Result<()> {
        let instance = lock(&self.instances[index]).take();
        if let Some(instance) = instance {
            instance.stop().await?;
        }
        let instance = Instance::start(keys, index, &self.site).await?;
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
    async fn start(keys: &Keys, turn: usize, site: &Site) -> Result<Self> {
        let (rings, followings) = match keys {
            Keys::Given(secrets) => (Rings::new(secrets, &site.reasons)?, None),
            Keys::Stored(operator) => {
                let name = format!("instance-{turn}");
                let followings = Followings::start(operator, &name, &site.reasons).await?;
                (followings.rings(), Some(followings))
            }
        };
        let router = App::new(&rings, site)?.router();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel::<()>();
        let server = axum::serve(listener, router).with_graceful_shutdown(async {
            let _ = stopped.await;
        });
        let task = tokio::spawn(server.into_future());
        Ok(Self { rings, followings, address, stop, task })
    }

    async fn stop(self) -> Result<()> {
        let _ = self.stop.send(());
        self.task.await??;
        match self.followings {
            Some(followings) => followings.stop().await,
            None => Ok(()),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
