//! Reasons for which a command ends without having done what was asked, and their lines.

use std::io;

use crate::error::Error;
use crate::error::Obstacle;
use crate::moment::NotBefore;
use crate::ops::OpsError;
use crate::source::StoreError;

/// A reason for which a command ends without having done what was asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error(transparent)]
    Ops(#[from] OpsError),
    #[error("{0}")]
    Usage(String),
    #[error("cannot write to the terminal: {0}")]
    Output(#[from] io::Error),
}

/// The exit status of a command.
pub(super) type Status = Result<u8, Failure>;

impl<E: Into<OpsError>> From<E> for Failure
where
    E: private::OfLibrary,
{
    fn from(error: E) -> Self {
        Self::Ops(error.into())
    }
}

/// The errors of the library that are not yet one of `ops`.
mod private {
    pub(super) trait OfLibrary {}
    impl OfLibrary for crate::error::Error {}
    impl OfLibrary for crate::source::StoreError {}
    impl OfLibrary for crate::ops::audit::AuditError {}
}

impl Failure {
    /// Returns the lines about this failure, with the moment to try again where that is the
    /// remedy.
    pub(super) fn lines(&self) -> Vec<String> {
        if let Self::Ops(OpsError::Adopt { refusals }) = self {
            let count = refusals.len();
            let head = format!("error: cannot adopt {count} of the secrets; nothing was changed:");
            let rows =
                refusals.iter().map(|refusal| format!("  {}: {}", refusal.secret, refusal.problem));
            return std::iter::once(head).chain(rows).collect();
        }
        let mut lines = vec![format!("error: {self}")];
        lines.extend(self.accepted_from().map(|from| format!("  when      {from}")));
        lines
    }

    /// Returns the moment from which a step that is too early is accepted.
    fn accepted_from(&self) -> Option<NotBefore> {
        let Self::Ops(OpsError::Refused(error) | OpsError::Store(StoreError::Refused(error))) =
            self
        else {
            return None;
        };
        let Error::Blocked { obstacles, .. } = error else { return None };
        let moments = obstacles.iter().filter_map(|obstacle| match obstacle {
            Obstacle::TooEarly { until } => Some(*until),
            _ => None,
        });
        moments.max().map(NotBefore)
    }
}
