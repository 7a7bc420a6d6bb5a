//! The settings of the layer, which its services share.

use super::cookie::{Resigned, SessionCookie};
use super::form::Form;
use super::inner;
use crate::error::{Reason, VerifyError};

#[derive(Debug, Clone)]
pub(super) struct Config {
    pub(super) cookie: SessionCookie,
    pub(super) is_optional: bool,
    pub(super) removes_invalid: bool,
    pub(super) signs_for_inner: Option<Form>,
}

impl Config {
    /// Adds the pair that the service inside reads of a session.
    pub(super) fn add_pair(
        &self,
        found: Option<Resigned>,
    ) -> Result<(Option<Resigned>, Option<String>), VerifyError> {
        let (Some(form), Some((session, _))) = (self.signs_for_inner, &found) else {
            return Ok((found, None));
        };
        match inner::pair(form, session.name(), session.value()) {
            Some(pair) => Ok((found, Some(pair))),
            None => Err(self.cookie.signer().ring().reject(Reason::Payload)),
        }
    }
}
