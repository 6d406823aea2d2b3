//! The table of all codes in the operations handbook: what each means and what to do, taken from the pages.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::{INDEX, PAGES, read_pages};

/// The handbook, from the root of the tree.
pub const FILE: &str = "docs/operations.md";
const BEGIN: &str = "<!-- codes: written by `cargo xtask generate` from docs/errors -->\n";
const END: &str = "<!-- end of codes -->";

/// The handbook as it is, and as it should be.
pub fn read(root: &Path) -> Result<(String, String)> {
    let path = root.join(FILE);
    let now = fs::read_to_string(&path).with_context(|| format!("could not read \"{}\"", path.display()))?;
    let (head, rest) = now.split_once(BEGIN).with_context(|| format!("{FILE} has no place for the codes"))?;
    let (_, tail) = rest.split_once(END).with_context(|| format!("{FILE} has no end of the codes"))?;
    let fresh = format!("{head}{BEGIN}{}{END}{tail}", table(&read_pages(&root.join(PAGES))?));
    Ok((now, fresh))
}

fn table(pages: &BTreeMap<String, String>) -> String {
    let mut text = "| code | means | do |\n|---|---|---|\n".to_owned();
    for (name, page) in pages.iter().filter(|(name, _)| *name != INDEX) {
        for (code, section) in sections(page) {
            let row = (part(section, "- Means:"), part(section, "- Do:"));
            if let (Some(means), Some(act)) = row {
                text.extend([
                    &format!("| [{code}](errors/{name}#{code}) "),
                    "| ",
                    &means,
                    " | ",
                    &act,
                    " |\n",
                ]);
            }
        }
    }
    text
}

/// Heading and text of each section.
fn sections(page: &str) -> impl Iterator<Item = (&str, &str)> {
    page.split("\n## ").skip(1).filter_map(|section| section.split_once('\n'))
}

/// The first sentence of a part, on one line, fit for a cell.
fn part(section: &str, name: &str) -> Option<String> {
    let (_, rest) = section.split_once(name)?;
    let lines = rest.lines().enumerate().take_while(|(at, line)| *at == 0 || line.starts_with("  "));
    let whole = lines.map(|(_, line)| line.trim()).collect::<Vec<_>>().join(" ");
    let whole = whole.trim().replace('|', "\\|");
    let sentence = whole.split_inclusive(". ").next().unwrap_or_default().trim_end().to_owned();
    Some(sentence)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_is_a_row_with_the_first_sentence_of_its_parts() {
        let page = "# Title\n\n## busy\n\n- Means: somebody else\n  writes. More.\n- Changed: nothing.\n- Do: wait | look.\n\n## prose\n\ntext\n";
        let pages =
            BTreeMap::from([("x.md".to_owned(), page.to_owned()), (INDEX.to_owned(), page.to_owned())]);
        let expected = "| code | means | do |\n|---|---|---|\n\
                        | [busy](errors/x.md#busy) | somebody else writes. | wait \\| look. |\n";
        assert_eq!(table(&pages), expected);
    }
}
