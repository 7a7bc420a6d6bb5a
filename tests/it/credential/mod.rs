//! Secrets that are shown: API keys, and the password of a database.

mod api;
mod database;
mod failover;
mod other_database;
mod plaintext;
mod probe;
mod roles;

use std::sync::{Arc, Mutex};

use dualkey::credential::Credential;
use dualkey::{Event, KeyRing, ManualClock, NewKey, Observer, Secret};

/// What happened to credentials, in short.
#[derive(Debug, Clone, Default)]
struct Switches(Arc<Mutex<Vec<String>>>);

impl Observer for Switches {
    fn observe(&self, event: &Event<'_>) {
        let told = match event {
            Event::CredentialRefused { kid, .. } => format!("{kid} refused"),
            Event::CredentialUnusable { kid, .. } => format!("{kid} unusable"),
            Event::CredentialSwitched { from, to, .. } => format!("{from} -> {to}"),
            _ => return,
        };
        self.0.lock().unwrap().push(told);
    }
}

impl Switches {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

fn key(kid: &str, secret: &str) -> NewKey<Credential> {
    NewKey::new(Secret::from(secret)).kid(kid.parse().unwrap())
}

/// A ring of these, the first of which is the primary, by a clock of its own.
fn ring(keys: &[(&str, &str)]) -> (KeyRing<Credential>, Switches, ManualClock) {
    let (switches, clock) = (Switches::default(), ManualClock::at_unix(1_800_000_000));
    let mut builder = KeyRing::<Credential>::builder()
        .name("PROVIDER_KEY")
        .clock(clock.clone())
        .observer(switches.clone());
    for (place, (kid, secret)) in keys.iter().enumerate() {
        let new = key(kid, secret);
        builder = if place == 0 { builder.primary(new) } else { builder.fallback(new) };
    }
    (builder.build().unwrap(), switches, clock)
}
