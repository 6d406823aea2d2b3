//! Micro services, requests and traces on a real server.

use std::{collections::HashMap, time::Duration};

use bytes::Bytes;
use instance_bus::{Headers, RequestError, ServiceError};
use instance_contract::{AgentKind, AskKind, HostName, subject};
use instance_testkit::NatsServer;

const SOON: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_service_is_found_asked_and_gone() {
    let server = NatsServer::start();
    let bus = instance_testkit::connect(&server).await;
    let host: HostName = "db1".parse().unwrap();
    let facts = subject::ask(AgentKind::Config, &host, AskKind::Facts);
    let metadata = HashMap::from([("host".to_owned(), "db1".to_owned())]);
    let mut service = bus
        .service("instance-config-agent", "0.1.0", "Changes the CPF.", metadata)
        .endpoint("facts", &facts, HashMap::new())
        .start()
        .await
        .unwrap();
    let router = bus.service("instance-router", "0.1.0", "", HashMap::new()).start().await.unwrap();

    let found = bus.find_services(None, Duration::from_millis(500)).await.unwrap();
    let names: Vec<&str> = found.iter().map(|service| service.name.as_str()).collect();
    assert_eq!(names, ["instance-config-agent", "instance-router"]);
    assert_eq!(found[0].metadata["host"], "db1");
    assert_eq!(found[0].endpoints[0].subject, facts.as_str());

    let client = async_nats::connect(server.url()).await.unwrap();
    let ping = client.request("$SRV.PING.instance-router", Bytes::new()).await.unwrap();
    assert!(String::from_utf8_lossy(&ping.payload).contains("io.nats.micro.v1.ping_response"));

    let (reply, ()) = tokio::join!(bus.request(&facts, Bytes::from("?"), SOON), async {
        let request = service.next().await.unwrap();
        assert_eq!((request.endpoint(), &request.payload()[..]), ("facts", &b"?"[..]));
        request.respond(Ok(Bytes::from("!"))).await.unwrap();
    });
    assert_eq!(reply.unwrap().payload, "!");
    let (refused, ()) = tokio::join!(bus.request(&facts, Bytes::new(), SOON), async {
        let request = service.next().await.unwrap();
        request.respond(Err(ServiceError::new(404, "no such instance"))).await.unwrap();
    });
    match refused {
        Err(RequestError::Answered { error, .. }) => {
            assert_eq!(error, ServiceError::new(404, "no such instance"));
        }
        other => panic!("{other:?}"),
    }

    drop((service, router));
    instance_testkit::eventually(SOON, || async {
        bus.find_services(None, Duration::from_millis(200)).await.unwrap().is_empty().then_some(())
    })
    .await;
    let nobody = bus.request(&facts, Bytes::new(), SOON).await;
    assert!(matches!(nobody, Err(RequestError::NobodyThere { .. })), "{nobody:?}");
}

#[tokio::test]
async fn an_inbox_receives_an_answer_that_comes_later() {
    let server = NatsServer::start();
    let bus = instance_testkit::connect(&server).await;
    let mut inbox = bus.inbox().await.unwrap();
    let reply = subject::Subject::foreign(inbox.subject()).expect("an inbox may be answered to");
    bus.publish_core(&reply, Bytes::from("accepted"), Headers::new().with("Instance-Schema", "x"))
        .await
        .unwrap();
    let answer = tokio::time::timeout(SOON, inbox.next()).await.unwrap().unwrap();
    assert_eq!((&answer.payload[..], answer.headers.get("Instance-Schema")), (&b"accepted"[..], Some("x")));
}
