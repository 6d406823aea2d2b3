//! A full CPF of a new instance, from the parameter catalogue.

use std::fmt::Write as _;

use instance_iris::cpf::Document;
use instance_knowledge::{Section, SectionKind, parameters_of, sections};

use crate::shell::folder::InstanceFolder;
use crate::world::check_cpf;
use crate::world::release::Release;

/// What differs between new instances.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCpf<'a> {
    /// Name of the instance, upper case.
    pub name: &'a str,
    /// Its folder.
    pub folder: &'a InstanceFolder,
    /// Which IRIS.
    pub release: Release,
    /// `[Startup] DefaultPort`.
    pub superserver_port: u16,
    /// `[Startup] WebServerPort`; 80 is the site's own web server.
    pub web_port: u16,
    /// 8 KB global buffers, MB; 0 lets IRIS decide.
    pub globals_mb: u64,
}

impl NewCpf<'_> {
    /// Does the instance come with a private web server?
    pub fn web_server(&self) -> bool {
        self.web_port != 80
    }
}

/// The text of the file, as IRIS writes it: sections in its order, keys sorted, a blank line between.
pub fn text(new: &NewCpf<'_>) -> String {
    let lists = Document::parse(include_bytes!("named_lists.cpf"));
    let mut text = String::new();
    for section in sections().iter().filter(|section| section.always) {
        let lines = match section.kind {
            SectionKind::List => list_lines(new, &section.name, &lists),
            SectionKind::Fixed | SectionKind::Written => fixed_lines(new, section),
            SectionKind::MergeOnly => continue,
        };
        if !text.is_empty() {
            text.push('\n');
        }
        writeln!(text, "[{}]", section.name).expect("writing to a string cannot fail");
        for (key, value) in lines {
            writeln!(text, "{key}={value}").expect("writing to a string cannot fail");
        }
    }
    text
}

/// The directories that the databases of a new instance need, with a slash at the end.
pub fn database_directories(new: &NewCpf<'_>) -> Vec<String> {
    databases(new).into_iter().map(|(_, directory)| directory).collect()
}

fn databases(new: &NewCpf<'_>) -> Vec<(String, String)> {
    let manager = format!("{}mgr/", new.folder.printed());
    let mut names = new.release.system_databases();
    names.extend(["ENSLIB", "USER"]);
    names
        .into_iter()
        .map(|name| {
            let directory = match name {
                "IRISSYS" => manager.clone(),
                other => format!("{manager}{}/", other.to_lowercase()),
            };
            (name.to_owned(), directory)
        })
        .collect()
}

fn list_lines(new: &NewCpf<'_>, section: &str, lists: &Document) -> Vec<(String, String)> {
    let owned = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    match section {
        "Databases" => databases(new),
        "Namespaces" => vec![owned("%ALL", "IRISTEMP"), owned("%SYS", "IRISSYS"), owned("USER", "USER")],
        other => lists.entries(other).map(|entry| owned(entry.name, entry.value)).collect(),
    }
}

fn fixed_lines(new: &NewCpf<'_>, section: &Section) -> Vec<(String, String)> {
    parameters_of(&section.name)
        .filter(|parameter| {
            parameter.is_held_by(new.release.version())
                && !check_cpf::is_optional(&section.name, &parameter.name)
        })
        .map(|parameter| {
            let value = own_value(new, &section.name, &parameter.name)
                .or_else(|| parameter.default.clone())
                .unwrap_or_default();
            (parameter.name.clone(), value)
        })
        .collect()
}

/// Values that are not the same everywhere.
fn own_value(new: &NewCpf<'_>, section: &str, name: &str) -> Option<String> {
    let journal = || format!("{}mgr/journal/", new.folder.printed());
    Some(match (section, name) {
        ("ConfigFile", "Version") => new.release.version().to_owned(),
        ("Startup", "DefaultPort") => new.superserver_port.to_string(),
        ("Startup", "WebServerPort") => new.web_port.to_string(),
        ("Startup", "WebServerURLPrefix") => new.name.to_lowercase(),
        ("Startup", "WebServer") => u8::from(new.web_server()).to_string(),
        ("Startup", "EnableVSSBackup") => "0".to_owned(),
        ("Journal", "CurrentDirectory" | "AlternateDirectory") => journal(),
        ("Logging", "ChildProcessLaunchCommand") => {
            format!("irislogd -f {}mgr/irislogd.log", new.folder.printed())
        }
        ("SQL", "BiasQueriesAsOutlier") => u8::from(new.release.version() >= "2025.2").to_string(),
        ("config", "globals") if new.globals_mb > 0 => format!("0,0,{},0,0,0", new.globals_mb),
        ("config", "overview") => format!("Linux/{}~UNIX", std::env::consts::ARCH),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use instance_iris::cpf::Document;

    use crate::create::example_cpf;
    use crate::world::check_cpf;
    use crate::world::release::Release;

    #[test]
    fn a_new_cpf_passes_the_strict_check_of_its_release() {
        for version in ["2024.2", "2025.2"] {
            let release = Release::try_from(version.to_owned()).unwrap();
            let document = Document::parse(example_cpf(release).as_bytes());
            assert_eq!(check_cpf::check(&document, release), vec![], "{version}");
            assert_eq!(document.get("config", "globals"), Some("0,0,256,0,0,0"));
            let keys: Vec<_> = document.entries("config").map(|entry| entry.name.to_owned()).collect();
            let mut sorted = keys.clone();
            sorted.sort();
            assert_eq!(keys, sorted, "IRIS sorts the keys of a section, upper case first");
        }
    }
}
