//! Keeps child processes running: starts them, passes on what they say, starts them again when they die, and ends
//! them in order.
//!
//! Invariant: a child is signalled only while it has not been reaped, so its id is its own.
//! Invariant: when [`Supervisor::drain`] or [`Supervisor::stop_now`] has returned, no child is left.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs, io,
    os::unix::process::{CommandExt as _, ExitStatusExt as _},
    path::PathBuf,
    process::{ExitStatus, Stdio},
    sync::Arc,
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, ChildStderr, Command},
    sync::{mpsc, watch},
    time::{Instant, sleep_until, timeout},
};
use tokio_util::task::TaskTracker;

use super::guard::Guard;

/// The wait before a dead child is started again; doubles up to [`SLOWEST`].
const FIRST_WAIT: Duration = Duration::from_millis(200);
const SLOWEST: Duration = Duration::from_secs(5);
/// Who has run this long has started well, and waits the shortest time again.
const SETTLED: Duration = Duration::from_secs(10);
/// What a child wrote just before its end is in the pipe; another process that holds the pipe open must not keep us.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// Exit codes of a service that says it can never work as it was started: wrong usage, bad settings.
const HOPELESS: [i32; 2] = [2, 78];

/// A program to keep running.
#[derive(Debug, Clone)]
pub struct Program {
    /// The service's name, which stands before its lines.
    pub name: &'static str,
    pub path: PathBuf,
    pub arguments: Vec<OsString>,
    /// On top of our own environment.
    pub variables: Vec<(OsString, OsString)>,
    /// Leave out what settings may read from our environment (`INSTANCE_*`, `NATS_*`).
    pub clean_environment: bool,
}

/// Where the children's lines go.
pub trait Sink: Send + Sync {
    /// A line that a child wrote to its stderr, without its end.
    fn line(&self, service: &str, line: &[u8]);
    /// What we have to say about a child.
    fn remark(&self, service: &str, text: &str);
}

/// What is known of one child.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// The running process; `None` between two runs and at the end.
    pub pid: Option<u32>,
    /// How often it was started.
    pub starts: u32,
    /// The most memory it was seen with at once, in KB; 0 when nobody has looked.
    pub peak_kb: u64,
    /// It will not be started again, and why.
    pub given_up: Option<String>,
}

enum Order {
    Drain {
        grace: Duration,
    },
    Kill,
    /// As a crash: it is started again.
    Crash,
}

struct Service {
    orders: mpsc::UnboundedSender<Order>,
    state: watch::Receiver<State>,
}

/// The children of one run.
pub struct Supervisor {
    guard: Arc<Guard>,
    sink: Arc<dyn Sink>,
    services: BTreeMap<&'static str, Service>,
    tasks: TaskTracker,
}

impl Supervisor {
    pub fn new(guard: Guard, sink: Arc<dyn Sink>) -> Self {
        Self { guard: Arc::new(guard), sink, services: BTreeMap::new(), tasks: TaskTracker::new() }
    }

    /// Starts a program and keeps it running. Must be called inside a runtime.
    pub fn start(&mut self, program: Program) {
        let (orders, received) = mpsc::unbounded_channel();
        let (told, state) = watch::channel(State::default());
        self.services.insert(program.name, Service { orders, state });
        let keeper = Keeper { program, guard: self.guard.clone(), sink: self.sink.clone(), told };
        self.tasks.spawn(keeper.keep(received));
    }

    pub fn state(&self, name: &str) -> State {
        self.services.get(name).map(|service| service.state.borrow().clone()).unwrap_or_default()
    }

    pub fn states(&self) -> BTreeMap<&'static str, State> {
        self.services.iter().map(|(name, service)| (*name, service.state.borrow().clone())).collect()
    }

    /// Kills one child as a crash would, and waits until it runs again.
    pub async fn crash(&mut self, name: &str) {
        let Some(service) = self.services.get_mut(name) else { return };
        let starts = service.state.borrow().starts;
        if service.orders.send(Order::Crash).is_ok() {
            // An error means that the keeper has ended, so nothing runs again.
            let _ = service.state.wait_for(|state| state.starts > starts || state.given_up.is_some()).await;
        }
    }

    /// Asks one group after the other to drain, and waits for each: SIGTERM, and SIGKILL after `grace`.
    pub async fn drain(&mut self, groups: &[&[&'static str]], grace: Duration) {
        for group in groups {
            for service in group.iter().filter_map(|name| self.services.get(name)) {
                let _ = service.orders.send(Order::Drain { grace });
            }
            for name in *group {
                if let Some(service) = self.services.get_mut(name) {
                    // An error means that the keeper has ended, which is what we wait for.
                    while service.state.changed().await.is_ok() {}
                }
            }
        }
        self.stop_now().await;
    }

    /// Kills whatever runs, at once, and waits until it is gone.
    pub async fn stop_now(&mut self) {
        for service in self.services.values() {
            let _ = service.orders.send(Order::Kill);
        }
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// One child's keeper.
struct Keeper {
    program: Program,
    guard: Arc<Guard>,
    sink: Arc<dyn Sink>,
    told: watch::Sender<State>,
}

/// What comes after a run.
enum After {
    StartAgain(String),
    End,
}

impl Keeper {
    async fn keep(self, mut orders: mpsc::UnboundedReceiver<Order>) {
        let mut wait = FIRST_WAIT;
        loop {
            let started = Instant::now();
            let after = match self.launch() {
                Ok(child) => self.watch(child, &mut orders).await,
                Err(error) => {
                    After::StartAgain(format!("could not start {}: {error}", self.program.path.display()))
                }
            };
            let After::StartAgain(why) = after else { return };
            if started.elapsed() >= SETTLED {
                wait = FIRST_WAIT;
            }
            self.sink
                .remark(self.program.name, &format!("{why}; starting again in {:.1} s", wait.as_secs_f64()));
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = ended_by(&mut orders) => return,
            }
            wait = (wait * 2).min(SLOWEST);
        }
    }

    fn launch(&self) -> io::Result<Child> {
        let mut command = std::process::Command::new(&self.program.path);
        // A group of its own: Ctrl-C in a terminal is for us, and we drain in order.
        command.args(&self.program.arguments).process_group(0);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        if self.program.clean_environment {
            for (name, _) in std::env::vars_os() {
                let text = name.to_string_lossy();
                if text.starts_with("INSTANCE_") || text.starts_with("NATS_") {
                    command.env_remove(&name);
                }
            }
        }
        command.envs(self.program.variables.iter().map(|(name, value)| (name, value)));
        let child = Command::from(command).kill_on_drop(true).spawn()?;
        if let Some(pid) = child.id() {
            self.guard.add(pid);
            self.told.send_modify(|state| {
                state.pid = Some(pid);
                state.starts += 1;
            });
        }
        Ok(child)
    }

    /// From its start to its end.
    async fn watch(&self, mut child: Child, orders: &mut mpsc::UnboundedReceiver<Order>) -> After {
        let pid = child.id().expect("it has not been waited for");
        let mut lines = child.stderr.take().map(|stderr| BufReader::new(stderr).split(b'\n'));
        let mut kill_at: Option<Instant> = None;
        let mut wanted = true;
        let status = loop {
            tokio::select! {
                biased;
                order = orders.recv() => {
                    self.look_at_memory(pid);
                    match order {
                        Some(Order::Drain { grace }) => {
                            wanted = false;
                            kill_at.get_or_insert_with(|| Instant::now() + grace);
                            send(pid, Signal::SIGTERM);
                        }
                        Some(Order::Crash) => send(pid, Signal::SIGKILL),
                        Some(Order::Kill) | None => {
                            wanted = false;
                            kill_at = Some(Instant::now());
                        }
                    }
                }
                () = due(kill_at) => {
                    kill_at = None;
                    send(pid, Signal::SIGKILL);
                }
                line = next_line(&mut lines) => self.sink.line(self.program.name, &line),
                status = child.wait() => break status,
            }
        };
        self.guard.remove(pid);
        self.told.send_modify(|state| state.pid = None);
        self.last_words(&mut lines).await;
        if wanted { self.judge(status) } else { After::End }
    }

    async fn last_words(&self, lines: &mut Option<Lines>) {
        let rest = async {
            while let Some(reader) = lines.as_mut() {
                match reader.next_segment().await {
                    Ok(Some(line)) => self.sink.line(self.program.name, &line),
                    _ => *lines = None,
                }
            }
        };
        // Over: somebody else holds the pipe open, and nothing more of the child's is in it.
        let _ = timeout(LAST_WORDS, rest).await;
    }

    /// Nobody asked it to end.
    fn judge(&self, status: io::Result<ExitStatus>) -> After {
        let how = match status {
            Ok(status) => match (status.code(), status.signal()) {
                (Some(code), _) if HOPELESS.contains(&code) => {
                    let why = format!("ended with code {code}, so it can never work as it was started");
                    self.sink.remark(self.program.name, &why);
                    self.told.send_modify(|state| state.given_up = Some(why));
                    return After::End;
                }
                (Some(code), _) => format!("ended with code {code}"),
                (None, Some(signal)) => format!("was ended by signal {signal}"),
                (None, None) => "ended".to_owned(),
            },
            Err(error) => format!("could not be watched: {error}"),
        };
        After::StartAgain(how)
    }

    fn look_at_memory(&self, pid: u32) {
        let peak = peak_memory_kb(pid);
        self.told.send_modify(|state| state.peak_kb = state.peak_kb.max(peak));
    }
}

type Lines = tokio::io::Split<BufReader<ChildStderr>>;

/// The next line; for ever pending when there are no more, because the end of the child is another event.
async fn next_line(lines: &mut Option<Lines>) -> Vec<u8> {
    if let Some(reader) = lines {
        if let Ok(Some(line)) = reader.next_segment().await {
            return line;
        }
        *lines = None;
    }
    std::future::pending().await
}

async fn due(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Until somebody wants the child to end. A crash of what does not run is nothing.
async fn ended_by(orders: &mut mpsc::UnboundedReceiver<Order>) {
    while let Some(Order::Crash) = orders.recv().await {}
}

fn send(pid: u32, signal: Signal) {
    if let Ok(pid) = i32::try_from(pid) {
        // Fails only when it has ended and is about to be reaped.
        let _ = kill(Pid::from_raw(pid), signal);
    }
}

/// `VmHWM`: the most memory that a process has had at once, in KB. 0 when it cannot be told.
pub fn peak_memory_kb(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
#[path = "supervisor_tests.rs"]
mod tests;
