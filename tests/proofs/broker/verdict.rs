//! What is there afterwards: the logs read again from their beginning, beside what the witness counted.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use anyhow::{Context as _, Result};
use instance_contract::{RemediationId, Shard, subject};
use jiff::Timestamp;
use serde_json::Value;

use crate::{
    load::Sent,
    plan::KEYS,
    records,
    site::{INSTANCES, SHARDS, Site},
};

/// Plans without a planted failure must mostly succeed: a proof in which nothing happens proves nothing.
const LEAST_SUCCESS_PERCENT: usize = 90;

/// What came of all plans.
#[derive(Debug, Default)]
pub struct Verdict {
    pub plans: usize,
    /// Plans by how they ended.
    pub ends: BTreeMap<String, usize>,
    /// Commands that the stream took and that never ended, or ended twice.
    pub lost: usize,
    /// Changes of a CPF beyond those that the traces tell.
    pub double: usize,
    /// From the first sending of a command to its end, and whose.
    pub longest: (Duration, Option<RemediationId>),
    /// From the end of the last fault to the last end.
    pub since_last_fault: Duration,
    /// Everything that is wrong.
    pub faults: Vec<String>,
}

/// One end, as it stands in the log.
struct Ended {
    trace: Value,
    at: Timestamp,
    sequence: u64,
}

impl Verdict {
    pub async fn over(site: &Site, sent: &[Sent], last_fault: Timestamp, bound: Duration) -> Result<Self> {
        let client = site.fresh_client().await?;
        let mut ends: HashMap<RemediationId, Vec<Ended>> = HashMap::new();
        for shard in 0..SHARDS {
            read(&client, Shard(shard), &mut ends).await?;
        }
        let mut verdict = Self { plans: sent.len(), ..Self::default() };
        for sent in sent {
            verdict.judge_plan(
                sent,
                ends.get(&sent.plan.id).map(Vec::as_slice).unwrap_or_default(),
                last_fault,
            );
        }
        for instance in 0..INSTANCES {
            verdict.judge_instance(site, instance, sent, &ends);
        }
        verdict.judge_all(ends.len(), bound);
        Ok(verdict)
    }

    fn judge_plan(&mut self, sent: &Sent, ends: &[Ended], last_fault: Timestamp) {
        let id = sent.plan.id;
        if !sent.acknowledged {
            self.faults.push(format!("{id}: the stream never took the command"));
        }
        let [ended] = ends else {
            self.lost += 1;
            self.faults.push(format!("{id}: {} ends", ends.len()));
            return;
        };
        let status = text(&ended.trace, "overall_status").to_owned();
        if status != "success" {
            let reason = text(&ended.trace, "reason");
            println!(
                "  {id} of {} ended {status}: {reason} {}",
                crate::plan::name(sent.plan.instance),
                told(&ended.trace)
            );
        }
        *self.ends.entry(status).or_default() += 1;
        let between = |from: Timestamp| Duration::try_from(ended.at.duration_since(from)).unwrap_or_default();
        self.longest = self.longest.max((between(sent.at), Some(id)));
        self.since_last_fault = self.since_last_fault.max(between(last_fault));
    }

    /// Plans of one instance come one after the other, so their ends in the order of the log tell its story.
    fn judge_instance(
        &mut self,
        site: &Site,
        instance: usize,
        sent: &[Sent],
        ends: &HashMap<RemediationId, Vec<Ended>>,
    ) {
        let ours: Vec<&Sent> = sent.iter().filter(|sent| sent.plan.instance == instance).collect();
        let mut story: Vec<(&Sent, &Ended)> =
            ours.iter().filter_map(|sent| Some((*sent, ends.get(&sent.plan.id)?.first()?))).collect();
        story.sort_by_key(|(_, ended)| ended.sequence);
        let (mut changes, mut values) = (0, [None, None, None]);
        for (sent, ended) in &story {
            for (step, value) in values.iter_mut().enumerate() {
                match status_of(&ended.trace, ["one", "two", "three"][step]) {
                    "success" => {
                        changes += 1;
                        *value = Some(sent.plan.value(step));
                    }
                    "undone" => changes += 2,
                    _ => {}
                }
            }
        }
        let (name, effects) = (crate::plan::name(instance), site.witness.effects(instance));
        if story.len() < ours.len() {
            // What the lost ones have done is not told anywhere.
            return;
        }
        self.double += effects.replaced.saturating_sub(changes);
        if effects.replaced != changes || effects.written_into != 0 {
            let told = format!("{changes} changes told, {effects:?} counted");
            self.faults.push(format!("{name}: {told}"));
        }
        let faults = site.witness.faults(instance, &values).into_iter();
        self.faults.extend(faults.map(|fault| format!("{name}: {fault}")));
    }

    fn judge_all(&mut self, ends: usize, bound: Duration) {
        if ends > self.plans {
            self.faults.push(format!("{ends} remediations have ended, of {} commands", self.plans));
        }
        let successes = self.ends.get("success").copied().unwrap_or_default();
        if successes * 100 < self.plans * LEAST_SUCCESS_PERCENT || self.plans == 0 {
            self.faults.push(format!("only {successes} of {} plans succeeded", self.plans));
        }
        if self.since_last_fault > bound {
            let late = self.since_last_fault.as_secs_f64();
            self.faults.push(format!("the last end came {late:.1} s after the last fault"));
        }
    }
}

/// Everything that has ended in a shard.
async fn read(
    client: &async_nats::Client,
    shard: Shard,
    ends: &mut HashMap<RemediationId, Vec<Ended>>,
) -> Result<()> {
    records::read(client, shard, subject::records_of(shard, "ended").as_str(), |message| {
        let info = message.info().map_err(|error| anyhow::anyhow!(error))?;
        let (_, id, _) = subject::parse_record(&message.subject).context("no record")?;
        let at = Timestamp::from_nanosecond(info.published.unix_timestamp_nanos())?;
        let trace = serde_json::from_slice(&message.payload)?;
        ends.entry(id).or_default().push(Ended { trace, at, sequence: info.stream_sequence });
        Ok(())
    })
    .await
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

/// What the trace says of a step. A step that changed nothing is not told as a success that did.
fn status_of<'a>(trace: &'a Value, step: &str) -> &'a str {
    let steps = trace["steps_executed"].as_array().map(Vec::as_slice).unwrap_or_default();
    let found = steps.iter().find(|found| found["step_id"] == step);
    found.map(|found| text(found, "status")).unwrap_or_default()
}

/// The steps of a trace in short, for people.
fn told(trace: &Value) -> String {
    let steps = trace["steps_executed"].as_array().map(Vec::as_slice).unwrap_or_default();
    let step = |step: &Value| {
        format!("{} {} {}", text(step, "step_id"), text(step, "status"), text(step, "error_message"))
    };
    steps.iter().map(step).collect::<Vec<_>>().join(", ")
}

const _: () = assert!(KEYS.len() == 3, "a plan has three steps");
