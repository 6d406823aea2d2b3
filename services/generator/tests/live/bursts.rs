//! Bursts: whole windows of entries on their way at once, and deaths in the middle of them.

use std::time::Duration;

use instance_bus::{Bus, Headers};
use instance_contract::{IrisMessage, subject};
use instance_testkit::{NatsServer, bus, eventually};

use crate::{Host, PATIENCE, numbered};

/// Many are on their way at once then, so a death of the server cuts a window in two, and messages of others come between.
#[tokio::test]
async fn a_burst_is_stored_once_and_in_order_beside_others_and_over_deaths_of_both_sides() {
    let mut server = NatsServer::start();
    let bus = bus(&server).await;
    let mut host = Host::new(&server);
    let subject = {
        let (host, instance) = ("db2".parse().unwrap(), "OTHER".parse().unwrap());
        subject::error(&host, &instance, instance_contract::Severity::Info)
    };
    let others = async {
        loop {
            // What the bus does not take while it is dead is no matter here.
            let _ = bus.publish(&subject, &"not of this log", None, Headers::new()).await;
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
    };
    let all = tokio::select! {
        all = burst(&bus, &mut server, &mut host) => all,
        () = others => unreachable!("they never end"),
    };
    assert_eq!(all, numbered(1..=host.number));
}

/// Four bursts, in each of which somebody dies; then what is stored of the log.
async fn burst(bus: &Bus, server: &mut NatsServer, host: &mut Host) -> Vec<String> {
    for round in 0..4_u32 {
        let generator = host.generator(&[]);
        host.write_entries(2_000);
        let reached = format!("entry {}", host.number - 1_900 + round * 300);
        stored_texts(bus, &reached).await;
        match round {
            0 => generator.kill9(),
            1 => {
                server.kill9();
                server.restart();
                generator.kill9();
            }
            2 => {
                server.kill9();
                server.restart();
                assert_eq!(generator.terminate().code(), Some(0), "{}", host.said());
            }
            _ => {
                generator.kill9();
                host.lose_state();
            }
        }
    }
    let _generator = host.generator(&[]);
    host.write_entries(1);
    stored_texts(bus, &format!("entry {}", host.number)).await
}

/// The texts of this log on the bus, once one of them is `last`.
async fn stored_texts(bus: &Bus, last: &str) -> Vec<String> {
    eventually(PATIENCE * 2, || async {
        let reading =
            bus.read_errors(subject::errors_of(&"db1.example".parse().unwrap(), &"IRIS".parse().unwrap()));
        let mut reading = reading.await.ok()?;
        let mut texts = Vec::new();
        while let Some(message) = reading.next().await.ok()? {
            texts.push(IrisMessage::decode(&message.payload).unwrap().message_text.as_str().to_owned());
        }
        texts.iter().any(|text| text == last).then_some(texts)
    })
    .await
}
