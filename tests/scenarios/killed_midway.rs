//! Whoever is killed in the middle: the remediation ends in one true trace, and each effect is there once.

use std::{collections::BTreeSet, time::Duration};

use crate::pipeline::{AGENTS, Gate, Pipeline, kill9, processes_of, wish};
use instance_contract::{RemediationId, WorkflowTrace};
use instance_testkit::eventually;

const OLD: &str = "\nglobals=0,0,256,0,0,0\n";
const NEW: &str = "\nglobals=0,0,512,0,0,0\n";

/// A pipeline whose instance is stopped by a restart and waits before it starts.
struct Midway {
    pipeline: Pipeline,
    gate: Gate,
    starts: usize,
}

impl Midway {
    async fn new() -> Self {
        let mut pipeline = Pipeline::new(&["--globals", "256"]).await;
        pipeline.iris.start();
        let gate = pipeline.gate("start");
        pipeline.everything().await;
        let starts = pipeline.iris.starts();
        Self { pipeline, gate, starts }
    }

    /// Config change and restart, accepted.
    async fn asked(&self) -> RemediationId {
        self.pipeline.ask(&wish::set_cpf("globals", "0,0,512,0,0,0", true)).await.remediation_id.unwrap()
    }

    /// It ended well, and everything was done once: counted where it was done, not where it was told.
    async fn done_once(&self, id: RemediationId) -> WorkflowTrace {
        let trace = self.pipeline.succeeded(id).await;
        let iris = &self.pipeline.iris;
        assert!(iris.cpf().contains(NEW));
        assert_eq!(iris.backups(), 1, "one change of the CPF");
        assert_eq!(iris.starts(), self.starts + 1, "one start");
        assert_eq!(iris.status()["told"]["globals_8k_mb"], 512);
        let steps: Vec<&str> = trace.steps_executed.iter().map(|step| step.step_id.as_str()).collect();
        assert_eq!(steps, ["config", "restart", "verify"], "{trace:#?}");
        let records = self.pipeline.records(id).await;
        let subjects: BTreeSet<&str> = records.iter().map(|record| record.subject.as_str()).collect();
        assert_eq!(subjects.len(), records.len(), "each record is written once");
        assert_eq!(subjects.iter().filter(|subject| subject.rsplit('.').next() == Some("ended")).count(), 1);
        trace
    }

    /// How many routers have taken the shard of a remediation, one after the other.
    async fn owners(&self, id: RemediationId) -> usize {
        let subject = self.pipeline.recorded(id, "accepted").await.subject;
        let (shard, ..) = instance_contract::subject::parse_record(&subject).unwrap();
        let stored = self.pipeline.stored(&format!("INSTANCE_REMEDIATIONS_{shard}")).await;
        stored.iter().filter(|message| message.subject.as_str().contains(".owner.")).count()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_router_killed_after_the_first_result_comes_back_under_its_name_and_goes_on() {
    let mut midway = Midway::new().await;
    let id = midway.asked().await;
    midway.pipeline.recorded(id, "result.config.1").await;
    midway.pipeline.service("router-a").kill9();
    midway.pipeline.router("a");
    midway.gate.reached().await;
    midway.gate.open();
    midway.done_once(id).await;
    assert_eq!(midway.owners(id).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_router_is_followed_by_another() {
    let mut midway = Midway::new().await;
    let id = midway.asked().await;
    midway.gate.reached().await;
    midway.pipeline.service("router-a").kill9();
    midway.pipeline.router("b");
    // While nobody owns the shard the step goes on, and its result waits.
    midway.gate.open();
    midway.done_once(id).await;
    assert_eq!(midway.owners(id).await, 2);
}

/// A step whose agent has died is delivered again after half a minute, so these four wait side by side.
#[tokio::test(flavor = "multi_thread")]
async fn killed_agents_make_good_what_they_had_begun() {
    tokio::join!(
        a_restart_agent_killed_during_the_start_finds_out_what_became_of_it(),
        a_restart_agent_killed_with_the_program_it_had_called_starts_the_instance(),
        a_config_agent_killed_as_its_step_comes_changes_the_file_once(),
        everything_killed_at_once_goes_on_when_it_is_started_again(),
    );
}

async fn a_restart_agent_killed_during_the_start_finds_out_what_became_of_it() {
    let mut midway = Midway::new().await;
    let id = midway.asked().await;
    midway.gate.reached().await;
    midway.pipeline.service("restart-agent").kill9();
    // The program that it had called lives on, with nobody to read what it prints.
    midway.gate.open();
    midway.pipeline.agent("restart-agent");
    midway.done_once(id).await;
}

async fn a_restart_agent_killed_with_the_program_it_had_called_starts_the_instance() {
    let mut midway = Midway::new().await;
    let id = midway.asked().await;
    midway.gate.reached().await;
    midway.pipeline.service("restart-agent").kill9();
    let program = midway.gate.program.clone();
    for (pid, _) in processes_of(&program) {
        kill9(pid);
    }
    assert_eq!(midway.pipeline.iris.state().0, "down");
    midway.gate.open();
    midway.pipeline.agent("restart-agent");
    midway.done_once(id).await;
}

async fn a_config_agent_killed_as_its_step_comes_changes_the_file_once() {
    let mut midway = Midway::new().await;
    midway.gate.open();
    let id = midway.asked().await;
    // Wherever this finds it: before, within or after its work.
    midway.pipeline.service("config-agent").kill9();
    let cpf = midway.pipeline.iris.cpf();
    assert!(cpf.contains(OLD) || cpf.contains(NEW), "never half a file");
    midway.pipeline.agent("config-agent");
    midway.done_once(id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_nats_server_comes_back_and_nothing_is_lost() {
    let mut midway = Midway::new().await;
    let id = midway.asked().await;
    midway.gate.reached().await;
    midway.pipeline.server.kill9();
    // The step is done while there is no bus; its result is told when there is one again.
    midway.gate.open();
    eventually(Duration::from_secs(10), || async {
        (midway.pipeline.iris.starts() == midway.starts + 1).then_some(())
    })
    .await;
    midway.pipeline.server.restart();
    midway.done_once(id).await;
}

async fn everything_killed_at_once_goes_on_when_it_is_started_again() {
    let mut midway = Midway::new().await;
    let id = midway.asked().await;
    midway.gate.reached().await;
    let services = AGENTS.iter().copied().chain(["router-a", "generator"]);
    services.for_each(|service| midway.pipeline.service(service).kill9());
    midway.pipeline.server.kill9();
    midway.gate.open();
    midway.pipeline.server.restart();
    midway.pipeline.everything().await;
    midway.done_once(id).await;
}
