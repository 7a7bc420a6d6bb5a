//! Anything that may be stored: it opens only if it is what was sealed, every way of looking
//! at it agrees, and what fails leaves the bytes as they are.
#![no_main]

use std::sync::LazyLock;
use std::time::{Duration, UNIX_EPOCH};

use arbitrary::Arbitrary;
use dualkey::envelope::{AesKey, Layout, RewrapError, Sealer};
use dualkey::{KeyRing, Kid, ManualClock, NewKey, Secret};
use libfuzzer_sys::fuzz_target;

#[derive(Debug, Arbitrary)]
enum Input {
    Bytes(Vec<u8>),
    /// Behind the head of an envelope under a known key.
    Body(Vec<u8>),
    Text(String),
    /// An envelope, under either key, with bytes changed and its end cut off.
    Changed {
        payload: Vec<u8>,
        edits: Vec<(u16, u8)>,
        cut: u8,
        as_text: bool,
        is_old: bool,
    },
}

fn key(seed: u8, kid: &str) -> NewKey<AesKey> {
    let bytes = std::array::from_fn::<u8, 32, _>(|place| (place as u8 * 7) ^ seed);
    NewKey::new(Secret::from(bytes)).kid(kid.parse().unwrap())
}

/// Before the rotation.
static OLD: LazyLock<Sealer> = LazyLock::new(|| {
    Sealer::new(KeyRing::<AesKey>::builder().primary(key(0xa5, "old")).build().unwrap())
});

static SEALER: LazyLock<Sealer> = LazyLock::new(|| {
    let ring = KeyRing::<AesKey>::builder()
        .primary(key(0x5a, "new"))
        .fallback(key(0xa5, "old"))
        .clock(ManualClock::at_unix(1_700_000_000))
        .build()
        .unwrap();
    let until = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    [
        Layout::HEX_IV_TAG_CT,
        Layout::HEX_IV_CT_TAG.iv16(),
        Layout::BASE64_IV_TAG_CT,
        Layout::BASE64_IV_CT_TAG.context_as_aad(),
    ]
    .into_iter()
    .fold(Sealer::new(ring), |sealer, layout| sealer.accept_legacy(layout, until))
});

/// The head by its drawing: where the kid is, of an envelope that is long enough.
fn documented_kid(blob: &[u8]) -> Option<&[u8]> {
    let kid = blob.get(5..5 + usize::from(*blob.get(4)?))?;
    let is_known = blob.starts_with(b"DK\x01\x01") && blob.len() >= 93 + kid.len();
    let in_alphabet = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_:/+=@~".contains(byte);
    (is_known && (1..=64).contains(&kid.len()) && kid.iter().all(in_alphabet)).then_some(kid)
}

fuzz_target!(|input: Input| {
    let sealer = &*SEALER;
    let mut sealed = None;
    let stored = match &input {
        Input::Bytes(bytes) => bytes.clone(),
        Input::Body(body) => [&b"DK\x01\x01\x03old"[..], body].concat(),
        Input::Text(text) => text.clone().into_bytes(),
        Input::Changed { payload, edits, cut, as_text, is_old } => {
            let sealer = if *is_old { &*OLD } else { sealer };
            let original = if *as_text {
                sealer.seal_text(payload, "context").unwrap().into_bytes()
            } else {
                sealer.seal(payload, "context").unwrap()
            };
            let mut changed = original.clone();
            for (place, byte) in edits {
                let place = usize::from(*place) % changed.len();
                changed[place] = *byte;
            }
            changed.truncate(original.len() - usize::from(*cut).min(original.len()));
            sealed = (changed == original).then(|| payload.clone());
            changed
        }
    };

    let opened = sealer.open(&stored, "context");
    assert_eq!(opened.as_ref().ok().map(|opened| &**opened), sealed.as_ref());
    assert!(sealer.open(&stored, "another").is_err());
    let mut in_place = stored.clone();
    match sealer.open_in_place(&mut in_place, "context") {
        Ok(payload) => assert_eq!(Some(payload.to_vec()), sealed),
        Err(_) => assert_eq!(in_place, stored),
    }
    let kid = Sealer::kid_of(&stored);
    let payload = sealed.as_deref();
    if stored.starts_with(b"DK") {
        let expected = documented_kid(&stored).map(|kid| String::from_utf8(kid.to_vec()).unwrap());
        assert_eq!(kid.map(|kid| kid.to_string()), expected);
    }
    let is_old = kid == Some("old".parse::<Kid>().unwrap());
    if opened.is_ok() {
        assert!(is_old || kid == Some("new".parse::<Kid>().unwrap()));
        assert_eq!(sealer.needs_rewrap(&stored).unwrap(), is_old);
    }
    let is_binary = stored.starts_with(b"DK");
    let mut rewrapped = stored.clone();
    let changed = sealer.rewrap(&mut rewrapped, "context");
    check(changed, opened.is_ok() && is_binary, is_old, &stored, &rewrapped, payload);
    assert!(sealer.rewrap(&mut stored.clone(), "another").is_err());
    if let Ok(text) = String::from_utf8(stored) {
        let mut rewrapped = text.clone();
        let changed = sealer.rewrap_text(&mut rewrapped, "context");
        check(changed, opened.is_ok(), is_old, text.as_bytes(), rewrapped.as_bytes(), payload);
        assert!(sealer.rewrap_text(&mut text.clone(), "another").is_err());
        assert!(!matches!(sealer.migrate(&text, "context"), Ok(Some(_))));
    }
});

/// Each value that opens is rewrapped if it is due, with no byte of the old payload; nothing else
/// changes.
fn check(
    changed: Result<bool, RewrapError>,
    opens: bool,
    is_due: bool,
    before: &[u8],
    after: &[u8],
    payload: Option<&[u8]>,
) {
    assert_eq!(changed.is_ok(), opens);
    match changed {
        Ok(true) => {
            assert!(is_due);
            assert_eq!(before.len(), after.len(), "both kids have three letters");
            assert_ne!(before[before.len() - 30..], after[after.len() - 30..]);
            let opened = SEALER.open(after, "context").unwrap();
            assert_eq!(Some(&**opened), payload);
            assert_eq!(opened.kid(), "new".parse::<Kid>().unwrap());
        }
        Ok(false) | Err(_) => assert!(!(opens && is_due) && before == after),
    }
}
