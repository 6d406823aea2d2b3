//! On which CPUs the processes of an instance may run: every thread of every process, and whoever they start meanwhile.
//!
//! A child inherits the CPUs of its parent, so a change is done when a whole look finds nobody left behind.

mod former;

use instance_agent::{Applied, InstanceSettings, Prepared, Probe, Work};
use instance_chassis::crash_point;
use instance_contract::{AppliedChange, Failure, Forecast};
use instance_knowledge::{CpuList, KernelParameter};

use crate::{
    apply::target,
    error::HostError,
    host::{Processes, Thread},
};

use former::Former;

/// After so many looks somebody is still left behind: processes come faster than they can be followed.
const LOOKS: usize = 20;

/// Exactly what would change.
pub fn forecast(
    processes: &dyn Processes,
    instance: &InstanceSettings,
    row: &KernelParameter,
    wanted: &str,
) -> Result<Forecast, Failure> {
    let cpus = checked(processes, row, wanted)?;
    let threads = look(processes, instance)?;
    let fewer = threads.iter().any(|thread| loses(thread, &cpus));
    let mut warnings = vec![format!("{} does not outlive the processes: {}", row.name, row.recommendation)];
    if fewer {
        warnings.push(format!("the instance is left with {} of the CPUs that it may use now", cpus.count()));
    }
    Ok(Forecast {
        unknown_version: None,
        target: target(&row.name),
        before: shown(&threads),
        after: wanted.to_owned(),
        needs_restart: false,
        may_be_live: false,
        restart_reason: "the kernel moves running processes at once".to_owned(),
        dangerous: fewer || row.dangerous,
        warnings,
    })
}

/// What must be recorded before the effect. Changes nothing.
pub fn prepare(
    processes: &dyn Processes,
    instance: &InstanceSettings,
    row: &KernelParameter,
    wanted: &str,
) -> Result<Prepared, Failure> {
    checked(processes, row, wanted)?;
    let threads = look(processes, instance)?;
    Ok(Prepared {
        before: shown(&threads),
        wanted: wanted.to_owned(),
        already: threads.iter().all(|thread| thread.cpus == wanted),
        material: Former::of(&row.name, &threads).to_json(),
    })
}

/// Lets all threads run on the wanted CPUs, and looks until nobody is left behind. Doing it twice is doing it once.
pub fn apply(
    processes: &dyn Processes,
    instance: &InstanceSettings,
    prepared: &Prepared,
    work: &Work<'_>,
) -> Result<Applied, Failure> {
    let former = Former::read(prepared)?;
    let wanted = cpus_of(&prepared.wanted)?;
    let threads = look(processes, instance)?;
    if let Some(foreign) = threads.iter().find(|thread| !former.explains(thread, &prepared.wanted)) {
        return Err(foreign_change(foreign, &former, prepared));
    }
    work.before_effect()?;
    crash_point("os.affinity-to-set");
    match follow(processes, instance, &prepared.wanted, &wanted, work) {
        Ok(threads) => Ok(done(prepared, &former, &threads)),
        Err(failure) => Err(take_back(processes, instance, &former, prepared, failure)),
    }
}

/// What is true after a crash with only the intent known.
pub fn probe(
    processes: &dyn Processes,
    instance: &InstanceSettings,
    prepared: &Prepared,
) -> Result<Probe, Failure> {
    let former = Former::read(prepared)?;
    let threads = processes.threads(instance).map_err(HostError::into_failure)?;
    if let Some(foreign) = threads.iter().find(|thread| !former.explains(thread, &prepared.wanted)) {
        return Ok(Probe::Other { found: foreign.cpus.clone() });
    }
    if threads.is_empty() || threads.iter().any(|thread| thread.cpus != prepared.wanted) {
        return Ok(Probe::NotDone);
    }
    Ok(Probe::Done(done(prepared, &former, &threads)))
}

/// Gives every thread the CPUs that it had, or that its parent had. Doing it twice is doing it once.
pub fn undo(
    processes: &dyn Processes,
    instance: &InstanceSettings,
    prepared: &Prepared,
    work: &Work<'_>,
) -> Result<Applied, Failure> {
    let former = Former::read(prepared)?;
    work.before_effect()?;
    crash_point("os.affinity-to-restore");
    let left = restore(processes, instance, &former, prepared)?;
    crash_point("os.affinity-restored");
    let threads = processes.threads(instance).map_err(HostError::into_unknown)?;
    if let Some(foreign) = left.first()
        && left.len() == threads.len()
    {
        return Err(foreign_change(foreign, &former, prepared));
    }
    Ok(undone(prepared, &former, &threads, &left))
}

/// Is the former state back?
pub fn probe_undo(
    processes: &dyn Processes,
    instance: &InstanceSettings,
    done: &Prepared,
) -> Result<Probe, Failure> {
    let former = Former::read(done)?;
    let threads = processes.threads(instance).map_err(HostError::into_failure)?;
    let is_ours = |thread: &&Thread| {
        thread.cpus == done.wanted
            && former.before(thread, &threads).is_some_and(|before| before != done.wanted)
    };
    if threads.iter().any(|thread| is_ours(&thread)) {
        return Ok(Probe::NotDone);
    }
    let foreign: Vec<Thread> =
        threads.iter().filter(|thread| !former.explains(thread, &done.wanted)).cloned().collect();
    match foreign.first() {
        Some(first) if foreign.len() == threads.len() => Ok(Probe::Other { found: first.cpus.clone() }),
        _ => Ok(Probe::Done(undone(done, &former, &threads, &foreign))),
    }
}

/// The list, when all of its CPUs run.
fn checked(processes: &dyn Processes, row: &KernelParameter, wanted: &str) -> Result<CpuList, Failure> {
    row.check(wanted).map_err(|fault| Failure::refused("invalid_value", fault))?;
    let cpus = cpus_of(wanted)?;
    let online = processes.online_cpus().map_err(HostError::into_failure)?;
    match cpus.beyond(&online) {
        None => Ok(cpus),
        Some(missing) => {
            let message = format!("CPUs {missing} do not run on this host, which has {online}");
            Err(Failure::refused("no_such_cpu", message))
        }
    }
}

fn cpus_of(text: &str) -> Result<CpuList, Failure> {
    text.parse().map_err(|error| Failure::refused("invalid_value", error))
}

/// All threads of an instance that is up.
fn look(processes: &dyn Processes, instance: &InstanceSettings) -> Result<Vec<Thread>, Failure> {
    let threads = processes.threads(instance).map_err(HostError::into_failure)?;
    if threads.is_empty() {
        return Err(HostError::NoProcesses.into_failure());
    }
    if threads.iter().any(|thread| thread.process == std::process::id()) {
        let message =
            "this agent runs as a child of the instance, and nothing is done to what carries Instance";
        return Err(Failure::refused("own_process", message));
    }
    Ok(threads)
}

/// Sets and looks until a whole look finds nobody left behind; the last look is the answer.
fn follow(
    processes: &dyn Processes,
    instance: &InstanceSettings,
    text: &str,
    wanted: &CpuList,
    work: &Work<'_>,
) -> Result<Vec<Thread>, Failure> {
    let mut set: Vec<Thread> = Vec::new();
    for _ in 0..LOOKS {
        let threads = look(processes, instance)?;
        let behind: Vec<&Thread> = threads.iter().filter(|thread| thread.cpus != text).collect();
        if behind.is_empty() {
            return Ok(threads);
        }
        for thread in behind {
            if let Some(clamped) = set.iter().find(|earlier| is_same(earlier, thread)) {
                let message = format!(
                    "thread {} was to run on CPUs {text} and runs on {}: its control group allows no others (cpuset.cpus)",
                    clamped.id, thread.cpus
                );
                return Err(Failure::permanent("clamped", message));
            }
            if work.remaining().is_zero() {
                let message = "the time was over before all threads were moved";
                return Err(Failure::transient("timed_out", message));
            }
            match processes.set_cpus(thread, wanted) {
                // Whoever has ended meanwhile needs no CPU.
                Ok(()) | Err(HostError::Ended(_)) => set.push(thread.clone()),
                Err(error) => return Err(error.into_failure()),
            }
            crash_point("os.affinity-thread-set");
        }
        crash_point("os.affinity-looked-through");
    }
    let message = "processes of the instance come faster than they can be followed";
    Err(Failure::transient("unsettled", message))
}

/// Gives back what is still ours. Returns whom somebody else has moved since.
fn restore(
    processes: &dyn Processes,
    instance: &InstanceSettings,
    former: &Former,
    prepared: &Prepared,
) -> Result<Vec<Thread>, Failure> {
    for _ in 0..LOOKS {
        let threads = processes.threads(instance).map_err(HostError::into_unknown)?;
        let mut restored = 0;
        for thread in threads.iter().filter(|thread| thread.cpus == prepared.wanted) {
            let Some(before) = former.before(thread, &threads).filter(|before| *before != thread.cpus) else {
                continue;
            };
            match processes.set_cpus(thread, &cpus_of(before)?) {
                Ok(()) => restored += 1,
                Err(HostError::Ended(_)) => {}
                Err(error) => return Err(error.into_unknown()),
            }
            crash_point("os.affinity-thread-restored");
        }
        if restored == 0 {
            let foreign = |thread: &Thread| !former.explains(thread, &prepared.wanted);
            return Ok(threads.into_iter().filter(foreign).collect());
        }
    }
    Err(Failure::unknown("unsettled", "processes of the instance come faster than they can be followed"))
}

/// A part of the change must not stay.
fn take_back(
    processes: &dyn Processes,
    instance: &InstanceSettings,
    former: &Former,
    prepared: &Prepared,
    failure: Failure,
) -> Failure {
    match restore(processes, instance, former, prepared) {
        Ok(_) => failure,
        Err(stuck) => {
            let message =
                format!("{}; and going back failed: {}", failure.cause().message, stuck.cause().message);
            Failure::unknown(&failure.cause().code, message)
        }
    }
}

fn is_same(one: &Thread, other: &Thread) -> bool {
    (one.process, one.id, one.started) == (other.process, other.id, other.started)
}

/// Does the thread run on a CPU that is not among these?
fn loses(thread: &Thread, cpus: &CpuList) -> bool {
    thread.cpus.parse::<CpuList>().is_ok_and(|now| now.beyond(cpus).is_some())
}

/// The sets of CPUs in use; without counts, for processes come and go.
fn shown(threads: &[Thread]) -> String {
    let mut sets: Vec<&str> = threads.iter().map(|thread| thread.cpus.as_str()).collect();
    sets.sort_unstable();
    sets.dedup();
    sets.join(" | ")
}

fn foreign_change(thread: &Thread, former: &Former, prepared: &Prepared) -> Failure {
    let message = format!(
        "thread {} of process {} runs on CPUs {}, which is neither {} nor {}: somebody else has moved it, so it is left",
        thread.id,
        thread.process,
        thread.cpus,
        former.shown(),
        prepared.wanted
    );
    Failure::permanent("foreign_change", message)
}

fn change(prepared: &Prepared, former: &Former, from: &str, to: &str) -> (String, AppliedChange) {
    let change = AppliedChange {
        parameter: former.parameter.clone(),
        old_value: Some(from.to_owned()),
        new_value: Some(to.to_owned()),
        validated: true,
    };
    debug_assert!(from == prepared.before || to == prepared.before, "one of the two is what was there");
    (target(&former.parameter), change)
}

fn done(prepared: &Prepared, former: &Former, threads: &[Thread]) -> Applied {
    let changes = vec![change(prepared, former, &prepared.before, &prepared.wanted)];
    let new = threads.iter().filter(|thread| !former.knows(thread)).count();
    let ended = former.count().saturating_sub(threads.len() - new);
    let mut warnings = Vec::new();
    if new + ended > 0 {
        warnings.push(format!("meanwhile {new} threads of the instance began and {ended} ended"));
    }
    Applied { changes, warnings, rollback_available: true }
}

fn undone(prepared: &Prepared, former: &Former, threads: &[Thread], left: &[Thread]) -> Applied {
    let mut warnings = Vec::new();
    if !threads.iter().any(|thread| former.knows(thread)) {
        warnings.push("all processes that were moved have ended, and their CPUs with them".to_owned());
    }
    if !left.is_empty() {
        warnings.push(format!("{} threads were moved by somebody else and are left as they are", left.len()));
    }
    let changes = vec![change(prepared, former, &prepared.wanted, &prepared.before)];
    Applied { changes, warnings, rollback_available: false }
}
