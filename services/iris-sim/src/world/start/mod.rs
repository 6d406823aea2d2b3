//! A start, in three stages: the shell answers between them.

mod databases;
mod journal;
mod kernel;
mod obstacles;
mod web;

use crate::world::act::{Act, Alarm, Ending, Entry, Job, Severity};
use crate::world::facts::{Directory, Previous, StartFacts};
use crate::world::health::{AlertLevel, is_alert};
use crate::world::{GIVE_UP_AFTER, PASS_CYCLE, Phase, QUIET_TIME, World, check_cpf, memory};

impl World {
    /// Stage one: memory, write image journal, daemons, databases, and the check of the CPF.
    pub(super) fn start(&mut self, facts: Box<StartFacts>) -> Vec<Act> {
        if !matches!(self.phase, Phase::Down) {
            return Vec::new();
        }
        self.level = AlertLevel::Green;
        self.start_alerts = 0;
        self.dead.clear();
        (self.standing, self.suspension_told) = (None, false);
        self.mounted.clear();
        self.locks.clear();
        self.lock_troubles.clone_from(&facts.obstacles.lock_troubles);
        self.sessions.close_all();
        self.licensed_users = facts.licensed_users;
        let last_day = |days| facts.at.date().checked_add(jiff::Span::new().days(days)).ok();
        self.license_ends_on = facts.obstacles.license_days_left.and_then(last_day);
        let mut acts = self.recovery_banner(&facts);
        acts.push(Act::Say("Starting Control Process".to_owned()));
        let (allocation, allocating) = memory::allocate(&facts.parameters, facts.memory);
        acts.extend(allocating);
        let Some(allocation) = allocation else {
            acts.push(Act::End(Ending::StartFailed));
            return acts;
        };
        self.allocation = Some(allocation);
        self.parameters = Some(facts.parameters.clone());
        acts.extend(self.kernel_up(&facts));
        acts.extend(self.first_databases(&facts));
        if facts.obstacles.mismatch_wij {
            acts.push(self.mismatch());
            acts.extend(self.security_database(&facts));
            return self.single_user(acts);
        }
        if facts.without_startup_routine {
            return self.single_user(acts);
        }
        acts.extend(self.check_configuration(&facts));
        if facts.cpf_faults.is_empty() && facts.obstacles.encryption_key_missing {
            acts.push(obstacles::key_failure());
            return self.single_user(acts);
        }
        self.phase = if facts.cpf_faults.is_empty() {
            acts.push(Act::RewriteCpf);
            Phase::CheckingCpf(facts)
        } else {
            acts.push(Act::Wake(GIVE_UP_AFTER, Alarm::GiveUp));
            Phase::GivingUp { user: facts.user.clone() }
        };
        acts
    }

    /// Stage two: the CPF is accepted; journal, license, sections.
    pub(super) fn continue_start(&mut self, rewritten: Result<(), String>) -> Vec<Act> {
        let Phase::CheckingCpf(facts) = std::mem::replace(&mut self.phase, Phase::Down) else {
            return Vec::new();
        };
        if let Err(temporary) = rewritten {
            return self.refuse(
                &facts,
                [
                    format!("Unable to copy file '{temporary}' to '{}'", self.identity.cpf_path),
                    check_cpf::shutting_down(self.identity.release, &self.identity.cpf_path, &[]),
                ],
            );
        }
        let mut acts = vec![
            utility(format!("Updating configuration information from {}", self.identity.cpf_path)),
            utility("No archives configured"),
            utility("Performing Journal Recovery"),
        ];
        if facts.obstacles.journal_to_restore_missing {
            acts.extend(self.journal_restore_failed(&facts.previous));
            return self.single_user(acts);
        }
        acts.extend(journal::recovery(&facts.previous, self.identity.release));
        match self.start_journal(&facts) {
            Ok(journaling) => acts.extend(journaling),
            Err(refusal) => {
                acts.extend(refusal);
                return acts;
            }
        }
        acts.extend(sections_before_superserver(&facts));
        acts.extend(self.locked_databases(&facts.obstacles));
        acts.extend(self.late_databases(&facts));
        acts.extend(
            [
                "Processing Namespaces section",
                "Namespaces are up to date",
                "Activating namespaces",
                "Activating new namespace map",
                "Namespace changes have been activated",
            ]
            .map(utility),
        );
        acts.push(Act::OpenSuperserver {
            port: facts.parameters.superserver_port,
            address: facts.parameters.bind_address.clone(),
        });
        self.phase = Phase::OpeningSuperserver(facts);
        acts
    }

    /// Stage three: the superserver, the rest, and logons.
    pub(super) fn finish_start(&mut self, opened: Result<(), String>) -> Vec<Act> {
        let Phase::OpeningSuperserver(facts) = std::mem::replace(&mut self.phase, Phase::Down) else {
            return Vec::new();
        };
        let port = facts.parameters.superserver_port;
        let mut acts = vec![by(Job::Superserver, format!("Starting superserver on port {port}"))];
        if let Err(reason) = opened {
            // No real line is known for a port in use; the words are ours.
            let text = format!("Superserver could not listen on port {port}: {reason}");
            acts.push(Entry::job(Job::Superserver, Severity::Severe, text).into());
        }
        acts.extend(["Network Lock Upload Phase Starting", "Lock Upload Phase Complete"].map(utility));
        for section in [
            "Miscellaneous",
            "Devices",
            "DeviceSubTypes",
            "MagTape",
            "IO",
            "Monitor",
            "SQL",
            "Macro Pre-Processor (MPP)",
        ] {
            acts.push(utility(format!("Processing {section} section")));
        }
        acts.push(by(Job::SystemMonitor, "[SYSTEM MONITOR] System Monitor started in %SYS"));
        acts.extend(self.auditing());
        acts.extend(Self::web_server(&facts));
        acts.push(utility("Enabling logons"));
        acts.push(utility("Initializing Interoperability during system startup"));
        acts.push(by(Job::TaskManager, "Starting TASKMGR"));
        acts.extend(obstacles::daily_checks(&facts));
        self.sum_up(&mut acts);
        acts.extend([Act::KeepLastGood, Act::Wake(PASS_CYCLE, Alarm::Pass), Act::Ready]);
        self.phase = Phase::Running { single_user: false, panic: false };
        acts
    }

    /// What the alerts of the start make of the health, and a word about them to whoever started it.
    fn sum_up(&mut self, acts: &mut Vec<Act>) {
        let last =
            acts.iter().filter(|act| matches!(act, Act::Log(entry) if is_alert(entry.severity))).count();
        let alerts = self.start_alerts + last;
        self.level = AlertLevel::after_start(alerts);
        if alerts > 0 {
            acts.push(Act::Say(format!("{alerts} alert(s) during startup. See messages.log for details.")));
            acts.push(Act::Wake(QUIET_TIME, Alarm::Quiet));
        }
    }

    /// The databases that come up after the first two and before the CPF is checked.
    fn check_configuration(&mut self, facts: &StartFacts) -> Vec<Act> {
        let mut acts = vec![
            Act::LogWithMoment(Entry::utility(
                Severity::Info,
                format!(
                    "Instance '{}' starting on node {} by user '{}' on ",
                    self.identity.name, facts.system.node, facts.user
                ),
            )),
            utility(format!("Using parameters from file '{}'", self.identity.cpf_path)),
            utility("Loading DLLs"),
            utility("Switching to temporary %SYS Namespace"),
            utility("Loading Locale enuw (English, United States, Unicode) from objects"),
        ];
        acts.extend(self.databases_of_the_check(facts));
        acts.push(utility("Switching to default %SYS Namespace"));
        acts.push(by(Job::LogMonitor, "Log Monitor Started"));
        if matches!(facts.previous, Previous::Abnormal(_)) {
            let text = "Previous system shutdown was abnormal, system forced down or crashed";
            acts.push(Entry::utility(Severity::Severe, text).into());
        }
        if let Some(node) = &facts.obstacles.failed_over_from {
            let text = format!("System appears to have failed over from node {node}");
            acts.push(Entry::utility(Severity::Severe, text).into());
        }
        acts.push(by(Job::CleanDaemon, "Clean Daemon Started"));
        let cpf = &self.identity.cpf_path;
        if facts.cpf_changed {
            let text = format!("Configuration file {cpf} is not the same as when last shut down");
            acts.push(Entry::utility(Severity::Warning, text).into());
        }
        if facts.journal.alternate != Directory::Usable {
            let text = format!(
                "Alternate journal directory {} is invalid or unreachable",
                facts.parameters.alternate_journal_directory
            );
            acts.push(Entry::utility(Severity::Severe, text).into());
        }
        for fault in &facts.cpf_faults {
            acts.push(Entry::utility(Severity::Fatal, fault.message()).into());
        }
        if !facts.cpf_faults.is_empty() {
            let text = check_cpf::shutting_down(self.identity.release, cpf, &facts.cpf_faults);
            acts.push(Entry::utility(Severity::Fatal, text).into());
        }
        acts
    }

    fn refuse(&mut self, facts: &StartFacts, texts: impl IntoIterator<Item = String>) -> Vec<Act> {
        self.phase = Phase::GivingUp { user: facts.user.clone() };
        let mut acts: Vec<Act> =
            texts.into_iter().map(|text| Entry::utility(Severity::Fatal, text).into()).collect();
        acts.push(Act::Wake(GIVE_UP_AFTER, Alarm::GiveUp));
        acts
    }
}

fn sections_before_superserver(facts: &StartFacts) -> Vec<Act> {
    let mut acts: Vec<Act> =
        ["Processing WorkQueues section", "Processing Startup section", "Processing config section"]
            .map(utility)
            .into();
    acts.push(match facts.licensed_users {
        Some(users) => by(Job::LicenseMonitor, format!("LMF Info:  Licensed for {users} users.")),
        None => Entry::utility(
            Severity::Severe,
            "LMF Error: No valid license key. No valid local file found and LicenseID not defined.",
        )
        .into(),
    });
    acts.extend(
        [
            "Initializing Security system",
            "Processing Network section",
            "Activating Network",
            "Processing Databases section",
        ]
        .map(utility),
    );
    acts
}

fn utility(text: impl Into<String>) -> Act {
    Entry::utility(Severity::Info, text).into()
}

fn by(job: Job, text: impl Into<String>) -> Act {
    Entry::job(job, Severity::Info, text).into()
}
