//! API keys as middleware of `reqwest`.

use http::Extensions;
use reqwest::{Request, Response};
use reqwest_middleware::{Error, Middleware, Next, Result};

use super::{ApiError, ApiKeys};

/// Its errors are [`ApiError`]s, to be found with `downcast_ref` in
/// `reqwest_middleware::Error::Middleware`.
#[async_trait::async_trait]
impl Middleware for ApiKeys {
    async fn handle(
        &self,
        mut request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> Result<Response> {
        self.check_host(request.url().host_str()).map_err(own)?;
        let again = request.try_clone();
        let shown = self.credentials.choose().map_err(|error| own(error.into()))?;
        self.put(&shown, request.headers_mut()).map_err(own)?;
        let answer = next.clone().run(request, extensions).await?;
        let (status, is_last) = (answer.status(), again.is_none());
        let other = self.again(&shown, status, answer.headers(), is_last).await.map_err(own)?;
        let (Some(other), Some(mut again)) = (other, again) else { return Ok(answer) };
        // Its connection may be needed for the second one.
        drop(answer);
        self.put(&other, again.headers_mut()).map_err(own)?;
        let answer = next.run(again, extensions).await?;
        self.again(&other, answer.status(), answer.headers(), true).await.map_err(own)?;
        Ok(answer)
    }
}

/// Here there is no error inside: those of `reqwest` are its own.
fn own(error: ApiError<std::convert::Infallible>) -> Error {
    Error::middleware(error)
}
