//! The settings of the layer, which its services share.

use std::borrow::Cow;

use super::challenge::Challenges;
use crate::jwt::Jwt;

#[derive(Debug, Clone)]
pub(super) struct Config {
    pub(super) jwt: Jwt,
    pub(super) is_optional: bool,
    pub(super) cookie: Option<Cow<'static, str>>,
    pub(super) challenges: Challenges,
}
