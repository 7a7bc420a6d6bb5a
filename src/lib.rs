//! Rotate a backend's secrets with zero downtime: sign with the primary key, verify
//! with all of them, and swap them lock-free while the service runs.
//!
//! A [`KeyRing`] holds the keys of one purpose. Adapters sign and verify over it:
//! [`jwt`] tokens, [`cookie`] sessions, [`webhook`] deliveries, [`envelope`]s of data at
//! rest, [`credential`]s that are shown to others. A new key is *staged*
//! on every instance, where it verifies and does not sign; then it is *promoted*, one
//! instance after the other; the old one verifies until the *overlap* is over.
//!
//! ```
//! use dualkey::{KeyRing, Secret};
//! use dualkey::jwt::{Jwt, JwtKey};
//!
//! # let (old, new) = ("Nf0Vg6Jc3Ds8Pw1Ra4Tb7Yx2Zq9Ml5KiNf0Vg6Jc3Ds8Pw1Ra4Tb7Yx2Zq9Ml5Ki",
//! #     "kH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eUkH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eU");
//! let ring = KeyRing::<JwtKey>::builder().primary(Secret::from(old)).build()?;
//! let jwt = Jwt::new(ring.clone());
//! let token = jwt.sign(&serde_json::json!({ "sub": "user-42", "exp": 4_102_444_800_u64 }))?;
//!
//! let kid = ring.stage(Secret::from(new))?; // on every instance: verifies, does not sign
//! ring.promote(&kid)?;                      // one after the other: signs from now on
//!
//! let claims = jwt.verify::<serde_json::Value>(&token).expect("every user stays logged in");
//! assert_eq!(claims["sub"], "user-42");
//! assert!(claims.needs_resign());
//! # Ok::<(), dualkey::Error>(())
//! ```
//!
//! # The words
//! A **primary** signs and verifies, a **fallback** verifies only, a **staged** key
//! verifies and is to become the primary. These roles are not stored: they follow from
//! the times at which keys begin to sign and end. An **expired** key has stopped verifying,
//! **revoked** is one that is compromised and verifies nothing, at once and for
//! good. The **overlap** is how long a superseded key verifies: the max lifetime of what
//! it signed, plus the rollout window, plus twice the skew of the clocks.
//!
//! # The rules
//! - **V1** A key is bound to its algorithm; what a token claims selects nothing.
//! - **V2** A named key is checked alone; an unknown name is a refusal. What names no key
//!   is checked with all that may be meant, at most four.
//! - **V3** The structure comes first: strict encodings, bounded sizes.
//! - **V4** Nothing of a payload is parsed before its signature held.
//! - **V5** Comparisons are constant-time; where keys are tried, all of them are, always.
//! - **V6** An envelope is opened with the key that it names, never by trial; legacy values,
//!   which name none, are tried with all, and what opens under two is refused.
//! - **V7** To the peer every failure looks the same; the operator gets the [`Reason`].
//! - **V8** A revoked key verifies and opens nothing from the next load on, and stays
//!   revoked; data is rescued through `dangerous()`, by name.
//! - **V9** A source that fails never changes a ring.
//! - **V10** No output holds a byte of a secret.
//!
//! # Moving in
//! What a backend has already (npm `jsonwebtoken`, express-session, `createHmac`, an
//! `encryption.ts`, `cookie::SignedJar`, PyJWT) stays valid: [`guide::migrating`].
//!
//! # In a service
//! A service mounts middleware instead of calling verifiers: [`http`] has a layer and an axum extractor for
//! tokens, sessions and webhooks, and a page that shows an operator each ring; [`telemetry`]
//! reports events to `tracing` and the `metrics` facade.
//!
//! # A life in a store
//! With the feature `store`, keys live in a [`manifest`] in a file, in PostgreSQL, or behind a
//! client of yours, and every instance follows it ([`source`]): a change in the store is a
//! change everywhere, checked and tested before it is swapped in. Reports of the instances say
//! when a new key may sign, and whether the old one can be retired ([`Verdict`]). The [`guide::runbook`] has
//! the steps.
//!
//! # Data at rest, and secrets that are shown
//! With the feature `rewrap`, [`rewrap`] brings everything that is stored under a new key while
//! the service continues to write; [`envelope::Sealed`] is a column of ciphertext. [`credential`] is
//! for what others verify: API keys that go out, and the password of a database, each with the
//! next where one is refused.
//!
//! # The operator's half
//! With the feature `ops`, [`ops`] has what an operator does around it: new secrets, an inventory
//! of all, rotations that are checked before and written to an audit trail, a calendar, a
//! doctor; with `agent`, reminders and an agent. The command line `dualkey` (feature `cli`) is
//! made of these calls.
//!
//! # Features
//! `jwt`, `cookie`, `webhook` and `envelope` are on by default; `scrypt` adds the keys that
//! Node derives with it, and `aws-lc` a faster AES-256-GCM, which a ring uses if it is set.
//! `store` is for manifests and rings that follow them on a thread, `tokio` for stores that need a runtime;
//! `notify` reports a file's change at once; `store-postgres` keeps manifests in PostgreSQL, and
//! needs Rust 1.94. `tower` has layers for each adapter that is on, `axum` extractors, `status`
//! the page for operators; `tracing` and `metrics` report to a service's own tools. `rewrap` is the job over
//! stored data, of tables of SQLite with `rewrap-sqlite` and of PostgreSQL with `rewrap-postgres`
//! (both need Rust 1.94), of others through a trait. `api-key`
//! sends API keys with a tower stack's requests, `reqwest` with that client's; `pool-postgres` is a pool
//! whose password rotates. `ops` is the operator's half, `agent` its reminders and its agent. None changes what another does, and
//! `full` is all of them. `cli` is the command line, for `cargo install`; it takes PostgreSQL
//! with it.
//!
//! What each costs, alone, in crates and in seconds of a release build on two cores
//! (`cargo build --release --no-default-features --features …`; the six from `rewrap` to `reqwest`
//! on a day on which everything took about half as long again, `full` and `cli` before they had
//! them):
//!
//! | feature | crates | seconds |
//! |---|---|---|
//! | none of them | 24 | 8 |
//! | `jwt` | 36 | 18 |
//! | `cookie` | 32 | 12 |
//! | `webhook` | 26 | 10 |
//! | `envelope` | 36 | 12 |
//! | the default: the four before | 57 | 27 |
//! | `scrypt` | 39 | 11 |
//! | `aws-lc` | 38 | 43 |
//! | `store` | 41 | 26 |
//! | `notify` | 49 | 28 |
//! | `tokio` | 43 | 28 |
//! | `store-postgres` | 143 | 68 |
//! | `tower` | 33 | 9 |
//! | `axum` | 36 | 12 |
//! | `tracing` | 28 | 9 |
//! | `metrics` | 26 | 9 |
//! | `status` | 63 | 39 |
//! | `rewrap` | 53 | 52 |
//! | `rewrap-sqlite` | 133 | 104 |
//! | `rewrap-postgres` | 143 | 99 |
//! | `pool-postgres` | 134 | 99 |
//! | `api-key` | 35 | 18 |
//! | `reqwest` | 91 | 47 |
//! | `ops` | 61 | 42 |
//! | `agent` | 129 | 90 |
//! | `tls` | 33 | 45 |
//! | `full` | 216 | 187 |
//! | `cli` | 213 | 141 |
#![deny(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "cli")]
pub mod cli;
mod clock;
#[cfg(any(feature = "rewrap", feature = "status"))]
mod duration;
mod encoding;
mod error;
pub mod evidence;
mod fingerprint;
mod kid;
pub mod lifecycle;
mod moment;
mod observer;
mod purpose;
mod reference;
#[cfg(any(feature = "api-key", feature = "agent"))]
mod retry_after;
pub mod ring;
mod secret;
mod text;
mod variable_names;
mod verified;

#[cfg(feature = "cookie")]
pub mod cookie;
pub mod credential;
#[cfg(feature = "envelope")]
pub mod envelope;
pub mod guide;
#[cfg(feature = "tower")]
pub mod http;
#[cfg(feature = "jwt")]
pub mod jwt;
pub mod mac;
#[cfg(feature = "store")]
pub mod manifest;
#[cfg(feature = "ops")]
pub mod ops;
#[cfg(any(
    feature = "store-postgres",
    feature = "rewrap-postgres",
    feature = "pool-postgres",
    feature = "ops"
))]
pub mod postgres;
#[cfg(feature = "rewrap")]
pub mod rewrap;
#[cfg(feature = "store")]
pub mod source;
#[cfg(any(
    feature = "store-postgres",
    feature = "rewrap-postgres",
    feature = "pool-postgres",
    feature = "rewrap-sqlite",
    feature = "ops"
))]
mod sql;
#[cfg(any(feature = "tracing", feature = "metrics", feature = "status"))]
pub mod telemetry;
#[cfg(feature = "webhook")]
pub mod webhook;

#[cfg(all(
    doctest,
    feature = "jwt",
    feature = "cookie",
    feature = "webhook",
    feature = "envelope"
))]
mod compile_fail;

/// The examples of the README.
#[cfg(all(
    doctest,
    feature = "jwt",
    feature = "cookie",
    feature = "webhook",
    feature = "status",
    feature = "rewrap-sqlite",
    feature = "rewrap-postgres",
    feature = "pool-postgres",
    feature = "reqwest"
))]
#[doc = include_str!("../README.md")]
struct Readme;

pub use clock::{Clock, ManualClock, SystemClock};
pub use error::{Claim, Error, Obstacle, Reason, ValueForm, VerifyError};
pub use evidence::{KeyUsage, Report, RewrapRecord, UsageBucket, UsageCounts, Verdict};
pub use fingerprint::{Fingerprint, ParseFingerprintError};
pub use kid::{Kid, ParseKidError};
pub use lifecycle::{KeyState, Policy, Revocation, Role, Schedule, SigningStart};
pub use observer::{Event, Observer};
pub use purpose::Purpose;
pub use reference::Reference;
pub use ring::{
    Dangerous, ForceRing, Key, KeyMaterial, KeyRing, KeySet, KeyStatus, NewKey, Promotion,
    RingBuilder,
};
pub use secret::Secret;
pub use verified::Verified;
