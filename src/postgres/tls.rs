//! Whether a connection is encrypted, and what is checked.

use std::path::PathBuf;

use super::error::ConnectionStringError;
use super::scheme::Dialect;

/// Whether a connection is encrypted, and what is checked of the server: the modes of libpq, each
/// stricter than the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum SslMode {
    /// Without encryption.
    Disable,
    /// Encrypted if the server asks for it; here as [`Prefer`](Self::Prefer).
    Allow,
    /// Encrypted if the server can.
    Prefer,
    /// Encrypted; the certificate is not checked, unless a root is named.
    Require,
    /// Encrypted, with a certificate that a known authority has issued.
    VerifyCa,
    /// Encrypted, with a certificate of the host's name that a known authority has issued.
    VerifyFull,
}

impl SslMode {
    pub(super) fn from_word(text: &str) -> Option<Self> {
        Some(match text.to_ascii_lowercase().as_str() {
            "disable" => Self::Disable,
            "allow" => Self::Allow,
            "prefer" => Self::Prefer,
            // The word of node-postgres for what libpq calls `require`.
            "require" | "no-verify" => Self::Require,
            "verify-ca" | "verify_ca" => Self::VerifyCa,
            "verify-full" | "verify_full" => Self::VerifyFull,
            _ => return None,
        })
    }
}

/// What a connection string says of TLS.
#[derive(Clone, Default)]
pub(super) struct Tls {
    pub(super) mode: Option<SslMode>,
    /// What other parameters ask for.
    pub(super) at_least: Option<SslMode>,
    pub(super) root: Option<PathBuf>,
    pub(super) certificate: Option<PathBuf>,
    pub(super) key: Option<PathBuf>,
}

pub(super) const NO_MODE: &str =
    "is none of disable, allow, prefer, require, verify-ca and verify-full";
const WEAK_SYSTEM: &str = "is `system`, which needs `sslmode=verify-full`: without the name of the host any certificate \
     of a public authority would do";
const HALF: &str = "is one of two that belong together: name `sslcert` and `sslkey`";
const DER: &str =
    "names a key in the DER form of Java, which is not read: name one in PEM, with `sslcert`";

impl Tls {
    /// Makes one mode of all that was said.
    pub(super) fn settle(&mut self, dialect: Dialect) -> Result<(), ConnectionStringError> {
        if self.is_system() {
            match self.mode {
                None | Some(SslMode::VerifyFull) => self.mode = Some(SslMode::VerifyFull),
                Some(_) => {
                    return Err(ConnectionStringError::parameter("sslrootcert", WEAK_SYSTEM));
                }
            }
        }
        match (self.mode, self.at_least) {
            // `ssl=true` beside a mode says that it is encrypted, and the mode says how.
            (Some(SslMode::Disable | SslMode::Allow | SslMode::Prefer), Some(_)) => {
                return Err(ConnectionStringError::twice("sslmode"));
            }
            (Some(mode), Some(asked)) if mode < asked => self.mode = Some(asked),
            (None, Some(asked)) => self.mode = Some(asked),
            _ => {}
        }
        // As libpq does where a root is there.
        if self.root.is_some() && self.mode == Some(SslMode::Require) {
            self.mode = Some(SslMode::VerifyCa);
        }
        if self.certificate.is_some() != self.key.is_some() {
            let name = if self.key.is_some() { "sslkey" } else { "sslcert" };
            return Err(ConnectionStringError::parameter(name, HALF));
        }
        let is_der = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "pk8");
        if dialect == Dialect::Jdbc && self.key.as_ref().is_some_and(is_der) {
            return Err(ConnectionStringError::parameter("sslkey", DER));
        }
        Ok(())
    }

    pub(super) fn is_system(&self) -> bool {
        self.root.as_ref().is_some_and(|root| root.as_os_str() == "system")
    }

    pub(super) fn note(&self) -> Option<&'static str> {
        (self.mode == Some(SslMode::VerifyCa)).then_some(
            "`sslmode` checks who issued the certificate, and a public authority counts too: write \
             verify-full if the certificate has the name of the host",
        )
    }
}
