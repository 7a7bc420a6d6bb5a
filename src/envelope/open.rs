//! Opening: an envelope with the key that it names, a legacy value with all that may be
//! meant.

use zeroize::Zeroizing;

use super::aead::{Cipher, KEY_LEN};
use super::format::{Head, Stored, associated};
use super::key::AesKey;
use super::legacy::{Layout, Parts};
use super::{Sealer, TRIED};
use crate::error::Reason;
use crate::lifecycle::Role;
use crate::ring::Key;
use crate::ring::snapshot::{Matched, View};

/// A payload, with the key that it opened under.
pub(super) struct Opened<'r> {
    pub(super) key: &'r Key<AesKey>,
    /// None of a revoked key.
    pub(super) role: Option<Role>,
    /// The name of the layout, of a legacy value.
    pub(super) form: Option<&'static str>,
    pub(super) payload: Vec<u8>,
}

impl Sealer {
    /// Opens what is stored in whichever form; with `rescue`, under a revoked key too.
    pub(super) fn opened<'r>(
        &self,
        view: &View<'r, AesKey>,
        stored: &[u8],
        context: &[u8],
        rescue: bool,
    ) -> Result<Opened<'r>, Reason> {
        let blob = match Stored::of(stored, self.max_payload_bytes)? {
            Stored::Native(blob) => blob,
            Stored::Legacy(text) => return self.legacy(view, text, context, rescue),
        };
        let head = self.head(&blob)?;
        let (key, role) = keyed(view, head, rescue)?;
        let mut dek = Zeroizing::new([0; KEY_LEN]);
        unwrap(head, key, &blob, &mut dek)?;
        let payload = decrypted(head, key, &blob, &dek, context)?;
        Ok(Opened { key, role, form: None, payload })
    }

    /// Decrypts `blob` in its place; on failure it stays as it is.
    pub(super) fn opened_in_place<'r, 'b>(
        &self,
        view: &View<'r, AesKey>,
        blob: &'b mut [u8],
        context: &[u8],
    ) -> Result<(Matched<'r, AesKey>, &'b mut [u8]), Reason> {
        let head = self.head(blob)?;
        let (key, role) = named(view, head)?;
        let mut dek = Zeroizing::new([0; KEY_LEN]);
        unwrap(head, key, blob, &mut dek)?;
        let (nonce, place, tag) = head.payload(blob).ok_or(Reason::Malformed)?;
        let payload = &mut blob[place];
        let cipher = Cipher::new(key.material().backend, &dek);
        let held = associated(context, |associated| {
            cipher.open_in_place(&nonce, associated, payload, &tag)
        });
        match held {
            true => Ok(((key, role), payload)),
            false => Err(Reason::Signature),
        }
    }

    /// The head of a whole envelope of an allowed size.
    #[inline]
    pub(super) fn head<'b>(&self, blob: &'b [u8]) -> Result<Head<'b>, Reason> {
        let head = Head::of(blob)?;
        match head.payload_len(blob) <= self.max_payload_bytes {
            true => Ok(head),
            false => Err(Reason::TooLarge),
        }
    }

    /// What `text` may be, by its shape, among the layouts that are on.
    pub(super) fn shapes(&self, view: &View<'_, AesKey>, text: &str) -> Result<Vec<Parts>, Reason> {
        let fitting: Vec<_> = self
            .legacy
            .iter()
            .filter_map(|(layout, until)| Some((layout.split(text)?, *until)))
            .collect();
        if fitting.is_empty() {
            return Err(match Layout::is_one(text) {
                true => Reason::LegacyNotAccepted,
                false => Reason::Malformed,
            });
        }
        let now = view.now();
        let open: Vec<_> =
            fitting.into_iter().filter(|(_, until)| now < *until).map(|(parts, _)| parts).collect();
        match open.iter().map(|parts| parts.ciphertext.len()).max() {
            None => Err(Reason::LegacyEnded),
            Some(length) if length > self.max_payload_bytes => Err(Reason::TooLarge),
            Some(_) => Ok(open),
        }
    }

    /// Tries all keys in all layouts that may be meant, always, and takes what opens once.
    fn legacy<'r>(
        &self,
        view: &View<'r, AesKey>,
        text: &str,
        context: &[u8],
        rescue: bool,
    ) -> Result<Opened<'r>, Reason> {
        let shapes = self.shapes(view, text)?;
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
        match opened_twice {
            true => Err(Reason::Ambiguous),
            false => found.ok_or(Reason::Signature),
        }
    }
}

/// As `vec![0; length]`, which asks for zeroed memory: before 2.41, glibc takes none of that
/// from what the thread has just freed, and for a payload of 1 KiB it takes 40 ns more.
#[allow(clippy::slow_vector_initialization)]
fn room(length: usize) -> Vec<u8> {
    let mut room = Vec::with_capacity(length);
    room.resize(length, 0);
    room
}

/// The key that an envelope names.
#[inline]
pub(super) fn named<'r>(
    view: &View<'r, AesKey>,
    head: Head<'_>,
) -> Result<Matched<'r, AesKey>, Reason> {
    view.named(head.kid).map_err(|reason| match reason {
        Reason::UnknownKid => head.unknown(),
        reason => reason,
    })
}

/// The key that an envelope names, with its role; with `rescue` a revoked one too, which has
/// none.
#[inline]
pub(super) fn keyed<'r>(
    view: &View<'r, AesKey>,
    head: Head<'_>,
    rescue: bool,
) -> Result<(&'r Key<AesKey>, Option<Role>), Reason> {
    match named(view, head) {
        Ok((key, role)) => Ok((key, Some(role))),
        Err(Reason::RevokedKey) if rescue => {
            let key = view.all_revoked().find(|key| key.is_named(head.kid));
            Ok((key.ok_or(Reason::RevokedKey)?, None))
        }
        Err(reason) => Err(reason),
    }
}

/// The payload of `blob`, whose data key is `dek`.
#[inline]
pub(super) fn decrypted(
    head: Head<'_>,
    key: &Key<AesKey>,
    blob: &[u8],
    dek: &[u8; KEY_LEN],
    context: &[u8],
) -> Result<Vec<u8>, Reason> {
    let mut payload = room(head.payload_len(blob));
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
    match held {
        true => Ok(()),
        false => Err(Reason::Signature),
    }
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
    match key.material().cipher.open(&nonce, head.associated(blob), wrapped, dek, &tag) {
        true => Ok(()),
        false => Err(Reason::Signature),
    }
}
