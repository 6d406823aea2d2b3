//! The settings in force, printed with their origins.

use std::fmt::Write as _;

use figment::value::Value;
use serde::de::DeserializeOwned;

use super::fault::shown;
use super::layers::Layered;
use super::typed::known_keys;
use super::{Common, Settings};

/// The column where origins begin, when there is room.
const ORIGINS: usize = 44;

/// Every key that this service has, as TOML: what was set, with where that came from, and what was not, as a comment.
/// Secrets are masked.
pub(crate) fn print<C: DeserializeOwned>(settings: &Settings<C>, layered: &Layered) -> String {
    let mut page = String::new();
    line(&mut page, &format!("# profile: {}", layered.profile.as_deref().unwrap_or("none")), "");
    let common = layered.table("");
    for key in known_keys::<Common>() {
        let set = common.find_ref(key);
        let told = match *key {
            "host" => format!("{:?}", settings.host.as_str()),
            "carriers" => format!("{:?}", settings.carriers.0),
            "dry_run" => settings.dry_run.to_string(),
            _ => settings.grace.0.to_string(),
        };
        let origin = set.map_or_else(|| "default".to_owned(), |value| layered.origin(value));
        line(&mut page, &format!("{key} = {told}"), &origin);
    }
    table(&mut page, layered, "nats", known_keys::<instance_bus::Settings>());
    table(&mut page, layered, "telemetry", known_keys::<instance_telemetry::Settings>());
    table(&mut page, layered, &layered.service, known_keys::<C>());
    page
}

fn table(page: &mut String, layered: &Layered, name: &str, known: &[&str]) {
    line(page, &format!("\n[{name}]"), "");
    let values = layered.table(name);
    let Value::Dict(_, entries) = &values else { return };
    for (key, value) in entries {
        leaves(page, layered, key, value);
    }
    for key in known.iter().filter(|key| !entries.contains_key(**key)) {
        line(page, &format!("# {key}"), "not set");
    }
}

fn leaves(page: &mut String, layered: &Layered, key: &str, value: &Value) {
    match value {
        Value::Dict(_, entries) => {
            for (name, inner) in entries {
                leaves(page, layered, &format!("{key}.{name}"), inner);
            }
        }
        _ => line(page, &format!("{key} = {}", shown(key, value)), &layered.origin(value)),
    }
}

fn line(page: &mut String, told: &str, origin: &str) {
    let written = match origin {
        "" => writeln!(page, "{told}"),
        _ => writeln!(page, "{told:<ORIGINS$} # {origin}"),
    };
    written.expect("writing to a String does not fail");
}
