//! A key in a request, and the answer to it: whether to send the request again, and with which key.

use std::time::SystemTime;

use http::StatusCode;
use http::header::{HeaderMap, HeaderValue, RETRY_AFTER};

use super::error::ApiError;
use super::keys::ApiKeys;
use crate::credential::Attempt;
use crate::retry_after::retry_after;

impl ApiKeys {
    /// Puts `attempt` into the headers of a request.
    pub(super) fn insert_key<E>(
        &self,
        attempt: &Attempt,
        headers: &mut HeaderMap,
    ) -> Result<(), ApiError<E>> {
        let text = zeroize::Zeroizing::new(
            [self.form.prefix.as_bytes(), attempt.secret().expose()].concat(),
        );
        let value = HeaderValue::from_bytes(&text).ok().filter(|value| value.to_str().is_ok());
        let Some(mut value) = value else {
            let ring = self.credentials.ring().name().to_owned();
            return Err(ApiError::NotAHeader { ring, kid: attempt.kid() });
        };
        // Kept out of the tables of HTTP/2, and out of `Debug`.
        value.set_sensitive(true);
        headers.insert(self.form.header.clone(), value);
        if let Some((name, value)) = &self.form.with {
            headers.entry(name).or_insert_with(|| value.clone());
        }
        Ok(())
    }

    /// Takes the answer to an attempt with `attempt`, and returns the key to send the request again
    /// with; if the answer asks to wait, this waits. `None` after the last attempt.
    pub(super) async fn next_key<E>(
        &self,
        attempt: &Attempt,
        status: StatusCode,
        headers: &HeaderMap,
        is_last: bool,
    ) -> Result<Option<Attempt>, ApiError<E>> {
        match status {
            StatusCode::UNAUTHORIZED => match self.credentials.report_rejected(attempt) {
                Some(next) if !is_last => Ok(Some(next)),
                _ if self.credentials.is_cooling_down() => {
                    let ring = self.credentials.ring().name().to_owned();
                    Err(ApiError::Refused { ring, kids: self.credentials.offered_kids() })
                }
                // The next request gets the next key.
                _ => Ok(None),
            },
            StatusCode::TOO_MANY_REQUESTS if !is_last => {
                let after = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
                let after = after.and_then(|text| retry_after(text, SystemTime::now()));
                let Some(after) = after.filter(|after| *after <= self.form.max_retry_after) else {
                    return Ok(None);
                };
                tokio::time::sleep(after).await;
                Ok(Some(attempt.clone()))
            }
            // With any other status the key was not refused. Only a success shows that it was
            // accepted.
            status => {
                if status.is_success() {
                    self.credentials.report_accepted(attempt);
                }
                Ok(None)
            }
        }
    }
}
