//! `init` and `adopt`: what is recognised, what is refused, and that nothing is done by halves.

use std::fs;

use dualkey::Purpose;
use dualkey::ops::inventory::{Inventory, Place, Priority};
use dualkey::ops::recognise::{ProposedStore, Shortfall, Survey};

use super::start::{JWT, SESSION, backend};
use crate::support::shell::{Shell, inventory};

fn survey(text: &str) -> (Survey, Inventory) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(".env");
    fs::write(&path, text).unwrap();
    let survey = Survey::read(&[path]).unwrap();
    for keep in [ProposedStore::Dotenv, ProposedStore::File] {
        let text = survey.to_inventory(folder.path(), keep);
        let inventory = Inventory::parse(&text, folder.path().join("dualkey.toml")).unwrap();
        assert_eq!(inventory.secrets.len(), survey.secrets.len() + 1, "{text}");
    }
    let text = survey.to_inventory(folder.path(), ProposedStore::Dotenv);
    let inventory = Inventory::parse(&text, folder.path().join("dualkey.toml")).unwrap();
    (survey, inventory)
}

/// Each secret of the procedure by hand, with its purpose, priority and store.
#[test]
fn the_secrets_of_a_backend_are_recognised_and_no_others() {
    let text = format!(
        "PORT=3000\nNODE_ENV=production\nNEXT_PUBLIC_API_URL=https://api.example.com\nPUBLIC_KEY=abc\n\
         JWT_SECRET={JWT}\nSESSION_SECRET={SESSION}\nDATABASE_URL=postgres://a:b1c2d3e4@db/app\n\
         ANTHROPIC_API_KEY=sk-ant-api03-T4nZ8yB1cF6gJ0sD3pA5\nMETA_APP_SECRET=0f1e2d3c4b5a69788796a5b4c3d2e1f0\n\
         ENCRYPTION_KEY={}\nREDIS_PASSWORD=hunter2-of-redis\nRESEND_API_KEY=re_T4nZ8yB1_cF6gJ0sD3pA5eUkH\n\
         SENTRY_DSN=https://0f1e2d3c4b5a69788796a5b4c3d2e1f0@o1.ingest.sentry.io/2\n\
         SLACK_WEBHOOK_URL=https://hooks.slack.com/services/T0AB/B0CD/kH7vQ2mXw9LrT4nZ8yB1cF6g\n\
         GITHUB_TOKEN=ghp_kH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eU\nsupabase_service_role=eyJhbGciOiJIUzI1NiJ9.e30.x1y2z3\n\
         meta_system_user=EAABkH7vQ2mXw9LrT4nZ8yB1\ngithub_actions=ghp_9LrT4nZ8yB1cF6gJ0sD3pA5eUkH7vQ2m\n",
        "2b7e151628aed2a6abf7158809cf4f3c762e7160f38b4da56a784d9045190cfe",
    );
    let (survey, inventory) = survey(&text);
    let left: Vec<_> = survey.left_out.iter().map(|variable| variable.name.as_str()).collect();
    assert_eq!(left, ["PORT", "NODE_ENV", "NEXT_PUBLIC_API_URL", "PUBLIC_KEY"]);
    for (name, purpose, priority) in [
        ("JWT_SECRET", Purpose::Jwt, Priority::Critical),
        ("SESSION_SECRET", Purpose::Cookie, Priority::Critical),
        ("DATABASE_URL", Purpose::Credential, Priority::Critical),
        ("ANTHROPIC_API_KEY", Purpose::Credential, Priority::Critical),
        ("META_APP_SECRET", Purpose::Webhook, Priority::Critical),
        ("ENCRYPTION_KEY", Purpose::Envelope, Priority::Critical),
        ("REDIS_PASSWORD", Purpose::Credential, Priority::Standard),
        ("RESEND_API_KEY", Purpose::Credential, Priority::Standard),
        ("SENTRY_DSN", Purpose::Credential, Priority::Standard),
        ("SLACK_WEBHOOK_URL", Purpose::Credential, Priority::Standard),
        ("GITHUB_TOKEN", Purpose::Credential, Priority::Standard),
        ("supabase_service_role", Purpose::Credential, Priority::Service),
        ("meta_system_user", Purpose::Credential, Priority::Service),
        ("github_actions", Purpose::Credential, Priority::Service),
    ] {
        let item = inventory.secret(name).unwrap();
        assert_eq!((item.purpose, item.priority), (purpose, priority), "{name}");
        let is_manual = matches!(item.store, Place::Manual(_));
        assert_eq!(is_manual, name == "github_actions", "{name}");
        assert!(is_manual || item.store == Place::Dotenv(".env".to_owned()), "{name}");
        assert!(item.policy.schedule.is_some(), "{name}");
    }
    assert_eq!(inventory.secrets.len(), 15);
    assert_eq!(inventory.secret("SESSION_SECRET").unwrap().policy.min_secret_bytes, Some(32));
}

/// By the value where the name says nothing, and against the name where the value is no secret.
#[test]
fn shapes_count_beside_names() {
    for (line, purpose) in [
        ("PAYMENTS=sk_live_kH7vQ2mXw9LrT4nZ8yB1", Some(Purpose::Credential)),
        ("BROKER=amqp://app:b1c2d3e4f5a6@mq/", Some(Purpose::Credential)),
        ("HOOK_SIGNER=whsec_kH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5", Some(Purpose::Webhook)),
        (
            "NOTIFY=https://hooks.slack.com/services/T0/B0/kH7vQ2mXw9LrT4nZ",
            Some(Purpose::Credential),
        ),
        ("APP_KEY=base64:K34VFiiu0qar9xWICc9PPHYuceDzi02lp4TZBFkQzdw=", Some(Purpose::Envelope)),
        (
            "SECRET_KEY='django-insecure-9lr2vtb7yx2zq9ml5kiwm3hj-ps8dn4fg6kk'",
            Some(Purpose::Cookie),
        ),
        ("STRIPE_SECRET_KEY=pk_live_kH7vQ2mXw9LrT4nZ8yB1", None),
        ("NEXT_PUBLIC_KEY=kH7vQ2mXw9LrT4nZ8yB1", None),
        ("DATABASE_URL=postgres://localhost/app", None),
        ("DATABASE_URL=file:./dev.db", None),
        ("JWT_SECRET=op://Production/jwt/secret", None),
        ("JWT_SECRET=encrypted:BDqDBibm4wsYqMpCjTQ6BsDHmMadg9K3dAt", None),
        ("DATABASE_URL=postgres://a:b@db/app\nDATABASE_URL_BACKUP=postgres://a:b@other/app", None),
        ("DATABASE_URL=postgresql://${DB_USER}:${DB_PASS}@db/app", None),
        (
            "JWT_PRIVATE_KEY=\"-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\"",
            None,
        ),
        ("JWT_SECRET_FILE=/run/secrets/jwt", None),
        ("API_TOKEN=true", None),
        ("CACHE_KEY=users", None),
        ("OPENAI_API_KEY=your-api-key-here", None),
        ("OPENAI_API_KEY=sk-...", None),
        ("JWT_SECRET=", None),
        ("JWT_SECRET=a$b", None),
        ("JWT_SECRET=kH7vQ2mXw9LrT4nZ8yB1\nJWT_SECRET=T4nZ8yB1kH7vQ2mXw9Lr", None),
    ] {
        let (survey, _) = survey(&format!("{line}\n"));
        assert_eq!(survey.secrets.first().map(|secret| secret.purpose), purpose, "{line}");
        let left = survey.left_out.first();
        assert!(purpose.is_some() || left.is_some_and(|item| !item.why.is_empty()), "{line}");
        let shown = format!("{survey:?}");
        for value in ["kH7vQ2mXw9LrT4nZ8yB1", "b1c2d3e4f5a6", "K34VFiiu0qar9xWICc9P"] {
            assert!(!shown.contains(value), "{shown}");
        }
    }
}

#[test]
fn variables_of_one_secret_are_one_entry() {
    let text = format!(
        "JWT_SECRET={JWT}\nJWT_SECRET_OLD=short\nJWT_SECRET_NEXT={SESSION}\n\
         TEST_NEW=1\nSESSION_SECRET_OLD={SESSION}\n"
    );
    let (survey, inventory) = survey(&text);
    assert_eq!(survey.secrets.len(), 1);
    assert_eq!(survey.secrets[0].with, ["JWT_SECRET_OLD", "JWT_SECRET_NEXT"]);
    // The staged one will sign, and the old one never does.
    assert_eq!(survey.secrets[0].shortfall, Shortfall::Floor(32));
    assert_eq!(inventory.secret("JWT_SECRET").unwrap().policy.min_secret_bytes, Some(32));
    let left: Vec<_> = survey.left_out.iter().map(|variable| variable.name.as_str()).collect();
    assert_eq!(left, ["TEST_NEW", "SESSION_SECRET_OLD"]);
    assert!(survey.left_out[1].why.contains("`SESSION_SECRET` is not set"));
}

fn shell(env: &str) -> Shell {
    let shell = Shell::new("2026-01-15T10:00:00Z");
    fs::write(shell.path(".env"), env).unwrap();
    shell
}

/// A secret below the floor of its purpose is adopted with a setting that says so, and the doctor
/// asks for its rotation; the new key has full length.
#[test]
fn a_secret_below_the_floor_signs_until_its_rotation() {
    let mut shell =
        shell("JWT_SECRET=tooshort-Zq9\nVERIFY_TOKEN=hV3-dashboard\nDB_PASSWORD=tiny1\n");
    let (status, text) = shell.run("init");
    assert!(status == 0 && text.contains("dangerous_min_secret_bytes = 12"), "{text}");
    let (status, text) = shell.run("adopt");
    assert!(status == 0 && text.contains("dualkey rotate JWT_SECRET"), "{text}");
    let (status, text) = shell.run("doctor");
    assert!(status == 3 && text.matches("short    ").count() == 3, "{text}");
    assert!(text.contains("dualkey rotate JWT_SECRET"), "{text}");
    for (line, status) in [("rotate JWT_SECRET", 3), ("promote JWT_SECRET --assume-deployed", 0)] {
        let (found, text) = shell.run(line);
        assert_eq!(found, status, "{text}");
    }
    let env = fs::read_to_string(shell.path(".env")).unwrap();
    assert!(env.contains("\nJWT_SECRET_OLD=tooshort-Zq9\n"), "{env}");
    let new = env.lines().find_map(|line| line.strip_prefix("JWT_SECRET=")).unwrap();
    assert_eq!(new.len(), 128);
    let (status, text) = shell.run("status JWT_SECRET");
    assert!(status == 0 && text.contains("jwt-2 (fallback"), "{text}");
}

/// All that cannot be taken is listed, each with its remedy, and nothing is written.
#[test]
fn what_cannot_be_adopted_stops_all_of_it() {
    let env = format!(
        "SESSION_SECRET={SESSION}\nAPI_KEY=op://vault/item/key\nHOOK=keyboard cat\nJWT_SECRET={JWT}\nJWT_SECRET_OLD=a$b\n"
    );
    let mut shell = shell(&env);
    let table = |name: &str, purpose: &str| {
        format!(
            "[[secret]]\nname = \"{name}\"\npurpose = \"{purpose}\"\npriority = \"critical\"\nstore = {{ file = \"{name}.json\" }}\n"
        )
    };
    let tables = table("SESSION_SECRET", "cookie")
        + &table("API_KEY", "credential")
        + &table("HOOK", "cookie")
        + &table("JWT_SECRET", "jwt")
        + &table("ABSENT", "jwt");
    inventory(&shell.path("dualkey.toml"), &tables);
    let (status, text) = shell.run("adopt");
    assert_eq!(status, 1);
    for says in [
        "cannot adopt 4 of the secrets; nothing was changed",
        "  SESSION_SECRET: `SESSION_SECRET` has 44 bytes, and the minimum is 64: add `min_secret_bytes = 32`",
        "  API_KEY: this is a reference to 1Password",
        "  HOOK: ",
        "JWT_SECRET_OLD in",
    ] {
        assert!(text.contains(says), "{says}: {text}");
    }
    let folder = shell.path("");
    let files = || fs::read_dir(&folder).unwrap().count();
    assert_eq!(files(), 3, "the inventory, the variables, the clock");
    let (status, text) = shell.run("adopt ABSENT");
    assert!(status == 1 && text.contains("it is not set in .env"), "{text}");
    let (status, text) = shell.run("adopt JWT_SECRT");
    assert!(status == 1 && text.contains("did you mean `JWT_SECRET`?"), "{text}");
    assert_eq!(files(), 3);

    // What can be taken is, once the others are left out.
    fs::write(shell.path(".env"), env.replace("a$b", "an-old-one-7Yx2")).unwrap();
    let (status, text) = shell.run("adopt JWT_SECRET");
    assert!(status == 0 && text.contains("AUDIT_SECRET (production): created"), "{text}");
    // Another value in its place is no key of the store.
    fs::write(shell.path(".env"), format!("JWT_SECRET={}\n", JWT.replace('6', "7"))).unwrap();
    let store = fs::read(shell.path("JWT_SECRET.json")).unwrap();
    let (status, text) = shell.run("adopt JWT_SECRET");
    assert!(status == 1 && text.contains("not that of a key in its store"), "{text}");
    assert_eq!(fs::read(shell.path("JWT_SECRET.json")).unwrap(), store);
}

/// A run that was ended between two secrets, or within one, is continued by the next.
#[test]
fn an_adoption_that_was_interrupted_is_continued() {
    let mut shell = shell(&backend());
    assert_eq!(shell.run("init --store file").0, 0);
    assert_eq!(shell.run("adopt").0, 0);
    let whole = fs::read_to_string(shell.path("audit.log")).unwrap();
    let (status, text) = shell.run("adopt");
    assert!(status == 0 && !text.contains("adopted from"), "{text}");
    assert_eq!(fs::read_to_string(shell.path("audit.log")).unwrap(), whole, "nothing was told");

    // In another folder, the disk is full at each point once: what is there is what was told.
    for room in [1, 2, 4, 6, 9, 13] {
        let mut shell = self::shell(&backend());
        assert_eq!(shell.run("init --store file").0, 0);
        let mut full = std::process::Command::new("sh");
        full.args(["-c", &format!("trap '' XFSZ; ulimit -f {room}; exec \"$0\" adopt")])
            .arg(env!("CARGO_BIN_EXE_dualkey"))
            .current_dir(shell.path(""))
            .env("DUALKEY_BY", "ada")
            .env("DUALKEY_CLOCK", shell.path("clock"));
        let _ = full.output().unwrap();
        let (status, text) = shell.run("adopt");
        assert_eq!(status, 0, "{room}: {text}");
        let (_, text) = shell.run("audit --action created --outcome success");
        assert_eq!(text.lines().count(), 9, "{room}: {text}");
        assert_eq!(shell.run("audit verify").0, 0);
        assert_eq!(shell.run("adopt").0, 0);
    }
}

/// A new key in the place of one that is in use would end sessions, and close rows for good.
#[test]
fn no_first_key_is_made_where_a_value_is_in_use() {
    let tables = "[[secret]]\nname = \"JWT_SECRET\"\npurpose = \"jwt\"\npriority = \"critical\"\nstore = { file = \"JWT_SECRET.json\" }\n";
    let mut shell = shell("PORT=1\n");
    inventory(&shell.path("dualkey.toml"), tables);
    assert_eq!(shell.run("generate --store AUDIT_SECRET").0, 0);
    let with_env = |shell: &mut Shell, line: &str| {
        let words: Vec<_> = line.split(' ').collect();
        let output = shell.command(&words).env("JWT_SECRET", JWT).output().unwrap();
        shell.note(line, &output)
    };
    // In the environment, and in the file.
    for line in ["generate --store JWT_SECRET", "stage JWT_SECRET", "rotate JWT_SECRET"] {
        let (status, text) = with_env(&mut shell, line);
        let says = "JWT_SECRET is set in the environment";
        assert!(
            status == 1
                && text.contains(says)
                && text.contains("`dualkey adopt JWT_SECRET --from-env`"),
            "{text}"
        );
    }
    let (_, text) = with_env(&mut shell, "status JWT_SECRET");
    assert!(
        text.contains("dualkey adopt JWT_SECRET --from-env") && !text.contains("generate"),
        "{text}"
    );
    fs::write(shell.path(".env"), format!("JWT_SECRET={JWT}\n")).unwrap();
    for line in [
        "generate --store JWT_SECRET",
        "generate --store JWT_SECRET --dry-run",
        "stage JWT_SECRET",
        "rotate JWT_SECRET",
        "emergency-rotate JWT_SECRET --reason leaked --yes",
    ] {
        let (status, text) = shell.run(line);
        assert!(status == 1 && text.contains("`dualkey adopt JWT_SECRET`"), "{line}: {text}");
    }
    let (_, text) = shell.run("status");
    assert!(text.contains("dualkey adopt JWT_SECRET") && !text.contains("generate"), "{text}");
    let (status, text) = shell.run("doctor");
    assert!(status == 3 && text.contains("unadopted JWT_SECRET (production)"), "{text}");
    assert!(!shell.path("JWT_SECRET.json").exists());

    // The value in use is none but itself; another one needs to be forced.
    let mut other = shell.copy();
    other.set("2026-01-15T10:00:00Z");
    fs::write(other.path("value.txt"), JWT).unwrap();
    assert_eq!(other.run("generate --store JWT_SECRET --value-from value.txt").0, 0);
    let mut other = shell.copy();
    other.set("2026-01-15T10:00:00Z");
    let force = "generate --store JWT_SECRET --force";
    assert_eq!(other.run(force).0, 2, "without a reason");
    assert_eq!(other.run(&format!("{force} --reason new --yes")).0, 0);
    assert_eq!(with_env(&mut shell, "adopt JWT_SECRET --from-env").0, 0);
    assert_eq!(shell.run("stage JWT_SECRET").0, 0);
}

/// An operator who gives no name has that of the system, also in a job with nearly no environment.
#[test]
fn the_user_of_the_system_is_named() {
    let mut shell = shell(&backend());
    let output = shell.command(&["init"]).env_remove("DUALKEY_BY").output().unwrap();
    assert!(output.status.success());
    let user = nix::unistd::User::from_uid(nix::unistd::getuid()).unwrap().unwrap().name;
    for (by, expected) in [(None, user.as_str()), (Some(""), user.as_str()), (Some("eve"), "eve")] {
        let mut command = shell.command(&["adopt"]);
        command.env_clear().env("DUALKEY_CLOCK", shell.path("clock"));
        if let Some(by) = by {
            command.env("DUALKEY_BY", by);
        }
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let (_, text) = shell.run("audit --take 1");
        if by.is_none() {
            assert!(text.contains(&format!("| {expected} |")), "{text}");
        }
        let mut command = shell.command(&["remind"]);
        command.env_clear().env("DUALKEY_CLOCK", shell.path("clock"));
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!text.contains("--by"), "{text}");
    }
}

/// An account without a name is named by its number, as in a container. Only root can act as one.
#[test]
fn a_user_without_a_name_is_a_number() {
    use std::os::unix::process::CommandExt;
    const UID: u32 = 54_321;
    if !nix::unistd::getuid().is_root() {
        println!("left out: it takes root to act as another user");
        return;
    }
    let shell = shell("PORT=1\n");
    inventory(&shell.path("dualkey.toml"), "");
    // The command itself may lie where that user cannot reach it.
    let copy = shell.path("dualkey");
    fs::copy(env!("CARGO_BIN_EXE_dualkey"), &copy).unwrap();
    for name in ["", ".env", "dualkey.toml"] {
        std::os::unix::fs::chown(shell.path(name), Some(UID), Some(UID)).unwrap();
    }
    let mut command = std::process::Command::new(copy);
    command.args(["generate", "--store", "AUDIT_SECRET"]).current_dir(shell.path(""));
    let output = command.env_clear().uid(UID).gid(UID).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let trail = fs::read_to_string(shell.path("audit.log")).unwrap();
    assert!(trail.contains(&format!("| uid {UID} |")), "{trail}");
}

/// A rotation writes in the clear, and is refused in a file that a tool encrypts: the operator knows it
/// before the first one.
#[test]
fn a_file_that_a_tool_encrypts_is_named_before_the_first_rotation() {
    let value = "encrypted:BDqDBibm4wsYqMpCjTQ6BsDHmMadg9K3dAt+Z9HPMfLEIRVz50hmLXPXRuDBXaJi";
    for (lead, tool) in [
        (format!("MAIL_TOKEN=\"{value}\""), "dotenvx"),
        ("MAIL_TOKEN=ENC[AES256_GCM,data:a1,iv:b2,tag:c3,type:str]".to_owned(), "sops"),
        ("DOTENV_PUBLIC_KEY_PRODUCTION=03f8b376234c4f2f0445f392".to_owned(), "dotenvx"),
    ] {
        let mut shell = shell(&format!("{lead}\nJWT_SECRET={JWT}\n"));
        let says = format!("is encrypted with {tool} (line 1");
        let is_said = |text: &str| {
            let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
            text.contains(&says) && text.contains(&format!("or rotate it with {tool}"))
        };
        for line in ["init --store dotenv", "status JWT_SECRET", "doctor"] {
            let (_, text) = shell.run(line);
            assert!(is_said(&text), "{line}: {text}");
        }
        for line in ["adopt --dry-run", "adopt"] {
            let (status, text) = shell.run(line);
            assert!(status == 0 && is_said(&text), "{line}: {text}");
        }
        let (status, text) = shell.run("stage JWT_SECRET");
        assert!(status != 0 && text.contains(&format!("rotate them with {tool}")), "{text}");
    }
    // A file of manifests is written elsewhere.
    let mut shell = shell(&format!("MAIL_TOKEN=\"{value}\"\nJWT_SECRET={JWT}\n"));
    let (_, text) = shell.run("init --store file");
    assert!(!text.contains("is encrypted with"), "{text}");
}

/// Files as people write them: `export`, quotes, comments, CRLF, a BOM.
#[test]
fn odd_files_are_read_as_their_readers_do() {
    let env = format!(
        "\u{feff}# The service\r\nexport JWT_SECRET='{JWT}' # of the quarter\r\n  SESSION_SECRET=\"{SESSION}\"\r\n# REDIS_PASSWORD=x\r\n"
    );
    let mut shell = shell(&env);
    for line in ["init", "adopt --dry-run", "adopt"] {
        let (status, text) = shell.run(line);
        assert!(status == 0 && text.contains("SESSION_SECRET"), "{line}: {text}");
        assert!(!text.contains("REDIS"), "{text}");
    }
    assert_eq!(fs::read_to_string(shell.path(".env")).unwrap(), env);
    // What only some readers find is left out, with the reason.
    let mut shell = self::shell(&format!("JWT_SECRET={JWT}\nSESSION_SECRET = {SESSION}\n"));
    let (status, text) = shell.run("init");
    assert!(status == 0 && text.contains("blanks are before `=`"), "{text}");
    // Nothing is known of a file whose lines have no clear ends.
    let mut shell = self::shell("A=\"open\nJWT_SECRET=x\n");
    let (status, text) = shell.run("init");
    assert!(status == 1 && !shell.path("dualkey.toml").exists(), "{text}");
}
