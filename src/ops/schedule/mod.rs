//! The calendar: how each secret stands, as a pure function of what is stored and of the time.
//!
//! Days are those of UTC, as [`Schedule`](crate::Schedule) counts them: what is due on 15 January is due from that
//! midnight on, and overdue by one day on the 16th.

mod compute;
mod dueness;
mod facts;
mod json;
mod other_keys;
mod phrase;
mod read;
mod stall;
mod standing;
mod traffic;
mod trail_facts;

pub use dueness::dueness;
pub use json::to_json;
pub use read::{standing_of, standings};
pub use standing::{Advice, Other, Standing, State};
