//! Does what the remediation promised hold? Answered from IRIS and the host, never from our own records.

use std::time::Duration;

use instance_contract::{Expectation, Failure, Verification, Verify};

use super::{
    InstanceView,
    expectation::{Finding, look},
    quiet::QuietWatch,
};
use crate::agent::Work;

const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// Left over for telling the answer.
const MARGIN: Duration = Duration::from_millis(250);

/// Looks until everything holds, until something is lost for good, or until the time is over.
///
/// Fails when something could not be looked at until the end: then nothing is known, which is not the same as broken.
pub fn verify(view: &InstanceView, verify: &Verify, work: &Work<'_>) -> Result<Verification, Failure> {
    // The planner expects these two only of a plan that restarts.
    let restarts = |expect: &Expectation| {
        matches!(expect, Expectation::InstanceHealthy {} | Expectation::CpfInForce { .. })
    };
    let restarted = verify.expect.iter().any(restarts);
    let mut quiet = QuietWatch::begin(view, verify, restarted)
        .map_err(|error| unreadable(&format!("{}: {error}", view.messages_log.display())))?;
    loop {
        let looks =
            verify.expect.iter().map(|expectation| look(view, expectation, work.remaining().max(MARGIN)));
        let mut findings = looks.collect::<Result<Vec<_>, _>>()?;
        findings.extend(quiet.look());
        let held = findings.iter().all(|finding| matches!(finding, Finding::Held(_)));
        let left = work.remaining().saturating_sub(MARGIN);
        if held || quiet.is_lost() || left.is_zero() {
            return conclude(&findings, held);
        }
        std::thread::sleep(LOOK_AGAIN.min(left));
    }
}

fn conclude(findings: &[Finding], held: bool) -> Result<Verification, Failure> {
    let wrong = findings.iter().any(|finding| matches!(finding, Finding::Wrong(_)));
    let unseen = findings.iter().find(|finding| matches!(finding, Finding::Unseen(_)));
    match unseen {
        Some(unseen) if !wrong => Err(unreadable(unseen.line())),
        _ => Ok(Verification {
            held,
            findings: findings.iter().map(|finding| finding.line().to_owned()).collect(),
        }),
    }
}

fn unreadable(what: &str) -> Failure {
    Failure::transient("evidence_unreadable", format!("could not look at what was promised: {what}"))
}

#[cfg(test)]
mod tests {
    use std::{fs, net::TcpListener, os::unix::fs::PermissionsExt, thread, time::Instant};

    use expect_test::{Expect, expect};
    use instance_contract::ConditionId;

    use super::*;

    /// For what holds at the first look.
    const LONG: Duration = Duration::from_mins(1);
    /// For what never holds, so that all of it is waited for.
    const SHORT: Duration = Duration::from_secs(2);

    struct Fixture {
        _folder: tempfile::TempDir,
        view: InstanceView,
        port: TcpListener,
    }

    impl Fixture {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let root = folder.path();
            let port = TcpListener::bind("127.0.0.1:0").unwrap();
            fs::create_dir_all(root.join("proc/sys/vm")).unwrap();
            fs::write(root.join("proc/sys/vm/nr_hugepages"), "512\n").unwrap();
            fs::write(root.join("iris.cpf"), "[config]\nglobals=0,0,512,0,0,0\n").unwrap();
            fs::write(root.join("_LastGood_.cpf"), "[config]\nglobals=0,0,256,0,0,0\n").unwrap();
            fs::write(root.join("messages.log"), "").unwrap();
            let view = InstanceView {
                name: "PROD".parse().unwrap(),
                cpf: root.join("iris.cpf"),
                messages_log: root.join("messages.log"),
                manager_dir: root.to_owned(),
                iris_command: Some(root.join("iris")),
                proc_root: root.join("proc"),
            };
            let fixture = Self { _folder: folder, view, port };
            fixture.qlist("running, since x", "ok");
            fixture
        }

        fn qlist(&self, state: &str, health: &str) {
            let path = self.view.iris_command.as_deref().unwrap();
            let port = self.port.local_addr().unwrap().port();
            let script = format!(
                "#!/bin/sh\necho 'PROD^/p^2026.1^{state}^iris.cpf^{port}^0^0^{health}^IRIS^^^/p^{port}'\n"
            );
            // Renamed, so that nobody runs a half-written program.
            fs::write(path.with_extension("new"), script).unwrap();
            fs::set_permissions(path.with_extension("new"), fs::Permissions::from_mode(0o755)).unwrap();
            fs::rename(path.with_extension("new"), path).unwrap();
        }

        fn log(&self, text: &str) {
            let line = format!("11/14/25-09:45:55:657 (50745) 2 [Generic.Event] {text}\n");
            let mut log = fs::read_to_string(&self.view.messages_log).unwrap();
            log.push_str(&line);
            fs::write(&self.view.messages_log, log).unwrap();
        }

        fn verify(&self, wanted: &Verify, limit: Duration) -> Result<Verification, Failure> {
            let started = Instant::now();
            let remaining = move || limit.saturating_sub(started.elapsed());
            verify(&self.view, wanted, &Work::new(&|| Ok(()), &remaining))
        }

        fn check(&self, wanted: &Verify, limit: Duration, expected: &Expect) {
            let text = match self.verify(wanted, limit) {
                Ok(found) => format!("held: {}\n{}\n", found.held, found.findings.join("\n")),
                Err(failure) => format!("{failure}\n"),
            };
            let port = self.port.local_addr().unwrap().port().to_string();
            let folder = self.view.cpf.parent().unwrap().display().to_string();
            expected.assert_eq(&text.replace(&port, "PORT").replace(&folder, "FOLDER"));
        }
    }

    fn cpf(in_force: bool, value: &str) -> Expectation {
        let (section, parameter, value) = ("config".to_owned(), "globals".to_owned(), value.to_owned());
        if in_force {
            Expectation::CpfInForce { section, parameter, value }
        } else {
            Expectation::CpfValue { section, parameter, value }
        }
    }

    fn kernel(value: &str) -> Expectation {
        Expectation::KernelValue { name: "vm.nr_hugepages".to_owned(), value: value.to_owned() }
    }

    fn expecting(expect: Vec<Expectation>) -> Verify {
        Verify { expect, quiet: Vec::new(), quiet_seconds: 0 }
    }

    fn condition() -> (ConditionId, String) {
        let row = &instance_knowledge::conditions()[0];
        (row.id.parse().unwrap(), row.wordings[0].example.clone())
    }

    #[test]
    fn everything_that_was_promised_is_looked_at() {
        let fixture = Fixture::new();
        let wanted = expecting(vec![
            cpf(false, "0,0,512,0,0,0"),
            cpf(true, "0,0,256,0,0,0"),
            kernel("512"),
            Expectation::InstanceHealthy {},
        ]);
        fixture.check(
            &wanted,
            LONG,
            &expect![[r"
                held: true
                iris.cpf [config] globals: expected 0,0,512,0,0,0, found 0,0,512,0,0,0
                in force [config] globals: expected 0,0,256,0,0,0, found 0,0,256,0,0,0
                kernel vm.nr_hugepages: expected 512, found 512
                instance PROD: expected running, healthy and accepting, found running, health ok, port PORT accepts
            "]],
        );
    }

    #[test]
    fn a_value_that_is_not_in_force_is_told_with_what_was_found() {
        let fixture = Fixture::new();
        fixture.qlist("running, since x", "hung");
        fixture.check(
            &expecting(vec![cpf(true, "0,0,512,0,0,0"), kernel("511"), Expectation::InstanceHealthy {}]),
            SHORT,
            &expect![[r"
                held: false
                in force [config] globals: expected 0,0,512,0,0,0, found 0,0,256,0,0,0
                kernel vm.nr_hugepages: expected 511, found 512
                instance PROD: expected running, healthy and accepting, found running, health hung, port PORT accepts
            "]],
        );
    }

    #[test]
    fn a_superserver_is_looked_for_at_the_address_that_it_is_bound_to() {
        let mut fixture = Fixture::new();
        fixture.port = TcpListener::bind("127.0.0.2:0").unwrap();
        fixture.qlist("running, since x", "ok");
        let wanted = expecting(vec![Expectation::InstanceHealthy {}]);
        // Time enough to see it on a busy machine too.
        assert!(!fixture.verify(&wanted, 5 * SHORT).unwrap().held);
        // What it started with counts, not what the file says by now.
        let of = |address: &str| format!("[Startup]\nDefaultPortBindAddress={address}\n");
        fs::write(&fixture.view.cpf, of("127.0.0.3")).unwrap();
        fs::write(fixture.view.cpf.with_file_name("_LastGood_.cpf"), of("127.0.0.2")).unwrap();
        let verified = fixture.verify(&wanted, LONG).unwrap();
        assert!(verified.held, "{verified:?}");
        assert!(verified.findings[0].contains("of 127.0.0.2 accepts"), "{verified:?}");
    }

    #[test]
    fn what_cannot_be_seen_is_not_called_broken() {
        let mut fixture = Fixture::new();
        fs::remove_file(&fixture.view.cpf).unwrap();
        fixture.check(
            &expecting(vec![cpf(false, "1")]),
            SHORT,
            &expect![[r"
                could not look at what was promised: iris.cpf [config] globals: expected 1, found nothing to look at: FOLDER/iris.cpf: No such file or directory (os error 2) (evidence_unreadable); nothing changed, may work later
            "]],
        );
        fixture.view.iris_command = None;
        fixture.check(
            &expecting(vec![Expectation::InstanceHealthy {}]),
            SHORT,
            &expect![[r#"
                no iris program is configured, so the state of "PROD" cannot be seen (no_iris_command); nothing changed
            "#]],
        );
    }

    #[test]
    fn an_instance_that_comes_up_in_time_is_healthy() {
        let fixture = Fixture::new();
        fixture.qlist("starting", "");
        let wanted = expecting(vec![Expectation::InstanceHealthy {}]);
        thread::scope(|scope| {
            let verifying = scope.spawn(|| fixture.verify(&wanted, Duration::from_secs(30)));
            fixture.qlist("running, since y", "warn");
            assert!(verifying.join().unwrap().unwrap().held);
        });
    }

    #[test]
    fn a_condition_from_before_does_not_count_without_a_restart() {
        let fixture = Fixture::new();
        let (id, text) = condition();
        fixture.log(&text);
        let wanted = Verify { expect: vec![kernel("512")], quiet: vec![id], quiet_seconds: 1 };
        let started = Instant::now();
        assert!(fixture.verify(&wanted, Duration::from_secs(30)).unwrap().held);
        assert!(started.elapsed() >= Duration::from_secs(1));
    }

    #[test]
    fn a_condition_since_the_last_start_is_the_end_of_it() {
        let fixture = Fixture::new();
        let (id, text) = condition();
        fixture.log("Allocated 504MB shared memory");
        fixture.log(&text);
        let wanted =
            Verify { expect: vec![Expectation::InstanceHealthy {}], quiet: vec![id], quiet_seconds: 600 };
        let found = fixture.verify(&wanted, Duration::from_mins(10)).unwrap();
        assert!(!found.held);
        assert!(found.findings[1].contains("expected silence for 600 s, found \""), "{found:?}");
    }

    #[test]
    fn a_condition_that_comes_again_is_heard() {
        let fixture = Fixture::new();
        let (id, text) = condition();
        let wanted = Verify { expect: Vec::new(), quiet: vec![id], quiet_seconds: 600 };
        let limit = Duration::from_secs(3);
        let started = Instant::now();
        let remaining = || limit.saturating_sub(started.elapsed());
        // The first question about the time comes after the watch has begun.
        let spoken = std::sync::Once::new();
        let speak_then_tell = || {
            spoken.call_once(|| fixture.log(&text));
            remaining()
        };
        let found = verify(&fixture.view, &wanted, &Work::new(&|| Ok(()), &speak_then_tell)).unwrap();
        assert!(!found.held);
        assert!(found.findings[0].contains("found \""), "{found:?}");
    }
}
