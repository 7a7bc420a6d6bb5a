//! The lengths of the values in use, compared with the minimum of their purpose.

use super::recognised::Recognised;
use super::shortfall::Shortfall;
use crate::error::Error;
use crate::lifecycle::admission::{Rules, check};
use crate::purpose::Purpose;
use crate::source::dotenv::listing::Variable;
use crate::variable_names::{NEW, NEXT};

/// Sets how short the values are that sign, or will.
pub(super) fn measure(
    recognised: &mut Recognised,
    variable: &Variable,
    with: &[&Variable],
) -> Result<(), String> {
    let find = |suffix: &str| {
        let name = format!("{}{suffix}", variable.name);
        with.iter().find(|other| other.name == name)
    };
    let newer = find(NEW);
    let staged = find(NEXT);
    let signing: Vec<_> = std::iter::once(newer.copied().unwrap_or(variable))
        .chain(staged.copied())
        .map(|signer| signer.name.as_str())
        .collect();
    for variable in std::iter::once(variable).chain(with.iter().copied()) {
        let value = variable.value.as_str().to_owned();
        let Ok(secret) = recognised.purpose.decode(value) else {
            return set_manual(recognised);
        };
        let is_fallback = !signing.contains(&variable.name.as_str());
        let rules = Rules { allow_short_fallbacks: is_fallback, ..Rules::default() };
        let length = secret.expose().len();
        match check(&secret, &variable.name, is_fallback, recognised.purpose, None, &rules) {
            Ok(_) => {}
            Err(Error::ShortSecret { .. }) => {
                recognised.shortfall = recognised.shortfall.worse_of(Shortfall::for_length(
                    recognised.purpose,
                    None,
                    length,
                ))
            }
            Err(Error::WrongLength { .. }) => return set_manual(recognised),
            // A provider's that was never set is not in use.
            Err(Error::Placeholder { .. }) if recognised.purpose == Purpose::Credential => {
                return Err(explain_unset(&variable.name));
            }
            Err(Error::Placeholder { .. }) => recognised.is_placeholder = true,
            Err(error) => return Err(error.to_string()),
        }
    }
    Ok(())
}

/// The key of a passphrase or of another cipher: this crate keeps its calendar alone.
fn set_manual(recognised: &mut Recognised) -> Result<(), String> {
    recognised.manual =
        Some("the service, which makes its key of a value that is no AES-256 key".to_owned());
    Ok(())
}

/// The remark on a provider's secret that was never filled in.
pub(super) fn explain_unset(name: &str) -> String {
    format!("its value is a placeholder: set `{name}`, and add it to the inventory")
}
