//! An OpenAI-compatible endpoint for tests: scripted or recorded answers, and every way to fail.
//!
//! It counts the calls itself, so that nobody's own counters are believed. A call that nobody expected is answered with
//! status 501 and fails the test when the server is dropped.

mod answer;
mod http;
mod recordings;

use std::{
    collections::VecDeque,
    io::Write as _,
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use serde_json::Value;

pub use self::answer::ModelAnswer;
use self::{http::Request, recordings::Recordings};

/// How often a hanging connection looks whether the server is to end.
const LOOK: Duration = Duration::from_millis(10);

/// One call as the server saw it.
#[derive(Debug, Clone)]
pub struct ModelCall {
    pub path: String,
    /// The value of the header `authorization`.
    pub authorization: Option<String>,
    /// The body; null when it is no JSON.
    pub body: Value,
}

impl ModelCall {
    /// Everything that was said to the model, one message below the other.
    pub fn said(&self) -> String {
        let messages = self.body["messages"].as_array().into_iter().flatten();
        messages.filter_map(|message| message["content"].as_str()).collect::<Vec<_>>().join("\n")
    }
}

type Rule = Box<dyn FnMut(&ModelCall) -> Option<ModelAnswer> + Send>;

/// A running endpoint on a free loopback port. Dropping it ends it, and panics when somebody called unexpectedly.
pub struct ModelServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

struct Shared {
    state: Mutex<State>,
    ending: AtomicBool,
}

#[derive(Default)]
struct State {
    script: VecDeque<ModelAnswer>,
    rule: Option<Rule>,
    recordings: Recordings,
    calls: Vec<ModelCall>,
    /// Connections, calls or not.
    connections: usize,
    unexpected: Vec<String>,
}

impl ModelServer {
    /// Starts an endpoint that expects no call yet.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port is free");
        let address = listener.local_addr().expect("a bound socket has an address");
        let shared = Arc::new(Shared { state: Mutex::new(State::default()), ending: AtomicBool::new(false) });
        let accepting = thread::spawn({
            let shared = Arc::clone(&shared);
            move || accept(&listener, &shared)
        });
        Self { address, shared, accepting: Some(accepting) }
    }

    /// What to set as the base URL of a provider.
    pub fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// Expects one call more, and answers it so. Answers are given in the order in which they were added.
    pub fn expect(&self, answer: ModelAnswer) -> &Self {
        self.state().script.push_back(answer);
        self
    }

    /// Answers every call that the script does not; `None` says that the call is not expected.
    pub fn answer_with(&self, rule: impl FnMut(&ModelCall) -> Option<ModelAnswer> + Send + 'static) -> &Self {
        self.state().rule = Some(Box::new(rule));
        self
    }

    /// Expects the calls of a file that [`ModelServer::save_recordings`] wrote, in any order and number.
    pub fn expect_recorded(&self, file: &Path) -> &Self {
        self.state().recordings = Recordings::load(file);
        self
    }

    /// Writes what was asked and answered up to now.
    pub fn save_recordings(&self, file: &Path) {
        self.state().recordings.save(file);
    }

    /// How many calls came in, whatever became of them.
    pub fn calls(&self) -> usize {
        self.state().calls.len()
    }

    /// How many connections were made.
    pub fn connections(&self) -> usize {
        self.state().connections
    }

    /// Every call, oldest first.
    pub fn seen(&self) -> Vec<ModelCall> {
        self.state().calls.clone()
    }

    /// Scripted answers that nobody asked for yet.
    pub fn left(&self) -> usize {
        self.state().script.len()
    }

    /// Takes the complaints about unexpected calls, so that dropping the server does not panic. For tests of the server.
    pub fn forgive(&self) -> Vec<String> {
        std::mem::take(&mut self.state().unexpected)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state()
    }
}

impl Drop for ModelServer {
    fn drop(&mut self) {
        self.shared.ending.store(true, Ordering::Release);
        // Wakes the listener, which then sees that it is to end.
        let _ = TcpStream::connect(self.address);
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
        let unexpected = self.forgive();
        assert!(
            unexpected.is_empty() || thread::panicking(),
            "the model was called {} time(s) unexpectedly: {}",
            unexpected.len(),
            unexpected.join("; ")
        );
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_ending(&self) -> bool {
        self.ending.load(Ordering::Acquire)
    }

    /// Notes the call and decides on its answer.
    fn decide(&self, request: &Request) -> ModelAnswer {
        let body = serde_json::from_slice(&request.body).unwrap_or(Value::Null);
        let call =
            ModelCall { path: request.path.clone(), authorization: request.authorization.clone(), body };
        let mut state = self.state();
        state.calls.push(call.clone());
        if request.method != "POST" || call.path != "/v1/chat/completions" || call.body.is_null() {
            return state.complain(format!("{} {}, or its body is no JSON", request.method, call.path));
        }
        let scripted = state.script.pop_front();
        let ruled = scripted.or_else(|| state.rule.as_mut().and_then(|rule| rule(&call)));
        let decided = ruled.or_else(|| state.recordings.find(&call.body));
        let Some(answer) = decided else {
            let said: String = call.said().chars().take(200).collect();
            return state.complain(format!("model {} was asked: {said}", call.body["model"]));
        };
        state.recordings.keep(&call.body, &answer);
        answer
    }
}

impl State {
    fn complain(&mut self, what: String) -> ModelAnswer {
        self.unexpected.push(what);
        ModelAnswer::status(501)
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    let mut serving = Vec::new();
    for connection in listener.incoming() {
        if shared.is_ending() {
            break;
        }
        let Ok(connection) = connection else { continue };
        shared.state().connections += 1;
        let shared = Arc::clone(shared);
        serving.retain(|thread: &JoinHandle<()>| !thread.is_finished());
        serving.push(thread::spawn(move || serve(&connection, &shared)));
    }
    for thread in serving {
        let _ = thread.join();
    }
}

/// One call a connection: what a cut or a hang does to it stays with it.
fn serve(mut connection: &TcpStream, shared: &Shared) {
    let _ = connection.set_read_timeout(Some(LOOK));
    if let Some(request) = http::read(connection, || shared.is_ending()) {
        let streamed = serde_json::from_slice::<Value>(&request.body)
            .is_ok_and(|body| body["stream"].as_bool() == Some(true));
        let answer = shared.decide(&request);
        while shared.state().calls.len() < answer.once_called && !shared.is_ending() {
            thread::sleep(LOOK);
        }
        match answer.bytes(streamed) {
            Some(bytes) => {
                let _ = connection.write_all(&bytes);
            }
            // Hangs for as long as the other side listens.
            None => http::wait_for_hang_up(connection, || shared.is_ending()),
        }
    }
    let _ = connection.shutdown(Shutdown::Both);
}

#[cfg(test)]
mod tests;
