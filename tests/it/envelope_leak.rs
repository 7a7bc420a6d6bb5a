//! An encryption key leaks to an attacker who has a backup of what it sealed.

use dualkey::Reason;
use dualkey::envelope::Sealer;

use crate::support::leak::{data_key, forged, kek, reads, wrapped_only};
use crate::support::{BACKENDS, aes_key, aes_ring_of, base64url};

/// V8.
#[test]
fn a_key_that_leaks_after_a_rewrap_forges_and_reads_nothing_that_is_stored() {
    for backend in BACKENDS {
        let ring = aes_ring_of(backend, [aes_key(1, "old")]);
        let sealer = Sealer::new(ring.clone());
        let mut blob = sealer.seal("a note", "notes/7/body").unwrap();
        let mut text = sealer.seal_text("a note", "notes/7/body").unwrap();
        let decode = |text: &str| base64url::decode(text.strip_prefix("dk1.").unwrap());
        let backups = [blob.clone(), decode(&text)];
        let new = ring.stage(aes_key(2, "new")).unwrap();
        ring.promote(&new).unwrap();
        assert!(sealer.rewrap(&mut blob, "notes/7/body").unwrap());
        assert!(sealer.rewrap_text(&mut text, "notes/7/body").unwrap());
        ring.revoke(&"old".parse().unwrap(), "in a public log").unwrap();

        for (today, backup) in [blob, decode(&text)].iter().zip(&backups) {
            let dek = data_key(&kek(1), backup);
            // The attack itself works: on a row that was wrapped only, it is a note of the service.
            let wrapped = wrapped_only(backup, 1, 2, "new");
            let believed = sealer.open(forged(&wrapped, &dek, "notes/7/body"), "notes/7/body");
            assert_eq!(*believed.unwrap(), b"the attacker's");

            let refused = sealer.open(forged(today, &dek, "notes/7/body"), "notes/7/body");
            assert_eq!(refused.unwrap_err().reason(), Reason::Signature);
            assert!(!reads(today, &dek, "notes/7/body"));
            assert_eq!(*sealer.open(today, "notes/7/body").unwrap(), b"a note");
            // The backup itself names the revoked key.
            let reason = sealer.open(backup, "notes/7/body").unwrap_err().reason();
            assert_eq!(reason, Reason::RevokedKey);
        }
    }
}
