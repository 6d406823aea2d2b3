//! Everything that comes in has a bound, and what was taken is finished.

use std::time::Duration;

use instance_gateway::Limits;
use instance_testkit::eventually;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::desk::{PATIENCE, TOKEN, desk_with};

async fn read_to_the_end(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut text)).await.unwrap();
    // A reset is an end too.
    drop(read);
    String::from_utf8_lossy(&text).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_webhooks_is_cut_and_health_stays_to_be_seen() {
    // One a second: what is let through is the burst, and hardly more while the test lasts.
    let desk = desk_with(Limits { requests_per_second: 1, burst: 5, ..Limits::default() }).await;
    let body = json!({"version": "4", "alerts": [{
        "status": "firing", "labels": {"alertname": "IrisDown", "iris_instance": "PROD"},
        "startsAt": "2026-11-21T08:00:00Z", "fingerprint": "f1",
    }]});
    let flood = futures::future::join_all((0..200).map(|_| desk.post("/v1/alerts/alertmanager", &body)));
    let answers = flood.await;
    let count = |status: u16| answers.iter().filter(|answer| answer.status == status).count();
    assert_eq!(count(200) + count(429), 200);
    assert!(count(200) >= 5 && count(429) >= 100, "{} let through", count(200));
    let cut = answers.iter().find(|answer| answer.status == 429).unwrap();
    assert_eq!(cut.header("retry-after"), "1");
    assert_eq!(desk.newest_command("PROD").await.unwrap().0, 1, "one alert, one command");
    assert_eq!(desk.get("/livez").await.status, 200, "the open door has a limit of its own");
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_are_cut_before_their_bodies_are_read_and_keep_nobody_out() {
    let desk = desk_with(Limits { requests_per_second: 1, burst: 20, ..Limits::default() }).await;
    let desk = &desk;
    let signed = |body: &'static str| {
        let at = instance_clock::Clock::now(&instance_clock::SystemClock).as_second().to_string();
        let request = desk.client.post(desk.url("/v1/commands")).body(body).header("instance-timestamp", at);
        request.header("instance-signature", format!("sha256={}", "0".repeat(64)))
    };
    let guessed = || desk.client.get(desk.url("/v1/remediations")).bearer_auth("a-token-that-is-guessed");
    let flood = futures::future::join_all((0..100).map(|number| {
        let request = if number % 2 == 0 { guessed() } else { signed("{}") };
        async move { desk.send(request).await.status }
    }));
    let statuses = flood.await;
    let count = |status: u16| statuses.iter().filter(|found| **found == status).count();
    assert_eq!(count(401) + count(429), 100, "{statuses:?}");
    assert!(count(401) >= 20 && count(429) > 0, "{statuses:?}");

    // A body is promised, and the answer does not wait for it.
    let at = instance_clock::Clock::now(&instance_clock::SystemClock).as_second();
    let head = format!(
        "POST /v1/commands HTTP/1.1\r\nhost: x\r\ncontent-length: 60000\r\nconnection: close\r\n\
         instance-timestamp: {at}\r\ninstance-signature: sha256={}\r\n\r\n",
        "0".repeat(64)
    );
    let refused = eventually(4 * PATIENCE, || async {
        // Once a second one of them is heard.
        desk.send(signed("{}")).await;
        let mut stream = TcpStream::connect(desk.address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut begin = [0; 12];
        stream.read_exact(&mut begin).await.unwrap();
        // 408 is what a body that was waited for would come to.
        (&begin == b"HTTP/1.1 429").then_some(())
    });
    refused.await;

    // Neither health nor who has a credential is kept waiting by them.
    for _ in 0..60 {
        assert_eq!(desk.get("/livez").await.status, 200);
        assert_eq!(desk.get("/readyz").await.status, 200);
    }
    assert_eq!(desk.get("/v1/remediations").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_too_slow_or_packed_is_refused() {
    let limits = Limits { request_seconds: 1, ..Limits::default() };
    let desk = desk_with(limits).await;
    let large = desk.post_text("/v1/alerts/alertmanager", vec![b' '; 1024 * 1024 + 1]).await;
    assert_eq!(large.status, 413);
    let command = desk.post_text("/v1/commands", vec![b' '; 64 * 1024 + 1]).await;
    assert_eq!(command.status, 413);
    let packed = desk.client.post(desk.url("/v1/commands")).bearer_auth(TOKEN);
    let packed =
        packed.header("content-type", "application/json").header("content-encoding", "gzip").body("x");
    assert_eq!(desk.send(packed).await.status, 415);
    let typeless = desk.client.post(desk.url("/v1/commands")).bearer_auth(TOKEN).body("{}");
    assert_eq!(desk.send(typeless).await.status, 415);

    // Half a body, then silence.
    let mut slow = TcpStream::connect(desk.address).await.unwrap();
    let head = format!(
        "POST /v1/commands HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {TOKEN}\r\ncontent-type: application/json\r\n\
         content-length: 100\r\n\r\n{{"
    );
    slow.write_all(head.as_bytes()).await.unwrap();
    let told = read_to_the_end(&mut slow).await;
    assert!(told.starts_with("HTTP/1.1 408 "), "{told}");
    // Half a head, then silence.
    let mut slow = TcpStream::connect(desk.address).await.unwrap();
    slow.write_all(b"POST /v1/commands HTTP/1.1\r\nhost:").await.unwrap();
    let told = read_to_the_end(&mut slow).await;
    assert!(told.is_empty() || told.starts_with("HTTP/1.1 408 "), "{told}");
    // More headers than anybody needs.
    let mut greedy = TcpStream::connect(desk.address).await.unwrap();
    let head = "x-more: y\r\n".repeat(500);
    greedy.write_all(format!("GET /livez HTTP/1.1\r\nhost: x\r\n{head}\r\n").as_bytes()).await.unwrap();
    let told = read_to_the_end(&mut greedy).await;
    assert!(told.starts_with("HTTP/1.1 431 "), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn so_many_connections_and_no_more() {
    let desk = desk_with(Limits { connections: 2, ..Limits::default() }).await;
    let ask = b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n";
    let mut open = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(desk.address).await.unwrap();
        // Half a head holds a connection for ten seconds.
        stream.write_all(&ask[..10]).await.unwrap();
        open.push(stream);
    }
    let mut third = TcpStream::connect(desk.address).await.unwrap();
    third.write_all(ask).await.unwrap();
    let mut byte = [0];
    let waited = tokio::time::timeout(Duration::from_millis(300), third.read_exact(&mut byte)).await;
    assert!(waited.is_err(), "a third connection was served beside two");
    drop(open);
    tokio::time::timeout(PATIENCE, third.read_exact(&mut byte)).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_bus_it_lives_and_is_not_ready_and_alertmanager_is_told_to_come_again() {
    // More than the two seconds that /readyz waits for the bus, so that it is /readyz who answers.
    let desk = desk_with(Limits { request_seconds: 10, ..Limits::default() }).await;
    assert_eq!(desk.get("/readyz").await.status, 200);
    let verbose = desk.get("/readyz?verbose").await;
    assert!(verbose.text.contains("[+]streams ok: ") && verbose.text.ends_with("\nok\n"), "{verbose:?}");
    desk.kill_bus();
    eventually(PATIENCE, || async { (desk.get("/readyz").await.status == 503).then_some(()) }).await;
    assert_eq!(desk.get("/livez").await.status, 200);
    let told = desk.get("/readyz?verbose").await;
    assert!(told.text.contains("[-]bus failed: ") && told.text.ends_with("not ready\n"), "{told:?}");
    let body = json!({"version": "4", "alerts": [{
        "status": "firing", "labels": {"alertname": "IrisDown", "iris_instance": "PROD"},
        "startsAt": "2026-11-21T08:00:00Z", "fingerprint": "f1",
    }]});
    let away = desk.post("/v1/alerts/alertmanager", &body).await;
    assert_eq!(away.status, 503, "{away:?}");
    let page = instance_signals::scrape(instance_signals::Format::Prometheus, std::iter::empty());
    let failed =
        page.lines().find(|line| line.contains("error_type=\"503\"") && line.contains("alertmanager"));
    assert!(failed.is_some_and(|line| line.starts_with("http_server_request_duration_seconds")), "{page}");
    let well = page.lines().filter(|line| line.contains("http_response_status_code=\"200\""));
    assert_eq!(well.filter(|line| line.contains("error_type")).count(), 0);
    desk.restart_bus();
    eventually(PATIENCE, || async {
        (desk.post("/v1/alerts/alertmanager", &body).await.status == 200).then_some(())
    })
    .await;
    assert_eq!(desk.newest_command("PROD").await.unwrap().0, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_ends_streams_and_finishes_what_was_taken() {
    let mut desk = desk_with(Limits { event_streams: 1, ..Limits::default() }).await;
    let events = || desk.client.get(desk.url("/v1/events")).bearer_auth(TOKEN);
    let stream = tokio::time::timeout(PATIENCE, events().send()).await.unwrap().unwrap();
    assert_eq!(stream.headers()["content-type"], "text/event-stream");
    let second = desk.send(events()).await;
    assert_eq!(second.status, 503, "one stream at a time was set");
    let address = desk.address;
    desk.drained().await;
    let rest = tokio::time::timeout(PATIENCE, stream.text()).await.unwrap();
    drop(rest);
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens there any more");
}
