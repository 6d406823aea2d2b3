//! How a file of the world is compared with what it was after the fault: most by their bytes, and what the instance
//! itself writes as far as only the instance would have written it so.

use crate::target::Target;

/// How a file is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Compared {
    /// By all that is in it.
    Content,
    /// A database or a journal file: the instance makes it longer, and puts no other in its place. Journal files that are
    /// old enough it removes itself.
    Grown,
    /// Replaced again and again, always by a whole one: it may not be gone.
    Present,
    /// By all that is in it, unless it names this very host: the instance locks its databases at a start, and gives them back
    /// at a stop.
    Lock,
    /// Not at all: logs, what is known of processes, sockets, and what tells the stand-in about its users.
    Never,
}

impl Compared {
    /// By the name of the file, whatever its folder.
    pub fn of(path: &str) -> Self {
        let name = path.rsplit('/').next().unwrap_or(path);
        match name {
            "IRIS.DAT" => Self::Grown,
            "iris.lck" => Self::Lock,
            _ if is_journal(name) => Self::Grown,
            "IRIS.WIJ" | "_LastGood_.cpf" => Self::Present,
            "messages.log" | "alerts.log" | "iris.ids" | "iris.shid" | "ilock" | "sim.toml" => Self::Never,
            _ if name.starts_with("messages.old_") || name.contains(".sock") => Self::Never,
            _ => Self::Content,
        }
    }
}

/// `20260101.001`
pub fn is_journal(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    name.split_once('.').is_some_and(|(day, number)| day.len() == 8 && is_number(day) && is_number(number))
}

/// Why nobody would see that a target was touched; `None` when it is seen.
pub fn why_unseen(target: &Target) -> Option<String> {
    let Target::File(path) = target else { return None };
    if path.starts_with('/') || path.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Some(format!(
            "{target} is no file of the world: write it from the instance's folder on, or host/ and from the host's on"
        ));
    }
    if path == "iris.cpf" {
        return Some(format!("{target} is compared by its parameters: write cpf [section] parameter"));
    }
    if path.starts_with("host/sys/") {
        return Some(format!("{target} is compared by its value: write kernel name"));
    }
    (Compared::of(path) == Compared::Never)
        .then(|| format!("{target} is the instance's own, so nobody would see that it was touched"))
}

#[cfg(test)]
mod tests {
    use super::{Compared, is_journal};

    #[test]
    fn what_the_instance_writes_is_told_from_what_it_never_writes() {
        for (path, compared) in [
            ("mgr/irisaudit/iris.lck", Compared::Lock),
            ("mgr/iris.key", Compared::Content),
            ("mgr/user/IRIS.DAT", Compared::Grown),
            ("mgr/journal/20260101.001", Compared::Grown),
            ("mgr/IRIS.WIJ", Compared::Present),
            ("mgr/messages.log", Compared::Never),
            ("mgr/messages.old_20260101", Compared::Never),
        ] {
            assert_eq!(Compared::of(path), compared, "{path}");
        }
        assert!(!is_journal("20260101.") && !is_journal("2026010.001") && !is_journal("20260101.00x"));
    }
}
