//! A halt is in force within a second, whether it is heard or not.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::{sync::Arc, time::Duration};

use instance_bus::{Bus, Headers, KillSwitch, Resolved, Settings};
use instance_clock::{Clock as _, MockClock};
use instance_contract::subject::Subject;
use instance_testkit::NatsServer;
use jiff::SignedDuration;

/// A user who hears nothing of what is written to the switch, and everybody else.
const USERS: &str = "
authorization { users: [
  { user: everybody, password: everybody }
  { user: deaf, password: deaf, permissions: { subscribe: { deny: \"$KV.>\" } } }
] }
no_auth_user: everybody
";

fn clock() -> Arc<MockClock> {
    Arc::new(MockClock::new("2026-11-21T10:00:00Z".parse().unwrap()))
}

async fn connect(url: &str, clock: &Arc<MockClock>) -> Bus {
    Bus::connect(&Resolved::at(url), "acting", clock.clone()).await.unwrap()
}

/// A look at the open switch, by somebody who hears nothing of the halt that follows it.
async fn looked_and_halted(server: &NatsServer, clock: &Arc<MockClock>) -> KillSwitch {
    let person = instance_testkit::bus(server).await;
    let login = |name: &str| matches!(name, "NATS_USER" | "NATS_PASSWORD").then(|| "deaf".to_owned());
    let settings = Settings { url: Some(server.url()), ..Settings::default() }.resolve(&login).unwrap();
    let switch = Bus::connect(&settings, "acting", clock.clone()).await.unwrap().kill_switch().await.unwrap();
    assert!(!switch.is_halted().await.unwrap());
    person.halt("ann", "storage is failing").await.unwrap();
    switch
}

#[tokio::test]
async fn a_halt_that_is_heard_is_in_force_before_anything_its_sender_sent_after_it() {
    let server = NatsServer::start();
    let person = instance_testkit::bus(&server).await;
    let acting = connect(&server.url(), &clock()).await;
    let switch = acting.kill_switch().await.unwrap();
    let mut steps = acting.inbox().await.unwrap();
    let step = Subject::foreign(steps.subject()).unwrap();
    for _ in 0..20 {
        assert!(!switch.is_halted().await.unwrap());
        person.halt("ann", "storage is failing").await.unwrap();
        // What the halting connection sends next comes behind its halt. An answer of the server to us need not: it
        // acknowledges a write from another thread than the one that hands the write on.
        person.publish_core(&step, "a step".into(), Headers::new()).await.unwrap();
        steps.next().await.unwrap();
        assert!(!switch.is_known_open());
        assert!(switch.is_halted().await.unwrap());
        person.lift_halt("somebody").await.unwrap();
        assert!(!switch.is_halted().await.unwrap());
    }
}

#[tokio::test]
async fn an_open_switch_is_not_asked_about_again_until_the_look_is_too_old() {
    let mut server = NatsServer::start();
    instance_testkit::bus(&server).await;
    let clock = clock();
    let switch = connect(&server.url(), &clock).await.kill_switch().await.unwrap();
    assert!(!switch.is_known_open(), "nobody has looked yet");
    assert!(!switch.is_halted().await.unwrap());
    server.kill9();
    clock.advance(Duration::from_millis(800));
    assert!(!switch.is_known_open(), "the look is too old");
    assert!(switch.is_halted().await.unwrap_err().is_unreachable());
}

#[tokio::test]
async fn a_halt_that_is_not_heard_is_in_force_within_a_second() {
    let server = NatsServer::start_with(USERS);
    let clock = clock();
    let switch = looked_and_halted(&server, &clock).await;
    clock.advance(Duration::from_millis(999));
    assert!(switch.is_halted().await.unwrap());
}

#[tokio::test]
async fn a_clock_that_was_set_back_makes_no_look_last_longer() {
    let server = NatsServer::start_with(USERS);
    let clock = clock();
    let switch = looked_and_halted(&server, &clock).await;
    clock.set(clock.now() - SignedDuration::from_hours(1));
    assert!(switch.is_halted().await.unwrap());
}
