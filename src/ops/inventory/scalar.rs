//! The values that an inventory has as text: names, schedules, lengths of time. A mistake has its place.

use std::ops::Range;
use std::time::Duration;

use jiff::{Span, SpanRelativeTo};
use toml::Spanned;

use super::nearest::nearest;
use crate::lifecycle::Schedule;
use crate::lifecycle::policy::{MAX, MAX_DAYS};

/// A mistake: its place and the problem.
pub(super) struct Wrong(pub(super) Range<usize>, pub(super) String);

/// A name that stands in paths and in records.
pub(super) fn environment_name(text: &Spanned<String>) -> Result<String, Wrong> {
    let name = text.get_ref();
    let is_part = |part: char| part.is_alphanumeric() || matches!(part, '-' | '_' | '.');
    if name.chars().all(is_part) && name.chars().any(char::is_alphanumeric) {
        return Ok(name.clone());
    }
    wrong(text, "an environment has a name of letters, digits, `-`, `_` and `.`".to_owned())
}

pub(super) fn schedule(text: &Spanned<String>) -> Result<Option<Schedule>, Wrong> {
    Ok(Some(match text.get_ref().as_str() {
        "never" => return Ok(None),
        "quarterly" => Schedule::Quarterly,
        "semi-annual" => Schedule::SemiAnnual,
        "annual" => Schedule::Annual,
        other => {
            let days = other.strip_suffix(" days").and_then(|days| days.trim().parse().ok());
            match days.filter(|days| (1..=MAX_DAYS).contains(days)) {
                Some(days) => Schedule::Days(days),
                None => {
                    let all = "quarterly, semi-annual, annual, never, or as in \"90 days\"";
                    return wrong(text, format!("`{other}` is no frequency: it is one of {all}"));
                }
            }
        }
    }))
}

pub(super) fn duration(text: &Spanned<String>) -> Result<Duration, Wrong> {
    let span: Option<Span> = text.get_ref().parse().ok();
    let length = span.and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()).ok());
    match length.and_then(|length| Duration::try_from(length).ok()) {
        Some(length) if length > MAX => {
            wrong(text, format!("`{}` is more than {MAX_DAYS} days", text.get_ref()))
        }
        Some(length) => Ok(length),
        None => wrong(
            text,
            format!("`{}` is no length of time as in \"7 days\" or \"90 min\"", text.get_ref()),
        ),
    }
}

pub(super) fn one_of<T>(
    text: &Spanned<String>,
    found: Option<T>,
    all: impl FnOnce() -> Vec<&'static str>,
) -> Result<T, Wrong> {
    match found {
        Some(found) => Ok(found),
        None => {
            let all = all();
            let near = nearest(text.get_ref(), all.iter().copied());
            let near = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
            wrong(text, format!("`{}` is none of {}{near}", text.get_ref(), all.join(", ")))
        }
    }
}

pub(super) fn wrong<T, S>(place: &Spanned<S>, problem: String) -> Result<T, Wrong> {
    Err(Wrong(place.span(), problem))
}
