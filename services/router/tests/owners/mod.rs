//! Who drives a shard, and who does not.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use instance_bus::{Bus, Headers, Lease, Settings};
use instance_clock::SystemClock;
use instance_contract::{
    AgentKind, AnswerStatus, Carriers, OverallStatus, Owner, RemediationId, Shard, StepCommand, StepStatus,
    subject::{self, RecordKind},
};
use instance_testkit::{NatsServer, eventually};

use crate::desk::{self, Desk, command};

/// The lease of a dead router lives for three seconds, and the others look twice a second.
const TAKEN_OVER_WITHIN: Duration = Duration::from_secs(5);
/// A few seconds on a machine with nothing else to do.
const SHARED_WITHIN: Duration = Duration::from_mins(1);
/// In more than one shard, and whichever of them are given away, some of these go with them.
const INSTANCES: [&str; 12] =
    ["ALPHA", "BETA", "GAMMA", "DELTA", "EPSILON", "ZETA", "ETA", "THETA", "IOTA", "KAPPA", "LAMBDA", "MU"];
/// Less than a lease lives: who finds its own name in it does not wait for its end.
const AT_ONCE: Duration = Duration::from_secs(2);

/// Waits until one router, as this process, holds every shard; who that process is.
async fn holds_all(desk: &Desk, router: &str, not: &[String], within: Duration) -> Vec<String> {
    let shards: Vec<Shard> = desk.bus.topology().await.unwrap().shards().collect();
    eventually(within, || async {
        let mut processes = Vec::new();
        for shard in &shards {
            let holder = desk.bus.lease_holder(*shard).await.ok()??;
            (holder.router == router && !not.contains(&holder.process)).then_some(())?;
            processes.push(holder.process);
        }
        Some(processes)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn another_router_takes_over_within_five_seconds_and_the_same_one_at_once() {
    let desk = Desk::new().await;
    let first = desk.router("first");
    let first_process = holds_all(&desk, "first", &[], TAKEN_OVER_WITHIN).await;
    let second = desk.router("second");
    first.kill();
    let second_process = holds_all(&desk, "second", &first_process, TAKEN_OVER_WITHIN).await;
    second.kill();
    let _again = desk.router("second");
    holds_all(&desk, "second", &second_process, AT_ONCE).await;
}

/// Waits until each of these routers holds so many shards.
async fn hold(desk: &Desk, wanted: &[(&str, usize)]) {
    let shards: Vec<Shard> = desk.bus.topology().await.unwrap().shards().collect();
    let wanted: BTreeMap<String, usize> =
        wanted.iter().map(|(router, many)| ((*router).to_owned(), *many)).collect();
    eventually(SHARED_WITHIN, || async {
        let mut held = BTreeMap::new();
        for shard in &shards {
            *held.entry(desk.bus.lease_holder(*shard).await.ok()??.router).or_default() += 1;
        }
        (held == wanted).then_some(())
    })
    .await;
}

/// The epoch of whoever has written the newest step of a remediation.
async fn driver_of(desk: &Desk, id: RemediationId) -> u64 {
    let messages = desk.bus.find_remediation(id).await.unwrap();
    let step = messages.iter().rfind(|message| message.subject.contains(".step.")).unwrap();
    step.json::<StepCommand>().unwrap().token.epoch
}

/// What waits for a person in a shard that is given away goes on with its new owner.
#[tokio::test(flavor = "multi_thread")]
async fn routers_side_by_side_hold_as_many_shards_each_also_when_one_was_away() {
    let desk = Desk::new().await;
    let first = desk.router_with("first", desk::often());
    holds_all(&desk, "first", &[], SHARED_WITHIN).await;
    desk.agents("ALPHA", |_| Some(StepStatus::Success)).await;
    let mut open = Vec::new();
    for (number, instance) in (0..).zip(INSTANCES) {
        for agent in AgentKind::ALL {
            desk.bus.register_host(&instance.parse().unwrap(), *agent, &desk::host()).await.unwrap();
        }
        let answer = desk.ask(&command(200 + number, instance), instance).await;
        desk.asked(answer.remediation_id.unwrap()).await;
        open.push(answer.remediation_id.unwrap());
    }
    let accepted_by = owners(&desk).await.unwrap();
    let second = desk.router_with("second", desk::often());
    hold(&desk, &[("first", 2), ("second", 2)]).await;
    let (waits, goes_on) = open.split_at(1);
    let mut given = 0;
    for id in goes_on {
        desk.approve(*id).await;
        assert_eq!(desk.ended(*id).await.overall_status, OverallStatus::Success);
        given += usize::from(!accepted_by.contains(&driver_of(&desk, *id).await));
    }
    assert!(given > 0, "some of them were accepted by the one and ended by the other");

    first.kill();
    hold(&desk, &[("second", 4)]).await;
    let _first = desk.router_with("first", desk::often());
    hold(&desk, &[("first", 2), ("second", 2)]).await;
    desk.approve(waits[0]).await;
    assert_eq!(desk.ended(waits[0]).await.overall_status, OverallStatus::Success);
    for id in &open {
        let messages = desk.bus.find_remediation(*id).await.unwrap();
        let steps = messages.iter().filter(|message| {
            matches!(subject::parse_record(&message.subject), Some((_, _, RecordKind::Step { .. })))
        });
        assert_eq!(steps.count(), 3, "each step was sent once");
    }
    second.drained().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn three_routers_share_four_shards_and_two_share_those_of_the_third() {
    let desk = Desk::new().await;
    let first = desk.router("first");
    holds_all(&desk, "first", &[], SHARED_WITHIN).await;
    let _second = desk.router("second");
    hold(&desk, &[("first", 2), ("second", 2)]).await;
    let _third = desk.router("third");
    let shards: Vec<Shard> = desk.bus.topology().await.unwrap().shards().collect();
    eventually(SHARED_WITHIN, || async {
        let mut held: BTreeMap<String, usize> = BTreeMap::new();
        for shard in &shards {
            *held.entry(desk.bus.lease_holder(*shard).await.ok()??.router).or_default() += 1;
        }
        (held.len() == 3).then_some(())
    })
    .await;
    first.kill();
    hold(&desk, &[("second", 2), ("third", 2)]).await;
}

/// Somebody may be stuck for a reason of its own: its rights, its disk, its memory.
const USERS: &str = "
authorization { users: [
  { user: everybody, password: everybody }
  { user: stuck, password: stuck, permissions: { publish: { deny: \"instance.v1.remediation.*.owner.>\" } } }
] }
no_auth_user: everybody
";

#[tokio::test(flavor = "multi_thread")]
async fn a_router_that_cannot_drive_shards_leaves_them_to_one_that_can() {
    let desk = Desk::at(NatsServer::start_with(USERS)).await;
    let login = |name: &str| matches!(name, "NATS_USER" | "NATS_PASSWORD").then(|| "stuck".to_owned());
    let settings = Settings { url: Some(desk.server.url()), ..Settings::default() }.resolve(&login).unwrap();
    let bus = Bus::connect(&settings, "stuck", Arc::new(SystemClock)).await.unwrap();
    let _stuck = Desk::router_through(&bus, "stuck");
    eventually(SHARED_WITHIN, || async {
        let holder = desk.bus.lease_holder(Shard(0)).await.ok()??;
        (holder.router == "stuck").then_some(())
    })
    .await;
    let _able = desk.router("able");
    hold(&desk, &[("able", 4)]).await;
    desk.agents("PROD", |_| Some(StepStatus::Success)).await;
    let answer = desk.ask(&command(301, "PROD"), "PROD").await;
    assert_eq!(desk.ended(answer.remediation_id.unwrap()).await.overall_status, OverallStatus::Success);
}

/// The epochs of those who own the shards.
async fn owners(desk: &Desk) -> Option<BTreeSet<u64>> {
    let mut epochs = BTreeSet::new();
    for shard in desk.bus.topology().await.ok()?.shards() {
        let owners = desk.bus.read_log(shard, &subject::owners(shard)).await.ok()?;
        epochs.insert(owners.last()?.json::<Owner>().ok()?.epoch);
    }
    Some(epochs)
}

/// The server stands still for longer than an owner may believe in its lease. Nobody else was there to take it; but it
/// could not know that.
#[tokio::test(flavor = "multi_thread")]
async fn an_owner_that_could_not_renew_its_lease_in_time_takes_its_shards_anew() {
    let desk = Desk::new().await;
    let _router = desk.router("a");
    holds_all(&desk, "a", &[], SHARED_WITHIN).await;
    let before = eventually(SHARED_WITHIN, || owners(&desk)).await;
    // A machine that is short of time may let the server stand still for so long that a write is not waited for, or for
    // too short a time between two renewals; either is no answer, so it stands still again.
    for _ in 0..5 {
        desk.server.stop();
        tokio::time::sleep(Lease::LIFETIME + Duration::from_secs(1)).await;
        desk.server.cont();
        let until = tokio::time::Instant::now() + Duration::from_secs(10);
        while tokio::time::Instant::now() < until {
            if owners(&desk).await.is_some_and(|after| after.is_disjoint(&before)) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
    panic!("the shards were not taken anew: {before:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_router_without_the_lease_takes_nothing() {
    let desk = Desk::new().await;
    let mut leases = Vec::new();
    for shard in desk.bus.topology().await.unwrap().shards() {
        let mut lease = desk.bus.lease(shard, "somebody", "else");
        assert!(lease.try_acquire().await.unwrap());
        leases.push(lease);
    }
    desk.agents("PROD", |_| Some(StepStatus::Success)).await;
    let _router = desk.router_with("a", desk::often());
    let payload = command(40, "PROD");
    let answer = desk.ask(&payload, "PROD");
    tokio::pin!(answer);
    // Long enough to try for the lease three times, and short enough that it lives.
    let early = tokio::time::timeout(Duration::from_millis(1_500), &mut answer).await;
    assert!(early.is_err(), "it was taken without the lease: {early:?}");
    for lease in &mut leases {
        lease.release().await.unwrap();
    }
    assert_eq!(answer.await.status, AnswerStatus::Accepted);
}

/// It believes in its lease, which nobody has taken, and the log says that it was followed: the server takes none of its
/// records any more. It notices, and takes the shard as everybody does.
#[tokio::test(flavor = "multi_thread")]
async fn an_owner_that_was_followed_writes_nothing_more() {
    let desk = Desk::new().await;
    let _router = desk.router("a");
    desk.agents("PROD", |_| Some(StepStatus::Success)).await;
    let first = desk.ask(&command(42, "PROD"), "PROD").await;
    desk.ended(first.remediation_id.unwrap()).await;
    let messages = desk.bus.find_remediation(first.remediation_id.unwrap()).await.unwrap();
    let (shard, ..) = subject::parse_record(&messages[0].subject).unwrap();
    let owners = desk.bus.read_log(shard, &subject::owners(shard)).await.unwrap();
    let own: Owner = owners.last().unwrap().json().unwrap();
    let epoch = own.epoch + 3_600_000;
    let successor = Owner { epoch, router: "b".to_owned(), process: "another".to_owned(), ..own };
    desk.bus.publish_once(&subject::owner(shard, epoch), &successor, Headers::new()).await.unwrap();

    let second = desk.ask(&command(43, "PROD"), "PROD").await;
    assert_eq!(desk.ended(second.remediation_id.unwrap()).await.overall_status, OverallStatus::Success);
    let messages = desk.bus.find_remediation(second.remediation_id.unwrap()).await.unwrap();
    let steps = messages.iter().filter(|message| message.subject.contains(".step."));
    let epochs: Vec<u64> = steps.map(|step| step.json::<StepCommand>().unwrap().token.epoch).collect();
    assert_eq!(epochs.len(), 3);
    assert!(epochs.iter().all(|by| *by > epoch), "{epochs:?} are not above {epoch}");
}

/// Its agents sleep, so a question of it is under way for five seconds when it is told to leave.
#[tokio::test(flavor = "multi_thread")]
async fn a_router_that_leaves_keeps_its_shard_until_it_has_finished() {
    let desk = Desk::new().await;
    let router = desk.router("a");
    desk.agents("PROD", |_| Some(StepStatus::Success)).await;
    desk.agents_fall_asleep();
    let answer = desk.ask(&command(44, "PROD"), "PROD").await;
    let accepted = tokio::time::Instant::now();
    let messages = desk.bus.find_remediation(answer.remediation_id.unwrap()).await.unwrap();
    let (shard, ..) = subject::parse_record(&messages[0].subject).unwrap();
    router.request_drain();
    while accepted.elapsed() < Duration::from_secs(4) {
        let holder = desk.bus.lease_holder(shard).await.unwrap();
        // A machine that was too busy to look in time says nothing.
        if accepted.elapsed() < Duration::from_secs(4) {
            assert!(holder.is_some(), "given back after {:?}", accepted.elapsed());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    router.drained().await;
    assert_eq!(desk.bus.lease_holder(shard).await.unwrap(), None);
}

/// The first of three layers; agents that know nothing of it would act.
#[tokio::test(flavor = "multi_thread")]
async fn what_carries_instance_is_refused_by_the_router_alone() {
    let desk = Desk::new().await;
    let carriers = Carriers(vec!["OPS".to_owned()]);
    let _router = desk.router_sparing("a", desk::often(), carriers);
    desk.agents("OPS", |_| Some(StepStatus::Success)).await;
    let answer = desk.ask(&command(41, "OPS"), "OPS").await;
    assert_eq!((answer.status, answer.faults[0].field.as_str()), (AnswerStatus::Refused, "instance"));
    assert!(answer.faults[0].rule.contains("carries Instance itself"), "{answer:?}");
    assert_eq!(desk.ended(answer.remediation_id.unwrap()).await.overall_status, OverallStatus::Refused);
    assert!(desk.sent().is_empty());
}
