//! Opening under a revoked key.

use super::open::open_stored;
use super::sealer::Dangerous;
use crate::error::VerifyError;
use crate::observer::Event;

impl Dangerous<'_> {
    /// Opens as [`Sealer::open`](super::Sealer::open) does, and under a revoked key too, so that a
    /// rewrap can rescue what the key sealed. Each time the observer receives
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
    /// ring.emergency_rotate(&leaked, "in a public log", AesKey::hex(new)?)?;
    ///
    /// assert_eq!(sealer.open(&note, "notes/7/body").unwrap_err().reason(), Reason::RevokedKey);
    /// let rescued = sealer.dangerous().open_revoked(&note, "notes/7/body").expect("rescued");
    /// let note = sealer.seal(&rescued, "notes/7/body")?; // under a key that nobody else has
    /// assert!(sealer.open(&note, "notes/7/body").is_ok());
    /// # Ok::<(), dualkey::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`Sealer::open`](super::Sealer::open).
    ///
    /// # Security
    /// **Who has the key can have written what it opens.** The result is no
    /// [`Verified`](crate::Verified): compare it with what you know of the value, and seal it again.
    pub fn open_revoked(
        &self,
        stored: impl AsRef<[u8]>,
        context: impl AsRef<[u8]>,
    ) -> Result<Vec<u8>, VerifyError> {
        self.0.ring.read(|view| {
            let opened = open_stored(self.0, view, stored.as_ref(), context.as_ref(), true);
            let opened = opened.map_err(|reason| view.reject(reason))?;
            let kid = opened.key.kid();
            match opened.role {
                None => view.emit(Event::OpenedRevoked { ring: view.ring(), kid }),
                Some(role) => opened.key.counters().count_verified(role, view.since_epoch()),
            }
            Ok(opened.payload)
        })
    }
}
