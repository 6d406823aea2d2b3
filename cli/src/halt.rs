//! `instance halt` and `instance resume`: the kill switch. In force within a second, and over every restart.

use anyhow::Result;
use instance_bus::{Bus, BusError, HaltOrder};
use serde_json::json;

use crate::{
    exit::Exit,
    online,
    output::{print, print_json, printable, when},
    session::Session,
};

pub const HALT_EXAMPLES: &str = "\
Examples:
  instance halt --reason 'storage migration until 18:00'
  instance status                                Steps that were running end; nothing new begins.";

pub const RESUME_EXAMPLES: &str = "\
Examples:
  instance resume";

#[derive(Debug, clap::Args)]
pub struct HaltArgs {
    /// Why, for whoever finds everything standing still
    #[arg(long)]
    reason: String,
    /// Who halts [default: your user name and host]
    #[arg(long)]
    by: Option<String>,
}

#[derive(Debug, clap::Args)]
pub struct ResumeArgs {
    /// Who takes the halt back [default: your user name and host]
    #[arg(long)]
    by: Option<String>,
}

pub fn halt(args: &HaltArgs, session: &Session) -> Result<Exit> {
    let by = args.by.clone().unwrap_or_else(online::operator);
    online::run(session, async |bus| {
        bus.halt(&by, &args.reason).await?;
        tell(session, true, &format!("halted by {by}: no agent acts until `instance resume`"))
    })
}

pub fn resume(args: &ResumeArgs, session: &Session) -> Result<Exit> {
    let by = args.by.clone().unwrap_or_else(online::operator);
    online::run(session, async |bus| {
        let order = match bus.halt_order().await {
            // Whatever stands there halts everything: it goes too, or nothing would ever act again.
            Err(error) if !is_unreadable(&error) => return Err(error.into()),
            order => order,
        };
        bus.lift_halt(&by).await?;
        let line = match order {
            Ok(Some(order)) => {
                format!("resumed; it was halted by {} at {}: {}", order.by, when(order.at), order.reason)
            }
            Ok(None) => "resumed; nothing was halted".to_owned(),
            Err(_) => "resumed; what halted everything could not be read".to_owned(),
        };
        tell(session, false, &line)
    })
}

/// Says so when all acting is halted: whoever asks what is going on wants to know that first.
pub async fn note(bus: &Bus, session: &Session) {
    match bus.halt_order().await {
        Ok(Some(HaltOrder { by, at, reason })) => session.note(printable(&format!(
            "halted by {by} at {}: {reason}; nothing acts until `instance resume`",
            when(at)
        ))),
        Err(error) if is_unreadable(&error) => {
            session.note("halted by something that cannot be read; nothing acts until `instance resume`");
        }
        // Why it cannot be told is for `instance doctor` to tell.
        Ok(None) | Err(_) => {}
    }
}

/// Something stands there, and it is no order of ours. Any other error says nothing about what stands there.
fn is_unreadable(error: &BusError) -> bool {
    matches!(error, BusError::Unreadable { .. })
}

fn tell(session: &Session, halted: bool, line: &str) -> Result<Exit> {
    if session.json() {
        print_json(&json!({"schema": "instance.cli.v1.halt", "halted": halted, "text": line}))?;
    } else {
        print(line)?;
    }
    Ok(Exit::Done)
}
