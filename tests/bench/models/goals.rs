//! What the analyst promises in numbers, measured against its limits: duplicates, a model that is down, a storm, work that failed.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use instance_bus::Headers;
use instance_clock::{Clock as _, SystemClock};
use instance_contract::{Decision, subject};
use instance_diagnosis::{Event, Incidents, Limits, Record};
use instance_llm::{Model, Parts, Settings, settings::Provider};
use instance_testkit::{Endpoint, ModelServer, Seen, TestIncident, eventually};
use jiff::{SignedDuration, Timestamp};

use crate::{
    analyst::{DIED, Desk, PANIC, message, message_subject},
    scene::{COMPANY, Scene, read},
};

/// F-094.
const DUPLICATES_PERCENT: usize = 95;
/// F-101: the rules answer so fast, so often.
const RULES: Duration = Duration::from_secs(5);
const RULES_PERCENT: usize = 99;
const INCIDENTS: usize = 200;
/// A storm: so many entries in ten seconds.
const ENTRIES: u32 = 10_000;
const CRITICAL: Duration = Duration::from_secs(1);
/// F-103.
const FINDINGS: u8 = 100;
const PATIENCE: Duration = Duration::from_mins(5);

/// Prints a line with its verdict, and gives that.
pub fn goal(what: &str, measured: &str, wanted: &str, is_met: bool) -> bool {
    println!("{:6} {what}: {measured} (wanted: {wanted})", if is_met { "met" } else { "MISSED" });
    is_met
}

/// Are all of them met?
pub async fn print() -> bool {
    let met =
        [duplicates(), model_down().await, one_remediation().await, storm().await, work_that_failed().await];
    met.iter().all(|met| *met)
}

#[derive(serde::Deserialize)]
struct Labelled {
    same: Vec<[String; 2]>,
    different: Vec<[String; 2]>,
}

/// Each pair alone: ten seconds apart and of two processes, so that only the texts can tell.
fn duplicates() -> bool {
    let labelled: Labelled = toml::from_str(include_str!("duplicates.toml")).unwrap();
    let is_one = |pair: &&[String; 2]| {
        let (mut core, mut now) = (Incidents::new(Limits::default()), Timestamp::UNIX_EPOCH);
        for (process, text) in (7_001..).zip(*pair) {
            let entry = format!("11/21/26-09:58:00:000 ({process}) 2 [Generic.Event] {text}\n");
            for (place, mut message) in read(entry.as_bytes()).into_iter().enumerate() {
                let id = u128::from(u32::try_from(process).unwrap()) * 100 + place as u128;
                message.message_id = instance_contract::MessageId::from_uuid(uuid::Uuid::from_u128(id));
                core.handle(&Event::Entry(&message), now);
            }
            now += SignedDuration::from_secs(10);
            core.handle(&Event::Tick, now);
        }
        core.counts().0 == 1
    };
    let (same, different) = (labelled.same.len(), labelled.different.len());
    let found = labelled.same.iter().filter(is_one).count();
    let mixed = labelled.different.iter().filter(is_one).count();
    let right = found + different - mixed;
    let measured = format!(
        "{right} of {} labelled pairs right; {found} of {same} repeats found, {mixed} of {different} others taken for one",
        same + different
    );
    goal("duplicates", &measured, "95 %", right * 100 >= DUPLICATES_PERCENT * (same + different))
}

/// Nobody listens at the endpoint. Each incident is one that a model would be asked about.
async fn model_down() -> bool {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("http://{}/v1", Endpoint::nobody());
    let settings = Settings {
        providers: vec![Provider::new("down", &url, "m-1")],
        folder: folder.path().into(),
        ..Settings::default()
    };
    let model = Model::new(settings, Parts::new(Arc::new(SystemClock))).unwrap();
    let (mut answered, mut slowest) = (0, Duration::ZERO);
    for number in 0..INCIDENTS {
        let entries = read(COMPANY.replace("25", &(25 + number).to_string()).as_bytes());
        let began = Instant::now();
        let outcome = Scene::new().analyse(&entries, Some((&model, "bench"))).await;
        let took = began.elapsed();
        slowest = slowest.max(took);
        let person = outcome.decisions.iter().any(|decision| matches!(decision, Decision::Person { .. }));
        answered += usize::from(person && took < RULES);
    }
    let measured = format!(
        "{answered} of {INCIDENTS} incidents in under 5 s, the slowest {:.1} s",
        slowest.as_secs_f64()
    );
    goal(
        "rules answer while the model is down",
        &measured,
        "99 %",
        answered * 100 >= RULES_PERCENT * INCIDENTS,
    )
}

/// The analyst's own question, entries shown, at a server that counts four characters as a token.
async fn one_remediation() -> bool {
    let (server, folder) = (ModelServer::start(), tempfile::tempdir().unwrap());
    server.answer_with(|call| {
        let answer = serde_json::json!({"option": 0, "numbers": [], "confidence": 0.9});
        let (asked, said) = (call.body.to_string().len() / 4, answer.to_string().len() / 4);
        let tokens = |count: usize| u64::try_from(count).unwrap();
        Some(instance_testkit::ModelAnswer::json(&answer).costing(tokens(asked), tokens(said)))
    });
    let mut provider = Provider::new("main", &server.url(), "m-1");
    (provider.input_usd_per_million, provider.output_usd_per_million) = (0.15, 0.6);
    let settings = Settings {
        providers: vec![provider],
        folder: folder.path().into(),
        show_entries: true,
        ..Settings::default()
    };
    let model = Model::new(settings, Parts::new(Arc::new(SystemClock))).unwrap();
    let outcome = Scene::new().analyse(&read(COMPANY.as_bytes()), Some((&model, "bench"))).await;
    let cost = model.cost().await.unwrap().unwrap();
    let spent = cost.remediations[0].amount;
    let tokens = spent.input_tokens + spent.output_tokens;
    let measured = format!(
        "{} command(s), {tokens} tokens, {:.5} USD, {} call(s) at the server",
        outcome.commands.len(),
        spent.usd,
        server.calls()
    );
    goal("one remediation", &measured, "under 5000 tokens, 0.10 USD", tokens < 5_000 && spent.usd < 0.1)
}

/// The real process on a real server: a thousand entries a second for ten seconds, a critical one in the middle.
async fn storm() -> bool {
    let desk = Desk::new().await;
    let analyst = desk.analyst(&[]);
    desk.says(1, "everyday line", 0).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before = resident(analyst.0.id());
    let (mut peak, mut sent) = (before, None);
    let mut records = desk.bus.follow_incidents(&[subject::incidents()], 1);
    let heard = async {
        let (mut opened, mut through) = (0, None);
        // Ends with the storm: the other branch is awaited too.
        while let Ok(Ok(message)) = tokio::time::timeout(Duration::from_secs(20), records.next()).await {
            let Some((_, kind)) = subject::parse_incident(&message.subject) else { continue };
            match Record::read(kind, &message.payload).unwrap() {
                Record::Opened(_) => opened += 1,
                Record::Finding(finding)
                    if through.is_none()
                        && finding
                            .condition
                            .as_ref()
                            .is_some_and(|id| id.as_str() == "write-daemon-died")
                        && matches!(finding.decision, Decision::Remediation { .. }) =>
                {
                    through = Some(Instant::now());
                }
                _ => {}
            }
        }
        (opened, through)
    };
    let storm = async {
        let mut pace = tokio::time::interval(Duration::from_millis(100));
        for number in 0..ENTRIES {
            if number % 100 == 0 {
                pace.tick().await;
                peak = peak.max(resident(analyst.0.id()));
            }
            let (text, severity) = match number % 3 {
                0 => (PANIC.to_owned(), 2),
                1 => (format!("Frobnicator {number} could not write /x/{number}"), 2),
                _ => ("everyday line".to_owned(), 0),
            };
            let payload = message(u128::from(number) + 10, &text, severity).to_string().into();
            desk.bus.publish_core(&message_subject(severity), payload, Headers::new()).await.unwrap();
            if number == ENTRIES / 2 {
                sent = Some(Instant::now());
                desk.says(2, DIED, 3).await;
            }
        }
    };
    let ((opened, through), ()) = tokio::join!(heard, storm);
    let after = resident(analyst.0.id());
    let took = through.zip(sent).map(|(through, sent)| through.duration_since(sent));
    let shown = took
        .map_or("never".to_owned(), |took| format!("{:.2} s to its finding and command", took.as_secs_f64()));
    let is_fast = took.is_some_and(|took| took < CRITICAL);
    let heard = goal("storm: the critical one", &shown, "under 1 s", is_fast);
    let few = goal("storm: incidents", &format!("{opened} of 3 causes"), "at most 3", opened <= 3);
    let grown = peak.max(after).saturating_sub(before);
    let measured = format!("{before} KB before, {peak} KB at most, {after} KB after, grown by {grown} KB");
    goal("storm: memory", &measured, "16 MB of growth at most", grown <= 16 * 1024) && heard && few
}

/// Resident memory of a process in KB.
fn resident(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse().unwrap_or_default()
}

/// A hundred findings, and a webhook that refuses each of them once.
async fn work_that_failed() -> bool {
    let (desk, seen, address) = (Desk::new().await, Seen::default(), Endpoint::nobody());
    let refused = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&refused);
    let _endpoint = Endpoint::start(address, &seen, move |_, times| {
        count.fetch_add(usize::from(times == 1), Ordering::Relaxed);
        if times == 1 { 503 } else { 200 }
    });
    let now = SystemClock.now();
    for number in 1..=FINDINGS {
        TestIncident::new("PROD", Some("license-limit-exceeded"), number, "a text", now)
            .call_a_person(&desk.bus)
            .await;
    }
    let webhook = format!("{{url=\"http://{address}/hook\",breaker={{enabled=false}}}}");
    let began = Instant::now();
    let _analyst = desk.analyst(&[("INSTANCE_ANALYST__WEBHOOK", &webhook)]);
    let all = || async { (seen.answered(200).len() == usize::from(FINDINGS)).then_some(()) };
    eventually(PATIENCE, all).await;
    let told = seen.answered(200).len();
    let measured = format!(
        "{told} of {FINDINGS} told after {} refusals, in {:.1} s, none by hand",
        refused.load(Ordering::Relaxed),
        began.elapsed().as_secs_f64()
    );
    goal(
        "work that failed is kept and tried again",
        &measured,
        "99 %",
        told * 100 >= 99 * usize::from(FINDINGS),
    )
}
