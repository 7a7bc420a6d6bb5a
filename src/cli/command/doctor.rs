//! `dualkey doctor`: problems of the project, with their remedies.

use serde_json::json;

use crate::cli::context::Context;
use crate::cli::failure::{Failure, Status};
use crate::cli::terminal::Terminal;
use crate::ops::doctor::{Finding, examine};

/// Look for problems of the project, and name a remedy for each
#[derive(clap::Args)]
#[command(
    after_help = "Exit status: 0 nothing found, 3 something was.\n\nExample:\n  dualkey doctor"
)]
pub(super) struct Args {
    /// As JSON, for scripts
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(context: &Context, args: Args, terminal: &mut Terminal) -> Status {
    let findings = examine(&context.project()?).await?;
    if args.json {
        let rows: Vec<_> = findings.iter().map(to_json).collect();
        terminal.json(&format!("{:#}", json!(rows)))?;
    } else {
        print_findings(&findings, terminal)?;
    }
    Ok(if findings.is_empty() { 0 } else { 3 })
}

fn to_json(finding: &Finding) -> serde_json::Value {
    json!({
        "check": finding.check,
        "subject": finding.subject,
        "found": finding.found,
        "remedy": finding.remedy,
    })
}

fn print_findings(findings: &[Finding], terminal: &mut Terminal) -> Result<(), Failure> {
    for finding in findings {
        let Finding { check, subject, found, remedy, .. } = finding;
        terminal.line(&format!("{check:<8} {subject}: {found}"))?;
        terminal.line(&format!("         fix: {remedy}"))?;
    }
    terminal.line(&match findings.len() {
        0 => "nothing is wrong".to_owned(),
        1 => "1 thing is wrong".to_owned(),
        count => format!("{count} things are wrong"),
    })
}
