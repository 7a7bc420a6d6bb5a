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
mod failover;
mod login;
mod place;
mod plaintext;
mod pool;
mod probe;
mod query;
mod refusal;
mod scram;

pub use error::{DatabaseError, PoolerProblem};
pub use login::Login;
pub use plaintext::change_password_plaintext;
pub use pool::RotatingPool;
pub use scram::{change_password, scram_verifier};
