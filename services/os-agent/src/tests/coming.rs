//! Sizes that follow from the CPF are reckoned with the CPF as the plan of the step will leave it, whichever of its steps
//! comes first.

use instance_agent::Agent;
use instance_contract::{Action, AgentKind, CpfChange, ForecastReply, SetKernel};

use super::{Stage, code, free, set};
use crate::agent::OsAgent;

const GROWN: &str = "0,0,2048,0,0,0";

fn change(name: &str, value: &str, block_size_kb: Option<u32>) -> CpfChange {
    CpfChange {
        cpf_section: "config".to_owned(),
        parameter: name.to_owned(),
        change: instance_contract::CpfChangeKind::Set,
        new_value: Some(value.to_owned()),
        current_value: None,
        block_size_kb,
    }
}

fn pages(value: &str, with_cpf: &[CpfChange]) -> SetKernel {
    SetKernel { with_cpf: with_cpf.to_vec(), ..set("vm.nr_hugepages", value) }
}

/// As the router asks: the number of pages, or the code of the refusal.
fn after(stage: &Stage, wanted: SetKernel) -> Result<String, String> {
    let agent = OsAgent::new(stage.config.clone());
    match agent.forecast(&"PROD".parse().unwrap(), &Action::SetKernel(wanted)) {
        ForecastReply::Would(forecast) => Ok(forecast.after),
        ForecastReply::Wont(failure) => Err(code(&failure).to_owned()),
        ForecastReply::ReadOnly { .. } => panic!("it changes something"),
    }
}

#[test]
fn pages_are_as_many_as_the_coming_cpf_asks_for() {
    let stage = Stage::new();
    let of = |changes: &[CpfChange]| after(&stage, pages("cpf", changes)).unwrap();
    assert_eq!(of(&[]), "847", "the CPF as it is: 1678 MB, and 16 MB of cushion");
    // 2784 MB by the formula.
    assert_eq!(of(&[change("globals", GROWN, None)]), "1400");
    assert_eq!(of(&[change("globals", "2048", Some(8))]), "1400");
    assert_eq!(
        of(&[change("globals", "8", None), change("globals", GROWN, None)]),
        "1400",
        "the last word counts"
    );
    // Not in this file yet.
    assert_eq!(of(&[change("jrnbufs", "1024", None)]), "1327");
    assert_eq!(of(&[change("memlock", "32", None)]), "0");
    for bad in [change("globals", "many", None), change("globals", "9", Some(4711))] {
        assert_eq!(after(&stage, pages("cpf", &[bad])).unwrap_err(), "cpf_unreadable");
    }
}

/// The step is sent before the CPF is written, or after it, or once more when half of that is done.
#[test]
fn the_step_does_what_was_forecast_whichever_comes_first() {
    let grown = [change("globals", GROWN, None)];
    for is_written in [false, true] {
        let stage = Stage::new();
        if is_written {
            stage.write("iris.cpf", &stage.value("iris.cpf").replace("0,0,1024,0,0,0", GROWN));
        }
        let agent = OsAgent::new(stage.config.clone());
        let order = instance_testkit::order(AgentKind::Os, &Action::SetKernel(pages("cpf", &grown)));
        let prepared = agent.prepare(&order, &free()).unwrap();
        assert_eq!(prepared.wanted, "1400");
        agent.apply(&order, &prepared, &free()).unwrap();
        assert_eq!(stage.value("proc/sys/vm/nr_hugepages").trim(), "1400");
    }
}

#[test]
fn what_is_enough_is_judged_by_the_coming_cpf_too() {
    let stage = Stage::new();
    let (grown, shrunk) = ([change("globals", GROWN, None)], [change("globals", "0,0,256,0,0,0", None)]);
    let below = Err("below_iris_minimum".to_owned());
    assert_eq!(after(&stage, pages("900", &[])).as_deref(), Ok("900"));
    assert_eq!(after(&stage, pages("900", &grown)), below, "too few for what the plan makes of it");
    assert_eq!(after(&stage, pages("450", &[])), below);
    assert_eq!(after(&stage, pages("450", &shrunk)).as_deref(), Ok("450"));
    let segment = |with_cpf: &[CpfChange]| {
        let shmmax = set("kernel.shmmax", &(1700_u64 << 20).to_string());
        after(&stage, SetKernel { with_cpf: with_cpf.to_vec(), ..shmmax }).is_ok()
    };
    assert_eq!((segment(&[]), segment(&grown)), (true, false));
    // What the instance named at its last start was named with another CPF.
    stage.write(
        "messages.log",
        "11/14/25-09:45:55:657 (50745) 1 [Generic.Event] Allocated 1401MB shared memory\n",
    );
    assert_eq!(after(&stage, pages("701", &[])).as_deref(), Ok("701"));
    assert_eq!(after(&stage, pages("701", &grown)), below);
    // 1106 MB more by the formula, which says 1678 and 2784.
    assert_eq!(after(&stage, pages("1253", &grown)), below);
    assert_eq!(after(&stage, pages("1254", &grown)).as_deref(), Ok("1254"));
    // Whoever may write into the log may write any number: then the formula alone counts, as without one.
    stage.write("messages.log", "18446744073709551615MB shared memory\n");
    assert_eq!(after(&stage, pages("1254", &grown)), below);
    assert_eq!(after(&stage, pages("900", &[])).as_deref(), Ok("900"));
}

#[test]
fn the_cpf_of_another_instance_of_the_host_stays_as_it_is() {
    let mut stage = Stage::new();
    stage.write("second/iris.cpf", &stage.value("iris.cpf"));
    let mut second = stage.instance().clone();
    (second.name, second.cpf) = ("SECOND".parse().unwrap(), stage.path("second/iris.cpf"));
    stage.config.instances.push(second);
    assert_eq!(after(&stage, pages("cpf", &[])).as_deref(), Ok("1686"));
    assert_eq!(after(&stage, pages("cpf", &[change("globals", GROWN, None)])).as_deref(), Ok("2239"));
}
