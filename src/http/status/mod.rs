//! A page that shows each ring: whether the old key may go, and what speaks against it.

mod advice;
mod build_model;
mod model;
mod page;
mod timeline;
mod watched;

use std::fmt;
use std::sync::Arc;

use ::axum::Router;
use ::axum::extract::{Request, State};
use ::axum::response::{IntoResponse, Response};
use ::axum::routing::get;
use http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::request::Parts;
use http::{HeaderValue, StatusCode};

use crate::telemetry::Subject;
use watched::Watched;

/// A page, and JSON, on the rings of this process and of the fleet that it is of: their keys on
/// a time line, who verified how much under which key, and the [verdict](crate::Verdict) on each
/// old key with everything that speaks against it.
///
/// Where a ring [follows](crate::source::FollowHandle) a store that keeps reports, the page speaks
/// of all instances; otherwise of this process alone.
///
/// ```
/// # use dualkey::{KeyRing, Secret};
/// use dualkey::http::Status;
/// use dualkey::jwt::{Jwt, JwtKey};
/// use axum::Router;
/// use serde::Deserialize;
///
/// #[derive(Deserialize)]
/// struct Claims { is_operator: bool }
///
/// # let secret = "kH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eUkH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eU";
/// # let ring = KeyRing::<JwtKey>::builder().primary(Secret::from(secret)).build()?;
/// let jwt = Jwt::new(ring.clone());
/// let status = Status::new().watch(&ring);
/// let app: Router = Router::new().nest("/admin/keys", status.router(move |request| {
///     let header = request.headers.get("authorization").and_then(|value| value.to_str().ok());
///     let token = header.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
///     jwt.verify::<Claims>(token).is_ok_and(|claims| claims.is_operator)
/// }));
/// # Ok::<(), dualkey::Error>(())
/// ```
///
/// The page is one file, with nothing to load and no script. `?format=json`, or an `Accept` of
/// `application/json`, has the same as JSON; `?refresh=30` has the page load itself anew every
/// 30 seconds. The JSON is for scripts that come along: fields may be added to it, moments are
/// in RFC 3339, and the verdict of a key is `safe`, `wait` or `blocked`.
///
/// # Security
/// It shows no secret, and much that is not for everybody: names of rings, kids, times, numbers
/// of users' requests, errors of stores. So a guard is asked first, always: whom it does not
/// let in is told 403, and nothing else.
#[derive(Clone, Default)]
#[cfg_attr(docsrs, doc(cfg(feature = "status")))]
pub struct Status {
    rings: Vec<Arc<dyn Watched>>,
}

impl Status {
    /// Shows no ring yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Shows `subject` as well: a ring, or its [`FollowHandle`](crate::source::FollowHandle), which
    /// also says how it fares with its store, and speaks for the fleet.
    #[must_use]
    pub fn watch(mut self, subject: &impl Subject) -> Self {
        self.rings.push(Arc::new(subject.watched_ring()));
        self
    }

    /// The route, to be nested where the operator wants it. `guard` says who may see it, by the
    /// head of the request and whatever layers outside have put into its extensions.
    pub fn router<S>(
        self,
        guard: impl Fn(&Parts) -> bool + Clone + Send + Sync + 'static,
    ) -> Router<S>
    where
        S: Clone + Send + Sync + 'static,
    {
        let show = async move |State(status): State<Self>, request: Request| {
            let (parts, _) = request.into_parts();
            if guard(&parts) {
                status.show(&parts).await
            } else {
                StatusCode::FORBIDDEN.into_response()
            }
        };
        Router::new().route("/", get(show)).with_state(self)
    }

    async fn show(&self, parts: &Parts) -> Response {
        let mut rings = Vec::with_capacity(self.rings.len());
        for ring in &self.rings {
            rings.push(build_model::build_ring(&**ring).await);
        }
        let refresh = parameter(parts, "refresh").and_then(|seconds| seconds.parse().ok());
        let refresh = refresh.filter(|seconds| (5..=3600).contains(seconds));
        let (kind, text) = if needs_json(parts) {
            match serde_json::to_string_pretty(&model::Rings { rings }) {
                Ok(json) => ("application/json", json),
                Err(_) => return StatusCode::INTERNAL_SERVER_ERROR.into_response(),
            }
        } else {
            ("text/html; charset=utf-8", page::render(&rings, refresh).into_string())
        };
        let mut response = text.into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        headers.insert(CONTENT_SECURITY_POLICY, page::policy());
        response
    }
}

impl fmt::Debug for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Status").field("rings", &self.rings.len()).finish()
    }
}

fn needs_json(parts: &Parts) -> bool {
    let accept = parts.headers.get(ACCEPT).and_then(|value| value.to_str().ok());
    let accept = accept.unwrap_or_default();
    match parameter(parts, "format") {
        Some(format) => format == "json",
        None => accept.contains("application/json") && !accept.contains("text/html"),
    }
}

fn parameter<'p>(parts: &'p Parts, name: &str) -> Option<&'p str> {
    let mut pairs = parts.uri.query().unwrap_or_default().split('&');
    pairs
        .find_map(|pair| pair.split_once('=').filter(|(other, _)| *other == name))
        .map(|(_, value)| value)
}
