//! `instance chaos new`

use std::{fs::File, io::Write as _, path::PathBuf};

use anyhow::{Context as _, Result};
use instance_scenario::template;

use crate::{
    exit::{Exit, Stop},
    output::print,
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
    let mut file = match File::create_new(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            let text = format!("\"{}\" is there already", path.display());
            return Err(Stop::new(Exit::Refused, text).next("take another name").into());
        }
        Err(error) => return Err(error).with_context(|| format!("could not make \"{}\"", path.display())),
    };
    file.write_all(template(&args.name).as_bytes())
        .with_context(|| format!("could not write \"{}\"", path.display()))?;
    print(path.display())?;
    session.note(format!("try it: instance chaos run {}", path.display()));
    Ok(Exit::Done)
}
