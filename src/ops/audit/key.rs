//! What signs records: a key of its own, under a label of its own.

use std::fmt;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

use super::error::AuditError;
use super::line::{self, Link, append_mac, signed_part};
use super::record::Record;
use crate::error::Error;
use crate::kid::Kid;
use crate::mac::HmacSha256;
use crate::purpose::Purpose;
use crate::ring::KeyMaterial;
use crate::ring::KeyRing;
use crate::ring::key::sealed as seal;

/// The material of a key that signs records. Secrets have at least 64 bytes.
///
/// A superseded one is kept: what it signed is to be verified after years.
pub struct AuditKey(HmacSha256);

impl seal::Sealed for AuditKey {}

impl KeyMaterial for AuditKey {
    const PURPOSE: Purpose = Purpose::Audit;
    type Options = ();

    fn prepare(secret: &[u8], _: Kid, (): &()) -> Result<Self, String> {
        // A key of its own, as for cookies.
        let mut key = HmacSha256::new(b"dualkey audit v1").mac(secret);
        let prepared = Self(HmacSha256::new(&key));
        key.zeroize();
        Ok(prepared)
    }

    fn self_test(&self) -> bool {
        self.0.self_test()
    }
}

impl fmt::Debug for AuditKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuditKey([REDACTED])")
    }
}

/// The result of checking a MAC.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum MacOutcome {
    Holds,
    /// It holds, and whoever has the key may have made it.
    UnderRevoked(Kid),
    Unknown(Kid),
    Wrong,
}

/// Returns the line of `record`, signed by the primary.
pub(super) fn sign(
    ring: &KeyRing<AuditKey>,
    record: &Record,
    link: Link,
) -> Result<String, AuditError> {
    record.check()?;
    Ok(sign_text(ring, &signed_part(record, link))?)
}

/// Returns `part`, which holds no line end, with its MAC.
pub(super) fn sign_text(ring: &KeyRing<AuditKey>, part: &str) -> Result<String, Error> {
    ring.read(|view| {
        let key = view.primary()?;
        let tag = key.material().0.mac(part.as_bytes());
        key.counters().count_signed();
        Ok(append_mac(part, key.kid(), &tag))
    })
}

/// Checks the MAC of `line`.
pub(super) fn check(ring: &KeyRing<AuditKey>, line: &str) -> MacOutcome {
    let Some((part, signer, tag)) = line::split(line) else { return MacOutcome::Wrong };
    let set = ring.load();
    let Some(key) = set.key(&signer) else { return MacOutcome::Unknown(signer) };
    let is_same = key.material().0.mac(part.as_bytes()).ct_eq(&tag);
    if !bool::from(is_same) {
        return MacOutcome::Wrong;
    }
    match key.revoked() {
        None => MacOutcome::Holds,
        Some(_) => MacOutcome::UnderRevoked(signer),
    }
}

/// Returns whether the MAC of `line` holds, under whichever key.
pub(super) fn is_genuine(ring: &KeyRing<AuditKey>, line: &str) -> bool {
    matches!(check(ring, line), MacOutcome::Holds | MacOutcome::UnderRevoked(_))
}

/// The hash of a line that the next record holds.
pub(super) fn hash(line: &str) -> [u8; 32] {
    hash_of(line.as_bytes())
}

pub(super) fn hash_of(line: &[u8]) -> [u8; 32] {
    Sha256::digest(line).into()
}
