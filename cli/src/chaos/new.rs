//! `instance chaos new`

use std::path::PathBuf;

use anyhow::Result;
use instance_scenario::template;

use crate::{
    exit::{Exit, Stop},
    output::{self, print},
    session::Session,
};

const EXAMPLES: &str = "\
Examples:
  instance chaos new journal-disk-slow
  instance chaos new journal-disk-slow --dir scenarios";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Lower-case letters, digits and hyphens
    #[arg(value_name = "NAME")]
    name: String,
    /// Folder for the file
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
}

pub fn run(args: &Args, session: &Session) -> Result<Exit> {
    let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if !(1..=64).contains(&args.name.len()) || !args.name.bytes().all(legal) {
        let text = format!("\"{}\" is not 1 to 64 lower-case letters, digits and hyphens", args.name);
        return Err(Stop::new(Exit::Usage, text).into());
    }
    let path = args.dir.join(format!("{}.toml", args.name));
    output::new_file(&path, &template(&args.name))?;
    print(path.display())?;
    session.note(format!("try it: instance chaos run {}", path.display()));
    Ok(Exit::Done)
}
