//! New secrets.

use super::args;
use super::steps::read;
use super::{Context, Failure, Status, Terminal};
use crate::ops::generate::Sheet;
use crate::ops::inventory::{Inventory, Item};
use crate::ops::rotate::{By, create};
use crate::ops::schedule::standing_of;
use crate::purpose::Purpose;

/// What a backend without an inventory has.
const USUAL: [(&str, Purpose); 3] = [
    ("JWT_SECRET", Purpose::Jwt),
    ("SESSION_SECRET", Purpose::Cookie),
    ("ENCRYPTION_KEY", Purpose::Envelope),
];

pub(super) async fn run(
    context: &Context,
    args: args::Generate,
    terminal: &mut Terminal,
) -> Status {
    if args.store {
        return store(context, args, terminal).await;
    }
    let inventory = match context.inventory.exists() {
        true => Some(Inventory::read(&context.inventory)?),
        false => None,
    };
    let names = names(inventory.as_ref(), &args)?;
    let sheet =
        Sheet::new(context.now()?, names.iter().map(|(name, purpose)| (name.as_str(), *purpose)))?;
    if args.print {
        let [(_, own)] = sheet.rows() else {
            return Err(Failure::Usage("`--print` prints one value: name one secret".to_owned()));
        };
        terminal.secret(&own.text())?;
        return Ok(0);
    }
    if args.json {
        let document = sheet.to_json();
        terminal.json(std::str::from_utf8(document.expose()).unwrap_or_default())?;
        return Ok(0);
    }
    if args.who.dry_run {
        sheet.check_new(&args.output)?;
        terminal.line(&format!("{} would be written (mode 0600):", args.output.display()))?;
    } else {
        sheet.write_new(&args.output)?;
        terminal.line(&format!("{} (mode 0600, not written over):", args.output.display()))?;
    }
    for (name, own) in sheet.rows() {
        terminal.line(&format!("  {name}_NEW  {}, {} bits", own.purpose(), own.bits()))?;
    }
    if args.who.dry_run {
        return terminal.line("  nothing was changed").map(|()| 0);
    }
    terminal.line("  next      hand them over, and delete the file")?;
    Ok(0)
}

/// The names with their purposes.
fn names(
    inventory: Option<&Inventory>,
    args: &args::Generate,
) -> Result<Vec<(String, Purpose)>, Failure> {
    let own = |(name, purpose): &(&str, Purpose)| ((*name).to_owned(), *purpose);
    if args.names.is_empty() {
        // What others make is not made here; and the key of the audit is for its store.
        let is_made =
            |item: &&Item| item.purpose != Purpose::Audit && !item.purpose.is_made_elsewhere();
        return Ok(match inventory {
            None => USUAL.iter().map(own).collect(),
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
            USUAL.iter().find(|(usual, _)| usual == name).map(own).ok_or_else(|| {
                Failure::Usage(format!("what is {name} for? Say so with `--purpose`"))
            })
        }
    };
    args.names.iter().map(purpose).collect()
}

/// The first key of each store.
async fn store(context: &Context, args: args::Generate, terminal: &mut Terminal) -> Status {
    if args.names.is_empty() {
        return Err(Failure::Usage("`--store` makes the first key of a ring: name it".to_owned()));
    }
    let project = context.project()?;
    let actor = args.who.actor()?;
    let mut by = By::new(&actor);
    if let Some(reason) = &args.who.reason {
        by = by.reason(reason);
    }
    if args.who.dry_run {
        by = by.dry_run();
    }
    if args.force {
        let what = "what the lost key signed is refused, what it sealed stays closed";
        terminal.confirm(&args.who, &args.names.join(" "), what)?;
        by = by.force();
    }
    let given = match (&args.value_from, &args.names[..]) {
        (None, _) => None,
        (Some(path), [name]) => Some(read(project.inventory().secret(name)?, path)?),
        (Some(_), _) => {
            let problem = "`--value-from` holds one value: name one secret";
            return Err(Failure::Usage(problem.to_owned()));
        }
    };
    // All first, so that what cannot be made keeps none from being made.
    let new: Vec<_> = args
        .names
        .iter()
        .map(|name| project.inventory().secret(name)?.new_key(given.clone()))
        .collect::<Result<_, _>>()?;
    for (name, new) in args.names.iter().zip(new) {
        let manifest = create(&project, name, by, new).await?;
        if args.who.dry_run {
            terminal.line(&format!("{name} ({}): would be created", project.environment_name()))?;
            continue;
        }
        // How strong a secret is that was handed over, nobody can tell.
        let strength = match given {
            None => format!(", {} bits", crate::manifest::random::random_bits(manifest.purpose())),
            Some(_) => String::new(),
        };
        terminal.line(&format!("{name} ({}): created", project.environment_name()))?;
        let kid = manifest.primary(project.now());
        terminal.line(&format!("  key       {kid}{strength}"))?;
        let own = standing_of(&project, name).await?;
        terminal.next(&own, project.now())?;
    }
    Ok(0)
}
