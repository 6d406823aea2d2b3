//! `cargo xtask bench small`: single-agent remediations with real effects on a whole pipeline of real processes, and
//! how long an asker waits for a dry run.
//!
//! A run is timed from the publish of its command to the `ended` record in the hands of somebody who follows it, and
//! counts only when its effect is there: the line of the CPF, the value of the kernel tree, one more start.

#![expect(clippy::unwrap_used, reason = "a bench whose world cannot be driven has failed")]

#[path = "../../scenarios/pipeline/mod.rs"]
#[expect(dead_code, unused_imports, reason = "the scenarios use the rest")]
mod pipeline;

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::Parser;
use instance_contract::{OverallStatus, RemediationId, WorkflowTrace, subject};
use pipeline::{Pipeline, wish};
use serde_json::{Value, json};

/// A restart has its quiet time; these are the rules of the profile `testing`.
const POLICY: &str = "approve_restarts = false\napprove_dangerous = false\nquiet_seconds = 3\n\
    restarts_per_hour = 60\nminutes_between_restarts = 0\n";
/// F-046: a whole small remediation, in 90 of 100 runs.
const GOAL: Duration = Duration::from_secs(10);
const GOAL_SHARE: f64 = 0.9;
/// A dry run, p95.
const DRY_GOAL: Duration = Duration::from_millis(200);

/// Small remediations, one at a time.
#[derive(Parser)]
#[command(name = "cargo xtask bench small --")]
struct Arguments {
    /// Remediations with real effects; a third each for config-agent, os-agent and restart-agent.
    #[arg(long, default_value_t = 100)]
    runs: u32,
    /// Dry runs.
    #[arg(long, default_value_t = 200)]
    dry_runs: u32,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut pipeline = Pipeline::new(&["--globals", "256"]).await;
    pipeline.iris.start();
    pipeline.policy(POLICY);
    pipeline.everything().await;

    let mut dry = Vec::new();
    for number in 0..arguments.dry_runs {
        let (_, mut wish) = one(&pipeline, number);
        wish["dry_run"] = true.into();
        let (took, trace) = timed(&pipeline, &wish).await;
        assert_eq!(trace.overall_status, OverallStatus::DryRun, "{trace:#?}");
        dry.push(took);
    }
    let dry_p95 = percentile(&mut dry, 0.95);
    print("dry_run", &mut dry, json!({"goal_p95_ms": ms(DRY_GOAL), "met": dry_p95 < DRY_GOAL}));

    let mut by_agent: [Vec<Duration>; 3] = Default::default();
    for number in 0..arguments.runs {
        let (agent, wish) = one(&pipeline, number);
        let starts = pipeline.iris.starts();
        let (took, trace) = timed(&pipeline, &wish).await;
        assert_eq!(trace.overall_status, OverallStatus::Success, "{trace:#?}\n{}", pipeline.logs());
        assert!(effect_is_there(&pipeline, &wish, starts), "{} has no effect", pipeline::AGENTS[agent]);
        by_agent[agent].push(took);
    }
    let mut all: Vec<Duration> = by_agent.concat();
    for (agent, took) in pipeline::AGENTS.iter().zip(&mut by_agent).filter(|(_, took)| !took.is_empty()) {
        print(agent, took, json!({}));
    }
    let under = all.iter().filter(|took| **took < GOAL).count();
    let needed = (f64::from(arguments.runs) * GOAL_SHARE).ceil();
    let met = f64::from(u32::try_from(under).unwrap()) >= needed;
    print("small_remediation", &mut all, json!({"under_10_s": under, "goal": needed, "met": met}));
    pipeline.drained().await;
    if met && dry_p95 < DRY_GOAL { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The next command, and the place of its agent among [`pipeline::AGENTS`]. Values alternate, so that each changes
/// something.
fn one(pipeline: &Pipeline, number: u32) -> (usize, Value) {
    match number % 3 {
        0 => {
            let other = if pipeline.iris.cpf().contains("\nglobals=0,0,256,0,0,0\n") { 512 } else { 256 };
            (0, wish::set_cpf("globals", &format!("0,0,{other},0,0,0"), false))
        }
        1 => {
            let other = if pipeline.iris.kernel("vm/swappiness") == "5" { 10 } else { 5 };
            (1, wish::set_kernel("vm.swappiness", other, false))
        }
        _ => (2, wish::restart()),
    }
}

fn effect_is_there(pipeline: &Pipeline, wish: &Value, starts: usize) -> bool {
    let parameters = &wish["parameters"];
    match (parameters["new_value"].as_str(), parameters["new_value"].as_u64()) {
        (Some(value), _) => pipeline.iris.cpf().contains(&format!("\nglobals={value}\n")),
        (_, Some(value)) => pipeline.iris.kernel("vm/swappiness") == value.to_string(),
        _ => pipeline.iris.starts() == starts + 1,
    }
}

/// From the publish to the end, as somebody sees it who has been following the id.
async fn timed(pipeline: &Pipeline, wish: &Value) -> (Duration, WorkflowTrace) {
    let command: instance_contract::CommandId = wish::id_of(wish).parse().unwrap();
    let mut log = pipeline.bus.follow_remediation(RemediationId::from(command)).await.unwrap();
    let payload = wish.to_string().into_bytes();
    let subject = subject::command(&pipeline::INSTANCE.parse().unwrap());
    let began = Instant::now();
    pipeline.bus.publish_bytes(&subject, payload.into(), None, instance_bus::Headers::new()).await.unwrap();
    let end = async {
        loop {
            let message = log.next().await.unwrap();
            if message.subject.rsplit('.').next() == Some("ended") {
                return message.json().unwrap();
            }
        }
    };
    let trace = tokio::time::timeout(Duration::from_mins(2), end).await;
    (began.elapsed(), trace.unwrap_or_else(|_| panic!("no end:\n{}", pipeline.logs())))
}

fn print(what: &str, took: &mut [Duration], more: Value) {
    let mut line = json!({
        "what": what, "runs": took.len(), "p50_ms": ms(percentile(took, 0.5)), "p95_ms": ms(percentile(took, 0.95)),
        "max_ms": ms(percentile(took, 1.0)),
    });
    if let (Value::Object(line), Value::Object(more)) = (&mut line, more) {
        line.extend(more);
    }
    println!("{line}");
}

fn ms(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap()
}

fn percentile(values: &mut [Duration], share: f64) -> Duration {
    values.sort_unstable();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an index into a list that fits in memory"
    )]
    let index = (values.len().saturating_sub(1) as f64 * share).round() as usize;
    values.get(index).copied().unwrap_or_default()
}
