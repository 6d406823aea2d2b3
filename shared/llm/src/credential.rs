//! The key of a provider: from a file, never from a setting, a flag or a variable.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use secrecy::SecretString;

use crate::settings::Provider;

/// Longer than any key.
const LONGEST: u64 = 8 * 1024;

/// A key that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("could not read the key of provider \"{provider}\" from \"{path}\"")]
    Read {
        provider: String,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the key of provider \"{provider}\" in \"{path}\" is not one line of visible characters")]
    NotAKey { provider: String, path: PathBuf },
    #[error("provider \"{provider}\" names a credential, but CREDENTIALS_DIRECTORY is not set")]
    NoCredentials { provider: String },
    #[error(
        "others have rights to the key of provider \"{provider}\" in \"{path}\": take their rights away (chmod 600)"
    )]
    Open { provider: String, path: PathBuf },
}

/// Reads the key; `None` when the provider needs none.
pub(crate) fn read(
    provider: &Provider,
    credentials_directory: Option<&Path>,
) -> Result<Option<SecretString>, Error> {
    let name = || provider.name.clone();
    let (path, guarded) = match (&provider.key_file, &provider.credential) {
        (Some(file), _) => (file.clone(), false),
        // The service manager alone decides who can read this folder.
        (None, Some(credential)) => match credentials_directory {
            Some(folder) => (folder.join(credential), true),
            None => return Err(Error::NoCredentials { provider: name() }),
        },
        (None, None) => return Ok(None),
    };
    let failed = |source| Error::Read { provider: name(), path: path.clone(), source };
    let metadata = fs::metadata(&path).map_err(failed)?;
    if !guarded && is_open(&metadata) {
        return Err(Error::Open { provider: name(), path });
    }
    if metadata.len() > LONGEST {
        return Err(Error::NotAKey { provider: name(), path });
    }
    let text = fs::read_to_string(&path).map_err(failed)?;
    let key = text.trim();
    if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Error::NotAKey { provider: name(), path });
    }
    // Whatever an endpoint says back, it comes out nowhere.
    instance_redaction::learn(key);
    Ok(Some(SecretString::from(key)))
}

fn is_open(metadata: &fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    metadata.permissions().mode() & 0o007 != 0
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use secrecy::ExposeSecret as _;

    use super::*;

    fn provider() -> Provider {
        Provider::new("main", "https://h/v1", "m")
    }

    fn write(path: &Path, text: &str, mode: u32) {
        fs::write(path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_key_comes_from_a_closed_file_or_a_credential() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        write(&file, "sk-abc\n", 0o600);
        let from_file = Provider { key_file: Some(file.clone()), ..provider() };
        assert_eq!(read(&from_file, None).unwrap().unwrap().expose_secret(), "sk-abc");
        write(&file, "sk-abc\n", 0o644);
        assert!(matches!(read(&from_file, None), Err(Error::Open { .. })));
        let credential = Provider { credential: Some("key".to_owned()), ..provider() };
        assert_eq!(read(&credential, Some(folder.path())).unwrap().unwrap().expose_secret(), "sk-abc");
        assert!(matches!(read(&credential, None), Err(Error::NoCredentials { .. })));
        assert!(read(&provider(), None).unwrap().is_none());
    }

    #[test]
    fn what_is_no_key_is_refused_and_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        let from_file = Provider { key_file: Some(file.clone()), ..provider() };
        for text in ["", " \n", "two words", "line\r\nAuthorization: x"] {
            write(&file, text, 0o600);
            let error = read(&from_file, None).unwrap_err();
            assert!(
                matches!(error, Error::NotAKey { .. }) && !error.to_string().contains("words"),
                "{text:?}"
            );
        }
        write(&file, "sk-abc", 0o600);
        assert!(!format!("{:?}", read(&from_file, None).unwrap()).contains("abc"));
    }
}
