//! The shape of a value: what it is, beyond the name of its variable. Nothing of it is shown.

use crate::encoding::from_base64;

/// Returns what a key of an asymmetric algorithm is, also in base64.
pub(super) fn asymmetric(value: &str) -> Option<&'static str> {
    let decoded;
    let text = match value.trim().strip_prefix("LS0tLS1") {
        // `-----` in base64.
        Some(_) => {
            decoded = from_base64(value.trim()).unwrap_or_default();
            std::str::from_utf8(&decoded).unwrap_or("-----BEGIN PRIVATE KEY")
        }
        None => value.trim(),
    };
    if text.starts_with("-----BEGIN") {
        let head =
            text.split('\n').next().unwrap_or_default().split("\\n").next().unwrap_or_default();
        return Some(if head.contains("PRIVATE KEY") {
            "it is the private key of an asymmetric algorithm: rotate it with the public key that \
             others verify with"
        } else {
            "it is a public key or a certificate, and no secret"
        });
    }
    if ["ssh-rsa ", "ssh-ed25519 ", "ecdsa-sha2-"].iter().any(|start| text.starts_with(start)) {
        return Some("it is a public key, and no secret");
    }
    let is_jwk = text.starts_with('{') && text.contains("\"kty\"");
    is_jwk.then_some("it is a JSON Web Key: rotate it with the key that others verify with")
}

/// Returns `true` if `value` is made to be published.
pub(super) fn is_publishable(value: &str) -> bool {
    let starts = ["pk_live_", "pk_test_", "pk.eyJ", "sb_publishable_", "rk_pub_"];
    starts.iter().any(|start| value.starts_with(start))
}

/// Returns `true` for a value as an example has it: `sk-...`.
pub(super) fn is_abbreviated(value: &str) -> bool {
    value.len() < 20 && (value.ends_with("...") || value.ends_with('…'))
}

/// Returns `true` if the prefix of `value` is that of a provider's secrets.
pub(super) fn has_known_prefix(value: &str) -> bool {
    const PREFIXES: [&str; 47] = [
        "sk-ant-",
        "sk-proj-",
        "sk-",
        "sk_live_",
        "sk_test_",
        "rk_live_",
        "rk_test_",
        "whsec_",
        "ghp_",
        "gho_",
        "ghu_",
        "ghs_",
        "ghr_",
        "github_pat_",
        "glpat-",
        "gldt-",
        "xoxb-",
        "xoxp-",
        "xoxa-",
        "xoxs-",
        "xapp-",
        "re_",
        "SG.",
        "key-",
        "npm_",
        "pypi-",
        "dckr_pat_",
        "hf_",
        "r8_",
        "gsk_",
        "xai-",
        "sntrys_",
        "sntryu_",
        "shpat_",
        "shpss_",
        "sbp_",
        "sb_secret_",
        "dop_v1_",
        "lin_api_",
        "secret_",
        "ntn_",
        "PMAK-",
        "NRAK-",
        "figd_",
        "pscale_pw_",
        "AIza",
        "EAA",
    ];
    value.len() >= 20
        && value.bytes().all(|byte| byte.is_ascii_graphic())
        && PREFIXES.iter().any(|prefix| value.starts_with(prefix))
}

/// The part of a URL between `//` and the path, if `value` is one.
fn authority(value: &str) -> Option<&str> {
    let (scheme, rest) = value.split_once("://")?;
    let is_scheme = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.:".contains(&byte);
    (!scheme.is_empty() && scheme.bytes().all(is_scheme))
        .then(|| rest.split(['/', '?', '#']).next().unwrap_or_default())
}

/// The names of parameters that hold a password.
const PASSWORDS: [&str; 12] = [
    "password=",
    "passwd=",
    "pwd=",
    "sslpassword=",
    "accountkey=",
    "sharedaccesskey=",
    "authtoken=",
    "auth_token=",
    "access_token=",
    "token=",
    "apikey=",
    "api_key=",
];

/// Returns `true` if `value` tells how something is connected to, with a password in it.
pub(super) fn has_password(value: &str) -> bool {
    let lower = value.to_lowercase();
    // The last one: a password may hold an unescaped `@`, and `/` after it.
    let userinfo = value.split_once("://").and_then(|(_, rest)| rest.rsplit_once('@'));
    let has_password = authority(value).is_some()
        && userinfo.is_some_and(|(login, _)| {
            login.split_once(':').is_some_and(|(user, password)| {
                // `host:8080/path@x` has no user.
                let port = password.trim_start_matches(|char: char| char.is_ascii_digit());
                let is_port = port.len() < password.len() && port.starts_with('/');
                !password.is_empty() && !user.contains(['/', '?']) && !is_port
            })
        });
    let is_start = |place: usize| {
        lower[..place].chars().next_back().is_none_or(|char| "?&; ,{".contains(char) || char == '"')
    };
    let has_parameter = (authority(value).is_some() || value.matches('=').count() > 1)
        && PASSWORDS.iter().any(|name| {
            lower.match_indices(name).any(|(place, _)| {
                let rest = &lower[place + name.len()..];
                is_start(place) && !rest.is_empty() && !rest.starts_with(['&', ';', ' '])
            })
        });
    let is_json = value.trim_start().starts_with('{') && lower.contains("\"password\"");
    has_password || has_parameter || is_json
}

/// Returns `true` for a URL of a database that keeps the data of a backend.
pub(super) fn is_of_database(value: &str) -> bool {
    const SCHEMES: [&str; 14] = [
        "postgres",
        "postgresql",
        "cockroachdb",
        "mysql",
        "mysql2",
        "mariadb",
        "mongodb",
        "mssql",
        "sqlserver",
        "oracle",
        "libsql",
        "jdbc",
        "prisma",
        "clickhouse",
    ];
    let scheme = value.split([':', '+']).next().unwrap_or_default().to_lowercase();
    SCHEMES.contains(&scheme.as_str())
}

/// Returns `true` for a URL that is a capability: everyone who knows it may post to it.
pub(super) fn is_hook(value: &str, is_named_so: bool) -> bool {
    const HOSTS: [&str; 10] = [
        "hooks.slack.com",
        "discord.com",
        "discordapp.com",
        "outlook.office.com",
        "webhook.office.com",
        "hooks.zapier.com",
        "chat.googleapis.com",
        "logic.azure.com",
        "maker.ifttt.com",
        "make.com",
    ];
    let Some(host) = authority(value) else { return false };
    let host = host.rsplit('@').next().unwrap_or(host).split(':').next().unwrap_or_default();
    let is_known = HOSTS.iter().any(|known| host == *known || host.ends_with(&format!(".{known}")));
    let path = value
        .split_once("://")
        .and_then(|(_, rest)| rest.split_once('/'))
        .map_or("", |(_, path)| path);
    let is_capability = path.split(['/', '?', '&', '=']).any(is_random);
    (is_known && path.len() > 8) || (is_named_so && is_capability)
}

/// Returns `true` if `value` is a URL, of whatever kind.
pub(super) fn is_url(value: &str) -> bool {
    authority(value).is_some() || value.starts_with("file:") || value.starts_with("mailto:")
}

/// Returns `true` if `value` looks as if a generator had made it.
pub(super) fn is_random(value: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"-_+/=.".contains(&byte);
    let has = |is: fn(&u8) -> bool| value.bytes().any(|byte| is(&byte));
    let digits = value.bytes().filter(u8::is_ascii_digit).count();
    value.len() >= 16
        && value.bytes().all(is_part)
        && has(u8::is_ascii_digit)
        && has(u8::is_ascii_alphabetic)
        && digits >= 2
        && !value.contains("://")
        && value.matches(['-', '_', '.', '/']).count() * 8 <= value.len()
}

/// Returns why a value is not that of a secret, whatever the name says.
pub(super) fn plain(value: &str) -> Option<&'static str> {
    let lower = value.to_lowercase();
    const SWITCHES: [&str; 8] = ["true", "false", "yes", "no", "on", "off", "enabled", "disabled"];
    if SWITCHES.contains(&lower.as_str()) {
        return Some("its value is a switch");
    }
    if value.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') && value.len() < 12 {
        return Some("its value is a number");
    }
    let unit = lower.trim_start_matches(|char: char| char.is_ascii_digit());
    let units = ["ms", "s", "m", "h", "d", "w", "y", " days", " hours", " minutes"];
    if unit.len() < lower.len() && units.contains(&unit) {
        return Some("its value is a length of time");
    }
    if is_path(value) {
        return Some("it names a file: rotate the secret there");
    }
    None
}

fn is_path(value: &str) -> bool {
    let is_led = value.starts_with("./") || value.starts_with("../") || value.starts_with("~/");
    // Base64 may begin with `/`, and has no ending.
    let is_absolute = value.starts_with('/') && value[1..].contains('/') && value.len() < 200;
    let ends = [".pem", ".key", ".json", ".txt", ".p12", ".crt"];
    is_led
        || ends.iter().any(|end| value.ends_with(end))
        || (is_absolute && !is_random(value.trim_start_matches('/')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_a_secret_only_with_a_password() {
        for value in [
            "postgres://app:x@db/app",
            "postgresql+psycopg2://app:p%40ss@db:5432/app",
            "postgres://app:p@ss/w#rd@db/app",
            "mongodb+srv://u:p@cluster0.example.net/?retryWrites=true",
            "redis://:hunter2@cache:6379/0",
            "rediss://default:hunter2@cache:6379",
            "amqp://guest:guest@mq",
            "jdbc:postgresql://db/app?user=app&password=x",
            "postgres://db/app?user=app&password=x",
            "libsql://app.turso.io?authToken=abc",
            "host=db user=app password=x",
            "Server=db;User Id=app;Password=x;",
            "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=abc==;",
            r#"{"username":"app","password":"x","host":"db"}"#,
        ] {
            assert!(has_password(value), "{value}");
        }
        for value in [
            "postgres://localhost/app",
            "postgres://app@db/app",
            "postgres://app:@db/app",
            "https://example.com/a:b@c",
            "https://api.example.com",
            "https://example.com:8080/users@example.org",
            "file:./dev.db",
            "redis://cache:6379",
            "https://example.com/reset?forgot_password=1",
            "host=db user=app",
            "password=",
            "me@example.com",
        ] {
            assert!(!has_password(value), "{value}");
        }
    }

    #[test]
    fn each_shape_is_recognised() {
        assert!(is_hook("https://hooks.slack.com/services/T00/B00/abcDEF123", false));
        assert!(is_hook("https://x.example.com/in/kH7vQ2mXw9LrT4nZ8yB1", true));
        assert!(!is_hook("https://api.example.com/stripe/webhook", true));
        assert!(asymmetric("-----BEGIN RSA PRIVATE KEY-----\\nMIIE").unwrap().contains("private"));
        assert!(asymmetric("LS0tLS1CRUdJTiBQUklWQVRFIEtFWS0tLS0t").unwrap().contains("private"));
        assert!(asymmetric("-----BEGIN PUBLIC KEY-----").unwrap().contains("no secret"));
        for value in ["3000", "true", "7d", "15m", "/run/secrets/jwt", "./key.pem", "900"] {
            assert!(plain(value).is_some(), "{value}");
        }
        for value in [
            "/9Lr2vTb7Yx2Zq9Ml5Ki/Wm3HjPs8Dn4Fg6+a==",
            "hunter2",
            "kH7vQ2mXw9LrT4nZ",
            "1d1d1d1d1d1d",
        ] {
            assert_eq!(plain(value), None, "{value}");
        }
        assert!(is_random("kH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5"));
        assert!(!is_random("my-great-application-1-2"));
        assert!(has_known_prefix("ghp_0123456789abcdefghijABCDEFGHIJ"));
        assert!(!has_known_prefix("re_short"));
    }
}
