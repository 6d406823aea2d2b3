//! Shared memory: how much an instance takes, and of which pages.
//!
//! The parts add up to what real starts print (globals 15946, routines 1020, heap 478 give 18758 MB). Not known are
//! two things: that a buffer descriptor costs 7.7 % of its buffer is read off three real starts, and so is the
//! miscellaneous part, 17 MB with huge pages and 16 without.

use crate::world::act::{Act, Entry, Severity, Writer};
use crate::world::facts::HostMemory;
use crate::world::parameters::Parameters;

/// The shared memory of a running instance, MB each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allocation {
    /// All pools of `globals`.
    pub globals_mb: u64,
    /// The 8 KB pool, which the update load needs.
    pub globals_8k_mb: u64,
    /// `routines`.
    pub routines_mb: u64,
    /// `jrnbufs`.
    pub journal_mb: u64,
    /// Buffer descriptors.
    pub descriptors_mb: u64,
    /// `gmheap`.
    pub heap_mb: u64,
    /// ECP.
    pub ecp_mb: u64,
    /// Everything else.
    pub miscellaneous_mb: u64,
    /// Whether it lies in huge pages.
    pub huge_pages: bool,
}

/// IRIS refuses to go below this.
const SMALLEST_GLOBALS_MB: u64 = 16;

impl Allocation {
    /// The sum of the parts, MB.
    pub fn total_mb(&self) -> u64 {
        self.globals_mb
            + self.routines_mb
            + self.journal_mb
            + self.descriptors_mb
            + self.heap_mb
            + self.ecp_mb
            + self.miscellaneous_mb
    }

    fn wanted(parameters: &Parameters, host: HostMemory) -> Self {
        let [_, _, mut globals_8k_mb, rest @ ..] = parameters.globals_mb;
        let mut globals_mb: u64 = parameters.globals_mb.iter().sum();
        if globals_mb == 0 {
            globals_8k_mb = host.total_mb / 4;
            globals_mb = globals_8k_mb;
        } else {
            // The first two pools are no longer used; IRIS leaves them out.
            globals_mb = globals_8k_mb + rest.iter().sum::<u64>();
        }
        let routines_mb = match parameters.routines_mb {
            0 => (globals_8k_mb / 10).clamp(80, 1020),
            set => set,
        };
        let heap_mb = match parameters.gmheap_kb {
            0 => (globals_mb * 3 / 100).clamp(300, 2048),
            set => set.div_ceil(1024),
        };
        Self {
            globals_mb,
            globals_8k_mb,
            routines_mb,
            journal_mb: parameters.jrnbufs_mb,
            descriptors_mb: descriptors(globals_mb),
            heap_mb,
            ecp_mb: 2 * parameters.ecp_connections.max(1) - 1,
            miscellaneous_mb: 17,
            huge_pages: true,
        }
    }

    fn with_standard_pages(self) -> Self {
        Self { miscellaneous_mb: 16, huge_pages: false, ..self }
    }

    /// One eighth less of what may shrink.
    fn reduced(self) -> Self {
        let globals_mb = self.globals_mb - self.globals_mb / 8;
        Self {
            globals_mb,
            globals_8k_mb: self.globals_8k_mb - self.globals_8k_mb / 8,
            routines_mb: self.routines_mb - self.routines_mb / 8,
            descriptors_mb: descriptors(globals_mb),
            ..self
        }
    }

    fn fits_huge_pages(&self, host: HostMemory) -> bool {
        let page_kb = host.huge_page_kb.max(1);
        (self.total_mb() * 1024).div_ceil(page_kb) <= host.huge_pages
    }

    fn breakdown(&self) -> String {
        format!(
            "{}MB global buffers, {}MB routine buffers, {}MB journal buffers, {}MB buffer descriptors, \
             {}MB heap, {}MB ECP, {}MB miscellaneous",
            self.globals_mb,
            self.routines_mb,
            self.journal_mb,
            self.descriptors_mb,
            self.heap_mb,
            self.ecp_mb,
            self.miscellaneous_mb
        )
    }
}

/// 7.7 % of the buffers, rounded up.
fn descriptors(globals_mb: u64) -> u64 {
    (globals_mb * 77).div_ceil(1000)
}

/// Takes the memory the parameters ask for, or as much of it as host and `memlock` let it; the acts tell how it
/// went. `None` when the start must end.
pub fn allocate(parameters: &Parameters, host: HostMemory) -> (Option<Allocation>, Vec<Act>) {
    let mut acts = Vec::new();
    if parameters.globals_mb.iter().all(|mb| *mb == 0) {
        say(
            &mut acts,
            Severity::Info,
            "Global buffer setting requires attention.  Auto-selected 25% of total memory.",
        );
    }
    let mut wanted = Allocation::wanted(parameters, host);
    let mut backed_off = false;
    loop {
        match attempt(wanted, parameters, host, &mut acts) {
            Attempt::Taken(allocation) => {
                report(&mut acts, &allocation, backed_off);
                return (Some(allocation), acts);
            }
            Attempt::Refused => return (None, acts),
            Attempt::TooLarge if parameters.backoff_disabled() || wanted.globals_mb < SMALLEST_GLOBALS_MB => {
                return (None, acts);
            }
            Attempt::TooLarge => {
                wanted = wanted.reduced();
                backed_off = true;
            }
        }
    }
}

enum Attempt {
    Taken(Allocation),
    TooLarge,
    Refused,
}

/// Huge pages when there is a pool, then standard pages: one round of what a start tries.
fn attempt(wanted: Allocation, parameters: &Parameters, host: HostMemory, acts: &mut Vec<Act>) -> Attempt {
    if host.huge_pages > 0 && !parameters.huge_pages_disabled() {
        if wanted.fits_huge_pages(host) {
            return Attempt::Taken(wanted);
        }
        entry(
            acts,
            Severity::Severe,
            format!(
                "Failed to allocate {}MB shared memory using Huge Pages.  Startup will retry with standard pages.  \
                 If huge pages are needed for performance, check the OS settings and consider marking them as \
                 required with the InterSystems IRIS 'memlock' configuration parameter.",
                wanted.total_mb()
            ),
        );
    }
    if parameters.huge_pages_required() {
        // No real line is known for this case; the words are ours.
        entry(
            acts,
            Severity::Fatal,
            format!(
                "Failed to allocate {}MB shared memory using Huge Pages, which 'memlock' marks as required.  \
                 Startup aborted.",
                wanted.total_mb()
            ),
        );
        return Attempt::Refused;
    }
    let standard = wanted.with_standard_pages();
    if standard.total_mb() <= host.standard_mb() {
        return Attempt::Taken(standard);
    }
    entry(
        acts,
        Severity::Severe,
        format!(
            "Failed to allocate {}MB shared memory: {}MB global buffers, {}MB routine buffers.",
            standard.total_mb(),
            standard.globals_mb,
            standard.routines_mb
        ),
    );
    Attempt::TooLarge
}

/// In all real starts the `Allocated` line is a warning only when less was taken than asked for.
fn report(acts: &mut Vec<Act>, allocation: &Allocation, backed_off: bool) {
    let severity = if backed_off { Severity::Warning } else { Severity::Info };
    let pages = if allocation.huge_pages { " using Huge Pages" } else { "" };
    say(acts, severity, &format!("Allocated {}MB shared memory{pages}", allocation.total_mb()));
    entry(acts, Severity::Info, allocation.breakdown());
    acts.push(Act::Say(format!(
        "{}MB global buffers, {}MB routine buffers",
        allocation.globals_mb, allocation.routines_mb
    )));
}

fn entry(acts: &mut Vec<Act>, severity: Severity, text: String) {
    acts.push(Entry::kernel(Writer::Control, severity, text).into());
}

/// Into the log and onto the console of whoever starts the instance.
fn say(acts: &mut Vec<Act>, severity: Severity, text: &str) {
    entry(acts, severity, text.to_owned());
    acts.push(Act::Say(text.to_owned()));
}
