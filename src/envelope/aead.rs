//! AES-256-GCM (SP 800-38D) with tags of 16 bytes: the one file that names the cipher.

use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::aes::Aes256;
use aes_gcm::aes::cipher::consts::U16;
use aes_gcm::{Aes256Gcm, AesGcm, Nonce};

pub(super) const KEY_LEN: usize = 32;
pub(super) const NONCE_LEN: usize = 12;
pub(super) const TAG_LEN: usize = 16;

/// SP 800-38D §5.2.1.1: 2^39 - 256 bits in one message.
pub(super) const MAX_MESSAGE_BYTES: u64 = (1 << 36) - 32;
const _: () = assert!(MAX_MESSAGE_BYTES == aes_gcm::P_MAX);

pub(super) type Tag = [u8; TAG_LEN];

/// A key with its schedule computed. Wiped on drop.
pub(super) struct Cipher(Aes256Gcm);

impl Cipher {
    pub(super) fn new(key: &[u8; KEY_LEN]) -> Self {
        Self(Aes256Gcm::new(key.into()))
    }

    /// Encrypts `buffer` in place; `None` if it is longer than a message may be.
    pub(super) fn seal(
        &self,
        nonce: &[u8; NONCE_LEN],
        associated: &[u8],
        buffer: &mut [u8],
    ) -> Option<Tag> {
        let nonce = Nonce::from(*nonce);
        self.0.encrypt_inout_detached(&nonce, associated, buffer.into()).ok().map(Into::into)
    }

    /// Decrypts `buffer` in place if its tag holds; if not, it stays as it is.
    pub(super) fn open(
        &self,
        nonce: &[u8; NONCE_LEN],
        associated: &[u8],
        buffer: &mut [u8],
        tag: &Tag,
    ) -> bool {
        let nonce = Nonce::from(*nonce);
        self.0.decrypt_inout_detached(&nonce, associated, buffer.into(), &(*tag).into()).is_ok()
    }
}

/// The same with nonces of 16 bytes, which legacy forms have and nothing here ever makes.
pub(super) struct LongNonceCipher(AesGcm<Aes256, U16>);

impl LongNonceCipher {
    pub(super) fn new(key: &[u8; KEY_LEN]) -> Self {
        Self(AesGcm::new(key.into()))
    }

    /// As [`Cipher::open`].
    pub(super) fn open(
        &self,
        nonce: &[u8; 16],
        associated: &[u8],
        buffer: &mut [u8],
        tag: &Tag,
    ) -> bool {
        let nonce = Nonce::from(*nonce);
        self.0.decrypt_inout_detached(&nonce, associated, buffer.into(), &(*tag).into()).is_ok()
    }
}
