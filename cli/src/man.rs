//! `instance man`: the manual pages, made from the same words as `--help`.

use std::{
    fs,
    io::{self, Write as _},
    path::PathBuf,
};

use anyhow::{Context as _, Result};
use clap::{Command, CommandFactory as _};
use clap_mangen::Man;

use crate::{
    arguments::Arguments,
    exit::{Exit, Stop},
    output::print,
    session::Session,
};

const EXAMPLES: &str = "\
Examples:
  instance man | man -l -                        The page of `instance` itself.
  instance man cpf set | man -l -
  instance man --out /usr/local/share/man/man1   Every page into a folder.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The command whose page is wanted, like `cpf set`; without it that of `instance`
    #[arg(value_name = "COMMAND")]
    command: Vec<String>,
    /// Write a page for every command, `instance-cpf-set.1`, to this folder; made when it is not there
    #[arg(long, value_name = "DIR", conflicts_with = "command")]
    out: Option<PathBuf>,
}

pub fn run(args: &Args, session: &Session) -> Result<Exit> {
    match &args.out {
        Some(folder) => {
            fs::create_dir_all(folder)
                .with_context(|| format!("could not make the folder \"{}\"", folder.display()))?;
            let pages = pages()?;
            for (name, page) in &pages {
                let path = folder.join(name);
                fs::write(&path, page).with_context(|| format!("could not write \"{}\"", path.display()))?;
                print(path.display())?;
            }
            session.note(format_args!("{} pages", pages.len()));
        }
        None => io::stdout().lock().write_all(&page(named(&complete(), &args.command)?)?)?,
    }
    Ok(Exit::Done)
}

/// The whole command line, with global options where they may stand. Nobody wants a page about `help`.
fn complete() -> Command {
    let mut root = Arguments::command().disable_help_subcommand(true);
    root.build();
    root
}

fn named<'a>(root: &'a Command, path: &[String]) -> Result<&'a Command> {
    let mut command = root;
    for name in path {
        command = command.find_subcommand(name).ok_or_else(|| {
            let known: Vec<&str> = command.get_subcommands().map(Command::get_name).collect();
            let stop = Stop::new(Exit::NotFound, format_args!("there is no command \"{}\"", path.join(" ")));
            if known.is_empty() {
                stop.next(format_args!("`{}` has no commands of its own", command.get_name()))
            } else {
                stop.next(format_args!("known are {}", known.join(", ")))
            }
        })?;
    }
    Ok(command)
}

fn page(command: &Command) -> Result<Vec<u8>> {
    let mut page = Vec::new();
    Man::new(command.clone()).render(&mut page).context("could not make a manual page")?;
    Ok(page)
}

/// Every page with the name of its file, `instance-cpf-set.1`.
pub fn pages() -> Result<Vec<(String, Vec<u8>)>> {
    fn of(command: &Command, pages: &mut Vec<(String, Vec<u8>)>) -> Result<()> {
        pages.push((Man::new(command.clone()).get_filename(), page(command)?));
        command.get_subcommands().try_for_each(|inner| of(inner, pages))
    }
    let mut pages = Vec::new();
    of(&complete(), &mut pages)?;
    Ok(pages)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page_with_its_examples() {
        fn look(command: &Command) {
            let text = String::from_utf8(page(command).unwrap()).unwrap();
            assert!(text.contains(".SH NAME") && text.contains(".SH SYNOPSIS"), "{}", command.get_name());
            if command.get_subcommands().next().is_none() {
                assert!(text.contains("Examples:"), "{} shows no example", command.get_name());
            }
            command.get_subcommands().for_each(look);
        }
        look(&complete());
    }

    #[test]
    fn a_command_that_is_not_there_is_told_with_those_that_are() {
        let refusal = named(&complete(), &["cpf".to_owned(), "sett".to_owned()]).unwrap_err();
        assert_eq!(crate::exit::of(&refusal), Exit::NotFound);
        assert!(crate::exit::next_step(&refusal).unwrap().contains("set"), "{refusal:#}");
        let refusal = named(&complete(), &["status".to_owned(), "x".to_owned()]).unwrap_err();
        assert!(crate::exit::next_step(&refusal).unwrap().contains("no commands of its own"));
    }
}
