//! Rewrapping one stored value, in whichever form it is: the work of a rewrap for each.

use zeroize::Zeroizing;

use super::format::{Stored, TEXT_MARK, is_binary, to_text};
use super::key::AesKey;
use super::open::open_stored;
use super::rewrap::{Reopened, RewrapError, reopen};
use super::seal::Draft;
use super::sealer::Sealer;
use crate::kid::Kid;
use crate::lifecycle::Role;
use crate::observer::Event;
use crate::ring::Key;
use crate::ring::snapshot::View;

/// The options of rewrapping a stored value.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct RewrapOptions {
    /// Seals every value again, and not only those under a key on its way out.
    pub(crate) renews_all: bool,
    /// Opens under revoked keys too.
    pub(crate) rescues: bool,
    /// Opens, and makes nothing.
    pub(crate) is_dry_run: bool,
    /// What was in a legacy layout becomes an envelope in text form.
    pub(crate) is_text: bool,
}

/// The result of rewrapping a stored value.
#[cfg_attr(
    not(feature = "full"),
    allow(dead_code, reason = "only `rewrap`, a higher module, reads it")
)]
pub(crate) struct RewrappedValue {
    /// The key that it was under.
    pub(crate) from: Kid,
    /// The key that it is under now.
    pub(crate) to: Kid,
    /// The length of the value to store in its place; `None` if it stays.
    pub(crate) length: Option<usize>,
    /// The value to store in its place; `None` in a dry run.
    pub(crate) value: Option<Vec<u8>>,
}

impl Sealer {
    /// Opens whatever is `stored`, and seals it again under the primary where its key is on its
    /// way out, or where `options` asks for all.
    #[cfg_attr(
        not(feature = "full"),
        allow(dead_code, reason = "only `rewrap`, a higher module, rewraps whole stores")
    )]
    pub(crate) fn rewrap_stored(
        &self,
        stored: &[u8],
        context: &[u8],
        options: RewrapOptions,
    ) -> Result<RewrappedValue, RewrapError> {
        self.ring.read(|view| match Stored::parse(stored, self.max_payload_bytes) {
            Ok(Stored::Native(blob)) => {
                let is_text = !is_binary(stored);
                rewrap_envelope(self, view, &blob, context, RewrapOptions { is_text, ..options })
            }
            Ok(Stored::Legacy(_)) => seal_legacy(self, view, stored, context, options),
            Err(reason) => Err(view.reject(reason).into()),
        })
    }
}

/// Rewraps an envelope.
fn rewrap_envelope(
    sealer: &Sealer,
    view: &View<'_, AesKey>,
    blob: &[u8],
    context: &[u8],
    options: RewrapOptions,
) -> Result<RewrappedValue, RewrapError> {
    // Of a staged key as well: an instance that is ahead may have rewrapped it.
    let is_due = |role| options.renews_all || matches!(role, None | Some(Role::Fallback));
    let Reopened { key, role, draft } =
        reopen(sealer, view, blob, context, options.rescues, is_due)?;
    if role.is_none() {
        report_rescue(view, key);
    }
    // Deliberately not counted as a use: a rewrap of every row does not show who needs the
    // key.
    match draft {
        Some(draft) => seal_again(view, key.kid(), draft, context, options),
        None => Ok(RewrappedValue { from: key.kid(), to: key.kid(), length: None, value: None }),
    }
}

/// Seals the payload of a legacy value.
fn seal_legacy(
    sealer: &Sealer,
    view: &View<'_, AesKey>,
    stored: &[u8],
    context: &[u8],
    options: RewrapOptions,
) -> Result<RewrappedValue, RewrapError> {
    let opened = open_stored(sealer, view, stored, context, options.rescues);
    let opened = opened.map_err(|reason| view.reject(reason))?;
    let payload = Zeroizing::new(opened.payload);
    if opened.role.is_none() {
        report_rescue(view, opened.key);
    }
    seal_again(
        view,
        opened.key.kid(),
        Draft::from_payload(view.primary()?, &payload),
        context,
        options,
    )
}

/// Seals a `draft`, unless it is a dry run.
fn seal_again(
    view: &View<'_, AesKey>,
    from: Kid,
    draft: Draft<'_>,
    context: &[u8],
    options: RewrapOptions,
) -> Result<RewrappedValue, RewrapError> {
    let to = draft.kid();
    let length = Some(stored_len(draft.sealed_len(), options.is_text));
    let value = if options.is_dry_run {
        None
    } else {
        Some(encode_envelope(draft.seal(view, context)?, options.is_text))
    };
    Ok(RewrappedValue { from, to, length, value })
}

fn report_rescue(view: &View<'_, AesKey>, key: &Key<AesKey>) {
    view.emit(Event::OpenedRevoked { ring: view.ring(), kid: key.kid() });
}

fn encode_envelope(blob: Vec<u8>, is_text: bool) -> Vec<u8> {
    if is_text { to_text(&blob).into_bytes() } else { blob }
}

fn stored_len(blob: usize, is_text: bool) -> usize {
    if is_text { TEXT_MARK.len() + (blob * 4).div_ceil(3) } else { blob }
}
