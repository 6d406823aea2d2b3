//! What was spent, for people: by remediation, session, model and day.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    Error, Settings,
    ledger::{Ledger, Line, State},
};

/// What models cost, as one folder knows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CostReport {
    /// Of the folder; processes that share it tell the same.
    pub ledger: Uuid,
    pub day: Date,
    pub today: Amount,
    pub limits: Limits,
    /// Of today and the day before, dearest first.
    pub remediations: Vec<NamedCost>,
    pub sessions: Vec<NamedCost>,
    /// As `provider/model`.
    pub models: Vec<NamedCost>,
    /// As `name@version`.
    pub prompts: Vec<NamedCost>,
    /// Every day that is kept, oldest first.
    pub days: Vec<DayCost>,
    /// Lines of the record that nobody can read.
    pub unreadable_lines: u64,
}

/// A number of calls and what they cost. What runs counts with the most that it may cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Amount {
    pub calls: u64,
    pub input_tokens: u64,
    pub output_tokens: u64,
    pub usd: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NamedCost {
    pub name: String,
    #[serde(flatten)]
    pub amount: Amount,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DayCost {
    pub day: Date,
    #[serde(flatten)]
    pub amount: Amount,
}

/// The budgets in force.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    pub remediation_tokens: u64,
    pub session_tokens: u64,
    pub day_tokens: u64,
    pub remediation_usd: f64,
    pub warn_percent: u64,
}

pub(super) fn of(ledger: &Ledger, settings: &Settings, day: Date) -> Result<CostReport, Error> {
    let days = ledger.history()?.into_iter();
    Ok(CostReport {
        ledger: ledger.id()?,
        day,
        today: sum(ledger.of_day(day)),
        limits: Limits {
            remediation_tokens: settings.remediation_tokens,
            session_tokens: settings.session_tokens,
            day_tokens: settings.day_tokens,
            remediation_usd: settings.remediation_usd,
            warn_percent: settings.warn_percent,
        },
        remediations: grouped(ledger, |line| line.remediation.clone()),
        sessions: grouped(ledger, |line| Some(line.session.clone())),
        models: grouped(ledger, |line| Some(format!("{}/{}", line.provider, line.model))),
        prompts: grouped(ledger, |line| Some(line.prompt.clone())),
        days: days.map(|(day, lines)| DayCost { day, amount: sum(&lines) }).collect(),
        unreadable_lines: ledger.unreadable(),
    })
}

fn grouped(ledger: &Ledger, name: impl Fn(&Line) -> Option<String>) -> Vec<NamedCost> {
    let mut groups: BTreeMap<String, Vec<&Line>> = BTreeMap::new();
    for line in ledger.all() {
        if let Some(name) = name(line) {
            groups.entry(name).or_default().push(line);
        }
    }
    let cost = |(name, lines)| NamedCost { name, amount: sum(lines) };
    let mut costs: Vec<NamedCost> = groups.into_iter().map(cost).collect();
    let tokens = |cost: &NamedCost| cost.amount.input_tokens.saturating_add(cost.amount.output_tokens);
    costs.sort_by(|a, b| b.amount.usd.total_cmp(&a.amount.usd).then(tokens(b).cmp(&tokens(a))));
    costs
}

fn sum<'a>(lines: impl IntoIterator<Item = &'a Line>) -> Amount {
    let (mut amount, mut micro_usd) = (Amount::default(), 0_u64);
    for line in lines.into_iter().filter(|line| line.state != State::Released) {
        amount.calls += 1;
        amount.input_tokens = amount.input_tokens.saturating_add(line.input_tokens);
        amount.output_tokens = amount.output_tokens.saturating_add(line.output_tokens);
        micro_usd = micro_usd.saturating_add(line.micro_usd);
    }
    #[expect(clippy::cast_precision_loss, reason = "nobody spends 2^53 millionths of a dollar")]
    let usd = micro_usd as f64 / 1_000_000.0;
    amount.usd = usd;
    amount
}
