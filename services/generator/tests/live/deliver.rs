//! A consumer outside that comes and goes.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use instance_contract::IrisMessage;
use instance_testkit::{NatsServer, bus, eventually};

use crate::{Host, PATIENCE, Stored};

/// Takes messages over HTTP; `answer` says the status for the number of a request.
struct Consumer {
    url: String,
    taken: Arc<Mutex<Vec<IrisMessage>>>,
}

impl Consumer {
    fn listen(answer: impl Fn(usize) -> u16 + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let all = Arc::new(Mutex::new(Vec::new()));
        let taken = all.clone();
        let mut number = 0;
        // One request at a time, so that their order is told apart; ends with the process of the test.
        std::thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let (mut length, mut line) = (0, String::new());
                while reader.read_line(&mut line).unwrap_or(0) > 2 {
                    if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                        length = value.trim().parse().unwrap();
                    }
                    line.clear();
                }
                let mut body = vec![0; length];
                if length == 0 || reader.read_exact(&mut body).is_err() {
                    continue;
                }
                let status = answer(number);
                number += 1;
                if status == 200 {
                    taken.lock().unwrap().push(IrisMessage::decode(&body).unwrap());
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
    let consumer = Consumer::listen(|number| if number == 3 { 422 } else { 200 });
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
