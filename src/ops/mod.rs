//! The operator's half: new secrets, an inventory of all, rotations that are checked and told, a
//! calendar, an audit trail.
//!
//! | module | |
//! |---|---|
//! | [`generate`] | new secrets, of the right length and alphabet |
//! | [`inventory`] | every secret that a backend has, without a value |
//! | [`recognise`], [`adopt`] | the secrets of a `.env` file that is there, and their values taken over |
//! | [`rotate`] | the steps of a rotation, each told to the trail before it is taken |
//! | [`schedule`] | what is due, overdue, under way or stuck |
//! | [`rewrap`] | everything that an encryption key has sealed, brought under the primary |
//! | [`audit`] | records that nobody edits unseen |
//! | [`doctor`] | what is wrong with a project, and how to fix it |
//! | `remind`, `agent` | with the feature `agent`: reminders, and rotations by the calendar |
//!
//! The command line, `dualkey`, computes every step, check and verdict with these calls.
//!
//! ```
//! use dualkey::Purpose;
//! use dualkey::ops::audit::{Query, Trail};
//! use dualkey::ops::doctor::examine;
//! use dualkey::ops::generate::Generated;
//! use dualkey::ops::inventory::{Inventory, Project};
//! use dualkey::ops::rotate::{CreateOptions, CheckOutcome, Operator, checks, create};
//! use dualkey::ops::schedule::secret_statuses;
//!
//! # let folder = tempfile::tempdir().unwrap();
//! let inventory = r#"
//!     version = 1
//!     environment = "production"
//!     audit = { file = "audit.log", secret = "AUDIT_SECRET" }
//!     secret = [
//!         { name = "AUDIT_SECRET", purpose = "audit", priority = "critical", store = { file = "AUDIT_SECRET.json" } },
//!         { name = "JWT_SECRET", purpose = "jwt", priority = "critical", store = { file = "JWT_SECRET.json" }, rotate = "quarterly" },
//!     ]
//! "#;
//! # pollster::block_on(async {
//! let inventory = Inventory::parse(inventory, folder.path().join("dualkey.toml"))?;
//! let project = Project::new(inventory);
//! for (name, purpose) in [("AUDIT_SECRET", Purpose::Audit), ("JWT_SECRET", Purpose::Jwt)] {
//!     create(&project, name, CreateOptions::new("ada"), Generated::new(purpose)?.entry()).await?;
//! }
//!
//! // What must hold before a rotation, and its first step.
//! let all = checks(&project, "JWT_SECRET").await?;
//! assert!(all.iter().all(|check| check.outcome != CheckOutcome::Failed));
//! let operator = Operator::for_project(&project, "JWT_SECRET", "ada").await?.reason("the quarter");
//! operator.stage(Generated::new(Purpose::Jwt)?.entry()).await?;
//!
//! // How it stands, what is wrong, and what was done.
//! assert_eq!(secret_statuses(&project).await?[1].next.command.as_deref(), Some("dualkey promote JWT_SECRET --assume-deployed"));
//! assert_eq!(examine(&project).await?, []);
//! let trail = project.trail().await?;
//! assert_eq!(trail.query(&Query::new().secret("JWT_SECRET")).await?.len(), 2);
//! # Ok::<(), dualkey::ops::OpsError>(())
//! # }).unwrap();
//! ```

mod address;
pub mod adopt;
#[cfg(feature = "agent")]
pub mod agent;
pub mod audit;
pub mod doctor;
mod error;
pub mod generate;
pub mod inventory;
pub mod recognise;
#[cfg(feature = "agent")]
pub mod remind;
pub mod rewrap;
pub mod rotate;
pub mod schedule;
pub(crate) mod warnings;

pub use error::OpsError;
