//! A table of the inventory: opened, and as a rewrap.

use std::sync::Arc;
use std::time::Duration;

use super::checkpoints::Checkpoints;
use super::context::fill;
use super::job::ProjectRewrap;
use crate::envelope::{AesKey, Sealer};
use crate::ops::error::OpsError;
use crate::ops::inventory::{Data, Project};
use crate::rewrap::{RewrapJob, RowKey, RowStore};
use crate::ring::KeyRing;

/// A row that a rewrap waits for is written within seconds.
#[cfg(feature = "rewrap-sqlite")]
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);

/// What `sqlx` knows.
#[cfg(feature = "rewrap-sqlite")]
const SQLITE_PARAMETERS: [&str; 4] = ["cache", "immutable", "mode", "vfs"];

/// Opens the table of `data`, for so many batches at a time.
pub(super) async fn open_table(
    project: &Project,
    data: &Data,
    concurrency: usize,
) -> Result<Arc<dyn RowStore>, OpsError> {
    let url = project.variable("the URL of a database", &data.database)?;
    if url.trim_start().starts_with("sqlite:") {
        return open_sqlite(data, url.trim(), concurrency).await;
    }
    open_postgres(project, data, &url, concurrency).await
}

#[cfg(feature = "rewrap-sqlite")]
async fn open_sqlite(
    data: &Data,
    url: &str,
    concurrency: usize,
) -> Result<Arc<dyn RowStore>, OpsError> {
    use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
    let wrong = |problem| OpsError::DatabaseUrl { variable: data.database.clone(), problem };
    if let Some(name) = unknown_parameter(url) {
        let known = SQLITE_PARAMETERS.join(", ");
        return Err(wrong(format!("its parameter `{name}` is none of {known}: remove it")));
    }
    // The words of `sqlx` may hold parts of the URL.
    let options: SqliteConnectOptions = url
        .parse()
        .map_err(|_| wrong("it is no URL of SQLite, as in sqlite:app.db?mode=rw".to_owned()))?;
    let pool = SqlitePoolOptions::new()
        .max_connections(connections(concurrency))
        .connect_lazy_with(options.busy_timeout(PATIENCE));
    let table = crate::rewrap::SqliteTable::open(&pool, &data.table, &data.columns).await?;
    Ok(Arc::new(table))
}

#[cfg(not(feature = "rewrap-sqlite"))]
async fn open_sqlite(_: &Data, _: &str, _: usize) -> Result<Arc<dyn RowStore>, OpsError> {
    Err(OpsError::Feature { what: "a table of SQLite", feature: "rewrap-sqlite" })
}

#[cfg(feature = "rewrap-postgres")]
async fn open_postgres(
    project: &Project,
    data: &Data,
    url: &str,
    concurrency: usize,
) -> Result<Arc<dyn RowStore>, OpsError> {
    let url = project.connection_string(&data.database, url)?;
    // A table is qualified, and not looked up: a pooler refuses a search path.
    let (options, name) = match url.schema().filter(|_| !data.table.contains('.')) {
        Some(schema) => {
            let schema = crate::sql::quote_identifier(schema);
            (url.clone().without_schema().connect_options(), format!("{schema}.{}", data.table))
        }
        None => (url.connect_options(), data.table.clone()),
    };
    let pool = sqlx::postgres::PgPoolOptions::new()
        .max_connections(connections(concurrency))
        .connect_lazy_with(options.map_err(|error| OpsError::DatabaseUrl {
            variable: data.database.clone(),
            problem: error.to_string(),
        })?);
    let table = crate::rewrap::PgTable::open(&pool, &name, &data.columns).await?;
    Ok(Arc::new(table.with_name(&data.table)))
}

#[cfg(not(feature = "rewrap-postgres"))]
async fn open_postgres(
    _: &Project,
    _: &Data,
    _: &str,
    _: usize,
) -> Result<Arc<dyn RowStore>, OpsError> {
    Err(OpsError::Feature { what: "a table of PostgreSQL", feature: "rewrap-postgres" })
}

/// One for each batch that is written, and one that reads.
#[cfg(any(feature = "rewrap-sqlite", feature = "rewrap-postgres"))]
fn connections(concurrency: usize) -> u32 {
    u32::try_from(concurrency).unwrap_or(u32::MAX).saturating_add(1)
}

/// The rewrap of the table of `data`, with the settings of `job`.
pub(super) fn rewrap_of_table(
    job: &ProjectRewrap<'_>,
    ring: &KeyRing<AesKey>,
    data: &Data,
    rows: Arc<dyn RowStore>,
    file: &Arc<Checkpoints>,
) -> RewrapJob {
    let mut sealer = Sealer::new(ring.clone());
    for layout in &data.layouts {
        // For as long as the inventory says that there are such values.
        let now = ring.now();
        let until = now.checked_add(Duration::from_secs(365 * 24 * 60 * 60)).unwrap_or(now);
        sealer = sealer.accept_legacy(*layout, until);
    }
    let (template, table) = (data.context.clone(), data.table.clone());
    let context = move |key: &RowKey, column: &str| fill(&template, &table, key, column);
    let mut rewrap =
        RewrapJob::new(&sealer, rows, context).batch(job.batch).concurrency(job.concurrency);
    if job.executes {
        rewrap = rewrap.execute();
    }
    if data.may_hold_nothing {
        rewrap = rewrap.may_hold_nothing();
    }
    if job.renews_all {
        rewrap = rewrap.renew_all();
    }
    if job.rescues {
        rewrap = rewrap.dangerous().open_revoked();
    }
    if let Some(rate) = job.rows_per_second {
        rewrap = rewrap.rows_per_second(rate);
    }
    // Two databases may have tables of one name.
    let place = format!("{} {}", data.database, data.table);
    if let Some(checkpoint) = file.checkpoint(&place) {
        rewrap = rewrap.resume(checkpoint);
    }
    let (on_progress, table, file) =
        (Arc::clone(&job.on_progress), data.table.clone(), Arc::clone(file));
    let unreadable = Arc::clone(&job.on_unreadable);
    let executes = job.executes;
    rewrap
        .on_progress(move |progress| {
            // Without it, nothing is changed.
            if executes {
                file.keep(&place, &progress.checkpoint);
            }
            on_progress(&table, progress);
        })
        .on_unreadable(move |value| unreadable(value))
}

/// The first parameter of a URL of SQLite that is not known; `?` for one whose name is no plain word.
#[cfg(feature = "rewrap-sqlite")]
fn unknown_parameter(url: &str) -> Option<&str> {
    let (_, query) = url.split_once('?')?;
    let mut names = query.split('&').filter_map(|pair| pair.split('=').next());
    let name = names.find(|name| !name.is_empty() && !SQLITE_PARAMETERS.contains(name))?;
    let is_plain =
        |name: &str| name.len() <= 40 && name.bytes().all(|byte| byte.is_ascii_alphabetic());
    Some(if is_plain(name) { name } else { "?" })
}
