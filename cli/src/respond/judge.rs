//! From a message to what is to be done about it, and from that to a command. Pure: the catalogue and the built-in
//! remedies decide, nothing is guessed.

use instance_contract::{
    Action, CommandId, ErrorType, IrisMessage, LicenseAction, LicenseCheck, Priority, RemediationCommand,
    RestartInstance, SetCpf, SetKernel, Severity, SimpleWork, TimeoutSeconds, Work,
};
use instance_knowledge::{
    Answer, Condition, HostMemory, Matcher, Remedy, Target, condition, propose, remedy_for,
};
use jiff::Timestamp;
use uuid::Uuid;

/// Who asks. Commands that carry this name were made here.
pub const REQUESTED_BY: &str = "instance respond";

/// Namespace of our command ids; never change it, or a redelivered message would ask twice.
const COMMANDS: Uuid = Uuid::from_u128(0x1d0b_6a3e_7c1f_4e55_8f0a_2f6c_9b37_e4d1);

/// What a message calls for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Judgement {
    /// A row of the remedies answers it.
    Remedy(&'static Condition, &'static Remedy),
    /// A person has to look.
    Person(&'static Condition),
    /// Nothing, or nobody knows. Unknown is a legal answer.
    Nothing,
}

/// What the catalogue says of a message.
pub fn judge(message: &IrisMessage) -> Judgement {
    let told = message.condition.as_ref().and_then(|id| condition(id.as_str()));
    let Some(condition) = told.or_else(|| Matcher::in_force().classify(message.message_text.as_str())) else {
        return Judgement::Nothing;
    };
    match (remedy_for(&condition.id), condition.answer) {
        (Some(remedy), _) => Judgement::Remedy(condition, remedy),
        // What IRIS itself calls information needs nobody.
        (None, Answer::Person | Answer::Remedy) if message.severity >= Severity::Warning => {
            Judgement::Person(condition)
        }
        _ => Judgement::Nothing,
    }
}

/// What must be known before a command can be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Present {
    /// The value at the remedy's target, as read just now.
    pub value: Option<String>,
    pub memory: HostMemory,
}

/// The command, complete and legal; or why a person has to decide.
///
/// Everything in it follows from the message and from what is true now, so a message that is delivered twice asks
/// once: the same id, and where nothing has changed the same bytes.
pub fn command(
    message: &IrisMessage,
    remedy: &Remedy,
    present: &Present,
    issued_at: Timestamp,
) -> Result<RemediationCommand, String> {
    let text = message.message_text.as_str();
    let change =
        propose(remedy, text, present.value.as_deref(), present.memory).map_err(|error| error.to_string())?;
    let work = work(remedy, change.new_value.as_deref(), present.value.clone())?;
    let no_word = |error: instance_contract::InvalidName| error.to_string();
    Ok(RemediationCommand {
        command_id: CommandId::from_uuid(Uuid::new_v5(&COMMANDS, message.message_id.as_uuid().as_bytes())),
        trace_id: message.trace_id.clone(),
        instance: message.instance.clone(),
        error_type: remedy.error_type.as_str().parse::<ErrorType>().map_err(no_word)?,
        severity: message.severity,
        recommended_action: remedy.recommended_action.clone(),
        dry_run: false,
        timeout_seconds: TimeoutSeconds::DEFAULT,
        priority: remedy.priority.as_str().parse::<Priority>().map_err(no_word)?,
        requested_by: REQUESTED_BY.to_owned(),
        issued_at,
        caused_by: vec![message.message_id],
        work: Work::Simple(work),
    })
}

fn work(remedy: &Remedy, new_value: Option<&str>, present: Option<String>) -> Result<SimpleWork, String> {
    let value = || new_value.map(str::to_owned).ok_or("the remedy proposes no value");
    Ok(match &remedy.target {
        Target::Cpf { section, parameter } => SimpleWork::Config {
            set: SetCpf {
                cpf_section: section.clone(),
                parameter: parameter.clone(),
                new_value: value()?,
                // Whoever else changes it meanwhile is not overwritten.
                current_value: present,
            },
            restart: remedy.restart,
        },
        Target::Kernel { name } => SimpleWork::Kernel {
            set: SetKernel {
                kernel_param: name.clone(),
                new_value: value()?,
                min_value: None,
                max_value: None,
            },
            restart: remedy.restart,
        },
        Target::License { action } => {
            let known = [LicenseAction::CheckExpiry, LicenseAction::ValidateKey, LicenseAction::ReportUsage];
            let action = known.into_iter().find(|known| known.as_str() == action);
            SimpleWork::License(LicenseCheck { action: action.ok_or("no such license action")? })
        }
        Target::Instance => SimpleWork::Restart(RestartInstance::default()),
    })
}

/// What a command acts on, in words that compare: two commands for one target are the same answer.
pub fn targets(command: &RemediationCommand) -> Vec<String> {
    let steps = command.steps();
    let alone = steps.len() == 1;
    let cpf = |(section, name): (&str, &str)| format!("cpf [{section}] {name}");
    let target = |action: &Action| match action {
        Action::SetCpf(set) => vec![cpf((&set.cpf_section, &set.parameter))],
        Action::ChangeCpf(change) => change.parameters().into_iter().map(cpf).collect(),
        Action::SetKernel(set) => vec![format!("kernel {}", set.kernel_param.replace('/', "."))],
        Action::CheckLicense(check) => vec![format!("license {}", check.action.as_str())],
        // Part of a change when there is one.
        Action::Restart(_) if alone => vec!["instance".to_owned()],
        _ => Vec::new(),
    };
    steps.iter().flat_map(|step| target(&step.action)).collect()
}

/// What a remedy acts on, in the same words.
pub fn target(remedy: &Remedy) -> String {
    match &remedy.target {
        Target::Cpf { section, parameter } => format!("cpf [{section}] {parameter}"),
        Target::Kernel { name } => format!("kernel {name}"),
        Target::License { action } => format!("license {action}"),
        Target::Instance => "instance".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use instance_contract::Older;
    use serde_json::json;

    use super::*;

    fn message(text: &str, severity: u8) -> IrisMessage {
        let document = json!({
            "schema": "instance.v1.iris_message", "message_id": "6f1d2c0a-52b7-4c43-9a3e-1b6077a1d5c8",
            "trace_id": "0af7651916cd43dd8448eb211c80319c", "host": "h", "instance": "PROD", "origin": "observed",
            "timestamp": null, "occurred_at": null, "generated_at": "2026-01-01T00:00:00Z", "process_id": 4711,
            "severity": severity, "category": "Generic.Event", "message_text": text, "raw": text,
            "error_type": "config", "condition": null,
        });
        IrisMessage::decode(document.to_string().as_bytes()).unwrap()
    }

    const PANIC: &str = "Insufficient global buffers - WRTDMN in panic mode";
    const HOST: HostMemory = HostMemory { huge_page_kb: 2048, physical_mb: Some(16384) };

    fn answer(text: &str, value: Option<&str>) -> Result<RemediationCommand, String> {
        let message = message(text, 3);
        let Judgement::Remedy(_, remedy) = judge(&message) else { panic!("no remedy for {text}") };
        let present = Present { value: value.map(str::to_owned), memory: HOST };
        let issued_at = "2026-01-01T00:00:01Z".parse().unwrap();
        let made = command(&message, remedy, &present, issued_at)?;
        // Whatever is made here must pass at the router's door.
        let bytes = serde_json::to_vec(&made).unwrap();
        let read = RemediationCommand::decode(&bytes, &Older::nothing(message.trace_id, issued_at)).unwrap();
        assert_eq!(read, made);
        assert_eq!(targets(&made), [target(remedy)]);
        Ok(made)
    }

    #[test]
    fn the_three_conditions_become_three_commands() {
        let config = answer(PANIC, Some("0,0,256,0,0,0")).unwrap();
        assert_eq!(config.trace_id.as_str(), "0af7651916cd43dd8448eb211c80319c");
        let Work::Simple(SimpleWork::Config { set, restart: true }) = config.work else { panic!() };
        assert_eq!(
            (set.new_value.as_str(), set.current_value.as_deref()),
            ("0,0,512,0,0,0", Some("0,0,256,0,0,0"))
        );

        let text = "Failed to allocate 742MB shared memory using Huge Pages.  Startup will retry with standard pages.";
        let kernel = answer(text, Some("100")).unwrap();
        let Work::Simple(SimpleWork::Kernel { set, restart: true }) = kernel.work else { panic!() };
        assert_eq!((set.kernel_param.as_str(), set.new_value.as_str()), ("vm.nr_hugepages", "379"));

        let restart = answer("Daemon WRTDMN (pid 4411) died. Freezing system", None).unwrap();
        assert_eq!(restart.work, Work::Simple(SimpleWork::Restart(RestartInstance::default())));
    }

    #[test]
    fn a_message_that_comes_twice_asks_once() {
        let (once, twice) = (answer(PANIC, Some("0,0,256,0,0,0")), answer(PANIC, Some("0,0,256,0,0,0")));
        assert_eq!(serde_json::to_vec(&once.unwrap()).unwrap(), serde_json::to_vec(&twice.unwrap()).unwrap());
    }

    #[test]
    fn what_would_be_a_guess_is_left_to_a_person() {
        assert!(answer(PANIC, None).unwrap_err().contains("not known"));
        assert!(answer(PANIC, Some("0,0,8192,0,0,0")).unwrap_err().contains("the bound is"));
    }

    #[test]
    fn unknown_and_harmless_messages_call_for_nothing_and_grave_ones_for_a_person() {
        assert_eq!(judge(&message("nothing that anybody knows", 3)), Judgement::Nothing);
        assert_eq!(
            judge(&message("irisforce killed 0 system and 430 user processes.", 0)),
            Judgement::Nothing
        );
        let died = judge(&message("System Process 'WRTDMN' terminated abnormally (pid 4411)", 2));
        assert!(matches!(died, Judgement::Person(row) if row.id == "system-process-died"));
    }
}
