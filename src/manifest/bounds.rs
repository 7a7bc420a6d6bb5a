//! The bounds of a manifest and of a report: checked when one is read, and when one is made.
//!
//! Within them no sum of a moment and the durations of a policy overflows, every number survives
//! every reader of JSON, and every moment has a text in RFC 3339. The bounds of a policy are those of
//! [`Policy`](crate::Policy).

use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;

use super::document::Manifest;
use crate::error::Error;
use crate::lifecycle::SigningStart;

/// The name of the format, in each document.
pub(super) const FORMAT: &str = "dualkey manifest";

/// The size of a manifest or a report as text, in bytes: both are a few pages.
pub(crate) const MAX_BYTES: usize = 1024 * 1024;

/// The largest revision, 2^53 - 1: a number that every reader of JSON keeps (RFC 8259 section 6), and
/// that a `bigint` of PostgreSQL holds.
pub(crate) const MAX_REVISION: u64 = crate::lifecycle::policy::MAX_COUNT;

/// The most keys of a manifest, those that were destroyed too. One has at least 256 bytes as text, so
/// that more do not fit into [`MAX_BYTES`]; a daily rotation fills it in eleven years.
pub(crate) const MAX_KEYS: usize = 4_096;

/// The revision of the next change.
pub(super) fn next_revision(revision: u64) -> Result<u64, Error> {
    let next = revision.checked_add(1).filter(|next| *next <= MAX_REVISION);
    next.ok_or(Error::RevisionLimit)
}

/// Returns `true` if `moment` is from 1970 to 9999: what every clock shows, and what RFC 3339 can write.
pub(crate) fn is_date(moment: SystemTime) -> bool {
    moment >= UNIX_EPOCH && Timestamp::try_from(moment).is_ok()
}

/// Checks that every number and every moment of `manifest` is within its bounds.
pub(super) fn check(manifest: &Manifest) -> Result<(), Error> {
    manifest.policy.check()?;
    if manifest.revision > MAX_REVISION {
        return Err(Error::manifest("its `revision` is more than 2^53 - 1; make a new manifest"));
    }
    if manifest.keys.len() > MAX_KEYS {
        return Err(Error::manifest("it has more than 4096 keys; make a new manifest"));
    }
    let no_date = |what: String| Error::manifest(format!("{what} is not from 1970 to 9999"));
    if !is_date(manifest.changed_at) {
        return Err(no_date("its `changed_at`".to_owned()));
    }
    if manifest.earlier_window.is_some_and(|window| !is_date(window.until)) {
        return Err(no_date("its `earlier_window`".to_owned()));
    }
    for key in &manifest.keys {
        let life = &key.life;
        if life.sequence > MAX_REVISION {
            let problem = format!("the `sequence` of the key `{}` is more than 2^53 - 1", life.kid);
            return Err(Error::manifest(problem));
        }
        let signs_from = match life.signing_start {
            SigningStart::From(moment) => Some(moment),
            SigningStart::Never | SigningStart::Unscheduled => None,
        };
        let moments = [
            ("added_at", Some(life.added_at)),
            ("signing_start", signs_from),
            ("superseded_at", life.superseded_at),
            ("retire_at", life.retire_at),
            ("kept_until", life.kept_until),
            ("earlier_end", life.earlier_end.map(|end| end.at)),
            ("earlier_end", life.earlier_end.map(|end| end.until)),
            ("revoked", life.revoked.as_ref().map(|revocation| revocation.at)),
            ("destroyed_at", life.destroyed_at),
        ];
        let forced_steps = key.forced_steps.iter().map(|step| ("forced_steps", Some(step.at)));
        let is_out =
            |(_, moment): &(_, Option<SystemTime>)| moment.is_some_and(|moment| !is_date(moment));
        if let Some((field, _)) = moments.into_iter().chain(forced_steps).find(is_out) {
            return Err(no_date(format!("`{field}` of the key `{}`", life.kid)));
        }
    }
    Ok(())
}
