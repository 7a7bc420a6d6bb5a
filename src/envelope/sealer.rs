//! `Sealer`: a ring, and the settings of its envelopes.

use std::time::SystemTime;

use super::aead::MAX_MESSAGE_BYTES;
use super::format::{self, Head};
use super::key::AesKey;
use super::legacy::Layout;
use crate::kid::Kid;
use crate::ring::KeyRing;

/// The default bound of a payload: 64 MiB.
const MAX_PAYLOAD_BYTES: usize = 64 * 1024 * 1024;

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
    pub(super) ring: KeyRing<AesKey>,
    pub(super) max_payload_bytes: usize,
    pub(super) legacy: Vec<(Layout, SystemTime)>,
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
    /// comes out of one [`needs_resign`](crate::Verified::needs_resign), and
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

    /// Returns the ring that it seals and opens with.
    #[must_use]
    pub fn ring(&self) -> &KeyRing<AesKey> {
        &self.ring
    }

    /// Returns the kid that an envelope names, as bytes or as text, without opening it; `None` if it
    /// is no envelope of this version. Nothing but opening the envelope proves that the kid is true.
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

    /// Returns the bound of the bytes of a stored value that this sealer reads.
    #[cfg_attr(
        not(feature = "full"),
        allow(dead_code, reason = "only `rewrap`, a higher module, reads whole stores")
    )]
    pub(crate) fn max_stored_bytes(&self) -> usize {
        format::max_stored(self.max_payload_bytes)
    }

    /// Returns the operations that bypass a revocation.
    pub fn dangerous(&self) -> Dangerous<'_> {
        Dangerous(self)
    }
}

/// The operations that bypass a rule. Each is reported to the observer.
#[must_use = "it does nothing by itself"]
#[derive(Debug, Clone, Copy)]
pub struct Dangerous<'s>(pub(super) &'s Sealer);
