//! `sim.toml`: what a real instance finds in the world around it, and the stand-in must be told.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::shell::instance_clock::InstanceClock;
use crate::world::Load;
use crate::world::release::Release;

/// The settings of one stand-in instance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Which release it is.
    pub version: Release,
    /// Product name in `iris list`.
    #[serde(default = "default_product")]
    pub product: String,
    /// Seed of the numbers that a real instance draws from its past. Default 1.
    #[serde(default = "default_seed")]
    pub seed: u64,
    /// How many times faster its waits pass: 80 makes the write daemon's cycle a second. Default 1.
    #[serde(default = "default_speed")]
    pub speed: f64,
    /// Do its stamps run as fast as its waits pass, from when it was made? Default false: they are the host's time, which
    /// whoever watches it compares with its own clock.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fast_clock: bool,
    /// Where the host is looked at: `meminfo` and `sys/vm/nr_hugepages` below it. Default `/proc`.
    #[serde(default = "default_host_root")]
    pub host_root: PathBuf,
    /// When the instance was made, RFC 3339; `iris list` shows it until the first start.
    pub created_at: jiff::Timestamp,
    /// What its users do.
    #[serde(default)]
    pub workload: Workload,
}

/// What the users of an instance do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Workload {
    /// MB of blocks changed between two passes of the write daemon. Default 0.
    #[serde(default)]
    pub dirty_mb_per_pass: u64,
    /// MB written to the journal between two passes. Default 0.
    #[serde(default)]
    pub journal_mb_per_pass: u64,
    /// MB by which the database USER fills between two passes. Default 0.
    #[serde(default)]
    pub database_mb_per_pass: u64,
}

impl From<Workload> for Load {
    fn from(workload: Workload) -> Self {
        let Workload { dirty_mb_per_pass, journal_mb_per_pass, database_mb_per_pass } = workload;
        Self { dirty_mb_per_pass, journal_mb_per_pass, database_mb_per_pass }
    }
}

/// Why the settings could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file cannot be read.
    #[error("could not read simulator settings \"{path}\"")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file cannot be written.
    #[error("could not write simulator settings \"{path}\"")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file is not what it should be.
    #[error("simulator settings \"{path}\" are not valid")]
    Parse {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: toml::de::Error,
    },
    /// A speed that stops time, turns it back, or is no number.
    #[error("simulator settings \"{path}\": speed must be a number above 0, not {speed}")]
    Speed {
        /// The file.
        path: PathBuf,
        /// The value.
        speed: f64,
    },
}

impl Settings {
    /// Reads and checks the file.
    pub fn read(path: &Path) -> Result<Self, SettingsError> {
        let text = fs::read_to_string(path)
            .map_err(|source| SettingsError::Read { path: path.to_owned(), source })?;
        let settings: Self =
            toml::from_str(&text).map_err(|source| SettingsError::Parse { path: path.to_owned(), source })?;
        settings.check(path)?;
        Ok(settings)
    }

    /// Replaces the file.
    pub fn write(&self, path: &Path) -> Result<(), SettingsError> {
        self.check(path)?;
        let text = toml::to_string(self).expect("settings are plain values and one table");
        super::replace(path, text.as_bytes())
            .map_err(|source| SettingsError::Write { path: path.to_owned(), source })
    }

    /// A wait of a real instance, as long as it takes here.
    pub fn scaled(&self, wait: Duration) -> Duration {
        wait.div_f64(self.speed)
    }

    /// What its processes take for the time.
    pub fn clock(&self) -> InstanceClock {
        if self.fast_clock {
            return InstanceClock::fast(self.created_at, self.speed);
        }
        InstanceClock::of_the_host()
    }

    /// How many times faster than on a real instance times pass between its stamps.
    pub fn speed_of_stamps(&self) -> f64 {
        if self.fast_clock { 1.0 } else { self.speed }
    }

    fn check(&self, path: &Path) -> Result<(), SettingsError> {
        if self.speed.is_finite() && self.speed > 0.0 {
            return Ok(());
        }
        Err(SettingsError::Speed { path: path.to_owned(), speed: self.speed })
    }
}

fn default_product() -> String {
    "InterSystems IRIS".to_owned()
}

fn default_seed() -> u64 {
    1
}

fn default_speed() -> f64 {
    1.0
}

fn default_host_root() -> PathBuf {
    PathBuf::from("/proc")
}
