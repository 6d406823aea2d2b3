//! A life of an instance without processes, ports and waiting: the same world, on a clock and a disk of its own.
//!
//! The same instance, the same story and the same seed give the same messages.log, byte for byte.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::Path;
use std::time::Duration;

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde::Deserialize;

use crate::shell::log_file::LogFile;
use crate::shell::settings::Workload;
use crate::world::act::{Act, Alarm, Daemon, Ending, Job, Writer};
use crate::world::facts::{Previous, StartFacts};
use crate::world::{Event, Identity, World};

/// What happens, and when. A file of it is TOML.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Story {
    /// When it begins, with the zone of the log: `2026-02-03T04:05:06+01:00[Europe/Berlin]`.
    pub begins_at: jiff::Zoned,
    /// How long it goes on.
    pub seconds: u64,
    /// In any order.
    pub events: Vec<Happening>,
}

/// One thing that happens.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Happening {
    /// Seconds since the beginning.
    pub at: u64,
    /// What.
    #[serde(flatten)]
    pub deed: Deed,
}

/// What can happen.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum Deed {
    /// `iris start`
    Start,
    /// `iris stop`
    Stop,
    /// The host goes down.
    Terminate,
    /// What the users do from now on.
    Load(Workload),
    /// So many people connect.
    Connect { sessions: u64 },
    /// A daemon is killed.
    KillDaemon { daemon: String },
    /// The disk of journals and databases takes nothing more, or again.
    Disk { full: bool },
}

/// Somebody at work on one story.
pub struct Rehearsal {
    world: World,
    facts: StartFacts,
    log: LogFile,
    random: ChaCha8Rng,
    begins_at: jiff::Zoned,
    elapsed: Duration,
    alarms: BTreeMap<Alarm, Duration>,
    pids: BTreeMap<Daemon, u32>,
    control: u32,
    asker: u32,
    sessions: u64,
    journals: u32,
    disk_is_full: bool,
}

impl Rehearsal {
    /// Of an instance as its start would find it; the log is written to `messages` and `alerts`.
    pub fn new(identity: Identity, seed: u64, facts: StartFacts, messages: &Path, alerts: &Path) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let control = random.random_range(300..60_000);
        Self {
            world: World::new(identity, seed),
            begins_at: facts.at.clone(),
            journals: facts.journal.next_number,
            facts,
            log: LogFile::at(messages, alerts),
            random,
            elapsed: Duration::ZERO,
            alarms: BTreeMap::new(),
            pids: BTreeMap::new(),
            control,
            asker: control,
            sessions: 0,
            disk_is_full: false,
        }
    }

    /// Plays it to its end.
    pub fn play(&mut self, story: &Story) -> io::Result<()> {
        let mut events = story.events.clone();
        events.sort_by_key(|event| event.at);
        for Happening { at, deed } in events.into_iter().filter(|event| event.at <= story.seconds) {
            self.wait_until(Duration::from_secs(at))?;
            self.happen(deed)?;
        }
        self.wait_until(Duration::from_secs(story.seconds))?;
        self.log.write_repeats(&self.now())
    }

    /// Rings what is due before then.
    fn wait_until(&mut self, until: Duration) -> io::Result<()> {
        while let Some((alarm, at)) =
            self.alarms.iter().map(|(alarm, at)| (*alarm, *at)).min_by_key(|it| it.1)
        {
            if at > until {
                break;
            }
            self.alarms.remove(&alarm);
            self.elapsed = self.elapsed.max(at);
            self.feed(Event::Rang(alarm))?;
        }
        self.elapsed = self.elapsed.max(until);
        Ok(())
    }

    fn happen(&mut self, deed: Deed) -> io::Result<()> {
        let user = self.facts.user.clone();
        match deed {
            Deed::Start => {
                self.asker = self.control + self.random.random_range(1..40);
                let mut facts = self.facts.clone();
                (facts.at, facts.journal.next_number) = (self.now(), self.journals);
                self.journals += 1;
                self.feed(Event::StartAsked(Box::new(facts)))
            }
            Deed::Stop => {
                self.asker = self.control + self.random.random_range(100..900);
                self.feed(Event::StopAsked { user, without_routines: false })
            }
            Deed::Terminate => self.feed(Event::Terminated),
            Deed::Load(workload) => self.feed(Event::LoadSet(workload.into())),
            Deed::Connect { sessions } => {
                for _ in 0..sessions {
                    self.sessions += 1;
                    self.feed(Event::SessionOpened(self.sessions))?;
                }
                Ok(())
            }
            Deed::KillDaemon { daemon } => {
                let daemon = Daemon::named(&daemon)
                    .ok_or_else(|| io::Error::other(format!("there is no daemon \"{daemon}\"")))?;
                match self.pids.remove(&daemon) {
                    Some(pid) => self.feed(Event::DaemonDied { daemon, pid }),
                    None => Ok(()),
                }
            }
            Deed::Disk { full } => {
                self.disk_is_full = full;
                Ok(())
            }
        }
    }

    fn feed(&mut self, event: Event) -> io::Result<()> {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            for act in self.world.apply(event) {
                events.extend(self.perform(act)?);
            }
        }
        Ok(())
    }

    fn perform(&mut self, act: Act) -> io::Result<Option<Event>> {
        match act {
            Act::LogWithMoment(entry) => {
                self.take_time();
                let entry = entry.ending_with(&self.now());
                let _ = self.log.write(&self.now(), self.asker, entry)?;
            }
            Act::Log(entry) => {
                self.take_time();
                let pid = match entry.writer {
                    Writer::Control => self.control,
                    Writer::Daemon(daemon) => self.pids.get(&daemon).copied().unwrap_or(self.control),
                    Writer::Job(job) => self.number(job),
                    Writer::Asker => self.asker,
                };
                let _ = self.log.write(&self.now(), pid, entry)?;
            }
            Act::Banner(text) => self.log.write_banner(&self.now(), &text)?,
            Act::StartDaemons => {
                let pids = Daemon::ALL.into_iter().zip(self.control + 40..);
                self.pids = pids.collect();
            }
            Act::Ready => self.log.watch(self.number(Job::LogMonitor), 1.0),
            Act::Wake(after, alarm) => {
                self.alarms.insert(alarm, self.elapsed + after);
            }
            Act::End(ending) => self.end(ending),
            other => return Ok(self.answer(other)),
        }
        Ok(None)
    }

    fn number(&self, job: Job) -> u32 {
        self.control + 50 + job as u32
    }

    /// No two things take the same time.
    fn take_time(&mut self) {
        self.elapsed += Duration::from_millis(self.random.random_range(1..40));
    }

    /// What ports and the disk say.
    fn answer(&mut self, act: Act) -> Option<Event> {
        let room = !self.disk_is_full;
        Some(match act {
            Act::RewriteCpf => Event::CpfRewritten(Ok(())),
            Act::OpenSuperserver { .. } => Event::SuperserverOpened(Ok(())),
            Act::OpenWebServer { .. } => Event::WebServerOpened(true),
            Act::WriteJournal { .. } => Event::JournalWritten(room),
            Act::SwitchJournal { directory } => {
                let file = format!("{directory}{}.{:03}", self.now().strftime("%Y%m%d"), self.journals);
                self.journals += 1;
                Event::JournalSwitched(room.then_some(file))
            }
            Act::ExpandDatabase { directory, .. } => Event::DatabaseExpanded(directory, room),
            _ => return None,
        })
    }

    fn end(&mut self, ending: Ending) {
        let wij = self.world.wij().clone();
        match ending {
            Ending::Clean => self.facts.previous = Previous::Clean(wij),
            Ending::Abnormal => self.facts.previous = Previous::Abnormal(wij),
            Ending::StartFailed => {}
        }
        self.alarms.clear();
        self.pids.clear();
        self.control += self.random.random_range(1_000..2_000);
    }

    fn now(&self) -> jiff::Zoned {
        // A story of centuries has no stamps anyway.
        self.begins_at.checked_add(self.elapsed).unwrap_or_else(|_| self.begins_at.clone())
    }
}
