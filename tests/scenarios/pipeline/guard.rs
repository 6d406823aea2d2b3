//! Nothing outlives a test: not when it fails, and not when its own process is killed.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use nix::{
    sys::signal::{self, Signal},
    unistd::Pid,
};

/// A shell that reads from us. When we end in whatever way, the reading ends; it kills whatever names the folder among
/// its arguments, and removes the folder.
pub struct Guard {
    shell: Child,
}

const SCRIPT: &str = r#"
read -r _
for process in /proc/[0-9]*; do
  if tr '\0' '\n' <"$process/cmdline" 2>/dev/null | grep -qF "$FOLDER"; then kill -9 "${process#/proc/}"; fi
done
rm -rf "$FOLDER"
"#;

impl Guard {
    pub fn over(folder: &Path) -> Self {
        let shell = Command::new("/bin/sh")
            .args(["-c", SCRIPT])
            .env("FOLDER", folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { shell }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}

/// Kills a process that is none of our children. One that has ended meanwhile is as good.
pub fn kill9(pid: u32) {
    let _ = signal::kill(Pid::from_raw(i32::try_from(pid).unwrap()), Signal::SIGKILL);
}

/// The running processes that name the folder among their arguments, with these.
pub fn processes_of(folder: &Path) -> Vec<(u32, String)> {
    let folder = folder.to_str().unwrap();
    let pid = |path: PathBuf| path.file_name()?.to_str()?.parse::<u32>().ok();
    let line = |pid: u32| {
        // A zombie has no arguments any more.
        let bytes = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let line = String::from_utf8_lossy(&bytes).replace('\0', " ");
        line.contains(folder).then_some((pid, line))
    };
    let entries = fs::read_dir("/proc").unwrap();
    entries.filter_map(|entry| pid(entry.ok()?.path())).filter_map(line).collect()
}
