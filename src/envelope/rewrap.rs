//! Rewrapping: an envelope is opened, and sealed again under the primary.

use zeroize::Zeroizing;

use super::aead::KEY_LEN;
use super::format::{self, Head, Stored};
use super::key::AesKey;
use super::open::{
    decrypt, decrypt_to_vec, find_key, match_layouts, open_verified, read_head, unwrap,
};
use super::seal::{Draft, seal_payload};
use super::sealer::Sealer;
use crate::error::{Error, Reason, VerifyError};
use crate::lifecycle::Role;
use crate::ring::Key;
use crate::ring::snapshot::View;
use crate::verified::Verified;

/// An envelope could not be opened, or not be sealed again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RewrapError {
    /// What is stored does not open.
    #[error(transparent)]
    Open(#[from] VerifyError),
    /// The new envelope cannot be made.
    #[error(transparent)]
    Seal(#[from] Error),
}

impl Sealer {
    /// Whether an envelope, as bytes or as text, is under a key on its way out, as it says
    /// itself. A value of a legacy layout that was turned on always is one to write anew.
    ///
    /// ```
    /// # use dualkey::KeyRing;
    /// # use dualkey::envelope::{AesKey, Sealer};
    /// # let (old, new) = ("9f2c4b7e1a6d8035c4e7f1920b3a5d6c8e7f90a1b2c3d4e5f60718293a4b5c6d",
    /// #     "2b7e151628aed2a6abf7158809cf4f3c762e7160f38b4da56a784d9045190cfe");
    /// let ring = KeyRing::<AesKey>::builder().primary(AesKey::hex(old)?).build()?;
    /// let sealer = Sealer::new(ring.clone());
    /// let mut column = sealer.seal_text("a note", "notes/7/body")?;
    /// let kid = ring.stage(AesKey::hex(new)?)?;
    /// assert!(!sealer.needs_rewrap(&column).expect("its key is the primary"));
    ///
    /// ring.promote(&kid)?;
    /// assert!(sealer.needs_rewrap(&column).expect("its key is a fallback"));
    /// assert!(sealer.rewrap_text(&mut column, "notes/7/body").expect("it is as it was sealed"));
    /// assert!(!sealer.needs_rewrap(&column).expect("its key is the primary"));
    /// # Ok::<(), dualkey::Error>(())
    /// ```
    ///
    /// # Errors
    /// A [`VerifyError`] if it is neither, or names a key that does not open.
    pub fn needs_rewrap(&self, stored: impl AsRef<[u8]>) -> Result<bool, VerifyError> {
        let stored = stored.as_ref();
        // A look and no use: the observer is not told.
        self.ring.read(|view| match Head::peek(stored) {
            Some(kid) => Ok(view.named(kid.as_bytes())?.1 == Role::Fallback),
            None => match Stored::parse(stored, self.max_payload_bytes)? {
                Stored::Native(blob) => Ok(read_head(self, &blob).map(|_| false)?),
                Stored::Legacy(text) => Ok(match_layouts(self, view, text).map(|_| true)?),
            },
        })
    }

    /// Opens an envelope in its `context` and, if its key is on its way out, seals it again under
    /// the primary, with a new data key. Returns whether it did.
    ///
    /// An envelope under the primary, or under a staged key, is opened and stays as it is.
    ///
    /// ```
    /// # use dualkey::KeyRing;
    /// # use dualkey::envelope::{AesKey, Sealer};
    /// # let (old, new) = ("9f2c4b7e1a6d8035c4e7f1920b3a5d6c8e7f90a1b2c3d4e5f60718293a4b5c6d",
    /// #     "2b7e151628aed2a6abf7158809cf4f3c762e7160f38b4da56a784d9045190cfe");
    /// let ring = KeyRing::<AesKey>::builder().primary(AesKey::hex(old)?).build()?;
    /// let sealer = Sealer::new(ring.clone());
    /// let mut blob = sealer.seal("a note", "notes/7/body")?;
    /// let kid = ring.stage(AesKey::hex(new)?)?;
    /// ring.promote(&kid)?;
    ///
    /// let before = blob.clone();
    /// assert!(sealer.rewrap(&mut blob, "notes/8/body").is_err()); // of another row
    /// assert_eq!(blob, before);
    ///
    /// assert!(sealer.rewrap(&mut blob, "notes/7/body").expect("it opens"));
    /// assert_eq!(*sealer.open(&blob, "notes/7/body").expect("sealed again"), b"a note");
    /// assert!(!sealer.rewrap(&mut blob, "notes/7/body").expect("under the primary"));
    /// # Ok::<(), dualkey::Error>(())
    /// ```
    ///
    /// # Errors
    /// A [`RewrapError`]; the envelope stays as it is.
    ///
    /// # Security
    /// The old key never wrapped the new data key. So if it leaks later, it opens and forges
    /// nothing that was rewrapped before. It still opens older copies, such as backups.
    pub fn rewrap(
        &self,
        blob: &mut Vec<u8>,
        context: impl AsRef<[u8]>,
    ) -> Result<bool, RewrapError> {
        let new = self.ring.read(|view| rewrap_blob(self, view, blob, context.as_ref()))?;
        Ok(new.map(|new| *blob = new).is_some())
    }

    /// As [`rewrap`](Self::rewrap), for the text form.
    ///
    /// # Errors
    /// A [`RewrapError`]; the text stays as it is.
    pub fn rewrap_text(
        &self,
        text: &mut String,
        context: impl AsRef<[u8]>,
    ) -> Result<bool, RewrapError> {
        let new = self.ring.read(|view| {
            match Stored::parse(text.as_bytes(), self.max_payload_bytes) {
                Ok(Stored::Native(blob)) => rewrap_blob(self, view, &blob, context.as_ref()),
                Ok(Stored::Legacy(_)) => Err(view.reject(Reason::Malformed).into()),
                Err(reason) => Err(view.reject(reason).into()),
            }
        })?;
        Ok(new.map(|new| *text = format::to_text(&new)).is_some())
    }

    /// The envelope, in text form, that is to be stored in the place of a legacy value:
    /// sealed under the primary, in the same `context`. `None` if an envelope is stored
    /// already.
    ///
    /// ```
    /// # use dualkey::{KeyRing, ManualClock};
    /// # use dualkey::envelope::{AesKey, Layout, Sealer};
    /// # use std::time::{Duration, UNIX_EPOCH};
    /// # let key = AesKey::hex("f8b4d5fe1f65e1aceed24c60bf2cb755f4f284e001e1a8ab97e328274bb90606")?;
    /// # let until = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    /// # let clock = ManualClock::at_unix(1_700_000_000);
    /// # let ring = KeyRing::<AesKey>::builder().primary(key).clock(clock).build()?;
    /// # let sealer = Sealer::new(ring).accept_legacy(Layout::HEX_IV_TAG_CT, until);
    /// let stored = "9ad9a09c9944db8c22e8cf43:068477e78cb13b7b9996c50b5ab535e0:75e3e2bb9ee4fb0958193b";
    /// let envelope = sealer.migrate(stored, "notes/7/body").expect("it opens").expect("legacy");
    /// assert!(envelope.starts_with("dk1."));
    /// assert_eq!(*sealer.open(&envelope, "notes/7/body").expect("just sealed"), b"hello world");
    /// assert_eq!(sealer.migrate(&envelope, "notes/7/body").expect("an envelope"), None);
    /// # Ok::<(), dualkey::Error>(())
    /// ```
    ///
    /// # Errors
    /// A [`RewrapError`].
    pub fn migrate(
        &self,
        stored: &str,
        context: impl AsRef<[u8]>,
    ) -> Result<Option<String>, RewrapError> {
        self.ring.read(|view| {
            if let Ok(Stored::Native(blob)) =
                Stored::parse(stored.as_bytes(), self.max_payload_bytes)
            {
                return match read_head(self, &blob) {
                    Ok(_) => Ok(None),
                    Err(reason) => Err(view.reject(reason).into()),
                };
            }
            let opened = open_verified(self, view, stored.as_bytes(), context.as_ref())?;
            let payload = Zeroizing::new(opened.into_inner());
            let blob = seal_payload(self, view, &payload, context.as_ref())?;
            Ok(Some(format::to_text(&blob)))
        })
    }
}

/// Opens `blob`, and seals it again if its key is a fallback.
fn rewrap_blob(
    sealer: &Sealer,
    view: &View<'_, AesKey>,
    blob: &[u8],
    context: &[u8],
) -> Result<Option<Vec<u8>>, RewrapError> {
    let is_due = |role| role == Some(Role::Fallback);
    let Reopened { key, role, draft } = reopen(sealer, view, blob, context, false, is_due)?;
    let Some((draft, role)) = draft.zip(role) else { return Ok(None) };
    let new = draft.seal(view, context)?;
    let _: Verified<()> = view.accept_named((key, role), ());
    Ok(Some(new))
}

/// Opens `blob` in `context`, with `rescue` under a revoked key too. Where `is_due` says so of
/// the role of its key, what it opens is in a draft under the primary.
pub(super) fn reopen<'r>(
    sealer: &Sealer,
    view: &View<'r, AesKey>,
    blob: &[u8],
    context: &[u8],
    rescue: bool,
    is_due: impl FnOnce(Option<Role>) -> bool,
) -> Result<Reopened<'r>, RewrapError> {
    let refuse = |reason: Reason| RewrapError::Open(view.reject(reason));
    let mut dek = Zeroizing::new([0; KEY_LEN]);
    let head = read_head(sealer, blob).map_err(refuse)?;
    let (key, role) = find_key(view, head, rescue).map_err(refuse)?;
    unwrap(head, key, blob, &mut dek).map_err(refuse)?;
    if !is_due(role) {
        // Opened all the same: a stored value that does not open is found here.
        drop(Zeroizing::new(decrypt_to_vec(head, key, blob, &dek, context).map_err(refuse)?));
        return Ok(Reopened { key, role, draft: None });
    }
    let mut draft = Draft::for_length(view.primary()?, head.payload_len(blob));
    decrypt(head, key, blob, &dek, context, draft.payload()).map_err(refuse)?;
    Ok(Reopened { key, role, draft: Some(draft) })
}

/// An envelope that was opened, and what takes its place.
pub(super) struct Reopened<'r> {
    pub(super) key: &'r Key<AesKey>,
    /// None of a revoked key.
    pub(super) role: Option<Role>,
    /// None if it stays.
    pub(super) draft: Option<Draft<'r>>,
}
