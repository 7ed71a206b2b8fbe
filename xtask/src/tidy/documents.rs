//! The documents: which there must be, how long they may be, and that their links lead somewhere.

use super::Findings;
use crate::workspace::Workspace;

/// Documents that there must be.
const NEEDED: [&str; 9] = [
    "README.md",
    "CHANGELOG.md",
    "SHORTCOMINGS.md",
    "SECURITY.md",
    "LICENSE-MIT",
    "LICENSE-APACHE",
    "docs/ARCHITECTURE.md",
    "docs/FORMATS.md",
    "docs/INVARIANTS.md",
];

/// The architecture is read in one go or not at all.
const ARCHITECTURE_LINES: usize = 250;

/// All of it.
pub(crate) fn all(workspace: &Workspace) -> Result<Findings, String> {
    let mut found = Findings::default();
    for file in NEEDED.iter().filter(|file| !workspace.root.join(file).is_file()) {
        found.problem(file, "is missing");
    }
    for file in workspace.files.iter().filter(|file| file.ends_with(".md")) {
        let text = workspace.text(file)?.unwrap_or_default();
        let lines = text.lines().count();
        if file == "docs/ARCHITECTURE.md" && lines > ARCHITECTURE_LINES {
            found.problem(file, format!("{lines} lines, at most {ARCHITECTURE_LINES}"));
        }
        let folder = file.rsplit_once('/').map_or("", |(folder, _)| folder);
        for (number, target) in links(&text) {
            if !workspace.root.join(folder).join(&target).exists() {
                found.problem(format!("{file}:{number}"), format!("links to `{target}`, which is not there"));
            }
        }
    }
    Ok(found)
}

/// The files that a document links to, each with its line; addresses and places in the same document left out.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut links = Vec::new();
    let mut code = false;
    for (number, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            code = !code;
        }
        if code {
            continue;
        }
        for rest in line.split("](").skip(1) {
            let target = rest.split(')').next().unwrap_or_default();
            let path = target.split('#').next().unwrap_or_default();
            if !path.is_empty() && !path.contains(':') {
                links.push((number + 1, path.to_owned()));
            }
        }
    }
    links
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_to_files_are_found_and_others_left_alone() {
        let text =
            "[a](docs/A.md) and [b](B.md#part)\n[c](#here) [d](https://example.org/x)\n```\nx[0](y)\n```\n";
        assert_eq!(links(text), [(1, "docs/A.md".to_owned()), (1, "B.md".to_owned())]);
    }
}
