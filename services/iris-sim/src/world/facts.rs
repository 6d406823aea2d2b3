//! What a start finds: handed in, so that the world reads no file and no clock.

use crate::world::check_cpf::CpfFault;
use crate::world::parameters::Parameters;

/// Everything a start depends on.
#[derive(Debug, Clone, PartialEq)]
pub struct StartFacts {
    /// The installation directory, with a slash at its end.
    pub directory: String,
    /// The moment of the start, with the host's time zone.
    pub at: jiff::Zoned,
    /// `irisusr (root)` or the user's name.
    pub user: String,
    /// Started with `nostu`: no user start-up routine, logons by emergency only.
    pub without_startup_routine: bool,
    /// What the kernel reads from the CPF before anybody checks it.
    pub parameters: Parameters,
    /// What the strict check of the CPF finds.
    pub cpf_faults: Vec<CpfFault>,
    /// The CPF differs from the one of the last shutdown.
    pub cpf_changed: bool,
    /// Memory of the host.
    pub memory: HostMemory,
    /// The operating system, for the banner.
    pub system: SystemName,
    /// How the instance ended last time.
    pub previous: Previous,
    /// The journal directories.
    pub journal: JournalFacts,
    /// Directories of databases whose `IRIS.DAT` is there, as the CPF writes them.
    pub databases_there: Vec<String>,
    /// `csp/bin/CSP.ini` of a private web server is there.
    pub private_web_server: bool,
    /// Users the license key in the manager directory allows; none without a readable key that still holds.
    pub licensed_users: Option<u32>,
    /// What else it finds that is not as it should be.
    pub obstacles: Obstacles,
}

/// What lies in the way of an instance, or will: each a file that is there and should not be, or the other way round.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Obstacles {
    /// `MISMATCH.WIJ` lies in the manager directory: a former comparison found blocks that differ.
    pub mismatch_wij: bool,
    /// A database encryption key is to be activated at the start, and its file is not there.
    pub encryption_key_missing: bool,
    /// Databases whose `iris.lck` names another host: directory and host.
    pub locked_elsewhere: Vec<(String, String)>,
    /// Databases whose `iris.lck` the instance has no right to: directory, and which right is missing.
    pub lock_troubles: Vec<(String, LockTrouble)>,
    /// Directories of databases that a namespace needs and that have no `IRIS.DAT`.
    pub needed_databases_absent: Vec<String>,
    /// Days until the license key ends; none when the key does not say. Below zero when it has ended.
    pub license_days_left: Option<i64>,
    /// Certificates whose last day has passed, or comes within a month.
    pub ending_certificates: Vec<EndingCertificate>,
    /// The host on which the instance was started last, when it had another name than this one.
    pub failed_over_from: Option<String>,
    /// The last run ended abnormally, and the journal file that recovery must read is not there.
    pub journal_to_restore_missing: bool,
}

/// Why a database cannot be locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockTrouble {
    /// The instance may not write the lock, or not make one in the directory.
    NotWritable,
    /// There is one that the instance may not read, so nobody can tell whose it is.
    NotReadable,
}

/// A certificate of the instance that has expired or soon will.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndingCertificate {
    /// Serial number.
    pub serial: String,
    /// Who issued it.
    pub issuer: String,
    /// Whose it is.
    pub subject: String,
    /// The configurations that name it.
    pub used_by: String,
    /// Its last day.
    pub last_day: jiff::civil::Date,
    /// Days until then; below zero when it has expired.
    pub days_left: i64,
}

/// Memory of the host, in MB of 1,048,576 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostMemory {
    /// `MemTotal`.
    pub total_mb: u64,
    /// Pages in the huge page pool, `vm.nr_hugepages`.
    pub huge_pages: u64,
    /// `Hugepagesize`, in KB.
    pub huge_page_kb: u64,
    /// Whether whoever starts the instance has `CAP_IPC_LOCK`.
    pub may_lock: bool,
}

impl HostMemory {
    /// What the huge page pool holds, MB rounded down.
    pub fn pool_mb(self) -> u64 {
        self.huge_pages.saturating_mul(self.huge_page_kb) / 1024
    }

    /// What is left for standard pages: the pool stays reserved, used or not.
    pub fn standard_mb(self) -> u64 {
        self.total_mb.saturating_sub(self.pool_mb())
    }
}

/// What `uname` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SystemName {
    /// `nodename`
    pub node: String,
    /// `version`
    pub version: String,
    /// `release`
    pub release: String,
    /// `machine`
    pub machine: String,
}

/// How the instance ended last time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Previous {
    /// It never ran: no recovery banner.
    Never,
    /// It shut down in order.
    Clean(WijInfo),
    /// It was killed, forced or lost its host.
    Abnormal(WijInfo),
}

/// What the write image journal remembers.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct WijInfo {
    /// Journal file in use, absolute; empty when journaling never started.
    pub journal_file: String,
    /// How many journal files there have been.
    pub journal_count: u32,
    /// Passes of the write daemon.
    pub passes: u64,
    /// Transactions that are open.
    #[serde(default)]
    pub open_transactions: u32,
}

/// Whether files can be made in a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Directory {
    /// They can.
    Usable,
    /// It is not there, or is no directory.
    Absent,
    /// The instance has no right to.
    Denied,
}

/// The journal directories as the start finds them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalFacts {
    /// `[Journal] CurrentDirectory`.
    pub current: Directory,
    /// `[Journal] AlternateDirectory`.
    pub alternate: Directory,
    /// Number of the next file of the day in the directory that will be used, from 1.
    pub next_number: u32,
}
