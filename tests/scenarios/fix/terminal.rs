//! A person at a terminal: a pseudo terminal with `instance` on it, what it shows, and what is typed.

use std::{
    fs::File,
    io::{ErrorKind, Read as _, Write as _},
    process::{Child, Command, Stdio},
    time::Duration,
};

use instance_testkit::eventually;
use nix::{
    fcntl::{FcntlArg, FdFlag, OFlag, fcntl},
    pty::openpty,
    sys::signal::{self, Signal},
    unistd::Pid,
};

use crate::pipeline::{Pipeline, Ran, command};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_mins(3);

/// One run of `instance` on a terminal of its own. Dropping it ends it.
pub struct Terminal {
    child: Child,
    keys: File,
    /// All that was shown, what was typed too.
    screen: String,
}

impl Terminal {
    /// Runs `instance` on a pipeline, as whoever sits there does.
    pub fn run(pipeline: &Pipeline, words: &[&str]) -> Self {
        let pair = openpty(None, None).unwrap();
        // Programs that other tests start meanwhile must not hold it open.
        for end in [&pair.master, &pair.slave] {
            fcntl(end, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).unwrap();
        }
        fcntl(&pair.master, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
        let mut instance = command("instance");
        instance.env("HOME", pipeline.path("home")).env("USER", "tester").env("TERM", "dumb");
        let child = on(&mut instance, &pair.slave)
            .arg("--nats")
            .arg(pipeline.server.url())
            .args(words)
            .spawn()
            .unwrap();
        Self { child, keys: File::from(pair.master), screen: String::new() }
    }

    /// Waits until it shows this.
    pub async fn shows(&mut self, text: &str) {
        let shown = tokio::time::timeout(
            PATIENCE,
            eventually(PATIENCE * 2, || {
                self.look();
                let shown = self.screen.contains(text).then_some(());
                async move { shown }
            }),
        )
        .await;
        assert!(shown.is_ok(), "{text:?} was not shown:\n{}", self.screen);
    }

    pub fn types(&mut self, line: &str) {
        self.keys.write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    /// What Ctrl-C makes of a program in the foreground.
    pub fn interrupts(&self) {
        signal::kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), Signal::SIGINT).unwrap();
    }

    /// How it ended; all that it showed is in `stderr`.
    pub async fn ended(mut self) -> Ran {
        let ended = tokio::time::timeout(
            PATIENCE,
            eventually(PATIENCE * 2, || {
                self.look();
                let status = self.child.try_wait().unwrap();
                async move { status }
            }),
        )
        .await;
        self.look();
        let status = ended.unwrap_or_else(|_| panic!("it has not ended:\n{}", self.screen));
        Ran {
            code: status.code().unwrap_or(-1),
            stdout: String::new(),
            stderr: std::mem::take(&mut self.screen),
        }
    }

    /// Takes up what was shown since.
    fn look(&mut self) {
        let mut bytes = [0; 4096];
        loop {
            match self.keys.read(&mut bytes) {
                Ok(0) => return,
                Ok(count) => self.screen.push_str(&String::from_utf8_lossy(&bytes[..count])),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Nothing more yet; or it has ended, and its side of the terminal is closed.
                Err(_) => return,
            }
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Fails only when it has ended and was waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Keyboard and screen are that terminal.
fn on<'a>(command: &'a mut Command, terminal: &std::os::fd::OwnedFd) -> &'a mut Command {
    let end = || Stdio::from(terminal.try_clone().unwrap());
    command.stdin(end()).stdout(end()).stderr(end())
}
