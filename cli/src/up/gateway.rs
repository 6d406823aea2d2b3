//! `instance up --gateway`: HTTP beside the pipeline, for one caller, whose token lies in the run folder.

use std::{
    fs::OpenOptions,
    io::{ErrorKind, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use toml::{Table, Value};
use uuid::Uuid;

use super::settings::File;

pub const NAME: &str = "gateway";
/// What the caller is known as, where the settings name none.
const CALLER: &str = "local";
/// Not `approve`: who asks by a program does not agree to it by the same program.
const MAY: [&str; 3] = ["alert", "command", "read"];

/// The settings, with a caller where they name none; and the file of its token then.
pub fn file(run: &Path, config_dir: Option<&Path>) -> Result<(File, Option<PathBuf>)> {
    let mut file = File::read(NAME, config_dir)?;
    if file.own("callers").is_some() {
        return Ok((file, None));
    }
    let token = token(run)?;
    let mut caller = Table::new();
    caller.insert("name".to_owned(), CALLER.into());
    caller.insert("token_file".to_owned(), token.to_string_lossy().into_owned().into());
    caller.insert("may".to_owned(), MAY.map(Value::from).to_vec().into());
    file.set("callers", vec![Value::Table(caller)]);
    Ok((file, Some(token)))
}

/// Characters of a token that the gateway takes, at least.
const SHORTEST: u64 = 16;

/// The token of this run folder: drawn once, readable for its owner alone.
fn token(run: &Path) -> Result<PathBuf> {
    let path = run.join("gateway-token");
    let failed = || format!("could not write \"{}\"", path.display());
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
        Ok(mut file) => {
            let drawn = [Uuid::new_v4(), Uuid::new_v4()].map(|part| part.simple().to_string()).concat();
            file.write_all(drawn.as_bytes()).with_context(failed)?;
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let length = std::fs::metadata(&path).with_context(failed)?.len();
            // Whoever was to write it may have died on the way.
            anyhow::ensure!(
                length >= SHORTEST,
                "\"{}\" holds no token; remove it and a new one is drawn",
                path.display()
            );
        }
        Err(error) => return Err(error).with_context(failed),
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    #[test]
    fn a_caller_is_made_with_a_token_that_stays_unless_the_settings_name_callers() {
        let run = tempfile::tempdir().unwrap();
        let token = file(run.path(), None).unwrap().1.unwrap();
        let drawn = fs::read_to_string(&token).unwrap();
        assert_eq!((drawn.len(), fs::metadata(&token).unwrap().permissions().mode() & 0o777), (64, 0o600));
        let (again, _) = file(run.path(), None).unwrap();
        assert_eq!(fs::read_to_string(&token).unwrap(), drawn);
        assert_eq!(again.own("callers").unwrap()[0]["may"].as_array().unwrap().len(), 3);

        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("gateway.toml"), "[[gateway.callers]]\nname = \"me\"\nmay = []\n")
            .unwrap();
        let (own, made) = file(run.path(), Some(folder.path())).unwrap();
        assert_eq!((own.own("callers").unwrap()[0]["name"].as_str(), made), (Some("me"), None));
    }
}
