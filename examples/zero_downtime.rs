//! A live service rotates four secrets under load and loses nothing.
//!
//! Two instances of one axum service stand behind a client that takes turns; clients log
//! in, and hold their tokens and session cookies to the end of their life; some come with a
//! cookie that a Node server set before; they write notes, which are sealed at rest, in a
//! file of SQLite, and read them again; a sender delivers signed webhooks. Each instance follows four files, in which an
//! operator rotates `JWT_SECRET`, `SESSION_SECRET`, `META_APP_SECRET` and `ENCRYPTION_KEY`:
//! staged; promoted, once both instances have said that they hold the new keys; the notes
//! rewrapped, the old keys retired when the verdict on them allows it; at last the new ones are
//! revoked as if they had leaked, and the notes rescued.
//!
//! ```sh
//! cargo run --release --example zero_downtime             # about 20 seconds
//! cargo run --release --example zero_downtime -- --naive  # the usual way, same load
//! ```
//!
//! A life of days is seconds here: tokens and cookies live 4, the rollout window is 2
//! and the skew 1, so that the overlap is 8.
#![allow(missing_docs, unreachable_pub, clippy::print_stdout)]

#[path = "zero_downtime/load.rs"]
mod load;
#[path = "zero_downtime/operator.rs"]
mod operator;
#[path = "zero_downtime/report.rs"]
mod report;
#[path = "zero_downtime/service.rs"]
mod service;

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use dualkey::Verdict;
use tokio::time::sleep;

use load::Load;
use operator::Operator;
use report::Stage;
use service::{FIRST_PHASE, Fleet, Keys, Kids, Secrets};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

#[derive(Parser)]
#[command(about = "Rotates the secrets of a live service under load")]
struct Options {
    /// Restart each instance in turn with [new, old], without staging.
    #[arg(long)]
    naive: bool,
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let options = Options::parse();
    let stage = Stage::new(if options.naive {
        "The usual way: each instance restarts in turn with [new, old]"
    } else {
        "dualkey: both instances follow files, in which an operator rotates"
    });
    let mut old = Secrets::generate()?;
    old.session = load::node_secret()?;
    let keys = if options.naive {
        Keys::Given(vec![old.clone()])
    } else {
        Keys::Stored(Box::new(Operator::new(&old).await?))
    };
    let fleet = Arc::new(Fleet::start(&keys, 2).await?);
    let load = Load::start(&fleet, &old, &stage)?;

    stage.start_phase(
        "steady: everything is under the old secrets; browsers come from the Node server",
    );
    sleep(FIRST_PHASE).await;
    let mut verdicts = Vec::new();
    match &keys {
        Keys::Given(_) => run_usual_way(&fleet, &load, &stage, old).await?,
        Keys::Stored(operator) => {
            let (new, verdict) = rotate(operator, &fleet, &load, &stage).await?;
            verdicts.push(("the old key, when it was retired", verdict));
            run_emergency(operator, &fleet, &load, &stage, new).await?;
            verdicts.push(("the leaked key, at the end", operator.verdicts(&new).await?));
        }
    }
    let counts = load.stop().await?;
    let instances = fleet.stop().await?;
    Ok(stage.report(&counts, fleet.reasons(), &instances, &verdicts))
}

/// What this crate is for: at every moment, both instances verify whatever either signs.
async fn rotate(
    operator: &Operator,
    fleet: &Fleet,
    load: &Load,
    stage: &Stage,
) -> Result<(Kids, [Verdict; 4])> {
    let new = Secrets::generate()?;
    let instances = fleet.rings();
    let old = instances[0].primaries();

    stage.start_phase(&format!("stage: the new keys are in the files in {}", operator.folder()));
    let kids = operator.stage(&new).await?;

    // Both instances verify the new webhook secret now, so the sender may switch. Meta switches as
    // soon as its secret is reset; there, retries deliver what arrives before the reload.
    load.switch_sender_to(&new);
    operator.promote(&kids).await?;
    stage.start_phase("promote: both instances held the new keys; now both sign with them");
    let rewrapped = fleet.rewrap().await?;
    stage.start_phase(&format!(
        "rewrap: {rewrapped} notes are under the new key now, without downtime"
    ));

    stage.start_phase("overlap: the old keys verify, until nothing that they signed can be alive");
    sleep(instances[0].overlap() + Duration::from_millis(300)).await;

    // What was on its way during the first rewrap; nothing is sealed under the old key since.
    fleet.rewrap().await?;
    fleet.look_through().await?;
    let verdicts = operator.retire(&old).await?;
    stage.start_phase("retire: the verdict on the old keys is that they may go");
    sleep(Duration::from_millis(1500)).await;
    Ok((kids, verdicts))
}

/// The new secrets have leaked: no overlap, what they signed is refused at once.
async fn run_emergency(
    operator: &Operator,
    fleet: &Fleet,
    load: &Load,
    stage: &Stage,
    leaked: Kids,
) -> Result<()> {
    let fresh = Secrets::generate()?;
    stage.start_phase("emergency: a fresh key is staged and promoted, the leaked one is revoked");
    let kids = operator.stage(&fresh).await?;
    load.switch_sender_to(&fresh);
    operator.promote(&kids).await?;
    // The webhooks that are on their way, and carry no name of a key.
    sleep(Duration::from_secs(1)).await;
    operator.revoke(&leaked, "found in a public log").await?;
    let rescued = fleet.rescue().await?;
    stage.start_phase(&format!(
        "rescue: {rescued} notes are opened under the revoked key and sealed anew"
    ));
    sleep(Duration::from_secs(2)).await;
    fleet.look_through().await?;
    sleep(Duration::from_millis(1500)).await;
    Ok(())
}

/// What the runbooks say: put the new secret first, redeploy, wait, drop the old one.
async fn run_usual_way(fleet: &Fleet, load: &Load, stage: &Stage, old: Secrets) -> Result<()> {
    let new = Secrets::generate()?;
    stage.start_phase(
        "the first instance restarts with [new, old]: it signs what the second refuses",
    );
    load.switch_sender_to(&new);
    let both = Keys::Given(vec![new.clone(), old]);
    fleet.restart(0, &both).await?;
    sleep(Duration::from_millis(1500)).await;

    stage.start_phase("the second instance restarts with [new, old]");
    fleet.restart(1, &both).await?;
    stage.start_phase("waiting, until nothing that the old secrets signed can be alive");
    sleep(Duration::from_secs(7)).await;

    fleet.rewrap().await?;
    stage.start_phase("each note is encrypted anew; each instance restarts with [new]");
    let new = Keys::Given(vec![new]);
    fleet.restart(0, &new).await?;
    sleep(Duration::from_millis(1500)).await;
    fleet.restart(1, &new).await?;
    sleep(Duration::from_millis(1500)).await;
    Ok(())
}
