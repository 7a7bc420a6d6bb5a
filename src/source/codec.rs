//! Between a manifest and what a store holds of it: its text, or the text sealed.

use zeroize::Zeroizing;

use super::error::StoreError;
#[cfg(feature = "envelope")]
use crate::envelope::{AesKey, Sealer};
use crate::error::Error;
use crate::manifest::{Manifest, Revocations};
#[cfg(feature = "envelope")]
use crate::ring::KeyRing;
use crate::secret::Secret;

/// What a sealed manifest is authenticated with, so that it passes for nothing else.
#[cfg(feature = "envelope")]
const CONTEXT: &str = "dualkey manifest v1";
/// The beginning of an envelope as text.
const SEALED: &[u8] = b"dk1.";

fn unusable(store: &str, source: Error) -> StoreError {
    StoreError::Manifest { store: store.to_owned(), source: Box::new(source) }
}

#[derive(Debug, Clone, Default)]
pub(super) struct Codec {
    #[cfg(feature = "envelope")]
    sealer: Option<Sealer>,
}

impl Codec {
    #[cfg(feature = "envelope")]
    pub(super) fn sealed(ring: KeyRing<AesKey>) -> Self {
        Self { sealer: Some(Sealer::new(ring)) }
    }

    pub(super) fn encode(&self, manifest: &Manifest, store: &str) -> Result<Secret, StoreError> {
        let refused = |source| unusable(store, source);
        let text = manifest.to_json().map_err(refused)?;
        #[cfg(feature = "envelope")]
        if let Some(sealer) = &self.sealer {
            return Ok(Secret::from(sealer.seal_text(text.expose(), CONTEXT).map_err(refused)?));
        }
        Ok(text)
    }

    pub(super) fn decode(&self, text: &[u8], store: &str) -> Result<Manifest, StoreError> {
        let is_sealed = text.starts_with(SEALED);
        let opened = self
            .opened(text, is_sealed)
            .map_err(|problem| StoreError::Sealed { store: store.to_owned(), problem })?;
        let text = opened.as_ref().map_or(text, |opened| opened);
        Manifest::from_json(text).map_err(|source| match Revocations::read(text) {
            Some(revocations) => StoreError::OnlyRevocations {
                store: store.to_owned(),
                source: Box::new(source),
                revocations: Box::new(revocations),
            },
            None => unusable(store, source),
        })
    }

    /// What was sealed; none, if nothing should be.
    fn opened(
        &self,
        text: &[u8],
        is_sealed: bool,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, &'static str> {
        #[cfg(feature = "envelope")]
        if let Some(sealer) = &self.sealer {
            // Else whoever can write there could put a manifest of his own in its place.
            if !is_sealed {
                return Err("it is not sealed, and must be: store it through this store");
            }
            let opened = sealer.open(text.trim_ascii_end(), CONTEXT);
            let opened = opened.map_err(|_| "no key of its KEK ring opens it")?;
            return Ok(Some(Zeroizing::new(opened.into_inner())));
        }
        match is_sealed {
            true => Err("it is sealed: give the store its KEK ring with `sealed`"),
            false => {
                let _ = text;
                Ok(None)
            }
        }
    }
}
