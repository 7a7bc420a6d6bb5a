//! Between a manifest and what a store holds of it: its text, or the text sealed.
//!
//! A sealed manifest is an envelope in its text form. Its context binds the ring and the
//! environment, so that it opens as the manifest of no other:
//!
//! ```text
//! length u64 big-endian | "dualkey manifest v1" | length | ring | length | environment
//! ```

use zeroize::Zeroizing;

use super::error::StoreError;
#[cfg(feature = "envelope")]
use crate::envelope::{AesKey, Sealer};
use crate::error::Error;
use crate::manifest::{Manifest, Revocations};
#[cfg(feature = "envelope")]
use crate::ring::KeyRing;
use crate::secret::Secret;

#[cfg(feature = "envelope")]
const LABEL: &str = "dualkey manifest v1";
#[cfg(feature = "envelope")]
const NOT_OPENED: &str = "it was sealed for another ring or environment, under another KEK, or was \
                          changed; give the store the ring, the environment and the KEK ring that \
                          sealed it";
/// The beginning of an envelope as text.
const SEALED: &[u8] = b"dk1.";

fn manifest_error(store: &str, source: Error) -> StoreError {
    StoreError::Manifest { store: store.to_owned(), source: Box::new(source) }
}

/// The form in which a store writes its manifest: as it is, or sealed.
#[derive(Debug, Clone, Default)]
pub(super) struct Codec {
    #[cfg(feature = "envelope")]
    seal: Option<Seal>,
}

/// The keys that seal a manifest, and the manifest that they seal.
#[cfg(feature = "envelope")]
#[derive(Debug, Clone)]
struct Seal {
    sealer: Sealer,
    ring: String,
    environment: String,
}

#[cfg(feature = "envelope")]
impl Seal {
    fn context(&self) -> Vec<u8> {
        let parts = [LABEL, &self.ring, &self.environment];
        let with_length =
            |part: &str| [&(part.len() as u64).to_be_bytes()[..], part.as_bytes()].concat();
        parts.into_iter().flat_map(with_length).collect()
    }

    /// Checks that `manifest` is the one that it seals.
    fn check(&self, manifest: &Manifest) -> Result<(), Error> {
        manifest.check_is(&self.ring, &self.environment, manifest.purpose())
    }
}

impl Codec {
    /// Seals the manifest of `ring` in `environment` under the primary of `kek`.
    #[cfg(feature = "envelope")]
    pub(super) fn sealed(kek: KeyRing<AesKey>, ring: &str, environment: &str) -> Self {
        let (ring, environment) = (ring.to_owned(), environment.to_owned());
        Self { seal: Some(Seal { sealer: Sealer::new(kek), ring, environment }) }
    }

    pub(super) fn encode(&self, manifest: &Manifest, store: &str) -> Result<Secret, StoreError> {
        let to_error = |source| manifest_error(store, source);
        #[cfg(feature = "envelope")]
        if let Some(seal) = &self.seal {
            seal.check(manifest).map_err(to_error)?;
            let text = manifest.to_json().map_err(to_error)?;
            let sealed = seal.sealer.seal_text(text.expose(), seal.context());
            return Ok(Secret::from(sealed.map_err(to_error)?));
        }
        manifest.to_json().map_err(to_error)
    }

    pub(super) fn decode(&self, text: &[u8], store: &str) -> Result<Manifest, StoreError> {
        let is_sealed = text.starts_with(SEALED);
        let opened = self
            .open(text, is_sealed)
            .map_err(|problem| StoreError::Sealed { store: store.to_owned(), problem })?;
        let text = opened.as_ref().map_or(text, |opened| opened);
        let manifest =
            Manifest::from_json(text).map_err(|source| match Revocations::read(text) {
                Some(revocations) => StoreError::OnlyRevocations {
                    store: store.to_owned(),
                    source: Box::new(source),
                    revocations: Box::new(revocations),
                },
                None => manifest_error(store, source),
            })?;
        // The seal is of the store's own. What was sealed says so itself as well.
        #[cfg(feature = "envelope")]
        if let Some(seal) = &self.seal {
            seal.check(&manifest).map_err(|source| manifest_error(store, source))?;
        }
        Ok(manifest)
    }

    /// What was sealed; none, if nothing should be.
    fn open(
        &self,
        text: &[u8],
        is_sealed: bool,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, &'static str> {
        #[cfg(feature = "envelope")]
        if let Some(seal) = &self.seal {
            // Else whoever can write there could put a manifest of his own in its place.
            if !is_sealed {
                return Err("it is not sealed, and must be; store it through this store");
            }
            let opened = seal.sealer.open(text.trim_ascii_end(), seal.context());
            let opened = opened.map_err(|_| NOT_OPENED)?;
            return Ok(Some(Zeroizing::new(opened.into_inner())));
        }
        if is_sealed {
            return Err("it is sealed; give the store its KEK ring with `sealed`");
        }
        let _ = text;
        Ok(None)
    }
}

#[cfg(all(test, feature = "envelope"))]
mod tests {
    use super::*;
    use crate::lifecycle::Policy;
    use crate::manifest::NewEntry;
    use crate::purpose::Purpose;

    /// Frozen: with another context, no sealed manifest of the field opens.
    #[test]
    fn the_context_of_a_seal_is_that_of_the_format() {
        let key = Secret::from([7; 32].as_slice());
        let kek = KeyRing::builder().dangerous().allow_placeholders().primary(key).build().unwrap();
        let seal = Codec::sealed(kek, "USER_JWT", "prod").seal.unwrap();
        let expected = [
            &[0, 0, 0, 0, 0, 0, 0, 19][..],
            b"dualkey manifest v1",
            &[0, 0, 0, 0, 0, 0, 0, 8],
            b"USER_JWT",
            &[0, 0, 0, 0, 0, 0, 0, 4],
            b"prod",
        ];
        assert_eq!(seal.context(), expected.concat());
    }

    /// The seal is of the ring, and the manifest within says that it is of another one.
    #[test]
    fn a_manifest_of_another_ring_within_the_seal_is_refused() {
        let kek = Secret::from([7; 32].as_slice());
        let kek = KeyRing::builder().dangerous().allow_placeholders().primary(kek).build().unwrap();
        let codec = Codec::sealed(kek, "USER_JWT", "prod");
        let seal = codec.seal.clone().unwrap();
        let sealed = |ring: &str, environment: &str| {
            let secret = "kH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eUkH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eU";
            let (key, now) = (NewEntry::new(Secret::from(secret)), std::time::UNIX_EPOCH);
            let policy = Policy::default();
            let manifest =
                Manifest::new(ring, Purpose::Jwt, environment, policy, key, now).unwrap();
            let text = manifest.to_json().unwrap();
            seal.sealer.seal_text(text.expose(), seal.context()).unwrap()
        };
        let text = sealed("USER_JWT", "prod");
        assert!(codec.decode(text.as_bytes(), "a file").is_ok());
        assert!(codec.decode(format!("{text}\r\n").as_bytes(), "a file").is_ok());
        for other in [sealed("OTHER_JWT", "prod"), sealed("USER_JWT", "staging")] {
            let error = codec.decode(other.as_bytes(), "a file").unwrap_err();
            assert!(matches!(error, StoreError::Manifest { .. }), "{error}");
        }
    }
}
