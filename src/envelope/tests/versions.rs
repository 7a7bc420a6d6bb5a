//! Every version of a row that is ever stored has a data key and nonces of its own.

use std::collections::HashSet;

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use super::super::format::{self, Head, MARK, OVERHEAD, Stored};
use super::super::open::{find_key, unwrap};
use super::super::*;
use super::KEY;
use crate::ring::KeyRing;
use crate::ring::NewKey;
use crate::secret::Secret;
use crate::verified::Verified;

/// Changes of a stored row, in any order.
#[derive(Debug, Clone)]
enum Turn {
    Promote(String),
    Rewrap,
    RewrapText,
    /// Opens it as another row's.
    Misplace,
    Renew {
        all: bool,
        dry: bool,
        as_text: bool,
    },
}

fn turns() -> impl Strategy<Value = Vec<Turn>> {
    let turn = prop_oneof![
        "[a-z0-9]{1,64}".prop_map(Turn::Promote),
        Just(Turn::Rewrap),
        Just(Turn::RewrapText),
        Just(Turn::Misplace),
    ];
    let turn = prop_oneof![
        4 => turn,
        1 => any::<(bool, bool, bool)>()
            .prop_map(|(all, dry, as_text)| Turn::Renew { all, dry, as_text }),
    ];
    prop::collection::vec(turn, 1..24)
}

/// The data key of an envelope, whatever became of the key that wraps it.
fn data_key(sealer: &Sealer, blob: &[u8]) -> [u8; 32] {
    sealer.ring.read(|view| {
        let head = Head::parse(blob).unwrap();
        let (key, _) = find_key(view, head, true).unwrap();
        let mut dek = [0; 32];
        unwrap(head, key, blob, &mut dek).unwrap();
        dek
    })
}

/// A row, with everything that was ever stored of it.
struct Versions {
    sealer: Sealer,
    payload: Vec<u8>,
    blob: Vec<u8>,
    keys: HashSet<[u8; 32]>,
    nonces: HashSet<Vec<u8>>,
}

impl Versions {
    /// Looks at a version that was stored just now, under the primary.
    fn check(&mut self) -> Result<(), TestCaseError> {
        let kid = self.sealer.ring.primary().unwrap();
        let kid = kid.as_str().as_bytes();
        let head = [&MARK[..], &[u8::try_from(kid.len()).unwrap()], kid].concat();
        prop_assert!(self.blob.starts_with(&head), "the primary is named");
        prop_assert_eq!(self.blob.len(), OVERHEAD + kid.len() + self.payload.len());
        let (wrap, sealed) = (head.len(), head.len() + 60);
        for nonce in [wrap..wrap + 12, sealed..sealed + 12] {
            prop_assert!(self.nonces.insert(self.blob[nonce].to_vec()), "a nonce comes twice");
        }
        let key = data_key(&self.sealer, &self.blob);
        prop_assert!(self.keys.insert(key), "two versions share a data key");
        let opened = self.sealer.open(&self.blob, "row 7");
        prop_assert_eq!(opened.ok().map(Verified::into_inner), Some(self.payload.clone()));
        Ok(())
    }

    fn take(&mut self, turn: &Turn) -> Result<(), TestCaseError> {
        let before = self.blob.clone();
        let is_due = self.sealer.needs_rewrap(&before).unwrap();
        let is_renewed = match turn {
            Turn::Promote(kid) => {
                // At most sixteen open, and a kid does not come back.
                let seed = u8::try_from(self.sealer.ring.keys().len()).unwrap();
                let secret = Secret::from(KEY.map(|byte| byte ^ seed));
                if let Ok(kid) =
                    self.sealer.ring.stage(NewKey::new(secret).kid(kid.parse().unwrap()))
                {
                    self.sealer.ring.promote(&kid).unwrap();
                }
                false
            }
            Turn::Rewrap => {
                let changed = self.sealer.rewrap(&mut self.blob, "row 7").unwrap();
                prop_assert_eq!(changed, is_due);
                changed
            }
            Turn::RewrapText => {
                let mut text = format::to_text(&self.blob);
                let changed = self.sealer.rewrap_text(&mut text, "row 7").unwrap();
                prop_assert_eq!(changed, is_due);
                let Ok(Stored::Native(blob)) = Stored::parse(text.as_bytes(), 1 << 20) else {
                    panic!()
                };
                self.blob = blob.into_owned();
                changed
            }
            Turn::Misplace => {
                let mut text = format::to_text(&before);
                prop_assert!(self.sealer.rewrap(&mut self.blob, "row 8").is_err());
                prop_assert!(self.sealer.rewrap_text(&mut text, "row 8").is_err());
                prop_assert_eq!(text, format::to_text(&before));
                false
            }
            Turn::Renew { all, dry, as_text } => {
                let options = RewrapOptions {
                    renews_all: *all,
                    is_dry_run: *dry,
                    ..RewrapOptions::default()
                };
                let text = || format::to_text(&before).into_bytes();
                let stored = if *as_text { text() } else { before.clone() };
                prop_assert!(self.sealer.rewrap_stored(&stored, b"row 8", options).is_err());
                let rewrapped = self.sealer.rewrap_stored(&stored, b"row 7", options).unwrap();
                prop_assert_eq!(rewrapped.length.is_some(), is_due || *all);
                prop_assert_eq!(rewrapped.value.is_some(), (is_due || *all) && !dry);
                match rewrapped.value {
                    None => false,
                    Some(value) => {
                        prop_assert_eq!(Some(value.len()), rewrapped.length);
                        let Ok(Stored::Native(blob)) = Stored::parse(&value, 1 << 20) else {
                            panic!()
                        };
                        prop_assert_eq!(matches!(blob, std::borrow::Cow::Owned(_)), *as_text);
                        self.blob = blob.into_owned();
                        true
                    }
                }
            }
        };
        if is_renewed {
            return self.check();
        }
        prop_assert_eq!(&self.blob, &before);
        Ok(())
    }
}

proptest! {
    /// A key that leaks has wrapped no data key but those of the versions that name it.
    #[test]
    fn no_two_versions_of_a_row_share_a_data_key(
        payload in prop::collection::vec(any::<u8>(), 0..300),
        turns in turns(),
        backend in any::<prop::sample::Index>(),
    ) {
        let backends = [
            Backend::RustCrypto,
            #[cfg(feature = "aws-lc")]
            Backend::AwsLc,
        ];
        let key = NewKey::new(Secret::from(KEY)).kid("first".parse().unwrap());
        let ring = KeyRing::builder().primary(key).backend(*backend.get(&backends)).build().unwrap();
        let sealer = Sealer::new(ring);
        let blob = sealer.seal(&payload, "row 7").unwrap();
        let (keys, nonces) = Default::default();
        let mut versions = Versions { sealer, payload, blob, keys, nonces };
        versions.check()?;
        for turn in &turns {
            versions.take(turn)?;
        }
    }
}
