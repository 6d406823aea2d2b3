//! The breaker around the webhook: who does not take findings is left alone for a while, and nothing is lost.

use std::sync::atomic::{AtomicUsize, Ordering};

use instance_contract::subject::{self, IncidentRecord};
use instance_llm::operate::{BREAKERS, BreakersReport, RESET};
use instance_testkit::{Endpoint, Seen, eventually};
use serde_json::json;

use crate::desk::{Desk, PATIENCE};

/// Where the breaker stands, as an operator is told.
async fn breakers(desk: &Desk, endpoint: &str, order: &str) -> Option<BreakersReport> {
    let found = desk.bus.find_services(None, std::time::Duration::from_secs(2)).await.ok()?;
    let analyst = found.iter().flat_map(|service| &service.endpoints).find(|it| it.name == endpoint)?;
    let subject = subject::model_found(&analyst.subject)?;
    let reply = desk.bus.request(&subject, order.to_owned().into(), std::time::Duration::from_secs(5)).await;
    serde_json::from_slice(&reply.ok()?.payload).ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_fails_three_times_is_left_alone_until_it_is_reset() {
    let (desk, seen, address) = (Desk::new().await, Seen::default(), Endpoint::nobody());
    let calls = AtomicUsize::new(0);
    let answer = move |_: &str, _| if calls.fetch_add(1, Ordering::SeqCst) < 3 { 503 } else { 200 };
    let _endpoint = Endpoint::start(address, &seen, answer);
    let webhook = format!("{{url=\"http://{address}/hook\",breaker={{open_seconds=86400}}}}");
    let _analyst = desk.analyst(&[("INSTANCE_ANALYST__WEBHOOK", &webhook)]);
    let is_found =
        |(kind, _): &&(IncidentRecord, serde_json::Value)| matches!(kind, IncidentRecord::Finding(_));
    desk.says(1, "Nobody has ever heard of this trouble", 2).await;
    eventually(PATIENCE, || async { (seen.all().len() == 3).then_some(()) }).await;

    // Another one, which nobody is told of while the breaker is open: it is asked for leave twice at least meanwhile.
    desk.says(2, "Marbles were lost in the east wing of the house", 3).await;
    desk.until("two findings", |records| records.iter().filter(is_found).count() == 2).await;
    let open = |at_least: u64| {
        let desk = &desk;
        eventually(PATIENCE, move || async move {
            let report = breakers(desk, BREAKERS, "").await?;
            let webhook = report.breakers.into_iter().find(|it| it.name == "webhook")?;
            (webhook.state == "open" && webhook.statistics.refused >= at_least).then_some(webhook)
        })
    };
    let before = open(1).await.statistics.refused;
    let status = open(before + 2).await;
    assert_eq!((status.statistics.failed, status.statistics.opened), (3, 1), "{status:?}");
    assert_eq!(seen.all().len(), 3, "nobody calls");

    let reset = || async { breakers(&desk, RESET, &json!({"name": "webhook"}).to_string()).await };
    eventually(PATIENCE, reset).await;
    eventually(PATIENCE, || async { (seen.answered(200).len() == 2).then_some(()) }).await;
}
