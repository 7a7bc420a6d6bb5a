//! The evidence on which an old key is retired, as pure functions of what instances count and report.
//!
//! Counters of uses become reports; the reports of all instances become the evidence on one key; the
//! evidence, the policy and the rewraps become a verdict. Nothing here holds key material, or reads
//! or writes anything.

#![cfg_attr(
    not(feature = "full"),
    allow(
        dead_code,
        reason = "rings, manifests, the status page and operators share it, and each is behind a feature"
    )
)]

pub(crate) mod counts;
pub(crate) mod key_evidence;
pub(crate) mod next_step;
pub(crate) mod old_key;
pub(crate) mod report;
pub(crate) mod reports;
pub(crate) mod retirement;
mod rewrap;
pub(crate) mod ring_times;
pub(crate) mod silence;
pub(crate) mod usage;
mod verdict;
pub(crate) mod window;

pub use counts::{UsageBucket, UsageCounts};
pub use report::Report;
pub use rewrap::RewrapRecord;
pub use usage::KeyUsage;
pub use verdict::Verdict;
