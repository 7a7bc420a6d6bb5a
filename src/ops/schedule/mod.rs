//! The calendar: how each secret stands, as a pure function of what is stored and of the time.
//!
//! Days are those of UTC, as [`Schedule`](crate::Schedule) counts them: what is due on 15 January is due from that
//! midnight on, and overdue by one day on the 16th.

mod compute;
mod facts;
mod json;
mod other_keys;
mod phrase;
mod read;
#[cfg(feature = "agent")]
mod read_facts;
mod schedule_state;
mod stall;
mod status;
mod traffic;
mod trail_facts;

pub use json::to_json;
pub use read::{secret_status, secret_statuses};
#[cfg(feature = "agent")]
pub(crate) use read_facts::read_facts;
pub use schedule_state::schedule_state;
pub use status::{Advice, OtherKey, ScheduleState, SecretStatus};
