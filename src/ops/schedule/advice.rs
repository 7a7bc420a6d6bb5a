//! What comes next for a secret, and whether it is stuck.

use std::time::{Duration, SystemTime};

use super::{Next, Other, Standing, State};
use crate::kid::Kid;
use crate::manifest::{Entry, Manifest};
use crate::ops::address::kids_apart;
use crate::ops::adopt::{begin_command, in_use};
use crate::ops::inventory::{Item, Place, Project};
use crate::purpose::Purpose;
use crate::ring::report::{disagreement, is_ahead, may_run};
use crate::ring::{KeyState, Report};
use crate::verdict::{Obstacle, Verdict};
use crate::verified::Role;

/// How long a step may be left before it counts as stuck, at the least.
const PATIENCE: Duration = Duration::from_secs(24 * 60 * 60);

impl Standing {
    /// Says what comes next, and whether something is stuck.
    pub(super) fn advise(
        &mut self,
        item: &Item,
        manifest: &Manifest,
        reports: &[Report],
        now: SystemTime,
    ) {
        let (name, policy) = (self.name.clone(), manifest.policy());
        let changed_at = manifest.changed_at();
        if is_ahead(changed_at, policy, now) {
            let why = "its last change lies ahead of this clock".to_owned();
            self.raise(State::Stuck { why });
            self.next = Next {
                what: "set the clock, or correct the manifest if it was written with a wrong one"
                    .to_owned(),
                command: Some(item.command(&format!("repair-clock {name}"))),
                at: None,
            };
            return;
        }
        let is_dotenv = matches!(item.store, Place::Dotenv(_));
        let is_late = |since: SystemTime, by: Duration| {
            now.duration_since(since).is_ok_and(|age| age > by.max(PATIENCE))
        };
        let is_staged = |own: &&Other| own.state == KeyState::Active(Role::Staged);
        // One that waits for somebody comes before one that waits for its moment.
        let staged = self.others.iter().filter(is_staged).min_by_key(|own| own.signs_from);
        if let Some(staged) = staged {
            let (kid, added_at, signs_from) = (staged.kid, staged.added_at, staged.signs_from);
            if let State::Rested | State::Soon { .. } = self.state {
                self.state = State::Underway;
            }
            let against = disagreement(reports, manifest.fingerprint(), policy, changed_at, now);
            if let Some(at) = signs_from {
                let is_near = at.duration_since(now).is_ok_and(|left| left < policy.window());
                let what = match against.first() {
                    None => "nothing: the staged key signs by itself".to_owned(),
                    Some(obstacle) => {
                        if is_near {
                            let why = format!("`{kid}` is about to sign, and {obstacle}");
                            self.raise(State::Stuck { why });
                        }
                        format!("before the staged key signs by itself: {obstacle}")
                    }
                };
                self.next = Next { what, command: None, at: Some(at) };
                return;
            }
            if is_late(added_at, policy.rollout_window.saturating_mul(2)) {
                self.raise(State::Stuck {
                    why: format!("`{kid}` is staged, and was not promoted"),
                });
            }
            let is_held = reports.iter().any(|own| may_run(own, policy, changed_at, now));
            self.next = match against.first() {
                _ if is_dotenv => Next {
                    what: "deploy the file everywhere, then promote the staged key".to_owned(),
                    command: Some(format!("dualkey promote {name} --deployed")),
                    at: None,
                },
                Some(obstacle) => Next {
                    what: format!("wait: {obstacle}"),
                    command: Some(format!("dualkey promote {name}")),
                    at: None,
                },
                None if !is_held && item.purpose.needs_agreement() => Next {
                    what: "promote the staged key once every instance runs with it: no instance \
                           reports"
                        .to_owned(),
                    command: Some(format!("dualkey promote {name} --deployed")),
                    at: None,
                },
                None => Next {
                    what: "promote the staged key: every instance holds it".to_owned(),
                    command: Some(format!("dualkey promote {name}")),
                    at: None,
                },
            };
            return;
        }
        // What names another database belongs to something else, and is not to go.
        let apart = kids_apart(item, manifest, now);
        let own_keys: Vec<_> =
            self.others.iter().filter(|own| !apart.contains(&own.kid)).cloned().collect();
        let ended = own_keys.iter().find(|own| own.state == KeyState::Retired);
        let ended = ended.map(|own| (own.kid, own.ends_at));
        if let Some((kid, ends_at)) = ended.filter(|_| is_dotenv) {
            // A service that reads the file takes it for as long as it stands there.
            let why = format!("`{kid}` has come to its end, and still stands in the file");
            self.raise(State::Stuck { why });
            self.next = retire(&name, kid, "take the old key out of the file", ends_at);
            return;
        }
        let fallback = own_keys.iter().find(|own| own.state == KeyState::Active(Role::Fallback));
        if let Some(own) = fallback.filter(|_| item.purpose != Purpose::Audit) {
            let (kid, ends_at) = (own.kid, own.ends_at);
            let verdict = own.verdict.clone();
            self.raise(State::Underway);
            self.next = match verdict {
                Some(Verdict::Safe) => {
                    retire(&name, kid, "retire the old key: nothing needs it", None)
                }
                Some(Verdict::Wait { until }) => {
                    retire(&name, kid, "retire the old key", Some(until))
                }
                Some(Verdict::Blocked(obstacles)) => {
                    let why = obstacles.first().map_or_else(String::new, |own| format!(": {own}"));
                    let own = obstacles.iter().find_map(|own| sweep(&name, own));
                    let own = own.unwrap_or_else(|| {
                        retire(&name, kid, &format!("the old key may not go{why}"), ends_at)
                    });
                    // What ends by itself needs nobody.
                    if ends_at.is_none()
                        && is_late(own_since(manifest, &kid), policy.overlap().saturating_mul(2))
                    {
                        let why = format!("`{kid}` should have gone{why}");
                        self.raise(State::Stuck { why });
                    }
                    own
                }
                None => retire(&name, kid, "retire the old key", ends_at),
            };
            if !matches!(self.state, State::Due | State::Overdue { .. }) {
                return;
            }
        }
        let against = disagreement(reports, manifest.fingerprint(), policy, changed_at, now);
        if let Some(obstacle) = against.first() {
            self.raise(State::Underway);
            let what = format!("wait until every instance has reloaded: {obstacle}");
            let command = Some(format!("dualkey status {name}"));
            self.next = Next { what, command, at: None };
            return;
        }
        self.next = match (self.due, ended) {
            (_, Some((kid, _))) if self.state <= State::Underway => Next {
                what: "wipe the old key, which has come to its end".to_owned(),
                command: Some(format!("dualkey destroy {name} --kid {kid}")),
                at: None,
            },
            (Some(at), _) => Next {
                what: "the next rotation".to_owned(),
                command: Some(item.command(&format!("rotate {name}"))),
                at: Some(at),
            },
            (None, _) => Next { what: "nothing".to_owned(), command: None, at: None },
        };
    }

    /// Advises to take over a value that is in use, where the store holds none: a new key would
    /// refuse what that one signed.
    pub(super) fn advise_adoption(&mut self, project: &Project) {
        if self.name == project.inventory().audit.secret {
            self.next.command = Some(begin_command(project));
        }
        match in_use(project, &self.name) {
            Ok(Some(found)) => {
                let (variable, place) = (&found.variable, found.place());
                self.next.what =
                    format!("take over the value in use: {variable} is set in {place}");
                self.next.command = Some(found.command(&self.name));
            }
            Ok(None) => {}
            // It may hold a value that is in use.
            Err(error) => {
                (self.next.what, self.next.command) = (format!("fix the file: {error}"), None);
            }
        }
    }

    pub(super) fn raise(&mut self, state: State) {
        if self.state < state {
            self.state = state;
        }
    }
}

/// Since when a key has been superseded, as far as that can be told: since the primary signs.
fn own_since(manifest: &Manifest, kid: &Kid) -> SystemTime {
    let primary = manifest.primary(manifest.changed_at());
    let since = manifest.key(&primary).map(|key| key.life.signing_since());
    since.or_else(|| manifest.key(kid).map(Entry::added_at)).unwrap_or(manifest.changed_at())
}

/// What mends an obstacle that only a sweep does.
fn sweep(name: &str, obstacle: &Obstacle) -> Option<Next> {
    let at = match obstacle {
        Obstacle::SweptTooEarly { not_before, .. } => Some(*not_before),
        Obstacle::NotSwept
        | Obstacle::RowsLeft { .. }
        | Obstacle::RowsUnreadable { .. }
        | Obstacle::NothingSealed { .. } => None,
        _ => return None,
    };
    let what = format!("bring what it has sealed under the new key: {obstacle}");
    let command = Some(format!("dualkey rewrap {name} --execute"));
    Some(Next { what, command, at })
}

fn retire(name: &str, kid: Kid, what: &str, at: Option<SystemTime>) -> Next {
    let command = format!("dualkey retire {name} --kid {kid}");
    Next { what: what.to_owned(), command: Some(command), at }
}
