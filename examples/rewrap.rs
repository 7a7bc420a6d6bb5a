//! A table of sealed notes is brought under a new key while its service goes on writing.
//!
//! ```sh
//! cargo run --release --example rewrap               # 100,000 rows in a file of SQLite
//! cargo run --release --example rewrap -- --rows 1000000
//! ```
//!
//! A service writes sealed notes; its encryption key is rotated; a rewrap goes through all rows,
//! and is killed in the middle; another goes on. At the end every row opens, what each writer wrote
//! last is there, and the verdict on the old key says what is missing yet. Beside it, on a copy of the
//! same table, the loop that a maintenance window is for: each row decrypted and encrypted, with
//! nobody writing.
#![allow(missing_docs, unreachable_pub, clippy::print_stdout)]

use std::collections::HashMap;
use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use clap::Parser;
use dualkey::envelope::{AesKey, Sealed, Sealer};
use dualkey::rewrap::{Checkpoint, Progress, RewrapJob, RewrapReport, SqliteTable};
use dualkey::{KeyRing, Secret};
use indicatif::{ProgressBar, ProgressStyle};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

const WRITERS: i64 = 4;

#[derive(Parser)]
#[command(about = "Brings a table under a new key while its service goes on writing")]
struct Options {
    /// How many rows the table has.
    #[arg(long, default_value_t = 100_000)]
    rows: i64,
    /// How long each note is, in bytes.
    #[arg(long, default_value_t = 200)]
    bytes: usize,
}

#[tokio::main]
async fn main() -> Result<()> {
    let options = Options::parse();
    let folder = tempfile::tempdir()?;
    let pool = open(&folder.path().join("notes.db")).await?;
    let ring = KeyRing::<AesKey>::builder().primary(random_secret()?).build()?;
    let sealer = Sealer::new(ring.clone());
    let old = ring.primary().expect("a new ring has a primary");
    let started = Instant::now();
    fill(&pool, &sealer, &options).await?;
    println!(
        "{} notes of {} bytes were sealed in {:.1?}",
        options.rows,
        options.bytes,
        started.elapsed()
    );

    // The usual way, while nobody writes, on a copy.
    let copy = folder.path().join("copy.db");
    sqlx::query("VACUUM INTO ?").bind(copy.display().to_string()).execute(&pool).await?;
    let by_hand = rewrap_by_hand(&open(&copy).await?, &sealer).await?;

    let goes_on = Arc::new(AtomicBool::new(true));
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        writers.spawn(write(writer, pool.clone(), sealer.clone(), options.rows, goes_on.clone()));
    }
    let new = ring.stage(random_secret()?)?;
    ring.promote(&new)?;
    println!("rotated: {new} seals from now on, {old} opens what there is");

    let before = memory();
    let half = interrupt(&pool, &sealer, options.rows).await?;
    println!("a rewrap was killed in the middle; another goes on");
    let bar = bar();
    let shown = bar.clone();
    let started = Instant::now();
    let rewrapped = rewrap(&pool, &sealer)
        .await?
        .execute()
        .resume(half)
        .on_progress(move |at| show(&shown, at))
        .run()
        .await?;
    let took = started.elapsed();
    bar.finish_and_clear();
    let grown = memory().saturating_sub(before);
    goes_on.store(false, Relaxed);
    let mut last = HashMap::new();
    while let Some(written) = writers.join_next().await {
        last.extend(written??);
    }
    report(&rewrapped);
    let rate = (rewrapped.counts.rows / 2) as f64 / took.as_secs_f64();
    println!("  {rate:.0} rows per second beside {} writes of the service", last.len());
    println!("  {grown} KiB more memory at the peak");
    println!("by hand, with the service stopped: {by_hand:.0} rows per second");

    // All of them are opened once more, and nothing is written.
    let verified = rewrap(&pool, &sealer).await?.run().await?;
    report(&verified);
    let lost = check(&pool, &sealer, &last, &options).await?;
    ring.record_rewrap(&verified.record());
    println!("may the old key go? {}", ring.retirement(&old)?);
    if verified.is_complete() && !verified.by_kid.contains_key(&old) && lost == 0 {
        println!("Every note opens under the new key, and no write was lost.")
    } else {
        return Err(format!("{lost} writes were lost").into());
    }
    Ok(())
}

async fn open(path: &Path) -> Result<SqlitePool> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal)
        .busy_timeout(Duration::from_secs(30));
    Ok(SqlitePoolOptions::new().max_connections(8).connect_with(options).await?)
}

fn random_secret() -> Result<Secret> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| error.to_string())?;
    Ok(Secret::from(bytes))
}

fn context(id: i64) -> String {
    format!("notes/{id}/body")
}

fn text(id: i64, bytes: usize) -> String {
    format!("{id}: {}", "x".repeat(bytes))[..bytes.max(8)].to_owned()
}

async fn fill(pool: &SqlitePool, sealer: &Sealer, options: &Options) -> Result<()> {
    let table = "CREATE TABLE notes (id INTEGER PRIMARY KEY, body BLOB NOT NULL)";
    sqlx::raw_sql(table).execute(pool).await?;
    let mut all = pool.begin().await?;
    for id in 0..options.rows {
        let body = Sealed::seal_bytes(sealer, &text(id, options.bytes), context(id))?;
        let insert = sqlx::query("INSERT INTO notes VALUES (?, ?)").bind(id).bind(&body);
        insert.execute(&mut *all).await?;
    }
    Ok(all.commit().await?)
}

/// Writes rows of its own, so that which value was the last is known.
async fn write(
    writer: i64,
    pool: SqlitePool,
    sealer: Sealer,
    rows: i64,
    goes_on: Arc<AtomicBool>,
) -> Result<HashMap<i64, String>> {
    let mut last = HashMap::new();
    let mut random = fastrand::Rng::with_seed(writer.unsigned_abs());
    while goes_on.load(Relaxed) {
        let id = random.i64(0..rows / WRITERS) * WRITERS + writer;
        let note = format!("{id}: {}", random.u64(..));
        let body = Sealed::seal_bytes(&sealer, &note, context(id))?;
        let update = sqlx::query("UPDATE notes SET body = ? WHERE id = ?").bind(&body).bind(id);
        update.execute(&pool).await?;
        last.insert(id, note);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(last)
}

async fn rewrap(pool: &SqlitePool, sealer: &Sealer) -> Result<RewrapJob> {
    let table = SqliteTable::open(pool, "notes", ["body"]).await?;
    Ok(RewrapJob::new(sealer, table, |key, column| format!("notes/{key}/{column}")))
}

/// A rewrap that is dropped when it has come half of its way; what it told last.
async fn interrupt(pool: &SqlitePool, sealer: &Sealer, rows: i64) -> Result<Checkpoint> {
    let (sender, mut told) = mpsc::unbounded_channel();
    let rewrap = rewrap(pool, sealer).await?.execute().on_progress(move |at| {
        // Nobody may be listening any more.
        let _ = sender.send((at.rows, at.checkpoint.clone()));
    });
    let running = tokio::spawn(rewrap.run());
    while let Some((seen, checkpoint)) = told.recv().await {
        if seen >= rows.unsigned_abs() / 2 {
            running.abort();
            return Ok(checkpoint);
        }
    }
    Err("the rewrap ended before it was killed".into())
}

/// What is written for a maintenance window: read, decrypt, encrypt, write, in transactions of as
/// many rows as the rewrap takes.
async fn rewrap_by_hand(pool: &SqlitePool, sealer: &Sealer) -> Result<f64> {
    let other = Sealer::new(KeyRing::<AesKey>::builder().primary(random_secret()?).build()?);
    let started = Instant::now();
    let (mut after, mut count) = (-1_i64, 0);
    loop {
        let page = "SELECT id, body FROM notes WHERE id > ? ORDER BY id LIMIT 500";
        let rows: Vec<(i64, Vec<u8>)> = sqlx::query_as(page).bind(after).fetch_all(pool).await?;
        let Some((last, _)) = rows.last() else { break };
        after = *last;
        let mut all = pool.begin_with("BEGIN IMMEDIATE").await?;
        for (id, body) in &rows {
            let note = sealer.open(body, context(*id))?;
            let body = other.seal(&*note, context(*id))?;
            let update = sqlx::query("UPDATE notes SET body = ? WHERE id = ?").bind(body).bind(id);
            update.execute(&mut *all).await?;
            count += 1;
        }
        all.commit().await?;
    }
    Ok(f64::from(count) / started.elapsed().as_secs_f64())
}

/// How many notes are other than they were written.
async fn check(
    pool: &SqlitePool,
    sealer: &Sealer,
    last: &HashMap<i64, String>,
    options: &Options,
) -> Result<u64> {
    let mut lost = 0;
    for (id, expected) in last {
        let select = sqlx::query_scalar("SELECT body FROM notes WHERE id = ?").bind(id);
        let body: Sealed<String> = select.fetch_one(pool).await?;
        lost += u64::from(**body.open(sealer, context(*id))? != **expected);
    }
    for id in (0..options.rows).step_by(997).filter(|id| !last.contains_key(id)) {
        let select = sqlx::query_scalar("SELECT body FROM notes WHERE id = ?").bind(id);
        let body: Sealed<String> = select.fetch_one(pool).await?;
        lost += u64::from(**body.open(sealer, context(id))? != text(id, options.bytes));
    }
    Ok(lost)
}

fn report(rewrapped: &RewrapReport) {
    let counts = &rewrapped.counts;
    println!(
        "{}: {} rows, {} rewritten, {} current already, {} changed meanwhile, {} unreadable",
        if rewrapped.has_written { "rewrapped" } else { "looked through" },
        counts.rows,
        counts.rewritten,
        counts.current,
        counts.changed_meanwhile,
        counts.unreadable,
    );
    for row in &rewrapped.unreadable {
        println!("  {} {} {}: {}", row.table, row.key, row.column, row.reason);
    }
}

fn bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} {msg}");
    ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn show(bar: &ProgressBar, at: &Progress) {
    bar.set_length(at.total.unwrap_or(at.rows));
    bar.set_position(at.rows);
    let remaining = at.remaining.unwrap_or_default();
    bar.set_message(format!("{:.0} rows/s, {remaining:.1?} left", at.rows_per_second));
}

/// The most memory that this process has had, in KiB; 0 where that cannot be told.
fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
