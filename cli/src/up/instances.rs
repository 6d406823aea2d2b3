//! Which IRIS instances this host has, as its `iris` program says.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result};

use crate::exit::{Exit, Stop};

/// One instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub name: String,
    /// Its installation folder.
    pub folder: PathBuf,
}

impl Found {
    pub fn cpf(&self) -> PathBuf {
        self.folder.join("iris.cpf")
    }

    pub fn messages_log(&self) -> PathBuf {
        self.folder.join("mgr/messages.log")
    }
}

/// All instances that `iris qlist` tells of.
pub fn of(iris: &Path) -> Result<Vec<Found>> {
    let output = Command::new(iris)
        .arg("qlist")
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("could not run \"{}\"", iris.display()))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let told = format!("\"{} qlist\" failed ({}): {}", iris.display(), output.status, said.trim());
        return Err(Stop::new(Exit::Failure, told).into());
    }
    Ok(read(&String::from_utf8_lossy(&output.stdout)))
}

/// Fields are separated by `^`: the name first, the folder second.
fn read(qlist: &str) -> Vec<Found> {
    let line = |line: &str| {
        let mut fields = line.split('^');
        let name = fields.next().filter(|name| !name.is_empty())?;
        let folder = fields.next().filter(|folder| folder.starts_with('/'))?;
        Some(Found { name: name.to_owned(), folder: folder.into() })
    };
    qlist.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_and_folder_are_taken_from_each_line() {
        let qlist = "PROD^/opt/iris/PROD/^2025.2^running, since x^iris.cpf^1972^80^0^ok^IRIS^^^/opt/iris/PROD/^1972\n\
            \nB^/b^2024.1^down, last used y^iris.cpf^0^0^0^^IRIS^^^/b^0\nnonsense\n";
        let found = read(qlist);
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].cpf(), Path::new("/opt/iris/PROD/iris.cpf"));
        assert_eq!((found[1].name.as_str(), found[1].messages_log()), ("B", "/b/mgr/messages.log".into()));
    }
}
