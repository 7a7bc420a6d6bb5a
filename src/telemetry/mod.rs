//! What a ring says of itself, for the tools that a service has already.
//!
//! [`Tracing`] writes the facts of a ring as events of `tracing`; [`RingMetrics`] counts them
//! through the `metrics` facade, for Prometheus and others. Both are [`Observer`]s: a ring is
//! given both where a service wants both. A ring that is given none has [`Tracing`] where the feature
//! `tracing` is on, and otherwise none.
//!
//! ```
//! # #[cfg(all(feature = "tracing", feature = "metrics", feature = "jwt"))]
//! # fn main() -> Result<(), dualkey::Error> {
//! use dualkey::{KeyRing, Secret};
//! use dualkey::jwt::JwtKey;
//! use dualkey::telemetry::{RingMetrics, Tracing};
//!
//! # let secret = "kH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eUkH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eU";
//! let metrics = RingMetrics::new();
//! let ring = KeyRing::<JwtKey>::builder()
//!     .name("JWT_SECRET")
//!     .primary(Secret::from(secret))
//!     .observer(Tracing)
//!     .observer(metrics.clone())
//!     .build()?;
//! metrics.watch(&ring);
//!
//! metrics.publish(); // whenever the exporter is about to be asked
//! # Ok(())
//! # }
//! # #[cfg(not(all(feature = "tracing", feature = "metrics", feature = "jwt")))]
//! # fn main() {}
//! ```
//!
//! It promises: no byte of a secret, of a payload or of a request, and *bounded* labels: names
//! of rings, kids that an operator added, reasons and states from closed sets. No peer can add
//! a series. It does not promise that nothing is told of users: how many there are shows.
//!
//! [`Observer`]: crate::Observer

#[cfg(feature = "metrics")]
mod metrics;
mod subject;

#[cfg(feature = "metrics")]
pub use self::metrics::RingMetrics;
#[cfg(feature = "tracing")]
pub use crate::observer::Tracing;
pub use subject::Subject;
#[allow(
    unused_imports,
    reason = "only the status page, in a higher module, takes it from here"
)]
pub(crate) use subject::WatchedRing;
