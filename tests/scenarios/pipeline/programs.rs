//! Where the programs under test lie, and what they are given.

use std::{env, path::PathBuf, process::Command};

/// A program of this build: beside the folder of the test's own executable.
pub fn program(name: &str) -> PathBuf {
    let own = env::current_exe().unwrap();
    let found = own.ancestors().skip(1).take(2).map(|folder| folder.join(name)).find(|path| path.is_file());
    found.unwrap_or_else(|| {
        panic!("program {name} is not beside {}; `cargo xtask test` builds it", own.display())
    })
}

/// The program with nothing of our environment but the way to other programs.
pub fn command(name: &str) -> Command {
    let mut command = Command::new(program(name));
    clean(&mut command);
    command
}

/// Takes our environment away from a program: a developer's settings must not decide a test.
pub fn clean(command: &mut Command) {
    command.env_clear();
    // A planted fault (`cargo xtask mutants`) is for every program.
    for kept in ["PATH", "LLVM_PROFILE_FILE", "TMPDIR", "MUTANT"] {
        if let Some(value) = env::var_os(kept) {
            command.env(kept, value);
        }
    }
}

/// The root of the source tree.
pub fn source_tree() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}
