//! From the keys of a ring, and what they live by, to its fingerprint.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sha2::{Digest, Sha256};

use crate::fingerprint::Fingerprint;
use crate::kid::Kid;
use crate::lifecycle::SigningStart;
use crate::lifecycle::life::Life;
use crate::lifecycle::{Policy, Schedule};
use crate::purpose::Purpose;

/// What of a key goes into a fingerprint.
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
    let mut text = Text(Sha256::new());
    text.bytes(b"dualkey fingerprint v1");
    text.bytes(purpose.as_str().as_bytes());
    text.policy(policy);
    for key in keys {
        text.key(&key, purpose.derives_kid() && !key.is_hidden(purpose));
    }
    Fingerprint::from_digest(&text.0.finalize().into())
}

/// A digest of the same and of every secret, which tells two manifests apart that differ in a
/// secret that may be guessed. It is not shown: it would confirm a guess.
pub(crate) fn fingerprint_of_secrets<'a>(
    public: Fingerprint,
    keys: impl IntoIterator<Item = Marks<'a>>,
) -> Fingerprint {
    let mut keys: Vec<_> = keys.into_iter().collect();
    keys.sort_unstable_by_key(|key| key.life.kid);
    let mut text = Text(Sha256::new());
    text.bytes(b"dualkey secrets v1");
    text.bytes(public.to_string().as_bytes());
    for key in keys {
        text.bytes(&key.print);
    }
    Fingerprint::from_digest(&text.0.finalize().into())
}

/// Each part with its length before it, so that no two states have one text.
struct Text(Sha256);

impl Text {
    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.update(bytes);
    }

    fn number(&mut self, number: u64) {
        self.0.update(number.to_be_bytes());
    }

    fn duration(&mut self, duration: Duration) {
        self.0.update(duration.as_nanos().to_be_bytes());
    }

    fn moment(&mut self, moment: Option<SystemTime>) {
        match moment.map(|moment| moment.duration_since(UNIX_EPOCH)) {
            None => self.number(0),
            Some(Ok(since)) => {
                self.number(1);
                self.duration(since);
            }
            Some(Err(before)) => {
                self.number(2);
                self.duration(before.duration());
            }
        }
    }

    fn policy(&mut self, policy: &Policy) {
        for part in
            [policy.max_lifetime, policy.rollout_window, policy.skew, policy.observation_window]
        {
            self.duration(part);
        }
        self.number(policy.min_observed_verifications);
        // Both are at most 64 KiB, so that the mark tells them apart.
        const DANGEROUS: u64 = 1 << 62;
        self.number(match (policy.min_secret_bytes, policy.dangerous_min_secret_bytes) {
            (_, Some(bytes)) => DANGEROUS | bytes as u64,
            (Some(bytes), None) => bytes as u64,
            (None, None) => u64::MAX,
        });
        self.number(match policy.schedule {
            None => 0,
            Some(Schedule::Quarterly) => 1,
            Some(Schedule::SemiAnnual) => 2,
            Some(Schedule::Annual) => 3,
            Some(Schedule::Days(days)) => 4 + u64::from(days),
        });
    }

    fn key(&mut self, key: &Marks<'_>, with_print: bool) {
        let life = key.life;
        self.bytes(life.kid.as_bytes());
        self.number(key.aliases.len() as u64);
        for alias in key.aliases {
            self.bytes(alias.as_bytes());
        }
        match life.signing_start {
            SigningStart::Never => self.bytes(b"never"),
            SigningStart::Unscheduled => self.bytes(b"unscheduled"),
            SigningStart::From(moment) => {
                self.bytes(b"from");
                self.moment(Some(moment));
            }
        }
        self.number(life.sequence);
        self.moment(life.superseded_at);
        self.moment(life.retire_at);
        self.moment(life.kept_until);
        self.number(u64::from(life.revoked.is_some()));
        if with_print {
            self.bytes(&key.print);
        }
    }
}
