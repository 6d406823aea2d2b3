//! `instance install`: programs, units, settings, manual pages, completions and guides where Debian would put them.
//!
//! Settings and secrets that are there stay. What is written otherwise is ours and replaced.

use std::{
    env, fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use clap_complete::Shell;
use serde_json::json;

use crate::{
    completions,
    exit::Exit,
    man,
    output::{print, print_json, printable},
    session::Session,
    up::settings::{SERVICES, shipped},
};

const EXAMPLES: &str = "\
Examples:
  instance install --dry-run                     What would be written, and where.
  sudo instance install                          Then: systemd-sysusers; systemd-tmpfiles --create; systemctl daemon-reload
  instance install --root ./package              Below a folder, to make a package of it.";

const UNITS: &str = "usr/lib/systemd/system";
const SETTINGS: &str = "etc/instance";

/// The units that are shipped. Adding one is adding its line.
const SHIPPED_UNITS: [(&str, &str); 10] = [
    ("instance.target", include_str!("../../deploy/systemd/instance.target")),
    ("instance-analyst.service", include_str!("../../deploy/systemd/instance-analyst.service")),
    ("instance-config-agent.service", include_str!("../../deploy/systemd/instance-config-agent.service")),
    ("instance-gateway.service", include_str!("../../deploy/systemd/instance-gateway.service")),
    ("instance-generator.service", include_str!("../../deploy/systemd/instance-generator.service")),
    ("instance-iris.socket", include_str!("../../deploy/systemd/instance-iris.socket")),
    ("instance-iris@.service", include_str!("../../deploy/systemd/instance-iris@.service")),
    ("instance-os-agent.service", include_str!("../../deploy/systemd/instance-os-agent.service")),
    ("instance-restart-agent.service", include_str!("../../deploy/systemd/instance-restart-agent.service")),
    ("instance-router.service", include_str!("../../deploy/systemd/instance-router.service")),
];
const SYSUSERS: &str = include_str!("../../deploy/systemd/instance.sysusers.conf");
const TMPFILES: &str = include_str!("../../deploy/systemd/instance.tmpfiles.conf");
const GUIDES: &str = "usr/share/doc/instance";
/// What the units name as their documentation, and what it leads to.
const SHIPPED_GUIDES: [(&str, &str); 7] = [
    ("deploy/README.md", include_str!("../../deploy/README.md")),
    ("deploy/systemd/bus-key.conf", include_str!("../../deploy/systemd/bus-key.conf")),
    ("docs/deployment.md", include_str!("../../docs/deployment.md")),
    ("docs/operations.md", include_str!("../../docs/operations.md")),
    ("docs/exit-codes.md", include_str!("../../docs/exit-codes.md")),
    ("docs/gateway.md", include_str!("../../docs/gateway.md")),
    ("docs/models.md", include_str!("../../docs/models.md")),
];
/// Where each shell looks for the completions of a command that came with a package.
const COMPLETIONS: [(Shell, &str); 3] = [
    (Shell::Bash, "usr/share/bash-completion/completions/instance"),
    (Shell::Zsh, "usr/share/zsh/vendor-completions/_instance"),
    (Shell::Fish, "usr/share/fish/vendor_completions.d/instance.fish"),
];
/// No part of `instance up`.
const GATEWAY: &str = include_str!("../../deploy/config/gateway.toml");
/// No fake `iris` on a real host.
const NOT_INSTALLED: [&str; 1] = ["instance-iris-sim"];

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Tell what would be written, and write nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Below this folder
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
}

/// One file of the layout.
struct File {
    /// From the root.
    path: PathBuf,
    from: Source,
    mode: u32,
    /// What is there stays.
    is_the_operators: bool,
}

enum Source {
    Bytes(Vec<u8>),
    /// A program beside this one.
    Program(PathBuf),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Written,
    /// It was the same before, or it is the operator's.
    Kept,
}

pub fn run(args: &Args, session: &Session) -> Result<Exit> {
    let own = env::current_exe().context("could not tell where this program is")?;
    let files = layout(own.parent().context("this program lies in no folder")?)?;
    let mut rows = Vec::new();
    for file in &files {
        let outcome = place(file, &args.root, args.dry_run)?;
        let word = match (outcome, args.dry_run) {
            (Outcome::Written, true) => "would write",
            (Outcome::Written, false) => "wrote",
            (Outcome::Kept, _) => "stays",
        };
        let path = args.root.join(&file.path);
        if session.json() {
            rows.push(json!({"path": path, "mode": format!("{:04o}", file.mode), "outcome": word}));
        } else {
            print(printable(&format!("{word:12} {:04o} {}", file.mode, path.display())))?;
        }
    }
    if session.json() {
        print_json(&json!({"schema": "instance.cli.v1.install", "dry_run": args.dry_run, "files": rows}))?;
    } else if !args.dry_run {
        session.note(
            "next: systemd-sysusers; systemd-tmpfiles --create; systemctl daemon-reload; \
             passwords into /etc/instance/secrets (or keys: docs/deployment.md)",
        );
    }
    Ok(Exit::Done)
}

fn layout(programs: &Path) -> Result<Vec<File>> {
    let made = |path: PathBuf, bytes: Vec<u8>, is_the_operators| File {
        path,
        from: Source::Bytes(bytes),
        mode: 0o644,
        is_the_operators,
    };
    let text = |path: PathBuf, text: &str, is_the_operators| made(path, text.into(), is_the_operators);
    let mut files = Vec::new();
    let entries =
        fs::read_dir(programs).with_context(|| format!("could not list \"{}\"", programs.display()))?;
    let mut beside: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    beside.sort();
    for program in beside.into_iter().filter(|path| is_program(path)) {
        let name = program.file_name().unwrap_or_default().to_owned();
        let path = Path::new("usr/bin").join(name);
        files.push(File { path, from: Source::Program(program), mode: 0o755, is_the_operators: false });
    }
    files.extend(SHIPPED_UNITS.iter().map(|(name, unit)| text(Path::new(UNITS).join(name), unit, false)));
    files.push(text("usr/lib/sysusers.d/instance.conf".into(), SYSUSERS, false));
    files.push(text("usr/lib/tmpfiles.d/instance.conf".into(), TMPFILES, false));
    let settings = SERVICES.iter().map(|service| (*service, shipped(service))).chain([("gateway", GATEWAY)]);
    for (service, settings) in settings {
        files.push(text(Path::new(SETTINGS).join(format!("{service}.toml")), settings, true));
    }
    let pages = man::pages()?.into_iter();
    files.extend(pages.map(|(name, page)| made(Path::new("usr/share/man/man1").join(name), page, false)));
    files.extend(COMPLETIONS.map(|(shell, path)| made(path.into(), completions::script(shell), false)));
    files.extend(SHIPPED_GUIDES.map(|(name, guide)| text(Path::new(GUIDES).join(name), guide, false)));
    let environment =
        "# What this machine has of its own, for all services: INSTANCE_NATS__URL=nats://bus:4222\n";
    files.push(text(Path::new(SETTINGS).join("environment"), environment, true));
    Ok(files)
}

fn is_program(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let ours = name == "instance" || name.starts_with("instance-");
    ours && path.is_file() && path.extension().is_none() && !NOT_INSTALLED.contains(&name.as_ref())
}

fn place(file: &File, root: &Path, dry_run: bool) -> Result<Outcome> {
    let path = root.join(&file.path);
    let bytes = match &file.from {
        Source::Bytes(bytes) => bytes.clone(),
        Source::Program(from) => {
            fs::read(from).with_context(|| format!("could not read \"{}\"", from.display()))?
        }
    };
    if path.exists() && file.is_the_operators || fs::read(&path).is_ok_and(|there| there == bytes) {
        return Ok(Outcome::Kept);
    }
    if !dry_run {
        write(&path, &bytes, file.mode).with_context(|| format!("could not write \"{}\"", path.display()))?;
    }
    Ok(Outcome::Written)
}

/// Whole or not at all: a program may be running.
fn write(path: &Path, bytes: &[u8], mode: u32) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    std::io::Write::write_all(&mut file, bytes)?;
    file.as_file().set_permissions(fs::Permissions::from_mode(mode))?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_and_every_service_is_in_the_layout() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/systemd");
        let units =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        for unit in units.filter(|name| Path::new(name).extension().is_some_and(|kind| kind != "conf")) {
            assert!(SHIPPED_UNITS.iter().any(|(name, _)| *name == unit), "{unit} would not be installed");
        }
    }

    #[test]
    fn what_a_unit_names_as_its_documentation_is_installed() {
        let layout = layout(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap();
        let has = |path: &str| layout.iter().any(|file| file.path == Path::new(path));
        for (unit, text) in SHIPPED_UNITS {
            for named in text.lines().filter_map(|line| line.strip_prefix("Documentation=file:/")) {
                assert!(has(named), "{unit} names \"/{named}\", which would not be there");
            }
        }
        for path in ["usr/share/man/man1/instance-cpf-set.1", "usr/share/zsh/vendor-completions/_instance"] {
            assert!(has(path), "{path}");
        }
    }

    #[test]
    fn settings_stay_and_programs_are_replaced() {
        let (programs, root) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for name in ["instance", "instance-router", "instance-iris-sim", "instance-router.d"] {
            fs::write(programs.path().join(name), name).unwrap();
        }
        let place_all = |dry_run| -> Vec<Outcome> {
            let files = layout(programs.path()).unwrap();
            files.iter().map(|file| place(file, root.path(), dry_run).unwrap()).collect()
        };
        assert!(place_all(true).iter().all(|outcome| *outcome == Outcome::Written));
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0, "a dry run writes nothing");
        assert!(place_all(false).iter().all(|outcome| *outcome == Outcome::Written));
        let at = |path: &str| root.path().join(path);
        assert!(at("usr/bin/instance-router").is_file() && !at("usr/bin/instance-iris-sim").exists());
        assert_eq!(fs::metadata(at("usr/bin/instance")).unwrap().permissions().mode() & 0o777, 0o755);
        assert!(at("usr/lib/systemd/system/instance-iris@.service").is_file());
        fs::write(at("etc/instance/router.toml"), "# mine\n").unwrap();
        fs::write(programs.path().join("instance-router"), "newer").unwrap();
        let again = place_all(false);
        assert_eq!(again.iter().filter(|outcome| **outcome == Outcome::Written).count(), 1);
        assert_eq!(fs::read_to_string(at("etc/instance/router.toml")).unwrap(), "# mine\n");
        assert_eq!(fs::read_to_string(at("usr/bin/instance-router")).unwrap(), "newer");
    }
}
