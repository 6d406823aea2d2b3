//! `iris qlist`: one line an instance, fields separated by `^`, read by position. Old versions print 8 of the 14.

use std::{fmt, path::Path, time::Duration};

use instance_contract::InstanceName;

use crate::host::{Finished, HostError, Program};

/// What `iris qlist` says about an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Qlist {
    /// As printed, usually in upper case.
    pub name: String,
    /// Installation directory.
    pub directory: String,
    pub version: String,
    pub state: StateWord,
    /// What follows the state word, e.g. `since Thu Feb 19 20:47:24 2026`; empty when nothing does.
    pub since: String,
    /// Name of the CPF in the installation directory.
    pub cpf_file: String,
    pub superserver_port: Option<u16>,
    /// Every port of the superserver, that one first: field 14 (since 2025.3) lists them. No source shows a line with more
    /// than one, so whatever is no digit counts as what lies between two.
    pub superserver_ports: Vec<u16>,
    /// Absent or 0 without a private web server.
    pub web_server_port: Option<u16>,
    pub health: Health,
    pub product: String,
    /// E.g. `Failover`; empty without a mirror.
    pub mirror_member: String,
    /// E.g. `Primary`; empty without a mirror.
    pub mirror_status: String,
    /// Empty in versions that do not print it.
    pub data_directory: String,
}

/// First word of field 4.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StateWord {
    Running,
    Down,
    Starting,
    Stopping,
    /// Up, but nobody may log on yet, or only in single-user mode.
    SignOnInhibited,
    /// As printed.
    Other(String),
}

/// Field 9.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    Ok,
    Warn,
    Alert,
    Hung,
    /// Empty, as when the instance is down, or a word that nobody knows.
    Unknown,
    /// A version that does not print the field.
    NotTold,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum QlistError {
    #[error("could not ask for the state of instance \"{instance}\"")]
    Run { instance: InstanceName, source: HostError },
    #[error("\"iris qlist {instance}\" did not end within {} s", limit.as_secs())]
    TimedOut { instance: InstanceName, limit: Duration },
    #[error("instance \"{instance}\" is not known on this host: {said}")]
    UnknownInstance { instance: InstanceName, said: String },
    #[error("\"iris qlist {instance}\" printed no line about the instance: {said}")]
    Unreadable { instance: InstanceName, said: String },
}

/// Asks the `iris` program, at most for `limit`.
pub fn qlist(iris_command: &Path, instance: &InstanceName, limit: Duration) -> Result<Qlist, QlistError> {
    let program = Program::new(iris_command).arguments(["qlist", instance.as_str()]);
    let finished = program
        .variable("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .run(limit)
        .map_err(|source| QlistError::Run { instance: instance.clone(), source })?;
    Qlist::read(&finished, instance, limit)
}

impl Qlist {
    /// What `iris qlist INSTANCE` said, having been given `limit`.
    pub fn read(finished: &Finished, instance: &InstanceName, limit: Duration) -> Result<Self, QlistError> {
        if finished.timed_out {
            return Err(QlistError::TimedOut { instance: instance.clone(), limit });
        }
        let output = String::from_utf8_lossy(&finished.stdout);
        let about_it = |found: &Self| found.name.eq_ignore_ascii_case(instance.as_str());
        if let Some(found) = output.lines().filter_map(Self::parse).find(about_it) {
            return Ok(found);
        }
        let (instance, said) = (instance.clone(), finished.last_words());
        if finished.succeeded() {
            Err(QlistError::Unreadable { instance, said })
        } else {
            Err(QlistError::UnknownInstance { instance, said })
        }
    }

    /// One line. `None` when it has fewer than the 8 fields that every version prints.
    pub fn parse(line: &str) -> Option<Self> {
        let fields: Vec<&str> = line.trim_end().split('^').map(str::trim).collect();
        if fields.len() < 8 || fields[0].is_empty() {
            return None;
        }
        let text = |at: usize| fields.get(at).copied().unwrap_or_default().to_owned();
        let superserver_port: Option<u16> = fields[5].parse().ok().filter(|port| *port != 0);
        let (state, since) = fields[3].split_once(',').unwrap_or((fields[3], ""));
        Some(Self {
            name: text(0),
            directory: text(1),
            version: text(2),
            state: StateWord::from(state.trim()),
            since: since.trim().to_owned(),
            cpf_file: text(4),
            superserver_port,
            superserver_ports: ports(superserver_port, &text(13)),
            web_server_port: fields[6].parse().ok(),
            health: fields.get(8).map_or(Health::NotTold, |word| Health::from(*word)),
            product: text(9),
            mirror_member: text(10),
            mirror_status: text(11),
            data_directory: text(12),
        })
    }

    pub fn is_running(&self) -> bool {
        self.state == StateWord::Running
    }

    /// Running, and not in such trouble that it says `alert` or `hung` itself. A version that does not tell its health
    /// cannot be held to it.
    pub fn is_well(&self) -> bool {
        self.is_running() && matches!(self.health, Health::Ok | Health::Warn | Health::NotTold)
    }
}

fn ports(first: Option<u16>, list: &str) -> Vec<u16> {
    let mut ports: Vec<u16> = first.into_iter().collect();
    for port in list.split(|c: char| !c.is_ascii_digit()).filter_map(|port| port.parse().ok()) {
        if port != 0 && !ports.contains(&port) {
            ports.push(port);
        }
    }
    ports
}

impl From<&str> for StateWord {
    fn from(word: &str) -> Self {
        match word {
            "running" => Self::Running,
            "down" => Self::Down,
            "starting" => Self::Starting,
            "stopping" => Self::Stopping,
            _ if word.starts_with("sign-on inhibited") => Self::SignOnInhibited,
            other => Self::Other(other.to_owned()),
        }
    }
}

impl fmt::Display for StateWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Running => "running",
            Self::Down => "down",
            Self::Starting => "starting",
            Self::Stopping => "stopping",
            Self::SignOnInhibited => "sign-on inhibited",
            Self::Other(word) => word,
        })
    }
}

impl From<&str> for Health {
    fn from(word: &str) -> Self {
        match word {
            "ok" => Self::Ok,
            "warn" => Self::Warn,
            "alert" => Self::Alert,
            "hung" => Self::Hung,
            _ => Self::Unknown,
        }
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Alert => "alert",
            Self::Hung => "hung",
            Self::Unknown => "unknown",
            Self::NotTold => "not told",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    fn check(line: &str, expected: &str) {
        let found = Qlist::parse(line).unwrap();
        let Qlist {
            state,
            since,
            superserver_port,
            health,
            mirror_member,
            mirror_status,
            data_directory,
            ..
        } = found;
        let port = superserver_port.unwrap_or_default();
        let text =
            format!("{state}|{since}|{port}|{health}|{mirror_member}|{mirror_status}|{data_directory}");
        assert_eq!(text, expected);
    }

    #[test]
    fn every_length_of_line_is_read_by_position() {
        check(
            "IRIS^/usr/irissys^2026.1.0L.193.0com^running, since Thu Feb 19 20:47:24 2026^iris.cpf^1972^0^0^ok^IRIS^\
             Failover^Primary^/iris-dev/data/^1972",
            "running|since Thu Feb 19 20:47:24 2026|1972|ok|Failover|Primary|/iris-dev/data/",
        );
        check(
            "IRIS^/usr/irissys/^2022.2.0.368.0com^down, last used Fri Nov 25 10:00:00 2022^iris.cpf^1972^52773^0^^IRIS^^^\
             /usr/irissys/",
            "down|last used Fri Nov 25 10:00:00 2022|1972|unknown|||/usr/irissys/",
        );
        check(
            "CACHE^/cache^2018.1^sign-on inhibited:primary transition^cache.cpf^51773^57772^62972",
            "sign-on inhibited||51773|not told|||",
        );
        check(
            "X^/x^1^running on node ? (iris.ids missing)^iris.cpf^1972^0^0^hung",
            "running on node ? (iris.ids missing)||1972|hung|||",
        );
        assert_eq!(Qlist::parse("IRIS^/usr/irissys^2026.1"), None);
        assert_eq!(Qlist::parse(""), None);
    }

    #[test]
    fn every_port_of_the_superserver_is_told_once() {
        let ports = |first: &str, list: &str| {
            let line = format!("IRIS^/i^2026.1^running^iris.cpf^{first}^0^0^ok^IRIS^^^/i/data/{list}");
            Qlist::parse(&line).unwrap().superserver_ports
        };
        assert_eq!(ports("1972", ""), [1972]);
        assert_eq!(ports("1972", "^1972"), [1972]);
        for list in ["^1972,1973", "^1973 1972", "^1973;0;1973"] {
            assert_eq!(ports("1972", list), [1972, 1973], "{list}");
        }
        assert_eq!(ports("0", "^"), [0_u16; 0]);
    }

    #[test]
    fn who_says_alert_is_not_well_and_who_says_nothing_may_be() {
        for (health, well) in
            [("^ok", true), ("^warn", true), ("^alert", false), ("^hung", false), ("^", false), ("", true)]
        {
            let found = Qlist::parse(&format!("X^/x^1^running^iris.cpf^1972^0^0{health}")).unwrap();
            assert_eq!(found.is_well(), well, "{health}");
        }
        assert!(!Qlist::parse("X^/x^1^down^iris.cpf^1972^0^0^ok").unwrap().is_well());
    }

    fn iris(folder: &Path, script: &str) -> std::path::PathBuf {
        let path = folder.join("iris");
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    #[test]
    fn the_program_is_asked_and_its_silence_understood() {
        let folder = tempfile::tempdir().unwrap();
        let prod: InstanceName = "prod".parse().unwrap();
        let limit = Duration::from_secs(30);
        let command = iris(
            folder.path(),
            "[ \"$*\" = 'qlist prod' ] && echo 'PROD^/p^1^running^iris.cpf^1972^0^0^warn'",
        );
        let found = qlist(&command, &prod, limit).unwrap();
        assert_eq!((found.is_running(), found.health), (true, Health::Warn));
        let command = iris(folder.path(), "echo \"no instance $2\" >&2; exit 1");
        let error = qlist(&command, &prod, limit).unwrap_err();
        assert_eq!(error.to_string(), "instance \"prod\" is not known on this host: no instance prod");
        let command = iris(folder.path(), "echo 'TEST^/p^1^running^iris.cpf^1972^0^0^ok'");
        assert!(matches!(qlist(&command, &prod, limit), Err(QlistError::Unreadable { .. })));
        let command = iris(folder.path(), "sleep 1000");
        let error = qlist(&command, &prod, Duration::from_millis(200)).unwrap_err();
        assert!(matches!(error, QlistError::TimedOut { .. }), "{error}");
    }
}
