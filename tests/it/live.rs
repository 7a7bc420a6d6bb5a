//! A real Express server and a service of this crate's share sessions, tokens, webhooks and
//! rows, while the secrets rotate on both.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::header::{AUTHORIZATION, COOKIE, SET_COOKIE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use dualkey::cookie::{CookieKey, CookieSigner, LegacyCookie};
use dualkey::envelope::{AesKey, Layout, Sealer};
use dualkey::jwt::{Algorithm, Jwt, JwtKey, Validation};
use dualkey::webhook::{WebhookKey, WebhookVerifier};
use dualkey::{KeyRing, NewKey, Role, Secret};
use reqwest::Client;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::support::peers;
use crate::support::{far, secret};

/// The secrets of the backends, with the seed of the first of each.
const SECRETS: [(&str, u64); 3] = [("session", 0), ("jwt", 10), ("webhook", 20)];
const LIFE: Duration = Duration::from_secs(3600);

/// The Express server, which ends when this is dropped.
struct Express {
    process: Child,
    url: String,
}

impl Express {
    fn start(folder: &std::path::Path, options: &Value) -> Self {
        let mut process = peers::node(folder, "server.cjs")
            .arg(options.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port: u16 = line.trim().parse().expect("the server tells its port");
        Self { process, url: format!("http://127.0.0.1:{port}") }
    }
}

impl Drop for Express {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The service of this crate's, on the same store of sessions.
#[derive(Clone)]
struct Service {
    cookies: CookieSigner,
    jwt: Jwt,
    store: String,
    http: Client,
}

impl Service {
    async fn start(self) -> String {
        let router = Router::new()
            .route("/login/{user}", post(login))
            .route("/me", get(me))
            .with_state(Arc::new(self));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(axum::serve(listener, router).into_future());
        url
    }
}

fn set_cookie(value: &str) -> [(axum::http::HeaderName, String); 1] {
    [(SET_COOKIE, format!("connect.sid={value}; Path=/; HttpOnly"))]
}

async fn login(State(service): State<Arc<Service>>, Path(user): Path<String>) -> Response {
    let mut random = [0; 16];
    getrandom::fill(&mut random).unwrap();
    let sid = hex::encode(random);
    let session = json!({ "cookie": { "originalMaxAge": 3_600_000, "path": "/" }, "user": user });
    let url = format!("{}/store/{sid}", service.store);
    service.http.put(url).json(&session).send().await.unwrap();
    let token = service.jwt.sign(&json!({ "sub": user, "exp": 4_102_444_800_u64 })).unwrap();
    (set_cookie(&service.cookies.sign("connect.sid", &sid).unwrap()), token).into_response()
}

async fn me(State(service): State<Arc<Service>>, headers: HeaderMap) -> Response {
    let bearer = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    if let Some(token) = bearer.and_then(|value| value.strip_prefix("Bearer ")) {
        return match service.jwt.verify::<Value>(token) {
            Ok(claims) => claims["sub"].as_str().unwrap().to_owned().into_response(),
            Err(_) => StatusCode::UNAUTHORIZED.into_response(),
        };
    }
    let Ok((sid, again)) = service.cookies.verify_header("connect.sid", headers.get_all(COOKIE))
    else {
        return StatusCode::UNAUTHORIZED.into_response();
    };
    let session =
        service.http.get(format!("{}/store/{}", service.store, *sid)).send().await.unwrap();
    if !session.status().is_success() {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let session: Value = session.json().await.unwrap();
    let user = session["user"].as_str().unwrap().to_owned();
    match again {
        Some(again) => (set_cookie(&again), user).into_response(),
        None => user.into_response(),
    }
}

/// A browser: it keeps the last cookie it was given, and a token.
struct Browser {
    user: String,
    cookie: String,
    token: String,
}

impl Browser {
    /// The user that the backend at `url` takes it for.
    async fn who(&mut self, http: &Client, url: &str) -> Option<String> {
        let response =
            http.get(format!("{url}/me")).header(COOKIE, &self.cookie).send().await.unwrap();
        if let Some(cookie) = cookie(&response) {
            self.cookie = cookie;
        }
        response.status().is_success().then_some(())?;
        Some(response.text().await.unwrap())
    }

    async fn who_by_token(&self, http: &Client, url: &str) -> Option<String> {
        let bearer = format!("Bearer {}", self.token);
        let response =
            http.get(format!("{url}/me")).header(AUTHORIZATION, bearer).send().await.unwrap();
        response.status().is_success().then_some(())?;
        Some(response.text().await.unwrap())
    }
}

fn cookie(response: &reqwest::Response) -> Option<String> {
    let cookie = response.headers().get(SET_COOKIE)?.to_str().unwrap();
    Some(cookie.split(';').next().unwrap().to_owned())
}

/// Logs in at each backend in turn.
async fn log_in(http: &Client, express: &str, service: &str, number: usize) -> Browser {
    let user = format!("user-{number}");
    let response = match number % 2 {
        0 => {
            let body = json!({ "user": user });
            http.post(format!("{express}/login")).json(&body).send().await.unwrap()
        }
        _ => http.post(format!("{service}/login/{user}")).send().await.unwrap(),
    };
    let cookie = cookie(&response).unwrap();
    Browser { user, cookie, token: response.text().await.unwrap() }
}

#[tokio::test]
async fn no_user_is_logged_out_while_a_node_backend_and_this_crate_rotate_together() {
    let folder = match peers::folder() {
        Ok(folder) => folder,
        Err(why) => return println!("0 live requests: {why}"),
    };
    let express = Express::start(
        folder,
        &json!({
            "life": LIFE.as_secs(),
            "secrets": { "session": [secret(0)], "jwt": [secret(10)], "webhook": [secret(20)] },
            "keys": [],
        }),
    );
    let http = Client::new();
    fn ring<K: dualkey::KeyMaterial>(seed: u64) -> KeyRing<K> {
        let key = NewKey::new(Secret::from(secret(seed)));
        KeyRing::builder().max_lifetime(LIFE).primary(key).build().unwrap()
    }
    let (sessions, tokens, hooks) =
        (ring::<CookieKey>(0), ring::<JwtKey>(10), ring::<WebhookKey>(20));
    let hook = WebhookVerifier::new(hooks.clone());
    let service = Service {
        cookies: CookieSigner::new(sessions.clone()).accept_legacy(LegacyCookie::Express, far()),
        jwt: Jwt::new(tokens.clone()).validation(Validation::new(Algorithm::HS256)),
        store: express.url.clone(),
        http: http.clone(),
    };
    let service = service.start().await;
    let urls = [&express.url, &service];

    let mut browsers = Vec::new();
    let mut requests = 0;
    // What Node holds, in the order in which it signs; and what this crate's rings do.
    let node = async |name: &str, seeds: &[u64]| {
        let list: Vec<_> = seeds.iter().map(|seed| secret(*seed)).collect();
        let url = format!("{}/secrets/{name}", express.url);
        assert!(http.post(url).json(&list).send().await.unwrap().status().is_success());
    };
    let mut staged = None;
    for step in 0..8 {
        match step {
            // Staged everywhere: Node verifies the new secret and signs with the old. The very
            // first stays: its tokens are alive.
            1 | 5 => {
                let (old, new) = if step == 1 { (0, 1) } else { (1, 2) };
                for (name, base) in SECRETS {
                    node(name, &[base + old, base + new, base]).await;
                }
                let new_key = |base: u64| Secret::from(secret(base + new));
                staged = Some((
                    sessions.stage(new_key(0)).unwrap(),
                    tokens.stage(new_key(10)).unwrap(),
                    hooks.stage(new_key(20)).unwrap(),
                ));
            }
            // Promoted on one and then on the other: once this crate first, once Node.
            2 | 7 => {
                let (session, token, hook) = staged.unwrap();
                sessions.promote(&session).unwrap();
                tokens.promote(&token).unwrap();
                hooks.promote(&hook).unwrap();
            }
            3 | 6 => {
                let (old, new) = if step == 3 { (0, 1) } else { (1, 2) };
                for (name, base) in SECRETS {
                    node(name, &[base + new, base + old, base]).await;
                }
            }
            _ => {}
        }
        for _ in 0..4 {
            browsers.push(log_in(&http, &express.url, &service, browsers.len()).await);
        }
        // Each at both backends, twice, so that what one signs again goes to the other.
        for turn in 0..4 {
            for (number, browser) in browsers.iter_mut().enumerate() {
                let url = urls[(turn + number) % 2];
                let user = browser.who(&http, url).await;
                assert_eq!(user.as_ref(), Some(&browser.user), "step {step}: logged out at {url}");
                let user = browser.who_by_token(&http, url).await;
                assert_eq!(user.as_ref(), Some(&browser.user), "step {step}: token at {url}");
                requests += 2;
            }
        }
        // What Node signs, with whichever secret it has first.
        for text in ["plain", "Zoë 日本 🦀", &"x".repeat(100_000)] {
            let body = json!({ "object": "page", "text": text });
            let url = format!("{}/webhook", express.url);
            let sent: Value =
                http.post(url).json(&body).send().await.unwrap().json().await.unwrap();
            let (body, header) = (sent["body"].as_str().unwrap(), sent["header"].as_str().unwrap());
            assert!(hook.verify([header], body.as_bytes()).is_ok(), "step {step}");
            assert!(hook.verify([header], format!("{body} ").as_bytes()).is_err());
            requests += 1;
        }
    }

    // What would show that none of this proves anything: a stranger is let in, Node reads
    // native cookies of itself, or the cookies never crossed.
    let stranger = CookieSigner::new(ring::<CookieKey>(9)).sign("connect.sid", "x").unwrap();
    let mut stranger =
        Browser { cookie: format!("connect.sid={stranger}"), ..browsers.pop().unwrap() };
    for url in urls {
        assert_eq!(stranger.who(&http, url).await, None);
    }
    let mut native = log_in(&http, &express.url, &service, 1).await;
    assert_eq!(native.who(&http, &format!("{}/plain", express.url)).await, None);
    assert!(native.who(&http, &express.url).await.is_some());
    assert!(
        native.cookie.starts_with("connect.sid=s%3A"),
        "Node signed it again: {}",
        native.cookie
    );
    assert!(native.who(&http, &service).await.is_some());
    assert!(!native.cookie.contains("s%3A"), "it came back native: {}", native.cookie);
    println!(
        "{requests} live requests at express and at this crate, through two rotations: all known"
    );
    assert!(requests > 1000, "{requests}");
}

#[tokio::test]
async fn rows_that_node_writes_now_open_here_and_ours_open_in_node() {
    let folder = match peers::folder() {
        Ok(folder) => folder,
        Err(why) => return println!("0 live rows: {why}"),
    };
    let key = |seed: u64| hex::encode(&secret(seed).as_bytes()[..32]);
    let express = Express::start(
        folder,
        &json!({
            "life": 1, "secrets": { "session": ["x"], "jwt": [], "webhook": [] },
            "keys": [key(0), key(1)],
        }),
    );
    let http = Client::new();
    let post = async |path: &str, body: Value| {
        http.post(format!("{}{path}", express.url)).json(&body).send().await.unwrap()
    };
    let ring = KeyRing::<AesKey>::builder().primary(AesKey::hex(&key(0)).unwrap()).build().unwrap();
    let kid = ring.stage(AesKey::hex(&key(1)).unwrap()).unwrap();
    ring.promote(&kid).unwrap();

    let layouts = [
        Layout::HEX_IV_TAG_CT,
        Layout::HEX_IV_CT_TAG,
        Layout::BASE64_IV_TAG_CT,
        Layout::BASE64_IV_CT_TAG,
    ];
    let mut rows = 0;
    for text in ["", "x", "sixteen bytes ok", "Zoë 日本 🦀", &"a note ".repeat(20_000)] {
        for (aad, iv) in [("", 12), ("notes/7", 12), ("", 16), ("notes/7", 16)] {
            let body = json!({ "text": text, "aad": aad, "ivBytes": iv });
            let sealed: Vec<String> = post("/rows/seal", body).await.json().await.unwrap();
            for (layout, stored) in layouts.iter().zip(&sealed) {
                let layout = if iv == 16 { layout.iv16() } else { *layout };
                let layout = if aad.is_empty() { layout } else { layout.context_as_aad() };
                let sealer = Sealer::new(ring.clone()).accept_legacy(layout, far());
                let opened = sealer.open(stored, aad).unwrap();
                assert_eq!((&**opened, opened.role()), (text.as_bytes(), Role::Fallback));
                // Taken over, it opens natively here and, with the helper, in Node.
                let context = if aad.is_empty() { "notes/7/body" } else { aad };
                let envelope = sealer.migrate(stored, context).unwrap().unwrap();
                let native = Sealer::new(ring.clone());
                assert_eq!(*native.open(&envelope, context).unwrap(), text.as_bytes());
                let open = async |context: &str, stored: &str| {
                    post("/rows/open", json!({ "stored": stored, "context": context })).await
                };
                let answer = open(context, &envelope).await;
                assert_eq!(answer.text().await.unwrap(), text);
                assert_eq!(open("notes/8/body", &envelope).await.status().as_u16(), 422);
                let cut = &envelope[..envelope.len() - 4];
                assert_eq!(open(context, cut).await.status().as_u16(), 422);
                rows += 1;
            }
        }
    }
    println!("{rows} live rows of node:crypto, in four layouts, opened, taken over and read back");
    assert_eq!(rows, 80);
}
