//! The tests of `tests/it` that run against each mutant: they need neither a server nor a peer.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

#[path = "../it/apply.rs"]
mod apply;
#[path = "../it/bounds.rs"]
mod bounds;
#[path = "../it/dotenv.rs"]
mod dotenv;
#[path = "../it/encryption_verdict.rs"]
mod encryption_verdict;
#[path = "../it/environment.rs"]
mod environment;
#[path = "../it/follow_reports.rs"]
mod follow_reports;
#[path = "../it/hand_written.rs"]
mod hand_written;
#[path = "../it/identity.rs"]
mod identity;
#[path = "../it/lifecycle.rs"]
mod lifecycle;
#[path = "../it/lifecycle_stores.rs"]
mod lifecycle_stores;
#[path = "../it/manifest.rs"]
mod manifest;
#[path = "../it/manifest_document.rs"]
mod manifest_document;
#[path = "../it/ring_model.rs"]
mod ring_model;
#[path = "../it/rules.rs"]
mod rules;
#[path = "../it/small_service.rs"]
mod small_service;
#[path = "../it/verdict.rs"]
mod verdict;
#[path = "../it/versions.rs"]
mod versions;
#[path = "../it/weak_kids.rs"]
mod weak_kids;
#[path = "../it/wycheproof.rs"]
mod wycheproof;
