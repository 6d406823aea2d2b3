//! The trace that whoever calls us is in: the variable TRACEPARENT, as W3C trace context writes it.

use instance_contract::TraceId;

const VARIABLE: &str = "TRACEPARENT";

/// A trace, and the span in it that is our parent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    pub trace_id: TraceId,
    pub traceparent: String,
}

/// `None` where the variable is not there, or is not legal: who is traced badly is not traced.
pub fn of_caller(variable: &dyn Fn(&str) -> Option<String>) -> Option<Caller> {
    let traceparent = variable(VARIABLE)?.trim().to_owned();
    let mut parts = traceparent.split('-');
    let (version, trace_id, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let hex = |text: &str, digits: usize| {
        text.len() == digits && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    let named = |text: &str| text.bytes().any(|digit| digit != b'0');
    let legal = version == "00"
        && parts.next().is_none()
        && hex(trace_id, 32)
        && hex(span, 16)
        && hex(flags, 2)
        && named(span);
    let trace_id = trace_id.parse().ok().filter(|_| legal)?;
    Some(Caller { trace_id, traceparent })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_trace_context_is_passed_over() {
        let read = |text: &str| of_caller(&|name| (name == "TRACEPARENT").then(|| text.to_owned()));
        let legal = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let caller = read(legal).unwrap();
        assert_eq!(
            (caller.trace_id.to_string().as_str(), caller.traceparent.as_str()),
            ("4bf92f3577b34da6a3ce929d0e0e4736", legal)
        );
        for text in [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
        assert_eq!(of_caller(&|_| None), None);
    }
}
