//! The meaning of a name: that of the first row of the table that matches.

use super::name_table::{Meaning, NameRow, TABLE};

/// Returns the meaning of `name`; `None` if no row matches.
pub(super) fn meaning(name: &str) -> Option<Meaning> {
    let name = to_upper(name);
    let matching =
        |(patterns, _): &&NameRow| patterns.iter().any(|pattern| is_match(pattern, &name));
    TABLE.iter().find(matching).map(|(_, named)| *named)
}

/// `jwtSecret`, `jwt-secret` and `jwt_secret` as `JWT_SECRET`.
fn to_upper(name: &str) -> String {
    let mut text = String::with_capacity(name.len() + 4);
    let mut was_lower = false;
    for char in name.chars() {
        if char.is_ascii_uppercase() && was_lower {
            text.push('_');
        }
        was_lower = char.is_ascii_lowercase();
        text.push(if char == '-' || char == '.' { '_' } else { char.to_ascii_uppercase() });
    }
    text
}

/// Returns `true` if `name` is of `pattern`, in which `*` stands for any text.
fn is_match(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((start, rest)) => name.strip_prefix(start).is_some_and(|after| {
            let mut starts = (0..=after.len()).filter(|place| after.is_char_boundary(*place));
            starts.any(|place| is_match(rest, &after[place..]))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::purpose::Purpose::{self, Cookie, Credential, Envelope, Jwt, VerifyToken, Webhook};

    fn purpose(name: &str) -> Option<Purpose> {
        match meaning(name) {
            Some(Meaning::Secret { purpose, manual: None, .. }) => Some(purpose),
            _ => None,
        }
    }

    #[test]
    fn names_of_backends_have_their_purpose() {
        for (names, expected) in [
            (
                "JWT_SECRET JWT_KEY JWT_ACCESS_SECRET JWT_REFRESH_SECRET JWT_ACCESS_TOKEN_SECRET \
                 ACCESS_TOKEN_SECRET REFRESH_TOKEN_SECRET TOKEN_SECRET AUTH_JWT_SECRET \
                 JWT_SIGNING_KEY JWT_SECRET_KEY ADMIN_JWT_SECRET jwtSecret",
                Jwt,
            ),
            (
                "SESSION_SECRET EXPRESS_SESSION_SECRET COOKIE_SECRET NEXTAUTH_SECRET AUTH_SECRET \
                 SECRET_KEY_BASE SECRET_KEY DJANGO_SECRET_KEY HMAC_SECRET HMAC_KEY SIGNING_KEY",
                Cookie,
            ),
            (
                "META_APP_SECRET GITHUB_WEBHOOK_SECRET STRIPE_WEBHOOK_SECRET WEBHOOK_SECRET \
                 SLACK_SIGNING_SECRET",
                Webhook,
            ),
            ("META_VERIFY_TOKEN VERIFY_TOKEN WHATSAPP_VERIFY_TOKEN", VerifyToken),
            (
                "ENCRYPTION_KEY ENCRYPTION_SECRET DATA_ENCRYPTION_KEY FIELD_ENCRYPTION_KEY APP_KEY \
                 AES_KEY CRYPTO_KEY",
                Envelope,
            ),
            (
                "DATABASE_URL POSTGRES_URL POSTGRES_PRISMA_URL MONGODB_URI DB_PASSWORD PGPASSWORD \
                 REDIS_PASSWORD ANTHROPIC_API_KEY OPENAI_API_KEY RESEND_API_KEY SENTRY_DSN \
                 SLACK_WEBHOOK_URL GITHUB_TOKEN STRIPE_SECRET_KEY SENDGRID_API_KEY \
                 AWS_SECRET_ACCESS_KEY TWILIO_AUTH_TOKEN GOOGLE_CLIENT_SECRET SMTP_PASS \
                 supabase_service_role SUPABASE_SERVICE_ROLE_KEY meta_system_user \
                 TWITTER_ACCESS_TOKEN_SECRET CLERK_SECRET_KEY",
                Credential,
            ),
        ] {
            for name in names.split_whitespace() {
                assert_eq!(purpose(name), Some(expected), "{name}");
            }
        }
    }

    #[test]
    fn names_of_settings_are_none_of_secrets() {
        for name in [
            "PORT",
            "NODE_ENV",
            "LOG_LEVEL",
            "JWT_EXPIRES_IN",
            "JWT_ALGORITHM",
            "SESSION_TTL",
            "PASSWORD_MIN_LENGTH",
            "TOKEN_URL",
            "API_KEY_HEADER",
            "CORS_ORIGIN",
            "DB_HOST",
            "DB_USER",
        ] {
            assert_eq!(meaning(name), None, "{name}");
        }
        for name in [
            "NEXT_PUBLIC_API_KEY",
            "VITE_TOKEN",
            "REACT_APP_SECRET",
            "JWT_PUBLIC_KEY",
            "PUBLIC_KEY",
            "SENTRY_PUBLIC_DSN",
            "SUPABASE_ANON_KEY",
            "STRIPE_PUBLISHABLE_KEY",
            "RECAPTCHA_SITE_KEY",
            "AWS_ACCESS_KEY_ID",
            "GOOGLE_CLIENT_ID",
            "JWT_SECRET_FILE",
            "API_TOKEN_SALT",
            "APP_KEYS",
            "AWS_SECRET_NAME",
            "DUALKEY_WEBHOOK",
        ] {
            assert!(matches!(meaning(name), Some(Meaning::Out(_))), "{name}");
        }
        assert!(matches!(meaning("github_actions"), Some(Meaning::Secret { manual: Some(_), .. })));
    }
}
