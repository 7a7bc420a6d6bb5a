//! The inventory: each mistake with its line and column.

use dualkey::ops::OpsError;
use dualkey::ops::inventory::{Inventory, Place, Priority};
use dualkey::{Purpose, Schedule};

/// An inventory with this secret in it.
fn with(secret: &str) -> String {
    format!(
        "version = 1\nenvironment = \"production\"\n[audit]\nfile = \"a.log\"\nsecret = \"A\"\n\
         [[secret]]\nname = \"A\"\npurpose = \"audit\"\npriority = \"critical\"\nstore = {{ file = \"A\" }}\n\
         [[secret]]\n{secret}\n"
    )
}

const GOOD: &str =
    "name = \"X\"\npurpose = \"jwt\"\npriority = \"standard\"\nstore = { file = \"X\" }\n";

#[test]
fn the_template_has_what_a_usual_backend_has() {
    let inventory = Inventory::parse(Inventory::TEMPLATE, "dualkey.toml").unwrap();
    let of = |priority: Priority| {
        let all = inventory.secrets.iter().filter(|item| item.priority == priority);
        all.filter(|item| item.purpose != Purpose::Audit)
            .map(|item| item.name.as_str())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        of(Priority::Critical),
        [
            "JWT_SECRET",
            "SESSION_SECRET",
            "META_APP_SECRET",
            "ENCRYPTION_KEY",
            "ANTHROPIC_API_KEY",
            "DATABASE_URL"
        ],
    );
    assert_eq!((of(Priority::Standard).len(), of(Priority::Service).len()), (5, 3));
    let manual =
        |item: &&dualkey::ops::inventory::SecretSpec| matches!(item.store, Place::Manual(_));
    assert_eq!(inventory.secrets.iter().filter(manual).count(), 3);
    let jwt = inventory.secret("JWT_SECRET").unwrap();
    assert_eq!(jwt.policy.schedule, Some(Schedule::Quarterly));
    assert_eq!(jwt.policy.overlap().as_secs(), 7 * 24 * 3600 + 3600 + 2 * 300);
    assert!(!Inventory::TEMPLATE.contains("secret = \"hex:"), "no value");
}

#[test]
fn each_mistake_is_named_with_its_place() {
    assert!(Inventory::parse(&with(GOOD), "d.toml").is_ok());
    let line = |number: usize| GOOD.lines().nth(number).unwrap();
    let changed = |number: usize, text: &str| with(&GOOD.replace(line(number), text));
    for (text, row, column, says) in [
        (changed(0, "nam = \"X\""), 12, 1, "nam"),
        (changed(0, "name = \"A\""), 12, 8, "there twice"),
        (changed(0, "name = \"é\""), 12, 8, "letters"),
        (changed(1, "purpose = \"jwtt\""), 13, 11, "did you mean `jwt`?"),
        (changed(1, "purpose = 7"), 13, 11, "expected a string"),
        (changed(2, "priority = \"urgent\""), 14, 12, "critical, standard, service"),
        (changed(3, "store = { fil = \"X\" }"), 15, 11, "fil"),
        (changed(3, "store = { file = \"X\", dotenv = \"Y\" }"), 15, 9, "one of"),
        (changed(3, "store = {}"), 15, 9, "one of"),
        (changed(3, "store = { postgres = \"URL\" }"), 15, 9, "kek"),
        (changed(3, "store = { file = \"X\", sealed = true }"), 15, 9, "kek"),
        (with(&format!("{GOOD}rotate = \"monthly\"")), 16, 10, "90 days"),
        (with(&format!("{GOOD}rotate = \"0 days\"")), 16, 10, "90 days"),
        (with(&format!("{GOOD}max_lifetime = \"7 dyas\"")), 16, 16, "7 days"),
        (with(&format!("{GOOD}max_lifetime = \"-7 days\"")), 16, 16, "7 days"),
        (with(&format!("{GOOD}longest_life = \"7 days\"")), 16, 1, "called `max_lifetime` now"),
        (with(&format!("{GOOD}observation = \"1 day\"")), 16, 1, "called `observation_window` now"),
        (
            with(&format!("{GOOD}enough_traffic = 7")),
            16,
            1,
            "called `min_observed_verifications` now",
        ),
        (with(&format!("{GOOD}peers = [\"db\"]")), 16, 10, "host:port"),
        (with(&format!("{GOOD}automatic = \"yes\"")), 16, 13, "boolean"),
        (with(&format!("{GOOD}environments = [\"a\", \"\"]")), 16, 22, "letters"),
        (with(&format!("{GOOD}environments = [\"../a\"]")), 16, 17, "letters"),
        (with(&format!("{GOOD}environments = [\"..\"]")), 16, 17, "letters"),
        (with(&format!("{GOOD}environments = [\"a\", \"b\", \"a\"]")), 16, 27, "there twice"),
        (with(&format!("{GOOD}environments = [\"a\", \"b\"]")), 15, 9, "{env}"),
        (changed(3, "store = { file = \"A\" }"), 15, 9, "the file of another secret"),
        (with(GOOD).replace("\"production\"", "\"a/b\""), 2, 15, "letters"),
        (with(&format!("{GOOD}name = \"Y\"")), 16, 1, "duplicate"),
        (
            with(&format!(
                "{}automatic = true",
                GOOD.replace("{ file = \"X\" }", "{ dotenv = \".env\" }")
            )),
            16,
            13,
            "restarted",
        ),
        (
            with(&format!("{}automatic = true", GOOD.replace("jwt", "credential"))),
            16,
            13,
            "who verifies",
        ),
        (with(GOOD).replace("secret = \"A\"", "secret = \"AA\""), 5, 10, "no secret has this name"),
        (with(GOOD).replace("secret = \"A\"", "secret = \"X\""), 5, 10, "audit"),
        (with(GOOD).replace("version = 1", "version = 2"), 1, 11, "version 1"),
        (with(GOOD).replace("\"a.log\"", "\"a.log"), 4, 14, ""),
        ("# nothing\n".to_owned(), 1, 1, "missing field"),
    ] {
        match Inventory::parse(&text, "d.toml") {
            Err(OpsError::Inventory { line, column, problem, .. }) => {
                assert!((line, column) == (row, column), "{line}:{column} {problem}\n{text}");
                assert_eq!(line, row, "{problem}\n{text}");
                assert!(problem.contains(says), "{problem}\n{text}");
            }
            other => panic!("{other:?}\n{text}"),
        }
        let shown = Inventory::parse(&text, "d.toml").unwrap_err().to_string();
        assert!(
            shown.starts_with(&format!("d.toml:{row}:{column}: ")),
            "{shown}, not {row}:{column}\n{text}"
        );
    }
}

#[test]
fn names_that_are_written_alike_are_found_and_others_are_not() {
    let inventory = Inventory::parse(Inventory::TEMPLATE, "dualkey.toml").unwrap();
    for (typed, meant) in [
        ("jwt_secret", Some("JWT_SECRET")),
        ("JWTSECRET", Some("JWT_SECRET")),
        ("DATABSE_URL", Some("DATABASE_URL")),
        ("42", None),
    ] {
        match inventory.secret(typed) {
            Err(OpsError::UnknownSecret { nearest, .. }) => {
                assert_eq!(nearest.as_deref(), meant, "{typed}");
            }
            other => panic!("{other:?}"),
        }
    }
}
