//! An instance folder as IRIS leaves it on disk, for tests that need files and no running instance.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use instance_iris::cpf::Document;
use tempfile::TempDir;

/// An installation folder with `iris.cpf`, `mgr/messages.log` and the folders that the CPF names.
#[derive(Debug)]
pub struct IrisFolder {
    folder: TempDir,
}

impl IrisFolder {
    /// A stopped, sound instance: 2025.1 on Linux, 8 GB of global buffers, 1 GB of routine buffers.
    pub fn new() -> Self {
        Self::inside(&std::env::temp_dir())
    }

    /// The same, in a folder that exists.
    pub fn inside(parent: &Path) -> Self {
        let made = tempfile::Builder::new().prefix("instance-iris-").tempdir_in(parent);
        let folder = Self { folder: made.expect("a temporary folder can be made") };
        for name in ["bin", "mgr/journal", "mgr/user", "mgr/irisaudit"] {
            fs::create_dir_all(folder.path().join(name)).expect("the temporary folder can be written");
        }
        folder.write_cpf(&cpf(folder.path()));
        fs::write(folder.messages_log(), MESSAGES).expect("the temporary folder can be written");
        folder
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn cpf_file(&self) -> PathBuf {
        self.path().join("iris.cpf")
    }

    pub fn messages_log(&self) -> PathBuf {
        self.path().join("mgr/messages.log")
    }

    /// The CPF as it is on disk now.
    pub fn cpf(&self) -> Document {
        Document::parse(&fs::read(self.cpf_file()).expect("iris.cpf can be read"))
    }

    /// A CPF parameter as it is on disk now.
    pub fn parameter(&self, section: &str, name: &str) -> Option<String> {
        self.cpf().get(section, name).map(str::to_owned)
    }

    pub fn write_cpf(&self, text: &str) {
        fs::write(self.cpf_file(), text).expect("the temporary folder can be written");
    }

    /// Adds to messages.log, as IRIS does.
    pub fn log(&self, text: &str) {
        let mut file = fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(self.messages_log())
            .expect("messages.log can be opened");
        file.write_all(text.as_bytes()).expect("messages.log can be written");
    }
}

impl Default for IrisFolder {
    fn default() -> Self {
        Self::new()
    }
}

/// The shape of a real CPF: its sections in their order, with the parameters that the agents read or change.
fn cpf(folder: &Path) -> String {
    let root = folder.display();
    format!(
        "[ConfigFile]
Product=IRIS
Version=2025.1

[Databases]
IRISSYS={root}/mgr/
IRISAUDIT={root}/mgr/irisaudit/
USER={root}/mgr/user/

[Namespaces]
%SYS=IRISSYS
USER=USER

[MirrorMember]
AgentAddress=
JoinMirror=0
SystemName=

[Journal]
AlternateDirectory={root}/mgr/journal/
BackupsBeforePurge=2
CurrentDirectory={root}/mgr/journal/
DaysBeforePurge=2
FileSizeLimit=1024
FreezeOnError=0

[Startup]
DefaultPort=1972
EnsembleAutoStart=1
ErrorPurge=30
LicenseID=
MaxConsoleLogSize=5
ShutdownTimeout=120
SystemMode=TEST
WebServer=0
WebServerName=
ZSTU=1

[config]
LibPath=
MaxServerConn=1
MaxServers=2
bbsiz=-1
errlog=500
globals=0,0,8192,0,0,0
gmheap=307200
jrnbufs=64
locksiz=16777216
memlock=0
netjob=1
overview=Linux/x86-64~UNIX
routines=1024
wijdir=
zfheap=0,0

[Miscellaneous]
AsyncDisconnectErr=0
ListFormat=0
NullSubscripts=0

[SQL]
AdaptiveMode=1
LockThreshold=1000
LockTimeout=10
"
    )
}

const MESSAGES: &str = "\
08/31/26-22:15:02:112 (4711) 0 [Generic.Event] Allocated 10318MB shared memory using Huge Pages
08/31/26-22:15:02:113 (4711) 0 [Generic.Event] 8192MB global buffers, 1024MB routine buffers, 64MB journal buffers
08/31/26-22:15:03:407 (4711) 0 [Generic.Event] Enabled logons
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpf_reads_as_one_and_comes_out_byte_for_byte() {
        let folder = IrisFolder::new();
        assert_eq!(folder.parameter("config", "globals").as_deref(), Some("0,0,8192,0,0,0"));
        let bytes = fs::read(folder.cpf_file()).unwrap();
        assert_eq!(folder.cpf().to_bytes(), bytes);
        folder.log("09/01/26-10:00:00:000 (4711) 2 [Generic.Event] more\n");
        assert_eq!(fs::read_to_string(folder.messages_log()).unwrap().lines().count(), 4);
    }
}
