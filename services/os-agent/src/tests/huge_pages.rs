//! How many huge pages, and whether the host has the memory.

use std::fs;

use super::{Stage, code, set};
use crate::{apply, conflicts::conflicts};

const HUGE: &str = "proc/sys/vm/nr_hugepages";

fn after(stage: &Stage, wanted: &str) -> Result<String, String> {
    let forecast = apply::forecast(&stage.config, &stage.host(), &set("vm.nr_hugepages", wanted));
    forecast.map(|forecast| forecast.after).map_err(|failure| code(&failure).to_owned())
}

#[test]
fn a_size_becomes_pages_of_the_size_that_this_host_has() {
    let stage = Stage::new();
    assert_eq!(after(&stage, "3580 MB").as_deref(), Ok("1790"));
    assert_eq!(after(&stage, "3581MB").as_deref(), Ok("1791"));
    // 1678 MB by the formula, in pages of 2 MB, and 16 MB of cushion.
    assert_eq!(after(&stage, "cpf").as_deref(), Ok("847"));
    let meminfo = stage.value("proc/meminfo");
    stage.write("proc/meminfo", &meminfo.replace("2048 kB", "1048576 kB"));
    assert_eq!(after(&stage, "3580 MB").as_deref(), Ok("4"));
    assert_eq!(after(&stage, "cpf").as_deref(), Ok("3"));
    // Pages of 512 MB, as on ARM with large base pages.
    stage.write("proc/meminfo", &meminfo.replace("2048 kB", "524288 kB"));
    assert_eq!(after(&stage, "3580 MB").as_deref(), Ok("7"));
}

#[test]
fn what_is_no_size_is_refused_by_the_catalogue() {
    let stage = Stage::new();
    for bad in ["3580 mb", "03580 MB", "-1 MB", "all", "cpf ", "0x10"] {
        assert_eq!(after(&stage, bad).unwrap_err(), "invalid_value", "{bad:?}");
    }
    fs::remove_file(stage.path("iris.cpf")).unwrap();
    assert_eq!(after(&stage, "cpf").unwrap_err(), "cpf_unreadable");
    // A size is nothing for another parameter.
    let failure = apply::forecast(&stage.config, &stage.host(), &set("vm.swappiness", "5 MB")).unwrap_err();
    assert_eq!(code(&failure), "invalid_value");
}

#[test]
fn bounds_of_the_command_count_pages() {
    let stage = Stage::new();
    let mut wanted = set("vm.nr_hugepages", "3580 MB");
    wanted.max_value = Some(1789);
    let failure = apply::forecast(&stage.config, &stage.host(), &wanted).unwrap_err();
    assert_eq!(code(&failure), "out_of_bounds");
}

#[test]
fn too_few_pages_for_the_instances_are_refused_and_none_at_all_needs_a_yes() {
    let stage = Stage::new();
    // 839 pages by the formula; 5 % less may be enough, for the formula is a little high.
    for (pages, outcome) in [("796", Err("below_iris_minimum")), ("797", Ok("797")), ("0", Ok("0"))] {
        assert_eq!(after(&stage, pages), outcome.map(str::to_owned).map_err(str::to_owned), "{pages}");
    }
    stage.write(
        "proc/meminfo",
        &stage.value("proc/meminfo").replace("HugePages_Total:       0", "HugePages_Total:     900"),
    );
    stage.write(HUGE, "900\n");
    let none = apply::forecast(&stage.config, &stage.host(), &set("vm.nr_hugepages", "0")).unwrap();
    assert!(
        none.dangerous && none.warnings.join("\n").contains("without huge pages the instances"),
        "{none:?}"
    );
}

#[test]
fn what_an_instance_named_at_its_last_start_is_enough() {
    let stage = Stage::new();
    let line = |text: &str| format!("11/14/25-09:45:55:657 (50745) 2 [Generic.Event] {text}\n");
    let failed = |mb: u32| {
        line(&format!("Failed to allocate {mb}MB shared memory using Huge Pages.  Startup will retry"))
    };
    stage.write("messages.log", &format!("{}{}{}", failed(300), failed(1401), line("Enabling logons")));
    assert_eq!(
        (after(&stage, "701").as_deref(), after(&stage, "700")),
        (Ok("701"), Err("below_iris_minimum".to_owned()))
    );
    // More than the formula asks for is no reason to refuse what the formula allows.
    stage.write("messages.log", &failed(9000));
    assert_eq!(
        (after(&stage, "797").as_deref(), after(&stage, "796")),
        (Ok("797"), Err("below_iris_minimum".to_owned()))
    );
    stage.write("messages.log", "MB shared memory\n");
    assert_eq!(after(&stage, "797").as_deref(), Ok("797"));
}

#[test]
fn shared_memory_limits_stay_above_what_the_instances_ask_for() {
    let stage = Stage::new();
    let outcome = |name: &str, value: u64| {
        let forecast = apply::forecast(&stage.config, &stage.host(), &set(name, &value.to_string()));
        forecast.map(|_| ()).map_err(|failure| code(&failure).to_owned())
    };
    let below = Err("below_iris_minimum".to_owned());
    let (enough, page) = (1678 * 1024 * 1024, stage.host().memory.page_bytes());
    assert_eq!(
        (outcome("kernel.shmmax", enough), outcome("kernel.shmmax", enough / 2)),
        (Ok(()), below.clone())
    );
    assert_eq!(
        (outcome("kernel.shmall", enough / page), outcome("kernel.shmall", enough / page / 2)),
        (Ok(()), below)
    );
}

#[test]
fn a_missing_right_is_told_apart_from_too_few_pages() {
    let stage = Stage::new();
    let line = |text: &str| format!("11/14/25-09:45:55:657 (50745) 1 [Generic.Event] {text}\n");
    let right = "Insufficient privileges to allocate Huge Pages; non-root instance requires CAP_IPC_LOCK capability for Huge Pages.";
    let warned = |stage: &Stage| {
        let forecast = apply::forecast(&stage.config, &stage.host(), &set("vm.nr_hugepages", "900")).unwrap();
        forecast.warnings.iter().any(|warning| {
            warning.contains("PROD had no right to huge pages") && warning.contains("CAP_IPC_LOCK")
        })
    };
    assert!(!warned(&stage));
    stage.write("messages.log", &line("Failed to allocate 1640MB shared memory using Huge Pages.  Startup will retry with standard pages."));
    assert!(!warned(&stage));
    stage.write("messages.log", &line(right));
    assert!(warned(&stage));
    // A start since then had the right.
    let memory = line("Allocated 1640MB shared memory using Huge Pages");
    stage.write("messages.log", &format!("{}{memory}{}", line(right), line("Enabling logons")));
    assert!(!warned(&stage));
}

#[test]
fn memory_is_looked_at_before_pages_are_reserved() {
    let stage = Stage::new();
    // 8192 MB available less 512 MB in reserve: 3840 pages of 2 MB.
    for (pages, outcome) in
        [("3840", None), ("3841", Some("not_enough_memory")), ("1073741824", Some("not_enough_memory"))]
    {
        let forecast = apply::forecast(&stage.config, &stage.host(), &set("vm.nr_hugepages", pages));
        assert_eq!(forecast.as_ref().err().map(code), outcome, "{pages}");
        assert_eq!(stage.prepare("vm.nr_hugepages", pages).as_ref().err().map(code), outcome, "{pages}");
    }
    fs::remove_file(stage.path("proc/meminfo")).unwrap();
    assert_eq!(code(&stage.prepare("vm.nr_hugepages", "1").unwrap_err()), "memory_unknown");
    assert_eq!(stage.value(HUGE), "0\n");
}

#[test]
fn what_nobody_can_hold_against_a_value_needs_an_explicit_yes() {
    const CASES: [(&str, &str); 3] =
        [("vm.nr_hugepages", "1"), ("kernel.shmmax", "18446744073692774399"), ("kernel.shmall", "1")];
    let stage = Stage::new();
    let against = |name: &str, value: &str| {
        let row = instance_knowledge::kernel_parameter(name).unwrap();
        conflicts(&stage.config, &stage.host(), row, value)
    };
    for (name, value) in CASES {
        assert!(against(name, value).is_empty(), "the CPF tells what {name} has to be");
    }
    fs::remove_file(stage.path("iris.cpf")).unwrap();
    for (name, value) in CASES {
        let forecast = apply::forecast(&stage.config, &stage.host(), &set(name, value)).unwrap();
        assert!(forecast.dangerous, "{forecast:?}");
        let against = against(name, value);
        assert_eq!(against.len(), 1, "{against:?}");
        for word in
            ["instance PROD", "iris.cpf", "No such file", "SupplementaryGroups", "CAP_DAC_READ_SEARCH"]
        {
            assert!(against[0].contains(word), "{against:?}");
        }
        assert!(forecast.warnings.contains(&against[0]), "{forecast:?}");
    }
    assert!(against("vm.swappiness", "5").is_empty(), "it has nothing to do with the CPF");
    fs::write(stage.path("iris.cpf"), "[config]\nglobals=many\n").unwrap();
    assert!(against("kernel.shmall", "1")[0].contains("not understood"));
}

/// `memlock` 32 (LargePagesDisabled): the instance takes ordinary pages, however large the pool is.
#[test]
fn no_pages_are_reserved_for_an_instance_that_uses_none() {
    let mut stage = Stage::new();
    let cpf = stage.value("iris.cpf");
    stage.write("iris.cpf", &format!("{cpf}memlock=32\n"));
    assert_eq!(after(&stage, "cpf").as_deref(), Ok("0"));
    // Nobody needs them, so a smaller pool is not below what IRIS needs; but it is for nothing.
    let forecast = apply::forecast(&stage.config, &stage.host(), &set("vm.nr_hugepages", "700")).unwrap();
    assert!(forecast.dangerous, "{forecast:?}");
    assert!(forecast.warnings.iter().any(|warning| warning.contains("memlock of PROD")), "{forecast:?}");
    let segment = apply::forecast(&stage.config, &stage.host(), &set("kernel.shmmax", "1073741824"));
    assert_eq!(
        code(&segment.unwrap_err()),
        "below_iris_minimum",
        "ordinary shared memory is taken all the same"
    );

    // A second instance that does use them: the pool is for that one.
    stage.write("second/iris.cpf", &cpf);
    let mut second = stage.instance().clone();
    (second.name, second.cpf) = ("SECOND".parse().unwrap(), stage.path("second/iris.cpf"));
    stage.config.instances.push(second);
    assert_eq!(after(&stage, "cpf").as_deref(), Ok("847"));
    let forecast = apply::forecast(&stage.config, &stage.host(), &set("vm.nr_hugepages", "847")).unwrap();
    assert!(
        forecast.warnings.iter().any(|warning| warning.contains("instance PROD uses no huge pages")),
        "{forecast:?}"
    );
    assert!(!forecast.warnings.iter().any(|warning| warning.contains("would be lost")), "{forecast:?}");
    assert_eq!(after(&stage, "700").unwrap_err(), "below_iris_minimum");
}
