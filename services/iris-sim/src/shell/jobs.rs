//! The jobs of an instance that have a word in its log and do nothing else here: each is a thread of the control
//! process, because the number of a thread is one from the pids of the host that nobody else has.

use std::collections::BTreeMap;
use std::io;
use std::sync::mpsc::{self, Sender};
use std::thread;

use crate::world::act::Job;

/// They need next to none.
const STACK_BYTES: usize = 64 * 1024;

/// The jobs of a running instance; dropping it ends them.
#[derive(Debug, Default)]
pub struct Jobs {
    numbers: BTreeMap<Job, u32>,
    /// A job lives as long as its end of this channel.
    lives: Vec<Sender<()>>,
}

impl Jobs {
    /// Starts one thread for each job.
    pub fn start() -> io::Result<Self> {
        let mut jobs = Self::default();
        for job in Job::ALL {
            let (tell, told) = mpsc::channel();
            let (life, end) = mpsc::channel::<()>();
            thread::Builder::new().name("job".to_owned()).stack_size(STACK_BYTES).spawn(move || {
                // Nobody to tell, and nobody to live for: either way the thread ends.
                let _ = tell.send(nix::unistd::gettid().as_raw());
                let _ = end.recv();
            })?;
            let number = told.recv().map_err(io::Error::other)?;
            jobs.numbers.insert(job, u32::try_from(number).map_err(io::Error::other)?);
            jobs.lives.push(life);
        }
        Ok(jobs)
    }

    /// What stands in the log as the pid of that job.
    pub fn number(&self, job: Job) -> Option<u32> {
        self.numbers.get(&job).copied()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::Jobs;
    use crate::world::act::Job;

    #[test]
    fn each_job_has_a_number_of_its_own() {
        let jobs = Jobs::start().unwrap();
        let mut numbers: BTreeSet<u32> = Job::ALL.into_iter().filter_map(|job| jobs.number(job)).collect();
        assert!(numbers.insert(std::process::id()), "nor is it the control process");
        assert_eq!(numbers.len(), Job::ALL.len() + 1);
    }
}
