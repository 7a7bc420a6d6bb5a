//! A live service rotates four secrets under load and loses nothing.
//!
//! Two instances of one axum service stand behind a client that takes turns; clients log
//! in, and hold their tokens and session cookies to the end of their life; some come with a
//! cookie that a Node server set before; they write notes, which are sealed at rest, and read
//! them again; a sender delivers signed webhooks. Then `JWT_SECRET`, `SESSION_SECRET`,
//! `META_APP_SECRET` and `ENCRYPTION_KEY` are rotated: staged on both instances, promoted on
//! one and then on the other, the notes rewrapped, the old keys retired when their overlap is
//! over; at last the new ones are revoked as if they had leaked, and the notes rescued.
//!
//! ```sh
//! cargo run --release --example zero_downtime             # about 20 seconds
//! cargo run --release --example zero_downtime -- --naive  # the usual way, same load
//! ```
//!
//! A life of days is seconds here: tokens and cookies live 4, the rollout window is 2
//! and the skew 1, so that the overlap is 7.
#![allow(missing_docs, unreachable_pub, clippy::print_stdout)]

#[path = "zero_downtime/load.rs"]
mod load;
#[path = "zero_downtime/report.rs"]
mod report;
#[path = "zero_downtime/service.rs"]
mod service;

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use tokio::time::sleep;

use load::Load;
use report::Stage;
use service::{FIRST_PHASE, Fleet, Kids, Rings, Secrets};

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
    let stage = Stage::new(match options.naive {
        true => "The usual way: each instance restarts in turn with [new, old]",
        false => "dualkey: staged everywhere, then promoted one after the other",
    });
    let mut old = Secrets::generate()?;
    old.session = load::node_secret()?;
    let fleet = Arc::new(Fleet::start([&old], 2).await?);
    let load = Load::start(&fleet, &old, &stage)?;

    stage.next("steady: everything is under the old secrets; browsers come from the Node server");
    sleep(FIRST_PHASE).await;
    match options.naive {
        true => usual_way(&fleet, &load, &stage, old).await?,
        false => {
            let new = rotate(&fleet, &load, &stage).await?;
            emergency(&fleet, &load, &stage, new).await?;
        }
    }
    let counts = load.stop().await?;
    let instances = fleet.stop().await?;
    Ok(stage.report(&counts, fleet.reasons(), &instances, options.naive))
}

/// What this crate is for: at every moment, both instances verify whatever either signs.
async fn rotate(fleet: &Fleet, load: &Load, stage: &Stage) -> Result<Kids> {
    let new = Secrets::generate()?;
    let instances = fleet.rings();
    let old = instances[0].primaries();

    stage.next("stage: the new keys verify on both instances, and sign on none");
    let kids = stage_everywhere(&instances, &new)?;
    sleep(Duration::from_millis(500)).await;

    stage.next("promote on the first instance, and tell the webhook's sender");
    // The owner of a webhook's secret may choose when the peer switches, as on GitHub;
    // Meta switches by itself, and its retries bridge the gap.
    load.sender_switches_to(&new);
    instances[0].promote(&kids)?;
    sleep(Duration::from_millis(1500)).await;

    stage.next("promote on the second instance");
    instances[1].promote(&kids)?;
    let ends = instances[1].overlap();
    let rewrapped = load.count_rewrapped(fleet.rewrap()?);
    stage.next(&format!("rewrap: {rewrapped} notes are under the new key now, without downtime"));

    stage.next("overlap: the old keys verify, until nothing that they signed can be alive");
    sleep(ends + Duration::from_millis(300)).await;

    // What was on its way during the first sweep; nothing is sealed under the old key since.
    load.count_rewrapped(fleet.rewrap()?);
    stage.next("retire: the old keys have come to their end");
    for rings in &instances {
        rings.retire(&old)?;
    }
    sleep(Duration::from_millis(1500)).await;
    Ok(kids)
}

fn stage_everywhere(instances: &[Rings], new: &Secrets) -> Result<Kids> {
    let mut kids = None;
    for rings in instances {
        kids = Some(rings.stage(new)?);
    }
    kids.ok_or_else(|| "no instance is up".into())
}

/// The new secrets have leaked: no overlap, what they signed is refused at once.
async fn emergency(fleet: &Fleet, load: &Load, stage: &Stage, leaked: Kids) -> Result<()> {
    let fresh = Secrets::generate()?;
    let instances = fleet.rings();
    stage.next("emergency: a fresh key is staged and promoted, the leaked one is revoked");
    let kids = stage_everywhere(&instances, &fresh)?;
    load.sender_switches_to(&fresh);
    for rings in &instances {
        rings.promote(&kids)?;
    }
    // The webhooks that are on their way, and carry no name of a key.
    sleep(Duration::from_secs(1)).await;
    for rings in &instances {
        rings.revoke(&leaked, "found in a public log")?;
    }
    let rescued = fleet.rescue()?;
    stage
        .next(&format!("rescue: {rescued} notes are opened under the revoked key and sealed anew"));
    sleep(Duration::from_secs(2)).await;
    Ok(())
}

/// What the runbooks say: put the new secret first, redeploy, wait, drop the old one.
async fn usual_way(fleet: &Fleet, load: &Load, stage: &Stage, old: Secrets) -> Result<()> {
    let new = Secrets::generate()?;
    stage.next("the first instance restarts with [new, old]: it signs what the second refuses");
    load.sender_switches_to(&new);
    fleet.restart(0, [&new, &old]).await?;
    sleep(Duration::from_millis(1500)).await;

    stage.next("the second instance restarts with [new, old]");
    fleet.restart(1, [&new, &old]).await?;
    stage.next("waiting, until nothing that the old secrets signed can be alive");
    sleep(Duration::from_secs(7)).await;

    load.count_rewrapped(fleet.rewrap()?);
    stage.next("each note is encrypted anew; each instance restarts with [new]");
    fleet.restart(0, [&new]).await?;
    sleep(Duration::from_millis(1500)).await;
    fleet.restart(1, [&new]).await?;
    sleep(Duration::from_millis(1500)).await;
    Ok(())
}
