//! The values in use, taken over.

use super::args;
use super::{Context, Failure, Status, Terminal};
use crate::kid::Kid;
use crate::lifecycle::KeyState;
use crate::lifecycle::Role;
use crate::manifest::Manifest;
use crate::ops::adopt::{Adopted, Adopter, Source, Taken};
use crate::ops::inventory::{Item, Place, Project};
use crate::ops::warnings::encrypted;

pub(super) async fn run(context: &Context, args: args::Adopt, terminal: &mut Terminal) -> Status {
    let project = context.project()?;
    let project = if args.who.backup { project.backup() } else { project };
    let actor = args.who.actor()?;
    let source = match (args.from_env, args.from.is_empty()) {
        (true, _) => Source::Environment,
        (false, false) => Source::Files(args.from.clone()),
        (false, true) => Source::Beside,
    };
    let mut adopter = Adopter::new(&project, &actor).source(source);
    if let Some(reason) = &args.who.reason {
        adopter = adopter.reason(reason);
    }
    let is_dry_run = args.who.dry_run;
    if is_dry_run {
        adopter = adopter.dry_run();
    }
    let all = adopter.run(&args.names).await?;
    for own in &all {
        terminal.adopted(&project, own, is_dry_run)?;
    }
    match is_dry_run {
        true => terminal.line("  nothing was changed")?,
        false => terminal.after_adoption(&project, &all)?,
    }
    Ok(0)
}

impl Terminal {
    fn adopted(
        &mut self,
        project: &Project,
        own: &Adopted,
        is_dry_run: bool,
    ) -> Result<(), Failure> {
        let (name, environment) = (&own.secret, project.environment_name());
        let lead = if is_dry_run { "would be " } else { "" };
        let manifest = match &own.taken {
            Taken::Created(manifest) => {
                self.line(&format!("{name} ({}): {lead}created", manifest.environment()))?;
                // Each run would make another key.
                return match is_dry_run {
                    true => Ok(()),
                    false => self.line(&format!("  key       {}", manifest.primary(project.now()))),
                };
            }
            Taken::Already(revoked) => {
                self.line(&format!("{name} ({environment}): adopted already"))?;
                for kid in revoked {
                    self.line(&format!("  warning   a variable still holds `{kid}`, which is revoked or destroyed: remove it"))?;
                }
                return Ok(());
            }
            Taken::NotSet => {
                return self.line(&format!("{name} ({environment}): not set, so nothing to adopt"));
            }
            Taken::ByHand(place) => {
                return self.line(&format!("{name} ({environment}): rotated by hand ({place})"));
            }
            Taken::Adopted { manifest, from, is_in_place } => {
                let place = if *is_in_place { "in" } else { "from" };
                self.line(&format!("{name} ({environment}): {lead}adopted {place} {from}"))?;
                manifest
            }
        };
        self.keys(project, manifest)?;
        // Said before the first rotation, which would be refused.
        match encrypted(project, project.inventory().secret(name)?, environment) {
            Some(own) => self.line(&format!("  warning   {}; {}", own.found(), own.remedy())),
            None => Ok(()),
        }
    }

    fn keys(&mut self, project: &Project, manifest: &Manifest) -> Result<(), Failure> {
        let now = project.now();
        for (role, word) in
            [(Role::Primary, "key"), (Role::Fallback, "fallback"), (Role::Staged, "staged")]
        {
            let is_it = |kid: &Kid| manifest.state(kid, now) == Some(KeyState::Active(role));
            for kid in manifest.keys().iter().map(|key| key.kid()).filter(is_it) {
                self.line(&format!("  {word:<9} {kid}"))?;
            }
        }
        Ok(())
    }

    /// Which place decides now, and what comes next.
    fn after_adoption(&mut self, project: &Project, all: &[Adopted]) -> Result<(), Failure> {
        let adopted = |own: &&Adopted| matches!(own.taken, Taken::Adopted { .. });
        let items: Vec<&Item> = all
            .iter()
            .filter(adopted)
            .filter_map(|own| project.inventory().secret(&own.secret).ok())
            .collect();
        if items.iter().any(|item| !matches!(item.store, Place::Dotenv(_))) {
            self.line("  note      the stores decide from now on: let services follow them. The variables stay as they are: remove them once no service reads them")?;
        }
        // Those that can be searched for come first.
        let is_dangerous = |item: &&&Item| item.policy.dangerous_min_secret_bytes.is_some();
        let is_short = |item: &&&Item| item.policy.min_secret_bytes.is_some();
        match items.iter().find(is_dangerous).or_else(|| items.iter().find(is_short)) {
            Some(item) => {
                self.line("  next      rotate what is short")?;
                let command = item.command(&format!("rotate {}", item.name));
                self.line(&format!("  command   {command}"))
            }
            None => {
                self.line("  next      see what is due")?;
                self.line("  command   dualkey status")
            }
        }
    }
}
