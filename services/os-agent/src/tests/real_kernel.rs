use super::{config, set};
use crate::{
    apply,
    kernel::{Files, Kernel},
    undo,
};

/// Sets `vm.swappiness` of this machine to its neighbour and back. Only where it is asked for by name, as CI does:
/// with `INSTANCE_TEST_REAL_KERNEL=1`, as root.
#[test]
fn the_real_kernel_takes_a_value_and_its_undo_when_asked_for() {
    if std::env::var("INSTANCE_TEST_REAL_KERNEL").as_deref() != Ok("1") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("sysctl.d")).unwrap();
    let config = config(folder.path(), "/proc".as_ref());
    let kernel = Files { proc_root: "/proc".into() };
    let parameter = instance_knowledge::kernel_parameter("vm.swappiness").unwrap();
    let before = kernel.read(parameter).unwrap();
    let other = if before == "0" { "1".to_owned() } else { (before.parse::<u32>().unwrap() - 1).to_string() };
    let wanted = set("vm.swappiness", &other);
    let prepared = apply::prepare(&config, &kernel, &wanted).unwrap();
    let applied = apply::apply(&config, &kernel, &wanted, &prepared, &|| Ok(()));
    let reached = kernel.read(parameter).unwrap();
    // Back before anything is judged: this is somebody's machine.
    let undone = undo::undo(&config, &kernel, &prepared, &|| Ok(()));
    assert_eq!(kernel.read(parameter).unwrap(), before);
    applied.expect("this test needs root and a writable /proc/sys");
    undone.unwrap();
    assert_eq!(reached, other);
}
