use clap::Parser;

use super::*;

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    args: Args,
}

fn parsed(line: &[&str]) -> Result<Args, String> {
    let line = std::iter::once(&"generate").chain(line);
    Line::try_parse_from(line).map(|line| line.args).map_err(|error| error.to_string())
}

#[test]
fn severities_are_one_or_two_digits_the_lower_first() {
    assert_eq!(severities("2"), Ok((Severity::Severe, Severity::Severe)));
    assert_eq!(severities("0..3"), Ok((Severity::Info, Severity::Fatal)));
    assert_eq!(severities("1-2"), Ok((Severity::Warning, Severity::Severe)));
    for bad in ["", "4", "3..1", "3-2", "..", "1..", "a"] {
        assert!(severities(bad).is_err(), "{bad}");
    }
}

#[test]
fn bad_input_names_field_value_and_rule() {
    for (flag, value, rule) in [
        ("--count", "0", "must be an integer from 1 to 100"),
        ("--count", "101", "must be an integer from 1 to 100"),
        ("--severity", "3-2", "the lower and the higher as 1-3"),
        ("--category", "weather", "config"),
        ("--phase", "night", "must be all, or baseline, before, incident or recovery"),
        ("--rate", "0", "a second"),
        ("--to", "ftp://x", "http://host:port/path"),
    ] {
        let told = parsed(&[flag, value]).unwrap_err();
        assert!(told.contains(flag) && told.contains(value) && told.contains(rule), "{told}");
    }
}

#[test]
fn a_whole_story_has_its_four_phases_in_order() {
    let args = parsed(&["--phase", "all", "--count", "100"]).unwrap();
    let told: Vec<Option<Phase>> = (0..100).map(|number| args.phase_of(number, 100)).collect();
    let counts = Phase::ALL.iter().map(|phase| told.iter().filter(|told| **told == Some(*phase)).count());
    assert_eq!(counts.collect::<Vec<_>>(), [40, 20, 20, 20]);
    assert!(told.is_sorted());
    let one = parsed(&["--phase", "incident"]).unwrap();
    assert_eq!(one.phase_of(7, 10), Some(Phase::Incident));
    assert_eq!(parsed(&[]).unwrap().phase_of(7, 10), None);
}
