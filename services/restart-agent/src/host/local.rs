//! An instance on this machine.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use instance_agent::{
    InstanceSettings, Work,
    evidence::{self, InstanceView, LogMark, Metrics, MonitorError, Process},
    host::{Finished, HostError, Program},
};
use instance_contract::{Failure, Verification, Verify};
use instance_iris::{cpf::Document, messages_log::Entry};
use procfs::{FromRead, FromReadSI, net::TcpNetEntries, net::TcpState, process::Stat};

use super::{Host, ImageJournal, Owner, Socket, Use};
use crate::{apart, config::Config};

/// An instance of the settings.
#[derive(Debug, Clone, Copy)]
pub struct Local<'a> {
    pub config: &'a Config,
    pub instance: &'a InstanceSettings,
}

impl Host for Local<'_> {
    fn iris(&self, words: &[&str], limit: Duration) -> Result<Finished, HostError> {
        if let Some(socket) = &self.config.iris_socket {
            return apart::ask(socket, words, limit);
        }
        // The little environment that the scripts of IRIS need, and what the settings add.
        let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        let mut program = Program::new(&self.config.iris_command).variable("PATH", path).arguments(words);
        for (name, value) in &self.config.iris_environment {
            program = program.variable(name, value);
        }
        program.run(limit)
    }

    fn processes(&self) -> io::Result<Vec<Process>> {
        let view = self.instance.view(&self.config.iris_command, &self.config.process_root);
        evidence::processes_of(&InstanceView { proc_root: self.config.process_root.clone(), ..view })
    }

    fn terminals(&self, processes: &[Process]) -> Vec<u32> {
        let has_terminal = |process: &&Process| {
            let stat = File::open(self.folder(process.id).join("stat")).ok();
            let stat = stat.and_then(|file| Stat::from_read(file).ok());
            process.name.starts_with("irisdb") && stat.is_some_and(|stat| stat.tty_nr != 0)
        };
        processes.iter().filter(has_terminal).map(|process| process.id).collect()
    }

    fn carries_us(&self, processes: &[Process]) -> bool {
        processes.iter().any(|process| process.id == std::process::id())
    }

    fn sockets(&self, port: u16, processes: &[Process]) -> io::Result<Vec<Socket>> {
        let Some(first) = processes.first() else { return Ok(Vec::new()) };
        let open = OpenSockets::of(self, processes);
        let mut sockets = Vec::new();
        for table in ["net/tcp", "net/tcp6"] {
            // As the instance sees its network, which may not be ours.
            let path = self.folder(first.id).join(table);
            let file = match File::open(&path) {
                Ok(file) => file,
                // A host without version 6.
                Err(error) if error.kind() == io::ErrorKind::NotFound && table == "net/tcp6" => continue,
                Err(error) => return Err(error),
            };
            let entries = TcpNetEntries::from_read(file, procfs::current_system_info());
            let entries =
                entries.map_err(|error| io::Error::other(format!("{}: {error}", path.display())))?;
            for entry in entries.0.into_iter().filter(|entry| entry.local_address.port() == port) {
                let use_of = match entry.state {
                    TcpState::Listen => Use::Listens,
                    TcpState::Established => Use::ConnectedFrom(plain(entry.remote_address)),
                    _ => continue,
                };
                let owner = open.owner(entry.inode, entry.uid);
                sockets.push(Socket { use_of, owner, local: plain(entry.local_address) });
            }
        }
        Ok(sockets)
    }

    fn accepts(&self, address: SocketAddr, limit: Duration) -> bool {
        evidence::superserver_accepts(evidence::reachable(address.ip()), address.port(), limit)
    }

    fn metrics(&self, url: &str, limit: Duration) -> Result<Metrics, MonitorError> {
        evidence::metrics(url, limit)
    }

    fn boot_id(&self) -> Option<String> {
        let id = fs::read_to_string(self.config.process_root.join("sys/kernel/random/boot_id")).ok()?;
        Some(id.trim().to_owned())
    }

    fn log_end(&self) -> io::Result<LogMark> {
        LogMark::now(&self.instance.messages_log)
    }

    fn log_since(&self, mark: LogMark) -> io::Result<Vec<Entry>> {
        evidence::entries_since(&self.instance.messages_log, mark).map(|(entries, _)| entries)
    }

    fn log_of_this_run(&self) -> io::Result<Vec<Entry>> {
        evidence::entries_since_last_start(&self.instance.messages_log).map(|(entries, _)| entries)
    }

    fn cpf(&self) -> io::Result<Vec<u8>> {
        fs::read(&self.instance.cpf)
    }

    fn image_journal(&self) -> Option<ImageJournal> {
        let document = Document::parse(&self.cpf().ok()?);
        let folder = match document.get("config", "wijdir")? {
            "" => self.instance.manager_dir(),
            other => PathBuf::from(other),
        };
        let path = folder.join("IRIS.WIJ");
        let is_there = match fs::symlink_metadata(&path) {
            Ok(_) => true,
            Err(error) if error.kind() == io::ErrorKind::NotFound && folder.is_dir() => false,
            Err(_) => return None,
        };
        Some(ImageJournal { path, is_there })
    }

    fn verify(&self, verify: &Verify, work: &Work<'_>) -> Result<Verification, Failure> {
        evidence::verify(&self.instance.view(&self.config.iris_command, &self.config.proc_root), verify, work)
    }

    fn cpf_is_newer_than_log(&self) -> bool {
        let written = |path| fs::metadata(path).and_then(|file| file.modified()).ok();
        let times: Option<(SystemTime, SystemTime)> =
            written(&self.instance.cpf).zip(written(&self.instance.messages_log));
        times.is_some_and(|(cpf, log)| cpf > log)
    }
}

impl Local<'_> {
    fn folder(&self, process: u32) -> PathBuf {
        self.config.process_root.join(process.to_string())
    }
}

/// What the processes of the instance have open, as far as it can be seen.
struct OpenSockets {
    by_inode: BTreeMap<u64, u32>,
    /// Users of those processes whose open files are hidden from us.
    hidden_users: BTreeSet<u32>,
}

impl OpenSockets {
    fn of(local: &Local<'_>, processes: &[Process]) -> Self {
        let mut open = Self { by_inode: BTreeMap::new(), hidden_users: BTreeSet::new() };
        for process in processes {
            let folder = local.folder(process.id);
            match fs::read_dir(folder.join("fd")) {
                Ok(files) => {
                    let links = files.flatten().filter_map(|file| fs::read_link(file.path()).ok());
                    let inodes = links.filter_map(|link| {
                        link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
                    });
                    open.by_inode.extend(inodes.map(|inode| (inode, process.id)));
                }
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    open.hidden_users.extend(users_of(&folder));
                }
                // It has ended.
                Err(_) => {}
            }
        }
        open
    }

    fn owner(&self, inode: u64, user: u32) -> Owner {
        match self.by_inode.get(&inode) {
            Some(process) => Owner::Process(*process),
            None if self.hidden_users.contains(&user) => Owner::SameUser,
            None => Owner::Foreign { user },
        }
    }
}

/// The users that a process acts for. The owner of its folder is not always one of them: what a set-user-id program
/// does is hidden behind root.
fn users_of(folder: &Path) -> Vec<u32> {
    let status = fs::read_to_string(folder.join("status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:")).unwrap_or_default();
    line.split_ascii_whitespace().filter_map(|user| user.parse().ok()).collect()
}

/// `::ffff:10.0.0.7` is 10.0.0.7.
fn plain(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
