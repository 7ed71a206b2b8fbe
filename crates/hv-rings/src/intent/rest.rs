//! What may follow the arguments that a line of bounds names.

use super::bounds::{CommandBounds, CommandLine};
use super::place::{full, listed, path_within};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use hv_types::wire::Reader;
use hv_types::{Undecodable, Wire};

/// Where paths really are once every link is followed, by how they are written in full. Where one is that is not in here
/// is not known, and so it is within no folder.
pub type Places = BTreeMap<String, String>;

/// What each argument may be that follows those that are named.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Rest {
    /// Whatever it is.
    #[default]
    Any,
    /// An operand: nothing that begins with a dash, and so no option.
    Operands,
    /// One of these words.
    Words {
        /// The words, exactly so.
        words: BTreeSet<String>,
    },
    /// The path of something in these folders or below, as it is written and as it really is. From the folder in which
    /// the program runs where it does not begin with a slash; never with a dash, and without `.` and `..`.
    Paths {
        /// The folders; `/` for anywhere.
        folders: BTreeSet<String>,
    },
}

hv_types::wire_enum!(Rest {
    0 => Any {},
    1 => Operands {},
    2 => Words { words },
    3 => Paths { folders },
});

/// Whether an argument is an operand.
fn operand(argument: &str) -> bool {
    !argument.starts_with('-')
}

impl Rest {
    /// Whether an argument may follow, for a program that runs in this folder.
    pub(super) fn holds(&self, argument: &str, folder: Option<&str>, real: &Places) -> bool {
        match self {
            Self::Paths { folders } => {
                let path = full(argument, folder).filter(|_| operand(argument));
                path.is_some_and(|path| astray(&path, folders, real).is_none())
            }
            _ => self.names(argument),
        }
    }

    /// Whether an argument may follow wherever the program runs, and whatever links there are.
    fn names(&self, argument: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Operands => operand(argument),
            Self::Words { words } => words.contains(argument),
            Self::Paths { .. } => false,
        }
    }

    /// Whether whatever may follow here may follow there.
    fn narrows(&self, other: &Self) -> bool {
        match (self, other) {
            (_, Self::Any) | (Self::Operands | Self::Paths { .. }, Self::Operands) => true,
            (Self::Words { words }, other) => words.iter().all(|word| other.names(word)),
            (Self::Paths { folders }, Self::Paths { folders: before }) => {
                folders.iter().all(|folder| before.iter().any(|bound| path_within(folder, bound)))
            }
            _ => false,
        }
    }

    /// What it lets through, for people.
    pub(super) fn words(&self) -> String {
        match self {
            Self::Any => String::from("whatever it is"),
            Self::Operands => String::from("what begins with no dash"),
            Self::Words { words } => listed(words),
            Self::Paths { folders } => listed(folders),
        }
    }
}

/// Where a path is that is in none of these folders, nor below one, as it is written or as it really is.
pub(super) fn astray(path: &str, folders: &BTreeSet<String>, real: &Places) -> Option<String> {
    let below = |path: &str| folders.iter().any(|folder| path_within(path, folder));
    if !below(path) {
        return Some(String::from(path));
    }
    let real = real.get(path);
    let within = folders.contains("/") || real.is_some_and(|real| below(real));
    (!within).then(|| match real {
        Some(real) => format!("{real} (by {path})"),
        None => format!("{path}, and where that is cannot be told"),
    })
}

impl CommandLine {
    /// What follows the arguments that it names, where it names those and no more follow than may.
    pub(super) fn beyond<'a>(&self, argv: &'a [String]) -> Option<&'a [String]> {
        let beyond = argv.strip_prefix(self.argv.as_slice())?;
        (beyond.len() <= self.at_most()).then_some(beyond)
    }

    /// Whether whatever it lets through is let through there.
    pub(super) fn narrows(&self, other: &Self) -> bool {
        let Some(named) = self.argv.strip_prefix(other.argv.as_slice()) else { return false };
        let follow = named.len().saturating_add(self.at_most());
        follow <= other.at_most()
            && named.iter().all(|argument| other.rest.names(argument))
            && (self.more == 0 || self.rest.narrows(&other.rest))
    }

    fn at_most(&self) -> usize {
        usize::try_from(self.more).unwrap_or(usize::MAX)
    }

    /// It, for people.
    pub(super) fn words(&self) -> String {
        let (named, more) = (self.argv.join(" "), self.more);
        match &self.rest {
            _ if more == 0 => named,
            Rest::Any => format!("{named} and at most {more} more"),
            rest => format!("{named} and at most {more} more ({})", rest.words()),
        }
    }
}

impl CommandBounds {
    /// Whether a line of it says what may follow.
    pub(super) fn looks_at_the_rest(&self) -> bool {
        self.commands.iter().any(|line| line.rest != Rest::Any)
    }

    /// As it was encoded before a line could say what may follow; none does.
    pub(super) fn put_plain(&self, out: &mut Vec<u8>) {
        let Self { commands, folders, variables, input } = self;
        let lines: Vec<(Vec<String>, u32)> =
            commands.iter().map(|CommandLine { argv, more, .. }| (argv.clone(), *more)).collect();
        lines.put(out);
        folders.put(out);
        variables.put(out);
        input.put(out);
    }

    /// As it was encoded before a line could say what may follow.
    pub(super) fn take_plain(reader: &mut Reader<'_>) -> Result<Self, Undecodable> {
        let lines: BTreeSet<(Vec<String>, u32)> = Wire::take(reader)?;
        let commands = lines.into_iter().map(|(argv, more)| CommandLine { argv, more, rest: Rest::Any });
        let commands = commands.collect();
        let (folders, variables, input) = (Wire::take(reader)?, Wire::take(reader)?, Wire::take(reader)?);
        Ok(Self { commands, folders, variables, input })
    }
}
