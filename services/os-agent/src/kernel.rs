//! The one narrow door to the kernel's parameters: read a value, write a value.

use std::{
    fs::OpenOptions,
    io::{ErrorKind, Write},
    path::PathBuf,
};

use instance_knowledge::{KernelParameter, KernelRoot};

use crate::error::KernelError;

/// Longest text that is read of a parameter, in bytes. The longest on our list shows a line of words.
const LIMIT_BYTES: usize = 4096;

/// Where parameters are read and written. Which file belongs to a parameter is the catalogue's word alone.
pub trait Kernel {
    /// The present value, in the form in which it would be written.
    fn read(&self, parameter: &KernelParameter) -> Result<String, KernelError>;

    /// Writes a value in one call. That it succeeds does not mean that the value was reached: read it back.
    fn write(&self, parameter: &KernelParameter, value: &str) -> Result<(), KernelError>;
}

/// The kernel of this host, or a folder that looks like it.
#[derive(Debug, Clone)]
pub struct Files {
    /// Usually `/proc`; the folder `sys` beside it stands for `/sys`.
    pub proc_root: PathBuf,
}

impl Files {
    fn path(&self, parameter: &KernelParameter) -> PathBuf {
        match parameter.root {
            KernelRoot::Proc => self.proc_root.join(&parameter.path),
            // What belongs to processes is no file of the host, and is refused before anybody looks for it.
            KernelRoot::Sys | KernelRoot::Process => {
                self.proc_root.with_file_name("sys").join(&parameter.path)
            }
        }
    }
}

impl Kernel for Files {
    fn read(&self, parameter: &KernelParameter) -> Result<String, KernelError> {
        let path = self.path(parameter);
        let bytes = std::fs::read(&path).map_err(|source| match source.kind() {
            ErrorKind::NotFound => KernelError::Absent(path.clone()),
            _ => KernelError::io("read", path.clone(), source),
        })?;
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(LIMIT_BYTES)]).into_owned();
        parameter.shown_value(&shown).ok_or_else(|| {
            let shown = shown.trim_end().chars().take(80).collect();
            KernelError::Strange { path, shown }
        })
    }

    fn write(&self, parameter: &KernelParameter, value: &str) -> Result<(), KernelError> {
        let path = self.path(parameter);
        let mut file = OpenOptions::new().write(true).truncate(true).open(&path).map_err(|source| {
            match source.kind() {
                ErrorKind::NotFound => KernelError::Absent(path.clone()),
                _ => KernelError::io("open for writing", path.clone(), source),
            }
        })?;
        let line = format!("{value}\n");
        // One call: a second one would be a second value to the kernel.
        let count =
            file.write(line.as_bytes()).map_err(|source| KernelError::io("write", path.clone(), source))?;
        if count == line.len() { Ok(()) } else { Err(KernelError::Short(path)) }
    }
}
