//! The map between the invariants of the design, the code that leans on them and the tests that would fail.
//!
//! `docs/INVARIANTS.md` holds two tables, told apart by the name in a row's first cell. Text around them is
//! free.
//!
//! ```text
//! | name | statement | held by |
//! |---|---|---|
//! | R2 | ring ≤ 2 ⇔ σ_eff > 0.60 | `crates/hv-rings/src/earned.rs::r2_equality_never_passes` |
//! | C1 | every effect has one durable grant | `tests/it/grant.rs::c1_…`, `tests/it/run.rs::c1_…` |
//! | A3 | a purge changes no hash | planned: with the purge |
//!
//! | failure | what went wrong | held by |
//! |---|---|---|
//! | F6 | `<` at one gate and `>` at another | `crates/hv-rings/src/earned.rs::one_function` |
//! ```
//!
//! * Every name of `NAMED` has exactly one row, and no other name has one.
//! * The third cell is either one or more tests, each in backticks as `file.rs::function` with the file
//!   relative to the root, separated by `, ` or `<br>`; or it begins with the word `planned`, and what follows
//!   says what it waits for.
//! * Each test is a function of that file with a test attribute above it, and is not ignored.
//! * An invariant that is held is cited in `crates/` as `INVARIANT (R2)`, or `INVARIANT (R2, R3)`, at least
//!   once, and one of its tests has the invariant's name among the words of its own, as `r2_…` does.
//! * What is planned is cited nowhere.

use super::Findings;
use crate::workspace::Workspace;
use std::collections::{BTreeMap, BTreeSet};

/// Where the map is.
const MAP: &str = "docs/INVARIANTS.md";

/// The invariants of the design and how many of each there are, then the failures never to repeat.
const NAMED: [(char, u32); 8] =
    [('R', 4), ('L', 15), ('S', 4), ('A', 4), ('V', 2), ('C', 2), ('I', 1), ('F', 26)];

/// How the code cites an invariant.
const CITED: &str = "INVARIANT (";

/// The map is whole, and its tests and citations are there.
pub(crate) fn map(workspace: &Workspace) -> Result<Findings, String> {
    let mut found = Findings::default();
    if !workspace.root.join(MAP).is_file() {
        found.problem(MAP, "is missing; xtask/src/tidy/invariants.rs says how it is written");
        return Ok(found);
    }
    let rows = rows(&workspace.text(MAP)?.unwrap_or_default(), &mut found);
    let sources: BTreeMap<&str, String> = workspace.sources()?.into_iter().collect();
    let mut cited = BTreeMap::new();
    for (file, text) in sources.iter().filter(|(file, _)| file.starts_with("crates/")) {
        for (number, name) in citations(text) {
            cited.entry(name).or_insert_with(|| format!("{file}:{number}"));
        }
    }
    check(&rows, &sources, &cited, &mut found);
    Ok(found)
}

/// A row of the map.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    /// Its line in the document.
    line: usize,
    name: String,
    held: Held,
}

/// What the third cell says.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Held {
    /// Each with its file.
    By(Vec<(String, String)>),
    Planned,
}

fn names() -> BTreeSet<String> {
    NAMED.iter().flat_map(|(letter, last)| (1..=*last).map(move |n| format!("{letter}{n}"))).collect()
}

fn rows(text: &str, found: &mut Findings) -> Vec<Row> {
    let mut rows = Vec::new();
    for (line, content) in text.lines().enumerate().map(|(number, content)| (number + 1, content)) {
        let Some(cells) = content.trim().strip_prefix('|').and_then(|rest| rest.strip_suffix('|')) else {
            continue;
        };
        let cells: Vec<&str> = cells.split('|').map(str::trim).collect();
        let Some(name) = cells.first().filter(|name| is_name(name)) else { continue };
        let place = format!("{MAP}:{line}");
        let [_, statement, held] = cells.as_slice() else {
            found.problem(place, format!("{name} has {} cells instead of 3", cells.len()));
            continue;
        };
        if statement.is_empty() {
            found.problem(&place, format!("{name} says nothing"));
        }
        match held_by(held) {
            Ok(held) => rows.push(Row { line, name: (*name).to_owned(), held }),
            Err(why) => found.problem(place, format!("{name}: {why}")),
        }
    }
    rows
}

/// One capital letter and a number.
fn is_name(cell: &str) -> bool {
    let mut chars = cell.chars();
    chars.next().is_some_and(|c| c.is_ascii_uppercase())
        && !chars.as_str().is_empty()
        && chars.all(|c| c.is_ascii_digit())
}

fn held_by(cell: &str) -> Result<Held, String> {
    if cell.split(|c: char| !c.is_alphanumeric()).next() == Some("planned") {
        return Ok(Held::Planned);
    }
    let spans: Vec<&str> = cell.split('`').skip(1).step_by(2).collect();
    if spans.is_empty() || cell.matches('`').count() % 2 == 1 {
        return Err("name a test as `file.rs::function`, or say `planned`".to_owned());
    }
    let test = |span: &&str| match span.split_once("::") {
        Some((file, function)) if file.ends_with(".rs") => Ok((file.to_owned(), function.to_owned())),
        _ => Err(format!("`{span}` is not of the form `file.rs::function`")),
    };
    spans.iter().map(test).collect::<Result<_, _>>().map(Held::By)
}

fn check(
    rows: &[Row],
    sources: &BTreeMap<&str, String>,
    cited: &BTreeMap<String, String>,
    found: &mut Findings,
) {
    let names = names();
    let mut seen = BTreeSet::new();
    for Row { line, name, held } in rows {
        let place = format!("{MAP}:{line}");
        if !names.contains(name) {
            found.problem(&place, format!("{name} is not a name of the design"));
        }
        if !seen.insert(name) {
            found.problem(&place, format!("{name} has a row already"));
        }
        match (held, cited.get(name)) {
            (Held::Planned, Some(at)) => {
                found.problem(at, format!("cites {name}, which {place} calls planned"));
            }
            (Held::Planned, None) => {}
            (Held::By(tests), at) => {
                let failure = name.starts_with('F');
                if at.is_none() && !failure {
                    found.problem(&place, format!("{name} is held and cited nowhere in crates/"));
                }
                let word = name.to_lowercase();
                if !failure && !tests.iter().any(|(_, test)| test.split('_').any(|part| part == word)) {
                    found.problem(&place, format!("no test of {name} has `{word}` in its name"));
                }
                for (file, test) in tests {
                    let text = sources.get(file.as_str()).ok_or("there is no such file");
                    if let Err(why) = text.and_then(|text| is_test(text, test)) {
                        found.problem(&place, format!("{name}: `{file}::{test}`: {why}"));
                    }
                }
            }
        }
    }
    for name in names.iter().filter(|name| !seen.contains(name)) {
        found.problem(MAP, format!("{name} has no row"));
    }
    for (name, place) in cited.iter().filter(|(name, _)| !names.contains(*name) || name.starts_with('F')) {
        found.problem(place, format!("cites {name}, which is no invariant of the design"));
    }
}

/// That the source has a test of this name, and that it runs.
pub(super) fn is_test(text: &str, test: &str) -> Result<(), &'static str> {
    let head = format!("fn {test}");
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let is_head = |line: &&str| {
        let rest = line.split_once(&head).map(|(_, rest)| rest);
        rest.is_some_and(|rest| rest.starts_with(['(', '<']))
    };
    let at = lines.iter().position(is_head).ok_or("there is no such function")?;
    let above =
        lines.iter().take(at).rev().take_while(|line| line.starts_with('#') || line.starts_with("//"));
    let attributes: Vec<&str> = above.filter(|line| line.starts_with('#')).copied().collect();
    if attributes.iter().any(|line| line.starts_with("#[ignore")) {
        return Err("is ignored");
    }
    let test =
        |line: &&str| line.starts_with("#[test]") || line.contains("::test]") || line.contains("::test(");
    if attributes.iter().any(test) { Ok(()) } else { Err("is no test") }
}

/// The names that a source cites, each with its line.
fn citations(text: &str) -> Vec<(usize, String)> {
    let mut cited = Vec::new();
    for (number, line) in text.lines().enumerate() {
        for rest in line.split(CITED).skip(1) {
            let names = rest.split(')').next().unwrap_or_default();
            cited.extend(names.split(',').map(|name| (number + 1, name.trim().to_owned())));
        }
    }
    cited
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "\
#[test]
fn r2_equality_never_passes() {}

proptest! {
    /// With a comment.
    #[test]
    fn monotone(a in 0..1u32) {}
}
#[tokio::test(flavor = \"current_thread\")]
async fn c1_one_grant() {}
#[test]
#[ignore = \"slow\"]
fn slow() {}
fn helper() {}
";

    fn problems(document: &str, cited: &[&str]) -> Vec<String> {
        let sources = BTreeMap::from([("a.rs", SOURCE.to_owned())]);
        let cited = cited.iter().map(|name| ((*name).to_owned(), "b.rs:1".to_owned())).collect();
        let mut found = Findings::default();
        let rows = rows(document, &mut found);
        check(&rows, &sources, &cited, &mut found);
        found.problems
    }

    /// A map in which everything is planned but what the lines say.
    fn document(lines: &[&str]) -> String {
        let own: BTreeSet<&str> =
            lines.iter().filter_map(|line| line.split('|').nth(1)).map(str::trim).collect();
        let planned = names().into_iter().filter(|name| !own.contains(name.as_str()));
        let planned = planned.map(|name| format!("| {name} | something | planned |\n"));
        let head = "# Invariants\n\nText.\n\n| name | statement | held by |\n|---|---|---|\n";
        format!("{head}{}\n{}", lines.join("\n"), planned.collect::<String>())
    }

    #[test]
    fn a_whole_map_has_no_problems() {
        let whole = document(&[
            "| R2 | equality never passes | `a.rs::r2_equality_never_passes`, `a.rs::monotone` |",
            "| C1 | one grant | `a.rs::c1_one_grant`<br>`a.rs::monotone` |",
            "| A3 | a purge changes no hash | planned: with the purge |",
            "| F6 | `<` and `>` | `a.rs::monotone` |",
        ]);
        assert_eq!(problems(&whole, &["R2", "C1"]), Vec::<String>::new());
        assert_eq!(names().len(), 58);
    }

    #[test]
    fn every_hole_in_the_map_is_found() {
        for (line, cited, expected) in [
            ("| R2 | x | `a.rs::r2_gone` |", "R2", "there is no such function"),
            ("| R2 | x | `a.rs::r2_equality` |", "R2", "there is no such function"),
            ("| R2 | x | `b.rs::r2_x` |", "R2", "there is no such file"),
            ("| R2 | x | `a.rs::helper` |", "R2", "is no test"),
            ("| R2 | x | `a.rs::slow` |", "R2", "is ignored"),
            ("| R2 | x | `a.rs::monotone` |", "R2", "no test of R2 has `r2` in its name"),
            ("| R2 | x | `a.rs::r2_equality_never_passes` |", "", "cited nowhere"),
            ("| R2 | x | planned |", "R2", "calls planned"),
            ("| R2 | x | |", "", "name a test"),
            ("| R2 | x | later |", "", "name a test"),
            ("| R2 | x | `somewhere` |", "", "not of the form"),
            ("| R2 | | planned |", "", "says nothing"),
            ("| R2 | planned |", "", "2 cells instead of 3"),
            ("| R9 | x | planned |", "", "R9 is not a name of the design"),
            ("| R2 | x | planned |", "R9", "cites R9, which is no invariant"),
            ("| R2 | x | planned |\n| R2 | x | planned |", "", "has a row already"),
        ] {
            let cited: Vec<&str> = Some(cited).filter(|name| !name.is_empty()).into_iter().collect();
            let found = problems(&document(&[line]), &cited);
            assert!(found.iter().any(|problem| problem.contains(expected)), "{line}: {found:?}");
        }
        let without = document(&[]).replace("| L7 | something | planned |\n", "");
        assert_eq!(problems(&without, &[]), ["docs/INVARIANTS.md: L7 has no row"]);
    }

    #[test]
    fn citations_are_found_alone_and_in_lists() {
        let text = format!("// {CITED}R2): why\nlet x = 1; // {CITED}L2, L3)\n// INVARIANT: none\n");
        let expected = [(1, "R2"), (2, "L2"), (2, "L3")].map(|(line, name)| (line, name.to_owned()));
        assert_eq!(citations(&text), expected);
    }
}
