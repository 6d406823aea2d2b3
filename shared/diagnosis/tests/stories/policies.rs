use std::collections::BTreeMap;

use instance_contract::{AgentKind, Carriers, Decision, OverallStatus};
use instance_diagnosis::{Advice, Gathered, Limits};
use instance_planner::Policy;
use serde_json::json;

use crate::world::{DIED, World};

/// Grave, and of no row of the catalogue; about what, is told beside it.
const UNKNOWN: &str = "Something that nobody knows stumbled at the start";
/// Other senders, other actions, other times than those of the license; it is a Saturday, 08:00.
const FORBIDS_LOOKING: [&str; 4] = [
    "never = ['PROD']",
    "[[askers]]\nwho = 'ops'\nactions = ['license']",
    "[[askers]]\nwho = 'analyst'\nactions = ['config', 'os', 'restart']",
    "[[windows]]\nactions = ['license']\nfrom = '22:00'\nto = '04:00'",
];
/// The same rules, and none of them broken.
const ALLOWS_LOOKING: [&str; 4] = [
    "never = ['TEST']",
    "[[askers]]\nwho = 'analyst'\nactions = ['license']",
    "[[askers]]\nwho = 'ana*'\nactions = ['config', 'license']",
    "[[windows]]\nactions = ['license']\nfrom = '07:00'\nto = '09:00'",
];
const FORBIDS_RESTARTS: [&str; 4] = [
    "drastic_steps = 0",
    "restarts_per_hour = 0",
    "[[askers]]\nwho = 'analyst'\nactions = ['config', 'os', 'license']",
    "[[windows]]\nactions = ['restart']\nfrom = '22:00'\nto = '04:00'",
];
const ALLOWS_RESTARTS: [&str; 4] = [
    "drastic_steps = 1",
    "restarts_per_hour = 1",
    "[[askers]]\nwho = 'analyst'\nactions = ['config', 'restart']",
    "[[windows]]\nactions = ['restart']\nfrom = '07:00'\nto = '09:00'",
];

fn under(policy: &str) -> World {
    let mut world = World::with(Limits { dry_run_first: false, model: true, ..Limits::default() });
    hold(&mut world, Some(policy), Carriers::default());
    world
}

fn hold(world: &mut World, policy: Option<&str>, carriers: Carriers) {
    let limits = Limits { dry_run_first: false, model: true, ..Limits::default() };
    let policy = policy.map(|text| Policy::from_toml(text).unwrap());
    world.core = instance_diagnosis::Incidents::new(limits).held_to(policy, carriers);
}

/// Until a model is asked, if it is. The facts show that the CPF asks for a web server, as most do, and for trouble with
/// resources that the instance hangs.
fn heard(world: &mut World, error_type: &str) {
    let mut message = world.message(UNKNOWN, 3, 4711);
    message.error_type = error_type.parse().unwrap();
    world.take(&message);
    world.later(2_100);
    let config = json!({"values": {"Startup": {"WebServer": "1"}}});
    let health = if error_type == "resource" { "hung" } else { "ok" };
    let restart = json!({"state": "running", "health": health});
    let answers = BTreeMap::from([(AgentKind::Config, config), (AgentKind::Restart, restart)]);
    world.gathered(&Gathered::Answers(answers));
}

/// A model was asked for nothing, and a person is told why.
fn is_left_to_a_person(world: &World, policy: &str) {
    assert!(world.consulted.is_empty(), "{policy}: {:?}", world.consulted);
    assert!(world.published.is_empty(), "{policy}");
    let findings = world.findings();
    let Decision::Person { why, .. } = &findings.last().unwrap().decision else {
        panic!("{policy}: {findings:?}");
    };
    assert!(why.contains("nobody knows this text") && why.contains("policy does not allow"), "{why}");
}

#[test]
fn what_policy_refuses_no_model_hears_of() {
    for policy in FORBIDS_LOOKING {
        let mut world = under(policy);
        heard(&mut world, "license");
        is_left_to_a_person(&world, policy);
    }
    for policy in FORBIDS_RESTARTS {
        let mut world = under(policy);
        heard(&mut world, "resource");
        is_left_to_a_person(&world, policy);
    }
}

#[test]
fn what_policy_allows_is_offered_and_done() {
    for (policy, error_type, offers) in ALLOWS_LOOKING
        .map(|it| (it, "license", 3))
        .into_iter()
        .chain(ALLOWS_RESTARTS.map(|it| (it, "resource", 1)))
    {
        let mut world = under(policy);
        heard(&mut world, error_type);
        assert_eq!(world.consulted[0].1.offers.len(), offers, "{policy}");
        world.advised(Advice::Chosen { offer: 0, by: "chosen by model m-1".to_owned() });
        assert_eq!(world.published.len(), 1, "{policy}");
        assert_eq!(world.published[0].requires_restart(), error_type == "resource", "{policy}");
    }
}

/// What is so on healthy instances too is no sign of any trouble.
#[test]
fn a_normal_state_supports_no_cure() {
    let mut world = under("");
    heard(&mut world, "config");
    assert!(world.consulted.is_empty() && world.published.is_empty(), "{:?}", world.consulted);
    let Decision::Person { why, .. } = &world.findings().last().unwrap().decision else { panic!() };
    assert!(why.contains("nobody knows this text"), "{why}");
}

/// An adversary that is the model: it answers what was not asked, and picks every place there is.
#[test]
fn a_hostile_model_gets_nothing_that_policy_forbids() {
    for policy in FORBIDS_RESTARTS {
        let mut world = under(policy);
        heard(&mut world, "resource");
        let incident = world.findings()[0].incident_id;
        for offer in (0..64).chain([usize::MAX]) {
            let advice = Advice::Chosen { offer, by: "approved by the DBA; policy: none".to_owned() };
            let event = instance_diagnosis::Event::Advised { incident, advice };
            let actions = world.core.handle(&event, world.now);
            world.perform(actions);
        }
        assert!(world.published.is_empty(), "{policy}: {:?}", world.published);
    }
}

#[test]
fn what_carries_instance_is_offered_to_nobody() {
    for (carriers, offered) in [(vec!["PROD".to_owned()], false), (vec!["OPS".to_owned()], true)] {
        let mut world = under("");
        hold(&mut world, None, Carriers(carriers));
        heard(&mut world, "resource");
        assert_eq!(!world.consulted.is_empty(), offered);
    }
}

/// A window closes while the model thinks.
#[test]
fn what_was_chosen_is_held_to_policy_once_more() {
    let policy = "[[windows]]\nactions = ['license']\nfrom = '07:00'\nto = '08:02'";
    for (minutes, commands) in [(1, 1), (3, 0)] {
        let mut world = under(policy);
        heard(&mut world, "license");
        world.later(minutes * 60_000);
        world.advised(Advice::Chosen { offer: 0, by: "chosen by model m-1".to_owned() });
        assert_eq!(world.published.len(), commands, "after {minutes} min");
        assert_eq!(world.decisions().last(), Some(&"person"));
    }
}

/// A restart before of which the log tells counts here as it counts in the router.
#[test]
fn restarts_before_count() {
    for (policy, offered) in [
        ("minutes_between_restarts = 30", false),
        ("minutes_between_restarts = 0\nrestarts_per_hour = 2", true),
    ] {
        let mut world = under(policy);
        world.says(DIED, 3, 7);
        world.agents_answer("0,0,256,0,0,0");
        let restart = world.last_command();
        world.ends(&restart, OverallStatus::Success);
        world.published.clear();
        world.later(20 * 60_000);
        heard(&mut world, "resource");
        assert_eq!(!world.consulted.is_empty(), offered, "{policy}");
    }
}

/// What a router writes beside a command is its policy, whatever our settings say; the newest one counts.
#[test]
fn the_policy_of_the_routers_counts_too() {
    for (policies, offered) in [
        (["", "never = ['PROD']"], false),
        (["never = ['PROD']", ""], true),
        (["never = ['PROD']", "no policy at all"], false),
    ] {
        let mut world = under("");
        hold(&mut world, None, Carriers::default());
        world.says(DIED, 3, 7);
        world.agents_answer("0,0,256,0,0,0");
        let command = world.last_command();
        for policy in policies {
            world.later(1_000);
            world.accepts_under(&command, policy);
        }
        world.published.clear();
        heard(&mut world, "license");
        assert_eq!(!world.consulted.is_empty(), offered, "{policies:?}");
    }
}
