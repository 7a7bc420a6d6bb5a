//! The two kinds of error.
//!
//! [`Error`] is for the operator of a ring: it names the key or the
//! variable, what was expected and the remedy, never the secret.
//! [`VerifyError`] is for a value that did not verify: to the peer all such
//! errors look the same; the operator gets a [`Reason`].

mod form;
mod obstacle;
mod verify;

use std::time::{Duration, SystemTime};

use crate::kid::{Kid, ParseKidError};
use crate::moment::{Exact, NotBefore};

pub use form::ValueForm;
pub(crate) use obstacle::Blocked;
pub use obstacle::Obstacle;
pub use verify::{Claim, Reason, VerifyError};
/// A configuration that cannot be used, or the refusal of a transition of a ring.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A text that cannot be a kid.
    #[error(transparent)]
    InvalidKid(#[from] ParseKidError),

    /// A secret without a byte.
    #[error("{key} is empty: set it to a random secret, or leave it out")]
    EmptySecret {
        /// The variable, the kid or the place of the key.
        key: String,
    },

    /// A secret shorter than its purpose asks for.
    #[error("{key} has {length} bytes and needs at least {minimum}; {remedy}")]
    ShortSecret {
        /// The variable, the kid or the place of the key.
        key: String,
        /// How long it is, in bytes.
        length: usize,
        /// How long it must be, in bytes.
        minimum: usize,
        /// What to do about it.
        remedy: String,
    },

    /// A secret that is not of the one length that its cipher takes.
    #[error(
        "{key} has {length} bytes and must have exactly {expected}: make one with `{generate}`"
    )]
    WrongLength {
        /// The variable, the kid or the place of the key.
        key: String,
        /// How long it is, in bytes.
        length: usize,
        /// How long it must be, in bytes.
        expected: usize,
        /// A command that makes a good one.
        generate: &'static str,
    },

    /// A placeholder in the place of a secret.
    #[error("{key} is a placeholder ({why}): {remedy}")]
    Placeholder {
        /// The variable, the kid or the place of the key.
        key: String,
        /// What gave it away.
        why: &'static str,
        /// The remedy, which differs between a fallback and a key that signs.
        remedy: &'static str,
    },

    /// A value that is not a secret alone.
    #[error("cannot use {key}: {form}")]
    NotASecret {
        /// The variable, the kid or the place of the key.
        key: String,
        /// The form that it has.
        form: ValueForm,
    },

    /// A public or private key of an asymmetric algorithm where a shared secret belongs.
    #[error(
        "{key} is {what}, which cannot be the secret of an HMAC: asymmetric keys are not supported \
         yet, and whoever knows a public key could sign with it; set a random secret"
    )]
    AsymmetricKey {
        /// The variable, the kid or the place of the key.
        key: String,
        /// What it looks like.
        what: &'static str,
    },

    /// An algorithm that a key of this kind cannot have.
    #[error(
        "{key} cannot be a key of {algorithm}: HS256, HS384 and HS512 are supported, asymmetric \
         algorithms are not yet"
    )]
    UnsupportedAlgorithm {
        /// The variable, the kid or the place of the key.
        key: String,
        /// The name of the algorithm.
        algorithm: String,
    },

    /// A text that is not bytes in the expected form.
    #[error("{key} is not {expected}")]
    Encoding {
        /// The variable, the kid or the place of the key.
        key: String,
        /// What it should be.
        expected: &'static str,
    },

    /// A text that cannot be the name of a variable. Deliberately without the text: it may be a secret
    /// that was put into the wrong place.
    #[error(
        "cannot read a variable: a text of {length} bytes was given as its name, which is empty or \
         holds `=` or a character that is not shown; pass the name of the variable"
    )]
    NotAVariable {
        /// Its length, in bytes.
        length: usize,
    },

    /// An environment variable that is not UTF-8.
    #[error("{variable} is not UTF-8: write binary secrets as `hex:` or `base64:`")]
    NotUnicode {
        /// The name of the variable.
        variable: String,
    },

    /// A lookup that failed: it is not known whether the environment variable is set.
    #[error(
        "cannot look up {variable}: {problem}; make the lookup succeed, or return `None` if the variable is not set"
    )]
    LookupFailed {
        /// The name of the variable.
        variable: String,
        /// The reason, without a part of the value.
        problem: String,
    },

    /// One secret under two names. Trailing zero bytes do not make it another one.
    #[error("{key} is the same secret as {other}: generate a new one")]
    DuplicateSecret {
        /// The variable, the kid or the place of the key.
        key: String,
        /// The key that has it already.
        other: String,
    },

    /// One kid or alias on two keys.
    #[error("the kid `{kid}` is taken by another key of the ring: choose another")]
    DuplicateKid {
        /// The kid in question.
        kid: Kid,
    },

    /// More keys than may verify at one time.
    #[error(
        "in the ring `{ring}` {count} keys would verify, at most {max_live_keys} may: retire one first"
    )]
    TooManyKeys {
        /// The name of the ring.
        ring: String,
        /// How many there would be.
        count: usize,
        /// How many there may be.
        max_live_keys: usize,
    },

    /// A ring in which nothing signs, now or at a moment ahead.
    #[error("the ring `{ring}` would have no primary key: {remedy}")]
    NoPrimary {
        /// The name of the ring.
        ring: String,
        /// What to do about it.
        remedy: String,
    },

    /// It is not clear which key signs.
    #[error("the primary key of the ring `{ring}` is not clear: {problem}")]
    PrimaryUnclear {
        /// The name of the ring.
        ring: String,
        /// Why not, and what to do about it.
        problem: &'static str,
    },

    /// No key of the ring has this kid.
    #[error("the ring has no key `{kid}`")]
    UnknownKey {
        /// The kid in question.
        kid: Kid,
    },

    /// The key is revoked, and a revocation is never undone.
    #[error("the key `{kid}` is revoked, and a revocation is final: use a new secret")]
    Revoked {
        /// The kid in question.
        kid: Kid,
    },

    /// The secret of the key was wiped.
    #[error("the secret of the key `{kid}` was destroyed: use a new secret")]
    Destroyed {
        /// The kid in question.
        kid: Kid,
    },

    /// The key has stopped verifying.
    #[error("the key `{kid}` has expired: stage a new key, or restage this one")]
    Expired {
        /// The kid in question.
        kid: Kid,
    },

    /// A key that would stop verifying on some instances before all of them hold the step.
    #[error(
        "cannot make the key `{kid}` the primary: on some instances it expires at {}, before all \
         of them hold the change; stage a new key, or force the step",
        Exact(*expires)
    )]
    ExpiresSoon {
        /// The kid in question.
        kid: Kid,
        /// The moment at which it expires, perhaps on instances that have not reloaded.
        expires: SystemTime,
        /// The moment until which it must verify: now, the rollout window and the skew together.
        needed: SystemTime,
    },

    /// A key that some instances may not hold yet.
    #[error(
        "cannot make the key `{kid}` the primary: some instances may not hold it yet; wait until \
         all report it, or until {}, or force the step",
        Exact(*held)
    )]
    AddedRecently {
        /// The kid in question.
        kid: Kid,
        /// The moment from which every instance holds it.
        held: SystemTime,
    },

    /// A live key that was to be restaged.
    #[error("cannot restage the key `{kid}`: it has not expired; promote it instead")]
    NotExpired {
        /// The kid in question.
        kid: Kid,
    },

    /// Sessions and tokens under this key would be valid again.
    #[error(
        "cannot restage the key `{kid}`: sessions or tokens that have ended with it would be \
         valid again; stage a new key, or force the step with a reason"
    )]
    RestageNeedsForce {
        /// The kid in question.
        kid: Kid,
    },

    /// The clock of this machine disagrees with another time by more than the skew.
    #[error(
        "cannot take the step: this clock shows {}, and disagrees with {what} ({}); {remedy}",
        Exact(*now), Exact(*other)
    )]
    ClockDisagrees {
        /// The source of the other time.
        what: &'static str,
        /// The time of this clock.
        now: SystemTime,
        /// The other time.
        other: SystemTime,
        /// The remedy.
        remedy: &'static str,
    },

    /// A manifest that was changed at a moment ahead of this clock by more than the skew.
    #[error(
        "cannot take the manifest: it was changed at {}, which lies ahead of this clock ({}) by \
         more than the skew; set the clock, or run `dualkey repair-clock`",
        Exact(*changed_at), Exact(*now)
    )]
    FromTheFuture {
        /// The time of the change, by the clock that made it.
        changed_at: SystemTime,
        /// The time of this clock.
        now: SystemTime,
    },

    /// No key of the ring can sign.
    #[error("cannot sign: no key of the ring can sign; take an emergency rotation")]
    NothingSigns,

    /// The number of changes of a manifest is at its limit.
    #[error(
        "cannot change the manifest: its revision is at the limit; create it again as revision 1"
    )]
    RevisionLimit,

    /// A short fallback that was admitted verifies, and does not sign.
    #[error("the secret of the key `{kid}` is too short to sign with: stage a new key")]
    TooShortToSign {
        /// The kid in question.
        kid: Kid,
    },

    /// The primary cannot be retired.
    #[error("the key `{kid}` is the primary: promote another before it is retired")]
    IsPrimary {
        /// The kid in question.
        kid: Kid,
    },

    /// No key was primary before this one.
    #[error("no key was primary before `{kid}`: there is nothing to roll back to")]
    NothingToRollBack {
        /// The kid of the primary.
        kid: Kid,
    },

    /// A staged key whose signing does not lie ahead.
    #[error(
        "the staged key `{kid}` would sign at once, before others can verify: name a moment ahead, or promote it"
    )]
    NotAhead {
        /// The kid in question.
        kid: Kid,
        /// The moment that was named.
        signs_from: SystemTime,
    },

    /// A key that is to sign was given an end: only a fallback may have one.
    #[error(
        "{key} is to sign, so it cannot be given a `retire_at`: retire it once it is superseded"
    )]
    EndsWhileItSigns {
        /// The variable, the kid or the place of the key.
        key: String,
    },

    /// The key may not go: the verdict on it is that.
    #[error(
        "the key `{kid}` may not go, {}; force it only if that is wrong",
        obstacle::Blocked(obstacles)
    )]
    Blocked {
        /// The kid in question.
        kid: Kid,
        /// Everything that speaks against it.
        obstacles: Vec<Obstacle>,
    },

    /// Instances do not hold the key that is to sign, or may not.
    #[error(
        "the key `{kid}` may not sign yet, {}: wait until they have reloaded",
        obstacle::Blocked(obstacles)
    )]
    NotAgreed {
        /// The kid in question.
        kid: Kid,
        /// The instances that speak against it.
        obstacles: Vec<Obstacle>,
    },

    /// A key that is scheduled to sign before every instance can know it.
    #[error(
        "cannot schedule the key `{kid}`: its start is nearer than the rollout window and the \
         skew, so an instance could sign with it before all of them hold it; name {} or later",
        Exact(*earliest)
    )]
    TooSoon {
        /// The kid in question.
        kid: Kid,
        /// The moment that was named.
        signs_from: SystemTime,
        /// The first that would do.
        earliest: SystemTime,
    },

    /// A field of a [`Policy`](crate::Policy) beyond its bounds.
    #[error("cannot use the policy: {what}; set it to less")]
    PolicyBounds {
        /// The field, and its bound.
        what: &'static str,
    },

    /// An observation window that is shorter than the interval in which instances report.
    #[error(
        "cannot set an `observation_window` of {} s: instances report every {} s, so that no report covers \
         it; set it to at least {} s",
        observation_window.as_secs_f64(), report_interval.as_secs(), report_interval.as_secs()
    )]
    ObservationTooShort {
        /// The observation window.
        observation_window: Duration,
        /// The interval in which instances report.
        report_interval: Duration,
    },

    /// The key verifies: it cannot be destroyed.
    #[error("cannot destroy the key `{kid}`: {}", in_use(*is_retired, *verifies_until))]
    InUse {
        /// The kid in question.
        kid: Kid,
        /// Set if it is retired already.
        is_retired: bool,
        /// The moment at which it stops verifying, if that is known.
        verifies_until: Option<SystemTime>,
    },

    /// A stored document that no ring can be made of.
    #[error("cannot use the manifest: {problem}")]
    Manifest {
        /// The problem and its place, never the text at that place.
        problem: String,
    },

    /// A manifest of another environment, ring or purpose than the ring is of.
    #[error(
        "the manifest is of the {what} `{found}`, and the ring of `{expected}`: give the ring its own"
    )]
    Foreign {
        /// What is another: the environment, the ring, the purpose.
        what: &'static str,
        /// What the ring is of.
        expected: String,
        /// What the manifest is of.
        found: String,
    },

    /// A ring was to follow a store, and has no name.
    #[error(
        "cannot follow a store: the ring of purpose `{purpose}` has no name, so it would take the \
         manifest of another ring; call `.name(\"USER_JWT\")` with the name that its manifest has"
    )]
    NoName {
        /// The purpose of its keys.
        purpose: &'static str,
    },

    /// A ring was given a manifest, and has no environment.
    #[error("the ring `{ring}` does not know its environment: set it with `environment`")]
    NoEnvironment {
        /// The name of the ring.
        ring: String,
    },

    /// A manifest that is older than what the ring holds.
    #[error("revision {found} of the manifest is older than revision {held}, which the ring holds")]
    Older {
        /// The revision that the ring holds.
        held: u64,
        /// The revision that was found.
        found: u64,
    },

    /// Two manifests of one revision.
    #[error(
        "revision {revision} of the manifest is not the one that the ring holds, which has the \
         same number: raise the revision with each edit"
    )]
    TwoOfOneRevision {
        /// The number of both.
        revision: u64,
    },

    /// A key that does not verify what it signs.
    #[error(
        "the key `{kid}` failed its self-test: it does not verify what it signs on this machine"
    )]
    SelfTest {
        /// The kid in question.
        kid: Kid,
    },

    /// A ring that follows a store changes with the store.
    #[error("the ring `{ring}` follows a store: change the manifest there")]
    Followed {
        /// The name of the ring.
        ring: String,
    },

    /// What the ring holds is older than it may be.
    #[error(
        "what the ring `{ring}` holds is older than its `max_staleness`: its store cannot be read"
    )]
    Stale {
        /// The name of the ring.
        ring: String,
    },

    /// The operating system has no random bytes to give.
    #[error("the operating system has no random bytes to give")]
    Random {
        /// What it said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },

    /// What was to be signed cannot be.
    #[error("cannot sign: {problem}")]
    Sign {
        /// The reason.
        problem: &'static str,
        /// The error below it, where there is one.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },

    /// What was to be sealed cannot be.
    #[error("cannot seal: {problem}")]
    Seal {
        /// The reason.
        problem: &'static str,
        /// The error below it, where there is one.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },

    /// The key has sealed as much as a key may.
    #[error(
        "the key `{kid}` has sealed 2^32 messages, more would risk a repeated nonce (SP 800-38D section \
         8.3): stage and promote a new key"
    )]
    Exhausted {
        /// The kid in question.
        kid: Kid,
    },
}

/// Why a key that verifies cannot be destroyed, and from when it can.
fn in_use(is_retired: bool, verifies_until: Option<SystemTime>) -> String {
    match (is_retired, verifies_until.map(NotBefore)) {
        (true, Some(verifies_until)) => {
            format!("it is retired and still verifies until {verifies_until}; destroy it then")
        }
        (false, Some(verifies_until)) => {
            format!("it still verifies until {verifies_until}; destroy it then")
        }
        (_, None) => "it is in use; retire or revoke it first".to_owned(),
    }
}

impl Error {
    #[cfg_attr(not(feature = "full"), allow(dead_code, reason = "stores use it, behind a feature"))]
    pub(crate) fn manifest(problem: impl Into<String>) -> Self {
        Self::Manifest { problem: problem.into() }
    }
}
