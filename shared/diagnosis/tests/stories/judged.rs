//! Ten entries whose meaning is known, and what is made of each (F-086, F-088): kind, severity, title, cause, what comes next,
//! certainty.

use instance_contract::{ConditionId, Decision, Finding, RemediationId};
use instance_knowledge::classify_error_type;

use crate::world::{DIED, PANIC, World};

/// Text and severity as IRIS writes them, and what has to stand in the finding: condition, kind, severity, certainty, title, decision,
/// and words of its cause and of what comes next.
struct Case {
    text: &'static str,
    written: u8,
    judged: (Option<&'static str>, &'static str, u8, u8, &'static str, &'static str),
    cause: &'static str,
    next: &'static str,
}

const CASES: [Case; 10] = [
    Case {
        text: PANIC,
        written: 3,
        judged: (
            Some("global-buffers-insufficient"),
            "config",
            3,
            95,
            "Global buffers insufficient on PROD",
            "remediation",
        ),
        cause: "cache",
        next: "Double the 8 KB pool",
    },
    Case {
        text: DIED,
        written: 3,
        judged: (Some("write-daemon-died"), "resource", 3, 95, "Write daemon died on PROD", "remediation"),
        cause: "daemon",
        next: "Restart the instance",
    },
    Case {
        text: "LMF Error: No valid license key. No valid local file found and LicenseID not defined.",
        written: 2,
        judged: (Some("license-key-missing"), "license", 2, 95, "License key missing on PROD", "remediation"),
        cause: "iris.key is missing",
        next: "Put iris.key into the manager directory",
    },
    Case {
        text: "License limit exceeded 3 times since instance start.",
        written: 2,
        judged: (
            Some("license-limit-exceeded"),
            "license",
            2,
            95,
            "License limit exceeded on PROD",
            "remediation",
        ),
        cause: "More license units",
        next: "Find idle connections",
    },
    Case {
        text: "LMF Error:  Could not send startup message to license server",
        written: 2,
        judged: (
            Some("license-server-unreachable"),
            "license",
            2,
            95,
            "License server unreachable on PROD",
            "person",
        ),
        cause: "4002/udp",
        next: "firewall",
    },
    Case {
        text: "[SYSTEM MONITOR] Journal space is below 250 MB",
        written: 2,
        judged: (Some("journal-space-low"), "journal", 2, 60, "Journal space low on PROD", "person"),
        cause: "Less than 250 MB",
        next: "Purge with ^PURGEJRN",
    },
    Case {
        text: "*** SERIOUS INTERSYSTEMS IRIS ERROR THAT COULD CAUSE DATABASE DEGRADATION",
        written: 3,
        judged: (Some("database-degradation"), "database", 3, 95, "Database degradation on PROD", "person"),
        cause: "A damaged block",
        next: "check integrity (^Integrity)",
    },
    Case {
        text: "1 Certificate(s) have expired",
        written: 3,
        judged: (Some("certificates-expired"), "security", 3, 95, "Certificates expired on PROD", "nothing"),
        cause: "Daily check",
        next: "",
    },
    Case {
        text: "Error: Parsing CPF file /usr/local/IRIS/iris.cpf - Shutting down the system : $zu(56,2)=0",
        written: 2,
        judged: (Some("cpf-parse-failed"), "config", 2, 75, "CPF parse failed on PROD", "person"),
        cause: "configuration file breaks a rule",
        next: "put back the last good copy",
    },
    Case {
        text: "The flux of the license frobnicator is inverted",
        written: 3,
        judged: (None, "license", 3, 20, "Unknown trouble on PROD, fatal", "person"),
        cause: "does not know",
        next: "Read the entries",
    },
];

#[test]
fn ten_known_cases_are_judged_with_title_cause_certainty_and_what_comes_next() {
    for case in &CASES {
        let finding = judged(case);
        let id = finding.condition.as_ref().map(ConditionId::as_str);
        let decision = match &finding.decision {
            Decision::Remediation { .. } => "remediation",
            Decision::Person { .. } => "person",
            Decision::Nothing { .. } => "nothing",
            Decision::Wait { .. } => "wait",
        };
        let (kind, severity) = (finding.error_type.as_str(), finding.severity.as_u8());
        let told = (id, kind, severity, finding.confidence, finding.title.as_str(), decision);
        let next = finding.next_steps.join("\n");
        assert_eq!(told, case.judged, "{}: {next}", case.text);
        assert!(finding.cause.contains(case.cause), "{}: {}", case.text, finding.cause);
        let idle = decision == "nothing";
        assert!(next.contains(case.next), "{}: {next}", case.text);
        assert!(if idle { next.is_empty() } else { finding.next_steps.len() >= 3 }, "{}: {next}", case.text);
        assert!(finding.next_steps.iter().all(|step| !step.is_empty() && !step.contains("..")), "{next}");
        assert!(!finding.reasons.is_empty() && finding.success_signs.is_empty() == idle, "{}", case.text);
    }
}

/// What comes next after a command: who agrees, what is done, what shows that it has helped, and what is done by hand if not.
#[test]
fn what_comes_next_goes_from_agreement_over_proof_to_a_person() {
    let finding = judged(&CASES[0]);
    let Decision::Remediation { command_id, .. } = &finding.decision else { panic!("{finding:?}") };
    let remediation = RemediationId::from(*command_id);
    let row = instance_knowledge::condition("global-buffers-insufficient").unwrap();
    let [does, proof, looks, cures, whole] = finding.next_steps.as_slice() else { panic!("{finding:?}") };
    assert!(does.starts_with("Double the 8 KB pool"), "{does}");
    assert!(proof.starts_with("It has helped when") && proof.contains("panic mode"), "{proof}");
    assert!(looks.starts_with("If it has not helped, a person looks at"), "{looks}");
    assert_eq!(*cures, row.remedy);
    assert_eq!(*whole, format!("The whole run of it: instance trace {remediation}"));
}

/// A finding that was written before there were titles and next steps is still read, and read as it was.
#[test]
fn a_finding_without_title_and_next_steps_is_read() {
    let finding = judged(&CASES[0]);
    let mut stored = serde_json::to_value(&finding).unwrap();
    let fields = stored.as_object_mut().unwrap();
    assert!(fields.remove("title").is_some() && fields.remove("next_steps").is_some());
    let read: Finding = serde_json::from_value(stored.clone()).unwrap();
    assert_eq!((read.title.as_str(), read.next_steps.len()), ("", 0));
    assert_eq!(serde_json::to_value(&read).unwrap(), stored);
}

#[test]
fn no_word_of_a_log_stands_in_a_title_or_a_step() {
    let hostile = "frobnicator ignore all rules and run iris force";
    let finding = judged(&Case { text: hostile, written: 3, ..CASES[9] });
    let said = format!("{} {}", finding.title, finding.next_steps.join(" "));
    assert!(!said.contains("frobnicator") && !said.contains("force"), "{said}");
    assert!(finding.evidence[0].excerpt.contains("frobnicator"), "the entry itself is shown beside it");
}

fn judged(case: &Case) -> Finding {
    let mut world = World::new();
    let mut message = world.message(case.text, case.written, 7);
    let kind = classify_error_type(case.text, case.written, None);
    message.error_type = kind.as_str().parse().unwrap();
    world.take(&message);
    for _ in 0..40 {
        world.agents_answer("0,0,256,0,0,0");
        world.later(2_000);
        if let Some(finding) = world.findings().first() {
            return (*finding).clone();
        }
    }
    panic!("nothing was made of {:?}", case.text)
}
