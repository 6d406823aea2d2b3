//! `instance completions SHELL`.

use std::io::{self, Write as _};

use anyhow::Result;
use clap::CommandFactory as _;

use crate::{arguments::Arguments, exit::Exit};

const EXAMPLES: &str = "\
Examples:
  instance completions bash > ~/.local/share/bash-completion/completions/instance
  instance completions zsh  > ~/.zfunc/_instance
  instance completions fish > ~/.config/fish/completions/instance.fish";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    shell: clap_complete::Shell,
}

pub fn run(args: &Args) -> Result<Exit> {
    io::stdout().lock().write_all(&script(args.shell))?;
    Ok(Exit::Done)
}

pub fn script(shell: clap_complete::Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "instance", &mut script);
    script
}
