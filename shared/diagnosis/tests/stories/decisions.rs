use std::collections::BTreeMap;

use instance_contract::{Action, AgentKind, Decision, DiagnosisPhase, OverallStatus, RaisedBy, Severity};
use instance_diagnosis::{Gathered, Limits, command_of};

use serde_json::json;

use crate::world::{DIED, PANIC, World, text};

#[test]
fn a_known_cure_is_asked_for_once_and_the_incident_ends_verified() {
    let mut world = World::new();
    world.says(PANIC, 3, 7);
    assert!(world.published.is_empty(), "nothing is decided without facts");
    world.agents_answer("0,0,256,0,0,0");
    assert_eq!(world.decisions(), ["remediation"]);
    let command = world.last_command();
    assert_eq!(command.requested_by, "analyst");
    let steps = command.steps();
    let Action::SetCpf(set) = &steps[0].action else { panic!("{steps:?}") };
    assert_eq!(
        (set.new_value.as_str(), set.current_value.as_deref()),
        ("0,0,512,0,0,0", Some("0,0,256,0,0,0"))
    );

    let finding = world.findings()[0].clone();
    assert_eq!((finding.phase, finding.confidence), (DiagnosisPhase::Analysis, 95));
    assert!(!finding.success_signs.is_empty() && !finding.reasons.is_empty());
    assert!(finding.facts.values().any(|fact| text(Some(fact)) == "0,0,256,0,0,0"), "{:?}", finding.facts);
    assert_eq!(command_of(&finding), Some(command.clone()), "the finding says all that the command needs");

    for _ in 0..50 {
        world.says(PANIC, 2, 7);
    }
    world.agents_answer("0,0,256,0,0,0");
    assert_eq!(world.published.len(), 1);
    world.ends(&command, OverallStatus::Success);
    assert_eq!(world.kinds(), ["opened", "finding", "outcome", "closed"]);
    world.says(PANIC, 2, 7);
    world.later(1000);
    assert_eq!(world.published.len(), 1, "what was just cured is not asked for again");
}

#[test]
fn a_dry_run_goes_first_and_what_it_refuses_goes_to_a_person() {
    for (status, decision) in [(OverallStatus::DryRun, "remediation"), (OverallStatus::Refused, "person")] {
        let mut world = World::with(Limits::default());
        world.says(PANIC, 2, 7);
        world.agents_answer("0,0,256,0,0,0");
        let dry = world.last_command();
        assert!(dry.dry_run && world.findings().is_empty());
        world.ends(&dry, status);
        assert_eq!(world.decisions(), [decision]);
        let real: Vec<_> = world.published.iter().filter(|command| !command.dry_run).collect();
        assert_eq!(real.len(), usize::from(status == OverallStatus::DryRun));
        assert!(real.iter().all(|command| command.command_id != dry.command_id && command.work == dry.work));
    }
}

#[test]
fn a_dry_run_that_cannot_even_be_read_goes_to_a_person() {
    let mut world = World::with(Limits::default());
    world.says(PANIC, 2, 7);
    world.agents_answer("0,0,256,0,0,0");
    let dry = world.last_command();
    world.ends_with(&dry, OverallStatus::Refused, None);
    assert_eq!(world.decisions(), ["person"]);
}

/// Whatever the runbooks of the catalogue ask for passes at the router's door.
#[test]
fn every_runbook_makes_a_legal_command() {
    let mut world = World::new();
    world.says(PANIC, 2, 7);
    world.agents_answer("0,0,256,0,0,0");
    let finding = world.findings()[0].clone();
    let mut tried = 0;
    for row in instance_knowledge::runbook::runbooks() {
        let mut finding = finding.clone();
        let Decision::Remediation { runbook, .. } = &mut finding.decision else { panic!() };
        runbook.clone_from(&row.id);
        let facts = [
            ("cpf.globals", "0,0,1900,0,0,0"),
            ("cpf.web-server", "1"),
            ("cpf.web-server-port", "52773"),
            ("web-server.port-in-use", "52773"),
            ("web-server.free-port", "52774"),
            ("cpf.alternate-journal-directory", "/j/"),
            ("cpf.journal-directory", "/j/"),
            ("journal.spare-directory", "/k/"),
        ];
        for (name, value) in facts {
            finding.facts.insert(name.to_owned(), value.into());
        }
        for (name, value) in [("journal.alternate-usable", false), ("journal.directory-usable", true)] {
            finding.facts.insert(name.to_owned(), value.into());
        }
        let numbers =
            [("host.memory-mb", 4000), ("memory.refused-mb", 742), ("memory.refused-standard-mb", 3900)];
        for (name, value) in numbers {
            finding.facts.insert(name.to_owned(), value.into());
        }
        let command = command_of(&finding).unwrap_or_else(|| panic!("{} does not fit these facts", row.id));
        let bytes = serde_json::to_vec(&command).unwrap();
        let older = instance_contract::Older::nothing(command.trace_id.clone(), command.issued_at);
        let read = instance_contract::RemediationCommand::decode(&bytes, &older);
        assert_eq!(read.unwrap_or_else(|faults| panic!("{}: {faults}", row.id)), command);
        tried += 1;
    }
    assert!(tried >= 11, "there were 11 of them");
}

#[test]
fn what_would_be_a_guess_is_left_to_a_person() {
    let mut world = World::new();
    world.says(PANIC, 2, 7);
    world.agents_answer("0,0,8192,0,0,0");
    assert_eq!(world.decisions(), ["person"]);
    assert!(world.published.is_empty());

    let mut world = World::new();
    world.says(PANIC, 2, 7);
    world.gathered(&Gathered::NotServed("config-agent".to_owned()));
    assert_eq!(world.decisions(), ["person"]);
}

/// Whoever may write into messages.log can write what a daemon writes: what an agent sees has to agree.
#[test]
fn what_the_log_alone_says_is_left_to_a_person() {
    for (text, severity) in [(DIED, 3), (PANIC, 3)] {
        let mut world = World::new();
        world.health = "ok";
        world.says(text, severity, 7);
        for _ in 0..6 {
            world.agents_answer("0,0,256,0,0,0");
            world.later(2_000);
        }
        assert_eq!(world.decisions(), ["person"], "{text}");
        assert!(world.published.is_empty(), "{text}");
        let Decision::Person { why, .. } = &world.findings()[0].decision else { panic!() };
        assert!(why.contains("the log alone says"), "{why}");
    }
}

/// `iris qlist` may tell it a moment later than the log.
#[test]
fn an_instance_that_looks_well_is_looked_at_again_for_a_moment() {
    let mut world = World::new();
    world.health = "ok";
    world.says(DIED, 3, 7);
    world.agents_answer("0,0,256,0,0,0");
    assert!(world.findings().is_empty());
    world.health = "hung";
    world.later(2_000);
    world.agents_answer("0,0,256,0,0,0");
    assert_eq!(world.decisions(), ["remediation"]);
}

#[test]
fn agents_that_are_silent_are_asked_again_until_the_time_is_over() {
    let mut world = World::new();
    world.says(PANIC, 2, 7);
    for _ in 0..40 {
        let silent =
            Gathered::Silent { why: "no answer".to_owned(), required: true, answers: BTreeMap::new() };
        world.gathered(&silent);
        world.later(2000);
    }
    assert_eq!(world.decisions(), ["person"]);
    assert_eq!(world.findings()[0].phase, DiagnosisPhase::Analysis);
}

/// Agents on a machine that is short of CPU take long: more questions would only make them slower.
#[test]
fn agents_that_are_slow_are_not_asked_again_while_they_answer() {
    let mut world = World::new();
    world.says(PANIC, 2, 7);
    for _ in 0..20 {
        world.later(2000);
    }
    assert_eq!(world.asked.len(), 1);
    world.gathered(&Gathered::Silent { why: "busy".to_owned(), required: true, answers: BTreeMap::new() });
    world.later(1999);
    assert_eq!(world.asked.len(), 0, "a while after they have answered");
    world.later(1);
    assert_eq!(world.asked.len(), 1);
}

/// A cure of the global buffers needs no os agent; what that one knows may help.
#[test]
fn one_that_is_not_required_is_waited_for_and_then_done_without() {
    let mut world = World::new();
    world.says(PANIC, 2, 7);
    let config = json!({"globals": "0,0,256,0,0,0", "values": {"config": {"globals": "0,0,256,0,0,0"}}});
    let restart = json!({"state": "running", "health": "alert"});
    let answers = BTreeMap::from([(AgentKind::Config, config), (AgentKind::Restart, restart)]);
    let silent = Gathered::Silent { why: "no answer".to_owned(), required: false, answers };
    for _ in 0..30 {
        world.gathered(&silent);
        assert!(world.findings().is_empty(), "it may answer yet");
        world.later(2000);
    }
    world.gathered(&silent);
    assert_eq!(world.decisions(), ["remediation"]);
}

#[test]
fn a_grave_text_that_nobody_knows_goes_to_a_person_after_a_moment() {
    let mut world = World::new();
    let message = world.says("The frobnicator has lost its marbles", 2, 7);
    assert!(world.records.is_empty() && world.core.awaits(message.message_id));
    world.later(2000);
    assert_eq!(world.kinds(), ["opened", "finding"]);
    assert_eq!(world.decisions(), ["person"]);
    assert_eq!(world.findings()[0].condition, None);
    assert!(!world.core.awaits(message.message_id));
    world.says("everyday line", 0, 7);
    world.says("a warning that nobody knows", 1, 9);
    world.later(10_000);
    assert_eq!(world.decisions(), ["person"], "everyday lines trouble nobody");
}

#[test]
fn often_and_grave_words_raise_what_nobody_knows() {
    let mut world = World::new();
    for number in 0..10 {
        world.says(&format!("frobnicator {number} is slow"), 1, 7);
    }
    world.later(2000);
    assert_eq!(world.decisions(), ["person"]);
    let finding = world.findings()[0];
    assert_eq!(
        (finding.severity, finding.severity_raised_by.as_slice()),
        (Severity::Severe, &[RaisedBy::Frequency][..])
    );

    // Nine are not often, and an author is no authentication.
    let mut world = World::new();
    for number in 0..9 {
        world.says(&format!("the author of part {number} is slow"), 1, 7);
    }
    world.later(2000);
    assert!(world.decisions().is_empty());
    world.says("part 10 of the payment is slow", 1, 7);
    world.later(2000);
    assert_eq!((world.decisions(), world.findings()[0].severity), (vec!["person"], Severity::Severe));

    let mut world = World::new();
    world.says("the frobnicator tells of data loss", 1, 7);
    world.later(2000);
    assert_eq!(world.findings()[0].severity_raised_by, [RaisedBy::Words]);
}

#[test]
fn two_failures_in_a_row_and_only_a_person_tries_again() {
    let mut world = World::new();
    for (round, decision) in [(1, "wait"), (2, "person")] {
        world.says(PANIC, 2, 7);
        world.agents_answer("0,0,256,0,0,0");
        let command = world.last_command();
        assert_eq!(world.published.len(), round);
        world.ends(&command, OverallStatus::Undone);
        assert_eq!(world.decisions().last(), Some(&decision));
        world.later(16 * 60 * 1000);
    }
    let learned = world.core.learning().iter().next().unwrap().3;
    assert_eq!((learned.failures, learned.failures_in_a_row, learned.successes), (2, 2, 0));
    world.later(8 * 24 * 3600 * 1000);
    world.says(PANIC, 2, 7);
    world.agents_answer("0,0,256,0,0,0");
    assert_eq!(world.published.len(), 2);
    let Decision::Person { why, .. } = &world.findings().last().unwrap().decision else { panic!() };
    assert!(why.contains("2 times in a row"), "{why}");
}

/// A person has had the same done, and it went well: from then on it may be tried again. Another change says nothing.
#[test]
fn what_somebody_else_has_done_well_is_tried_again() {
    for (theirs, dies, again) in [
        (("config", "globals"), false, true),
        (("config", "globals"), true, true),
        (("config", "gmheap"), false, false),
    ] {
        let mut world = World::new();
        for _ in 0..2 {
            world.says(PANIC, 2, 7);
            world.agents_answer("0,0,256,0,0,0");
            world.ends(&world.last_command(), OverallStatus::Undone);
            world.later(16 * 60 * 1000);
        }
        let mut command = world.last_command();
        command.requested_by = "ada".to_owned();
        command.command_id = "6f1d0000-0000-4000-8000-000000000001".parse().unwrap();
        let steps = serde_json::to_value(&command).unwrap().to_string();
        let steps = steps.replace("\"globals\"", &format!("\"{}\"", theirs.1));
        let older = instance_contract::Older::nothing(command.trace_id.clone(), command.issued_at);
        let command = instance_contract::RemediationCommand::decode(steps.as_bytes(), &older).unwrap();
        world.ends(&command, OverallStatus::Success);
        if dies {
            world.dies_after(world.records.len());
            // It reads the log of remediations too.
            world.ends(&command, OverallStatus::Success);
        }
        world.acknowledges(world.inbox()[0].0);
        world.later(8 * 24 * 3600 * 1000);
        let before = world.published.len();
        world.says(PANIC, 2, 7);
        world.agents_answer("0,0,256,0,0,0");
        assert_eq!(world.published.len() - before, usize::from(again), "{theirs:?}, dies: {dies}");
    }
}

#[test]
fn a_person_can_allow_what_failed_twice_to_be_tried_again() {
    for (allowed, dies) in [(true, false), (true, true), (false, false)] {
        let mut world = World::new();
        for _ in 0..2 {
            world.says(PANIC, 2, 7);
            world.agents_answer("0,0,256,0,0,0");
            world.ends(&world.last_command(), OverallStatus::Undone);
            world.later(16 * 60 * 1000);
        }
        let (waits, _) = world.inbox()[0];
        world.acknowledges_as(waits, None, allowed);
        if dies {
            world.dies_after(world.records.len());
        }
        world.later(16 * 60 * 1000);
        let before = world.published.len();
        world.says(PANIC, 2, 7);
        world.agents_answer("0,0,256,0,0,0");
        let again = world.published.len() - before;
        assert_eq!(again, usize::from(allowed), "allowed: {allowed}, dies: {dies}: {:?}", world.kinds());
    }
}

#[test]
fn what_comes_back_after_each_cure_is_flapping() {
    let mut world = World::new();
    for _ in 0..3 {
        world.says(DIED, 3, 7);
        world.agents_answer("0,0,256,0,0,0");
        world.ends(&world.last_command(), OverallStatus::Success);
        world.later(16 * 60 * 1000);
    }
    assert_eq!(world.published.len(), 3);
    world.says(DIED, 3, 7);
    world.agents_answer("0,0,256,0,0,0");
    assert_eq!(world.published.len(), 3);
    assert_eq!(world.decisions().last(), Some(&"person"));
}

#[test]
fn rules_can_be_switched_off() {
    let mut world = World::with(Limits { rules: false, ..Limits::default() });
    world.says(PANIC, 2, 7);
    assert_eq!(world.decisions(), ["person"]);
    assert!(world.asked.is_empty());
}

#[test]
fn an_answer_that_only_looks_is_asked_for_and_a_person_told() {
    let mut world = World::new();
    let row = instance_knowledge::condition("license-limit-exceeded").unwrap();
    world.says(&row.wordings[0].example, 2, 7);
    world.agents_answer("0,0,256,0,0,0");
    assert_eq!(world.decisions(), ["remediation", "person"]);
    world.ends(&world.last_command(), OverallStatus::Success);
    assert_eq!(world.kinds(), ["opened", "finding", "finding", "outcome"], "only a person can close it");
}

/// Each of them is planned, asked for, and leaves the rest to a person; none changes or restarts anything.
#[test]
fn every_runbook_that_looks_is_asked_for_and_a_person_is_told() {
    let looks = instance_knowledge::runbook::runbooks().iter().filter(|row| !row.cures);
    let conditions: Vec<&String> = looks.flat_map(|row| &row.conditions).collect();
    assert!(conditions.len() >= 3, "{conditions:?}");
    for id in conditions {
        let row = instance_knowledge::condition(id).unwrap();
        let mut world = World::new();
        world.says(&row.wordings[0].example, 2, 7);
        world.later(3_000);
        world.agents_answer("0,0,256,0,0,0");
        assert_eq!(world.published.len(), 1, "{id}");
        let command = world.last_command();
        assert!(!command.requires_restart(), "{id}");
        let steps = command.steps();
        assert!(steps.iter().all(|step| matches!(step.action, Action::CheckLicense(_))), "{id}: {steps:?}");
        assert_eq!(world.decisions(), ["remediation", "person"], "{id}");
        // What it found is for that person: its end closes nothing.
        world.ends(&command, OverallStatus::Success);
        assert!(!world.kinds().contains(&"closed".to_owned()), "{id}");
    }
}
