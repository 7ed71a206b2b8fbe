//! `SECURITY.md`: every attack has a test that exists, or says what is not defended.

use super::Findings;
use super::invariants::is_test;
use crate::workspace::Workspace;
use std::collections::BTreeMap;

/// Where the table is.
const PAGE: &str = "SECURITY.md";

/// The columns: attack, what stands in its way, tests, what does not.
const CELLS: usize = 4;

/// The table is there, and its tests are.
pub(crate) fn table(workspace: &Workspace) -> Result<Findings, String> {
    let mut found = Findings::default();
    let sources: BTreeMap<&str, String> = workspace.sources()?.into_iter().collect();
    check(&workspace.text(PAGE)?.unwrap_or_default(), &sources, &mut found);
    Ok(found)
}

fn check(text: &str, sources: &BTreeMap<&str, String>, found: &mut Findings) {
    let mut attacks = 0;
    for (number, line) in text.lines().enumerate() {
        let Some(cells) = line.trim().strip_prefix('|').and_then(|rest| rest.strip_suffix('|')) else {
            continue;
        };
        let cells: Vec<&str> = cells.split('|').map(str::trim).collect();
        if cells.first().is_none_or(|first| *first == "attack" || first.starts_with("---")) {
            continue;
        }
        attacks += 1;
        let place = format!("{PAGE}:{}", number + 1);
        let [attack, _, tests, open] = cells.as_slice() else {
            found.problem(place, format!("{} cells instead of {CELLS}", cells.len()));
            continue;
        };
        let tests: Vec<&str> = tests.split('`').skip(1).step_by(2).collect();
        if tests.is_empty() && open.is_empty() {
            found.problem(&place, format!("{attack}: no test, and nothing is said to be open"));
        }
        for test in tests {
            let source = test.split_once("::").and_then(|(file, name)| Some((sources.get(file)?, name)));
            let held = source.ok_or("there is no such file").and_then(|(text, name)| is_test(text, name));
            if let Err(why) = held {
                found.problem(&place, format!("`{test}`: {why}"));
            }
        }
    }
    if attacks == 0 {
        found.problem(PAGE, "has no table of attacks");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(row: &str) -> Vec<String> {
        let sources = BTreeMap::from([("a.rs", "#[test]\nfn held() {}\nfn helper() {}\n".to_owned())]);
        let mut found = Findings::default();
        check(
            &format!("# Security\n\n| attack | x | tests | open |\n|---|---|---|---|\n{row}\n"),
            &sources,
            &mut found,
        );
        found.problems
    }

    #[test]
    fn a_row_names_tests_that_exist_or_says_what_is_open() {
        for (row, expected) in [
            ("| theft | locks | `a.rs::held` | |", None),
            ("| theft | locks | | everything |", None),
            ("| theft | locks | `a.rs::held`, `a.rs::gone` | |", Some("there is no such function")),
            ("| theft | locks | `b.rs::held` | |", Some("there is no such file")),
            ("| theft | locks | `a.rs::helper` | |", Some("is no test")),
            ("| theft | locks | | |", Some("no test, and nothing is said to be open")),
            ("| theft | locks |", Some("2 cells instead of 4")),
            ("", Some("has no table")),
        ] {
            let found = problems(row);
            match expected {
                None => assert_eq!(found, Vec::<String>::new(), "{row}"),
                Some(why) => assert!(found.iter().any(|problem| problem.contains(why)), "{row}: {found:?}"),
            }
        }
    }
}
