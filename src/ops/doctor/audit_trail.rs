//! The examination of the audit trail.

use super::finding::Finding;
use crate::ops::adopt::first_audit_key_command;
use crate::ops::error::OpsError;
use crate::ops::inventory::{AuditPlace, Project};

/// The finding on the audit trail, if there is one.
pub(super) async fn audit(project: &Project) -> Option<Finding> {
    let audit = &project.inventory().audit;
    let subject = match &audit.place {
        AuditPlace::File(path) => path.display().to_string(),
        AuditPlace::Postgres(variable) => format!("the database of {variable}"),
    };
    Some(match project.verify_trail().await {
        Err(OpsError::NoAuditKey { .. }) => {
            let remedy = first_audit_key_command(project);
            Finding::new("audit", &subject, "it has no key yet".to_owned(), &remedy)
        }
        Err(error) => {
            Finding::new("audit", &subject, error.to_string(), "repair the store of its key")
        }
        Ok(verified) => {
            let remedy = "find out who changed it; then `dualkey audit restart --reason WHY`";
            Finding::new("audit", &subject, verified.problem?.to_string(), remedy)
        }
    })
}
