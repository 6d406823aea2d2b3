//! A slow `iris`: it does what the real one does, but not before it is let.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use instance_testkit::eventually;

/// Stands before one word of `iris` while it is closed.
pub struct Gate {
    closed: PathBuf,
    reached: PathBuf,
    /// The program that agents are to call.
    pub program: PathBuf,
}

impl Gate {
    /// A closed gate before `iris <word> ...`.
    pub fn before(word: &str, iris: &Path, folder: &Path) -> Self {
        let file = |name: &str| folder.join(format!("gate-{name}"));
        let gate = Self { closed: file("closed"), reached: file("reached"), program: file("iris") };
        let (closed, reached) = (gate.closed.display(), gate.reached.display());
        let script = format!(
            "#!/bin/sh\nif [ \"$1\" = {word} ] && [ -e '{closed}' ]; then\n  : >'{reached}'\n  while [ -e '{closed}' ]; do \
             /bin/sleep 0.02; done\nfi\nexec '{}' \"$@\"\n",
            iris.display(),
        );
        fs::write(&gate.closed, "").unwrap();
        fs::write(&gate.program, script).unwrap();
        fs::set_permissions(&gate.program, fs::Permissions::from_mode(0o755)).unwrap();
        gate
    }

    /// Waits until somebody stands before it.
    pub async fn reached(&self) {
        eventually(Duration::from_secs(60), || async { self.reached.exists().then_some(()) }).await;
    }

    pub fn is_reached(&self) -> bool {
        self.reached.exists()
    }

    pub fn open(&self) {
        fs::remove_file(&self.closed).unwrap();
    }
}
