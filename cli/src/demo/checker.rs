//! The independent checker: looks at the world by itself, before and after, and says whether the instance is healed.
//!
//! Invariant: only `std`. No service, no reader of CPFs or logs, no table of conditions and no word of the bus is
//! used here, so that a fault of theirs cannot hide itself.

mod difference;
mod effects;
mod snapshot; // Read this first: what is looked at.

pub use self::{
    difference::differences,
    effects::{Effects, Writes},
    snapshot::{Site, Snapshot},
};

/// What is wrong with the world, as its makers know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The 8 KB buffers are too few for the load: IRIS panics at each pass of its write daemon.
    Globals,
    /// The pool of huge pages is too small for the shared memory, so none is used.
    HugePages,
    /// The write daemon is dead: the instance hangs.
    WriteDaemon,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub held: bool,
    pub text: String,
}

/// All that was looked at. Healed means that everything held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    pub findings: Vec<Finding>,
}

const PANIC: &str = "Insufficient global buffers - WRTDMN in panic mode";
const NO_PAGES: &str = "MB shared memory using Huge Pages.  Startup will retry";

impl Verdict {
    pub fn healed(&self) -> bool {
        !self.findings.is_empty() && self.findings.iter().all(|finding| finding.held)
    }

    fn note(&mut self, held: bool, text: impl Into<String>) {
        self.findings.push(Finding { held, text: text.into() });
    }
}

/// Is the fault there at all? Healing what was never broken proves nothing.
pub fn is_broken(fault: Fault, now: &Snapshot) -> bool {
    match fault {
        Fault::Globals => now.last_start().contains(PANIC),
        Fault::HugePages => now.last_start().contains(NO_PAGES) && !now.uses_huge_pages(),
        Fault::WriteDaemon => now.health() == "hung" && now.process("WRTDMN").is_none(),
    }
}

/// Compares the broken world with the present one.
///
/// `observed` is the present world as it was a while earlier: what must stay silent was silent between the two.
pub fn judge(fault: Fault, broken: &Snapshot, observed: &Snapshot, now: &Snapshot) -> Verdict {
    let mut verdict = Verdict { findings: Vec::new() };
    verdict.note(is_broken(fault, broken), "the fault was really there before");
    match fault {
        Fault::Globals => globals(&mut verdict, broken, observed, now),
        Fault::HugePages => huge_pages(&mut verdict, broken, now),
        Fault::WriteDaemon => write_daemon(&mut verdict, broken, now),
    }
    let health = now.health();
    let well = now.state() == "running" && (health == "ok" || health == "warn");
    verdict.note(well, format!("iris qlist says {}, health {health}", now.state()));
    let starts = now.starts().saturating_sub(broken.starts());
    verdict.note(starts == 1, format!("the instance was started {starts} time(s) since"));
    let changed = other_host_values(broken, now, fault);
    let told = if changed.is_empty() { "no other value".to_owned() } else { changed.join(", ") };
    verdict.note(changed.is_empty(), format!("of the host, {told} was changed"));
    verdict
}

fn globals(verdict: &mut Verdict, broken: &Snapshot, observed: &Snapshot, now: &Snapshot) {
    let lines = difference::changed_lines(&broken.cpf, &now.cpf);
    let pool = |line: &str| line.strip_prefix("globals=")?.split(',').nth(2)?.trim().parse::<u64>().ok();
    let text = match lines.as_slice() {
        [(old, new)] => match (pool(old), pool(new)) {
            (Some(from), Some(to)) if to > from => {
                verdict.note(
                    true,
                    format!("in iris.cpf one line differs: the 8 KB pool grew from {from} to {to} MB"),
                );
                None
            }
            _ => Some(format!("in iris.cpf \"{old}\" became \"{new}\"")),
        },
        [] => Some("iris.cpf is as it was".to_owned()),
        several => Some(format!("in iris.cpf {} lines differ", several.len())),
    };
    if let Some(text) = text {
        verdict.note(false, text);
    }
    let in_force = now.last_good == now.cpf;
    verdict.note(
        in_force,
        if in_force {
            "the instance has started with this very CPF"
        } else {
            "the instance has not started with this CPF: _LastGood_.cpf is another one"
        },
    );
    let panics = now.last_start().matches(PANIC).count();
    let since = now.log.len().saturating_sub(observed.log.len());
    let text = format!(
        "{panics} panic message(s) since the last start, {since} new bytes in the log while watching"
    );
    verdict.note(panics == 0, text);
}

fn huge_pages(verdict: &mut Verdict, broken: &Snapshot, now: &Snapshot) {
    let (from, to) = (broken.huge_pages(), now.huge_pages());
    let needed = broken.megabytes_wanted().zip(now.huge_page_kb()).map(|(mb, kb)| (mb * 1024).div_ceil(kb));
    let enough = needed.zip(to).is_some_and(|(needed, pages)| pages >= needed);
    let number = |value: Option<u64>| value.map_or_else(|| "unknown".to_owned(), |value| value.to_string());
    let text = format!("vm.nr_hugepages {} -> {}, needed {}", number(from), number(to), number(needed));
    verdict.note(enough, text);
    let used = now.uses_huge_pages();
    verdict.note(
        used,
        if used {
            "the last start says \"using Huge Pages\""
        } else {
            "the last start does not say \"using Huge Pages\""
        },
    );
    untouched_cpf(verdict, broken, now);
}

fn write_daemon(verdict: &mut Verdict, broken: &Snapshot, now: &Snapshot) {
    match now.process("WRTDMN") {
        Some(pid) => {
            let new = broken.process("WRTDMN").is_none_or(|before| before != pid);
            verdict.note(new, format!("another write daemon is alive (pid {pid})"));
        }
        None => verdict.note(false, "no write daemon is alive"),
    }
    untouched_cpf(verdict, broken, now);
}

fn untouched_cpf(verdict: &mut Verdict, broken: &Snapshot, now: &Snapshot) {
    let same = broken.cpf == now.cpf;
    verdict.note(same, if same { "iris.cpf is untouched, to the byte" } else { "iris.cpf was changed" });
}

/// Values of the host that changed and had no reason to.
fn other_host_values(broken: &Snapshot, now: &Snapshot, fault: Fault) -> Vec<String> {
    let names = broken.host.keys().chain(now.host.keys().filter(|name| !broken.host.contains_key(*name)));
    let changed = names.filter(|name| broken.host.get(*name) != now.host.get(*name));
    let allowed = |name: &str| fault == Fault::HugePages && name == snapshot::HUGE_PAGES;
    changed.filter(|name| !allowed(name)).cloned().collect()
}

#[cfg(test)]
mod tests;
