//! What a start says about things that lie in its way, and where it ends because of them.

use crate::world::act::{Act, Alarm, Entry, Job, Severity, Writer};
use crate::world::facts::{EndingCertificate, Obstacles, Previous, StartFacts};
use crate::world::{PASS_CYCLE, Phase, World};

/// Seven days are a warning, five and fewer an alert [MG].
const WARN_DAYS: i64 = 7;
const ALERT_DAYS: i64 = 5;

impl World {
    /// The start ends in single-user mode: the instance is up, and nobody can log on.
    pub(super) fn single_user(&mut self, mut acts: Vec<Act>) -> Vec<Act> {
        self.phase = Phase::Running { single_user: true, panic: false };
        self.sum_up(&mut acts);
        acts.extend([Act::Wake(PASS_CYCLE, Alarm::Pass), Act::Ready]);
        acts
    }

    /// A former comparison of WIJ and databases found blocks that differ: only a person can tell which are right.
    pub(super) fn mismatch(&self) -> Act {
        let text = format!(
            "There exists a MISMATCH.WIJ file.\nStartup aborted, entering single user mode.\nEnter the instance with \n     \
             iris session {} -B\nand D ^STURECOV for help recovering from this error.",
            self.identity.name
        );
        Entry::utility(Severity::Warning, text).into()
    }

    /// Recovery needs a journal file that somebody has taken away: what it held is lost without a person.
    pub(super) fn journal_restore_failed(&self, previous: &Previous) -> Vec<Act> {
        let (Previous::Abnormal(wij) | Previous::Clean(wij)) = previous else { return Vec::new() };
        let help = format!(
            "Journal restore failed. Startup aborted, entering single user mode. Enter IRIS with iris terminal {} -B \
             and D ^STURECOV for help recovering",
            self.identity.name
        );
        let restoring = format!("Restoring from journal {}", wij.journal_file);
        [(Severity::Info, restoring), (Severity::Severe, help)]
            .map(|(severity, text)| Entry::utility(severity, text).into())
            .into()
    }

    /// Databases that another host has mounted are left alone.
    pub(super) fn locked_databases(&self, obstacles: &Obstacles) -> Vec<Act> {
        let known = self.parameters.as_ref().map(|known| known.databases.as_slice()).unwrap_or_default();
        let told = obstacles.locked_elsewhere.iter().map(|(directory, host)| {
            let number = known.iter().position(|(_, there)| there == directory).unwrap_or_default();
            let text = format!("DB({directory}) might be in use from ({host}) sfn({number})");
            Entry::kernel(Writer::Asker, Severity::Warning, text).into()
        });
        told.collect()
    }
}

/// What is looked at once logons are possible: license, certificates, the databases of namespaces.
pub(super) fn daily_checks(facts: &StartFacts) -> Vec<Act> {
    let Obstacles { needed_databases_absent, license_days_left, ending_certificates, .. } = &facts.obstacles;
    let mut acts: Vec<Act> = needed_databases_absent
        .iter()
        .map(|directory| {
            let text = format!(
                "Error rebuilding Extent index: ERROR #5002: ObjectScript error: \
                 <DIRECTORY>RebuildExtentIndexNS+27^%ocsExtent *{directory}"
            );
            Entry::utility(Severity::Severe, text).into()
        })
        .collect();
    if let Some(days) = license_days_left.filter(|days| (0..=WARN_DAYS).contains(days)) {
        let severity = if days <= ALERT_DAYS { Severity::Severe } else { Severity::Warning };
        // No real line is known; the words are those of the catalogue's guess.
        acts.push(monitor(severity, format!("[SYSTEM MONITOR] License expires in {days} days")));
    }
    let expired = ending_certificates.iter().filter(|it| it.days_left < 0).count();
    if expired > 0 {
        let text =
            format!("{expired} SSL/TLS, X.509 Certificate(s) have expired. See messages.log for details.");
        acts.push(monitor(Severity::Fatal, text));
    }
    for EndingCertificate { serial, issuer, subject, used_by, last_day, days_left } in ending_certificates {
        if *days_left < 0 {
            let days = days_left.abs();
            let text = format!(
                "Certificate {serial} Issuer {issuer} (Subject {subject})  expired {days} days ago ({last_day})."
            );
            acts.push(monitor(Severity::Fatal, text));
            let text = format!("Certificate {serial} Issuer {issuer} used by configuration(s) {used_by}");
            acts.push(monitor(Severity::Info, text));
        } else {
            // No real line is known; the words are those of the catalogue's guess.
            let text = format!(
                "Certificate {serial} Issuer {issuer} (Subject {subject}) expires in {days_left} days"
            );
            acts.push(monitor(Severity::Warning, text));
        }
    }
    acts
}

/// The encryption key cannot be had, and the databases that need it cannot be read.
pub(super) fn key_failure() -> Act {
    let text =
        "Failure activating required database encryption key. Startup aborted, entering single user mode.";
    Entry::utility(Severity::Severe, text).into()
}

fn monitor(severity: Severity, text: String) -> Act {
    Entry::job(Job::SystemMonitor, severity, text).into()
}
