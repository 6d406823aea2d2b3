//! Repair of answers where that is safe: what was said stays, only its wrapping is put right.
//!
//! Nothing is guessed: no value is invented or changed. The result is checked against its form like any other answer, so
//! an answer that lost its tail passes only when nothing that is needed was in it.

use serde_json::Value;

/// Answers nest no deeper; a deeper one is no answer of ours.
const DEEPEST: usize = 32;

/// Reads an answer as JSON: as it is, else without fences and talk around it, without stray control characters, and with
/// what is open closed. `None`: there is no JSON object in it, or more than one: which of them is meant would be a guess.
pub(crate) fn read(answer: &str) -> Option<Value> {
    let parse = |text: &str| serde_json::from_str::<Value>(text).ok().filter(Value::is_object);
    let text = answer.trim_start_matches('\u{feff}').trim();
    if let Some(value) = parse(text) {
        return Some(value);
    }
    let (talk, object) = text.split_at(text.find('{')?);
    let (scanned, rest) = scan(object)?;
    // Talk may stand around it; another object, or elements of a list that it is one of, may not.
    let is_one =
        !rest.contains('{') && !rest.trim_start().starts_with(',') && !talk.trim_end().ends_with(',');
    parse(&scanned).filter(|_| is_one)
}

/// The first object of a text, and what follows it. Control characters inside its strings are left out; what is open at the end is closed, after
/// an unfinished member was dropped.
fn scan(text: &str) -> Option<(String, &str)> {
    let mut out = String::new();
    let mut open: Vec<char> = Vec::new();
    // Length of `out`, and what was open, after the last whole member or element.
    let mut whole: Option<(usize, Vec<char>)> = None;
    let (mut in_string, mut escaped) = (false, false);
    for (at, c) in text.char_indices() {
        if in_string {
            if c.is_control() {
                continue;
            }
            out.push(c);
            in_string = escaped || c != '"';
            escaped = !escaped && c == '\\';
            continue;
        }
        match c {
            '"' => in_string = true,
            '{' | '[' => {
                open.push(if c == '{' { '}' } else { ']' });
                if open.len() > DEEPEST {
                    return None;
                }
                out.push(c);
                whole = Some((out.len(), open.clone()));
                continue;
            }
            '}' | ']' => {
                if open.pop() != Some(c) {
                    return None;
                }
                out.push(c);
                if open.is_empty() {
                    return Some((out, &text[at + 1..]));
                }
                whole = Some((out.len(), open.clone()));
                continue;
            }
            ',' => whole = Some((out.len(), open.clone())),
            c if c.is_control() && !c.is_whitespace() => continue,
            _ => {}
        }
        out.push(c);
    }
    // Cut off. A number at the end may have lost digits, and a string its end: what follows the last whole one goes.
    let (length, open) = whole?;
    out.truncate(length);
    out.extend(open.iter().rev());
    Some((out, ""))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_around_an_answer_is_taken_away() {
        let wanted = json!({"choice": 2, "why": "a } in a \"string\""});
        let plain = wanted.to_string();
        for answer in [
            plain.clone(),
            format!("\u{feff}  {plain}\n"),
            format!("```json\n{plain}\n```"),
            format!("Sure! Here it is:\n```\n{plain}\n```\nAnything else?"),
            format!("[{plain}]"),
            plain.replace("a }", "a\u{1} }\u{0}"),
            plain.replace(',', ",\u{7}\n"),
        ] {
            assert_eq!(read(&answer), Some(wanted.clone()), "{answer:?}");
        }
    }

    #[test]
    fn an_answer_that_was_cut_off_keeps_its_whole_members() {
        for (cut, kept) in [
            (r#"{"choice": 2, "why": "because"#, r#"{"choice": 2}"#),
            (r#"{"choice": 2, "wh"#, r#"{"choice": 2}"#),
            // 12 may have been 128.
            (r#"{"choice": 2, "size": 12"#, r#"{"choice": 2}"#),
            (r#"{"choice": 2, "list": [1, 2, {"a": 3}"#, r#"{"choice": 2, "list": [1, 2, {"a": 3}]}"#),
            (r#"{"choice": 2,"#, r#"{"choice": 2}"#),
            (r#"{"choice": 2"#, "{}"),
            ("{", "{}"),
        ] {
            assert_eq!(read(cut), Some(serde_json::from_str(kept).unwrap()), "{cut}");
        }
    }

    #[test]
    fn of_two_answers_none_is_taken() {
        let (one, other) = (r#"{"choice": 1}"#, r#"{"choice": 2}"#);
        for both in [
            format!("{one}{other}"),
            format!("{one}\n{other}"),
            format!("{one}, {other}"),
            format!("[{one}, {other}]"),
            format!("[1, {one}]"),
            format!("[{one}, 2]"),
            format!("```json\n{one}\n```\nor rather\n```json\n{other}\n```"),
            // The second one was cut off.
            format!("{one}, {{\"cho"),
            format!("{one} Anything else? {{"),
        ] {
            assert_eq!(read(&both), None, "{both}");
        }
    }

    #[test]
    fn what_is_no_object_stays_none() {
        for nonsense in ["", "no", "[1]", "12", "null", "}", "{]", "{'a': 1}", "{\"a\": tru}", "{a: 1}"] {
            assert_eq!(read(nonsense), None, "{nonsense}");
        }
        assert_eq!(read(&"{\"a\":".repeat(100_000)), None);
    }

    proptest! {
        #[test]
        fn a_cut_never_changes_a_value(choice in 0_u32..100_000, why in "\\PC{0,40}", cut in 0_usize..200) {
            let whole = json!({"choice": choice, "why": why, "list": [choice, {"deep": why}]});
            let text = whole.to_string();
            let cut = (0..=cut.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap();
            if let Some(Value::Object(kept)) = read(&text[..cut]) {
                for key in ["choice", "why"] {
                    prop_assert!(kept.get(key).is_none_or(|value| *value == whole[key]));
                }
            }
        }

        #[test]
        fn nothing_makes_it_panic(text in ".{0,200}") {
            let _ = read(&text);
        }
    }
}
