//! Lengths of time as people read them in a message: `7d 1h`.

use std::fmt;
use std::time::Duration;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// A length of time in its two largest units: `7d 1h`, or, in the alternate form, `7 d 1 h`. It is
/// rounded down: below an hour to a minute, from ten days to a day.
#[derive(Clone, Copy)]
pub(crate) struct Length(pub(crate) Duration);

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let (space, minute) = if f.alternate() { (" ", "min") } else { ("", "m") };
        let (size, unit, rest) = match seconds {
            ..MINUTE => (1, "s", None),
            MINUTE..HOUR => (MINUTE, minute, None),
            HOUR..DAY => (HOUR, "h", Some((MINUTE, minute))),
            _ if seconds < 10 * DAY => (DAY, "d", Some((HOUR, "h"))),
            _ => (DAY, "d", None),
        };
        write!(f, "{}{space}{unit}", seconds / size)?;
        let Some((smaller, unit)) = rest else { return Ok(()) };
        match seconds % size / smaller {
            0 => Ok(()),
            count => write!(f, " {count}{space}{unit}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_shown_in_its_two_largest_units() {
        for (seconds, short, long) in [
            (0, "0s", "0 s"),
            (59, "59s", "59 s"),
            (60, "1m", "1 min"),
            (HOUR - 1, "59m", "59 min"),
            (HOUR, "1h", "1 h"),
            (HOUR + MINUTE, "1h 1m", "1 h 1 min"),
            (DAY - 1, "23h 59m", "23 h 59 min"),
            (DAY, "1d", "1 d"),
            (DAY + HOUR - 1, "1d", "1 d"),
            (7 * DAY + HOUR, "7d 1h", "7 d 1 h"),
            (10 * DAY - 1, "9d 23h", "9 d 23 h"),
            (10 * DAY + HOUR, "10d", "10 d"),
            (u64::MAX, "213503982334601d", "213503982334601 d"),
        ] {
            let length = Length(Duration::from_secs(seconds));
            assert_eq!((length.to_string(), format!("{length:#}")), (short.into(), long.into()));
        }
        assert_eq!(Length(Duration::from_millis(59_999)).to_string(), "59s");
    }
}
