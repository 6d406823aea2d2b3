//! One goal in words (F-049): what is broken is found, planned, asked for, done, proved and told. The world is read with plain
//! tools.

use instance_clock::{Clock as _, SystemClock};
use instance_testkit::TestIncident;

use crate::{
    command_line::json,
    pipeline::{INSTANCE, PANIC, Pipeline, settings::POLICY, world},
};

const GOAL: &str = "fix the database cache, it is too small";

#[tokio::test(flavor = "multi_thread")]
async fn a_goal_in_words_is_found_planned_asked_for_done_proved_and_told() {
    let mut pipeline = Pipeline::new(&["--globals", "256", "--dirty-mb", "200"]).await;
    pipeline.iris.start();
    pipeline.policy(&POLICY.replace("approve_restarts = false", "approve_restarts = true"));
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
    let (_, message) = pipeline.told("global-buffers-insufficient").await;
    let at = SystemClock.now();
    let mut incident = TestIncident::new(INSTANCE, Some("global-buffers-insufficient"), 1, PANIC, at);
    incident.entry = message.message_id;
    incident.call_a_person(&pipeline.bus).await;

    let unknown = fix("frobnicate the zorkmids", &["--yes"]).await;
    assert!(unknown.code == 8 && unknown.stderr.contains("knows nothing of"), "{unknown:?}");
    let other = fix("fix licensing", &["--yes"]).await;
    assert!(other.code == 8 && other.stderr.contains("license-"), "{other:?}");
    let dry = fix(GOAL, &["--dry-run", "--json"]).await;
    assert_eq!((dry.code, &json(&dry)["status"]), (0, &"dry_run".into()), "{dry:?}\n{}", pipeline.logs());
    let asked = fix(GOAL, &[]).await;
    assert!(asked.code == 2 && asked.stderr.contains("0,0,256,0,0,0 -> 0,0,512,0,0,0"), "{asked:?}");
    assert_eq!((iris.cpf(), iris.starts()), (cpf.clone(), starts), "nobody has said yes");

    let done = fix(GOAL, &["--yes", "--json"]).await;
    assert_eq!(done.code, 0, "{done:?}\n{}", pipeline.logs());
    let told = json(&done);
    assert_eq!((&told["status"], &told["trace"]["verification"]["held"]), (&"success".into(), &true.into()));
    assert_eq!(told["condition"], "global-buffers-insufficient");
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
