//! The clients: they log in, or come with a cookie of a Node server, hold what they were given
//! to the end of its life, and use all of it; they write notes; and the sender of webhooks.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use dualkey::Secret;
use dualkey::mac::HmacSha256;
use dualkey::webhook::WebhookVerifier;
use reqwest::header::{AUTHORIZATION, COOKIE, SET_COOKIE};
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde_json::Value;
use tokio::task::JoinHandle;

use crate::Result;
use crate::report::Stage;
use crate::service::{FIRST_PHASE, Fleet, LIFE, Login, ROLE, SESSION, Secrets, VERIFY_TOKEN};

/// What a live express-session server set, with its secrets.
const EXPRESS: &str = include_str!("../../tests/vectors/interop_express_session.json");
const CLIENTS: usize = 24;
const SENDERS: usize = 2;
/// Between two requests of one client: two cores play both sides.
const PAUSE: Duration = Duration::from_millis(8);
const LOGIN_EVERY: Duration = Duration::from_millis(400);
const NOTE_EVERY: Duration = Duration::from_millis(500);
/// Nothing is used in the last moment of its life, in which it could end on its way: a busy
/// machine may stall a request for a while.
const MARGIN: Duration = Duration::from_secs(1);

/// What came of the requests that carried one of the three secrets' work.
#[derive(Default)]
pub struct Outcome {
    pub requests: AtomicU64,
    pub primary: AtomicU64,
    pub fallback: AtomicU64,
    pub staged: AtomicU64,
    pub refused: AtomicU64,
    pub resigned: AtomicU64,
}

#[derive(Default)]
pub struct Counts {
    pub jwt: Outcome,
    pub session: Outcome,
    pub webhook: Outcome,
    pub notes: Outcome,
    pub logins: AtomicU64,
    /// Cookies of a Node server that came back native.
    pub from_node: AtomicU64,
    /// Cookies of a Node server that were shown.
    pub node_cookies: AtomicU64,
    pub notes_written: AtomicU64,
    /// Notes that read other than they were written.
    pub notes_torn: AtomicU64,
    /// Requests that got no answer from any instance.
    pub unanswered: AtomicU64,
}

impl Counts {
    pub fn columns(&self) -> [&Outcome; 4] {
        [&self.jwt, &self.session, &self.webhook, &self.notes]
    }
}

pub struct Load {
    shared: Arc<Shared>,
    tasks: Vec<JoinHandle<()>>,
}

struct Shared {
    fleet: Arc<Fleet>,
    http: Client,
    turn: AtomicUsize,
    running: AtomicBool,
    counts: Arc<Counts>,
    /// What the peer signs webhooks with.
    sender: Mutex<HmacSha256>,
}

impl Load {
    pub fn start(fleet: &Arc<Fleet>, secrets: &Secrets, stage: &Stage) -> Result<Self> {
        let shared = Arc::new(Shared {
            fleet: Arc::clone(fleet),
            http: Client::builder().timeout(Duration::from_secs(5)).build()?,
            turn: AtomicUsize::new(0),
            running: AtomicBool::new(true),
            counts: Arc::default(),
            sender: Mutex::new(sender(&secrets.meta)),
        });
        let clients =
            (0..CLIENTS).map(|number| tokio::spawn(run_client(Arc::clone(&shared), number)));
        let mut tasks: Vec<_> = clients.collect();
        tasks.extend((0..SENDERS).map(|number| tokio::spawn(send(Arc::clone(&shared), number))));
        for (number, cookie) in node_cookies()?.into_iter().enumerate() {
            tasks.push(tokio::spawn(run_node_client(Arc::clone(&shared), number, cookie)));
        }
        tasks.push(tokio::spawn(show(Arc::clone(&shared), stage.clone())));
        Ok(Self { shared, tasks })
    }

    /// The owner of the webhook sets another secret at the peer.
    pub fn switch_sender_to(&self, secrets: &Secrets) {
        *self.shared.sender.lock().unwrap_or_else(PoisonError::into_inner) = sender(&secrets.meta);
    }

    /// Lets every request come to its end, and returns what came of all of them.
    pub async fn stop(self) -> Result<Arc<Counts>> {
        self.shared.running.store(false, Relaxed);
        for task in self.tasks {
            task.await?;
        }
        Ok(Arc::clone(&self.shared.counts))
    }
}

fn sender(secret: &Secret) -> HmacSha256 {
    HmacSha256::new(secret.expose())
}

/// The secret of the Node server, which the service takes over.
pub fn node_secret() -> Result<Secret> {
    let file: Value = serde_json::from_str(EXPRESS)?;
    Ok(Secret::from(file["secrets"]["old"].as_str().ok_or("the file has no secret")?))
}

/// The cookies that it set under that secret.
fn node_cookies() -> Result<Vec<String>> {
    let file: Value = serde_json::from_str(EXPRESS)?;
    let vectors = file["vectors"].as_array().ok_or("the file has no cookies")?;
    let old = vectors.iter().filter(|vector| vector["signed_with"] == "old");
    let cookies = old.filter_map(|vector| vector["cookie_value_encoded"].as_str());
    Ok(cookies.map(|value| format!("{SESSION}={value}")).collect())
}

fn path(client: usize, note: usize) -> String {
    format!("/notes/{}", client * 1000 + note)
}

fn text(client: usize, note: usize) -> String {
    format!("note {note} of client {client}: äöå 🦀")
}

/// What a login gave.
struct Held {
    token: String,
    cookie: String,
    until: SystemTime,
}

async fn run_client(shared: Arc<Shared>, number: usize) {
    let mut held: Vec<Held> = Vec::new();
    let mut notes = 0;
    let mut noted: Option<Instant> = None;
    let mut logged_in: Option<Instant> = None;
    // No generator of random numbers: a walk that reaches everything it holds.
    let mut step = number;
    while shared.running.load(Relaxed) {
        tokio::time::sleep(PAUSE).await;
        let now = SystemTime::now();
        held.retain(|held| now + MARGIN < held.until);
        if held.is_empty() || logged_in.is_none_or(|at| at.elapsed() > LOGIN_EVERY) {
            held.extend(shared.log_in().await);
            logged_in = Some(Instant::now());
            continue;
        }
        step = step.wrapping_mul(31).wrapping_add(7);
        let index = (step >> 3) % held.len();
        if noted.is_none_or(|at| at.elapsed() > NOTE_EVERY) {
            notes += usize::from(shared.write_note(number, notes).await);
            noted = Some(Instant::now());
            continue;
        }
        if step.is_multiple_of(3) && notes > 0 {
            shared.read_note(number, (step >> 3) % notes).await;
            continue;
        }
        let (outcome, response) = if step.is_multiple_of(2) {
            let token = format!("Bearer {}", held[index].token);
            let send = |http: &Client, url: String| http.get(url).header(AUTHORIZATION, &token);
            (&shared.counts.jwt, shared.request("/me", send).await)
        } else {
            let cookie = held[index].cookie.clone();
            let send = |http: &Client, url: String| http.get(url).header(COOKIE, &cookie);
            (&shared.counts.session, shared.request("/me", send).await)
        };
        let Some(response) = response else { continue };
        if let Some(cookie) = session(&response) {
            outcome.resigned.fetch_add(1, Relaxed);
            held[index].cookie = cookie;
        }
        if !outcome.count(&response) {
            // Logged out, as far as this one goes.
            held.swap_remove(index);
        }
    }
}

/// A browser that logged in at the Node server, and shows its cookie in the first phase.
async fn run_node_client(shared: Arc<Shared>, number: usize, mut cookie: String) {
    tokio::time::sleep(FIRST_PHASE.mul_f64(0.8) / 10 * (number as u32 % 10)).await;
    shared.counts.node_cookies.fetch_add(1, Relaxed);
    let until = SystemTime::now() + LIFE - MARGIN;
    let outcome = &shared.counts.session;
    let mut is_first = true;
    while shared.running.load(Relaxed) && SystemTime::now() < until {
        let send = |http: &Client, url: String| http.get(url).header(COOKIE, &cookie);
        let Some(response) = shared.request("/me", send).await else { continue };
        if !outcome.count(&response) {
            return;
        }
        if let Some(again) = session(&response) {
            outcome.resigned.fetch_add(1, Relaxed);
            shared.counts.from_node.fetch_add(u64::from(is_first), Relaxed);
            is_first = false;
            cookie = again;
        }
        tokio::time::sleep(PAUSE * 4).await;
    }
}

async fn send(shared: Arc<Shared>, number: usize) {
    let query =
        format!("hub.mode=subscribe&hub.challenge={number}&hub.verify_token={VERIFY_TOKEN}");
    let subscribe = |http: &Client, url: String| http.get(format!("{url}?{query}"));
    if shared
        .request("/webhook", subscribe)
        .await
        .is_none_or(|answer| !answer.status().is_success())
    {
        shared.counts.unanswered.fetch_add(1, Relaxed);
    }
    let mut delivery = number;
    while shared.running.load(Relaxed) {
        tokio::time::sleep(PAUSE).await;
        delivery += SENDERS;
        let text = "äöå 🦀 ".repeat(delivery % 200);
        let body = format!(r#"{{"object":"page","entry":[{{"id":{delivery},"text":"{text}"}}]}}"#);
        let tag = shared.sender.lock().unwrap_or_else(PoisonError::into_inner).mac(body.as_bytes());
        let digits: String = tag.iter().map(|byte| format!("{byte:02x}")).collect();
        let post = |http: &Client, url: String| {
            let signature = format!("sha256={digits}");
            http.post(url).header(WebhookVerifier::HEADER, signature).body(body.clone())
        };
        if let Some(response) = shared.request("/webhook", post).await {
            shared.counts.webhook.count(&response);
        }
    }
}

impl Shared {
    /// Sends to the instance whose turn it is; as a load balancer does, to the other one
    /// if that does not answer.
    async fn request(
        &self,
        path: &str,
        make: impl Fn(&Client, String) -> RequestBuilder,
    ) -> Option<Response> {
        for _ in 0..2 {
            let Some(address) = self.fleet.address(self.turn.fetch_add(1, Relaxed)) else {
                continue;
            };
            if let Ok(response) = make(&self.http, format!("http://{address}{path}")).send().await {
                return Some(response);
            }
        }
        self.counts.unanswered.fetch_add(1, Relaxed);
        None
    }

    /// Whether it was taken.
    async fn write_note(&self, client: usize, note: usize) -> bool {
        let put = |http: &Client, url: String| http.put(url).body(text(client, note));
        let answer = self.request(&path(client, note), put).await;
        let is_taken = answer.is_some_and(|answer| answer.status().is_success());
        self.counts.notes_written.fetch_add(u64::from(is_taken), Relaxed);
        is_taken
    }

    async fn read_note(&self, client: usize, note: usize) {
        let get = |http: &Client, url: String| http.get(url);
        let Some(response) = self.request(&path(client, note), get).await else { return };
        if self.counts.notes.count(&response)
            && response.text().await.is_ok_and(|read| read != text(client, note))
        {
            self.counts.notes_torn.fetch_add(1, Relaxed);
        }
    }

    async fn log_in(&self) -> Option<Held> {
        let response = self.request("/login", |http, url| http.post(url)).await?;
        let cookie = session(&response)?;
        let login: Login = response.json().await.ok()?;
        self.counts.logins.fetch_add(1, Relaxed);
        let until = UNIX_EPOCH + Duration::from_secs(login.valid_until);
        Some(Held { token: login.token, cookie, until })
    }
}

impl Outcome {
    /// Whether it was accepted.
    fn count(&self, response: &Response) -> bool {
        self.requests.fetch_add(1, Relaxed);
        let role = response.headers().get(ROLE).and_then(|role| role.to_str().ok());
        let counter = match (response.status(), role) {
            (StatusCode::OK, Some("primary")) => &self.primary,
            (StatusCode::OK, Some("staged")) => &self.staged,
            (StatusCode::OK, Some(_)) => &self.fallback,
            _ => &self.refused,
        };
        counter.fetch_add(1, Relaxed);
        response.status() == StatusCode::OK
    }
}

/// The session cookie that a response sets, as it goes back in a request.
fn session(response: &Response) -> Option<String> {
    let cookie = response.headers().get(SET_COOKIE)?.to_str().ok()?;
    Some(cookie.split(';').next()?.to_owned())
}

/// Tells the progress bar how it goes.
async fn show(shared: Arc<Shared>, stage: Stage) {
    while shared.running.load(Relaxed) {
        let sum = |pick: fn(&Outcome) -> &AtomicU64| {
            shared.counts.columns().iter().map(|outcome| pick(outcome).load(Relaxed)).sum()
        };
        stage.show_progress(sum(|outcome| &outcome.requests), sum(|outcome| &outcome.refused));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
