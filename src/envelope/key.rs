//! The keys of a ring that seals: how a backend has them, and how often one may be used.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use zeroize::Zeroizing;

use super::aead::{Backend, Cipher, KEY_LEN, LongNonceCipher, NONCE_LEN};
use crate::encoding::{from_any_base64, from_hex};
use crate::error::Error;
use crate::kid::Kid;
use crate::purpose::Purpose;
use crate::ring::RingBuilder;
use crate::ring::key::sealed;
use crate::ring::{KeyMaterial, NewKey};

/// SP 800-38D §8.3: random nonces of 96 bits are enough for 2^32 messages of one key.
const MAX_MESSAGES: u64 = 1 << 32;
/// From here on it is told of, in time for a rotation.
const WARN_AT: u64 = 1 << 28;

/// The material of a key-encryption key of AES-256: exactly 32 bytes.
///
/// Backends keep them as text. Beside the 32 bytes themselves (a [`Secret`](crate::Secret)), there is a
/// constructor for each of the ways in which Node backends make a key of what stands in
/// their environment:
///
/// ```
/// use dualkey::KeyRing;
/// use dualkey::envelope::AesKey;
///
/// # let hex = "9f2c4b7e1a6d8035c4e7f1920b3a5d6c8e7f90a1b2c3d4e5f60718293a4b5c6d";
/// let ring = KeyRing::<AesKey>::builder()
///     .primary(AesKey::hex(hex)?)
///     .fallback(AesKey::sha256("the passphrase of encryption.ts")?)
///     .build()?;
/// assert_eq!(ring.keys().len(), 2);
/// # Ok::<(), dualkey::Error>(())
/// ```
///
/// From the environment ([`KeyRing::from_env`](crate::KeyRing::from_env)) a key is 64
/// hexadecimal digits or base64.
///
/// # Security
/// A key made of a passphrase is as strong as the passphrase: whoever holds one sealed
/// value can search for it. Take such a key in as a fallback, to open what there is, and a
/// random one as the primary.
pub struct AesKey {
    pub(super) cipher: Cipher,
    pub(super) backend: Backend,
    pub(super) long_nonce: LongNonceCipher,
    sealed: AtomicU64,
}

impl AesKey {
    /// 64 hexadecimal digits, as in `Buffer.from(key, "hex")`.
    ///
    /// # Errors
    /// [`Error::Encoding`]; building the ring refuses what is not 32 bytes.
    pub fn hex(digits: &str) -> Result<NewKey<Self>, Error> {
        new_key(from_hex(digits), "hexadecimal digits")
    }

    /// Base64 of either alphabet, padded or not, as in `Buffer.from(key, "base64")`.
    ///
    /// # Errors
    /// [`Error::Encoding`]; building the ring refuses what is not 32 bytes.
    pub fn base64(text: &str) -> Result<NewKey<Self>, Error> {
        new_key(from_any_base64(text), "base64")
    }

    /// SHA-256 of a passphrase, as in `createHash("sha256").update(passphrase).digest()`.
    ///
    /// # Security
    /// A weak passphrase can be searched for by whoever holds one row that is sealed with it, or
    /// its kid, which is derived from the key and is in logs, metrics and reports.
    ///
    /// # Errors
    /// [`Error::EmptySecret`] for an empty passphrase.
    pub fn sha256(passphrase: &str) -> Result<NewKey<Self>, Error> {
        check_not_empty(passphrase)?;
        let key: [u8; KEY_LEN] = <sha2::Sha256 as sha2::Digest>::digest(passphrase).into();
        Ok(NewKey::new(&Zeroizing::new(key)[..]))
    }

    /// scrypt (RFC 7914) with the parameters that Node takes unless told otherwise, as in
    /// `scryptSync(passphrase, salt, 32)`: N = 16384, r = 8, p = 1. It takes some 30
    /// milliseconds and 16 MiB.
    ///
    /// ```
    /// use dualkey::KeyRing;
    /// use dualkey::envelope::AesKey;
    ///
    /// let key = AesKey::scrypt("the passphrase of encryption.ts", "salt")?;
    /// assert!(KeyRing::<AesKey>::builder().primary(key).build().is_ok());
    /// # Ok::<(), dualkey::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::EmptySecret`] for an empty passphrase.
    #[cfg(feature = "scrypt")]
    #[cfg_attr(docsrs, doc(cfg(feature = "scrypt")))]
    pub fn scrypt(passphrase: &str, salt: &str) -> Result<NewKey<Self>, Error> {
        check_not_empty(passphrase)?;
        let parameters = scrypt::Params::new(14, 8, 1).expect("RFC 7914 §2 allows them");
        let mut key = Zeroizing::new([0; KEY_LEN]);
        scrypt::scrypt(passphrase.as_bytes(), salt.as_bytes(), &parameters, &mut *key)
            .expect("scrypt makes keys of 32 bytes");
        Ok(NewKey::new(&key[..]))
    }

    /// Counts one more message of this key, which this makes the `n`th of this process.
    /// `None` if it may not be.
    pub(super) fn count(&self) -> Option<u64> {
        let number = self.sealed.fetch_add(1, Relaxed).saturating_add(1);
        (number <= MAX_MESSAGES).then_some(number)
    }

    /// Whether the `n`th message is one to tell of: at the warning, and at each doubling.
    pub(super) fn is_worth_telling(number: u64) -> bool {
        number >= WARN_AT && number.is_power_of_two()
    }

    #[cfg(test)]
    pub(super) fn get_count(&self) -> u64 {
        self.sealed.load(Relaxed)
    }

    #[cfg(test)]
    pub(super) fn set_count(&self, count: u64) {
        self.sealed.store(count, Relaxed);
    }
}

impl RingBuilder<AesKey> {
    /// Which library computes the ciphertexts, of all keys that this ring ever gets.
    /// [`Backend::RustCrypto`] unless set. What one has sealed, the other opens.
    ///
    /// ```
    /// use dualkey::KeyRing;
    /// use dualkey::envelope::{AesKey, Backend, Sealer};
    ///
    /// # let key = "9f2c4b7e1a6d8035c4e7f1920b3a5d6c8e7f90a1b2c3d4e5f60718293a4b5c6d";
    /// let builder = KeyRing::<AesKey>::builder().primary(AesKey::hex(key)?);
    /// # #[cfg(feature = "aws-lc")]
    /// let builder = builder.backend(Backend::AwsLc); // with the feature `aws-lc`
    /// let sealer = Sealer::new(builder.build()?);
    /// # let slow = KeyRing::<AesKey>::builder().primary(AesKey::hex(key)?);
    /// # let slow = Sealer::new(slow.backend(Backend::RustCrypto).build()?);
    /// # let blob = slow.seal("a note", "notes/7/body")?;
    /// # assert_eq!(*sealer.open(&blob, "notes/7/body").expect("the same bytes"), b"a note");
    /// # Ok::<(), dualkey::Error>(())
    /// ```
    pub fn backend(self, backend: Backend) -> Self {
        self.options(backend)
    }
}

fn new_key(bytes: Option<Vec<u8>>, expected: &'static str) -> Result<NewKey<AesKey>, Error> {
    let bytes = bytes.ok_or_else(|| Error::Encoding { key: "the AES key".to_owned(), expected })?;
    Ok(NewKey::new(bytes))
}

fn check_not_empty(passphrase: &str) -> Result<(), Error> {
    if passphrase.is_empty() {
        return Err(Error::EmptySecret { key: "the passphrase".to_owned() });
    }
    Ok(())
}

impl sealed::Sealed for AesKey {}

impl KeyMaterial for AesKey {
    const PURPOSE: Purpose = Purpose::Envelope;
    type Options = Backend;

    fn prepare(secret: &[u8], _: Kid, backend: &Backend) -> Result<Self, String> {
        // The length was checked; this keeps the way without a panic.
        let key = secret.try_into().map_err(|_| "AES-256".to_owned())?;
        Ok(Self {
            cipher: Cipher::new(*backend, key),
            backend: *backend,
            long_nonce: LongNonceCipher::new(key),
            sealed: AtomicU64::new(0),
        })
    }

    fn self_test(&self) -> bool {
        const MESSAGE: [u8; 48] = *b"dualkey self-test: what is sealed can be opened.";
        // As for every message: never two under one nonce.
        let mut nonce = [0; NONCE_LEN];
        if getrandom::fill(&mut nonce).is_err() {
            return false;
        }
        let mut sealed = MESSAGE;
        let Some(mut tag) = self.cipher.seal(&nonce, b"", &mut sealed) else { return false };
        let mut opened = [0; MESSAGE.len()];
        let held = self.cipher.open(&nonce, b"", &sealed, &mut opened, &tag);
        tag[0] ^= 1;
        let forged = self.cipher.open(&nonce, b"", &sealed, &mut [0; MESSAGE.len()], &tag);
        held && opened == MESSAGE && sealed != MESSAGE && !forged
    }
}

impl fmt::Debug for AesKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AesKey([REDACTED])")
    }
}
