//! No copy of a secret is left in memory that is given back: an allocator looks through each block
//! before it is freed.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::fs;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, SystemTime};

use dualkey::cookie::CookieKey;
use dualkey::manifest::{Manifest, NewEntry};
use dualkey::source::{DotenvStore, FileStore, KeyStore, update};
use dualkey::{KeyRing, Purpose};
use pollster::block_on;

/// The secrets of the tests. Each part of 16 bytes is looked for, so that a copy of a part is
/// found.
const SECRETS: [&[u8; 64]; 4] = [
    b"kH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eUkX7vR2mYw9MrT5nZ9yC1cG6gK0sE3p",
    b"Nf0Vg6Jc3Ds8Pw1Ra4Tb7Yx2Zq9Ml5KiNg0Vh6Jd3Dt8Pv1Rb4Tc7Yz2Zr9Mm5Kj",
    b"Xa1Bc2De3Fg4Hi5Jk6Lm7No8Pq9Rs0TuYa2Bd3Df4Fh5Hj6Jl7Ln8Np9Pr0Rt1Tv",
    b"Qz8Wx7Ec6Rv5Tb4Yn3Um2Ik1Ol0Pa9Sdq7Wd6Ef5Rg4Th3Yj2Uk1Il0Oz9Px8Sc7",
];

/// The same secrets as a document holds them.
const ENCODED: [&[u8; 32]; 2] =
    [b"a0g3dlEybVh3OUxyVDRuWjh5QjFjRjZn", b"TmYwVmc2SmMzRHM4UHcxUmE0VGI3WXgy"];

/// The number of blocks that were freed with a part of a secret in them, while it is looked for.
static LEFT: AtomicUsize = AtomicUsize::new(0);
static IS_LOOKING: AtomicBool = AtomicBool::new(false);

/// A part of a secret that was made here.
static MADE: OnceLock<[u8; 16]> = OnceLock::new();

struct Looking;

#[global_allocator]
static ALLOCATOR: Looking = Looking;

// SAFETY: every call is passed to the allocator of the system as it is. The block that is looked
// through is allocated until then. That a block grows is an allocation and a free, by default.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Looking {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // Zeroed, so that each byte that is looked at was written.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let bytes = unsafe { std::slice::from_raw_parts(block, layout.size()) };
        if IS_LOOKING.load(SeqCst) && holds_secret(bytes) {
            LEFT.fetch_add(1, SeqCst);
        }
        unsafe { System.dealloc(block, layout) }
    }
}

fn holds_secret(bytes: &[u8]) -> bool {
    bytes.windows(16).any(|window| {
        let is_own = |secret: &[u8]| secret.chunks_exact(16).any(|part| part == window);
        MADE.get().is_some_and(|made| made == window)
            || SECRETS.iter().any(|secret| is_own(*secret))
            || ENCODED.iter().any(|encoded| is_own(*encoded))
    })
}

/// Asserts that `work` leaves nothing behind.
fn leaves_nothing<T>(what: &str, work: impl FnOnce() -> T) -> T {
    IS_LOOKING.store(true, SeqCst);
    let result = work();
    IS_LOOKING.store(false, SeqCst);
    assert_eq!(LEFT.swap(0, SeqCst), 0, "{what} leaves copies of a secret");
    result
}

fn text(bytes: &'static [u8; 64]) -> &'static str {
    std::str::from_utf8(bytes).unwrap()
}

/// Writes `parts` one after the other: the whole would be a block with a secret in it.
fn write(path: &Path, parts: &[&[u8]]) {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(path).unwrap();
    parts.iter().for_each(|part| file.write_all(part).unwrap());
}

/// One test, because the count is of all threads.
#[test]
fn no_copy_of_a_secret_is_left_behind() {
    // It finds what is left.
    IS_LOOKING.store(true, SeqCst);
    drop(SECRETS[0].to_vec());
    drop(SECRETS[1][..40].to_vec());
    assert_eq!(LEFT.swap(0, SeqCst), 2);
    IS_LOOKING.store(false, SeqCst);
    let folder = tempfile::tempdir().unwrap();
    file(&folder.path().join("ring.json"));
    dotenv(folder.path());
    #[cfg(feature = "ops")]
    sheet();
}

/// A manifest in a file, with and without escapes in its secrets.
fn file(path: &Path) {
    let store = FileStore::new(path);
    let now = SystemTime::now();
    let key = NewEntry::new(leaves_nothing("a secret", || dualkey::Secret::from(text(SECRETS[0]))));
    let policy = dualkey::Policy::default();
    leaves_nothing("a first manifest", || {
        let first = Manifest::new("R", Purpose::Cookie, "test", policy, key, now).unwrap();
        block_on(store.compare_and_swap(0, &first)).unwrap();
    });
    let new = NewEntry::new(dualkey::Secret::from(text(SECRETS[1])));
    leaves_nothing("a step", || {
        block_on(update(&store, |manifest| manifest.stage(new.clone(), now))).unwrap()
    });
    let kid = leaves_nothing("a load", || {
        let manifest = block_on(store.load()).unwrap();
        manifest.keys()[1].kid()
    });
    // Written by hand: as text, with an escape at the beginning, in the midst and at the end.
    let document = fs::read_to_string(path).unwrap();
    let start = document.find("base64:a0g3").unwrap();
    let end = start + document[start..].find('"').unwrap();
    let (head, tail) = document.split_at(start);
    let tail = &tail[end - start..];
    for (before, between, after) in [
        ("", "", ""),
        ("\\n", "", ""),
        ("", "\\\"", ""),
        ("", "", "\\u00e9"),
        ("\\ud83e\\udd80", "\\/", "\\t"),
    ] {
        let (one, other) = SECRETS[0].split_at(32);
        let parts = ["text:", before, text(SECRETS[0]).split_at(32).0, between];
        let mut bytes: Vec<&[u8]> = vec![head.as_bytes()];
        bytes.extend(parts.iter().map(|part| part.as_bytes()));
        bytes.extend([other, after.as_bytes(), tail.as_bytes()]);
        assert_eq!(one.len(), 32);
        write(path, &bytes);
        leaves_nothing(&format!("escapes {before}{between}{after}"), || {
            let manifest = block_on(store.load()).unwrap();
            assert_eq!(manifest.keys().len(), 2);
        });
    }
    leaves_nothing("a ring", || {
        let builder = KeyRing::<CookieKey>::builder().environment("test");
        drop(block_on(store.load()).unwrap().build_ring(builder).unwrap());
    });
    leaves_nothing("a revocation", || {
        block_on(update(&store, |manifest| manifest.revoke(&kid, "leaked", now))).unwrap()
    });
    // A document that is refused, with the secret in the wrong place.
    for (lead, end) in [("{\"secret\":\"", "\"}"), ("{\"keys\":[{\"secret\":\"\\n", "\"")] {
        write(path, &[lead.as_bytes(), SECRETS[0], end.as_bytes()]);
        leaves_nothing("a refusal", || drop(block_on(store.load()).unwrap_err()));
    }
    drop(leaves_nothing("the rest", || (new, document.len())).0);
    wipe(document);
}

/// The text of a document that the test itself has read.
fn wipe(mut text: String) {
    zeroize::Zeroize::zeroize(&mut text);
}

/// A `.env`, with each of its quotes, without an end of the last line, and in every step.
fn dotenv(folder: &Path) {
    let path = folder.join(".env");
    let new = |place: usize| NewEntry::new(dualkey::Secret::from(text(SECRETS[place])));
    for (quote, end) in [("", "\n"), ("'", ""), ("\"", "\r\n"), ("", " # why"), ("'", " # why\n")] {
        for left in [".env.dualkey/X.json", ".env.dualkey/X.json.next"] {
            let _ = fs::remove_file(folder.join(left));
        }
        let quoted =
            [b"A=1\nX=".as_slice(), quote.as_bytes(), SECRETS[0], quote.as_bytes(), end.as_bytes()];
        write(&path, &quoted);
        let now = SystemTime::now() + Duration::from_secs(10);
        let what = format!("{quote:?} {end:?}");
        leaves_nothing(&what, || {
            let store = DotenvStore::new(&path, "X", Purpose::Cookie, "test").backup();
            let first = block_on(store.load()).unwrap().primary(now);
            let step = |kid: &dualkey::Kid, place: usize| {
                block_on(update(&store, |manifest| match place {
                    0 => manifest.force("a test").promote(kid, now),
                    1 => manifest.force("a test").rollback(now),
                    2 => manifest.revoke(kid, "leaked", now),
                    _ => manifest.emergency_rotate(kid, "leaked", new(3), now),
                }))
                .unwrap();
            };
            let staged =
                block_on(update(&store, |manifest| manifest.stage(new(1), now))).unwrap().kid;
            (0..2).for_each(|place| step(&staged, place));
            step(&staged, 2);
            step(&first, 3);
            drop(store);
            // Another process takes what is there.
            let store = DotenvStore::new(&path, "X", Purpose::Cookie, "test");
            drop(block_on(store.load()).unwrap());
            drop(store);
        });
    }
}

/// New secrets as a file. They are chance: one of them is known by its own text.
#[cfg(feature = "ops")]
fn sheet() {
    use dualkey::ops::generate::Sheet;
    let names: Vec<_> = (0..5).map(|number| format!("{number}{}", "N".repeat(200))).collect();
    let names = || names.iter().map(|name| (name.as_str(), Purpose::Jwt));
    let sheet = Sheet::new(SystemTime::now(), names()).unwrap();
    let mut part = [0; 16];
    part.copy_from_slice(&sheet.rows()[2].1.text().expose()[32..48]);
    MADE.set(part).unwrap();
    leaves_nothing("a sheet", || {
        let text = sheet.to_env();
        assert_eq!(std::str::from_utf8(text.expose()).unwrap().matches("_NEW=").count(), 5);
        assert!(!sheet.to_json().expose().is_empty());
        drop(sheet);
    });
}
