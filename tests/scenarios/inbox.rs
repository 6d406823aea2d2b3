//! What waits for a person: seen, taken in hand once, told whole, explained, and asked about in plain words.

use std::{fs, process::Command, time::Duration};

use instance_bus::{Bus, Headers};
use instance_clock::{Clock as _, SystemClock};
use instance_contract::{CommandId, IrisMessage, subject, subject::IncidentRecord};
use instance_testkit::{Endpoint, ModelAnswer, ModelServer, NatsServer, Seen, TestIncident, eventually};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    command_line::{alone, json},
    pipeline::{Process, Ran, command},
};

const CONDITION: &str = "license-limit-exceeded";
const TEXT: &str = "License limit exceeded 3 times since instance start.";

/// `instance` on a bus of its own, with one incident that waits for a person.
struct Desk {
    server: NatsServer,
    bus: Bus,
    incident: TestIncident,
}

impl Desk {
    async fn with_a_call() -> Self {
        let server = NatsServer::start();
        let bus = instance_testkit::bus(&server).await;
        let at = SystemClock.now() - SignedDuration::from_mins(10);
        let incident = TestIncident::new("PROD", Some(CONDITION), 1, TEXT, at);
        incident.call_a_person(&bus).await;
        log(&bus, &incident, at).await;
        Self { server, bus, incident }
    }

    fn run(&self, words: &[&str]) -> Ran {
        alone(&[&["--nats", &self.server.url()], words].concat())
    }
}

/// The entry that an incident is about, as the generator publishes it.
async fn log(bus: &Bus, incident: &TestIncident, at: Timestamp) {
    let message = json!({
        "schema": "instance.v1.iris_message", "message_id": incident.entry, "trace_id": incident.trace_id(),
        "host": "db1", "instance": "PROD", "origin": "observed", "timestamp": "11/14/25-09:45:55:657",
        "occurred_at": at, "generated_at": at, "process_id": 4711, "severity": 2, "category": "Generic.Event",
        "message_text": TEXT, "truncated": false, "raw": TEXT, "error_type": "license", "condition": CONDITION,
        "repeated": 0,
    });
    let read = IrisMessage::decode(message.to_string().as_bytes()).unwrap();
    let subject = subject::error(&read.host, &read.instance, read.severity);
    bus.publish(&subject, &message, None, Headers::new()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_a_person_is_taken_in_hand_once_and_the_second_is_told() {
    let desk = Desk::with_a_call().await;
    let id = desk.incident.id.to_string();
    let waiting = desk.run(&["inbox", "list", "--json"]);
    let first = json(&waiting)["incidents"][0].clone();
    assert_eq!((waiting.code, &json(&waiting)["waiting"]), (1, &json!(1)), "{waiting:?}");
    assert_eq!((&first["incident_id"], &first["what_to_do"]), (&json!(id), &json!("Look at it.")));
    let shown = desk.run(&["inbox", "show"]);
    assert!(
        shown.code == 0 && shown.stdout.contains(TEXT) && shown.stdout.contains("Look at it."),
        "{shown:?}"
    );

    let unknown = Uuid::from_u128(7).to_string();
    for (words, code, said) in [
        (&["inbox", "ack", &unknown][..], 8, "no incident has the id"),
        (&["inbox", "show", "PROD"], 2, "write it in full"),
        (&["inbox", "ack", &id, "--note", " "], 2, "must say something"),
        (&["inbox"], 2, "list"),
        (&["incident", &unknown], 8, "`instance incident` lists what there is"),
        (&["incident", &id, "--last"], 2, "cannot be used with"),
        (&["incident", "--last", "--instance", "NOBODY"], 8, "no incident of instance \"NOBODY\""),
        (&["explain", "licence-limit-exceded"], 8, "did you mean license-limit-exceeded?"),
        (&["investigate", "?!"], 2, "ask something, in words"),
    ] {
        let ran = desk.run(words);
        assert!(ran.code == code && ran.stderr.contains(said), "{words:?}: {ran:?}");
        assert_eq!(ran.stdout, "", "{words:?}");
    }

    // Two at the same time: one of them has it, the other hears who.
    let both = std::thread::scope(|scope| {
        let by = |name: &'static str| {
            let (desk, id) = (&desk, &id);
            scope.spawn(move || desk.run(&["inbox", "ack", id, "--by", name, "--note", "ticket 4711"]))
        };
        [by("ada"), by("bob")].map(|thread| thread.join().unwrap())
    });
    let codes = both.each_ref().map(|ran| ran.code);
    assert!(codes == [0, 3] || codes == [3, 0], "{both:?}");
    let (winner, second) = if codes[0] == 0 { ("ada", &both[1]) } else { ("bob", &both[0]) };
    assert!(
        second.stderr.contains(&format!("is in hand already: acknowledged by {winner} at")),
        "{second:?}"
    );
    assert!(second.stderr.contains("the first acknowledgement counts"), "{second:?}");
    let empty = desk.run(&["inbox", "list"]);
    assert!(empty.code == 0 && empty.stderr.contains("nothing waits"), "{empty:?}");
    let all = desk.run(&["inbox", "list", "--all"]);
    assert!(all.code == 0 && all.stdout.contains(&format!("(in hand: {winner})")), "{all:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incident_is_told_whole_and_what_was_learnt_is_explained() {
    let desk = Desk::with_a_call().await;
    let incident = &desk.incident;
    let (command, remediation) = (CommandId::from_uuid(Uuid::from_u128(9)), Uuid::from_u128(10));
    for attempt in 0..2_u128 {
        let command = CommandId::from_uuid(Uuid::from_u128(9 + attempt));
        let outcome = json!({
            "schema": "instance.v1.incident_outcome", "trace_id": incident.trace_id(), "incident_id": incident.id,
            "instance": "PROD", "command_id": command, "remediation_id": remediation, "runbook": "report-license-use",
            "condition": CONDITION, "overall_status": "failure", "ended_at": incident.at, "reason": "nobody answered",
        });
        incident.write(&desk.bus, IncidentRecord::Outcome(command), &outcome).await;
    }
    // By its own id, by that of its finding, of its command, of its remediation, and as the newest.
    let finding = incident.id.finding(1).to_string();
    let names = [incident.id.to_string(), finding, command.to_string(), remediation.to_string()];
    for words in names.iter().map(|name| vec!["incident", name]).chain([vec!["incident", "--last"]]) {
        let told = desk.run(&words);
        assert_eq!(told.code, 0, "{told:?}");
        for part in [
            "waits for a person",
            "entries (1 of 1)",
            TEXT,
            "finding 1, triage, by rules, 90 % sure",
            "Look at it.",
            "failure of runbook report-license-use",
            "nobody runs who asks language models",
        ] {
            assert!(told.stdout.contains(part), "{words:?} lacks {part:?}: {}", told.stdout);
        }
    }
    let document = json(&desk.run(&["incident", "--last", "--json"]));
    assert_eq!(document["findings"][0]["finding"]["evidence"][0]["message_id"], json!(incident.entry));
    assert_eq!((&document["cost"], document["outcomes"].as_array().unwrap().len()), (&Value::Null, 2));

    let explained = desk.run(&["explain", TEXT, "--json"]);
    let document = json(&explained);
    assert_eq!((explained.code, &document["condition"]["id"]), (0, &json!(CONDITION)));
    let learnt = &document["learnt"][0];
    assert_eq!(
        (&learnt["failed_in_a_row"], &learnt["only_by_a_person"]),
        (&json!(2), &json!(true)),
        "{document}"
    );
    let explained = desk.run(&["explain", CONDITION, "--instance", "TEST"]);
    assert!(explained.stdout.contains("nothing was tried"), "{explained:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_is_answered_from_what_is_kept_and_a_model_finds_words_at_most() {
    let desk = Desk::with_a_call().await;
    let question = "why did PROD refuse logons?";
    let told = desk.run(&["investigate", question, "--json"]);
    let document = json(&told);
    let first = &document["statements"][0];
    assert_eq!(
        (told.code, &document["found"], &document["source"]),
        (0, &json!(true), &json!("rules")),
        "{told:?}"
    );
    assert!(first["text"].as_str().unwrap().contains("More license units were asked for"), "{document:#}");
    assert_eq!(first["evidence"], json!([{"kind": "message", "id": desk.incident.entry}]));
    assert_eq!(document["statements"][1]["evidence"][0], json!({"kind": "incident", "id": desk.incident.id}));
    let nothing = desk.run(&["investigate", "is a certificate of PROD expired?"]);
    assert!(
        nothing.code == 8 && nothing.stdout.contains("Nothing that is known about PROD bears on that"),
        "{nothing:?}"
    );
    let earlier = desk.run(&["investigate", "why did PROD refuse logons on 2020-01-01?"]);
    assert!(earlier.code == 8 && earlier.stdout.contains("between 2020-01-01"), "{earlier:?}");

    let (server, folder) = (ModelServer::start(), tempfile::tempdir().unwrap());
    let settings = folder.path().join("cli.toml");
    let text = format!(
        "[model]\nfolder = \"{}\"\nretry_base_ms = 1\ncache = {{ enabled = false }}\n\
         [[model.providers]]\nname = \"main\"\nbase_url = \"{}\"\nmodel = \"m-1\"\n",
        folder.path().join("model").display(),
        server.url()
    );
    fs::write(&settings, text).unwrap();
    let asked = ["--config", settings.to_str().unwrap(), "investigate", question];
    server.expect(ModelAnswer::json(&json!({"answer": "Its license was used up.", "used": [1]})));
    let told = desk.run(&asked);
    assert!(told.code == 0 && told.stdout.starts_with("Its license was used up.\n"), "{told:?}");
    assert!(
        told.stdout.contains("in the words of main/m-1") && told.stdout.contains("More license units"),
        "{told:?}"
    );
    let said = server.seen()[0].said();
    assert!(
        said.contains("More license units") && !said.contains("since instance start"),
        "no text of a log: {said}"
    );
    // What a model adds of its own is not told; nor does a model that is away keep the answer back.
    for answer in [json!({"answer": "Restart it within 99 minutes.", "used": [1]}), json!({"nonsense": 1})] {
        server.answer_with(move |_| Some(ModelAnswer::json(&answer)));
        let told = desk.run(&asked);
        assert!(told.code == 0 && told.stdout.starts_with("PROD logged"), "{told:?}");
        assert!(told.stderr.contains("the model found no words") && !told.stdout.contains("99"), "{told:?}");
    }
    let calls = server.calls();
    assert_eq!(desk.run(&[&asked[..], &["--no-model"]].concat()).code, 0);
    assert_eq!(server.calls(), calls);
}

/// An analyst that tells a webhook, as its settings file says.
fn analyst(desk: &Desk, folder: &std::path::Path, webhook: std::net::SocketAddr) -> Process {
    let file = folder.join("analyst.toml");
    let text = format!(
        "host = \"db1\"\ngrace_seconds = 20\n[nats]\nurl = \"{}\"\n[analyst]\nanalysis_seconds = 1\n\
         [analyst.webhook]\nurl = \"http://{webhook}/hook\"\n",
        desk.server.url()
    );
    fs::write(&file, text).unwrap();
    let mut start: Command = command("instance-analyst");
    Process::start("analyst", folder, start.arg("--config").arg(&file))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_is_called_over_the_deaths_of_the_analyst_and_of_the_webhook() {
    const PATIENCE: Duration = Duration::from_mins(1);
    let (folder, seen, address) = (tempfile::tempdir().unwrap(), Seen::default(), Endpoint::nobody());
    let server = NatsServer::start();
    let bus = instance_testkit::bus(&server).await;
    let now = SystemClock.now();
    let incident = TestIncident::new("PROD", Some(CONDITION), 1, TEXT, now);
    let desk = Desk { server, bus, incident };
    let mut first = analyst(&desk, folder.path(), address);
    log(&desk.bus, &desk.incident, now).await;
    let waiting = || async {
        let ran = desk.run(&["inbox", "list", "--json"]);
        (ran.code == 1).then(|| json(&ran)["incidents"][0].clone())
    };
    let found = eventually(PATIENCE, waiting).await;
    assert_eq!((&found["instance"], &found["condition"]), (&json!("PROD"), &json!(CONDITION)));
    eventually(PATIENCE, || async { first.log().contains("did not take a finding").then_some(()) }).await;
    first.kill9();

    let _webhook = Endpoint::start(address, &seen, |_, times| if times == 1 { 503 } else { 200 });
    let second = analyst(&desk, folder.path(), address);
    let key = found["finding_id"].as_str().unwrap();
    eventually(PATIENCE, || async { seen.answered(200).contains_key(key).then_some(()) }).await;
    assert_eq!(
        (seen.answered(503)[key], seen.answered(200)[key]),
        (1, 1),
        "{:?}\n{}",
        seen.all(),
        second.log()
    );
    let id = found["incident_id"].as_str().unwrap();
    assert_eq!(desk.run(&["inbox", "ack", id, "--note", "a larger key is ordered"]).code, 0);
    eventually(PATIENCE, || async {
        let told = desk.run(&["incident", id]);
        (told.code == 0 && told.stdout.contains("closed    acknowledged")).then_some(())
    })
    .await;
}
