//! The document in which an agent says what it will do, and nothing else.

use super::amount::Amount;
use super::place::{is_host_bound, normal, told};
use super::rest::Rest;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;
use hv_types::wire::Reader;
use hv_types::{ActionId, Undecodable, Wire};

/// The action that declares an intent: the call that the agent signs has this name, and the digest of its bounds for
/// its parameters.
pub const INTENT: &str = "hv.intent";

/// How long an intent lasts where nothing else is said.
pub const LASTS: Duration = Duration::from_secs(3600);

/// How long an intent may last.
pub const LASTS_AT_MOST: Duration = Duration::from_secs(24 * 3600);

/// How many actions an intent may name.
pub const MAX_ACTIONS: usize = 64;

/// How many items each list of bounds may have.
pub const MAX_ITEMS: usize = 64;

/// How long each text in bounds may be.
pub const MAX_TEXT_BYTES: usize = 1024;

/// What an agent binds itself to: the actions that it will call, each with bounds of its parameters, how often, and
/// for how long.
///
/// Its encoding is canonical, so the same bounds have one digest. INVARIANT (A4)
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bounds {
    actions: BTreeMap<ActionId, Allowed>,
    calls: Option<u32>,
    lasts: Duration,
}

/// One action within an intent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowed {
    /// How often it may be called; as often as all calls together where nothing is said.
    pub calls: Option<u32>,
    /// What its calls may do.
    pub what: What,
}

/// What the calls of an action may do. Of another kind they may do nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// Run programs.
    Command {
        /// How programs are run.
        bounds: CommandBounds,
    },
    /// Send requests.
    Http {
        /// What is sent where.
        bounds: HttpBounds,
    },
    /// Read or change files of the session.
    Files {
        /// Files, and folders with all below them: `/src`. `/` for all, without which nothing is done to the file
        /// space as a whole.
        paths: BTreeSet<String>,
    },
    /// Call functions of the embedding program, of whose parameters nothing is known here.
    Functions {
        /// Their names.
        names: BTreeSet<String>,
    },
}

/// Bounds of the programs that are run. What is empty lets nothing through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandBounds {
    /// What may be run: any of these.
    pub commands: BTreeSet<CommandLine>,
    /// Where: in these folders and below, as the folder is written and as it really is; `/` for anywhere, also where it
    /// is not said.
    pub folders: BTreeSet<String>,
    /// The variables that may be set, whatever to.
    pub variables: BTreeSet<String>,
    /// Whether it may be given input, whatever it is.
    pub input: bool,
}

/// A program, the arguments that it begins with, and what may follow.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct CommandLine {
    /// The program and its first arguments, exactly so.
    pub argv: Vec<String>,
    /// How many arguments may follow.
    pub more: u32,
    /// What each of those may be.
    pub rest: Rest,
}

/// Bounds of the requests that are sent. What is empty lets nothing through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpBounds {
    /// The methods, in capitals.
    pub methods: BTreeSet<String>,
    /// The hosts: `api.example.com` at the scheme's own port, `api.example.com:8080`, or `.example.com` for all below.
    pub hosts: BTreeSet<String>,
    /// The paths without escapes, and what is below them; `/` for all.
    pub paths: BTreeSet<String>,
    /// The headers that may be set, in lower case, whatever to.
    pub headers: BTreeSet<String>,
    /// Whether something may follow a question mark, whatever it is.
    pub query: bool,
    /// Whether something may be sent in the body.
    pub body: bool,
    /// What must be in the body, by JSON pointer; then it must be JSON, and sent as it stands in the step.
    pub amounts: BTreeMap<String, AmountBound>,
}

/// A bound of an amount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AmountBound {
    /// How much at most.
    pub most: Amount,
    /// What the amount is in.
    pub unit: Option<Unit>,
}

/// What an amount is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// Where the body says so: a JSON pointer.
    pub at: String,
    /// What it must say there.
    pub is: String,
}

hv_types::wire_struct!(Allowed { calls, what });
hv_types::wire_struct!(CommandBounds { commands, folders, variables, input });
hv_types::wire_struct!(CommandLine { argv, more, rest });
hv_types::wire_struct!(HttpBounds { methods, hosts, paths, headers, query, body, amounts });
hv_types::wire_struct!(AmountBound { most, unit });
hv_types::wire_struct!(Unit { at, is });

/// Why bounds bind nobody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BadBounds {
    /// More of something than there may be.
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many there may be.
        most: usize,
    },
    /// They last no time, or longer than [`LASTS_AT_MOST`].
    Lasts {
        /// How long.
        lasts: Duration,
    },
    /// Something is written as nothing could match it.
    Text {
        /// What it is to be.
        what: &'static str,
        /// As it is written.
        given: String,
    },
    /// Amounts are bound in a body that may not be sent.
    AmountsWithoutBody,
}

impl fmt::Display for BadBounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooMany { what, most } => write!(f, "bounds have at most {most} {what}"),
            Self::Lasts { lasts } => {
                let most = LASTS_AT_MOST.as_secs();
                write!(f, "an intent lasts some time and at most {most} s; this one would last {lasts:?}")
            }
            Self::Text { what, given } => write!(f, "`{given}` is no {what}"),
            Self::AmountsWithoutBody => f.write_str("amounts are bound in a body; let one be sent"),
        }
    }
}

impl core::error::Error for BadBounds {}

impl Bounds {
    /// Binds calls to these actions, and so many of them together, where a number is given. Without actions it binds
    /// to doing nothing.
    ///
    /// # Errors
    /// [`BadBounds`] with the first thing that is wrong.
    pub fn new(
        actions: BTreeMap<ActionId, Allowed>,
        calls: Option<u32>,
        lasts: Duration,
    ) -> Result<Self, BadBounds> {
        few("actions", actions.len(), MAX_ACTIONS)?;
        if lasts.is_zero() || lasts > LASTS_AT_MOST {
            return Err(BadBounds::Lasts { lasts });
        }
        actions.values().try_for_each(|allowed| allowed.what.check())?;
        Ok(Self { actions, calls, lasts })
    }

    /// The actions, each with its bounds.
    #[must_use]
    pub const fn actions(&self) -> &BTreeMap<ActionId, Allowed> {
        &self.actions
    }

    /// How many calls all together.
    #[must_use]
    pub const fn calls(&self) -> Option<u32> {
        self.calls
    }

    /// For how long, from when it is declared.
    #[must_use]
    pub const fn lasts(&self) -> Duration {
        self.lasts
    }
}

impl Wire for Bounds {
    fn put(&self, out: &mut Vec<u8>) {
        self.actions.put(out);
        self.calls.put(out);
        self.lasts.put(out);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, Undecodable> {
        let (actions, calls, lasts) = (Wire::take(reader)?, Wire::take(reader)?, Wire::take(reader)?);
        Self::new(actions, calls, lasts).map_err(|_| reader.invalid("Bounds"))
    }
}

/// Tags 0 and 4 are programs: 4 where a line says what may follow, and 0 where none does, as before it could be said.
impl Wire for What {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Command { bounds } if bounds.looks_at_the_rest() => {
                out.push(4);
                bounds.put(out);
            }
            Self::Command { bounds } => {
                out.push(0);
                bounds.put_plain(out);
            }
            Self::Http { bounds } => {
                out.push(1);
                bounds.put(out);
            }
            Self::Files { paths } => {
                out.push(2);
                paths.put(out);
            }
            Self::Functions { names } => {
                out.push(3);
                names.put(out);
            }
        }
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, Undecodable> {
        Ok(match reader.byte()? {
            0 => Self::Command { bounds: CommandBounds::take_plain(reader)? },
            1 => Self::Http { bounds: Wire::take(reader)? },
            2 => Self::Files { paths: Wire::take(reader)? },
            3 => Self::Functions { names: Wire::take(reader)? },
            4 => {
                let bounds = CommandBounds::take(reader)?;
                // Otherwise the same bounds had two encodings.
                if !bounds.looks_at_the_rest() {
                    return Err(reader.invalid("What"));
                }
                Self::Command { bounds }
            }
            tag => return Err(reader.unknown_tag("What", tag)),
        })
    }
}

impl What {
    fn check(&self) -> Result<(), BadBounds> {
        let path = |path: &str| normal(path).is_some();
        match self {
            Self::Command { bounds } => bounds.check(),
            Self::Http { bounds } => bounds.check(),
            Self::Files { paths } => texts("path, such as /src", paths, path),
            Self::Functions { names } => texts("name of a function", names, |name| !name.is_empty()),
        }
    }
}

impl CommandBounds {
    fn check(&self) -> Result<(), BadBounds> {
        few("commands", self.commands.len(), MAX_ITEMS)?;
        for CommandLine { argv, rest, .. } in &self.commands {
            let program = argv.first().map_or("", String::as_str);
            text("program", program, !program.is_empty())?;
            few("arguments", argv.len(), MAX_ITEMS)?;
            argv.iter().try_for_each(|argument| text("argument", argument, !argument.contains('\0')))?;
            match rest {
                Rest::Any | Rest::Operands => {}
                Rest::Words { words } => texts("argument", words, |word| !word.contains('\0'))?,
                Rest::Paths { folders } => {
                    texts("absolute folder", folders, |folder| normal(folder).is_some())?;
                }
            }
        }
        texts("absolute folder", &self.folders, |folder| normal(folder).is_some())?;
        texts("variable", &self.variables, |name| !name.is_empty() && !name.contains(['=', '\0']))
    }
}

impl HttpBounds {
    fn check(&self) -> Result<(), BadBounds> {
        let capitals = |method: &str| !method.is_empty() && method.bytes().all(|b| b.is_ascii_uppercase());
        texts("method, such as POST", &self.methods, capitals)?;
        texts("host, such as api.example.com or .example.com", &self.hosts, is_host_bound)?;
        texts("path, such as /v1", &self.paths, |path| normal(path).is_some())?;
        let lower = |name: &str| !name.is_empty() && !name.bytes().any(|b| b.is_ascii_uppercase());
        texts("header in lower case", &self.headers, lower)?;
        few("amounts", self.amounts.len(), MAX_ITEMS)?;
        for (at, AmountBound { unit, .. }) in &self.amounts {
            let pointers = unit.iter().map(|unit| &unit.at).chain([at]);
            pointers
                .into_iter()
                .try_for_each(|at| text("JSON pointer, such as /amount", at, at.starts_with('/')))?;
            unit.iter().try_for_each(|unit| text("unit", &unit.is, !unit.is.is_empty()))?;
        }
        if self.amounts.is_empty() || self.body { Ok(()) } else { Err(BadBounds::AmountsWithoutBody) }
    }
}

fn few(what: &'static str, count: usize, most: usize) -> Result<(), BadBounds> {
    if count > most { Err(BadBounds::TooMany { what, most }) } else { Ok(()) }
}

fn text(what: &'static str, given: &str, good: bool) -> Result<(), BadBounds> {
    let good = good && given.len() <= MAX_TEXT_BYTES;
    if good { Ok(()) } else { Err(BadBounds::Text { what, given: told(given) }) }
}

fn texts(what: &'static str, items: &BTreeSet<String>, good: impl Fn(&str) -> bool) -> Result<(), BadBounds> {
    few("items in a list", items.len(), MAX_ITEMS)?;
    items.iter().try_for_each(|item| text(what, item, good(item)))
}
