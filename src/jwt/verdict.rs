//! Whether a token is what it says: in place, and with no allocation until its signature
//! held.

use std::cell::Cell;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::registered::Registered;
use super::{Jwt, JwtKey, claims, header, key, tap};
use crate::encoding::BASE64URL;
use crate::error::{Reason, VerifyError};
use crate::ring::{Matched, View};

/// Of HS256, HS384 and HS512, in characters.
pub(super) const SIGNATURE_LENGTHS: [usize; 3] = [43, 64, 86];

impl Jwt {
    pub(super) fn owned<'r, C: DeserializeOwned>(
        &self,
        view: &View<'r, JwtKey>,
        token: &str,
    ) -> Result<(Matched<'r, JwtKey>, C), VerifyError> {
        let (key, payload) = self.authentic(view, token)?;
        let mut room = Room::take();
        let claims = decode(payload, &mut room.0)?;
        Ok((key, self.claims(view, claims)?))
    }

    pub(super) fn borrowed<'r, 'b, C: Deserialize<'b>>(
        &self,
        view: &View<'r, JwtKey>,
        token: &str,
        buffer: &'b mut Vec<u8>,
    ) -> Result<(Matched<'r, JwtKey>, C), VerifyError> {
        let (key, payload) = self.authentic(view, token)?;
        let claims = decode(payload, buffer)?;
        Ok((key, self.claims(view, claims)?))
    }

    /// The key that signed `token`, and its payload as it stands there.
    pub(super) fn authentic<'r, 't>(
        &self,
        view: &View<'r, JwtKey>,
        token: &'t str,
    ) -> Result<(Matched<'r, JwtKey>, &'t str), Reason> {
        // V3: the structure first, and nothing after it if it is wrong.
        if token.len() > self.max_token_bytes {
            return Err(Reason::TooLarge);
        }
        let [header, payload, signature] = parts(token).ok_or(Reason::Malformed)?;
        let message = &token[..header.len() + 1 + payload.len()];
        if payload.len() % 4 == 1 {
            return Err(Reason::Malformed);
        }
        let named = header::read(header, view)?;
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
        let mut registered = Registered::default();
        let parsed = tap::parse(payload, &self.rules, &mut registered);
        if !matches!(parsed, Ok((_, true))) {
            registered = claims::read(payload, &self.rules)?;
        }
        registered.check(&self.rules, view.since_epoch())?;
        match parsed {
            Ok((claims, _)) => Ok(claims),
            // It may have been refused for being looked at: a number that no type holds, of a
            // claim that this type ignores.
            Err(_) => serde_json::from_str(payload)
                .map_err(|error| VerifyError::with_source(reason(payload, &error), error)),
        }
    }
}

/// The three parts of a token.
fn parts(token: &str) -> Option<[&str; 3]> {
    let (header, rest) = token.split_once('.')?;
    // No search: a signature has one of three lengths, and is decoded in the end.
    let (payload, signature) = SIGNATURE_LENGTHS.into_iter().find_map(|length| {
        let (payload, signature) = rest.split_at_checked(rest.len().checked_sub(length)?)?;
        Some((payload.strip_suffix('.')?, signature))
    })?;
    // Without a way out, so that it is compiled to vectors.
    let more = payload.bytes().fold(false, |any, byte| any | (byte == b'.'));
    (!more).then_some([header, payload, signature])
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

fn decode<'b>(payload: &str, buffer: &'b mut Vec<u8>) -> Result<&'b str, Reason> {
    buffer.clear();
    BASE64URL.decode_append(payload, buffer).map_err(|_| Reason::Malformed)?;
    std::str::from_utf8(buffer).map_err(|_| Reason::Payload)
}

/// The room that a thread decodes payloads into, one after the other.
struct Room(Vec<u8>);

thread_local! {
    static ROOM: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

impl Room {
    /// Of what a larger token needed no more than this is kept.
    const KEPT: usize = 16 * 1024;

    /// Empty where it is in use further up, or its thread ends.
    fn take() -> Self {
        Self(ROOM.try_with(Cell::take).unwrap_or_default())
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        if self.0.capacity() <= Self::KEPT {
            let room = std::mem::take(&mut self.0);
            let _ = ROOM.try_with(|own| own.set(room));
        }
    }
}
