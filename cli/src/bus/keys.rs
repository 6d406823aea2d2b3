//! `instance bus keys`: one key a role, and the settings of a NATS server that knows them.
//!
//! The permissions are those of `deploy/nats/nats.conf`, which is compiled in: a role is a user there, and its password
//! becomes a key here. The agents' permissions name their host, so each host has agents of its own. Whoever names a host finds
//! it in their names, also where it is the only one: a second host renames nothing that runs already.
//!
//! Subjects and streams have fixed names, so teams on one server are apart by account; who watches several of them gets each
//! under a prefix, by the server's own imports (docs/deployment.md).

use std::{
    fs::{self, OpenOptions, Permissions},
    io::Write as _,
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use instance_contract::HostName;
use nkeys::KeyPair;
use serde_json::json;

use crate::{
    exit::Exit,
    output::{print, print_json, table},
    session::Session,
};

pub const EXAMPLES: &str = "\
Examples:
  instance bus keys --dir /etc/instance/keys --host db1 --host db2
  nats-server -c /etc/instance/keys/nats.conf
  INSTANCE_NATS__NKEY=/etc/instance/keys/router.nk INSTANCE_NATS__INBOX_PREFIX=_INBOX_router instance-router
  instance bus keys --dir /etc/instance/keys --renew router   A new key; tell the server and the role.
  instance bus keys --dir keys/east --account EAST            One of several teams; include account.conf in the server's accounts.";

/// What is shipped; the file itself says why each line is there.
const SHIPPED: &str = include_str!("../../../deploy/nats/nats.conf");
/// As the shipped file spells its host, its users, and the last of its four shards.
const HOST: &str = "db1";
const USER: &str = "      { user: ";
const USER_END: &str = "      } }";
const LAST_SHARD: u16 = 3;
const ACCOUNT: &str = "INSTANCE";
const ACCOUNT_START: &str = "\naccounts {\n";
/// What another account may read of a team: what its instances tell, and what became of its remediations.
const WATCHED: [&str; 2] = ["instance.v1.error.>", "instance.v1.remediation.*.*.ended"];
const SHARD: &str = "INSTANCE_REMEDIATIONS_";

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where keys and settings lie; what is there stays
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// A host with agents, as in their setting `host`, whose keys are then called `os-agent-NAME` and so on;
    /// may be repeated. Without any: agents of the host `db1`, called `os-agent` and so on
    #[arg(long, value_name = "NAME")]
    host: Vec<HostName>,
    /// How many shards the bus has
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=256))]
    shards: u16,
    /// The team's account on the server; nothing of it is seen from another
    #[arg(long, value_name = "NAME", default_value = ACCOUNT, value_parser = account)]
    account: String,
    /// An account that may import errors and ends of remediations of this one; may be repeated
    #[arg(long, value_name = "NAME", value_parser = account)]
    watched_by: Vec<String>,
    /// Draw a new key for this role; may be repeated
    #[arg(long, value_name = "ROLE")]
    renew: Vec<String>,
}

/// A role of the bus, on one host where it is an agent.
#[derive(Debug, PartialEq)]
struct Role {
    name: String,
    /// The lines of its permissions, after the one that names it.
    permissions: String,
}

pub fn run(args: &Args, session: &Session) -> Result<Exit> {
    let folder = args.dir.as_path();
    fs::create_dir_all(folder).with_context(|| format!("could not make \"{}\"", folder.display()))?;
    fs::set_permissions(folder, Permissions::from_mode(0o700))
        .with_context(|| format!("could not close \"{}\" to others", folder.display()))?;
    let hosts: Vec<String> = args.host.iter().map(|host| host.token().as_str().to_owned()).collect();
    let roles = roles(&hosts, args.shards);
    if let Some(unknown) = args.renew.iter().find(|name| roles.iter().all(|role| role.name != **name)) {
        bail!("there is no role \"{unknown}\" to renew");
    }
    let mut keys = Vec::new();
    for role in &roles {
        let file = folder.join(format!("{}.nk", role.name));
        keys.push((role, public_key(&file, args.renew.contains(&role.name))?, file));
    }
    let settings = folder.join("nats.conf");
    let text = server_settings(keys.iter().map(|(role, key, _)| (*role, key.as_str())), args)?;
    let alone = folder.join("account.conf");
    for (file, text) in [(&settings, text.as_str()), (&alone, account_alone(&text)?)] {
        fs::write(file, text).with_context(|| format!("could not write \"{}\"", file.display()))?;
    }
    if session.json() {
        let rows = keys.iter().map(|(role, key, file)| {
            json!({"role": role.name, "public_key": key, "nkey": file, "inbox_prefix": inbox(&role.name)})
        });
        let rows: Vec<_> = rows.collect();
        print_json(
            &json!({"schema": "instance.cli.v1.bus_keys", "server_settings": settings, "account_settings": alone,
                "account": args.account, "roles": rows}),
        )?;
        return Ok(Exit::Done);
    }
    let rows = keys.iter().map(|(role, key, file)| {
        [role.name.clone(), inbox(&role.name), file.display().to_string(), key.clone()]
    });
    print(table(["role", "nats.inbox_prefix", "nats.nkey", "public key"], rows))?;
    session.note(format_args!(
        "the server's settings are \"{}\"; for a server with accounts of its own, include \"{}\" among them",
        settings.display(),
        alone.display()
    ));
    Ok(Exit::Done)
}

/// The public half of the key in a file, which is made when it is not there.
fn public_key(file: &Path, renew: bool) -> Result<String> {
    if !renew && file.exists() {
        let seed =
            fs::read_to_string(file).with_context(|| format!("could not read \"{}\"", file.display()))?;
        // The error of the crate would quote the seed.
        let Ok(key) = KeyPair::from_seed(seed.trim()) else {
            bail!("\"{}\" holds no nkey seed", file.display())
        };
        return Ok(key.public_key());
    }
    let key = KeyPair::new_user();
    let seed = key.seed().context("a key that was just drawn has a seed")?;
    let fresh = file.with_extension("new");
    let write = || -> std::io::Result<()> {
        let mut open = OpenOptions::new();
        let mut out = open.write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
        writeln!(out, "{seed}")?;
        out.sync_all()?;
        fs::rename(&fresh, file)
    };
    write().with_context(|| format!("could not write \"{}\"", file.display()))?;
    Ok(key.public_key())
}

/// Every user of the shipped file; those whose lines name its host, once for each of `hosts`, which then ends their name.
/// Without hosts all are as shipped.
fn roles(hosts: &[String], shards: u16) -> Vec<Role> {
    let mut roles = Vec::new();
    for (name, block) in blocks() {
        let block = of_shards(&block, shards);
        if hosts.is_empty() || !block.contains(&format!(".{HOST}.")) {
            roles.push(Role { name, permissions: block });
            continue;
        }
        for host in hosts {
            let own = format!("{name}-{host}");
            let permissions = block
                .replace(&format!("_{HOST}"), &format!("_{host}"))
                .replace(&format!(".{HOST}."), &format!(".{host}."))
                .replace(&format!("{}.", inbox(&name)), &format!("{}.", inbox(&own)));
            roles.push(Role { name: own, permissions });
        }
    }
    roles
}

/// Name and permissions of each user of the shipped file.
fn blocks() -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    let mut within = false;
    for line in SHIPPED.lines() {
        if let Some(rest) = line.strip_prefix(USER) {
            let name = rest.split(',').next().unwrap_or_default();
            found.push((name.to_owned(), String::new()));
            within = true;
        } else if line == USER_END {
            within = false;
        } else if let Some((_, block)) = found.last_mut().filter(|_| within) {
            block.push_str(line);
            block.push('\n');
        }
    }
    found
}

/// Repeats what is said of the last shipped shard for each one more.
fn of_shards(block: &str, shards: u16) -> String {
    let last = format!("{SHARD}{LAST_SHARD}");
    let mut words = block.split('"');
    // Outside and inside of quotes take turns.
    let mut text = words.next().unwrap_or_default().to_owned();
    while let (Some(subject), Some(between)) = (words.next(), words.next()) {
        let more = (LAST_SHARD + 1..shards).filter(|_| subject.contains(&last));
        let more = more.map(|shard| format!(", \"{}\"", subject.replace(&last, &format!("{SHARD}{shard}"))));
        text.extend([&format!("\"{subject}\""), &more.collect::<String>(), between]);
    }
    text
}

/// A name that a server takes without quotes.
fn account(raw: &str) -> Result<String, String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    let fits = raw.len() <= 64
        && raw.bytes().all(plain)
        && raw.starts_with(|first: char| first.is_ascii_alphabetic());
    if fits {
        Ok(raw.to_owned())
    } else {
        Err("a letter, then letters, digits, '_' and '-', at most 64".to_owned())
    }
}

/// The account of the server's settings, as it stands among others.
fn account_alone(settings: &str) -> Result<&str> {
    let (_, accounts) = settings.split_once(ACCOUNT_START).context("the shipped nats.conf has accounts")?;
    Ok(accounts.trim_end().strip_suffix('}').context("the accounts of the shipped nats.conf end")?.trim_end())
}

/// The shipped file with these users instead of its own.
fn server_settings<'a>(keys: impl Iterator<Item = (&'a Role, &'a str)>, args: &Args) -> Result<String> {
    let (head, rest) = SHIPPED.split_once("users: [\n").context("the shipped nats.conf has users")?;
    let (_, tail) = rest.rsplit_once(USER_END).context("the shipped nats.conf has users")?;
    let head: String = head
        .lines()
        .filter(|line| !line.starts_with('#') && !line.starts_with("include"))
        .flat_map(|line| [line, "\n"])
        .collect();
    let mut text =
        "# Written by `instance bus keys`; why each line is there: deploy/nats/nats.conf.\n".to_owned();
    let named = format!("{ACCOUNT_START}  {} {{", args.account);
    text.push_str(head.replace(&format!("{ACCOUNT_START}  {ACCOUNT} {{"), &named).trim_end());
    if !args.watched_by.is_empty() {
        let by = args.watched_by.join(", ");
        let export = |subject: &str| format!("      {{ stream: \"{subject}\", accounts: [{by}] }}\n");
        text.extend(["\n    exports: [\n", &WATCHED.map(export).concat(), "    ]"]);
    }
    text.push_str("\n    users: [\n");
    for (role, key) in keys {
        let named = format!("      # {}\n      {{ nkey: {key}, permissions: {{\n", role.name);
        text.extend([named.as_str(), &role.permissions, USER_END, "\n"]);
    }
    text.push_str(tail.trim_start_matches('\n'));
    Ok(text)
}

fn inbox(role: &str) -> String {
    format!("_INBOX_{role}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(hosts: &[&str]) -> Vec<String> {
        let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        roles(&hosts, 4).into_iter().map(|role| role.name).collect()
    }

    #[test]
    fn every_user_of_the_shipped_file_is_a_role_and_agents_are_one_a_host() {
        let shipped = names(&[]);
        let users = SHIPPED.lines().filter(|line| line.trim_start().starts_with("{ user: "));
        assert_eq!(shipped.len(), users.count(), "{shipped:?}");
        assert!(shipped.contains(&"os-agent".to_owned()), "{shipped:?}");
        let one = names(&["db1"]);
        assert_eq!(one.len(), shipped.len());
        assert!(one.contains(&"os-agent-db1".to_owned()) && !one.contains(&"os-agent".to_owned()), "{one:?}");
        let two = names(&["db1", "db2"]);
        assert_eq!(two.len(), one.len() + 3);
        assert!(two.contains(&"os-agent-db2".to_owned()));
        assert!(one.iter().all(|name| two.contains(name)), "a second host renames no role: {two:?}");
    }

    #[test]
    fn an_agent_of_another_host_may_do_nothing_on_the_shipped_one() {
        let roles = roles(&["db1".to_owned(), "db-2".to_owned()], 4);
        let role = roles.iter().find(|role| role.name == "config-agent-db-2").unwrap();
        assert!(!role.permissions.contains("db1"), "{}", role.permissions);
        assert!(role.permissions.contains("instance.v1.ask.config-agent.db-2.*"));
        assert!(role.permissions.contains("_INBOX_config-agent-db-2.>"));
        assert!(role.permissions.contains("$KV.INSTANCE_HOSTS.*.config-agent\""), "the kind of agent stays");
    }

    #[test]
    fn an_account_is_named_apart_and_shown_to_whom_it_says() {
        let roles = [Role { name: "asker".to_owned(), permissions: "        }\n".to_owned() }];
        let settings = |words: &[&str]| {
            let args = [&["keys", "--dir", "d"], words].concat();
            let args = <Line as clap::Parser>::parse_from(args).args;
            server_settings(roles.iter().map(|role| (role, "UKEY")), &args).unwrap()
        };
        let usual = settings(&[]);
        let alone = account_alone(&usual).unwrap();
        assert!(
            alone.starts_with("  INSTANCE {\n    jetstream: enabled\n") && alone.ends_with("\n  }"),
            "{alone}"
        );
        assert!(!usual.contains("exports"));
        let east = settings(&["--account", "EAST", "--watched-by", "CENTRE", "--watched-by", "AUDIT"]);
        let alone = account_alone(&east).unwrap();
        assert!(alone.starts_with("  EAST {\n    jetstream: enabled\n    exports: [\n"), "{alone}");
        assert!(alone.contains("{ stream: \"instance.v1.error.>\", accounts: [CENTRE, AUDIT] }"), "{alone}");
        for bad in ["", "1st", "a b", "a.b", "x}", "$SYS"] {
            assert!(account(bad).is_err(), "{bad}");
        }
    }

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn more_shards_are_spelled_out() {
        let text = of_shards("a \"x.INSTANCE_REMEDIATIONS_3.*\", \"y\" # b\n", 6);
        let expected = "a \"x.INSTANCE_REMEDIATIONS_3.*\", \"x.INSTANCE_REMEDIATIONS_4.*\", \
                        \"x.INSTANCE_REMEDIATIONS_5.*\", \"y\" # b\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_key_stays_until_it_is_renewed_and_is_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("router.nk");
        let first = public_key(&file, false).unwrap();
        assert!(first.starts_with('U'));
        assert_eq!(public_key(&file, false).unwrap(), first);
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_ne!(public_key(&file, true).unwrap(), first);
        fs::write(&file, "SUAnonsense").unwrap();
        let error = public_key(&file, false).unwrap_err().to_string();
        assert!(error.contains("router.nk") && !error.contains("nonsense"), "{error}");
    }
}
