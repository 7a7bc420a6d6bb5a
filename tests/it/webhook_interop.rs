//! Deliveries as Meta and GitHub sign them, written by `node:crypto` and octokit.

use dualkey::webhook::{WebhookKey, WebhookVerifier};
use dualkey::{KeyRing, NewKey, Role, Secret};
use serde_json::Value;

use crate::support::base64url;

fn hook(new: &Value, old: &Value) -> WebhookVerifier {
    let key = |secret: &Value| NewKey::new(Secret::from(secret.as_str().unwrap()));
    WebhookVerifier::new(
        KeyRing::<WebhookKey>::builder().primary(key(new)).fallback(key(old)).build().unwrap(),
    )
}

fn run(vectors: &[Value], secrets: &str) -> (usize, usize) {
    let (mut accepted, mut refused) = (0, 0);
    for vector in vectors {
        let name = vector["name"].as_str().unwrap_or("github");
        let hook = hook(&vector[secrets]["new"], &vector[secrets]["old"]);
        let body = match vector["body_base64"].as_str() {
            Some(base64) => base64url::decode(base64),
            None => {
                let recipe = r#"JSON.stringify({object:"page",x:"é"*131072}) as UTF-8"#;
                assert_eq!(vector["body_recipe"], recipe);
                format!(r#"{{"object":"page","x":"{}"}}"#, "é".repeat(131_072)).into_bytes()
            }
        };
        let header = vector["headers"]["X-Hub-Signature-256"].as_str();

        let whole = hook.verify(header, &body).map(|delivery| delivery.role());
        // The same in chunks, of lengths that fall on no boundary of anything.
        let chunked = hook.start(header).and_then(|mut delivery| {
            body.chunks(37).for_each(|chunk| delivery.update(chunk));
            delivery.finish().map(|delivery| delivery.role())
        });
        assert_eq!(whole.as_ref().ok(), chunked.as_ref().ok(), "{name}");
        match vector["expected"].as_str().unwrap() {
            "accept" => {
                let role = match vector["matched_key"].as_str().unwrap() {
                    "primary" => Role::Primary,
                    _ => Role::Fallback,
                };
                assert_eq!(whole.unwrap_or_else(|error| panic!("{name}: {error:?}")), role);
                accepted += 1;
            }
            _ => {
                assert!(whole.is_err(), "{name} was accepted");
                refused += 1;
            }
        }
    }
    (accepted, refused)
}

#[test]
fn deliveries_of_meta_and_github_have_the_expected_verdict() {
    let file: Value =
        serde_json::from_str(include_str!("../vectors/interop_node_webhooks.json")).unwrap();
    let vectors = |name: &str| file[name].as_array().unwrap().clone();
    let meta = run(&vectors("vectors"), "app_secrets");
    let github = run(&vectors("github"), "secrets");
    println!(
        "Meta: {} accepted, {} refused; GitHub: {} accepted, {} refused; left out, because they \
         are other schemes: {} of Standard Webhooks, {} of Stripe",
        meta.0,
        meta.1,
        github.0,
        github.1,
        vectors("standard_webhooks").len(),
        vectors("stripe").len(),
    );
    assert_eq!((meta, github), ((26, 90), (6, 0)));
}
