//! Ports for a new instance that no other one will want.

use std::collections::BTreeSet;
use std::io;
use std::net::TcpListener;

use crate::shell::cpf_file::CpfFile;
use crate::shell::registry::Registered;

/// The ports in the CPFs of these instances, up or down. An instance whose CPF cannot be read claims none.
pub fn claimed(instances: &[Registered]) -> BTreeSet<u16> {
    let mut ports = BTreeSet::new();
    for instance in instances {
        let Ok(cpf) = CpfFile::read(&instance.folder.cpf()) else { continue };
        let values = cpf.in_force();
        let of = |name: &str| values.get(&("Startup".to_owned(), name.to_owned()))?.parse().ok();
        ports.extend(
            ["DefaultPort", "WebServerPort"].into_iter().filter_map(of).filter(|port: &u16| *port > 0),
        );
    }
    ports
}

/// A port that is free now and not claimed. Another process may take it before the first start; the log says so then.
pub fn unclaimed(claimed: &BTreeSet<u16>) -> io::Result<u16> {
    first_unclaimed(claimed, || TcpListener::bind(("127.0.0.1", 0)))
}

/// What is refused stays bound until one is found, so that the system offers another each time, or says that none is left.
fn first_unclaimed(
    claimed: &BTreeSet<u16>,
    mut next: impl FnMut() -> io::Result<TcpListener>,
) -> io::Result<u16> {
    let mut refused = Vec::new();
    loop {
        let listener = next()?;
        let port = listener.local_addr()?.port();
        if !claimed.contains(&port) {
            return Ok(port);
        }
        refused.push(listener);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::net::TcpListener;

    use tempfile::TempDir;

    use super::{claimed, first_unclaimed};
    use crate::create::example_cpf;
    use crate::shell::folder::InstanceFolder;
    use crate::shell::registry::Registry;
    use crate::world::release::Release;

    #[test]
    fn the_ports_of_a_registered_instance_are_claimed_though_it_is_down() {
        let temporary = TempDir::new().unwrap();
        let registry = Registry::new(temporary.path().join("irissys"));
        let folder = InstanceFolder::new(temporary.path().join("PROD"));
        fs::create_dir(folder.root()).unwrap();
        let cpf = example_cpf(Release::try_from("2025.2".to_owned()).unwrap())
            .replace("WebServerPort=80\n", "WebServerPort=52773\n");
        fs::write(folder.cpf(), cpf).unwrap();
        let held = registry.hold().unwrap();
        held.add("PROD", &folder).unwrap();
        held.add("GONE", &InstanceFolder::new("/nowhere/GONE")).unwrap();
        assert_eq!(claimed(&registry.instances().unwrap()), BTreeSet::from([1972, 52773]));
    }

    #[test]
    fn a_free_port_that_an_instance_has_claimed_is_not_taken() {
        let mut free = [(); 3].map(|()| TcpListener::bind(("127.0.0.1", 0)).unwrap()).into_iter();
        let ports: Vec<u16> = free.as_slice().iter().map(|it| it.local_addr().unwrap().port()).collect();
        let taken = BTreeSet::from([ports[0], ports[1]]);
        let port = first_unclaimed(&taken, || Ok(free.next().unwrap())).unwrap();
        assert_eq!(port, ports[2]);
    }
}
