//! Errors of a request that shows an API key.

use crate::error::Error;
use crate::kid::Kid;

/// A reason why a request was not answered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApiError<E> {
    /// Every key was refused.
    #[error("the provider refuses every key of `{ring}`: {}", .kids.iter().map(Kid::to_string).collect::<Vec<_>>().join(", "))]
    Refused {
        /// The name of the ring.
        ring: String,
        /// All keys that it has to offer.
        kids: Vec<Kid>,
    },
    /// A key holds what no header can: a line end, a character that is not of ASCII.
    #[error(
        "the key `{kid}` of `{ring}` cannot stand in a header: it holds a line end, or no ASCII"
    )]
    NotAHeader {
        /// The name of the ring.
        ring: String,
        /// The key in question.
        kid: Kid,
    },
    /// The host of the URL, or of the `Host` header, is another one: no key was shown.
    #[error(
        "cannot show the key: it is for the host `{expected}`, and the request names `{found}`; \
         correct the URL, or use other keys for that host"
    )]
    OtherHost {
        /// The host that the keys are for, or the one of the URL.
        expected: String,
        /// The host that the request names.
        found: String,
    },
    /// The scheme of the URL is not `https`: no key was shown.
    #[error(
        "cannot show the key: the scheme of the URL is `{found}`; use `https`, or call \
         `allow_loopback` for a server on this machine"
    )]
    Scheme {
        /// The scheme that the request names.
        found: String,
    },
    /// The port of the URL is another one: no key was shown.
    #[error(
        "cannot show the key: it is for the port {expected}, and the request names `{found}`; \
         correct the URL, or call `only_port`"
    )]
    Port {
        /// The port that the keys are for.
        expected: u16,
        /// The port that the request names.
        found: String,
    },
    /// The URL has a user name or a password: no key was shown.
    #[error(
        "cannot show the key: the URL of the request has a user name or a password, or the \
         request has a header of them; remove them"
    )]
    UserInfo,
    /// The URI of the request has no scheme or no host: no key was shown.
    #[error(
        "cannot show the key: the URI of the request has no scheme or no host, so its destination \
         is not known; use an absolute URI, such as `https://api.example.com/v1`"
    )]
    NotAbsolute,
    /// The ring serves nothing.
    #[error(transparent)]
    Ring(#[from] Error),
    /// The service inside failed.
    #[error("the request could not be sent")]
    Inner(#[source] E),
}
