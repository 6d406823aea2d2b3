//! What `cov show` prints, as lines that ran and lines that did not.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Counts of one file or of many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Lines {
    ran: u32,
    all: u32,
}

impl Lines {
    fn percent(self) -> f64 {
        if self.all == 0 { 100.0 } else { f64::from(self.ran) * 100.0 / f64::from(self.all) }
    }

    fn add(&mut self, other: Self) {
        self.ran += other.ran;
        self.all += other.all;
    }
}

/// The product's files, with their lines. Tests, what serves them alone, and the tasks of the tree are none of it.
pub struct Report(BTreeMap<PathBuf, Lines>);

impl Report {
    /// Reads what `cov show` prints: a path on a line of its own, then each of its lines as `number|hits|text`, hits being
    /// blank where there is nothing to run. `root` is the folder of the tree.
    pub fn of(printed: &str, root: &Path) -> Self {
        let mut files: BTreeMap<PathBuf, Lines> = BTreeMap::new();
        let (mut current, mut is_marked) = (None, false);
        for line in printed.lines() {
            if let Some((hits, text)) = parted(line) {
                // Tests stand last in their file; those with a file of their own are only named in it.
                let text = text.trim_end();
                if is_marked && text.contains('{') && !text.starts_with("#[") {
                    current = None;
                }
                is_marked = text == "#[cfg(test)]" || is_marked && text.starts_with("#[");
                if let (Some(file), Some(hits)) = (&current, hits) {
                    let lines = files.entry(PathBuf::clone(file)).or_default();
                    lines.add(Lines { ran: u32::from(hits > 0), all: 1 });
                }
            } else if line.starts_with('/') {
                let file = Path::new(line).strip_prefix(root).ok();
                current = file.filter(|file| is_product(file)).map(Path::to_path_buf);
            }
        }
        Self(files)
    }

    pub fn percent(&self) -> f64 {
        self.whole().percent()
    }

    fn whole(&self) -> Lines {
        self.0.values().fold(Lines::default(), |mut sum, lines| {
            sum.add(*lines);
            sum
        })
    }

    /// Crate by crate, then the files with the most lines that nothing has run, then all.
    pub fn table(&self, worst: usize) -> String {
        let mut crates: BTreeMap<PathBuf, Lines> = BTreeMap::new();
        for (file, lines) in &self.0 {
            crates.entry(crate_of(file)).or_default().add(*lines);
        }
        let mut text = String::new();
        // Writing to a string cannot fail.
        let mut row = |name: &str, lines: Lines| {
            let _ = writeln!(text, "{:>6} of {:>6}  {:5.1} %  {name}", lines.ran, lines.all, lines.percent());
        };
        for (folder, lines) in &crates {
            row(&folder.display().to_string(), *lines);
        }
        row("all", self.whole());
        let mut files: Vec<_> = self.0.iter().collect();
        files.sort_by_key(|(_, lines)| std::cmp::Reverse(lines.all - lines.ran));
        let _ = writeln!(text, "\nmost lines that nothing has run:");
        for (file, lines) in files.into_iter().take(worst) {
            let _ = writeln!(
                text,
                "{:>6} of {:>6}  {:5.1} %  {}",
                lines.all - lines.ran,
                lines.all,
                100.0 - lines.percent(),
                file.display()
            );
        }
        text
    }
}

/// Hits and text of a line of source; `None` for any other line.
fn parted(line: &str) -> Option<(Option<u64>, &str)> {
    let (number, rest) = line.split_once('|')?;
    number.trim().parse::<u32>().ok()?;
    let (hits, text) = rest.split_once('|')?;
    let hits = hits.trim();
    if hits.is_empty() { Some((None, text)) } else { Some((Some(hits.parse().ok()?), text)) }
}

fn is_product(file: &Path) -> bool {
    let Some(text) = file.to_str() else { return false };
    let ours = ["shared/", "services/", "cli/"].iter().any(|room| text.starts_with(room));
    let tests = ["/tests/", "/examples/", "/benches/"].iter().any(|folder| text.contains(folder));
    let named = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    ours && !tests && !text.starts_with("shared/testkit/") && named != "tests" && !named.ends_with("_tests")
}

/// `shared/bus` of `shared/bus/src/lib.rs`; `cli` of `cli/src/main.rs`.
fn crate_of(file: &Path) -> PathBuf {
    file.iter().take_while(|part| *part != "src" && *part != "build.rs").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRINTED: &str = "/tree/shared/bus/src/lib.rs
    1|       |//! Docs | with a bar.
    2|       |#[cfg(test)]
    3|       |mod elsewhere_tests;
    4|      3|fn a() {
    5|      0|    b();
    6|      1|}
    7|       |#[cfg(test)]
    8|      9|mod tests {}

/tree/shared/bus/tests/bus.rs
    1|      5|fn main() {}

/tree/cli/src/main.rs
    1|18446744073709551615|fn main() {}

/elsewhere/cli/src/main.rs
    1|      0|fn main() {}
";

    #[test]
    fn lines_of_the_product_are_counted_and_those_of_tests_are_not() {
        let report = Report::of(PRINTED, Path::new("/tree"));
        let lines: Vec<_> = report.0.iter().map(|(file, lines)| (file.to_str().unwrap(), *lines)).collect();
        let expected = [
            ("cli/src/main.rs", Lines { ran: 1, all: 1 }),
            ("shared/bus/src/lib.rs", Lines { ran: 2, all: 3 }),
        ];
        assert_eq!(lines, expected);
        assert!((report.percent() - 75.0).abs() < 1e-9);
        let table = report.table(1);
        assert!(table.contains("     2 of      3   66.7 %  shared/bus\n"), "{table}");
        assert!(table.contains("     3 of      4   75.0 %  all\n"), "{table}");
        assert!(table.ends_with("     1 of      3   33.3 %  shared/bus/src/lib.rs\n"), "{table}");
    }

    #[test]
    fn only_the_product_counts() {
        let product = |file: &str| is_product(Path::new(file));
        assert!(product("services/router/src/drive.rs") && product("cli/src/up/supervisor.rs"));
        for other in [
            "xtask/src/main.rs",
            "tests/scenarios/main.rs",
            "shared/testkit/src/lib.rs",
            "cli/src/up/supervisor_tests.rs",
        ] {
            assert!(!product(other), "{other}");
        }
        assert!(!product("shared/planner/src/tests/rules.rs") && !product("shared/story/src/tests.rs"));
    }
}
