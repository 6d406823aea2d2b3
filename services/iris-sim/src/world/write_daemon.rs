//! The write daemon's passes, and its end.

use crate::world::act::{Act, Alarm, Daemon, Entry, Severity, Writer};
use crate::world::health::AlertLevel;
use crate::world::{PASS_CYCLE, Phase, QUIET_TIME, World};

impl World {
    /// One pass: blocks changed since the last one go to disk.
    ///
    /// Ours, because IRIS does not publish its threshold: when the changed blocks need more than half of the 8 KB
    /// buffers, none can be set free before the pass ends, and the write daemon panics.
    pub(super) fn pass(&mut self) -> Vec<Act> {
        let short = self.lacks_buffers();
        let Phase::Running { panic, .. } = &mut self.phase else { return Vec::new() };
        *panic = short;
        self.wij.passes += 1;
        let mut acts = Vec::new();
        if short {
            self.level = AlertLevel::Red;
            acts.push(
                Entry::kernel(
                    Writer::Daemon(Daemon::WriteDaemon),
                    Severity::Fatal,
                    "Insufficient global buffers - WRTDMN in panic mode",
                )
                .into(),
            );
            acts.push(Act::Wake(QUIET_TIME, Alarm::Quiet));
        }
        acts.extend(self.write_journal());
        if !self.waits_for_journal() {
            acts.extend(self.fill_database());
        }
        acts.extend(self.watch_transactions());
        acts.push(Act::Wake(PASS_CYCLE, Alarm::Pass));
        acts
    }

    /// Whether the last pass found too few buffers.
    pub fn is_in_panic(&self) -> bool {
        matches!(self.phase, Phase::Running { panic: true, .. })
    }

    fn lacks_buffers(&self) -> bool {
        self.allocation.is_some_and(|allocation| {
            self.load.dirty_mb_per_pass.saturating_mul(2) > allocation.globals_8k_mb
        })
    }
}

/// What the control process writes when a daemon is gone.
pub(super) fn loss(daemon: Daemon, pid: u32) -> Vec<Act> {
    let name = daemon.name();
    let mut acts = vec![
        Entry::kernel(
            Writer::Control,
            Severity::Severe,
            format!("System Process '{name}' terminated abnormally (pid {pid})"),
        )
        .into(),
    ];
    if daemon.writes_databases() {
        acts.push(
            Entry::kernel(
                Writer::Control,
                Severity::Fatal,
                format!("Daemon {name} (pid {pid}) died. Freezing system"),
            )
            .into(),
        );
    }
    acts
}
