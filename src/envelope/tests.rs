use std::sync::{Arc, Mutex};

use super::format::{MARK, OVERHEAD, Stored};
use super::*;
use crate::error::{Error, Reason};
use crate::observer::{Event, Observer};
use crate::ring::KeyRing;
use crate::ring::NewKey;
use crate::secret::Secret;

mod versions;

const KEY: [u8; 32] = *b"\x9f\x2c\x4b\x7e\x1a\x6d\x80\x35\xc4\xe7\xf1\x92\x0b\x3a\x5d\x6c\x8e\x7f\x90\xa1\xb2\xc3\xd4\xe5\xf6\x07\x18\x29\x3a\x4b\x5c\x6d";

#[derive(Debug, Clone, Default)]
struct EventLog(Arc<Mutex<Vec<String>>>);

impl Observer for EventLog {
    fn observe(&self, event: &Event<'_>) {
        self.0.lock().unwrap().push(format!("{event:?}"));
    }
}

fn sealer(event_log: &EventLog) -> Sealer {
    let key = NewKey::new(Secret::from(KEY)).kid("a".parse().unwrap());
    Sealer::new(KeyRing::builder().primary(key).observer(event_log.clone()).build().unwrap())
}

/// SP 800-38D §8.3.
#[test]
fn a_key_seals_two_to_the_32_messages_and_no_more() {
    let event_log = EventLog::default();
    let sealer = sealer(&event_log);
    let set_count =
        |count| sealer.ring.read(|view| view.primary().unwrap().material().set_count(count));
    let warnings = || event_log.0.lock().unwrap().len();
    for (count, expected) in [(0, 0), ((1 << 28) - 2, 0), ((1 << 28) - 1, 1), (1 << 28, 1)] {
        set_count(count);
        sealer.seal("payload", "").unwrap();
        assert_eq!(warnings(), expected, "{count}");
    }
    set_count((1 << 29) - 1);
    sealer.seal("payload", "").unwrap();
    assert_eq!(
        event_log.0.lock().unwrap()[1],
        "MessageLimitNear { ring: \"envelope\", kid: Kid(a), sealed: 536870912 }"
    );

    set_count((1 << 32) - 1);
    let mut last = sealer.seal("payload", "").unwrap();
    for _ in 0..2 {
        let error = sealer.seal("payload", "").unwrap_err();
        assert!(matches!(error, Error::Exhausted { .. }), "{error}");
    }
    // What there is still opens, and a new key seals again.
    assert!(sealer.open(&last, "").is_ok());
    let kid = sealer.ring.stage(Secret::from(KEY.map(|byte| byte ^ 0x55))).unwrap();
    sealer.ring.promote(&kid).unwrap();
    assert!(sealer.seal("payload", "").is_ok());
    // To rewrap is to seal: it counts once, and is refused at the limit. What does not open, or
    // stays, counts as nothing.
    let count = || sealer.ring.read(|view| view.primary().unwrap().material().get_count());
    set_count((1 << 32) - 1);
    let before = last.clone();
    assert!(matches!(sealer.rewrap(&mut last, "another"), Err(RewrapError::Open(_))));
    assert_eq!((count(), &last), ((1 << 32) - 1, &before));
    assert!(sealer.rewrap(&mut last, "").unwrap());
    assert_eq!(count(), 1 << 32);
    assert!(!sealer.rewrap(&mut last, "").unwrap());
    assert_eq!(count(), 1 << 32);
    last = before.clone();
    let exhausted = sealer.rewrap(&mut last, "");
    assert!(matches!(exhausted, Err(RewrapError::Seal(Error::Exhausted { .. }))));
    assert_eq!(last, before);
}

#[test]
fn sizes_are_bounded_at_the_bound_exactly_before_any_work() {
    let all = sealer(&EventLog::default());
    let ten = all.clone().max_payload_bytes(10);
    assert!(ten.seal([0; 10], "").is_ok());
    assert!(matches!(ten.seal([0; 11], ""), Err(Error::Seal { source: None, .. })));
    let (fits, large) = (all.seal([0; 10], "").unwrap(), all.seal([0; 11], "").unwrap());
    assert!(ten.open(&fits, "").is_ok() && ten.open(format::to_text(&fits), "").is_ok());
    for stored in [large.clone(), format::to_text(&large).into_bytes(), vec![b'a'; 1000]] {
        assert_eq!(ten.open(&stored, "").unwrap_err().reason(), Reason::TooLarge);
    }
    // A legacy value as well: 12 bytes of `iv`, a tag, and 10 or 11 bytes of ciphertext.
    let far = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1 << 40);
    let legacy = ten.clone().accept_legacy(Layout::HEX_IV_TAG_CT, far);
    for (length, reason) in [(10, Reason::Signature), (11, Reason::TooLarge)] {
        let text = format!("{:024x}:{:032x}:{}", 0, 0, "00".repeat(length));
        assert_eq!(legacy.open(text, "").unwrap_err().reason(), reason);
    }
    let mut blob = large.clone();
    assert_eq!(ten.open_in_place(&mut blob, "").unwrap_err().reason(), Reason::TooLarge);
    assert!(matches!(
        ten.rewrap(&mut blob, ""),
        Err(RewrapError::Open(error)) if error.reason() == Reason::TooLarge
    ));
    assert_eq!(blob, large);
    // Nobody sets more than GCM allows: 64 GiB less 32 bytes, SP 800-38D §5.2.1.1.
    assert_eq!(all.max_payload_bytes(usize::MAX).max_payload_bytes, (64 << 30) - 32);
}

#[test]
fn the_bytes_are_those_of_the_layout() {
    let sealer = sealer(&EventLog::default());
    let blob = sealer.seal("payload", "context").unwrap();
    assert_eq!(blob[..6], *b"DK\x01\x01\x01a");
    assert_eq!(blob.len(), 93 + 1 + 7);
    assert_eq!(OVERHEAD, 93);

    // By the drawing, with the cipher alone.
    let (head, rest) = blob.split_at(6);
    let (wrap, sealed) = rest.split_at(12 + 32 + 16);
    let mut dek = [0; 32];
    let cipher = |key| aead::Cipher::new(Backend::RustCrypto, key);
    let nonce = |bytes: &[u8]| bytes[..12].try_into().unwrap();
    let tag = |bytes: &[u8]| bytes[bytes.len() - 16..].try_into().unwrap();
    assert!(cipher(&KEY).open(&nonce(wrap), head, &wrap[12..44], &mut dek, &tag(wrap)));
    let ciphertext = &sealed[12..sealed.len() - 16];
    let mut payload = vec![0; ciphertext.len()];
    let associated = [&MARK[..], b"context"].concat();
    let held =
        cipher(&dek).open(&nonce(sealed), &associated, ciphertext, &mut payload, &tag(sealed));
    assert!(held);
    assert_eq!(payload, b"payload");
}

#[test]
fn no_two_envelopes_share_a_key_or_a_nonce() {
    let sealer = sealer(&EventLog::default());
    let mut seen = std::collections::HashSet::new();
    for _ in 0..1000 {
        let mut blob = sealer.seal("payload", "").unwrap();
        let fresh = [&blob[6..18], &blob[18..50], &blob[66..78], &blob[78..]].map(<[u8]>::to_vec);
        assert!(fresh.into_iter().all(|part| seen.insert(part)));
        assert!(!sealer.rewrap(&mut blob, "").unwrap(), "under the primary, it stays as it is");
    }
}

/// A data key is a ciphertext under the key of the ring, with the head of its envelope as
/// the associated data: it must not come out as a legacy value of that context.
#[test]
fn a_wrapped_key_is_not_read_by_way_of_a_legacy_layout() {
    let far = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1 << 40);
    let sealer = sealer(&EventLog::default());
    let blob = sealer.seal("payload", "").unwrap();
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let text = format!("{}:{}:{}", hex(&blob[6..18]), hex(&blob[18..50]), hex(&blob[50..66]));
    let layout = Layout::HEX_IV_CT_TAG.context_as_aad();
    let error = sealer.accept_legacy(layout, far).open(text, &blob[..6]).unwrap_err();
    assert_eq!(error.reason(), Reason::Signature);
}

#[test]
fn a_text_is_told_apart_by_its_first_characters() {
    let kind = |stored: &'static [u8]| match Stored::parse(stored, 1000) {
        Ok(Stored::Native(_)) => "native",
        Ok(Stored::Legacy(_)) => "legacy",
        Err(reason) => reason.as_str(),
    };
    for (stored, expected) in [
        (&b"DK\x01\x01"[..], "native"),
        (b"DK\x02\x01", "native"),
        (b"DK", "native"),
        (b"dk1.", "native"),
        (b"dk1.AAAA", "native"),
        (b"dk1.AAAA=", "malformed"),
        (b"dk1.AAA+", "malformed"),
        (b"dk1.AAB", "malformed"),
        (b"dk2.AAAA", "unsupported_header"),
        (b"dk10.AAAA", "unsupported_header"),
        (b"DKIM/+==", "legacy"),
        (b"dkim", "legacy"),
        (b"dkx1.AAAA", "legacy"),
        (b"", "legacy"),
        (b"\xff\xfe", "malformed"),
    ] {
        assert_eq!(kind(stored), expected, "{stored:?}");
    }
}
