//! Errors of a connection that refuse the credential, and no other error.
//!
//! PostgreSQL names the routine that raised an error. SQLSTATE 28P01 is a wrong password. SQLSTATE
//! 28000 has several causes, and the routine is the only sign of the cause that no setting
//! translates:
//!
//! | routine | cause | refusal |
//! |---|---|---|
//! | `InitializeSessionUserId` | the role does not exist, or may not log in | yes |
//! | `ClientAuthentication` | `pg_hba.conf` has no entry for this host, or rejects it | no |
//! | `auth_failed` | ident, peer, certificate, GSSAPI, PAM, LDAP, RADIUS | no |
//!
//! `auth_failed` covers methods that show no password, and directories that may be down, so it is
//! never a refusal. With passwords of PostgreSQL itself it raises 28P01.
//!
//! Poolers and proxies name no routine. Their texts are not translated, so a text decides: see
//! [`TEXTS`].

use sqlx::postgres::PgDatabaseError;

/// A text with which a pooler or proxy refuses a credential.
struct Text {
    /// The SQLSTATE that comes with it; any, where no document names one.
    code: Option<&'static str>,
    start: &'static str,
    end: &'static str,
}

const fn text(code: &'static str, start: &'static str, end: &'static str) -> Text {
    Text { code: Some(code), start, end }
}

/// Every text that refuses a credential, without 28P01, which always does (pgcat, Supavisor,
/// Odyssey without SCRAM, PgBouncer since 1.21 for an error of the server).
///
/// PgBouncer (1.18 to 1.25) sends 08P01 for whatever it says itself. These texts of its are no
/// refusals, because another credential would meet the same: `no such database`, `database … is
/// disabled`, `unsupported startup parameter`, `no more connections allowed (max_client_conn)`,
/// `client connections exceeded`, `query_wait_timeout`, `query_timeout`, `client_idle_timeout`,
/// `client_login_timeout`, `server login has been failing …` (even with the password error of the
/// server inside: it is a cached error of an earlier connection), `server login failed: …` (the
/// password that PgBouncer itself holds has another form than the server asks for), `pause failed`,
/// `pooler is shutting down`, `server shutting down`, `SSL required`, `login rejected` (its
/// `pg_hba.conf`), `unix socket login rejected`, `certificate authentication failed`, and `PAM` or
/// `LDAP authentication failed` (the directory may be down).
const TEXTS: [Text; 13] = [
    // PgBouncer: the password differs from the one that it holds.
    text("08P01", "password authentication failed", ""),
    text("08P01", "SASL authentication failed", ""),
    // PgBouncer: the credential has no password.
    text("08P01", "empty password returned by client", ""),
    // PgBouncer: the role is neither in its file nor in the answer of `auth_query`.
    text("08P01", "no such user", ""),
    text("08P01", "\"trust\" authentication failed", ""),
    // PostgreSQL's own words, which PgBouncer passes on with 08P01 (until 1.20) or with their code.
    text("08P01", "role \"", "\" is not permitted to log in"),
    text("08P01", "role \"", "\" does not exist"),
    text("28000", "role \"", "\" is not permitted to log in"),
    text("28000", "role \"", "\" does not exist"),
    // Odyssey, with SCRAM: `odyssey: c5e3a9b2: password authentication failed`.
    text("28000", "odyssey: ", ": password authentication failed"),
    // Neon's proxy, whose own errors all have this code.
    text("XX000", "password authentication failed for user '", "'"),
    // RDS Proxy.
    Text { code: None, start: "The password that was provided for the role ", end: " is wrong." },
    Text { code: None, start: "This RDS proxy has no credentials for the role ", end: "" },
];

/// Returns whether the server, or a pooler before it, refused the credential.
pub(super) fn is_refusal(error: &sqlx::Error) -> bool {
    let Some(error) = error.as_database_error() else { return false };
    error
        .try_downcast_ref::<PgDatabaseError>()
        .is_some_and(|error| is_refusal_with(error.code(), error.routine(), error.message()))
}

fn is_refusal_with(code: &str, routine: Option<&str>, message: &str) -> bool {
    match (code, routine) {
        ("28P01", _) => true,
        ("28000", Some(routine)) => routine == "InitializeSessionUserId",
        (_, Some(_)) => false,
        (code, None) => TEXTS.iter().any(|text| text.is_of(code, message)),
    }
}

impl Text {
    fn is_of(&self, code: &str, message: &str) -> bool {
        self.code.is_none_or(|known| known == code)
            && message.strip_prefix(self.start).is_some_and(|rest| rest.ends_with(self.end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_of_the_credential() {
        for (code, routine, message) in [
            (
                "28P01",
                Some("auth_failed"),
                "Passwort-Authentifizierung für Benutzer »app« fehlgeschlagen",
            ),
            ("28P01", None, "password authentication failed for user \"app\""),
            ("28P01", None, "incorrect password"),
            ("28000", Some("InitializeSessionUserId"), "Rolle »app« existiert nicht"),
            ("28000", None, "role \"app\" does not exist"),
            ("28000", None, "role \"app\" is not permitted to log in"),
            ("28000", None, "odyssey: c5e3a9b2: password authentication failed"),
            ("08P01", None, "password authentication failed"),
            ("08P01", None, "password authentication failed for user \"app\""),
            ("08P01", None, "SASL authentication failed"),
            ("08P01", None, "no such user"),
            ("08P01", None, "no such user: app"),
            ("08P01", None, "empty password returned by client"),
            ("08P01", None, "\"trust\" authentication failed"),
            ("08P01", None, "role \"app\" is not permitted to log in"),
            ("08P01", None, "role \"app\" does not exist"),
            ("XX000", None, "password authentication failed for user 'app'"),
            (
                "28000",
                None,
                "This RDS proxy has no credentials for the role app. Check the credentials for this role and try again.",
            ),
            ("28P01", None, "The password that was provided for the role app is wrong."),
        ] {
            assert!(is_refusal_with(code, routine, message), "{code} {routine:?} {message}");
        }
    }

    /// Every other text that PgBouncer 1.18 and 1.25 send to a client that connects, and what
    /// others say of the host, the directory or the database.
    #[test]
    fn what_is_not_of_the_credential_is_no_refusal() {
        for text in [
            "no pg_hba.conf entry for host \"10.0.0.1\", user \"app\", database \"app\", no encryption",
            "no such database: app",
            "database \"app\" is disabled",
            "database \"app\" does not exist",
            "unsupported startup parameter: extra_float_digits",
            "unsupported startup parameter in options: search_path",
            "no more connections allowed (max_client_conn)",
            "client connections exceeded (max_db_client_connections)",
            "client connections exceeded (max_user_client_connections)",
            "sorry, too many clients already",
            "query_wait_timeout",
            "query_timeout",
            "client_idle_timeout",
            "client_login_timeout",
            "client_login_timeout (server down)",
            "server login has been failing, try again later (server_login_retry)",
            "server login has been failing, cached error: password authentication failed for user \"app\" (server_login_retry)",
            "server login failed: wrong password type",
            "server login failed: invalid server signature",
            "server login failed: none of the server's SASL authentication mechanisms are supported",
            "server shutting down",
            "pooler is shutting down",
            "admin forced disconnect",
            "pause failed",
            "login rejected",
            "unix socket login rejected",
            "certificate authentication failed",
            "PAM authentication failed",
            "LDAP authentication failed",
            "client selected an invalid SASL authentication mechanism",
            "SSL required",
            "bouncer config error",
            "bouncer resources exhaustion",
            "the database system is starting up",
        ] {
            for code in ["08P01", "28000", "XX000", "57P03"] {
                assert!(!is_refusal_with(code, None, text), "{code} {text}");
            }
        }
        for (code, routine, message) in [
            ("28000", Some("ClientAuthentication"), "kein pg_hba.conf-Eintrag für Host »10.0.0.1«"),
            ("28000", Some("auth_failed"), "Ident authentication failed for user \"app\""),
            ("28000", Some("auth_failed"), "PAM authentication failed for user \"app\""),
            ("53300", Some("InitializeSessionUserId"), "too many connections for role \"app\""),
            // A statement of the server itself: it has a routine.
            ("42704", Some("get_role_oid"), "role \"app\" does not exist"),
            ("08P01", Some("ProcessStartupPacket"), "no such user"),
            ("XX000", None, "Tenant or user not found"),
            ("XX000", None, "(ENOTFOUND) tenant/user app.project not found"),
            ("28000", None, "odyssey: c5e3a9b2: failed to make auth query"),
        ] {
            assert!(!is_refusal_with(code, routine, message), "{code} {routine:?} {message}");
        }
    }
}
