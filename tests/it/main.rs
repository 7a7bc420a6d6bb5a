//! What must hold of the crate as its users see it.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

mod allocations;
mod architecture;
mod bad_input;
mod cluster;
mod common;
mod cookie_interop;
mod credential;
mod dotenv;
mod envelope;
mod envelope_backends;
mod envelope_interop;
mod environment;
mod fleet;
mod follow;
mod follow_reports;
mod http;
mod jwt_attacks;
mod jwt_differential;
mod jwt_interop;
mod kill;
mod lifecycle;
mod live;
mod manifest;
mod manifest_document;
mod ops;
mod peers;
mod postgres;
mod rewrap;
mod ring_concurrency;
mod ring_model;
mod rules;
mod stores;
mod verdict;
mod webhook_interop;
mod wycheproof;
