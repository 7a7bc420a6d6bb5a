//! What must hold of the crate as its users see it.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

mod allocations;
mod apply;
mod architecture;
mod bad_input;
mod bounds;
#[path = "../features/src/verdicts.rs"]
mod claim_verdicts;
mod connection_parameters;
mod connection_strings;
mod cookie_interop;
mod credential;
mod dotenv;
mod encryption_verdict;
mod env_readers;
mod envelope;
mod envelope_backends;
mod envelope_interop;
mod envelope_leak;
mod environment;
mod explore;
#[cfg(unix)]
mod files;
mod fleet;
mod follow;
mod follow_faults;
mod follow_reports;
mod follow_soak;
#[cfg(unix)]
mod follow_watch;
mod hand_written;
mod http;
mod identity;
mod jwt_attacks;
mod jwt_differential;
mod jwt_interop;
mod jwt_sign;
mod kill;
mod libpq;
mod lifecycle;
mod lifecycle_stores;
mod listen;
mod live;
mod manifest;
mod manifest_document;
mod ops;
mod peers;
mod poolers;
mod postgres;
mod rewrap;
mod ring_concurrency;
mod ring_model;
mod rules;
mod small_service;
mod stores;
mod support;
#[cfg(unix)]
mod tls;
mod trust;
mod verdict;
mod versions;
mod weak_kids;
mod webhook_interop;
mod wycheproof;
