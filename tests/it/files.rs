//! Where a file is expected and something else is found: an error, and promptly.

use std::fs::{self};
use std::path::Path;
use std::sync::mpsc::channel;
use std::time::Duration;

use dualkey::Purpose;
use dualkey::manifest::Manifest;
use dualkey::source::{DotenvStore, FileStore, KeyStore, StoreError, update};
use pollster::block_on;

use crate::support::found::{ALL, Found, remove};
use crate::support::manifest::{at, entry, first};
use crate::support::secret;

/// Runs `work`, which must return: a hang fails the test instead of holding the suite.
pub fn run_to_end<T: Send + 'static>(what: String, work: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, result) = channel();
    std::thread::spawn(move || {
        // Nobody listens any more once the test has failed.
        let _ = done.send(work());
    });
    let result = result.recv_timeout(Duration::from_secs(60));
    result.unwrap_or_else(|_| panic!("{what} does not return"))
}

fn store_first(path: &Path) -> FileStore {
    let store = FileStore::new(path);
    block_on(store.compare_and_swap(0, &first())).unwrap();
    store
}

#[test]
fn a_manifest_that_is_no_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ring.json");
    for found in ALL {
        found.put(&path);
        let store = FileStore::new(&path);
        let error = run_to_end(format!("{found:?}"), move || block_on(store.load()).unwrap_err());
        match found {
            Found::Huge => assert!(matches!(error, StoreError::Io { .. }), "{error}"),
            _ => assert!(matches!(error, StoreError::NotAFile { .. }), "{found:?}: {error}"),
        }
        assert!(error.to_string().contains("ring.json"), "{error}");
        // It is not written over either.
        let store = FileStore::new(&path);
        let swapped =
            run_to_end(format!("{found:?}"), move || block_on(store.compare_and_swap(0, &first())));
        assert!(swapped.is_err(), "{found:?}");
    }
}

#[test]
fn a_report_that_is_no_file_is_unreadable_and_hides_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let store = store_first(&folder.path().join("ring.json"));
    let builder = dualkey::KeyRing::<dualkey::cookie::CookieKey>::builder().environment("test");
    let ring = first().build_ring(builder).unwrap();
    block_on(store.save_report(&ring.report("web-1"))).unwrap();
    let path = folder.path().join("ring.json.reports/pod%2f7.json");
    for found in ALL {
        found.put(&path);
        let reader = store.clone();
        let reports = run_to_end(format!("{found:?}"), move || block_on(reader.reports()).unwrap());
        let [broken, sane] = &reports[..] else { panic!("{found:?}: {reports:?}") };
        assert_eq!((broken.instance.as_str(), sane.instance.as_str()), ("pod/7", "web-1"));
        assert!(broken.problem.as_ref().unwrap().starts_with(found.words()), "{broken:?}");
        assert!(broken.to_json().is_err());
        assert_eq!(sane.problem, None);
        // By its name it is forgotten, as any other.
        block_on(store.forget_report("pod/7")).unwrap();
        assert_eq!(block_on(store.reports()).unwrap(), std::slice::from_ref(sane));
    }
    // The folder itself is another matter: what the others say is not known.
    fs::remove_dir_all(folder.path().join("ring.json.reports")).unwrap();
    fs::write(folder.path().join("ring.json.reports"), "").unwrap();
    assert!(matches!(block_on(store.reports()), Err(StoreError::Io { .. })));
}

#[test]
fn a_dotenv_and_its_records_that_are_no_files_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(".env");
    let plain: String =
        secret(0).chars().filter(char::is_ascii_alphanumeric).cycle().take(64).collect();
    let text = format!("SESSION_SECRET={plain}\n");
    fs::write(&path, &text).unwrap();
    let store =
        || DotenvStore::new(path.clone(), "SESSION_SECRET", Purpose::Cookie, "production").backup();
    let step =
        move |manifest: &Manifest| manifest.stage(entry(1, "b"), std::time::SystemTime::now());
    for record in [".json", ".json.next"] {
        let record = folder.path().join(".env.dualkey").join(format!("SESSION_SECRET{record}"));
        fs::create_dir_all(record.parent().unwrap()).unwrap();
        for found in ALL {
            found.put(&record);
            let reader = store();
            let error =
                run_to_end(format!("{found:?}"), move || block_on(reader.load()).unwrap_err());
            assert!(error.to_string().contains(found.words()), "{found:?}: {error}");
            assert!(error.to_string().contains(record.to_str().unwrap()), "{found:?}: {error}");
            let reader = store();
            let stepped = run_to_end(format!("{found:?}"), move || block_on(update(&reader, step)));
            assert!(stepped.is_err(), "{found:?}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        remove(&record);
    }
    for found in ALL {
        found.put(&path);
        let reader = store();
        let error = run_to_end(format!("{found:?}"), move || block_on(reader.load()).unwrap_err());
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
        match found {
            Found::Huge => assert!(error.to_string().contains(found.words()), "{error}"),
            _ => assert!(matches!(error, StoreError::NotAFile { .. }), "{found:?}: {error}"),
        }
    }
}

#[test]
fn a_sealed_manifest_of_the_largest_size_is_read_again() {
    // Sealed as text it is larger than 1 MiB.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ring.json");
    let store = FileStore::new(&path);
    let mut manifest = first().stage(entry(1, "b"), at(0)).unwrap().manifest;
    let reason = "x".repeat(900 * 1024);
    manifest = manifest.revoke(&"b".parse().unwrap(), &reason, at(1)).unwrap().manifest;
    let sealed = store.sealed(
        crate::support::aes_ring([crate::support::aes_key(7, "kek")]),
        "SESSION_SECRET",
        "test",
    );
    block_on(sealed.compare_and_swap(0, &manifest)).unwrap();
    assert!(fs::metadata(&path).unwrap().len() > 1024 * 1024);
    assert_eq!(block_on(sealed.load()).unwrap().fingerprint(), manifest.fingerprint());
    // A larger one could not be read again, and is not written.
    let reason = "x".repeat(1024 * 1024);
    let larger = first().stage(entry(1, "b"), at(0)).unwrap().manifest;
    let larger = larger.revoke(&"b".parse().unwrap(), &reason, at(1)).unwrap().manifest;
    let error = larger.to_json().unwrap_err().to_string();
    assert_eq!(error, "cannot use the manifest: it has more than 1 MiB");
}
