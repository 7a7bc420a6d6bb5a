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

/// Exactly `sha256=` and 64 digits, lower case as the senders write them. Without a branch
/// on a digit: how long it takes depends on the length alone.
fn parse(value: &[u8]) -> Option<[u8; 32]> {
    let (pairs, rest) = value.strip_prefix(b"sha256=")?.as_chunks::<2>();
    let pairs: &[[u8; 2]; 32] = pairs.try_into().ok().filter(|_| rest.is_empty())?;
    let mut signature = [0; 32];
    let mut all = true;
    for (byte, pair) in signature.iter_mut().zip(pairs) {
        let [(high, is_high), (low, is_low)] = pair.map(digit);
        all &= is_high & is_low;
        *byte = high << 4 | low;
    }
    all.then_some(signature)
}

/// What a digit stands for, and whether it is one. Deliberately not a table: where in it one
/// looks shows in the time as well.
fn digit(byte: u8) -> (u8, bool) {
    let (number, letter) = (byte.wrapping_sub(b'0'), byte.wrapping_sub(b'a'));
    let (is_number, is_letter) = (number < 10, letter < 6);
    let mask = |is: bool| u8::from(is).wrapping_neg();
    let value = number & mask(is_number) | letter.wrapping_add(10) & mask(is_letter);
    (value, is_number | is_letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_the_digit_that_it_is_or_none() {
        for byte in 0..=255_u8 {
            let expected = char::from(byte).to_digit(16).filter(|_| !byte.is_ascii_uppercase());
            let (value, is_one) = digit(byte);
            assert_eq!(is_one.then_some(u32::from(value)), expected, "{byte}");
        }
    }
}
