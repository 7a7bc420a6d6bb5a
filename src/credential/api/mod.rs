//! API keys that go out with requests.
//!
//! ```
//! # #[cfg(feature = "reqwest")] {
//! use dualkey::{KeyRing, Secret};
//! use dualkey::credential::Credential;
//! use dualkey::credential::api::ApiKeys;
//! use reqwest_middleware::ClientWithMiddleware;
//!
//! # let (key, backup) = ("sk-ant-T4nZ8yB1cF6gJ0sD3pA5", "sk-ant-Nf0Vg6Jc3Ds8Pw1Ra4Tb");
//! // In a service: KeyRing::<Credential>::from_env("ANTHROPIC_API_KEY")?
//! let ring = KeyRing::<Credential>::builder()
//!     .primary(Secret::from(key))
//!     .fallback(Secret::from(backup))
//!     .build()?;
//! let client: ClientWithMiddleware = ApiKeys::anthropic(ring).client().expect("TLS is set up");
//! # }
//! # Ok::<(), dualkey::Error>(())
//! ```
//!
//! The primary goes into the header that the provider wants. Where the answer is 401, and only
//! then, the request is sent once more, with the next key, if its body can be sent twice; the key
//! that was refused cools down, and is tried again by one request when its cool-down is over. 403, 5xx and a
//! timeout are handed through: another key would be no help, and would be shown for nothing. 429
//! is waited out, where the answer says for how long ([`max_retry_after`](ApiKeys::max_retry_after)),
//! and the request is sent once more with the *same* key: the limit is not to be gone around.
//!
//! No request is sent more than twice. If every key was refused, the answer is
//! [`ApiError::Refused`], with the kids of all.
//!
//! # Security
//! A key is shown over `https` and at port 443 only, unless [`only_port`](ApiKeys::only_port),
//! [`allow_loopback`](ApiKeys::allow_loopback) or [`dangerous`](ApiKeys::dangerous) set otherwise,
//! and never to a URL with a user name. Bind it to the host of the provider with
//! [`only_host`](ApiKeys::only_host), as the presets do: without that, it is shown to whichever
//! host a request names.
//!
//! These checks see the request that the caller made, and no redirect. The client that
//! [`ApiKeys::client`] makes follows a redirect only on the same scheme, host and port. **Every
//! other client is unprotected**: on a redirect to another host, `reqwest` drops `Authorization`
//! and keeps headers that it does not know, such as `x-api-key`.

mod answer;
mod destination;
mod error;
mod keys;
mod layer;
#[cfg(feature = "reqwest")]
mod middleware;
mod replay;

pub use error::ApiError;
pub use keys::{ApiKeys, Dangerous};
pub use layer::{ApiKeyLayer, ApiKeyService};
pub use replay::{Once, Replay};
