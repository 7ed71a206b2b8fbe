//! What every source file looks like, and what stays out of it.

use super::Findings;
use crate::workspace::Workspace;
use std::collections::BTreeSet;

/// A file longer than this is more than one idea.
const LONGEST: usize = 700;
/// A file longer than this is on its way there.
const LONG: usize = 500;

/// The crates whose state changes only by what they are told: no clock, no input, no output, no threads.
const PURE: [&str; 4] = ["hv-types", "hv-rings", "hv-liability", "hv-session"];
/// What such a crate does not name.
const IMPURE: [&str; 9] = [
    "std::fs",
    "std::net",
    "std::io",
    "std::env",
    "std::process",
    "std::thread",
    "std::time",
    "SystemTime",
    "Instant::now",
];

/// What only the program `hv` does.
const PRINTING: [&str; 4] = ["println!(", "eprintln!(", "print!(", "eprint!("];

/// Lints that keep panics and prints out of the libraries. Where one is lifted, the reason stands beside it.
const GUARDS: [&str; 9] = [
    "unwrap_used",
    "expect_used",
    "panic",
    "indexing_slicing",
    "todo",
    "unimplemented",
    "unreachable",
    "print_stdout",
    "print_stderr",
];

/// Folders of one machine, and marks of work that is not done. Spelled in two, so as not to find themselves.
const WORDS: [&str; 5] = [
    concat!("/wo", "rk/"),
    concat!("/tm", "p/"),
    concat!("/ro", "ot/"),
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
];

/// Every source begins with its `//!` documentation and is not too long. A program that must not compile, known
/// by the `.stderr` beside it, needs no documentation.
pub(crate) fn headers(workspace: &Workspace) -> Result<Findings, String> {
    let mut found = Findings::default();
    for (file, text) in workspace.sources()? {
        let refused = file.trim_end_matches("rs").to_owned() + "stderr";
        if !text.starts_with("//! ") && workspace.files.binary_search(&refused).is_err() {
            found.problem(format!("{file}:1"), "begins without `//!`; say what the file is");
        }
        match text.lines().count() {
            lines if lines > LONGEST => {
                found.problem(file, format!("{lines} lines, at most {LONGEST}; a file is one idea"));
            }
            lines if lines > LONG => found.notes.push(format!("{file}: {lines} lines")),
            _ => {}
        }
    }
    Ok(found)
}

/// Machines name no clock and no input or output; libraries print nothing and lift no guard without a reason.
pub(crate) fn purity(workspace: &Workspace) -> Result<Findings, String> {
    let mut found = Findings::default();
    let sources = workspace.sources()?;
    let only_tests = test_modules(&sources);
    for (file, text) in &sources {
        let Some((name, rest)) = file.strip_prefix("crates/").and_then(|rest| rest.split_once('/')) else {
            continue;
        };
        if !rest.starts_with("src/") || name == "hv-cli" || only_tests.contains(*file) {
            continue;
        }
        for (number, line) in shipped_lines(text) {
            let place = format!("{file}:{number}");
            let all = PRINTING.iter().chain(IMPURE.iter().filter(|_| PURE.contains(&name)));
            for word in all.filter(|word| names(line, word)) {
                found.problem(&place, format!("{name} does not use `{}`", word.trim_end_matches('(')));
            }
            if let Some(guard) = lifted_without_reason(line) {
                found.problem(&place, format!("lifts clippy::{guard}; add `reason = \"…\"` or mend it"));
            }
        }
    }
    Ok(found)
}

/// No folder of somebody's machine and no mark of unfinished work in any text.
pub(crate) fn words(workspace: &Workspace) -> Result<Findings, String> {
    let mut found = Findings::default();
    for file in &workspace.files {
        let Some(text) = workspace.text(file)? else { continue };
        for (number, line) in text.lines().enumerate() {
            for word in WORDS.iter().filter(|word| names(line, word)) {
                found.problem(format!("{file}:{}", number + 1), format!("`{word}` does not belong here"));
            }
        }
    }
    Ok(found)
}

/// Whether the line has the word, not as the end or the beginning of a longer one.
fn names(line: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line.get(..at).and_then(|l| l.chars().next_back());
        let after = line.get(at + word.len()..).and_then(|l| l.chars().next());
        let cut_before = word.starts_with(part) && before.is_some_and(part);
        let cut_after = word.ends_with(part) && after.is_some_and(part);
        !cut_before && !cut_after
    })
}

/// The guard that an attribute on this line lifts without saying why.
fn lifted_without_reason(line: &str) -> Option<&'static str> {
    let lifts = line.trim_start().starts_with('#') && (line.contains("allow(") || line.contains("expect("));
    let named = |guard: &&&str| names(line, &format!("clippy::{guard}"));
    if !lifts || line.contains("reason =") { None } else { GUARDS.iter().find(named).copied() }
}

/// The lines that are code of the library: neither comments nor the tests at the end of the file.
fn shipped_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut lines = text.lines().enumerate().peekable();
    std::iter::from_fn(move || {
        let (number, line) = lines.next()?;
        let tests = line.trim() == "#[cfg(test)]"
            && lines.peek().is_some_and(|(_, next)| next.contains("mod ") && next.trim_end().ends_with('{'));
        if tests { None } else { Some((number + 1, line)) }
    })
    .filter(|(_, line)| !line.trim_start().starts_with("//"))
}

/// The files that a `#[cfg(test)] mod name;` declares.
fn test_modules(sources: &[(&str, String)]) -> BTreeSet<String> {
    let mut modules = BTreeSet::new();
    for (file, text) in sources {
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        for pair in lines.windows(2) {
            let [condition, declaration] = pair else { continue };
            let name =
                declaration.strip_suffix(';').and_then(|d| d.rsplit_once("mod ")).map(|(_, name)| name);
            if let (&"#[cfg(test)]", Some(name)) = (condition, name) {
                let (folder, own) = file.rsplit_once('/').unwrap_or(("", file));
                let folder = match own {
                    "lib.rs" | "main.rs" | "mod.rs" => folder.to_owned(),
                    own => format!("{folder}/{}", own.trim_end_matches(".rs")),
                };
                modules.insert(format!("{folder}/{name}.rs"));
                modules.insert(format!("{folder}/{name}/mod.rs"));
            }
        }
    }
    modules
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A checkout with these files and nothing else.
    fn problems(rule: fn(&Workspace) -> Result<Findings, String>, files: &[(&str, &str)]) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        for (file, text) in files {
            let file = folder.path().join(file);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        }
        let workspace = Workspace {
            root: folder.path().to_path_buf(),
            target: folder.path().join("target"),
            packages: Vec::new(),
            files: files.iter().map(|(file, _)| (*file).to_owned()).collect(),
        };
        rule(&workspace).unwrap().problems
    }

    #[test]
    fn a_source_without_its_head_or_too_long_is_found() {
        let long = format!("//! Long.\n{}", "\n".repeat(LONGEST));
        let files = [
            ("a.rs", "fn a() {}\n"),
            ("b.rs", "//! B.\n"),
            ("c.rs", &long),
            ("d.rs", "fn d() -> {}\n"),
            ("d.stderr", "error\n"),
        ];
        assert_eq!(
            problems(headers, &files),
            [
                "a.rs:1: begins without `//!`; say what the file is",
                "c.rs: 701 lines, at most 700; a file is one idea"
            ]
        );
    }

    #[test]
    fn a_clock_in_a_machine_and_a_print_in_a_library_are_found() {
        let source = "//! X.\nfn now() { println!(\"{:?}\", std::time::Instant::now()) }\n";
        let found = |file| problems(purity, &[(file, source)]);
        assert_eq!(found("crates/hv-session/src/a.rs").len(), 3);
        assert_eq!(
            found("crates/hv-audit/src/a.rs"),
            ["crates/hv-audit/src/a.rs:2: hv-audit does not use `println!`"]
        );
        for free in ["crates/hv-cli/src/a.rs", "crates/hv-session/tests/a.rs", "xtask/src/a.rs"] {
            assert_eq!(found(free), Vec::<String>::new(), "{free}");
        }
    }

    #[test]
    fn words_of_one_machine_are_found_in_any_text() {
        let [folder, .., mark] = WORDS;
        let text = format!("one\n// {folder}x\n# {mark}: more\n");
        let found = problems(words, &[("docs/a.md", &text), ("b.sh", "echo /workshop/ TODOS\n")]);
        assert_eq!(found.len(), 2);
        assert!(found[0].starts_with("docs/a.md:2: ") && found[1].starts_with("docs/a.md:3: "), "{found:?}");
    }

    #[test]
    fn words_are_found_whole() {
        assert!(names("a println!(\"x\")", "println!("));
        assert!(!names("eprintln!(\"x\")", "println!("));
        assert!(names("use std::fs;", "std::fs"));
        assert!(!names("use std::fs_like;", "std::fs"));
        assert!(!names("mystd::fs", "std::fs"));
        assert!(names("at 1: Instant::now()", "Instant::now"));
    }

    #[test]
    fn a_lifted_guard_needs_its_reason() {
        assert_eq!(lifted_without_reason("#[allow(clippy::unwrap_used)]"), Some("unwrap_used"));
        assert_eq!(lifted_without_reason("    #![expect(clippy::panic)]"), Some("panic"));
        assert_eq!(lifted_without_reason("#[allow(clippy::panic, reason = \"a test kit\")]"), None);
        assert_eq!(lifted_without_reason("#[allow(clippy::cast_possible_truncation)]"), None);
        assert_eq!(lifted_without_reason("let x = y.expect(\"clippy::panic\");"), None);
    }

    #[test]
    fn comments_and_tests_are_not_shipped() {
        let text =
            "//! docs\nfn a() {}\n// why\n#[cfg(test)]\nuse x;\nfn b() {}\n#[cfg(test)]\nmod tests {\n}\n";
        let lines: Vec<usize> = shipped_lines(text).map(|(number, _)| number).collect();
        assert_eq!(lines, [2, 4, 5, 6]);
    }

    #[test]
    fn modules_of_tests_are_found_beside_their_parent() {
        let sources = [
            ("crates/a/src/lib.rs", "#[cfg(test)]\nmod model;\nmod other;\n".to_owned()),
            ("crates/a/src/log.rs", "#[cfg(test)]\npub(crate) mod disk;\n".to_owned()),
        ];
        let modules = test_modules(&sources);
        assert!(modules.contains("crates/a/src/model.rs") && modules.contains("crates/a/src/log/disk.rs"));
        assert!(!modules.contains("crates/a/src/other.rs"));
    }
}
