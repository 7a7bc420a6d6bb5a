//! Opening: an envelope with the key that it names, a legacy value with all that may be
//! meant.

use zeroize::Zeroizing;

use super::aead::{Cipher, KEY_LEN};
use super::format::{Head, Stored, associated};
use super::key::AesKey;
use super::legacy::{Layout, Parts};
use super::{Sealer, TRIED};
use crate::error::Reason;
use crate::key::Key;
use crate::ring::{Matched, View};
use crate::verified::Role;

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
        let (key, role) = match view.named(head.kid.as_str()) {
            Ok((key, role)) => (key, Some(role)),
            Err(Reason::RevokedKey) if rescue => {
                (view.revoked(&head.kid).ok_or(Reason::RevokedKey)?, None)
            }
            Err(reason) => return Err(reason),
        };
        let dek = unwrap(head, key, &blob)?;
        let (nonce, place, tag) = head.payload(&blob).ok_or(Reason::Malformed)?;
        let mut payload = blob[place].to_vec();
        match Cipher::new(&dek).open(&nonce, &associated(context), &mut payload, &tag) {
            true => Ok(Opened { key, role, form: None, payload }),
            false => Err(Reason::Signature),
        }
    }

    /// Decrypts `blob` in its place; on failure it stays as it is.
    pub(super) fn opened_in_place<'r, 'b>(
        &self,
        view: &View<'r, AesKey>,
        blob: &'b mut [u8],
        context: &[u8],
    ) -> Result<(Matched<'r, AesKey>, &'b mut [u8]), Reason> {
        let head = self.head(blob)?;
        let (key, role) = view.named(head.kid.as_str())?;
        let dek = unwrap(head, key, blob)?;
        let (nonce, place, tag) = head.payload(blob).ok_or(Reason::Malformed)?;
        let payload = &mut blob[place];
        match Cipher::new(&dek).open(&nonce, &associated(context), payload, &tag) {
            true => Ok(((key, role), payload)),
            false => Err(Reason::Signature),
        }
    }

    /// The head of a whole envelope of an allowed size.
    pub(super) fn head(&self, blob: &[u8]) -> Result<Head, Reason> {
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
            let mut buffer = parts.ciphertext.clone();
            for &(key, role) in &keys {
                if !parts.open(key.material(), context, &mut buffer) {
                    continue;
                }
                let payload = std::mem::replace(&mut buffer, parts.ciphertext.clone());
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

/// The data key of `blob`.
pub(super) fn unwrap(
    head: Head,
    key: &Key<AesKey>,
    blob: &[u8],
) -> Result<Zeroizing<[u8; KEY_LEN]>, Reason> {
    let (nonce, wrapped, tag) = head.wrap(blob).ok_or(Reason::Malformed)?;
    let mut dek = Zeroizing::new(wrapped);
    match key.material().cipher.open(&nonce, head.associated(blob), &mut *dek, &tag) {
        true => Ok(dek),
        false => Err(Reason::Signature),
    }
}
