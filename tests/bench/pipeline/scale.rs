//! What grows and what does not: many in flight, many finished ones kept, many open ones at the start.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use instance_bus::{Bus, Headers, LogMessage};
use instance_clock::{Clock as _, SystemClock};
use instance_contract::{
    AuditRecords, CommandAnswer, RemediationId, Shard,
    subject::{self, RecordKind},
};

use crate::{
    Arguments,
    measure::{Seen, float},
    orders::{Orders, instance},
    pipeline::{Consent, Pipeline, Programs},
    populate::{self, Original},
    process::peak_rss_kb,
    report::{Goal, Row},
};

/// Of the commands that scale is measured with.
const STEPS: u32 = 3;
const LANES: usize = 64;
/// The router must know what waits before it is counted as open.
const SOON: Duration = Duration::from_mins(2);
/// A million records are told of.
const CATCHING_UP: Duration = Duration::from_mins(20);

/// The rate and the router's memory with more and more in flight.
pub async fn flight(arguments: &Arguments, programs: &Programs) -> Result<Vec<Row>> {
    let most = arguments.flights.iter().copied().max().unwrap_or(LANES);
    let orders = Orders::Product { steps: STEPS };
    let pipeline = Arc::new(Pipeline::start(programs, orders, arguments.sync, arguments.shards, most).await?);
    let mut seen: Vec<(usize, f64, f64)> = Vec::new();
    for flight in &arguments.flights {
        let mut this = Seen::default();
        this.add(&pipeline, *flight, Duration::from_secs_f64(arguments.seconds)).await?;
        let memory = float(peak_rss_kb(pipeline.router.pid()));
        println!(
            "{{\"name\":\"flight-{flight}\",\"per_s\":{:.1},\"router_rss_kb\":{memory},\"cpu_us\":{:.0}}}",
            this.per_second(),
            this.cpu_each()
        );
        seen.push((*flight, this.per_second(), memory));
    }
    let best = seen.iter().map(|(_, rate, _)| *rate).fold(0.0, f64::max);
    let mut rows = Vec::new();
    for (flight, rate, _) in &seen {
        let figure = format!("{flight} in flight: workflows a second, of the best");
        rows.push(Row::ratio(figure, *rate, best, Goal::AtLeast(0.9)));
    }
    if let [(few, _, least), .., (many, _, highest)] = seen[..] {
        let each = (highest - least) / float((many - few) as u64);
        let figure = format!("{many} in flight: router memory for each, kB");
        rows.push(Row::absolute(figure, each, Goal::AtMost(4.0)));
    }
    Ok(rows)
}

/// CPU for each workflow with many finished ones kept, beside that of the empty store.
pub async fn kept(arguments: &Arguments, programs: &Programs) -> Result<Row> {
    let orders = Orders::Product { steps: STEPS };
    let mut pipeline =
        Arc::new(Pipeline::start(programs, orders, arguments.sync, arguments.shards, LANES).await?);
    let time = Duration::from_secs_f64(arguments.seconds);
    let mut empty = Seen::default();
    empty.add(&pipeline, LANES, time).await?;
    let finished = pipeline.one(0).await?;
    let original = original(&pipeline, &finished.id).await?;
    // Nobody is to take the copies for something new.
    let alone = Arc::get_mut(&mut pipeline).context("nobody else uses the pipeline any more")?;
    alone.router.end();
    populate::copies(&alone.js, &original, arguments.shards, arguments.kept, false).await?;
    alone.start_router_anew(programs)?;
    // Then it has read what is new to it, and told of it in the audit trail, which nobody did for the copies.
    pipeline.one(0).await?;
    told(pipeline.bus.as_ref().context("ours has a bus")?, arguments.shards).await?;
    let mut full = Seen::default();
    full.add(&pipeline, LANES, time).await?;
    let figure = format!("{} kept: CPU of a workflow, us, beside an empty store", arguments.kept);
    Ok(Row::ratio(figure, full.cpu_each(), empty.cpu_each(), Goal::AtMost(1.3)))
}

/// Waits until the audit trail has told of all that the logs hold.
async fn told(bus: &Bus, shards: u16) -> Result<()> {
    let began = Instant::now();
    for shard in (0..shards).map(Shard) {
        let last = bus.last_sequence(shard).await?;
        loop {
            let newest = bus.newest_audit(shard).await?.context("a shard without an audit trail")?;
            let records = newest.json::<AuditRecords>()?.records;
            if records.last().is_some_and(|record| record.entry.log_sequence >= last) {
                break;
            }
            ensure!(began.elapsed() < CATCHING_UP, "the audit trail of shard {shard} is behind");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
    eprintln!("the audit trail knew of everything after {:.1} s", began.elapsed().as_secs_f64());
    Ok(())
}

/// From the start of a router that finds many open remediations until it has taken a command.
pub async fn open(arguments: &Arguments, programs: &Programs) -> Result<Row> {
    let orders = Orders::Product { steps: STEPS };
    let (sync, shards) = (arguments.sync, arguments.shards);
    let mut pipeline = Pipeline::product(programs, orders, sync, shards, (LANES, Consent::Asked)).await?;
    let bus = pipeline.bus.clone().context("ours has a bus")?;
    // One that waits for consent, and many like it.
    let waiting = ask(&pipeline, &bus, 0).await?;
    let original = waits(&pipeline, &waiting).await?;
    // Nobody is to take the copies for something new.
    pipeline.router.end();
    populate::copies(&pipeline.js, &original, shards, arguments.open, true).await?;
    let mut ready = Vec::new();
    for lane in [1, 2] {
        pipeline.start_router_anew(programs)?;
        let began = Instant::now();
        ask(&pipeline, &bus, lane).await?;
        ready.push(began.elapsed());
        leaves_a_hint(&bus, shards, arguments.open).await?;
    }
    println!(
        "{{\"name\":\"open-{}\",\"ready_ms_before_a_hint\":{},\"ready_ms\":{},\"router_rss_kb\":{}}}",
        arguments.open,
        ready[0].as_millis(),
        ready[1].as_millis(),
        peak_rss_kb(pipeline.router.pid())
    );
    let figure = format!("{} open: a new router is ready, ms", arguments.open);
    Ok(Row::absolute(figure, ready[1].as_secs_f64() * 1e3, Goal::AtMost(5_000.0)))
}

/// A command, and the router's answer: its remediation.
async fn ask(pipeline: &Pipeline, bus: &Bus, lane: usize) -> Result<String> {
    let mut inbox = bus.inbox().await?;
    let order = pipeline.orders.next(lane, &SystemClock.now().to_string());
    let headers = Headers::new().with(CommandAnswer::REPLY_HEADER, inbox.subject());
    let subject = subject::command(&instance(lane));
    bus.publish_bytes(&subject, order.payload, None, headers).await?;
    let answer = tokio::time::timeout(SOON, inbox.next()).await.context("no answer came")?;
    let answer: CommandAnswer = serde_json::from_slice(&answer.context("the inbox has ended")?.payload)?;
    let id = answer.remediation_id.with_context(|| format!("it was not accepted: {answer:?}"))?;
    Ok(id.to_string())
}

/// The records of a remediation that waits for consent, once it waits.
async fn waits(pipeline: &Pipeline, id: &str) -> Result<Original> {
    let deadline = Instant::now() + SOON;
    loop {
        let original = original(pipeline, id).await?;
        let asks = |record: &LogMessage| {
            matches!(subject::parse_record(&record.subject), Some((.., RecordKind::ApprovalAsked(_))))
        };
        if original.records.iter().any(asks) {
            return Ok(original);
        }
        ensure!(Instant::now() < deadline, "nobody was asked for consent");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn original(pipeline: &Pipeline, id: &str) -> Result<Original> {
    let bus = pipeline.bus.as_ref().context("ours has a bus")?;
    let remediation: RemediationId = id.parse().context("an id of ours")?;
    let records = bus.find_remediation(remediation).await?;
    let accepted = records.first().context("a remediation has records")?;
    let accepted: serde_json::Value = accepted.json()?;
    let word = |value: &serde_json::Value| value.as_str().map(str::to_owned).context("a word of a command");
    Ok(Original {
        remediation: id.to_owned(),
        command: word(&accepted["command"]["command_id"])?,
        instance: word(&accepted["command"]["instance"])?,
        records,
    })
}

/// The owners of all shards have left word of everything that is open.
async fn leaves_a_hint(bus: &Bus, shards: u16, open: usize) -> Result<()> {
    let deadline = Instant::now() + SOON;
    loop {
        let mut known = 0;
        for shard in (0..shards).map(Shard) {
            known += bus.open_hint(shard).await?.accepted.len();
        }
        if known >= open {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "the hints know of {known} of {open}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
