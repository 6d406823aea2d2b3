//! What the model of a few lines makes of questions.

use serde_json::Value;

use crate::scripted::answer;

const RESTART: &str =
    "Restart the instance: a daemon died and the system is frozen (restart-frozen-instance)";
const ALTERNATE: &str =
    "Point [Journal] AlternateDirectory to a directory that can be used (alternate-journal-directory)";

fn chosen(fact: &str, entry: &str, options: &[&str]) -> Value {
    let listed = options.iter().chain(&["A person must look"]).enumerate();
    let listed: Vec<String> = listed.map(|(number, option)| format!("{number}. {option}")).collect();
    let asked = format!(
        "system\nFacts:\n- fact: \"{fact}\"\n\nEntries of the log:\n\"{entry}\"\n\nAllowed:\n{}",
        listed.join("\n")
    );
    answer(&asked).unwrap()["option"].clone()
}

#[test]
fn it_goes_by_the_words_of_the_entries_and_not_by_the_place_of_an_option() {
    let (gone, alternate) = ("Daemon WRTDMN is gone", "the alternate journal location cannot be used");
    for (options, wanted) in [([RESTART, ALTERNATE], 0), ([ALTERNATE, RESTART], 1)] {
        assert_eq!(chosen("instance.health = hung", gone, &options), wanted);
        assert_eq!(chosen("journal.alternate-usable = false", alternate, &options), 1 - wanted);
    }
}

#[test]
fn where_the_words_tell_nothing_or_the_same_of_two_a_person_must_look() {
    assert_eq!(chosen("host.memory-mb = 16384", "the coffee is cold", &[RESTART, ALTERNATE]), 2);
    assert_eq!(chosen("x = 1", "a daemon died", &[RESTART, RESTART]), 2);
    assert_eq!(answer("Say hello."), None);
}
