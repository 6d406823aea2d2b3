use super::row::{FILES, read};
use super::{Change, Clash, NotApplicable, Work, cured_by, runbook, runbooks, runbooks_for, together};
use crate::catalogue::conditions;
use crate::condition::Answer;
use crate::facts::{FactValue, Facts};
use crate::runbook::Target;

/// A host of 16 GB with 2 MB pages, an instance with 256 MB of buffers; then what the test knows beside.
fn facts(more: &[(&str, &str)]) -> Facts {
    let mut facts = Facts::default();
    let usual = [
        ("host.memory-mb", "16384"),
        ("host.huge-page-kb", "2048"),
        ("host.huge-pages", "0"),
        ("memory.needed-mb", "800"),
        ("cpf.globals", "0,0,256,0,0,0"),
        ("cpf.journal-directory", "/iris/mgr/journal/"),
        ("cpf.web-server", "1"),
        ("cpf.web-server-port", "52773"),
        ("instance.health", "hung"),
    ];
    for (name, value) in usual.iter().chain(more) {
        let value = match (crate::facts::fact(name).unwrap().kind, value) {
            (crate::facts::FactKind::Number, value) => FactValue::Number(value.parse().unwrap()),
            (crate::facts::FactKind::Flag, value) => FactValue::Flag(*value == "true"),
            (crate::facts::FactKind::Text, value) => FactValue::Text((*value).to_owned()),
        };
        facts.set(name, value).unwrap();
    }
    facts
}

/// The steps as a person would read them: `id: change (after those)`.
fn read_out(work: &Work) -> Vec<String> {
    let told = |change: &Change| match change {
        Change::SetCpf { section, parameter, new_value, current_value } => {
            format!("[{section}] {parameter} {} -> {new_value}", current_value.as_deref().unwrap_or("?"))
        }
        Change::SetKernel { name, new_value } => format!("{name} -> {new_value}"),
        Change::CheckLicense { action } => action.clone(),
        Change::Restart => "restart".to_owned(),
    };
    let line = |step: &super::Step| match step.depends_on.as_slice() {
        [] => format!("{}: {}", step.id, told(&step.change)),
        needs => format!("{}: {} after {}", step.id, told(&step.change), needs.join(", ")),
    };
    work.steps.iter().map(line).collect()
}

fn plan(id: &str, more: &[(&str, &str)]) -> Result<Work, NotApplicable> {
    runbook(id).unwrap().plan(&facts(more))
}

fn steps(id: &str, more: &[(&str, &str)]) -> Vec<String> {
    read_out(&plan(id, more).unwrap())
}

fn refusal(id: &str, more: &[(&str, &str)]) -> String {
    plan(id, more).unwrap_err().to_string()
}

#[test]
fn every_built_in_runbook_is_good_and_planned_here() {
    assert_eq!(read(FILES).unwrap().len(), FILES.len());
    let ids: Vec<_> = runbooks().iter().map(|runbook| runbook.id.as_str()).collect();
    // Each is planned by a test of this file: by its own name, so that a new one is not forgotten.
    let tests = include_str!("tests.rs");
    let unplanned = ids.iter().filter(|id| !tests.contains(&format!("steps(\"{id}\"")));
    assert_eq!(unplanned.collect::<Vec<_>>(), Vec::<&&str>::new());
}

#[test]
fn conditions_that_promise_a_remedy_have_a_runbook_that_cures() {
    for condition in conditions() {
        let cures = runbooks_for(&condition.id).iter().any(|runbook| runbook.cures);
        assert_eq!(cures, condition.answer == Answer::Remedy, "{}", condition.id);
    }
}

#[test]
fn a_larger_cache_needs_no_huge_pages_where_none_are_used() {
    assert_eq!(
        steps("grow-database-cache", &[]),
        ["globals: [config] globals 0,0,256,0,0,0 -> 0,0,512,0,0,0", "restart: restart after globals"]
    );
}

#[test]
fn a_larger_cache_gets_the_huge_pages_that_it_needs_first() {
    // 800 MB by the formula, 8 % more than 256 MB for the buffers, a cushion of 16: 1093 MB, 547 pages of 2 MB.
    let grown = [
        "huge-pages: vm.nr_hugepages -> 547",
        "globals: [config] globals 0,0,256,0,0,0 -> 0,0,512,0,0,0 after huge-pages",
        "restart: restart after huge-pages, globals",
    ];
    assert_eq!(steps("grow-database-cache", &[("host.huge-pages", "400")]), grown);
    // What IRIS named is exact: 742 + 277 + 16 = 1035 MB.
    let named = [("host.huge-pages", "400"), ("memory.refused-mb", "742")];
    assert_eq!(steps("grow-database-cache", &named)[0], "huge-pages: vm.nr_hugepages -> 518");
    // Enough already, or of no use: the cache grows all the same.
    assert_eq!(steps("grow-database-cache", &[("host.huge-pages", "547")]).len(), 2);
    let useless = [("host.huge-pages", "400"), ("host.instances-without-right-to-huge-pages", "1")];
    assert_eq!(steps("grow-database-cache", &useless).len(), 2);
}

#[test]
fn the_pool_stops_at_its_bounds_and_nothing_is_guessed() {
    assert!(
        steps("grow-database-cache", &[("cpf.globals", "0,0,5000,0,64,0")])[0].ends_with("0,0,8192,0,64,0")
    );
    let full = refusal("grow-database-cache", &[("cpf.globals", "0,0,8192,0,0,0")]);
    assert!(full.ends_with("16384 MB would be needed, the bound is 8192"), "{full}");
    assert!(steps("grow-database-cache", &[("cpf.globals", "0,0,0,0,0,0")])[0].ends_with("0,0,8192,0,0,0"));
    for odd in ["", "256", "0,0,256,0,0", "0,0,-1,0,0,0", "0, 0,256,0,0,0", "0,0,0256,0,0,0"] {
        let error = refusal("grow-database-cache", &[("cpf.globals", odd)]);
        assert!(error.contains("six whole numbers"), "{error}");
    }
    assert!(refusal("grow-database-cache", &[("cpf.globals", "0,0,0,0,512,0")]).contains("which one"));
    let unknown = runbook("grow-database-cache").unwrap().plan(&Facts::default()).unwrap_err().to_string();
    assert!(unknown.contains("the log alone says"), "{unknown}");
    let mut facts = Facts::default();
    facts.set("instance.health", FactValue::Text("alert".to_owned())).unwrap();
    let unknown = runbook("grow-database-cache").unwrap().plan(&facts).unwrap_err().to_string();
    assert!(unknown.contains("there is no value of cpf.globals ("), "{unknown}");
}

#[test]
fn huge_pages_follow_the_megabytes_that_iris_named() {
    // Documented: 3580 MB need at least 1791 pages of 2 MB; ours adds 16 MB.
    let named = [("memory.refused-mb", "3580")];
    let expected = ["huge-pages: vm.nr_hugepages -> 1798", "restart: restart after huge-pages"];
    assert_eq!(steps("add-huge-pages", &named), expected);
    let large = [("memory.refused-mb", "3580"), ("host.huge-page-kb", "524288")];
    assert_eq!(steps("add-huge-pages", &large)[0], "huge-pages: vm.nr_hugepages -> 8");
    let enough = refusal("add-huge-pages", &[("memory.refused-mb", "3580"), ("host.huge-pages", "1798")]);
    assert!(
        enough.contains("1798 huge pages are set and 1798 are needed, so the cause is another one"),
        "{enough}"
    );
    let bound = refusal("add-huge-pages", &[("memory.refused-mb", "3580"), ("host.memory-mb", "4096")]);
    assert!(bound.contains("1798 huge pages would be needed, the bound is 1536"), "{bound}");
    let right = [("memory.refused-mb", "742"), ("host.instances-without-right-to-huge-pages", "1")];
    assert!(refusal("add-huge-pages", &right).contains("CAP_IPC_LOCK does"));
    assert!(refusal("add-huge-pages", &[]).contains("no value of memory.refused-mb"));
    let endless = [("memory.refused-mb", "18446744073709551615")];
    assert!(refusal("add-huge-pages", &endless).contains("would be needed"));
}

#[test]
fn a_smaller_cache_fits_into_the_memory_and_never_grows() {
    let host = [("host.memory-mb", "2048"), ("cpf.globals", "0,0,3000,0,0,0")];
    let first = [host[0], host[1], ("memory.refused-standard-mb", "3900")];
    // 1536 MB of 2048, 660 of them beside the buffers: 876 MB, of which 8 % describe them.
    assert_eq!(
        steps("shrink-database-cache", &first),
        ["globals: [config] globals 0,0,3000,0,0,0 -> 0,0,811,0,0,0", "restart: restart after globals"]
    );
    // A later, smaller try of IRIS tells the same, since the formula knows the whole.
    let later = [host[0], host[1], ("memory.refused-standard-mb", "2100"), ("memory.needed-mb", "3900")];
    assert_eq!(steps("shrink-database-cache", &later), steps("shrink-database-cache", &first));
    let tiny = [("host.memory-mb", "800"), host[1], ("memory.refused-standard-mb", "3900")];
    assert!(refusal("shrink-database-cache", &tiny).contains("the least is 128"));
    // Memory is not what is missing: shmmax, say.
    let other = [host[1], ("memory.refused-standard-mb", "3900")];
    assert!(refusal("shrink-database-cache", &other).contains("so the cause is another one"));
}

#[test]
fn the_web_server_is_switched_off_or_moved_only_when_the_cpf_asks_for_it() {
    let off = ["web-server: [Startup] WebServer 1 -> 0", "restart: restart after web-server"];
    assert_eq!(steps("web-server-off", &[]), off);
    assert!(refusal("web-server-off", &[("cpf.web-server", "0")]).contains("is not 1"));

    let taken = [("web-server.port-in-use", "52773"), ("web-server.free-port", "52774")];
    let moved = ["port: [Startup] WebServerPort 52773 -> 52774", "restart: restart after port"];
    assert_eq!(steps("free-web-server-port", &taken), moved);
    assert!(refusal("free-web-server-port", &[taken[0]]).contains("no value of web-server.free-port"));
    let changed = [taken[0], taken[1], ("cpf.web-server-port", "52779")];
    assert!(refusal("free-web-server-port", &changed).contains("somebody has changed it since"));
}

#[test]
fn a_journal_directory_is_one_that_is_there() {
    let gone = [
        ("cpf.alternate-journal-directory", "/iris/mgr/journal2/"),
        ("journal.alternate-usable", "false"),
        ("journal.directory-usable", "true"),
    ];
    let line =
        |to: &str| format!("alternate-directory: [Journal] AlternateDirectory /iris/mgr/journal2/ -> {to}");
    let spare = ("journal.spare-directory", "/iris/mgr/journal3/");
    assert_eq!(steps("alternate-journal-directory", &[&gone[..], &[spare]].concat())[0], line(spare.1));
    let none = ("journal.spare-directory", "");
    assert_eq!(
        steps("alternate-journal-directory", &[&gone[..], &[none]].concat())[0],
        line("/iris/mgr/journal/")
    );
    let back = [gone[0], ("journal.alternate-usable", "true"), gone[2]];
    assert!(refusal("alternate-journal-directory", &back).contains("has come back"));
    let both = [gone[0], gone[1], ("journal.directory-usable", "false")];
    assert!(refusal("alternate-journal-directory", &both).contains("for a person"));

    let equal = [("cpf.alternate-journal-directory", "/iris/mgr/journal/"), spare];
    let apart = "alternate-directory: [Journal] AlternateDirectory /iris/mgr/journal/ -> /iris/mgr/journal3/";
    assert_eq!(steps("separate-journal-directories", &equal)[0], apart);
    assert!(
        refusal("separate-journal-directories", &[equal[0]]).contains("no value of journal.spare-directory")
    );
}

#[test]
fn a_restart_sets_no_value_and_a_look_changes_nothing() {
    assert_eq!(steps("restart-frozen-instance", &[]), ["restart: restart"]);
    assert_eq!(steps("check-license-key", &[]), ["look: validate_key"]);
    assert_eq!(steps("report-license-use", &[]), ["look: report_usage"]);
    assert_eq!(steps("check-license-expiry", &[]), ["look: check_expiry"]);
    assert!(runbooks().iter().filter(|runbook| !runbook.cures).count() == 3);
}

/// Whoever may write into messages.log can write any entry: an agent must see the trouble too.
#[test]
fn what_the_log_alone_says_restarts_nothing() {
    let refused = [
        ("memory.refused-standard-mb", "3900"),
        ("host.memory-mb", "4000"),
        ("cpf.globals", "0,0,1900,0,0,0"),
    ];
    for (id, health, plans) in [
        ("restart-frozen-instance", "ok", false),
        ("restart-frozen-instance", "alert", false),
        ("restart-frozen-instance", "hung", true),
        ("grow-database-cache", "ok", false),
        ("grow-database-cache", "alert", true),
        ("shrink-database-cache", "ok", false),
        ("shrink-database-cache", "warn", true),
    ] {
        let mut known = vec![("instance.health", health)];
        if id == "shrink-database-cache" {
            known.extend(refused);
        }
        match plan(id, &known) {
            Ok(_) => assert!(plans, "{id} on an instance that is {health}"),
            Err(why) => assert!(!plans && why.to_string().contains("the log alone says"), "{id}: {why}"),
        }
    }
}

#[test]
fn several_answers_become_one_with_the_cause_first_and_one_restart() {
    let known = [
        ("host.huge-pages", "100"),
        ("memory.refused-mb", "742"),
        ("journal.alternate-usable", "false"),
        ("journal.directory-usable", "true"),
        ("cpf.alternate-journal-directory", "/iris/mgr/journal2/"),
    ];
    let work = |id| plan(id, &known).unwrap();
    let sum = together(vec![
        work("add-huge-pages"),
        work("grow-database-cache"),
        work("alternate-journal-directory"),
    ]);
    let sum = sum.unwrap();
    assert_eq!(
        read_out(&sum),
        [
            // As many as the larger cache needs, which is more than what was refused.
            "huge-pages: vm.nr_hugepages -> 518",
            "globals: [config] globals 0,0,256,0,0,0 -> 0,0,512,0,0,0 after huge-pages",
            "alternate-directory: [Journal] AlternateDirectory /iris/mgr/journal2/ -> /iris/mgr/journal/ after huge-pages",
            "restart: restart after huge-pages, globals, alternate-directory",
        ]
    );
    assert_eq!(sum.runbooks, ["add-huge-pages", "grow-database-cache", "alternate-journal-directory"]);
    assert_eq!(sum.priority.as_str(), "critical");
    assert!(sum.action.chars().count() <= 200);
}

#[test]
fn answers_that_contradict_each_other_are_not_put_together() {
    let known = [
        ("host.memory-mb", "4000"),
        ("cpf.globals", "0,0,1900,0,0,0"),
        ("memory.refused-standard-mb", "3900"),
    ];
    let grow = plan("grow-database-cache", &known).unwrap();
    let shrink = plan("shrink-database-cache", &known).unwrap();
    let clash = together(vec![grow.clone(), shrink]).unwrap_err();
    assert_eq!(
        clash.to_string(),
        "grow-database-cache and shrink-database-cache want different values of cpf [config] globals"
    );
    let looks = plan("check-license-key", &[]).unwrap();
    assert_eq!(together(vec![grow, looks]), Err(Clash::OnlyLooks("check-license-key")));
    assert_eq!(together(Vec::new()), Err(Clash::Nothing));
}

#[test]
fn what_must_be_silent_afterwards_follows_from_what_is_changed() {
    let cpf = |name: &'static str, section: &'static str| {
        move |target: &Target| *target == Target::Cpf { section: section.into(), parameter: name.into() }
    };
    assert_eq!(
        cured_by(cpf("globals", "config"), true),
        ["global-buffers-insufficient", "shared-memory-refused"]
    );
    assert_eq!(cured_by(cpf("globals", "config"), false), Vec::<&str>::new());
    // The other one may come of it where no second directory is left.
    assert_eq!(cured_by(cpf("AlternateDirectory", "Journal"), true), ["journal-alternate-unreachable"]);
    assert_eq!(cured_by(|target| *target == Target::Instance, true), ["write-daemon-died"]);
}

#[test]
fn a_runbook_says_which_facts_it_needs() {
    let needs = runbook("free-web-server-port").unwrap().facts_needed();
    let expected =
        ["cpf.web-server", "cpf.web-server-port", "web-server.free-port", "web-server.port-in-use"];
    assert_eq!(needs, expected);
    assert_eq!(
        runbook("restart-frozen-instance").unwrap().facts_needed(),
        ["instance.health", "journal.free-mb"]
    );
}

#[test]
fn a_bad_file_is_refused_with_file_and_rule() {
    let (name, good) = FILES.iter().find(|(name, _)| *name == "grow-database-cache").unwrap();
    for (from, to, rule) in [
        ("id = \"grow-database-cache\"", "id = \"grow-cache\"", "id must be the name of the file"),
        ("\"global-buffers-insufficient\"", "\"too-small\"", "no condition is called \"too-small\""),
        ("\"global-buffers-insufficient\"", "\"database-degradation\"", "must be \"remedy\" exactly when"),
        ("parameter = \"globals\"", "parameter = \"Globals\"", "the target of step \"globals\" is not known"),
        ("\"vm.nr_hugepages\"", "\"kernel.core_pattern\"", "the target of step \"huge-pages\" is not known"),
        (
            "depends_on = [\"huge-pages\", \"globals\"]",
            "depends_on = [\"globals\"]",
            "a restart is the last step",
        ),
        ("depends_on = [\"huge-pages\"]", "depends_on = [\"restart\"]", "does not stand before it"),
        ("fact = \"host.huge-pages\"", "fact = \"host.pages\"", "no fact is called"),
        ("cures = true", "cures = false", "exactly when the runbook cures"),
        ("risk = \"medium\"", "risk = \"none\"", "risks something"),
        ("priority = ", "urgency = ", "unknown field `urgency`"),
    ] {
        assert!(good.contains(from), "{from}");
        let error = read(&[(name, &good.replacen(from, to, 1))]).unwrap_err().to_string();
        assert!(error.contains("runbooks/grow-database-cache.toml") && error.contains(rule), "{error}");
    }
}
