//! Envelopes for data at rest: every message under a key of its own, which is wrapped
//! under a key of the ring.
//!
//! ```text
//! magic "DK" | version 1 | algorithm 1 | kid length u8 | kid
//! wrap nonce 12 | wrapped DEK 32 | wrap tag 16    associated data: all bytes before the wrap nonce
//! nonce 12 | ciphertext n | tag 16                associated data: magic, version, algorithm, context
//! ```
//!
//! Both are AES-256-GCM. The data-encryption key (DEK) and the nonces come from the
//! operating system, fresh for every message; the key-encryption key (KEK) is the key of
//! the ring. An envelope has 93 bytes more than its payload, and its kid. Its text form,
//! for columns of text, is `dk1.` and the unpadded base64url of these bytes.
//!
//! It promises *confidentiality and integrity*: of the payload, and that it is opened in
//! the *context* it was sealed in, such as the table, row and column that it belongs to. An
//! envelope names its key, and is opened with that key alone: GCM does not commit to its
//! key, and ciphertexts that open under two keys are easily made.
//!
//! It does not promise *freshness* (an older value of the same context opens as well), and
//! does not hide the length of the payload nor which key it is under. A key seals at most
//! 2^32 messages (SP 800-38D §8.3): each process counts its own, warns from 2^28 on through
//! [`Event::WearsOut`], and refuses at the limit; the sum over a
//! fleet is yours to keep. A key that Node has used under random `iv`s has used up of the
//! same allowance.
//!
//! # Rotation
//! Encryption keys do not end by time. [Promote](crate::KeyRing::promote) a new one, and
//! what is written from then on is under it; rewrap what is stored, which a sweep of the module
//! `rewrap` does while the service runs; then, and not before,
//! [retire](crate::KeyRing::retire) the old one.
//!
//! A [`rewrap`](Sealer::rewrap) opens the value in its context and seals it again, with a new
//! DEK. So no KEK but the one that an envelope names ever wrapped its DEK, and every rewrap proves
//! that the value opens. If a KEK leaks, revoke it. Values that were rewrapped before are safe;
//! values still under it are opened with [`open_revoked`](Dangerous::open_revoked) and sealed
//! again.

mod aead;
mod column;
mod format;
mod key;
mod legacy;
mod open;
mod rewrap;
#[cfg(feature = "rewrap")]
mod rewrap_stored;
mod seal;
#[cfg(any(feature = "sqlx-sqlite", feature = "sqlx-postgres"))]
mod sql;

#[cfg(test)]
mod tests;

use std::time::SystemTime;

use crate::error::{Error, Reason, VerifyError};
use crate::kid::Kid;
use crate::observer::Event;
use crate::ring::KeyRing;
use crate::ring::snapshot::View;
use crate::verified::Verified;

pub use aead::Backend;
use aead::MAX_MESSAGE_BYTES;
pub use column::{Payload, Sealed};
use format::Head;
#[cfg(feature = "rewrap")]
use format::is_binary;
pub use key::AesKey;
pub use legacy::Layout;
pub use rewrap::RewrapError;
#[cfg(feature = "rewrap")]
pub(crate) use rewrap_stored::How;

/// The default bound of a payload: 64 MiB.
const MAX_PAYLOAD_BYTES: usize = 64 * 1024 * 1024;
/// Of the keys that verify, so many are tried for a value that names none (V6).
const TRIED: usize = 4;

/// Seals and opens over a ring. A clone is cheap, and shares the ring.
///
/// ```
/// use dualkey::KeyRing;
/// use dualkey::envelope::{AesKey, Sealer};
///
/// # let (old, new) = ("9f2c4b7e1a6d8035c4e7f1920b3a5d6c8e7f90a1b2c3d4e5f60718293a4b5c6d",
/// #     "2b7e151628aed2a6abf7158809cf4f3c762e7160f38b4da56a784d9045190cfe");
/// let ring = KeyRing::<AesKey>::builder().primary(AesKey::hex(old)?).build()?;
/// let sealer = Sealer::new(ring.clone());
/// let mut note = sealer.seal("a note", "notes/7/body")?;
///
/// let kid = ring.stage(AesKey::hex(new)?)?;
/// ring.promote(&kid)?;
/// assert!(sealer.rewrap(&mut note, "notes/7/body").expect("its key is a fallback now")); // changed
///
/// let opened = sealer.open(&note, "notes/7/body").expect("sealed in this context");
/// assert_eq!(*opened, b"a note");
/// assert_eq!(opened.kid(), kid);
/// assert!(sealer.open(&note, "notes/8/body").is_err());
/// # Ok::<(), dualkey::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Sealer {
    ring: KeyRing<AesKey>,
    max_payload_bytes: usize,
    legacy: Vec<(Layout, SystemTime)>,
}

impl Sealer {
    /// Payloads have at most 64 MiB, and no legacy layout is read.
    #[must_use]
    pub fn new(ring: KeyRing<AesKey>) -> Self {
        Self { ring, max_payload_bytes: MAX_PAYLOAD_BYTES, legacy: Vec::new() }
    }

    /// Refuses, and refuses to make, envelopes of more than `bytes` of payload. 64 MiB
    /// unless set; GCM allows 64 GiB less 32 bytes (SP 800-38D §5.2.1.1).
    #[must_use]
    pub fn max_payload_bytes(mut self, bytes: usize) -> Self {
        self.max_payload_bytes = bytes.min(usize::try_from(MAX_MESSAGE_BYTES).unwrap_or(bytes));
        self
    }

    /// Also opens values of a legacy `layout`, until `until`. They are never written: what
    /// comes out of one [`needs_resign`](Verified::needs_resign), and
    /// [`migrate`](Self::migrate) makes an envelope of it.
    ///
    /// ```
    /// use dualkey::KeyRing;
    /// use dualkey::envelope::{AesKey, Layout, Sealer};
    /// # use dualkey::ManualClock;
    /// use std::time::{Duration, SystemTime, UNIX_EPOCH};
    ///
    /// # let clock = ManualClock::at_unix(1_700_000_000);
    /// // ENCRYPTION_KEY as Node had it, and a value that its `encryption.ts` wrote.
    /// let key = AesKey::hex("f8b4d5fe1f65e1aceed24c60bf2cb755f4f284e001e1a8ab97e328274bb90606")?;
    /// let stored = "9ad9a09c9944db8c22e8cf43:068477e78cb13b7b9996c50b5ab535e0:75e3e2bb9ee4fb0958193b";
    ///
    /// # let until = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    /// # let ring = KeyRing::<AesKey>::builder().primary(key).clock(clock).build()?;
    /// # /*
    /// let until = SystemTime::now() + Duration::from_secs(90 * 86400);
    /// let ring = KeyRing::<AesKey>::builder().primary(key).build()?;
    /// # */
    /// let sealer = Sealer::new(ring).accept_legacy(Layout::HEX_IV_TAG_CT, until);
    /// let opened = sealer.open(stored, "notes/7/body").expect("a value of this layout");
    /// assert_eq!(*opened, b"hello world");
    /// assert!(opened.needs_resign());
    /// # Ok::<(), dualkey::Error>(())
    /// ```
    ///
    /// # Security
    /// A legacy value names no key, so keys are tried (V6): those that verify, at most the
    /// four that came into the ring first, and always all of them. What opens under more
    /// than one, or in more than one layout, is refused.
    #[must_use]
    pub fn accept_legacy(mut self, layout: Layout, until: SystemTime) -> Self {
        self.legacy.retain(|(known, _)| *known != layout);
        self.legacy.push((layout, until));
        self
    }

    /// The ring that it seals and opens with.
    #[must_use]
    pub fn ring(&self) -> &KeyRing<AesKey> {
        &self.ring
    }

    /// Seals `payload` under the primary, to be opened in the same `context` alone.
    ///
    /// # Errors
    /// [`Error::Seal`] if it is too large or the operating system gives no random numbers;
    /// [`Error::Exhausted`] if the primary has sealed as much as it may.
    pub fn seal(
        &self,
        payload: impl AsRef<[u8]>,
        context: impl AsRef<[u8]>,
    ) -> Result<Vec<u8>, Error> {
        self.ring.read(|view| self.sealed(view, payload.as_ref(), context.as_ref()))
    }

    /// As [`seal`](Self::seal), in text form.
    ///
    /// # Errors
    /// As for [`seal`](Self::seal).
    pub fn seal_text(
        &self,
        payload: impl AsRef<[u8]>,
        context: impl AsRef<[u8]>,
    ) -> Result<String, Error> {
        self.seal(payload, context).map(|blob| format::to_text(&blob))
    }

    /// Opens what is stored: an envelope as bytes or as text, or a value of a legacy layout
    /// that was turned on.
    ///
    /// # Errors
    /// A [`VerifyError`], of which the peer may be told nothing.
    ///
    /// # Security
    /// Nothing is handed out before the tag held. An envelope is opened with the key
    /// that it names, and never tried with another (V6).
    pub fn open(
        &self,
        stored: impl AsRef<[u8]>,
        context: impl AsRef<[u8]>,
    ) -> Result<Verified<Vec<u8>>, VerifyError> {
        self.ring.read(|view| self.verified(view, stored.as_ref(), context.as_ref()))
    }

    /// Opens an envelope in its own bytes, without a copy ([`Backend::RustCrypto`]) or through
    /// one (`AwsLc`), and returns the part of them that is the payload now. Bytes alone: not the text form, no legacy layout.
    ///
    /// ```
    /// # use dualkey::KeyRing;
    /// # use dualkey::envelope::{AesKey, Sealer};
    /// # let key = "9f2c4b7e1a6d8035c4e7f1920b3a5d6c8e7f90a1b2c3d4e5f60718293a4b5c6d";
    /// # let ring = KeyRing::<AesKey>::builder().primary(AesKey::hex(key)?).build()?;
    /// # let sealer = Sealer::new(ring);
    /// let mut blob = sealer.seal("a note", "notes/7/body")?;
    /// let before = blob.clone();
    /// assert!(sealer.open_in_place(&mut blob, "another context").is_err());
    /// assert_eq!(blob, before);
    ///
    /// let opened = sealer.open_in_place(&mut blob, "notes/7/body").expect("just sealed");
    /// assert_eq!(**opened, *b"a note");
    /// # Ok::<(), dualkey::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`open`](Self::open); the bytes are as they were.
    pub fn open_in_place<'b>(
        &self,
        blob: &'b mut [u8],
        context: impl AsRef<[u8]>,
    ) -> Result<Verified<&'b mut [u8]>, VerifyError> {
        self.ring.read(|view| match self.opened_in_place(view, blob, context.as_ref()) {
            Ok((key, payload)) => Ok(view.accept_named(key, payload)),
            Err(reason) => Err(view.reject(reason)),
        })
    }

    /// The kid that an envelope names, as bytes or as text, without opening it; `None` if
    /// it is no envelope of this version. Nothing says that it is true: opening does.
    ///
    /// ```
    /// # use dualkey::KeyRing;
    /// # use dualkey::envelope::{AesKey, Sealer};
    /// # let key = "9f2c4b7e1a6d8035c4e7f1920b3a5d6c8e7f90a1b2c3d4e5f60718293a4b5c6d";
    /// # let ring = KeyRing::<AesKey>::builder().primary(AesKey::hex(key)?).build()?;
    /// let sealer = Sealer::new(ring.clone());
    /// assert_eq!(Sealer::kid_of(sealer.seal("a note", "")?), ring.primary());
    /// assert_eq!(Sealer::kid_of(sealer.seal_text("a note", "")?), ring.primary());
    /// assert_eq!(Sealer::kid_of("something else"), None);
    /// # Ok::<(), dualkey::Error>(())
    /// ```
    #[must_use]
    pub fn kid_of(stored: impl AsRef<[u8]>) -> Option<Kid> {
        Head::peek(stored.as_ref())
    }

    /// The one way around a revocation.
    pub fn dangerous(&self) -> Dangerous<'_> {
        Dangerous(self)
    }

    fn verified(
        &self,
        view: &View<'_, AesKey>,
        stored: &[u8],
        context: &[u8],
    ) -> Result<Verified<Vec<u8>>, VerifyError> {
        let opened = self.opened(view, stored, context, false);
        let opened = opened.map_err(|reason| view.reject(reason))?;
        let Some(role) = opened.role else { return Err(view.reject(Reason::RevokedKey)) };
        Ok(match opened.form {
            Some(form) => view.accept_legacy((opened.key, role), form, opened.payload),
            None => view.accept_named((opened.key, role), opened.payload),
        })
    }
}

/// What goes around the rules, and is told of to the observer.
#[must_use = "it does nothing by itself"]
#[derive(Debug, Clone, Copy)]
pub struct Dangerous<'s>(&'s Sealer);

impl Dangerous<'_> {
    /// Opens as [`Sealer::open`] does, and under a revoked key too, so that a sweep can
    /// rescue what it sealed. Each time the observer is told
    /// [`Event::OpenedRevoked`].
    ///
    /// ```
    /// # use dualkey::{KeyRing, Reason};
    /// # use dualkey::envelope::{AesKey, Sealer};
    /// # let (old, new) = ("9f2c4b7e1a6d8035c4e7f1920b3a5d6c8e7f90a1b2c3d4e5f60718293a4b5c6d",
    /// #     "2b7e151628aed2a6abf7158809cf4f3c762e7160f38b4da56a784d9045190cfe");
    /// let ring = KeyRing::<AesKey>::builder().primary(AesKey::hex(old)?).build()?;
    /// let sealer = Sealer::new(ring.clone());
    /// let note = sealer.seal("a note", "notes/7/body")?;
    /// let leaked = ring.primary().unwrap();
    /// ring.revoke_and_replace(&leaked, "in a public log", AesKey::hex(new)?)?;
    ///
    /// assert_eq!(sealer.open(&note, "notes/7/body").unwrap_err().reason(), Reason::RevokedKey);
    /// let rescued = sealer.dangerous().open_revoked(&note, "notes/7/body").expect("rescued");
    /// let note = sealer.seal(&rescued, "notes/7/body")?; // under a key that nobody else has
    /// assert!(sealer.open(&note, "notes/7/body").is_ok());
    /// # Ok::<(), dualkey::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`Sealer::open`].
    ///
    /// # Security
    /// **Who has the key can have written what it opens.** The result is no
    /// [`Verified`]: compare it with what you know of the value, and seal it again.
    pub fn open_revoked(
        &self,
        stored: impl AsRef<[u8]>,
        context: impl AsRef<[u8]>,
    ) -> Result<Vec<u8>, VerifyError> {
        self.0.ring.read(|view| {
            let opened = self.0.opened(view, stored.as_ref(), context.as_ref(), true);
            let opened = opened.map_err(|reason| view.reject(reason))?;
            let kid = opened.key.kid();
            match opened.role {
                None => view.tell(Event::OpenedRevoked { ring: view.ring(), kid }),
                Some(role) => opened.key.counters().verified(role, view.since_epoch()),
            }
            Ok(opened.payload)
        })
    }
}
