//! Who may depend on whom, and on how much.

use super::Findings;
use crate::command::{capture, cargo};
use crate::workspace::{Kind, Package, Workspace};
use std::collections::BTreeSet;

/// The floors of docs/ARCHITECTURE.md, from the lowest. A crate knows only the floors below its own, so
/// siblings never see each other, and nothing that is not listed is known to any crate.
const FLOORS: [&[&str]; 4] = [
    &["hv-types"],
    &["hv-rings", "hv-liability", "hv-session", "hv-saga", "hv-audit", "hv-identity", "hv-integrations"],
    &["hv-core"],
    &["hv-cli"],
];

/// What a crate never depends on, not even optionally: the crates that read no clock and do no input or
/// output have no runtime and no system calls; those that hash nothing know no hash.
const ABSENT: [(&str, &[&str]); 8] = [
    ("hv-types", &["tokio", "rustix", "libc", "ureq", "blake3", "sha2", "rand", "getrandom"]),
    ("hv-rings", &["tokio", "rustix", "libc", "ureq", "blake3", "sha2", "rand", "getrandom"]),
    ("hv-liability", &["tokio", "rustix", "libc", "ureq", "rand", "getrandom"]),
    ("hv-session", &["tokio", "rustix", "libc", "ureq", "rand", "getrandom"]),
    ("hv-saga", &["blake3", "sha2", "crc32c"]),
    ("hv-audit", &["tokio", "serde", "serde_json"]),
    ("hv-identity", &["tokio", "rustix", "libc", "ureq", "rand", "getrandom", "serde", "serde_json"]),
    ("hv-core", &["clap", "toml", "ureq"]),
];

/// Unique packages of `cargo tree -e normal` without default features, the crate itself included.
const WEIGHTS: [(&str, Option<&str>, usize); 9] = [
    ("hv-types", None, 1),
    ("hv-rings", None, 2),
    ("hv-liability", None, 8),
    ("hv-session", None, 12),
    ("hv-saga", Some("tokio"), 12),
    ("hv-audit", None, 17),
    ("hv-identity", None, 25),
    ("hv-integrations", None, 12),
    ("hv-core", None, 40),
];

/// A crate depends only on crates of lower floors. Tests, benches and this program are free.
pub(crate) fn floors(workspace: &Workspace) -> Result<Findings, String> {
    let mut found = Findings::default();
    let members: BTreeSet<&str> = workspace.packages.iter().map(|package| package.name.as_str()).collect();
    for package in workspace.crates() {
        let Some(own) = floor(&package.name) else {
            found.problem(&package.folder, "has no floor; a new crate needs a decision record and a floor");
            continue;
        };
        if package.folder != format!("crates/{}", package.name) {
            found.problem(&package.folder, format!("a folder is named like its crate, {}", package.name));
        }
        for name in shipped(package).filter(|name| members.contains(name)) {
            let what = match floor(name) {
                Some(floor) if floor < own => continue,
                Some(floor) if floor == own => format!("its sibling on floor {own}"),
                Some(floor) => format!("which is above it, on floor {floor}"),
                None => "which is no crate that others depend on".to_owned(),
            };
            found.problem(&package.folder, format!("{} must not depend on {name}, {what}", package.name));
        }
    }
    Ok(found)
}

/// No crate depends on what its floor never knows.
pub(crate) fn absences(workspace: &Workspace) -> Result<Findings, String> {
    let mut found = Findings::default();
    for package in workspace.crates() {
        let never = ABSENT.iter().filter(|(name, _)| *name == package.name).flat_map(|(_, never)| *never);
        for name in never.filter(|never| shipped(package).any(|name| name == **never)) {
            found.problem(&package.folder, format!("{} never knows {name}", package.name));
        }
    }
    Ok(found)
}

/// No crate weighs more than the table says.
pub(crate) fn weights(workspace: &Workspace) -> Result<Findings, String> {
    let mut found = Findings::default();
    for (name, feature, limit) in WEIGHTS {
        if !workspace.packages.iter().any(|package| package.name == name) {
            found.problem(name, "is weighed here and is no member");
            continue;
        }
        let mut command = cargo(&workspace.root);
        command.args(["tree", "--locked", "--package", name, "--edges", "normal"]);
        command.args(["--no-default-features", "--prefix", "none"]);
        command.args(feature.iter().flat_map(|feature| ["--features", feature]));
        let packages = unique(&capture(&mut command)?);
        let of = feature.map(|feature| format!(" with {feature}")).unwrap_or_default();
        found.notes.push(format!("{name}{of}: {} of {limit}", packages.len()));
        if packages.len() > limit {
            let list = packages.into_iter().collect::<Vec<_>>().join(", ");
            found.problem(name, format!("weighs more than {limit} packages{of}: {list}"));
        }
    }
    Ok(found)
}

/// Where the weight of each feature of the adapters is written.
const ADAPTERS: (&str, &str) = ("hv-integrations", "crates/hv-integrations/src/lib.rs");

/// Every feature of the adapters stands in the table of their crate's page, and weighs what that says, to the package.
pub(crate) fn features(workspace: &Workspace) -> Result<Findings, String> {
    let mut found = Findings::default();
    let (name, page) = ADAPTERS;
    let text = workspace.text(page)?.unwrap_or_default();
    let documented = documented(&text);
    let manifest = workspace.text("crates/hv-integrations/Cargo.toml")?.unwrap_or_default();
    let manifest: toml::Table = manifest.parse().map_err(|e| format!("{name}: {e}"))?;
    let features = manifest.get("features").and_then(toml::Value::as_table);
    for feature in features.into_iter().flat_map(toml::Table::keys) {
        let Some((_, says)) = documented.iter().find(|(known, _)| known == feature) else {
            found.problem(page, format!("does not say what the feature {feature} weighs"));
            continue;
        };
        let mut command = cargo(&workspace.root);
        command.args(["tree", "--locked", "--package", name, "--edges", "normal"]);
        command.args(["--no-default-features", "--prefix", "none", "--features", feature]);
        let weighs = unique(&capture(&mut command)?).len();
        found.notes.push(format!("{name} with {feature}: {weighs}"));
        if weighs != *says {
            found.problem(
                page,
                format!("says that the feature {feature} weighs {says} packages; it weighs {weighs}"),
            );
        }
    }
    Ok(found)
}

/// The rows of the table in a crate's page: the feature in the second column, its weight in the last.
fn documented(page: &str) -> Vec<(String, usize)> {
    let rows = page.lines().filter_map(|line| line.strip_prefix("//! |")?.strip_suffix('|'));
    let row = |row: &str| {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let feature = cells.get(1)?.strip_prefix('`')?.strip_suffix('`')?;
        Some((feature.to_owned(), cells.last()?.parse().ok()?))
    };
    rows.filter_map(row).collect()
}

/// Every member takes the workspace's lints, but for the tests that cross crates: a test panics on purpose, in
/// its helpers too.
pub(crate) fn manifests(workspace: &Workspace) -> Result<Findings, String> {
    let mut found = Findings::default();
    for package in workspace.packages.iter().filter(|package| package.folder != "tests") {
        let file = format!("{}/Cargo.toml", package.folder);
        let text = workspace.text(&file)?.unwrap_or_default();
        let manifest: toml::Table = text.parse().map_err(|e| format!("{file}: {e}"))?;
        let lints = manifest.get("lints").and_then(|lints| lints.get("workspace"));
        if lints.and_then(toml::Value::as_bool) != Some(true) {
            found.problem(file, "needs `[lints]` with `workspace = true`");
        }
    }
    Ok(found)
}

fn floor(name: &str) -> Option<usize> {
    FLOORS.iter().position(|crates| crates.contains(&name))
}

/// What users of the package get with it: optional dependencies count, those of its tests do not.
fn shipped(package: &Package) -> impl Iterator<Item = &str> {
    let shipped = package.dependencies.iter().filter(|dependency| dependency.kind != Kind::Dev);
    shipped.map(|dependency| dependency.name.as_str())
}

/// `name version` of every line of a tree without its prefix.
fn unique(tree: &str) -> BTreeSet<String> {
    let words = tree.lines().map(|line| line.split_whitespace().take(2).collect::<Vec<_>>().join(" "));
    words.filter(|package| !package.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::{Dependency, own_root};
    use std::path::Path;

    fn planted(from: &str, to: &str, kind: Kind) -> Vec<String> {
        let mut workspace = Workspace::load(&own_root().unwrap()).unwrap();
        let package = workspace.packages.iter_mut().find(|package| package.name == from).unwrap();
        package.dependencies.push(Dependency { name: to.to_owned(), kind });
        let mut problems = floors(&workspace).unwrap().problems;
        problems.extend(absences(&workspace).unwrap().problems);
        problems
    }

    #[test]
    fn a_planted_edge_to_a_sibling_or_upwards_is_found() {
        for (from, to) in [
            ("hv-rings", "hv-liability"),
            ("hv-audit", "hv-session"),
            ("hv-integrations", "hv-core"),
            ("hv-integrations", "hv-rings"),
            ("hv-types", "hv-rings"),
            ("hv-core", "hv-cli"),
            ("hv-core", "hv-tests"),
            ("hv-saga", "xtask"),
            ("hv-session", "tokio"),
            ("hv-rings", "blake3"),
            ("hv-identity", "hv-rings"),
            ("hv-identity", "getrandom"),
        ] {
            for kind in [Kind::Normal, Kind::Build] {
                let problems = planted(from, to, kind);
                assert_eq!(problems.len(), 1, "{from} -> {to}: {problems:?}");
                assert!(problems[0].contains(from) && problems[0].contains(to), "{problems:?}");
            }
        }
    }

    #[test]
    fn edges_of_tests_and_downwards_are_free() {
        for (from, to, kind) in [
            ("hv-rings", "hv-liability", Kind::Dev),
            ("hv-cli", "hv-session", Kind::Normal),
            ("hv-tests", "hv-cli", Kind::Normal),
            ("hv-benches", "hv-audit", Kind::Normal),
        ] {
            assert_eq!(planted(from, to, kind), Vec::<String>::new(), "{from} -> {to}");
        }
    }

    /// The whole way: a manifest with one line too many, read by cargo.
    #[test]
    fn a_forbidden_line_in_a_manifest_is_found() {
        let own = Workspace::load(&own_root().unwrap()).unwrap();
        let copy = tempfile::tempdir().unwrap();
        copy_manifests(&own, copy.path());
        assert_eq!(floors(&Workspace::load(copy.path()).unwrap()).unwrap().problems, Vec::<String>::new());

        let manifest = copy.path().join("crates/hv-rings/Cargo.toml");
        let text = std::fs::read_to_string(&manifest).unwrap();
        let planted = text.replace("[dependencies]\n", "[dependencies]\nhv-session.workspace = true\n");
        assert_ne!(text, planted);
        std::fs::write(&manifest, planted).unwrap();
        assert_eq!(
            floors(&Workspace::load(copy.path()).unwrap()).unwrap().problems,
            ["crates/hv-rings: hv-rings must not depend on hv-session, its sibling on floor 1"]
        );

        std::fs::write(&manifest, text.replace("[lints]\nworkspace = true\n", "")).unwrap();
        let problems = manifests(&Workspace::load(copy.path()).unwrap()).unwrap().problems;
        let planted = "crates/hv-rings/Cargo.toml: needs `[lints]` with `workspace = true`".to_owned();
        assert!(problems.contains(&planted), "{problems:?}");
    }

    /// The manifests of a checkout over empty sources.
    fn copy_manifests(own: &Workspace, to: &Path) {
        for file in &own.files {
            let text = match file.rsplit('/').next().unwrap() {
                "Cargo.toml" => own.text(file).unwrap().unwrap(),
                name if name.ends_with(".rs") => String::new(),
                _ => continue,
            };
            let file = to.join(file);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        }
        capture(crate::command::program("git", to).args(["init", "--quiet"])).unwrap();
    }

    #[test]
    fn weights_are_read_from_the_table() {
        let page = "//! text\n//! | port | feature | weight |\n//! |---|---|---|\n//! | [`a`] | `one` | 7 |\n//! | b | `two` | many |\n";
        assert_eq!(documented(page), [("one".to_owned(), 7)]);
    }

    #[test]
    fn a_package_counts_once_and_two_versions_count_twice() {
        let tree = "hv-x v0.1.0 (/a/b)\nsha2 v0.10.9\ncfg-if v1.0.0\nsha2 v0.10.9 (*)\ncfg-if v0.1.0\n\n";
        assert_eq!(unique(tree).len(), 4);
    }
}
