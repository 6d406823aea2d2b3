//! Running a program of this host: no shell, no inherited environment, bounded output, bounded time.

use std::{
    ffi::OsString,
    fs::File,
    io::{self, Read},
    os::{
        fd::AsFd,
        unix::{
            fs::OpenOptionsExt,
            process::{CommandExt, ExitStatusExt},
        },
    },
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    fcntl::{FcntlArg, OFlag, fcntl},
    poll::{PollFd, PollFlags, poll},
    sys::signal::{Signal, killpg},
    unistd::{AccessFlags, Pid, access},
};

/// Output beyond this is read and thrown away, so that the program never waits for us. Each stream.
pub const OUTPUT_LIMIT: usize = 64 * 1024;
/// How soon an exit is noticed while the program is silent.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Where util-linux puts it.
const SETSID: [&str; 2] = ["/usr/bin/setsid", "/bin/setsid"];

/// A program to run.
#[derive(Debug, Clone)]
pub struct Program {
    path: PathBuf,
    arguments: Vec<OsString>,
    variables: Vec<(OsString, OsString)>,
    folder: PathBuf,
}

/// What a program did.
#[derive(Debug, Clone)]
pub struct Finished {
    /// `None` when it was killed.
    pub code: Option<i32>,
    /// The signal that ended it; SIGKILL after the time limit.
    pub signal: Option<i32>,
    /// The first 64 KiB.
    pub stdout: Vec<u8>,
    /// The first 64 KiB.
    pub stderr: Vec<u8>,
    /// The time limit was reached, and its process group killed.
    pub timed_out: bool,
}

/// Why a program could not be run, or not be watched to its end.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    #[error("program \"{path}\" must be an absolute path")]
    NotAbsolute { path: PathBuf },
    #[error("could not start \"{path}\"")]
    Start { path: PathBuf, source: io::Error },
    /// The program was started; what it did is unknown. Its process group was killed.
    #[error("could not watch \"{path}\"")]
    Watch { path: PathBuf, source: io::Error },
}

impl Program {
    /// Runs in `/` unless told otherwise.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), arguments: Vec::new(), variables: Vec::new(), folder: PathBuf::from("/") }
    }

    /// Each becomes one argument, whatever characters it holds.
    #[must_use]
    pub fn arguments<A: Into<OsString>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// One of the few variables that the program sees.
    #[must_use]
    pub fn variable(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.variables.push((name.into(), value.into()));
        self
    }

    #[must_use]
    pub fn in_folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = folder.into();
        self
    }

    /// Runs the program to its end, at most for `limit`; then its process group is killed. Blocks.
    ///
    /// Returns when the program itself ends, though a process that it left behind may still hold its output open
    /// (`iris start` leaves the instance); such a process is left alone.
    pub fn run(&self, limit: Duration) -> Result<Finished, HostError> {
        if !self.path.is_absolute() {
            return Err(HostError::NotAbsolute { path: self.path.clone() });
        }
        let start = |source| HostError::Start { path: self.path.clone(), source };
        let mut child = self
            .without_terminal()
            .map_err(start)?
            .args(&self.arguments)
            .env_clear()
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(start)?;
        watch(&mut child, limit).map_err(|source| {
            end(&mut child);
            HostError::Watch { path: self.path.clone(), source }
        })
    }

    /// The program in a process group of its own, and without a terminal that it could ask on.
    ///
    /// Under systemd and in most containers this process has no terminal, so its children have none. Started from a
    /// shell it has, and then a child needs a session of its own, which the standard library cannot give it without
    /// unsafe code: `setsid` of util-linux does, and becomes the program. It does not fork, as it leads no group yet.
    fn without_terminal(&self) -> io::Result<Command> {
        if has_terminal() {
            if let Some(setsid) = SETSID.iter().find(|path| Path::new(path).exists()) {
                // Its own complaint about a program that is not there would be taken for the program's.
                access(&self.path, AccessFlags::X_OK)?;
                let mut command = Command::new(setsid);
                command.arg(&self.path);
                return Ok(command);
            }
            tracing::warn!(program = %self.path.display(), "without setsid it can ask on the terminal of this process");
        }
        let mut command = Command::new(&self.path);
        command.process_group(0);
        Ok(command)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Finished {
    pub fn succeeded(&self) -> bool {
        self.code == Some(0)
    }

    /// What the program said, for a person: the last line with text on stderr, else on stdout.
    pub fn last_words(&self) -> String {
        let last = |bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes).into_owned();
            text.lines().rev().map(str::trim).find(|line| !line.is_empty()).map(str::to_owned)
        };
        last(&self.stderr).or_else(|| last(&self.stdout)).unwrap_or_default()
    }
}

fn watch(child: &mut Child, limit: Duration) -> io::Result<Finished> {
    let started = Instant::now();
    let mut stdout = Output::new(child.stdout.take().expect("piped above"))?;
    let mut stderr = Output::new(child.stderr.take().expect("piped above"))?;
    let (status, timed_out) = loop {
        if let Some(status) = child.try_wait()? {
            break (status, false);
        }
        let Some(left) = limit.checked_sub(started.elapsed()).filter(|left| !left.is_zero()) else {
            break (end(child).ok_or_else(|| io::Error::other("the killed program was not reaped"))?, true);
        };
        wait_for_output(&mut stdout, &mut stderr, left.min(LOOK_AGAIN))?;
    };
    // What it wrote before its end is in the pipes.
    stdout.read_available()?;
    stderr.read_available()?;
    Ok(Finished {
        code: status.code(),
        signal: status.signal(),
        stdout: stdout.kept,
        stderr: stderr.kept,
        timed_out,
    })
}

/// Has this process a terminal that its children would share?
fn has_terminal() -> bool {
    File::options().read(true).custom_flags(OFlag::O_NOCTTY.bits()).open("/dev/tty").is_ok()
}

/// Kills the process group and reaps its leader. Until it is reaped, nobody else can get its process id.
fn end(child: &mut Child) -> Option<ExitStatus> {
    let group = i32::try_from(child.id()).expect("a process id fits i32");
    // Fails only when there is no such group any more, or not yet.
    let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
    let _ = child.kill();
    child.wait().ok()
}

fn wait_for_output(
    stdout: &mut Output<impl Read + AsFd>,
    stderr: &mut Output<impl Read + AsFd>,
    longest: Duration,
) -> io::Result<()> {
    if stdout.ended && stderr.ended {
        std::thread::sleep(longest.min(Duration::from_millis(1)));
        return Ok(());
    }
    let milliseconds = u16::try_from(longest.as_millis().max(1)).unwrap_or(u16::MAX);
    let mut waiting = Vec::with_capacity(2);
    waiting.extend((!stdout.ended).then(|| PollFd::new(stdout.pipe.as_fd(), PollFlags::POLLIN)));
    waiting.extend((!stderr.ended).then(|| PollFd::new(stderr.pipe.as_fd(), PollFlags::POLLIN)));
    match poll(&mut waiting, milliseconds) {
        Ok(_) | Err(Errno::EINTR) => {}
        Err(error) => return Err(error.into()),
    }
    drop(waiting);
    stdout.read_available()?;
    stderr.read_available()
}

/// One stream of the program, read without ever waiting.
struct Output<P> {
    pipe: P,
    kept: Vec<u8>,
    ended: bool,
}

impl<P: Read + AsFd> Output<P> {
    fn new(pipe: P) -> io::Result<Self> {
        let flags = OFlag::from_bits_retain(fcntl(pipe.as_fd(), FcntlArg::F_GETFL)?);
        fcntl(pipe.as_fd(), FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
        Ok(Self { pipe, kept: Vec::new(), ended: false })
    }

    /// At most 1 MiB at a time, so that an endless stream cannot keep us from looking at the time.
    fn read_available(&mut self) -> io::Result<()> {
        let mut buffer = [0; 16 * 1024];
        for _ in 0..64 {
            if self.ended {
                return Ok(());
            }
            match self.pipe.read(&mut buffer) {
                Ok(0) => self.ended = true,
                Ok(count) => {
                    let room = OUTPUT_LIMIT - self.kept.len();
                    self.kept.extend_from_slice(&buffer[..count.min(room)]);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const LONG: Duration = Duration::from_mins(1);

    fn shell(script: &str) -> Program {
        Program::new("/bin/sh").arguments(["-c", script])
    }

    fn text(bytes: &[u8]) -> &str {
        std::str::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_program_sees_its_arguments_and_nothing_of_our_environment() {
        let echo = Program::new("/usr/bin/printf").arguments(["%s|", "a b", "$HOME; rm *", ""]);
        assert_eq!(text(&echo.run(LONG).unwrap().stdout), "a b|$HOME; rm *||");
        let environment = Program::new("/usr/bin/env").variable("ISC_X", "1").run(LONG).unwrap();
        assert_eq!(text(&environment.stdout), "ISC_X=1\n");
        let folder = shell("pwd; cat").in_folder("/usr").run(LONG).unwrap();
        assert_eq!((text(&folder.stdout), folder.code), ("/usr\n", Some(0)));
    }

    #[test]
    fn status_and_last_words_are_told() {
        let finished = shell("echo out; echo 'no such instance' >&2; exit 7").run(LONG).unwrap();
        assert_eq!((finished.code, finished.succeeded()), (Some(7), false));
        assert_eq!(finished.last_words(), "no such instance");
        assert!(matches!(Program::new("sh").run(LONG), Err(HostError::NotAbsolute { .. })));
        assert!(matches!(Program::new("/no/such/iris").run(LONG), Err(HostError::Start { .. })));
    }

    #[test]
    fn endless_output_is_cut_and_does_not_stop_the_program() {
        let script = "head -c 3000000 /dev/zero; head -c 100000 /dev/zero >&2; exit 3";
        let finished = shell(script).run(LONG).unwrap();
        assert_eq!(finished.code, Some(3));
        assert_eq!((finished.stdout.len(), finished.stderr.len()), (OUTPUT_LIMIT, OUTPUT_LIMIT));
    }

    #[test]
    fn the_time_limit_ends_the_program_and_all_that_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let script =
            "sleep 1000 & echo $! > child; (sleep 1000 & echo $! > grandchild; wait) & echo ready; wait";
        let finished = shell(script).in_folder(folder.path()).run(Duration::from_secs(4)).unwrap();
        assert!(finished.timed_out);
        assert_eq!((finished.code, finished.signal), (None, Some(9)));
        assert_eq!(text(&finished.stdout), "ready\n");
        for name in ["child", "grandchild"] {
            let process = fs::read_to_string(folder.path().join(name)).unwrap();
            wait_until(|| is_gone(process.trim()));
        }
    }

    /// Runs itself again with a terminal, which it has from `script`.
    #[test]
    fn a_program_has_no_terminal_even_when_we_have_one() {
        const NAME: &str = "host::tests::a_program_has_no_terminal_even_when_we_have_one";
        let with_terminal = std::env::var_os("INSTANCE_TEST_HAS_TERMINAL").is_some();
        if with_terminal {
            assert!(has_terminal(), "script gives one");
        }
        let asks = shell("if (: </dev/tty) 2>/dev/null; then echo terminal; fi; exit 3");
        let finished = asks.variable("PATH", "/usr/bin:/bin").run(LONG).unwrap();
        assert_eq!(finished.code, Some(3));
        assert!(!text(&finished.stdout).contains("terminal"), "{finished:?}");
        let slow =
            shell("sleep 1000").variable("PATH", "/usr/bin:/bin").run(Duration::from_millis(300)).unwrap();
        assert!(slow.timed_out && slow.signal == Some(9), "{slow:?}");
        assert!(matches!(Program::new("/no/such/iris").run(LONG), Err(HostError::Start { .. })));
        if with_terminal {
            return;
        }
        let again = format!("'{}' --exact {NAME}", std::env::current_exe().unwrap().display());
        let inner = Command::new("script")
            .args(["-qec", &again, "/dev/null"])
            .env("INSTANCE_TEST_HAS_TERMINAL", "1")
            .stdin(Stdio::null())
            .output()
            .expect("script of util-linux is on every Linux that builds this");
        assert!(inner.status.success(), "{}", String::from_utf8_lossy(&inner.stdout));
        assert!(String::from_utf8_lossy(&inner.stdout).contains("1 passed"), "{inner:?}");
    }

    #[test]
    fn a_process_left_behind_on_purpose_neither_holds_us_up_nor_is_killed() {
        let folder = tempfile::tempdir().unwrap();
        let script = "setsid sleep 300 & echo $! > daemon; echo started";
        let started = Instant::now();
        let finished =
            shell(script).variable("PATH", "/usr/bin:/bin").in_folder(folder.path()).run(LONG).unwrap();
        assert!(started.elapsed() < Duration::from_secs(30));
        assert_eq!((finished.code, text(&finished.stdout)), (Some(0), "started\n"));
        let process = fs::read_to_string(folder.path().join("daemon")).unwrap();
        assert!(!is_gone(process.trim()));
        nix::sys::signal::kill(Pid::from_raw(process.trim().parse().unwrap()), Signal::SIGKILL).unwrap();
    }

    /// Gone, or a zombie that nobody has reaped yet.
    fn is_gone(process: &str) -> bool {
        fs::read_to_string(format!("/proc/{process}/stat")).is_ok_and(|stat| stat.contains(") Z "))
            || !Path::new(&format!("/proc/{process}")).exists()
    }

    fn wait_until(condition: impl Fn() -> bool) {
        let started = Instant::now();
        while !condition() {
            assert!(started.elapsed() < Duration::from_secs(30), "the condition never came true");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
