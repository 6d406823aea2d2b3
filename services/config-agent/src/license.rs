//! What the license key file of an instance says. Read only, and never its authorization key.

use std::path::{Path, PathBuf};

use instance_contract::LicenseAction;
use instance_iris::cpf::Document;
use jiff::{Timestamp, civil::Date, fmt::strtime, tz::TimeZone};

use crate::folder::Folder;

/// What may be shown of `[License]`; everything else in the file stays there.
const SHOWN: [&str; 4] = ["LicenseCapacity", "CustomerName", "OrderNumber", "ExpirationDate"];

/// The key file beside `messages.log`, in the manager directory.
pub fn key_file(messages_log: &Path) -> PathBuf {
    messages_log.with_file_name("iris.key")
}

/// Answers a license question from the key file alone, one line a fact; what could not be read says so.
pub fn answer(action: LicenseAction, key: &Path, now: Timestamp) -> Vec<String> {
    let document = match read(key) {
        Ok(document) => document,
        Err(reason) => return vec![reason, license_server_hint()],
    };
    match action {
        LicenseAction::CheckExpiry => vec![expiry(&document, now)],
        LicenseAction::ValidateKey => validate(&document, now),
        LicenseAction::ReportUsage => {
            let mut lines = shown(&document);
            lines.push(
                "the units in use are not in the key file: the instance shows them as iris_license_consumed under /api/monitor/metrics"
                    .to_owned(),
            );
            lines
        }
    }
}

fn read(key: &Path) -> Result<Document, String> {
    let unreadable = |error| format!("license key could not be read: {error}");
    let (folder, name) = Folder::of(key).map_err(unreadable)?;
    match folder.read(&name) {
        Ok(snapshot) => Ok(Document::parse(&snapshot.bytes)),
        Err(error) => {
            let source = std::error::Error::source(&error).map(|source| format!(": {source}"));
            Err(format!("license key could not be read: {error}{}", source.unwrap_or_default()))
        }
    }
}

fn license_server_hint() -> String {
    "without a key file the license may still come from a license server ([Startup] LicenseID); that is not looked at here"
        .to_owned()
}

fn validate(document: &Document, now: Timestamp) -> Vec<String> {
    let mut lines = Vec::new();
    match document.get("ConfigFile", "FileType") {
        Some(kind) => lines.push(format!("file type: {kind}")),
        None => {
            lines.push("[ConfigFile] FileType is missing: this does not look like a license key".to_owned());
        }
    }
    lines.extend(shown(document));
    let authorized = document.get("License", "AuthorizationKey").is_some_and(|key| !key.is_empty());
    lines.push(format!("authorization key: {}", if authorized { "present (not shown)" } else { "missing" }));
    lines.push(expiry(document, now));
    lines.push("whether the authorization key is genuine only IRIS can tell".to_owned());
    lines
}

fn shown(document: &Document) -> Vec<String> {
    SHOWN
        .iter()
        .map(|name| match document.get("License", name) {
            Some(value) => format!("[License] {name}: {value}"),
            None => format!("[License] {name}: not in the file"),
        })
        .collect()
}

fn expiry(document: &Document, now: Timestamp) -> String {
    let Some(text) = document.get("License", "ExpirationDate").filter(|text| !text.is_empty()) else {
        return "expiry: the file names no ExpirationDate".to_owned();
    };
    let Some(date) = date(text) else {
        return format!("expiry: ExpirationDate \"{text}\" is not a date that is understood");
    };
    let today = now.to_zoned(TimeZone::UTC).date();
    let days = today.until(date).map_or(0, |span| span.get_days());
    match days {
        ..0 => format!("expiry: expired on {date}, {} days ago", -days),
        _ => format!("expiry: {date}, in {days} days"),
    }
}

/// Key files write the month first; ISO is taken too.
fn date(text: &str) -> Option<Date> {
    let by = |format| strtime::parse(format, text).ok()?.to_date().ok();
    by("%m/%d/%Y").or_else(|| by("%Y-%m-%d"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: Option<&str>, action: LicenseAction, expected: &[&str]) {
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("iris.key");
        if let Some(text) = text {
            std::fs::write(&key, text).unwrap();
        }
        let lines = answer(action, &key, "2026-03-01T12:00:00Z".parse().unwrap()).join("\n");
        for part in expected {
            assert!(lines.contains(part), "no \"{part}\" in:\n{lines}");
        }
        assert!(!lines.contains("SECRET"), "{lines}");
    }

    const KEY: &str = "[ConfigFile]\r\nFileType=InterSystems License\r\nLicenseID=201406\r\n\r\n[License]\r\n\
        LicenseCapacity=InterSystems IRIS 2024.1 Server for x86-64\r\nCustomerName=Example\r\nOrderNumber=1\r\n\
        ExpirationDate=3/31/2026\r\nAuthorizationKey=SECRETSECRET\r\nMachineID=\r\n";

    #[test]
    fn the_expiry_is_counted_in_days() {
        check(Some(KEY), LicenseAction::CheckExpiry, &["expiry: 2026-03-31, in 30 days"]);
        let past = KEY.replace("3/31/2026", "02/27/2026");
        check(Some(&past), LicenseAction::CheckExpiry, &["expired on 2026-02-27, 2 days ago"]);
        let odd = KEY.replace("3/31/2026", "soon");
        check(Some(&odd), LicenseAction::CheckExpiry, &["\"soon\" is not a date"]);
    }

    #[test]
    fn the_authorization_key_is_never_shown() {
        let lines =
            ["present (not shown)", "InterSystems License", "Server for x86-64", "only IRIS can tell"];
        check(Some(KEY), LicenseAction::ValidateKey, &lines);
    }

    #[test]
    fn what_could_not_be_read_is_said() {
        check(None, LicenseAction::CheckExpiry, &["could not be read", "No such file", "license server"]);
        check(Some(KEY), LicenseAction::ReportUsage, &["units in use are not in the key file"]);
        check(Some("nonsense"), LicenseAction::ValidateKey, &["does not look like", "missing"]);
    }
}
