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
//! New connections are made with the primary. Where the server refuses it, with the next, a staged
//! one before a fallback, within the same call; the one that was refused cools down, and is then
//! tried beside, while all callers continue. After a promotion the new credential is tried first,
//! beside; once the server has taken it, connections under the old one are closed as they come back,
//! and none while it is in use. One that is wrong, is no URL, or names another database changes
//! nothing; the observer receives it.
//!
//! A refusal is SQLSTATE 28P01 (a wrong password), and 28000 where the role does not exist or may
//! not log in. Nothing else is: no timeout, no network that is down, no entry that `pg_hba.conf`
//! lacks. PgBouncer sends 08P01 for everything; its texts about the login are refusals, and no
//! others (`query_wait_timeout`, `no such database`, `unsupported startup parameter`). The texts with
//! which Odyssey, Neon and RDS Proxy refuse a credential are recognised as well.
//!
//! All URLs of a ring name **the same host, port and database**: `DATABASE_URL_BACKUP` is often the
//! URL of another one. [`RotatingPool::new`] refuses it, and one that is stored later gets no
//! connection. [`Login::UrlOfAnyDatabase`] allows it.
//!
//! # How to rotate
//! **With two roles that take turns** (recommended): set a new password for the one that is idle
//! ([`change_password`]), stage its URL, [`probe`](RotatingPool::probe_with) it, promote it. At no
//! time is there a credential that does not work, and what was promoted has been tried before.
//!
//! The two must own the same objects, or one cannot alter what the other created. Run this once, as
//! a role that may create roles:
//!
//! ```sql
#![doc = include_str!("two_roles.sql")]
//! ```
//!
//! Then set both passwords, and give the owner what is there: `REASSIGN OWNED BY old_role TO
//! app_owner`. Migrations run as either role, and see one owner. `pg_dump` writes `OWNER TO
//! app_owner`, so create that role before a restore. `current_user` is the owner, also in row
//! security policies; `session_user` and `pg_stat_activity.usename` are the role that logged in.
//! `ALTER ROLE … SET role` is a setting of the server, so it also counts behind PgBouncer in
//! transaction mode and after `DISCARD ALL`. PgBouncer needs both roles in its `userlist.txt`, or an
//! `auth_query`.
//!
//! **With one role**: stage the new password on every instance first; then change it on the
//! server. From that moment the old one is dead for new connections, on every instance at once,
//! and the staged one is taken; existing connections continue. Then promote. It cannot be probed
//! before.
//!
//! # Behind PgBouncer
//! | | session mode | transaction mode | statement mode |
//! |---|---|---|---|
//! | [`begin`](RotatingPool::begin), [`execute`](RotatingPool::execute), [`fetch_all`](RotatingPool::fetch_all), [`fetch_optional`](RotatingPool::fetch_optional) | yes | with `pgbouncer=true` | no |
//! | [`acquire`](RotatingPool::acquire), [`inner`](RotatingPool::inner) | yes | for `sqlx::raw_sql` | for `sqlx::raw_sql` |
//! | [`probe`](RotatingPool::probe) | yes | yes | yes |
//! | [`probe_with`](RotatingPool::probe_with), [`change_password`], [`change_password_plaintext`] | yes | yes | no |
//! | `SET`, advisory locks of a session, `LISTEN`, temporary tables | yes | no | no |
//!
//! `sqlx` prepares every query with arguments on its connection, under a name that it uses in every
//! process, also where `statement_cache_capacity(0)` turns its cache off. In transaction mode the
//! next transaction may get another connection of the server, which lacks the statement, or has
//! **another one under that name**. With `pgbouncer=true` in the URL, or
//! [`behind_pooler`](RotatingPool::behind_pooler), the methods above run each query in a
//! transaction, and clear the names first. Without it the error is [`DatabaseError::Pooler`], which
//! names the setting. (PgBouncer 1.21 and later keep prepared statements themselves, with
//! `max_prepared_statements`.)
//!
//! This pool sends no `extra_float_digits`, which PgBouncer does not admit. Of other startup
//! parameters, as `options` in a URL, the error names `ignore_startup_parameters`.
//!
//! PgBouncer 1.20 and older pass errors of the server on without their code, in the language of the
//! server: set `lc_messages = 'C'` there, or a refusal by the server goes unrecognised.
//!
//! # Limits
//! A proxy that answers a wrong password with a code and a text that are not listed here does not
//! refuse it, to this pool. A connection that a query finds broken is an error of that query, as
//! with every pool.

mod drain;
mod error;
mod login;
mod place;
mod plaintext;
mod probe;
mod query;
mod refusal;
mod scram;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{Postgres, SqlStr};
use tokio::time::Instant;

use super::{Credential, Credentials, Shown};
use crate::ring::KeyRing;
use drain::Drain;
pub use error::{DatabaseError, PoolerProblem};
pub use login::Login;
use login::Target;
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
    /// True if no prepared statement may outlive a transaction.
    is_pooled: AtomicBool,
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
        let mut inner = Inner {
            credentials,
            login,
            home: None,
            is_pooled: AtomicBool::new(false),
            drain,
            set: Mutex::new(set),
        };
        for kid in inner.credentials.offered() {
            let Some(other) = inner.credentials.pick(kid) else { continue };
            inner.options(&other)?;
            if inner.home.is_none() {
                // The primary comes first.
                let place = inner.login.target(&inner.credentials, &other)?.place;
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
                // A value that is no URL, or names another database, is not tried at all.
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
        let Target { options, place, is_pooled } = self.login.target(&self.credentials, shown)?;
        let both = self.home.as_ref().zip(place);
        let differs = both.map(|(home, place)| home.place.differs(&place)).unwrap_or_default();
        let Some(home) = self.home.as_ref().filter(|_| !differs.is_empty()) else {
            self.is_pooled.fetch_or(is_pooled, Relaxed);
            return Ok(options);
        };
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
