//! The write daemon's passes, and its end.

use std::time::Duration;

use crate::world::act::{Act, Alarm, Category, Daemon, Entry, Job, Severity, Writer};
use crate::world::health::AlertLevel;
use crate::world::{PASS_CYCLE, Phase, QUIET_TIME, World};

/// A pass that takes longer is told of: the cycle and ten seconds, as a real log has it.
const SLOW_AFTER: Duration = Duration::from_millis(90_500);
/// Users are paused when the write daemon has done nothing for so long; from a real log.
const SILENT_AFTER: Duration = Duration::from_secs(301);

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
        if self.standing.take().is_some_and(|exceeded| exceeded > 0) {
            let text = "[SYSTEM MONITOR] WriteDaemon Alert: Write Daemon completed a pass.";
            acts.push(Entry::job(Job::SystemMonitor, Severity::Info, text).into());
        }
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

    /// A pass that does not come to its end: System Monitor tells of it, later the users are paused.
    pub(super) fn stand_still(&mut self) -> Vec<Act> {
        if !matches!(self.phase, Phase::Running { .. }) {
            return Vec::new();
        }
        let number = self.wij.passes + 1;
        let exceeded = self.standing.map_or(0, |exceeded| exceeded.saturating_add(1));
        self.standing = Some(exceeded);
        let (entry, next) = match exceeded {
            0 => (None, SLOW_AFTER),
            1 => {
                let seconds = SLOW_AFTER.as_secs_f64();
                let text = format!(
                    "[SYSTEM MONITOR] WriteDaemon Alert: Write Daemon still on pass {number} after {seconds:.1} seconds."
                );
                let entry = Entry::job(Job::SystemMonitor, Severity::Severe, text);
                (Some(entry), SILENT_AFTER.saturating_sub(SLOW_AFTER))
            }
            2 => {
                let text = format!(
                    "CP: Pausing users because the Write Daemon has not shown\n    signs of activity for {} seconds. Users \
                     will resume if Write Daemon completes a\n    pass or writes to disk (wdpass={number}).",
                    SILENT_AFTER.as_secs()
                );
                let category = Category::Other("WriteDaemon.Pausing");
                (
                    Some(Entry { writer: Writer::Control, severity: Severity::Severe, category, text }),
                    PASS_CYCLE,
                )
            }
            _ => (None, PASS_CYCLE),
        };
        let acts = entry.map(Act::from).into_iter();
        acts.chain([Act::Wake(next, Alarm::Pass)]).collect()
    }

    /// Do all updates wait for the write daemon?
    pub(super) fn users_are_paused(&self) -> bool {
        self.standing.is_some_and(|exceeded| exceeded > 1)
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
