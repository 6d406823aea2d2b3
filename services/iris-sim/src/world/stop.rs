//! The ways an instance ends, line by line as real logs have them.

use crate::world::act::{Act, Alarm, Daemon, Ending, Entry, Job, Severity, Writer};
use crate::world::{FORCE_AFTER, Phase, World};

impl World {
    pub(super) fn stop(&mut self, user: &str, without_routines: bool) -> Vec<Act> {
        match self.phase {
            Phase::Running { single_user, .. } => self.stop_in_order(user, without_routines, !single_user),
            Phase::Frozen => self.stop_frozen(user),
            _ => Vec::new(),
        }
    }

    /// A start that found its CPF wrong ends five seconds later.
    pub(super) fn give_up(&mut self) -> Vec<Act> {
        let Phase::GivingUp { user } = &self.phase else { return Vec::new() };
        let user = user.clone();
        let mut acts = self.shut_down(&user, false, false);
        acts.push(Act::End(Ending::StartFailed));
        acts
    }

    /// The time of a frozen instance is up.
    pub(super) fn force(&mut self) -> Vec<Act> {
        if !matches!(self.phase, Phase::BeingForced) {
            return Vec::new();
        }
        let mut acts = vec![
            Entry::utility(Severity::Fatal, "WDSTOP set, system being forced").into(),
            exited(Writer::Control, "CONTROL", "system shutdown"),
            Act::StopDaemons,
        ];
        acts.extend(self.daemon_exits("system shutdown"));
        acts.push(
            Entry::kernel(
                Writer::Asker,
                Severity::Info,
                format!("irisforce killed 0 system and {} user processes.", self.sessions.count()),
            )
            .into(),
        );
        acts.extend([Act::CloseSuperserver, Act::End(Ending::Abnormal)]);
        self.phase = Phase::Down;
        acts
    }

    /// SIGTERM reaches every process of the instance at once.
    pub(super) fn terminate(&mut self) -> Vec<Act> {
        let mut acts = vec![Act::CloseSuperserver, Act::StopDaemons];
        acts.extend(self.daemon_exits("SIGTERM received"));
        acts.push(exited(Writer::Control, "CONTROL", "SIGTERM received"));
        acts.push(Act::End(Ending::Abnormal));
        self.phase = Phase::Down;
        acts
    }

    fn stop_in_order(&mut self, user: &str, without_routines: bool, with_journal: bool) -> Vec<Act> {
        let mut acts = self.shut_down(user, without_routines, with_journal);
        acts.push(Act::End(Ending::Clean));
        acts
    }

    fn stop_frozen(&mut self, user: &str) -> Vec<Act> {
        self.phase = Phase::BeingForced;
        vec![
            note(&format!("User '{user}' shutting down InterSystems IRIS")),
            Entry::utility(Severity::Warning, "Shutdown detected WDSTOP set").into(),
            note("Attempting to write journal buffers to disk"),
            note("Journal buffers written to disk"),
            Act::Wake(FORCE_AFTER, Alarm::Overdue),
        ]
    }

    fn shut_down(&mut self, user: &str, without_routines: bool, with_journal: bool) -> Vec<Act> {
        let mut acts =
            vec![note(&format!("User '{user}' shutting down InterSystems IRIS")), note("Notifying Clients")];
        if with_journal {
            let text = "[SYSTEM MONITOR] System Monitor stopped in %SYS";
            acts.push(Entry::job(Job::SystemMonitor, Severity::Info, text).into());
        }
        if !without_routines {
            acts.push(note("No user shutdown routines to execute"));
        }
        acts.extend(
            ["Stopping User Jobs", "Stopping Network Servers", "Withdrawing from License Domain"].map(note),
        );
        if self.sessions.count() > 0 {
            acts.push(note("Waiting for users to stop"));
            acts.push(note(&format!("{} user process(es) remain", self.sessions.count())));
        }
        self.sessions.close_all();
        acts.push(Act::CloseSuperserver);
        if with_journal {
            acts.push(Entry::kernel(Writer::Asker, Severity::Info, "Auditing stopped").into());
        }
        acts.extend(["Stopping Client Networking", "Updating Journal File"].map(note));
        if with_journal {
            acts.push(note("Journal restore not required at next startup"));
            acts.push(note("Transaction rollback not required at next startup"));
        } else {
            acts.push(note("Skip jrnwait as WIJ update is disabled"));
        }
        acts.push(note("Removing database locks"));
        acts.extend(self.unlock_databases());
        acts.extend(
            ["Waiting for database updates to complete", "Database updates complete", "Stopping System Jobs"]
                .map(note),
        );
        acts.push(Act::StopDaemons);
        acts.extend(self.daemon_exits("system shutdown"));
        acts.push(exited(Writer::Control, "CONTROL", "system shutdown"));
        acts.push(note("Shutdown complete"));
        self.phase = Phase::Down;
        acts
    }

    /// The daemons in the order in which they leave: the write daemon last.
    fn daemon_exits(&self, cause: &str) -> Vec<Act> {
        let mut acts = Vec::new();
        for daemon in Daemon::ALL.into_iter().rev().filter(|daemon| !self.dead.contains(daemon)) {
            if daemon == Daemon::WriteDaemon && cause == "system shutdown" && !self.is_frozen() {
                acts.push(
                    Entry::kernel(Writer::Daemon(daemon), Severity::Info, "No blocks pending in WIJ file")
                        .into(),
                );
            }
            acts.push(exited(Writer::Daemon(daemon), &daemon.to_string(), cause));
        }
        acts
    }
}

fn note(text: &str) -> Act {
    Entry::utility(Severity::Info, text).into()
}

fn exited(writer: Writer, name: &str, cause: &str) -> Act {
    Entry::kernel(writer, Severity::Info, format!("{name} exited due to {cause}")).into()
}
