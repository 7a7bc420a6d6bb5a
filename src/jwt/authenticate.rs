//! Authentication of a token: its structure, its header, and the key that signed it.

use super::Algorithm;
use super::adapter::Jwt;
use super::header::{self, Named};
use super::key::{JwtKey, Mac};
use crate::encoding::{TAG_TEXT_LEN, decode_exact};
use crate::error::Reason;
use crate::mac::{HmacSha384, HmacSha512, Tags};
use crate::ring::snapshot::{Matched, Tried, View};

/// The lengths of the signatures of HS256, HS384 and HS512, in characters.
pub(super) const SIGNATURE_LENGTHS: [usize; 3] = [43, 64, 86];

/// Finds the key that signed `token`, and its payload as it is in the token.
pub(super) fn authenticate<'r, 't>(
    jwt: &Jwt,
    view: &View<'r, JwtKey>,
    token: &'t str,
) -> Result<(Matched<'r, JwtKey>, &'t str), Reason> {
    // V3: the structure first, and nothing after it if it is wrong.
    if token.len() > jwt.max_token_bytes {
        return Err(Reason::TooLarge);
    }
    let known = header::recognize(token, view);
    let dot = known.as_ref().map(|(_, length)| *length).or_else(|| token.find('.'));
    let (header, rest) = token.split_at(dot.ok_or(Reason::Malformed)?);
    let (payload, signature) = split_signature(&rest[1..]).ok_or(Reason::Malformed)?;
    if payload.len() % 4 == 1 {
        return Err(Reason::Malformed);
    }
    let message = &token[..header.len() + 1 + payload.len()];
    let named = match known {
        Some((named, _)) => named,
        None => header::read(header, view)?,
    };
    if !jwt.rules.validation.algorithms.contains(&named.algorithm) {
        return Err(Reason::Algorithm);
    }
    let key = find_signer(view, &named, message.as_bytes(), signature.as_bytes())?;
    Ok((key, payload))
}

/// Splits what follows the header into the payload and the signature.
fn split_signature(rest: &str) -> Option<(&str, &str)> {
    // No search: a signature has one of three lengths, and is decoded in the end.
    let (payload, signature) = SIGNATURE_LENGTHS.into_iter().find_map(|length| {
        let (payload, signature) = rest.split_at_checked(rest.len().checked_sub(length)?)?;
        Some((payload.strip_suffix('.')?, signature))
    })?;
    // Without a way out, so that it is compiled to vectors.
    let more = payload.bytes().fold(false, |any, byte| any | (byte == b'.'));
    (!more).then_some((payload, signature))
}

/// Finds the key that made `signature`: the one that is named, or one of all of its
/// algorithm (V2). V5: one call for all.
fn find_signer<'r>(
    view: &View<'r, JwtKey>,
    named: &Named<'r>,
    message: &[u8],
    signature: &[u8],
) -> Result<Matched<'r, JwtKey>, Reason> {
    // V1: a key of another algorithm is not among those that are tried.
    macro_rules! tried {
        ($kind:pat => $mac:expr) => {{
            let able = |key: Matched<'r, JwtKey>| match &key.0.material().mac {
                $kind => Some(($mac, key)),
                _ => None,
            };
            match named.key {
                Some(key) => Tried::new(able(key)),
                None => Tried::new(view.verifying().filter_map(able)),
            }
            .ok_or(Reason::Algorithm)?
        }};
    }
    macro_rules! matching {
        ($kind:pat => $mac:expr, $verify_any:path) => {{
            let tried = tried!($kind => $mac);
            let place = $verify_any(tried.macs(), message, &tag(signature)?);
            place.and_then(|place| tried.key(place))
        }};
    }
    let found = match named.algorithm {
        Algorithm::HS256 => {
            let tried = tried!(Mac::Hs256(mac) => mac);
            if signature.len() != TAG_TEXT_LEN {
                return Err(Reason::Malformed);
            }
            // Before the signature is decoded: a hash waits for itself most of the time, and
            // the processor has what comes behind it done meanwhile.
            let tags = Tags::for_message(tried.macs(), message);
            tags.matching(&tag(signature)?).and_then(|place| tried.key(place))
        }
        Algorithm::HS384 => matching!(Mac::Hs384(mac) => &**mac, HmacSha384::verify_any),
        Algorithm::HS512 => matching!(Mac::Hs512(mac) => &**mac, HmacSha512::verify_any),
        // No key has another.
        _ => return Err(Reason::Algorithm),
    };
    found.ok_or(Reason::Signature)
}

fn tag<const N: usize>(signature: &[u8]) -> Result<[u8; N], Reason> {
    decode_exact(signature).ok_or(Reason::Malformed)
}
