//! A pool of PostgreSQL connections whose password rotates.
//!
//! ```no_run
//! # async fn start() -> Result<(), Box<dyn std::error::Error>> {
//! use dualkey::KeyRing;
//! use dualkey::credential::Credential;
//! use dualkey::credential::database::{Login, RotatingPool};
//! use sqlx::postgres::PgPoolOptions;
//!
//! let ring = KeyRing::<Credential>::from_env("DATABASE_URL")?;
//! let options = PgPoolOptions::new().max_connections(20);
//! let pool = RotatingPool::new(ring, Login::Url, options)?;
//!
//! let mut connection = pool.acquire().await?;
//! let users: i64 = sqlx::query_scalar("SELECT count(*) FROM users").fetch_one(&mut *connection).await?;
//! let mut transaction = pool.begin().await?;
//! sqlx::query("UPDATE users SET seen = now()").execute(&mut *transaction).await?;
//! transaction.commit().await?;
//! # Ok(())
//! # }
//! ```
//!
//! New connections are made with the primary. Where the server refuses it (SQLSTATE class 28, and
//! nothing else: no timeout, no network that is down), with the next, a staged one before a
//! fallback, within the same call; the one that was refused rests, and is then tried beside, while
//! all callers go on. After a promotion the new credential is tried first, beside; once the server
//! has taken it, connections under the old one are closed as they come back, and none while it is
//! in use. One that is wrong, or no URL at all, changes nothing but to be told of.
//!
//! # How to rotate
//! **With two roles that take turns** (recommended): `app_a` and `app_b` have the same rights, by a
//! role that both are members of. Set a new password for the one that is idle
//! ([`change_password`]), stage its URL, [`probe`](RotatingPool::probe) it, promote it. At no time
//! is there a credential that does not work, and what was promoted has been tried before.
//!
//! **With one role**: stage the new password on every instance first; then change it on the
//! server. From that moment the old one is dead for new connections, on every instance at once,
//! and the staged one is taken; connections that are there go on. Then promote. It cannot be
//! probed before.
//!
//! # Limits
//! What sees only that a connection cannot be made, as a proxy may that answers with another code,
//! is no refusal to this pool. A connection that a query finds broken is an error of that query, as
//! with every pool.

mod drain;
mod error;
mod login;
mod place;
mod plaintext;
mod probe;
mod refusal;
mod scram;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions, PgQueryResult, PgRow};
use sqlx::{Execute, Executor, Postgres, SqlStr, Transaction};
use tokio::time::Instant;

use super::{Credential, Credentials, Shown};
use crate::ring::KeyRing;
use drain::Drain;
pub use error::{DatabaseError, PoolerProblem};
pub use login::Login;
use place::Home;
pub use plaintext::change_password_plaintext;
use probe::find_out;
use refusal::is_refusal;
pub use scram::{change_password, scram_verifier};

/// How long a password that was refused rests, the first time.
const REST: Duration = Duration::from_secs(1);
/// And at most.
const LONGEST_REST: Duration = Duration::from_secs(60);
/// Of one call, at the most: twice as many as a ring has keys.
const MOST_ATTEMPTS: usize = 32;

/// A pool of connections that follows a ring of passwords or URLs. A clone is the same pool.
#[derive(Clone)]
pub struct RotatingPool {
    pool: PgPool,
    inner: Arc<Inner>,
}

struct Inner {
    credentials: Credentials,
    login: Login,
    /// The database that every URL must name.
    home: Option<Home>,
    drain: Drain,
    set: Mutex<Set>,
}

/// The credential that new connections are made with.
struct Set {
    shown: Shown,
    /// Whether the server takes another is being found out.
    is_probing: bool,
    /// When that may be asked again, after it could not be told.
    not_before: Instant,
    /// Run before a promoted credential is taken.
    statement: Option<SqlStr>,
}

impl RotatingPool {
    /// A pool over `ring`. It connects when it is first asked. A credential that was refused rests
    /// for a second, then twice as long each time, up to a minute.
    ///
    /// `options` are those of `sqlx`; its hooks before a connection is handed out and after it has
    /// come back are this pool's own, and replaced.
    ///
    /// # Errors
    /// [`DatabaseError::NotAUrl`] for any key of the ring; [`DatabaseError::OtherDatabase`] if two
    /// URLs of it name different databases, unless [allowed](Login::UrlOfAnyDatabase);
    /// [`DatabaseError::Ring`].
    pub fn new(
        ring: KeyRing<Credential>,
        login: Login,
        options: PgPoolOptions,
    ) -> Result<Self, DatabaseError> {
        Self::of(Credentials::new(ring).rest(REST, LONGEST_REST), login, options)
    }

    /// The same, over `credentials` that say how long one rests.
    ///
    /// # Errors
    /// As for [`new`](Self::new).
    pub fn of(
        credentials: Credentials,
        login: Login,
        options: PgPoolOptions,
    ) -> Result<Self, DatabaseError> {
        let shown = credentials.choose()?;
        let drain = Drain::default();
        let (coming, going) = (drain.clone(), drain.clone());
        let set = Set {
            shown: shown.clone(),
            is_probing: false,
            not_before: Instant::now(),
            statement: None,
        };
        let mut inner = Inner { credentials, login, home: None, drain, set: Mutex::new(set) };
        for kid in inner.credentials.offered() {
            let Some(other) = inner.credentials.pick(kid) else { continue };
            inner.options(&other)?;
            if inner.home.is_none() {
                // The primary comes first.
                let (_, place) = inner.login.options(&inner.credentials, &other)?;
                let label = inner.credentials.label(kid);
                inner.home = place.map(|place| Home { place, label });
            }
        }
        let connect = inner.options(&shown)?;
        let inner = Arc::new(inner);
        let pool = options
            .before_acquire(move |_, meta| {
                Box::pin(std::future::ready(Ok(!coming.is_over(meta.age))))
            })
            .after_release(move |_, meta| {
                Box::pin(std::future::ready(Ok(!going.is_over(meta.age))))
            })
            .connect_lazy_with(connect);
        Ok(Self { pool, inner })
    }

    /// A connection.
    ///
    /// # Errors
    /// A [`DatabaseError`].
    pub async fn acquire(&self) -> Result<PoolConnection<Postgres>, DatabaseError> {
        let pool = &self.pool;
        self.with_failover(|| pool.acquire()).await
    }

    /// A connection, with a transaction that has begun.
    ///
    /// # Errors
    /// A [`DatabaseError`].
    pub async fn begin(&self) -> Result<Transaction<'static, Postgres>, DatabaseError> {
        let pool = &self.pool;
        self.with_failover(|| pool.begin()).await
    }

    /// Runs a query that returns no rows.
    ///
    /// # Errors
    /// A [`DatabaseError`].
    pub async fn execute<'q>(
        &self,
        query: impl Execute<'q, Postgres> + 'q,
    ) -> Result<PgQueryResult, DatabaseError> {
        Ok(self.acquire().await?.execute(query).await?)
    }

    /// All rows of a query.
    ///
    /// # Errors
    /// A [`DatabaseError`].
    pub async fn fetch_all<'q>(
        &self,
        query: impl Execute<'q, Postgres> + 'q,
    ) -> Result<Vec<PgRow>, DatabaseError> {
        Ok(self.acquire().await?.fetch_all(query).await?)
    }

    /// The first row of a query, if there is one.
    ///
    /// # Errors
    /// A [`DatabaseError`].
    pub async fn fetch_optional<'q>(
        &self,
        query: impl Execute<'q, Postgres> + 'q,
    ) -> Result<Option<PgRow>, DatabaseError> {
        Ok(self.acquire().await?.fetch_optional(query).await?)
    }

    /// The pool inside, for what takes nothing else. It makes its connections with the credential
    /// that was right last; that another is to be taken, it is told by a call of
    /// [`acquire`](Self::acquire) alone.
    #[must_use]
    pub fn inner(&self) -> &PgPool {
        &self.pool
    }

    /// What is known of the credentials.
    #[must_use]
    pub fn credentials(&self) -> &Credentials {
        &self.inner.credentials
    }

    /// What `connect` comes to, with another credential where the server refuses one.
    async fn with_failover<T, F: Future<Output = Result<T, sqlx::Error>>>(
        &self,
        connect: impl Fn() -> F,
    ) -> Result<T, DatabaseError> {
        let mut tried = Vec::new();
        loop {
            let shown = self.follow()?;
            let entered = self.inner.drain.enter();
            let connected = connect().await;
            drop(entered);
            let error = match connected {
                Ok(connected) => {
                    self.inner.credentials.used(&shown);
                    return Ok(connected);
                }
                Err(error) if is_refusal(&error) => error,
                Err(error) => return Err(error.into()),
            };
            tried.push(shown.kid());
            let next = self.inner.credentials.refused(&shown).filter(|next| {
                // Each once; again, where others have found out meanwhile that it is taken.
                let has_recovered =
                    !self.inner.credentials.all_rest() && tried.len() < MOST_ATTEMPTS;
                !tried.contains(&next.kid()) || has_recovered
            });
            match next {
                // What is no URL, or names another database, is not tried at all.
                Some(next) => {
                    if let Err(error) = self.set(next.clone(), false) {
                        tried.push(next.kid());
                        let _ = self.inner.credentials.unusable(&next, &error);
                    }
                }
                None => {
                    return Err(DatabaseError::Refused {
                        ring: self.inner.credentials.ring().name().to_owned(),
                        kids: self.inner.credentials.offered(),
                        source: Box::new(error),
                    });
                }
            }
        }
    }

    /// The credential that new connections are made with. If the ring says another, that one is
    /// tried beside, and nobody waits for it.
    fn follow(&self) -> Result<Shown, DatabaseError> {
        let inner = &self.inner;
        let mut set = inner.set();
        // Under the lock: who was slow would bring back what was shown before.
        let chosen = inner.credentials.choose()?;
        let kid = set.shown.kid();
        if kid == chosen.kid() {
            return Ok(chosen);
        }
        let Some(before) = inner.credentials.pick(kid) else {
            // It was revoked, or is gone: there is nothing to go on with.
            drop(set);
            return self.replace(chosen);
        };
        if !set.is_probing && Instant::now() >= set.not_before {
            set.is_probing = true;
            tokio::spawn(find_out(self.clone(), chosen));
        }
        Ok(before)
    }

    /// Has new connections made with `chosen`, or the next that can be one.
    fn replace(&self, mut chosen: Shown) -> Result<Shown, DatabaseError> {
        let mut seen = Vec::new();
        loop {
            let wrong = match self.set(chosen.clone(), true) {
                Ok(()) => return Ok(chosen),
                Err(wrong) => wrong,
            };
            seen.push(chosen.kid());
            match self.inner.credentials.unusable(&chosen, &wrong) {
                Some(next) if !seen.contains(&next.kid()) => chosen = next,
                _ => return Err(wrong),
            }
        }
    }

    /// Has new connections made with `shown`; with `drains`, those that are there are closed as
    /// they come back.
    fn set(&self, shown: Shown, drains: bool) -> Result<(), DatabaseError> {
        let inner = &self.inner;
        let options = inner.options(&shown)?;
        let mut set = inner.set();
        let has_changed = set.shown.kid() != shown.kid();
        set.shown = shown;
        self.pool.set_connect_options(options);
        if drains && has_changed {
            inner.drain.begin();
        }
        Ok(())
    }
}

impl Inner {
    /// The options of a connection with `shown`, unless it names another database.
    fn options(&self, shown: &Shown) -> Result<PgConnectOptions, DatabaseError> {
        let (options, place) = self.login.options(&self.credentials, shown)?;
        let Some((home, place)) = self.home.as_ref().zip(place) else { return Ok(options) };
        let differs = home.place.differs(&place);
        if differs.is_empty() {
            return Ok(options);
        }
        Err(DatabaseError::OtherDatabase {
            ring: self.credentials.ring().name().to_owned(),
            first: home.label.clone(),
            other: self.credentials.label(shown.kid()),
            differs,
        })
    }

    fn set(&self) -> MutexGuard<'_, Set> {
        self.set.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for RotatingPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RotatingPool")
            .field("credentials", &self.inner.credentials)
            .field("size", &self.pool.size())
            .finish_non_exhaustive()
    }
}
