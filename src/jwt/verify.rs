//! Verifying: the claims of a token, with no allocation until its signature held.

use std::mem::MaybeUninit;

use base64_simd::AsOut;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::adapter::{Jwt, MAX_TOKEN_BYTES};
use super::authenticate::authenticate;
use super::key::JwtKey;
use super::watch::Watch;
use super::{TokenData, claims, header, observe};
use crate::encoding::BASE64URL;
use crate::error::{Reason, VerifyError};
use crate::ring::snapshot::View;
use crate::verified::Verified;

/// Room on the stack for the payload of any token of the default size: the decoded bytes are
/// fewer than those of the text. Aligned, so that no word that is read lies in two that were written.
#[repr(align(64))]
struct Room([MaybeUninit<u8>; MAX_TOKEN_BYTES]);

impl Jwt {
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
        verify_with(self, token, |view, payload| read_owned(self, view, payload))
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
        verify_with(self, token, |view, payload| read_borrowed(self, view, payload, buffer))
    }

    /// As [`verify`](Self::verify), with the header.
    ///
    /// # Errors
    /// As for [`verify`](Self::verify).
    pub fn verify_with_header<C: DeserializeOwned>(
        &self,
        token: &str,
    ) -> Result<Verified<TokenData<C>>, VerifyError> {
        verify_with(self, token, |view, payload| {
            let claims = read_owned(self, view, payload)?;
            let (header, _) = token.split_once('.').unwrap_or_default();
            Ok(TokenData { header: header::decode(header)?, claims })
        })
    }

    /// Verifies tokens of which the first that verifies counts.
    ///
    /// The observer hears of one verdict. Of tokens that do not verify, the reason is the same in
    /// each order.
    #[cfg_attr(
        not(feature = "full"),
        allow(
            dead_code,
            reason = "only `http`, a higher module, reads a token from several cookies"
        )
    )]
    pub(crate) fn verify_first<C: DeserializeOwned>(
        &self,
        tokens: &[&[u8]],
    ) -> Result<Verified<C>, VerifyError> {
        self.ring.read(|view| {
            let mut errors: Vec<VerifyError> = Vec::new();
            for token in tokens {
                let token = std::str::from_utf8(token).map_err(|_| Reason::Malformed);
                let verdict = token.and_then(|token| authenticate(self, view, token));
                let claims = verdict.map_err(VerifyError::from).and_then(|(key, payload)| {
                    read_owned::<C>(self, view, payload).map(|claims| (key, claims))
                });
                match claims {
                    Ok((key, claims)) => return Ok(view.accept(key, claims)),
                    Err(error) => errors.push(error),
                }
            }
            let reasons: Vec<_> = errors.iter().map(VerifyError::reason).collect();
            let is_idle = view.verifying().next().is_none();
            let foremost = Reason::foremost(&reasons, is_idle);
            let error = errors.into_iter().find(|error| error.reason() == foremost);
            Err(view.reject(error.unwrap_or(foremost.into())))
        })
    }
}

/// Verifies `token`, and reads its payload with `read` once its signature holds.
#[inline]
fn verify_with<C>(
    jwt: &Jwt,
    token: &str,
    read: impl FnOnce(&View<'_, JwtKey>, &str) -> Result<C, VerifyError>,
) -> Result<Verified<C>, VerifyError> {
    jwt.ring.read(|view| match authenticate(jwt, view, token) {
        Ok((key, payload)) => match read(view, payload) {
            Ok(claims) => Ok(view.accept(key, claims)),
            Err(error) => Err(view.reject(error)),
        },
        Err(reason) => Err(view.reject(reason)),
    })
}

/// Reads the claims in `payload`, which is decoded on the stack.
#[inline]
fn read_owned<C: DeserializeOwned>(
    jwt: &Jwt,
    view: &View<'_, JwtKey>,
    payload: &str,
) -> Result<C, VerifyError> {
    let mut room = Room([const { MaybeUninit::uninit() }; MAX_TOKEN_BYTES]);
    let mut larger = Vec::new();
    let decoded = match room.0.get_mut(..payload.len()) {
        Some(room) => BASE64URL.decode(payload.as_bytes(), room.as_out()).map(|bytes| &*bytes),
        None => BASE64URL.decode_append(payload, &mut larger).map(|()| &*larger),
    };
    read_claims(jwt, view, as_text(decoded.map_err(|_| Reason::Malformed)?)?)
}

/// Reads the claims in `payload`, which is decoded into `buffer`.
#[inline]
fn read_borrowed<'b, C: Deserialize<'b>>(
    jwt: &Jwt,
    view: &View<'_, JwtKey>,
    payload: &str,
    buffer: &'b mut Vec<u8>,
) -> Result<C, VerifyError> {
    buffer.clear();
    BASE64URL.decode_append(payload, buffer).map_err(|_| Reason::Malformed)?;
    read_claims(jwt, view, as_text(buffer)?)
}

/// Reads and checks the claims in `payload`. V4: it is authentic, and nothing has parsed it before.
fn read_claims<'p, C: Deserialize<'p>>(
    jwt: &Jwt,
    view: &View<'_, JwtKey>,
    payload: &'p str,
) -> Result<C, VerifyError> {
    let mut watch = Watch::new(&jwt.rules);
    let parsed = observe::parse(payload, &mut watch);
    let read;
    let registered = match watch.registered() {
        Some(seen) if parsed.is_ok() => seen,
        _ => {
            read = claims::read(payload, &jwt.rules)?;
            &read
        }
    };
    registered.check(&jwt.rules, view.since_epoch())?;
    match parsed {
        Ok(claims) => Ok(claims),
        // It may have been refused for being looked at: a number that no type holds, of a
        // claim that this type ignores.
        Err(_) => serde_json::from_str(payload)
            .map_err(|error| describe_unfit(reason(payload, &error), &error)),
    }
}

/// The place at which a payload does not fit the caller's type. Deliberately not the parser's own
/// words: they may hold what is there, and sources are logged.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot read the claims as the type of the caller: {problem} at line {line} column {column}"
)]
struct Unfit {
    problem: &'static str,
    line: usize,
    column: usize,
}

pub(super) fn describe_unfit(reason: Reason, error: &serde_json::Error) -> VerifyError {
    use serde_json::error::Category;
    let problem = match error.classify() {
        Category::Data => "a claim of another form, or one that is missing,",
        Category::Syntax | Category::Eof | Category::Io => "no JSON",
    };
    let (line, column) = (error.line(), error.column());
    VerifyError::with_source(reason, Unfit { problem, line, column })
}

/// Returns the reason why a payload does not fit the caller's type.
fn reason(payload: &str, error: &serde_json::Error) -> Reason {
    // What `serde` says where a type takes `&str`, and is given a text that had to be
    // unescaped: a test holds it to that.
    let text = error.to_string();
    let is_escaped = payload.contains('\\')
        && text.starts_with("invalid type: string ")
        && text.contains(", expected a borrowed string");
    if is_escaped { Reason::Escaped } else { Reason::Payload }
}

fn as_text(decoded: &[u8]) -> Result<&str, Reason> {
    std::str::from_utf8(decoded).map_err(|_| Reason::Payload)
}
