//! What comes next for a secret, and whether it is stuck.

use std::time::{Duration, SystemTime};

use super::{Next, Other, Standing, State};
use crate::kid::Kid;
use crate::manifest::{Entry, Manifest};
use crate::moment::NotBefore;
use crate::ops::address::kids_apart;
use crate::ops::adopt::{begin_command, in_use};
use crate::ops::inventory::{Item, Place, Project};
use crate::purpose::Purpose;
use crate::ring::old_key::{OldKey, OldKeyStep, is_of_rewrap, needs_key};
use crate::ring::report::{
    ClockProblem, clock_problem, disagreement, disagreement_ends, end_of, is_ahead, may_run, sweep,
};
use crate::ring::silence::SILENT_WINDOWS;
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
                    command: Some(format!("dualkey promote {name} --deployed{option}")),
                    at: None,
                },
                // Until then the promotion is refused.
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
                        "dualkey promote {name} --deployed{option}{}",
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

/// Whether rows may be under a key that opens none, or that was restaged to open them.
fn is_rescue(own: &Other) -> bool {
    let is_blocked = matches!(own.verdict, Some(Verdict::Blocked(_)));
    own.is_restaged || (own.state == KeyState::Revoked && is_blocked)
}

/// Whether a command only looks.
fn is_status(command: &str) -> bool {
    command.starts_with("dualkey status ")
}

/// When the instance of an obstacle counts as gone, if it reports no more.
fn gone_at(obstacle: &Obstacle, manifest: &Manifest) -> Option<SystemTime> {
    match obstacle {
        Obstacle::OtherKeys { reported_at, .. } => end_of(*reported_at, manifest.policy()),
        _ => None,
    }
}

/// The option for a step at `at` that no report confirms the clock of: only instances that are gone
/// have reported.
fn clock_option(
    manifest: &Manifest,
    reports: &[Report],
    at: Option<SystemTime>,
    now: SystemTime,
) -> &'static str {
    let (policy, changed_at) = (manifest.policy(), manifest.changed_at());
    let is_running = reports.iter().any(|own| may_run(own, policy, changed_at, now));
    let problem = clock_problem(reports, policy, at.map_or(now, |at| at.max(now)));
    match problem {
        Some(ClockProblem::Silent { .. }) if !is_running => " --trust-clock",
        _ => "",
    }
}

/// Until when an instance counts that is gone.
fn if_gone(ends: Option<SystemTime>) -> String {
    ends.map_or_else(String::new, |ends| {
        format!("; if it is gone, its report counts until {}", NotBefore(ends))
    })
}

/// The step of an old key, in words and as a command.
fn next_of(
    own: &Other,
    item: &Item,
    manifest: &Manifest,
    reports: &[Report],
    now: SystemTime,
) -> Option<Next> {
    let (name, kid) = (&item.name, own.kid);
    if let Place::Dotenv(_) = item.store {
        return next_in_file(own, item, manifest, now);
    }
    if own.is_restaged {
        return Some(next_of_restaged(own, item, manifest, reports, now));
    }
    let verdict = expected_verdict(own, manifest, reports, now);
    let old = OldKey {
        state: own.state,
        is_retired: own.is_retired,
        ends_at: own.ends_at,
        verdict: verdict.as_ref(),
        rewrap_from: manifest.rewrap_counts_from(&kid, now),
    };
    let step = old.next(manifest.purpose(), manifest.policy(), now)?;
    let at = step.from();
    let clock = clock_option(manifest, reports, at, now);
    let command = |step: &str| Some(format!("dualkey {step} {name} --kid {kid}{clock}"));
    let until_then = |because: Option<Obstacle>| match because.filter(|_| at.is_some()) {
        Some(obstacle) => format!("; until then: {obstacle}"),
        None => String::new(),
    };
    Some(match step {
        OldKeyStep::Retire { from: None, .. } => Next {
            what: "retire the old key: nothing needs it".to_owned(),
            command: command("retire"),
            at,
        },
        OldKeyStep::Retire { because, .. } => Next {
            what: format!("retire the old key{}", until_then(because)),
            command: command("retire"),
            at,
        },
        OldKeyStep::Destroy { because, .. } => {
            let what = match (own.state, own.ends_at) {
                (KeyState::Active(_), Some(ends)) => format!(
                    "the old key is retired and ends at {}; then destroy its secret{}",
                    NotBefore(ends),
                    until_then(because)
                ),
                _ => format!(
                    "destroy the secret of the old key, which has expired{}",
                    until_then(because)
                ),
            };
            Next { what, command: command("destroy"), at }
        }
        OldKeyStep::Rewrap { obstacle, .. } if own.state == KeyState::Revoked => Next {
            what: format!(
                "rescue what the revoked key has sealed, which nothing opens: {obstacle}"
            ),
            command: Some(format!(
                "dualkey rewrap {name} --execute --open-revoked --reason 'rows under a revoked key'"
            )),
            // Deliberately at once, although the first one may not count for the destruction.
            at: at.filter(|_| is_after_the_revocation(&obstacle, manifest)),
        },
        OldKeyStep::Rewrap { obstacle, .. } => rewrap(name, &obstacle, at),
        OldKeyStep::Restage { obstacle } => Next {
            what: format!(
                "restage the old key, which has expired, then rewrap what it has sealed: {obstacle}"
            ),
            command: command("restage"),
            at,
        },
        OldKeyStep::Wait { obstacle } if is_unobserved(&obstacle) => {
            by_force(own, item, manifest, reports, &obstacle, now)
        }
        OldKeyStep::Wait { obstacle } => Next {
            what: format!("keep the old key: {obstacle}{}", if_gone(gone_at(&obstacle, manifest))),
            command: Some(format!("dualkey status {name}")),
            at,
        },
    })
}

/// Whether the rewrap that started too early started after the key was revoked.
fn is_after_the_revocation(obstacle: &Obstacle, manifest: &Manifest) -> bool {
    let Obstacle::SweptTooEarly { started_at, not_before } = obstacle else { return false };
    let counts_from = started_at.checked_add(manifest.policy().window());
    counts_from.is_none_or(|from| from >= *not_before)
}

fn rewrap(name: &str, obstacle: &Obstacle, at: Option<SystemTime>) -> Next {
    let problem = match obstacle {
        Obstacle::NotSwept => String::new(),
        Obstacle::RowsUnreadable { .. } => {
            format!(": {obstacle}; correct or delete those that it lists first")
        }
        obstacle => format!(": {obstacle}"),
    };
    Next {
        what: format!("rewrap what the old key has sealed{problem}"),
        command: Some(format!("dualkey rewrap {name} --execute")),
        at,
    }
}

/// The verdict on an old key, with the traffic that is expected once its time is over: so that the moment
/// that is named is one at which the step is accepted.
fn expected_verdict(
    own: &Other,
    manifest: &Manifest,
    reports: &[Report],
    now: SystemTime,
) -> Option<Verdict> {
    let verdict = own.verdict.clone()?;
    let Verdict::Wait { until } = verdict else { return Some(verdict) };
    match manifest.expected_obstacle(&own.kid, reports, now) {
        Ok(Some(expected)) => Some(Verdict::Blocked(vec![expected, Obstacle::TooEarly { until }])),
        _ => Some(verdict),
    }
}

/// The step of a key that was restaged to read what is under it: a rewrap, then its withdrawal. It is not
/// to sign.
fn next_of_restaged(
    own: &Other,
    item: &Item,
    manifest: &Manifest,
    reports: &[Report],
    now: SystemTime,
) -> Next {
    let (name, kid) = (&item.name, own.kid);
    let withdrawal = Next {
        what: "withdraw the restaged key once nothing needs it".to_owned(),
        command: Some(format!(
            "dualkey retire {name} --kid {kid}{}",
            clock_option(manifest, reports, None, now)
        )),
        at: None,
    };
    if !item.purpose.needs_sweep() {
        return withdrawal;
    }
    let without = manifest.force("a question").retire(&kid, now).map(|own| own.manifest);
    let verdict = without.and_then(|own| own.retirement(&kid, reports, now));
    let obstacles = match verdict {
        Ok(Verdict::Blocked(obstacles)) => obstacles,
        _ => return withdrawal,
    };
    let from = manifest.rewrap_counts_from(&kid, now).filter(|from| now < *from);
    match obstacles.iter().find(|own| is_of_rewrap(own)) {
        // Without the option, what is under a staged key stays as it is.
        Some(obstacle) => Next {
            command: Some(format!("dualkey rewrap {name} --execute --renew-all")),
            ..rewrap(name, obstacle, from)
        },
        None => withdrawal,
    }
}

/// Whether nothing that is seen of the key says that it is unused, and no time changes that.
fn is_unobserved(obstacle: &Obstacle) -> bool {
    matches!(obstacle, Obstacle::NoInstance | Obstacle::TooLittleTraffic { from: None, .. })
}

/// The step of an old key of which nothing is seen: by force, once its time is over.
fn by_force(
    own: &Other,
    item: &Item,
    manifest: &Manifest,
    reports: &[Report],
    obstacle: &Obstacle,
    now: SystemTime,
) -> Next {
    let (name, kid, policy) = (&item.name, own.kid, manifest.policy());
    let (reason, from) = match item.purpose.needs_sweep() {
        true => {
            let finished = sweep(reports, policy, now).map(|own| own.finished_at);
            let from = finished.and_then(|own| own.checked_add(policy.observation));
            ("every row is rewrapped", from)
        }
        false => {
            let end = manifest.overlap_ends_at(&kid);
            let end = end.or_else(|| own.added_at.checked_add(policy.overlap()));
            ("its overlap is over", end)
        }
    };
    let (step, words) = match own.state {
        KeyState::Active(_) if !own.is_retired => ("retire", "retire the old key"),
        _ => ("destroy", "destroy the secret of the old key"),
    };
    // A live key is not destroyed.
    let end = own.ends_at.filter(|_| step == "destroy");
    let at = from.max(end).filter(|from| now < *from);
    let clock = clock_option(manifest, reports, at, now);
    Next {
        what: format!("{words} by force, if you know that nothing needs it: {obstacle}"),
        command: Some(format!(
            "dualkey {step} {name} --kid {kid} --force --reason '{reason}'{clock}"
        )),
        at,
    }
}

/// The step of an old key in a `.env` file: its readers report nothing and end no key, so that a
/// retirement takes the key out of the file, when its time is over.
fn next_in_file(own: &Other, item: &Item, manifest: &Manifest, now: SystemTime) -> Option<Next> {
    let (name, kid) = (&item.name, own.kid);
    let retire = format!("dualkey retire {name} --kid {kid}");
    let ahead = |moment: Option<SystemTime>| moment.filter(|moment| now < *moment);
    let is_by_force = own.ends_at.is_none();
    // Of a key of unknown past, from when it was first seen.
    let overlap_end = manifest.overlap_ends_at(&kid);
    let (what, command, at) = match own.state {
        KeyState::Retired => ("take the old key out of the file", retire, None),
        KeyState::Active(Role::Fallback) if !is_by_force => {
            ("take the old key out of the file", retire, ahead(own.ends_at))
        }
        KeyState::Active(Role::Fallback) if item.purpose.needs_sweep() => (
            "rewrap what the old key has sealed, then take the key out of the file: no instance \
             reports that it is unused",
            format!(
                "dualkey rewrap {name} --execute && {retire} --force --reason 'every row is rewrapped'"
            ),
            ahead(manifest.rewrap_counts_from(&kid, now)),
        ),
        KeyState::Active(Role::Fallback) => (
            "take the old key out of the file: no instance reports that it is unused",
            format!("{retire} --force --reason 'its overlap is over'"),
            ahead(overlap_end.or_else(|| own.added_at.checked_add(manifest.policy().overlap()))),
        ),
        _ => return None,
    };
    Some(Next { what: what.to_owned(), command: Some(command), at })
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
