//! `cargo xtask check-errors`: every code that an operator can meet has its words in `docs/errors/`, the pages speak of
//! no code that is gone, and the index knows them all.
//!
//! The sources are read as text, so a code has to be a literal where it is given: whatever hides it from a reader
//! hides it from this check too, and is a fault.

mod sources; // Read this first: where codes are given.

pub mod handbook;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use self::sources::{Met, Words};
use crate::workspace::Workspace;

/// Where the pages lie, from the root of the tree.
const PAGES: &str = "docs/errors";
/// The page that lists all others.
const INDEX: &str = "README.md";
/// What every code has to say.
const PARTS: [&str; 4] = ["- Means:", "- Changed:", "- Tried again:", "- Do:"];

/// Sources whose codes stand on one page.
struct Room {
    sources: &'static str,
    words: Words,
    page: &'static str,
}

const ROOMS: [Room; 5] = [
    Room { sources: "services/config-agent/src", words: Words::OfFailures, page: "config-agent.md" },
    Room { sources: "services/os-agent/src", words: Words::OfFailures, page: "os-agent.md" },
    Room { sources: "services/restart-agent/src", words: Words::OfFailures, page: "restart-agent.md" },
    Room { sources: "shared/agent/src", words: Words::OfFailures, page: "agent-loop.md" },
    Room { sources: "shared/engine/src", words: Words::OfUnsentSteps, page: "router-refusals.md" },
];

/// Compare sources and pages; every fault is told.
pub fn run(workspace: &Workspace) -> Result<()> {
    let pages = read_pages(&workspace.root.join(PAGES))?;
    let mut faults = Vec::new();
    let mut documented = 0;
    for room in &ROOMS {
        let found = sources::read(&workspace.root, room.sources, room.words)?;
        faults.extend(found.faults);
        faults.extend(compare(room, &found.codes, &pages));
        faults.extend(found.pages.iter().filter_map(|named| missing_page(named, &pages)));
        documented += found.codes.iter().map(|met| &met.code).collect::<BTreeSet<_>>().len();
    }
    faults.extend(compare_index(&pages));
    let (now, fresh) = handbook::read(&workspace.root)?;
    if now != fresh {
        faults.push(format!("{}: its table of codes is stale; run \"cargo xtask generate\"", handbook::FILE));
    }
    for fault in &faults {
        println!("{fault}");
    }
    println!("{documented} codes in {} rooms, {} pages", ROOMS.len(), pages.len());
    if !faults.is_empty() {
        bail!("{} fault(s) between the codes of the sources and {PAGES}/", faults.len());
    }
    Ok(())
}

/// Every page by its name.
fn read_pages(folder: &Path) -> Result<BTreeMap<String, String>> {
    let listing = || format!("could not list \"{}\"", folder.display());
    let mut pages = BTreeMap::new();
    for entry in fs::read_dir(folder).with_context(listing)? {
        let path = entry.with_context(listing)?.path();
        if path.extension().is_some_and(|extension| extension == "md") {
            let text = fs::read_to_string(&path)
                .with_context(|| format!("could not read \"{}\"", path.display()))?;
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            pages.insert(name, text);
        }
    }
    Ok(pages)
}

/// Codes without a heading, headings without a code, headings under which a part is missing.
fn compare(room: &Room, codes: &[Met], pages: &BTreeMap<String, String>) -> Vec<String> {
    let page = room.page;
    let sections = sections(pages.get(page).map_or("", String::as_str));
    let mut faults = Vec::new();
    let mut told = BTreeSet::new();
    for Met { code, place } in codes {
        if told.insert(code) && !sections.iter().any(|(heading, _)| heading == code) {
            faults.push(format!("{PAGES}/{page}: no heading \"## {code}\" (given in {place})"));
        }
    }
    let mut seen = BTreeSet::new();
    for (heading, text) in &sections {
        if !seen.insert(heading) {
            faults.push(format!("{PAGES}/{page}: \"## {heading}\" stands there twice"));
        }
        if !codes.iter().any(|met| met.code == *heading) {
            faults.push(format!("{PAGES}/{page}: \"## {heading}\" is no code of {}", room.sources));
        }
        let missing = PARTS.iter().filter(|part| !text.lines().any(|line| line.starts_with(**part)));
        faults.extend(missing.map(|part| format!("{PAGES}/{page}: \"## {heading}\" has no line \"{part}\"")));
    }
    faults
}

/// The headings of a page that are codes (one word in snake case), each with its text. Others are prose.
fn sections(page: &str) -> Vec<(String, String)> {
    let mut sections: Vec<(String, String)> = Vec::new();
    let mut in_code = false;
    for line in page.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            in_code = is_code(heading.trim());
            if in_code {
                sections.push((heading.trim().to_owned(), String::new()));
            }
        } else if let (true, Some((_, text))) = (in_code, sections.last_mut()) {
            text.push_str(line);
            text.push('\n');
        }
    }
    sections
}

/// A word in snake case.
fn is_code(word: &str) -> bool {
    let mut characters = word.chars();
    characters.next().is_some_and(|first| first.is_ascii_lowercase())
        && characters.all(|rest| rest.is_ascii_lowercase() || rest.is_ascii_digit() || rest == '_')
}

/// A page that an error text sends its reader to.
fn missing_page(named: &Met, pages: &BTreeMap<String, String>) -> Option<String> {
    let absent = !pages.contains_key(&named.code);
    absent.then(|| format!("{PAGES}/{}: is named in {} and is not there", named.code, named.place))
}

/// The index links to every heading, and to nothing else.
fn compare_index(pages: &BTreeMap<String, String>) -> Vec<String> {
    let Some(index) = pages.get(INDEX) else { return vec![format!("{PAGES}/{INDEX}: is not there")] };
    let linked = links(index);
    let mut written = BTreeSet::new();
    for (page, text) in pages.iter().filter(|(page, _)| *page != INDEX) {
        written.extend(sections(text).into_iter().map(|(heading, _)| (page.clone(), heading)));
    }
    let unlisted = written.difference(&linked);
    let unlisted = unlisted.map(|(page, code)| format!("{PAGES}/{INDEX}: no link to {page}#{code}"));
    let gone = linked.difference(&written);
    let gone = gone.map(|(page, code)| format!("{PAGES}/{INDEX}: {page}#{code} leads nowhere"));
    let unlinked = pages.keys().filter(|page| *page != INDEX && !index.contains(&format!("({page}")));
    let unlinked = unlinked.map(|page| format!("{PAGES}/{INDEX}: no link to {page}"));
    unlisted.chain(gone).chain(unlinked).collect()
}

/// All `](page.md#code)` of a text.
fn links(text: &str) -> BTreeSet<(String, String)> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target);
    let parts = targets.filter_map(|target| target.split_once('#'));
    parts.map(|(page, code)| (page.to_owned(), code.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: Room = Room { sources: "services/x/src", words: Words::OfFailures, page: "x.md" };
    const WHOLE: &str = "- Means: a\n- Changed: b\n- Tried again: c\n- Do: d\n";

    fn met(code: &str) -> Met {
        Met { code: code.to_owned(), place: "services/x/src/a.rs:7".to_owned() }
    }

    fn pages(page: &str, index: &str) -> BTreeMap<String, String> {
        let pages = [("x.md", page), (INDEX, index)];
        pages.into_iter().map(|(name, text)| (name.to_owned(), text.to_owned())).collect()
    }

    #[test]
    fn a_page_that_tells_every_code_whole_is_right() {
        let page = format!("# x\n\n## How to read this\n\n## lost_update\n\n{WHOLE}\n## busy\n\n{WHOLE}");
        let pages = pages(&page, "[a](x.md#lost_update) [b](x.md#busy)");
        assert!(compare(&ROOM, &[met("busy"), met("lost_update"), met("busy")], &pages).is_empty());
        assert!(compare_index(&pages).is_empty());
    }

    #[test]
    fn each_code_without_a_heading_is_named_once_with_its_place() {
        let faults = compare(&ROOM, &[met("busy"), met("busy"), met("no_space")], &pages("", ""));
        assert_eq!(
            faults,
            [
                "docs/errors/x.md: no heading \"## busy\" (given in services/x/src/a.rs:7)",
                "docs/errors/x.md: no heading \"## no_space\" (given in services/x/src/a.rs:7)",
            ]
        );
    }

    #[test]
    fn each_heading_without_a_code_is_named_and_so_is_one_told_twice_or_in_part() {
        let page =
            format!("## gone\n{WHOLE}\n## busy\n{WHOLE}\n## busy\n- Means: a\n- Changed: b\n- Do: d\n");
        assert_eq!(
            compare(&ROOM, &[met("busy")], &pages(&page, "")),
            [
                "docs/errors/x.md: \"## gone\" is no code of services/x/src",
                "docs/errors/x.md: \"## busy\" stands there twice",
                "docs/errors/x.md: \"## busy\" has no line \"- Tried again:\"",
            ]
        );
    }

    #[test]
    fn the_index_links_to_every_heading_and_to_nothing_else() {
        let page = format!("## busy\n{WHOLE}\n## no_space\n{WHOLE}");
        assert_eq!(
            compare_index(&pages(&page, "| [busy](x.md#busy) | [old](x.md#old) |")),
            [
                "docs/errors/README.md: no link to x.md#no_space",
                "docs/errors/README.md: x.md#old leads nowhere",
            ]
        );
        assert_eq!(compare_index(&pages("# prose only", "")), ["docs/errors/README.md: no link to x.md"]);
        assert_eq!(compare_index(&BTreeMap::new()), ["docs/errors/README.md: is not there"]);
    }

    #[test]
    fn a_page_that_an_error_text_names_must_be_there() {
        let pages = pages("", "");
        assert_eq!(missing_page(&met("x.md"), &pages), None);
        let fault = missing_page(&met("ledger.md"), &pages).unwrap();
        assert_eq!(fault, "docs/errors/ledger.md: is named in services/x/src/a.rs:7 and is not there");
    }
}
