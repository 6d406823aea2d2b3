//! Many instances in one registry, made at the same time.

use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, Stdio};

use tempfile::TempDir;

#[test]
fn instances_that_are_made_side_by_side_are_all_registered_and_share_no_port() {
    let folder = TempDir::new().unwrap();
    let (dir, host) = (folder.path().join("sim"), folder.path().join("host"));
    let begin = |number: usize| {
        let mut create = Command::new(env!("CARGO_BIN_EXE_instance-iris-sim"));
        create.args(["create", "--make-host-root", "--name", &format!("N{number}"), "--dir"]).arg(&dir);
        create.arg("--host-root").arg(&host).stdout(Stdio::null()).spawn().unwrap()
    };
    let made: Vec<_> = (0..24).map(begin).collect();
    for mut child in made {
        assert!(child.wait().unwrap().success());
    }
    let registry = fs::read_to_string(dir.join("irissys/iris.reg")).unwrap();
    assert_eq!(registry.lines().count(), 24, "{registry}");
    let mut ports = BTreeSet::new();
    for line in registry.lines() {
        let (_, root) = line.split_once('^').unwrap();
        let cpf = fs::read_to_string(format!("{root}iris.cpf")).unwrap();
        for name in ["DefaultPort=", "WebServerPort="] {
            let port = cpf.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            assert!(ports.insert(port.to_owned()), "port {port} is given twice");
        }
    }
}
