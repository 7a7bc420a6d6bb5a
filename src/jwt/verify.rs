//! Whether a token is what it says: in place, and with no allocation until its signature
//! held.

use std::mem::MaybeUninit;

use base64_simd::AsOut;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::observe::Watch;
use super::{Jwt, JwtKey, MAX_TOKEN_BYTES, claims, header, key, observe};
use crate::encoding::BASE64URL;
use crate::error::{Reason, VerifyError};
use crate::ring::snapshot::{Matched, View};
use crate::verified::Verified;

/// On the stack, room for the payload of any token of the default size: what is decoded is
/// shorter than its text. Aligned, so that no word that is read lies in two that were written.
#[repr(align(64))]
struct Room([MaybeUninit<u8>; MAX_TOKEN_BYTES]);

/// Of HS256, HS384 and HS512, in characters.
pub(super) const SIGNATURE_LENGTHS: [usize; 3] = [43, 64, 86];

impl Jwt {
    /// Verifies tokens of which the first that verifies counts.
    ///
    /// The observer hears of one verdict. Of tokens that do not verify, the reason is the same in
    /// each order.
    #[cfg(all(feature = "tower", feature = "cookie"))]
    pub(crate) fn verify_first<C: DeserializeOwned>(
        &self,
        tokens: &[&[u8]],
    ) -> Result<Verified<C>, VerifyError> {
        self.ring.read(|view| {
            let mut errors: Vec<VerifyError> = Vec::new();
            for token in tokens {
                let token = std::str::from_utf8(token).map_err(|_| Reason::Malformed);
                let verdict = token.and_then(|token| self.authentic(view, token));
                let claims = verdict.map_err(VerifyError::from).and_then(|(key, payload)| {
                    self.owned::<C>(view, payload).map(|claims| (key, claims))
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

    /// What `claims` makes of the payload of `token`, once its signature held.
    #[inline]
    pub(super) fn verified<C>(
        &self,
        token: &str,
        claims: impl FnOnce(&View<'_, JwtKey>, &str) -> Result<C, VerifyError>,
    ) -> Result<Verified<C>, VerifyError> {
        self.ring.read(|view| match self.authentic(view, token) {
            Ok((key, payload)) => match claims(view, payload) {
                Ok(claims) => Ok(view.accept(key, claims)),
                Err(error) => Err(view.reject(error)),
            },
            Err(reason) => Err(view.reject(reason)),
        })
    }

    /// The claims in `payload`, which is decoded into the stack.
    #[inline]
    pub(super) fn owned<C: DeserializeOwned>(
        &self,
        view: &View<'_, JwtKey>,
        payload: &str,
    ) -> Result<C, VerifyError> {
        let mut room = Room([const { MaybeUninit::uninit() }; MAX_TOKEN_BYTES]);
        let mut larger = Vec::new();
        let decoded = match room.0.get_mut(..payload.len()) {
            Some(room) => BASE64URL.decode(payload.as_bytes(), room.as_out()).map(|own| &*own),
            None => BASE64URL.decode_append(payload, &mut larger).map(|()| &*larger),
        };
        self.claims(view, text(decoded.map_err(|_| Reason::Malformed)?)?)
    }

    /// The claims in `payload`, which is decoded into `buffer`.
    #[inline]
    pub(super) fn borrowed<'b, C: Deserialize<'b>>(
        &self,
        view: &View<'_, JwtKey>,
        payload: &str,
        buffer: &'b mut Vec<u8>,
    ) -> Result<C, VerifyError> {
        buffer.clear();
        BASE64URL.decode_append(payload, buffer).map_err(|_| Reason::Malformed)?;
        self.claims(view, text(buffer)?)
    }

    /// The key that signed `token`, and its payload as it stands there.
    fn authentic<'r, 't>(
        &self,
        view: &View<'r, JwtKey>,
        token: &'t str,
    ) -> Result<(Matched<'r, JwtKey>, &'t str), Reason> {
        // V3: the structure first, and nothing after it if it is wrong.
        if token.len() > self.max_token_bytes {
            return Err(Reason::TooLarge);
        }
        let known = header::known(token, view);
        let dot = known.as_ref().map(|(_, length)| *length).or_else(|| token.find('.'));
        let (header, rest) = token.split_at(dot.ok_or(Reason::Malformed)?);
        let (payload, signature) = parts(&rest[1..]).ok_or(Reason::Malformed)?;
        if payload.len() % 4 == 1 {
            return Err(Reason::Malformed);
        }
        let message = &token[..header.len() + 1 + payload.len()];
        let named = match known {
            Some((named, _)) => named,
            None => header::read(header, view)?,
        };
        if !self.rules.validation.algorithms.contains(&named.algorithm) {
            return Err(Reason::Algorithm);
        }
        let key = key::matching(view, &named, message.as_bytes(), signature.as_bytes())?;
        Ok((key, payload))
    }

    /// The claims in `payload`. V4: it is authentic, and was not looked at before.
    fn claims<'p, C: Deserialize<'p>>(
        &self,
        view: &View<'_, JwtKey>,
        payload: &'p str,
    ) -> Result<C, VerifyError> {
        let mut watch = Watch::new(&self.rules);
        let parsed = observe::parse(payload, &mut watch);
        let read;
        let registered = match watch.registered() {
            Some(seen) if parsed.is_ok() => seen,
            _ => {
                read = claims::read(payload, &self.rules)?;
                &read
            }
        };
        registered.check(&self.rules, view.since_epoch())?;
        match parsed {
            Ok(claims) => Ok(claims),
            // It may have been refused for being looked at: a number that no type holds, of a
            // claim that this type ignores.
            Err(_) => serde_json::from_str(payload)
                .map_err(|error| unfit(reason(payload, &error), &error)),
        }
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

pub(super) fn unfit(reason: Reason, error: &serde_json::Error) -> VerifyError {
    use serde_json::error::Category;
    let problem = match error.classify() {
        Category::Data => "a claim of another form, or one that is missing,",
        Category::Syntax | Category::Eof | Category::Io => "no JSON",
    };
    let (line, column) = (error.line(), error.column());
    VerifyError::with_source(reason, Unfit { problem, line, column })
}

/// The payload and the signature, which are what follows the header.
fn parts(rest: &str) -> Option<(&str, &str)> {
    // No search: a signature has one of three lengths, and is decoded in the end.
    let (payload, signature) = SIGNATURE_LENGTHS.into_iter().find_map(|length| {
        let (payload, signature) = rest.split_at_checked(rest.len().checked_sub(length)?)?;
        Some((payload.strip_suffix('.')?, signature))
    })?;
    // Without a way out, so that it is compiled to vectors.
    let more = payload.bytes().fold(false, |any, byte| any | (byte == b'.'));
    (!more).then_some((payload, signature))
}

/// Why a payload is not what the caller's type asks for.
fn reason(payload: &str, error: &serde_json::Error) -> Reason {
    // What `serde` says where a type takes `&str`, and is given a text that had to be
    // unescaped: a test holds it to that.
    let text = error.to_string();
    let is_escaped = payload.contains('\\')
        && text.starts_with("invalid type: string ")
        && text.contains(", expected a borrowed string");
    match is_escaped {
        true => Reason::Escaped,
        false => Reason::Payload,
    }
}

fn text(decoded: &[u8]) -> Result<&str, Reason> {
    std::str::from_utf8(decoded).map_err(|_| Reason::Payload)
}
