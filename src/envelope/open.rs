//! Opening: an envelope with the key that it names, a legacy value with each key that may be meant.

use zeroize::Zeroizing;

use super::aead::{Cipher, KEY_LEN};
use super::format::{Head, Stored, associated};
use super::key::AesKey;
use super::legacy::{Layout, Parts};
use super::sealer::Sealer;
use crate::error::{Reason, VerifyError};
use crate::lifecycle::Role;
use crate::ring::Key;
use crate::ring::snapshot::{Matched, View};
use crate::verified::Verified;

/// The number of keys that are tried for a value that names none (V6).
const TRIED: usize = 4;

impl Sealer {
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
        self.ring.read(|view| open_verified(self, view, stored.as_ref(), context.as_ref()))
    }

    /// Opens an envelope in its own bytes, and returns the part of them that is the payload now:
    /// without a copy ([`Backend::RustCrypto`](super::Backend::RustCrypto)), or through one
    /// (`AwsLc`). It takes bytes alone: not the text form, and no legacy layout.
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
        self.ring.read(|view| match decrypt_in_place(self, view, blob, context.as_ref()) {
            Ok((key, payload)) => Ok(view.accept_named(key, payload)),
            Err(reason) => Err(view.reject(reason)),
        })
    }
}

/// A payload, with the key that it opened under.
pub(super) struct Opened<'r> {
    pub(super) key: &'r Key<AesKey>,
    /// None of a revoked key.
    pub(super) role: Option<Role>,
    /// The name of the layout, of a legacy value.
    pub(super) form: Option<&'static str>,
    pub(super) payload: Vec<u8>,
}

/// Opens what is stored, and counts the use of its key.
pub(super) fn open_verified(
    sealer: &Sealer,
    view: &View<'_, AesKey>,
    stored: &[u8],
    context: &[u8],
) -> Result<Verified<Vec<u8>>, VerifyError> {
    let opened = open_stored(sealer, view, stored, context, false);
    let opened = opened.map_err(|reason| view.reject(reason))?;
    let Some(role) = opened.role else { return Err(view.reject(Reason::RevokedKey)) };
    Ok(match opened.form {
        Some(form) => view.accept_legacy((opened.key, role), form, opened.payload),
        None => view.accept_named((opened.key, role), opened.payload),
    })
}

/// Opens what is stored in whichever form; with `rescue`, under a revoked key too.
pub(super) fn open_stored<'r>(
    sealer: &Sealer,
    view: &View<'r, AesKey>,
    stored: &[u8],
    context: &[u8],
    rescue: bool,
) -> Result<Opened<'r>, Reason> {
    let blob = match Stored::parse(stored, sealer.max_payload_bytes)? {
        Stored::Native(blob) => blob,
        Stored::Legacy(text) => return open_legacy(sealer, view, text, context, rescue),
    };
    let head = read_head(sealer, &blob)?;
    let (key, role) = find_key(view, head, rescue)?;
    let mut dek = Zeroizing::new([0; KEY_LEN]);
    unwrap(head, key, &blob, &mut dek)?;
    let payload = decrypt_to_vec(head, key, &blob, &dek, context)?;
    Ok(Opened { key, role, form: None, payload })
}

/// Decrypts `blob` in its place; on failure it stays as it is.
pub(super) fn decrypt_in_place<'r, 'b>(
    sealer: &Sealer,
    view: &View<'r, AesKey>,
    blob: &'b mut [u8],
    context: &[u8],
) -> Result<(Matched<'r, AesKey>, &'b mut [u8]), Reason> {
    let head = read_head(sealer, blob)?;
    let (key, role) = find_named(view, head)?;
    let mut dek = Zeroizing::new([0; KEY_LEN]);
    unwrap(head, key, blob, &mut dek)?;
    let (nonce, place, tag) = head.payload(blob).ok_or(Reason::Malformed)?;
    let payload = &mut blob[place];
    let cipher = Cipher::new(key.material().backend, &dek);
    let held =
        associated(context, |associated| cipher.open_in_place(&nonce, associated, payload, &tag));
    if held { Ok(((key, role), payload)) } else { Err(Reason::Signature) }
}

/// Reads the head of a whole envelope of an allowed size.
#[inline]
pub(super) fn read_head<'b>(sealer: &Sealer, blob: &'b [u8]) -> Result<Head<'b>, Reason> {
    let head = Head::parse(blob)?;
    if head.payload_len(blob) <= sealer.max_payload_bytes {
        Ok(head)
    } else {
        Err(Reason::TooLarge)
    }
}

/// Takes `text` apart in each layout that is on and fits its shape.
pub(super) fn match_layouts(
    sealer: &Sealer,
    view: &View<'_, AesKey>,
    text: &str,
) -> Result<Vec<Parts>, Reason> {
    let fitting: Vec<_> = sealer
        .legacy
        .iter()
        .filter_map(|(layout, until)| Some((layout.split(text)?, *until)))
        .collect();
    if fitting.is_empty() {
        let is_legacy = Layout::is_one(text);
        return Err(if is_legacy { Reason::LegacyNotAccepted } else { Reason::Malformed });
    }
    let now = view.now();
    let open: Vec<_> =
        fitting.into_iter().filter(|(_, until)| now < *until).map(|(parts, _)| parts).collect();
    match open.iter().map(|parts| parts.ciphertext.len()).max() {
        None => Err(Reason::LegacyEnded),
        Some(length) if length > sealer.max_payload_bytes => Err(Reason::TooLarge),
        Some(_) => Ok(open),
    }
}

/// Tries all keys in all layouts that may be meant, always, and takes what opens once.
fn open_legacy<'r>(
    sealer: &Sealer,
    view: &View<'r, AesKey>,
    text: &str,
    context: &[u8],
    rescue: bool,
) -> Result<Opened<'r>, Reason> {
    let shapes = match_layouts(sealer, view, text)?;
    let active = view.by_arrival().take(TRIED).map(|(key, role)| (key, Some(role)));
    let revoked = view.all_revoked().filter(|_| rescue).take(TRIED).map(|key| (key, None));
    let keys: Vec<_> = active.chain(revoked).collect();
    let mut found: Option<Opened<'r>> = None;
    let mut opened_twice = false;
    for parts in shapes {
        for &(key, role) in &keys {
            let Some(payload) = parts.open(key.material(), context) else { continue };
            // An empty ciphertext stands for the same in two layouts.
            opened_twice |= found.as_ref().is_some_and(|first| first.payload != payload);
            found = Some(Opened { key, role, form: Some(parts.layout.name()), payload });
        }
    }
    if opened_twice { Err(Reason::Ambiguous) } else { found.ok_or(Reason::Signature) }
}

/// As `vec![0; length]`, which asks for zeroed memory: before 2.41, glibc takes none of that
/// from what the thread has just freed, and for a payload of 1 KiB it takes 40 ns more.
#[allow(clippy::slow_vector_initialization)]
fn zeros(length: usize) -> Vec<u8> {
    let mut room = Vec::with_capacity(length);
    room.resize(length, 0);
    room
}

/// Finds the key that an envelope names.
#[inline]
fn find_named<'r>(view: &View<'r, AesKey>, head: Head<'_>) -> Result<Matched<'r, AesKey>, Reason> {
    view.named(head.kid).map_err(|reason| match reason {
        Reason::UnknownKid => head.reason_if_unknown(),
        reason => reason,
    })
}

/// Finds the key that an envelope names, with its role; with `rescue` a revoked one too, which has
/// none.
#[inline]
pub(super) fn find_key<'r>(
    view: &View<'r, AesKey>,
    head: Head<'_>,
    rescue: bool,
) -> Result<(&'r Key<AesKey>, Option<Role>), Reason> {
    match find_named(view, head) {
        Ok((key, role)) => Ok((key, Some(role))),
        Err(Reason::RevokedKey) if rescue => {
            let key = view.all_revoked().find(|key| key.is_named(head.kid));
            Ok((key.ok_or(Reason::RevokedKey)?, None))
        }
        Err(reason) => Err(reason),
    }
}

/// Decrypts the payload of `blob`, whose data key is `dek`.
#[inline]
pub(super) fn decrypt_to_vec(
    head: Head<'_>,
    key: &Key<AesKey>,
    blob: &[u8],
    dek: &[u8; KEY_LEN],
    context: &[u8],
) -> Result<Vec<u8>, Reason> {
    let mut payload = zeros(head.payload_len(blob));
    decrypt(head, key, blob, dek, context, &mut payload)?;
    Ok(payload)
}

/// Writes the payload of `blob`, whose data key is `dek`, into `payload`, of the same length; on
/// failure what is in there means nothing.
#[inline]
pub(super) fn decrypt(
    head: Head<'_>,
    key: &Key<AesKey>,
    blob: &[u8],
    dek: &[u8; KEY_LEN],
    context: &[u8],
    payload: &mut [u8],
) -> Result<(), Reason> {
    let (nonce, place, tag) = head.payload(blob).ok_or(Reason::Malformed)?;
    let held = associated(context, |associated| {
        let backend = key.material().backend;
        backend.open(dek, &nonce, associated, &blob[place], payload, &tag)
    });
    if held { Ok(()) } else { Err(Reason::Signature) }
}

/// Puts the data key of `blob` into `dek`: not moved once it is there.
#[inline]
pub(super) fn unwrap(
    head: Head<'_>,
    key: &Key<AesKey>,
    blob: &[u8],
    dek: &mut [u8; KEY_LEN],
) -> Result<(), Reason> {
    let (nonce, wrapped, tag) = head.wrap(blob).ok_or(Reason::Malformed)?;
    if key.material().cipher.open(&nonce, head.associated(blob), wrapped, dek, &tag) {
        Ok(())
    } else {
        Err(Reason::Signature)
    }
}
