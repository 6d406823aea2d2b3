//! A consumer outside that comes and goes.

use std::fs;
use std::io::{BufRead, BufReader, Write as _};
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use instance_contract::{IrisMessage, subject};
use instance_testkit::{NatsServer, bus, eventually};
use serde_json::Value;

use crate::{Host, PATIENCE, Stored};

/// Takes messages over HTTP; `answer` says the status for the number of a request.
struct Consumer {
    url: String,
    taken: Arc<Mutex<Vec<IrisMessage>>>,
}

impl Consumer {
    fn listen(answer: impl Fn(&IrisMessage) -> u16 + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let all = Arc::new(Mutex::new(Vec::new()));
        let taken = all.clone();
        // One request at a time, so that their order is told apart; ends with the process of the test.
        std::thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let Some(message) = read(&mut reader) else { continue };
                let status = answer(&message);
                if status == 200 {
                    taken.lock().unwrap().push(message);
                }
                let _ =
                    write!(stream, "HTTP/1.1 {status} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            }
        });
        Self { url, taken: all }
    }

    async fn texts(&self, count: usize) -> Vec<String> {
        eventually(PATIENCE, || {
            let got = self.taken.lock().unwrap();
            let texts =
                got.iter().map(|message| message.message_text.as_str().to_owned()).collect::<Vec<_>>();
            let enough = (texts.len() >= count).then_some(texts);
            async move { enough }
        })
        .await
    }
}

/// One request; `None` when whoever asked has gone.
fn read(reader: &mut impl BufRead) -> Option<IrisMessage> {
    let (mut length, mut line) = (0, String::new());
    while reader.read_line(&mut line).unwrap_or(0) > 2 {
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        line.clear();
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok().filter(|()| length > 0)?;
    Some(IrisMessage::decode(&body).unwrap())
}

fn numbered(numbers: std::ops::RangeInclusive<u32>) -> Vec<String> {
    numbers.map(|number| format!("entry {number}")).collect()
}

fn with_consumer(host: &Host, to: &str, more: &str) {
    let settings = host.folder.path().join("generator.toml");
    let text = fs::read_to_string(&settings).unwrap();
    let consumer = format!("[[generator.deliver]]\nname = \"outside\"\nto = \"{to}\"\n{more}\n");
    fs::write(settings, text + &consumer).unwrap();
}

#[tokio::test]
async fn a_consumer_that_was_away_gets_everything_in_order_over_restarts() {
    let server = NatsServer::start();
    let bus = bus(&server).await;
    let mut host = Host::new(&server);
    let here = Arc::new(AtomicBool::new(false));
    let (is_here, refused) = (here.clone(), Arc::new(AtomicBool::new(false)));
    let was_refused = refused.clone();
    let consumer = Consumer::listen(move |_| {
        let yes = is_here.load(Ordering::SeqCst);
        was_refused.fetch_or(!yes, Ordering::SeqCst);
        if yes { 200 } else { 503 }
    });
    with_consumer(&host, &consumer.url, "");
    host.write_entries(30);
    let generator = host.generator(&[]);
    // Everything waits in the stream, the consumer was asked in vain, and the generator is killed and started again.
    let mut all = Stored::of(&bus).await;
    assert_eq!(all.texts_until("entry 30").await.len(), 30);
    eventually(PATIENCE, || std::future::ready(refused.load(Ordering::SeqCst).then_some(()))).await;
    generator.kill9();
    here.store(true, Ordering::SeqCst);
    let _generator = host.generator(&[]);
    assert_eq!(consumer.texts(30).await, numbered(1..=30));
    // It has come back, and what is new comes too, several at a time.
    host.write_entries(10);
    let mut texts = consumer.texts(40).await;
    texts.sort_by_key(|text| text[6..].parse::<u32>().unwrap());
    assert_eq!(texts, numbered(1..=40));
}

#[tokio::test]
async fn what_a_consumer_refuses_is_a_dead_letter_and_the_rest_goes_on() {
    let server = NatsServer::start();
    let bus = bus(&server).await;
    let mut host = Host::new(&server);
    let consumer =
        Consumer::listen(|message| if message.message_text.as_str() == "entry 4" { 422 } else { 200 });
    with_consumer(&host, &consumer.url, "at_once = 1");
    host.write_entries(11);
    let _generator = host.generator(&[]);
    let mut expected = numbered(1..=10);
    expected.remove(3);
    assert_eq!(consumer.texts(9).await[..9], expected);
    let dead = eventually(PATIENCE, || async {
        let dead = bus.dead_letters().await.ok()?;
        (!dead.is_empty()).then_some(dead)
    })
    .await;
    assert!(dead[0].reason.starts_with("refused") && dead.len() == 1, "{dead:?}");
}

#[tokio::test]
async fn a_message_that_alone_is_not_taken_is_a_dead_letter_and_holds_up_nothing() {
    let server = NatsServer::start();
    let bus = bus(&server).await;
    let mut host = Host::new(&server);
    let consumer = Consumer::listen(|message| match message.message_text.as_str() {
        "entry 3" => 500,
        _ => 200,
    });
    with_consumer(&host, &consumer.url, "at_once = 1\nbreaker = { open_seconds = 1 }");
    host.write_entries(11);
    let _generator = host.generator(&[]);
    // Its seven tries take 22 seconds at least.
    let long = 10 * PATIENCE;
    let dead = eventually(long, || async {
        let dead = bus.dead_letters().await.ok()?;
        (!dead.is_empty()).then_some(dead)
    })
    .await;
    assert!(dead.len() == 1 && dead[0].reason.starts_with("exhausted: tried 7 times"), "{dead:?}");
    assert!(dead[0].reason.contains("500"), "{dead:?}");
    assert!(IrisMessage::decode(&dead[0].payload).unwrap().message_text.as_str() == "entry 3");
    let mut expected = numbered(1..=10);
    expected.remove(2);
    assert_eq!(consumer.texts(9).await[..9], expected);
}

/// Holds every request from the second message on, each over a connection of its own, until it is opened.
#[derive(Default)]
struct Gate {
    held: Mutex<(usize, bool)>,
    opened: Condvar,
}

impl Gate {
    fn listen(gate: &Arc<Self>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let gate = gate.clone();
        // Ends with the process of the test.
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let gate = gate.clone();
                std::thread::spawn(move || gate.answer(stream));
            }
        });
        url
    }

    fn answer(&self, mut stream: std::net::TcpStream) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let Some(message) = read(&mut reader) else { return };
        let mut held = self.held.lock().unwrap();
        held.0 += 1;
        let waits = message.message_text.as_str() != "entry 1";
        let held = self.opened.wait_while(held, |held| waits && !held.1).unwrap();
        drop(held);
        let _ = stream.write_all(b"HTTP/1.1 200 X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    }

    fn asked(&self) -> usize {
        self.held.lock().unwrap().0
    }

    fn open(&self) {
        self.held.lock().unwrap().1 = true;
        self.opened.notify_all();
    }
}

#[tokio::test]
async fn ten_go_out_at_once_and_a_consumer_that_is_slow_holds_up_no_entry_of_the_log() {
    let server = NatsServer::start();
    let bus = bus(&server).await;
    let mut host = Host::new(&server);
    let gate = Arc::new(Gate::default());
    // Nobody gives up on a request while this test lasts.
    with_consumer(&host, &Gate::listen(&gate), "timeout_seconds = 300");
    let _generator = host.generator(&[]);
    // From here on nothing has waited for the generator's start.
    host.write_entries(1);
    let place = host.folder.path().join("state/outside.delivered");
    eventually(PATIENCE, || std::future::ready(place.exists().then_some(()))).await;
    host.write_entries(40);
    eventually(PATIENCE, || std::future::ready((gate.asked() >= 11).then_some(()))).await;
    // Ten are held, and all that is written to the log is stored meanwhile.
    host.write_entries(20);
    Stored::of(&bus).await.texts_until("entry 61").await;
    assert_eq!(gate.asked(), 11, "the first one, and ten that are held");
    gate.open();
    eventually(PATIENCE, || std::future::ready((gate.asked() >= 61).then_some(()))).await;
}

/// Where the breaker of the consumer stands, by whoever answers operators; an `order` resets it first.
async fn breaker(bus: &instance_bus::Bus, question: &str, order: &'static str) -> Option<Value> {
    let found = bus.find_services(Some("generator"), Duration::from_secs(1)).await.ok()?;
    let endpoint = found.first()?.endpoints.iter().find(|endpoint| endpoint.name == question)?;
    let asked = subject::model_found(&endpoint.subject)?;
    let answer = bus.request(&asked, order.into(), PATIENCE).await.ok()?;
    let answer: Value = serde_json::from_slice(&answer.payload).unwrap();
    Some(answer["breakers"][0].clone())
}

#[tokio::test]
async fn a_consumer_that_is_away_is_left_alone_until_an_operator_says_otherwise() {
    let server = NatsServer::start();
    let bus = bus(&server).await;
    let mut host = Host::new(&server);
    let here = Arc::new(AtomicBool::new(false));
    let is_here = here.clone();
    let consumer = Consumer::listen(move |_| if is_here.load(Ordering::SeqCst) { 200 } else { 503 });
    with_consumer(&host, &consumer.url, "breaker = { open_seconds = 86400 }");
    host.write_entries(6);
    let _generator = host.generator(&[]);
    // Its retries take seven seconds.
    let open = eventually(4 * PATIENCE, || async {
        breaker(&bus, "model-breakers", "").await.filter(|breaker| breaker["state"] == "open")
    })
    .await;
    assert_eq!((&open["name"], &open["statistics"]["failed"]), (&"deliver-outside".into(), &3.into()));
    assert_eq!((&open["statistics"]["opened"], &open["last_failure"]), (&1.into(), &"away".into()));
    here.store(true, Ordering::SeqCst);
    breaker(&bus, "model-breaker-reset", r#"{"name":"deliver-outside"}"#).await.unwrap();
    // Without the order it would be tried tomorrow.
    assert_eq!(consumer.texts(5).await[..5], numbered(1..=5));
    let closed = breaker(&bus, "model-breakers", "").await.unwrap();
    assert_eq!(closed["state"], "closed", "{closed}");
}

#[tokio::test]
async fn a_log_that_is_not_there_is_warned_of_and_the_templates_answer() {
    let server = NatsServer::start();
    let bus = bus(&server).await;
    let host = Host::new(&server);
    let settings = host.folder.path().join("generator.toml");
    let text = fs::read_to_string(&settings).unwrap();
    let learning = text.replace("poll_ms = 10\n", "poll_ms = 10\nlearn_from = [\"/nowhere/messages.log\"]\n");
    assert_ne!(text, learning);
    fs::write(settings, learning).unwrap();
    let _generator = host.generator(&[]);
    let ask = || async { bus.request(&subject::generate(), r#"{"count":3}"#.into(), PATIENCE).await.ok() };
    let answer = eventually(PATIENCE, ask).await;
    let answer: Value = serde_json::from_slice(&answer.payload).unwrap();
    assert_eq!(answer["messages"].as_array().unwrap().len(), 3);
    let said = host.said();
    assert!(said.contains("could not learn from a log") && said.contains("/nowhere/messages.log"), "{said}");
}
