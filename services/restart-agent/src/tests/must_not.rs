//! Every row of the catalogue that a restart makes worse, at the decisions of this agent: the forecast, before it is
//! recorded, and directly before the effect.

use instance_contract::Failure;
use instance_knowledge::{Condition, conditions};

use super::{Stage, code};

/// Rows about a CPF that the same plan may have changed before the restart: the forecast warns of them.
const OF_THE_CPF: &str = "cpf-";
const NOT_OF_ITS_TEXT: [&str; 1] = ["cpf-not-writable"];

fn rows() -> impl Iterator<Item = &'static Condition> {
    conditions().iter().filter(|row| row.must_not_restart)
}

/// As the instance writes it: what follows the first line stands below it.
fn logged(row: &Condition, example: &str) -> String {
    let severity = row.severities.first().unwrap_or(&2);
    let category = row.categories.first().map_or("Generic.Event", String::as_str);
    format!("{severity} [{category}] {example}")
}

/// Refused by that row, with the words of the log and what the catalogue tells a person to do.
fn refused(row: &Condition, example: &str, failure: &Failure) {
    let (id, message) = (&row.id, &failure.cause().message);
    assert!(matches!(failure, Failure::Refused { .. }), "{id}: {failure}");
    assert_eq!(code(failure), "must_not_restart", "{id}");
    let said = example.trim().lines().next().unwrap_or_default();
    for part in [format!("\"{id}\""), said.to_owned(), row.remedy.clone()] {
        assert!(message.contains(&part), "{id}: no \"{part}\" in {message}");
    }
}

#[test]
fn each_row_that_a_restart_makes_worse_is_refused_with_its_reason() {
    let mut seen = 0;
    for row in rows() {
        for wording in &row.wordings {
            let stage = Stage::new();
            let former = stage.prepare().unwrap();
            stage.say(&logged(row, &wording.example));
            refused(row, &wording.example, &stage.prepare().unwrap_err());
            // What was let through before the instance said so, and not begun.
            refused(row, &wording.example, &stage.apply(&former).unwrap_err());
            let of_the_cpf = row.id.starts_with(OF_THE_CPF) && !NOT_OF_ITS_TEXT.contains(&row.id.as_str());
            match stage.forecast() {
                Err(failure) => refused(row, &wording.example, &failure),
                Ok(forecast) => {
                    assert!(of_the_cpf, "{}: {forecast:?}", row.id);
                    let warns = |warning: &String| warning.contains("it must be changed first");
                    assert!(forecast.warnings.iter().any(warns), "{}: {forecast:?}", row.id);
                }
            }
            assert!(stage.calls().is_empty(), "{}: {:?}", row.id, stage.calls());
        }
        seen += usize::from(!row.wordings.is_empty());
    }
    // Of those whose text nobody knows, one is seen by its file, and one cannot be seen.
    let silent: Vec<_> = rows().filter(|row| row.wordings.is_empty()).map(|row| row.id.as_str()).collect();
    assert_eq!((seen, silent), (23, vec!["journal-freeze-while-running", "wij-removed"]));
}

#[test]
fn a_removed_image_journal_is_refused_where_the_instance_has_named_it() {
    let row = rows().find(|row| row.id == "wij-removed").unwrap();
    for wijdir in ["mgr", "elsewhere"] {
        let stage = Stage::new();
        let folder = stage.path(wijdir);
        std::fs::create_dir_all(&folder).unwrap();
        let setting = if wijdir == "mgr" { String::new() } else { folder.display().to_string() };
        let cpf = std::fs::read_to_string(stage.path("iris.cpf")).unwrap();
        stage.write("iris.cpf", &format!("{cpf}[config]\nwijdir={setting}\n"));
        let file = folder.join("IRIS.WIJ");
        // Of an instance that has never told of one, nobody knows.
        stage.down();
        stage.prepare().unwrap();
        let named = format!("Using WIJ file: {}", file.display());
        stage.say(&format!("0 [WriteDaemon.UsingWIJFile] {named}"));
        std::fs::write(&file, "as the last run has left it").unwrap();
        let former = stage.prepare().unwrap();
        stage.forecast().unwrap();

        std::fs::remove_file(&file).unwrap();
        let found = file.display().to_string();
        for failure in
            [stage.forecast().unwrap_err(), stage.prepare().unwrap_err(), stage.apply(&former).unwrap_err()]
        {
            refused(row, &found, &failure);
        }
        assert!(stage.calls().is_empty(), "{:?}", stage.calls());
        // A run that did not come up may not have made one.
        let log = stage.path("mgr/messages.log");
        let told = std::fs::read_to_string(&log).unwrap();
        std::fs::write(&log, told.replace("Enabling logons", "Not yet")).unwrap();
        stage.prepare().unwrap();
        std::fs::write(&log, told).unwrap();
        // Of one that the log has elsewhere (a container's, say) nothing is known here.
        stage.say("0 [WriteDaemon.UsingWIJFile] Using WIJ file: /durable/mgr/IRIS.WIJ");
        stage.restart().unwrap();
    }
}

#[test]
fn what_another_run_said_is_over() {
    for row in rows() {
        let Some(wording) = row.wordings.first() else { continue };
        let stage = Stage::new();
        stage.say(&logged(row, &wording.example));
        // Somebody has started it since.
        let log = stage.path("mgr/messages.log");
        let before = std::fs::read_to_string(&log).unwrap();
        let banner = "\n\n*** Recovery started at Fri Nov 14 10:48:58 2025\n";
        std::fs::write(&log, before + banner).unwrap();
        stage.say("0 [Generic.Event] Allocated 504MB shared memory");
        stage.say("0 [Utility.Event] Enabling logons");
        stage.prepare().unwrap_or_else(|failure| panic!("{}: {failure}", row.id));
    }
}
