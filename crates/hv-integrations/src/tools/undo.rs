//! The catalogue: how calls of well-known servers are taken back.
//!
//! Files by what was there before, the knowledge graph by the inverse call, git by the reference that it had. What
//! has to be known is taken [before](prepare) the call; [`Prepared::called`] notes what the call left, and
//! [`Undo::run`] takes it back, unless somebody else has changed it since.
//!
//! Files and repositories are touched directly, not through the server, so both have to be on this machine.
//! Each entry says with which [shape](Tool::shape) of the tool it was tried; a tool that takes something else is
//! not covered until it is tried again.

use crate::tools::Tool;
use crate::tools::client::{Called, Client, Failure};
use core::fmt;
use hv_types::{Digest, Reversibility};
use serde_json::{Value, json};
use std::fs::{self, Permissions};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The most bytes of a file that are kept so that it can be restored: 16 MiB.
pub const FILE_MAX_BYTES: u64 = 16 << 20;

/// Whether the catalogue covers a tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tried {
    /// It was tried with what the tool takes; so far it can be taken back.
    Yes(Reversibility),
    /// It was tried when the tool took something else.
    WithAnother,
    /// There is no entry.
    No,
}

/// How a call is taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Recipe {
    FileContent,
    FileMove,
    Folder,
    CreateEntities,
    CreateRelations,
    AddObservations,
    DeleteEntities,
    DeleteObservations,
    DeleteRelations,
    Commit,
    Index,
    Branch,
    Checkout,
}

use Recipe as R;
use Reversibility::{Full, Partial};

const FILES: &str = "secure-filesystem-server";
const MEMORY: &str = "memory-server";
const GIT: &str = "mcp-git";

/// Server, tool, the first 16 hexadecimal digits of the shape with which it was tried, how far it is taken back,
/// and how. Tried with server-filesystem and server-memory 2026.8.31 and mcp-server-git 2026.10.19.
const CATALOGUE: [(&str, &str, &str, Reversibility, Recipe); 15] = [
    (FILES, "write_file", "f6cc2e5bd3673806", Full, R::FileContent),
    (FILES, "edit_file", "ee5edad19a3f77a4", Full, R::FileContent),
    (FILES, "move_file", "1797da879c129905", Full, R::FileMove),
    (FILES, "create_directory", "45cabc05ee3f019d", Full, R::Folder),
    (MEMORY, "create_entities", "48362234620122de", Full, R::CreateEntities),
    (MEMORY, "create_relations", "2ae981c594bdb644", Full, R::CreateRelations),
    (MEMORY, "add_observations", "561c777b4ed01aa5", Full, R::AddObservations),
    (MEMORY, "delete_entities", "8cd7901530a49035", Full, R::DeleteEntities),
    (MEMORY, "delete_observations", "b0a53e261eae6860", Full, R::DeleteObservations),
    (MEMORY, "delete_relations", "26e4b06b68d2c307", Full, R::DeleteRelations),
    // The commit stays among the objects, and in the log of references, until git collects it.
    (GIT, "git_commit", "c875d85c9328cdeb", Partial, R::Commit),
    (GIT, "git_add", "b081eab1f465d292", Full, R::Index),
    (GIT, "git_reset", "ef751e34fa368559", Full, R::Index),
    (GIT, "git_create_branch", "fe7e31678c28330b", Full, R::Branch),
    (GIT, "git_checkout", "d5a0bb9f3da11723", Full, R::Checkout),
];

/// Whether the catalogue covers this tool of a server of this name.
#[must_use]
pub fn tried(server: &str, tool: &Tool) -> Tried {
    let entry = CATALOGUE.iter().find(|(of, name, ..)| *of == server && *name == tool.name);
    match entry {
        None => Tried::No,
        Some((_, _, shape, reversibility, _)) if tool.shape.to_string().starts_with(shape) => {
            Tried::Yes(*reversibility)
        }
        Some(_) => Tried::WithAnother,
    }
}

/// Why a call cannot be taken back.
#[derive(Debug)]
pub enum CannotUndo {
    /// The catalogue has no entry for it.
    NotCovered,
    /// What the call asks for is not what the tool takes.
    Arguments {
        /// The argument that is missing or of another kind.
        name: &'static str,
    },
    /// The path is not absolute, or leads out of the folders that the server was given.
    Outside {
        /// The path.
        path: PathBuf,
    },
    /// The file has more than [`FILE_MAX_BYTES`].
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// There is something already where the call would put something.
    Taken {
        /// What.
        name: String,
    },
    /// The tool said that it failed, so nobody knows what it left.
    Failed {
        /// Its words.
        said: String,
    },
    /// Somebody else changed it since.
    Changed {
        /// What.
        name: String,
    },
    /// The server did not do what it was asked.
    Server(Failure),
    /// The operating system refused.
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What it says.
        error: io::Error,
    },
    /// git refused.
    Git {
        /// What it says.
        said: String,
    },
}

impl fmt::Display for CannotUndo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotCovered => f.write_str("no undo is known for this call"),
            Self::Arguments { name } => write!(f, "the call has no usable `{name}`"),
            Self::Outside { path } => {
                write!(f, "{} is not an absolute path inside the folders of the server", path.display())
            }
            Self::TooLarge { path } => {
                write!(f, "{} has more than {FILE_MAX_BYTES} bytes, which is not kept", path.display())
            }
            Self::Taken { name } => write!(f, "there is a `{name}` already"),
            Self::Failed { said } => write!(f, "the tool failed, and nobody knows what it left: {said}"),
            Self::Changed { name } => write!(f, "`{name}` was changed by somebody else since"),
            Self::Server(failure) => failure.fmt(f),
            Self::Io { path, error } => write!(f, "{}: {error}", path.display()),
            Self::Git { said } => write!(f, "git: {said}"),
        }
    }
}

impl core::error::Error for CannotUndo {}

impl From<Failure> for CannotUndo {
    fn from(failure: Failure) -> Self {
        Self::Server(failure)
    }
}

/// What was there before a call. Nothing was changed yet.
#[derive(Debug)]
#[must_use = "call the tool, and then say what it answered"]
pub struct Prepared {
    arguments: Value,
    kept: Kept,
}

/// How a call that was made is taken back.
#[derive(Debug)]
#[must_use = "it takes nothing back until it is run"]
pub struct Undo {
    kept: Kept,
    left: Left,
}

#[derive(Debug)]
enum Kept {
    File {
        path: PathBuf,
        before: Option<(Vec<u8>, Permissions)>,
    },
    Moved {
        from: PathBuf,
        to: PathBuf,
    },
    Folders {
        made: Vec<PathBuf>,
    },
    Calls {
        calls: Vec<(&'static str, Value)>,
    },
    /// What a call adds is told by its answer.
    Answered {
        recipe: Recipe,
        graph: Value,
    },
    Commit {
        repository: PathBuf,
        head: Option<String>,
    },
    Index {
        repository: PathBuf,
        tree: String,
    },
    Branch {
        repository: PathBuf,
        name: String,
    },
    Checkout {
        repository: PathBuf,
        head: String,
    },
}

/// What the call left, to notice that somebody else has been there.
#[derive(Debug)]
enum Left {
    File(Option<Digest>),
    Git(String),
    Unwatched,
}

/// Takes down what has to be known so that a call can be taken back. `roots` are the folders that a server of
/// files was given; a server that nobody trusts must not be asked.
///
/// # Errors
/// [`CannotUndo`]; the call then counts as one that cannot be undone.
pub fn prepare(
    client: &mut Client,
    roots: &[PathBuf],
    tool: &str,
    arguments: &Value,
) -> Result<Prepared, CannotUndo> {
    let server = client.server().name.clone();
    let entry = CATALOGUE.iter().find(|(of, name, ..)| *of == server && *name == tool);
    let (.., recipe) = entry.ok_or(CannotUndo::NotCovered)?;
    let kept = match recipe {
        R::FileContent => {
            let path = inside(roots, arguments, "path")?;
            let before = content(&path)?;
            Kept::File { path, before }
        }
        R::FileMove => {
            let (from, to) = (inside(roots, arguments, "source")?, inside(roots, arguments, "destination")?);
            if to.symlink_metadata().is_ok() {
                return Err(CannotUndo::Taken { name: to.display().to_string() });
            }
            Kept::Moved { from, to }
        }
        R::Folder => {
            let path = inside(roots, arguments, "path")?;
            let missing = path.ancestors().take_while(|folder| folder.symlink_metadata().is_err());
            Kept::Folders { made: missing.map(Path::to_owned).collect() }
        }
        R::CreateEntities | R::CreateRelations | R::AddObservations => {
            Kept::Answered { recipe: *recipe, graph: graph(client)? }
        }
        R::DeleteEntities | R::DeleteObservations | R::DeleteRelations => {
            Kept::Calls { calls: deleted(*recipe, &graph(client)?, arguments)? }
        }
        R::Commit => {
            let repository = repository(arguments)?;
            let head = git(&repository, &["rev-parse", "--verify", "--quiet", "HEAD"]).ok();
            Kept::Commit { repository, head }
        }
        R::Index => {
            let repository = repository(arguments)?;
            let tree = git(&repository, &["write-tree"])?;
            Kept::Index { repository, tree }
        }
        R::Branch => {
            let (repository, name) = (repository(arguments)?, text(arguments, "branch_name")?.to_owned());
            let reference = format!("refs/heads/{name}");
            if git(&repository, &["show-ref", "--verify", "--quiet", &reference]).is_ok() {
                return Err(CannotUndo::Taken { name });
            }
            Kept::Branch { repository, name }
        }
        R::Checkout => {
            let repository = repository(arguments)?;
            let head = git(&repository, &["symbolic-ref", "--quiet", "--short", "HEAD"])
                .or_else(|_| git(&repository, &["rev-parse", "--verify", "HEAD"]))?;
            Kept::Checkout { repository, head }
        }
    };
    Ok(Prepared { arguments: arguments.clone(), kept })
}

impl Prepared {
    /// The call was made, and this is its answer.
    ///
    /// # Errors
    /// [`CannotUndo::Failed`] where the tool failed: what it left then has to be looked at. [`CannotUndo::Io`]
    /// and [`CannotUndo::Git`] where what it left cannot be read.
    pub fn called(self, answer: &Called) -> Result<Undo, CannotUndo> {
        let Self { arguments, kept } = self;
        if answer.failed {
            return Err(CannotUndo::Failed { said: crate::tools::client::cut(&answer.text) });
        }
        let left = match &kept {
            Kept::File { path, .. } => Left::File(digest(path)?),
            Kept::Commit { repository, .. } => Left::Git(git(repository, &["rev-parse", "HEAD"])?),
            Kept::Index { repository, .. } => Left::Git(git(repository, &["write-tree"])?),
            Kept::Branch { repository, name } => {
                Left::Git(git(repository, &["rev-parse", "--verify", &format!("refs/heads/{name}")])?)
            }
            _ => Left::Unwatched,
        };
        let kept = match kept {
            Kept::Answered { recipe, graph } => Kept::Calls { calls: added(recipe, &graph, &arguments)? },
            kept => kept,
        };
        Ok(Undo { kept, left })
    }
}

impl Undo {
    /// Takes the call back.
    ///
    /// # Errors
    /// [`CannotUndo::Changed`] where somebody else changed it since; whatever the server, the operating system
    /// or git say.
    pub fn run(self, client: &mut Client) -> Result<(), CannotUndo> {
        match (self.kept, self.left) {
            (Kept::File { path, before }, Left::File(left)) => {
                if digest(&path)? != left {
                    return Err(CannotUndo::Changed { name: path.display().to_string() });
                }
                restore(&path, before)
            }
            (Kept::Moved { from, to }, _) => {
                if from.symlink_metadata().is_ok() {
                    return Err(CannotUndo::Changed { name: from.display().to_string() });
                }
                fs::rename(&to, &from).map_err(|error| CannotUndo::Io { path: to, error })
            }
            (Kept::Folders { made }, _) => made.into_iter().try_for_each(|path| {
                fs::remove_dir(&path).map_err(|error| match error.kind() {
                    io::ErrorKind::DirectoryNotEmpty => {
                        CannotUndo::Changed { name: path.display().to_string() }
                    }
                    _ => CannotUndo::Io { path: path.clone(), error },
                })
            }),
            (Kept::Calls { calls }, _) => calls.into_iter().try_for_each(|(tool, arguments)| {
                let called = client.call(tool, &arguments)?;
                if called.failed { Err(CannotUndo::Failed { said: called.text }) } else { Ok(()) }
            }),
            (Kept::Commit { repository, head }, Left::Git(left)) => {
                unchanged(&repository, &["rev-parse", "HEAD"], &left, "HEAD")?;
                match head {
                    Some(head) => git(&repository, &["reset", "--quiet", "--soft", &head]).map(drop),
                    None => git(&repository, &["update-ref", "-d", "HEAD", &left]).map(drop),
                }
            }
            (Kept::Index { repository, tree }, Left::Git(left)) => {
                unchanged(&repository, &["write-tree"], &left, "the index")?;
                git(&repository, &["read-tree", &tree]).map(drop)
            }
            (Kept::Branch { repository, name }, Left::Git(left)) => {
                let reference = format!("refs/heads/{name}");
                git(&repository, &["update-ref", "-d", &reference, &left])
                    .map(drop)
                    .map_err(|_| CannotUndo::Changed { name })
            }
            (Kept::Checkout { repository, head }, _) => {
                git(&repository, &["checkout", "--quiet", &head]).map(drop)
            }
            _ => Err(CannotUndo::NotCovered),
        }
    }
}

fn text<'a>(arguments: &'a Value, name: &'static str) -> Result<&'a str, CannotUndo> {
    arguments.get(name).and_then(Value::as_str).ok_or(CannotUndo::Arguments { name })
}

/// A path of the call, with every link in it followed, inside one of the folders.
fn inside(roots: &[PathBuf], arguments: &Value, name: &'static str) -> Result<PathBuf, CannotUndo> {
    let path = PathBuf::from(text(arguments, name)?);
    let outside = || CannotUndo::Outside { path: path.clone() };
    if !path.is_absolute() || path.components().any(|part| part == std::path::Component::ParentDir) {
        return Err(outside());
    }
    // What is there is followed; what the call would make lies below what is there.
    let there = path.ancestors().find(|part| part.symlink_metadata().is_ok()).ok_or_else(outside)?;
    let below = path.strip_prefix(there).map_err(|_| outside())?;
    let mut real = there.canonicalize().map_err(|_| outside())?;
    if below != Path::new("") {
        real.push(below);
    }
    let within = |root: &PathBuf| root.canonicalize().is_ok_and(|root| real.starts_with(root));
    if roots.iter().any(within) { Ok(real) } else { Err(outside()) }
}

fn content(path: &Path) -> Result<Option<(Vec<u8>, Permissions)>, CannotUndo> {
    let io = |error| CannotUndo::Io { path: path.to_owned(), error };
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io(error)),
        Ok(meta) if meta.len() > FILE_MAX_BYTES => Err(CannotUndo::TooLarge { path: path.to_owned() }),
        Ok(meta) => Ok(Some((fs::read(path).map_err(io)?, meta.permissions()))),
    }
}

fn digest(path: &Path) -> Result<Option<Digest>, CannotUndo> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(Digest(*blake3::hash(&bytes).as_bytes()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(CannotUndo::Io { path: path.to_owned(), error }),
    }
}

/// Puts a file back, under another name first, so that nobody sees half of it.
fn restore(path: &Path, before: Option<(Vec<u8>, Permissions)>) -> Result<(), CannotUndo> {
    let io = |error| CannotUndo::Io { path: path.to_owned(), error };
    let Some((bytes, permissions)) = before else { return fs::remove_file(path).map_err(io) };
    let mut beside = path.as_os_str().to_owned();
    beside.push(".hv-undo");
    let beside = PathBuf::from(beside);
    let put = || {
        fs::write(&beside, bytes)?;
        fs::set_permissions(&beside, permissions)?;
        fs::rename(&beside, path)
    };
    put().map_err(io)
}

fn graph(client: &mut Client) -> Result<Value, CannotUndo> {
    let called = client.call("read_graph", &json!({}))?;
    let protocol = || CannotUndo::Server(Failure::Protocol { what: "`read_graph` answers with a graph" });
    if called.failed {
        return Err(CannotUndo::Failed { said: called.text });
    }
    called.structured.or_else(|| serde_json::from_str(&called.text).ok()).ok_or_else(protocol)
}

fn list<'a>(of: &'a Value, name: &'static str) -> Result<&'a Vec<Value>, CannotUndo> {
    of.get(name).and_then(Value::as_array).ok_or(CannotUndo::Arguments { name })
}

/// The entity of this name in a graph.
fn entity<'a>(graph: &'a Value, name: &Value) -> Option<&'a Value> {
    graph.get("entities")?.as_array()?.iter().find(|entity| entity.get("name") == Some(name))
}

fn observations(graph: &Value, name: &Value) -> Vec<Value> {
    let held = entity(graph, name).and_then(|entity| entity.get("observations")).and_then(Value::as_array);
    held.cloned().unwrap_or_default()
}

/// The calls that take back what a call added to what was there before.
fn added(
    recipe: Recipe,
    before: &Value,
    arguments: &Value,
) -> Result<Vec<(&'static str, Value)>, CannotUndo> {
    Ok(match recipe {
        R::CreateEntities => {
            let names = list(arguments, "entities")?.iter().filter_map(|entity| entity.get("name"));
            let new: Vec<&Value> = names.filter(|name| entity(before, name).is_none()).collect();
            vec![("delete_entities", json!({ "entityNames": new }))]
        }
        R::CreateRelations => {
            let known = list(before, "relations")?;
            let new: Vec<&Value> =
                list(arguments, "relations")?.iter().filter(|relation| !known.contains(relation)).collect();
            vec![("delete_relations", json!({ "relations": new }))]
        }
        _ => {
            let mut deletions = Vec::new();
            for addition in list(arguments, "observations")? {
                let name = addition.get("entityName").unwrap_or(&Value::Null);
                let held = observations(before, name);
                let new: Vec<&Value> =
                    list(addition, "contents")?.iter().filter(|content| !held.contains(content)).collect();
                deletions.push(json!({ "entityName": name, "observations": new }));
            }
            vec![("delete_observations", json!({ "deletions": deletions }))]
        }
    })
}

/// The calls that bring back what a call deletes.
fn deleted(
    recipe: Recipe,
    before: &Value,
    arguments: &Value,
) -> Result<Vec<(&'static str, Value)>, CannotUndo> {
    Ok(match recipe {
        R::DeleteEntities => {
            let names = list(arguments, "entityNames")?;
            let gone = |name: Option<&Value>| name.is_some_and(|name| names.contains(name));
            let entities: Vec<&Value> =
                list(before, "entities")?.iter().filter(|entity| gone(entity.get("name"))).collect();
            let relations = list(before, "relations")?.iter();
            let relations: Vec<&Value> =
                relations.filter(|edge| gone(edge.get("from")) || gone(edge.get("to"))).collect();
            vec![
                ("create_entities", json!({ "entities": entities })),
                ("create_relations", json!({ "relations": relations })),
            ]
        }
        R::DeleteRelations => {
            let known = list(before, "relations")?;
            let back: Vec<&Value> =
                list(arguments, "relations")?.iter().filter(|relation| known.contains(relation)).collect();
            vec![("create_relations", json!({ "relations": back }))]
        }
        _ => {
            let mut back = Vec::new();
            for deletion in list(arguments, "deletions")? {
                let name = deletion.get("entityName").unwrap_or(&Value::Null);
                let held = observations(before, name);
                let gone: Vec<&Value> =
                    list(deletion, "observations")?.iter().filter(|content| held.contains(content)).collect();
                if !gone.is_empty() {
                    back.push(json!({ "entityName": name, "contents": gone }));
                }
            }
            vec![("add_observations", json!({ "observations": back }))]
        }
    })
}

fn repository(arguments: &Value) -> Result<PathBuf, CannotUndo> {
    let path = PathBuf::from(text(arguments, "repo_path")?);
    if path.is_absolute() { Ok(path) } else { Err(CannotUndo::Outside { path }) }
}

fn git(repository: &Path, arguments: &[&str]) -> Result<String, CannotUndo> {
    let output = Command::new("git").arg("-C").arg(repository).args(arguments).output();
    let output = output.map_err(|error| CannotUndo::Git { said: error.to_string() })?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    } else {
        let said = String::from_utf8_lossy(&output.stderr);
        Err(CannotUndo::Git { said: crate::tools::client::cut(said.trim()) })
    }
}

fn unchanged(repository: &Path, ask: &[&str], left: &str, name: &str) -> Result<(), CannotUndo> {
    if git(repository, ask)? == left { Ok(()) } else { Err(CannotUndo::Changed { name: name.to_owned() }) }
}
