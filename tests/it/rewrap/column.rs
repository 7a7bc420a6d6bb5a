//! `Sealed<T>`, as `sqlx` reads and writes it.

use dualkey::Reason;
use dualkey::envelope::{Sealed, Sealer};
use dualkey::rewrap::RewrapJob;
use sqlx::Row;

use crate::support::database::Base;
use crate::support::postgres::runtime;
use crate::support::{aes_key, aes_ring};

#[test]
fn a_sealed_column_is_ciphertext_to_the_database() {
    runtime().block_on(async {
        for base in Base::all().await {
            let ring = aes_ring([aes_key(1, "old")]);
            let sealer = Sealer::new(ring.clone());
            let bytes = base.bytes();
            base.sql(format!(
                "CREATE TABLE notes (id bigint PRIMARY KEY, body text, file {bytes})"
            ))
            .await;
            let body = Sealed::seal(&sealer, &"a note".to_owned(), "notes/7/body").unwrap();
            let file = Sealed::seal_bytes(&sealer, &vec![0_u8, 255, 7], "notes/7/file").unwrap();
            let insert = "INSERT INTO notes VALUES ($1, $2, $3)";
            let select = "SELECT body, file FROM notes WHERE id = $1 AND body = $2";
            let update = "UPDATE notes SET body = $1 WHERE id = $2";
            type Found = (Sealed<String>, Option<Sealed<Vec<u8>>>);
            let (none, second) = (None::<Sealed<Vec<u8>>>, Sealed::<String>::from_stored_text(""));
            // Once for each database: the types differ.
            macro_rules! round {
                ($pool:expr) => {{
                    let write = sqlx::query(insert).bind(7_i64).bind(&body).bind(&file);
                    write.execute($pool).await.unwrap();
                    let write = sqlx::query(insert).bind(8_i64).bind(&second).bind(none);
                    write.execute($pool).await.unwrap();
                    let row = sqlx::query(select).bind(7_i64).bind(&body).fetch_one($pool).await;
                    let row = row.unwrap();
                    let first: Found = (row.get(0), row.get(1));
                    let empty: Found =
                        sqlx::query_as(select).bind(8_i64).bind("").fetch_one($pool).await.unwrap();
                    (first, empty)
                }};
            }
            let (first, empty) = match &base {
                Base::Sqlite { pool, .. } => round!(pool),
                Base::Postgres { pool, .. } => round!(pool),
            };
            let (found, found_file) = (first.0, first.1.unwrap());
            assert_eq!((&found, &found_file), (&body, &file), "{}", base.name());
            assert_eq!(empty.1, None);
            assert!(empty.0.open(&sealer, "").is_err());
            assert_eq!(**found.open(&sealer, "notes/7/body").unwrap(), *"a note");
            assert_eq!(**found_file.open(&sealer, "notes/7/file").unwrap(), [0, 255, 7]);

            // New writes are under the primary from the moment of promotion, old ones are read.
            let new = ring.stage(aes_key(2, "new")).unwrap();
            ring.promote(&new).unwrap();
            assert!(found.open(&sealer, "notes/7/body").unwrap().needs_resign());
            let again = Sealed::seal(&sealer, &"another".to_owned(), "notes/7/body").unwrap();
            assert_eq!((found.kid(), again.kid()), (Some("old".parse().unwrap()), Some(new)));
            match &base {
                Base::Sqlite { pool, .. } => {
                    sqlx::query(update).bind(&again).bind(7_i64).execute(pool).await.map(drop)
                }
                Base::Postgres { pool, .. } => {
                    sqlx::query(update).bind(&again).bind(7_i64).execute(pool).await.map(drop)
                }
            }
            .unwrap();
            let notes = base.table("notes", &["body", "file"]).await.unwrap();
            let context = |key: &_, column: &str| format!("notes/{key}/{column}");
            let rewrapped = RewrapJob::new(&sealer, notes, context).execute().run().await;
            let counts = rewrapped.unwrap().counts;
            assert_eq!((counts.rewritten, counts.current, counts.empty), (1, 1, 2));
        }
    });
}

#[test]
fn what_opens_and_is_of_another_type_says_so() {
    let sealer = Sealer::new(aes_ring([aes_key(1, "k")]));
    let bytes = Sealed::seal_bytes(&sealer, &vec![0xff_u8], "c").unwrap();
    let text = Sealed::<String>::from_stored_bytes(bytes.as_bytes());
    let error = text.open(&sealer, "c").unwrap_err();
    assert_eq!((error.reason(), error.is_authentic()), (Reason::Payload, true));
    assert_eq!(text.open(&sealer, "d").unwrap_err().reason(), Reason::Signature);
    let shown = format!("{text:?} {bytes:?}");
    assert!(shown.contains("\"k\"") || shown.contains("Kid(k)") || shown.contains("k"), "{shown}");
    assert!(!shown.contains("255"), "{shown}");
}
