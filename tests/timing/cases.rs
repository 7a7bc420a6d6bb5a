//! What is timed: pairs of inputs between which no difference may show, and two in which
//! one must.

use std::hint::black_box;
use std::time::{Duration, UNIX_EPOCH};

use dualkey::cookie::{CookieKey, CookieSigner, LegacyCookie};
use dualkey::jwt::{Jwt, JwtKey};
use dualkey::mac::{HmacSha256, verify_any};
use dualkey::webhook::{WebhookKey, WebhookVerifier};
use dualkey::{KeyMaterial, KeyRing, Secret};
use serde::{Deserialize, Serialize};

use crate::welch::Timed;

pub struct Case {
    pub name: &'static str,
    pub leaks: bool,
    pub work: Box<dyn Timed>,
}

impl Case {
    fn new<I: Clone + 'static>(
        name: &'static str,
        class: impl Fn(usize, usize) -> I,
        work: impl FnMut(&I) + 'static,
    ) -> Self {
        // Of each class many: what one of them has of its own is no property of its class.
        // In turns, so that none lies in other memory than the other either.
        let inputs = (0..INPUTS).map(|number| [class(0, number), class(1, number)]).collect();
        let place = class(0, 0);
        Self { name, leaks: false, work: Box::new(Inputs { inputs, place, work }) }
    }

    fn with_leak(self) -> Self {
        Self { leaks: true, ..self }
    }
}

/// Few enough to stay in the nearest cache, of which they would otherwise push out what the
/// work needs, each at its place.
const INPUTS: usize = 32;

struct Inputs<I, W> {
    inputs: Vec<[I; 2]>,
    place: I,
    work: W,
}

impl<I: Clone, W: FnMut(&I)> Timed for Inputs<I, W> {
    fn prepare(&mut self, class: usize, random: usize) {
        // Into the same memory, where it is a text too.
        self.place.clone_from(&self.inputs[random % INPUTS][class]);
    }

    fn run(&mut self) {
        (self.work)(black_box(&self.place));
    }
}

const SECRETS: [&str; 4] = [
    "kH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eUq8WzRkH7vQ2mXw9LrT4nZ8yB1cF6gJ",
    "Nf0Vg6Jc3Ds8Pw1Ra4Tb7Yx2Zq9Ml5KiUe8HzNf0Vg6Jc3Ds8Pw1Ra4Tb7Yx2Zq9",
    "Rb5Uj1Ho8Fy3Sd6Wn9Eg2Qk7Vm4Xt0PaLz5CiRb5Uj1Ho8Fy3Sd6Wn9Eg2Qk7Vm4",
    "Gt8Ke4Xa1Zr6Mv3Bq9Yw2Ph7Jn5Cl0DsUf6OgGt8Ke4Xa1Zr6Mv3Bq9Yw2Ph7Jn5C",
];

pub fn all() -> Vec<Case> {
    vec![
        mac("MAC: which key matched", [|tags| tags[0], |tags| tags[3]]),
        mac("MAC: where the tag differs", [|tags| flip(tags[0], 0), |tags| flip(tags[0], 31)]),
        mac("MAC: whether any key matched", [|tags| tags[0], |tags| flip(tags[0], 7)]),
        jwt("JWT: which key matched", [|tokens| tokens[0].clone(), |tokens| tokens[3].clone()]),
        jwt(
            "JWT: where the tag differs",
            [
                |tokens| replace(&tokens[0], tokens[0].len() - 43),
                |tokens| replace(&tokens[0], tokens[0].len() - 2),
            ],
        ),
        cookie(
            "cookie: where the tag differs",
            [|value| replace(value, value.len() - 43), |value| replace(value, value.len() - 2)],
        ),
        legacy_cookie("legacy cookie: which key matched"),
        webhook("webhook: which key matched", [|all| all[0].clone(), |all| all[3].clone()]),
        webhook(
            "webhook: where the tag differs",
            [|all| replace(&all[0], "sha256=".len()), |all| replace(&all[0], all[0].len() - 1)],
        ),
        hand_written_comparison(),
        first_match_loop(),
    ]
}

fn ring<K: KeyMaterial>() -> KeyRing<K> {
    let mut builder = KeyRing::builder().primary(Secret::from(SECRETS[0]));
    for secret in &SECRETS[1..] {
        builder = builder.fallback(Secret::from(*secret));
    }
    builder.build().unwrap()
}

fn flip(mut tag: [u8; 32], byte: usize) -> [u8; 32] {
    tag[byte] ^= 1;
    tag
}

/// Another character of every alphabet at `place`.
fn replace(text: &str, place: usize) -> String {
    let other = if &text[place..=place] == "a" { "b" } else { "a" };
    [&text[..place], other, &text[place + 1..]].concat()
}

/// A message of 128 bytes that differs by `number`.
fn message(number: usize) -> String {
    format!("{number:0128}")
}

fn keys() -> [HmacSha256; 4] {
    SECRETS.map(|secret| HmacSha256::new(secret.as_bytes()))
}

fn mac(name: &'static str, classes: [fn([[u8; 32]; 4]) -> [u8; 32]; 2]) -> Case {
    let signers = keys();
    let input = move |class: usize, number| {
        let message = message(number);
        let tags = signers.each_ref().map(|key| key.mac(message.as_bytes()));
        [message.as_bytes(), &classes[class](tags)].concat()
    };
    let keys = keys();
    Case::new(name, input, move |input| {
        let (message, tag) = input.split_last_chunk().unwrap();
        black_box(verify_any(&keys.each_ref(), message, tag));
    })
}

#[derive(Serialize, Deserialize)]
struct Claims {
    sub: String,
    exp: u64,
}

/// Tokens without a `kid`, as another library writes them: all keys are tried.
fn jwt(name: &'static str, classes: [fn([String; 4]) -> String; 2]) -> Case {
    let input = move |class: usize, number| {
        let claims = Claims { sub: format!("user-{number:016}"), exp: 4_102_444_800 };
        classes[class](SECRETS.map(|secret| {
            let key = jsonwebtoken::EncodingKey::from_secret(secret.as_bytes());
            jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).unwrap()
        }))
    };
    let jwt = Jwt::new(ring::<JwtKey>());
    Case::new(name, input, move |token| {
        let _ = black_box(jwt.verify::<Claims>(token));
    })
}

/// A native cookie names its key, so which one matched is no secret.
fn cookie(name: &'static str, classes: [fn(&str) -> String; 2]) -> Case {
    let signer = CookieSigner::new(ring::<CookieKey>());
    let sender = signer.clone();
    let input = move |class: usize, number| {
        classes[class](&sender.sign("session", &format!("{number:032}")).unwrap())
    };
    Case::new(name, input, move |value| {
        let _ = black_box(signer.verify("session", value));
    })
}

/// One that names none, and is tried with all.
fn legacy_cookie(name: &'static str) -> Case {
    let far = UNIX_EPOCH + Duration::from_secs(4_102_444_800);
    let signer = CookieSigner::new(ring::<CookieKey>()).accept_legacy(LegacyCookie::Express, far);
    let keys = keys();
    let input = move |class: usize, number| {
        let value = format!("{number:032}");
        let tag = keys[class * 3].mac(value.as_bytes());
        format!("s:{value}.{}", base64_simd::STANDARD_NO_PAD.encode_to_string(tag))
    };
    Case::new(name, input, move |value| {
        let _ = black_box(signer.verify("session", value).unwrap());
    })
}

fn webhook(name: &'static str, classes: [fn([String; 4]) -> String; 2]) -> Case {
    let keys = keys();
    let input = move |class: usize, number| {
        let body = message(number);
        let header = |key: &HmacSha256| format!("sha256={}", hex::encode(key.mac(body.as_bytes())));
        let header = classes[class](keys.each_ref().map(header));
        [header, body]
    };
    let hook = WebhookVerifier::new(ring::<WebhookKey>());
    Case::new(name, input, move |[header, body]| {
        let _ = black_box(hook.verify([header], body.as_bytes()));
    })
}

/// What most backends have: `==` on the hexadecimal digits.
fn hand_written_comparison() -> Case {
    let expected = hex::encode([0x5a; 32]);
    let base = expected.clone();
    let input = move |class: usize, _| replace(&base, class * 63);
    let case = Case::new("by hand: `==` on the digits", input, move |digits| {
        black_box(black_box(&expected) == digits);
    });
    case.with_leak()
}

fn first_match_loop() -> Case {
    let signers = keys();
    let input = move |class: usize, number| {
        let message = message(number);
        [message.as_bytes(), &signers[class].mac(message.as_bytes())].concat()
    };
    let keys = keys();
    let case = Case::new("by hand: the first key that matches", input, move |input| {
        let (message, tag) = input.split_last_chunk().unwrap();
        black_box(keys.iter().position(|key| key.mac(message) == *tag));
    });
    case.with_leak()
}
