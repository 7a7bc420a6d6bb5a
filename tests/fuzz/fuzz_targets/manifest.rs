//! Any bytes are a manifest, or a refusal; and a manifest is one that a ring takes, or refuses,
//! and that comes back as it was.
#![no_main]

use dualkey::cookie::CookieKey;
use dualkey::manifest::Manifest;
use dualkey::{KeyRing, ManualClock};
use libfuzzer_sys::fuzz_target;

const SEED: &str = r#"{"format":"dualkey manifest","version":1,"ring":"X","purpose":"cookie",
"environment":"e","revision":3,"changed_at":"2026-01-15T10:00:00Z","policy":{"max_lifetime_seconds":1,
"rollout_window_seconds":1,"skew_seconds":1,"observation_window_seconds":1,"min_observed_verifications":1},"keys":["#;

fuzz_target!(|data: &[u8]| {
    // Half of the runs go on where the keys begin.
    let document;
    let text = match data.split_first() {
        Some((b'[', keys)) => {
            document = [SEED.as_bytes(), keys, b"]}"].concat();
            &document[..]
        }
        _ => data,
    };
    let Ok(manifest) = Manifest::from_json(text) else { return };
    let again = manifest.to_json().unwrap();
    let read = Manifest::from_json(again.expose()).unwrap();
    assert_eq!(read.fingerprint(), manifest.fingerprint());
    let now = manifest.changed_at();
    assert_eq!(read.primary(now), manifest.primary(now));
    let builder = KeyRing::<CookieKey>::builder().environment(manifest.environment());
    let builder = builder.clock(ManualClock::new(now)).allow_short_fallbacks();
    if let Ok(ring) = manifest.build_ring(builder) {
        assert_eq!(ring.primary().unwrap(), manifest.primary(now));
        assert_eq!(ring.fingerprint(), manifest.fingerprint());
    }
    for kid in manifest.keys().iter().map(|key| key.kid()) {
        for change in [
            manifest.rollback(&[], now),
            manifest.force("a fuzzer").rollback(now),
            manifest.force("a fuzzer").restage(&kid, now),
            manifest.repair_clock(&[], now),
            manifest.revoke(&kid, "a fuzzer", now),
            manifest.retire(&kid, &[], now),
            manifest.destroy(&kid, &[], now),
            manifest.force("a fuzzer").promote(&kid, now),
            manifest.force("a fuzzer").retire(&kid, now),
        ]
        .into_iter()
        .flatten()
        {
            Manifest::from_json(change.manifest.to_json().unwrap().expose()).unwrap();
        }
    }
});
