//! What config-agent needs of the machine that an instance runs on, and nothing else: the seam behind which a container
//! or a pod could stand. Built today: [`LocalHost`].

mod local; // This very machine.
mod merge_file;
mod read;

use std::{
    fmt::Debug,
    path::{Path, PathBuf},
    time::Duration,
};

use instance_agent::{
    InstanceSettings, Work,
    evidence::{Metrics, Qlist},
    host::Finished,
};
use instance_contract::{Digest, Failure, Verification, Verify};
use instance_iris::cpf::Document;
use instance_knowledge::HostRoom;

pub use local::LocalHost;

use crate::{places::JournalPlaces, standing::Standing};

/// Asked directly before the world is changed: may we still act?
pub type LastLook<'a> = &'a dyn Fn() -> Result<(), Failure>;

/// The machine of an instance.
pub trait Host: Debug + Send + Sync {
    /// Opens and reads the CPF of an instance.
    fn open(&self, instance: &InstanceSettings) -> Result<Box<dyn CpfFile>, Failure>;

    /// Removes what a crash may have left beside the CPF and nobody would come back to: a merge file.
    fn tidy(&self, instance: &InstanceSettings) -> Result<(), Failure>;

    /// Ends what a crash may have cut in the middle of replacing the CPF. Before anything is made of what it holds.
    fn settle(&self, instance: &InstanceSettings) -> Result<(), Failure>;

    /// Whether the journal directories that its CPF names can be used.
    fn journal_places(&self, file: &dyn CpfFile) -> JournalPlaces;

    /// The first port above `port` that nobody listens on and that is not among `taken`.
    fn free_port_above(&self, port: u16, taken: &[u16]) -> Option<u16>;

    /// Memory of the machine; `None` when it cannot be told.
    fn room(&self) -> Option<HostRoom>;

    /// What `iris qlist` says of the instance, asked for at most `limit`.
    fn state(&self, instance: &InstanceSettings, limit: Duration) -> Result<Qlist, Failure>;

    /// `iris merge INSTANCE FILE CPF`, at most for `limit`. An error means that nothing was started.
    fn merge(
        &self,
        instance: &InstanceSettings,
        file: &dyn MergeFile,
        limit: Duration,
    ) -> Result<Finished, Failure>;

    /// The bytes of `iris.key` in the manager directory; in words why there are none.
    fn license_key(&self, instance: &InstanceSettings) -> Result<Vec<u8>, String>;

    /// The merge file that IRIS applies to the instance, where the settings name one.
    fn standing_merge(&self, instance: &InstanceSettings) -> Option<Standing>;

    /// What the instance tells of itself under `/api/monitor/metrics`, at the address of the settings, else at the port of
    /// its own web server; in words why it tells nothing.
    fn metrics(
        &self,
        instance: &InstanceSettings,
        web_server_port: Option<u16>,
        limit: Duration,
    ) -> Result<Metrics, String>;

    /// Looks whether what a remediation promised holds.
    fn verify(
        &self,
        instance: &InstanceSettings,
        verify: &Verify,
        work: &Work<'_>,
    ) -> Result<Verification, Failure>;
}

/// An `iris.cpf`, read once, in a folder that is held open.
pub trait CpfFile: Debug {
    /// Where it lies.
    fn path(&self) -> PathBuf;

    /// What was read.
    fn document(&self) -> &Document;

    /// SHA-256 of what was read.
    fn digest(&self) -> &Digest;

    /// In what it differs from the text with that SHA-256, both values; `None` when nobody has that text any more.
    fn differs_from(&self, planned: &Digest) -> Option<String>;

    /// The name of the backup that the next change makes.
    fn next_backup(&self) -> Result<String, Failure>;

    /// Keeps the file as it is now under that name; durable when it returns.
    fn keep(&self, backup: &str) -> Result<(), Failure>;

    /// A backup of that name, when there is one.
    fn backup(&self, name: &str) -> Option<Vec<u8>>;

    /// Makes sure of a change that was found done: whoever made it may have died before its name was safe.
    fn make_durable(&self) -> Result<(), Failure>;

    /// The file gets another text in one step, unless somebody else has written it meanwhile. It is kept as it was
    /// under the name `backup`; its bytes are durable before the step, and a power cut leaves them a name. Gives what an
    /// operator should know of somebody who wrote into it all the same.
    fn put(&self, new: &Document, backup: &str, last_look: LastLook<'_>) -> Result<Option<String>, Failure>;

    /// Lays a merge file beside it, that only the owner of the CPF may read; gone when it is dropped.
    fn merge_file(&self, text: &[u8]) -> Result<Box<dyn MergeFile>, Failure>;

    /// Fails when somebody else has written the file since it was read.
    fn is_unchanged(&self) -> Result<(), Failure>;

    /// Removes old backups. That they stay is no failure of the change, only worth a warning.
    fn prune(&self, kept_backups: usize) -> Option<String>;
}

/// A merge file that was laid beside a CPF. Gone when it is dropped.
pub trait MergeFile: Debug {
    /// Where it lies, for the `iris` program.
    fn path(&self) -> &Path;
}
