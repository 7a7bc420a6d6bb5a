//! A rewrap of the real command over a table that a service goes on writing, killed and resumed.

use std::collections::HashMap;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime};

use dualkey::envelope::Sealer;
use dualkey::source::KeyStore;
use dualkey::{Obstacle, Verdict};

use crate::support::database::Base;
use crate::support::is_full;
use crate::support::notes::{context, rings, rotated};
use crate::support::postgres::runtime;
use crate::support::shell::Shell;

const KILLS: u32 = 24;
const WRITERS: i64 = 4;

#[test]
fn in_sqlite_a_rewrap_that_is_killed_loses_no_write() {
    runtime().block_on(async { is_killed(Base::sqlite().await).await });
}

#[test]
fn in_postgres_a_rewrap_that_is_killed_loses_no_write() {
    runtime().block_on(async {
        if let Some(base) = Base::postgres().await {
            is_killed(base).await;
        }
    });
}

async fn is_killed(base: Base) {
    let rows: i64 = if is_full() { 1_000_000 } else { 50_000 };
    let mut shell = Shell::new("2026-11-26T00:00:00Z");
    let (store, manifest) = rotated(&mut shell).await;
    let (ring, before) = rings(&manifest);
    let (old, new) = (ring.keys()[0].kid, ring.primary().unwrap());
    let before = Sealer::new(before);
    let start = Instant::now();
    base.notes(
        (0..rows)
            .map(|id| (id, before.seal_text(format!("note {id}, first"), context(id)).unwrap())),
    )
    .await;
    println!("{}: {rows} rows were sealed in {:?}", base.name(), start.elapsed());

    let base = Arc::new(base);
    let (goes_on, written) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicU64::new(0)));
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let (base, goes_on, written) = (base.clone(), goes_on.clone(), written.clone());
            let sealer = Sealer::new(ring.clone());
            tokio::spawn(async move {
                let mut last = HashMap::new();
                let mut random = fastrand::Rng::with_seed(writer as u64);
                while goes_on.load(Relaxed) {
                    // Rows of its own, so that which value was the last is known.
                    let id = random.i64(0..rows / WRITERS) * WRITERS + writer;
                    let text = format!("note {id}, {}", random.u64(..));
                    base.write(id, &sealer.seal_text(&text, context(id)).unwrap()).await;
                    last.insert(id, text);
                    written.fetch_add(1, Relaxed);
                    tokio::time::sleep(Duration::from_micros(500)).await;
                }
                last
            })
        })
        .collect();

    let command = |further: &[&str]| {
        let mut all = vec!["rewrap", "ENCRYPTION_KEY", "--execute", "--checkpoint", "rewrap"];
        all.extend(further);
        let mut command = shell.command(&all);
        // The system's clock, by which the manifest was made.
        command.env_remove("DUALKEY_CLOCK").env("DATABASE_URL", base.url());
        command
    };
    // How far it says that it has come.
    let reached = || std::fs::read_to_string(shell.path("rewrap")).unwrap_or_default();
    let (mut kills, mut random) = (0, fastrand::Rng::with_seed(7));
    while kills < KILLS {
        let mut child = command(&["--batch", "100", "--rate", "8000"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let before = reached();
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                panic!("it ended by itself, with {status}, after {kills} kills");
            }
            if reached() != before {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        tokio::time::sleep(Duration::from_millis(random.u64(0..100))).await;
        kills += 1;
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let resumed = reached();
    let resumed = resumed.split("\"rows\":").nth(1).unwrap().split([',', '}']).next().unwrap();
    let resumed: u64 = resumed.parse().unwrap();
    assert!(resumed > 0);
    let start = Instant::now();
    let output = tokio::task::block_in_place(|| command(&["--json"]).output().unwrap());
    let took = start.elapsed();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(!shell.path("rewrap").exists());
    goes_on.store(false, Relaxed);
    let mut last = HashMap::new();
    for writer in writers {
        last.extend(writer.await.unwrap());
    }

    let sealer = Sealer::new(ring.clone());
    let all = base.texts("notes", "body").await;
    assert_eq!(all.len() as i64, rows);
    for (id, stored) in all {
        let stored = stored.unwrap();
        let opened = sealer.open(&stored, context(id)).unwrap();
        let first = format!("note {id}, first");
        let expected = last.get(&id).unwrap_or(&first);
        assert_eq!(*opened, expected.as_bytes(), "{id}");
        assert_eq!(opened.kid(), new, "{id}");
    }
    let report: serde_json::Value = serde_json::from_str(&text).unwrap();
    let counts = &report[0]["counts"];
    assert_eq!(report[0]["by_kid"], serde_json::json!({ new.to_string(): rows }));
    assert_eq!(counts["rows"], rows);

    // What it left is what the verdict asks for: what is missing yet is traffic.
    let reports = store.reports().await.unwrap();
    let report =
        reports.iter().find(|report| report.instance == dualkey::ops::rewrap::INSTANCE).unwrap();
    let rewrap = report.rewrap.as_ref().unwrap();
    assert_eq!((rewrap.unreadable, &rewrap.rows[..]), (0, &[(new, rows as u64)][..]));
    let Verdict::Blocked(obstacles) =
        manifest.retirement(&old, &reports, SystemTime::now()).unwrap()
    else {
        panic!("no instance reports");
    };
    assert!(obstacles.contains(&Obstacle::NoInstance), "{obstacles:?}");
    let is_of_rewrap = |obstacle: &Obstacle| {
        let text = format!("{obstacle:?}");
        text.contains("RewrapReport") || text.contains("Rows") || text.contains("UsedAsFallback")
    };
    assert!(!obstacles.iter().any(is_of_rewrap), "{obstacles:?}");
    println!(
        "{}: killed {kills} times, resumed from {} rows, {} writes of {WRITERS} writers at once; \
         the last run went through the rest in {took:?}; {}",
        base.name(),
        resumed,
        written.load(Relaxed),
        counts,
    );
}
