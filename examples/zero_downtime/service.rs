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
use dualkey::envelope::{AesKey, Sealed, Sealer};
use dualkey::http::{BearerLayer, SessionCookie, SessionLayer, WebhookLayer};
use dualkey::jwt::{Jwt, JwtKey};
use dualkey::rewrap::{RewrapJob, SqliteTable};
use dualkey::source::{FollowBuilder, FollowHandle};
use dualkey::webhook::{VerifyToken, WebhookKey, WebhookVerifier};
use dualkey::{Event, KeyMaterial, KeyRing, KeyStatus, Kid, Observer, Reason, Secret, Verified};
use serde::{Deserialize, Serialize};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use tempfile::TempDir;
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
    hook: WebhookVerifier,
    sealer: Sealer,
    notes: Notes,
}

impl App {
    fn new(rings: &Rings, site: &Site) -> Result<Self> {
        let tokens =
            KeyRing::<VerifyToken>::builder().primary(Secret::from(VERIFY_TOKEN)).build()?;
        // Over plain HTTP, on this machine.
        let signer = CookieSigner::new(rings.session.clone())
            .attributes(Cookie::build("").path("/").http_only(true))
            .accept_legacy(LegacyCookie::Express, site.express_until);
        Ok(Self {
            jwt: Jwt::new(rings.jwt.clone()).leeway(Duration::ZERO),
            session: SessionCookie::new(signer, SESSION),
            hook: WebhookVerifier::new(rings.webhook.clone()).verify_tokens(tokens),
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

async fn write_note(State(app): State<Arc<App>>, Path(id): Path<i64>, text: String) -> Response {
    let written = match Sealed::seal(&app.sealer, &text, context(id)) {
        Ok(body) => app.notes.put(id, &body).await.is_ok(),
        Err(_) => false,
    };
    if written {
        StatusCode::NO_CONTENT.into_response()
    } else {
        StatusCode::INTERNAL_SERVER_ERROR.into_response()
    }
}

async fn read_note(State(app): State<Arc<App>>, Path(id): Path<i64>) -> Response {
    let body = match app.notes.get(id).await {
        Ok(Some(body)) => body,
        Ok(None) => return StatusCode::NOT_FOUND.into_response(),
        Err(_) => return StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    };
    match body.open(&app.sealer, context(id)) {
        Ok(note) => ([(ROLE, note.role().as_str())], note.into_inner()).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// What a note belongs to: it opens as this row and as no other.
fn context(id: i64) -> String {
    format!("notes/{id}/body")
}

async fn webhook(Extension(delivery): Extension<Verified<Bytes>>) -> Response {
    [(ROLE, delivery.role().as_str())].into_response()
}

/// The table of notes: the database behind all instances, a file of SQLite.
#[derive(Clone)]
pub struct Notes {
    pool: SqlitePool,
    _folder: Arc<TempDir>,
}

impl Notes {
    async fn new() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let options = SqliteConnectOptions::new()
            .filename(folder.path().join("notes.db"))
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .busy_timeout(Duration::from_secs(30));
        let pool = SqlitePoolOptions::new().max_connections(8).connect_with(options).await?;
        let table = "CREATE TABLE notes (id INTEGER PRIMARY KEY, body TEXT NOT NULL)";
        sqlx::raw_sql(table).execute(&pool).await?;
        Ok(Self { pool, _folder: Arc::new(folder) })
    }

    async fn get(&self, id: i64) -> sqlx::Result<Option<Sealed<String>>> {
        let select = sqlx::query_scalar("SELECT body FROM notes WHERE id = ?");
        select.bind(id).fetch_optional(&self.pool).await
    }

    async fn put(&self, id: i64, body: &Sealed<String>) -> sqlx::Result<()> {
        let upsert = "INSERT INTO notes VALUES (?, ?) \
                      ON CONFLICT (id) DO UPDATE SET body = excluded.body";
        sqlx::query(upsert).bind(id).bind(body).execute(&self.pool).await.map(drop)
    }

    /// A rewrap over all of them.
    async fn rewrap(&self, sealer: &Sealer) -> Result<RewrapJob> {
        let table = SqliteTable::open(&self.pool, "notes", ["body"]).await?;
        Ok(RewrapJob::new(sealer, table, |key, column| format!("notes/{key}/{column}")).batch(100))
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
    FollowHandle<JwtKey>,
    FollowHandle<CookieKey>,
    FollowHandle<WebhookKey>,
    FollowHandle<AesKey>,
);

impl Followings {
    async fn start(operator: &Operator, instance: &str, reasons: &Reasons) -> Result<Self> {
        fn follow<K: KeyMaterial>(
            operator: &Operator,
            place: usize,
            instance: &str,
            reasons: &Reasons,
        ) -> FollowBuilder<K> {
            KeyRing::builder()
                .name(RINGS[place].0)
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
        .map(|primary| primary.expect("every ring of the demo signs"))
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
            notes: Notes::new().await?,
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

    /// Seals every note again that is not under the primary of the first instance, while both
    /// go on serving; says how many notes needed it.
    pub async fn rewrap(&self) -> Result<u64> {
        let rewrap = self.site.notes.rewrap(&self.rings()[0].sealer()).await?;
        Ok(rewrap.execute().run().await?.counts.rewritten)
    }

    /// Opens every note, and tells the first instance which key each needs: what the verdict on
    /// the old one asks for.
    pub async fn look_through(&self) -> Result<()> {
        let rings = &self.rings()[0];
        let rewrapped = self.site.notes.rewrap(&rings.sealer()).await?.run().await?;
        rings.encryption.record_rewrap(&rewrapped.record());
        Ok(())
    }

    /// After a compromise: opens what is under the revoked key, and seals it anew.
    pub async fn rescue(&self) -> Result<u64> {
        let rewrap = self.site.notes.rewrap(&self.rings()[0].sealer()).await?;
        Ok(rewrap.execute().dangerous().open_revoked().run().await?.counts.rewritten)
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
