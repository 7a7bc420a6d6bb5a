//! An inventory to begin with: of the `.env` file that is there, or the template.

use super::args;
use super::{Context, Failure, Status, Terminal};
use crate::ops::OpsError;
use crate::ops::adopt::in_use;
use crate::ops::doctor::ignored;
use crate::ops::inventory::{Inventory, Project};
use crate::ops::recognise::{Keep, Recognised, Survey};
use crate::source::disk;

pub(super) fn run(context: &Context, args: &args::Init, terminal: &mut Terminal) -> Status {
    let path = &context.inventory;
    if path.symlink_metadata().is_ok() {
        return Err(OpsError::Exists { path: path.clone() }.into());
    }
    let beside = path.with_file_name(".env");
    let files = match args.from.is_empty() {
        false => args.from.clone(),
        true if beside.symlink_metadata().is_ok() => vec![beside],
        true => return template(context, args.dry_run, terminal),
    };
    let survey = Survey::read(&files)?;
    let text = survey.to_inventory(&disk::folder(path), args.store);
    let inventory = match args.dry_run {
        true => Inventory::parse(&text, path)?,
        false => Inventory::write_text(path, &text)?,
    };
    written(&inventory, args.dry_run, terminal)?;
    terminal.survey(&survey)?;
    if args.dry_run {
        return terminal.line("  nothing was changed").map(|()| 0);
    }
    if let Some(own) = ignored(&Project::new(inventory)) {
        terminal.line(&format!("  warning   {}: {}; {}", own.subject, own.found, own.mend))?;
    }
    // A rotation writes there, unless manifests hold the secrets.
    for own in survey.encrypted.iter().filter(|_| args.store != Keep::File) {
        terminal.line(&format!("  warning   {}; {}", own.found(), own.remedy()))?;
    }
    let placeholders = survey.secrets.iter().filter(|own| own.is_placeholder);
    for own in placeholders {
        let name = &own.name;
        terminal.line(&format!(
            "  warning   {name} is a placeholder, which attackers know: replace it first \
             (`dualkey generate {name} --print`)"
        ))?;
    }
    if survey.secrets.is_empty() {
        terminal.line("  next      no secret was recognised: add yours to the inventory")?;
        return Ok(0);
    }
    if args.store == Keep::File {
        terminal.line("  note      services have to follow these files: `dualkey init --store dotenv` keeps the values in .env")?;
    }
    terminal.line("  next      take over the values in use, and begin the audit trail")?;
    // The stores name their `.env` file; manifests do not.
    let from = match args.store {
        Keep::File => args.from.iter().map(|own| format!(" --from {}", own.display())).collect(),
        _ => String::new(),
    };
    terminal.line(&format!("  command   dualkey adopt{from}"))?;
    Ok(0)
}

/// Without a `.env` file: the secrets of a usual backend.
fn template(context: &Context, is_dry_run: bool, terminal: &mut Terminal) -> Status {
    let path = &context.inventory;
    if !is_dry_run {
        Inventory::write_new(path)?;
    }
    let inventory = Inventory::parse(Inventory::TEMPLATE, path)?;
    written(&inventory, is_dry_run, terminal)?;
    if is_dry_run {
        return terminal.line("  nothing was changed").map(|()| 0);
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

fn written(
    inventory: &Inventory,
    is_dry_run: bool,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    let (path, count) = (inventory.path.display(), inventory.secrets.len());
    let lead = if is_dry_run { "would be written, " } else { "" };
    terminal.line(&format!("{path}: {lead}{count} secrets, without a value"))
}

impl Terminal {
    /// Prints the secrets that were recognised, and the variables that were left out with the reasons.
    fn survey(&mut self, survey: &Survey) -> Result<(), Failure> {
        let mut table = self.new_table(&["secret", "purpose", "priority", "rotate", "remark"]);
        for own in &survey.secrets {
            table.add_row(vec![
                super::terminal::cell([&own.name]),
                super::terminal::cell([own.purpose.as_str()]),
                super::terminal::cell([own.priority.as_str()]),
                super::terminal::cell([own.rotate]),
                super::terminal::cell([remark(own)]),
            ]);
        }
        if !survey.secrets.is_empty() {
            self.print(&table)?;
        }
        if survey.left_out.is_empty() {
            return Ok(());
        }
        self.line("left out:")?;
        let width = survey.left_out.iter().map(|own| own.name.chars().count()).max().unwrap_or(0);
        for own in &survey.left_out {
            self.line(&format!("  {:<width$}  {}", own.name, own.why))?;
        }
        Ok(())
    }
}

fn remark(own: &Recognised) -> String {
    let mut all = Vec::new();
    if !own.with.is_empty() {
        all.push(format!("with {}", own.with.join(", ")));
    }
    if own.is_placeholder {
        all.push("a placeholder".to_owned());
    }
    if let Some(setting) = own.short.setting() {
        all.push(format!("short: {setting}"));
    }
    if let Some(place) = &own.manual {
        all.push(format!("by hand: {place}"));
    }
    if all.is_empty() { "-".to_owned() } else { all.join("; ") }
}
