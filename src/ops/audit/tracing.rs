//! Records as events of `tracing`: a second place, which who edits the first cannot reach.

use ::tracing::{info, warn};

use super::action::Outcome;
use super::record::Record;
use super::sink::{AuditFuture, Sink};

/// Writes each record as an event of `tracing`, under the target `dualkey::audit`: `INFO`, or
/// `WARN` where something failed. It is no trail: nothing in it proves that nothing is missing.
#[derive(Debug, Clone, Copy, Default)]
#[cfg_attr(docsrs, doc(cfg(feature = "tracing")))]
pub struct TracingSink;

impl Sink for TracingSink {
    fn append<'a>(&'a self, records: &'a [Record]) -> AuditFuture<'a, ()> {
        Box::pin(async move {
            for record in records {
                let (secret, action) = (&record.secret, record.action.as_str());
                let outcome = record.outcome.as_str();
                match record.outcome {
                    Outcome::Started | Outcome::Success => {
                        info!(target: "dualkey::audit", secret, action, outcome, "{record}");
                    }
                    Outcome::Failed | Outcome::Abandoned | Outcome::Unknown => {
                        warn!(target: "dualkey::audit", secret, action, outcome, "{record}");
                    }
                }
            }
            Ok(())
        })
    }
}
