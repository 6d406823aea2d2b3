//! Limits that the kernel keeps in two forms, as a share of memory and in bytes, of which one is in use: writing the one sets
//! the other to 0, and undo could not bring that back.

use instance_contract::Failure;
use instance_knowledge::KernelParameter;

use crate::{error::HostError, host::Kernel};

/// The form in bytes of a limit that is a share of memory. The catalogue does not hold it: nobody may set it through us.
pub fn name(parameter: &KernelParameter) -> Option<&'static str> {
    match parameter.name.as_str() {
        "vm.dirty_ratio" => Some("vm.dirty_bytes"),
        "vm.dirty_background_ratio" => Some("vm.dirty_background_bytes"),
        _ => None,
    }
}

/// The form in bytes, where that is the one in use.
pub fn in_use(
    kernel: &dyn Kernel,
    parameter: &KernelParameter,
) -> Result<Option<(&'static str, u64)>, HostError> {
    let Some(name) = name(parameter) else { return Ok(None) };
    Ok(kernel.bytes(name)?.filter(|bytes| *bytes != 0).map(|bytes| (name, bytes)))
}

/// Refuses to set a limit whose other form is in use.
pub fn check(kernel: &dyn Kernel, parameter: &KernelParameter) -> Result<(), Failure> {
    let Some((other, bytes)) = in_use(kernel, parameter).map_err(HostError::into_failure)? else {
        return Ok(());
    };
    let name = &parameter.name;
    let message = format!(
        "this host sets the limit in bytes: {other} is {bytes}, and the kernel would set it to 0 once {name} is written, \
         which no undo of {name} brings back; set {other} = 0 by hand first where {name} shall count"
    );
    Err(Failure::refused("twin_in_use", message))
}
