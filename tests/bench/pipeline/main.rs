//! `cargo xtask bench pipeline`: how fast a plan runs through router and agent, beside what `JetStream` cannot do without.
//!
//! Router and agent are release processes as they are shipped (the agent's effects are nothing, its ledger is real);
//! beside them, in the same run and in turns, the bare chain of NATS hops with equal durability (`chain`). So a ratio
//! holds on a busy machine too. A command of `n` steps makes a plan of N = n + 1, for `verify` counts; the bare chain
//! has the same N, and two synced appends for each of the n steps with an effect.

mod chain; // The limit.
mod orders;
mod pipeline; // Ours and the limit, as processes with a client.
mod scale; // Many in flight, many kept, many open.

mod gate;
mod measure;
mod populate;
mod report;
mod stages;

mod endings;
mod machine;
mod process;
mod server;
mod sink;
mod yardstick;

use std::{
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};

use crate::{
    measure::{Seen, float, load, percentile},
    orders::Orders,
    pipeline::{Pipeline, Programs},
    report::{Goal, Row},
    server::Sync,
};

/// Measures the pipeline beside the bare chain of NATS hops.
#[derive(Parser)]
#[command(name = "cargo xtask bench pipeline --", max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    role: Option<Role>,
    /// How long each configuration is measured, on each side.
    #[arg(long, default_value_t = 8.0)]
    seconds: f64,
    /// In how many turns.
    #[arg(long, default_value_t = 4)]
    turns: u32,
    /// Steps that a command asks for (1 to 4); its plan has one more.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 3], value_parser = clap::value_parser!(u32).range(1..=4))]
    steps: Vec<u32>,
    /// Workflows in flight.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 64])]
    lanes: Vec<usize>,
    /// When the server syncs what it stores.
    #[arg(long, value_enum, default_value = "default")]
    sync: Sync,
    #[arg(long, default_value_t = 4)]
    shards: u16,
    /// Log filter of router and agent.
    #[arg(long, default_value = "info")]
    log: String,
    /// How many cold starts.
    #[arg(long, default_value_t = 3)]
    cold_starts: u32,
    /// What is measured: latency, rate and cost beside the limit; the same with more and more in flight; with many
    /// finished ones kept; the start of a router with many open ones; with everything exported.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Part::Base, Part::Flight, Part::Kept, Part::Open, Part::Telemetry])]
    parts: Vec<Part>,
    /// Workflows in flight, for the part `flight`.
    #[arg(long, value_delimiter = ',', default_values_t = [64, 640, 6_400])]
    flights: Vec<usize>,
    /// Finished remediations, for the part `kept`.
    #[arg(long, default_value_t = 100_000)]
    kept: usize,
    /// Open remediations, for the part `open`.
    #[arg(long, default_value_t = 10_000)]
    open: usize,
    /// Measure the CPU of 3 steps at 64 in flight alone, and end with exit code 1 when it is above so many times the
    /// limit. The steadiest figure, for CI.
    #[arg(long, value_name = "RATIO")]
    gate_cpu: Option<f64>,
    /// Source of the independent yardstick; passed over when it is not there.
    #[arg(long, value_name = "FOLDER")]
    yardstick: Option<PathBuf>,
    /// End with exit code 1 when a goal is missed.
    #[arg(long)]
    strict: bool,
}

/// One part of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    Base,
    Flight,
    Kept,
    Open,
    Telemetry,
}

/// The processes of the bare chain.
#[derive(Subcommand)]
enum Role {
    #[command(hide = true)]
    BareRouter { url: String, shards: u32, ledger: PathBuf },
    #[command(hide = true)]
    BareAgent { url: String, shards: u32, ledger: PathBuf },
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    // The bare processes want one thread: more only add hand-overs.
    let mut runtime = match arguments.role {
        Some(_) => tokio::runtime::Builder::new_current_thread(),
        None => tokio::runtime::Builder::new_multi_thread(),
    };
    let runtime = runtime.enable_all().build().context("could not start the runtime")?;
    runtime.block_on(async {
        match &arguments.role {
            Some(Role::BareRouter { url, shards, .. }) => chain::router(url, *shards).await?,
            Some(Role::BareAgent { url, shards, ledger }) => chain::agent(url, *shards, ledger).await?,
            None => return measure_all(&arguments).await,
        }
        Ok(ExitCode::SUCCESS)
    })
}

async fn measure_all(arguments: &Arguments) -> Result<ExitCode> {
    let programs = programs(&arguments.log)?;
    println!("{}", machine::line()?);
    if let Some(at_most) = arguments.gate_cpu {
        return gate::cpu(arguments, &programs, at_most).await;
    }
    let mut rows = Vec::new();
    for part in &arguments.parts {
        match part {
            Part::Base => {
                for steps in &arguments.steps {
                    rows.extend(one_shape(arguments, &programs, *steps).await?);
                }
            }
            Part::Flight => rows.extend(scale::flight(arguments, &programs).await?),
            Part::Kept => rows.push(scale::kept(arguments, &programs).await?),
            Part::Open => rows.push(scale::open(arguments, &programs).await?),
            Part::Telemetry => rows.extend(telemetry(arguments, &programs).await?),
        }
    }
    if let Some(folder) = &arguments.yardstick {
        beside_the_yardstick(arguments, &programs, folder).await?;
    }
    let met = report::table(&rows);
    Ok(if arguments.strict && !met { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Ours, and the bare chain of as many steps, `verify` included.
fn sides(steps: u32, shards: u16) -> [Orders; 2] {
    let shards = u32::from(shards);
    [Orders::Product { steps }, Orders::Chain { steps: steps + 1, synced: steps, shards }]
}

/// Rate and CPU with every span, record and metric exported, beside the same without.
async fn telemetry(arguments: &Arguments, programs: &Programs) -> Result<Vec<Row>> {
    let (steps, lanes, sink) = (3, 64, sink::Sink::start()?);
    let told = Programs { collector: Some(sink.endpoint.clone()), ..programs.clone() };
    let mut running = Vec::new();
    for programs in [&told, programs] {
        let orders = Orders::Product { steps };
        let started = Pipeline::start(programs, orders, arguments.sync, arguments.shards, lanes).await?;
        running.push(Arc::new(started));
    }
    let seen = in_turns(arguments, &running, lanes).await?;
    anyhow::ensure!(sink.taken() > 0, "nothing was exported");
    let head = format!("{steps} steps, {lanes} in flight, telemetry on beside off");
    let cpu = format!("{head}: CPU of server, router, agent, us");
    Ok(vec![
        Row::ratio(
            format!("{head}: workflows a second"),
            seen[0].per_second(),
            seen[1].per_second(),
            Goal::AtLeast(0.85),
        ),
        Row::ratio(cpu, seen[0].cpu_each(), seen[1].cpu_each(), Goal::AtMost(2.0)),
    ])
}

/// They lie where cargo puts them: this program and the no-op agent among the examples, the router above.
fn programs(log: &str) -> Result<Programs> {
    let ourselves = std::env::current_exe().context("where does this program lie?")?;
    let examples = ourselves.parent().context("a program lies in a folder")?;
    let release = examples.parent().context("the examples lie in a folder")?;
    Ok(Programs {
        router: release.join("instance-router"),
        agent: examples.join("noop_agent"),
        ourselves: ourselves.clone(),
        log: log.to_owned(),
        collector: None,
    })
}

/// Commands of so many steps: cold starts, then each number in flight, ours and the limit in turns.
async fn one_shape(arguments: &Arguments, programs: &Programs, steps: u32) -> Result<Vec<Row>> {
    let [product, limit] = sides(steps, arguments.shards);
    let sides = [("product", product), ("limit", limit)];
    let cold = cold_starts(arguments, programs, &sides).await?;
    let most = arguments.lanes.iter().copied().max().unwrap_or(1);
    let mut running = Vec::new();
    for (name, orders) in &sides {
        let pipeline =
            Pipeline::start(programs, orders.clone(), arguments.sync, arguments.shards, most).await?;
        let pids = [pipeline.server.pid(), pipeline.router.pid(), pipeline.agent.pid()];
        eprintln!("{name}, {steps} steps: server, router, agent are processes {pids:?}");
        running.push(Arc::new(pipeline));
    }
    let mut rows = Vec::new();
    if arguments.cold_starts > 0 {
        let figure = format!("{steps} steps: cold start, ms");
        rows.push(Row::ratio(figure, cold[0], cold[1], Goal::AtMost(2.0)));
    }
    for lanes in &arguments.lanes {
        let seen = in_turns(arguments, &running, *lanes).await?;
        for (side, ((name, _), seen)) in sides.iter().zip(&seen).enumerate() {
            let name = format!(
                "{name}-{steps}step-{lanes}lanes-sync-{}-{}shards",
                arguments.sync.as_str(),
                arguments.shards
            );
            println!("{}", report::line(&name, seen, cold[side]));
            if *lanes == 1 {
                let stages = stages::of(&running[side], &seen.finished).await?;
                println!("{}", report::stages(&name, &stages));
            }
        }
        rows.extend(goals(arguments, steps, *lanes, &seen[0], &seen[1]));
    }
    Ok(rows)
}

/// From the launch of the server to the first workflow that has ended, each several times; the medians, in ms.
async fn cold_starts(
    arguments: &Arguments,
    programs: &Programs,
    sides: &[(&str, Orders); 2],
) -> Result<[f64; 2]> {
    let mut took = [Vec::new(), Vec::new()];
    for _ in 0..arguments.cold_starts {
        for ((_, orders), took) in sides.iter().zip(&mut took) {
            let started = Instant::now();
            let pipeline =
                Pipeline::start(programs, orders.clone(), arguments.sync, arguments.shards, 1).await?;
            pipeline.one(0).await.context("the first workflow of a cold start")?;
            took.push(started.elapsed().as_secs_f64() * 1e3);
        }
    }
    Ok(took.map(|mut took| percentile(&mut took, 0.5)))
}

/// A quarter of a turn to warm up, then one turn after the other; the other side is idle meanwhile.
async fn in_turns(arguments: &Arguments, running: &[Arc<Pipeline>], lanes: usize) -> Result<Vec<Seen>> {
    let turn = Duration::from_secs_f64(arguments.seconds / f64::from(arguments.turns));
    let mut seen: Vec<Seen> = Vec::new();
    for pipeline in running {
        load(pipeline, lanes, turn / 2).await?;
        seen.push(Seen::default());
    }
    for _ in 0..arguments.turns {
        for (pipeline, seen) in running.iter().zip(&mut seen) {
            seen.add(pipeline, lanes, turn).await?;
        }
    }
    Ok(seen)
}

/// The goals of the issue that this load can tell of.
fn goals(arguments: &Arguments, steps: u32, lanes: usize, ours: &Seen, limit: &Seen) -> Vec<Row> {
    let head = format!("{steps} steps, {lanes} in flight");
    if lanes == 1 {
        let (p50, p99) = (|seen: &Seen| seen.percentile_us(0.5), |seen: &Seen| seen.percentile_us(0.99));
        return vec![
            Row::ratio(format!("{head}: p50, us"), p50(ours), p50(limit), Goal::AtMost(1.25)),
            Row::ratio(format!("{head}: p99, us"), p99(ours), p99(limit), Goal::AtMost(1.5)),
        ];
    }
    let mut rows = vec![
        Row::ratio(
            format!("{head}: workflows a second"),
            ours.per_second(),
            limit.per_second(),
            Goal::AtLeast(0.8),
        ),
        Row::ratio(
            format!("{head}: CPU of server, router, agent, us"),
            ours.cpu_each(),
            limit.cpu_each(),
            Goal::AtMost(1.3),
        ),
        Row::absolute(
            format!("{head}: memory of router and agent, kB"),
            float(ours.rss_kb.iter().sum()),
            Goal::AtMost(20_480.0),
        ),
    ];
    if arguments.sync == Sync::Always {
        rows.push(Row::absolute(
            format!("{head}: workflows a second, synced"),
            ours.per_second(),
            Goal::AtLeast(1_500.0),
        ));
    }
    rows
}

/// Our bare chain without its ledger and in one stream, which is what the yardstick does too.
async fn beside_the_yardstick(
    arguments: &Arguments,
    programs: &Programs,
    folder: &std::path::Path,
) -> Result<()> {
    let target = programs.router.parent().context("the router lies in a folder")?.join("yardstick");
    let Some(yardstick) = yardstick::build(folder, &target, "limits")? else {
        eprintln!("no yardstick in {}", folder.display());
        return Ok(());
    };
    let server = std::env::var_os("INSTANCE_NATS_SERVER").map_or_else(|| "nats-server".into(), PathBuf::from);
    for steps in &arguments.steps {
        let theirs = yardstick::run(&yardstick, &server, *steps, arguments.sync.as_str())?;
        let orders = Orders::Chain { steps: *steps, synced: 0, shards: 1 };
        let pipeline = Arc::new(Pipeline::start(programs, orders, arguments.sync, 1, 64).await?);
        for (lanes, figure) in [(1, "p50_us"), (64, "per_s")] {
            let seen = in_turns(arguments, std::slice::from_ref(&pipeline), lanes).await?;
            let ours = if lanes == 1 { seen[0].percentile_us(0.5) } else { seen[0].per_second() };
            let theirs = theirs[figure].as_f64().context("the yardstick gave no figure")?;
            let apart = (ours / theirs - 1.0) * 100.0;
            let why = if apart.abs() > 10.0 { "; why: docs/speed.md, \"Two bare chains\"" } else { "" };
            println!(
                "bare chain, {steps} steps, no ledger: {figure} {ours:.0}, yardstick {theirs:.0} ({apart:+.0} %){why}"
            );
        }
    }
    Ok(())
}
