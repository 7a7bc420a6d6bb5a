//! Ciphertext, by the tool that made it.

use super::words::{is_base64, is_handle, is_number};

/// Beginnings of a text, with its tool.
const HEADS: [(&str, &str); 13] = [
    ("$ANSIBLE_VAULT;", "Ansible Vault"),
    ("!vault $ANSIBLE_VAULT;", "Ansible Vault"),
    ("!vault |", "Ansible Vault"),
    ("-----BEGIN AGE ENCRYPTED FILE-----", "age"),
    ("-----BEGIN PGP MESSAGE-----", "OpenPGP"),
    ("-----BEGIN PKCS7-----", "a tool of PKCS #7"),
    ("-----BEGIN CMS-----", "a tool of CMS"),
    ("age-encryption.org/v1", "age"),
    ("Salted__", "OpenSSL"),
    ("\0GITCRYPT\0", "git-crypt"),
    // The same in base64.
    ("YWdlLWVuY3J5cHRpb24ub3JnL3Yx", "age"),
    ("JEFOU0lCTEVfVkFVTFQ7", "Ansible Vault"),
    ("U2FsdGVkX1", "OpenSSL"),
];

/// Beginnings of long base64, with the least length of the whole. Chance makes none of these lengths
/// with such a beginning.
const BINARY: [(&str, usize, &str); 7] = [
    ("AQICAH", 100, "AWS KMS"),
    ("AQIDAH", 100, "AWS KMS"),
    ("CiQA", 120, "Google Cloud KMS"),
    ("CiUA", 120, "Google Cloud KMS"),
    ("gAAAAAB", 100, "a tool that uses Fernet"),
    ("AgA", 680, "Sealed Secrets"),
    ("AgB", 680, "Sealed Secrets"),
];

/// Words that are before a colon and base64.
const WORDS: [&str; 10] = [
    "encrypted",
    "secure",
    "enc",
    "encv1",
    "cipher",
    "ciphertext",
    "crypt",
    "sealed",
    "kms",
    "cfg",
];

/// The tool that made the ciphertext `value`.
pub(super) fn tool_of_ciphertext(value: &str) -> Option<&'static str> {
    let inside = |start: &str, end: &str| value.strip_prefix(start)?.strip_suffix(end);
    if value.strip_prefix("encrypted:").is_some_and(|text| is_base64(text, 16)) {
        return Some("dotenvx");
    }
    if let Some(inner) = inside("ENC[", "]") {
        return tool_in_brackets(inner);
    }
    if inside("ENCRYPTED[", "]").is_some_and(|inner| inner.len() >= 16) {
        return Some("Cirrus CI");
    }
    let in_parens = inside("ENC(", ")").or_else(|| inside("DEC(", ")"));
    if in_parens.is_some_and(|text| is_base64(text, 16)) {
        return Some("Jasypt");
    }
    if value.strip_prefix("{cipher}").is_some_and(|text| is_base64(text, 16)) {
        return Some("Spring Cloud Config");
    }
    let heads = HEADS.iter().find(|(head, _)| value.starts_with(head)).map(|(_, tool)| *tool);
    let binary = || {
        let is_it = |(head, least, _): &&(&str, usize, &'static str)| {
            value.starts_with(head) && is_base64(value, *least)
        };
        BINARY.iter().find(is_it).map(|(_, _, tool)| *tool)
    };
    heads
        .or_else(|| tool_with_colons(value))
        .or_else(binary)
        .or_else(|| is_jwe(value).then_some("JWE"))
}

/// The tool of `ENC[inner]`.
fn tool_in_brackets(inner: &str) -> Option<&'static str> {
    let (kind, rest) = inner.split_once(',').unwrap_or((inner, ""));
    let is_kind = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    match kind {
        "AES256_GCM" => Some("sops"),
        // A plug-in of it, or its own form.
        _ if is_base64(rest, 4) && !kind.is_empty() && kind.bytes().all(is_kind) => {
            Some("hiera-eyaml")
        }
        // A handle, by which the agent of Datadog asks for the secret.
        _ if kind.len() == inner.len() && is_handle(inner) => Some("the agent of Datadog"),
        _ => None,
    }
}

/// The tool of parts with a colon between them.
fn tool_with_colons(value: &str) -> Option<&'static str> {
    let (head, rest) = value.split_once(':')?;
    let (version, text) = rest.split_once(':').unwrap_or(("", rest));
    let is_version =
        version.is_empty() || version.strip_prefix('v').is_some_and(is_number) || version == "kms";
    // `vault:v1:` and base64, of the engine that encrypts and keeps nothing.
    if head == "vault" && !version.is_empty() && is_version && is_base64(text, 16) {
        return Some("Vault's transit engine");
    }
    // A nonce of twelve bytes, and the ciphertext with its tag.
    if head == "v1" && version.len() == 16 && is_base64(version, 16) && is_base64(text, 24) {
        return Some("Pulumi");
    }
    let is_known = WORDS.iter().any(|word| head.eq_ignore_ascii_case(word));
    (is_known && is_version && is_base64(text, 16)).then_some("an encryption tool")
}

/// Returns `true` for the compact form of RFC 7516: five parts, of which the first is JSON.
fn is_jwe(value: &str) -> bool {
    let parts: Vec<_> = value.split('.').collect();
    parts.len() == 5 && parts[0].starts_with("eyJ") && parts.iter().all(|part| is_base64(part, 0))
}
