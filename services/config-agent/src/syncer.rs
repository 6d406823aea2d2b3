//! Threads that wait for a disk: each for one file, and kept for the next one, as beginning a thread takes as long as a
//! quick disk does.

use std::{
    fs::File,
    io,
    os::fd::{AsFd, OwnedFd},
    sync::{Mutex, MutexGuard, PoisonError, mpsc},
    thread,
};

/// A change needs so many at a time. More of them, for instances that are changed at the same time, end when they are done.
const KEPT: usize = 2;

/// Those that have nothing to wait for.
static IDLE: Mutex<Vec<Syncer>> = Mutex::new(Vec::new());

/// A thread that makes one file after the other durable, and ends when this is dropped.
#[derive(Debug)]
pub struct Syncer {
    files: mpsc::Sender<File>,
    outcomes: mpsc::Receiver<io::Result<()>>,
}

/// A file on its way to the disk.
#[derive(Debug)]
#[must_use = "only its end tells what came of it"]
pub enum Syncing {
    By(Syncer),
    Over(io::Result<()>),
}

/// Makes a file or a folder durable, beside what the caller does meanwhile.
pub fn begin(file: &impl AsFd) -> Syncing {
    let file = match file.as_fd().try_clone_to_owned() {
        Ok(file) => file,
        Err(error) => return Syncing::Over(Err(error)),
    };
    let idle = idle().pop();
    match idle.map_or_else(Syncer::start, Ok) {
        Ok(syncer) => syncer.begin(file),
        // Without another thread it is waited for here.
        Err(_) => Syncing::Over(File::from(file).sync_all()),
    }
}

impl Syncing {
    /// Waits until the file is durable.
    pub fn end(self) -> io::Result<()> {
        let syncer = match self {
            Self::By(syncer) => syncer,
            Self::Over(outcome) => return outcome,
        };
        let outcome = syncer.outcomes.recv().map_err(io::Error::other)?;
        let mut idle = idle();
        if idle.len() < KEPT {
            idle.push(syncer);
        }
        outcome
    }
}

impl Syncer {
    fn start() -> io::Result<Self> {
        let (files, incoming) = mpsc::channel::<File>();
        let (told, outcomes) = mpsc::channel();
        let work = move || {
            while let Ok(file) = incoming.recv() {
                let outcome = file.sync_all();
                // Whoever waits may count on it that nobody has the file open here.
                drop(file);
                // Nobody may be waiting for it any more.
                let _ = told.send(outcome);
            }
        };
        thread::Builder::new().name("cpf-sync".to_owned()).spawn(work)?;
        Ok(Self { files, outcomes })
    }

    fn begin(self, file: OwnedFd) -> Syncing {
        match self.files.send(File::from(file)) {
            Ok(()) => Syncing::By(self),
            // The thread is gone, and the file has come back.
            Err(mpsc::SendError(file)) => Syncing::Over(file.sync_all()),
        }
    }
}

fn idle() -> MutexGuard<'static, Vec<Syncer>> {
    // A list of threads is whole between any two calls.
    IDLE.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn each_file_gets_its_own_outcome_however_many_wait_at_once() {
        let file = tempfile::tempfile().unwrap();
        // A socket cannot be synced.
        let (socket, _other) = UnixStream::pair().unwrap();
        for _ in 0..3 {
            let begun: Vec<_> =
                (0..8).map(|at| if at % 2 == 0 { begin(&file) } else { begin(&socket) }).collect();
            for (at, syncing) in begun.into_iter().enumerate() {
                let outcome = syncing.end();
                assert_eq!(outcome.is_ok(), at % 2 == 0, "{at}: {outcome:?}");
            }
            assert!(idle().len() <= KEPT);
        }
    }

    #[test]
    fn what_nobody_waited_for_is_not_taken_for_the_next_outcome() {
        let (socket, _other) = UnixStream::pair().unwrap();
        for _ in 0..8 {
            drop(begin(&socket));
        }
        let file = tempfile::tempfile().unwrap();
        for _ in 0..8 {
            begin(&file).end().unwrap();
        }
    }
}
