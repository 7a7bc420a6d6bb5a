//! Every run of a small fleet, over the library's own manifests, verdicts and rings.
pub mod counterexamples;
pub mod documents;
pub mod engine;
pub mod faults;
pub mod fleet;
pub mod following;
pub mod history;
pub mod menu;
pub mod operators;
pub mod recovery;
pub mod replay;
pub mod rows;
pub mod run;
pub mod worlds;
