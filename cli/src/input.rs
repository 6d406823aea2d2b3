//! Files that the operator names; `-` is stdin.

use std::{
    fs::File,
    io::{self, IsTerminal as _, Read},
    path::Path,
};

use anyhow::{Context as _, Result, bail};

/// Opens a file for reading, or stdin for `-`.
pub fn open(path: &Path) -> Result<Box<dyn Read>> {
    if path == Path::new("-") {
        if io::stdin().is_terminal() {
            eprintln!("instance: reading from the terminal; end with Ctrl-D");
        }
        return Ok(Box::new(io::stdin().lock()));
    }
    let open = || format!("could not open \"{}\"", path.display());
    let file = File::open(path).with_context(open)?;
    if file.metadata().with_context(open)?.is_dir() {
        bail!("could not read \"{}\": it is a directory", path.display());
    }
    Ok(Box::new(file))
}

/// Everything in a file of at most `limit` bytes.
pub fn read(path: &Path, limit: usize) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    open(path)?
        .take(most)
        .read_to_end(&mut bytes)
        .with_context(|| format!("could not read \"{}\"", path.display()))?;
    if bytes.len() > limit {
        bail!("could not read \"{}\": it is larger than {limit} bytes", path.display());
    }
    Ok(bytes)
}
