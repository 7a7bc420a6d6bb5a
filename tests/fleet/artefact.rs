//! What clients hold: sessions, tokens and rows.

use dualkey::cookie::{CookieKey, CookieSigner};
use dualkey::envelope::{AesKey, Sealer};
use dualkey::jwt::{Jwt, JwtKey};
use dualkey::{KeyMaterial, KeyRing, Kid, Reason};
use serde_json::{Value, json};

/// What a purpose makes, and how it is shown again.
pub trait Artefacts: KeyMaterial {
    /// Signed or sealed now, to live for so many seconds; `None` if the ring serves nothing.
    fn make(ring: &KeyRing<Self>, now: u64, life: u64) -> Option<Vec<u8>>;

    /// The key that it is accepted under, or why it is not.
    fn verify(ring: &KeyRing<Self>, artefact: &[u8]) -> Result<Kid, Reason>;

    /// Whether it is to be sealed again before its key goes: what lives on until then.
    const IS_STORED: bool = false;

    /// The same under the primary; what keeps it from that is the error.
    fn reseal(_: &KeyRing<Self>, artefact: &[u8]) -> Result<Vec<u8>, ()> {
        Ok(artefact.to_vec())
    }
}

impl Artefacts for CookieKey {
    fn make(ring: &KeyRing<Self>, _: u64, _: u64) -> Option<Vec<u8>> {
        CookieSigner::new(ring.clone()).sign("session", "user-42").ok().map(String::into_bytes)
    }

    fn verify(ring: &KeyRing<Self>, artefact: &[u8]) -> Result<Kid, Reason> {
        let value = std::str::from_utf8(artefact).unwrap();
        let verified = CookieSigner::new(ring.clone()).verify("session", value);
        verified.map(|value| value.kid()).map_err(|error| error.reason())
    }
}

impl Artefacts for JwtKey {
    fn make(ring: &KeyRing<Self>, now: u64, life: u64) -> Option<Vec<u8>> {
        let claims = json!({ "sub": "user-42", "exp": now + life });
        Jwt::new(ring.clone()).sign(&claims).ok().map(String::into_bytes)
    }

    fn verify(ring: &KeyRing<Self>, artefact: &[u8]) -> Result<Kid, Reason> {
        let token = std::str::from_utf8(artefact).unwrap();
        let verified = Jwt::new(ring.clone()).verify::<Value>(token);
        verified.map(|value| value.kid()).map_err(|error| error.reason())
    }
}

impl Artefacts for AesKey {
    const IS_STORED: bool = true;

    fn make(ring: &KeyRing<Self>, _: u64, _: u64) -> Option<Vec<u8>> {
        Sealer::new(ring.clone()).seal("a note", "").ok()
    }

    fn verify(ring: &KeyRing<Self>, artefact: &[u8]) -> Result<Kid, Reason> {
        let opened = Sealer::new(ring.clone()).open(artefact, "");
        opened.map(|value| value.kid()).map_err(|error| error.reason())
    }

    fn reseal(ring: &KeyRing<Self>, artefact: &[u8]) -> Result<Vec<u8>, ()> {
        let mut row = artefact.to_vec();
        Sealer::new(ring.clone()).rewrap(&mut row, "").map_err(drop)?;
        Ok(row)
    }
}
