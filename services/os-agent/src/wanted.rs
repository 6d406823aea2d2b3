//! From what a command says to the value that the kernel takes.

use instance_contract::{Failure, SetKernel};
use instance_iris::cpf::memory::huge_pages;

use crate::{check, config::Config, host::Host, huge_pages::PARAMETER, needs};

/// Instead of a number of huge pages: as many as the CPFs of this host ask for.
const BY_CPF: &str = "cpf";

/// The same wish with a value that the kernel takes: a size in MB, or `cpf`, becomes a number of huge pages of this
/// host's own size. Everything else stays as it is, right or wrong.
pub fn resolve(config: &Config, host: &Host, wanted: &SetKernel) -> Result<SetKernel, Failure> {
    let is_pool = check::allowed(&wanted.kernel_param).is_ok_and(|row| row.name == PARAMETER);
    if !is_pool || wanted.new_value.parse::<u64>().is_ok() {
        return Ok(wanted.clone());
    }
    let memory = || host.memory.figures().map_err(crate::error::HostError::into_failure);
    let pages = if wanted.new_value == BY_CPF {
        needs::pages_to_reserve(&*host.cpfs, config, &memory()?)
            .map_err(|unknown| Failure::permanent("cpf_unreadable", unknown))?
    } else if let Some(megabytes) = megabytes(&wanted.new_value) {
        huge_pages(megabytes, memory()?.huge_page_kb)
    } else {
        return Ok(wanted.clone());
    };
    Ok(SetKernel { new_value: pages.to_string(), ..wanted.clone() })
}

/// `3580 MB` or `3580MB`, in the one way a number is written.
fn megabytes(text: &str) -> Option<u64> {
    let number = text.strip_suffix("MB")?;
    let number = number.strip_suffix(' ').unwrap_or(number);
    let megabytes: u64 = number.parse().ok()?;
    (megabytes.to_string() == number).then_some(megabytes)
}

#[cfg(test)]
mod tests {
    use super::megabytes;

    #[test]
    fn a_size_has_one_spelling_of_its_number() {
        assert_eq!((megabytes("3580 MB"), megabytes("3580MB")), (Some(3580), Some(3580)));
        for bad in
            ["3580", "3580 mb", "03580 MB", "+1 MB", "3580  MB", " 3580 MB", "MB", "-1 MB", "3.5 MB", "4 GB"]
        {
            assert_eq!(megabytes(bad), None, "{bad:?}");
        }
    }
}
