//! HMAC-SHA-384 and HMAC-SHA-512, key by key through `hmac`.

use hmac::{Hmac, KeyInit, Mac};

use super::lanes::{MAX_LANES, matching, words};

macro_rules! wide {
    ($name:ident, $hash:ty, $length:literal, $bits:literal) => {
        #[doc = concat!("A key of HMAC-SHA-", $bits, ", prepared: using it never keys again. Wiped on drop.")]
        #[derive(Clone)]
        pub struct $name(Hmac<$hash>);

        impl $name {
            /// Prepares `secret`, of any length.
            #[must_use]
            pub fn new(secret: &[u8]) -> Self {
                Self(Hmac::new_from_slice(secret).expect("HMAC takes keys of every length"))
            }

            #[doc = concat!("The tag of `message`: ", $length, " bytes.")]
            #[must_use]
            pub fn mac(&self, message: &[u8]) -> [u8; $length] {
                #[cfg(test)]
                super::count::count_computed(1);
                let mut mac = self.0.clone();
                mac.update(message);
                mac.finalize().into_bytes().into()
            }

            /// Whether it verifies its own tag, and no other.
            #[cfg_attr(not(feature = "full"), allow(dead_code, reason = "the adapters use it, each behind a feature"))]
            pub(crate) fn self_test(&self) -> bool {
                let tag = self.mac(b"dualkey self-test");
                Self::verify_any(&[self], b"dualkey self-test", &tag) == Some(0)
                    && Self::verify_any(&[self], b"dualkey self-tesT", &tag).is_none()
            }

            /// The index of the key of `keys`, of which at most [`MAX_LANES`]
            /// count, under which `tag` is the tag of `message`. All are
            /// computed and compared, always, in constant time.
            #[must_use = "a message that no key verified must be refused"]
            pub fn verify_any(keys: &[&Self], message: &[u8], tag: &[u8; $length]) -> Option<usize> {
                let mut tags = [[0; $length / 4]; MAX_LANES];
                for (room, key) in tags.iter_mut().zip(keys) {
                    *room = words(&key.mac(message));
                }
                let count = keys.len().min(MAX_LANES);
                matching(&tags[..count], &words(tag))
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($name), "([REDACTED])"))
            }
        }
    };
}

wide!(HmacSha384, sha2::Sha384, 48, "384");
wide!(HmacSha512, sha2::Sha512, 64, "512");
