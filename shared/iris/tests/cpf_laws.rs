//! The laws of a CPF: bytes in are bytes out, an edit changes one line, taking it back gives the same bytes.

use instance_iris::cpf::{Document, check, diff, merge};
use proptest::{collection::vec, prelude::*, sample::select};

const PARTS: &[&str] = &[
    "[config]",
    "[Startup]",
    "[Map.%ALL]",
    "[config",
    "globals=0,0,256,0,0,0",
    "globals = 1 ; note",
    "a=",
    "a=b=c",
    "IdTrxFrom=~ `!@#$%^&*()_+-=[]\\{}|;':\",./<>?",
    "[x=]",
    "=",
    "# comment=1",
    "; c",
    "// c",
    "/* open",
    "*/",
    "/* c */",
    "words",
    "\n",
    "\n",
    "\n",
    "\r\n",
    "\r\n",
    "\r",
    " ",
    "\t",
    "\u{2028}",
    "gr\u{fc}n",
];

fn cpf_bytes() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        9 => select(PARTS).prop_map(|part| part.as_bytes().to_vec()),
        1 => vec(any::<u8>(), 0..20)
    ];
    let line_end = select(&["\n", "\n", "\r\n", ""][..]);
    let line = (vec(part, 0..3), line_end).prop_map(|(parts, end)| [parts.concat(), end.into()].concat());
    let first = select(&["", "[config]\n", "[config]\r\nx = 1 \r\n", "[config]\n=\n"][..]);
    (first, vec(line, 0..20)).prop_map(|(first, lines)| [first.into(), lines.concat()].concat())
}

fn lines(bytes: &[u8]) -> Vec<&[u8]> {
    bytes.split_inclusive(|byte| *byte == b'\n').collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn parse_and_print_give_the_same_bytes(bytes in cpf_bytes()) {
        prop_assert_eq!(Document::parse(&bytes).to_bytes(), bytes);
    }

    #[test]
    fn set_changes_one_line_and_set_back_restores_it(bytes in cpf_bytes(), pick in any::<usize>(), value in values()) {
        let original = Document::parse(&bytes);
        let entries: Vec<_> = original.all_entries().filter(|entry| entry.section.is_some()).collect();
        if entries.is_empty() {
            return Ok(());
        }
        let entry = entries[pick % entries.len()];
        let section = entry.section.expect("filtered");
        let mut document = original.clone();
        let Ok(edited) = document.set(section, entry.name, &value) else {
            prop_assert_eq!(&document, &original, "a refusal changes nothing");
            return Ok(());
        };
        prop_assert_eq!(document.get(section, entry.name), Some(value.as_str()));
        prop_assert_eq!(edited.before.as_str(), entry.value);
        let after = document.to_bytes();
        let reread = Document::parse(&after);
        prop_assert_eq!(reread.get(section, entry.name), Some(value.as_str()));
        prop_assert_eq!(&reread, &document.as_read(), "what is in memory is what a reader will see");
        let (before_lines, after_lines) = (lines(&bytes), lines(&after));
        prop_assert_eq!(before_lines.len(), after_lines.len());
        let changed: Vec<usize> =
            (0..before_lines.len()).filter(|at| before_lines[*at] != after_lines[*at]).map(|at| at + 1).collect();
        let expected = if value == entry.value { vec![] } else { vec![entry.line] };
        prop_assert_eq!(changed, expected);
        let back = document.set(section, entry.name, entry.value);
        // A value that the rules refuse can be read, but not written again.
        if back.is_ok() {
            prop_assert_eq!(document.to_bytes(), bytes);
        } else {
            let unwritable = |it: char| it.is_control() || it == '\u{2028}';
            prop_assert!(entry.value.chars().any(unwritable));
        }
    }

    #[test]
    fn what_is_inserted_can_be_removed_without_a_trace(bytes in cpf_bytes(), name in "[A-Z]{1,3}", value in values()) {
        let original = Document::parse(&bytes);
        let Some(section) = original.sections().next().map(str::to_owned) else { return Ok(()) };
        let mut document = original.clone();
        if document.insert(&section, &name, &value).is_err() {
            prop_assert_eq!(&document, &original, "a refusal changes nothing");
            return Ok(());
        }
        prop_assert_eq!(document.get_all(&section, &name), vec![value.as_str()]);
        let reread = Document::parse(&document.to_bytes());
        prop_assert_eq!(&reread, &document, "what is in memory is what a reader will see");
        prop_assert_eq!(diff(&original, &document).len(), 1);
        document.remove(&section, &name, &value).unwrap();
        prop_assert_eq!(document.to_bytes(), bytes);
        prop_assert_eq!(document.as_read(), original);
    }

    #[test]
    fn merged_bytes_read_as_the_merged_document(bytes in cpf_bytes(), other in cpf_bytes()) {
        let (target, other) = (Document::parse(&bytes), Document::parse(&other));
        prop_assert!(diff(&target, &target).is_empty());
        let Ok((merged, differences)) = merge(&target, &other) else { return Ok(()) };
        let reread = Document::parse(&merged.to_bytes());
        prop_assert_eq!(&diff(&target, &reread), &differences);
        let (again, more) = merge(&merged, &other).expect("what was merged once merges again");
        prop_assert_eq!((again.to_bytes(), more), (merged.to_bytes(), vec![]));
    }

    #[test]
    fn check_never_fails_on_any_bytes(bytes in cpf_bytes()) {
        let faults = check(&Document::parse(&bytes));
        prop_assert!(faults.iter().all(|fault| fault.line <= lines(&bytes).len()));
    }
}

fn values() -> impl Strategy<Value = String> {
    prop_oneof!["[0-9,]{0,12}", "\\PC{0,20}", select(PARTS).prop_map(str::to_owned), any::<String>(),]
}
