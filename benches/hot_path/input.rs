//! What is measured, the same for every library: keys, tokens, cookies, bodies, envelopes.

use std::borrow::Cow;

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::{Deserialize, Serialize};

/// Of 64 characters each; the first is the primary.
pub const SECRETS: [&str; 4] = [
    "kH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eUq8WzRkH7vQ2mXw9LrT4nZ8yB1cF6gJ",
    "Nf0Vg6Jc3Ds8Pw1Ra4Tb7Yx2Zq9Ml5KiUe8HzNf0Vg6Jc3Ds8Pw1Ra4Tb7Yx2Zq9",
    "Rb5Uj1Ho8Fy3Sd6Wn9Eg2Qk7Vm4Xt0PaLz5CiRb5Uj1Ho8Fy3Sd6Wn9Eg2Qk7Vm4",
    "Gt8Ke4Xa1Zr6Mv3Bq9Yw2Ph7Jn5Cl0DsUf6OgGt8Ke4Xa1Zr6Mv3Bq9Yw2Ph7Jn5C",
];

/// In no ring.
pub const STRANGER: &str = "Ys2Dl9Iv5Tc7Nb0Og4Xh8Rk1Fw6Ej3ZpAm9UqYs2Dl9Iv5Tc7Nb0Og4Xh8Rk1Fw6";

/// As Meta has them: 32 hexadecimal digits.
pub const APP_SECRETS: [&str; 4] = [
    "0f1e2d3c4b5a69788796a5b4c3d2e1f0",
    "1222e786b144d0e85b9f365372d93676",
    "c4ca4238a0b923820dcc509a6f75849b",
    "eccbc87e4b5ce2fe28308fd9f2a7baf3",
];

pub const BODIES: [(&str, usize); 4] =
    [("256B", 256), ("4KiB", 4096), ("64KiB", 65536), ("1MiB", 1 << 20)];

pub const PAYLOADS: [(&str, usize); 3] = [("100B", 100), ("1KiB", 1024), ("1MiB", 1 << 20)];
pub const CONTEXT: &[u8] = b"notes/7/body";

/// Of the two key-encryption keys.
pub fn kek(place: u8) -> [u8; 32] {
    std::array::from_fn(|index| (index as u8 * 7) ^ (0x5a + place))
}

/// What the wrap covers beside the data-encryption key, as long as in an envelope of ours.
pub const HEAD: &[u8] = b"mark\x1016-letters-a-kid";

/// The data-encryption key of what is sealed by hand.
pub const DEK: [u8; 32] = [7; 32];

#[derive(Clone, Serialize, Deserialize)]
pub struct Claims {
    pub sub: String,
    pub name: String,
    pub role: String,
    pub sid: String,
    pub iat: u64,
    pub exp: u64,
}

/// The same, borrowed from the payload.
#[derive(Deserialize)]
#[allow(dead_code)]
pub struct BorrowedClaims<'p> {
    #[serde(borrow)]
    pub sub: Cow<'p, str>,
    #[serde(borrow)]
    pub name: Cow<'p, str>,
    #[serde(borrow)]
    pub role: Cow<'p, str>,
    #[serde(borrow)]
    pub sid: Cow<'p, str>,
    pub iat: u64,
    pub exp: u64,
}

pub fn claims() -> Claims {
    Claims {
        sub: "user-0123456789abcdef".to_owned(),
        name: "Ada Lovelace".to_owned(),
        role: "administrator".to_owned(),
        sid: "5f2c7d9be4a14c0d8b1f6e3a2d9c7b50".to_owned(),
        iat: 1_700_000_000,
        exp: 4_102_444_800,
    }
}

/// Of 300 bytes, without a `kid`, as another library writes it.
pub fn token(secret: &str) -> String {
    let key = EncodingKey::from_secret(secret.as_bytes());
    let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims(), &key).unwrap();
    assert!((280..=320).contains(&token.len()), "{}", token.len());
    token
}
