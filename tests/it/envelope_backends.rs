//! The libraries that compute AES-256-GCM make and take the same bytes, and refuse the same.

use dualkey::envelope::{Backend, Sealer};
use proptest::prelude::*;

use crate::support::{BACKENDS, aes_key, aes_ring_of, cases};

/// The same two keys, the `first` of which is the primary, computed by `backend`.
fn sealer(backend: Backend, first: u64) -> Sealer {
    let keys = [(0, "a"), (1, "b")].map(|(seed, kid)| aes_key(seed, kid));
    let mut keys = keys.into_iter().collect::<Vec<_>>();
    keys.rotate_left(first as usize);
    Sealer::new(aes_ring_of(backend, keys))
}

#[test]
fn each_opens_and_rewraps_what_the_other_sealed_of_every_length() {
    for length in (0..=300).chain([1023, 1024, 1025, 65_536, 1 << 20]) {
        let payload: Vec<u8> = (0..length).map(|place| place as u8).collect();
        for (ours, theirs) in [(BACKENDS[0], BACKENDS[1]), (BACKENDS[1], BACKENDS[0])] {
            let mut blob = sealer(ours, 0).seal(&payload, "context").unwrap();
            let other = sealer(theirs, 1);
            assert_eq!(*other.open(&blob, "context").unwrap(), payload);
            assert!(other.rewrap(&mut blob, "context").unwrap());
            assert_eq!(*sealer(ours, 0).open(&blob, "context").unwrap(), payload);
            let opened = sealer(theirs, 0).open_in_place(&mut blob, "context").unwrap();
            assert_eq!(**opened, *payload);
        }
    }
}

#[test]
fn both_refuse_every_flipped_bit_and_every_cut_for_the_same_reason_and_change_nothing() {
    let sealers = BACKENDS.map(|backend| sealer(backend, 0));
    let blob = sealers[0].seal("a note of some length", "context").unwrap();
    let flipped = (0..blob.len() * 8).map(|bit| {
        let mut changed = blob.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        changed
    });
    let cut = (0..blob.len()).map(|end| blob[..end].to_vec());
    for changed in flipped.chain(cut) {
        let verdicts = sealers.each_ref().map(|sealer| {
            let mut bytes = changed.clone();
            let in_place = sealer.open_in_place(&mut bytes, "context").unwrap_err().reason();
            assert_eq!(bytes, changed);
            let rewrap = sealer.rewrap(&mut bytes, "context").map_err(|error| error.to_string());
            assert_eq!(bytes, changed);
            (sealer.open(&changed, "context").unwrap_err().reason(), in_place, rewrap)
        });
        assert_eq!(verdicts[0], verdicts[1]);
    }
    for sealer in &sealers {
        assert!(sealer.open(&blob, "another context").is_err());
        assert!(sealer.open(&blob, "context").is_ok());
    }
}

proptest! {
    #![proptest_config(cases(200, 20_000))]

    #[test]
    fn both_come_to_the_same_verdict_on_any_change(
        payload in prop::collection::vec(any::<u8>(), 0..200),
        context in prop::collection::vec(any::<u8>(), 0..200),
        place in any::<prop::sample::Index>(),
        change in any::<u8>(),
    ) {
        let sealers = BACKENDS.map(|backend| sealer(backend, 0));
        for seal in &sealers {
            let mut blob = seal.seal(&payload, &context).unwrap();
            let place = place.index(blob.len());
            blob[place] ^= change;
            for open in &sealers {
                match open.open(&blob, &context) {
                    Ok(opened) => prop_assert!(change == 0 && *opened == payload),
                    Err(_) => prop_assert!(change != 0),
                }
            }
        }
    }
}
