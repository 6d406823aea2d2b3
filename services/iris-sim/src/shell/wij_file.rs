//! `IRIS.WIJ`: what one run of the instance leaves for the next.

use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::world::facts::{Previous, WijInfo};

/// The write image journal, as far as a start reads it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WijFile {
    /// True from a start to its clean end.
    pub active: bool,
    /// When the instance was last seen up.
    pub used_at: jiff::Timestamp,
    /// Name of the host of the last start; an older file does not say.
    #[serde(default)]
    pub node: Option<String>,
    /// Fingerprint of the CPF at the end of the last run.
    pub cpf_fingerprint: Option<u64>,
    /// Journal and passes.
    pub info: WijInfo,
}

impl WijFile {
    /// Reads the file; `None` when it is absent or torn.
    pub fn read(path: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(path).ok()?).ok()
    }

    /// Replaces the file.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        super::replace(path, &serde_json::to_vec(self).expect("plain values"))
    }

    /// How the last run ended.
    pub fn previous(found: Option<&Self>) -> Previous {
        match found {
            None => Previous::Never,
            Some(wij) if wij.active => Previous::Abnormal(wij.info.clone()),
            Some(wij) => Previous::Clean(wij.info.clone()),
        }
    }
}

/// FNV-1a: tells two versions of a file apart, which is all that is asked of it.
pub fn fingerprint(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
