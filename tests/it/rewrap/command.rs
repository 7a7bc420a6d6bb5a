//! `dualkey rewrap`, as an operator types it.

use dualkey::envelope::Sealer;
use dualkey::ops::inventory::Inventory;
use dualkey::source::{KeyStore, update};

use crate::support::database::Base;
use crate::support::notes::{context, rings, rotated};
use crate::support::postgres::runtime;
use crate::support::shell::Shell;

/// Runs it against `base`, by the system's clock.
fn run(shell: &mut Shell, base: &Base, line: &str) -> (i32, String) {
    let words: Vec<_> = line.split(' ').collect();
    let mut command = shell.command(&words);
    command.env_remove("DUALKEY_CLOCK").env("DATABASE_URL", base.url());
    let output = command.output().unwrap();
    shell.note(line, &output)
}

#[test]
fn a_rewrap_says_what_it_would_do_does_it_and_is_recorded() {
    runtime().block_on(async {
        for base in Base::all().await {
            let mut shell = Shell::new("2026-11-26T00:00:00Z");
            let (store, manifest) = rotated(&mut shell).await;
            let (ring, before) = rings(&manifest);
            let (sealer, before) = (Sealer::new(ring.clone()), Sealer::new(before));
            let note = |id| (id, before.seal_text(format!("note {id}"), context(id)).unwrap());
            base.notes((0..20).map(note)).await;
            let as_it_was = base.dump("notes", &["body"]).await;

            let (_, text) = run(&mut shell, &base, "status ENCRYPTION_KEY --json");
            assert!(text.contains("dualkey rewrap ENCRYPTION_KEY --execute"), "{text}");
            let (status, text) = run(&mut shell, &base, "rewrap ENCRYPTION_KEY");
            assert_eq!(status, 0, "{text}");
            assert!(text.contains("notes     20 rows: 20 rewritten, 0 current\n"), "{text}");
            assert!(text.contains("nothing was changed"), "{text}");
            assert_eq!(base.dump("notes", &["body"]).await, as_it_was);
            assert!(store.reports().await.unwrap().is_empty());

            let (status, text) = run(&mut shell, &base, "rewrap ENCRYPTION_KEY --execute");
            assert_eq!(status, 0, "{text}");
            assert!(
                text.contains(&format!("under     {}: 20\n", ring.primary().unwrap())),
                "{text}"
            );
            let reports = store.reports().await.unwrap();
            assert!(reports[0].has_stopped && reports[0].rewrap.is_some());
            let (_, text) = run(&mut shell, &base, "audit --secret ENCRYPTION_KEY");
            assert!(text.contains("REWRAPPED | ada@example.com | production | SUCCESS"), "{text}");
            assert!(text.contains("reason=notes: 20 rows, 20 rewritten"), "{text}");

            // Unreadable rows: each by its key, and an exit status.
            base.write(3, "dk1.torn").await;
            base.write(4, &sealer.seal_text("moved", context(5)).unwrap()).await;
            let lines = ["rewrap ENCRYPTION_KEY", "rewrap ENCRYPTION_KEY --execute --json"];
            for line in lines {
                let (status, text) = run(&mut shell, &base, line);
                assert_eq!(status, 3, "{text}");
                assert!(text.contains("unreadable: notes 3 body: malformed\n"), "{text}");
                assert!(text.contains("unreadable: notes 4 body: signature, under "), "{text}");
                assert_eq!(text.contains("\"reason\": \"signature\""), line == lines[1], "{text}");
            }
            let reports = store.reports().await.unwrap();
            let rewrap = reports[0].rewrap.as_ref().unwrap();
            assert_eq!(rewrap.unreadable, 2);
            // How much the keys have sealed adds up over the runs.
            let signed = &reports[0].signed;
            assert_eq!(
                signed.iter().find(|(kid, _)| *kid == ring.primary().unwrap()).unwrap().1,
                20
            );
        }
    });
}

#[test]
fn a_table_that_holds_nothing_sealed_is_named_and_lets_no_key_go() {
    runtime().block_on(async {
        for base in Base::all().await {
            let mut shell = Shell::new("2026-11-26T00:00:00Z");
            let (store, manifest) = rotated(&mut shell).await;
            base.notes([]).await;
            let (status, text) = run(&mut shell, &base, "rewrap ENCRYPTION_KEY --execute");
            assert_eq!(status, 3, "{text}");
            assert!(text.contains("problem   nothing is sealed in notes"), "{text}");
            assert!(text.contains("add `may_hold_nothing = true`"), "{text}");
            let reports = store.reports().await.unwrap();
            assert_eq!(reports[0].rewrap.as_ref().unwrap().nothing_sealed, 1);
            let (_, text) = run(&mut shell, &base, "audit --secret ENCRYPTION_KEY");
            assert!(text.contains("0 left, nothing sealed"), "{text}");
            let (_, text) = run(&mut shell, &base, "status ENCRYPTION_KEY");
            assert!(text.contains("dualkey rewrap ENCRYPTION_KEY --execute"), "{text}");
            let old = manifest.keys()[0].kid();
            let (status, text) =
                run(&mut shell, &base, &format!("retire ENCRYPTION_KEY --kid {old}"));
            assert_eq!(status, 1, "{text}");
            assert!(text.contains("nothing sealed in one table"), "{text}");

            let path = shell.path("dualkey.toml");
            let inventory = std::fs::read_to_string(&path).unwrap();
            let allowed = inventory.replace("table = ", "may_hold_nothing = true\ntable = ");
            assert_ne!(allowed, inventory);
            std::fs::write(&path, allowed).unwrap();
            let (status, text) = run(&mut shell, &base, "rewrap ENCRYPTION_KEY --execute");
            assert_eq!(status, 0, "{text}");
            assert!(!text.contains("nothing is sealed"), "{text}");
            let reports = store.reports().await.unwrap();
            assert_eq!(reports[0].rewrap.as_ref().unwrap().nothing_sealed, 0);
        }
    });
}

/// As every URL of Prisma has it.
#[test]
fn a_table_is_taken_from_the_schema_that_the_url_names() {
    runtime().block_on(async {
        let Some(base) = Base::postgres().await else { return };
        let mut shell = Shell::new("2026-11-26T00:00:00Z");
        let (store, manifest) = rotated(&mut shell).await;
        let (ring, before) = rings(&manifest);
        let (sealer, before) = (Sealer::new(ring), Sealer::new(before));
        // The same table, empty where the login looks first, and in a schema with an odd name.
        base.notes([]).await;
        let schema = format!("Ten ant\\\"{:x}", getrandom::u64().unwrap());
        let quoted = format!("\"{}\"", schema.replace('"', "\"\""));
        let body = before.seal_text("a note", context(1)).unwrap();
        base.sql(format!(
            "CREATE SCHEMA {quoted}; CREATE TABLE {quoted}.notes (LIKE notes INCLUDING ALL); \
             INSERT INTO {quoted}.notes (id, body) VALUES (1, '{body}')"
        ))
        .await;
        let encoded =
            percent_encoding::utf8_percent_encode(&schema, percent_encoding::NON_ALPHANUMERIC);
        let server = base.url().split('?').next().unwrap();
        let run = |shell: &mut Shell, url: String, line: &str| {
            let words: Vec<_> = line.split(' ').collect();
            let mut command = shell.command(&words);
            let output =
                command.env_remove("DUALKEY_CLOCK").env("DATABASE_URL", url).output().unwrap();
            shell.note(line, &output)
        };
        let line = "rewrap ENCRYPTION_KEY --execute";
        for (name, options) in
            [("schema", ""), ("options[search_path]", "\""), ("search_path", "\"")]
        {
            let value = match options {
                "" => encoded.to_string(),
                _ => percent_encoding::utf8_percent_encode(
                    &quoted,
                    percent_encoding::NON_ALPHANUMERIC,
                )
                .to_string(),
            };
            let (status, text) = run(&mut shell, format!("{server}?{name}={value}"), line);
            assert_eq!(status, 0, "{text}");
            assert!(text.contains("notes     1 rows: "), "{text}");
        }
        let rewrap = store.reports().await.unwrap()[0].rewrap.clone().unwrap();
        assert_eq!((rewrap.nothing_sealed, rewrap.rows.len()), (0, 1));
        let opened: String =
            sqlx::query_scalar(sqlx::AssertSqlSafe(format!("SELECT body FROM {quoted}.notes")))
                .fetch_one(&sqlx::PgPool::connect(base.url()).await.unwrap())
                .await
                .unwrap();
        assert_eq!(*sealer.open(opened, context(1)).unwrap(), b"a note");
        // One that is not there, and a parameter that would be ignored.
        let (status, text) = run(&mut shell, format!("{server}?schema=nowhere"), line);
        assert_eq!(status, 1, "{text}");
        assert!(text.contains("there is no table `\"nowhere\".notes`"), "{text}");
        let (status, text) = run(&mut shell, format!("{server}?currentschema=nowhere"), line);
        assert_eq!(status, 1, "{text}");
        assert!(text.contains("DATABASE_URL") && text.contains("`currentschema`"), "{text}");
        base.sql(format!("DROP SCHEMA {quoted} CASCADE")).await;
    });
}

#[test]
fn after_a_compromise_it_opens_by_name_with_a_reason_and_tells_before() {
    runtime().block_on(async {
        let base = Base::sqlite().await;
        let mut shell = Shell::new("2026-11-26T00:00:00Z");
        let (store, manifest) = rotated(&mut shell).await;
        let (ring, before) = rings(&manifest);
        let before = Sealer::new(before);
        let note = |id| (id, before.seal_text("a note", context(id)).unwrap());
        base.notes((0..3).map(note)).await;
        let old = manifest.keys()[0].kid();
        update(&store, |manifest| manifest.revoke(&old, "in a log", std::time::SystemTime::now()))
            .await
            .unwrap();
        let (status, text) = run(&mut shell, &base, "rewrap ENCRYPTION_KEY --execute");
        assert_eq!((status, text.matches("revoked_key").count()), (3, 3), "{text}");
        let (status, _) = run(&mut shell, &base, "rewrap ENCRYPTION_KEY --execute --open-revoked");
        assert_eq!(status, 2);
        let line = "rewrap ENCRYPTION_KEY --execute --open-revoked --reason leaked";
        let (status, text) = run(&mut shell, &base, line);
        assert_eq!(status, 0, "{text}");
        let sealer = Sealer::new(ring);
        for (id, body) in base.texts("notes", "body").await {
            assert_eq!(*sealer.open(body.unwrap(), context(id)).unwrap(), b"a note");
        }
        // To look is told as well.
        let line = "rewrap ENCRYPTION_KEY --open-revoked --reason curious";
        let (status, text) = run(&mut shell, &base, line);
        assert_eq!(status, 0, "{text}");
        assert!(text.contains("nothing was changed; the trail says"), "{text}");
        let next = "dualkey rewrap ENCRYPTION_KEY --execute --open-revoked --reason WHY";
        assert!(text.contains(next), "{text}");
        let (_, text) = run(&mut shell, &base, "audit --action opened-revoked");
        assert!(text.contains("reason=leaked") && text.contains("reason=curious"), "{text}");
    });
}

#[test]
fn all_rows_are_renewed_by_name_and_the_trail_says_so() {
    runtime().block_on(async {
        let base = Base::sqlite().await;
        let mut shell = Shell::new("2026-11-26T00:00:00Z");
        let (_, manifest) = rotated(&mut shell).await;
        let (ring, _) = rings(&manifest);
        let sealer = Sealer::new(ring);
        let note = |id| (id, sealer.seal_text("a note", context(id)).unwrap());
        base.notes((0..3).map(note)).await;
        let before = base.dump("notes", &["body"]).await;
        let (status, text) = run(&mut shell, &base, "rewrap ENCRYPTION_KEY --execute");
        assert!(status == 0 && text.contains("0 rewritten, 3 current"), "{text}");
        let (status, text) = run(&mut shell, &base, "rewrap ENCRYPTION_KEY --renew-all");
        assert!(status == 0 && text.contains("3 rewritten, 0 current"), "{text}");
        assert!(text.contains("dualkey rewrap ENCRYPTION_KEY --execute --renew-all\n"), "{text}");
        assert_eq!(base.dump("notes", &["body"]).await, before);

        let line = "rewrap ENCRYPTION_KEY --execute --renew-all --checkpoint renewal";
        let (status, text) = run(&mut shell, &base, line);
        assert!(status == 0 && text.contains("3 rewritten, 0 current"), "{text}");
        let after = base.dump("notes", &["body"]).await;
        assert!(before.iter().zip(&after).all(|(before, after)| before != after));
        for (id, body) in base.texts("notes", "body").await {
            assert_eq!(*sealer.open(body.unwrap(), context(id)).unwrap(), b"a note");
        }
        let (_, text) = run(&mut shell, &base, "audit --action rewrapped");
        assert!(text.contains("reason=notes: 3 rows, 0 rewritten"), "{text}");
        assert!(text.contains("reason=all rows renewed; notes: 3 rows, 3 rewritten"), "{text}");

        // Every rewrap opens all rows.
        let (status, text) = run(&mut shell, &base, "rewrap ENCRYPTION_KEY --verify");
        assert_eq!(status, 2, "{text}");
        assert!(text.contains("unexpected argument '--verify'"), "{text}");
    });
}

#[test]
fn what_is_missing_or_wrong_is_named() {
    runtime().block_on(async {
        let base = Base::sqlite().await;
        let mut shell = Shell::new("2026-11-26T00:00:00Z");
        let (store, _) = rotated(&mut shell).await;
        for (url, expected) in [
            ("mysql://app:s3cret@db/app", "cannot use the variable DATABASE_URL"),
            ("sqlite:/nowhere/notes.db", "the table `notes`"),
            ("postgres://app:s3cret@db:port/app", "cannot use the variable DATABASE_URL"),
            ("postgres://app:x@db/app?tenant=s3cret", "its parameter `tenant` is not known"),
            ("sqlite:notes.db?tenant=s3cret", "its parameter `tenant` is none of cache"),
            ("", "the variable DATABASE_URL is not set"),
        ] {
            let mut command = shell.command(&["rewrap", "ENCRYPTION_KEY", "--execute"]);
            let output = command.env("DATABASE_URL", url).output().unwrap();
            let text = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(1), "{text}");
            assert!(text.contains(expected) && !text.contains("s3cret"), "{text}");
        }
        let (status, text) = run(&mut shell, &base, "rewrap ENCRYPTION_KEY --execute");
        assert_eq!(status, 1);
        assert!(text.contains("there is no table `notes`"), "{text}");
        // Nothing was opened, so that nothing had to be told.
        assert!(store.reports().await.unwrap().is_empty());

        let inventory = std::fs::read_to_string(shell.path("dualkey.toml")).unwrap();
        let without = &inventory[..inventory.find("[[secret.data]]").unwrap()];
        std::fs::write(shell.path("dualkey.toml"), without).unwrap();
        let (status, text) = run(&mut shell, &base, "rewrap ENCRYPTION_KEY");
        assert_eq!(status, 1);
        assert!(text.contains("name every table with `[[secret.data]]`"), "{text}");

        for (change, expected) in [
            (("{column}", "{colum}"), "`{colum}` is none of {table}, {column}, {key}"),
            (("[\"body\"]", "[]"), "name the columns"),
            (("purpose = \"envelope\"", "purpose = \"jwt\""), "only a secret of the purpose"),
            (("columns", "layouts = [\"hex iv:tag\"]\ncolumns"), "did you mean `hex iv:ct:tag`"),
        ] {
            let text = inventory.replace(change.0, change.1);
            let error = Inventory::parse(&text, "dualkey.toml").unwrap_err().to_string();
            assert!(error.contains(expected) && error.starts_with("dualkey.toml:"), "{error}");
        }
    });
}

/// A checkpoint that is no file is refused, and nothing is rewritten.
#[cfg(unix)]
#[test]
fn a_checkpoint_that_is_no_file_holds_no_rewrap() {
    runtime().block_on(async {
        let base = Base::all().await.remove(0);
        let mut shell = Shell::new("2026-11-26T00:00:00Z");
        let (_, manifest) = rotated(&mut shell).await;
        let (_, before) = rings(&manifest);
        let before = Sealer::new(before);
        let sealed = before.seal_text("note", context(1)).unwrap();
        base.notes([(1, sealed)]).await;
        let as_it_was = base.dump("notes", &["body"]).await;
        for found in crate::support::found::ALL {
            let path = shell.path("checkpoint");
            found.put(&path);
            let (url, line) =
                (base.url(), "rewrap ENCRYPTION_KEY --execute --checkpoint checkpoint");
            let words: Vec<_> = line.split(' ').collect();
            let mut command = shell.command(&words);
            command.env_remove("DUALKEY_CLOCK").env("DATABASE_URL", url);
            let output = crate::support::found::output(line, command);
            let (status, text) = shell.note(line, &output);
            assert_eq!(status, 1, "{found:?}: {text}");
            let named = format!("checkpoint: {}", found.words());
            assert!(text.contains(&named), "{found:?}: {text}");
            assert_eq!(base.dump("notes", &["body"]).await, as_it_was);
            crate::support::found::remove(&path);
        }
    });
}
