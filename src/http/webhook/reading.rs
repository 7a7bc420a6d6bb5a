//! A body on its way in: into the MAC as it comes, and kept until that held.

use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use http::StatusCode;
use http_body::Body;
use http_body_util::LengthLimitError;
use pin_project_lite::pin_project;

use crate::error::Reason;
use crate::http::Rejection;
use crate::verified::Verified;
use crate::webhook::Delivery;

pin_project! {
    /// Ends with the whole body, verified, or with why not.
    pub(in crate::http) struct Reading<B> {
        #[pin]
        body: B,
        delivery: Option<Delivery>,
        kept: Kept,
    }
}

impl<B: Body> Reading<B> {
    pub(in crate::http) fn new(delivery: Delivery, body: B) -> Self {
        Self { body, delivery: Some(delivery), kept: Kept::Nothing }
    }
}

impl<B> Future for Reading<B>
where
    B: Body,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Output = Result<Verified<Bytes>, Rejection>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut fields = self.project();
        loop {
            let delivery =
                fields.delivery.as_mut().expect("a future is not polled once it is ready");
            // What is announced as too much is not waited for.
            let announced = usize::try_from(fields.body.size_hint().lower()).unwrap_or(usize::MAX);
            let end = if delivery.room().is_none_or(|room| announced > room) {
                Some(Err(Reason::TooLarge))
            } else {
                match ready!(fields.body.as_mut().poll_frame(context)) {
                    None => Some(Ok(())),
                    Some(Err(error)) => Some(Err(reason(&*error.into()))),
                    Some(Ok(frame)) => {
                        // Trailers are not signed.
                        if let Ok(mut data) = frame.into_data() {
                            let chunk = data.copy_to_bytes(data.remaining());
                            delivery.update(&chunk);
                            fields.kept.add(chunk);
                        }
                        None
                    }
                }
            };
            let Some(end) = end else { continue };
            let delivery = fields.delivery.take().expect("it was there above");
            let body = std::mem::take(fields.kept).whole();
            let end = match end {
                Ok(()) if body.is_empty() => Err(Reason::Malformed),
                end => end,
            };
            let verdict = match end {
                Ok(()) => delivery.finish(),
                Err(reason) => Err(delivery.reject(reason)),
            };
            return Poll::Ready(match verdict {
                Ok(verified) => Ok(verified.map(|()| body)),
                Err(error) => Err(rejection(error.reason())),
            });
        }
    }
}

pub(in crate::http) fn rejection(reason: Reason) -> Rejection {
    let status = match reason {
        Reason::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Reason::Interrupted => StatusCode::BAD_REQUEST,
        _ => StatusCode::UNAUTHORIZED,
    };
    Rejection::new(status, reason)
}

/// Why a body ended before its end: a layer outside may have a bound of its own.
fn reason(error: &(dyn Error + 'static)) -> Reason {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.is::<LengthLimitError>() {
            return Reason::TooLarge;
        }
        cause = error.source();
    }
    Reason::Interrupted
}

/// What has come. Deliberately not the chunks as they came: of a body that is sent byte by byte
/// each would hold on to a buffer of its own.
#[derive(Default)]
enum Kept {
    #[default]
    Nothing,
    /// Most bodies come whole.
    One(Bytes),
    More(BytesMut),
}

impl Kept {
    fn add(&mut self, chunk: Bytes) {
        *self = match std::mem::take(self) {
            Self::Nothing => Self::One(chunk),
            Self::One(first) => {
                let mut all = BytesMut::with_capacity(first.len() + chunk.len());
                all.extend_from_slice(&first);
                all.extend_from_slice(&chunk);
                Self::More(all)
            }
            Self::More(mut all) => {
                all.extend_from_slice(&chunk);
                Self::More(all)
            }
        };
    }

    fn whole(self) -> Bytes {
        match self {
            Self::Nothing => Bytes::new(),
            Self::One(bytes) => bytes,
            Self::More(bytes) => bytes.freeze(),
        }
    }
}
