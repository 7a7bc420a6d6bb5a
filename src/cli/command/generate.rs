//! `dualkey generate`: new secrets.

use std::path::PathBuf;

use crate::cli::change::print_next;
use crate::cli::context::Context;
use crate::cli::failure::{Failure, Status};
use crate::cli::new_value::read_secret;
use crate::cli::options::{Actor, Confirmation, DryRun};
use crate::cli::terminal::Terminal;
use crate::manifest::{Manifest, NewEntry};
use crate::ops::generate::Sheet;
use crate::ops::inventory::{Inventory, Project, SecretSpec};
use crate::ops::rotate::{CreateOptions, create};
use crate::ops::schedule::secret_status;
use crate::purpose::Purpose;
use crate::variable_names::NEW;

/// The secrets of a usual backend, for a project without an inventory.
const USUAL: [(&str, Purpose); 3] = [
    ("JWT_SECRET", Purpose::Jwt),
    ("SESSION_SECRET", Purpose::Cookie),
    ("ENCRYPTION_KEY", Purpose::Envelope),
];

/// Make new secrets: as .env.rotation, as one value, as JSON, or into their stores
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  dualkey generate                             .env.rotation, for the secrets of the inventory\n  dualkey generate JWT_SECRET --print          one value\n  dualkey generate API_TOKEN --purpose jwt --json\n  dualkey generate JWT_SECRET --store --by ada  the first key of a ring\n\nFor a value that is in use: dualkey adopt. One that is shorter than its purpose asks for, such as one of 44 bytes from `openssl rand -base64 32`, needs `min_secret_bytes` in the inventory."
)]
pub(super) struct Args {
    /// The secrets; those of the inventory that are made here unless named
    names: Vec<String>,
    /// What names are for that are not in the inventory
    #[arg(long, value_parser = purpose)]
    purpose: Option<Purpose>,
    /// Print one value, and nothing else
    #[arg(long, conflicts_with_all = ["json", "store"])]
    print: bool,
    /// Print them as JSON
    #[arg(long, conflicts_with = "store")]
    json: bool,
    /// Make each the first key of its store
    #[arg(long)]
    store: bool,
    /// Its first key is what a file or (`-`) standard input holds: one that is in use, or that
    /// another makes
    #[arg(long, value_name = "FILE", requires = "store")]
    value_from: Option<PathBuf>,
    /// Create it even though the audit trail says that one existed, or a value of it is in use.
    /// Needs --reason
    #[arg(long, requires = "store", requires = "reason")]
    force: bool,
    /// The file that is written, and never written over
    #[arg(long, default_value = ".env.rotation", value_name = "FILE")]
    output: PathBuf,
    #[command(flatten)]
    actor: Actor,
    #[command(flatten)]
    dry_run: DryRun,
    #[command(flatten)]
    confirmation: Confirmation,
}

fn purpose(text: &str) -> Result<Purpose, String> {
    Purpose::from_name(text)
        .ok_or_else(|| format!("one of {}", Purpose::ALL.map(Purpose::as_str).join(", ")))
}

pub(super) async fn run(context: &Context, args: Args, terminal: &mut Terminal) -> Status {
    if args.store {
        return store_first_keys(context, &args, terminal).await;
    }
    let inventory =
        if context.inventory.exists() { Some(Inventory::read(&context.inventory)?) } else { None };
    let names = names(inventory.as_ref(), &args)?;
    let sheet =
        Sheet::new(context.now()?, names.iter().map(|(name, purpose)| (name.as_str(), *purpose)))?;
    if args.print {
        let [(_, secret)] = sheet.rows() else {
            return Err(Failure::Usage("`--print` prints one value: name one secret".to_owned()));
        };
        terminal.secret(&secret.text())?;
    } else if args.json {
        let document = sheet.to_json();
        terminal.json(std::str::from_utf8(document.expose()).unwrap_or_default())?;
    } else {
        write_file(&sheet, &args, terminal)?;
    }
    Ok(0)
}

/// Writes the secrets to a new file.
fn write_file(sheet: &Sheet, args: &Args, terminal: &mut Terminal) -> Result<(), Failure> {
    if args.dry_run.is_set() {
        sheet.check_new(&args.output)?;
        terminal.line(&format!("{} would be written (mode 0600):", args.output.display()))?;
    } else {
        sheet.write_new(&args.output)?;
        terminal.line(&format!("{} (mode 0600, not written over):", args.output.display()))?;
    }
    for (name, secret) in sheet.rows() {
        terminal.line(&format!("  {name}{NEW}  {}, {} bits", secret.purpose(), secret.bits()))?;
    }
    if args.dry_run.is_set() {
        return terminal.line("  nothing was changed");
    }
    terminal.line("  next      hand them over, and delete the file")
}

/// Returns the names with their purposes.
fn names(inventory: Option<&Inventory>, args: &Args) -> Result<Vec<(String, Purpose)>, Failure> {
    let usual = |(name, purpose): &(&str, Purpose)| ((*name).to_owned(), *purpose);
    if args.names.is_empty() {
        // What others make is not made here; and the key of the audit is for its store.
        let is_made = |item: &&SecretSpec| {
            item.purpose != Purpose::Audit && !item.purpose.is_made_elsewhere()
        };
        return Ok(match inventory {
            None => USUAL.iter().map(usual).collect(),
            Some(inventory) => {
                let made = inventory.secrets.iter().filter(is_made);
                made.map(|item| (item.name.clone(), item.purpose)).collect()
            }
        });
    }
    let purpose = |name: &String| match (args.purpose, inventory) {
        (Some(purpose), _) => Ok((name.clone(), purpose)),
        (None, Some(inventory)) => Ok((name.clone(), inventory.secret(name)?.purpose)),
        (None, None) => {
            USUAL.iter().find(|(known, _)| known == name).map(usual).ok_or_else(|| {
                Failure::Usage(format!("what is {name} for? Say so with `--purpose`"))
            })
        }
    };
    args.names.iter().map(purpose).collect()
}

/// Makes the first key of each store.
async fn store_first_keys(context: &Context, args: &Args, terminal: &mut Terminal) -> Status {
    if args.names.is_empty() {
        return Err(Failure::Usage("`--store` makes the first key of a ring: name it".to_owned()));
    }
    let project = context.project()?;
    let actor = args.actor.name()?;
    let mut by = CreateOptions::new(&actor);
    if let Some(reason) = &args.actor.reason {
        by = by.reason(reason);
    }
    if args.dry_run.is_set() {
        by = by.dry_run();
    }
    if args.force {
        let effect = "what the lost key signed is refused, what it sealed stays closed";
        args.confirmation.ask(args.dry_run, &args.names.join(" "), effect, terminal)?;
        by = by.force();
    }
    // All first, so that what cannot be made keeps none from being made.
    let keys = first_keys(&project, args)?;
    for (name, key) in args.names.iter().zip(keys) {
        let manifest = create(&project, name, by, key).await?;
        let environment = project.environment_name();
        if args.dry_run.is_set() {
            terminal.line(&format!("{name} ({environment}): would be created"))?;
            continue;
        }
        terminal.line(&format!("{name} ({environment}): created"))?;
        let (kid, strength) = (manifest.primary(project.now()), strength(&manifest, args));
        terminal.line(&format!("  key       {kid}{strength}"))?;
        print_next(&secret_status(&project, name).await?, project.now(), terminal)?;
    }
    Ok(0)
}

/// Returns the first key of each name: made here, or read.
fn first_keys(project: &Project, args: &Args) -> Result<Vec<NewEntry>, Failure> {
    let given = match (&args.value_from, &args.names[..]) {
        (None, _) => None,
        (Some(path), [name]) => Some(read_secret(project.inventory().secret(name)?, path)?),
        (Some(_), _) => {
            let problem = "`--value-from` holds one value: name one secret";
            return Err(Failure::Usage(problem.to_owned()));
        }
    };
    let key = |name| Ok(project.inventory().secret(name)?.new_key(given.clone())?);
    args.names.iter().map(|name| key(name.as_str())).collect()
}

/// The strength of a secret that was made here. That of one that was read is not known.
fn strength(manifest: &Manifest, args: &Args) -> String {
    if args.value_from.is_some() {
        return String::new();
    }
    format!(", {} bits", crate::manifest::random::random_bits(manifest.purpose()))
}
