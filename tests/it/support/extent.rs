//! The extent of a test run: quick, or full under `DUALKEY_TEST_FULL`.

/// How many cases a property test runs: `full` under `DUALKEY_TEST_FULL`.
pub fn cases(quick: u32, full: u32) -> proptest::test_runner::Config {
    let cases = if is_full() { full } else { quick };
    proptest::test_runner::Config { cases, ..Default::default() }
}

/// A moment that is far ahead of every clock in these tests.
pub fn far() -> std::time::SystemTime {
    std::time::UNIX_EPOCH + std::time::Duration::from_secs(4_102_444_800)
}

/// Whether the long runs take their full size.
pub fn is_full() -> bool {
    std::env::var_os("DUALKEY_TEST_FULL").is_some()
}
