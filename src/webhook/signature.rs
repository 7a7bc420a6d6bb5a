//! The value of `X-Hub-Signature-256`.

use crate::error::Reason;

/// The one signature among `values`.
pub(super) fn only<S: AsRef<[u8]>>(
    values: impl IntoIterator<Item = S>,
) -> Result<[u8; 32], Reason> {
    let mut values = values.into_iter();
    let value = values.next().ok_or(Reason::Missing)?;
    // Of two, somebody else may look at the other.
    match values.next() {
        Some(_) => Err(Reason::Repeated),
        None => parse(value.as_ref()).ok_or(Reason::Malformed),
    }
}

/// Exactly `sha256=` and 64 digits, lower case as the senders write them.
fn parse(value: &[u8]) -> Option<[u8; 32]> {
    let (pairs, rest) = value.strip_prefix(b"sha256=")?.as_chunks::<2>();
    let pairs: &[[u8; 2]; 32] = pairs.try_into().ok().filter(|_| rest.is_empty())?;
    let mut signature = [0; 32];
    for (byte, [high, low]) in signature.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(signature)
}

fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}
