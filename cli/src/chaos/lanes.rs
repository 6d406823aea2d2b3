//! Several scenarios side by side, each with a world, a bus and services of its own.

use std::{
    cmp::Reverse,
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use anyhow::{Context as _, Result, anyhow};
use instance_scenario::Scenario;

use crate::{online, up::Signals};

/// Does `work` for each of them, so many at a time, each in a folder of its own; results in their order.
///
/// The folder is named by a number: the name of a scenario tells the truth about it. It is removed afterwards when
/// `keep` says no to its result.
pub fn side_by_side<T: Send + 'static>(
    scenarios: &[Scenario],
    jobs: usize,
    folder: &Path,
    keep: impl Fn(&Result<T>) -> bool + Send + Sync + 'static,
    work: impl Fn(&Scenario, &Path, &AtomicBool) -> Result<T> + Send + Sync + 'static,
) -> Result<Vec<Result<T>>> {
    let stop = Arc::new(AtomicBool::new(false));
    let (over, is_over) = tokio::sync::oneshot::channel();
    let (scenarios, folder, stopping) = (scenarios.to_vec(), folder.to_owned(), stop.clone());
    let thread = thread::Builder::new().name("lanes".to_owned());
    let lanes = thread.spawn(move || {
        let results = all(&scenarios, jobs, &folder, &keep, &work, &stopping);
        // Whoever waits has gone only when this process ends.
        let _ = over.send(());
        results
    });
    let lanes = lanes.context("could not start a thread")?;
    online::block_on(async {
        let mut signals = Signals::install()?;
        tokio::select! {
            () = signals.next() => stop.store(true, Ordering::Relaxed),
            _ = is_over => {}
        }
        Ok(())
    })?;
    Ok(lanes.join().expect("a lane that panics is a defect of this program"))
}

fn all<T: Send>(
    scenarios: &[Scenario],
    jobs: usize,
    folder: &Path,
    keep: &(impl Fn(&Result<T>) -> bool + Sync),
    work: &(impl Fn(&Scenario, &Path, &AtomicBool) -> Result<T> + Sync),
    stop: &AtomicBool,
) -> Vec<Result<T>> {
    let next = AtomicUsize::new(0);
    // Those with the most to heal take longest, and should not be what everybody waits for in the end.
    let mut order: Vec<usize> = (0..scenarios.len()).collect();
    order.sort_by_key(|number| Reverse(scenarios[*number].truth.len()));
    let results: Mutex<Vec<(usize, Result<T>)>> = Mutex::default();
    thread::scope(|scope| {
        for _ in 0..jobs.clamp(1, scenarios.len().max(1)) {
            scope.spawn(|| {
                loop {
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    let Some(number) = order.get(place).filter(|_| !stop.load(Ordering::Relaxed)).copied()
                    else {
                        return;
                    };
                    let (scenario, own) = (&scenarios[number], own_folder(folder, number));
                    let result = work(scenario, &own, stop);
                    if !keep(&result) {
                        // What cannot be removed does no harm.
                        let _ = fs::remove_dir_all(&own);
                    }
                    results.lock().unwrap_or_else(PoisonError::into_inner).push((number, result));
                }
            });
        }
    });
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    // One for each of them, also for those that nobody has come to.
    let done: Vec<usize> = results.iter().map(|(number, _)| *number).collect();
    let missing = (0..scenarios.len()).filter(|number| !done.contains(number));
    results.extend(missing.map(|number| (number, Err(anyhow!("stopped by a signal")))));
    results.sort_by_key(|(number, _)| *number);
    results.into_iter().map(|(_, result)| result).collect()
}

/// Where the world of a scenario lies.
pub fn own_folder(folder: &Path, number: usize) -> PathBuf {
    folder.join(format!("{:02}", number + 1))
}

/// A runtime for one scenario; its supervisor goes on while we wait for a program.
pub fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .context("could not start a runtime")
}
