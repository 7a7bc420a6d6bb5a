//! Failover: another credential where the server refuses one, and a move to a promoted one.

use tokio::time::Instant;

use super::error::DatabaseError;
use super::pool::RotatingPool;
use super::probe::probe_and_switch;
use super::refusal::is_refusal;
use crate::credential::Attempt;
use crate::kid::Kid;

/// The most attempts of one call: twice as many as a ring has keys.
const MAX_ATTEMPTS: usize = 32;

impl RotatingPool {
    /// Runs `connect`, again with another credential where the server refuses one.
    pub(super) async fn with_failover<T, F: Future<Output = Result<T, sqlx::Error>>>(
        &self,
        connect: impl Fn() -> F,
    ) -> Result<T, DatabaseError> {
        let mut tried = Vec::new();
        loop {
            let attempt = self.follow()?;
            let entered = self.inner.drain.enter();
            let connected = connect().await;
            drop(entered);
            let error = match connected {
                Ok(connected) => {
                    self.inner.credentials.count_use(&attempt);
                    return Ok(connected);
                }
                Err(error) if is_refusal(&error) => error,
                Err(error) => return Err(error.into()),
            };
            tried.push(attempt.kid());
            let Some(next) = self.next_after(&attempt, &tried) else {
                return Err(DatabaseError::Refused {
                    ring: self.inner.credentials.ring().name().to_owned(),
                    kids: self.inner.credentials.offered_kids(),
                    source: Box::new(error),
                });
            };
            // A value that is no URL, or names another database, is not tried at all.
            if let Err(error) = self.connect_with(next.clone(), false) {
                tried.push(next.kid());
                let _ = self.inner.credentials.reject_unusable(&next, &error);
            }
        }
    }

    /// Reports that the server refused `attempt`, and returns the credential to try next. Each is
    /// tried once in a call; again, if the server accepted it in another call by now.
    fn next_after(&self, attempt: &Attempt, tried: &[Kid]) -> Option<Attempt> {
        let credentials = &self.inner.credentials;
        credentials.report_rejected(attempt).filter(|next| {
            let has_recovered = !credentials.is_cooling_down() && tried.len() < MAX_ATTEMPTS;
            !tried.contains(&next.kid()) || has_recovered
        })
    }

    /// Returns the credential that new connections are made with. If the ring has another one now, a
    /// probe of that one starts, for which no caller waits.
    fn follow(&self) -> Result<Attempt, DatabaseError> {
        let inner = &self.inner;
        let mut current = inner.lock_current();
        // Under the lock: a slow caller would bring back the credential before.
        let attempt = inner.credentials.choose()?;
        let kid = current.attempt.kid();
        if kid == attempt.kid() {
            return Ok(attempt);
        }
        let Some(before) = inner.credentials.pick(kid) else {
            // It was revoked, or has left the ring: the pool cannot continue with it.
            drop(current);
            return self.replace(attempt);
        };
        if !current.is_probing && Instant::now() >= current.not_before {
            current.is_probing = true;
            tokio::spawn(probe_and_switch(self.clone(), attempt));
        }
        Ok(before)
    }

    /// Makes new connections with `attempt`, or with the next one that can be used.
    fn replace(&self, mut attempt: Attempt) -> Result<Attempt, DatabaseError> {
        let mut seen = Vec::new();
        loop {
            let wrong = match self.connect_with(attempt.clone(), true) {
                Ok(()) => return Ok(attempt),
                Err(wrong) => wrong,
            };
            seen.push(attempt.kid());
            match self.inner.credentials.reject_unusable(&attempt, &wrong) {
                Some(next) if !seen.contains(&next.kid()) => attempt = next,
                _ => return Err(wrong),
            }
        }
    }
}
