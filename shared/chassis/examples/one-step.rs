//! The smallest service there is: takes one step, and finishes it also when it is asked to drain meanwhile.
//!
//! `tests/process.rs` runs it as a child. The step in hand is finished when a file `finish` appears in its folder; that
//! it was finished is told by a file `finished`.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use instance_chassis::{Context, Service};
use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    /// Where the step waits and reports.
    folder: PathBuf,
}

fn main() -> ExitCode {
    Service::named("one-step").describe("takes one step").config::<Config>().run(run)
}

async fn run(context: Context<Config>) -> Result<(), io::Error> {
    let folder = context.config.folder.clone();
    std::fs::read_dir(&folder)?;
    context.tasks.spawn(async move { step(&folder).await });
    context.drain.requested().await;
    Ok(())
}

async fn step(folder: &Path) {
    while !folder.join("finish").exists() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    std::fs::write(folder.join("finished"), "").expect("the folder was readable a moment ago");
}
