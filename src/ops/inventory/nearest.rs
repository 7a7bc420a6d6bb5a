//! The name that was probably meant.

/// Of `names` the one that is written most like `name`, if one is.
pub(crate) fn nearest<'n>(name: &str, names: impl Iterator<Item = &'n str>) -> Option<String> {
    let name = name.to_lowercase();
    names
        .map(|other| (strsim::jaro_winkler(&name, &other.to_lowercase()), other))
        // As `clap` does for its own.
        .filter(|(likeness, _)| *likeness > 0.7)
        .max_by(|one, other| one.0.total_cmp(&other.0))
        .map(|(_, nearest)| nearest.to_owned())
}
