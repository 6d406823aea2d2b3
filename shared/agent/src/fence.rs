//! Who may act on an IRIS instance of this host: the highest token seen, in one small file per instance that the
//! three agents share.
//!
//! Invariant: two processes never act on one instance at the same time, unless both act for the same remediation and
//! each on a part that the other leaves alone; the file is locked while one does.
//! Invariant: a token lower than one that was admitted is refused.
//!
//! The file is written without a sync of its own: the intent that follows carries the token and is synced, and after a
//! crash each agent raises the fence to the highest token of its ledger.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions, Permissions, TryLockError},
    io,
    os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::PathBuf,
    time::Duration,
};

use instance_chassis::mutant;
use instance_contract::{InstanceName, Token};
use nix::unistd::Uid;

/// How often a waiting process looks whether the instance is free.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// Group members may write: the agents run as different users.
const MODE: u32 = 0o660;

/// Why an instance cannot be acted on.
#[derive(Debug, thiserror::Error)]
pub enum FenceError {
    #[error("could not {operation} the fence file \"{path}\"")]
    Io { operation: &'static str, path: PathBuf, source: io::Error },
    #[error("token {token} is stale: {highest} has acted on instance \"{instance}\" since")]
    Stale { instance: InstanceName, token: Token, highest: Token },
    #[error("another agent of this host was still acting on instance \"{instance}\" when the time was over")]
    Busy { instance: InstanceName },
}

/// The folder that the agents of one host share.
#[derive(Debug, Clone)]
pub struct Fence {
    folder: PathBuf,
    /// What this agent's own ledger says, in case the file was lost.
    floors: BTreeMap<InstanceName, Token>,
}

/// The right to act on one instance, until dropped.
#[derive(Debug)]
pub struct Guard {
    instance: InstanceName,
    path: PathBuf,
    floor: Option<Token>,
    /// Whose remediation the instance is shared with, when only a part of it is acted on.
    shares: Option<Token>,
    // Closing the file ends the lock.
    file: File,
}

impl Fence {
    /// Creates the folder when it is missing.
    pub fn open(folder: PathBuf) -> Result<Self, FenceError> {
        fs::create_dir_all(&folder).map_err(failed("create the folder of", &folder))?;
        Ok(Self { folder, floors: BTreeMap::new() })
    }

    /// Waits until nobody else acts on the instance, at most as long as `remaining` says.
    pub fn lock(
        &self,
        instance: &InstanceName,
        remaining: &dyn Fn() -> Duration,
    ) -> Result<Guard, FenceError> {
        Self::wait_for(self.guard(instance, None)?, remaining)
    }

    /// Waits until nobody acts on the instance for another remediation than that of `token`, or on all of it.
    pub fn lock_part(
        &self,
        instance: &InstanceName,
        token: Token,
        remaining: &dyn Fn() -> Duration,
    ) -> Result<Guard, FenceError> {
        Self::wait_for(self.guard(instance, Some(token))?, remaining)
    }

    fn guard(&self, instance: &InstanceName, shares: Option<Token>) -> Result<Guard, FenceError> {
        let path = self.folder.join(instance.token());
        let file = open_shared(&path).map_err(failed("open", &path))?;
        let floor = self.floors.get(instance).copied();
        Ok(Guard { instance: instance.clone(), path, floor, shares, file })
    }

    fn wait_for(guard: Guard, remaining: &dyn Fn() -> Duration) -> Result<Guard, FenceError> {
        loop {
            if guard.joins()? || guard.locked(guard.file.try_lock())? {
                return Ok(guard);
            }
            if remaining().is_zero() {
                return Err(guard.busy());
            }
            std::thread::sleep(LOOK_AGAIN.min(remaining()));
        }
    }

    /// At start: the fence is at least this, whatever a crash made of the file.
    pub fn raise(&mut self, instance: &InstanceName, token: Token) -> Result<(), FenceError> {
        let floor = self.floors.entry(instance.clone()).or_insert(token);
        *floor = token.max(*floor);
        match self.lock(instance, &|| Duration::ZERO) {
            // Told to the other agents too.
            Ok(guard) if guard.in_file()?.is_none_or(|highest| highest < token) => guard.store(token),
            // Whoever acts at this moment has written the file since the crash, if there was one.
            Ok(_) | Err(FenceError::Busy { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

impl Guard {
    /// Beside others of the same remediation, whose token was admitted before.
    fn joins(&self) -> Result<bool, FenceError> {
        if self.shares.is_none() || !self.locked(self.file.try_lock_shared())? {
            return Ok(false);
        }
        if self.highest()? == self.shares {
            return Ok(true);
        }
        self.file.unlock().map_err(failed("unlock", &self.path))?;
        Ok(false)
    }

    /// Lets others of the same remediation in.
    fn make_room(&self, token: Token) -> Result<(), FenceError> {
        if self.shares != Some(token) {
            return Ok(());
        }
        // Linux turns the one lock into the other, but not in one act: somebody else may have slipped in.
        if !self.locked(self.file.try_lock_shared())? {
            return Err(self.busy());
        }
        match self.highest()? {
            Some(highest) if highest > token => Err(self.stale(token, highest)),
            _ => Ok(()),
        }
    }

    fn locked(&self, tried: Result<(), TryLockError>) -> Result<bool, FenceError> {
        match tried {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(source)) => Err(failed("lock", &self.path)(source)),
        }
    }

    fn busy(&self) -> FenceError {
        FenceError::Busy { instance: self.instance.clone() }
    }

    fn stale(&self, token: Token, highest: Token) -> FenceError {
        FenceError::Stale { instance: self.instance.clone(), token, highest }
    }

    /// The highest token admitted; `None` for an instance that nobody acted on.
    pub fn highest(&self) -> Result<Option<Token>, FenceError> {
        if mutant("fence.ignored") {
            return Ok(None);
        }
        Ok(self.in_file()?.max(self.floor))
    }

    fn in_file(&self) -> Result<Option<Token>, FenceError> {
        let mut bytes = [0; Self::WIDTH];
        match self.file.read_exact_at(&mut bytes, 0) {
            Ok(()) => Ok(parse(&bytes)),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(source) => Err(failed("read", &self.path)(source)),
        }
    }

    /// An equal or higher token passes and is remembered; a lower one is refused. From then on others of the same
    /// remediation may act beside this guard, when it is for a part.
    pub fn admit(&self, token: Token) -> Result<(), FenceError> {
        match self.highest()? {
            Some(highest) if highest > token => return Err(self.stale(token, highest)),
            Some(highest) if highest == token => {}
            _ => self.store(token)?,
        }
        self.make_room(token)
    }

    /// Two numbers of 20 digits, a dot and a line end, so that one write replaces the whole.
    const WIDTH: usize = 42;

    fn store(&self, token: Token) -> Result<(), FenceError> {
        if mutant("fence.not-stored") {
            return Ok(());
        }
        let text = format!("{:020}.{:020}\n", token.epoch, token.counter);
        self.file.write_all_at(text.as_bytes(), 0).map_err(failed("write", &self.path))
    }
}

fn parse(bytes: &[u8]) -> Option<Token> {
    let (epoch, counter) = std::str::from_utf8(bytes).ok()?.trim_end().split_once('.')?;
    Some(Token { epoch: epoch.parse().ok()?, counter: counter.parse().ok()? })
}

/// Opens the file, and makes sure that the other agents may too when it is new (the umask would take that away).
fn open_shared(path: &PathBuf) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(MODE);
    loop {
        match options.open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
            Ok(file) => {
                share(&file)?;
                return Ok(file);
            }
        }
        match options.clone().create_new(true).open(path) {
            // Another agent was faster.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => {
                let file = made?;
                share(&file)?;
                return Ok(file);
            }
        }
    }
}

/// A death between making the file and this leaves one that only its maker may open, and mends at its next start.
fn share(file: &File) -> io::Result<()> {
    let found = file.metadata()?;
    if found.permissions().mode() & 0o7777 != MODE && found.uid() == Uid::effective().as_raw() {
        file.set_permissions(Permissions::from_mode(MODE))?;
    }
    Ok(())
}

fn failed(operation: &'static str, path: &std::path::Path) -> impl FnOnce(io::Error) -> FenceError {
    let path = path.to_owned();
    move |source| FenceError::Io { operation, path, source }
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, thread};

    use super::*;

    const fn token(epoch: u64, counter: u64) -> Token {
        Token { epoch, counter }
    }

    fn prod() -> InstanceName {
        "PROD".parse().unwrap()
    }

    fn at_once() -> Duration {
        Duration::ZERO
    }

    #[test]
    fn equal_and_higher_tokens_pass_and_lower_ones_never_again() {
        let folder = tempfile::tempdir().unwrap();
        let fence = Fence::open(folder.path().join("fence")).unwrap();
        for (tried, passes) in [
            (token(5, 2), true),
            (token(5, 2), true),
            (token(5, 1), false),
            (token(4, u64::MAX), false),
            (token(6, 0), true),
            (token(5, 2), false),
        ] {
            let guard = fence.lock(&prod(), &at_once).unwrap();
            assert_eq!(guard.admit(tried).is_ok(), passes, "{tried}");
        }
        let other: InstanceName = "TEST".parse().unwrap();
        assert!(fence.lock(&other, &at_once).unwrap().admit(token(1, 0)).is_ok());
    }

    #[test]
    fn a_guard_keeps_every_other_process_out_until_it_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let fence = Fence::open(folder.path().to_owned()).unwrap();
        let guard = fence.lock(&prod(), &at_once).unwrap();
        let error = fence.lock(&prod(), &at_once).unwrap_err();
        assert!(matches!(error, FenceError::Busy { .. }), "{error}");
        let (sender, receiver) = mpsc::channel();
        let waiting = thread::spawn(move || {
            let guard = fence.lock(&prod(), &|| Duration::from_secs(30)).unwrap();
            sender.send(()).unwrap();
            drop(guard);
        });
        assert!(receiver.try_recv().is_err());
        drop(guard);
        receiver.recv_timeout(Duration::from_secs(30)).unwrap();
        waiting.join().unwrap();
    }

    #[test]
    fn parts_of_one_remediation_are_acted_on_side_by_side_and_nothing_else_is() {
        let folder = tempfile::tempdir().unwrap();
        let fence = Fence::open(folder.path().to_owned()).unwrap();
        let (ours, next) = (token(5, 2), token(5, 3));
        let is_busy = |locked: Result<Guard, FenceError>| matches!(locked, Err(FenceError::Busy { .. }));
        let first = fence.lock_part(&prod(), ours, &at_once).unwrap();
        assert!(is_busy(fence.lock_part(&prod(), ours, &at_once)), "its token is not admitted yet");
        first.admit(ours).unwrap();
        let second = fence.lock_part(&prod(), ours, &at_once).unwrap();
        second.admit(ours).unwrap();
        assert!(is_busy(fence.lock(&prod(), &at_once)), "all of it");
        assert!(is_busy(fence.lock_part(&prod(), next, &at_once)), "the next remediation");
        drop(first);
        assert!(is_busy(fence.lock_part(&prod(), next, &at_once)), "one is still acting");
        drop(second);
        fence.lock_part(&prod(), next, &at_once).unwrap().admit(next).unwrap();
        let late = fence.lock_part(&prod(), ours, &at_once).unwrap();
        assert!(matches!(late.admit(ours), Err(FenceError::Stale { .. })));
    }

    #[test]
    fn after_a_crash_the_fence_is_what_the_ledger_says() {
        let folder = tempfile::tempdir().unwrap();
        let mut fence = Fence::open(folder.path().to_owned()).unwrap();
        fs::write(folder.path().join("PROD"), [0; 42]).unwrap();
        assert_eq!(fence.lock(&prod(), &at_once).unwrap().highest().unwrap(), None);
        fence.raise(&prod(), token(9, 9)).unwrap();
        fence.raise(&prod(), token(3, 3)).unwrap();
        assert_eq!(fence.lock(&prod(), &at_once).unwrap().highest().unwrap(), Some(token(9, 9)));
        let other = Fence::open(folder.path().to_owned()).unwrap();
        assert_eq!(other.lock(&prod(), &at_once).unwrap().highest().unwrap(), Some(token(9, 9)));
    }

    #[test]
    fn an_agent_can_start_while_another_one_acts() {
        let folder = tempfile::tempdir().unwrap();
        let acting = Fence::open(folder.path().to_owned()).unwrap();
        let guard = acting.lock(&prod(), &at_once).unwrap();
        let mut starting = Fence::open(folder.path().to_owned()).unwrap();
        starting.raise(&prod(), token(9, 9)).unwrap();
        drop(guard);
        let guard = starting.lock(&prod(), &at_once).unwrap();
        assert!(guard.admit(token(9, 8)).is_err());
    }

    #[test]
    fn the_other_agents_may_open_the_file_whatever_the_umask() {
        let folder = tempfile::tempdir().unwrap();
        let fence = Fence::open(folder.path().to_owned()).unwrap();
        drop(fence.lock(&prod(), &at_once).unwrap());
        let mode = fs::metadata(folder.path().join("PROD")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, MODE);
    }

    #[test]
    fn a_death_between_making_the_file_and_sharing_it_is_mended_by_its_maker() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("PROD");
        fs::write(&file, "").unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
        drop(Fence::open(folder.path().to_owned()).unwrap().lock(&prod(), &at_once).unwrap());
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, MODE);
    }
}
