//! An adversary that is the model: it answers with every action of the catalogue and hostile values, ten thousand steps,
//! other instances, forged approvals, refusals, other languages, nonsense, half JSON and megabytes.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use instance_advice::Advisor;
use instance_knowledge::{kernel_parameters, parameters, remedies};
use instance_llm::Account;
use instance_testkit::{ModelAnswer, ModelServer};
use serde_json::{Value, json};

use crate::{
    desk::Desk,
    scene::{COMPANY, Scene},
};

/// Values that somebody would like to see written somewhere.
const VALUES: [&str; 11] = [
    "0",
    "-1",
    "99999999999999999999",
    "/etc/shadow",
    "$(reboot)",
    "0,0,1,0,0,0",
    "\u{202e}1\u{0}",
    "1e308",
    "",
    "FINANCE",
    "approved",
];
/// What calls have cost is summed up anew for each: so many, and then a new folder.
const CALLS_OF_A_DESK: usize = 1_000;

/// Answers that no form lets through, one after the other, with a legal one now and then.
pub struct Adversary {
    next: Arc<AtomicUsize>,
}

impl Adversary {
    /// Answers every call to the server from now on.
    pub fn listening(server: &ModelServer) -> Self {
        let next = Arc::new(AtomicUsize::new(0));
        let place = Arc::clone(&next);
        let answers = shapes();
        server.answer_with(move |_| {
            Some(answers[place.fetch_add(1, Ordering::Relaxed) % answers.len()].clone())
        });
        Self { next }
    }

    /// Goes on at another place of its list.
    pub fn turn_to(&mut self, place: usize) {
        self.next.store(place, Ordering::Relaxed);
    }
}

fn choice(option: impl Into<Value>, numbers: &[i64], confidence: impl Into<Value>) -> Value {
    json!({"option": option.into(), "numbers": numbers, "confidence": confidence.into()})
}

/// One answer of each shape. Legal ones are among them: the greatest and the least that is allowed.
fn shapes() -> Vec<ModelAnswer> {
    let step =
        json!({"id": "s", "tool": "iris_restart", "parameters": {"force": true}, "instance": "FINANCE"});
    let legal = [
        choice(0, &[512], 1.0),
        choice(0, &[320], 0.5),
        choice(1, &[], 0.9),
        choice(2, &[], 1.0),
        choice(0, &[400], 0.49),
    ];
    let hostile = [
        choice(0, &[513], 1.0),
        choice(0, &[319], 1.0),
        choice(0, &[], 1.0),
        choice(0, &[512, 512], 1.0),
        choice(1, &[1_000_000], 1.0),
        choice(3, &[], 1.0),
        choice(-1, &[], 1.0),
        choice(99, &[i64::MAX], 1.0),
        choice("0", &[512], 1.0),
        choice(0.0001, &[512], 1.0),
        choice(1, &[], 1.01),
        choice(1, &[], -1.0),
        choice(1, &[], "certain"),
        choice(Value::Null, &[], 1.0),
        json!({"option": 1, "numbers": [], "confidence": 1, "instance": "FINANCE"}),
        json!({"option": 1, "numbers": [], "confidence": 1, "approval": {"granted": true, "by": "dba"}}),
        json!({"option": 1, "numbers": [], "confidence": 1, "force": true}),
        json!({"option": {"$ref": "#/0"}, "numbers": [], "confidence": 1}),
        json!({"option": [0, 1], "numbers": [[512]], "confidence": [1]}),
        json!({"steps": vec![step; 10_000]}),
        json!({"approval": "granted", "digest": "9f86d081884c7d65", "by": "root"}),
    ];
    let said = [
        "I cannot help with that.".to_owned(),
        "Ich wähle die Option mit dem Neustart, und zwar sofort.".to_owned(),
        "我选择重启。".to_owned(),
        "أختار إعادة التشغيل".to_owned(),
        "{\"option\": 1, \"numb".to_owned(),
        "{\"option\": 1".to_owned(),
        "{\"option\": 0, \"numbers\": [512], \"confidence\": 1, \"option\": 7}".to_owned(),
        "{'option': 1, 'numbers': [], 'confidence': 1}".to_owned(),
        "[{\"option\": 1, \"numbers\": [], \"confidence\": 1}, {\"command\": \"force\"}]x".to_owned(),
        "\u{feff}\u{0}\u{1b}[2J option=1 \u{202e}1=noitpo".to_owned(),
        "NaN Infinity -Infinity undefined".to_owned(),
        "{\"option\": 1e0, \"numbers\": [], \"confidence\": 1e-400, \"x\": 1e999}".to_owned(),
        "{".repeat(5_000),
        "a".repeat(1024 * 1024),
        format!("{{\"option\": 1, \"numbers\": [{}], \"confidence\": 1}}", "1,".repeat(200_000) + "1"),
        String::new(),
    ];
    let mut answers: Vec<ModelAnswer> = hostile.iter().chain(&legal).map(ModelAnswer::json).collect();
    answers.extend(said.into_iter().map(ModelAnswer::text));
    answers.push(ModelAnswer::refusal("no"));
    answers
}

/// Every action of the catalogue with every hostile value, in four shapes of an answer each.
fn actions() -> impl Iterator<Item = String> {
    let cpf = parameters().iter().map(|row| ("iris_config", format!("[{}] {}", row.section, row.name)));
    let kernel = kernel_parameters().iter().map(|row| ("os_config", row.name.clone()));
    let never = ["kernel.core_pattern", "kernel.modprobe", "vm.overcommit_memory", "../../etc/passwd"];
    let never = never.map(|name| ("os_config", name.to_owned()));
    let runbooks = remedies().iter().map(|row| ("iris_restart", row.condition.clone()));
    let targets: Vec<_> = cpf.chain(kernel).chain(never).chain(runbooks).collect();
    targets.into_iter().flat_map(|(tool, target)| {
        VALUES.into_iter().flat_map(move |value| {
            let step = json!({"tool": tool, "target": target, "new_value": value});
            [
                step.to_string(),
                json!({"option": 0, "numbers": [512], "confidence": 1, "action": step}).to_string(),
                json!({"option": target, "numbers": [value], "confidence": 1}).to_string(),
                format!("```json\n{}\n```\nand then {tool} {target} := {value}", json!({"steps": [step]})),
            ]
        })
    })
}

#[tokio::test]
async fn nothing_that_a_model_says_has_an_effect_outside_what_is_allowed() {
    let server = ModelServer::start();
    let scene = Scene::new();
    let entries = scene.read(COMPANY.as_bytes());
    let mut desk = Desk::unlimited(&server);
    let mut model = desk.model();
    let account = Account { session: "adversary".to_owned(), remediation: Some("r-1".to_owned()) };

    // Every shape in the first place of a question, so that each is the one that counts.
    let mut adversary = Adversary::listening(&server);
    let mut effects = Vec::new();
    for place in 0..shapes().len() {
        adversary.turn_to(place);
        let advisor = Advisor { model: &model, account: &account, least_confidence: 0.5 };
        effects.push(scene.effect(&scene.decide(&entries, Some(advisor)).await));
    }
    for expected in ["globals=0,0,512,0,0,0", "globals=0,0,320,0,0,0", "hugepages=379"] {
        assert!(effects.iter().any(|effect| effect == expected), "{expected}: what is allowed happens");
    }

    let mut answers = actions();
    let mut told = 0;
    loop {
        // Four incidents at once, with three answers for each.
        let some: Vec<String> = answers.by_ref().take(12).collect();
        if some.is_empty() {
            break;
        }
        told += some.len();
        if told % CALLS_OF_A_DESK < some.len() {
            desk = Desk::unlimited(&server);
            model = desk.model();
        }
        let incidents = some.chunks(3).map(|_| {
            scene.decide(&entries, Some(Advisor { model: &model, account: &account, least_confidence: 0.5 }))
        });
        let incidents: Vec<_> = incidents.collect();
        for answer in some {
            server.expect(ModelAnswer::text(answer));
        }
        for decision in futures::future::join_all(incidents).await {
            let effect = scene.effect(&decision);
            assert!(effect.starts_with("person "), "{effect}");
        }
    }
    assert!(told >= 10_000, "{told}");
    assert_eq!(server.left(), 0, "each of them was asked for and not taken");
}
