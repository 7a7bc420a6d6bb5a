//! `RotatingPool`: the pool, and the credential that its new connections are made with.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::SqlStr;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use tokio::time::Instant;

use super::drain::Drain;
use super::error::DatabaseError;
use super::login::{Login, Target};
use super::place::Home;
use crate::credential::{Attempt, Credential, Credentials};
use crate::ring::KeyRing;

/// How long a password that was refused cools down, the first time.
const COOL_DOWN: Duration = Duration::from_secs(1);
/// And at most.
const LONGEST_COOL_DOWN: Duration = Duration::from_secs(60);

/// A pool of connections that follows a ring of passwords or URLs. A clone is the same pool.
#[derive(Clone)]
pub struct RotatingPool {
    pub(super) pool: PgPool,
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) credentials: Credentials,
    login: Login,
    /// The database that every URL must name.
    home: Option<Home>,
    /// True if no prepared statement may outlive a transaction.
    pub(super) is_pooled: AtomicBool,
    pub(super) drain: Drain,
    current: Mutex<Current>,
}

/// The credential that new connections are made with.
pub(super) struct Current {
    pub(super) attempt: Attempt,
    /// True while a probe finds out whether the server accepts another one.
    pub(super) is_probing: bool,
    /// The time before which no further probe starts, after one without a result.
    pub(super) not_before: Instant,
    /// The statement that runs before the pool moves to a promoted credential.
    pub(super) statement: Option<SqlStr>,
}

impl RotatingPool {
    /// A pool over `ring`. It connects when it is first asked. A credential that was refused cools down
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
        Self::from_credentials(
            Credentials::new(ring).cool_down(COOL_DOWN, LONGEST_COOL_DOWN),
            login,
            options,
        )
    }

    /// The same, over `credentials` that say how long one cools down.
    ///
    /// # Errors
    /// As for [`new`](Self::new).
    pub fn from_credentials(
        credentials: Credentials,
        login: Login,
        options: PgPoolOptions,
    ) -> Result<Self, DatabaseError> {
        let attempt = credentials.choose()?;
        let drain = Drain::default();
        let (coming, going) = (drain.clone(), drain.clone());
        let current = Current {
            attempt: attempt.clone(),
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
            current: Mutex::new(current),
        };
        for kid in inner.credentials.offered_kids() {
            let Some(other) = inner.credentials.pick(kid) else { continue };
            inner.options(&other)?;
            if inner.home.is_none() {
                // The primary comes first.
                let place = inner.login.target(&inner.credentials, &other)?.place;
                let label = inner.credentials.label(kid);
                inner.home = place.map(|place| Home { place, label });
            }
        }
        let connect = inner.options(&attempt)?;
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

    /// Makes new connections with `attempt`; with `drains`, those that are there are closed as they
    /// come back.
    pub(super) fn connect_with(&self, attempt: Attempt, drains: bool) -> Result<(), DatabaseError> {
        let inner = &self.inner;
        let options = inner.options(&attempt)?;
        let mut current = inner.lock_current();
        let has_changed = current.attempt.kid() != attempt.kid();
        current.attempt = attempt;
        self.pool.set_connect_options(options);
        if drains && has_changed {
            inner.drain.begin();
        }
        Ok(())
    }
}

impl Inner {
    /// The options of a connection with `attempt`, unless it names another database.
    pub(super) fn options(&self, attempt: &Attempt) -> Result<PgConnectOptions, DatabaseError> {
        let Target { options, place, is_pooled } = self.login.target(&self.credentials, attempt)?;
        let both = self.home.as_ref().zip(place);
        let differs = both.map(|(home, place)| home.place.differs(&place)).unwrap_or_default();
        let Some(home) = self.home.as_ref().filter(|_| !differs.is_empty()) else {
            self.is_pooled.fetch_or(is_pooled, Relaxed);
            return Ok(options);
        };
        Err(DatabaseError::OtherDatabase {
            ring: self.credentials.ring().name().to_owned(),
            first: home.label.clone(),
            other: self.credentials.label(attempt.kid()),
            differs,
        })
    }

    pub(super) fn lock_current(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
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
