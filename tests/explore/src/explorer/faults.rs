//! Faults that are planted in the source, each of which the exploration must find.
//!
//! A fault replaces a text that its file has once. The library is built with it in a copy, and the
//! exploration of the copy must report the property that the fault breaks.

use super::property::Property;

/// A fault in a file of the library.
pub struct Fault {
    pub name: &'static str,
    /// The file, from the root of the repository.
    pub file: &'static str,
    pub find: &'static str,
    pub replace: &'static str,
    /// The property that the exploration reports.
    pub breaks: Property,
}

/// Every fault, by the layer that it is in.
pub const FAULTS: &[Fault] = &[
    // The lifecycle.
    Fault {
        name: "the skew counts once in an overlap",
        file: "src/lifecycle/policy.rs",
        find: "self.max_lifetime.saturating_add(window).saturating_add(self.skew)",
        replace: "self.max_lifetime.saturating_add(window)",
        breaks: Property::P4,
    },
    Fault {
        name: "a superseded key ends without its overlap",
        file: "src/lifecycle/timeline.rs",
        find: "overlap_end(lives, index, terms.policy.overlap())",
        replace: "overlap_end(lives, index, Duration::ZERO)",
        breaks: Property::P1,
    },
    Fault {
        name: "a key that ends soon may sign again",
        file: "src/lifecycle/transitions.rs",
        find: "(Some(expires), Some(needed)) if expires < needed => {",
        replace: "(Some(expires), Some(needed)) if expires < needed && false => {",
        breaks: Property::P1,
    },
    Fault {
        name: "a withdrawn key ends at once, however near its start",
        file: "src/lifecycle/transitions.rs",
        find: "life.start().is_some_and(|(from, _)| is_close(from));",
        replace: "life.start().is_some_and(|(from, _)| is_close(from) && false);",
        breaks: Property::P1,
    },
    Fault {
        name: "a shorter policy applies to what was signed before",
        file: "src/lifecycle/transitions.rs",
        find: "            if is_shorter && may_sign {",
        replace: "            if is_shorter && !may_sign {",
        breaks: Property::P1,
    },
    Fault {
        name: "a step does not record the ends that are past",
        file: "src/lifecycle/transitions.rs",
        find: "            life.retire_at = Some(end);\n        }\n        life.earlier_end =",
        replace: "            let _ = end;\n        }\n        life.earlier_end =",
        breaks: Property::P5,
    },
    Fault {
        name: "a revoked key can be restaged",
        file: "src/lifecycle/transitions.rs",
        find: "            Life { revoked: Some(_), .. } => Err(Error::Revoked { kid: *kid }),\n",
        replace: "",
        breaks: Property::P5,
    },
    Fault {
        name: "a revoked key stays live",
        file: "src/lifecycle/life.rs",
        find: "self.revoked.is_none() && self.destroyed_at.is_none()",
        replace: "self.destroyed_at.is_none()",
        breaks: Property::P2,
    },
    Fault {
        name: "two keys sign at once",
        file: "src/lifecycle/timeline.rs",
        find: "_ if place == 0 && lives[index].past_start(now).is_some() => Role::Primary,",
        replace: "_ if place <= 1 && lives[index].past_start(now).is_some() => Role::Primary,",
        breaks: Property::P3,
    },
    Fault {
        name: "a superseded key never ends",
        file: "src/lifecycle/timeline.rs",
        find: "    [superseded, lives[index].retire_at].into_iter().flatten().min()",
        replace: "    [superseded, lives[index].retire_at].into_iter().flatten().min().filter(|_| false)",
        breaks: Property::P8,
    },
    Fault {
        name: "an emergency is reported without its effect",
        file: "src/lifecycle/transitions.rs",
        find: "            compromised_accepted: (0..self.recorded.len())\n                .any(|index| is_revoked_now(index) && was_live(index)),",
        replace: "            compromised_accepted: (0..self.recorded.len())\n                .all(|index| is_revoked_now(index) && was_live(index)),",
        breaks: Property::P2,
    },
    Fault {
        name: "every step declares that instances reject the new primary",
        file: "src/lifecycle/transitions.rs",
        find: "new_rejected: is_new.is_some_and(may_reject),",
        replace: "new_rejected: is_new.is_some_and(may_reject) || true,",
        breaks: Property::P1,
    },
    Fault {
        name: "a key may start to sign without the skew",
        file: "src/manifest/steps.rs",
        find: "dated.checked_add(self.terms().window(dated))",
        replace: "dated.checked_add(self.terms().window(dated) - self.terms().policy.skew)",
        breaks: Property::P1,
    },
    Fault {
        name: "a shorter rollout window applies at once",
        file: "src/lifecycle/terms.rs",
        find: "self.earlier_window.filter(|window| now < window.until).map(|window| window.length);",
        replace: "self.earlier_window.filter(|window| now > window.until).map(|window| window.length);",
        breaks: Property::R2,
    },
    Fault {
        name: "the end before a step is forgotten",
        file: "src/lifecycle/transitions.rs",
        find: "let earlier = life.earlier_end.map(|earlier| earlier.at);",
        replace: "let earlier = life.earlier_end.map(|earlier| earlier.at).filter(|_| false);",
        breaks: Property::P1,
    },
    Fault {
        name: "a step records the ends that lie ahead",
        file: "src/lifecycle/transitions.rs",
        find: "timeline.verifies_until(index).filter(has_come)",
        replace: "timeline.verifies_until(index)",
        breaks: Property::P1,
    },
    // The evidence and the verdict.
    Fault {
        name: "contradicting reports count as agreement",
        file: "src/evidence/reports.rs",
        find: "        None if report.fingerprint == expected => None,\n        None => Some(",
        replace: "        None if report.fingerprint == expected || true => None,\n        None => Some(",
        breaks: Property::P1,
    },
    Fault {
        name: "the verdict does not wait for the overlap",
        file: "src/evidence/retirement.rs",
        find: "    let dead = began.checked_add(policy.overlap())?;",
        replace: "    let dead = began.checked_add(policy.max_lifetime)?;",
        breaks: Property::P4,
    },
    Fault {
        name: "the verdict forgets a longer policy",
        file: "src/evidence/retirement.rs",
        find: "life.kept_until.map_or(until, |kept| until.max(kept))",
        replace: "life.kept_until.map_or(until, |_| until)",
        breaks: Property::P4,
    },
    Fault {
        name: "a rewrap counts that ended after the rollout and started before",
        file: "src/evidence/retirement.rs",
        find: "&& rewrap.started_at < not_before",
        replace: "&& rewrap.finished_at < not_before",
        breaks: Property::R2,
    },
    Fault {
        name: "a rewrap counts without the skew",
        file: "src/evidence/retirement.rs",
        find: "superseded_since(lives, index, now).checked_add(policy.window())?",
        replace: "superseded_since(lives, index, now).checked_add(policy.rollout_window)?",
        breaks: Property::R2,
    },
    Fault {
        name: "a rewrap counts within the window of an earlier policy",
        file: "src/evidence/retirement.rs",
        find: "lives[index].kept_until.map_or(held, |kept| held.max(kept))",
        replace: "lives[index].kept_until.map_or(held, |_| held)",
        breaks: Property::R2,
    },
    Fault {
        name: "a rewrap counts that left rows",
        file: "src/evidence/retirement.rs",
        find: "if rows > 0 {",
        replace: "if rows > 1_000_000 {",
        breaks: Property::R2,
    },
    Fault {
        name: "a rewrap counts that could not open rows",
        file: "src/evidence/retirement.rs",
        find: "if rewrap.unreadable > 0 {",
        replace: "if rewrap.unreadable > 1_000_000 {",
        breaks: Property::R2,
    },
    Fault {
        name: "nothing under a revoked encryption key is needed",
        file: "src/evidence/retirement.rs",
        find: "!matches!(purpose, Purpose::Envelope | Purpose::Audit)",
        replace: "!matches!(purpose, Purpose::Audit)",
        breaks: Property::R2,
    },
    Fault {
        name: "an encryption key is destroyed without a verdict",
        file: "src/manifest/steps.rs",
        find: "if !self.purpose.has_expiry_by_time() {",
        replace: "if self.purpose.has_expiry_by_time() {",
        breaks: Property::R3,
    },
    Fault {
        name: "a key is retired without a verdict",
        file: "src/manifest/steps.rs",
        find: "self.retirement(kid, reports, dated)?.check_unblocked(kid)?",
        replace: "None",
        breaks: Property::R1,
    },
    // The ring and its store.
    Fault {
        name: "a reload forgets what the ring revoked",
        file: "src/manifest/apply.rs",
        find: "let keys = keep_revocations(keys.clone(), set, manifest);",
        replace: "let keys = keep_revocations(keys.clone(), set, manifest)\n            .into_iter()\n            .filter_map(|key| keys.iter().find(|new| new.kid() == key.kid()).cloned())\n            .collect();",
        breaks: Property::P5,
    },
    Fault {
        name: "a refused manifest delivers no revocation",
        file: "src/manifest/apply.rs",
        find: "        if is_future && ring.load().revision() < self.revision() {\n            ring.revoke_all(revocations(self));",
        replace: "        if is_future && ring.load().revision() < self.revision() {",
        breaks: Property::P2,
    },
    Fault {
        name: "an older manifest is applied",
        file: "src/ring/key_set.rs",
        find: "Ordering::Less => Err(Error::Older { held, found: other.revision }),",
        replace: "Ordering::Less => Ok(false),",
        breaks: Property::P6,
    },
    Fault {
        name: "an instance evaluates a manifest before its last change",
        file: "src/ring/key_set.rs",
        find: "    Timeline::new(lives, now.max(changed_at), terms, ring)\n",
        replace: "    Timeline::new(lives, now, terms, ring)\n",
        breaks: Property::P3,
    },
    Fault {
        name: "`max_staleness` has no effect",
        file: "src/ring/key_set.rs",
        find: "            Some(end) if now >= end => &NOTHING,",
        replace: "            Some(end) if now >= end && false => &NOTHING,",
        breaks: Property::P2,
    },
    // Following.
    Fault {
        name: "a reload is not reported",
        file: "src/source/follow/poller.rs",
        find: "self.report(&turn, *applied.as_ref().unwrap_or(&false));",
        replace: "self.report(&turn, false);",
        breaks: Property::P4,
    },
    Fault {
        name: "a ring that follows a store takes steps",
        file: "src/ring/store_updates.rs",
        find: "self.inner.is_followed.store(true, Relaxed);",
        replace: "self.inner.is_followed.store(false, Relaxed);",
        breaks: Property::P6,
    },
    Fault {
        name: "a step is stored whatever the store holds",
        file: "src/source/store.rs",
        find: "            store.compare_and_swap(current.revision(), &change.manifest).await?;",
        replace: "            let found = store.load().await?.revision();\n            let _ = store.compare_and_swap(found, &change.manifest).await;",
        breaks: Property::P7,
    },
];
