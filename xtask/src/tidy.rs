//! The rules about the repository itself.
//!
//! Each rule is a function from a checkout to findings. The command `cargo xtask tidy` runs them all, and so
//! do the tests of this package, one test a rule, so that no way of testing goes past them.

mod dependencies;
mod documents;
mod invariants;
mod security;
mod sources;

use crate::report::Report;
use crate::workspace::Workspace;

/// What a rule found.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// What breaks the rule: where, and what to do.
    pub(crate) problems: Vec<String>,
    /// What does not break it yet.
    pub(crate) notes: Vec<String>,
}

impl Findings {
    /// A breach of the rule.
    fn problem(&mut self, place: impl AsRef<str>, what: impl AsRef<str>) {
        self.problems.push(format!("{}: {}", place.as_ref(), what.as_ref()));
    }
}

type Rule = fn(&Workspace) -> Result<Findings, String>;

/// States every rule once: as a part of the command, and as a test against this checkout.
macro_rules! rules {
    ($($name:ident: $what:literal => $rule:path;)*) => {
        const RULES: &[(&str, Rule)] = &[$(($what, $rule)),*];

        #[cfg(test)]
        mod this_checkout {
            use super::*;

            $(
                #[test]
                fn $name() {
                    let root = crate::workspace::own_root().unwrap();
                    let workspace = Workspace::load(&root).unwrap();
                    let found = $rule(&workspace).unwrap();
                    assert!(found.problems.is_empty(), "{}:\n{}", $what, found.problems.join("\n"));
                }
            )*
        }
    };
}

rules! {
    floors: "a crate knows only the floors below it" => dependencies::floors;
    absences: "what a crate never knows is absent" => dependencies::absences;
    weights: "no crate weighs more than it may" => dependencies::weights;
    features: "each adapter weighs what its crate says" => dependencies::features;
    manifests: "every member takes the workspace's lints" => dependencies::manifests;
    headers: "every source says first what it is, and is one idea long" => sources::headers;
    purity: "machines know no clock, and libraries print nothing" => sources::purity;
    words: "no word that does not belong" => sources::words;
    invariants: "every invariant and failure has its test" => invariants::map;
    security: "every attack has its test, or says what is open" => security::table;
    documents: "documents are there, short enough, and link to what exists" => documents::all;
}

/// All rules, one part each.
pub(crate) fn run(workspace: &Workspace, report: &mut Report) {
    for (what, rule) in RULES {
        report.part(&format!("tidy: {what}"), || {
            let found = rule(workspace)?;
            found.notes.iter().for_each(|note| eprintln!("note: {note}"));
            found.problems.iter().for_each(|problem| eprintln!("{problem}"));
            match found.problems.len() {
                0 => Ok(()),
                1 => Err("1 problem".to_owned()),
                many => Err(format!("{many} problems")),
            }
        });
    }
}
