//! From the `.env` of a Node backend to a first rotation, typed at the real binary: what was signed
//! and sealed before stays valid.

use std::collections::HashMap;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use aes_gcm::aead::{AeadInOut, KeyInit};
use dualkey::cookie::{CookieKey, CookieSigner, LegacyCookie};
use dualkey::envelope::{AesKey, Layout, Sealer};
use dualkey::jwt::{Jwt, JwtKey};
use dualkey::mac::HmacSha256;
use dualkey::source::{DotenvStore, FileStore, KeyStore};
use dualkey::{KeyMaterial, KeyRing};
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation};
use serde_json::json;

use crate::support::base64;
use crate::support::shell::Shell;

pub const JWT: &str = "6f1ed002ab5595859014ebf0951522d96f1ed002ab5595859014ebf0951522d9\
                       a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f91";
pub const JWT_OLD: &str = "an-older-secret-7Yx2Zq9Ml5Ki";
/// `openssl rand -base64 32`.
pub const SESSION: &str = "yZ8mPq3nR7tV2xC5bN9kL4jH6gF1dS0aQwErTyUiOp0=";
pub const ENCRYPTION: &str = "K34VFiiu0qar9xWICc9PPHYuceDzi02lp4TZBFkQzdw=";
/// Fifteen characters.
pub const VERIFY: &str = "hV3-my-meta-tok";

/// The `.env` of the backend: eight secrets, two of them short, and what is none.
pub fn backend() -> String {
    format!(
        "# The backend\nNODE_ENV=production\nPORT=3000\nLOG_LEVEL=info\n\
         API_URL=https://api.example.com\nNEXT_PUBLIC_SITE_KEY=6Lc9Lr2vTb7Yx2Zq9Ml5Ki\n\n\
         JWT_SECRET={JWT}\nJWT_SECRET_OLD={JWT_OLD}\nJWT_EXPIRES_IN=7d\n\
         SESSION_SECRET=\"{SESSION}\" # openssl rand -base64 32\nENCRYPTION_KEY={ENCRYPTION}\n\
         META_APP_SECRET=0f1e2d3c4b5a69788796a5b4c3d2e1f0\nMETA_VERIFY_TOKEN={VERIFY}\n\
         ANTHROPIC_API_KEY=sk-ant-api03-T4nZ8yB1cF6gJ0sD3pA5eUkH7vQ2mXw9Lr\n\
         DATABASE_URL=postgres://app:Zq9Ml5KiNf0V@db.internal:5432/app\n\
         REDIS_PASSWORD=Nf0Vg6Jc3Ds8Pw1Ra4Tb7Yx2\n"
    )
}

/// The values that the backend made before: tokens under both secrets, a cookie of express-session, a row.
pub struct Before {
    tokens: Vec<String>,
    cookie: String,
    row: String,
}

impl Before {
    pub fn new() -> Self {
        let claims = json!({ "sub": "u1", "exp": 4_102_444_800_u64 });
        let token = |secret: &str| {
            crate::support::encode(secret.as_bytes(), &Header::new(Algorithm::HS256), &claims)
        };
        let tag = HmacSha256::new(SESSION.as_bytes()).mac(b"session-42");
        let cookie = format!("s:session-42.{}", base64::encode(&tag).trim_end_matches('='));
        let key = decode(ENCRYPTION);
        let mut sealed = b"a note".to_vec();
        let cipher = aes_gcm::Aes256Gcm::new_from_slice(&key).unwrap();
        let iv = [7_u8; 12];
        let tag = cipher.encrypt_inout_detached(&iv.into(), b"", sealed.as_mut_slice().into());
        let hex = |bytes: &[u8]| hex::encode(bytes);
        let row = format!("{}:{}:{}", hex(&iv), hex(&tag.unwrap()), hex(&sealed));
        Self { tokens: vec![token(JWT), token(JWT_OLD)], cookie, row }
    }

    /// Checks as Node does: each value is tried with the secrets that the file has now.
    fn check_in_node(&self, env: &str) {
        let values: HashMap<String, String> =
            dotenvy::from_read_iter(env.as_bytes()).map(Result::unwrap).collect();
        let all = |name: &str| {
            let names = ["", "_OLD", "_BACKUP", "_NEXT"].map(|ending| format!("{name}{ending}"));
            names
                .into_iter()
                .filter_map(|variable| values.get(&variable).cloned())
                .collect::<Vec<_>>()
        };
        let mut validation = Validation::new(Algorithm::HS256);
        validation.leeway = 0;
        for token in &self.tokens {
            let verifies = |secret: &String| {
                let key = DecodingKey::from_secret(secret.as_bytes());
                jsonwebtoken::decode::<serde_json::Value>(token, &key, &validation).is_ok()
            };
            assert!(all("JWT_SECRET").iter().any(verifies));
        }
        let (value, tag) = self.cookie[2..].split_once('.').unwrap();
        let signs = |secret: &String| {
            let mac = HmacSha256::new(secret.as_bytes()).mac(value.as_bytes());
            base64::encode(&mac).trim_end_matches('=') == tag
        };
        assert!(all("SESSION_SECRET").iter().any(signs));
        let opens = |key: &String| {
            // `Buffer.from(key, "base64")` of a Node backend.
            let key: [u8; 32] = decode(key).try_into().unwrap();
            let parts: Vec<_> =
                self.row.split(':').map(|part| hex::decode(part).unwrap()).collect();
            let mut text = parts[2].clone();
            let cipher = aes_gcm::Aes256Gcm::new_from_slice(&key).unwrap();
            let iv: [u8; 12] = parts[0][..].try_into().unwrap();
            let tag: [u8; 16] = parts[1][..].try_into().unwrap();
            cipher
                .decrypt_inout_detached(&iv.into(), b"", text.as_mut_slice().into(), &tag.into())
                .is_ok()
        };
        assert!(all("ENCRYPTION_KEY").iter().any(opens));
    }

    /// Checks as services do that follow the stores with this crate.
    fn check_in_rings(&self, shell: &Shell, store: impl Fn(&str) -> Arc<dyn KeyStore>) {
        fn ring<K: KeyMaterial>(shell: &Shell, store: &dyn KeyStore) -> KeyRing<K> {
            let manifest = pollster::block_on(store.load()).unwrap();
            let builder = KeyRing::<K>::builder().environment("production");
            let builder = builder.allow_short_fallbacks().clock(shell.clock.clone());
            manifest.build_ring(builder).unwrap()
        }
        let until = dualkey::Clock::now(&shell.clock) + Duration::from_secs(90 * 86400);
        let jwt = Jwt::new(ring::<JwtKey>(shell, &*store("JWT_SECRET")));
        for token in &self.tokens {
            assert!(jwt.verify::<serde_json::Value>(token).is_ok());
        }
        let signer = CookieSigner::new(ring::<CookieKey>(shell, &*store("SESSION_SECRET")));
        let signer = signer.accept_legacy(LegacyCookie::Express, until);
        assert_eq!(*signer.verify("sid", &self.cookie).unwrap(), "session-42");
        let notes = Sealer::new(ring::<AesKey>(shell, &*store("ENCRYPTION_KEY")));
        let notes = notes.accept_legacy(Layout::HEX_IV_TAG_CT, until);
        assert_eq!(*notes.open(&self.row, "notes/1").unwrap(), b"a note");
    }
}

/// The bytes of base64, or of hexadecimal digits, which Node would take for base64 too.
fn decode(text: &str) -> Vec<u8> {
    const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits: Vec<_> = text
        .trim_end_matches('=')
        .chars()
        .map(|character| ALPHABET.find(character).unwrap())
        .collect();
    let mut bytes = Vec::new();
    for group in digits.chunks(4) {
        let number =
            group.iter().fold(0, |number, digit| number << 6 | digit) << (6 * (4 - group.len()));
        bytes.extend_from_slice(&(number as u32).to_be_bytes()[1..group.len()]);
    }
    bytes
}

/// Five commands, of which none fails, and the trail has the rotation.
#[test]
fn a_node_backend_comes_to_its_first_rotation_in_five_commands() {
    let mut shell = Shell::new("2026-01-15T10:00:00Z");
    let before = Before::new();
    fs::write(shell.path(".env"), backend()).unwrap();
    let read = |shell: &Shell| fs::read_to_string(shell.path(".env")).unwrap();
    shell.say("the .env of a Node backend: eight secrets, two of them short");
    for line in [
        "init",
        "adopt",
        "rotate SESSION_SECRET --reason 'the quarter'",
        "promote SESSION_SECRET --assume-deployed",
        "audit",
    ] {
        let (status, text) = shell.run(line);
        // A rotation of a `.env` file waits for the deployment.
        let expected = if line.starts_with("rotate") { 3 } else { 0 };
        assert_eq!(status, expected, "{line}: {text}");
        for value in
            [JWT, JWT_OLD, SESSION, ENCRYPTION, VERIFY, "Zq9Ml5KiNf0V", "sk-ant-api03-T4nZ"]
        {
            assert!(!text.contains(value), "{line} shows a secret: {text}");
        }
        if line == "adopt" {
            assert_eq!(read(&shell), backend(), "an adoption changes no variable");
        }
        before.check_in_node(&read(&shell));
    }
    let env = read(&shell);
    assert!(env.contains(&format!("\nSESSION_SECRET_OLD=\"{SESSION}\"")), "{env}");
    insta::assert_snapshot!(shell.transcript);

    let inventory = fs::read_to_string(shell.path("dualkey.toml")).unwrap();
    insta::assert_snapshot!("inventory", inventory);
    let (_, text) = shell.run("audit --secret SESSION_SECRET --action rotated");
    assert!(text.contains("| SESSION_SECRET | ROTATED | ada@example.com | production | SUCCESS"));
    let (status, text) = shell.run("audit verify");
    assert!(status == 0 && text.starts_with("whole"), "{text}");

    // The same for a key of rows, of which Node reads base64: it stays in that form.
    let rotate = "rotate ENCRYPTION_KEY --skip backup --reason 'a test'";
    for line in [rotate, "promote ENCRYPTION_KEY --assume-deployed", "rotate META_VERIFY_TOKEN"] {
        let (status, text) = shell.run(line);
        assert_eq!(status, if line.starts_with("rotate") { 3 } else { 0 }, "{line}: {text}");
        before.check_in_node(&read(&shell));
    }
    let env = read(&shell);
    assert!(env.contains(&format!("\nENCRYPTION_KEY_OLD={ENCRYPTION}\n")), "{env}");
    let new = env.lines().find_map(|line| line.strip_prefix("ENCRYPTION_KEY=")).unwrap();
    assert_eq!(decode(new).len(), 32, "the new key is read as the old one was");
    let path = shell.path(".env");
    let clock = shell.clock.clone();
    before.check_in_rings(&shell, move |name| {
        let purpose = match name {
            "JWT_SECRET" => dualkey::Purpose::Jwt,
            "SESSION_SECRET" => dualkey::Purpose::Cookie,
            _ => dualkey::Purpose::Envelope,
        };
        let mut policy = dualkey::Policy::default();
        policy.min_secret_bytes = Some(32);
        let store = DotenvStore::new(&path, name, purpose, "production").policy(policy);
        let store = store.clock(clock.clone());
        Arc::new(store)
    });
}

/// The same into manifests, which a service follows.
#[test]
fn files_take_the_values_in_their_roles() {
    let mut shell = Shell::new("2026-01-15T10:00:00Z");
    let before = Before::new();
    fs::write(shell.path(".env"), backend()).unwrap();
    let folder = shell.path("keys/production");
    let store = |name: &str| -> Arc<dyn KeyStore> {
        Arc::new(FileStore::new(folder.join(format!("{name}.json"))))
    };
    for line in [
        "init --store file",
        "adopt --reason 'the move'",
        "stage SESSION_SECRET",
        "promote SESSION_SECRET --assume-deployed",
    ] {
        let (status, text) = shell.run(line);
        assert_eq!(status, 0, "{line}: {text}");
        if line != "init --store file" {
            before.check_in_rings(&shell, store);
        }
    }
    assert_eq!(fs::read_to_string(shell.path(".env")).unwrap(), backend());
    let (_, text) = shell.run("audit --secret JWT_SECRET");
    assert!(
        text.contains("| CREATED |")
            && text.contains("reason=adopted from .env, fallback jwt-3: the move"),
        "{text}"
    );
    // What the variables hold has moved on in the stores, and is known there.
    let (status, text) = shell.run("adopt");
    assert!(status == 0 && text.matches("adopted already").count() == 8, "{text}");
    assert_eq!(shell.run("audit verify").0, 0);
}
