//! The ring of the command follows its store while it rewraps.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

use dualkey::envelope::{AesKey, Sealer};
use dualkey::manifest::{Change, Manifest, NewEntry};
use dualkey::ops::OpsError;
use dualkey::ops::inventory::{Inventory, Project};
use dualkey::ops::rewrap::ProjectRewrap;
use dualkey::rewrap::RewrapJobError;
use dualkey::source::{FileStore, KeyStore, update};
use dualkey::{Clock, Error, KeyRing, Kid, ManualClock, Purpose};

use crate::support::database::Base;
use crate::support::notes::{context, rings, rotated};
use crate::support::postgres::runtime;
use crate::support::shell::{Shell, inventory};

/// Longer than the rollout window of the manifest, which is a second.
const ROLLOUT: Duration = Duration::from_secs(2);
const ROWS: i64 = 6;

fn project(shell: &Shell, base: &Base, clock: &ManualClock) -> Project {
    let url = base.url().to_owned();
    Project::new(Inventory::read(shell.path("dualkey.toml")).unwrap())
        .clock(clock.clone())
        .variables(move |name| (name == "DATABASE_URL").then(|| url.clone()))
}

/// A rewrap, row by row, that calls `after_row` with the number of each row.
fn rewrap<'p>(
    project: &'p Project,
    after_row: impl Fn(usize) + Send + Sync + 'static,
) -> ProjectRewrap<'p> {
    let count = AtomicUsize::new(0);
    ProjectRewrap::new(project, "ENCRYPTION_KEY", "ada@example.com")
        .execute()
        .batch(1)
        .concurrency(1)
        .on_progress(move |_, _| after_row(count.fetch_add(1, Relaxed) + 1))
}

async fn seal_notes(base: &Base, sealer: &Sealer) {
    let note = |id| (id, sealer.seal_text(format!("note {id}"), context(id)).unwrap());
    base.notes((0..ROWS).map(note)).await;
}

/// The keys of the rows, in their order.
async fn kids(base: &Base) -> Vec<Kid> {
    let all = base.texts("notes", "body").await;
    all.into_iter().map(|(_, body)| Sealer::kid_of(body.unwrap().as_bytes()).unwrap()).collect()
}

fn primary(manifest: &Manifest, clock: &ManualClock) -> Kid {
    manifest.primary(clock.now())
}

/// Another process takes `step` after the first row.
async fn rewrap_across(step: fn(&Manifest, SystemTime) -> Result<Change, Error>, renews_all: bool) {
    let base = Base::sqlite().await;
    let mut shell = Shell::new("2026-11-26T00:00:00Z");
    let (store, manifest) = rotated(&mut shell).await;
    let clock = ManualClock::new(SystemTime::now());
    let mut before = manifest.clone();
    if renews_all {
        let staged = NewEntry::generate(Purpose::Envelope).unwrap();
        let stage = |manifest: &Manifest| manifest.stage(staged.clone(), clock.now());
        before = update(&store, stage).await.unwrap().manifest;
    }
    seal_notes(&base, &Sealer::new(rings(&manifest).1)).await;
    let project = project(&shell, &base, &clock);
    let (other, later) = (store.clone(), clock.clone());
    let mut rewrap = rewrap(&project, move |row| {
        if row == 1 {
            let step = update(&other, |manifest| step(manifest, later.now()));
            pollster::block_on(step).unwrap();
            later.advance(ROLLOUT);
        }
    });
    if renews_all {
        rewrap = rewrap.renew_all();
    }
    rewrap.run().await.unwrap();

    let (first, then) = (primary(&before, &clock), primary(&store.load().await.unwrap(), &clock));
    assert_ne!(first, then);
    let mut expected = [then; ROWS as usize];
    expected[0] = first;
    assert_eq!(kids(&base).await, expected);
    // It does not hide the row that it left under the key.
    let reports = store.reports().await.unwrap();
    assert_eq!(reports.len(), 1, "it does not report as an instance");
    let rows = &reports[0].rewrap.as_ref().unwrap().rows;
    assert!(rows.contains(&(first, 1)) && rows.contains(&(then, 5)), "{rows:?}");
}

#[test]
fn a_command_that_started_before_a_rollback_seals_nothing_more_under_the_superseded_key() {
    let rollback = |manifest: &Manifest, now| manifest.force("a test").rollback(now);
    runtime().block_on(rewrap_across(rollback, false));
}

#[test]
fn a_renewal_that_started_while_a_key_was_staged_takes_it_once_it_is_promoted() {
    let promote = |manifest: &Manifest, now| {
        let staged = manifest.keys().last().unwrap().kid();
        manifest.force("a test").promote(&staged, now)
    };
    runtime().block_on(rewrap_across(promote, true));
}

fn rename(from: impl AsRef<Path>, to: impl AsRef<Path>) {
    std::fs::rename(from, to).unwrap();
}

#[test]
fn a_store_that_is_away_for_the_rollout_window_ends_the_rewrap_without_a_record() {
    runtime().block_on(async {
        let base = Base::sqlite().await;
        let mut shell = Shell::new("2026-11-26T00:00:00Z");
        let (store, manifest): (FileStore, _) = rotated(&mut shell).await;
        let clock = ManualClock::new(SystemTime::now());
        seal_notes(&base, &Sealer::new(rings(&manifest).1)).await;
        let project = project(&shell, &base, &clock);
        let (here, away) = (shell.path("ENCRYPTION_KEY.json"), shell.path("away"));
        let checkpoint = shell.path("checkpoint");

        let (later, paths) = (clock.clone(), Arc::new((here.clone(), away.clone())));
        let stopped = rewrap(&project, move |row| match row {
            // For less than the window: it continues.
            1 => rename(&paths.0, &paths.1),
            2 => later.advance(Duration::from_millis(500)),
            4 => later.advance(ROLLOUT),
            _ => {}
        });
        let error = stopped.checkpoint(&checkpoint).run().await.unwrap_err();
        let OpsError::Rewrap(RewrapJobError::KeysOutdated { table, .. }) = &error else {
            panic!("{error}");
        };
        assert_eq!(table, "notes");
        assert!(error.to_string().contains("the rollout window of 1s"), "{error}");
        let (old, new) = (manifest.keys()[0].kid(), primary(&manifest, &clock));
        assert_eq!(kids(&base).await, [new, new, new, new, old, old]);

        rename(&away, &here);
        let reports = store.reports().await.unwrap();
        assert!(reports.iter().all(|report| report.rewrap.is_none()), "{reports:?}");
        assert!(checkpoint.exists());
        let resumed = rewrap(&project, |_| {}).checkpoint(&checkpoint).run().await.unwrap();
        assert!(resumed[0].1.is_complete());
        assert_eq!(kids(&base).await, [new; ROWS as usize]);
    });
}

/// A `.env` file has no steps, and is read again all the same.
#[test]
fn a_rewrap_under_variables_runs_longer_than_the_rollout_window() {
    runtime().block_on(async {
        let base = Base::sqlite().await;
        let mut shell = Shell::new("2026-11-26T00:00:00Z");
        rotated(&mut shell).await;
        let toml = std::fs::read_to_string(shell.path("dualkey.toml")).unwrap();
        let (_, tables) = toml.split_once("[[secret]]\nname = \"ENCRYPTION_KEY\"").unwrap();
        let tables = tables.replace("{ file = \"ENCRYPTION_KEY.json\" }", "{ dotenv = \".env\" }");
        let tables = format!("[[secret]]\nname = \"ENCRYPTION_KEY\"{tables}");
        inventory(&shell.path("dualkey.toml"), &tables);
        let (old, new) = (
            "9f2c4b7e1a6d8035c4e7f1920b3a5d6c8e7f90a1b2c3d4e5f60718293a4b5c6d",
            "2b7e151628aed2a6abf7158809cf4f3c762e7160f38b4da56a784d9045190cfe",
        );
        let clock = ManualClock::new(SystemTime::now());
        let variables = |text: String| {
            std::fs::write(shell.path(".env"), text).unwrap();
            let project = project(&shell, &base, &clock);
            let store = project.store("ENCRYPTION_KEY").unwrap();
            (project, pollster::block_on(store.load()).unwrap())
        };
        let (_, before) = variables(format!("ENCRYPTION_KEY={old}\n"));
        let builder = KeyRing::<AesKey>::builder().environment("production");
        seal_notes(&base, &Sealer::new(before.build_ring(builder).unwrap())).await;
        let (project, held) =
            variables(format!("ENCRYPTION_KEY={new}\nENCRYPTION_KEY_OLD={old}\n"));
        let later = clock.clone();
        let rewrapped = rewrap(&project, move |_| later.advance(Duration::from_secs(86_400)));
        let rewrapped = rewrapped.run().await.unwrap();
        assert_eq!(rewrapped[0].1.counts.rewritten, ROWS as u64);
        assert_eq!(kids(&base).await, [primary(&held, &clock); ROWS as usize]);
    });
}
