//! AES-256-GCM (SP 800-38D) with tags of 16 bytes: the one file that names the cipher.

use aes_gcm::aead::array::ArraySize;
use aes_gcm::aead::consts::{U12, U16};
use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::aes::Aes256;
use aes_gcm::{AesGcm, Nonce};

pub(super) const KEY_LEN: usize = 32;
pub(super) const NONCE_LEN: usize = 12;
pub(super) const TAG_LEN: usize = 16;

/// SP 800-38D §5.2.1.1: 2^39 - 256 bits in one message.
pub(super) const MAX_MESSAGE_BYTES: u64 = (1 << 36) - 32;
const _: () = assert!(MAX_MESSAGE_BYTES == aes_gcm::P_MAX);

pub(super) type Tag = [u8; TAG_LEN];

/// A key with its schedule computed. Wiped on drop.
pub(super) struct Gcm<N: ArraySize>(AesGcm<Aes256, N>);

/// With nonces of 12 bytes, as of all that is made here.
pub(super) type Cipher = Gcm<U12>;
/// With nonces of 16 bytes, which legacy forms have.
pub(super) type LongNonceCipher = Gcm<U16>;

impl<N: ArraySize> Gcm<N> {
    pub(super) fn new(key: &[u8; KEY_LEN]) -> Self {
        Self(AesGcm::new(key.into()))
    }

    /// Decrypts `buffer` in place if its tag holds; if not, it stays as it is.
    pub(super) fn open<const LEN: usize>(
        &self,
        nonce: &[u8; LEN],
        associated: &[u8],
        buffer: &mut [u8],
        tag: &Tag,
    ) -> bool
    where
        Nonce<N>: From<[u8; LEN]>,
    {
        let nonce = Nonce::from(*nonce);
        self.0.decrypt_inout_detached(&nonce, associated, buffer.into(), &(*tag).into()).is_ok()
    }
}

impl Cipher {
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
}
