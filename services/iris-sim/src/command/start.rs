//! `iris start`.

use std::env;
use std::fs::File;
use std::io;
use std::path::{self, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

use crate::command::fail;
use crate::command::observed::{observe, wait_until_gone};
use crate::shell::ask;
use crate::shell::control::StartOrder;
use crate::shell::process::user_name;
use crate::shell::registry::Registered;

/// A start waits this long for the processes of the last run to leave shared memory.
const DETACH_LIMIT: Duration = Duration::from_secs(30);

/// Starts an instance; returns when logons are enabled or the start has failed.
pub fn start(instance: &Registered, options: &[&str]) -> ExitCode {
    let mut cpf = instance.folder.cpf();
    let mut nostu = false;
    for option in options {
        match *option {
            "nostu" => nostu = true,
            "quietly" => {}
            // Nobody can log on by it, but scripts pass it.
            emergency if emergency.starts_with("EmergencyId=") => {}
            file => match path::absolute(file) {
                Ok(absolute) => cpf = absolute,
                Err(error) => return fail(error),
            },
        }
    }
    match begin(instance, cpf, nostu) {
        Ok(code) => code,
        Err(error) => fail(format!("could not start instance \"{}\": {error}", instance.name)),
    }
}

fn begin(instance: &Registered, cpf: PathBuf, nostu: bool) -> io::Result<ExitCode> {
    let lock = File::create(instance.folder.start_lock())?;
    lock.lock()?;
    let before = observe(instance);
    if before.is_up() {
        println!("Instance '{}' is already running.", instance.name);
        return Ok(ExitCode::FAILURE);
    }
    if !wait_until_gone(&before.alive, DETACH_LIMIT) {
        println!("Processes of the last run of '{}' are still there.", instance.name);
        return Ok(ExitCode::FAILURE);
    }
    println!("Starting {}", instance.name);
    let mut control = spawn(instance, cpf, nostu)?;
    let told = control.stdout.take().expect("standard output is piped");
    if ask::answers(told, |line| println!("{line}")) == Some(0) {
        // The instance outlives this program.
        return Ok(ExitCode::SUCCESS);
    }
    control.wait()?;
    println!("\nAn error was encountered while initializing the system.");
    println!("Please see the messages.log file in\n{}mgr/.\n", instance.folder.printed());
    Ok(ExitCode::FAILURE)
}

fn spawn(instance: &Registered, cpf: PathBuf, nostu: bool) -> io::Result<Child> {
    let order = StartOrder {
        name: instance.name.clone(),
        folder: instance.folder.root().to_owned(),
        bin: instance.bin.clone(),
        cpf,
        asker_pid: std::process::id(),
        user: user_name(),
        nostu,
        merge_file: env::var_os("ISC_CPF_MERGE_FILE")
            .filter(|file| !file.is_empty())
            .map(path::absolute)
            .transpose()?,
    };
    Command::new(instance.bin.join("irisdb"))
        .arg("control-process")
        .arg(serde_json::to_string(&order)?)
        .current_dir(instance.folder.manager())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
}
