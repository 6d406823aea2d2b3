use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// A small file system in memory, really full or read-only when the test says so; gone at the end of its test.
/// Mounting one needs root, as CI has.
#[derive(Debug)]
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts one at a folder, with options of tmpfs such as `size=64k` or `size=1m,nr_inodes=1`.
    ///
    /// # Panics
    /// Where nothing may be mounted.
    pub fn mount(at: &Path, options: &str) -> Self {
        run(Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(at));
        Self(at.to_owned())
    }

    /// A folder that exists becomes a mount of its own, so that it can be made read-only.
    ///
    /// # Panics
    /// Where nothing may be mounted.
    pub fn bind(at: &Path) -> Self {
        run(Command::new("mount").arg("--bind").arg(at).arg(at));
        Self(at.to_owned())
    }

    /// Mounts it again with other options: `ro`, `rw`, `bind,ro`.
    ///
    /// # Panics
    /// When the kernel refuses.
    pub fn becomes(&self, options: &str) {
        run(Command::new("mount").args(["-o", &format!("remount,{options}")]).arg(&self.0));
    }

    /// Takes all space that is left, to the last byte.
    ///
    /// # Panics
    /// Never: a disk that takes nothing is full.
    pub fn fill(&self) {
        let mut size = 1 << 16;
        while size > 0 {
            let name = self.0.join(format!("filler-{size}"));
            if fs::write(&name, vec![b'x'; size]).is_ok() {
                size = if size == 1 { 0 } else { size / 2 };
            } else {
                // What was written of it stays, as nothing; it may be that not even the name could be made.
                fs::write(&name, "").unwrap_or_default();
                size /= 2;
            }
        }
    }

    /// Gives back what [`fill`](Self::fill) took.
    ///
    /// # Panics
    /// When the folder cannot be listed.
    pub fn give_back(&self) {
        for entry in fs::read_dir(&self.0).expect("the disk is mounted") {
            let entry = entry.expect("a folder in memory can be listed");
            if entry.file_name().to_string_lossy().starts_with("filler-") {
                fs::remove_file(entry.path()).expect("what the test wrote can be removed");
            }
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn run(command: &mut Command) {
    let output = command.output().expect("there is a mount program");
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "this test mounts a small file system, which needs root: {words}");
}
