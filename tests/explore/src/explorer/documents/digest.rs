//! Digests that recognise equal manifests.

use std::hash::{DefaultHasher, Hash, Hasher};

use dualkey::manifest::Manifest;

/// Returns a digest of everything that a manifest holds, without its random salts.
pub fn digest(manifest: &Manifest) -> [u64; 2] {
    digest_with(manifest, None)
}

/// Returns a digest of a manifest and of the longer rollout window that is still in force.
pub(super) fn digest_with(manifest: &Manifest, earlier_rollout: Option<(u64, u64)>) -> [u64; 2] {
    let text = manifest.to_json().expect("it is a manifest");
    let text = without_salts(text.expose());
    [0, 1].map(|salt: u8| {
        let mut hasher = DefaultHasher::new();
        (salt, &text, earlier_rollout).hash(&mut hasher);
        hasher.finish()
    })
}

/// Removes the random salts and tags by which destroyed secrets are recognised from the text of a manifest.
fn without_salts(text: &[u8]) -> Vec<u8> {
    const RANDOM: [&[u8]; 2] = [b"\"salt\"", b"\"tag\""];
    let is_random =
        |line: &&[u8]| RANDOM.iter().any(|name| line.trim_ascii_start().starts_with(name));
    let lines = text.split_inclusive(|byte| *byte == b'\n');
    lines.filter(|line| !is_random(line)).flatten().copied().collect()
}
