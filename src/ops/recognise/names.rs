//! The table of names, which gives each variable its meaning. The first row that matches counts.

use super::Priority::{self, Critical, Service, Standard};
use crate::purpose::Purpose::{self, Cookie, Credential, Envelope, Jwt, VerifyToken, Webhook};

/// The meaning of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Named {
    /// No secret, whatever the value is; with the reason.
    Out(&'static str),
    /// A secret.
    Secret {
        purpose: Purpose,
        priority: Priority,
        /// The schedule, as the inventory writes it.
        rotate: &'static str,
        wants: Wants,
        /// The place where it is rotated, if that is beyond the reach of this crate.
        manual: Option<&'static str>,
    },
}

/// The condition on a value beside the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wants {
    /// The name is enough.
    Anything,
    /// No switch, number, path or URL without a password.
    Secretive,
    /// It must look random: the name alone says little.
    Random,
    /// A URL or another connection string with a password in it.
    Password,
    /// A URL that is a capability.
    Hook,
}

type Row = (&'static [&'static str], Named);

const fn row(
    names: &'static [&'static str],
    purpose: Purpose,
    priority: Priority,
    rotate: &'static str,
    wants: Wants,
) -> Row {
    (names, Named::Secret { purpose, priority, rotate, wants, manual: None })
}

const fn manual(names: &'static [&'static str], rotate: &'static str, place: &'static str) -> Row {
    let (purpose, wants, priority) = (Credential, Wants::Anything, Service);
    (names, Named::Secret { purpose, priority, rotate, wants, manual: Some(place) })
}

const PUBLISHED: &str = "it is published, by its name";

/// The rows, in their order; `*` stands for any text.
const TABLE: &[Row] = &[
    (&["DUALKEY_*"], Named::Out("it is a setting of dualkey itself")),
    (
        &[
            "NEXT_PUBLIC_*",
            "NUXT_PUBLIC_*",
            "VITE_*",
            "REACT_APP_*",
            "EXPO_PUBLIC_*",
            "GATSBY_*",
            "PUBLIC_*",
            "VUE_APP_*",
            "NG_APP_*",
            "STORYBOOK_*",
            "*_PUBLIC_KEY",
            "*_PUBLIC",
            "*_PUBLIC_*",
            "*PUBLISHABLE*",
            "*_ANON_KEY",
            "*_SITE_KEY",
            "*_SITEKEY",
            "*_SITE_VERIFICATION*",
        ],
        Named::Out(PUBLISHED),
    ),
    (&["*_ID", "*_ARN", "*_NAME", "*_USER_NAME", "*_USERNAME"], Named::Out("it is an identifier")),
    (&["*_FILE", "*_PATH", "*_DIR"], Named::Out("it names a file: rotate the secret there")),
    (
        &["*_SALT", "*_PEPPER", "SALT", "PEPPER"],
        Named::Out(
            "it is a salt or a pepper: what was made with it cannot be checked under another",
        ),
    ),
    (&["*_KEYS"], Named::Out("it is a list, and dualkey rotates variables with one secret")),
    (&["PWD", "OLDPWD"], Named::Out("it is a folder")),
    // Service accounts, and what is beyond the reach of a file beside the inventory.
    manual(
        &["GITHUB_ACTIONS", "GITHUB_ACTIONS_*"],
        "semi-annual",
        "the settings of the repository, GitHub Actions",
    ),
    manual(&["*DEPLOY_KEY"], "semi-annual", "the settings of the repository"),
    manual(
        &["GOOGLE_SERVICE_ACCOUNT*", "GCP_SERVICE_ACCOUNT*", "FIREBASE_SERVICE_ACCOUNT*"],
        "90 days",
        "the console of Google Cloud, IAM",
    ),
    manual(&["BACKUP_SERVICE_ACCOUNT"], "annual", "the host of the backups"),
    manual(&["SUPABASE_JWT_SECRET"], "annual", "the dashboard of Supabase"),
    row(
        &[
            "*SERVICE_ROLE",
            "*SERVICE_ROLE_KEY",
            "*SERVICE_ROLE_TOKEN",
            "*SERVICE_ROLE_SECRET",
            "SUPABASE_SERVICE_KEY",
            "SUPABASE_SECRET_KEY",
            "*SYSTEM_USER",
            "*SYSTEM_USER_TOKEN",
            "*SYSTEM_USER_ACCESS_TOKEN",
        ],
        Credential,
        Service,
        "90 days",
        Wants::Anything,
    ),
    // Deliveries that others sign.
    row(
        &[
            "META_APP_SECRET",
            "FACEBOOK_APP_SECRET",
            "FB_APP_SECRET",
            "INSTAGRAM_APP_SECRET",
            "WHATSAPP_APP_SECRET",
        ],
        Webhook,
        Critical,
        "quarterly",
        Wants::Anything,
    ),
    row(
        &[
            "*HOOK_SECRET",
            "*HOOK_SECRET_KEY",
            "*HOOK_SIGNING_SECRET",
            "*HOOK_SIGNING_KEY",
            "*HOOK_KEY",
            "*HOOK_HMAC_SECRET",
            "*HOOK_HMAC_KEY",
            "SLACK_SIGNING_SECRET",
            "STRIPE_SIGNING_SECRET",
            "STRIPE_ENDPOINT_SECRET",
            "SVIX_SECRET",
            "SVIX_SIGNING_SECRET",
        ],
        Webhook,
        Standard,
        "semi-annual",
        Wants::Secretive,
    ),
    row(
        &["VERIFY_TOKEN", "*_VERIFY_TOKEN"],
        VerifyToken,
        Standard,
        "semi-annual",
        Wants::Secretive,
    ),
    // Data at rest.
    row(
        &[
            "*ENCRYPTION_KEY",
            "*ENCRYPTION_SECRET",
            "*ENCRYPTION_SECRET_KEY",
            "*ENCRYPT_KEY",
            "*ENCRYPT_SECRET",
            "ENC_KEY",
            "*_ENC_KEY",
            "*CRYPTO_KEY",
            "*CRYPTO_SECRET",
            "*CIPHER_KEY",
            "*CIPHER_SECRET",
            "AES_KEY",
            "*_AES_KEY",
            "AES_SECRET",
            "AES_SECRET_KEY",
            "MASTER_KEY",
            "*_MASTER_KEY",
            "APP_KEY",
            "KEK",
            "*_KEK",
            "*DATA_KEY",
            "*FIELD_KEY",
            "*AES_256_KEY",
            "*AES256_KEY",
        ],
        Envelope,
        Critical,
        "annual",
        Wants::Anything,
    ),
    // Tokens. Those of OAuth 1 are credentials of a provider.
    row(
        &[
            "TWITTER_*_TOKEN_SECRET",
            "X_ACCESS_TOKEN_SECRET",
            "TUMBLR_*_TOKEN_SECRET",
            "ETSY_*_TOKEN_SECRET",
            "*OAUTH_TOKEN_SECRET",
        ],
        Credential,
        Standard,
        "semi-annual",
        Wants::Secretive,
    ),
    row(
        &[
            "JWT",
            "*JWT_SECRET",
            "*JWT_KEY",
            "*JWT_*SECRET",
            "*JWT_*_KEY",
            "*JWTSECRET",
            "*JWT_*_SECRET_KEY",
            "SECRET_JWT",
            "JWT_PASSWORD",
            "JWT_PASSPHRASE",
            "*ACCESS_TOKEN_SECRET*",
            "*REFRESH_TOKEN_SECRET*",
            "TOKEN_SECRET",
            "TOKEN_SECRET_KEY",
            "TOKEN_KEY",
            "*TOKEN_SIGNING_KEY",
            "*TOKEN_SIGNING_SECRET",
            "AUTH_TOKEN_SECRET",
            "APP_TOKEN_SECRET",
            "USER_TOKEN_SECRET",
            "ADMIN_TOKEN_SECRET",
            "RESET_TOKEN_SECRET",
            "EMAIL_TOKEN_SECRET",
            "*VERIFICATION_TOKEN_SECRET",
            "ID_TOKEN_SECRET",
            "ACCESS_SECRET",
            "REFRESH_SECRET",
            "ACCESS_TOKEN_KEY",
            "REFRESH_TOKEN_KEY",
            "SECRET_TOKEN",
        ],
        Jwt,
        Critical,
        "quarterly",
        Wants::Secretive,
    ),
    // Sessions, and what else a framework or an HMAC of this backend signs.
    row(
        &[
            "*SESSION_SECRET",
            "*SESSION_SECRET_KEY",
            "*SESSION_KEY",
            "*SESSION_PASSWORD",
            "*SESSION_SIGNING_KEY",
            "*COOKIE_SECRET",
            "*COOKIE_SECRET_KEY",
            "*COOKIE_KEY",
            "*COOKIE_PASSWORD",
            "*COOKIE_SIGNING_KEY",
            "NEXTAUTH_SECRET",
            "NEXT_AUTH_SECRET",
            "AUTHJS_SECRET",
            "AUTH_SECRET",
            "AUTH_SECRET_KEY",
            "BETTER_AUTH_SECRET",
            "*SECRET_KEY_BASE",
            "SECRET_KEY",
            "DJANGO_SECRET_KEY",
            "DJANGO_SECRET",
            "FLASK_SECRET_KEY",
            "FLASK_SECRET",
            "APP_SECRET",
            "APP_SECRET_KEY",
            "EXPRESS_SECRET",
            "SERVER_SECRET",
            "SECRET",
            "CSRF_SECRET",
            "*_CSRF_SECRET",
            "*CSRF_KEY",
        ],
        Cookie,
        Critical,
        "quarterly",
        Wants::Secretive,
    ),
    row(
        &[
            "HMAC_SECRET",
            "HMAC_KEY",
            "HMAC_SECRET_KEY",
            "*_HMAC_SECRET",
            "*_HMAC_KEY",
            "*_HMAC_SECRET_KEY",
            "HMAC",
            "SIGNING_SECRET",
            "SIGNING_KEY",
            "URL_SIGNING_*",
            "SIGNATURE_SECRET",
            "SIGNATURE_KEY",
            "HASH_SECRET",
            "HASH_KEY",
            "LINK_SECRET",
        ],
        Cookie,
        Standard,
        "semi-annual",
        Wants::Secretive,
    ),
    // Databases.
    row(
        &[
            "*DATABASE_URL*",
            "*DATABASE_URI*",
            "*DATABASE_DSN*",
            "*POSTGRES*_URL*",
            "*POSTGRES*_URI*",
            "*POSTGRES*_DSN*",
            "PG_URL*",
            "*MYSQL*_URL*",
            "*MYSQL*_URI*",
            "*MARIADB*_URL*",
            "*MONGO*_UR*",
            "DB_URL*",
            "DB_URI*",
            "DB_DSN*",
            "DIRECT_URL",
            "*SQL*_URL*",
            "DATABASE_CONNECTION*",
            "*DB_CONNECTION_STRING",
            "*DATABASE_CONNECTION_STRING",
        ],
        Credential,
        Critical,
        "quarterly",
        Wants::Password,
    ),
    row(
        &[
            "*DB_PASSWORD",
            "*DB_PASS",
            "*DB_PASSWD",
            "*DB_PWD",
            "*DATABASE_PASSWORD",
            "*DATABASE_PASS",
            "*POSTGRES_PASSWORD",
            "*POSTGRESQL_PASSWORD",
            "PGPASSWORD",
            "*PG_PASSWORD",
            "*MYSQL_PASSWORD",
            "*MYSQL_ROOT_PASSWORD",
            "*MARIADB_PASSWORD",
            "*MARIADB_ROOT_PASSWORD",
            "*MONGO*_PASSWORD",
        ],
        Credential,
        Critical,
        "quarterly",
        Wants::Anything,
    ),
    // Providers.
    row(
        &[
            "ANTHROPIC_API_KEY",
            "STRIPE_SECRET_KEY",
            "STRIPE_API_KEY",
            "STRIPE_SECRET",
            "AWS_SECRET_ACCESS_KEY",
            "AWS_SECRET_KEY",
            "AWS_SECRET",
        ],
        Credential,
        Critical,
        "quarterly",
        Wants::Secretive,
    ),
    row(
        &["S3_SECRET_ACCESS_KEY", "*_SECRET_ACCESS_KEY"],
        Credential,
        Standard,
        "90 days",
        Wants::Secretive,
    ),
    row(&["SENTRY_AUTH_TOKEN", "*SENTRY_DSN"], Credential, Standard, "annual", Wants::Secretive),
    row(
        &[
            "SLACK_WEBHOOK*",
            "SLACK_HOOK*",
            "DISCORD_WEBHOOK*",
            "TEAMS_WEBHOOK*",
            "*HOOK_URL",
            "*HOOK_URI",
            "*HOOK",
        ],
        Credential,
        Standard,
        "semi-annual",
        Wants::Hook,
    ),
    row(
        &["*PASSWORD", "*PASSWD", "*PASSPHRASE", "*_PASS", "PASS", "*_PWD"],
        Credential,
        Standard,
        "semi-annual",
        Wants::Anything,
    ),
    row(
        &[
            "*API_KEY",
            "*APIKEY",
            "*API_SECRET",
            "*API_SECRET_KEY",
            "*API_TOKEN",
            "*CLIENT_SECRET",
            "*ACCESS_TOKEN",
            "*AUTH_TOKEN",
            "*BOT_TOKEN",
            "*_TOKEN",
            "TOKEN",
            "*SECRET_KEY",
            "*_SECRET",
            "*ACCESS_KEY",
            "*AUTH_KEY",
            "*PRIVATE_KEY",
            "*ACCOUNT_KEY",
            "*LICENSE_KEY",
            "*_DSN",
            "*CONNECTION_STRING",
            "*CREDENTIAL",
            "*CREDENTIALS",
            "*SECRET_VALUE",
        ],
        Credential,
        Standard,
        "semi-annual",
        Wants::Secretive,
    ),
    row(
        &["*_KEY", "KEY", "*SECRET*", "*_APP_PWD"],
        Credential,
        Standard,
        "semi-annual",
        Wants::Random,
    ),
];

/// Returns the meaning of `name`; `None` if no row matches.
pub(super) fn of(name: &str) -> Option<Named> {
    let name = upper(name);
    let matching = |(patterns, _): &&Row| patterns.iter().any(|own| matches(own, &name));
    TABLE.iter().find(matching).map(|(_, named)| *named)
}

/// `jwtSecret`, `jwt-secret` and `jwt_secret` as `JWT_SECRET`.
fn upper(name: &str) -> String {
    let mut text = String::with_capacity(name.len() + 4);
    let mut was_lower = false;
    for own in name.chars() {
        if own.is_ascii_uppercase() && was_lower {
            text.push('_');
        }
        was_lower = own.is_ascii_lowercase();
        text.push(if own == '-' || own == '.' { '_' } else { own.to_ascii_uppercase() });
    }
    text
}

/// Returns `true` if `name` is of `pattern`, in which `*` stands for any text.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((start, rest)) => name.strip_prefix(start).is_some_and(|after| {
            let mut starts = (0..=after.len()).filter(|place| after.is_char_boundary(*place));
            starts.any(|place| matches(rest, &after[place..]))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn purpose(name: &str) -> Option<Purpose> {
        match of(name) {
            Some(Named::Secret { purpose, manual: None, .. }) => Some(purpose),
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
            assert_eq!(of(name), None, "{name}");
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
            assert!(matches!(of(name), Some(Named::Out(_))), "{name}");
        }
        assert!(matches!(of("github_actions"), Some(Named::Secret { manual: Some(_), .. })));
    }
}
