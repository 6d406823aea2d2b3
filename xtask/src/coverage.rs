//! `cargo xtask coverage`: which lines of the product the tests run, crate by crate; fails below the bound.
//!
//! rustc counts by itself (`-C instrument-coverage`); what it wrote is read by `cov` of the crate llvm_profparser, which is
//! installed once. So no component of a toolchain is needed. Every process counts, those that tests start too, but for one
//! that is killed by SIGKILL: it never comes to writing down what it has counted.

mod report;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use self::report::Report;
use crate::binaries;
use crate::command;
use crate::python_tools;
use crate::test;
use crate::tools::Tools;
use crate::workspace::Workspace;

/// Lines that must have run, in percent.
const BOUND: f64 = 85.0;
/// The reader of what rustc's runtime writes.
const READER: (&str, &str) = ("llvm_profparser", "0.14.0");
/// So many of the files with the most lines that nothing has run are named.
const WORST: usize = 20;

/// Not a shell: dash drops variables with a dash in their name, and `CARGO_BIN_EXE_instance-router` is one.
const WRAPPER: &str = "#!/usr/bin/env python3
import os, sys
os.execvp(sys.argv[1], [*sys.argv[1:], '-C', 'instrument-coverage'])
";

#[derive(clap::Args)]
pub struct Options {
    /// Keep what earlier runs have counted, and add to it.
    #[arg(long)]
    add: bool,
    /// Run nothing: tell once more what the earlier runs have counted.
    #[arg(long, conflicts_with = "add")]
    again: bool,
    /// For `cargo test`, e.g. `-- -p instance-bus`; the figure is then that of these tests alone.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
    arguments: Vec<OsString>,
}

/// Build all with counters, run the tests, tell. A test that fails does not lose the figures, but the run has failed.
pub fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let reader = reader(workspace)?;
    let counted = Counted::below(&workspace.target)?;
    if !options.add && !options.again {
        counted.forget()?;
    }
    let mut tested = Ok(());
    if !options.again {
        let tools = Tools::ensure(workspace)?;
        command::run(&mut counted.build(workspace))?;
        let mut tests = test::cargo_test(workspace, &options.arguments);
        tests.args(&options.arguments);
        tools.hand_to(&mut tests);
        python_tools::hand_to(workspace, &mut tests);
        tested = command::run(counted.runs(&mut tests));
    }
    let report = counted.read(workspace, &reader)?;
    print!("{}", report.table(WORST));
    tested.context("a test failed; the figures are of what ran")?;
    let percent = report.percent();
    if percent < BOUND {
        bail!("{percent:.1} % of the lines have run, and {BOUND:.0} % must");
    }
    Ok(())
}

/// The folder of the build with counters, and what its programs have counted.
struct Counted {
    target: PathBuf,
    profiles: PathBuf,
    wrapper: PathBuf,
}

impl Counted {
    /// In a target folder of its own, so that the usual build stays what it is.
    fn below(target: &Path) -> Result<Self> {
        use std::os::unix::fs::PermissionsExt as _;

        let target = target.join("coverage");
        let profiles = target.join("profiles");
        fs::create_dir_all(&profiles)
            .with_context(|| format!("could not make \"{}\"", profiles.display()))?;
        // Cargo runs it in the place of rustc for the packages of the tree alone, so what comes from outside counts nothing.
        let wrapper = target.join("instrument");
        if !wrapper.is_file() {
            fs::write(&wrapper, WRAPPER)
                .and_then(|()| fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755)))
                .with_context(|| format!("could not write \"{}\"", wrapper.display()))?;
        }
        Ok(Self { target, profiles, wrapper })
    }

    fn forget(&self) -> Result<()> {
        for file in self.files()? {
            fs::remove_file(&file).with_context(|| format!("could not remove \"{}\"", file.display()))?;
        }
        Ok(())
    }

    fn files(&self) -> Result<Vec<PathBuf>> {
        let entries = fs::read_dir(&self.profiles).context("could not list what was counted")?;
        let files = entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>();
        files.context("could not list what was counted")
    }

    /// Programs and tests in one resolution, as everywhere. What build scripts count is nobody's business.
    fn build(&self, workspace: &Workspace) -> Command {
        let mut cargo = command::cargo_in(workspace);
        cargo.arg("build");
        binaries::whole_tree(&mut cargo).args(["--bins", "--tests", "--example", "telemetry-page"]);
        self.with_counters(&mut cargo).env("LLVM_PROFILE_FILE", "/dev/null");
        cargo
    }

    /// Every run of one program adds to the same file.
    fn runs<'command>(&self, cargo: &'command mut Command) -> &'command mut Command {
        self.with_counters(cargo).env("LLVM_PROFILE_FILE", self.profiles.join("%m.profraw"))
    }

    fn with_counters<'command>(&self, cargo: &'command mut Command) -> &'command mut Command {
        cargo.env("CARGO_TARGET_DIR", &self.target).env("RUSTC_WORKSPACE_WRAPPER", &self.wrapper);
        cargo.env("CARGO_INCREMENTAL", "0")
    }

    fn read(&self, workspace: &Workspace, reader: &Path) -> Result<Report> {
        let mut show = Command::new(reader);
        show.arg("show");
        for file in self.files()? {
            show.arg("--instr-profile").arg(file);
        }
        for program in self.programs(workspace)? {
            show.arg("--object").arg(program);
        }
        let output = show.output().context("could not run the reader of what was counted")?;
        if !output.status.success() {
            bail!("what was counted could not be read: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(Report::of(&String::from_utf8_lossy(&output.stdout), &workspace.root))
    }

    /// Every program of the build, tests among them: they tell which counter belongs to which lines.
    fn programs(&self, workspace: &Workspace) -> Result<Vec<PathBuf>> {
        let mut cargo = self.build(workspace);
        cargo.args(["--message-format", "json-render-diagnostics"]);
        let output = cargo.stderr(Stdio::inherit()).output().context("could not start cargo")?;
        command::must_succeed(&command::line(&cargo), output.status)?;
        let messages = String::from_utf8_lossy(&output.stdout);
        let programs = messages.lines().filter_map(|message| {
            let message: Value = serde_json::from_str(message).ok()?;
            message["executable"].as_str().map(PathBuf::from)
        });
        Ok(programs.collect())
    }
}

/// The reader, installed when it is missing.
fn reader(workspace: &Workspace) -> Result<PathBuf> {
    let (name, version) = READER;
    let folder = workspace.tools().join(format!("{name}-{version}"));
    let program = folder.join("bin/cov");
    if !program.is_file() {
        let build = workspace.tools().join(format!(".building-{name}"));
        let mut install = command::cargo_in(workspace);
        install.args(["install", name, "--version", version, "--locked", "--root"]).arg(&folder);
        command::run(install.env("CARGO_TARGET_DIR", &build)).with_context(|| {
            format!("{name} {version} reads what rustc counts, and could not be installed")
        })?;
        fs::remove_dir_all(&build).with_context(|| format!("could not remove \"{}\"", build.display()))?;
    }
    Ok(program)
}
