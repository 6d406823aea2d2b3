//! `instance man`: a manual page for each command.

use std::{fs, path::PathBuf};

use anyhow::{Context as _, Result};
use clap::CommandFactory as _;

use crate::{arguments::Arguments, exit::Exit, output::print, session::Session};

const EXAMPLES: &str = "\
Examples:
  instance man --out ./man1                      One page a command: instance.1, instance-config-show.1 ...
  sudo instance man --out /usr/local/share/man/man1";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Folder that the pages are written into
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

pub fn run(args: &Args, session: &Session) -> Result<Exit> {
    let folder = args.out.as_path();
    fs::create_dir_all(folder).with_context(|| format!("could not make \"{}\"", folder.display()))?;
    let pages = pages()?;
    for (name, page) in &pages {
        let file = folder.join(name);
        fs::write(&file, page).with_context(|| format!("could not write \"{}\"", file.display()))?;
        print(file.display())?;
    }
    session.note(format_args!("{} pages", pages.len()));
    Ok(Exit::Done)
}

/// File name and text of each page.
pub fn pages() -> Result<Vec<(String, Vec<u8>)>> {
    let mut pages = Vec::new();
    let mut command = Arguments::command();
    command.build();
    add(&command, "instance", &mut pages)?;
    Ok(pages)
}

fn add(command: &clap::Command, name: &str, pages: &mut Vec<(String, Vec<u8>)>) -> Result<()> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone()).title(name).render(&mut page)?;
    pages.push((format!("{name}.1"), page));
    for inner in command.get_subcommands().filter(|inner| inner.get_name() != "help") {
        add(inner, &format!("{name}-{}", inner.get_name()), pages)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page_with_its_examples() {
        let pages = pages().unwrap();
        let names: Vec<&str> = pages.iter().map(|(name, _)| name.as_str()).collect();
        assert!(names.contains(&"instance.1") && names.contains(&"instance-config-show.1"), "{names:?}");
        let (_, page) = pages.iter().find(|(name, _)| name == "instance-config-check.1").unwrap();
        let text = String::from_utf8_lossy(page);
        assert!(text.contains(".TH instance-config-check 1") && text.contains("Examples:"), "{text}");
    }
}
