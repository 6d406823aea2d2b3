//! What a running instance can take up is given to it, so that a remediation that was a success is in force.

use instance_contract::{Action, ChangeCpf, Facts, Forecast, ForecastReply, StepRequest};

/// The one value of a simple command, as a change through the running instance, with its forecast. `None` where it
/// goes into the file: the instance is down, or takes the parameter up at its start alone.
pub(crate) fn live(request: &StepRequest, forecast: &Forecast) -> Option<(StepRequest, Forecast)> {
    let Action::SetCpf(set) = &request.action else { return None };
    if !forecast.may_be_live {
        return None;
    }
    let change = ChangeCpf { changes: vec![set.into()], live: true, allow_unknown: false };
    let told = |value: &str| change.state(|_, _| Some(value));
    let forecast =
        Forecast { before: told(&forecast.before), after: told(&forecast.after), ..forecast.clone() };
    Some((StepRequest { action: Action::ChangeCpf(change), ..request.clone() }, forecast))
}

/// What each step would change. Several changes of one parameter in one plan are left to the file: in what order a
/// running instance sees them is nobody's promise.
pub(crate) fn targets<'a>(requests: &[StepRequest], facts: &'a Facts) -> Vec<&'a str> {
    let forecasts = requests.iter().filter_map(|request| facts.forecasts.get(&request.id));
    forecasts
        .filter_map(|reply| match reply {
            ForecastReply::Would(forecast) => Some(forecast.target.as_str()),
            _ => None,
        })
        .collect()
}
