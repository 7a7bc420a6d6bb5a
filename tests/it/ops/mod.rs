//! The operator's half.

#[cfg(all(feature = "cli", unix))]
mod adopt;
#[cfg(feature = "cli")]
mod advice;
#[cfg(feature = "cli")]
mod agent;
mod audit;
#[cfg(feature = "cli")]
mod audit_command;
#[cfg(feature = "cli")]
mod clock;
#[cfg(feature = "cli")]
mod command;
#[cfg(all(feature = "cli", unix))]
mod doctor;
#[cfg(all(feature = "cli", unix))]
mod dry_run;
#[cfg(all(feature = "cli", unix))]
mod files;
mod forger;
#[cfg(feature = "cli")]
mod generate;
mod inventory;
#[cfg(feature = "cli")]
mod messages;
#[cfg(feature = "cli")]
mod next;
#[cfg(feature = "cli")]
mod operator;
#[cfg(feature = "cli")]
mod postgres;
#[cfg(feature = "cli")]
mod quarter;
#[cfg(feature = "cli")]
mod remind;
#[cfg(feature = "cli")]
mod renamed;
#[cfg(all(feature = "cli", unix))]
mod reports;
#[cfg(feature = "cli")]
mod service;
#[cfg(feature = "cli")]
mod start;
#[cfg(all(feature = "cli", unix))]
mod terminal;
#[cfg(feature = "cli")]
mod urls;
#[cfg(feature = "cli")]
mod values;
