//! A shell that outlives us by a moment: whatever ends this process, `kill -9` included, it ends what we started.

use std::{
    ffi::OsStr,
    io::{self, Write as _},
    os::unix::process::CommandExt as _,
    process::{Child, ChildStdin, Command, Stdio},
    sync::{Mutex, PoisonError},
};

/// Reads which processes are ours. When we are gone the reading ends, and it kills them; its arguments, when there
/// are any, are a last command (the demo's instance lives in processes that nobody here has started).
const SCRIPT: &str = r#"
pids=
while read -r word pid; do
  case $word in
    add) pids="$pids $pid" ;;
    del) kept=; for one in $pids; do [ "$one" = "$pid" ] || kept="$kept $one"; done; pids=$kept ;;
    done) exit 0 ;;
  esac
done
[ -z "$pids" ] || kill -9 $pids
[ $# = 0 ] || "$@"
"#;

/// The shell, and the pipe that it reads from. Dropping it dismisses it: nothing is killed then.
#[derive(Debug)]
pub struct Guard {
    shell: Child,
    pipe: Mutex<Option<ChildStdin>>,
}

impl Guard {
    /// `last` is a program with its arguments, run after the killing.
    pub fn start(last: &[&OsStr]) -> io::Result<Self> {
        let mut shell = Command::new("/bin/sh")
            .args(["-c", SCRIPT, "instance-guard"])
            .args(last)
            // Ctrl-C in a terminal goes to our whole group, and must not end the guard before us.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let pipe = Mutex::new(shell.stdin.take());
        Ok(Self { shell, pipe })
    }

    /// From now on this child of ours dies with us.
    pub fn add(&self, pid: u32) {
        self.tell(&format!("add {pid}\n"));
    }

    /// It is gone; its id may soon belong to somebody else.
    pub fn remove(&self, pid: u32) {
        self.tell(&format!("del {pid}\n"));
    }

    fn tell(&self, line: &str) {
        let mut pipe = self.pipe.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pipe) = pipe.as_mut() {
            // Somebody has killed the guard: the children live on, as they would without one.
            let _ = pipe.write_all(line.as_bytes());
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.tell("done\n");
        self.pipe.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        let _ = self.shell.wait();
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    fn sleeper() -> Child {
        Command::new("/bin/sleep").arg("600").spawn().unwrap()
    }

    #[test]
    fn what_was_added_dies_with_us_and_what_was_removed_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let touched = folder.path().join("last");
        let guard = Guard::start(&[OsStr::new("/bin/touch"), touched.as_os_str()]).unwrap();
        let (mut ours, mut gone) = (sleeper(), sleeper());
        guard.add(gone.id());
        guard.add(ours.id());
        guard.remove(gone.id());
        // What the kernel does with our end of the pipe when this process dies.
        guard.pipe.lock().unwrap().take();
        assert!(!ours.wait().unwrap().success());
        let deadline = Instant::now() + Duration::from_secs(20);
        while !touched.exists() {
            assert!(Instant::now() < deadline, "the last command never ran");
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(gone.try_wait().unwrap().is_none());
        gone.kill().unwrap();
        gone.wait().unwrap();
    }

    #[test]
    fn a_dismissed_guard_kills_nobody() {
        let guard = Guard::start(&[]).unwrap();
        let mut child = sleeper();
        guard.add(child.id());
        drop(guard);
        assert!(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
