//! A ring that follows its store while the service runs.
//!
//! It promises: a change in the store is swapped in whole, after it was checked and every new
//! key tested; whatever fails, the last good ring serves, the failure is reported and counted, and the
//! store is asked again; what was revoked stays so.
//!
//! A store that can push reports its changes; each is asked from time to time as well, at
//! moments that differ between instances; and [`FollowHandle::refresh`] asks at once. A store that
//! says so all the time is asked at most once in 100 milliseconds, and once after the last time.
//!
//! A follower ends only when it is stopped or dropped. Panics of the store and of observers are
//! caught and counted. Every call to the store is made on a worker thread and ends within the
//! [`FollowBuilder::timeout`], also one that never answers or blocks its thread; the next turn asks
//! again. It does not survive `panic = "abort"`, nor an observer or a clock that blocks for ever.

mod builder;
mod calls;
mod handle;
mod health;
mod poll_delay;
pub(crate) mod poller;
mod report;
mod runtime;
mod signal;
mod wait;

#[cfg(feature = "tokio")]
mod task;
mod thread;

pub use builder::FollowBuilder;
pub use handle::FollowHandle;
pub use health::{FollowState, Health};
