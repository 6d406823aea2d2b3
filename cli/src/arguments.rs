//! The command line: one variant a noun. A new command is a module with `Args` and `run`, and a variant here.

use anyhow::Result;
use clap::{Parser, Subcommand};

use instance_contract::Verdict;

use crate::{
    approve, audit, breaker, bus, chaos, classify, completions, config, consume, cost, cpf, dead_letter,
    demo, doctor, exit::Exit, explain, fix, generate, halt, health, history, hosts, inbox, incident, install,
    investigate, knowledge, log, man, model, orchestrate, profile, replay, schema, session, session::Session,
    status, trace, trends, up, validate,
};

const EXAMPLES: &str = "\
Examples:
  instance doctor                                Is everything there, and what is to be done?
  instance orchestrate --command-file c.json --wait
                                                 Send a command and tell its end.
  instance status                                What is going on?
  instance validate command.json                 Is it a legal command? Every fault is told.
  instance log parse messages.log --json         One JSON line for each entry of a messages log.
  instance cpf check iris.cpf                    Would IRIS start with it?
  instance schema remediation_command            The JSON Schema of a contract.

Exit codes: 0 done, 1 failure, 2 usage, 3 refused, 4 not verified, 5 undone, 6 timed out waiting,
7 bus unreachable, 8 not found, 78 bad configuration.";

/// Heals InterSystems IRIS instances over NATS, and proves it
#[derive(Debug, Parser)]
#[command(name = "instance", version, arg_required_else_help = true, after_help = EXAMPLES)]
pub struct Arguments {
    #[command(flatten)]
    pub global: session::Global,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Break a stand-in instance, heal it over the bus, prove it
    Demo(demo::Args),
    /// Break stand-in instances on purpose, and score who heals them
    Chaos(chaos::Args),
    /// Keep the whole pipeline running on this machine
    Up(up::Args),
    /// Send a RemediationCommand, and tell what becomes of it
    Orchestrate(orchestrate::Args),
    /// Where remediations stand
    Status(status::Args),
    /// The whole run of a remediation, step by step
    Trace(trace::Args),
    /// What has ended
    History(history::Args),
    /// How remediations have gone, day by day: how many, how well, how long
    Trends(trends::Args),
    /// What was decided and done, by whom and why; and whether anybody has changed it since
    Audit(audit::Args),
    /// Agree to the changes that a remediation asks for
    #[command(after_help = approve::APPROVE_EXAMPLES)]
    Approve(approve::Args),
    /// Refuse the changes that a remediation asks for
    #[command(after_help = approve::DENY_EXAMPLES)]
    Deny(approve::Args),
    /// Stop all acting within a second, until `instance resume`
    #[command(after_help = halt::HALT_EXAMPLES)]
    Halt(halt::HaltArgs),
    /// Let the agents act again
    #[command(after_help = halt::RESUME_EXAMPLES)]
    Resume(halt::ResumeArgs),
    /// Fold a remediation's log again: the same inputs give the same records
    Replay(replay::Args),
    /// Invent messages of an IRIS instance, print or send them
    Generate(generate::Args),
    /// Take commands in from outside, over HTTP or through a folder, once each
    Consume(consume::Args),
    /// Say what kind of trouble each entry of a log is, and measure that
    Classify(classify::Args),
    /// Check that everything is there, and say what to do
    Doctor(doctor::Args),
    /// What waits for a person, and saying that it is in hand
    Inbox(inbox::Args),
    /// The whole story of an incident: entries, findings, what was done, what came of it, what it cost
    Incident(incident::Args),
    /// What is known of a condition: its row, its runbooks, and how they have done on which instance
    Explain(explain::Args),
    /// Make something well again that is named in words: find, plan, ask, act, prove
    Fix(fix::Args),
    /// Answer a question about what happened, in plain words, with the evidence; changes nothing
    Investigate(investigate::Args),
    /// Is a service of this machine ready? For probes
    Health(health::Args),
    /// The settings of the services on this machine
    Config(config::Args),
    /// Put programs, units and settings where Debian would
    Install(install::Args),
    /// How fast this machine and this bus are, and whether they were faster before
    Profile(profile::Args),
    /// Which agent serves which IRIS instance, and where
    Hosts(hosts::Args),
    /// Make or check the streams on NATS
    Bus(bus::Args),
    /// Messages that nobody could handle
    DeadLetter(dead_letter::Args),
    /// Check commands, messages, results and traces against their contract
    Validate(validate::Args),
    /// Print the JSON Schemas of the contracts and the AsyncAPI document
    Schema(schema::Args),
    /// Read logs of IRIS
    Log(log::Args),
    /// Read, change, compare and check a CPF (`iris.cpf`)
    Cpf(cpf::Args),
    /// What is known about IRIS: check rows of your own, say what a message means
    Knowledge(knowledge::Args),
    /// Circuit breakers of the processes that ask language models
    Breaker(breaker::Args),
    /// What language models have cost, by remediation, session, model and day
    Cost(cost::Args),
    /// Language models: ask each one a question that has a right answer
    Model(model::Args),
    /// Print a completion script for a shell
    Completions(completions::Args),
    /// Print a manual page, or write all of them
    Man(man::Args),
}

impl Command {
    pub fn run(&self, session: &Session) -> Result<Exit> {
        match self {
            Self::Demo(args) => demo::run(args, session),
            Self::Chaos(args) => chaos::run(args, session),
            Self::Up(args) => up::run(args, session),
            Self::Orchestrate(args) => orchestrate::run(args, session),
            Self::Status(args) => status::run(args, session),
            Self::Trace(args) => trace::run(args, session),
            Self::History(args) => history::run(args, session),
            Self::Trends(args) => trends::run(args, session),
            Self::Audit(args) => audit::run(args, session),
            Self::Approve(args) => approve::run(args, Verdict::Granted, session),
            Self::Deny(args) => approve::run(args, Verdict::Denied, session),
            Self::Halt(args) => halt::halt(args, session),
            Self::Resume(args) => halt::resume(args, session),
            Self::Replay(args) => replay::run(args, session),
            Self::Generate(args) => generate::run(args, session),
            Self::Consume(args) => consume::run(args, session),
            Self::Classify(args) => classify::run(args, session),
            Self::Doctor(args) => doctor::run(args, session),
            Self::Inbox(args) => inbox::run(args, session),
            Self::Incident(args) => incident::run(args, session),
            Self::Explain(args) => explain::run(args, session),
            Self::Fix(args) => fix::run(args, session),
            Self::Investigate(args) => investigate::run(args, session),
            Self::Health(args) => health::run(args, session),
            Self::Config(args) => config::run(args, session),
            Self::Install(args) => install::run(args, session),
            Self::Profile(args) => profile::run(args, session),
            Self::Hosts(args) => hosts::run(args, session),
            Self::Bus(args) => bus::run(args, session),
            Self::DeadLetter(args) => dead_letter::run(args, session),
            Self::Validate(args) => validate::run(args, session),
            Self::Schema(args) => schema::run(args, session),
            Self::Log(args) => log::run(args, session),
            Self::Cpf(args) => cpf::run(args, session),
            Self::Knowledge(args) => knowledge::run(args, session),
            Self::Breaker(args) => breaker::run(args, session),
            Self::Cost(args) => cost::run(args, session),
            Self::Model(args) => model::run(args, session),
            Self::Completions(args) => completions::run(args),
            Self::Man(args) => man::run(args, session),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_command_shows_examples() {
        fn look(command: &clap::Command, path: &str) {
            let leaf = command.get_subcommands().next().is_none();
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(!leaf || help.contains("Examples:") && help.contains(path), "{path} shows no example");
            for inner in command.get_subcommands() {
                look(inner, &format!("{path} {}", inner.get_name()));
            }
        }
        look(&Arguments::command(), "instance");
    }
}
