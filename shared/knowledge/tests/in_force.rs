//! A process answers with the rows of its user's own once they are in force, and they stay.

use instance_knowledge::{
    Catalogue, Matcher, condition, forbidden, kernel_parameter, parameter, parameters, suggest,
};

const ROWS: &str = r#"
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

[[cpf_parameter]]
section = "config"
name = "newbufs"
type = "integer"
min = 8
max = 1024
since = "2026.1"
restart = "no"
meaning = "Buffers of a release that is newer than this catalogue."
source = "release notes 2026.1"

[[kernel_parameter]]
name = "vm.zone_reclaim_mode"
root = "proc"
ranges = ["0..=7"]
recommendation = "0 on hosts of databases."
persistent = true
dangerous = false
reboot_advised = false
source = "our own runbook"
"#;

#[test]
fn added_rows_answer_for_the_whole_process() {
    // Not asked before: a process that has answered with the rows compiled in goes on answering the same.
    Catalogue::with_extra([("site.toml", ROWS)]).unwrap().put_in_force().unwrap();
    assert_eq!(Matcher::in_force().classify("disk 7 is on fire").unwrap().id, "disk-on-fire");
    assert_eq!(condition("disk-on-fire").unwrap().source, "our own watch");
    assert!(condition("journal-not-started").is_some());
    assert_eq!(Matcher::builtin().classify("disk 7 is on fire"), None);

    assert!(parameter("config", "newbufs").unwrap().check("7").is_err());
    assert!(parameter("config", "globals").is_some());
    assert_eq!(suggest("config", "newbuf").unwrap().name, "newbufs");
    assert_eq!(parameters().len(), Catalogue::builtin().parameters().len() + 1);
    assert_eq!(kernel_parameter("vm/zone_reclaim_mode").unwrap().path, "sys/vm/zone_reclaim_mode");
    assert!(kernel_parameter("vm.swappiness").is_some() && forbidden("net.core.somaxconn").is_some());

    let again = Catalogue::builtin().clone().put_in_force().unwrap_err();
    assert_eq!(again.to_string(), "another catalogue is in force already");
}
