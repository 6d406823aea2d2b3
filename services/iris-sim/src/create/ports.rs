//! Ports for a new instance that no other one will want.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::net::TcpListener;
use std::ops::Range;

use rand::RngExt as _;

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

/// Below it are ports of services that a machine may run for real, 1972 of an IRIS among them.
const LEAST: u16 = 10_000;
/// So many ports are tried one by one before the system is asked.
const TRIES: usize = 200;

/// A port that is free now and not claimed. Another process may take it before the first start; the log says so then.
///
/// It lies below the ports that the system hands out by itself (`net.ipv4.ip_local_port_range`): while the instance is down,
/// no connection of any program must get it as its own end, or the next start finds it taken.
pub fn unclaimed(claimed: &BTreeSet<u16>) -> io::Result<u16> {
    let range =
        not_handed_out(&fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default());
    let mut rng = rand::rng();
    let is_free = |port: &u16| !claimed.contains(port) && TcpListener::bind(("127.0.0.1", *port)).is_ok();
    let mut tried = (0..TRIES).filter(|_| !range.is_empty()).map(|_| rng.random_range(range.clone()));
    match tried.find(is_free) {
        Some(port) => Ok(port),
        None => first_unclaimed(claimed, || TcpListener::bind(("127.0.0.1", 0))),
    }
}

/// The ports from [`LEAST`] up to the first one that the system hands out; none where that cannot be told.
fn not_handed_out(range: &str) -> Range<u16> {
    let first = range.split_whitespace().next().and_then(|first| first.parse().ok());
    LEAST..first.unwrap_or(LEAST).max(LEAST)
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

    use super::{LEAST, claimed, first_unclaimed, not_handed_out, unclaimed};
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

    #[test]
    fn the_system_hands_out_no_port_of_an_instance_by_itself() {
        assert_eq!(not_handed_out("32768\t60999\n"), LEAST..32_768);
        assert!(not_handed_out("1024\t65535\n").is_empty());
        assert!(not_handed_out("").is_empty());
        let here = not_handed_out(&fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap());
        let port = unclaimed(&BTreeSet::new()).unwrap();
        assert!(here.is_empty() || here.contains(&port), "{port}");
    }
}
