//! Guides with tested code.
//!
//! | chapter | subject |
//! |---|---|
//! | [`migrating`] | the tokens, cookies, webhooks and rows of a backend that dualkey takes over |
//! | [`runbook`] | the move from `.env` pairs, the quarterly rotation and the emergency |

#[cfg(all(feature = "jwt", feature = "cookie", feature = "webhook", feature = "envelope"))]
pub mod migrating;
#[cfg(all(feature = "store", feature = "cookie"))]
pub mod runbook;
