//! The settings of a [`Jwt`]: which tokens it accepts.

use std::sync::Arc;
use std::time::Duration;

use super::Validation;
use super::adapter::Jwt;
use super::registered::Rules;

impl Jwt {
    /// Requires the claim `iss` to be `issuer`. After a second call, either is accepted. Every
    /// other check stays as it is.
    ///
    /// ```
    /// # use dualkey::{Claim, KeyRing, Reason, Secret};
    /// # use dualkey::jwt::{Jwt, JwtKey};
    /// use serde_json::{Value, json};
    ///
    /// # let secret = "kH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eUkH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eU";
    /// # let ring = KeyRing::<JwtKey>::builder().primary(Secret::from(secret)).build()?;
    /// let any = Jwt::new(ring);
    /// let jwt = any.clone().issuer("https://id.example.com");
    ///
    /// let exp = 4_102_444_800_u64;
    /// let token = jwt.sign(&json!({ "iss": "https://id.example.com", "exp": exp }))?;
    /// assert!(jwt.verify::<Value>(&token).is_ok());
    ///
    /// let error = jwt.verify::<Value>(&any.sign(&json!({ "exp": exp }))?).unwrap_err();
    /// assert_eq!(error.reason(), Reason::MissingClaim(Claim::Iss));
    /// # Ok::<(), dualkey::Error>(())
    /// ```
    #[must_use]
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        Arc::make_mut(&mut self.rules).add_issuer(issuer.into());
        self
    }

    /// Requires the claim `aud` to be or to hold `audience`. After a second call, either is
    /// accepted. Every other check stays as it is. Until an audience is set, a token with an
    /// `aud` is refused (RFC 7519 §4.1.3).
    ///
    /// ```
    /// # use dualkey::{Claim, KeyRing, Reason, Secret};
    /// # use dualkey::jwt::{Jwt, JwtKey};
    /// use serde_json::{Value, json};
    ///
    /// # let secret = "kH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eUkH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eU";
    /// # let ring = KeyRing::<JwtKey>::builder().primary(Secret::from(secret)).build()?;
    /// let any = Jwt::new(ring);
    /// let jwt = any.clone().audience("billing");
    ///
    /// let exp = 4_102_444_800_u64;
    /// let token = jwt.sign(&json!({ "aud": ["billing", "mail"], "exp": exp }))?;
    /// assert!(jwt.verify::<Value>(&token).is_ok());
    ///
    /// let error = jwt.verify::<Value>(&any.sign(&json!({ "exp": exp }))?).unwrap_err();
    /// assert_eq!(error.reason(), Reason::MissingClaim(Claim::Aud));
    /// # Ok::<(), dualkey::Error>(())
    /// ```
    #[must_use]
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        Arc::make_mut(&mut self.rules).add_audience(audience.into());
        self
    }

    /// Accepts a token for `leeway` after its `exp` and before its `nbf`. 60 seconds unless set.
    /// Every other check stays as it is.
    ///
    /// ```
    /// # use dualkey::{KeyRing, ManualClock, Secret};
    /// # use dualkey::jwt::{Jwt, JwtKey};
    /// use serde_json::{Value, json};
    /// use std::time::Duration;
    ///
    /// # let secret = "kH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eUkH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eU";
    /// # let clock = ManualClock::at_unix(1_700_000_000);
    /// # let builder = KeyRing::<JwtKey>::builder().primary(Secret::from(secret));
    /// # let ring = builder.clock(clock).build()?;
    /// let jwt = Jwt::new(ring);
    /// let token = jwt.sign(&json!({ "exp": 1_699_999_990 }))?; // ten seconds ago
    /// assert!(jwt.verify::<Value>(&token).is_ok());
    /// assert!(jwt.leeway(Duration::ZERO).verify::<Value>(&token).is_err());
    /// # Ok::<(), dualkey::Error>(())
    /// ```
    #[must_use]
    pub fn leeway(mut self, leeway: Duration) -> Self {
        Arc::make_mut(&mut self.rules).set_leeway(leeway);
        self
    }

    /// Takes the settings of `validation`, and keeps the checks that its defaults lack.
    ///
    /// - `nbf` is checked, whatever `validate_nbf` is: `jsonwebtoken` has it off by default.
    /// - `exp` is required while `validate_exp` is on, unless `required_spec_claims` is empty:
    ///   a list of other claims adds to it.
    /// - An issuer, an audience or a subject that was asked for before is asked for, unless
    ///   `validation` names another. For the audience, `validate_aud` must be on, as it is by
    ///   default.
    /// - A [leeway](Self::leeway) that was set before stays, unless `validation` has another than
    ///   the default of 60 seconds.
    ///
    /// [`Dangerous::validation`] takes a `Validation` literally.
    ///
    /// ```
    /// # use dualkey::{Claim, KeyRing, Reason, Secret};
    /// # use dualkey::jwt::{Jwt, JwtKey};
    /// use dualkey::jwt::Validation;
    /// use serde_json::{Value, json};
    ///
    /// # let secret = "kH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eUkH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eU";
    /// # let ring = KeyRing::<JwtKey>::builder().primary(Secret::from(secret)).build()?;
    /// let mut validation = Validation::default();
    /// validation.set_required_spec_claims(&["sub"]);
    /// let any = Jwt::new(ring);
    /// let jwt = any.clone().validation(validation);
    ///
    /// let exp = 4_102_444_800_u64;
    /// let early = jwt.sign(&json!({ "sub": "user-42", "exp": exp, "nbf": exp - 60 }))?;
    /// assert_eq!(jwt.verify::<Value>(&early).unwrap_err().reason(), Reason::NotYetValid);
    /// assert!(jwt.sign(&json!({ "sub": "user-42" })).is_err()); // no `exp`
    /// # Ok::<(), dualkey::Error>(())
    /// ```
    #[must_use]
    pub fn validation(mut self, validation: Validation) -> Self {
        self.rules = Arc::new(self.rules.update(validation));
        self
    }

    /// Refuses tokens of more than `bytes`, before any work, and signs none. 8 KiB unless set.
    #[must_use]
    pub fn max_token_bytes(mut self, bytes: usize) -> Self {
        self.max_token_bytes = bytes;
        self
    }

    /// The settings that switch checks off.
    pub fn dangerous(self) -> Dangerous {
        Dangerous(self)
    }
}

/// The settings of a [`Jwt`] that switch checks off.
#[derive(Debug)]
#[must_use = "a setting is made by a method of this"]
pub struct Dangerous(Jwt);

impl Dangerous {
    /// Takes `validation` literally, in the place of all settings before.
    ///
    /// ```
    /// # use dualkey::{KeyRing, Secret};
    /// # use dualkey::jwt::{Jwt, JwtKey};
    /// use dualkey::jwt::Validation;
    /// use serde_json::{Value, json};
    ///
    /// # let secret = "kH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eUkH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eU";
    /// # let ring = KeyRing::<JwtKey>::builder().primary(Secret::from(secret)).build()?;
    /// // `validate_nbf` is off by default.
    /// let jwt = Jwt::new(ring).dangerous().validation(Validation::default());
    /// let early = jwt.sign(&json!({ "exp": 4_102_444_800_u64, "nbf": 4_102_444_000_u64 }))?;
    /// assert!(jwt.verify::<Value>(&early).is_ok());
    /// # Ok::<(), dualkey::Error>(())
    /// ```
    ///
    /// # Security
    /// What `validation` does not ask for is not checked, and its defaults do not ask for `nbf`.
    #[must_use]
    pub fn validation(self, validation: Validation) -> Jwt {
        Jwt { rules: Arc::new(Rules::new(validation)), ..self.0 }
    }
}
