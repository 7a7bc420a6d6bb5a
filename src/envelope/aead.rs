//! AES-256-GCM (SP 800-38D) with tags of 16 bytes: the one file that names the libraries
//! which compute it.

use aes_gcm::aead::array::ArraySize;
use aes_gcm::aead::consts::{U12, U16};
use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::aes::Aes256Enc;
use aes_gcm::{AesGcm, Nonce};
#[cfg(feature = "aws-lc")]
use aws_lc_rs::aead as aws_lc;

pub(super) const KEY_LEN: usize = 32;
pub(super) const NONCE_LEN: usize = 12;
pub(super) const TAG_LEN: usize = 16;

/// SP 800-38D §5.2.1.1: 2^39 - 256 bits in one message.
pub(super) const MAX_MESSAGE_BYTES: u64 = (1 << 36) - 32;
const _: () = assert!(MAX_MESSAGE_BYTES == aes_gcm::P_MAX);

pub(super) type Tag = [u8; TAG_LEN];

/// Which library computes AES-256-GCM: the bytes are the same. It is chosen for a whole
/// ring, with [`RingBuilder::backend`](crate::RingBuilder::backend).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Backend {
    /// The `aes-gcm` crate: Rust alone, with the AES instructions where there are any.
    #[default]
    RustCrypto,
    /// The `aws-lc-rs` crate, which is faster, and built by a C compiler.
    #[cfg(feature = "aws-lc")]
    #[cfg_attr(docsrs, doc(cfg(feature = "aws-lc")))]
    AwsLc,
}

impl Backend {
    /// As [`Cipher::open`], with a key that opens this one message.
    #[inline]
    pub(super) fn open(
        self,
        key: &[u8; KEY_LEN],
        nonce: &[u8; NONCE_LEN],
        associated: &[u8],
        ciphertext: &[u8],
        payload: &mut [u8],
        tag: &Tag,
    ) -> bool {
        // Not through a `Cipher`: a schedule is long, and not moved into one.
        match self {
            Self::RustCrypto => {
                let cipher = AesGcm::<Aes256Enc, U12>::new(key.into());
                open(&cipher, nonce, associated, ciphertext, payload, tag)
            }
            #[cfg(feature = "aws-lc")]
            Self::AwsLc => {
                open_aws_lc(&aws_lc_key(key), nonce, associated, ciphertext, payload, tag)
            }
        }
    }
}

/// A key with its schedule computed, for nonces of 12 bytes, as of all that is made here.
/// Wiped on drop.
// On the stack: a box would be an allocation for each message.
#[cfg_attr(feature = "aws-lc", allow(clippy::large_enum_variant))]
pub(super) enum Cipher {
    RustCrypto(AesGcm<Aes256Enc, U12>),
    #[cfg(feature = "aws-lc")]
    AwsLc(aws_lc::LessSafeKey),
}

impl Cipher {
    #[inline]
    pub(super) fn new(backend: Backend, key: &[u8; KEY_LEN]) -> Self {
        match backend {
            Backend::RustCrypto => Self::RustCrypto(AesGcm::new(key.into())),
            #[cfg(feature = "aws-lc")]
            Backend::AwsLc => Self::AwsLc(aws_lc_key(key)),
        }
    }

    /// Decrypts `ciphertext` into `payload`, of the same length, and says whether its tag
    /// held; if not, what stands in `payload` means nothing.
    #[inline]
    pub(super) fn open(
        &self,
        nonce: &[u8; NONCE_LEN],
        associated: &[u8],
        ciphertext: &[u8],
        payload: &mut [u8],
        tag: &Tag,
    ) -> bool {
        match self {
            Self::RustCrypto(cipher) => open(cipher, nonce, associated, ciphertext, payload, tag),
            #[cfg(feature = "aws-lc")]
            Self::AwsLc(key) => open_aws_lc(key, nonce, associated, ciphertext, payload, tag),
        }
    }

    /// Decrypts `buffer` in its place if its tag holds; if not, it stays as it is.
    #[inline]
    pub(super) fn open_in_place(
        &self,
        nonce: &[u8; NONCE_LEN],
        associated: &[u8],
        buffer: &mut [u8],
        tag: &Tag,
    ) -> bool {
        match self {
            // Checks the tag before it decrypts.
            Self::RustCrypto(cipher) => cipher
                .decrypt_inout_detached(
                    &Nonce::from(*nonce),
                    associated,
                    buffer.into(),
                    &(*tag).into(),
                )
                .is_ok(),
            // Decrypts before it has checked: so not into the bytes that are to stay.
            #[cfg(feature = "aws-lc")]
            Self::AwsLc(_) => {
                let mut payload = zeroize::Zeroizing::new(vec![0; buffer.len()]);
                let held = self.open(nonce, associated, buffer, &mut payload, tag);
                if held {
                    buffer.copy_from_slice(&payload);
                }
                held
            }
        }
    }

    /// Encrypts `buffer` in place; `None` if it is longer than a message may be.
    #[inline]
    pub(super) fn seal(
        &self,
        nonce: &[u8; NONCE_LEN],
        associated: &[u8],
        buffer: &mut [u8],
    ) -> Option<Tag> {
        match self {
            Self::RustCrypto(cipher) => {
                let nonce = Nonce::from(*nonce);
                let tag = cipher.encrypt_inout_detached(&nonce, associated, buffer.into());
                tag.ok().map(Into::into)
            }
            #[cfg(feature = "aws-lc")]
            Self::AwsLc(key) => {
                let nonce = aws_lc::Nonce::assume_unique_for_key(*nonce);
                let associated = aws_lc::Aad::from(associated);
                let tag = key.seal_in_place_separate_tag(nonce, associated, buffer).ok()?;
                tag.as_ref().try_into().ok()
            }
        }
    }
}

/// A key for nonces of 16 bytes, which legacy forms have.
pub(super) struct LongNonceCipher(AesGcm<Aes256Enc, U16>);

impl LongNonceCipher {
    pub(super) fn new(key: &[u8; KEY_LEN]) -> Self {
        Self(AesGcm::new(key.into()))
    }

    /// As [`Cipher::open`].
    pub(super) fn open(
        &self,
        nonce: &[u8; 16],
        associated: &[u8],
        ciphertext: &[u8],
        payload: &mut [u8],
        tag: &Tag,
    ) -> bool {
        open(&self.0, nonce, associated, ciphertext, payload, tag)
    }
}

#[inline]
fn open<N: ArraySize, const LEN: usize>(
    cipher: &AesGcm<Aes256Enc, N>,
    nonce: &[u8; LEN],
    associated: &[u8],
    ciphertext: &[u8],
    payload: &mut [u8],
    tag: &Tag,
) -> bool
where
    Nonce<N>: From<[u8; LEN]>,
{
    let nonce = Nonce::from(*nonce);
    InOutBuf::new(ciphertext, payload).is_ok_and(|buffer| {
        cipher.decrypt_inout_detached(&nonce, associated, buffer, &(*tag).into()).is_ok()
    })
}

#[cfg(feature = "aws-lc")]
#[inline]
fn aws_lc_key(key: &[u8; KEY_LEN]) -> aws_lc::LessSafeKey {
    let key = aws_lc::UnboundKey::new(&aws_lc::AES_256_GCM, key);
    aws_lc::LessSafeKey::new(key.expect("AES-256 takes 32 bytes"))
}

#[cfg(feature = "aws-lc")]
#[inline]
fn open_aws_lc(
    key: &aws_lc::LessSafeKey,
    nonce: &[u8; NONCE_LEN],
    associated: &[u8],
    ciphertext: &[u8],
    payload: &mut [u8],
    tag: &Tag,
) -> bool {
    let nonce = aws_lc::Nonce::assume_unique_for_key(*nonce);
    let associated = aws_lc::Aad::from(associated);
    ciphertext.len() == payload.len()
        && key.open_separate_gather(nonce, associated, ciphertext, tag, payload).is_ok()
}
