//! A record as a line of text: the one that operators know, and the rest after it.

use std::fmt;
use std::time::SystemTime;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::action::{Action, Outcome};
use super::escape::{Escaped, unescape};
use super::record::Record;
use crate::encoding::{BASE64URL, decode_exact};
use crate::kid::Kid;

pub(super) const BAR: &str = " | ";
/// The longest line in bytes, with room to spare: each of its texts has at most 1 KiB, and an
/// escape at most eight times that.
pub(super) const MAX_LINE: u64 = 64 * 1024;
const TIME: &str = "%Y-%m-%d %H:%M:%S UTC";

/// What ties a record to the one before, and to who wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) n: u64,
    /// The hash of the line before; none for the first.
    pub(super) prev: Option<[u8; 32]>,
}

/// A line, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) record: Record,
    pub(super) link: Link,
    pub(super) signer: Kid,
    pub(super) tag: [u8; 32],
}

/// The six fields that every query looks at first, as they stand in the line.
pub(super) struct Start<'a> {
    pub(super) time: &'a str,
    pub(super) secret: &'a str,
    pub(super) action: &'a str,
    pub(super) actor: &'a str,
    pub(super) environment: &'a str,
    pub(super) outcome: &'a str,
}

impl<'a> Start<'a> {
    /// In their order.
    #[cfg(feature = "store-postgres")]
    pub(super) fn fields(&self) -> [&'a str; 6] {
        [self.time, self.secret, self.action, self.actor, self.environment, self.outcome]
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, secret, action, actor, environment, outcome, .. } = self;
        write!(f, "{}{BAR}{}{BAR}{action}", LineTime(*at), Escaped(secret))?;
        write!(f, "{BAR}{}{BAR}{}{BAR}{outcome}", Escaped(actor), Escaped(environment))?;
        if let Some(kid) = &self.kid {
            write!(f, "{BAR}kid={kid}")?;
        }
        if let Some(kid) = &self.revoked {
            write!(f, "{BAR}revoked={kid}")?;
        }
        for (name, text) in [("from", &self.from), ("to", &self.to), ("reason", &self.reason)] {
            if let Some(text) = text {
                write!(f, "{BAR}{name}={}", Escaped(text))?;
            }
        }
        if let Some(fingerprint) = &self.fingerprint {
            write!(f, "{BAR}ring={fingerprint}")?;
        }
        if let Some(revision) = self.revision {
            write!(f, "{BAR}revision={revision}")?;
        }
        if self.clock_given {
            write!(f, "{BAR}clock=given")?;
        }
        if let Some(at) = self.imported_at {
            write!(f, "{BAR}imported={}", LineTime(at))?;
        }
        Ok(())
    }
}

/// The part of the line that the MAC is over.
pub(super) fn signed_part(record: &Record, link: Link) -> String {
    let prev = link.prev.map_or_else(|| "-".to_owned(), |prev| BASE64URL.encode_to_string(prev));
    format!("{record}{BAR}n={}{BAR}prev={prev}", link.n)
}

/// Returns the whole line, without its end: the signed part, and the MAC of it.
pub(super) fn append_mac(part: &str, signer: Kid, tag: &[u8; 32]) -> String {
    format!("{part}{BAR}mac={signer}.{}", BASE64URL.encode_to_string(tag))
}

/// The part of a line that its MAC is over, and the rest.
pub(super) fn split(line: &str) -> Option<(&str, Kid, [u8; 32])> {
    let (part, mac) = line.rsplit_once(" | mac=")?;
    let (signer, tag) = mac.split_once('.')?;
    Some((part, Kid::new(signer).ok()?, decode_exact(tag.as_bytes())?))
}

/// The link of a line that is known to be a record.
pub(super) fn link(line: &str) -> Option<Link> {
    let (part, _) = line.rsplit_once(" | mac=")?;
    let (part, prev) = part.rsplit_once(" | prev=")?;
    let (_, n) = part.rsplit_once(" | n=")?;
    let prev = match prev {
        "-" => None,
        prev => Some(decode_exact(prev.as_bytes())?),
    };
    Some(Link { n: n.parse().ok()?, prev })
}

/// The first fields of a line, and what comes after them.
pub(super) fn start(line: &str) -> Option<(Start<'_>, &str)> {
    let (time, rest) = line.split_once(BAR)?;
    let (secret, rest) = rest.split_once(BAR)?;
    let (action, rest) = rest.split_once(BAR)?;
    let (actor, rest) = rest.split_once(BAR)?;
    let (environment, rest) = rest.split_once(BAR)?;
    let (outcome, rest) = rest.split_once(BAR).unwrap_or((rest, ""));
    Some((Start { time, secret, action, actor, environment, outcome }, rest))
}

/// Reads a line of a trail: one way to write it, and no other.
pub(super) fn parse(line: &str) -> Option<Line> {
    let (part, signer, tag) = split(line)?;
    let (start, mut rest) = start(part)?;
    let mut record = record(&start)?;
    let mut link = None;
    let mut number = None;
    while !rest.is_empty() {
        let (field, after) = rest.split_once(BAR).unwrap_or((rest, ""));
        rest = after;
        let (name, text) = field.split_once('=')?;
        match name {
            "kid" => record.kid = Some(Kid::new(text).ok()?),
            "revoked" => record.revoked = Some(Kid::new(text).ok()?),
            "from" => record.from = Some(unescape(text)?),
            "to" => record.to = Some(unescape(text)?),
            "reason" => record.reason = Some(unescape(text)?),
            "ring" => record.fingerprint = Some(text.parse().ok()?),
            "revision" => record.revision = Some(text.parse().ok()?),
            "clock" => record.clock_given = text == "given",
            "imported" => record.imported_at = Some(time(text)?),
            "n" => number = Some(text.parse().ok()?),
            "prev" => {
                let prev = match text {
                    "-" => None,
                    text => Some(decode_exact(text.as_bytes())?),
                };
                link = Some(Link { n: number?, prev });
            }
            _ => return None,
        }
    }
    let line = Line { record, link: link?, signer, tag };
    (signed_part(&line.record, line.link) == part).then_some(line)
}

/// The record of which these are the first fields.
pub(super) fn record(start: &Start<'_>) -> Option<Record> {
    let action: Action = start.action.parse().ok()?;
    let (secret, actor) = (unescape(start.secret)?, unescape(start.actor)?);
    let environment = unescape(start.environment)?;
    let outcome: Outcome = start.outcome.parse().ok()?;
    Some(Record::new(time(start.time)?, &secret, action, &actor, &environment).outcome(outcome))
}

/// A moment as it stands in a line.
pub(super) fn time(text: &str) -> Option<SystemTime> {
    let civil = DateTime::strptime(TIME, text).ok()?;
    let zoned = civil.to_zoned_datetime(TimeZone::UTC).ok()?;
    SystemTime::try_from(zoned.timestamp()).ok()
}

/// Writes a moment as it stands in a line, and as operators read it.
pub(super) struct LineTime(pub(super) SystemTime);

impl fmt::Display for LineTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What no calendar holds was never a moment of a record.
        let time = Timestamp::try_from(self.0).unwrap_or(Timestamp::UNIX_EPOCH);
        let text = time.to_zoned_datetime(TimeZone::UTC).strftime(TIME).to_string();
        f.pad(&text)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use proptest::prelude::*;

    use super::*;

    fn text() -> impl Strategy<Value = String> {
        let loud = prop::sample::select(vec!["|", " | ", "\n", "\\", "\u{202e}", "=", "mac=", "é"]);
        let part = prop_oneof![any::<String>(), loud.prop_map(str::to_owned)];
        prop::collection::vec(part, 1..5).prop_map(|parts| parts.concat())
    }

    proptest! {
        #[test]
        fn every_record_comes_back_from_one_line(
            secret in text(), actor in text(), environment in text(), reason in text(),
            seconds in 0_u64..4_000_000_000, n in 1_u64.., tag in any::<[u8; 32]>(),
        ) {
            let at = UNIX_EPOCH + Duration::from_secs(seconds);
            let mut record =
                Record::new(at, &secret, Action::STAGED, &actor, &environment).reason(reason);
            record.from = Some("staged".to_owned());
            record.imported_at = Some(at);
            let link = Link { n, prev: Some(tag) };
            let part = signed_part(&record, link);
            let signer = Kid::new("k-1").unwrap();
            let whole = append_mac(&part, signer, &tag);
            let is_loud = whole.contains(['\n', '\r', '\u{202e}']);
            prop_assert!(!is_loud);
            prop_assert_eq!(parse(&whole), Some(Line { record, link, signer, tag }));
        }

        /// Nothing that is not exactly what would be written is read.
        #[test]
        fn no_line_has_a_second_spelling(place in 0_usize..300, byte in any::<u8>()) {
            let record = Record::new(UNIX_EPOCH, "X", Action::STAGED, "a\\b", "prod").reason("|");
            let link = Link { n: 7, prev: None };
            let line = append_mac(&signed_part(&record, link), Kid::new("k").unwrap(), &[3; 32]);
            let mut bytes = line.clone().into_bytes();
            let place = place % bytes.len();
            bytes[place] = byte;
            if let Ok(other) = String::from_utf8(bytes)
                && let Some(read) = parse(&other)
            {
                let again = append_mac(&signed_part(&read.record, read.link), read.signer, &read.tag);
                prop_assert_eq!(again, other);
            }
        }
    }
}
