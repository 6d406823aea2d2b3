//! Shared memory: how much an instance takes, and of which pages.
//!
//! The parts add up to what real starts print (globals 15946, routines 1020, heap 478 give 18758 MB), and stay below
//! the documented estimate. Two parts are read off real starts, because nothing documents them: buffer descriptors
//! at 7.7 % of the buffers, and the miscellaneous part, 17 MB with huge pages and 16 without.

use instance_iris::cpf::memory::SharedMemory;

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
        // The first two pools are no longer used; IRIS leaves them out.
        let [_, _, pools @ ..] = parameters.globals_mb;
        let asked = SharedMemory {
            globals_mb: pools.iter().sum(),
            routines_mb: parameters.routines_mb,
            gmheap_kb: parameters.gmheap_kb,
            jrnbufs_mb: parameters.jrnbufs_mb,
            max_servers: parameters.max_servers,
            max_server_conn: parameters.max_server_conn,
        };
        let SharedMemory { globals_mb, routines_mb, gmheap_kb, .. } = asked.with_defaults(host.total_mb);
        Self {
            globals_mb,
            globals_8k_mb: if asked.globals_mb == 0 { globals_mb } else { pools[0] },
            routines_mb,
            journal_mb: parameters.jrnbufs_mb,
            descriptors_mb: descriptors(globals_mb),
            heap_mb: (gmheap_kb + 512) / 1024,
            ecp_mb: (2 * (parameters.max_servers + parameters.max_server_conn)).saturating_sub(1),
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
    if parameters.globals_mb[2..].iter().all(|mb| *mb == 0) {
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
        if !host.may_lock {
            let text = "Insufficient privileges to allocate Huge Pages; non-root instance requires CAP_IPC_LOCK \
                capability for Huge Pages.";
            say(acts, Severity::Warning, text);
        } else if wanted.fits_huge_pages(host) {
            return Attempt::Taken(wanted);
        }
        // Said in the same words where only the right is missing: the number of pages is then not the cause.
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

#[cfg(test)]
mod tests {
    use instance_iris::cpf::memory::SharedMemory;
    use proptest::prelude::*;

    use super::{Allocation, allocate};
    use crate::world::act::{Act, Severity};
    use crate::world::facts::HostMemory;
    use crate::world::parameters::Parameters;

    fn parameters(globals: u64, memlock: u64) -> Parameters {
        let value = |_: &str, name: &str| match name {
            "globals" => Some(format!("0,0,{globals},0,0,0")),
            "memlock" => Some(memlock.to_string()),
            _ => None,
        };
        Parameters::read(value, Vec::new())
    }

    fn host(total_mb: u64, huge_pages: u64) -> HostMemory {
        HostMemory { total_mb, huge_pages, huge_page_kb: 2048, may_lock: true }
    }

    /// The allocation, and the lines with their severities.
    fn outcome(
        globals: u64,
        memlock: u64,
        host: HostMemory,
    ) -> (Option<Allocation>, Vec<(Severity, String)>) {
        let (allocation, acts) = allocate(&parameters(globals, memlock), host);
        let lines = acts.into_iter().filter_map(|act| match act {
            Act::Log(entry) => Some((entry.severity, entry.text)),
            _ => None,
        });
        (allocation, lines.collect())
    }

    #[test]
    fn a_quarter_of_the_memory_is_what_a_real_start_took() {
        // A real start on a host of 63784 MB: 15946 globals, 1020 routines, 478 heap, 18758 in all.
        let (allocation, lines) = outcome(0, 0, host(63784, 10000));
        assert_eq!(allocation.map(|it| (it.total_mb(), it.huge_pages)), Some((18758, true)));
        assert!(lines[0].1.starts_with("Global buffer setting requires attention."));
        assert_eq!(lines[1], (Severity::Info, "Allocated 18758MB shared memory using Huge Pages".to_owned()));
    }

    #[test]
    fn a_host_without_a_pool_is_silent_about_huge_pages() {
        let (allocation, lines) = outcome(256, 0, host(16384, 0));
        assert!(!allocation.unwrap().huge_pages);
        assert_eq!(lines[0], (Severity::Info, "Allocated 741MB shared memory".to_owned()));
    }

    #[test]
    fn one_page_too_few_means_none() {
        let needed = 742_u64.div_ceil(2);
        assert!(outcome(256, 0, host(16384, needed)).0.unwrap().huge_pages);
        let (allocation, lines) = outcome(256, 0, host(16384, needed - 1));
        assert!(!allocation.unwrap().huge_pages);
        assert_eq!(lines[0].0, Severity::Severe);
        assert!(
            lines[0]
                .1
                .starts_with("Failed to allocate 742MB shared memory using Huge Pages.  Startup will retry")
        );
        assert_eq!(lines[1], (Severity::Info, "Allocated 741MB shared memory".to_owned()));
    }

    #[test]
    fn without_the_right_to_them_pages_enough_are_refused_like_pages_too_few() {
        let without_right = HostMemory { may_lock: false, ..host(16384, 800) };
        let (allocation, lines) = outcome(256, 0, without_right);
        assert!(!allocation.unwrap().huge_pages);
        let told: Vec<(Severity, &str)> =
            lines.iter().map(|(severity, text)| (*severity, &text[..text.len().min(39)])).collect();
        assert_eq!(
            told[..3],
            [
                (Severity::Warning, "Insufficient privileges to allocate Hug"),
                (Severity::Severe, "Failed to allocate 742MB shared memory "),
                (Severity::Info, "Allocated 741MB shared memory"),
            ]
        );
    }

    #[test]
    fn too_little_memory_takes_an_eighth_off() {
        let (allocation, lines) = outcome(8000, 0, host(8192, 0));
        assert_eq!(allocation.map(|it| it.globals_8k_mb), Some(6125));
        assert!(lines[0].1.starts_with("Failed to allocate 9"), "{lines:?}");
        let last = lines.iter().position(|(_, text)| text.starts_with("Allocated ")).unwrap();
        assert_eq!(lines[last].0, Severity::Warning);
    }

    #[test]
    fn memlock_says_what_is_not_to_be_tried() {
        let (_, lines) = outcome(256, 32, host(16384, 100));
        assert!(lines[0].1.starts_with("Allocated"), "32: no huge pages tried: {lines:?}");
        assert_eq!(outcome(256, 64, host(16384, 100)).0, None, "64: huge pages or nothing");
        assert_eq!(outcome(8000, 128, host(8192, 0)).0, None, "128: no less than asked for");
    }

    proptest! {
        #[test]
        fn the_documented_estimate_is_never_too_small(globals in 1_u64..500_000, heap_kb in 16_384_u64..4_000_000) {
            let value = |_: &str, name: &str| match name {
                "globals" => Some(format!("0,0,{globals},0,0,0")),
                "gmheap" => Some(heap_kb.to_string()),
                _ => None,
            };
            let roomy = host(u64::MAX / 4096, 0);
            let taken = allocate(&Parameters::read(value, Vec::new()), roomy).0.unwrap();
            let estimate = SharedMemory::estimate(globals, 0, heap_kb, 64, 2, 1).with_defaults(0).total_mb();
            prop_assert!(taken.total_mb() <= estimate, "{} > {estimate}", taken.total_mb());
        }

        #[test]
        fn what_is_taken_fits_the_host(globals in 0_u64..200_000, total in 1_u64..300_000, pages in 0_u64..100_000) {
            let host = host(total, pages);
            if let Some(taken) = outcome(globals, 0, host).0 {
                let room = if taken.huge_pages { host.pool_mb() } else { host.standard_mb() };
                prop_assert!(taken.total_mb() <= room);
                prop_assert!(globals == 0 || taken.globals_8k_mb <= globals);
            }
        }
    }
}
