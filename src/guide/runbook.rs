//! What to do when: the quarterly rotation, the emergency, and the move from `.env` pairs.
//!
//! The examples are one story, over files; with [`PostgresStore`](crate::source::PostgresStore)
//! or a client of yours the steps are the same. `now` is `SystemTime::now()` wherever you are:
//! here it is turned by hand.
//!
//! # Once: what every instance runs
//! Each ring follows its store, under the name of the instance, so that its reports show the
//! operator what it holds and what it saw.
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use dualkey::KeyRing;
//! use dualkey::cookie::{CookieKey, CookieSigner};
//! use dualkey::source::FileStore;
//! use std::time::Duration;
//!
//! let following = KeyRing::<CookieKey>::builder()
//!     .name("SESSION_SECRET")
//!     .environment("production")
//!     // An instance that is cut off serves what it holds for so long, and no longer.
//!     .max_staleness(Duration::from_secs(30 * 60))
//!     .follow(FileStore::new("/etc/app/session.json"))
//!     .instance(std::env::var("HOSTNAME")?)
//!     .spawn_thread()?;
//! let signer = CookieSigner::new(following.ring().clone());
//! // ... serve, and when the service has stopped:
//! following.stop()?;
//! # Ok(())
//! # }
//! ```
//!
//! What to watch: [`FollowHandle::health`](crate::source::FollowHandle::health), and the events
//! `Reloaded` and `ReloadFailed`. A failed reload changes nothing, and is no emergency: the
//! last good ring serves.
//!
//! # The move from `.env` pairs
//! What is in `SESSION_SECRET` and `SESSION_SECRET_OLD` becomes the first manifest. The
//! kids stay what they were, because they are derived from the secrets; so instances that
//! still read the variables and those that follow the file understand each other while you
//! deploy. Say in the [`Policy`](crate::Policy) how long what you sign lives.
//!
//! ```
//! # use dualkey::{KeyRing, Role, KeyState, Secret, Clock, ManualClock};
//! # use dualkey::cookie::{CookieKey, CookieSigner};
//! use dualkey::manifest::Manifest;
//! use dualkey::source::{FileStore, KeyStore};
//! use dualkey::{Policy, Purpose};
//! use std::time::{Duration, SystemTime};
//!
//! # let (session_secret, session_secret_old) = (
//! #     "kH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eUkH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eU",
//! #     "Nf0Vg6Jc3Ds8Pw1Ra4Tb7Yx2Zq9Ml5KiNf0Vg6Jc3Ds8Pw1Ra4Tb7Yx2Zq9Ml5Ki");
//! # let folder = tempfile::tempdir().unwrap();
//! # let path = folder.path().join("session.json");
//! # let now = SystemTime::now();
//! let mut policy = Policy::default();
//! policy.max_lifetime = Duration::from_secs(14 * 86_400); // of a session
//!
//! let manifest = Manifest::new(
//!     "SESSION_SECRET", Purpose::Cookie, "production", policy, Secret::from(session_secret), now,
//! )?
//! .with_fallback(Secret::from(session_secret_old), now)?;
//! let store = FileStore::new(&path);
//! # pollster::block_on(async {
//! store.compare_and_swap(0, &manifest).await?;
//! # Ok::<(), dualkey::source::StoreError>(()) })?;
//!
//! // The same keys, under the same names, as from the environment.
//! # let vars = |name: &str| Ok(match name {
//! #     "SESSION_SECRET" => Some(session_secret.to_owned()),
//! #     "SESSION_SECRET_OLD" => Some(session_secret_old.to_owned()),
//! #     _ => None,
//! # });
//! let from_env = KeyRing::<CookieKey>::builder().vars("SESSION_SECRET", vars).build()?;
//! let from_file =
//!     manifest.build_ring(KeyRing::<CookieKey>::builder().environment("production"))?;
//! assert_eq!(from_env.primary(), from_file.primary());
//! # Ok::<(), dualkey::source::StoreError>(())
//! ```
//!
//! `SESSION_SECRET_OLD` verifies until it is retired. The time at which it was superseded
//! is not known, so the verdict waits for a whole overlap. Once every instance follows the file, take
//! the variables away. A secret shorter than the purpose asks for comes in only as a fallback,
//! on rings that [say so](crate::RingBuilder::allow_short_fallbacks); rotate it first.
//!
//! # The quarterly rotation
//! Four steps, of which none restarts anything, and each is refused when it would lose
//! something.
//!
//! ```
//! # use dualkey::{Clock, KeyRing, ManualClock, Policy, Secret, Verdict};
//! # use dualkey::cookie::{CookieKey, CookieSigner};
//! # use dualkey::manifest::Manifest;
//! # use dualkey::source::{FileStore, KeyStore, StoreError};
//! # use std::time::{Duration, SystemTime};
//! use dualkey::manifest::NewEntry;
//! use dualkey::source::update;
//! use dualkey::Purpose;
//!
//! # let folder = tempfile::tempdir().unwrap();
//! # let path = folder.path().join("session.json");
//! # let clock = ManualClock::new(SystemTime::now());
//! # let store = FileStore::new(&path);
//! # let first = NewEntry::generate(Purpose::Cookie)?;
//! # let manifest = Manifest::new(
//! #     "SESSION_SECRET", Purpose::Cookie, "production", Policy::default(), first, clock.now())?;
//! # pollster::block_on(store.compare_and_swap(0, &manifest))?;
//! # let old = manifest.primary(clock.now());
//! # let following = KeyRing::<CookieKey>::builder()
//! #     .name("SESSION_SECRET").environment("production").clock(clock.clone())
//! #     .follow(FileStore::new(&path)).instance("pod-1").on_demand()?;
//! # let signer = CookieSigner::new(following.ring().clone());
//! # let value = signer.sign("session", "user-42")?;
//! # pollster::block_on(async {
//! // 1. Stage. The key verifies on every instance that has reloaded, and signs on none.
//! let new = NewEntry::generate(Purpose::Cookie)?;
//! let staged = update(&store, |manifest| manifest.stage(new.clone(), clock.now())).await?;
//!
//! // 2. Promote. Refused, with their names, while instances do not hold the key.
//! let kid = staged.kid;
//! let reports = store.reports().await?;
//! assert!(update(&store, |manifest| manifest.promote(&kid, &reports, clock.now())).await.is_err());
//! following.refresh()?; // which each instance does automatically
//! let reports = store.reports().await?;
//! let promoted = update(&store, |manifest| manifest.promote(&kid, &reports, clock.now())).await?;
//! # following.refresh()?;
//! # assert_eq!(following.ring().primary(), Some(kid));
//!
//! // 3. Wait. What the old key signed is valid until its overlap is over.
//! assert!(signer.verify("session", &value).is_ok());
//! println!("come back at {:?}", promoted.verifies_until);
//! # let start = clock.now();
//! # clock.advance(Duration::from_secs(6 * 86_400 + 3600));
//! # let value = signer.sign("session", "user-43")?;
//! # while clock.now() < promoted.verifies_until.unwrap() + Duration::from_secs(60) {
//! #     clock.advance(Duration::from_secs(240));
//! #     for _ in 0..4 { signer.verify("session", &value).expect("just signed"); }
//! #     following.refresh()?;
//! # }
//!
//! // 4. Ask whether it can be retired, and retire it. Its record stays, its secret does not.
//! let (manifest, reports) = (store.load().await?, store.reports().await?);
//! assert_eq!(manifest.retirement(&old, &reports, clock.now())?, Verdict::Safe);
//! update(&store, |manifest| manifest.retire(&old, &reports, clock.now())).await?;
//! update(&store, |manifest| manifest.destroy(&old, &reports, clock.now())).await?;
//! # Ok::<(), StoreError>(())
//! # })?;
//! # Ok::<(), StoreError>(())
//! ```
//!
//! - **To have it happen automatically**, stage with a
//!   [`signs_from`](crate::manifest::NewEntry::signs_from): every instance begins to sign at
//!   that moment. It must lie at least the rollout window and the skew ahead.
//! - **If step 2 continues to be refused**, an instance cannot read its store: its health says
//!   why. If no instance reports, and you know that all hold the key,
//!   [`assume_deployed`](crate::manifest::Manifest::assume_deployed) (`--assume-deployed`).
//!   [`Manifest::force`](crate::manifest::Manifest::force) overrides what an instance reports;
//!   that instance rejects what the others sign.
//! - **If something is wrong with the new key**,
//!   [`rollback`](crate::manifest::Manifest::rollback): the old one signs again, and what the
//!   new one signed stays valid. It is refused if the old key has expired, or expires before
//!   every instance holds the change: stage a new key then.
//! - **If an expired key is needed again**, because a client or a backup still has values under
//!   it, [`restage`](crate::manifest::Manifest::restage) it. No other step makes an expired key
//!   live.
//! - **If the verdict is `Blocked`**, it says with what: an old key that is still used after
//!   its overlap means that something lives longer than the policy says, or that another
//!   service signs with it. Find out before you force it.
//! - **An encryption key** asks for a rewrap of every table that it sealed values of, started once
//!   all instances have the new primary: `dualkey rewrap NAME --execute`, or the module `rewrap`,
//!   whose report you [`record`](crate::KeyRing::record_rewrap). One that starts before counts for
//!   nothing, and says from when one counts. A rewrap process must act on a step
//!   within the rollout window, like an instance. So the command follows its store. It fails if it
//!   cannot read the store for longer than the rollout window. A ring that you pass to the module
//!   `rewrap` must follow its store in the same way. Each rewrap opens every row, so a complete one
//!   replaces the overlap and the traffic; after it the key must be unused for one observation window. A use
//!   after it proves that it did not find everything, such as a table that it does not know: add that,
//!   and rewrap again.
//! - **If few values are verified**, [`expected_obstacle`](crate::KeyRing::expected_obstacle) and
//!   `dualkey status` say so on the first day. The verdict then waits until the key was unused for
//!   seven observation windows, or for less traffic if you set
//!   [`min_observed_verifications`](crate::Policy::min_observed_verifications).
//! - **The password of a database**: with two roles that take turns, set the password of the idle
//!   one, stage its URL, probe it, promote it; with one role, stage the new password everywhere,
//!   change it on the server, promote it. `credential::database` has both.
//! - **An API key that is replaced**: make the new one at the provider, where both are taken for a
//!   while, stage it and promote it; revoke the old one there once no instance shows it any more.
//!   `credential::api` continues with the next if that comes too early.
//! - **A webhook's secret**: Meta signs with the new one from the moment at which it is reset,
//!   so stage what the dashboard shows at once; deliveries in between come again.
//!
//! # The emergency
//! A key has leaked. It is revoked without an overlap: every user who was logged in under it
//! is logged out, which is intended.
//!
//! ```
//! # use dualkey::manifest::{Manifest, NewEntry};
//! # use dualkey::{Policy, Purpose};
//! # use std::time::SystemTime;
//! # let now = SystemTime::now();
//! # let first = NewEntry::generate(Purpose::Cookie)?;
//! # let manifest = Manifest::new(
//! #     "SESSION_SECRET", Purpose::Cookie, "production", Policy::default(), first, now)?;
//! # let leaked = manifest.primary(now);
//! let spare = NewEntry::generate(Purpose::Cookie)?;
//! let change = manifest.emergency_rotate(&leaked, "found in a public log", spare, now)?;
//! // If a key was staged for the rollout window and the skew, every instance holds it, and
//! // rejects nothing that it signs.
//! assert!(change.effect.new_rejected && change.effect.compromised_accepted);
//! println!("{}", change.effect);
//! # Ok::<(), dualkey::Error>(())
//! ```
//!
//! 1. If there is a minute, and no staged key: stage one, wait until the reports agree, and
//!    only then rotate. Nothing that is valid is refused then. If there is not, rotate now.
//! 2. Store it ([`update`](crate::source::update)). Instances that can reach the store refuse
//!    the leaked key within one poll, most of them at once; one that cannot, when it is older
//!    than its `max_staleness`. On an instance that you can reach by other means,
//!    [`KeyRing::revoke`](crate::KeyRing::revoke) holds at once, and no reload undoes it.
//! 3. If it was an encryption key, rescue the rows that are still under it: the
//!    [next chapter](#a-leaked-encryption-key).
//! 4. Rotate what the leaked key may have led to: a KEK that could be read is every secret that
//!    it sealed.
//!
//! No end, no report and no clock refuses an emergency. If the instances then hold no key that
//! can sign, they serve nothing until they have the new one: `Health::is_serving` is `false`.
//!
//! # A leaked encryption key
//! An attacker who has the key can read and forge every row that names it, and every copy of such
//! a row, such as a backup. A row that was rewrapped before has another data key, which the leaked
//! key never wrapped. So that row is safe, even from an attacker who has a backup of it.
//!
//! ```
//! # use dualkey::{KeyRing, Reason};
//! # use dualkey::envelope::{AesKey, Sealer};
//! # let (old, new) = ("9f2c4b7e1a6d8035c4e7f1920b3a5d6c8e7f90a1b2c3d4e5f60718293a4b5c6d",
//! #     "2b7e151628aed2a6abf7158809cf4f3c762e7160f38b4da56a784d9045190cfe");
//! # let ring = KeyRing::<AesKey>::builder().primary(AesKey::hex(old)?).build()?;
//! # let leaked = ring.primary().unwrap();
//! # let sealer = Sealer::new(ring.clone());
//! # let mut first = sealer.seal("the first note", "notes/1/body")?;
//! # let second = sealer.seal("the second note", "notes/2/body")?;
//! # let kid = ring.stage(AesKey::hex(new)?)?;
//! # ring.promote(&kid)?;
//! // Before the leak: the key was rotated, and the first of two rows was rewrapped.
//! assert!(sealer.rewrap(&mut first, "notes/1/body").expect("it opens"));
//!
//! // 1. Revoke the key. Of a primary: `emergency_rotate`, which also promotes another.
//! ring.revoke(&leaked, "found in a public log")?;
//! assert_eq!(*sealer.open(&first, "notes/1/body").expect("it is safe"), b"the first note");
//! let refused = sealer.open(&second, "notes/2/body").unwrap_err();
//! assert_eq!(refused.reason(), Reason::RevokedKey);
//!
//! // 2. Rescue the rows that are still under it.
//! let rescued = sealer.dangerous().open_revoked(&second, "notes/2/body").expect("still held");
//! let second = sealer.seal(&rescued, "notes/2/body")?;
//! assert_eq!(*sealer.open(&second, "notes/2/body").expect("rescued"), b"the second note");
//! # Ok::<(), dualkey::Error>(())
//! ```
//!
//! 1. **Revoke** it: `dualkey emergency-rotate NAME --reason WHY` if it is the primary, `dualkey revoke
//!    NAME --kid KID --reason WHY` otherwise. No instance opens a row under it from its next reload
//!    on.
//! 2. **Rescue** the rows that are still under it: `dualkey rewrap NAME --execute --open-revoked
//!    --reason WHY`, or [`open_revoked`](crate::envelope::Dangerous::open_revoked) on a sealer or
//!    a rewrap. The attacker may have written such a row: where that matters, compare it with a
//!    backup from before the leak first.
//! 3. **Destroy** the key once the verdict on it is `Safe`. Delete backups that hold rows under
//!    it, or treat them as readable by the attacker.
//!
//! A version of dualkey whose `rewrap` command has no `--renew-all` replaced only the wrap of a
//! row. If such a version rewrapped your rows, run `dualkey rewrap NAME --execute --renew-all`
//! once. Until then a row that it rewrapped is not safe from an attacker who has a key from before
//! and a backup of the row. Other rows do not need it.
//!
//! # A clock was wrong
//! A step that is dated by a wrong clock would end keys early or keep them long. So a step is
//! refused, with both times, if the clock disagrees with the last change or with the reports of
//! the instances ([`check_clock`](crate::manifest::Manifest::check_clock)); a revocation is not.
//! An instance does not take a manifest that lies ahead of its own clock by more than the skew,
//! but takes its revocations.
//!
//! - **The clock of an instance** was wrong: set it. The next reload corrects the roles.
//! - **A manifest was written with a clock that was ahead**: set the clock, then take
//!   [`repair_clock`](crate::manifest::Manifest::repair_clock) (`dualkey repair-clock NAME`).
//! - **An instance with a wrong clock has left a report from the future**, or no instance runs:
//!   [`trust_clock`](crate::manifest::Manifest::trust_clock) (`--trust-clock`).
//!
//! # What it rests on
//! That the skew of the clocks, the rollout window and the max lifetime are what the policy
//! says. `cargo run --release --example fleet -- --beyond` shows what breaks
//! first where they are not.
