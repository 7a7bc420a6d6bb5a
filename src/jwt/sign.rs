//! Signing: claims that a verifier with the same settings would reject are refused.

use serde::Serialize;

use super::adapter::Jwt;
use super::key::JwtKey;
use super::refusal::{refuse, unserializable};
use super::serialize::to_json;
use super::{Header, header};
use crate::encoding::BASE64URL;
use crate::error::Error;
use crate::ring::Key;

impl Jwt {
    /// Signs `claims` with the primary. They are taken as they are: no claim is added.
    ///
    /// ```
    /// # use dualkey::{KeyRing, Secret};
    /// # use dualkey::jwt::{Jwt, JwtKey};
    /// use serde_json::json;
    ///
    /// # let secret = "kH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eUkH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eU";
    /// # let ring = KeyRing::<JwtKey>::builder().primary(Secret::from(secret)).build()?;
    /// let jwt = Jwt::new(ring);
    /// let token = jwt.sign(&json!({ "exp": 4_102_444_800_u64, "nbf": null }))?;
    /// assert!(jwt.verify::<serde_json::Value>(&token).is_ok());
    ///
    /// // No service with these settings would accept these:
    /// assert!(jwt.sign(&json!({ "exp": "4102444800" })).is_err());
    /// assert!(jwt.sign(&json!({ "sub": "user-42" })).is_err());
    /// # Ok::<(), dualkey::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Sign`] if the claims do not serialize, or if [`verify`](Self::verify) of this
    /// `Jwt` would reject them whatever the time and the audience: they are not a JSON object, a
    /// claim is there twice, a required one is missing, a registered one has the wrong type, the
    /// algorithm of the primary is not allowed, or the token is too large. Claims nested more
    /// than 127 deep, and raw JSON with a lone surrogate, are refused too: `serde_json` does not
    /// read them.
    pub fn sign<C: Serialize + ?Sized>(&self, claims: &C) -> Result<String, Error> {
        self.ring.read(|view| {
            let key = view.primary()?;
            sign_under(self, key, key.material().header(), claims)
        })
    }

    /// Signs `claims` with the primary, under a header of the caller's, into which
    /// the primary's `kid` is written.
    ///
    /// # Errors
    /// [`Error::Sign`] as for [`sign`](Self::sign), or if the header names another
    /// algorithm than the primary's, or holds what [`verify`](Self::verify) refuses.
    pub fn sign_with_header<C: Serialize + ?Sized>(
        &self,
        header: &Header,
        claims: &C,
    ) -> Result<String, Error> {
        self.ring.read(|view| {
            let key = view.primary()?;
            if header.alg != key.material().algorithm() {
                return Err(refuse("the header names another algorithm than the primary's"));
            }
            let header = Header { kid: Some(key.kid().to_string()), ..header.clone() };
            let json = serde_json::to_vec(&header).map_err(unserializable)?;
            if header::parse(&json).is_err() {
                return Err(refuse("the header holds what a verifier must refuse"));
            }
            sign_under(self, key, &BASE64URL.encode_to_string(json), claims)
        })
    }
}

/// Signs `claims` with `key`, under `header`, which is encoded.
fn sign_under<C: Serialize + ?Sized>(
    jwt: &Jwt,
    key: &Key<JwtKey>,
    header: &str,
    claims: &C,
) -> Result<String, Error> {
    if !jwt.rules.validation.algorithms.contains(&key.material().algorithm()) {
        return Err(refuse("the settings do not allow the algorithm of the primary"));
    }
    let json = to_json(claims, &jwt.rules).map_err(Error::from)?;
    let mut token = String::with_capacity(header.len() + json.len().div_ceil(3) * 4 + 88);
    token.push_str(header);
    token.push('.');
    BASE64URL.encode_append(json, &mut token);
    key.material().append_signature(&mut token);
    if token.len() > jwt.max_token_bytes {
        return Err(refuse(
            "the token is larger than a verifier accepts; shorten the claims, or raise \
             `max_token_bytes` of every verifier",
        ));
    }
    key.counters().count_signed();
    Ok(token)
}
