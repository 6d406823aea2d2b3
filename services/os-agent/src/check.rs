//! Whether a kernel parameter may be set as asked. Pure.

use instance_contract::{Failure, SetKernel};
use instance_knowledge::{self as knowledge, KernelKind, KernelParameter, Need, ValueFault};

/// Why a kernel parameter is not set as asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// The name is on the list of those that nobody may set through us.
    #[error("kernel parameter \"{name}\" is never set by Instance: {reason}")]
    Forbidden {
        /// As asked for.
        name: String,
        /// What it would allow.
        reason: String,
    },
    /// The name is not on the list of those that may be set.
    #[error("kernel parameter \"{}\" is not on the allowed list: {allowed}", name.escape_debug())]
    NotAllowed {
        /// As asked for.
        name: String,
        /// The list.
        allowed: String,
    },
    /// The value does not fit type and range.
    #[error("{0}")]
    Value(#[from] ValueFault),
    /// The value is outside the bounds that the command itself brings.
    #[error("value {value} of {name} is outside the command's own bounds, {min} to {max}")]
    Bounds {
        /// The parameter.
        name: String,
        /// As asked for.
        value: String,
        /// The command's `min_value`, or "any".
        min: String,
        /// The command's `max_value`, or "any".
        max: String,
    },
    /// The value is below what IRIS needs.
    #[error("value {value} of {name} is below {minimum}, the least that IRIS needs ({source_tag})")]
    BelowIris {
        /// The parameter.
        name: String,
        /// As asked for.
        value: String,
        /// The least.
        minimum: u64,
        /// Where that figure is from.
        source_tag: String,
    },
}

impl From<Conflict> for Failure {
    fn from(conflict: Conflict) -> Self {
        let code = match &conflict {
            Conflict::Forbidden { .. } => "forbidden_parameter",
            Conflict::NotAllowed { .. } => "parameter_not_allowed",
            Conflict::Value(_) => "invalid_value",
            Conflict::Bounds { .. } => "out_of_bounds",
            Conflict::BelowIris { .. } => "below_iris_minimum",
        };
        Self::refused(code, conflict)
    }
}

/// The catalogue's row for what is asked, when it may be set to that value, whatever the host.
pub fn check(wanted: &SetKernel) -> Result<&'static KernelParameter, Conflict> {
    let parameter = allowed(&wanted.kernel_param)?;
    parameter.check(&wanted.new_value)?;
    check_bounds(parameter, wanted)?;
    Ok(parameter)
}

/// Is the value at least what IRIS needs? `instances` share the host, and `least` is what follows from their CPFs.
pub fn check_minimum(
    parameter: &KernelParameter,
    value: &str,
    instances: u64,
    least: Option<u64>,
) -> Result<(), Conflict> {
    // The figure of the catalogue is for one instance; queues add up.
    let of_catalogue = parameter.iris_minimum.map(|minimum| minimum.saturating_mul(instances.max(1)));
    let Some(minimum) = of_catalogue.max(least) else { return Ok(()) };
    // No huge pages at all is a way to run; some, but too few, are only lost.
    let none_at_all = parameter.iris_need == Some(Need::HugePages) && value == "0";
    if none_at_all || numbers(value).next().is_none_or(|number| number >= i128::from(minimum)) {
        return Ok(());
    }
    let (name, source_tag) = (parameter.name.clone(), parameter.source.clone());
    Err(Conflict::BelowIris { name, value: value.to_owned(), minimum, source_tag })
}

/// The catalogue's row of a name with dots or slashes.
pub fn allowed(name: &str) -> Result<&'static KernelParameter, Conflict> {
    if let Some(row) = knowledge::forbidden(name) {
        return Err(Conflict::Forbidden { name: name.to_owned(), reason: row.reason.clone() });
    }
    knowledge::kernel_parameter(name).ok_or_else(|| {
        let names: Vec<_> = knowledge::kernel_parameters().iter().map(|row| row.name.as_str()).collect();
        Conflict::NotAllowed { name: name.to_owned(), allowed: names.join(", ") }
    })
}

fn check_bounds(parameter: &KernelParameter, wanted: &SetKernel) -> Result<(), Conflict> {
    let (min, max) = (wanted.min_value.map(i128::from), wanted.max_value.map(i128::from));
    if min.is_none() && max.is_none() {
        return Ok(());
    }
    let inside = match parameter.kind {
        // A word is neither above nor below a number.
        KernelKind::Word(_) | KernelKind::Cpus => false,
        KernelKind::Numbers(_) => numbers(&wanted.new_value)
            .all(|number| min.is_none_or(|min| min <= number) && max.is_none_or(|max| number <= max)),
    };
    if inside {
        return Ok(());
    }
    let text = |bound: Option<i64>| bound.map_or("any".to_owned(), |bound| bound.to_string());
    Err(Conflict::Bounds {
        name: parameter.name.clone(),
        value: wanted.new_value.clone(),
        min: text(wanted.min_value),
        max: text(wanted.max_value),
    })
}

/// The numbers of a value that has passed the catalogue's check.
fn numbers(value: &str) -> impl Iterator<Item = i128> {
    value.split(' ').filter_map(|part| part.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(name: &str, value: &str, bounds: (Option<i64>, Option<i64>)) -> String {
        let wanted = SetKernel {
            kernel_param: name.to_owned(),
            new_value: value.to_owned(),
            min_value: bounds.0,
            max_value: bounds.1,
            with_cpf: Vec::new(),
        };
        let checked = check(&wanted).and_then(|row| check_minimum(row, value, 2, None).map(|()| row));
        match checked {
            Ok(parameter) => parameter.name.clone(),
            Err(conflict) => {
                let failure = Failure::from(conflict);
                assert!(matches!(failure, Failure::Refused { .. }));
                failure.cause().code.clone()
            }
        }
    }

    #[test]
    fn names_are_looked_up_and_never_used_as_a_path() {
        for (name, outcome) in [
            ("vm.nr_hugepages", "vm.nr_hugepages"),
            ("vm/nr_hugepages", "vm.nr_hugepages"),
            ("/proc/sys/vm/nr_hugepages", "vm.nr_hugepages"),
            ("kernel.core_pattern", "forbidden_parameter"),
            ("kernel/modprobe", "forbidden_parameter"),
            ("net.ipv4.ip_forward", "forbidden_parameter"),
            ("vm.laptop_mode", "parameter_not_allowed"),
            ("../../etc/passwd", "parameter_not_allowed"),
            ("vm.nr_hugepages\n", "parameter_not_allowed"),
            ("", "parameter_not_allowed"),
        ] {
            assert_eq!(code(name, "8", (None, None)), outcome, "{name:?}");
        }
    }

    #[test]
    fn values_are_canonical_and_within_every_bound() {
        let free = (None, None);
        for (name, value, bounds, outcome) in [
            ("vm.swappiness", "5", free, "vm.swappiness"),
            ("vm.swappiness", "5 6", free, "invalid_value"),
            ("vm.swappiness", "05", free, "invalid_value"),
            ("vm.swappiness", "5\n", free, "invalid_value"),
            ("vm.swappiness", "300", free, "invalid_value"),
            ("vm.swappiness", "5", (Some(1), Some(10)), "vm.swappiness"),
            ("vm.swappiness", "5", (Some(6), None), "out_of_bounds"),
            ("vm.swappiness", "5", (None, Some(4)), "out_of_bounds"),
            ("vm.swappiness", "5", (Some(-1), None), "vm.swappiness"),
            ("kernel.sem", "250 32000 100 128", free, "kernel.sem"),
            ("kernel.sem", "250 32000 100", free, "invalid_value"),
            ("kernel.sem", "250 32000 100 128", (Some(128), None), "out_of_bounds"),
            ("kernel.shmmax", "18446744073692774399", (Some(1), None), "kernel.shmmax"),
            ("kernel.shmmax", "18446744073692774399", (None, Some(i64::MAX)), "out_of_bounds"),
            ("kernel.msgmni", "6", free, "kernel.msgmni"),
            ("kernel.msgmni", "5", free, "below_iris_minimum"),
            (
                "kernel.mm.transparent_hugepage.enabled",
                "never",
                free,
                "kernel.mm.transparent_hugepage.enabled",
            ),
            ("kernel.mm.transparent_hugepage.enabled", "off", free, "invalid_value"),
            ("kernel.mm.transparent_hugepage.enabled", "never", (Some(0), None), "out_of_bounds"),
        ] {
            assert_eq!(code(name, value, bounds), outcome, "{name} {value:?}");
        }
    }
}
