//! `Sealed<T>`: a column of ciphertext, with the type of what is in it.

use std::fmt;
use std::marker::PhantomData;

use zeroize::Zeroizing;

use super::sealer::Sealer;
use crate::error::{Error, Reason, VerifyError};
use crate::kid::Kid;
use crate::verified::Verified;

/// A `T` that is stored sealed.
///
/// A field of this type is the ciphertext: it is read from a row and written to one as it is
/// (with `sqlx`, by the features `rewrap-sqlite` and `rewrap-postgres`), compared, cloned and shown
/// without a key. Whoever needs the value opens it, with a sealer and the context that it was
/// sealed in; whoever writes it seals it, under the primary of this moment.
///
/// ```
/// use dualkey::KeyRing;
/// use dualkey::envelope::{AesKey, Sealed, Sealer};
///
/// struct Note {
///     id: i64,
///     body: Sealed<String>,
/// }
///
/// # let key = "9f2c4b7e1a6d8035c4e7f1920b3a5d6c8e7f90a1b2c3d4e5f60718293a4b5c6d";
/// let ring = KeyRing::<AesKey>::builder().primary(AesKey::hex(key)?).build()?;
/// let sealer = Sealer::new(ring);
/// let body = Sealed::seal(&sealer, &"a note".to_owned(), "notes/7/body")?;
/// let note = Note { id: 7, body };
///
/// let text = note.body.open(&sealer, format!("notes/{}/body", note.id)).expect("of this row");
/// assert_eq!(*text, "a note");
/// assert!(note.body.open(&sealer, "notes/8/body").is_err());
/// # Ok::<(), dualkey::Error>(())
/// ```
///
/// In a column of text it stands in text form, in one of bytes as bytes, a third shorter:
/// [`seal_bytes`](Self::seal_bytes). Both are read, and so are values of a
/// legacy layout that the sealer accepts.
pub struct Sealed<T> {
    stored: ColumnValue,
    of: PhantomData<fn() -> T>,
}

/// The ciphertext, by the type of its column.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) enum ColumnValue {
    Text(String),
    Bytes(Vec<u8>),
}

/// What can be sealed: it has bytes, and is made of them again.
///
/// ```
/// use dualkey::envelope::Payload;
/// use zeroize::Zeroizing;
///
/// struct Iban([u8; 22]);
///
/// impl Payload for Iban {
///     fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
///         Zeroizing::new(self.0.to_vec())
///     }
///
///     fn from_bytes(bytes: Vec<u8>) -> Option<Self> {
///         bytes.try_into().ok().map(Self)
///     }
/// }
/// # assert!(Iban::from_bytes(Iban([b'4'; 22]).to_bytes().to_vec()).is_some());
/// ```
pub trait Payload: Sized {
    /// Its bytes, which are wiped once they are sealed.
    fn to_bytes(&self) -> Zeroizing<Vec<u8>>;

    /// What has these bytes; `None` if nothing of this type has.
    fn from_bytes(bytes: Vec<u8>) -> Option<Self>;
}

impl Payload for String {
    fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(self.as_bytes().to_vec())
    }

    fn from_bytes(bytes: Vec<u8>) -> Option<Self> {
        Self::from_utf8(bytes).ok()
    }
}

impl Payload for Vec<u8> {
    fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(self.clone())
    }

    fn from_bytes(bytes: Vec<u8>) -> Option<Self> {
        Some(bytes)
    }
}

impl<T: Payload> Sealed<T> {
    /// Seals `value` under the primary, for a column of text.
    ///
    /// # Errors
    /// As for [`Sealer::seal`].
    pub fn seal(sealer: &Sealer, value: &T, context: impl AsRef<[u8]>) -> Result<Self, Error> {
        Ok(Self::from_stored_text(sealer.seal_text(value.to_bytes(), context)?))
    }

    /// Seals `value` under the primary, for a column of bytes.
    ///
    /// # Errors
    /// As for [`Sealer::seal`].
    pub fn seal_bytes(
        sealer: &Sealer,
        value: &T,
        context: impl AsRef<[u8]>,
    ) -> Result<Self, Error> {
        Ok(Self::from_stored_bytes(sealer.seal(value.to_bytes(), context)?))
    }

    /// Opens it.
    ///
    /// # Errors
    /// As for [`Sealer::open`]; [`Reason::Payload`] if it opens, and what it holds is no `T`.
    pub fn open(
        &self,
        sealer: &Sealer,
        context: impl AsRef<[u8]>,
    ) -> Result<Verified<T>, VerifyError> {
        let opened = sealer.open(self.as_bytes(), context)?.map(T::from_bytes);
        if opened.as_ref().is_some() {
            Ok(opened.map(|value| value.expect("it is some, one line above")))
        } else {
            Err(sealer.ring().reject(Reason::Payload))
        }
    }
}

impl<T> Sealed<T> {
    /// What a column of text holds, taken as it is: [`open`](Self::open) finds out what it is.
    #[must_use]
    pub fn from_stored_text(text: impl Into<String>) -> Self {
        Self { stored: ColumnValue::Text(text.into()), of: PhantomData }
    }

    /// What a column of bytes holds, taken as it is: [`open`](Self::open) finds out what it is.
    #[must_use]
    pub fn from_stored_bytes(bytes: impl Into<Vec<u8>>) -> Self {
        Self { stored: ColumnValue::Bytes(bytes.into()), of: PhantomData }
    }

    /// What is stored.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match self.stored() {
            ColumnValue::Text(text) => text.as_bytes(),
            ColumnValue::Bytes(bytes) => bytes,
        }
    }

    /// What is stored in a column of text; `None`, if it is of one of bytes.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self.stored() {
            ColumnValue::Text(text) => Some(text),
            ColumnValue::Bytes(_) => None,
        }
    }

    /// The kid that it names: as [`Sealer::kid_of`].
    #[must_use]
    pub fn kid(&self) -> Option<Kid> {
        Sealer::kid_of(self.as_bytes())
    }

    /// Returns what is stored, by the type of its column.
    pub(crate) fn stored(&self) -> &ColumnValue {
        &self.stored
    }
}

impl<T> Clone for Sealed<T> {
    fn clone(&self) -> Self {
        Self { stored: self.stored.clone(), of: PhantomData }
    }
}

/// Of the ciphertexts: two of one value differ.
impl<T> PartialEq for Sealed<T> {
    fn eq(&self, other: &Self) -> bool {
        self.stored == other.stored
    }
}

impl<T> Eq for Sealed<T> {}

impl<T> fmt::Debug for Sealed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A legacy layout names no key.
        f.debug_struct("Sealed").field("kid", &self.kid()).finish_non_exhaustive()
    }
}
