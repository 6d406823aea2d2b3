//! The parameters the world depends on, as the kernel reads them: leniently, before the strict check.

/// What of the CPF is in force. Values that cannot be read count as their default, as an absent line does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameters {
    /// `[config] globals`: MB of 2, 4, 8, 16, 32, 64 KB buffers.
    pub globals_mb: [u64; 6],
    /// `[config] routines`, MB, all pools together; 0 = automatic.
    pub routines_mb: u64,
    /// `[config] gmheap`, KB; 0 = automatic.
    pub gmheap_kb: u64,
    /// `[config] jrnbufs`, MB.
    pub jrnbufs_mb: u64,
    /// `[config] memlock`, a sum of bits.
    pub memlock: u64,
    /// `[config] MaxServers`.
    pub max_servers: u64,
    /// `[config] MaxServerConn`.
    pub max_server_conn: u64,
    /// `[Startup] DefaultPort`.
    pub superserver_port: u16,
    /// `[Startup] DefaultPortBindAddress`.
    pub bind_address: String,
    /// `[Startup] WebServer`: start the private web server.
    pub web_server: bool,
    /// `[Startup] WebServerPort`.
    pub web_port: u16,
    /// `[Startup] MaxConsoleLogSize`, MB.
    pub console_log_mb: u64,
    /// `[Journal] CurrentDirectory`, with a slash at the end.
    pub journal_directory: String,
    /// `[Journal] AlternateDirectory`, with a slash at the end.
    pub alternate_journal_directory: String,
    /// `[Journal] FileSizeLimit`, MB.
    pub journal_file_mb: u64,
    /// `[Journal] DaysBeforePurge`.
    pub days_before_purge: u64,
    /// `[Journal] FreezeOnError`.
    pub freeze_on_journal_error: bool,
    /// `[Databases]`: name and directory, in file order.
    pub databases: Vec<(String, String)>,
}

/// memlock: huge pages are not tried.
const LARGE_PAGES_DISABLED: u64 = 32;
/// memlock: no start without huge pages.
const LARGE_PAGES_REQUIRED: u64 = 64;
/// memlock: no start with less memory than asked for.
const BACKOFF_DISABLED: u64 = 128;

impl Parameters {
    /// Reads them through `value_of(section, key)`; `databases` are the lines of `[Databases]`.
    pub fn read(value_of: impl Fn(&str, &str) -> Option<String>, databases: Vec<(String, String)>) -> Self {
        let number = |section: &str, key: &str, default: u64| {
            value_of(section, key).and_then(|value| value.trim().parse().ok()).unwrap_or(default)
        };
        let port = |key: &str, default: u16| {
            value_of("Startup", key).and_then(|value| value.trim().parse().ok()).unwrap_or(default)
        };
        let directory = |key: &str| with_slash(&value_of("Journal", key).unwrap_or_default());
        Self {
            globals_mb: pools(&value_of("config", "globals").unwrap_or_default()),
            routines_mb: pools(&value_of("config", "routines").unwrap_or_default()).iter().sum(),
            gmheap_kb: number("config", "gmheap", 0),
            jrnbufs_mb: number("config", "jrnbufs", 64),
            memlock: number("config", "memlock", 0),
            max_servers: number("config", "MaxServers", 2),
            max_server_conn: number("config", "MaxServerConn", 1),
            superserver_port: port("DefaultPort", 1972),
            bind_address: value_of("Startup", "DefaultPortBindAddress").unwrap_or_default(),
            web_server: number("Startup", "WebServer", 0) == 1,
            web_port: port("WebServerPort", 80),
            console_log_mb: number("Startup", "MaxConsoleLogSize", 5).clamp(1, 500),
            journal_directory: directory("CurrentDirectory"),
            alternate_journal_directory: directory("AlternateDirectory"),
            journal_file_mb: number("Journal", "FileSizeLimit", 1024).max(1),
            days_before_purge: number("Journal", "DaysBeforePurge", 2),
            freeze_on_journal_error: number("Journal", "FreezeOnError", 0) == 1,
            databases,
        }
    }

    /// Directory of a database, as the CPF writes it.
    pub fn database(&self, name: &str) -> Option<&str> {
        self.databases.iter().find(|(known, _)| known == name).map(|(_, directory)| directory.as_str())
    }

    /// Whether huge pages are not to be tried.
    pub fn huge_pages_disabled(&self) -> bool {
        self.memlock & LARGE_PAGES_DISABLED != 0
    }

    /// Whether the start ends when huge pages cannot be had.
    pub fn huge_pages_required(&self) -> bool {
        self.memlock & LARGE_PAGES_REQUIRED != 0
    }

    /// Whether the start ends rather than take less memory.
    pub fn backoff_disabled(&self) -> bool {
        self.memlock & BACKOFF_DISABLED != 0
    }
}

/// A directory name with one slash at its end; an empty one stays empty.
fn with_slash(directory: &str) -> String {
    let trimmed = directory.trim_end_matches('/');
    if trimmed.is_empty() { String::new() } else { format!("{trimmed}/") }
}

/// Up to six numbers; whatever is no number counts as 0.
fn pools(value: &str) -> [u64; 6] {
    let mut pools = [0; 6];
    for (pool, text) in pools.iter_mut().zip(value.split(',')) {
        *pool = text.trim().parse().unwrap_or(0);
    }
    pools
}
