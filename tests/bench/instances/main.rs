//! `cargo xtask bench instances`: many stand-ins at once, each with a folder, ports and processes of its own. Prints a JSON
//! line for each figure, then whether the bounds hold; the exit code says so too.
//!
//! A start is timed from `iris start` to `iris qlist` saying `running`, one after the other, beside all that run already.
//! Memory is the sum of what each process has for itself and its share of what it shares (PSS), of all processes of all
//! instances.

#![expect(clippy::unwrap_used, reason = "a bench whose instances cannot be driven has failed")]
#![expect(clippy::cast_precision_loss, reason = "figures of a bench are rounded anyway")]

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

use clap::Parser;
use serde_json::json;

/// The issue's: 100 instances within 2 GiB, a start in under 300 ms.
const MEMORY_MB: f64 = 2048.0;
const START_MS: f64 = 300.0;
/// Ports are taken from here on, below those that the kernel gives to whoever connects somewhere.
const FIRST_PORT: u16 = 12_000;
const ENDS_WITHIN: Duration = Duration::from_mins(1);

/// Many stand-in instances at once.
#[derive(Parser)]
#[command(name = "cargo xtask bench instances --")]
struct Arguments {
    /// How many.
    #[arg(long, default_value_t = 100)]
    instances: u16,
    /// The program `instance-iris-sim`; `iris` lies beside it.
    #[arg(long, value_name = "PATH")]
    simulator: PathBuf,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let folder = tempfile::tempdir().unwrap();
    let site = Site { simulator: arguments.simulator, folder: folder.path().to_owned() };
    let names: Vec<String> = (1..=arguments.instances).map(|number| format!("SIM{number}")).collect();
    let mut ports = (FIRST_PORT..20_000).filter(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok());
    for name in &names {
        site.make(name, ports.next().unwrap(), ports.next().unwrap());
    }
    let mut starts: Vec<f64> = names.iter().map(|name| site.start(name).as_secs_f64() * 1e3).collect();
    let processes = site.processes();
    let memory = processes.iter().map(|pid| memory_kb(*pid)).sum::<u64>() as f64 / 1024.0;
    let running = names.iter().filter(|name| site.is_running(name)).count();
    for name in &names {
        site.end(name);
    }
    let left = site.wait_until_gone();

    starts.sort_by(f64::total_cmp);
    let at = |percent: usize| starts[(starts.len() * percent / 100).min(starts.len() - 1)];
    let bound = MEMORY_MB * f64::from(arguments.instances) / 100.0;
    let figures = [
        ("instances that run side by side", running as f64, "", None),
        ("processes", processes.len() as f64, "", None),
        ("memory of all (PSS)", memory, "MB", Some(bound)),
        ("memory of one", memory / f64::from(arguments.instances), "MB", None),
        ("start to running, p50", at(50), "ms", Some(START_MS)),
        ("start to running, p95", at(95), "ms", Some(START_MS)),
        ("start to running, the slowest", at(100), "ms", None),
        ("processes left afterwards", left as f64, "", Some(0.0)),
    ];
    let mut all_met = running == names.len();
    for (figure, value, unit, at_most) in figures {
        let met = at_most.is_none_or(|bound| value <= bound);
        all_met &= met;
        let value = (value * 10.0).round() / 10.0;
        println!(
            "{}",
            json!({"figure": figure, "value": value, "unit": unit, "at_most": at_most, "met": met})
        );
    }
    println!("{}", if all_met { "every bound holds" } else { "a bound does not hold" });
    if all_met { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The folder of all of them, with one registry.
struct Site {
    simulator: PathBuf,
    folder: PathBuf,
}

impl Site {
    fn make(&self, name: &str, superserver: u16, web: u16) {
        let mut command = Command::new(&self.simulator);
        command
            .args(["create", "--name", name, "--make-host-root", "--speed", "80", "--dir"])
            .arg(&self.folder);
        command.arg("--host-root").arg(self.folder.join(format!("host-{name}")));
        command.args(["--superserver-port", &superserver.to_string(), "--web-port", &web.to_string()]);
        let made = command.output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }

    fn start(&self, name: &str) -> Duration {
        let began = Instant::now();
        assert!(self.iris(&["start", name, "quietly"]).status.success(), "{name} starts");
        assert!(self.is_running(name), "{name} runs once its start has returned");
        began.elapsed()
    }

    fn is_running(&self, name: &str) -> bool {
        let told = String::from_utf8(self.iris(&["qlist", name]).stdout).unwrap();
        told.split('^').nth(3).is_some_and(|state| state.starts_with("running"))
    }

    fn end(&self, name: &str) {
        self.iris(&["force", name]);
    }

    fn iris(&self, words: &[&str]) -> std::process::Output {
        let mut command = Command::new(self.folder.join("bin/iris"));
        command.env_clear().args(words).stdin(Stdio::null()).output().unwrap()
    }

    /// Every process of every instance: their program is the one in this folder.
    fn processes(&self) -> Vec<u32> {
        let program = self.folder.join("bin/irisdb");
        let is_ours = |pid: &u32| {
            let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            words
                .split(|byte| *byte == 0)
                .next()
                .is_some_and(|word| word == program.as_os_str().as_encoded_bytes())
        };
        let entries = fs::read_dir("/proc").unwrap().flatten();
        entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(is_ours).collect()
    }

    /// How many are left after a while; a zombie has no command line, so it is none.
    fn wait_until_gone(&self) -> usize {
        let deadline = Instant::now() + ENDS_WITHIN;
        loop {
            let left = self.processes().len();
            if left == 0 || Instant::now() > deadline {
                return left;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Site {
    /// Also when something has failed: nothing may be left behind.
    fn drop(&mut self) {
        for pid in self.processes().into_iter().filter_map(|pid| i32::try_from(pid).ok()) {
            // One that has just ended is what we want.
            let _ =
                nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
        }
    }
}

/// What a process has for itself, and its share of what it shares with others.
fn memory_kb(pid: u32) -> u64 {
    let text =
        fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("smaps_rollup")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
    line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse().ok()).unwrap_or_default()
}
