//! Consumers and senders outside, as they are: an HTTP server on a socket, and folders.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::{StreamExt as _, stream};
use instance_contract::IrisMessage;
use instance_testkit::{Endpoint, NatsServer, OtherStream};
use instance_transport::{Destination, Look, Outgoing, PAUSES, SendError, Settled, Transport, deliver, open};

const QUICK: [Duration; 3] =
    [Duration::from_millis(10), Duration::from_millis(20), Duration::from_millis(40)];
/// Nothing here waits for it; only a test that hangs would.
const PATIENCE: Duration = Duration::from_mins(1);

/// What a request said.
#[derive(Debug, Clone)]
struct Asked {
    method: String,
    headers: Vec<(String, String)>,
    body: String,
}

impl Asked {
    fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map_or("", |(_, value)| value)
    }
}

type Answer = dyn Fn(usize, &Asked) -> Option<(u16, String)> + Send + Sync;

/// An HTTP server on a free port: `answer` gets the number of the request and what it said; `None` hangs up without a
/// word.
struct Server {
    url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    fn start(answer: impl Fn(usize, &Asked) -> Option<(u16, String)> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/in", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (seen, answer): (_, Arc<Answer>) = (asked.clone(), Arc::new(answer));
        // Ends with the process of the test.
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (seen, answer) = (seen.clone(), answer.clone());
                std::thread::spawn(move || one(&stream, &seen, answer.as_ref()));
            }
        });
        Self { url, asked }
    }

    fn transport(&self, timeout: Duration) -> Box<dyn Transport> {
        self.url.parse::<Destination>().unwrap().transport(timeout).unwrap()
    }

    fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

fn one(stream: &TcpStream, seen: &Mutex<Vec<Asked>>, answer: &Answer) {
    let mut reader = BufReader::new(stream);
    let mut line = || {
        let mut line = String::new();
        reader.read_line(&mut line).ok().map(|_| line.trim_end().to_owned())
    };
    let Some(first) = line().filter(|first| !first.is_empty()) else { return };
    let mut headers = Vec::new();
    while let Some((name, value)) =
        line().and_then(|line| line.split_once(": ").map(|(name, value)| (name.to_owned(), value.to_owned())))
    {
        headers.push((name, value));
    }
    let mut asked =
        Asked { method: first.split(' ').next().unwrap().to_owned(), headers, body: String::new() };
    let mut body = vec![0; asked.header("content-length").parse().unwrap_or(0)];
    reader.read_exact(&mut body).unwrap();
    asked.body = String::from_utf8(body).unwrap();
    let number = {
        let mut seen = seen.lock().unwrap();
        seen.push(asked.clone());
        seen.len() - 1
    };
    if let Some((status, text)) = answer(number, &asked) {
        let length = text.len();
        let mut stream = stream;
        let _ = write!(
            stream,
            "HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{text}"
        );
    }
}

fn outgoing(order: u64) -> Outgoing {
    let message = format!(
        r#"{{"schema":"instance.v1.iris_message","message_id":"6f1d2c0a-52b7-4c43-9a3e-{order:012x}",
        "trace_id":"6f1d2c0a52b74c439a3e{order:012x}","host":"h","instance":"IRIS","origin":"emulated",
        "timestamp":"11/14/25-09:45:55:657","occurred_at":"2025-11-14T09:45:55.657Z",
        "generated_at":"2025-11-14T09:45:55.657Z","process_id":7,"severity":2,"category":"Utility.Event",
        "message_text":"x","truncated":false,"raw":"raw","error_type":"license","condition":null,"repeated":0}}"#
    );
    Outgoing::new(order, IrisMessage::decode(message.as_bytes()).unwrap())
}

#[tokio::test]
async fn a_consumer_over_http_gets_the_message_and_all_that_identifies_it() {
    let server = Server::start(|_, _| Some((202, String::new())));
    server.transport(PATIENCE).send(&outgoing(7)).await.unwrap();
    let asked = &server.asked()[0];
    let sent = outgoing(7).message;
    assert_eq!(asked.method, "POST");
    assert_eq!(IrisMessage::decode(asked.body.as_bytes()).unwrap(), sent);
    assert_eq!(asked.header("idempotency-key"), sent.message_id.to_string());
    assert_eq!(asked.header("instance-trace-id"), sent.trace_id.as_str());
    assert_eq!(asked.header("instance-schema"), "instance.v1.iris_message");
    assert_eq!(asked.header("instance-sequence"), "7");
    assert!(asked.header("traceparent").starts_with(&format!("00-{}-", sent.trace_id.as_str())));
}

#[tokio::test]
async fn each_good_answer_is_a_delivery() {
    for status in [200, 201, 202, 204] {
        let server = Server::start(move |_, _| Some((status, String::new())));
        deliver(server.transport(PATIENCE).as_ref(), &outgoing(1), &QUICK).await.unwrap();
        assert_eq!(server.asked().len(), 1, "{status}");
    }
}

#[tokio::test]
async fn a_queue_holds_each_message_once_and_where_no_stream_is_the_consumer_is_away() {
    let nats = NatsServer::start();
    let text = format!("{}/alerts.iris", nats.url());
    let transport = text.parse::<Destination>().unwrap().transport(PATIENCE).unwrap();
    let away = transport.send(&outgoing(8)).await.unwrap_err();
    assert!(matches!(away, SendError::Away { .. }), "{away}");
    let mut stream = OtherStream::make(&nats, "ALERTS", "alerts.>").await;
    for order in [8, 9, 8] {
        deliver(transport.as_ref(), &outgoing(order), &QUICK).await.unwrap();
    }
    let kept = stream.messages().await;
    assert_eq!(kept.len(), 2, "{kept:?}");
    for (kept, order) in kept.iter().zip(8..) {
        let sent = outgoing(order).message;
        assert_eq!(IrisMessage::decode(&kept.payload).unwrap(), sent);
        assert_eq!(kept.header("Nats-Msg-Id"), sent.message_id.to_string());
        assert_eq!(kept.header("Instance-Sequence"), order.to_string());
        assert_eq!(kept.header("Instance-Trace-Id"), sent.trace_id.as_str());
        assert!(kept.header("traceparent").starts_with("00-"));
    }
    // Nobody is there at all.
    let nobody = format!("nats://me:s3cret@{}/alerts", Endpoint::nobody());
    let transport = nobody.parse::<Destination>().unwrap().transport(PATIENCE).unwrap();
    let away = transport.send(&outgoing(8)).await.unwrap_err();
    assert!(matches!(away, SendError::Away { .. }), "{away}");
    let told = instance_testkit::chain(&away);
    assert!(!told.contains("s3cret"), "{told}");
}

#[tokio::test]
async fn a_tenth_of_the_requests_is_dropped_and_at_least_99_of_100_arrive() {
    // Every tenth request: half of them hang up, half are answered with 503.
    let server = Server::start(|number, _| match number % 20 {
        3 => None,
        13 => Some((503, "busy".to_owned())),
        _ => Some((200, String::new())),
    });
    let transport = server.transport(PATIENCE);
    let transport = transport.as_ref();
    let send = |order| async move { deliver(transport, &outgoing(order), &QUICK).await.is_ok() };
    let delivered = stream::iter(0..300)
        .map(send)
        .buffer_unordered(10)
        .filter(|ok| std::future::ready(*ok))
        .count()
        .await;
    assert!(delivered >= 297, "{delivered} of 300");
    let keys: BTreeSet<String> =
        server.asked().iter().map(|asked| asked.header("idempotency-key").to_owned()).collect();
    assert_eq!(keys.len(), 300);
    assert!(server.asked().len() > 300, "something was tried again");
}

#[tokio::test]
async fn away_is_tried_three_times_more_and_refused_never_again() {
    let busy = Server::start(|_, _| Some((500, "no".to_owned())));
    let error = deliver(busy.transport(PATIENCE).as_ref(), &outgoing(1), &QUICK).await.unwrap_err();
    assert!(matches!(error, SendError::Away { .. }), "{error}");
    assert_eq!(busy.asked().len(), 4);
    let strict = Server::start(|_, _| Some((422, "bad field".to_owned())));
    let error = deliver(strict.transport(PATIENCE).as_ref(), &outgoing(1), &QUICK).await.unwrap_err();
    assert!(matches!(&error, SendError::Refused { answer, .. } if answer.contains("bad field")), "{error}");
    assert_eq!(strict.asked().len(), 1);
}

#[tokio::test]
async fn who_does_not_answer_is_away_after_the_timeout() {
    // Takes the request and keeps the connection open without a word, until the test is over.
    let server = Server::start(|_, _| {
        std::thread::sleep(PATIENCE);
        None
    });
    let error = server.transport(Duration::from_millis(200)).send(&outgoing(1)).await.unwrap_err();
    let told = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(told, "no answer in time");
}

#[tokio::test(start_paused = true)]
async fn between_the_tries_lie_one_two_and_four_seconds() {
    struct Closed;
    impl Transport for Closed {
        fn send<'a>(&'a self, _: &'a Outgoing) -> futures::future::BoxFuture<'a, Result<(), SendError>> {
            let away = SendError::Away { destination: "x".to_owned(), source: "closed".into() };
            Box::pin(std::future::ready(Err(away)))
        }
        fn destination(&self) -> &'static str {
            "x"
        }
    }
    let began = tokio::time::Instant::now();
    deliver(&Closed, &outgoing(1), &PAUSES).await.unwrap_err();
    assert_eq!(began.elapsed(), Duration::from_secs(7));
    assert_eq!(PAUSES.map(|pause| pause.as_secs()), [1, 2, 4]);
}

#[tokio::test]
async fn a_folder_holds_whole_messages_in_order_and_each_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out");
    let transport = path.to_str().unwrap().parse::<Destination>().unwrap().transport(PATIENCE).unwrap();
    for order in [9, 10, 11, 10] {
        transport.send(&outgoing(order)).await.unwrap();
    }
    let mut names: Vec<_> = fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names.len(), 3, "{names:?}");
    for (name, order) in names.iter().zip(9..) {
        let message = IrisMessage::decode(&fs::read(path.join(name)).unwrap()).unwrap();
        assert_eq!(message, outgoing(order).message);
    }
    fs::remove_dir_all(&path).unwrap();
    fs::write(&path, "no folder").unwrap();
    assert!(matches!(transport.send(&outgoing(1)).await, Err(SendError::Away { .. })));
}

#[tokio::test]
async fn commands_in_a_folder_are_found_until_they_are_settled() {
    let folder = tempfile::tempdir().unwrap();
    let inbox: Destination = folder.path().to_str().unwrap().parse().unwrap();
    for (name, text) in [("b.json", "{\"b\":1}"), ("a.json", "{\"a\":1}"), (".c.json", "{}"), ("d.txt", "{}")]
    {
        fs::write(folder.path().join(name), text).unwrap();
    }
    // Still being written.
    fs::write(folder.path().join("e.json"), "{\"e\":").unwrap();
    let mut source = open(&inbox, PATIENCE, folder.path()).unwrap();
    let look = source.look().await.unwrap();
    assert_eq!(source.look().await.unwrap(), look);
    let Look { found, more } = look;
    assert!(!more, "a file that is still written is looked at after the pause");
    assert_eq!(found.iter().map(|found| found.name.as_str()).collect::<Vec<_>>(), ["a.json", "b.json"]);
    source.settle(&found[0], &Settled::Taken).await.unwrap();
    source.settle(&found[1], &Settled::Refused("why".to_owned())).await.unwrap();
    let mut again = open(&inbox, PATIENCE, folder.path()).unwrap();
    assert_eq!(again.look().await.unwrap(), Look::default());
    assert_eq!(fs::read_to_string(folder.path().join("taken/a.json")).unwrap(), "{\"a\":1}");
    assert_eq!(fs::read_to_string(folder.path().join("refused/b.json.reason")).unwrap(), "why\n");
}

#[tokio::test]
async fn commands_over_http_are_taken_once_also_after_a_restart() {
    let server = Server::start(|number, _| match number {
        0 => Some((204, String::new())),
        1 => Some((500, String::new())),
        _ => Some((200, r#"[{"a": 1}, {"b": 2}, {"a": 1}]"#.to_owned())),
    });
    let state = tempfile::tempdir().unwrap();
    let url: Destination = server.url.parse().unwrap();
    let mut source = open(&url, PATIENCE, state.path()).unwrap();
    assert_eq!(source.look().await.unwrap(), Look::default());
    source.look().await.unwrap_err();
    let Look { found, more } = source.look().await.unwrap();
    assert!(!more, "an answer is all there is");
    assert_eq!(
        found.iter().map(|found| found.bytes.as_slice()).collect::<Vec<_>>(),
        [b"{\"a\": 1}".as_slice(), b"{\"b\": 2}"]
    );
    source.settle(&found[0], &Settled::Taken).await.unwrap();
    let mut again = open(&url, PATIENCE, state.path()).unwrap();
    assert_eq!(again.look().await.unwrap().found, found[1..]);
    assert!(server.asked().iter().all(|asked| asked.method == "GET"));
}
