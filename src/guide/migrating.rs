//! Moving in: how a running backend comes to this crate, and back, without losing a
//! session, a token or a row.
//!
//! The order is that of every rotation: *what is new is read everywhere before it is
//! written anywhere*.
//!
//! 1. Start with the secrets as they are, under the names that they have. New instances
//!    accept what the old ones made, by name and until a date.
//! 2. Where old instances go on beside the new ones, teach them to read what these write
//!    (for Node: [the file below](#for-a-node-backend)), and give them each new secret at the
//!    end of their list before the new ones sign with it. Or let the new ones only read,
//!    until the last old one is gone.
//! 3. Switch the writing over. What comes in an old form comes back in the native one.
//! 4. When [`Event::LegacyAccepted`](crate::Event::LegacyAccepted) has fallen silent, and the
//!    date is past, take the legacy forms out. Then [rotate](crate::KeyRing::stage): a secret
//!    that was good enough for the move may be too short to stay.
//!
//! | you have | tokens, cookies and rows of today | moving back |
//! |---|---|---|
//! | [npm `jsonwebtoken`](#npm-jsonwebtoken-with-two-secrets) | verify as they are, but name their [audience](#audience-issuer-and-kid) | nothing to keep: it verifies ours |
//! | [express-session](#express-session-with-a-secret-array) | accepted until a date | keep `nativeCookies` in Node for the life of a session |
//! | [`createHmac` webhooks](#webhooks-checked-with-createhmac) | the same | nothing to keep: nothing is stored |
//! | [`encryption.ts`](#fields-of-an-encryptionts) | opened until a date, taken over | keep `openEnvelope` in Node, or a copy of the old column |
//! | [`cookie::SignedJar`](#cookiesignedjar) | accepted until a date | keep this crate for reading, for the life of a session |
//! | [`cookie::PrivateJar`](#cookieprivatejar) | opened until a date | the same |
//! | [PyJWT](#pyjwt) | verify as they are, unless `exp` is text | nothing to keep: it verifies ours |
//!
//! # npm `jsonwebtoken` with two secrets
//! What was
//!
//! ```js
//! for (const secret of [process.env.JWT_SECRET_NEW, process.env.JWT_SECRET]) {
//!   try { return jwt.verify(token, secret); } catch {}
//! }
//! ```
//!
//! is `KeyRing::<JwtKey>::from_env("JWT_SECRET")`, which knows both names:
//!
//! ```
//! use dualkey::KeyRing;
//! use dualkey::jwt::{Jwt, JwtKey};
//! use std::time::Duration;
//!
//! # let environment = |name: &str| Ok(match name {
//! #     "JWT_SECRET_NEW" => Some("kH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eUq8WzRkH7vQ2mXw9LrT4nZ8yB1cF6gJ".into()),
//! #     "JWT_SECRET" => Some("new-secret-2026-kH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5".into()),
//! #     _ => None,
//! # });
//! let ring = KeyRing::<JwtKey>::builder()
//!     .min_secret_bytes(32) // the secrets of today; the next will have 64
//! # /*
//!     .env("JWT_SECRET")
//! # */
//! #   .vars("JWT_SECRET", environment)
//!     .build()?;
//! let jwt = Jwt::new(ring).leeway(Duration::ZERO); // as npm `jsonwebtoken` has it
//!
//! // jwt.sign({ sub: "u1", role: "admin", exp: 4102444800 }, process.env.JWT_SECRET)
//! let token = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.\
//!     eyJzdWIiOiJ1MSIsInJvbGUiOiJhZG1pbiIsImV4cCI6NDEwMjQ0NDgwMH0.\
//!     RZTQSOk-uRsNG5d0j2GhNbAYZo4NpmUrmMcsM811mn0";
//! let claims = jwt.verify::<serde_json::Value>(token).expect("signed by Node");
//! assert_eq!(claims["sub"], "u1");
//! # Ok::<(), dualkey::Error>(())
//! ```
//!
//! Node verifies HS256, HS384 and HS512 under one secret; here a key has
//! [one algorithm](crate::NewKey::algorithm). Node accepts a token that never ends; here `exp` is
//! required. To accept such tokens, clear the list of required claims. Every other check stays:
//!
//! ```
//! # use dualkey::{KeyRing, Secret};
//! # use dualkey::jwt::{Jwt, JwtKey};
//! use dualkey::jwt::Validation;
//!
//! # let secret = "new-secret-2026-kH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5";
//! # let ring = KeyRing::<JwtKey>::builder().min_secret_bytes(32).primary(Secret::from(secret)).build()?;
//! let mut validation = Validation { leeway: 0, ..Validation::default() };
//! validation.required_spec_claims.clear();
//! let jwt = Jwt::new(ring).validation(validation);
//! let token = jwt.sign(&serde_json::json!({ "sub": "u1" }))?;
//! assert!(jwt.verify::<serde_json::Value>(&token).is_ok());
//! # Ok::<(), dualkey::Error>(())
//! ```
//!
//! ## Audience, issuer and `kid`
//! Node accepts a token with any `aud`, unless `jwt.verify` is given an audience. Here a token
//! with an `aud` is refused with [`WrongClaim`](crate::Reason::WrongClaim) until the audience is
//! named (RFC 7519 §4.1.3). An audience or an issuer that is named must be in every token. An
//! issuer that writes a `kid` of its own is the second difference: an unknown `kid` is refused
//! with [`UnknownKid`](crate::Reason::UnknownKid). Give that name to the key as an
//! [alias](crate::NewKey::alias), and take it out when the last such token has expired:
//!
//! ```
//! use dualkey::{KeyRing, NewKey, Secret};
//! use dualkey::jwt::{Jwt, JwtKey};
//!
//! # let secret = "kH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eUkH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eU";
//! // What the old service writes as its `keyid`.
//! let key = NewKey::new(Secret::from(secret)).alias("2019-main".parse()?);
//! let ring = KeyRing::<JwtKey>::builder().primary(key).build()?;
//! // jwt.verify(token, secret, { audience: "urn:billing", issuer: "https://id.example.com" })
//! let jwt = Jwt::new(ring).audience("urn:billing").issuer("https://id.example.com");
//!
//! // jwt.sign({ sub: "u1", aud: "urn:billing", iss: "https://id.example.com", exp: 4102444800 },
//! //   secret, { keyid: "2019-main", noTimestamp: true })
//! let token = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6IjIwMTktbWFpbiJ9.\
//!     eyJzdWIiOiJ1MSIsImF1ZCI6InVybjpiaWxsaW5nIiwiaXNzIjoiaHR0cHM6Ly9pZC5leGFtcGxlLmNvbSIs\
//!     ImV4cCI6NDEwMjQ0NDgwMH0.\
//!     VwmVcVekrc1sKFFKtc46NZXbXFEA5gr9k24VK0Q--gM";
//! let claims = jwt.verify::<serde_json::Value>(token).expect("signed by Node");
//! assert_eq!(claims["sub"], "u1");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! `Validation::set_audience` and `set_issuer` name several at once. A service that accepts the
//! tokens of every audience sets `validate_aud = false` in the `Validation`.
//!
//! *Moving back:* `jwt.verify` takes the tokens signed here as they are, and does not mind
//! their `kid`. Keep the secrets.
//!
//! # express-session with a secret array
//! What was `session({ secret: [process.env.SESSION_SECRET_NEW, process.env.SESSION_SECRET] })`:
//!
//! ```
//! use dualkey::{KeyRing, Secret};
//! use dualkey::cookie::{CookieKey, CookieSigner, LegacyCookie};
//! # use dualkey::ManualClock;
//! use std::time::{Duration, SystemTime, UNIX_EPOCH};
//!
//! # let clock = ManualClock::at_unix(1_700_000_000);
//! # let (old, new) = (Secret::from("old-secret-2025-Nf0Vg6Jc3Ds8Pw1Ra4Tb7Yx2Zq9Ml5Ki"),
//! #     Secret::from("kH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eUkH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eU"));
//! let session_life = Duration::from_secs(7 * 86400); // `cookie.maxAge`
//! let ring = KeyRing::<CookieKey>::builder()
//!     .primary(new)
//!     .fallback(old)
//!     .allow_short_fallbacks()
//!     .max_lifetime(session_life)
//! #   .clock(clock)
//!     .build()?;
//!
//! # let last_node_server_stops = UNIX_EPOCH + Duration::from_secs(1_700_086_400);
//! # /*
//! let last_node_server_stops = SystemTime::now() + Duration::from_secs(86400);
//! # */
//! let until = last_node_server_stops + session_life;
//! let sessions = CookieSigner::new(ring)
//!     .accept_legacy(LegacyCookie::Express, until)
//!     .persistent() // if `cookie.maxAge` was set
//!     .domain("example.com"); // if `cookie.domain` was "example.com" or ".example.com"
//!
//! // The `Cookie` header of a browser that logged in at the Node server:
//! let header = "connect.sid=s%3Ahello.jbqmU5IuVEsCRNx6k0jF3uhNAMmpoEHTTE4uZHJATd8; theme=dark";
//! let (sid, native) = sessions.verify_header("connect.sid", [header]).expect("logged in");
//! assert_eq!(*sid, "hello"); // the id in the store of sessions
//!
//! // Into `Set-Cookie` with it: under the new secret from now on.
//! let native = native.expect("an express cookie is signed again");
//! let set_cookie = sessions.set_cookie("connect.sid", &native)?.to_string();
//! assert!(set_cookie.ends_with("; Path=/; Domain=example.com; Max-Age=604800"));
//!
//! let (sid, unchanged) = sessions.verify_and_resign("connect.sid", &native).expect("native");
//! assert_eq!(*sid, "hello");
//! assert_eq!(unchanged, None);
//! # Ok::<(), dualkey::Error>(())
//! ```
//!
//! *A request carries no attributes.* What express-session had in `cookie` must be set here again:
//!
//! | express-session | here | unless set |
//! |---|---|---|
//! | `maxAge` | `max_age` and [`persistent`](crate::cookie::CookieSigner::persistent) | ends with the browser |
//! | `domain` | [`domain`](crate::cookie::CookieSigner::domain) | no `Domain` |
//! | `path`, `sameSite` | [`path`](crate::cookie::CookieSigner::path), [`same_site`](crate::cookie::CookieSigner::same_site) | `/`, `Lax` |
//! | `secure`, `httpOnly`, `partitioned` | the same | `true`, `true`, `false` |
//!
//! *`Domain` and `Path` must be the same as before.* A browser replaces a cookie only by one of the
//! same name, `Domain` and `Path`; otherwise it keeps both, and sends the older one first. Then the
//! first that verifies counts, a native one before one of express, so that a fresh login is not
//! hidden by the old cookie. The old cookie is never removed: a request does not show its `Domain`.
//! To remove one whose `Domain` you know, add this `Set-Cookie` to the response of a login:
//!
//! ```
//! # use dualkey::{KeyRing, Secret};
//! # use dualkey::cookie::{CookieKey, CookieSigner};
//! # let secret = "kH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eUkH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eU";
//! # let ring = KeyRing::<CookieKey>::builder().primary(Secret::from(secret)).build()?;
//! # let sessions = CookieSigner::new(ring);
//! let removal = sessions.clone().domain("example.com").removal("connect.sid")?.to_string();
//! assert!(removal.contains("; Domain=example.com; Max-Age=0"));
//! # Ok::<(), dualkey::Error>(())
//! ```
//!
//! The id of the session is signed; its data stays where it is, and both backends
//! read the same store. An express server with `rolling: true` signs again what it gets, in
//! its own form: the form of the cookie then changes with each server, and the session stays. To leave the cookies
//! to Node for a while, call [`verify`](crate::cookie::CookieSigner::verify) and set none.
//!
//! *Moving back:* a native cookie is nothing to express-session. Put `nativeCookies` of
//! [the file below](#for-a-node-backend) before it, *before* the first native cookie is
//! written, and keep it for the life of a session after the last one was:
//!
//! ```js
//! app.use(nativeCookies("connect.sid", secrets, 7 * 86400));
//! app.use(session({ secret: secrets }));
//! ```
//!
//! # Webhooks checked with `createHmac`
//! What was a loop with `createHmac("sha256", secret).update(body).digest("hex")`, compared
//! with `===`, whose time reveals where the digits differ:
//!
//! ```
//! use dualkey::{KeyRing, Secret};
//! use dualkey::webhook::{WebhookVerifier, WebhookKey};
//!
//! let ring = KeyRing::<WebhookKey>::builder()
//!     .primary(Secret::from("0f1e2d3c4b5a69788796a5b4c3d2e1f0"))
//!     .fallback(Secret::from("1222e786b144d0e85b9f365372d93676"))
//!     .build()?;
//! let hook = WebhookVerifier::new(ring);
//! let (header, raw_body) = (
//!     "sha256=369ad91d36d1279d28942b6b543b6a2ea42853d03276bf28ec4655a0b7a0c7e1",
//!     br#"{"object":"page"}"#,
//! );
//! assert!(hook.verify([header], raw_body).is_ok());
//! # Ok::<(), dualkey::Error>(())
//! ```
//!
//! The body has to be the bytes that came. `express.json()` with a `verify` callback kept
//! them; in axum, take `Bytes` and parse them afterwards. `JSON.stringify(req.body)` is
//! another text. Where a proxy has parsed the body and written it again, call
//! [`accept_unescaped`](crate::webhook::WebhookVerifier::accept_unescaped).
//!
//! A secret of fewer than 32 bytes, or a verify token of fewer than 16, is refused as the
//! primary. Keep it as a fallback until the sender has the new one:
//!
//! ```
//! use dualkey::{KeyRing, Secret};
//! use dualkey::webhook::{WebhookVerifier, VerifyToken, WebhookKey};
//!
//! let ring = KeyRing::<WebhookKey>::builder()
//!     .primary(Secret::from("0f1e2d3c4b5a69788796a5b4c3d2e1f0"))
//!     .fallback(Secret::from("orange-bicycle-42"))
//!     .allow_short_fallbacks()
//!     .build()?;
//! let tokens = KeyRing::<VerifyToken>::builder()
//!     .primary(Secret::from("hV3-dashboard-token"))
//!     .fallback(Secret::from("bluebird-7"))
//!     .allow_short_fallbacks()
//!     .build()?;
//! let hook = WebhookVerifier::new(ring).verify_tokens(tokens);
//! let header = "sha256=04c12aa23dcd2fe81e6db3554bd4700cfd991ab751208c0c18b4631de7bcd795";
//! assert!(hook.verify([header], br#"{"object":"page"}"#).is_ok());
//! assert!(hook.handshake("hub.mode=subscribe&hub.challenge=1&hub.verify_token=bluebird-7").is_ok());
//! # Ok::<(), dualkey::Error>(())
//! ```
//!
//! *Moving back:* nothing is stored. Keep the secrets.
//!
//! # Fields of an `encryption.ts`
//! What was `createCipheriv("aes-256-gcm", key, iv)`, stored as one of the
//! [four layouts](crate::envelope::Layout):
//!
//! ```
//! use dualkey::KeyRing;
//! use dualkey::envelope::{AesKey, Layout, Sealer};
//! # use dualkey::ManualClock;
//! use std::time::{Duration, SystemTime, UNIX_EPOCH};
//!
//! # let clock = ManualClock::at_unix(1_700_000_000);
//! # let until = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
//! # let fresh = "2b7e151628aed2a6abf7158809cf4f3c762e7160f38b4da56a784d9045190cfe";
//! # let node = "f8b4d5fe1f65e1aceed24c60bf2cb755f4f284e001e1a8ab97e328274bb90606";
//! // A fresh key from the start, and that of Node to open what there is: Buffer.from(key, "hex").
//! // For the other ways to make one: AesKey::base64, AesKey::sha256, AesKey::scrypt.
//! let ring = KeyRing::<AesKey>::builder()
//!     .primary(AesKey::hex(fresh)?)
//!     .fallback(AesKey::hex(node)?)
//! #   .clock(clock)
//!     .build()?;
//! # /*
//! let until = SystemTime::now() + Duration::from_secs(90 * 86400);
//! # */
//! // iv.toString("hex") + ":" + tag.toString("hex") + ":" + ct.toString("hex")
//! let notes = Sealer::new(ring).accept_legacy(Layout::HEX_IV_TAG_CT, until);
//!
//! let mut column = "9ad9a09c9944db8c22e8cf43:068477e78cb13b7b9996c50b5ab535e0:75e3e2bb9ee4fb0958193b"
//!     .to_owned();
//! assert_eq!(*notes.open(&column, "notes/7/body").expect("a row of Node's"), b"hello world");
//!
//! // Row by row, whenever it suits: what to store in its place.
//! if let Some(envelope) = notes.migrate(&column, "notes/7/body").expect("it opens") {
//!     column = envelope;
//! }
//! assert!(column.starts_with("dk1."));
//! assert_eq!(*notes.open(&column, "notes/7/body").expect("native"), b"hello world");
//! # Ok::<(), dualkey::Error>(())
//! ```
//!
//! An `iv` of 16 bytes is [`iv16`](crate::envelope::Layout::iv16); what `setAAD` was given is
//! [the context](crate::envelope::Layout::context_as_aad). The context of an envelope is yours to
//! choose: say what the value belongs to, and it opens nowhere else. Update a row only if it
//! still holds what was opened (`WHERE body = $old`), so that no write is lost. Any other
//! derivation of a key: do it, and pass the 32 bytes as a [`Secret`](crate::Secret).
//!
//! *Moving back:* Node opens envelopes with `openEnvelope` of
//! [the file below](#for-a-node-backend), and may write its own layout all the while. Without
//! it, keep a copy of the old column until you are sure.
//!
//! # `cookie::SignedJar`
//! What was `jar.signed(&key)`, with a key from `Key::from` (64 bytes) or `Key::derive_from`:
//!
//! ```
//! use dualkey::{KeyRing, Secret};
//! use dualkey::cookie::{Cookie, CookieJar, CookieKey, CookieSigner, LegacyCookie};
//! use std::time::{Duration, SystemTime};
//!
//! # let secret: Vec<u8> = (0..64).map(|byte: u8| byte.wrapping_mul(37) ^ 0x5a).collect();
//! // As it is: what the other library set.
//! let key = cookie::Key::from(&secret);
//! let mut theirs = CookieJar::new();
//! theirs.signed_mut(&key).add(Cookie::new("session", "user-42"));
//!
//! let ring = KeyRing::<CookieKey>::builder().primary(Secret::from(secret)).build()?;
//! let until = SystemTime::now() + Duration::from_secs(8 * 86400);
//! let signer = CookieSigner::new(ring).accept_legacy(LegacyCookie::SignedJar, until);
//!
//! let mut jar = CookieJar::new();
//! jar.add_original(theirs.get("session").expect("just set").clone());
//! let session = signer.jar(&mut jar).get("session").expect("signed with the same secret");
//! assert_eq!(session.value(), "user-42");
//! assert_eq!(jar.delta().count(), 1); // signed again, in the native form
//! # Ok::<(), dualkey::Error>(())
//! ```
//!
//! axum-extra's `SignedCookieJar` is of this form. The attributes are those of the signer, as
//! [above](#express-session-with-a-secret-array).
//!
//! *Moving back:* `SignedJar` does not read native cookies. Make the move in two releases:
//! the first reads both and continues to write with `SignedJar`, the second writes. From the
//! second there is a way back to the first.
//!
//! # `cookie::PrivateJar`
//! `jar.private(&key)`, axum-extra's `PrivateCookieJar`, and the default of actix-session and
//! Rocket encrypt a cookie: base64 of a nonce, the ciphertext and a tag, with the name of the cookie
//! as associated data. A [`Sealer`](crate::envelope::Sealer) opens it. The key is bytes 32 to 64 of
//! the `Key`:
//!
//! ```
//! use dualkey::{KeyRing, Secret};
//! use dualkey::envelope::{AesKey, Layout, Sealer};
//! use std::time::{Duration, SystemTime};
//!
//! # let secret: Vec<u8> = (0..64).collect();
//! // The bytes that were given to `Key::from`.
//! let key = Secret::from(secret[32..64].to_vec());
//! let ring = KeyRing::<AesKey>::builder().primary(key).build()?;
//! let until = SystemTime::now() + Duration::from_secs(8 * 86400);
//! let layout = Layout::BASE64_IV_CT_TAG.context_as_aad();
//! let sealer = Sealer::new(ring).accept_legacy(layout, until);
//!
//! // The value of the cookie `sid`, percent-decoded as a framework does it.
//! let value = "O6X5LeF4M7zJZS+IBFMOAunPdiopjx2XlFuYJhMUOFLyw1ZF89LJFvCA+o0=";
//! let session = sealer.open(value, "sid").expect("sealed by a private jar");
//! assert_eq!(*session, b"0123456789abcdef");
//! assert!(sealer.open(value, "another").is_err()); // the name is authenticated
//! # Ok::<(), dualkey::Error>(())
//! ```
//!
//! The key of `Key::derive_from` is bytes 32 to 64 of its expansion: HKDF-SHA-256 without extraction
//! (RFC 5869 §2.3), with the `info` `COOKIE;SIGNED:HMAC-SHA256;PRIVATE:AEAD-AES-256-GCM`. An id of a
//! session may then be [signed](crate::cookie::CookieSigner::sign). A value that the client must not
//! read stays sealed: [`migrate`](crate::envelope::Sealer::migrate) returns it as an envelope.
//!
//! *Moving back:* `PrivateJar` does not open envelopes. Make the move in two releases, as for
//! `SignedJar`.
//!
//! # PyJWT
//! What was `jwt.decode(token, secret, algorithms=["HS256"])` in a loop:
//!
//! ```
//! use dualkey::{KeyRing, Secret};
//! use dualkey::jwt::{Jwt, JwtKey};
//!
//! # let secret = "new-secret-2026-kH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5-\
//! #     7abcb5b8fe99fe77739a3b52e11a50b3ce1da013c2365ecedd6282a3d90ef491";
//! let ring = KeyRing::<JwtKey>::builder().primary(Secret::from(secret)).build()?;
//! // jwt.encode({"sub": "u1", "exp": 4102444800}, secret)
//! let token = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJ1MSIsImV4cCI6NDEwMjQ0NDgwMH0.\
//!     RGugcWSC1Hgd50GgyZ3SA-72TsosTOz2rPw96BWwJFE";
//! assert!(Jwt::new(ring).verify::<serde_json::Value>(token).is_ok());
//! # Ok::<(), dualkey::Error>(())
//! ```
//!
//! PyJWT has no leeway by default; here it is 60 seconds unless
//! [`leeway`](crate::jwt::Jwt::leeway) is set. Both take a secret as UTF-8. PyJWT accepts an `exp`
//! that is text, such as `"4102444800"`; here it is refused, because a date is a number (RFC 7519
//! §2). Have the issuer write a number, and wait until the last such token has expired. For
//! `aud`, `iss` and `kid`, see [above](#audience-issuer-and-kid).
//!
//! *Moving back:* `jwt.decode` takes the tokens signed here as they are. Keep the secrets.
//!
//! # For a Node backend
//! Beside this crate or after it: reads native cookies and envelopes with `node:crypto` alone.
//! Take it as it is; the tests run this very file.
//!
#![doc = "```js"]
#![doc = include_str!("native.cjs")]
#![doc = "```"]
