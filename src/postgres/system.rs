//! What TLS takes from the system and the process: roots, and a provider of cryptography.

use std::sync::OnceLock;

use base64_simd::STANDARD;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use sqlx::postgres::{PgConnectOptions, PgSslMode};

/// `options` with the system's roots, where certificates are checked and no root is named: by the
/// variable `PGSSLROOTCERT` neither, unless the string says `system`.
pub(super) fn with_roots(options: PgConnectOptions, is_system: bool) -> PgConnectOptions {
    let is_named = std::env::var_os("PGSSLROOTCERT").is_some_and(|path| !path.is_empty());
    match options.get_ssl_mode() {
        PgSslMode::VerifyCa | PgSslMode::VerifyFull if is_system || !is_named => {
            options.ssl_root_cert_from_pem(roots().to_owned())
        }
        _ => options,
    }
}

/// Makes sure that the process has a provider of cryptography: without one `sqlx` panics when it
/// checks a certificate without a name, if another crate of the tree brings a second provider.
pub(super) fn install_provider() {
    if CryptoProvider::get_default().is_none() {
        // Another thread may have been faster.
        let _ = aws_lc_rs::default_provider().install_default();
    }
}

/// The system's roots as PEM, read once. What cannot be read is left out, as browsers do.
fn roots() -> &'static [u8] {
    static ROOTS: OnceLock<Vec<u8>> = OnceLock::new();
    ROOTS.get_or_init(|| {
        let found = rustls_native_certs::load_native_certs().certs;
        let pem = found.iter().map(|certificate| {
            let text = STANDARD.encode_to_string(certificate);
            format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
        });
        pem.collect::<String>().into_bytes()
    })
}
