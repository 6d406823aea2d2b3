//! `iris list`, `iris qlist`, `iris all`.

use std::process::ExitCode;

use crate::command::observed::{last_used, observe, ports};
use crate::command::{fail, unknown};
use crate::shell::registry::{Registered, Registry};
use crate::shell::settings::Settings;

/// `iris list` (`Configuration`) and `iris view` (`Instance`): a block an instance.
pub fn list(registry: &Registry, name: Option<&str>, heading: &str) -> ExitCode {
    each(registry, name, |instance| {
        let line = Line::of(instance);
        let default = if instance.is_default { "   (default)" } else { "" };
        println!("\n{heading} '{}'{default}", line.name);
        println!("\tdirectory:    {}", line.directory);
        println!("\tversionid:    {}", line.version_id);
        println!("\tdatadir:      {}", line.directory);
        println!(
            "\tconf file:    iris.cpf  (SuperServer port = {}, WebServer = {})",
            line.ports.0, line.ports.1
        );
        println!("\tstatus:       {}", line.status);
        if !line.health.is_empty() {
            println!("\tstate:        {}", line.health);
        }
        println!("\tproduct:      {}", line.product);
    })
}

/// `iris qlist`: 14 fields separated by `^`.
pub fn qlist(registry: &Registry, name: Option<&str>) -> ExitCode {
    each(registry, name, |instance| {
        let Line { name, directory, version_id, status, ports: (superserver, web), health, .. } =
            Line::of(instance);
        println!(
            "{name}^{directory}^{version_id}^{status}^iris.cpf^{superserver}^{web}^0^{health}^IRIS^^^{directory}^{superserver}"
        );
    })
}

/// `iris all`, `iris allw` and `iris qall`: one line an instance, cut at `width` with a `~`.
pub fn all(registry: &Registry, width: Option<usize>) -> ExitCode {
    let put = |line: String| match width {
        Some(width) if line.chars().count() > width => {
            println!("{}~", line.chars().take(width).collect::<String>());
        }
        _ => println!("{line}"),
    };
    put("Instance Name     Version ID        Port   Directory".to_owned());
    put("----------------  ----------------  -----  --------------------------------".to_owned());
    each(registry, None, |instance| {
        let line = Line::of(instance);
        let state = match line.status.split([',', ' ']).next() {
            Some("running") => "up",
            Some("down") => "dn",
            _ => "st",
        };
        let mark = if instance.is_default { '>' } else { ' ' };
        put(format!(
            "{state} {mark}{:<12}  {:<16}  {:<5}  {}",
            line.name, line.version_id, line.ports.0, line.directory
        ));
    })
}

struct Line {
    name: String,
    directory: String,
    version_id: String,
    status: String,
    ports: (u16, u16),
    health: String,
    product: String,
}

impl Line {
    fn of(instance: &Registered) -> Self {
        let settings = Settings::read(&instance.folder.settings()).ok();
        let observed = observe(instance).status;
        let status = match &observed {
            Some(told) if told.status == "running" => format!("running, since {}", ctime(told.since)),
            Some(told) => told.status.clone(),
            None => match last_used(instance) {
                Some(at) => format!("down, last used {}", ctime(at)),
                None => "down".to_owned(),
            },
        };
        Self {
            name: instance.name.clone(),
            directory: instance.folder.printed(),
            version_id: settings.as_ref().map_or_else(String::new, |settings| settings.version.version_id()),
            status,
            ports: observed.as_ref().map_or_else(|| ports(instance), |told| told.ports),
            health: observed.map_or_else(String::new, |told| told.health),
            product: settings.map_or_else(String::new, |settings| settings.product),
        }
    }
}

fn each(registry: &Registry, name: Option<&str>, print: impl Fn(&Registered)) -> ExitCode {
    let found = match name {
        Some(name) => match registry.find(name) {
            Ok(instance) => vec![instance],
            Err(error) => return unknown(name, &error),
        },
        None => match registry.instances() {
            Ok(instances) => instances,
            Err(error) => return fail(error),
        },
    };
    found.iter().for_each(print);
    ExitCode::SUCCESS
}

/// `Thu Feb 19 20:47:24 2026`, local time.
fn ctime(at: jiff::Timestamp) -> String {
    at.to_zoned(jiff::tz::TimeZone::system()).strftime("%a %b %e %H:%M:%S %Y").to_string()
}
