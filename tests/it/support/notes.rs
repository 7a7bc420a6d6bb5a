//! A table of notes under an encryption key that has been rotated.

use std::time::{Duration, SystemTime};

use dualkey::envelope::AesKey;
use dualkey::manifest::{Manifest, NewEntry};
use dualkey::source::{FileStore, KeyStore};
use dualkey::{KeyRing, Policy, Purpose};

use super::shell::{Shell, inventory};

pub fn context(id: i64) -> String {
    format!("notes/{id}/body")
}

/// What the inventory says of the encryption key.
const TABLE: &str = r#"
[[secret]]
name = "ENCRYPTION_KEY"
purpose = "envelope"
priority = "critical"
store = { file = "ENCRYPTION_KEY.json" }

[[secret.data]]
database = "DATABASE_URL"
table = "notes"
columns = ["body"]
context = "notes/{key}/{column}"
"#;

/// A project whose encryption key has just been rotated.
pub async fn rotated(shell: &mut Shell) -> (FileStore, Manifest) {
    inventory(&shell.path("dualkey.toml"), TABLE);
    assert_eq!(shell.run("generate --store AUDIT_SECRET").0, 0, "{}", shell.transcript);
    let mut policy = Policy::default();
    let second = Duration::from_secs(1);
    (policy.rollout_window, policy.skew, policy.max_lifetime) = (second, second, second);
    let then = SystemTime::now() - Duration::from_secs(1000);
    let key = || NewEntry::generate(Purpose::Envelope).unwrap();
    let first =
        Manifest::new("ENCRYPTION_KEY", Purpose::Envelope, "production", policy, key(), then);
    // The rows are to be evidence within seconds.
    policy.observation_window = second;
    let first = first.unwrap().force("a test").set_policy(policy, then);
    let staged = first.unwrap().stage(key(), then).unwrap();
    let promoted = staged.manifest.force("a test").promote(&staged.kid, then + second).unwrap();
    let store = FileStore::new(shell.path("ENCRYPTION_KEY.json"));
    store.compare_and_swap(0, &promoted.manifest).await.unwrap();
    (store, promoted.manifest)
}

/// The ring as it is now, and as it was before the rotation.
pub fn rings(manifest: &Manifest) -> (KeyRing<AesKey>, KeyRing<AesKey>) {
    let ring = |manifest: &Manifest| {
        manifest.build_ring(KeyRing::<AesKey>::builder().environment("production")).unwrap()
    };
    let old = manifest.keys()[0].kid();
    let before = manifest.force("a test").promote(&old, SystemTime::now()).unwrap().manifest;
    (ring(manifest), ring(&before))
}
