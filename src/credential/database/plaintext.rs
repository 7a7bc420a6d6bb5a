//! A change of password in plaintext, for providers that take no verifier.

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection};
use zeroize::Zeroizing;

use super::error::DatabaseError;
use crate::secret::Secret;
use crate::sql::quote_identifier;

/// Turns off, until the end of the transaction, what would keep or show the text of a statement.
/// A setting that this role may not set, or that the server does not know, stays as it is.
const QUIET: &str = "DO $$
DECLARE setting text[];
BEGIN
  FOREACH setting SLICE 1 IN ARRAY ARRAY[
    ['log_statement', 'none'], ['log_min_duration_statement', '-1'],
    ['log_min_duration_sample', '-1'], ['log_duration', 'off'],
    ['log_min_error_statement', 'panic'], ['track_activities', 'off'],
    ['pg_stat_statements.track_utility', 'off'], ['pgaudit.log', 'none']]
  LOOP
    BEGIN
      PERFORM set_config(setting[1], setting[2], true);
    EXCEPTION WHEN OTHERS THEN NULL;
    END;
  END LOOP;
END $$";

/// Sets the password of `role` as [`change_password`](super::change_password) does, but sends the
/// password itself: for providers that take no verifier. Neon refuses one ("Neon only supports
/// being given plaintext passwords").
///
/// # Security
/// **The server sees the password**, and so may whoever reads what it keeps of its statements: its
/// log (`log_statement`, `log_min_duration_statement`), `pg_stat_activity`, `pg_stat_statements`,
/// an audit extension, the provider's own records. Connect over TLS.
///
/// For this one statement the function turns off the logging of PostgreSQL, `pg_stat_activity`,
/// `pg_stat_statements` and `pgaudit`, as far as the role may: a superuser may, and a role with
/// `GRANT SET ON PARAMETER`. No other role may, and of it the text of the statement is logged if the
/// server logs such statements. A transaction that `log_transaction_sample_rate` has chosen is logged
/// whatever the role may. `sqlx`, which logs statements at `DEBUG` and slow ones at `WARN`,
/// does not log this one.
///
/// It runs in a transaction. If the future is dropped before it ends, close the connection.
///
/// ```no_run
/// use dualkey::Secret;
/// use dualkey::credential::database::change_password_plaintext;
/// use sqlx::Connection;
///
/// # async fn rotate(url: &str, new: &Secret) -> Result<(), Box<dyn std::error::Error>> {
/// let mut connection = sqlx::PgConnection::connect(url).await?;
/// change_password_plaintext(&mut connection, "app_b", new).await?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`DatabaseError::Password`] for a password that is empty, no UTF-8, holds a NUL, or has the form
/// of a verifier, which the server would store as one; [`DatabaseError::Sqlx`], as if the user may
/// not, or where `connection` is in a transaction already.
pub async fn change_password_plaintext(
    connection: &mut PgConnection,
    role: &str,
    password: &Secret,
) -> Result<(), DatabaseError> {
    let wrong = |problem| DatabaseError::Password { role: role.to_owned(), problem };
    if role.contains('\0') {
        return Err(wrong("its name holds a NUL"));
    }
    let literal = literal(password.expose()).map_err(wrong)?;
    let statement = format!("ALTER ROLE {} PASSWORD {}", quote_identifier(role), literal.as_str());
    if connection.is_in_transaction() {
        return Err(sqlx::Error::BeginFailed.into());
    }
    sqlx::raw_sql("BEGIN").execute(&mut *connection).await?;
    let changed = match sqlx::raw_sql(QUIET).execute(&mut *connection).await {
        // A transaction that is begun with a statement of its own is the one way to send a
        // statement that `sqlx` does not log.
        Ok(_) => match connection.begin_with(AssertSqlSafe(statement)).await {
            Ok(transaction) => transaction.commit().await,
            Err(error) => Err(error),
        },
        Err(error) => Err(error),
    };
    if changed.is_err() {
        let _ = sqlx::raw_sql("ROLLBACK").execute(&mut *connection).await;
    }
    Ok(changed?)
}

/// `password` as a literal of SQL, which reads the same whatever `standard_conforming_strings` is.
fn literal(password: &[u8]) -> Result<Zeroizing<String>, &'static str> {
    let text = std::str::from_utf8(password).map_err(|_| "it is not UTF-8; choose another")?;
    if text.is_empty() {
        return Err("it is empty, which PostgreSQL takes for no password; choose another");
    }
    if text.contains('\0') {
        return Err("it holds a NUL, which PostgreSQL cannot read; choose another");
    }
    if is_verifier(text) {
        return Err("it has the form of a verifier, which PostgreSQL would store as one; choose \
                    another");
    }
    // With its room from the start: growing would leave parts behind.
    let mut quoted = Zeroizing::new(String::with_capacity(2 * text.len() + 3));
    // Deliberately not `'…'` without a backslash in it alone: `E'…'` has one meaning everywhere.
    quoted.push_str("E'");
    for letter in text.chars() {
        if matches!(letter, '\'' | '\\') {
            quoted.push(letter);
        }
        quoted.push(letter);
    }
    quoted.push('\'');
    Ok(quoted)
}

/// Returns `true` if the server takes `text` for an MD5 or SCRAM verifier.
fn is_verifier(text: &str) -> bool {
    let is_md5 = text.strip_prefix("md5").is_some_and(|digits| {
        digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
    });
    is_md5 || text.starts_with("SCRAM-SHA-256$")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_literal_is_quoted_and_odd_passwords_are_refused() {
        for (password, expected) in [
            ("plain", "E'plain'"),
            ("it's", "E'it''s'"),
            (r"back\slash", r"E'back\\slash'"),
            (r"\'; DROP ROLE app; --", r"E'\\''; DROP ROLE app; --'"),
            ("md5", "E'md5'"),
            ("Straße €", "E'Straße €'"),
        ] {
            assert_eq!(literal(password.as_bytes()).unwrap().as_str(), expected);
        }
        let md5 = format!("md5{}", "0f".repeat(16));
        for password in [&b""[..], b"a\0b", &[0xff, 0xfe], md5.as_bytes(), b"SCRAM-SHA-256$4096:x"]
        {
            assert!(literal(password).is_err());
        }
    }
}
