//! The hot paths beside what one writes by hand, the best peers, and the floor below which
//! nothing goes: on the same input in one run.
//!
//! ```sh
//! cargo bench --bench hot_path             # some minutes
//! cargo bench --bench hot_path -- --quick  # within three minutes on two cores
//! cargo bench --bench ratios               # the table of ratios, from the last run
//! ```
//!
//! `dualkey_1key` has one key, `dualkey_2keys_fallback` two of which the second matches,
//! `dualkey_4keys_last` four of which the last does; `*_loop_fallback` is the loop over
//! `[new, old]` that everybody writes. `floor` is what cannot be avoided: the compressions
//! from the mid-states, one base64 decoding, one parse.
//!
//! Peers whose libraries this crate does without (`ring`, `aws-lc-rs`, and `jsonwebtoken` on
//! the latter) are a package of their own, `benches/peers`: after each group it is run for
//! the same group. Without a network or a C compiler it cannot be built, and is left out.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::print_stderr)]

mod envelope;
mod input;
mod layer;
mod mac;
mod peers;
mod ring;
mod token;

use std::hint::black_box;
use std::time::Duration;

use criterion::Criterion;
use dualkey::{KeyMaterial, KeyRing, Secret};
use sha2::block_api::compress256;

type Group = (&'static str, fn(&mut Criterion));

const GROUPS: [Group; 12] = [
    ("ring_load", ring::load),
    ("reload", ring::reload),
    ("scaling", ring::scaling),
    ("jwt_verify", token::verify),
    ("jwt_sign", token::sign),
    ("cookie_verify", mac::cookie_verify),
    ("webhook_verify", mac::webhook_verify),
    ("envelope_open", envelope::open),
    ("envelope_rewrap", envelope::rewrap),
    ("layer_bearer", layer::bearer),
    ("layer_session", layer::session),
    ("layer_webhook", layer::webhook),
];

/// Groups that the peers have functions of.
const OF_PEERS: [&str; 4] = ["jwt_verify", "jwt_sign", "webhook_verify", "envelope_open"];

fn main() {
    let peers = peers::Peers::build();
    for (name, group) in GROUPS {
        group(&mut criterion());
        if OF_PEERS.contains(&name) {
            peers.run(name);
        }
    }
    criterion().final_summary();
}

fn criterion() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(3))
        .configure_from_args()
}

/// The compressions of an HMAC from its two mid-states: those of the message, whose `blocks`
/// are padded already, and then that of what they come to.
fn compressions(blocks: &[[u8; 64]]) {
    let [mut inner, mut outer] = black_box([[0x6a09_e667; 8], [0xbb67_ae85; 8]]);
    compress256(&mut inner, black_box(blocks));
    let mut last = [0; 64];
    for (four, word) in last.as_chunks_mut().0.iter_mut().zip(inner) {
        *four = word.to_be_bytes();
    }
    compress256(&mut outer, &[last]);
    black_box(outer);
}

/// A ring of `secrets`, of which the first is the primary.
fn ring_of<K: KeyMaterial>(secrets: &[&str]) -> KeyRing<K> {
    let mut builder = KeyRing::builder().primary(Secret::from(secrets[0]));
    for secret in &secrets[1..] {
        builder = builder.fallback(Secret::from(*secret));
    }
    builder.build().unwrap()
}
