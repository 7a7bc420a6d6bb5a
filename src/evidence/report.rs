//! What an instance says of itself, and what many of them say together.

use std::time::SystemTime;

use sha2::{Digest, Sha256};

use crate::evidence::{RewrapRecord, UsageBucket};
use crate::fingerprint::Fingerprint;
use crate::kid::Kid;

/// What an instance says of its ring: which keys it holds, and what it saw of them.
///
/// Reports are kept beside the manifest. So a restart does not begin the observation again, and the
/// verdict on an old key covers the whole fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// The name of the instance: of a host or a pod. A report is stored only under a name of 1 to
    /// 128 characters of `A-Z a-z 0-9 - _ . : / @ + =`; that of an [unreadable](Self::for_unreadable)
    /// one may be anything.
    pub instance: String,
    /// The name of the ring.
    pub ring: String,
    /// Which keys it holds.
    pub fingerprint: Fingerprint,
    /// Of the manifest that its ring was made of.
    pub revision: u64,
    /// Since when this instance, or one before it in its place, has been watching.
    pub observed_since: SystemTime,
    /// When it said this.
    pub reported_at: SystemTime,
    /// Whether it has said good-bye: it holds nothing any more.
    pub has_stopped: bool,
    /// What was used when, within the last 14 observation windows. Those before the last one are in
    /// larger pieces.
    pub buckets: Vec<UsageBucket>,
    /// When each key was last used as a fallback.
    pub last_as_fallback: Vec<(Kid, SystemTime)>,
    /// How many values each key has ever signed or sealed here. The sum over a fleet shows how near a
    /// key of AES is to its limit (SP 800-38D section 8.3).
    pub signed: Vec<(Kid, u64)>,
    /// The latest rewrap that it knows of.
    pub rewrap: Option<RewrapRecord>,
    /// Why the report cannot be read, if it cannot: see [`for_unreadable`](Self::for_unreadable). It is not
    /// part of the text of a report.
    pub problem: Option<String>,
}

impl Report {
    /// A report that cannot be read: it is damaged, too large, or of another version.
    ///
    /// A store returns it in the place of an error, so that one such report does not hide the
    /// others. Its `reported_at` is when the store received it. It objects to a promotion and a
    /// retirement ([`Obstacle::UnreadableReport`](crate::Obstacle::UnreadableReport)) for one observation window from then on, because
    /// its instance may hold other keys. It proves no agreement and no observation.
    #[must_use]
    pub fn for_unreadable(
        instance: impl Into<String>,
        received_at: SystemTime,
        problem: impl Into<String>,
    ) -> Self {
        Self {
            instance: instance.into(),
            ring: String::new(),
            fingerprint: Fingerprint::NONE,
            revision: 0,
            observed_since: received_at,
            reported_at: received_at,
            has_stopped: false,
            buckets: Vec::new(),
            last_as_fallback: Vec::new(),
            signed: Vec::new(),
            rewrap: None,
            problem: Some(problem.into()),
        }
    }
}

/// The longest name of an instance, in bytes. The longest label of a host name has 63 (RFC 1035
/// section 2.3.4), an ARN of an ECS task about 100.
const MAX_NAME: usize = 128;

/// Returns whether a report may be stored under `name`.
pub(crate) fn is_instance_name(name: &str) -> bool {
    (1..=MAX_NAME).contains(&name.len()) && name.chars().all(is_of_name)
}

fn is_of_name(character: char) -> bool {
    character.is_ascii_alphanumeric() || "-_.:/@+=".contains(character)
}

/// The name of an instance that is called `name`: that itself, if a report may be stored under it.
/// Else each other character becomes `-`, the rest is cut off, and a digest of the whole is
/// appended, so that two such names stay two. An empty name stays empty: it is that of no
/// instance.
pub(crate) fn to_instance_name(name: String) -> String {
    /// The length of the digest in hexadecimal digits, with a `-` before it.
    const SUFFIX: usize = 1 + 12;
    if name.is_empty() || is_instance_name(&name) {
        return name;
    }
    let kept = name.chars().map(|character| if is_of_name(character) { character } else { '-' });
    let digest = Sha256::digest(name.as_bytes());
    let digits = digest.iter().take(6).map(|byte| format!("{byte:02x}"));
    kept.take(MAX_NAME - SUFFIX).chain(['-']).collect::<String>() + &digits.collect::<String>()
}
