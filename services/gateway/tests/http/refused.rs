//! Nobody is heard without a credential, and no credential does more than it may.

use crate::desk::{LOOKER, TOKEN, desk};

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_known_is_refused_alike_and_nothing_is_done() {
    let desk = desk().await;
    let body = r#"{"version": "4", "alerts": []}"#;
    let post = || {
        let request = desk.client.post(desk.url("/v1/alerts/alertmanager")).body(body);
        request.header("content-type", "application/json")
    };
    let near = format!("{}x", &TOKEN[..TOKEN.len() - 1]);
    let asked = [
        post(),
        post().bearer_auth(""),
        post().bearer_auth(near),
        post().basic_auth("tests", Some(TOKEN)),
        post().header("instance-signature", "sha256=00").header("instance-timestamp", "0"),
        // A signature counts alone: a good token beside a bad one lets nobody in.
        post().header("instance-signature", "sha256=00").bearer_auth(TOKEN),
    ];
    let mut answers = Vec::new();
    for request in asked {
        let answer = desk.send(request).await;
        assert_eq!(answer.header("www-authenticate"), "Bearer");
        assert_eq!(answer.header("content-type"), "application/problem+json");
        answers.push((answer.status, answer.text));
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:#?}");
    assert_eq!(answers[0].0, 401);
    assert!(!answers[0].1.contains("tests"), "no name is told: {}", answers[0].1);
    assert_eq!(desk.send(post().bearer_auth(TOKEN)).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_does_what_it_may_and_no_more() {
    let desk = desk().await;
    let as_looker = |request: reqwest::RequestBuilder| desk.send(request.bearer_auth(LOOKER));
    let listed = as_looker(desk.client.get(desk.url("/v1/remediations"))).await;
    assert_eq!((listed.status, listed.json()["found"].as_u64()), (200, Some(0)));
    let id = "6f1d2c0a-52b7-4c43-9a3e-1b6077a1d5c8";
    for path in ["/v1/alerts/alertmanager", "/v1/commands", &format!("/v1/remediations/{id}/approvals")] {
        let answer = as_looker(desk.client.post(desk.url(path)).body("{}")).await;
        assert_eq!(answer.status, 403, "{path}: {answer:?}");
        assert!(answer.text.contains("looker"), "{answer:?}");
    }
}
