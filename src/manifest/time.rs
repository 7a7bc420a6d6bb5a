//! Moments in stored documents.

use std::fmt;
use std::time::SystemTime;

use jiff::Timestamp;
use serde::de::{Deserializer, Visitor};
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};

use super::bounds::is_date;
use crate::error::Error;

/// RFC 3339, to the nanosecond.
#[derive(Clone, Copy)]
pub(crate) struct Time(pub(super) SystemTime);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, output: S) -> Result<S::Ok, S::Error> {
        let time = Timestamp::try_from(self.0).map_err(serde::ser::Error::custom)?;
        output.collect_str(&time)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        struct Rfc3339;
        impl Visitor<'_> for Rfc3339 {
            type Value = Time;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a time as in 2026-01-15T10:00:00Z")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Time, E> {
                let time = text.parse::<Timestamp>().and_then(SystemTime::try_from);
                time.map(Time).map_err(|_| E::custom("a time is not as in 2026-01-15T10:00:00Z"))
            }
        }
        input.deserialize_str(Rfc3339)
    }
}

impl TryFrom<SystemTime> for Time {
    type Error = Error;

    fn try_from(moment: SystemTime) -> Result<Self, Error> {
        if is_date(moment) {
            Ok(Self(moment))
        } else {
            Err(Error::manifest("a moment is not from 1970 to 9999"))
        }
    }
}

impl From<Time> for SystemTime {
    fn from(time: Time) -> Self {
        time.0
    }
}
