//! Which releases of IRIS hold a parameter, as far as rows tell. A release is written as in `[ConfigFile] Version`:
//! `2024.2`.

use super::{Parameter, ParameterKind};
use crate::{cpf_version::is_known_cpf_version, value::ValueFault};

/// The last format in which lists of numbers had more places than later: `[config] history` had a second number.
const LONGER_LISTS_UNTIL: (u32, u32) = (2020, 15);

impl Parameter {
    /// Whether files of a release are known to hold it.
    ///
    /// True when the version cannot be read: nothing is known against it then.
    pub fn is_held_by(&self, version: &str) -> bool {
        release(version).is_none_or(|version| self.held(version))
    }

    /// Whether a file of a release may be said to lack it: without a version that can be read only what every release has.
    pub fn is_expected_in(&self, version: &str) -> bool {
        release(version)
            .map_or_else(|| self.since.is_none() && self.until.is_none(), |version| self.held(version))
    }

    /// In words why a file of that release must not hold it; `None` when it may.
    pub fn why_not_in(&self, version: &str) -> Option<String> {
        let newer = self.since.as_deref().filter(|since| is_before(version, since));
        let older = self.until.as_deref().filter(|until| is_before(until, version));
        match (newer, older) {
            (Some(since), _) => Some(format!(
                "is new in {since}, as far as files show, and this file is of version {version}"
            )),
            (None, Some(until)) => Some(format!(
                "was removed after {until}, as far as files show, and this file is of version {version}"
            )),
            (None, None) => None,
        }
    }

    /// [`Parameter::check`] for a file of that release: a value of former releases is told where the release is a described
    /// one.
    pub fn check_in(&self, value: &str, version: &str) -> Result<(), ValueFault> {
        self.check(value)?;
        let described = release(version).filter(|_| is_known_cpf_version(version));
        if described.is_some_and(|version| version > LONGER_LISTS_UNTIL) && self.is_former_list(value) {
            return Err(ValueFault {
                parameter: self.label(),
                value: value.to_owned(),
                rule: format!(
                    "must be one number: a second one belongs to releases up to 2020.1, and this file is of version {version}"
                ),
            });
        }
        Ok(())
    }

    /// The only row whose list has become shorter.
    fn is_former_list(&self, value: &str) -> bool {
        (self.section.as_str(), self.name.as_str()) == ("config", "history")
            && matches!(self.kind, ParameterKind::Integers { .. })
            && value.contains(',')
    }

    fn held(&self, version: (u32, u32)) -> bool {
        let bound = |text: &Option<String>| text.as_deref().and_then(release);
        bound(&self.since).is_none_or(|since| since <= version)
            && bound(&self.until).is_none_or(|until| version <= until)
    }
}

fn is_before(earlier: &str, later: &str) -> bool {
    release(earlier).zip(release(later)).is_some_and(|(earlier, later)| earlier < later)
}

/// Year and number of a release.
pub(super) fn release(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.trim().split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use crate::parameter;

    #[test]
    fn a_parameter_of_another_release_is_told_with_the_release_that_has_it() {
        let why = |section, name, version| parameter(section, name).unwrap().why_not_in(version);
        let removed = why("SQL", "DBMSSecurity", "2025.2").unwrap();
        assert!(removed.starts_with("was removed after 2025.1"), "{removed}");
        let new = why("Logging", "EventFilter", "2024.2").unwrap();
        assert!(new.starts_with("is new in 2025.1"), "{new}");
        for (section, name, version) in
            [("SQL", "DBMSSecurity", "2025.1"), ("config", "globals", "2025.2"), ("Startup", "ShardRole", "")]
        {
            assert_eq!(why(section, name, version), None, "{name}");
        }
    }

    #[test]
    fn without_a_version_only_what_every_release_has_is_missed() {
        let expected = |section, name, version| parameter(section, name).unwrap().is_expected_in(version);
        assert!(expected("config", "globals", "") && expected("config", "globals", "2024.2"));
        assert!(!expected("Monitor", "WMIEnabled", "") && !expected("Logging", "EventFilter", ""));
        assert!(expected("Monitor", "WMIEnabled", "2020.15") && expected("Logging", "EventFilter", "2025.1"));
    }

    #[test]
    fn the_second_number_of_history_is_of_former_releases() {
        let row = parameter("config", "history").unwrap();
        let checked = |value, version| row.check_in(value, version).map_err(|fault| fault.to_string());
        let fault = checked("32,1024", "2024.2").unwrap_err();
        assert!(fault.contains("must be one number") && fault.contains("2024.2"), "{fault}");
        // Nobody has described 2023.3, and 2020.1 wrote it so.
        for version in ["2020.15", "2023.3", "2017.1", ""] {
            assert_eq!(checked("32,1024", version), Ok(()), "{version}");
        }
        assert_eq!(checked("500", "2025.2"), Ok(()));
        let globals = parameter("config", "globals").unwrap();
        assert!(globals.check_in("0,0,512,0,0,0", "2025.2").is_ok());
    }
}
