use super::{
    KernelKind, KernelRoot, forbidden, forbidden_names, kernel_parameter, kernel_parameters, row::read,
};

#[test]
fn every_built_in_row_is_good() {
    let table = read("kernel_parameters.toml", include_str!("../../data/kernel_parameters.toml")).unwrap();
    assert!(table.parameters.len() >= 15);
}

#[test]
fn names_are_taken_with_dots_or_slashes() {
    for name in ["vm.nr_hugepages", "vm/nr_hugepages", "/proc/sys/vm/nr_hugepages"] {
        assert_eq!(kernel_parameter(name).unwrap().path, "sys/vm/nr_hugepages");
    }
    let huge = kernel_parameter("/sys/kernel/mm/transparent_hugepage/enabled").unwrap();
    assert_eq!((huge.root, huge.path.as_str()), (KernelRoot::Sys, "kernel/mm/transparent_hugepage/enabled"));
    for name in [
        "",
        "vm",
        "vm.nr_hugepages.",
        "../vm/nr_hugepages",
        "vm//nr_hugepages",
        "VM.nr_hugepages",
        "vm.nr_hugepages\n",
    ] {
        assert!(kernel_parameter(name).is_none(), "{name:?}");
    }
}

#[test]
fn all_that_the_agents_rely_on_is_there() {
    for name in [
        "vm.nr_hugepages",
        "vm.swappiness",
        "vm.dirty_ratio",
        "vm.dirty_background_ratio",
        "kernel.shmmax",
        "kernel.shmall",
        "kernel.msgmni",
        "kernel.sem",
        "fs.file-max",
        "fs.aio-max-nr",
        "vm.hugetlb_shm_group",
        "kernel.mm.transparent_hugepage.enabled",
    ] {
        assert!(kernel_parameter(name).is_some(), "{name}");
    }
}

#[test]
fn numbers_are_canonical_and_exactly_as_many_as_the_kernel_holds() {
    let swappiness = kernel_parameter("vm.swappiness").unwrap();
    for good in ["0", "1", "5", "200"] {
        swappiness.check(good).unwrap();
    }
    for bad in ["", "5 6", "05", "+5", "5 ", " 5", "5\n", "-1", "201", "300", "five", "0x5", "5.0", "٥"] {
        let fault = swappiness.check(bad).unwrap_err();
        assert!(fault.to_string().contains("must be one whole number from 0 to 200"), "{fault}");
    }
    let semaphores = kernel_parameter("kernel.sem").unwrap();
    assert_eq!(semaphores.length(), 4);
    semaphores.check("32000 1024000000 500 32000").unwrap();
    for bad in
        ["32000", "32000 1024000000 500", "32000\t1024000000\t500\t32000", "32000  1024000000 500 32000"]
    {
        assert!(semaphores.check(bad).is_err(), "{bad:?}");
    }
    kernel_parameter("kernel.shmmax").unwrap().check("18446744073692774399").unwrap();
}

#[test]
fn what_the_kernel_shows_is_read_back_as_it_would_be_written() {
    let semaphores = kernel_parameter("kernel.sem").unwrap();
    assert_eq!(
        semaphores.shown_value("32000\t1024000000\t500\t32000\n").as_deref(),
        Some("32000 1024000000 500 32000")
    );
    assert_eq!(semaphores.shown_value("32000\n"), None);
    let huge = kernel_parameter("kernel.mm.transparent_hugepage.enabled").unwrap();
    assert_eq!(huge.shown_value("always madvise [never]\n").as_deref(), Some("never"));
    assert!(huge.check("never").is_ok() && huge.check("[never]").is_err());
    assert!(!huge.persistent);
}

#[test]
fn a_recommended_minimum_can_be_written() {
    for parameter in kernel_parameters() {
        let KernelKind::Numbers(ranges) = &parameter.kind else { continue };
        let Some(minimum) = parameter.iris_minimum else { continue };
        assert!((ranges[0].0..=ranges[0].1).contains(&minimum), "{}", parameter.name);
    }
}

#[test]
fn forbidden_names_say_why_and_are_never_allowed() {
    for name in [
        "kernel.core_pattern",
        "kernel/modprobe",
        "kernel.hotplug",
        "kernel.sysrq",
        "kernel.yama.ptrace_scope",
        "kernel.kptr_restrict",
        "kernel.randomize_va_space",
        "fs.protected_symlinks",
        "fs.suid_dumpable",
        "kernel.unprivileged_bpf_disabled",
        "/proc/sys/net/ipv4/ip_forward",
    ] {
        assert!(!forbidden(name).expect(name).reason.is_empty(), "{name}");
        assert!(kernel_parameter(name).is_none(), "{name}");
    }
    assert!(forbidden("vm.nr_hugepages").is_none());
    assert!(forbidden_names().iter().all(|row| !row.source.is_empty()));
}

#[test]
fn a_value_that_a_source_names_is_for_the_hosts_that_it_names() {
    let named = |name: &str, gb: u64| kernel_parameter(name).unwrap().recommended_for(gb * 1024 - 300);
    for (name, gb, value) in [
        ("vm.swappiness", 16, Some("5")),
        ("vm.swappiness", 60, Some("5")),
        ("vm.swappiness", 64, Some("1")),
        ("vm.dirty_ratio", 8, None),
        ("vm.dirty_ratio", 16, Some("10")),
        ("vm.dirty_background_ratio", 16, Some("5")),
        ("kernel.mm.transparent_hugepage.enabled", 1, Some("never")),
        ("kernel.sem", 64, None),
    ] {
        assert_eq!(named(name, gb), value, "{name} {gb}");
    }
    // A host of 64 GB, as its kernel counts it (H2).
    assert_eq!(kernel_parameter("vm.swappiness").unwrap().recommended_for(63_784), Some("1"));
}

#[test]
fn what_belongs_to_processes_is_no_file_of_the_host() {
    let affinity = kernel_parameter("process.cpu_affinity").unwrap();
    assert_eq!(
        (affinity.root, &affinity.kind, affinity.persistent),
        (KernelRoot::Process, &KernelKind::Cpus, false)
    );
    affinity.check("0-3,8").unwrap();
    for bad in ["", "all", "0,1", "0-1 ", "3-0"] {
        assert!(affinity.check(bad).unwrap_err().to_string().contains("must be a list of CPUs"), "{bad:?}");
    }
    assert_eq!(affinity.shown_value("\t0-3,8\n").as_deref(), Some("0-3,8"));
    let weight = kernel_parameter("process.cpu_weight").unwrap();
    assert!(weight.check("10000").is_ok() && weight.check("0").is_err() && weight.check("10001").is_err());
}

#[test]
fn a_row_that_breaks_a_rule_is_named() {
    let row = |body: &str| {
        let text = format!(
            "[[parameter]]\nname = \"vm.x\"\nroot = \"proc\"\npath = \"sys/vm/x\"\nrecommendation = \"r\"\n\
            persistent = false\ndangerous = false\nreboot_advised = false\nsource = \"s\"\n{body}"
        );
        read("test.toml", &text).map(|_| ()).unwrap_err().to_string()
    };
    for (body, rule) in [
        ("", "either ranges or words or cpus"),
        ("cpus = true\nwords = [\"a\"]", "either ranges or words or cpus"),
        ("ranges = [\"5..=1\"]", "is not a range"),
        ("ranges = [\"0..=9\"]\ndefault = \"10\"", "from 0 to 9"),
        ("ranges = [\"0..=9\"]\nrecommended = [{ value = \"10\" }]", "from 0 to 9"),
        ("ranges = [\"0..=9\"]\nrecommended = [{ value = \"1\", from_gb = 8, below_gb = 8 }]", "from_gb"),
    ] {
        let error = row(body);
        assert!(error.contains("row \"vm.x\"") && error.contains(rule), "{body}: {error}");
    }
}
