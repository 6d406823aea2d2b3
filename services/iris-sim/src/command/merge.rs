//! `iris merge`.

use std::env;
use std::path::{self, PathBuf};
use std::process::ExitCode;

use crate::command::fail;
use crate::command::observed::observe;
use crate::shell::ask::{self, Request};
use crate::shell::registry::Registered;

/// Exit code of a merge that failed.
const MERGE_FAILED: u8 = 7;

/// Merges a file into the CPF of a running instance. The file may also come from `ISC_CPF_MERGE_FILE`.
pub fn merge(instance: &Registered, options: &[&str]) -> ExitCode {
    let file = match options {
        [] => env::var_os("ISC_CPF_MERGE_FILE").map(PathBuf::from),
        [file] => Some(PathBuf::from(file)),
        [file, target] if path::absolute(target).ok() == Some(instance.folder.cpf()) => {
            Some(PathBuf::from(file))
        }
        _ => return fail("the target of a merge must be the CPF of the instance"),
    };
    let Some(file) = file else {
        return fail("no merge file: name one, or set ISC_CPF_MERGE_FILE");
    };
    let file = match path::absolute(file) {
        Ok(absolute) => absolute,
        Err(error) => return fail(error),
    };
    if !observe(instance).is_up() {
        println!("IRIS Merge failed,instance '{}' is not running", instance.name);
        return ExitCode::from(MERGE_FAILED);
    }
    let request = Request::Merge { pid: std::process::id(), file };
    match ask::ask(&instance.folder.manager(), &request, |line| println!("{line}")) {
        Ok(Some(code)) => ExitCode::from(code),
        Ok(None) => fail("the instance did not answer"),
        Err(error) => fail(format!("could not reach the instance: {error}")),
    }
}
