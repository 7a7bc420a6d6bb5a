//! API keys as a tower layer.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::{Request, Response};
use tower_layer::Layer;
use tower_service::Service;

use super::destination::Destination;
use super::error::ApiError;
use super::keys::ApiKeys;
use super::replay::Replay;

/// Puts the key of a ring into each request, and continues with the next where it is refused.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use dualkey::{KeyRing, Secret};
/// use dualkey::credential::Credential;
/// use dualkey::credential::api::{ApiKeyLayer, ApiKeys};
/// use http::{Request, Response, StatusCode};
/// use tower::{Service, ServiceBuilder, service_fn};
///
/// let ring = KeyRing::<Credential>::builder()
///     .primary(Secret::from("sk-Nf0Vg6Jc3Ds8Pw1Ra4Tb"))
///     .fallback(Secret::from("sk-T4nZ8yB1cF6gJ0sD3pA5"))
///     .build()?;
/// // A provider that has revoked the first.
/// let provider = service_fn(|request: Request<String>| async move {
///     let is_known = request.headers()["authorization"] == "Bearer sk-T4nZ8yB1cF6gJ0sD3pA5";
///     let status = if is_known { StatusCode::OK } else { StatusCode::UNAUTHORIZED };
///     Ok::<_, std::io::Error>(Response::builder().status(status).body(()).unwrap())
/// });
/// let keys = ApiKeys::bearer(ring, "api.example.com");
/// let mut client = ServiceBuilder::new().layer(ApiKeyLayer::new(keys)).service(provider);
///
/// let request = Request::post("https://api.example.com/v1/messages").body("{}".to_owned())?;
/// assert_eq!(client.call(request).await?.status(), 200);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct ApiKeyLayer(ApiKeys);

impl ApiKeyLayer {
    /// With these keys.
    #[must_use]
    pub fn new(keys: ApiKeys) -> Self {
        Self(keys)
    }
}

impl<S> Layer<S> for ApiKeyLayer {
    type Service = ApiKeyService<S>;

    fn layer(&self, inner: S) -> ApiKeyService<S> {
        ApiKeyService { inner, keys: self.0.clone() }
    }
}

/// The service that [`ApiKeyLayer`] makes. Its errors are [`ApiError`]s.
#[derive(Debug, Clone)]
pub struct ApiKeyService<S> {
    inner: S,
    keys: ApiKeys,
}

impl<S, B, R> Service<Request<B>> for ApiKeyService<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
    B: Replay + Send + 'static,
    R: Send + 'static,
{
    type Response = Response<R>;
    type Error = ApiError<S::Error>;
    type Future = Pin<Box<dyn Future<Output = Result<Response<R>, ApiError<S::Error>>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(ApiError::Inner)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // The one that is ready.
        let clone = self.inner.clone();
        let inner = std::mem::replace(&mut self.inner, clone);
        Box::pin(send(self.keys.clone(), inner, request))
    }
}

async fn send<S, B, R>(
    keys: ApiKeys,
    mut inner: S,
    request: Request<B>,
) -> Result<Response<R>, ApiError<S::Error>>
where
    S: Service<Request<B>, Response = Response<R>>,
    B: Replay,
{
    keys.form.rules.check(&Destination::from_uri(request.uri())?, request.headers())?;
    let (mut parts, body) = request.into_parts();
    let again = body.replay().map(|body| Request::from_parts(parts.clone(), body));
    let attempt = keys.credentials.choose()?;
    keys.insert_key(&attempt, &mut parts.headers)?;
    let answer = inner.call(Request::from_parts(parts, body)).await.map_err(ApiError::Inner)?;
    let is_last = again.is_none();
    let other = keys.next_key(&attempt, answer.status(), answer.headers(), is_last).await?;
    let (Some(other), Some(mut again)) = (other, again) else { return Ok(answer) };
    // Its connection may be needed for the second one.
    drop(answer);
    keys.insert_key(&other, again.headers_mut())?;
    poll_fn(|cx| inner.poll_ready(cx)).await.map_err(ApiError::Inner)?;
    let answer = inner.call(again).await.map_err(ApiError::Inner)?;
    keys.next_key(&other, answer.status(), answer.headers(), true).await?;
    Ok(answer)
}
