//! What holds of every envelope, whoever changes it and however often it is rewrapped.

use std::time::{Duration, UNIX_EPOCH};

use dualkey::envelope::{AesKey, Layout, RewrapError, Sealer};
use dualkey::{
    Clock, Error, KeyRing, Kid, ManualClock, NewKey, Obstacle, Reason, RewrapRecord, Role, Secret,
};
use proptest::prelude::*;

use crate::support::{EventLog, aes_key, aes_ring, far, secret};

fn sealer(keys: &[(u64, &str)]) -> Sealer {
    Sealer::new(aes_ring(keys.iter().map(|(seed, kid)| aes_key(*seed, kid))))
}

/// Why `blob` does not open, the same in every way of opening it, which all leave it as it is.
fn refusal(sealer: &Sealer, blob: &[u8], context: &[u8]) -> Reason {
    let reason = sealer.open(blob, context).unwrap_err().reason();
    let mut bytes = blob.to_vec();
    let in_place = sealer.open_in_place(&mut bytes, context).unwrap_err().reason();
    assert_eq!(bytes, blob);
    // What has lost its mark is a text to one and no envelope to the other.
    assert!(in_place == reason || !blob.starts_with(b"DK\x01"), "{in_place} {reason}");
    assert!(sealer.dangerous().open_revoked(blob, context).is_err());
    reason
}

/// Refused in both forms, each of which stays as it is.
fn assert_not_rewrapped(sealer: &Sealer, blob: &[u8], context: &str) {
    let mut bytes = blob.to_vec();
    assert!(matches!(sealer.rewrap(&mut bytes, context), Err(RewrapError::Open(_))));
    assert_eq!(bytes, blob);
    let text = format!("dk1.{}", crate::support::base64url::encode(blob));
    let mut changed = text.clone();
    assert!(matches!(sealer.rewrap_text(&mut changed, context), Err(RewrapError::Open(_))));
    assert_eq!(changed, text);
}

#[test]
fn an_envelope_cut_anywhere_or_with_a_bit_flipped_does_not_open() {
    let sealer = sealer(&[(0, "new"), (1, "old")]);
    let blob = sealer.seal("a note", "context").unwrap();
    let text = sealer.seal_text("a note", "context").unwrap();
    for end in 0..blob.len() {
        let reason = refusal(&sealer, &blob[..end], b"context");
        assert!([Reason::Malformed, Reason::Signature].contains(&reason), "{end}: {reason}");
        // Below its shortest length it has no structure.
        let is_short = end < 93 + 3;
        assert_eq!(reason == Reason::Malformed, is_short, "{end}: {reason}");
        assert_eq!(Sealer::kid_of(&blob[..end]).is_none(), is_short, "{end}");
        assert_eq!(sealer.needs_rewrap(&blob[..end]).is_err(), is_short, "{end}");
        assert!(sealer.rewrap(&mut blob[..end].to_vec(), "context").is_err(), "{end}");
    }
    for end in 0..text.len() {
        assert!(sealer.open(&text[..end], "context").is_err(), "{end}");
        let is_short = end.saturating_sub(4) * 3 / 4 < 93 + 3;
        assert_eq!(Sealer::kid_of(&text[..end]).is_none(), is_short, "{end}");
    }
    for bit in 0..blob.len() * 8 {
        let mut changed = blob.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let reason = refusal(&sealer, &changed, b"context");
        match bit / 8 {
            0 | 1 => assert_eq!(reason, Reason::Malformed),
            2 if changed[2] >= b' ' => assert_eq!(reason, Reason::Malformed),
            2 | 3 => assert_eq!(reason, Reason::UnsupportedHeader),
            // The length of the kid, and the kid.
            4..8 => assert!(matches!(
                reason,
                Reason::Malformed | Reason::UnknownKid | Reason::Signature
            )),
            _ => assert_eq!(reason, Reason::Signature),
        }
        assert_not_rewrapped(&sealer, &changed, "context");
    }
    // The same of one that is due to be sealed again.
    let due = self::sealer(&[(1, "old")]).seal("a note", "context").unwrap();
    for bit in 0..due.len() * 8 {
        let mut changed = due.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert_not_rewrapped(&sealer, &changed, "context");
    }
    assert_not_rewrapped(&sealer, &due, "contexu");
    assert_not_rewrapped(&sealer, &due, "");
    assert!(sealer.rewrap(&mut due.clone(), "context").unwrap());
    let longer = [&blob[..], b"\0"].concat();
    assert_eq!(refusal(&sealer, &longer, b"context"), Reason::Signature);
}

#[test]
fn what_an_envelope_declares_of_itself_is_believed_of_nothing() {
    let sealer = sealer(&[(0, "new"), (1, "old")]);
    let blob = sealer.seal("a note", "context").unwrap();
    let with = |place: usize, byte: u8| {
        let mut changed = blob.clone();
        changed[place] = byte;
        changed
    };
    // A kid that is empty, one byte shorter or longer, past the end, as long as can be said.
    assert_eq!(refusal(&sealer, &with(4, 0), b"context"), Reason::Malformed);
    assert_eq!(refusal(&sealer, &with(4, 2), b"context"), Reason::UnknownKid);
    for length in [65, 200, 255] {
        assert_eq!(refusal(&sealer, &with(4, length), b"context"), Reason::Malformed);
    }
    // Versions and algorithms from the future, and from before the first.
    for byte in [0, 2, 31] {
        assert_eq!(refusal(&sealer, &with(2, byte), b"context"), Reason::UnsupportedHeader);
        assert_eq!(refusal(&sealer, &with(3, byte), b"context"), Reason::UnsupportedHeader);
        assert_eq!(Sealer::kid_of(with(2, byte)), None);
    }
    assert_eq!(sealer.open("dk2.RDs", "").unwrap_err().reason(), Reason::UnsupportedHeader);
    // A foreign kid of the same length, and one that the ring has never heard of.
    let foreign = [&blob[..5], b"old", &blob[8..]].concat();
    assert_eq!(refusal(&sealer, &foreign, b"context"), Reason::Signature);
    let unknown = [&blob[..5], b"odd", &blob[8..]].concat();
    assert_eq!(refusal(&sealer, &unknown, b"context"), Reason::UnknownKid);
    assert_eq!(Sealer::kid_of(&unknown), Some("odd".parse().unwrap()));
    let error = sealer.needs_rewrap(&unknown).unwrap_err();
    assert_eq!(error.reason(), Reason::UnknownKid);
    for nothing in ["", " ", "dk1.", "null", "a note", "0:0:0"] {
        assert_eq!(sealer.open(nothing, "").unwrap_err().reason(), Reason::Malformed, "{nothing}");
        assert_eq!(Sealer::kid_of(nothing), None);
        assert!(sealer.needs_rewrap(nothing).is_err());
        assert!(sealer.migrate(nothing, "").is_err());
        assert!(sealer.rewrap_text(&mut nothing.to_owned(), "").is_err());
    }
}

#[test]
fn the_keys_of_an_aes_ring_are_32_bytes_and_random() {
    let build = |bytes: &[u8]| {
        KeyRing::<AesKey>::builder().primary(NewKey::new(Secret::from(bytes))).build()
    };
    let random = secret(3);
    for length in [1, 16, 24, 31, 33, 64] {
        let error = build(&random.as_bytes()[..length]).unwrap_err();
        assert!(matches!(error, Error::WrongLength { expected: 32, .. }), "{error}");
        assert!(error.to_string().contains("openssl rand -hex 32"), "{error}");
        // No setting relaxes the length that a cipher takes.
        let builder = KeyRing::<AesKey>::builder()
            .primary(aes_key(0, "a"))
            .fallback(NewKey::new(Secret::from(&random.as_bytes()[..length])))
            .allow_short_fallbacks();
        let relaxed = builder.dangerous().min_secret_bytes(1).build();
        assert!(matches!(relaxed, Err(Error::WrongLength { .. })));
    }
    assert!(matches!(build(&[]), Err(Error::EmptySecret { .. })));
    assert!(matches!(build(&[0; 32]), Err(Error::Placeholder { .. })));
    assert!(build(&random.as_bytes()[..32]).is_ok());

    for bad in ["", "0", "zz", &format!("{} ", "0".repeat(64)), "0x00"] {
        let error = AesKey::hex(bad).map(|key| KeyRing::builder().primary(key).build());
        assert!(!matches!(error, Ok(Ok(_))), "{bad}");
    }
    assert!(matches!(AesKey::hex("zz"), Err(Error::Encoding { .. })));
    assert!(matches!(AesKey::base64("*"), Err(Error::Encoding { .. })));
    assert!(matches!(AesKey::sha256(""), Err(Error::EmptySecret { .. })));
    assert!(matches!(AesKey::scrypt("", "salt"), Err(Error::EmptySecret { .. })));
}

#[test]
fn an_aes_key_stands_in_the_environment_as_hex_or_base64() {
    let bytes = &secret(4).into_bytes()[..32];
    let build = |value: String| {
        KeyRing::<AesKey>::builder()
            .vars("ENCRYPTION_KEY", |name| Ok((name == "ENCRYPTION_KEY").then(|| value.clone())))
            .build()
    };
    let base64 = crate::support::base64::encode(bytes);
    let forms = [
        hex::encode(bytes),
        hex::encode_upper(bytes),
        base64.clone(),
        base64.trim_end_matches('=').to_owned(),
        format!("hex:{}", hex::encode(bytes)),
        format!("base64:{base64}"),
    ];
    let kids: Vec<_> = forms.map(|form| build(form).unwrap().primary().unwrap()).to_vec();
    assert!(kids.windows(2).all(|pair| pair[0] == pair[1]), "one key, one kid: {kids:?}");

    let error = |value: &str| build(value.to_owned()).unwrap_err().to_string();
    assert_eq!(
        error(&hex::encode(&bytes[..31])),
        "ENCRYPTION_KEY has 31 bytes and must have exactly 32: make one with `openssl rand -hex 32`"
    );
    assert!(error(&format!("{}00", hex::encode(bytes))).contains("has 33 bytes"));
    assert_eq!(
        error("a passphrase of some length, no key"),
        "ENCRYPTION_KEY is not 64 hexadecimal digits or base64 of 32 bytes"
    );
    assert!(error("").contains("set ENCRYPTION_KEY to a random secret (`openssl rand -hex 32`)"));
}

#[test]
fn sixteen_keys_may_open_and_none_ends_by_time() {
    let clock = ManualClock::at_unix(1_700_000_000);
    let builder = KeyRing::<AesKey>::builder().clock(clock.clone()).primary(aes_key(0, "k0"));
    let ring = builder.build().unwrap();
    let sealer = Sealer::new(ring.clone());
    let mut blobs = vec![sealer.seal("a note", "").unwrap()];
    for seed in 1..16 {
        let kid = ring.stage(aes_key(seed, &format!("k{seed}"))).unwrap();
        ring.promote(&kid).unwrap();
        blobs.push(sealer.seal("a note", "").unwrap());
    }
    clock.advance(Duration::from_secs(100 * 365 * 86_400));
    for blob in &blobs {
        assert_eq!(*sealer.open(blob, "").unwrap(), b"a note");
    }
    let error = ring.stage(aes_key(16, "k16")).unwrap_err();
    assert!(matches!(error, Error::TooManyKeys { max_live_keys: 16, .. }), "{error}");
    // Once rewrapped, the old one may go.
    let first = "k0".parse().unwrap();
    assert!(sealer.rewrap(&mut blobs[0], "").unwrap());
    let error = ring.retire(&first).unwrap_err();
    assert!(
        matches!(&error, Error::Blocked { obstacles, .. } if obstacles.contains(&Obstacle::NotRewrapped)),
        "{error}"
    );
    ring.force("nothing needs it").retire(&first).unwrap();
    assert!(ring.stage(aes_key(16, "k16")).is_ok());
    assert_eq!(*sealer.open(&blobs[0], "").unwrap(), b"a note");
}

/// What an instance sealed that has promoted already is not turned back by one that has not.
#[test]
fn an_envelope_of_a_staged_key_stays_and_a_rewrap_is_a_use_of_the_old_key() {
    let (ahead, behind) = (aes_ring([aes_key(0, "old")]), aes_ring([aes_key(0, "old")]));
    let new = "new".parse().unwrap();
    for ring in [&ahead, &behind] {
        ring.stage(aes_key(1, "new")).unwrap();
    }
    let mut old = Sealer::new(ahead.clone()).seal("a note", "").unwrap();
    ahead.promote(&new).unwrap();
    let mut blob = Sealer::new(ahead.clone()).seal("a note", "").unwrap();
    let sealer = Sealer::new(behind);
    assert_eq!(sealer.open(&blob, "").unwrap().role(), Role::Staged);
    assert!(!sealer.needs_rewrap(&blob).unwrap() && !sealer.rewrap(&mut blob, "").unwrap());
    assert_eq!(Sealer::kid_of(&blob), Some(new));

    assert!(Sealer::new(ahead.clone()).rewrap(&mut old, "").unwrap());
    let usage = |kid: &str| ahead.keys().into_iter().find(|key| key.kid == *kid).unwrap().usage;
    assert_eq!((usage("old").verified_as_fallback, usage("new").signed), (1, 2));
    assert!(usage("old").last_seen_as_fallback.is_some());
}

/// Another instance may seal under the old key until the rollout is over. After a rewrap the key must
/// be unused for one observation window.
#[test]
fn a_retired_encryption_key_opens_for_one_window_after_the_rewrap() {
    let clock = ManualClock::at_unix(1_700_000_000);
    let ring = KeyRing::<AesKey>::builder()
        .clock(clock.clone())
        .max_lifetime(Duration::ZERO)
        .rollout_window(Duration::from_secs(600))
        .skew(Duration::from_secs(60))
        .primary(aes_key(0, "old"))
        .build()
        .unwrap();
    let sealer = Sealer::new(ring.clone());
    let blob = sealer.seal("a note", "").unwrap();
    let kid = ring.stage(aes_key(1, "new")).unwrap();
    ring.promote(&kid).unwrap();
    clock.advance(Duration::from_secs(660));
    let old = "old".parse().unwrap();
    assert!(matches!(ring.retire(&old), Err(Error::Blocked { .. })));
    let now = clock.now();
    let (rows, unreadable) = (vec![(kid, 1)], 0);
    ring.record_rewrap(&RewrapRecord {
        started_at: now,
        finished_at: now,
        unreadable,
        nothing_sealed: 0,
        rows,
    });
    let ends = ring.retire(&old).unwrap();
    assert_eq!(ends, Some(now + Duration::from_secs(86_400)));
    clock.advance(Duration::from_secs(86_400 - 1));
    assert!(sealer.open(&blob, "").is_ok());
    clock.advance(Duration::from_secs(1));
    assert_eq!(sealer.open(&blob, "").unwrap_err().reason(), Reason::ExpiredKey);
    assert_eq!(
        sealer.dangerous().open_revoked(&blob, "").unwrap_err().reason(),
        Reason::ExpiredKey
    );
}

#[test]
fn a_legacy_value_is_read_by_name_until_its_date_and_not_otherwise() {
    let clock = ManualClock::at_unix(1_700_000_000);
    let key =
        || AesKey::hex("f8b4d5fe1f65e1aceed24c60bf2cb755f4f284e001e1a8ab97e328274bb90606").unwrap();
    let ring = KeyRing::<AesKey>::builder().clock(clock.clone()).primary(key()).build().unwrap();
    let text = "9ad9a09c9944db8c22e8cf43:068477e78cb13b7b9996c50b5ab535e0:75e3e2bb9ee4fb0958193b";
    let until = UNIX_EPOCH + Duration::from_secs(1_700_000_060);
    let reason = |sealer: &Sealer| sealer.open(text, "").map(drop).map_err(|e| e.reason());
    let plain = Sealer::new(ring);

    assert_eq!(reason(&plain), Err(Reason::LegacyNotAccepted));
    assert_eq!(plain.needs_rewrap(text).unwrap_err().reason(), Reason::LegacyNotAccepted);
    let other = plain.clone().accept_legacy(Layout::HEX_IV_CT_TAG, until);
    assert_eq!(reason(&other), Err(Reason::LegacyNotAccepted));
    let other = plain.clone().accept_legacy(Layout::HEX_IV_TAG_CT.iv16(), until);
    assert_eq!(reason(&other), Err(Reason::LegacyNotAccepted));
    let on = plain.clone().accept_legacy(Layout::HEX_IV_TAG_CT, until);
    assert_eq!(reason(&on), Ok(()));
    // `setAAD` is part of the name: with it on, the context counts.
    let aad = plain.accept_legacy(Layout::HEX_IV_TAG_CT.context_as_aad(), until);
    assert_eq!(reason(&aad), Ok(()), "an empty context is no associated data");
    assert_eq!(aad.open(text, "x").unwrap_err().reason(), Reason::Signature);
    assert!(on.open(text, "x").is_ok());
    // The last date that was given counts, and at the date it is over.
    clock.advance(Duration::from_secs(59));
    assert_eq!(reason(&on), Ok(()));
    clock.advance(Duration::from_secs(1));
    assert_eq!(reason(&on), Err(Reason::LegacyEnded));
    assert_eq!(on.needs_rewrap(text).unwrap_err().reason(), Reason::LegacyEnded);
    assert!(
        matches!(on.migrate(text, ""), Err(RewrapError::Open(error)) if error.reason() == Reason::LegacyEnded)
    );
    let longer = on.clone().accept_legacy(Layout::HEX_IV_TAG_CT, far());
    assert_eq!(reason(&longer), Ok(()));
    let shorter = longer.accept_legacy(Layout::HEX_IV_TAG_CT, until);
    assert_eq!(reason(&shorter), Err(Reason::LegacyEnded));
    // Never with white space, other separators, or a part too many.
    let on = on.accept_legacy(Layout::HEX_IV_TAG_CT, far());
    for bad in [
        format!(" {text}"),
        format!("{text}\n"),
        format!("{text}:"),
        text.replace(':', "."),
        text.replacen("9a", "9g", 1),
        text[..text.len() - 1].to_owned(),
    ] {
        assert!(on.open(&bad, "").is_err(), "{bad:?}");
    }
}

/// A ciphertext of 16 bytes has one shape in `iv:tag:ct` and in `iv:ct:tag`.
#[test]
fn a_legacy_value_of_two_shapes_is_what_opens_it() {
    let file: serde_json::Value =
        serde_json::from_str(include_str!("../vectors/interop_node_aesgcm.json")).unwrap();
    let vectors = file["vectors"].as_array().unwrap();
    let block = vectors.iter().find(|vector| vector["name"] == "block/old/iv12/noaad").unwrap();
    let keys =
        ["new", "old"].map(|key| AesKey::hex(block["keys_hex"][key].as_str().unwrap()).unwrap());
    let sealer = Sealer::new(aes_ring(keys))
        .accept_legacy(Layout::HEX_IV_CT_TAG, far())
        .accept_legacy(Layout::HEX_IV_TAG_CT, far());
    let plaintext = hex::decode(block["plaintext_hex"].as_str().unwrap()).unwrap();
    for form in ["hex iv:tag:ct", "hex iv:ct:tag"] {
        let text = block["formats"][form].as_str().unwrap();
        assert_eq!(*sealer.open(text, "").unwrap(), plaintext, "{form}");
        let (_, parts) = text.split_once(':').unwrap();
        assert_eq!(parts.len(), 65);
    }
}

/// More keys than are tried: those that came first are the ones that can have made it.
#[test]
fn a_legacy_value_is_tried_with_the_keys_that_came_first() {
    let key =
        AesKey::hex("f8b4d5fe1f65e1aceed24c60bf2cb755f4f284e001e1a8ab97e328274bb90606").unwrap();
    let text = "9ad9a09c9944db8c22e8cf43:068477e78cb13b7b9996c50b5ab535e0:75e3e2bb9ee4fb0958193b";
    let others =
        |from: u64, count: u64| (from..from + count).map(|seed| aes_key(seed, &format!("k{seed}")));
    let open = |ring: &KeyRing<AesKey>| {
        Sealer::new(ring.clone()).accept_legacy(Layout::HEX_IV_TAG_CT, far()).open(text, "").is_ok()
    };
    let again =
        || AesKey::hex("f8b4d5fe1f65e1aceed24c60bf2cb755f4f284e001e1a8ab97e328274bb90606").unwrap();
    let fourth = aes_ring(others(0, 3).chain([again()]).chain(others(3, 6)));
    assert!(open(&fourth));
    let fifth = aes_ring(others(0, 4).chain([key]));
    assert!(!open(&fifth), "at most four are tried");
    // Rotations that come after do not push it out.
    for seed in 20..24 {
        let kid = fourth.stage(aes_key(seed, &format!("k{seed}"))).unwrap();
        fourth.promote(&kid).unwrap();
        assert!(open(&fourth));
    }
}

#[test]
fn the_observer_hears_of_legacy_values_and_of_rescues() {
    let event_log = EventLog::default();
    let key =
        AesKey::hex("f8b4d5fe1f65e1aceed24c60bf2cb755f4f284e001e1a8ab97e328274bb90606").unwrap();
    let ring = KeyRing::<AesKey>::builder()
        .name("ENCRYPTION_KEY")
        .primary(key.kid("node".parse().unwrap()))
        .observer(event_log.clone())
        .build()
        .unwrap();
    let sealer = Sealer::new(ring).accept_legacy(Layout::HEX_IV_TAG_CT, far());
    let text = "9ad9a09c9944db8c22e8cf43:068477e78cb13b7b9996c50b5ab535e0:75e3e2bb9ee4fb0958193b";
    assert!(sealer.open(text, "").unwrap().needs_resign());
    assert_eq!(
        event_log.all(),
        ["LegacyAccepted { ring: \"ENCRYPTION_KEY\", kid: Kid(node), form: \"hex iv:tag:ct\" }"]
    );
}

proptest! {
    #![proptest_config(crate::support::cases(256, 20_000))]

    #[test]
    fn opens_in_its_context_and_never_in_another(
        payload in prop::collection::vec(any::<u8>(), 0..300),
        context in prop::collection::vec(any::<u8>(), 0..40),
        other in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        prop_assume!(context != other);
        let sealer = sealer(&[(0, "new"), (1, "old")]);
        let blob = sealer.seal(&payload, &context).unwrap();
        let text = sealer.seal_text(&payload, &context).unwrap();
        prop_assert_eq!(blob.len(), payload.len() + 96);
        for stored in [&blob[..], text.as_bytes()] {
            let opened = sealer.open(stored, &context).unwrap();
            prop_assert_eq!((&*opened, opened.role()), (&payload, Role::Primary));
            prop_assert_eq!(sealer.open(stored, &other).unwrap_err().reason(), Reason::Signature);
            prop_assert_eq!(Sealer::kid_of(stored), Some("new".parse().unwrap()));
        }
        let mut in_place = blob.clone();
        prop_assert!(sealer.open_in_place(&mut in_place, &other).is_err());
        prop_assert_eq!(&in_place, &blob);
        prop_assert_eq!(&**sealer.open_in_place(&mut in_place, &context).unwrap(), &payload[..]);
    }

    /// Under another kid, version or algorithm byte, or with the parts of two envelopes in
    /// one.
    #[test]
    fn never_opens_with_another_head(
        payload in prop::collection::vec(any::<u8>(), 0..60),
        version in any::<u8>(),
        algorithm in any::<u8>(),
        kid in "[a-z]{1,12}",
    ) {
        let sealer = sealer(&[(0, "new"), (1, "old"), (2, "odd")]);
        let blob = sealer.seal(&payload, "context").unwrap();
        let open = |blob: &[u8]| sealer.open(blob, "context");
        prop_assert!(open(&blob).is_ok());
        if (version, algorithm) != (1, 1) {
            let changed = [&b"DK"[..], &[version, algorithm], &blob[4..]].concat();
            prop_assert!(open(&changed).is_err());
        }
        if kid != "new" {
            let length = [kid.len() as u8];
            let changed = [&blob[..4], &length, kid.as_bytes(), &blob[8..]].concat();
            prop_assert!(open(&changed).is_err());
        }
        let other = sealer.seal(&payload, "context").unwrap();
        let halves = [&blob[..68], &other[68..]].concat();
        prop_assert_eq!(open(&halves).unwrap_err().reason(), Reason::Signature);
    }

    /// Through any number of rotations, to kids of any length and back.
    #[test]
    fn rewrapping_changes_neither_the_payload_nor_what_opens(
        payload in prop::collection::vec(any::<u8>(), 0..200),
        kids in prop::collection::btree_set("[a-z0-9]{1,64}", 2..8),
    ) {
        let kids: Vec<Kid> = kids.iter().map(|kid| kid.parse().unwrap()).collect();
        let ring = aes_ring([aes_key(0, kids[0].as_str())]);
        let sealer = Sealer::new(ring.clone());
        let mut blob = sealer.seal(&payload, "context").unwrap();
        let mut text = sealer.seal_text(&payload, "context").unwrap();
        for (seed, kid) in kids.iter().enumerate().skip(1) {
            ring.stage(aes_key(seed as u64, kid.as_str())).unwrap();
            // Staged, it has nothing to do with what is stored yet.
            prop_assert!(!sealer.rewrap(&mut blob, "context").unwrap());
            ring.promote(kid).unwrap();
            prop_assert!(sealer.needs_rewrap(&blob).unwrap() && sealer.needs_rewrap(&text).unwrap());
            prop_assert!(sealer.rewrap(&mut blob, "context").unwrap());
            prop_assert!(sealer.rewrap_text(&mut text, "context").unwrap());
            prop_assert!(!sealer.rewrap(&mut blob, "context").unwrap());
            prop_assert!(!sealer.rewrap_text(&mut text, "context").unwrap());
            prop_assert_eq!(Sealer::kid_of(&blob), Some(*kid));
            prop_assert_eq!(blob.len(), 93 + kid.as_str().len() + payload.len());
            for stored in [&blob[..], text.as_bytes()] {
                let opened = sealer.open(stored, "context").unwrap();
                prop_assert_eq!((&*opened, opened.kid()), (&payload, *kid));
                prop_assert!(sealer.open(stored, "contexu").is_err());
            }
        }
        // Under the last key alone: nothing of the others is needed.
        let last = kids.len() - 1;
        let alone = Sealer::new(aes_ring([aes_key(last as u64, kids[last].as_str())]));
        prop_assert_eq!(&*alone.open(&blob, "context").unwrap(), &payload);
    }

    /// Anything at all: an error with a reason, never a panic.
    #[test]
    fn nothing_that_is_stored_panics(stored in prop::collection::vec(any::<u8>(), 0..200), text in any::<String>()) {
        let sealer = [
            Layout::HEX_IV_TAG_CT,
            Layout::HEX_IV_CT_TAG.iv16(),
            Layout::BASE64_IV_TAG_CT,
            Layout::BASE64_IV_CT_TAG.iv16().context_as_aad(),
        ]
        .into_iter()
        .fold(sealer(&[(0, "new"), (1, "old")]), |sealer, layout| sealer.accept_legacy(layout, far()));
        for stored in [&stored[..], text.as_bytes(), &[b"DK\x01\x01", &stored[..]].concat()] {
            prop_assert!(sealer.open(stored, "").is_err());
            prop_assert!(sealer.rewrap(&mut stored.to_vec(), "").is_err());
            let _ = (sealer.needs_rewrap(stored), Sealer::kid_of(stored));
        }
    }
}
