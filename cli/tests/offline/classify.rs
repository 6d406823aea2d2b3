//! `instance classify --labelled`: the confusion table of a file that people labelled.

use std::fs;

use serde_json::{Value, json};

use crate::run::{instance, root};

const LABELS: &str = "# by hand\n\
    license\t2\tLMF Error: No valid license key. No valid local file found and LicenseID not defined.\n\
    journal\t3\tJournaling I/O Error: no more journaling until corrected\\nsecond line\n\
    mirror\t2\tLMF Error: No valid license key. No valid local file found and LicenseID not defined.\n";

fn cell(document: &Value, labelled: &str, found: &str) -> u64 {
    let rows = document["confusion"].as_array().unwrap();
    let row = rows.iter().find(|row| row["labelled"] == labelled && row["found"] == found);
    row.map_or(0, |row| row["count"].as_u64().unwrap())
}

#[test]
fn what_a_person_labelled_otherwise_is_off_the_diagonal() {
    let folder = tempfile::tempdir().unwrap();
    let labels = folder.path().join("labels.tsv");
    fs::write(&labels, LABELS).unwrap();
    let ran = instance(&[&"classify", &"--labelled", &labels, &"--json"]).exits(0);
    let document = ran.document("instance.cli.v1.confusion");
    assert_eq!((&document["entries"], &document["right"]), (&json!(3), &json!(2)), "{document}");
    let cells = [("license", "license"), ("journal", "journal"), ("mirror", "license"), ("mirror", "mirror")];
    assert_eq!(cells.map(|(labelled, found)| cell(&document, labelled, found)), [1, 1, 1, 0], "{document}");

    let told = instance(&[&"classify", &"--labelled", &labels]).exits(0).stdout;
    let mirror: Vec<&str> =
        told.lines().find(|line| line.starts_with("mirror")).unwrap().split_whitespace().collect();
    // config, license, resource, journal, database, security, mirror, other
    assert_eq!(mirror, ["mirror", "0", "1", "0", "0", "0", "0", "0", "0"], "{told}");
    assert!(told.contains("2 of 3 as labelled (66.7 %)"), "{told}");

    fs::write(&labels, "license\t2\tx\nweather\t2\tx\n").unwrap();
    let refused = instance(&[&"classify", &"--labelled", &labels]);
    assert!(refused.code != 0 && refused.stdout.is_empty(), "{refused:?}");
    assert!(refused.stderr.contains("line 2") && refused.stderr.contains("weather"), "{refused:?}");
}

#[test]
fn labels_are_measured_as_a_whole() {
    for rest in [&["--entries"][..], &["--min-severity", "2"]] {
        let mut words: Vec<&dyn AsRef<std::ffi::OsStr>> =
            vec![&"classify", &"--labelled", &"docs/classification/labelled.tsv"];
        words.extend(rest.iter().map(|word| word as &dyn AsRef<std::ffi::OsStr>));
        let refused = instance(&words);
        assert!(refused.code != 0 && refused.stderr.contains(rest[0]), "{refused:?}");
    }
}

/// What docs/classification/README.md says of the samples is what comes out.
#[test]
fn the_labelled_samples_are_measured_as_documented() {
    let document = instance(&[&"classify", &"--labelled", &"docs/classification/labelled.tsv", &"--json"])
        .exits(0)
        .document("instance.cli.v1.confusion");
    let [entries, right] = ["entries", "right"].map(|key| document[key].as_u64().unwrap());
    let page = fs::read_to_string(root().join("docs/classification/README.md")).unwrap();
    assert!(page.contains(&format!("{right} of {entries} as labelled")), "{right} of {entries}");
    let all = document["confusion"].as_array().unwrap().iter().map(|row| row["count"].as_u64().unwrap());
    assert_eq!(all.sum::<u64>(), entries);
}
