//! A service with every layer and every extractor, on a real socket.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use axum::extract::{FromRef, State};
use axum::http::header::SET_COOKIE;
use axum::response::{AppendHeaders, IntoResponse};
use axum::routing::{get, post};
use axum::{Extension, Router};
use bytes::Bytes;
use dualkey::cookie::{Cookie, CookieKey, CookieSigner};
use dualkey::http::{
    BearerLayer, SessionCookie, SessionLayer, VerifiedCookie, VerifiedJwt, VerifiedWebhook,
    WebhookLayer,
};
use dualkey::jwt::{Jwt, JwtKey};
use dualkey::webhook::{VerifyToken, WebhookKey, WebhookVerifier};
use dualkey::{KeyRing, Secret, Verified};
use tokio::net::TcpListener;
use tower_sessions::{MemoryStore, SessionManagerLayer};

use super::Claims;
use crate::support::ring;

pub const TOKEN: &str = "hV3-dashboard-token";

/// What extractors find their adapters in.
#[derive(Clone, FromRef)]
pub struct Site {
    pub jwt: Jwt,
    pub session: SessionCookie,
    pub hook: WebhookVerifier,
    /// How many requests reached a handler.
    pub reached: Reached,
}

#[derive(Clone, Default)]
pub struct Reached(Arc<AtomicUsize>);

impl Reached {
    pub fn count(&self) -> usize {
        self.0.load(SeqCst)
    }
}

impl Site {
    pub fn new() -> Self {
        Self::over(ring::<JwtKey>(0), ring::<CookieKey>(0), ring::<WebhookKey>(0))
    }

    pub fn over(
        jwt: KeyRing<JwtKey>,
        cookies: KeyRing<CookieKey>,
        webhooks: KeyRing<WebhookKey>,
    ) -> Self {
        let tokens =
            KeyRing::<VerifyToken>::builder().primary(Secret::from(TOKEN)).build().unwrap();
        Self {
            jwt: Jwt::new(jwt),
            session: SessionCookie::new(CookieSigner::new(cookies), "sid"),
            hook: WebhookVerifier::new(webhooks).verify_tokens(tokens).max_body_bytes(64 * 1024),
            reached: Reached::default(),
        }
    }

    pub fn router(&self) -> Router {
        let (jwt, session, hook) = (&self.jwt, &self.session, &self.hook);
        let bearer = BearerLayer::<Claims>::new(jwt.clone());
        let signed = SessionLayer::new(session.clone());
        let sessions = SessionManagerLayer::new(MemoryStore::default()).with_name("sid");
        let webhook = WebhookLayer::new(hook.clone());
        let inner =
            get(visits).layer::<_, Infallible>(sessions).layer(signed.clone().sign_for_inner());
        let layered = Router::new()
            .route("/layer/bearer", get(claims).layer(bearer.clone()))
            .route("/layer/optional", get(perhaps).layer(bearer.clone().optional()))
            .route("/layer/cookie", get(claims).layer(bearer.or_cookie("token")))
            .route("/layer/session", get(session_of).layer(signed.clone()))
            .route("/layer/inner", inner)
            .route("/layer/webhook", post(echo).layer(webhook));
        let extracted = Router::new()
            .route("/extract/jwt", get(extract_jwt))
            .route("/extract/jwt/optional", get(extract_jwt_optional))
            .route("/extract/cookie", get(extract_cookie))
            .route("/extract/cookie/optional", get(extract_cookie_optional))
            .route("/extract/webhook", post(extract_webhook))
            .route("/extract/webhook/optional", post(extract_webhook_optional));
        layered.route("/login", post(login)).merge(extracted).with_state(self.clone())
    }

    pub async fn start(&self) -> SocketAddr {
        serve(self.router()).await
    }
}

pub async fn serve(router: Router) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(axum::serve(listener, router).into_future());
    address
}

#[axum::debug_handler]
async fn claims(
    State(site): State<Site>,
    Extension(claims): Extension<Verified<Claims>>,
) -> String {
    site.here(&claims.sub)
}

async fn perhaps(State(site): State<Site>, claims: Option<Extension<Verified<Claims>>>) -> String {
    site.here(claims.as_ref().map_or("nobody", |claims| &claims.sub))
}

async fn session_of(
    State(site): State<Site>,
    Extension(session): Extension<Verified<Cookie<'static>>>,
) -> String {
    site.here(session.value())
}

async fn visits(State(site): State<Site>, session: tower_sessions::Session) -> String {
    let visits = session.get::<u64>("visits").await.unwrap().unwrap_or_default() + 1;
    session.insert("visits", visits).await.unwrap();
    site.here(&format!("visit {visits}"))
}

async fn echo(State(site): State<Site>, body: Bytes) -> Bytes {
    site.here("");
    body
}

async fn login(State(site): State<Site>) -> Result<impl IntoResponse, Infallible> {
    let cookie = site.session.issue("user-42").unwrap();
    let token = site.jwt.sign(&super::claims()).unwrap();
    Ok((AppendHeaders([(SET_COOKIE, cookie)]), token))
}

#[axum::debug_handler]
async fn extract_jwt(State(site): State<Site>, VerifiedJwt(claims): VerifiedJwt<Claims>) -> String {
    site.here(&claims.sub)
}

#[axum::debug_handler(state = Site)]
async fn extract_jwt_optional(
    State(site): State<Site>,
    claims: Option<VerifiedJwt<Claims>>,
) -> String {
    site.here(claims.as_ref().map_or("nobody", |claims| &claims.sub))
}

#[axum::debug_handler]
async fn extract_cookie(State(site): State<Site>, session: VerifiedCookie) -> impl IntoResponse {
    let text = site.here(session.value());
    (session, text)
}

#[axum::debug_handler(state = Site)]
async fn extract_cookie_optional(
    State(site): State<Site>,
    session: Option<VerifiedCookie>,
) -> impl IntoResponse {
    let text = site.here(session.as_ref().map_or("nobody", |session| session.value()));
    (session, text)
}

#[axum::debug_handler]
async fn extract_webhook(State(site): State<Site>, body: VerifiedWebhook) -> Bytes {
    site.here("");
    body.0.into_inner()
}

#[axum::debug_handler(state = Site)]
async fn extract_webhook_optional(
    State(site): State<Site>,
    body: Option<VerifiedWebhook>,
) -> Bytes {
    site.here("");
    body.map_or(Bytes::from_static(b"nobody"), |body| body.0.into_inner())
}

impl Site {
    fn here(&self, text: &str) -> String {
        self.reached.0.fetch_add(1, SeqCst);
        text.to_owned()
    }
}
