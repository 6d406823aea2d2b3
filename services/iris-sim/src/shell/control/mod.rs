//! The control process: one instance from its start to its end.
//!
//! One thread owns the world and everything it acts on; other threads only bring news.

mod merge;
mod monitor;
mod perform;

use std::collections::{BTreeMap, VecDeque};
use std::error::Error;
use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use instance_clock::Clock as _;
use nix::sys::signal::{SigSet, Signal};
use serde::{Deserialize, Serialize};

use crate::shell::ask::{self, Answer, Request};
use crate::shell::cpf_file::{CpfFile, InForce};
use crate::shell::daemons::Daemons;
use crate::shell::folder::InstanceFolder;
use crate::shell::gather;
use crate::shell::host::{self, HostError};
use crate::shell::instance_clock::InstanceClock;
use crate::shell::jobs::Jobs;
use crate::shell::locks;
use crate::shell::log_file::LogFile;
use crate::shell::process::ProcessKey;
use crate::shell::rights::InstanceUser;
use crate::shell::settings::{Settings, SettingsError};
use crate::shell::status_file::StatusFile;
use crate::shell::superserver::{SessionNews, Superserver};
use crate::shell::web_server::Page;
use crate::world::act::{Alarm, Daemon, Ending};
use crate::world::{Event, Identity, World};

/// What `iris start` tells the control process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartOrder {
    /// Name of the instance.
    pub name: String,
    /// Its installation folder.
    pub folder: PathBuf,
    /// Folder of the programs.
    pub bin: PathBuf,
    /// The CPF to start with.
    pub cpf: PathBuf,
    /// Pid of `iris start`.
    pub asker_pid: u32,
    /// Who starts it.
    pub user: String,
    /// Without user start-up routine.
    pub nostu: bool,
    /// Merged into the CPF before anything else: `ISC_CPF_MERGE_FILE` of whoever starts it.
    #[serde(default)]
    pub merge_file: Option<PathBuf>,
}

/// Why a control process could not even begin.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The simulator's settings.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The host.
    #[error(transparent)]
    Host(#[from] HostError),
    /// A file or a call of the operating system.
    #[error("could not {what}")]
    System {
        /// What was tried.
        what: String,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
}

/// Runs the instance until it ends. Answers on standard output until it is up, then never again.
pub fn run(order: StartOrder) -> ExitCode {
    match Control::begin(order) {
        Ok((mut control, news, first)) => {
            control.feed(first);
            if control.ending.is_none() {
                control.note_missing_merge_file();
            }
            control.work(&news);
            ExitCode::SUCCESS
        }
        Err(error) => {
            let mut starter = io::stdout();
            let mut cause: Option<&dyn Error> = Some(&error);
            while let Some(error) = cause {
                ask::answer(&mut starter, &Answer::Say(error.to_string()));
                cause = error.source();
            }
            ask::answer(&mut starter, &Answer::Done { code: 1 });
            ExitCode::FAILURE
        }
    }
}

enum News {
    Event(Event),
    Asked(Request, UnixStream),
    Session(SessionNews),
    PageAsked(Page, Sender<String>),
}

struct Control {
    order: StartOrder,
    folder: InstanceFolder,
    settings: Settings,
    clock: InstanceClock,
    since: jiff::Timestamp,
    /// Name of the host at the start.
    node: String,
    cpf: CpfFile,
    in_force: InForce,
    world: World,
    log: LogFile,
    daemons: Daemons,
    jobs: Jobs,
    superserver: Option<Superserver>,
    alerts: monitor::Alerts,
    alarms: BTreeMap<Alarm, Instant>,
    repeats_due: Instant,
    news: Sender<News>,
    /// Whoever waits for the work in hand.
    askers: Vec<Box<dyn Write>>,
    asker_pid: u32,
    published: Option<StatusFile>,
    ending: Option<Ending>,
}

/// Real logs show a repeat count at the latest every 16 minutes.
const REPEATS_EVERY: Duration = Duration::from_mins(16);

impl Control {
    fn begin(order: StartOrder) -> Result<(Self, Receiver<News>, Event), ControlError> {
        let system = |what: &str| {
            let what = what.to_owned();
            move |source: io::Error| ControlError::System { what, source }
        };
        nix::unistd::setsid().map_err(|errno| system("leave the terminal's session")(errno.into()))?;
        let (news, incoming) = mpsc::channel();
        watch_signals(&news).map_err(system("watch for signals"))?;
        let folder = InstanceFolder::new(&order.folder);
        let settings = Settings::read(&folder.settings())?;
        let cpf =
            CpfFile::read(&order.cpf).map_err(system(&format!("read CPF \"{}\"", order.cpf.display())))?;
        let clock = settings.clock();
        let since = clock.now();
        watch_requests(&folder, &news).map_err(system("listen for requests"))?;
        let identity = Identity {
            name: order.name.clone(),
            directory: folder.printed(),
            bin_directory: format!("{}/", order.bin.display()),
            cpf_path: order.cpf.display().to_string(),
            release: settings.version,
        };
        let mut world = World::new(identity, settings.seed);
        world.apply(Event::LoadSet(settings.workload.into()));
        let mut control = Self {
            log: LogFile::of(&folder),
            in_force: cpf.in_force(),
            asker_pid: order.asker_pid,
            repeats_due: Instant::now() + settings.scaled(REPEATS_EVERY),
            askers: vec![Box::new(io::stdout())],
            daemons: Daemons::default(),
            jobs: Jobs::default(),
            superserver: None,
            alerts: monitor::Alerts::default(),
            alarms: BTreeMap::new(),
            published: None,
            ending: None,
            node: host::node(&settings.host_root),
            order,
            folder,
            settings,
            clock,
            since,
            cpf,
            world,
            news,
        };
        if let Some(file) = control.order.merge_file.clone() {
            control.merge_before_start(&file);
        }
        let facts = gather::start_facts(
            &control.folder,
            &control.settings,
            &control.cpf,
            (control.order.user.clone(), control.order.nostu),
            control.since.to_zoned(jiff::tz::TimeZone::system()),
        )?;
        control.write_ids().map_err(system("write iris.ids"))?;
        Ok((control, incoming, Event::StartAsked(Box::new(facts))))
    }

    /// Everything that happens, until the instance ends.
    fn work(&mut self, news: &Receiver<News>) {
        while self.ending.is_none() {
            let next =
                self.alarms.values().copied().min().map_or(self.repeats_due, |at| at.min(self.repeats_due));
            match news.recv_timeout(next.saturating_duration_since(Instant::now())) {
                Ok(News::Event(event)) => self.feed(event),
                Ok(News::Asked(request, stream)) => self.serve(request, stream),
                Ok(News::Session(news)) => self.hear(news),
                Ok(News::PageAsked(page, answer)) => self.show(page, &answer),
                Err(RecvTimeoutError::Timeout) => self.ring(),
                Err(RecvTimeoutError::Disconnected) => unreachable!("this process holds a sender itself"),
            }
        }
    }

    fn ring(&mut self) {
        let now = Instant::now();
        let due: Vec<Alarm> =
            self.alarms.iter().filter(|(_, at)| **at <= now).map(|(alarm, _)| *alarm).collect();
        for alarm in due {
            self.alarms.remove(&alarm);
            if alarm == Alarm::Pass {
                self.rotate_log();
                // The settings may have been edited by hand; what cannot be read waits for the next pass.
                let _ = self.reload();
            }
            if alarm == Alarm::GiveUp {
                self.look_at_locks();
            }
            let writer = self.daemons.process(Daemon::WriteDaemon);
            let stands = alarm == Alarm::Pass && writer.is_some_and(ProcessKey::is_paused);
            self.feed(if stands { Event::WriteDaemonStands } else { Event::Rang(alarm) });
        }
        if self.repeats_due <= now {
            self.repeats_due = now + self.settings.scaled(REPEATS_EVERY);
            let at = self.now();
            // An instance that cannot write its log goes on without.
            let _ = self.log.write_repeats(&at);
        }
    }

    fn serve(&mut self, request: Request, mut stream: UnixStream) {
        match request {
            Request::Stop { pid, user, without_routines } => {
                self.askers.push(Box::new(stream));
                self.asker_pid = pid;
                self.look_at_locks();
                self.feed(Event::StopAsked { user, without_routines });
            }
            Request::Merge { pid, file } => {
                self.asker_pid = pid;
                let code = self.merge(&file, &mut stream);
                ask::answer(&mut stream, &Answer::Done { code });
            }
            Request::Reload => {
                let code = match self.reload() {
                    Ok(()) => 0,
                    Err(error) => {
                        ask::answer(&mut stream, &Answer::Say(error.to_string()));
                        1
                    }
                };
                ask::answer(&mut stream, &Answer::Done { code });
            }
        }
    }

    /// Before a stop in order: what it could not remove.
    fn look_at_locks(&mut self) {
        let stuck = locks::stuck(InstanceUser::of(&self.folder), self.world.locks());
        self.feed(Event::LocksStuck(stuck));
    }

    fn hear(&mut self, news: SessionNews) {
        let open_before = self.world.wij().open_transactions;
        self.feed(match news {
            SessionNews::Opened(session) => Event::SessionOpened(session),
            SessionNews::Closed(session) => Event::SessionClosed(session),
            SessionNews::Began(session) => Event::TransactionBegan(session, self.clock.now()),
            SessionNews::Ended(session) => Event::TransactionEnded(session),
            SessionNews::Crashed(session) => Event::SessionCrashed(session),
        });
        // Whoever is killed now cannot say any more what was open.
        if self.world.wij().open_transactions != open_before {
            self.write_wij(true);
        }
    }

    /// Takes the workload from the settings file; the rest of it counts from the next start.
    fn reload(&mut self) -> Result<(), SettingsError> {
        self.settings.workload = Settings::read(&self.folder.settings())?.workload;
        self.feed(Event::LoadSet(self.settings.workload.into()));
        Ok(())
    }

    /// Lets an event happen, and everything that follows from it at once.
    fn feed(&mut self, event: Event) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            for act in self.world.apply(event) {
                events.extend(self.perform(act));
                if self.ending.is_some() {
                    return;
                }
            }
            self.publish();
        }
    }

    fn now(&self) -> jiff::Zoned {
        self.clock.now().to_zoned(jiff::tz::TimeZone::system())
    }
}

/// SIGTERM and SIGINT become news; threads started later inherit that they are blocked.
fn watch_signals(news: &Sender<News>) -> io::Result<()> {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGTERM);
    signals.add(Signal::SIGINT);
    signals.thread_block()?;
    let news = news.clone();
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        while signals.wait().is_ok() {
            if news.send(News::Event(Event::Terminated)).is_err() {
                return;
            }
        }
    })?;
    Ok(())
}

/// Requests become news. Each connection has a thread of its own until its one line is read.
fn watch_requests(folder: &InstanceFolder, news: &Sender<News>) -> io::Result<()> {
    let listener = ask::listen(&folder.manager())?;
    let news = news.clone();
    thread::Builder::new().name("requests".to_owned()).spawn(move || {
        for stream in listener.incoming().flatten() {
            let news = news.clone();
            thread::spawn(move || {
                if let Some(request) = ask::request(&stream) {
                    // The instance may have ended meanwhile; the asker sees the connection close.
                    let _ = news.send(News::Asked(request, stream));
                }
            });
        }
    })?;
    Ok(())
}
