//! What can be wrong with a session file, where, and what to do about it.

use super::template::BadTemplate;
use super::{MAX_FILE_BYTES, MAX_MANIFEST_BYTES, tree::MAX_DEPTH};
use hv_saga::{Purpose, TaskProblem};
use hv_types::{BadIdent, NotAFraction, RiskOutOfRange};
use serde::de;
use std::fmt;
use std::io;
use std::time::Duration;

/// A session file that cannot be used: which one, on which line, and why.
///
/// Shown as `file:line: what is wrong; what to do`, on one line.
#[derive(Debug)]
pub struct PlanError {
    pub(super) file: String,
    pub(super) line: Option<u32>,
    pub(super) fault: Fault,
}

impl PlanError {
    /// The line, counted from 1; none where the file as a whole is at fault.
    #[must_use]
    pub const fn line(&self) -> Option<u32> {
        self.line
    }

    /// What is wrong.
    #[must_use]
    pub const fn fault(&self) -> &Fault {
        &self.fault
    }
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let message = match self.line {
            Some(line) => format!("{}:{line}: {}", self.file, self.fault),
            None => format!("{}: {}", self.file, self.fault),
        };
        f.write_str(&crate::output::one_line(&message))
    }
}

impl std::error::Error for PlanError {}

/// A fault on a line.
#[derive(Debug)]
pub(super) struct Located {
    pub(super) line: u32,
    pub(super) fault: Fault,
}

/// A format that session files come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// TOML 1.1.
    Toml,
    /// JSON, RFC 8259.
    Json,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Toml => "TOML",
            Self::Json => "JSON",
        })
    }
}

/// One step of the way to a value, from the root of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment {
    /// Into a table.
    Key(String),
    /// Into a list, counted from 0.
    Index(usize),
}

/// The way to a value: `step[2].execute`. Empty at the root.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place(pub(super) Vec<Segment>);

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("the file");
        }
        f.write_str("`")?;
        for (n, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Key(key) => write!(f, "{}{key}", if n == 0 { "" } else { "." })?,
                Segment::Index(index) => write!(f, "[{index}]")?,
            }
        }
        f.write_str("`")
    }
}

/// What the names in a file point at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An `[[agent]]`, by its DID.
    Agent,
    /// An `[[action]]`, by its id.
    Action,
    /// A `[[step]]`, by its id.
    Step,
    /// A `[[setup]]` step, by its id.
    Setup,
    /// An `[[observe]]`, by its name.
    Observation,
    /// An `[[override]]`, by its action.
    Override,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Agent => "agent",
            Self::Action => "action",
            Self::Step => "step",
            Self::Setup => "set-up step",
            Self::Observation => "observation",
            Self::Override => "override",
        })
    }
}

/// Why an undo and an action do not go together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UndoProblem {
    /// The action says that it cannot be taken back.
    Irreversible,
    /// The action changes nothing.
    ReadOnly,
    /// The action says that it can be taken back, and nobody says how.
    Missing,
    /// The action is rehearsed, and has nothing that could be taken back.
    NothingToRehearse,
    /// The action is rehearsed, and nothing could see whether that worked.
    NotProbed,
    /// The action is rehearsed before the work, and this step comes earlier.
    SetUp,
    /// The action is rehearsed, and the step waits for one that cannot be taken back.
    BehindWhatStays,
}

/// Why a duration cannot be read.
#[derive(Debug, Clone, PartialEq)]
pub enum BadDuration {
    /// A number without a unit, in quotes.
    NoUnit(String),
    /// Not a number with a unit.
    Unreadable(String),
    /// A number that is not finite, or negative.
    Number(f64),
    /// More than the longest time that can be told.
    TooLong(String),
}

/// What is wrong with a session file.
#[derive(Debug, PartialEq)]
#[non_exhaustive]
pub enum Fault {
    /// The file cannot be read.
    Unreadable(io::ErrorKind),
    /// The path leads to something that is no file.
    NotAFile,
    /// The file has more bytes than a session file may have.
    TooLarge,
    /// The path, or the work folder's, is not UTF-8.
    PathNotUtf8,
    /// The bytes at this offset are not UTF-8.
    NotUtf8 {
        /// Offset of the first such byte.
        offset: usize,
    },
    /// Not a document of its format.
    Syntax {
        /// The format.
        format: Format,
        /// What the parser says.
        message: String,
    },
    /// Tables and lists nest too deep.
    TooDeep,
    /// A number that cannot be held.
    NumberTooLarge {
        /// As it stands there, cut after 40 characters.
        text: String,
    },
    /// A key twice in one table.
    DuplicateKey {
        /// The key.
        key: String,
    },
    /// A key that means nothing there.
    UnknownKey {
        /// The table.
        place: Place,
        /// The key.
        key: String,
        /// The keys that it may have.
        known: &'static [&'static str],
    },
    /// A key that must be there.
    MissingKey {
        /// The table.
        place: Place,
        /// The key.
        key: &'static str,
    },
    /// A value of a type that does not fit.
    WrongType {
        /// The value.
        place: Place,
        /// What is there.
        found: String,
        /// What should be.
        expected: String,
    },
    /// A word that is none of those allowed.
    UnknownWord {
        /// The value.
        place: Place,
        /// The word.
        word: String,
        /// The words that it may be.
        known: &'static [&'static str],
    },
    /// Something else that a value's own reader says.
    Unfit {
        /// The value.
        place: Place,
        /// What it says.
        message: String,
    },
    /// A table gave a value before its key; a defect of the reader, not of the file.
    KeyWithoutValue,
    /// No step.
    NoSteps,
    /// No agent.
    NoAgents,
    /// More of something than is allowed.
    TooMany {
        /// Of what, in the plural.
        what: &'static str,
        /// How many there are.
        given: usize,
        /// How many there may be.
        limit: usize,
    },
    /// An identifier against its grammar.
    Ident(BadIdent),
    /// A number that is not from 0 to 1.
    Fraction {
        /// The key.
        key: &'static str,
        /// As it stands there.
        given: f64,
        /// Why it is none.
        why: NotAFraction,
    },
    /// A whole number outside its range.
    Count {
        /// The key.
        key: &'static str,
        /// As it stands there.
        given: u64,
        /// The least that is allowed.
        min: u64,
        /// The most that is allowed.
        max: u64,
    },
    /// A share of nothing, where something must be given.
    NothingBonded,
    /// A duration that cannot be read.
    Duration {
        /// The key.
        key: &'static str,
        /// Why not.
        why: BadDuration,
    },
    /// A duration outside its range.
    DurationRange {
        /// The key.
        key: &'static str,
        /// As given.
        given: Duration,
        /// The least that is allowed.
        min: Duration,
        /// The most that is allowed.
        max: Duration,
    },
    /// A first wait longer than the longest.
    DelayOverCap {
        /// The first wait.
        delay: Duration,
        /// The longest.
        cap: Duration,
    },
    /// An agent with both a score and a manifest.
    TwoTrusts {
        /// The agent.
        agent: String,
    },
    /// Something that needs an adapter.
    Adapter(super::BadAdapter),
    /// An agent with neither a score nor a manifest.
    NoTrust {
        /// The agent.
        agent: String,
    },
    /// The same name twice.
    Duplicate {
        /// What it names.
        kind: Kind,
        /// The name.
        name: String,
        /// The line of the first.
        first: u32,
    },
    /// A name that nothing has.
    Unknown {
        /// What it should name.
        kind: Kind,
        /// The name.
        name: String,
        /// The nearest that there is.
        nearest: Option<String>,
    },
    /// A step that waits for the same step twice.
    AfterTwice {
        /// The step that it waits for.
        name: String,
    },
    /// Steps that wait for each other.
    Cycle {
        /// Along the cycle; the first comes again at the end.
        path: Vec<String>,
    },
    /// Agents that vouch for each other.
    VouchCycle {
        /// Along the cycle; the first comes again at the end.
        path: Vec<String>,
    },
    /// An agent that vouches for itself.
    SelfVouch {
        /// The agent.
        agent: String,
    },
    /// More agents than the session takes.
    OverCapacity {
        /// Agents in the file.
        agents: usize,
        /// The session's limit.
        max_participants: u32,
    },
    /// An action that is read-only and admin.
    TwoKinds {
        /// The action.
        action: String,
    },
    /// An action without its reversibility.
    NoReversibility {
        /// The action.
        action: String,
    },
    /// A risk weight that does not belong to the reversibility.
    Risk(RiskOutOfRange),
    /// An action id that is kept for hv.
    Reserved {
        /// The id.
        name: String,
    },
    /// A step that says nowhere what to do.
    NoExecute {
        /// The step.
        step: String,
        /// Its action.
        action: String,
    },
    /// An undo where none can be, or none where one must be.
    Undo {
        /// Whose.
        name: String,
        /// The action.
        action: String,
        /// Why.
        problem: UndoProblem,
    },
    /// Neither a command nor a request.
    EmptyTask {
        /// The value.
        place: &'static str,
    },
    /// A number of steps that cannot be needed.
    Needs {
        /// As it stands there.
        text: String,
        /// How many steps it waits for.
        of: usize,
    },
    /// A parent that is no agent above its child.
    Parent {
        /// The child.
        agent: String,
        /// As it stands there.
        parent: String,
    },
    /// A child that joins by a manifest that is fetched.
    FetchedChild {
        /// The child.
        agent: String,
    },
    /// A step that is to be taken over by its own agent.
    Substitute {
        /// The step.
        step: String,
    },
    /// A text that is no digest of a program.
    Pin {
        /// As it stands there.
        text: String,
    },
    /// A text that cannot go before a path.
    BaseUrl {
        /// As it stands there.
        text: String,
    },
    /// A URL that is only a path, and nothing that goes before it.
    NoBase {
        /// The URL.
        url: String,
    },
    /// A command and a request.
    TwoTasks {
        /// The value.
        place: &'static str,
    },
    /// A key that belongs to a command only.
    CommandOnly {
        /// The key.
        key: &'static str,
    },
    /// A task that cannot be run.
    Task {
        /// Which task of its step.
        purpose: Purpose,
        /// What is wrong with it.
        problem: TaskProblem,
    },
    /// A text with braces that do not fit.
    Template(BadTemplate),
    /// A reference that names no variable or file.
    Reference {
        /// What follows `env:` or `file:`.
        text: String,
    },
    /// `file://`, which may be meant as an address or as a reference.
    FileAddress,
    /// A name in `[paths]` that cannot be a placeholder.
    PathName {
        /// The name.
        name: String,
    },
    /// A folder that would lie outside the work folder.
    PathOutside {
        /// The name.
        name: String,
    },
    /// A variable that is referred to and not set.
    VariableMissing {
        /// The variable.
        name: String,
    },
    /// A file that is referred to and cannot be read.
    FileMissing {
        /// Its path.
        path: String,
        /// Why not.
        why: io::ErrorKind,
    },
    /// A manifest that cannot be used.
    Manifest {
        /// Its path.
        path: String,
        /// Why not.
        why: String,
    },
    /// A file that holds no statement, or not the one that is needed.
    Statement {
        /// Its path.
        path: String,
        /// Why not.
        why: String,
    },
    /// A file that holds no bounds of an intent.
    Bounds {
        /// Its path.
        path: String,
        /// Why not.
        why: String,
    },
    /// An override that sets neither a ring nor a risk.
    NothingSet {
        /// The action.
        action: String,
    },
    /// Findings of a step that is not read-only.
    FindingOfEffect {
        /// The step.
        step: String,
    },
    /// Evidence for a call of a session whose name is made up at every run.
    EvidenceWithoutSession,
    /// A manifest with more bytes than it may have.
    ManifestTooLarge {
        /// Its path.
        path: String,
    },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        super::message::write(self, f)
    }
}

/// A fault that serde reports on the way out of the tree; line and way are added as it passes.
#[derive(Debug)]
pub(super) struct Misfit {
    line: Option<u32>,
    /// The innermost segment first.
    way: Vec<Segment>,
    fault: Fault,
}

impl From<Fault> for Misfit {
    fn from(fault: Fault) -> Self {
        Self { line: None, way: Vec::new(), fault }
    }
}

impl Misfit {
    /// Names the line, unless a value further inside has.
    pub(super) fn at(mut self, line: u32) -> Self {
        self.line.get_or_insert(line);
        self
    }

    /// Adds the next outer segment of the way.
    pub(super) fn inside(mut self, segment: Segment) -> Self {
        self.way.push(segment);
        self
    }

    pub(super) fn into_located(mut self) -> Located {
        self.way.reverse();
        let way = Place(self.way);
        let mut fault = self.fault;
        match &mut fault {
            Fault::UnknownKey { place, .. }
            | Fault::MissingKey { place, .. }
            | Fault::WrongType { place, .. }
            | Fault::UnknownWord { place, .. }
            | Fault::Unfit { place, .. } => *place = way,
            _ => {}
        }
        Located { line: self.line.unwrap_or(1), fault }
    }
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.fault, f)
    }
}

impl std::error::Error for Misfit {}

impl de::Error for Misfit {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Fault::Unfit { place: Place::default(), message: message.to_string() }.into()
    }

    fn invalid_type(found: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        let (found, expected) = (super::message::found(found), super::message::expected(expected));
        Fault::WrongType { place: Place::default(), found, expected }.into()
    }

    fn invalid_value(found: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::invalid_type(found, expected)
    }

    fn unknown_variant(word: &str, known: &'static [&'static str]) -> Self {
        Fault::UnknownWord { place: Place::default(), word: word.into(), known }.into()
    }

    fn unknown_field(key: &str, known: &'static [&'static str]) -> Self {
        Fault::UnknownKey { place: Place::default(), key: key.into(), known }.into()
    }

    fn missing_field(key: &'static str) -> Self {
        Fault::MissingKey { place: Place::default(), key }.into()
    }
}

/// The limits that messages state.
pub(super) const LIMITS: (u64, u64, usize) = (MAX_FILE_BYTES, MAX_MANIFEST_BYTES, MAX_DEPTH);
