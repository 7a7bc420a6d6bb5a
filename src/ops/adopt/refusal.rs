//! The refusals of an adoption, each with its remedy.

use super::outcome::Refusal;
use crate::error::Error;
use crate::ops::error::OpsError;
use crate::ops::inventory::SecretSpec;
use crate::ops::recognise::Shortfall;
use crate::purpose::Purpose;
use crate::source::StoreError;

/// The refusal of `item` by `error`, with its remedy.
pub(super) fn refusal(item: &SecretSpec, error: &OpsError) -> Refusal {
    // It has its words already.
    if let OpsError::Adopt { refusals } = error
        && let [refusal] = &refusals[..]
    {
        return refusal.clone();
    }
    let source = match error {
        OpsError::Refused(source) | OpsError::Store(StoreError::Refused(source)) => Some(source),
        OpsError::Store(StoreError::Manifest { source, .. }) => Some(&**source),
        _ => None,
    };
    let problem = source.and_then(|source| remedy(item, source));
    let problem = problem.unwrap_or_else(|| error.to_string());
    Refusal { secret: item.name.clone(), problem }
}

/// The refusal of `item` because of `variable`, as an error.
pub(super) fn unfit(item: &SecretSpec, variable: &str, why: String) -> OpsError {
    let problem = if variable == item.name { why } else { format!("`{variable}`: {why}") };
    OpsError::Adopt { refusals: vec![Refusal { secret: item.name.clone(), problem }] }
}

/// The problem with a value in use, and what an operator does about it.
fn remedy(item: &SecretSpec, error: &Error) -> Option<String> {
    let name = &item.name;
    Some(match error {
        Error::ShortSecret { key, length, minimum, .. } => {
            let setting = Shortfall::for_length(item.purpose, item.algorithm.as_deref(), *length)
                .setting()?;
            format!(
                "`{key}` has {length} bytes, and the minimum is {minimum}: add `{setting}` to `{name}` \
                 in the inventory, so that it signs until the first rotation"
            )
        }
        Error::Placeholder { key, why, .. } => format!(
            "`{key}` is a placeholder ({why}), which attackers know: replace it (`dualkey generate \
             {name} --print`), restart the service, and adopt again; what it signed has to be refused"
        ),
        Error::WrongLength { key, .. } | Error::Encoding { key, .. }
            if item.purpose == Purpose::Envelope =>
        {
            format!(
                "`{key}` is no AES-256 key (64 hexadecimal digits, or base64 of 32 bytes): write `store = \
                 {{ manual = \"the service\" }}` in the inventory, or pass the 32 bytes that the service \
                 makes of it to `dualkey generate {name} --store --value-from FILE`"
            )
        }
        Error::AsymmetricKey { key, what } => format!(
            "`{key}` is {what}, and no shared secret: take `{name}` out of the inventory, and rotate it \
             with the public key"
        ),
        _ => return None,
    })
}
