//! JSON Web Tokens over a ring: signed with the primary, verified with all.
//!
//! ```text
//! base64url(header) "." base64url(claims) "." base64url(HMAC(header "." claims))
//! ```
//!
//! It promises: a key verifies its own algorithm and no other (V1); a token that
//! names a key is checked with that key alone (V2); nothing in a payload is parsed
//! before the signature held (V4); all keys that are tried are tried in constant
//! time (V5). `sign` always writes a `kid`.
//!
//! The rest follows `jsonwebtoken`, whose [`Header`], [`Validation`] and
//! [`Algorithm`] are used as they are. Under a `Validation` that is taken
//! [literally](Dangerous::validation), the verdict is that of `jsonwebtoken::decode`, but for
//! these:
//!
//! | a token with | `jsonwebtoken` | here |
//! |---|---|---|
//! | an unknown `kid` | the caller chooses the key | refused |
//! | `crit`, `zip`, or `b64` other than `true` in its header | accepted | refused |
//! | a header name twice, or a `kid` of `null` | accepted | refused |
//! | `exp` equal to now, with no leeway | accepted | refused (RFC 7519 §4.1.4) |
//! | a fractional `exp` or `nbf` | rounded | taken exactly |
//! | no `iss`, `sub` or `aud`, or one that is `null`, where a value is asked for | accepted | refused (RFC 8725 §3.8, §3.9) |
//! | `iss`, `sub`, `aud` of the wrong JSON type, where it is asked for | accepted | refused |
//! | an `exp` or `nbf` of `null` that is checked and not required | refused | accepted, it counts as absent |
//! | an `iss` that is an array | accepted if one matches | refused |
//! | a negative `nbf` | refused | accepted, it is in the past |
//! | `iat` or `jti` twice | accepted | refused |
//! | a payload that is not an object or not UTF-8 | accepted if the type takes it | refused |
//! | more than 8 KiB | accepted | refused, unless set |
//!
//! `null` in a registered claim that is not required counts as absent; in one that is required,
//! as missing. [`Jwt::sign`] refuses claims that [`Jwt::verify`] of the same settings would
//! reject for their form.
//!
//! `Validation::algorithms` may name algorithms of several families, which
//! `jsonwebtoken` refuses: it is each key that decides. Keys of asymmetric
//! algorithms are not supported yet, and refused when the ring is built.
//!
//! # Security
//! What verifies is authentic, not fresh: a token can be replayed until its `exp`.
//! Keep the overlap of the ring at least as long as the longest life of a token,
//! plus the leeway.

mod claims;
mod form;
mod header;
mod key;
mod observe;
#[cfg(any(test, fuzzing))]
mod reference;
mod registered;
mod settings;
mod sign;
mod verify;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub use jsonwebtoken::{Algorithm, Header, TokenData, Validation};

use crate::encoding::BASE64URL;
use crate::error::{Error, VerifyError};
use crate::ring::KeyRing;
use crate::verified::Verified;

pub use key::JwtKey;
use registered::Rules;
pub use settings::Dangerous;

/// Larger tokens are refused unset: more than a header of HTTP is likely to hold.
const MAX_TOKEN_BYTES: usize = 8 * 1024;

/// Signs and verifies tokens over a ring. A clone is cheap, and shares the ring.
///
/// ```
/// use dualkey::{KeyRing, Secret};
/// use dualkey::jwt::{Jwt, JwtKey};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct Claims { sub: String, exp: u64 }
///
/// # let (old, new) = ("Nf0Vg6Jc3Ds8Pw1Ra4Tb7Yx2Zq9Ml5KiNf0Vg6Jc3Ds8Pw1Ra4Tb7Yx2Zq9Ml5Ki",
/// #     "kH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eUkH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eU");
/// let ring = KeyRing::<JwtKey>::builder().primary(Secret::from(old)).build()?;
/// let jwt = Jwt::new(ring.clone());
/// let token = jwt.sign(&Claims { sub: "user-42".to_owned(), exp: 4_102_444_800 })?;
///
/// let kid = ring.stage(Secret::from(new))?;
/// ring.promote(&kid)?;
///
/// let claims = jwt.verify::<Claims>(&token).expect("signed by the key that is a fallback now");
/// assert_eq!(claims.sub, "user-42");
/// assert!(claims.needs_resign());
/// # Ok::<(), dualkey::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Jwt {
    ring: KeyRing<JwtKey>,
    rules: Arc<Rules>,
    max_token_bytes: usize,
}

impl Jwt {
    /// Verifies `exp` (required) and `nbf` with 60 seconds of leeway, refuses
    /// tokens with an `aud`, and takes HS256, HS384 and HS512 from keys of that
    /// algorithm: `jsonwebtoken`'s defaults, with `validate_nbf` on.
    /// [`issuer`](Self::issuer), [`audience`](Self::audience) and [`leeway`](Self::leeway)
    /// refine them.
    #[must_use]
    pub fn new(ring: KeyRing<JwtKey>) -> Self {
        let validation = Validation {
            algorithms: vec![Algorithm::HS256, Algorithm::HS384, Algorithm::HS512],
            validate_nbf: true,
            ..Validation::default()
        };
        Self { ring, rules: Arc::new(Rules::new(validation)), max_token_bytes: MAX_TOKEN_BYTES }
    }

    /// The ring that it signs and verifies with.
    #[must_use]
    pub fn ring(&self) -> &KeyRing<JwtKey> {
        &self.ring
    }

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
            self.signed(key, key.material().header(), claims)
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
            let refused = |problem| Err(Error::Sign { problem, source: None });
            if header.alg != key.material().algorithm() {
                return refused("the header names another algorithm than the primary's");
            }
            let header = Header { kid: Some(key.kid().to_string()), ..header.clone() };
            let json = serde_json::to_vec(&header).map_err(sign::unserializable)?;
            if header::parse(&json).is_err() {
                return refused("the header holds what a verifier must refuse");
            }
            self.signed(key, &BASE64URL.encode_to_string(json), claims)
        })
    }

    /// Verifies `token` and returns its claims.
    ///
    /// # Errors
    /// A [`VerifyError`]; only if [`is_authentic`](VerifyError::is_authentic) may
    /// the peer be told why.
    ///
    /// # Security
    /// A token without a `kid` is checked with all keys of its algorithm, in
    /// constant time: the duration does not tell which one matched. Its length, and
    /// that it was accepted, show.
    pub fn verify<C: DeserializeOwned>(&self, token: &str) -> Result<Verified<C>, VerifyError> {
        self.verified(token, |view, payload| self.owned(view, payload))
    }

    /// As [`verify`](Self::verify), for claims that borrow their texts from `buffer`, into
    /// which the payload is decoded: nothing is allocated once it is large enough.
    ///
    /// ```
    /// # use dualkey::{KeyRing, Reason, Secret};
    /// # use dualkey::jwt::{Jwt, JwtKey};
    /// use serde::Deserialize;
    /// use std::borrow::Cow;
    ///
    /// #[derive(Deserialize)]
    /// struct Claims<'p> {
    ///     #[serde(borrow)]
    ///     sub: Cow<'p, str>,
    ///     exp: u64,
    /// }
    ///
    /// # let secret = "kH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eUkH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eU";
    /// # let ring = KeyRing::<JwtKey>::builder().primary(Secret::from(secret)).build()?;
    /// # let jwt = Jwt::new(ring);
    /// # let token = jwt.sign(&serde_json::json!({ "sub": "user-42", "exp": 4_102_444_800_u64 }))?;
    /// let mut buffer = Vec::new(); // kept for the next token
    /// let claims = jwt.verify_in::<Claims<'_>>(&token, &mut buffer).expect("just signed");
    /// assert_eq!(claims.sub, "user-42");
    /// assert!(matches!(claims.sub, Cow::Borrowed(_)));
    /// # Ok::<(), dualkey::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`verify`](Self::verify). [`Reason::Escaped`](crate::Reason::Escaped) if a text holds an escape, such
    /// as `\"`, and the type takes it as `&str`: that cannot be borrowed, so take
    /// `Cow<str>` with `#[serde(borrow)]`, which allocates for such a text alone.
    pub fn verify_in<'b, C: Deserialize<'b>>(
        &self,
        token: &str,
        buffer: &'b mut Vec<u8>,
    ) -> Result<Verified<C>, VerifyError> {
        self.verified(token, |view, payload| self.borrowed(view, payload, buffer))
    }

    /// As [`verify`](Self::verify), with the header.
    ///
    /// # Errors
    /// As for [`verify`](Self::verify).
    pub fn verify_with_header<C: DeserializeOwned>(
        &self,
        token: &str,
    ) -> Result<Verified<TokenData<C>>, VerifyError> {
        self.verified(token, |view, payload| {
            let claims = self.owned(view, payload)?;
            let (header, _) = token.split_once('.').unwrap_or_default();
            Ok(TokenData { header: header::decode(header)?, claims })
        })
    }
}
