//! The server's half of a change of password, without the password.

use base64_simd::STANDARD;
use pbkdf2::pbkdf2_hmac;
use sha2::{Digest, Sha256};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Executor};
use zeroize::Zeroizing;

use super::error::DatabaseError;
use crate::error::Error;
use crate::mac::HmacSha256;
use crate::secret::Secret;
use crate::sql::quote_identifier;

/// What PostgreSQL takes unless told otherwise, `scram_iterations`.
const ITERATIONS: u32 = 4096;
const SALT_BYTES: usize = 16;

/// Sets the password of `role`, by `ALTER ROLE … PASSWORD`, to `password`.
///
/// What is sent is a [verifier](scram_verifier): the server, its logs and whoever listens see
/// nothing that could be shown to it as a password. Who has the verifier can search for a weak
/// one. A provider that takes no verifier needs
/// [`change_password_plaintext`](super::change_password_plaintext).
///
/// # Errors
/// [`DatabaseError::Sqlx`], as if the user may not; [`DatabaseError::Ring`] if there are no random
/// numbers.
pub async fn change_password(
    connection: &mut PgConnection,
    role: &str,
    password: &Secret,
) -> Result<(), DatabaseError> {
    let (role, verifier) = (quote_identifier(role), scram_verifier(password)?);
    // Of base64 and punctuation: there is nothing in it to be quoted.
    let statement = format!("ALTER ROLE {role} PASSWORD '{verifier}'");
    connection.execute(AssertSqlSafe(statement)).await?;
    Ok(())
}

/// What PostgreSQL keeps of a password (RFC 5803), with a fresh salt:
/// `SCRAM-SHA-256$4096:<salt>$<StoredKey>:<ServerKey>`.
///
/// ```
/// use dualkey::Secret;
/// use dualkey::credential::database::scram_verifier;
///
/// let verifier = scram_verifier(&Secret::from("q8WzRk-T4nZ8yB1cF6gJ0"))?;
/// assert!(verifier.starts_with("SCRAM-SHA-256$4096:"));
/// # Ok::<(), dualkey::Error>(())
/// ```
///
/// # Errors
/// [`Error::Random`].
pub fn scram_verifier(password: &Secret) -> Result<String, Error> {
    let mut salt = [0; SALT_BYTES];
    getrandom::fill(&mut salt).map_err(|error| Error::Random { source: Box::new(error) })?;
    Ok(verifier(password.expose(), &salt))
}

fn verifier(password: &[u8], salt: &[u8]) -> String {
    let mut salted = Zeroizing::new([0; 32]);
    pbkdf2_hmac::<Sha256>(&prepare(password), salt, ITERATIONS, &mut *salted);
    let mac = HmacSha256::new(&*salted);
    let client_key = Zeroizing::new(mac.mac(b"Client Key"));
    let stored_key: [u8; 32] = Sha256::digest(*client_key).into();
    let server_key = mac.mac(b"Server Key");
    let text = |bytes: &[u8]| STANDARD.encode_to_string(bytes);
    format!("SCRAM-SHA-256${ITERATIONS}:{}${}:{}", text(salt), text(&stored_key), text(&server_key))
}

/// SASLprep (RFC 4013); what it forbids is taken as it is, as PostgreSQL does.
fn prepare(password: &[u8]) -> Zeroizing<Vec<u8>> {
    let text = std::str::from_utf8(password).ok();
    let prepared = text.and_then(|text| stringprep::saslprep(text).ok());
    Zeroizing::new(prepared.map_or_else(|| password.to_vec(), |text| text.as_bytes().to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The exchange of RFC 7677 section 3, whose proof and signature these keys make.
    #[test]
    fn the_verifier_is_that_of_rfc_7677() {
        let salt = STANDARD.decode_to_vec("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        assert_eq!(
            verifier(b"pencil", &salt),
            "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==\
             $WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
        );
    }

    #[test]
    fn a_password_is_prepared_as_the_server_does() {
        // The examples of RFC 4013 section 3, and what is none.
        for (password, expected) in [
            ("I\u{ad}X", "IX"),
            ("user", "user"),
            ("\u{aa}", "a"),
            ("\u{2168}", "IX"),
            ("\u{7}bell", "\u{7}bell"),
        ] {
            assert_eq!(*prepare(password.as_bytes()), expected.as_bytes());
        }
        assert_eq!(*prepare(&[0xff, 0xfe]), [0xff, 0xfe]);
    }
}
