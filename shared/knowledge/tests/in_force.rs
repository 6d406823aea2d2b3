//! A process answers with the rows of its user's own once they are in force, and they stay.

use instance_knowledge::{Catalogue, Matcher, condition};

const ROW: &str = r#"
[[condition]]
id = "disk-on-fire"
texts = ["Disk", "is on fire"]
example = "Disk 3 is on fire"
class = "resource"
severities = [3]
categories = []
cause = "Heat."
gather = []
remedy = "Leave the room."
answer = "person"
restart = "no"
source = "our own watch"
"#;

#[test]
fn added_rows_answer_for_the_whole_process() {
    // Not asked before: a process that has answered with the rows compiled in goes on answering the same.
    Catalogue::with_extra([("site.toml", ROW)]).unwrap().put_in_force().unwrap();
    assert_eq!(Matcher::in_force().classify("disk 7 is on fire").unwrap().id, "disk-on-fire");
    assert_eq!(condition("disk-on-fire").unwrap().source, "our own watch");
    assert!(condition("journal-not-started").is_some());
    assert_eq!(Matcher::builtin().classify("disk 7 is on fire"), None);
    let again = Catalogue::builtin().clone().put_in_force().unwrap_err();
    assert_eq!(again.to_string(), "another catalogue is in force already");
}
