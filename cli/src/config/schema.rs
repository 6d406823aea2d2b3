//! `instance config schema`

use anyhow::{Result, ensure};

use super::Which;
use crate::{exit::Exit, output::print, session::Session};

pub const EXAMPLES: &str = "\
Examples:
  instance config schema router > router.schema.json
  instance config schema generator | jq '.properties.generator.properties | keys'
Types and required keys; ranges and rules between keys are told by `instance config check`.";

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The service
    #[arg(value_name = "SERVICE")]
    service: String,
}

pub fn run(args: &Args, session: &Session) -> Result<Exit> {
    let which = Which { services: vec![args.service.clone()], dir: None };
    for service in which.services(session)? {
        let output = service.ask(None, &["--print-config-schema"])?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim_end());
        print(String::from_utf8_lossy(&output.stdout).trim_end())?;
    }
    Ok(Exit::Done)
}
