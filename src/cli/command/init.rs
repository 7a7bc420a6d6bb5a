//! `dualkey init`: an inventory, of the `.env` file that is there, or the template.

use std::path::PathBuf;

use crate::cli::context::Context;
use crate::cli::failure::{Failure, Status};
use crate::cli::options::DryRun;
use crate::cli::terminal::{Terminal, cell};
use crate::ops::OpsError;
use crate::ops::adopt::in_use;
use crate::ops::doctor::files::find_ignored_file;
use crate::ops::inventory::{Inventory, Project};
use crate::ops::recognise::{ParseProposedStoreError, ProposedStore, Recognised, Survey};
use crate::source::disk;

/// Write an inventory, dualkey.toml: of the secrets in the .env file that is there
#[derive(clap::Args)]
#[command(
    after_help = "Shows what it recognises and what it leaves out, and no value. Without a .env file it writes an inventory to be edited.\n\nExamples:\n  dualkey init && dualkey adopt\n  dualkey init --from .env.production --store file"
)]
pub(super) struct Args {
    /// A file with the secrets; again for another. The .env file beside the inventory unless set
    #[arg(long, value_name = "FILE")]
    from: Vec<PathBuf>,
    /// The place of the secrets: `dotenv`, in the .env file, for services that read it when they
    /// start; `file`, each in a file that services follow with dualkey
    #[arg(long, default_value = "dotenv", value_parser = store)]
    store: ProposedStore,
    #[command(flatten)]
    dry_run: DryRun,
}

fn store(text: &str) -> Result<ProposedStore, String> {
    text.parse().map_err(|error: ParseProposedStoreError| error.to_string())
}

pub(super) fn run(context: &Context, args: &Args, terminal: &mut Terminal) -> Status {
    let path = &context.inventory;
    if path.symlink_metadata().is_ok() {
        return Err(OpsError::Exists { path: path.clone() }.into());
    }
    let beside = path.with_file_name(".env");
    let files = if !args.from.is_empty() {
        args.from.clone()
    } else if beside.symlink_metadata().is_ok() {
        vec![beside]
    } else {
        return write_template(context, args.dry_run, terminal);
    };
    let survey = Survey::read(&files)?;
    let text = survey.to_inventory(&disk::folder(path), args.store);
    let inventory = if args.dry_run.is_set() {
        Inventory::parse(&text, path)?
    } else {
        Inventory::write_text(path, &text)?
    };
    print_count(&inventory, args.dry_run, terminal)?;
    print_survey(&survey, terminal)?;
    if args.dry_run.is_set() {
        terminal.line("  nothing was changed")?;
        return Ok(0);
    }
    print_warnings(inventory, &survey, args, terminal)?;
    print_next(&survey, args, terminal)?;
    Ok(0)
}

/// Prints the dangers of the files: git may take one, a tool encrypts one, a value is known.
fn print_warnings(
    inventory: Inventory,
    survey: &Survey,
    args: &Args,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    if let Some(finding) = find_ignored_file(&Project::new(inventory)) {
        let (subject, found) = (&finding.subject, &finding.found);
        terminal.line(&format!("  warning   {subject}: {found}; {}", finding.remedy))?;
    }
    // A rotation writes there, unless manifests hold the secrets.
    for file in survey.encrypted.iter().filter(|_| args.store != ProposedStore::File) {
        terminal.line(&format!("  warning   {}; {}", file.problem(), file.remedy()))?;
    }
    for secret in survey.secrets.iter().filter(|secret| secret.is_placeholder) {
        let name = &secret.name;
        terminal.line(&format!(
            "  warning   {name} is a placeholder, which attackers know: replace it first \
             (`dualkey generate {name} --print`)"
        ))?;
    }
    Ok(())
}

fn print_next(survey: &Survey, args: &Args, terminal: &mut Terminal) -> Result<(), Failure> {
    if survey.secrets.is_empty() {
        return terminal.line("  next      no secret was recognised: add yours to the inventory");
    }
    if args.store == ProposedStore::File {
        terminal.line("  note      services have to follow these files: `dualkey init --store dotenv` keeps the values in .env")?;
    }
    terminal.line("  next      take over the values in use, and begin the audit trail")?;
    // The stores name their `.env` file; manifests do not.
    let from = match args.store {
        ProposedStore::File => {
            args.from.iter().map(|path| format!(" --from {}", path.display())).collect()
        }
        _ => String::new(),
    };
    terminal.line(&format!("  command   dualkey adopt{from}"))
}

/// Writes the secrets of a usual backend, where there is no `.env` file.
fn write_template(context: &Context, dry_run: DryRun, terminal: &mut Terminal) -> Status {
    let path = &context.inventory;
    if !dry_run.is_set() {
        Inventory::write_new(path)?;
    }
    let inventory = Inventory::parse(Inventory::TEMPLATE, path)?;
    print_count(&inventory, dry_run, terminal)?;
    if dry_run.is_set() {
        terminal.line("  nothing was changed")?;
        return Ok(0);
    }
    let audit = inventory.audit.secret.clone();
    let project = Project::new(inventory);
    for item in project.secrets() {
        if let Some(found) = in_use(&project, &item.name)? {
            terminal.line("  next      edit it; then take over the values in use")?;
            let from = if found.file.is_some() { "" } else { " --from-env" };
            terminal.line(&format!("  command   dualkey adopt{from}"))?;
            return Ok(0);
        }
    }
    terminal.line(
        "  next      edit it; then make the key of the audit trail, and those of your rings",
    )?;
    terminal.line(&format!("  command   dualkey generate --store {audit} JWT_SECRET"))?;
    Ok(0)
}

fn print_count(
    inventory: &Inventory,
    dry_run: DryRun,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    let (path, count) = (inventory.path.display(), inventory.secrets.len());
    let lead = if dry_run.is_set() { "would be written, " } else { "" };
    terminal.line(&format!("{path}: {lead}{count} secrets, without a value"))
}

/// Prints the secrets that were recognised, and the variables that were left out with the reasons.
fn print_survey(survey: &Survey, terminal: &mut Terminal) -> Result<(), Failure> {
    let mut table = terminal.new_table(&["secret", "purpose", "priority", "rotate", "remark"]);
    for secret in &survey.secrets {
        table.add_row(vec![
            cell([&secret.name]),
            cell([secret.purpose.as_str()]),
            cell([secret.priority.as_str()]),
            cell([secret.rotate]),
            cell([remark(secret)]),
        ]);
    }
    if !survey.secrets.is_empty() {
        terminal.print(&table)?;
    }
    if survey.left_out.is_empty() {
        return Ok(());
    }
    terminal.line("left out:")?;
    let lengths = survey.left_out.iter().map(|variable| variable.name.chars().count());
    let width = lengths.max().unwrap_or(0);
    for variable in &survey.left_out {
        terminal.line(&format!("  {:<width$}  {}", variable.name, variable.why))?;
    }
    Ok(())
}

fn remark(secret: &Recognised) -> String {
    let mut remarks = Vec::new();
    if !secret.with.is_empty() {
        remarks.push(format!("with {}", secret.with.join(", ")));
    }
    if secret.is_placeholder {
        remarks.push("a placeholder".to_owned());
    }
    if let Some(setting) = secret.shortfall.setting() {
        remarks.push(format!("short: {setting}"));
    }
    if let Some(place) = &secret.manual {
        remarks.push(format!("by hand: {place}"));
    }
    if remarks.is_empty() { "-".to_owned() } else { remarks.join("; ") }
}
