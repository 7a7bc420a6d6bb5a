//! New secrets from the operating system's random numbers.

use zeroize::Zeroizing;

use crate::error::Error;
use crate::purpose::Purpose;
use crate::secret::Secret;

/// The number of letters of a new password.
const CREDENTIAL_LETTERS: usize = 32;

/// A new secret from the operating system's generator.
pub(crate) fn random_secret(purpose: Purpose) -> Result<Secret, Error> {
    let random = |bytes: &mut [u8]| {
        getrandom::fill(bytes).map_err(|error| Error::Random { source: Box::new(error) })
    };
    let mut bytes = Zeroizing::new([0; 64]);
    random(&mut *bytes)?;
    match purpose {
        Purpose::Envelope => Ok(Secret::from(&bytes[..32])),
        Purpose::Credential => {
            const LETTERS: &[u8; 62] =
                b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
            // With its room from the start: growing would leave parts behind.
            let mut text = Zeroizing::new(Vec::with_capacity(CREDENTIAL_LETTERS));
            while text.len() < CREDENTIAL_LETTERS {
                // Deliberately not the remainder of every byte: of 256, four numbers would
                // be left over, and eight letters come up more often.
                let fair = bytes.iter().filter(|byte| **byte < 248);
                let left = CREDENTIAL_LETTERS - text.len();
                text.extend(fair.take(left).map(|byte| LETTERS[usize::from(byte % 62)]));
                random(&mut *bytes)?;
            }
            Ok(Secret::from(&text[..]))
        }
        _ => {
            const DIGITS: &[u8; 16] = b"0123456789abcdef";
            let mut text = Zeroizing::new(Vec::with_capacity(128));
            let halves = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
            text.extend(halves.map(|half| DIGITS[usize::from(half)]));
            Ok(Secret::from(&text[..]))
        }
    }
}

/// The logarithm of how many of those there are.
#[cfg_attr(not(feature = "full"), allow(dead_code, reason = "operators use it, behind a feature"))]
pub(crate) fn random_bits(purpose: Purpose) -> u32 {
    match purpose {
        Purpose::Envelope => 256,
        // 32 times 5.954, the logarithm of 62.
        Purpose::Credential => 190,
        _ => 512,
    }
}
