//! Each row that is rewrapped gets a data key that no other key ever wrapped.

use std::sync::{Arc, Mutex};

use dualkey::envelope::Sealer;
use dualkey::rewrap::{Checkpoint, RewrapJob, RewrapJobError, RowKey};
use dualkey::{KeyRing, Kid, Reason};

use crate::support::database::Base;
use crate::support::leak::{data_key, forged, kek, reads, wrapped_only};
use crate::support::postgres::runtime;
use crate::support::{aes_key, aes_ring, base64url};

fn context(key: &RowKey, column: &str) -> String {
    format!("notes/{key}/{column}")
}

fn context_of(id: i64) -> String {
    format!("notes/{id}/body")
}

fn kid(name: &str) -> Kid {
    name.parse().unwrap()
}

fn decode(text: &str) -> Vec<u8> {
    base64url::decode(text.strip_prefix("dk1.").unwrap())
}

async fn bodies(base: &Base) -> Vec<(i64, String)> {
    let all = base.texts("notes", "body").await;
    all.into_iter().map(|(id, body)| (id, body.unwrap())).collect()
}

fn rotate(ring: &KeyRing<dualkey::envelope::AesKey>) {
    let new = ring.stage(aes_key(2, "new")).unwrap();
    ring.promote(&new).unwrap();
}

/// V8: the attacker has the old key and a backup of the table.
#[test]
fn rows_that_were_rewrapped_before_a_leak_are_safe_and_the_others_are_rescued() {
    runtime().block_on(async {
        for base in Base::all().await {
            let ring = aes_ring([aes_key(1, "old")]);
            let sealer = Sealer::new(ring.clone());
            let seal = |id| (id, sealer.seal_text(format!("note {id}"), context_of(id)).unwrap());
            base.notes((0..20).map(seal)).await;
            let late = sealer.seal_text("late", context_of(5)).unwrap();
            let backup = bodies(&base).await;
            rotate(&ring);
            let notes = base.table("notes", &["body"]).await.unwrap();
            let rewrap = RewrapJob::new(&sealer, notes, context).execute().batch(7);
            assert_eq!(rewrap.clone().run().await.unwrap().counts.rewritten, 20);
            // Written by an instance that had not reloaded yet, behind the rewrap.
            base.write(5, &late).await;
            ring.revoke(&kid("old"), "in a public log").unwrap();

            let rewrapped = rewrap.clone().run().await.unwrap();
            assert_eq!((rewrapped.counts.current, rewrapped.counts.unreadable), (19, 1));
            assert_eq!(rewrapped.unreadable[0].reason, Reason::RevokedKey);
            let rewrapped = rewrap.dangerous().open_revoked().run().await.unwrap();
            assert_eq!((rewrapped.counts.current, rewrapped.counts.rewritten), (19, 1));
            for ((id, today), (_, backup)) in bodies(&base).await.iter().zip(&backup) {
                let backup = if *id == 5 { &late } else { backup };
                let (today, dek) = (decode(today), data_key(&kek(1), &decode(backup)));
                let forged = sealer.open(forged(&today, &dek, &context_of(*id)), context_of(*id));
                assert_eq!(forged.unwrap_err().reason(), Reason::Signature, "{id}");
                assert!(!reads(&today, &dek, &context_of(*id)), "{id}");
                assert_eq!(sealer.open(&today, context_of(*id)).unwrap().kid(), kid("new"));
            }
        }
    });
}

#[test]
fn rows_of_a_rewrap_that_replaced_the_wrap_alone_are_renewed_by_name() {
    runtime().block_on(async {
        for base in Base::all().await {
            let old = Sealer::new(aes_ring([aes_key(1, "old")]));
            let ring = aes_ring([aes_key(2, "new"), aes_key(1, "old")]);
            let sealer = Sealer::new(ring.clone());
            let mut deks = Vec::new();
            let mut wrapped = |id| {
                let blob = old.seal(format!("note {id}"), context_of(id)).unwrap();
                deks.push(data_key(&kek(1), &blob));
                let blob = wrapped_only(&blob, 1, 2, "new");
                (id, format!("dk1.{}", base64url::encode(&blob)))
            };
            let mut rows: Vec<_> = (0..10).map(&mut wrapped).collect();
            rows[3].1 = "dk1.torn".to_owned();
            rows[4].1 = old.seal_text("note 4", context_of(4)).unwrap();
            base.notes(rows).await;
            let is_open_to_the_attacker = |stored: &str, id: i64| {
                let forged = forged(&decode(stored), &deks[id as usize], &context_of(id));
                sealer.open(forged, context_of(id)).is_ok()
            };
            let notes = base.table("notes", &["body"]).await.unwrap();
            let rewrap = RewrapJob::new(&sealer, notes, context).batch(3);
            // An ordinary one has no way to know: they are under the primary.
            let rewrapped = rewrap.clone().execute().run().await.unwrap();
            assert_eq!(
                (rewrapped.counts.rewritten, rewrapped.counts.current),
                (1, 8),
                "{}",
                base.name()
            );
            let before = bodies(&base).await;
            assert!(is_open_to_the_attacker(&before[0].1, 0));

            let renewal = rewrap.renew_all();
            let looked = renewal.clone().run().await.unwrap();
            assert_eq!((looked.counts.rewritten, looked.counts.unreadable), (9, 1));
            assert_eq!(bodies(&base).await, before);
            let renewed = renewal.execute().run().await.unwrap();
            assert_eq!((renewed.counts.rewritten, renewed.counts.current), (9, 0));
            assert_eq!(renewed.by_kid.get(&kid("new")), Some(&9));
            for ((id, after), (_, before)) in bodies(&base).await.iter().zip(&before) {
                assert_eq!(after == before, *id == 3, "{id}");
                if *id != 3 {
                    assert!(!is_open_to_the_attacker(after, *id), "{id}");
                    let opened = sealer.open(after, context_of(*id)).unwrap();
                    assert_eq!(opened.into_inner(), format!("note {id}").into_bytes());
                }
            }
        }
    });
}

/// A staged key may be the primary of an instance that is ahead, and rewrapped there.
#[test]
fn a_renewal_takes_rows_under_every_key() {
    runtime().block_on(async {
        let base = Base::sqlite().await;
        let ring = aes_ring([aes_key(2, "now"), aes_key(1, "old")]);
        ring.stage(aes_key(3, "next")).unwrap();
        let under = |seed, kid: &str| Sealer::new(aes_ring([aes_key(seed, kid)]));
        let sealers = [under(1, "old"), under(2, "now"), under(3, "next")];
        let rows = sealers.iter().zip(0..);
        base.notes(
            rows.map(|(sealer, id)| (id, sealer.seal_text("a note", context_of(id)).unwrap())),
        )
        .await;
        let sealer = Sealer::new(ring);
        let notes = base.table("notes", &["body"]).await.unwrap();
        let rewrap = RewrapJob::new(&sealer, notes, context).execute();
        let rewrapped = rewrap.clone().run().await.unwrap();
        assert_eq!((rewrapped.counts.rewritten, rewrapped.counts.current), (1, 2));
        let before = bodies(&base).await;
        let rewrapped = rewrap.renew_all().run().await.unwrap();
        assert_eq!(rewrapped.by_kid, [(kid("now"), 3)].into());
        for ((id, after), (_, before)) in bodies(&base).await.iter().zip(before) {
            assert_ne!(*after, before);
            assert_eq!(sealer.open(after, context_of(*id)).unwrap().kid(), kid("now"));
        }
    });
}

#[test]
fn a_renewal_that_was_killed_continues_and_is_mistaken_for_no_other() {
    runtime().block_on(async {
        for base in Base::all().await {
            let ring = aes_ring([aes_key(1, "old")]);
            let sealer = Sealer::new(ring.clone());
            base.notes(
                (0..100).map(|id| (id, sealer.seal_text("a note", context_of(id)).unwrap())),
            )
            .await;
            rotate(&ring);
            let notes = base.table("notes", &["body"]).await.unwrap();
            let rewrap = RewrapJob::new(&sealer, notes, context).batch(10).execute();
            let checkpoints = |rewrap: RewrapJob| async move {
                let all = Arc::new(Mutex::new(Vec::new()));
                let keep = Arc::clone(&all);
                rewrap
                    .on_progress(move |at| keep.lock().unwrap().push(at.checkpoint.clone()))
                    .run()
                    .await
                    .unwrap();
                let text = all.lock().unwrap()[3].to_json().unwrap();
                (Checkpoint::from_json(text.as_bytes()).unwrap(), text)
            };
            let (ordinary, _) = checkpoints(rewrap.clone()).await;
            let (renewal, text) = checkpoints(rewrap.clone().renew_all()).await;
            let before = bodies(&base).await;
            let rewrapped = rewrap.clone().renew_all().resume(renewal.clone()).run().await.unwrap();
            // Those before it are not renewed a second time.
            assert_eq!((rewrapped.counts.rows, rewrapped.counts.rewritten), (100, 100));
            for ((id, after), (_, before)) in bodies(&base).await.iter().zip(&before) {
                assert_eq!(after == before, *id < 40, "{}: {id}", base.name());
            }

            let before = bodies(&base).await;
            for other in [
                rewrap.clone().resume(renewal.clone()),
                rewrap.clone().renew_all().resume(ordinary.clone()),
            ] {
                let refused = other.run().await.unwrap_err();
                assert!(matches!(refused, RewrapJobError::Checkpoint { .. }), "{refused}");
                assert!(refused.to_string().contains("renews all rows"), "{refused}");
            }
            // Nor one of a version whose rewrap left data keys and payloads as they were.
            let former = text.replace("\"version\":2", "\"version\":1");
            let former = [former.replace("\"renews_all\":true", "\"opens_all\":true"), former];
            for former in former {
                assert_ne!(former, text);
                let refused = Checkpoint::from_json(former.as_bytes()).unwrap_err();
                assert!(matches!(refused, RewrapJobError::Checkpoint { .. }), "{refused}");
            }
            assert_eq!(bodies(&base).await, before);
        }
    });
}

/// The kid of the new key is longer, and so is each value.
#[test]
fn a_write_of_the_application_wins_whatever_the_lengths_are() {
    runtime().block_on(async {
        for base in Base::all().await {
            let ring = aes_ring([aes_key(1, "k")]);
            let sealer = Sealer::new(ring.clone());
            let seal = |id| sealer.seal_text(format!("note {id}"), context_of(id)).unwrap();
            base.notes((0..40).map(|id| (id, seal(id)))).await;
            let length = seal(0).len();
            let new = ring.stage(aes_key(2, "a-kid-that-is-longer")).unwrap();
            ring.promote(&new).unwrap();
            // The context is asked for between the read and the write of a row: in that moment
            // the application writes it, once, with more and with fewer bytes.
            let writes = Arc::new(Mutex::new(vec![
                (3, "x".repeat(300)),
                (4, String::new()),
                (9, "note 9 by the application".to_owned()),
            ]));
            let left = Arc::clone(&writes);
            let (base, handle) = (Arc::new(base), tokio::runtime::Handle::current());
            let (database, application) = (Arc::clone(&base), sealer.clone());
            let context = move |key: &RowKey, column: &str| {
                // Not held over the write, which needs a thread that others would wait for it on.
                let write = {
                    let mut writes = left.lock().unwrap();
                    let place = writes.iter().position(|(id, _)| key.to_string() == id.to_string());
                    place.map(|place| writes.swap_remove(place))
                };
                if let Some((id, text)) = write {
                    let body = application.seal_text(text, context_of(id)).unwrap();
                    tokio::task::block_in_place(|| handle.block_on(database.write(id, &body)));
                }
                format!("notes/{key}/{column}")
            };
            let notes = base.table("notes", &["body"]).await.unwrap();
            let rewrap = RewrapJob::new(&sealer, notes, context).execute().batch(8);
            let counts = rewrap.run().await.unwrap().counts;
            assert!(writes.lock().unwrap().is_empty());
            assert_eq!((counts.rewritten, counts.current, counts.changed_meanwhile), (37, 3, 3));
            for (id, body) in bodies(&base).await {
                let expected = match id {
                    3 => "x".repeat(300),
                    4 => String::new(),
                    9 => "note 9 by the application".to_owned(),
                    _ => {
                        assert!(body.len() > length, "{id}");
                        format!("note {id}")
                    }
                };
                let opened = sealer.open(body, context_of(id)).unwrap();
                assert_eq!((&opened[..], opened.kid()), (expected.as_bytes(), new), "{id}");
            }
        }
    });
}
