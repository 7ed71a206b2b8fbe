//! A checkout as the tools see it: its packages and its files.

use crate::command;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// A checkout of this repository, or of a copy of it.
#[derive(Debug)]
pub(crate) struct Workspace {
    /// The folder of the root manifest.
    pub(crate) root: PathBuf,
    /// Where cargo builds.
    pub(crate) target: PathBuf,
    /// The members, by name.
    pub(crate) packages: Vec<Package>,
    /// The files that git keeps or would keep, relative to the root.
    pub(crate) files: Vec<String>,
}

/// A member of the workspace.
#[derive(Debug, Clone)]
pub(crate) struct Package {
    pub(crate) name: String,
    /// Relative to the root, such as `crates/hv-types`.
    pub(crate) folder: String,
    pub(crate) features: Vec<String>,
    pub(crate) dependencies: Vec<Dependency>,
}

/// A line under one of a manifest's dependency headings.
#[derive(Debug, Clone)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    pub(crate) kind: Kind,
}

/// The heading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Normal,
    Build,
    Dev,
}

/// The checkout that this program was built in.
pub(crate) fn own_root() -> Result<PathBuf, String> {
    let own = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    Path::new(&own).parent().map(Path::to_path_buf).ok_or_else(|| "xtask lies in no workspace".to_owned())
}

impl Workspace {
    /// Reads the members from `cargo metadata` and the files from `git ls-files`.
    pub(crate) fn load(root: &Path) -> Result<Self, String> {
        let root = root.canonicalize().map_err(|e| format!("{}: {e}", root.display()))?;
        let metadata =
            command::capture(command::cargo(&root).args(["metadata", "--no-deps", "--format-version", "1"]))?;
        let metadata: Value = serde_json::from_str(&metadata).map_err(|e| format!("cargo metadata: {e}"))?;
        let target = PathBuf::from(text(&metadata, "target_directory")?);
        let mut packages = list(&metadata, "packages")?
            .iter()
            .map(|package| Package::read(package, &root))
            .collect::<Result<Vec<_>, _>>()?;
        packages.sort_by(|a, b| a.name.cmp(&b.name));
        let files = command::capture(command::program("git", &root).args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ]))?;
        let mut files: Vec<String> = files.split_terminator('\0').map(str::to_owned).collect();
        files.sort();
        files.dedup();
        // A file that is deleted and not yet committed is still in git's index.
        files.retain(|file| root.join(file).is_file());
        Ok(Self { root, target, packages, files })
    }

    /// The packages under `crates/`: what others depend on, and the program.
    pub(crate) fn crates(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|package| package.folder.starts_with("crates/"))
    }

    /// A file's text, or `None` where it is not text.
    pub(crate) fn text(&self, file: &str) -> Result<Option<String>, String> {
        let bytes = std::fs::read(self.root.join(file)).map_err(|e| format!("{file}: {e}"))?;
        Ok(String::from_utf8(bytes).ok())
    }

    /// The Rust sources with their text.
    pub(crate) fn sources(&self) -> Result<Vec<(&str, String)>, String> {
        let mut sources = Vec::new();
        for file in self.files.iter().filter(|file| file.ends_with(".rs")) {
            let text = self.text(file)?.ok_or_else(|| format!("{file}: not UTF-8"))?;
            sources.push((file.as_str(), text));
        }
        Ok(sources)
    }
}

impl Package {
    fn read(package: &Value, root: &Path) -> Result<Self, String> {
        let manifest = Path::new(text(package, "manifest_path")?);
        let folder = manifest.parent().and_then(|folder| folder.strip_prefix(root).ok());
        let folder = folder.ok_or_else(|| format!("{} lies outside the workspace", manifest.display()))?;
        let features = package.get("features").and_then(Value::as_object);
        let features = features.map(|f| f.keys().filter(|name| *name != "default").cloned().collect());
        Ok(Self {
            name: text(package, "name")?.to_owned(),
            folder: folder.to_string_lossy().into_owned(),
            features: features.unwrap_or_default(),
            dependencies: list(package, "dependencies")?
                .iter()
                .map(Dependency::read)
                .collect::<Result<Vec<_>, _>>()?,
        })
    }
}

impl Dependency {
    fn read(dependency: &Value) -> Result<Self, String> {
        let kind = match dependency.get("kind").and_then(Value::as_str) {
            None => Kind::Normal,
            Some("build") => Kind::Build,
            Some("dev") => Kind::Dev,
            Some(other) => return Err(format!("cargo metadata names a dependency of kind `{other}`")),
        };
        Ok(Self { name: text(dependency, "name")?.to_owned(), kind })
    }
}

fn text<'a>(value: &'a Value, field: &str) -> Result<&'a str, String> {
    value.get(field).and_then(Value::as_str).ok_or_else(|| format!("cargo metadata gives no `{field}`"))
}

fn list<'a>(value: &'a Value, field: &str) -> Result<&'a Vec<Value>, String> {
    value.get(field).and_then(Value::as_array).ok_or_else(|| format!("cargo metadata gives no `{field}`"))
}
