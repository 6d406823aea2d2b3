//! The releases the stand-in can be, with what they print about themselves.

use serde::{Deserialize, Serialize};

/// A release of InterSystems IRIS. Invariant: one of the rows below.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Release(&'static Row);

#[derive(Debug, PartialEq, Eq)]
struct Row {
    version: &'static str,
    build: &'static str,
    built_at: &'static str,
    /// IRISSECURITY became a required database with 2025.2.
    has_security_database: bool,
    /// What a start says where the last run ended in order.
    nothing_to_recover: &'static [&'static str],
}

/// Builds and dates as real start-up banners print them.
const ROWS: &[Row] = &[
    Row {
        version: "2024.2",
        build: "247",
        built_at: "Tue Jul 16 2024 09:31:25 EDT",
        has_security_database: false,
        nothing_to_recover: &[
            "Graceful system shutdown, journal restore not required",
            "Graceful system shutdown, transaction rollback not required",
        ],
    },
    Row {
        version: "2025.2",
        build: "227",
        built_at: "Thu Jul 10 2025 11:11:10 EDT",
        has_security_database: true,
        nothing_to_recover: &["WIJ indicates no open transactions"],
    },
];

/// A release the stand-in has no row for.
#[derive(Debug, thiserror::Error)]
#[error("no stand-in for IRIS version \"{0}\": known are 2024.2 and 2025.2")]
pub struct UnknownRelease(String);

impl Release {
    /// `2025.2`, as `[ConfigFile] Version` writes it.
    pub fn version(self) -> &'static str {
        self.0.version
    }

    /// `2025.2.0.227.0com`, as `iris list` writes it.
    pub fn version_id(self) -> String {
        format!("{}.0.{}.0com", self.0.version, self.0.build)
    }

    /// The product line of the start-up banner.
    pub fn product_line(self) -> String {
        format!(
            "IRIS for UNIX (Red Hat Enterprise Linux 9 for x86-64) {} (Build {}U) {}",
            self.0.version, self.0.build, self.0.built_at
        )
    }

    /// The system databases, in the order in which a start mounts them; the manager directory comes first.
    pub fn system_databases(self) -> Vec<&'static str> {
        let mut names = vec!["IRISSYS", "IRISLIB"];
        if self.0.has_security_database {
            names.push("IRISSECURITY");
        }
        names.extend(["IRISLOCALDATA", "IRISTEMP", "IRISAUDIT"]);
        if self.0.has_security_database {
            names.push("IRISMETRICS");
        }
        names
    }

    /// What a start says where the last run ended in order.
    pub fn nothing_to_recover(self) -> &'static [&'static str] {
        self.0.nothing_to_recover
    }

    /// Where a message of the kernel was raised, as `$zu(56,2)` tells it.
    pub fn source_position(self, file: &str, position: u32) -> String {
        format!("$zu(56,2)=$Id: //iris/{}.0/kernel/common/src/{file}#1 $ {position} 0", self.0.version)
    }
}

impl TryFrom<String> for Release {
    type Error = UnknownRelease;

    fn try_from(version: String) -> Result<Self, Self::Error> {
        ROWS.iter().find(|row| row.version == version).map(Self).ok_or(UnknownRelease(version))
    }
}

impl From<Release> for String {
    fn from(release: Release) -> Self {
        release.version().to_owned()
    }
}
