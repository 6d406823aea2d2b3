//! The world at one moment: bytes of files, what `iris qlist` prints, which processes there are.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// The kernel value that one of the faults is about, as a file below the host's folder.
pub(super) const HUGE_PAGES: &str = "sys/vm/nr_hugepages";

/// Where to look.
#[derive(Debug, Clone)]
pub struct Site {
    /// Name of the instance.
    pub name: String,
    /// Its installation folder.
    pub instance: PathBuf,
    /// Folder of its programs; `iris` lies there.
    pub programs: PathBuf,
    /// Where the kernel shows its values.
    pub host: PathBuf,
    /// A folder that belongs to the demo alone is looked at whole; of a real kernel only the values that matter here.
    pub real_kernel: bool,
}

/// The world at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Bytes of `iris.cpf`.
    pub cpf: Vec<u8>,
    /// Bytes of `_LastGood_.cpf`; empty before the first start.
    pub last_good: Vec<u8>,
    /// `messages.log`, as text.
    pub log: String,
    /// Files of the host by their path below its folder.
    pub host: BTreeMap<String, Vec<u8>>,
    /// The line of `iris qlist`.
    pub qlist: String,
    /// Role and process id.
    pub processes: Vec<(String, u32)>,
    /// Copies of the CPF that were made beside it.
    pub backups: Vec<String>,
}

impl Snapshot {
    pub fn take(site: &Site) -> io::Result<Self> {
        Ok(Self {
            cpf: fs::read(site.instance.join("iris.cpf"))?,
            last_good: read_if_there(&site.instance.join("_LastGood_.cpf"))?,
            log: String::from_utf8_lossy(&read_if_there(&site.instance.join("mgr/messages.log"))?)
                .into_owned(),
            host: host_values(site)?,
            qlist: qlist(site)?,
            processes: processes(&site.programs)?,
            backups: backups(&site.instance)?,
        })
    }

    /// First word of the status in qlist: `running`, `down` ...
    pub fn state(&self) -> &str {
        self.field(3).split([',', ' ']).next().unwrap_or_default()
    }

    /// `ok`, `warn`, `alert` or `hung`; empty while it is down.
    pub fn health(&self) -> &str {
        self.field(8)
    }

    fn field(&self, number: usize) -> &str {
        self.qlist.trim_end().split('^').nth(number).unwrap_or_default()
    }

    /// How often the log says that the system came up.
    pub fn starts(&self) -> usize {
        self.log.matches("Startup of InterSystems IRIS").count()
    }

    /// The log since the last start. Each start but the first of an installation begins with a banner.
    pub fn last_start(&self) -> &str {
        let begin = self.log.rfind("*** Recovery started").unwrap_or_default();
        &self.log[begin..]
    }

    /// Did the last start take huge pages?
    pub fn uses_huge_pages(&self) -> bool {
        let taken = |line: &str| line.contains("Allocated ") && line.trim_end().ends_with("using Huge Pages");
        self.last_start().lines().any(taken)
    }

    /// The megabytes that the last start could not get of huge pages.
    pub fn megabytes_wanted(&self) -> Option<u64> {
        let (_, rest) = self.last_start().split_once("Failed to allocate ")?;
        rest.split_once("MB shared memory using Huge Pages")?.0.parse().ok()
    }

    pub fn huge_pages(&self) -> Option<u64> {
        String::from_utf8_lossy(self.host.get(HUGE_PAGES)?).trim().parse().ok()
    }

    pub fn huge_page_kb(&self) -> Option<u64> {
        let meminfo = String::from_utf8_lossy(self.host.get("meminfo")?);
        let line = meminfo.lines().find_map(|line| line.strip_prefix("Hugepagesize:"))?;
        line.split_whitespace().next()?.parse().ok()
    }

    /// Process id of a daemon that is alive.
    pub fn process(&self, role: &str) -> Option<u32> {
        self.processes.iter().find(|(known, _)| known == role).map(|(_, pid)| *pid)
    }
}

fn read_if_there(path: &Path) -> io::Result<Vec<u8>> {
    match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        other => other,
    }
}

fn host_values(site: &Site) -> io::Result<BTreeMap<String, Vec<u8>>> {
    let mut files = BTreeMap::new();
    if site.real_kernel {
        files.insert(HUGE_PAGES.to_owned(), fs::read(site.host.join(HUGE_PAGES))?);
        // All of it changes all the time; the size of a page does not.
        let meminfo = fs::read_to_string(site.host.join("meminfo"))?;
        let page = meminfo.lines().find(|line| line.starts_with("Hugepagesize:")).unwrap_or_default();
        files.insert("meminfo".to_owned(), page.as_bytes().to_vec());
    } else {
        collect(&site.host, &site.host, &mut files)?;
    }
    Ok(files)
}

fn collect(root: &Path, folder: &Path, files: &mut BTreeMap<String, Vec<u8>>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(root, &path, files)?;
        } else if let Ok(name) = path.strip_prefix(root) {
            files.insert(name.to_string_lossy().into_owned(), fs::read(&path)?);
        }
    }
    Ok(())
}

fn qlist(site: &Site) -> io::Result<String> {
    let output = Command::new(site.programs.join("iris"))
        .args(["qlist", &site.name])
        .env_clear()
        .stdin(Stdio::null())
        .output()?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Processes of the instance that are alive: `<programs>/irisdb daemon <role>`.
fn processes(programs: &Path) -> io::Result<Vec<(String, u32)>> {
    let program = programs.join("irisdb").to_string_lossy().into_owned();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let entry = entry?;
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        // A process may end while we look, and a dead one that nobody has reaped has no command line.
        let Ok(line) = fs::read(entry.path().join("cmdline")) else { continue };
        let words: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
        if let [path, b"daemon", role, ..] = words.as_slice()
            && *path == program.as_bytes()
        {
            found.push((String::from_utf8_lossy(role).into_owned(), pid));
        }
    }
    found.sort();
    Ok(found)
}

fn backups(instance: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(instance)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.starts_with("iris.cpf_instance_") {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}
