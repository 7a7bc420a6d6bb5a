//! The fingerprint of the keys of a ring, with their times and their policy.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sha2::{Digest, Sha256};

use crate::fingerprint::Fingerprint;
use crate::kid::Kid;
use crate::lifecycle::life::Life;
use crate::lifecycle::{Policy, Schedule, SigningStart};
use crate::purpose::Purpose;

/// The parts of a key that a fingerprint covers.
pub(crate) struct Marks<'a> {
    pub(crate) life: &'a Life,
    pub(crate) aliases: &'a [Kid],
    /// Of its secret.
    pub(crate) print: [u8; 32],
}

impl Marks<'_> {
    /// Returns whether nothing public may depend on the secret: it is short, and never signs.
    fn is_hidden(&self, purpose: Purpose) -> bool {
        let Life { signing_start, kid, is_guessable, .. } = self.life;
        *is_guessable
            && (*signing_start == SigningStart::Never || kid.is_numbered(purpose.as_str()))
    }
}

/// Returns the fingerprint of the keys of a ring.
pub(crate) fn fingerprint<'a>(
    purpose: Purpose,
    policy: &Policy,
    keys: impl IntoIterator<Item = Marks<'a>>,
) -> Fingerprint {
    let mut keys: Vec<_> = keys.into_iter().collect();
    keys.sort_unstable_by_key(|key| key.life.kid);
    let mut text = DigestInput(Sha256::new());
    text.write_bytes(b"dualkey fingerprint v1");
    text.write_bytes(purpose.as_str().as_bytes());
    text.write_policy(policy);
    for key in keys {
        text.write_key(&key, purpose.has_derived_kid() && !key.is_hidden(purpose));
    }
    Fingerprint::from_digest(&text.0.finalize().into())
}

/// Returns a digest of the same and of every secret. It differs between two manifests that differ in a
/// secret that may be guessed. It is not shown: it would confirm a guess.
pub(crate) fn fingerprint_of_secrets<'a>(
    public: Fingerprint,
    keys: impl IntoIterator<Item = Marks<'a>>,
) -> Fingerprint {
    let mut keys: Vec<_> = keys.into_iter().collect();
    keys.sort_unstable_by_key(|key| key.life.kid);
    let mut text = DigestInput(Sha256::new());
    text.write_bytes(b"dualkey secrets v1");
    text.write_bytes(public.to_string().as_bytes());
    for key in keys {
        text.write_bytes(&key.print);
    }
    Fingerprint::from_digest(&text.0.finalize().into())
}

/// Each part with its length before it, so that no two states have one text.
struct DigestInput(Sha256);

impl DigestInput {
    fn write_bytes(&mut self, bytes: &[u8]) {
        self.write_number(bytes.len() as u64);
        self.0.update(bytes);
    }

    fn write_number(&mut self, number: u64) {
        self.0.update(number.to_be_bytes());
    }

    fn write_duration(&mut self, duration: Duration) {
        self.0.update(duration.as_nanos().to_be_bytes());
    }

    fn write_moment(&mut self, moment: Option<SystemTime>) {
        match moment.map(|moment| moment.duration_since(UNIX_EPOCH)) {
            None => self.write_number(0),
            Some(Ok(since)) => {
                self.write_number(1);
                self.write_duration(since);
            }
            Some(Err(before)) => {
                self.write_number(2);
                self.write_duration(before.duration());
            }
        }
    }

    fn write_policy(&mut self, policy: &Policy) {
        for part in
            [policy.max_lifetime, policy.rollout_window, policy.skew, policy.observation_window]
        {
            self.write_duration(part);
        }
        self.write_number(policy.min_observed_verifications);
        // Both are at most 64 KiB, so that the mark distinguishes them.
        const DANGEROUS: u64 = 1 << 62;
        self.write_number(match (policy.min_secret_bytes, policy.dangerous_min_secret_bytes) {
            (_, Some(bytes)) => DANGEROUS | bytes as u64,
            (Some(bytes), None) => bytes as u64,
            (None, None) => u64::MAX,
        });
        self.write_number(match policy.schedule {
            None => 0,
            Some(Schedule::Quarterly) => 1,
            Some(Schedule::SemiAnnual) => 2,
            Some(Schedule::Annual) => 3,
            Some(Schedule::Days(days)) => 4 + u64::from(days),
        });
    }

    fn write_key(&mut self, key: &Marks<'_>, with_print: bool) {
        let life = key.life;
        self.write_bytes(life.kid.as_bytes());
        self.write_number(key.aliases.len() as u64);
        for alias in key.aliases {
            self.write_bytes(alias.as_bytes());
        }
        match life.signing_start {
            SigningStart::Never => self.write_bytes(b"never"),
            SigningStart::Unscheduled => self.write_bytes(b"unscheduled"),
            SigningStart::From(moment) => {
                self.write_bytes(b"from");
                self.write_moment(Some(moment));
            }
        }
        self.write_number(life.sequence);
        self.write_moment(life.superseded_at);
        self.write_moment(life.retire_at);
        self.write_moment(life.kept_until);
        self.write_number(u64::from(life.revoked.is_some()));
        if with_print {
            self.write_bytes(&key.print);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(policy: &Policy) -> Fingerprint {
        fingerprint(Purpose::Cookie, policy, [])
    }

    #[test]
    fn a_dangerous_bound_of_secrets_differs_from_each_other_bound() {
        let bounds = [None, Some(0), Some(1), Some(8), Some(9), Some(65_536)];
        let mut all = std::collections::BTreeSet::new();
        for bytes in bounds {
            let signing = Policy { min_secret_bytes: bytes, ..Policy::default() };
            let dangerous = Policy { dangerous_min_secret_bytes: bytes, ..Policy::default() };
            all.extend([&signing, &dangerous].map(|policy| of(policy).to_string()));
        }
        // Without a bound both are the same policy.
        assert_eq!(all.len(), 2 * bounds.len() - 1);
    }
}
