//! The pure model of one IRIS instance: state and event in, state and acts out.
//!
//! Invariant: nothing here reads a clock, a file, a process table or an unseeded random number. Whatever the world
//! must know is in the event. The same seed and the same events give the same acts.
//! Invariant: no message is written for its own sake; each follows from the state.

pub mod act;
pub mod check_cpf;
pub mod facts;
mod growth;
pub mod health;
mod journal;
mod locks;
pub mod memory;
pub mod metrics;
pub mod parameters;
pub mod release;
pub mod sessions;
mod start;
mod stop;
mod write_daemon;

use std::time::Duration;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::world::act::{Act, Alarm, Daemon, Entry};
use crate::world::facts::{LockTrouble, StartFacts, WijInfo};
use crate::world::growth::Growth;
use crate::world::health::AlertLevel;
use crate::world::journal::Journal;
use crate::world::memory::Allocation;
use crate::world::parameters::Parameters;
use crate::world::release::Release;
use crate::world::sessions::Sessions;

/// What an instance is, whatever its state. Directories end with a slash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Upper case.
    pub name: String,
    /// Installation directory.
    pub directory: String,
    /// Directory of the binaries.
    pub bin_directory: String,
    /// The CPF that the start was given.
    pub cpf_path: String,
    /// Which IRIS.
    pub release: Release,
}

impl Identity {
    /// The manager directory, with a slash at its end.
    pub fn manager_directory(&self) -> String {
        format!("{}mgr/", self.directory)
    }
}

/// Something that happened to the instance.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// Somebody starts it.
    StartAsked(Box<StartFacts>),
    /// The answer to [`Act::RewriteCpf`]; on failure the file that could not be put in place.
    CpfRewritten(Result<(), String>),
    /// The answer to [`Act::OpenSuperserver`]; on failure the reason.
    SuperserverOpened(Result<(), String>),
    /// An alarm the world had set.
    Rang(Alarm),
    /// What the users do from now on.
    LoadSet(Load),
    /// The answer to [`Act::WriteJournal`]: did the disk take it?
    JournalWritten(bool),
    /// The answer to [`Act::SwitchJournal`]: the new file, where one could be made.
    JournalSwitched(Option<String>),
    /// The answer to [`Act::PurgeJournals`]: what was removed.
    JournalsPurged(Vec<String>),
    /// The answer to [`Act::ExpandDatabase`]: its directory, and did the disk have room?
    DatabaseExpanded(String, bool),
    /// The answer to [`Act::ExpandDatabase`] when the file holds a block that makes no sense: its directory.
    DatabaseDamaged(String),
    /// A pass was due, and the write daemon does nothing: its process is stopped.
    WriteDaemonStands,
    /// The answer to [`Act::OpenWebServer`]: could it listen?
    WebServerOpened(bool),
    /// Somebody has connected to the superserver.
    SessionOpened(u64),
    /// A session is over.
    SessionClosed(u64),
    /// The process of a session has crashed.
    SessionCrashed(u64),
    /// A session has begun a transaction.
    TransactionBegan(u64, jiff::Timestamp),
    /// A session has committed its transaction, or rolled it back.
    TransactionEnded(u64),
    /// A daemon ended though nobody asked it to.
    DaemonDied {
        /// Which.
        daemon: Daemon,
        /// Its pid.
        pid: u32,
    },
    /// A live change of the CPF.
    ParametersChanged(Parameters),
    /// Entries of work on a running instance that changes no state of the world.
    Noted(Vec<Entry>),
    /// Locks of databases that nobody could remove now: their directories. Comes before what ends the instance in order.
    LocksStuck(Vec<String>),
    /// Somebody stops it.
    StopAsked {
        /// `irisusr (root)` or the user's name.
        user: String,
        /// Without user shutdown routines.
        without_routines: bool,
    },
    /// SIGTERM: the host goes down, or a container is stopped the hard way.
    Terminated,
}

/// What the users of the instance do between two passes of the write daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Load {
    /// MB of blocks that they change.
    pub dirty_mb_per_pass: u64,
    /// MB that go to the journal.
    pub journal_mb_per_pass: u64,
    /// MB by which the database USER fills.
    pub database_mb_per_pass: u64,
}

/// What operators see of the state, as `iris qlist` shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct View {
    /// First word of field 4.
    pub status: &'static str,
    /// Field 9; empty when down.
    pub health: &'static str,
}

/// One instance.
#[derive(Debug)]
pub struct World {
    identity: Identity,
    random: ChaCha8Rng,
    phase: Phase,
    parameters: Option<Parameters>,
    allocation: Option<Allocation>,
    wij: WijInfo,
    load: Load,
    journal: Journal,
    growth: Growth,
    sessions: Sessions,
    /// Of the license key that the start found.
    licensed_users: Option<u32>,
    /// The last day of that key, where it has one.
    license_ends_on: Option<jiff::civil::Date>,
    /// What the start has mounted: name and directory.
    mounted: Vec<(String, String)>,
    /// Databases that cannot be locked, as the start found them.
    lock_troubles: Vec<(String, LockTrouble)>,
    /// Directories of the databases that it has locked.
    locks: Vec<String>,
    /// Those of them that cannot be given back.
    stuck_locks: Vec<String>,
    level: AlertLevel,
    start_alerts: usize,
    dead: Vec<Daemon>,
    /// How many limits the pass in hand has exceeded, while the write daemon does nothing.
    standing: Option<u8>,
    /// Somebody has connected since updates were suspended, and was told.
    suspension_told: bool,
}

#[derive(Debug)]
enum Phase {
    Down,
    CheckingCpf(Box<StartFacts>),
    OpeningSuperserver(Box<StartFacts>),
    GivingUp { user: String },
    Running { single_user: bool, panic: bool },
    Frozen,
    BeingForced,
}

/// The health of an instance whose updates all wait.
const HUNG: &str = "hung";
/// Cycle of the write daemon.
const PASS_CYCLE: Duration = Duration::from_secs(80);
/// One step of the health state back.
const QUIET_TIME: Duration = Duration::from_mins(30);
/// A frozen instance is forced this long after the stop.
const FORCE_AFTER: Duration = Duration::from_mins(1);
/// A start with a bad CPF shuts itself down this long after the error.
const GIVE_UP_AFTER: Duration = Duration::from_secs(5);

impl World {
    /// An instance that is down.
    pub fn new(identity: Identity, seed: u64) -> Self {
        Self {
            identity,
            random: ChaCha8Rng::seed_from_u64(seed),
            phase: Phase::Down,
            parameters: None,
            allocation: None,
            wij: WijInfo::default(),
            load: Load::default(),
            journal: Journal::default(),
            growth: Growth::default(),
            sessions: Sessions::default(),
            licensed_users: None,
            license_ends_on: None,
            mounted: Vec::new(),
            lock_troubles: Vec::new(),
            locks: Vec::new(),
            stuck_locks: Vec::new(),
            level: AlertLevel::Green,
            start_alerts: 0,
            dead: Vec::new(),
            standing: None,
            suspension_told: false,
        }
    }

    /// Lets an event happen. Events that mean nothing in the present state change nothing.
    pub fn apply(&mut self, event: Event) -> Vec<Act> {
        let acts = match event {
            Event::StartAsked(facts) => self.start(facts),
            Event::CpfRewritten(outcome) => self.continue_start(outcome),
            Event::SuperserverOpened(outcome) => self.finish_start(outcome),
            Event::Rang(Alarm::Pass) => self.pass(),
            Event::WriteDaemonStands => self.stand_still(),
            Event::Rang(Alarm::Quiet) => self.calm(),
            Event::Rang(Alarm::GiveUp) => self.give_up(),
            Event::Rang(Alarm::Overdue) => self.force(),
            Event::LoadSet(load) => {
                self.load = load;
                Vec::new()
            }
            Event::JournalWritten(written) => self.journal_written(written),
            Event::JournalSwitched(file) => self.journal_switched(file),
            Event::JournalsPurged(files) => journal::purged(&files),
            Event::DatabaseExpanded(directory, expanded) => self.database_expanded(directory, expanded),
            Event::DatabaseDamaged(directory) => self.database_damaged(&directory),
            Event::WebServerOpened(listens) => self.web_server_answered(listens),
            Event::SessionOpened(session) => self.open_session(session),
            Event::SessionClosed(session) => {
                self.close_session(session);
                Vec::new()
            }
            Event::SessionCrashed(session) => self.crash_session(session),
            Event::TransactionBegan(session, at) => {
                self.begin_transaction(session, at);
                Vec::new()
            }
            Event::TransactionEnded(session) => {
                self.end_transaction(session);
                Vec::new()
            }
            Event::DaemonDied { daemon, pid } => self.lose(daemon, pid),
            Event::ParametersChanged(parameters) => {
                self.parameters = Some(parameters);
                Vec::new()
            }
            Event::Noted(entries) => entries.into_iter().map(Act::Log).collect(),
            Event::LocksStuck(directories) => {
                self.stuck_locks = directories;
                Vec::new()
            }
            Event::StopAsked { user, without_routines } => self.stop(&user, without_routines),
            Event::Terminated => self.terminate(),
        };
        let open = self.sessions.transactions().count();
        self.wij.open_transactions = u32::try_from(open).unwrap_or(u32::MAX);
        self.count_alerts(&acts);
        acts
    }

    /// What operators see now.
    pub fn view(&self) -> View {
        let (status, health) = match &self.phase {
            Phase::Down => ("down", ""),
            Phase::CheckingCpf(_) | Phase::OpeningSuperserver(_) | Phase::GivingUp { .. } => {
                ("starting", self.level.as_str())
            }
            Phase::Running { single_user: true, .. } => ("sign-on inhibited", self.level.as_str()),
            Phase::Running { .. } if self.waits_for_journal() || self.users_are_paused() => ("running", HUNG),
            Phase::Running { .. } => ("running", self.level.as_str()),
            Phase::Frozen => ("running", HUNG),
            Phase::BeingForced => ("stopping", HUNG),
        };
        View { status, health }
    }

    /// The shared memory it has taken, while it has any.
    pub fn allocation(&self) -> Option<&Allocation> {
        self.allocation.as_ref()
    }

    /// The parameters in force since the start.
    pub fn parameters(&self) -> Option<&Parameters> {
        self.parameters.as_ref()
    }

    /// What the write image journal is to remember.
    pub fn wij(&self) -> &WijInfo {
        &self.wij
    }

    /// How many MB the users change between two passes.
    pub fn dirty_mb_per_pass(&self) -> u64 {
        self.load.dirty_mb_per_pass
    }

    /// How many sessions are open.
    pub fn sessions(&self) -> usize {
        self.sessions.count()
    }

    /// Name and directory of every database that is mounted.
    pub fn mounted(&self) -> &[(String, String)] {
        &self.mounted
    }

    /// Whether every update waits for a daemon that is gone.
    pub fn is_frozen(&self) -> bool {
        matches!(self.phase, Phase::Frozen | Phase::BeingForced) || self.waits_for_journal()
    }

    /// A start adds its alerts up; afterwards each is a step.
    fn count_alerts(&mut self, acts: &[Act]) {
        let alerts = acts
            .iter()
            .filter(|act| matches!(act, Act::Log(entry) if health::is_alert(entry.severity)))
            .count();
        match &self.phase {
            Phase::Running { .. } if !acts.contains(&Act::Ready) => {
                for _ in 0..alerts {
                    self.level = self.level.raised();
                }
            }
            Phase::CheckingCpf(_) | Phase::OpeningSuperserver(_) => self.start_alerts += alerts,
            _ => {}
        }
    }

    fn calm(&mut self) -> Vec<Act> {
        self.level = self.level.calmed();
        if self.level == AlertLevel::Green { Vec::new() } else { vec![Act::Wake(QUIET_TIME, Alarm::Quiet)] }
    }

    fn lose(&mut self, daemon: Daemon, pid: u32) -> Vec<Act> {
        self.dead.push(daemon);
        if matches!(self.phase, Phase::Down) {
            return Vec::new();
        }
        let acts = write_daemon::loss(daemon, pid);
        if daemon.writes_databases() && matches!(self.phase, Phase::Running { .. }) {
            self.phase = Phase::Frozen;
        }
        acts
    }
}

#[cfg(test)]
mod tests;
