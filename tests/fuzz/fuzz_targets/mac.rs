//! The lanes against `hmac`, for any keys, message and chunking.
#![no_main]

use arbitrary::Arbitrary;
use dualkey::mac::{HmacSha256, Lanes};
use hmac::{Hmac, KeyInit, Mac};
use libfuzzer_sys::fuzz_target;
use sha2::Sha256;

#[derive(Debug, Arbitrary)]
struct Input {
    secrets: Vec<Vec<u8>>,
    chunks: Vec<Vec<u8>>,
}

fuzz_target!(|input: Input| {
    let secrets = &input.secrets[..input.secrets.len().min(4)];
    let keys: Vec<_> = secrets.iter().map(|secret| HmacSha256::new(secret)).collect();
    let mut lanes = Lanes::new(&keys.iter().collect::<Vec<_>>());
    for chunk in &input.chunks {
        lanes.update(chunk);
    }
    let tags = lanes.finish();
    let reference = |secret: &Vec<u8>| -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret).unwrap();
        input.chunks.iter().for_each(|chunk| mac.update(chunk));
        mac.finalize().into_bytes().into()
    };
    let expected: Vec<_> = secrets.iter().map(reference).collect();
    for tag in &expected {
        // Of equal keys, any may be named.
        assert!(tags.matching(tag).is_some_and(|place| expected[place] == *tag));
    }
    for place in 0..expected.len() {
        let mut wrong = expected[place];
        wrong[place % 32] ^= 1;
        assert!(expected.contains(&wrong) || tags.matching(&wrong).is_none());
    }
});
