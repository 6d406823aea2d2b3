use instance_contract::{Older, RemediationCommand, RemediationId};

use super::*;

fn alert(status: &str, labels: &[(&str, &str)]) -> Alert {
    Alert {
        firing: status == "firing",
        labels: labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        fingerprint: "b5d2".to_owned(),
        starts_at: "2026-11-21T08:00:00Z".parse().unwrap(),
        ends_at: None,
        text: String::new(),
    }
}

fn judged(alert: &Alert) -> Judgement {
    let carriers = Carriers(vec!["OPS".to_owned(), "bus1.example.com".to_owned()]);
    let (settings, table) = (AlertSettings::default(), Table::new(&[]).unwrap());
    judge(
        alert,
        &Situation { settings: &settings, carriers: &carriers, table: &table, asker: "alertmanager" },
    )
}

fn ordered(alert: &Alert) -> Order {
    match judged(alert) {
        Judgement::Order(order) => *order,
        other => panic!("{other:?}"),
    }
}

fn escalated(labels: &[(&str, &str)]) -> String {
    match judged(&alert("firing", labels)) {
        Judgement::Escalate(reason) => reason,
        other => panic!("{labels:?}: {other:?}"),
    }
}

const DOWN: (&str, &str) = ("alertname", "IrisDown");

#[test]
fn a_down_instance_becomes_one_and_the_same_command_every_time() {
    let first = ordered(&alert("firing", &[DOWN, ("iris_instance", "PROD")]));
    let again = ordered(&alert("firing", &[DOWN, ("iris_instance", "PROD")]));
    assert_eq!(first.bytes, again.bytes);
    let older = Older {
        instance: None,
        trace_id: first.trace_id.clone(),
        requested_by: String::new(),
        issued_at: jiff::Timestamp::UNIX_EPOCH,
    };
    let command = RemediationCommand::decode(&first.bytes, &older).unwrap();
    assert_eq!((command.instance.as_str(), command.requested_by.as_str()), ("PROD", "alertmanager"));
    assert!(command.requires_restart() && !command.dry_run);

    // Another episode of the same alert, or the same for another instance, is another command.
    let mut later = alert("firing", &[DOWN, ("iris_instance", "PROD")]);
    later.starts_at = "2026-11-21T09:00:00Z".parse().unwrap();
    assert_ne!(ordered(&later).command_id, first.command_id);
    let other = ordered(&alert("firing", &[DOWN, ("iris_instance", "TEST")]));
    assert_ne!(other.command_id, first.command_id);
}

#[test]
fn the_end_of_an_alert_names_the_remediation_of_its_beginning_and_orders_nothing() {
    let labels = [DOWN, ("iris_instance", "PROD")];
    let begun = ordered(&alert("firing", &labels)).command_id;
    let Judgement::Over { id, .. } = judged(&alert("resolved", &labels)) else { panic!("not over") };
    assert_eq!(id, Some(RemediationId::from(begun)));
    for labels in [&[("alertname", "Unknown")][..], &[DOWN][..], &[DOWN, ("iris_instance", "OPS")][..]] {
        assert!(matches!(judged(&alert("resolved", labels)), Judgement::Over { id: None, .. }), "{labels:?}");
    }
}

#[test]
fn an_alert_about_what_carries_instance_is_for_a_person() {
    let carriers = "what carries Instance itself";
    assert!(escalated(&[DOWN, ("iris_instance", "OPS")]).contains(carriers));
    let on_host = [DOWN, ("iris_instance", "PROD"), ("instance", "bus1.example.com:9100")];
    assert!(escalated(&on_host).contains(carriers));
    for (label, value) in [("job", "instance/router"), ("job", "nats"), ("service", "instance-gateway")] {
        let told = escalated(&[DOWN, ("iris_instance", "PROD"), (label, value)]);
        assert!(told.contains("about Instance itself"), "{told}");
    }
    // A name that only begins alike is somebody else's.
    ordered(&alert("firing", &[DOWN, ("iris_instance", "PROD"), ("job", "instances")]));
}

#[test]
fn what_has_no_row_no_instance_or_no_cure_is_for_a_person_too() {
    assert!(escalated(&[("alertname", "KubePodCrashLooping"), ("iris_instance", "PROD")]).contains("no row"));
    assert!(escalated(&[("iris_instance", "PROD")]).contains("no row"));
    assert!(escalated(&[DOWN]).contains("names no instance"));
    assert!(escalated(&[DOWN, ("iris_instance", "")]).contains("is no instance"));
    assert!(
        escalated(&[("alertname", "IrisJournalSpaceLow"), ("iris_instance", "PROD")])
            .contains("never deleted")
    );
    assert!(matches!(judged(&alert("firing", &[("alertname", "Watchdog")])), Judgement::Ignore(_)));
}

#[test]
fn text_of_an_alert_is_no_value_of_a_command() {
    let odd = "IrisDown\", \"dry_run\": false, \"x\": \"";
    escalated(&[("alertname", odd), ("iris_instance", "PROD")]);
    let order = ordered(&alert(
        "firing",
        &[DOWN, ("iris_instance", "PROD"), ("new_value", "0"), ("force", "true"), ("requested_by", "root")],
    ));
    let text = String::from_utf8(order.bytes).unwrap();
    assert!(
        !text.contains("force") && !text.contains("root") && text.contains(r#""parameters":{}"#),
        "{text}"
    );
}
