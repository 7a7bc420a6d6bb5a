//! The beginning of a record that its writer could not finish.
//!
//! A writer that is killed leaves the first bytes of a record after the last line end. Nothing
//! else may be there: a text that no record begins with was put there by another.

use super::action::{Action, Outcome};
use super::escape::{Escaped, unescape};
use super::line::{self, BAR, Link, MAX_LINE};
use crate::encoding::BASE64URL;
use crate::kid::Kid;

/// The form of a time: a `0` is any digit.
const TIME: &str = "0000-00-00 00:00:00 UTC";
/// The fields after the first six, in their order.
const FIELDS: [&str; 12] = [
    "kid", "revoked", "from", "to", "reason", "ring", "revision", "clock", "imported", "n", "prev",
    "mac",
];

/// Returns whether a record with the link `next` could begin with `bytes`.
pub(super) fn is_torn(bytes: &[u8], next: Link) -> bool {
    if bytes.len() as u64 > MAX_LINE {
        return false;
    }
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        // The last character may be cut as well.
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return false,
    };
    // Half a bar ends a field that is whole.
    let halves = [" |", " "].into_iter().filter_map(|half| text.strip_suffix(half));
    let next = Next::new(next);
    next.is_start_of_record(text, false)
        || halves.into_iter().any(|whole| next.is_start_of_record(whole, true))
}

/// The record that would come next.
struct Next {
    n: String,
    prev: String,
}

impl Next {
    fn new(link: Link) -> Self {
        let prev =
            link.prev.map_or_else(|| "-".to_owned(), |hash| BASE64URL.encode_to_string(hash));
        Self { n: link.n.to_string(), prev }
    }

    /// Returns whether a record begins with the fields of `text`, the last of which may be cut.
    fn is_start_of_record(&self, text: &str, is_last_whole: bool) -> bool {
        let fields: Vec<_> = text.split(BAR).collect();
        let last = fields.len() - 1;
        let mut rank = 0;
        fields.iter().enumerate().all(|(place, field)| {
            let is_whole = place < last || is_last_whole;
            match (place, is_whole) {
                (0, true) => line::time(field).is_some(),
                (0, false) => is_time(field),
                (1 | 3 | 4, true) => !field.is_empty() && is_text(field),
                (1 | 3 | 4, false) => is_cut_text(field),
                (2, true) => field.parse::<Action>().is_ok_and(|action| action.as_str() == *field),
                (2, false) => field.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_'),
                (5, true) => Outcome::ALL.iter().any(|outcome| outcome.as_str() == *field),
                (5, false) => {
                    Outcome::ALL.iter().any(|outcome| outcome.as_str().starts_with(field))
                }
                _ => self.has_field(field, &mut rank, is_whole),
            }
        })
    }

    /// Returns whether `field` may come after the fields before `rank`, which moves on.
    fn has_field(&self, field: &str, rank: &mut usize, is_whole: bool) -> bool {
        let Some((name, value)) = field.split_once('=') else {
            return !is_whole && FIELDS[*rank..].iter().any(|name| name.starts_with(field));
        };
        let Some(place) =
            FIELDS.iter().position(|field| *field == name).filter(|place| place >= rank)
        else {
            return false;
        };
        *rank = place + 1;
        let is = |whole: &str| if is_whole { whole == value } else { whole.starts_with(value) };
        match name {
            "n" => is(&self.n),
            "prev" => is(&self.prev),
            "clock" => is("given"),
            "kid" | "revoked" => (value.is_empty() && !is_whole) || Kid::new(value).is_ok(),
            "from" | "to" | "reason" if is_whole => is_text(value),
            "from" | "to" | "reason" => is_cut_text(value),
            "ring" => value.len() <= 16 && value.bytes().all(is_base64url),
            "revision" => value.len() <= 20 && value.bytes().all(|byte| byte.is_ascii_digit()),
            "imported" if is_whole => line::time(value).is_some(),
            "imported" => is_time(value),
            _ => !is_whole && is_cut_mac(value),
        }
    }
}

fn is_time(text: &str) -> bool {
    let is_one = |(byte, form): (u8, u8)| byte == form || (form == b'0' && byte.is_ascii_digit());
    text.len() <= TIME.len() && text.bytes().zip(TIME.bytes()).all(is_one)
}

/// Returns whether `text` is written as [`Escaped`] writes it.
fn is_text(text: &str) -> bool {
    unescape(text).is_some_and(|plain| Escaped(&plain).to_string() == text)
}

/// The same of a text whose last escape may be cut.
fn is_cut_text(text: &str) -> bool {
    let is_cut = |(before, escape): (&str, &str)| {
        let digits = escape.strip_prefix("u{").unwrap_or_default();
        let is_escape = matches!(escape, "" | "u")
            || (escape.starts_with("u{") && digits.len() <= 6 && digits.bytes().all(is_hex));
        is_escape && is_text(before)
    };
    is_text(text) || text.rsplit_once('\\').is_some_and(is_cut)
}

fn is_cut_mac(text: &str) -> bool {
    match text.split_once('.') {
        None => text.is_empty() || Kid::new(text).is_ok(),
        Some((kid, tag)) => {
            Kid::new(kid).is_ok() && tag.len() < 43 && tag.bytes().all(is_base64url)
        }
    }
}

fn is_hex(byte: u8) -> bool {
    byte.is_ascii_hexdigit()
}

fn is_base64url(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use proptest::prelude::*;

    use super::*;
    use crate::ops::audit::record::Record;

    /// A line of each field, as long as it can be.
    fn whole(text: &str, link: Link) -> String {
        let at = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let mut record = Record::new(at, text, Action::STAGED, text, text).reason(text);
        let kid = Kid::new("a-kid").unwrap();
        (record.kid, record.revoked) = (Some(kid), Some(kid));
        (record.from, record.to) = (Some(text.to_owned()), Some("primary".to_owned()));
        (record.revision, record.clock_given) = (Some(7), true);
        record.imported_at = Some(at);
        line::append_mac(&line::signed_part(&record, link), kid, &[3; 32])
    }

    proptest! {
        #[test]
        fn every_beginning_of_a_record_is_torn(
            text in "[a-z\\\\|\n\u{202e}é= ]{1,12}", n in 1_u64.., prev in any::<Option<[u8; 32]>>(),
        ) {
            let link = Link { n, prev };
            let line = whole(&text, link);
            for length in 0..line.len() {
                let cut = &line.as_bytes()[..length];
                prop_assert!(is_torn(cut, link), "{:?}", String::from_utf8_lossy(cut));
            }
            // Of another place in the chain, from its number on.
            let other = Link { n: n ^ 1, prev };
            let from = line.rfind(" | n=").unwrap() + " | n=".len() + n.to_string().len();
            prop_assert!(!is_torn(&line.as_bytes()[..from], other));
        }
    }

    #[test]
    fn what_no_record_begins_with_is_not_torn() {
        let link = Link { n: 3, prev: Some([1; 32]) };
        let line = whole("X", link);
        let prev = line.find("prev=").unwrap();
        for bad in [
            "garbage".to_owned(),
            " ".to_owned(),
            "2027-01-15 10:00:00 UTC | X | ROTATED | eve | prod | DONE | ".to_owned(),
            "2027-01-15 10:00:00 UTC | X | rotated | eve".to_owned(),
            "2027-13-15 10:00:00 UTC | X".to_owned(),
            "2027-01-15 10:00:00 UTC | X | ROTATED | a\u{1b}[2J".to_owned(),
            "2027-01-15 10:00:00 UTC | X | ROTATED | eve | prod | SUCCESS | to=a | from=b"
                .to_owned(),
            "2027-01-15 10:00:00 UTC | X | ROTATED | eve | prod | SUCCESS | other=1".to_owned(),
            "2027-01-15 10:00:00 UTC | X | ROTATED | eve | prod | SUCCESS | to=a | to=b".to_owned(),
            "2027-01-15 10:00:00 UTC | X | ROTATED | eve | prod | SUCCESS | clock=x".to_owned(),
            "2027-01-15 10:00:00 UTC | X | ROTATED | eve | prod | SUCCESS | imported=x".to_owned(),
            "2027-01-15 10:00:00 UTC | X | ROTATED | eve | prod | SUCCESS | mac=k.AA |".to_owned(),
            format!(
                "2027-01-15 10:00:00 UTC | X | ROTATED | e | p | SUCCESS | ring={}",
                "A".repeat(17)
            ),
            format!("{}prev=-", &line[..prev]),
            format!("{line} | "),
            format!("{line}x"),
        ] {
            assert!(!is_torn(bad.as_bytes(), link), "{bad}");
        }
        assert!(!is_torn(b"2027-01-15 \xff", link));
    }
}
