use std::io::{Read as _, Write as _};

use serde_json::json;

use super::*;

/// One call, whole; what came back until the connection ended.
fn call(server: &ModelServer, body: &str) -> String {
    let mut connection = TcpStream::connect(server.address).unwrap();
    connection.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: h\r\nauthorization: Bearer k";
    write!(connection, "{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    answer
}

fn question(text: &str) -> String {
    json!({"model": "m", "messages": [{"role": "user", "content": text}]}).to_string()
}

#[test]
fn answers_come_in_the_order_of_the_script_and_calls_are_counted() {
    let server = ModelServer::start();
    server
        .expect(ModelAnswer::text("one"))
        .expect(ModelAnswer::too_many(7))
        .expect(ModelAnswer::cut("three"));
    assert!(call(&server, &question("a")).contains(r#""content":"one""#));
    let second = call(&server, &question("b"));
    assert!(second.starts_with("HTTP/1.1 429 ") && second.contains("retry-after: 7\r\n"));
    let third = call(&server, &question("c"));
    assert!(third.starts_with("HTTP/1.1 200 ") && !third.ends_with('}'));
    assert_eq!((server.calls(), server.left()), (3, 0));
    let seen = server.seen();
    assert_eq!((seen[1].said().as_str(), seen[1].authorization.as_deref()), ("b", Some("Bearer k")));
}

#[test]
fn a_call_that_nobody_expected_fails_the_test() {
    let server = ModelServer::start();
    assert!(call(&server, &question("why")).starts_with("HTTP/1.1 501 "));
    assert!(call(&server, "no JSON").starts_with("HTTP/1.1 501 "));
    let dropped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(server)));
    let told = dropped.unwrap_err().downcast::<String>().unwrap();
    assert!(told.contains("2 time(s) unexpectedly") && told.contains("why"), "{told}");
}

#[test]
fn a_rule_answers_what_the_script_does_not() {
    let server = ModelServer::start();
    server.answer_with(|call| call.said().contains("known").then(|| ModelAnswer::text("rule")));
    server.expect(ModelAnswer::text("script"));
    assert!(call(&server, &question("unknown")).contains("script"));
    assert!(call(&server, &question("known")).contains("rule"));
    assert!(call(&server, &question("other")).starts_with("HTTP/1.1 501 "));
    assert_eq!(server.forgive().len(), 1);
}

#[test]
fn recorded_answers_are_given_again_to_the_same_question() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("recorded.jsonl");
    let first = ModelServer::start();
    first.expect(ModelAnswer::text("kept").costing(1, 2)).expect(ModelAnswer::status(500));
    call(&first, &question("a"));
    call(&first, &question("b"));
    first.save_recordings(&file);

    let second = ModelServer::start();
    second.expect_recorded(&file);
    for _ in 0..2 {
        let answer = call(&second, &question("a"));
        assert!(answer.contains("kept") && answer.contains(r#""prompt_tokens":1"#));
    }
    assert!(call(&second, &question("b")).starts_with("HTTP/1.1 501 "), "a failure is not recorded");
    second.forgive();
}

#[test]
fn a_server_ends_although_somebody_hangs() {
    let server = ModelServer::start();
    server.expect(ModelAnswer::hang());
    let address = server.address;
    let waiting = thread::spawn(move || {
        let mut connection = TcpStream::connect(address).unwrap();
        let body = question("a");
        let head = "POST /v1/chat/completions HTTP/1.1";
        write!(connection, "{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).unwrap();
        let mut answer = Vec::new();
        let _ = connection.read_to_end(&mut answer);
        answer
    });
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    while server.calls() == 0 {
        assert!(std::time::Instant::now() < deadline, "the call did not arrive");
        thread::sleep(LOOK);
    }
    drop(server);
    assert!(waiting.join().unwrap().is_empty());
}

#[test]
fn pieces_end_with_the_usage_unless_they_are_cut() {
    let server = ModelServer::start();
    server.expect(ModelAnswer::text("{\"a\":1}")).expect(ModelAnswer::cut("{\"a\":1}"));
    let body = json!({"model": "m", "messages": [], "stream": true}).to_string();
    let whole = call(&server, &body);
    assert!(whole.contains("[DONE]") && whole.contains("prompt_tokens"));
    assert!(!call(&server, &body).contains("[DONE]"));
}
