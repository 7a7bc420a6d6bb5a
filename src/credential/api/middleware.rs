//! API keys as middleware of `reqwest`.

use http::Extensions;
use reqwest::{Request, Response};
use reqwest_middleware::{Error, Middleware, Result};

use super::{ApiError, ApiKeys, Attempt, Next};

/// Its errors are [`ApiError`]s, to be found with `downcast_ref` in
/// `reqwest_middleware::Error::Middleware`.
#[async_trait::async_trait]
impl Middleware for ApiKeys {
    async fn handle(
        &self,
        mut request: Request,
        extensions: &mut Extensions,
        next: reqwest_middleware::Next<'_>,
    ) -> Result<Response> {
        self.check_host(request.url().host_str()).map_err(own)?;
        let again = request.try_clone();
        let shown = self.credentials.choose().map_err(|error| own(error.into()))?;
        self.put(&shown, request.headers_mut()).map_err(own)?;
        let answer = next.clone().run(request, extensions).await?;
        let attempt = if again.is_some() { Attempt::First } else { Attempt::Last };
        let judged = self.judge(&shown, answer.status(), answer.headers(), attempt);
        let (judged, Some(mut again)) = (judged.map_err(own)?, again) else { return Ok(answer) };
        let other = match judged {
            Next::HandThrough => return Ok(answer),
            Next::Show(other) => other,
            Next::Wait(time) => {
                tokio::time::sleep(time).await;
                shown.clone()
            }
        };
        // Its connection may be needed for the second one.
        drop(answer);
        self.put(&other, again.headers_mut()).map_err(own)?;
        let answer = next.run(again, extensions).await?;
        let attempt = Attempt::Last;
        self.judge(&other, answer.status(), answer.headers(), attempt).map_err(own)?;
        Ok(answer)
    }
}

/// Here there is no error inside: those of `reqwest` are its own.
fn own(error: ApiError<std::convert::Infallible>) -> Error {
    Error::middleware(error)
}
