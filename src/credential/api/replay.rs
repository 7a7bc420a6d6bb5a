//! Bodies that can be sent twice.

use bytes::Bytes;
use http_body_util::{Empty, Full};

/// A body that can be sent a second time, or says that it cannot.
///
/// ```
/// use dualkey::credential::api::{Once, Replay};
/// use bytes::Bytes;
///
/// assert!(Bytes::from_static(b"{}").replay().is_some());
/// assert!(Once("a stream").replay().is_none());
/// ```
pub trait Replay: Sized {
    /// The same body again; `None`, if it is gone once it is sent.
    fn replay(&self) -> Option<Self>;
}

/// A body that is sent once: a stream. Whoever sends it gets the 401.
#[derive(Debug, Clone, Copy, Default)]
pub struct Once<B>(pub B);

impl<B> Replay for Once<B> {
    fn replay(&self) -> Option<Self> {
        None
    }
}

impl<B: http_body::Body + Unpin> http_body::Body for Once<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<B::Data>, B::Error>>> {
        std::pin::Pin::new(&mut self.get_mut().0).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.0.size_hint()
    }
}

macro_rules! replay_by_clone {
    ($($body:ty),*) => {$(
        impl Replay for $body {
            fn replay(&self) -> Option<Self> {
                Some(self.clone())
            }
        }
    )*};
}

replay_by_clone!((), Bytes, String, Vec<u8>, &'static str);

impl<D: bytes::Buf + Clone> Replay for Full<D> {
    fn replay(&self) -> Option<Self> {
        Some(self.clone())
    }
}

impl<D> Replay for Empty<D> {
    fn replay(&self) -> Option<Self> {
        Some(*self)
    }
}

#[cfg(feature = "reqwest")]
impl Replay for reqwest::Body {
    fn replay(&self) -> Option<Self> {
        Some(self.as_bytes()?.to_vec().into())
    }
}
