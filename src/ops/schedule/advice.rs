//! What comes next for a secret, and whether it is stuck.

use std::time::{Duration, SystemTime};

use super::old_key::{clock_option, if_gone, is_rescue, is_status, next_of};
use super::{Next, Other, Standing, State};
use crate::error::Obstacle;
use crate::evidence::Report;
use crate::evidence::Verdict;
use crate::evidence::old_key::needs_key;
use crate::evidence::reports::{
    ClockProblem, clock_problem, disagreement, disagreement_ends, may_run,
};
use crate::evidence::silence::SILENT_WINDOWS;
use crate::kid::Kid;
use crate::lifecycle::KeyState;
use crate::lifecycle::Role;
use crate::lifecycle::policy::is_ahead;
use crate::manifest::{Entry, Manifest};
use crate::moment::NotBefore;
use crate::ops::address::kids_apart;
use crate::ops::adopt::{begin_command, in_use};
use crate::ops::inventory::{Item, Place, Project};
use crate::purpose::Purpose;

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
            let what = "set the clock, or correct the manifest if it was written with a wrong one";
            // If the reports contradict the clock, only setting it helps.
            let command = match clock_problem(reports, policy, now) {
                Some(ClockProblem::Behind { .. }) => None,
                _ => {
                    let clock = clock_option(manifest, reports, None, now);
                    Some(format!("dualkey repair-clock {name}{clock}"))
                }
            };
            let what = if command.is_some() { what } else { "set the clock" };
            self.next = Next { what: what.to_owned(), command, at: None };
            return;
        }
        let is_dotenv = matches!(item.store, Place::Dotenv(_));
        let is_late = |since: SystemTime, by: Duration| {
            now.duration_since(since).is_ok_and(|age| age > by.max(PATIENCE))
        };
        let is_staged =
            |own: &&Other| own.state == KeyState::Active(Role::Staged) && !own.is_restaged;
        let old = self.next_of_old_keys(item, manifest, reports, now);
        // One that waits for somebody comes before one that waits for its moment.
        let count = self.others.iter().filter(is_staged).count();
        let staged = self.others.iter().filter(is_staged).min_by_key(|own| own.signs_from);
        if let Some(staged) = staged {
            let (kid, added_at, signs_from) = (staged.kid, staged.added_at, staged.signs_from);
            if let State::Rested | State::Soon { .. } = self.state {
                self.state = State::Underway;
            }
            let against = disagreement(reports, manifest.fingerprint(), policy, changed_at, now);
            let ends = disagreement_ends(reports, manifest.fingerprint(), policy, changed_at, now);
            if let Some(at) = signs_from {
                let is_near = at.duration_since(now).is_ok_and(|left| left < policy.window());
                let moment = NotBefore(at);
                let what = match against.first() {
                    None => {
                        // A step of an old key may come before.
                        if let Some((_, next)) = old.filter(|(_, next)| next.at < Some(at)) {
                            self.next = next;
                            return;
                        }
                        format!("nothing: the staged key signs by itself at {moment}")
                    }
                    Some(obstacle) => {
                        if is_near {
                            let why = format!("`{kid}` is about to sign, and {obstacle}");
                            self.raise(State::Stuck { why });
                        }
                        format!(
                            "wait until every instance has reloaded, before the staged key signs by \
                             itself at {moment}: {obstacle}"
                        )
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
            // Of several the command names one.
            let option = if count > 1 { format!(" --kid {kid}") } else { String::new() };
            let is_held = reports.iter().any(|own| may_run(own, policy, changed_at, now));
            self.next = match against.first() {
                _ if is_dotenv => Next {
                    what: "deploy the file everywhere, then promote the staged key".to_owned(),
                    command: Some(format!("dualkey promote {name} --assume-deployed{option}")),
                    at: None,
                },
                // The promotion is refused until then.
                Some(obstacle) => Next {
                    what: format!(
                        "wait until every instance holds the staged key, then run `dualkey promote \
                         {name}{option}`: {obstacle}{}",
                        if_gone(ends)
                    ),
                    command: Some(format!("dualkey status {name}")),
                    at: None,
                },
                None if !is_held && item.purpose.needs_agreement() => Next {
                    what: "promote the staged key once every instance runs with it: no instance \
                           reports"
                        .to_owned(),
                    command: Some(format!(
                        "dualkey promote {name} --assume-deployed{option}{}",
                        clock_option(manifest, reports, None, now)
                    )),
                    at: None,
                },
                None => Next {
                    what: "promote the staged key: every instance holds it".to_owned(),
                    command: Some(format!("dualkey promote {name}{option}")),
                    at: None,
                },
            };
            return;
        }
        let fallback = self.fallback(item, manifest, now);
        if let Some((kid, ends_at, verdict)) = fallback {
            self.raise(State::Underway);
            // What ends by itself waits for no step.
            let blocked = verdict.filter(|own| matches!(own, Verdict::Blocked(_)));
            if let Some(verdict) = blocked.filter(|_| ends_at.is_none())
                && is_late(own_since(manifest, &kid), policy.overlap().saturating_mul(2))
            {
                let why =
                    format!("`{kid}` cannot be retired, although it is long superseded: {verdict}");
                self.raise(State::Stuck { why });
            }
        }
        let is_stale = |own: &Other| is_dotenv && own.state == KeyState::Retired;
        if let Some((old, _)) = old.as_ref().filter(|(own, _)| is_stale(own)) {
            // A service that reads the file takes it as long as it is there.
            let why = format!("`{}` has expired, and is still in the file", old.kid);
            let window = policy.rollout_window.saturating_mul(2);
            self.raise(match old.ends_at.is_none_or(|ends| is_late(ends, window)) {
                true => State::Stuck { why },
                false => State::Underway,
            });
        }
        if self.others.iter().any(is_rescue) {
            self.raise(State::Underway);
        }
        // Rows under it cannot be opened until then.
        if let Some((own, next)) = old.as_ref().filter(|(own, _)| own.state == KeyState::Retired)
            && let Some(Verdict::Blocked(all)) = &own.verdict
            && all.iter().any(needs_key)
            && !is_dotenv
        {
            let why = format!("`{}` has expired, and rows may need it: {}", own.kid, next.what);
            self.raise(State::Stuck { why });
        }
        if let Some((_, next)) = old
            && !matches!(self.state, State::Due | State::Overdue { .. })
        {
            self.next = next;
            return;
        }
        let against = disagreement(reports, manifest.fingerprint(), policy, changed_at, now);
        if let Some(obstacle) = against.first() {
            self.raise(State::Underway);
            let ends = disagreement_ends(reports, manifest.fingerprint(), policy, changed_at, now);
            let what =
                format!("wait until every instance has reloaded: {obstacle}{}", if_gone(ends));
            let command = Some(format!("dualkey status {name}"));
            self.next = Next { what, command, at: None };
            return;
        }
        self.next = match self.due {
            Some(at) => Next {
                what: "the next rotation".to_owned(),
                command: Some(item.command(&format!("rotate {name}"))),
                at: Some(at),
            },
            None => Next { what: "nothing".to_owned(), command: None, at: None },
        };
    }

    /// The old keys of this secret. What names another database belongs to something else, and is not
    /// retired without its kid.
    fn old_keys(&self, item: &Item, manifest: &Manifest, now: SystemTime) -> Vec<Other> {
        let apart = kids_apart(item, manifest, now);
        let is_own = |own: &&Other| !apart.contains(&own.kid);
        self.others.iter().filter(is_own).cloned().collect()
    }

    /// The first fallback, with its end and the verdict on it.
    fn fallback(
        &self,
        item: &Item,
        manifest: &Manifest,
        now: SystemTime,
    ) -> Option<(Kid, Option<SystemTime>, Option<Verdict>)> {
        let old = self.old_keys(item, manifest, now);
        let is_fallback = |own: &Other| own.state == KeyState::Active(Role::Fallback);
        let own = old.into_iter().find(is_fallback).filter(|_| item.purpose != Purpose::Audit)?;
        Some((own.kid, own.ends_at, own.verdict))
    }

    /// The step of the old keys that is accepted first.
    fn next_of_old_keys(
        &self,
        item: &Item,
        manifest: &Manifest,
        reports: &[Report],
        now: SystemTime,
    ) -> Option<(Other, Next)> {
        let steps = self.old_keys(item, manifest, now).into_iter().filter_map(|own| {
            let is_kept =
                item.purpose == Purpose::Audit && own.state == KeyState::Active(Role::Fallback);
            let next = match is_kept {
                true => None,
                false => next_of(&own, item, manifest, reports, now),
            }?;
            Some((own, next))
        });
        // A step that can be taken comes before a wait; of two with one moment, the older key.
        let is_wait = |next: &Next| next.command.as_ref().is_some_and(|own| is_status(own));
        // Rows that nothing opens come before a key that nothing needs.
        steps.min_by_key(|(own, next)| (is_wait(next), next.at, !is_rescue(own)))
    }

    /// A warning that the verdict on a fallback will find too little traffic, with the setting: known
    /// before the overlap is over.
    pub(super) fn expected_traffic(
        &self,
        item: &Item,
        manifest: &Manifest,
        reports: &[Report],
        now: SystemTime,
    ) -> Option<String> {
        // Instances that read a `.env` file report nothing.
        if let Place::Dotenv(_) = item.store {
            return None;
        }
        let (kid, ends_at, _) = self.fallback(item, manifest, now)?;
        let expected = manifest.expected_obstacle(&kid, reports, now).ok()??;
        let Obstacle::TooLittleTraffic { seen, enough, from } = expected else { return None };
        let window = length(manifest.policy().observation);
        let ends = ends_at.map_or_else(String::new, |ends| {
            format!("; the key expires at {} all the same", NotBefore(ends))
        });
        let name = &self.name;
        let Some(from) = from else {
            return Some(format!(
                "the primary verified nothing within {window}, and the verdict on `{kid}` needs {enough} \
                 verifications (`enough_traffic`): that the key is unused says nothing until there are \
                 some{ends}"
            ));
        };
        // Half of them, so that a quiet day does not matter.
        let line = (seen / 2).max(1);
        Some(format!(
            "about {seen} verifications per {window}, and the verdict on `{kid}` needs {enough}: without \
             them the key must stay unused for {SILENT_WINDOWS} times as long, until {} at the \
             earliest{ends}; to need fewer, write `enough_traffic = {line}` for {name} in the inventory, \
             then run `dualkey policy {name}`",
            NotBefore(from)
        ))
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

/// A length of time, in the largest unit that it is a multiple of.
fn length(time: Duration) -> String {
    let seconds = time.as_secs();
    let units = [(86_400, "d"), (3_600, "h"), (60, "m")];
    match units.into_iter().find(|(unit, _)| seconds > 0 && seconds.is_multiple_of(*unit)) {
        Some((unit, name)) => format!("{}{name}", seconds / unit),
        None => format!("{seconds}s"),
    }
}
