//! Kernel parameters that may be written, and names that never may.

use std::sync::LazyLock;

use serde::Deserialize;

use crate::rows::{self, DataError, fault};
use crate::value::{ValueFault, canonical_decimal};

/// The allowed parameter of that name, written with dots or slashes, with or without `/proc/sys/` or `/sys/`.
///
/// The name is only looked up, never used as a path: paths come from the row.
pub fn kernel_parameter(name: &str) -> Option<&'static KernelParameter> {
    let name = dotted(name);
    TABLE.parameters.iter().find(|parameter| parameter.name == name)
}

/// All allowed parameters. A name that is not here is refused.
pub fn kernel_parameters() -> &'static [KernelParameter] {
    &TABLE.parameters
}

/// Why a name is never allowed, for a better answer than "not on the list".
pub fn forbidden(name: &str) -> Option<&'static Forbidden> {
    let name = dotted(name);
    TABLE.forbidden.iter().find(|row| row.covers(&name))
}

/// All names and families of names that are never allowed.
pub fn forbidden_names() -> &'static [Forbidden] {
    &TABLE.forbidden
}

/// One kernel parameter that an agent may write.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KernelParameter {
    /// Name with dots, as `sysctl` writes it: `vm.nr_hugepages`.
    pub name: String,
    /// Which root its file lies under.
    pub root: KernelRoot,
    /// Path below that root: `sys/vm/nr_hugepages`.
    pub path: String,
    /// What its value may be.
    pub kind: KernelKind,
    /// Unit of the numbers: `pages`, `bytes`, `percent`; `None` where there is none.
    pub unit: Option<String>,
    /// Value of an ordinary host, when it is the same everywhere.
    pub default: Option<String>,
    /// The least that IRIS asks for, when it is one number; a warning below it, not a refusal.
    pub iris_minimum: Option<u64>,
    /// What InterSystems or the kernel's documents advise.
    pub recommendation: String,
    /// True when a line in a sysctl drop-in keeps it over a reboot.
    pub persistent: bool,
    /// True when a wrong value can starve or stop the host: asks for approval.
    pub dangerous: bool,
    /// True when a reboot is advised for the value to be reached.
    pub reboot_advised: bool,
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
}

/// What a kernel parameter may hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KernelKind {
    /// Exactly that many decimals, one blank between them; each with its lowest and highest legal value.
    Numbers(Vec<(u64, u64)>),
    /// One word of a list. The kernel shows the whole list with the present word in brackets.
    Word(Vec<String>),
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
            KernelKind::Word(_) => 1,
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
        }
    }
}

fn dotted(name: &str) -> String {
    let name = ["/proc/sys/", "/sys/"].iter().find_map(|root| name.strip_prefix(root)).unwrap_or(name);
    name.replace('/', ".")
}

struct Table {
    parameters: Vec<KernelParameter>,
    forbidden: Vec<Forbidden>,
}

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    read("kernel_parameters.toml", include_str!("../data/kernel_parameters.toml"))
        .expect("the built-in kernel parameters are checked by a test")
});

/// A row as it stands in the file: `ranges` of numbers as texts `low..=high`, since TOML's integers end at 2^63.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ParameterRow {
    name: String,
    root: KernelRoot,
    path: String,
    #[serde(default)]
    ranges: Vec<String>,
    #[serde(default)]
    words: Vec<String>,
    unit: Option<String>,
    default: Option<String>,
    iris_minimum: Option<u64>,
    recommendation: String,
    persistent: bool,
    dangerous: bool,
    reboot_advised: bool,
    source: String,
}

fn read(file: &str, text: &str) -> Result<Table, DataError> {
    let known = &["parameter", "forbidden"];
    let mut table = Table { parameters: Vec::new(), forbidden: Vec::new() };
    for row in rows::read::<Forbidden>(file, text, "forbidden", "name", known)? {
        table.forbidden.push(row.value);
    }
    for row in rows::read::<ParameterRow>(file, text, "parameter", "name", known)? {
        let parameter = row.value.into_parameter().map_err(|rule| fault(file, &row.label, rule))?;
        check_row(&parameter, &table).map_err(|rule| fault(file, &row.label, rule))?;
        table.parameters.push(parameter);
    }
    Ok(table)
}

impl ParameterRow {
    fn into_parameter(self) -> Result<KernelParameter, String> {
        let kind = match (self.ranges.is_empty(), self.words.is_empty()) {
            (false, true) => {
                KernelKind::Numbers(self.ranges.iter().map(|text| range(text)).collect::<Result<_, _>>()?)
            }
            (true, false) => KernelKind::Word(self.words),
            _ => return Err("needs either ranges or words".to_owned()),
        };
        Ok(KernelParameter {
            name: self.name,
            root: self.root,
            path: self.path,
            kind,
            unit: self.unit,
            default: self.default,
            iris_minimum: self.iris_minimum,
            recommendation: self.recommendation,
            persistent: self.persistent,
            dangerous: self.dangerous,
            reboot_advised: self.reboot_advised,
            source: self.source,
        })
    }
}

fn range(text: &str) -> Result<(u64, u64), String> {
    let bounds = text
        .split_once("..=")
        .and_then(|(low, high)| Some((canonical_decimal(low)?, canonical_decimal(high)?)));
    bounds.filter(|(low, high)| low <= high).ok_or_else(|| format!("\"{text}\" is not a range low..=high"))
}

/// The rules that hold for a row and those before it.
fn check_row(parameter: &KernelParameter, table: &Table) -> Result<(), String> {
    let expected = match parameter.root {
        KernelRoot::Proc => format!("sys/{}", parameter.name.replace('.', "/")),
        KernelRoot::Sys => parameter.name.replace('.', "/"),
    };
    if parameter.path != expected {
        return Err(format!("path must be \"{expected}\""));
    }
    if table.parameters.iter().any(|earlier| earlier.name == parameter.name) {
        return Err("the name is already taken by another row".to_owned());
    }
    if table.forbidden.iter().any(|row| row.covers(&parameter.name)) {
        return Err("the name is forbidden".to_owned());
    }
    if parameter.recommendation.trim().is_empty() || parameter.source.trim().is_empty() {
        return Err("recommendation and source must not be empty".to_owned());
    }
    if parameter.persistent && parameter.root == KernelRoot::Sys {
        return Err("what lies below /sys cannot be kept by sysctl".to_owned());
    }
    parameter
        .default
        .as_ref()
        .map_or(Ok(()), |default| parameter.check(default))
        .map_err(|fault| fault.to_string())
}

#[cfg(test)]
mod tests;
