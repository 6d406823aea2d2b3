//! A file that a setting names: read with the settings, and again when it is needed.

use std::{
    error::Error,
    fmt, fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize as _, Deserializer, de::Error as _};

use crate::error_chain;

/// A file that a setting names, and that could not be read.
#[derive(Debug)]
pub struct UnreadableFile {
    what: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl fmt::Display for UnreadableFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "could not read {} \"{}\"", self.what, self.path.display())
    }
}

impl Error for UnreadableFile {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.source)
    }
}

/// The text of the file; `what` says of which kind it is, as in `policy file`.
pub fn text_of(what: &'static str, path: &Path) -> Result<String, UnreadableFile> {
    fs::read_to_string(path).map_err(|source| UnreadableFile { what, path: path.to_owned(), source })
}

/// For a setting that names a file: it is read here too, so that its faults are told with the others, by
/// `--check-config` above all.
pub fn named_file<'de, D: Deserializer<'de>, T, E: Error + 'static>(
    from: D,
    read: impl FnOnce(&Path) -> Result<T, E>,
) -> Result<Option<PathBuf>, D::Error> {
    let path = PathBuf::deserialize(from)?;
    read(&path).map_err(|error| D::Error::custom(error_chain(&error)))?;
    Ok(Some(path))
}

#[cfg(test)]
mod tests {
    use serde::de::{IntoDeserializer as _, value};

    use super::*;

    #[test]
    fn a_file_that_cannot_be_read_is_a_fault_of_the_setting_with_its_path_and_cause() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("policy.toml");
        let named = || {
            let from: value::StrDeserializer<'_, value::Error> = path.to_str().unwrap().into_deserializer();
            named_file(from, |path| text_of("policy file", path)).map_err(|error| error.to_string())
        };
        let told = named().unwrap_err();
        let rule = format!("could not read policy file \"{}\"", path.display());
        assert!(told.starts_with(&rule) && told.contains("No such file"), "{told}");
        fs::write(&path, "attempts = 2").unwrap();
        assert_eq!(named(), Ok(Some(path.clone())));
        assert_eq!(text_of("policy file", &path).unwrap(), "attempts = 2");
    }
}
