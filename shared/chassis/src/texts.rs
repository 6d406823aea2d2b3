//! The text files of a folder that an operator names.

use std::{fs, io, path::Path};

/// Reads every file of `folder` whose name ends in `ending`, in the order of names: name and text.
///
/// A file that is not text is an error of kind `InvalidData`. Folders below are not looked into.
pub fn texts_in(folder: &Path, ending: &str) -> io::Result<Vec<(String, String)>> {
    let mut texts = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        if name.ends_with(ending) && entry.path().is_file() {
            let text = fs::read_to_string(entry.path())
                .map_err(|error| io::Error::new(error.kind(), format!("{name}: {error}")))?;
            texts.push((name, text));
        }
    }
    texts.sort();
    Ok(texts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_that_kind_are_read_in_order() {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [("b.toml", "two"), ("a.toml", "one"), ("c.txt", "no")] {
            fs::write(folder.path().join(name), text).unwrap();
        }
        fs::create_dir(folder.path().join("d.toml")).unwrap();
        let texts = texts_in(folder.path(), ".toml").unwrap();
        assert_eq!(texts, [("a.toml".to_owned(), "one".to_owned()), ("b.toml".to_owned(), "two".to_owned())]);
        assert_eq!(texts_in(&folder.path().join("x"), ".toml").unwrap_err().kind(), io::ErrorKind::NotFound);
        fs::write(folder.path().join("e.toml"), [0xff, 0xfe]).unwrap();
        assert!(texts_in(folder.path(), ".toml").unwrap_err().to_string().contains("e.toml"));
    }
}
