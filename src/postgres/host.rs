//! The host of a connection string.

use std::net::Ipv6Addr;

/// The longest name of a host (RFC 1035 section 2.3.4).
const MAX_NAME: usize = 255;

/// Returns whether a text is a name of a host, an address or the path of a socket. Anything else
/// may be part of a password that is not encoded.
pub(super) fn is_host(text: &str) -> bool {
    if text.starts_with('/') {
        return !text.contains(char::is_control);
    }
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let (address, zone) = text.split_once('%').unwrap_or((text, "0"));
    let is_zone = !zone.is_empty() && zone.bytes().all(is_part);
    let is_address = is_zone && address.parse::<Ipv6Addr>().is_ok();
    is_address || (1..=MAX_NAME).contains(&text.len()) && text.bytes().all(is_part)
}

/// A host as it is compared: without the case of a name, its last dot, or the last `/` of a path.
pub(super) fn normalise(text: &str) -> String {
    if text.starts_with('/') {
        return text.trim_end_matches('/').to_owned();
    }
    text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase()
}
