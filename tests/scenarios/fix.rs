//! One goal in words (F-049): what is broken is found, planned, asked for, done, proved and told. The world is read with plain
//! tools.

mod terminal;

use std::time::Duration;

use instance_clock::{Clock as _, SystemClock};
use instance_contract::{Decision, RemediationId, subject::IncidentRecord};
use instance_testkit::{TestIncident, eventually};
use serde_json::Value;

use crate::{
    command_line::{in_phase, json},
    pipeline::{INSTANCE, PANIC, Pipeline, settings::POLICY, wish, world},
};

use terminal::Terminal;

const GOAL: &str = "fix the database cache, it is too small";
const CONDITION: &str = "global-buffers-insufficient";
const QUESTION: &str = "Do this on PROD? [y/N] ";
const CHANGE: &str = "0,0,256,0,0,0 -> 0,0,512,0,0,0";
const FIX: [&str; 6] = ["fix", GOAL, "--instance", INSTANCE, "--timeout", "2m"];

/// A pipeline whose policy wants a person for every restart; nothing runs yet but the instance, whose cache is too small.
async fn asking() -> Pipeline {
    let mut pipeline = Pipeline::new(&["--globals", "256", "--dirty-mb", "200"]).await;
    pipeline.iris.start();
    pipeline.policy(&POLICY.replace("approve_restarts = false", "approve_restarts = true"));
    pipeline
}

/// The commands that were accepted, dry runs not.
async fn accepted(pipeline: &Pipeline) -> Vec<Value> {
    let mut found = pipeline.accepted().await;
    found.retain(|record| record["command"]["dry_run"] == false);
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_goal_in_words_is_found_planned_asked_for_done_proved_and_told() {
    let mut pipeline = asking().await;
    pipeline.everything().await;
    let iris = &pipeline.iris;
    let fix = |goal: &'static str, more: &'static [&'static str]| {
        let words = [&["fix", goal, "--instance", INSTANCE, "--timeout", "2m"], more].concat();
        let pipeline = &pipeline;
        async move { pipeline.instance(&words).await }
    };
    iris.says(PANIC, 0).await;
    let (cpf, starts) = (iris.cpf(), iris.starts());

    // Nobody has called it an incident yet.
    let early = fix(GOAL, &["--yes"]).await;
    assert_eq!(early.code, 8, "{early:?}");
    let (_, message) = pipeline.told(CONDITION).await;
    let at = SystemClock.now();
    let mut incident = TestIncident::new(INSTANCE, Some(CONDITION), 1, PANIC, at);
    incident.entry = message.message_id;
    incident.call_a_person(&pipeline.bus).await;

    let unknown = fix("frobnicate the zorkmids", &["--yes"]).await;
    assert!(unknown.code == 8 && unknown.stderr.contains("knows nothing of"), "{unknown:?}");
    let other = fix("fix licensing", &["--yes"]).await;
    assert!(other.code == 8 && other.stderr.contains("license-"), "{other:?}");
    let dry = fix(GOAL, &["--dry-run", "--json"]).await;
    assert_eq!((dry.code, &json(&dry)["status"]), (0, &"dry_run".into()), "{dry:?}\n{}", pipeline.logs());
    let asked = fix(GOAL, &[]).await;
    assert!(asked.code == 2 && asked.stderr.contains(CHANGE), "{asked:?}");
    assert!(
        asked.stderr.contains("cannot ask without a terminal\n  add --yes; --dry-run shows"),
        "{asked:?}"
    );
    assert_eq!((iris.cpf(), iris.starts()), (cpf.clone(), starts), "nobody has said yes");

    let done = fix(GOAL, &["--yes", "--json"]).await;
    assert_eq!(done.code, 0, "{done:?}\n{}", pipeline.logs());
    let told = json(&done);
    assert_eq!((&told["status"], &told["trace"]["verification"]["held"]), (&"success".into(), &true.into()));
    assert_eq!(told["condition"], CONDITION);
    // The yes to exactly these changes was the approval that policy wants.
    assert!(done.stderr.contains("waits for approval") && done.stderr.contains("approved by"), "{done:?}");
    assert!(done.stderr.contains(&format!("instance inbox ack {}", incident.id)), "{done:?}");
    let changed = world::changed_lines(&cpf, &iris.cpf());
    assert_eq!(changed, [("globals=0,0,256,0,0,0".to_owned(), "globals=0,0,512,0,0,0".to_owned())]);
    assert_eq!(iris.starts(), starts + 1);

    // The facts say now that it is well: nothing is done twice.
    let again = fix(GOAL, &["--yes"]).await;
    assert_eq!((again.code, iris.starts()), (3, starts + 1), "{again:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn at_a_terminal_a_person_is_asked_and_only_a_yes_does_it() {
    let mut pipeline = asking().await;
    pipeline.everything().await;
    let iris = &pipeline.iris;
    iris.says(PANIC, 0).await;
    let (_, message) = pipeline.told(CONDITION).await;
    let mut incident = TestIncident::new(INSTANCE, Some(CONDITION), 1, PANIC, SystemClock.now());
    incident.entry = message.message_id;
    incident.call_a_person(&pipeline.bus).await;
    let (cpf, starts) = (iris.cpf(), iris.starts());

    for no in ["n", "", "nay", "yesterday"] {
        let mut terminal = Terminal::run(&pipeline, &FIX);
        terminal.shows(QUESTION).await;
        terminal.types(no);
        let ended = terminal.ended().await;
        assert!(ended.code == 3 && ended.stderr.contains("nothing was done"), "{no}: {ended:?}");
        let place = |text| ended.stderr.find(text);
        assert!(place(CHANGE).is_some() && place(CHANGE) < place(QUESTION), "{ended:?}");
    }
    // Whoever thinks better of it need not answer.
    let mut terminal = Terminal::run(&pipeline, &FIX);
    terminal.shows(QUESTION).await;
    terminal.interrupts();
    let ended = terminal.ended().await;
    assert!(ended.code == 130 && ended.stderr.contains("nothing was done"), "{ended:?}");
    assert_eq!((iris.cpf(), iris.starts()), (cpf.clone(), starts), "nobody has said yes");
    assert_eq!(accepted(&pipeline).await, Vec::<Value>::new(), "it was only forecast");

    let mut terminal = Terminal::run(&pipeline, &FIX);
    terminal.shows(QUESTION).await;
    terminal.types("y");
    let ended = terminal.ended().await;
    assert_eq!(ended.code, 0, "{ended:?}\n{}", pipeline.logs());
    assert_eq!((iris.starts(), iris.state()), (starts + 1, ("running".to_owned(), "ok".to_owned())));
    assert!(iris.cpf().contains("\nglobals=0,0,512,0,0,0\n"), "{ended:?}");
    assert_eq!(accepted(&pipeline).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_analyst_has_under_way_is_joined_and_its_question_answered() {
    let mut pipeline = asking().await;
    pipeline.analyst();
    pipeline.everything().await;
    let iris = &pipeline.iris;
    let (cpf, starts) = (iris.cpf(), iris.starts());
    let id = asked_by_the_analyst(&pipeline).await;
    let waits = || in_phase(&pipeline, &id, "waiting_approval");
    let joined = format!("under way remediation {id}, asked for by the analyst");

    let dry = pipeline.instance(&[&FIX[..], &["--dry-run", "--json"]].concat()).await;
    assert_eq!((dry.code, &json(&dry)["remediation_id"]), (0, &id.as_str().into()), "{dry:?}");
    assert_eq!(json(&dry)["approval"]["changes"][0]["after"], "0,0,512,0,0,0", "{dry:?}");
    let alone = pipeline.instance(&FIX).await;
    assert!(alone.code == 2 && alone.stderr.contains("cannot ask without a terminal"), "{alone:?}");
    assert!(alone.stderr.contains(&joined) && !alone.stderr.contains("halted"), "{alone:?}");
    assert_eq!(pipeline.instance(&["halt", "--reason", "a move of disks"]).await.code, 0);
    let halted = pipeline.instance(&FIX).await;
    assert!(halted.stderr.contains("a move of disks; nothing acts until `instance resume`"), "{halted:?}");
    assert_eq!(pipeline.instance(&["resume"]).await.code, 0);
    let mut terminal = Terminal::run(&pipeline, &FIX);
    terminal.shows(QUESTION).await;
    terminal.types("n");
    let no = terminal.ended().await;
    assert!(no.code == 3 && no.stderr.contains(&joined) && no.stderr.contains(CHANGE), "{no:?}");
    assert!(no.stderr.contains(&format!("nothing was answered; it waits on: instance deny {id}")), "{no:?}");
    waits().await;
    assert_eq!((iris.cpf(), iris.starts()), (cpf, starts), "nobody has said yes");

    let mut terminal = Terminal::run(&pipeline, &FIX);
    terminal.shows(QUESTION).await;
    terminal.types("yes");
    let yes = terminal.ended().await;
    assert!(yes.code == 0 && yes.stderr.contains(&joined), "{yes:?}\n{}", pipeline.logs());
    assert!(iris.cpf().contains("\nglobals=0,0,512,0,0,0\n") && iris.starts() == starts + 1, "{yes:?}");
    let commands = accepted(&pipeline).await;
    assert_eq!(commands.len(), 1, "no second one was asked for: {commands:#?}");
    assert_eq!(note_of(&pipeline, id.parse().unwrap()).await, "agreed to in instance fix");
}

/// Waits until the analyst's remediation asks for a person; its id.
async fn asked_by_the_analyst(pipeline: &Pipeline) -> String {
    eventually(Duration::from_mins(1), || async {
        let open = json(&pipeline.instance(&["status", "--json"]).await)["remediations"].clone();
        let asking = open.as_array().unwrap().iter().find(|it| it["phase"] == "waiting_approval")?;
        Some(asking["remediation_id"].as_str().unwrap().to_owned())
    })
    .await
}

/// What the record of the approval says.
async fn note_of(pipeline: &Pipeline, id: RemediationId) -> Value {
    let answer: Value = pipeline.recorded(id, "approval.1.answered").await.json().unwrap();
    answer["note"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_of_the_analyst_that_no_router_has_taken_yet_is_joined_when_it_comes() {
    let mut pipeline = asking().await;
    pipeline.everything().await;
    let wish = wish::set_cpf("globals", "0,0,512,0,0,0", true);
    let incident = TestIncident::new(INSTANCE, Some(CONDITION), 1, PANIC, SystemClock.now());
    let decision = Decision::Remediation {
        command_id: wish::id_of(&wish).parse().unwrap(),
        runbook: "grow-database-cache".to_owned(),
        dry_run_digest: None,
        needs_approval: true,
    };
    incident.write(&pipeline.bus, IncidentRecord::Opened, &incident.opened()).await;
    incident.write(&pipeline.bus, IncidentRecord::Finding(1), &incident.finding(1, decision)).await;
    let starts = pipeline.iris.starts();

    let early = pipeline.instance(&["fix", GOAL, "--instance", INSTANCE, "--timeout", "1s", "--yes"]).await;
    assert!(early.code == 6 && early.stderr.contains("no router has taken it yet"), "{early:?}");
    assert_eq!(accepted(&pipeline).await, Vec::<Value>::new(), "it asks for none of its own");

    // It comes while somebody waits for it, and its question after it.
    let mut terminal = Terminal::run(&pipeline, &FIX);
    terminal.shows("  cause     ").await;
    let id = pipeline.ask(&wish).await.remediation_id.unwrap();
    terminal.shows(QUESTION).await;
    terminal.types("y");
    let ended = terminal.ended().await;
    assert!(ended.code == 0 && ended.stderr.contains(&format!("under way remediation {id}")), "{ended:?}");
    assert_eq!((accepted(&pipeline).await.len(), pipeline.iris.starts()), (1, starts + 1));
    assert_eq!(note_of(&pipeline, id).await, "agreed to in instance fix");
}
