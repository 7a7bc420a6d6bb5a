//! `dualkey adopt`: the values in use, taken over.

use std::path::PathBuf;

use crate::cli::context::Context;
use crate::cli::failure::{Failure, Status};
use crate::cli::options::{Actor, Backup, DryRun};
use crate::cli::terminal::Terminal;
use crate::kid::Kid;
use crate::lifecycle::KeyState;
use crate::lifecycle::Role;
use crate::manifest::Manifest;
use crate::ops::adopt::{Adopted, Adopter, Source, Taken};
use crate::ops::inventory::{Place, Project, SecretSpec};
use crate::ops::warnings::find_encrypted_file;

/// Take over the values in use, so that what they signed and sealed stays valid
#[derive(clap::Args)]
#[command(
    after_help = "Of a secret X, the variables X_NEW, X, X_OLD and X_BACKUP are a primary and its fallbacks, and X_NEXT is staged. Nothing is written unless all values can be taken, and no variable is changed.\n\nExamples:\n  dualkey adopt\n  dualkey adopt --dry-run\n  dualkey adopt JWT_SECRET --from .env.production\n  dualkey adopt --from-env"
)]
pub(super) struct Args {
    /// The secrets, by their names in the inventory; all unless named
    names: Vec<String>,
    /// A .env file with the values; again for another. That beside the inventory unless set
    #[arg(long, value_name = "FILE", conflicts_with = "from_env")]
    from: Vec<PathBuf>,
    /// Take the values from the environment of this process
    #[arg(long)]
    from_env: bool,
    #[command(flatten)]
    actor: Actor,
    #[command(flatten)]
    dry_run: DryRun,
    #[command(flatten)]
    backup: Backup,
}

pub(super) async fn run(context: &Context, args: Args, terminal: &mut Terminal) -> Status {
    let project = args.backup.apply(context.project()?);
    let actor = args.actor.name()?;
    let source = if args.from_env {
        Source::Environment
    } else if args.from.is_empty() {
        Source::Beside
    } else {
        Source::Files(args.from.clone())
    };
    let mut adopter = Adopter::new(&project, &actor).source(source);
    if let Some(reason) = &args.actor.reason {
        adopter = adopter.reason(reason);
    }
    if args.dry_run.is_set() {
        adopter = adopter.dry_run();
    }
    let secrets = adopter.run(&args.names).await?;
    for secret in &secrets {
        print_adopted(&project, secret, args.dry_run, terminal)?;
    }
    if args.dry_run.is_set() {
        terminal.line("  nothing was changed")?;
    } else {
        print_next(&project, &secrets, terminal)?;
    }
    Ok(0)
}

fn print_adopted(
    project: &Project,
    adopted: &Adopted,
    dry_run: DryRun,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    let (name, environment) = (&adopted.secret, project.environment_name());
    let lead = if dry_run.is_set() { "would be " } else { "" };
    match &adopted.taken {
        Taken::Created(manifest) => {
            terminal.line(&format!("{name} ({}): {lead}created", manifest.environment()))?;
            // Each run would make another key.
            if dry_run.is_set() {
                return Ok(());
            }
            terminal.line(&format!("  key       {}", manifest.primary(project.now())))
        }
        Taken::Already(revoked) => {
            terminal.line(&format!("{name} ({environment}): adopted already"))?;
            for kid in revoked {
                terminal.line(&format!("  warning   a variable still holds `{kid}`, which is revoked or destroyed: remove it"))?;
            }
            Ok(())
        }
        Taken::NotSet => {
            terminal.line(&format!("{name} ({environment}): not set, so nothing to adopt"))
        }
        Taken::ByHand(place) => {
            terminal.line(&format!("{name} ({environment}): rotated by hand ({place})"))
        }
        Taken::Adopted { manifest, from, is_in_place } => {
            let place = if *is_in_place { "in" } else { "from" };
            terminal.line(&format!("{name} ({environment}): {lead}adopted {place} {from}"))?;
            print_keys(project, manifest, terminal)?;
            // Printed before the first rotation, which would be refused.
            match find_encrypted_file(project, project.inventory().secret(name)?, environment) {
                Some(file) => {
                    terminal.line(&format!("  warning   {}; {}", file.problem(), file.remedy()))
                }
                None => Ok(()),
            }
        }
    }
}

fn print_keys(
    project: &Project,
    manifest: &Manifest,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    let now = project.now();
    for (role, word) in
        [(Role::Primary, "key"), (Role::Fallback, "fallback"), (Role::Staged, "staged")]
    {
        let has_role = |kid: &Kid| manifest.state(kid, now) == Some(KeyState::Live(role));
        for kid in manifest.keys().iter().map(|key| key.kid()).filter(has_role) {
            terminal.line(&format!("  {word:<9} {kid}"))?;
        }
    }
    Ok(())
}

/// Prints which place decides now, and the next step.
fn print_next(
    project: &Project,
    secrets: &[Adopted],
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    let items: Vec<&SecretSpec> = secrets
        .iter()
        .filter(|secret| matches!(secret.taken, Taken::Adopted { .. }))
        .filter_map(|secret| project.inventory().secret(&secret.secret).ok())
        .collect();
    if items.iter().any(|item| !matches!(item.store, Place::Dotenv(_))) {
        terminal.line("  note      the stores decide from now on: let services follow them. The variables stay as they are: remove them once no service reads them")?;
    }
    // Those that can be searched for come first.
    let is_dangerous = |item: &&&SecretSpec| item.policy.dangerous_min_secret_bytes.is_some();
    let is_short = |item: &&&SecretSpec| item.policy.min_secret_bytes.is_some();
    match items.iter().find(is_dangerous).or_else(|| items.iter().find(is_short)) {
        Some(item) => {
            terminal.line("  next      rotate what is short")?;
            let command = item.command(&format!("rotate {}", item.name));
            terminal.line(&format!("  command   {command}"))
        }
        None => {
            terminal.line("  next      see what is due")?;
            terminal.line("  command   dualkey status")
        }
    }
}
