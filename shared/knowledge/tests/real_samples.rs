//! Real logs and configuration files against the rows, when they lie beside the repository
//! (`../shared/reference/iris/samples`). They are no part of the product: without them these tests are skipped.

// Testkit rests on this room, so its function is taken as it stands.
#[path = "../../testkit/src/skipped.rs"]
mod skipped;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use instance_iris::cpf::Document;
use instance_iris::messages_log::{Severity, parse};
use instance_knowledge::{
    ErrorType, Matcher, ParameterKind, Place, SectionKind, classify_error_type, condition, parameter,
    parameters_of, section,
};

use crate::skipped::skipped;

/// The files below `folder` of the samples whose name ends in `ending`, with their bytes.
fn samples(folder: &str, ending: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let root =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/reference/iris/samples").join(folder);
    let Ok(entries) = fs::read_dir(&root) else {
        skipped(format_args!("there are no real files in {}", root.display()));
        return Vec::new();
    };
    let mut files: Vec<_> = entries
        .map(|entry| entry.expect("a readable folder").path())
        .filter(|path| path.to_string_lossy().ends_with(ending))
        .map(|path| (path.clone(), fs::read(&path).expect("a readable sample")))
        .collect();
    files.sort();
    files
}

/// Digits folded, so that entries of one kind are counted together.
fn template(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    let folded: String =
        line.chars().map(|character| if character.is_ascii_digit() { '0' } else { character }).collect();
    folded.chars().take(90).collect()
}

#[test]
fn severe_entries_of_real_logs_are_answered_when_samples_exist() {
    let mut answers: BTreeMap<(String, String), usize> = BTreeMap::new();
    let (mut total, mut unanswered, mut by_row) = (0_usize, 0_usize, 0_usize);
    for (_, bytes) in samples("", ".log") {
        for entry in parse(&bytes) {
            let Some(header) = &entry.header else { continue };
            let severity = match header.severity {
                Some(Severity::Severe) => 2,
                Some(Severity::Fatal) => 3,
                _ => continue,
            };
            let text = entry.message_text();
            let row = Matcher::builtin().classify(&text).map(|condition| condition.id.as_str());
            let class = classify_error_type(&text, severity, header.category.as_deref());
            total += 1;
            by_row += usize::from(row.is_some());
            unanswered += usize::from(row.is_none() && class == ErrorType::Other);
            let answer = format!("{class:8} {}", row.unwrap_or("-"));
            *answers.entry((answer, template(&text))).or_default() += 1;
        }
    }
    for ((answer, text), count) in &answers {
        println!("{count:5} {answer:45} {text}");
    }
    println!(
        "{total} severe entries, {by_row} answered by a row, {unanswered} neither by a row nor by a class"
    );
    assert_eq!(unanswered, 0, "{unanswered} of {total} severe entries are answered by nobody");
    assert!(by_row * 100 >= total * 95, "{by_row} of {total} severe entries are answered by a row");
}

#[test]
fn every_entry_of_real_configuration_files_is_known_when_samples_exist() {
    let mut unknown = Vec::new();
    for (path, bytes) in samples("cpf", ".cpf") {
        let document = Document::parse(&bytes);
        for entry in document.all_entries() {
            let name = entry.section.unwrap_or_default();
            let label = format!("{}: [{name}] {}={}", path.display(), entry.name, entry.value);
            let Some(found) = section(name) else {
                unknown.push(label);
                continue;
            };
            let row = parameter(name, entry.name);
            match (found.kind, row) {
                (SectionKind::List, None) => {}
                (_, None) => unknown.push(label),
                (_, Some(row)) => {
                    unknown.extend(row.check(entry.value).err().map(|fault| format!("{label}: {fault}")));
                }
            }
        }
    }
    assert!(unknown.is_empty(), "{}", unknown.join("\n"));
}

#[test]
fn real_configuration_files_hold_every_parameter_of_their_release_when_samples_exist() {
    let mut missing = Vec::new();
    for (path, bytes) in samples("cpf", ".cpf") {
        let document = Document::parse(&bytes);
        let version = document.version().expect("a sample says its version");
        for name in document.sections() {
            let fixed = section(name).is_some_and(|found| found.kind == SectionKind::Fixed);
            for row in parameters_of(name).filter(|row| fixed && row.is_held_by(version)) {
                if document.get(name, &row.name).is_none() {
                    missing.push(format!("{}: {}", path.display(), row.label()));
                }
            }
        }
    }
    // Absent until it is used: the one key that a full file need not hold.
    missing.retain(|line| !line.ends_with("[Startup] EnableSharding"));
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn the_made_up_configuration_file_is_seen_through_when_samples_exist() {
    for (path, bytes) in samples("merge", "kokonut121_medsim__iris_iris.cpf") {
        let document = Document::parse(&bytes);
        let strange = document
            .all_entries()
            .filter(|entry| parameter(entry.section.unwrap_or_default(), entry.name).is_none())
            .count();
        assert!(strange > 0, "{} holds nothing strange", path.display());
    }
    let globals = parameter("config", "globals").expect("a row");
    assert!(matches!(globals.kind, ParameterKind::Integers { .. }) && globals.check("20000").is_err());
}

/// The texts between backticks in the first cell of a row of a Markdown table.
fn quoted_texts(row: &str) -> Vec<String> {
    let row = row.replace("\\|", "\u{1}").replace("<cpf>", "/iris.cpf");
    let cell = row.split('|').nth(1).unwrap_or_default().replace('\u{1}', "|");
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn the_texts_of_the_reference_catalogue_are_answered_when_it_exists() {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/reference/iris/error-catalogue.md");
    let Ok(catalogue) = fs::read_to_string(&path) else {
        return skipped(format_args!("there is no {}", path.display()));
    };
    let tables = catalogue.split("## 11.").next().expect("a first part");
    let mut unanswered = Vec::new();
    for row in tables.lines().filter(|line| line.starts_with('|')) {
        let texts = quoted_texts(row);
        let whole = texts.join("\n");
        let answered = |text: &str| Matcher::builtin().classify(text).is_some();
        if !texts.is_empty() && !answered(&whole) && !texts.iter().any(|text| answered(text)) {
            unanswered.push(whole);
        }
    }
    println!("{}", unanswered.join("\n"));
    // Sensors and notes whose wording the reference itself does not know.
    let known_gaps = ["[SYSTEM MONITOR] \u{2026}", "IRIS.WIJ", "[Startup] ShutdownTimeout"];
    unanswered.retain(|text| !known_gaps.contains(&text.as_str()));
    assert!(unanswered.is_empty(), "{}", unanswered.join("\n"));
}

/// Where in the kernel an entry was raised, and which object it names, is as real entries have it.
#[test]
fn examples_name_the_places_that_real_entries_name() {
    let logs: Vec<String> = samples("", ".log")
        .into_iter()
        .map(|(_, bytes)| String::from_utf8_lossy(&bytes).into_owned())
        .collect();
    for (id, part) in [
        ("cpf-parse-failed", "sqio.c#1 $ 3658 0"),
        ("journal-freeze-at-start", "journal.c#1 $ 10923 0"),
        ("cpf-value-required", "::WebServer(2@Config.Startup,ID=)"),
    ] {
        let row = condition(id).unwrap();
        assert!(row.wordings.iter().any(|wording| wording.example.contains(part)), "{id}");
        assert!(logs.is_empty() || logs.iter().any(|log| log.contains(part)), "no real log holds {part}");
    }
}

/// A row says of each of its wordings with which severity and category it was seen.
#[test]
fn entries_of_real_logs_have_the_severity_and_category_of_their_wording_when_samples_exist() {
    let mut strange = std::collections::BTreeSet::new();
    for (_, bytes) in samples("", ".log") {
        for entry in parse(&bytes) {
            let Some(header) = &entry.header else { continue };
            let text = entry.message_text();
            let (Some(severity), Some((row, wording))) =
                (header.severity, Matcher::builtin().recognise(&text))
            else {
                continue;
            };
            let category_is_known =
                header.category.as_ref().is_none_or(|category| wording.categories.contains(category));
            if !wording.severities.contains(&severity.as_u8()) || !category_is_known {
                let (severity, category) = (severity.as_u8(), header.category.as_deref().unwrap_or("-"));
                strange.insert(format!("{} {severity} {category}: {}", row.id, template(&text)));
            }
        }
    }
    let strange: Vec<_> = strange.into_iter().collect();
    assert!(strange.is_empty(), "{}", strange.join("\n"));
}

/// What a row of the reference's tables says of severities: the figures of its second column, and those that the first
/// gives to single lines (`severity 0`). Empty where nobody knows.
fn severities_of(row: &str) -> Vec<u8> {
    let row = row.replace("\\|", "\u{1}");
    let cell = |column| row.split('|').nth(column).unwrap_or_default();
    let of_lines = cell(1).split("severity ").skip(1).filter_map(|rest| rest.chars().next());
    of_lines.chain(cell(2).chars()).filter_map(|digit| digit.to_digit(10)?.try_into().ok()).collect()
}

#[test]
fn no_wording_has_a_severity_that_the_reference_catalogue_does_not_give_it_when_it_exists() {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/reference/iris/error-catalogue.md");
    let Ok(catalogue) = fs::read_to_string(&path) else {
        return skipped(format_args!("there is no {}", path.display()));
    };
    let tables = catalogue.split("## 11.").next().expect("a first part");
    let (mut strange, mut looked_at) = (Vec::new(), 0);
    for line in tables.lines().filter(|line| line.starts_with('|')) {
        let told = severities_of(line);
        for text in quoted_texts(line) {
            let Some((row, wording)) = Matcher::builtin().recognise(&text) else { continue };
            looked_at += 1;
            // Also quoted in a row about something else: what names an application's error log.
            if row.place == Place::MessagesLog && wording.severities.iter().any(|it| !told.contains(it)) {
                strange.push(format!("{} {:?}, the reference {told:?}: {text}", row.id, wording.severities));
            }
        }
    }
    assert!(strange.is_empty() && looked_at > 80, "{looked_at} texts\n{}", strange.join("\n"));
}
