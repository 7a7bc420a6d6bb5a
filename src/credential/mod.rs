//! Secrets that are not verified but shown: API keys, passwords, URLs with one.
//!
//! Whoever verifies them is elsewhere, and says of one at a time whether it is right. So a ring
//! of [`Credential`]s says which is shown now, and learns from the answer: [`Credentials`]. On top
//! of it:
//!
//! - `credential::api` (feature `api`): API keys that go out with requests, as a tower layer; as
//!   middleware of `reqwest` with the feature `reqwest`.
//! - `credential::database` (feature `sqlx-postgres`): a pool of `sqlx` whose password rotates.
//!
//! It promises: what is on offer is the primary, then a staged one, then the fallbacks, a
//! revoked one never; one that was refused rests, for longer each time, and is then tried by one
//! caller while all others go on; the last good one is kept meanwhile; a thousand that are refused
//! at once make one switch.
//!
//! It does not promise that a refusal is a refusal of the credential: only who talks to the
//! other side can tell, and must take nothing else for one (no timeout, no failure of the server).

#[cfg(feature = "api")]
pub mod api;
#[cfg(feature = "sqlx-postgres")]
pub mod database;
mod key;
mod turns;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::error::Error;
use crate::kid::Kid;
use crate::lifecycle::Role;
use crate::observer::Event;
use crate::ring::KeyRing;
use crate::ring::snapshot::View;
use crate::secret::Secret;
use crate::verified::Verified;

pub use key::Credential;
use turns::{Choice, Offer, Pace, Turns};

/// How long one that was refused rests, the first time.
const REST: Duration = Duration::from_secs(30);
/// And at most.
const LONGEST_REST: Duration = Duration::from_secs(30 * 60);

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
/// let mut shown = credentials.choose()?;
/// while !login(shown.secret().expose()) {
///     // Nothing but a refusal of the password comes here.
///     shown = credentials.refused(&shown).expect("another one is on offer");
/// }
/// credentials.accepted(&shown);
/// assert_eq!(shown.kid(), *"credential-2");
/// assert_eq!(credentials.choose()?.kid(), *"credential-2", "the last good one is kept");
/// # Ok::<(), dualkey::Error>(())
/// ```
#[derive(Clone)]
pub struct Credentials {
    ring: KeyRing<Credential>,
    pace: Pace,
    turns: Arc<Mutex<Turns>>,
}

/// A credential, to be shown. Tell [`Credentials`] what came of it.
#[derive(Debug, Clone)]
#[must_use = "what came of it is to be told"]
pub struct Shown {
    choice: Choice,
    secret: Secret,
}

impl Credentials {
    /// One that was refused rests for 30 seconds, then twice as long each time, up to half an
    /// hour.
    #[must_use]
    pub fn new(ring: KeyRing<Credential>) -> Self {
        Self { ring, pace: Pace { first: REST, longest: LONGEST_REST }, turns: Arc::default() }
    }

    /// How long one that was refused rests: `first`, then twice as long each time, up to
    /// `longest`.
    #[must_use]
    pub fn rest(mut self, first: Duration, longest: Duration) -> Self {
        self.pace = Pace { first, longest: longest.max(first) };
        self
    }

    /// The ring that they are of.
    #[must_use]
    pub fn ring(&self) -> &KeyRing<Credential> {
        &self.ring
    }

    /// The credential that is shown now: the primary; if it rests, the last good one. Where all
    /// rest, the one whose turn it is: who refuses all may do so by mistake.
    ///
    /// # Errors
    /// [`Error::Stale`] or [`Error::NothingSigns`] if the ring serves nothing.
    pub fn choose(&self) -> Result<Shown, Error> {
        self.ring.read(|view| {
            let offer = offer(view);
            let choice = self.turns().choose(&offer, view.now(), self.pace);
            let idle = || view.primary().err().unwrap_or(Error::NothingSigns);
            shown(view, choice.ok_or_else(idle)?).ok_or_else(idle)
        })
    }

    /// It was taken: it counts as used, and is what is shown from now on, if it had been resting.
    pub fn accepted(&self, shown: &Shown) {
        self.ring.read(|view| {
            let before = self.turns().accepted(&shown.choice);
            if let Some(from) = before {
                let (ring, to) = (view.ring(), shown.kid());
                view.tell(Event::CredentialSwitched { ring, from, to });
            }
            count(view, shown);
        });
    }

    /// It is in use: what that says of whether it would be taken anew is nothing.
    #[cfg(feature = "sqlx-postgres")]
    fn used(&self, shown: &Shown) {
        self.ring.read(|view| count(view, shown));
    }

    /// It was refused: it rests. Returns the one that is to be shown in its place: one that does
    /// not rest; where all do, another one, which may have been mended. `None` if there is no
    /// other.
    ///
    /// A refusal of the credential, and nothing else: no timeout, and no failure of the other
    /// side.
    pub fn refused(&self, shown: &Shown) -> Option<Shown> {
        self.cool_down(shown, None)
    }

    /// The same, for one that `error` keeps from being shown at all.
    #[cfg(feature = "sqlx-postgres")]
    fn unusable(&self, shown: &Shown, error: &(dyn std::error::Error + 'static)) -> Option<Shown> {
        self.cool_down(shown, Some(error))
    }

    fn cool_down(
        &self,
        shown: &Shown,
        error: Option<&(dyn std::error::Error + 'static)>,
    ) -> Option<Shown> {
        self.ring.read(|view| {
            let (kid, now, offer) = (shown.kid(), view.now(), offer(view));
            let mut turns = self.turns();
            let refusal = turns.refused(&shown.choice, now, self.pace);
            let next = turns.next(&offer, &kid, now, self.pace);
            drop(turns);
            let ring = view.ring();
            if refusal.is_news {
                view.tell(match error {
                    None => Event::CredentialRefused { ring, kid },
                    Some(error) => Event::CredentialUnusable { ring, kid, error },
                });
            }
            if let Some(next) = next.filter(|next| next.kid != kid && refusal.was_current) {
                view.tell(Event::CredentialSwitched { ring, from: kid, to: next.kid });
            }
            shown_as(view, next)
        })
    }

    /// Whether every credential of the ring was refused, and rests.
    #[must_use]
    pub fn all_rest(&self) -> bool {
        self.ring.read(|view| self.turns().all_rest(&offer(view), view.now(), self.pace))
    }

    /// The credential `kid`, whosever turn it is; `None` if it is not on offer.
    #[cfg(feature = "sqlx-postgres")]
    fn pick(&self, kid: Kid) -> Option<Shown> {
        self.ring.read(|view| {
            let choice = self.turns().choice(&offer(view), kid);
            shown_as(view, choice)
        })
    }

    /// The kids of all that the ring has to offer, in their order.
    #[cfg(any(feature = "api", feature = "sqlx-postgres"))]
    fn offered(&self) -> Vec<Kid> {
        self.ring.read(|view| offer(view).into_iter().map(|(kid, _)| kid).collect())
    }

    /// The variable that the key `kid` was read from, or its kid, for errors.
    #[cfg(feature = "sqlx-postgres")]
    fn label(&self, kid: Kid) -> String {
        self.ring.read(|view| {
            let variable = view.named(kid.as_bytes()).ok().and_then(|(key, _)| key.variable());
            variable.map_or_else(|| format!("the key `{kid}`"), |name| format!("`{name}`"))
        })
    }

    fn turns(&self) -> MutexGuard<'_, Turns> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shown {
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

/// What the ring has to offer now, in its order.
fn offer(view: &View<'_, Credential>) -> Offer {
    let mut offer: Offer = view.verifying().map(|(key, role)| (key.kid(), role)).collect();
    // A staged one is newer than the primary, and likely to be right where that is not.
    offer.sort_by_key(|(_, role)| match role {
        Role::Primary => 0,
        Role::Staged => 1,
        Role::Fallback => 2,
    });
    offer
}

fn count(view: &View<'_, Credential>, shown: &Shown) {
    if let Ok(key) = view.named(shown.choice.kid.as_bytes()) {
        let _: Verified<()> = view.accept_named(key, ());
    }
}

fn shown(view: &View<'_, Credential>, choice: Choice) -> Option<Shown> {
    let (key, _) = view.named(choice.kid.as_bytes()).ok()?;
    Some(Shown { choice, secret: key.material().0.clone() })
}

fn shown_as(view: &View<'_, Credential>, choice: Option<Choice>) -> Option<Shown> {
    choice.and_then(|choice| shown(view, choice))
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("ring", &self.ring).finish_non_exhaustive()
    }
}
