//! What nobody may ask for: each is refused with field, value and rule, and the world stays as it was, byte for byte.

use std::fs;

use instance_bus::Headers;
use instance_contract::AnswerStatus;
use serde_json::{Value, json};

use crate::pipeline::{INSTANCE, Pipeline, source_tree, wish, world};

/// One bad command, and the fault that it must get.
struct Bad {
    name: &'static str,
    /// Where it is published: as a command to this instance.
    to: &'static str,
    payload: Vec<u8>,
    status: AnswerStatus,
    field: &'static str,
    /// What the answer must show of the value; long ones are cut.
    value: &'static str,
    rule: &'static str,
    /// It has no command id that could be read, or none of its own.
    dead: bool,
}

impl Bad {
    fn refused(
        name: &'static str,
        wish: &Value,
        field: &'static str,
        value: &'static str,
        rule: &'static str,
    ) -> Self {
        let payload = wish.to_string().into_bytes();
        Self { name, to: INSTANCE, payload, status: AnswerStatus::Refused, field, value, rule, dead: false }
    }

    fn raw(name: &'static str, payload: Vec<u8>, rule: &'static str) -> Self {
        Self { payload, dead: true, ..Self::refused(name, &Value::Null, "payload", "", rule) }
    }
}

/// A command that would be carried out, with one field changed; null takes it away.
fn with(field: &str, value: Value) -> Value {
    let mut wish = wish::set_cpf("globals", "0,0,512,0,0,0", true);
    if value.is_null() {
        wish.as_object_mut().unwrap().remove(field);
    } else {
        wish[field] = value;
    }
    wish
}

fn with_value(new_value: &str) -> Value {
    with("parameters", json!({"cpf_section": "config", "parameter": "globals", "new_value": new_value}))
}

fn table() -> Vec<Bad> {
    let order = |order: Value| with("execution_order", order);
    let kernel = json!({"kernel_param": "vm.nr_hugepages", "new_value": 379});
    let line = "on one line without control characters";
    let deep = format!("{}{}", "[".repeat(128), "]".repeat(128)).into_bytes();
    let large = with("recommended_action", "x".repeat(300 * 1024).into()).to_string().into_bytes();
    let old = with("issued_at", "2020-01-01T00:00:00Z".into());
    let mut table = vec![
        Bad::refused("unknown field", &with("urgency", "now".into()), "urgency", "now", "is not a field"),
        Bad::refused(
            "wrong type",
            &with("severity", "3".into()),
            "severity",
            "3",
            "must be an integer from 0",
        ),
        Bad::refused("missing field", &with("error_type", Value::Null), "error_type", "", "is required"),
        Bad::refused(
            "a tool twice",
            &order(json!(["iris_config", "iris_config"])),
            "execution_order",
            "iris_config",
            "must not repeat a tool",
        ),
        Bad::refused(
            "kernel parameters in a config command",
            &with("parameters", kernel),
            "parameters.kernel_param",
            "vm.nr_hugepages",
            "is not a field",
        ),
        Bad::refused(
            "9 seconds",
            &with("timeout_seconds", 9.into()),
            "timeout_seconds",
            "9",
            "from 10 to 300",
        ),
        Bad::refused(
            "301 seconds",
            &with("timeout_seconds", 301.into()),
            "timeout_seconds",
            "301",
            "from 10 to 300",
        ),
        Bad::refused("nobody serves it", &with("instance", "NOBODY".into()), "instance", "NOBODY", ""),
        Bad::refused(
            "a line end in a value",
            &with_value("1\nshadow=1"),
            "parameters.new_value",
            "1\nshadow=1",
            line,
        ),
        Bad::refused("a NUL in a value", &with_value("1\0"), "parameters.new_value", "1\0", line),
        Bad::refused(
            "an escape in a value",
            &with_value("1\u{1b}[2J"),
            "parameters.new_value",
            "1\u{1b}[2J",
            line,
        ),
        Bad::refused(
            "a C1 control in a value",
            &with_value("1\u{85}x"),
            "parameters.new_value",
            "1\u{85}x",
            line,
        ),
        Bad::refused(
            "another instance than the subject's",
            &with("severity", 3.into()),
            "instance",
            INSTANCE,
            "subject",
        ),
        Bad::refused("no UUID", &with("command_id", "1234".into()), "command_id", "1234", "must be a UUID"),
        Bad::raw("300 KiB", large, "at most 65536 bytes"),
        Bad::raw("128 deep", deep, ""),
        Bad::raw("no JSON", b"please restart PROD".to_vec(), "must be one JSON document"),
        Bad::raw("no text", vec![0xff, 0xfe, 0x00], ""),
        Bad::raw("nothing", Vec::new(), ""),
        Bad {
            status: AnswerStatus::Expired,
            ..Bad::refused("too old", &old, "issued_at", "2020-01-01", "24 hours")
        },
    ];
    for bad in &mut table {
        match bad.name {
            "nobody serves it" => bad.to = "NOBODY",
            "another instance than the subject's" => bad.to = "OTHER",
            "no UUID" => bad.dead = true,
            _ => {}
        }
    }
    table
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_commands_are_refused_with_field_value_and_rule_and_nothing_changes() {
    let pipeline = Pipeline::running(&[]).await;
    let before = everything(&pipeline);
    let starts = pipeline.iris.starts();
    let mut wrong = Vec::new();
    let mut dead = 0;
    for bad in table() {
        let answer = pipeline.ask_bytes(bad.to, bad.payload.clone(), Headers::new()).await;
        let fits = |fault: &instance_contract::Fault| {
            // Values are told as JSON text.
            let value = Value::from(bad.value).to_string();
            let told = fault.value.contains(value.trim_matches('"'));
            fault.field == bad.field && told && fault.rule.contains(bad.rule)
        };
        if answer.status != bad.status || !answer.faults.iter().any(fits) {
            wrong.push(format!("{}: {answer:?}", bad.name));
        }
        if let Some(id) = answer.remediation_id.filter(|_| !bad.dead && bad.to != "OTHER") {
            let trace = pipeline.ended(id).await;
            assert_eq!(
                trace.overall_status.as_str(),
                if bad.name == "too old" { "expired" } else { "refused" }
            );
            assert!(trace.steps_executed.is_empty(), "{}", bad.name);
        }
        dead += usize::from(bad.dead);
    }
    for (name, payload) in refused_examples() {
        let answer = pipeline.ask_bytes("IRIS", payload, Headers::new()).await;
        if answer.status != AnswerStatus::Refused || answer.faults.is_empty() {
            wrong.push(format!("examples/refused/{name}: {answer:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(pipeline.bus.dead_letters().await.unwrap().len() >= dead);
    assert_eq!(world::differences(&before, &everything(&pipeline)), Vec::<std::path::PathBuf>::new());
    assert_eq!(pipeline.iris.starts(), starts);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_id_with_other_bytes_is_refused_and_the_first_goes_on() {
    let pipeline = Pipeline::running(&[]).await;
    let mut first = wish::set_cpf("globals", "0,0,512,0,0,0", false);
    first["dry_run"] = true.into();
    let accepted = pipeline.ask(&first).await;
    assert_eq!(accepted.status, AnswerStatus::Accepted, "{accepted:?}");
    let before = everything(&pipeline);
    let mut second = first.clone();
    second["dry_run"] = false.into();
    let answer = pipeline.ask(&second).await;
    assert_eq!(
        (answer.status, answer.faults[0].field.as_str()),
        (AnswerStatus::Refused, "command_id"),
        "{answer:?}"
    );
    assert_eq!(pipeline.ask(&first).await.status, AnswerStatus::Repeated);
    assert_eq!(pipeline.ended(accepted.remediation_id.unwrap()).await.overall_status.as_str(), "dry_run");
    assert_eq!(world::differences(&before, &everything(&pipeline)), Vec::<std::path::PathBuf>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_could_not_be_read_is_listed_shown_and_replayed() {
    let pipeline = Pipeline::running(&[]).await;
    let no_uuid = with("command_id", "1234".into()).to_string();
    pipeline.ask_bytes(INSTANCE, no_uuid.clone().into_bytes(), Headers::new()).await;
    pipeline.ask_bytes(INSTANCE, b"please restart PROD".to_vec(), Headers::new()).await;

    let listed = pipeline.instance(&["dead-letter", "list", "--json"]).await;
    let letters: Value = serde_json::from_str(&listed.stdout).unwrap();
    let letters = letters["dead_letters"].as_array().unwrap();
    assert_eq!((listed.code, letters.len()), (0, 2), "{listed:?}");
    assert!(letters[0]["reason"].as_str().unwrap().contains("command_id = \"1234\""), "{letters:?}");

    let number = letters[0]["sequence"].to_string();
    let shown = pipeline.instance(&["dead-letter", "show", &number, "--json"]).await;
    let shown: Value = serde_json::from_str(&shown.stdout).unwrap();
    assert_eq!(shown["payload"], no_uuid);
    assert_eq!(pipeline.instance(&["dead-letter", "show", "99"]).await.code, 8);

    // What nobody could read is as unreadable the second time: it dies again, and is not lost.
    let replayed = pipeline.instance(&["dead-letter", "replay", &number]).await;
    assert_eq!(replayed.code, 0, "{replayed:?}");
    instance_testkit::eventually(std::time::Duration::from_secs(10), || async {
        (pipeline.bus.dead_letters().await.ok()?.len() == 3).then_some(())
    })
    .await;
}

/// Everything that a command could change, without what the running instance writes of itself.
fn everything(pipeline: &Pipeline) -> world::Snapshot {
    let agents = crate::pipeline::AGENTS.map(|agent| pipeline.path("state").join(agent));
    let mut folders = vec![pipeline.path("iris"), pipeline.path("sysctl.d")];
    folders.extend(agents);
    world::snapshot(&folders)
}

/// Every command of `examples/refused`.
fn refused_examples() -> Vec<(String, Vec<u8>)> {
    let files =
        fs::read_dir(source_tree().join("examples/refused")).unwrap().map(|entry| entry.unwrap().path());
    files
        .filter(|path| !path.ends_with("generation-request.json"))
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(&path).unwrap()))
        .collect()
}
