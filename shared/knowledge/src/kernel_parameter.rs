//! Kernel parameters that may be written, and names that never may.

mod cpu_list;
mod recommended;
mod row;

use serde::Deserialize;

use crate::catalogue::Catalogue;
use crate::value::{ValueFault, canonical_decimal};

pub use cpu_list::{CpuList, InvalidCpuList};
pub use recommended::Recommended;

/// The parameters of `[config]` by which the shared memory of an instance grows or shrinks at its next start, and whether it
/// is of huge pages: what an [`iris_need`](KernelParameter::iris_need) is reckoned from.
pub const MEMORY_OF_CPF: [&str; 7] =
    ["globals", "routines", "gmheap", "jrnbufs", "MaxServers", "MaxServerConn", "memlock"];

/// The allowed parameter of that name, written with dots or slashes, with or without `/proc/sys/` or `/sys/`.
///
/// The name is only looked up, never used as a path: paths come from the row.
pub fn kernel_parameter(name: &str) -> Option<&'static KernelParameter> {
    let name = dotted(name);
    kernel_parameters().iter().find(|parameter| parameter.name == name)
}

/// All allowed parameters. A name that is not here is refused.
pub fn kernel_parameters() -> &'static [KernelParameter] {
    Catalogue::in_force().kernel_parameters()
}

/// Why a name is never allowed, for a better answer than "not on the list".
pub fn forbidden(name: &str) -> Option<&'static Forbidden> {
    let name = dotted(name);
    forbidden_names().iter().find(|row| row.covers(&name))
}

/// All names and families of names that are never allowed.
pub fn forbidden_names() -> &'static [Forbidden] {
    &Catalogue::in_force().kernel.forbidden
}

/// One kernel parameter that an agent may write.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
#[expect(clippy::struct_excessive_bools, reason = "plain properties of a row, each true or not")]
pub struct KernelParameter {
    /// Name with dots, as `sysctl` writes it: `vm.nr_hugepages`.
    pub name: String,
    /// Which root its file lies under.
    pub root: KernelRoot,
    /// Path below that root: `sys/vm/nr_hugepages`. Of a value of processes, the name of the file that shows it.
    pub path: String,
    /// What its value may be.
    pub kind: KernelKind,
    /// Unit of the numbers: `pages`, `bytes`, `percent`; `None` where there is none.
    pub unit: Option<String>,
    /// Value of an ordinary host, when it is the same everywhere.
    pub default: Option<String>,
    /// The least that one instance asks for, when it is one number; the instances of a host add up.
    pub iris_minimum: Option<u64>,
    /// The least that IRIS asks for, where it follows from the CPFs of the host.
    pub iris_need: Option<Need>,
    /// The values that a source names, each with the hosts that it is for.
    pub recommended: Vec<Recommended>,
    /// What InterSystems or the kernel's documents advise.
    pub recommendation: String,
    /// True when a line in a sysctl drop-in keeps it over a reboot.
    pub persistent: bool,
    /// True when a wrong value can starve or stop the host: asks for approval.
    pub dangerous: bool,
    /// True when a reboot is advised for the value to be reached.
    pub reboot_advised: bool,
    /// True when IRIS looks at it only at its start, so that a running instance does not notice.
    pub at_start: bool,
    /// True when the kernel may take long to reach a value: it is written by a process of its own, which ends with
    /// the time limit.
    pub slow: bool,
    /// Tag of the source; explained in the crate's README.
    pub source: String,
}

/// Under which root a parameter's file lies. Roots are settings, so that tests use a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KernelRoot {
    /// Usually `/proc`.
    Proc,
    /// Usually `/sys`.
    Sys,
    /// No file of the host, but a property of each process of one instance.
    Process,
}

/// What IRIS needs of a parameter, computed from CPFs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Need {
    /// Huge pages for the shared memory of all instances: with fewer, IRIS uses none at all.
    HugePages,
    /// Bytes of the largest instance's shared memory.
    LargestSegmentBytes,
    /// Pages of ordinary size for the shared memory of all instances.
    AllSegmentsPages,
}

/// What a kernel parameter may hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KernelKind {
    /// Exactly that many decimals, one blank between them; each with its lowest and highest legal value.
    Numbers(Vec<(u64, u64)>),
    /// One word of a list. The kernel shows the whole list with the present word in brackets.
    Word(Vec<String>),
    /// A set of CPUs, as [`CpuList`] writes it.
    Cpus,
}

/// A name, or a family that ends in `*`, that must never be written.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Forbidden {
    /// Name with dots.
    pub name: String,
    /// What it would allow.
    pub reason: String,
    /// Tag of the source; explained in the crate's README.
    pub source: String,
}

impl Forbidden {
    fn covers(&self, name: &str) -> bool {
        match self.name.strip_suffix('*') {
            Some(family) => name.starts_with(family),
            None => self.name == name,
        }
    }
}

impl KernelParameter {
    /// How many values it holds.
    pub fn length(&self) -> usize {
        match &self.kind {
            KernelKind::Numbers(ranges) => ranges.len(),
            KernelKind::Word(_) | KernelKind::Cpus => 1,
        }
    }

    /// Whether `value` may be written: canonical decimals within range, exactly as many as the kernel holds.
    ///
    /// The kernel itself is no judge: it took "5 6" for a single value and set 5 (reliability notes, tried).
    pub fn check(&self, value: &str) -> Result<(), ValueFault> {
        let legal = match &self.kind {
            KernelKind::Numbers(ranges) => {
                let parts: Vec<_> = value.split(' ').collect();
                let fits = |(part, (min, max)): (&&str, &(u64, u64))| {
                    canonical_decimal(part).is_some_and(|number| (*min..=*max).contains(&number))
                };
                parts.len() == ranges.len() && parts.iter().zip(ranges).all(fits)
            }
            KernelKind::Word(words) => words.iter().any(|word| word == value),
            KernelKind::Cpus => value.parse::<CpuList>().is_ok(),
        };
        if legal {
            return Ok(());
        }
        Err(ValueFault { parameter: self.name.clone(), value: value.to_owned(), rule: self.rule() })
    }

    /// The value in what the kernel shows: numbers with one blank between them, or the word in brackets.
    pub fn shown_value(&self, shown: &str) -> Option<String> {
        match &self.kind {
            KernelKind::Numbers(ranges) => {
                let parts: Vec<_> = shown.split_ascii_whitespace().collect();
                (parts.len() == ranges.len()).then(|| parts.join(" "))
            }
            KernelKind::Word(_) => {
                let word = shown.split_once('[')?.1.split_once(']')?.0;
                Some(word.to_owned())
            }
            KernelKind::Cpus => Some(shown.trim().parse::<CpuList>().ok()?.to_string()),
        }
    }

    fn rule(&self) -> String {
        let unit = self.unit.as_ref().map(|unit| format!(" ({unit})")).unwrap_or_default();
        match &self.kind {
            KernelKind::Numbers(ranges) => {
                let ranges: Vec<_> = ranges.iter().map(|(min, max)| format!("{min} to {max}")).collect();
                let count = match ranges.len() {
                    1 => "one whole number".to_owned(),
                    count => format!("exactly {count} whole numbers with one blank between them"),
                };
                format!("must be {count} from {}{unit}", ranges.join(", "))
            }
            KernelKind::Word(words) => format!("must be one of {}", words.join(", ")),
            KernelKind::Cpus => {
                "must be a list of CPUs such as 0-3,8: ascending, neighbours joined, no blanks".to_owned()
            }
        }
    }
}

fn dotted(name: &str) -> String {
    let name = ["/proc/sys/", "/sys/"].iter().find_map(|root| name.strip_prefix(root)).unwrap_or(name);
    name.replace('/', ".")
}

/// Kernel parameters that may be written, and what never may.
#[derive(Debug, Clone)]
pub struct Table {
    parameters: Vec<KernelParameter>,
    forbidden: Vec<Forbidden>,
}

impl Table {
    /// The rows compiled in.
    pub fn builtin() -> Self {
        row::read("kernel_parameters.toml", include_str!("../data/kernel_parameters.toml"))
            .expect("the built-in kernel parameters are checked by a test")
    }

    pub fn rows(&self) -> &[KernelParameter] {
        &self.parameters
    }
}

#[cfg(test)]
mod tests;
