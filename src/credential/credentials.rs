//! `Credentials`: the choice of a credential, by the answers to those before.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::key::Credential;
use super::selector::{Choice, CoolDown, Offer, Selector};
use crate::error::Error;
use crate::kid::Kid;
use crate::lifecycle::Role;
use crate::observer::Event;
use crate::ring::KeyRing;
use crate::ring::snapshot::View;
use crate::secret::Secret;
use crate::verified::Verified;

/// How long one that was refused cools down, the first time.
const COOL_DOWN: Duration = Duration::from_secs(30);
/// And at most.
const LONGEST_COOL_DOWN: Duration = Duration::from_secs(30 * 60);

/// Says which credential of a ring is shown now, and learns from what came of it. Clones share
/// what they know.
///
/// ```
/// use dualkey::{KeyRing, Secret};
/// use dualkey::credential::{Credential, Credentials};
///
/// let ring = KeyRing::<Credential>::builder()
///     .name("SMTP_PASSWORD")
///     .primary(Secret::from("q8WzRk-T4nZ8yB1cF6gJ0"))
///     .fallback(Secret::from("x2Zq9Ml5Ki-Nf0Vg6Jc3D"))
///     .build()?;
/// let credentials = Credentials::new(ring);
///
/// # fn login(password: &[u8]) -> bool { password.starts_with(b"x2") }
/// let mut attempt = credentials.choose()?;
/// while !login(attempt.secret().expose()) {
///     // Nothing but a refusal of the password comes here.
///     attempt = credentials.report_rejected(&attempt).expect("another one is on offer");
/// }
/// credentials.report_accepted(&attempt);
/// assert_eq!(attempt.kid(), *"credential-2");
/// assert_eq!(credentials.choose()?.kid(), *"credential-2", "the last good one is kept");
/// # Ok::<(), dualkey::Error>(())
/// ```
#[derive(Clone)]
pub struct Credentials {
    ring: KeyRing<Credential>,
    cool_down: CoolDown,
    selector: Arc<Mutex<Selector>>,
}

/// A credential, to be shown. Tell [`Credentials`] what came of it.
#[derive(Debug, Clone)]
#[must_use = "what came of it is to be told"]
pub struct Attempt {
    choice: Choice,
    secret: Secret,
}

impl Credentials {
    /// One that was refused cools down for 30 seconds, then twice as long each time, up to half an
    /// hour.
    #[must_use]
    pub fn new(ring: KeyRing<Credential>) -> Self {
        Self {
            ring,
            cool_down: CoolDown { first: COOL_DOWN, longest: LONGEST_COOL_DOWN },
            selector: Arc::default(),
        }
    }

    /// How long one that was refused cools down: `first`, then twice as long each time, up to
    /// `longest`.
    #[must_use]
    pub fn cool_down(mut self, first: Duration, longest: Duration) -> Self {
        self.cool_down = CoolDown { first, longest: longest.max(first) };
        self
    }

    /// The ring that they are of.
    #[must_use]
    pub fn ring(&self) -> &KeyRing<Credential> {
        &self.ring
    }

    /// The credential that is shown now: the primary; if it cools down, the last good one. Where all
    /// cool down, the one whose turn it is: who refuses all may do so by mistake.
    ///
    /// # Errors
    /// [`Error::Stale`] or [`Error::NothingSigns`] if the ring serves nothing.
    pub fn choose(&self) -> Result<Attempt, Error> {
        self.ring.read(|view| {
            let offer = list_offer(view);
            let choice = self.selector().choose(&offer, view.now(), self.cool_down);
            let idle = || view.primary().err().unwrap_or(Error::NothingSigns);
            show(view, choice.ok_or_else(idle)?).ok_or_else(idle)
        })
    }

    /// It was taken: it counts as used, and is what is shown from now on, if it had been cooling down.
    pub fn report_accepted(&self, attempt: &Attempt) {
        self.ring.read(|view| {
            let before = self.selector().accept(&attempt.choice);
            if let Some(from) = before {
                let (ring, to) = (view.ring(), attempt.kid());
                view.emit(Event::CredentialSwitched { ring, from, to });
            }
            count_use(view, attempt);
        });
    }

    /// Counts a use of it. That does not show that it would be accepted again.
    #[cfg(feature = "pool-postgres")]
    pub(super) fn count_use(&self, attempt: &Attempt) {
        self.ring.read(|view| count_use(view, attempt));
    }

    /// It was refused: it cools down. Returns the one that is to be shown in its place: one that does
    /// not cool down; where all do, another one, which may have been mended. `None` if there is no
    /// other.
    ///
    /// A refusal of the credential, and nothing else: no timeout, and no failure of the other
    /// side.
    pub fn report_rejected(&self, attempt: &Attempt) -> Option<Attempt> {
        self.reject(attempt, None)
    }

    /// Does the same for one that `error` keeps from being shown at all.
    #[cfg(feature = "pool-postgres")]
    pub(super) fn reject_unusable(
        &self,
        attempt: &Attempt,
        error: &(dyn std::error::Error + 'static),
    ) -> Option<Attempt> {
        self.reject(attempt, Some(error))
    }

    fn reject(
        &self,
        attempt: &Attempt,
        error: Option<&(dyn std::error::Error + 'static)>,
    ) -> Option<Attempt> {
        self.ring.read(|view| {
            let (kid, now, offer) = (attempt.kid(), view.now(), list_offer(view));
            let mut selector = self.selector();
            let refusal = selector.reject(&attempt.choice, now, self.cool_down);
            let next = selector.choose_after(&offer, &kid, now, self.cool_down);
            drop(selector);
            let ring = view.ring();
            if refusal.is_news {
                view.emit(match error {
                    None => Event::CredentialRefused { ring, kid },
                    Some(error) => Event::CredentialUnusable { ring, kid, error },
                });
            }
            if let Some(next) = next.filter(|next| next.kid != kid && refusal.was_current) {
                view.emit(Event::CredentialSwitched { ring, from: kid, to: next.kid });
            }
            next.and_then(|next| show(view, next))
        })
    }

    /// Whether every credential of the ring was refused, and cools down.
    #[must_use]
    pub fn is_cooling_down(&self) -> bool {
        self.ring.read(|view| {
            self.selector().is_cooling_down(&list_offer(view), view.now(), self.cool_down)
        })
    }

    /// Returns the credential `kid`, whichever would be chosen; `None` if it is not on offer.
    #[cfg(feature = "pool-postgres")]
    pub(super) fn pick(&self, kid: Kid) -> Option<Attempt> {
        self.ring.read(|view| {
            let choice = self.selector().choice(&list_offer(view), kid);
            choice.and_then(|choice| show(view, choice))
        })
    }

    /// The kids of all that the ring has to offer, in their order.
    #[cfg(any(feature = "api-key", feature = "pool-postgres"))]
    pub(super) fn offered_kids(&self) -> Vec<Kid> {
        self.ring.read(|view| list_offer(view).into_iter().map(|(kid, _)| kid).collect())
    }

    /// The variable that the key `kid` was read from, or its kid, for errors.
    #[cfg(feature = "pool-postgres")]
    pub(super) fn label(&self, kid: Kid) -> String {
        self.ring.read(|view| {
            let variable = view.named(kid.as_bytes()).ok().and_then(|(key, _)| key.variable());
            variable.map_or_else(|| format!("the key `{kid}`"), |name| format!("`{name}`"))
        })
    }

    fn selector(&self) -> MutexGuard<'_, Selector> {
        self.selector.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Attempt {
    /// Which one it is.
    #[must_use]
    pub fn kid(&self) -> Kid {
        self.choice.kid
    }

    /// The role that it had when it was chosen.
    #[must_use]
    pub fn role(&self) -> Role {
        self.choice.role
    }

    /// What is shown.
    #[must_use]
    pub fn secret(&self) -> &Secret {
        &self.secret
    }

    /// Whether it was refused before, and this one finds out for all whether it still is.
    #[must_use]
    pub fn is_probe(&self) -> bool {
        self.choice.is_probe
    }
}

/// Lists the credentials that the ring offers now, in their order.
fn list_offer(view: &View<'_, Credential>) -> Offer {
    let mut offer: Offer = view.verifying().map(|(key, role)| (key.kid(), role)).collect();
    // A staged one is newer than the primary, and likely to be right where that is not.
    offer.sort_by_key(|(_, role)| match role {
        Role::Primary => 0,
        Role::Staged => 1,
        Role::Fallback => 2,
    });
    offer
}

fn count_use(view: &View<'_, Credential>, attempt: &Attempt) {
    if let Ok(key) = view.named(attempt.choice.kid.as_bytes()) {
        let _: Verified<()> = view.accept_named(key, ());
    }
}

/// Returns the secret of a choice; `None` if it has left the ring.
fn show(view: &View<'_, Credential>, choice: Choice) -> Option<Attempt> {
    let (key, _) = view.named(choice.kid.as_bytes()).ok()?;
    Some(Attempt { choice, secret: key.material().0.clone() })
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("ring", &self.ring).finish_non_exhaustive()
    }
}
