//! `Jwt`: a ring, and the rules for its tokens.

use std::sync::Arc;

use super::key::JwtKey;
use super::registered::Rules;
use super::{Algorithm, Validation};
use crate::ring::KeyRing;

/// The default bound of a token: more than a header of HTTP is likely to hold.
pub(super) const MAX_TOKEN_BYTES: usize = 8 * 1024;

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
    pub(super) ring: KeyRing<JwtKey>,
    pub(super) rules: Arc<Rules>,
    pub(super) max_token_bytes: usize,
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

    /// Returns the ring that it signs and verifies with.
    #[must_use]
    pub fn ring(&self) -> &KeyRing<JwtKey> {
        &self.ring
    }
}
