use hmac::{Hmac, KeyInit, Mac};
use proptest::prelude::*;
use sha2::{Sha256, Sha384, Sha512};

use super::kernel::{self, Block, End, HashState};
use super::lanes::compress_portable;
use super::{HmacSha256, HmacSha384, HmacSha512, Lanes, verify_any, verify_any_portable};

fn reference(secret: &[u8], message: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).unwrap();
    mac.update(message);
    mac.finalize().into_bytes().into()
}

/// Bytes that differ by `seed`, without a generator of random numbers.
fn bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        })
        .collect()
}

/// RFC 4231 §4.2 to §4.8, the first 32 bytes of each; §4.6 is truncated to 16.
#[test]
fn rfc_4231() {
    let cases: [(Vec<u8>, Vec<u8>, &str); 7] = [
        (
            vec![0x0b; 20],
            b"Hi There".to_vec(),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
        ),
        (
            b"Jefe".to_vec(),
            b"what do ya want for nothing?".to_vec(),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        ),
        (
            vec![0xaa; 20],
            vec![0xdd; 50],
            "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
        ),
        (
            (1..=25).collect(),
            vec![0xcd; 50],
            "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
        ),
        (vec![0x0c; 20], b"Test With Truncation".to_vec(), "a3b6167473100ee06e0c796c2955552b"),
        (
            vec![0xaa; 131],
            b"Test Using Larger Than Block-Size Key - Hash Key First".to_vec(),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
        ),
        (
            vec![0xaa; 131],
            b"This is a test using a larger than block-size key and a larger than block-size \
              data. The key needs to be hashed before being used by the HMAC algorithm."
                .to_vec(),
            "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
        ),
    ];
    for (secret, message, expected) in cases {
        let tag = HmacSha256::new(&secret).mac(&message);
        let tag: String = tag.iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(tag.starts_with(expected));
    }
}

#[test]
fn kernel_equals_hmac_on_every_length_from_0_to_1000_for_1_to_4_keys() {
    for length in 0..=1000 {
        let message = bytes(length as u64, length);
        let secrets: Vec<_> = (0..4)
            .map(|key| bytes(length as u64 * 4 + key, (length * 7 + key as usize) % 150))
            .collect();
        let keys: Vec<_> = secrets.iter().map(|secret| HmacSha256::new(secret)).collect();
        for count in 1..=4 {
            let keys: Vec<_> = keys.iter().take(count).collect();
            for (index, secret) in secrets.iter().take(count).enumerate() {
                let tag = reference(secret, &message);
                assert_eq!(verify_any(&keys, &message, &tag), Some(index), "{length} {count}");
                assert_eq!(verify_any_portable(&keys, &message, &tag), Some(index));
            }
        }
    }
}

#[test]
fn kernel_equals_its_portable_twin() {
    fn compare_with_twin<const N: usize>(seed: u64, blocks: &[Block], last: Option<usize>) -> bool {
        let state = |seed| super::lanes::words::<32, 8>(&bytes(seed, 32).try_into().unwrap());
        let states: [HashState; N] = std::array::from_fn(|lane| state(seed + lane as u64));
        let outer: [HashState; N] = std::array::from_fn(|lane| state(!seed - lane as u64));
        let (blocks, rest) = blocks.split_at(blocks.len() - last.unwrap_or(0));
        let end = last.map(|_| End { last: rest, outer: outer.each_ref() });
        let fast = kernel::compress(states.each_ref(), blocks, end);
        let slow = compress_portable(states.each_ref(), blocks, end);
        assert!(fast.is_none_or(|fast| fast == slow), "{N} lanes");
        fast.is_some()
    }

    let mut ran = 0;
    for seed in 0..200 {
        let message = bytes(seed, 64 * 5);
        let (blocks, _) = message.as_chunks::<64>();
        for last in [None, Some(1), Some(2), Some(5)] {
            ran += usize::from(compare_with_twin::<1>(seed, blocks, last));
            ran += usize::from(compare_with_twin::<2>(seed, blocks, last));
            ran += usize::from(compare_with_twin::<4>(seed, blocks, last));
        }
    }
    println!("{ran} of 2400 compressions ran on the kernel, the rest on the twin alone");
}

#[test]
fn a_key_longer_than_a_block_is_its_hash() {
    let long = [7; 65];
    let hash = <Sha256 as sha2::Digest>::digest(long);
    assert_eq!(HmacSha256::new(&long).mac(b"m"), HmacSha256::new(&hash).mac(b"m"));
}

#[test]
fn no_keys_verify_nothing_and_a_fifth_is_not_tried() {
    let key = HmacSha256::new(b"key");
    let other = HmacSha256::new(b"other");
    let tag = key.mac(b"m");
    assert_eq!(verify_any(&[], b"m", &tag), None);
    // What an idle lane computes is not a way in either.
    let idle = Lanes::new(&[]).finish();
    assert_eq!(idle.matching(&super::lanes::bytes(&idle.first())), None);
    assert_eq!(verify_any(&[&other, &other, &other, &other, &key], b"m", &tag), None);
}

/// V5 in the shape that a test can hold: the answer is the matching key's, at every
/// place, whatever the others are. (That the time is the same is measured, not asserted.)
#[test]
fn v5_every_key_is_compared_wherever_the_match_is() {
    let secrets: Vec<_> = (0..4).map(|seed| bytes(seed, 64)).collect();
    let keys: Vec<_> = secrets.iter().map(|secret| HmacSha256::new(secret)).collect();
    let keys: Vec<_> = keys.iter().collect();
    let wide: Vec<_> = secrets.iter().map(|secret| HmacSha512::new(secret)).collect();
    let wide: Vec<_> = wide.iter().collect();
    for index in 0..4 {
        let tag = keys[index].mac(b"message");
        assert_eq!(verify_any(&keys, b"message", &tag), Some(index));
        for bit in 0..256 {
            let mut wrong = tag;
            wrong[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(verify_any(&keys, b"message", &wrong), None, "bit {bit}");
        }
        let tag = wide[index].mac(b"message");
        assert_eq!(HmacSha512::verify_any(&wide, b"message", &tag), Some(index));
    }
}

proptest! {
    #[test]
    fn chunking_changes_nothing(
        message in prop::collection::vec(any::<u8>(), 0..2000),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        secrets in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..=4),
    ) {
        let keys: Vec<_> = secrets.iter().map(|secret| HmacSha256::new(secret)).collect();
        let keys: Vec<_> = keys.iter().collect();
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(message.len() + 1)).collect();
        cuts.push(0);
        cuts.push(message.len());
        cuts.sort_unstable();
        let mut lanes = Lanes::new(&keys);
        for piece in cuts.windows(2) {
            lanes.update(&message[piece[0]..piece[1]]);
        }
        let tags = lanes.finish();
        for (index, secret) in secrets.iter().enumerate() {
            let found = tags.matching(&reference(secret, &message));
            // Equal keys have equal tags: any of them is right.
            let is_same_tag = |found: usize| reference(&secrets[found], &message) == reference(secret, &message);
            prop_assert!(found.is_some_and(|found| found == index || is_same_tag(found)));
        }
    }

    #[test]
    fn never_true_under_another_key_or_for_another_message(
        message in prop::collection::vec(any::<u8>(), 0..300),
        other in prop::collection::vec(any::<u8>(), 0..300),
        secret in prop::collection::vec(1..=255_u8, 1..100),
        stranger in prop::collection::vec(1..=255_u8, 1..100),
    ) {
        prop_assume!(secret != stranger && message != other);
        let key = HmacSha256::new(&secret);
        let stranger = HmacSha256::new(&stranger);
        prop_assert_eq!(verify_any(&[&stranger, &stranger], &message, &key.mac(&message)), None);
        prop_assert_eq!(verify_any(&[&key], &other, &key.mac(&message)), None);
    }

    #[test]
    fn wide_hashes_equal_hmac(
        secret in prop::collection::vec(any::<u8>(), 0..200),
        message in prop::collection::vec(any::<u8>(), 0..400),
    ) {
        let mut mac = Hmac::<Sha384>::new_from_slice(&secret).unwrap();
        mac.update(&message);
        let tag: [u8; 48] = mac.finalize().into_bytes().into();
        prop_assert_eq!(HmacSha384::new(&secret).mac(&message), tag);

        let mut mac = Hmac::<Sha512>::new_from_slice(&secret).unwrap();
        mac.update(&message);
        let tag: [u8; 64] = mac.finalize().into_bytes().into();
        prop_assert_eq!(HmacSha512::new(&secret).mac(&message), tag);
    }
}

#[test]
fn debug_shows_only_the_number_of_keys_and_tags() {
    let key = HmacSha256::new(b"secret");
    assert_eq!(format!("{key:?}"), "HmacSha256([REDACTED])");
    let lanes = Lanes::new(&[&key, &key]);
    assert_eq!(format!("{lanes:?}"), "Lanes { keys: 2, .. }");
    assert_eq!(format!("{:?}", lanes.finish()), "Tags { keys: 2, .. }");
}

/// Differences must not cancel each other.
#[test]
fn a_tag_that_differs_in_two_words_by_the_same_bits_is_refused() {
    let key = HmacSha256::new(b"secret");
    let tag = key.mac(b"message");
    assert_eq!(verify_any(&[&key], b"message", &tag), Some(0));
    for (one, other) in (0..8).flat_map(|one| (0..one).map(move |other| (one, other))) {
        for bit in 0..8 {
            let mut forged = tag;
            forged[one * 4] ^= 1 << bit;
            forged[other * 4] ^= 1 << bit;
            assert_eq!(verify_any(&[&key], b"message", &forged), None, "{one} {other}");
        }
    }
}

#[test]
fn the_first_tag_is_that_of_the_first_key() {
    let [first, second] = [HmacSha256::new(b"first"), HmacSha256::new(b"second")];
    let mut lanes = Lanes::new(&[&first, &second]);
    lanes.update(b"message");
    assert_eq!(lanes.finish().first(), super::lanes::words(&first.mac(b"message")));
}

#[test]
fn a_key_passes_its_self_test() {
    assert!(HmacSha256::new(b"secret").self_test());
}
