//! Who must have signed: logs, witnesses, and how many of which (C2SP tlog-policy).

use super::checkpoint::{BadCheckpoint, Checkpoint};
use super::decimal;
use super::key::{BadKeyText, KeyKind, NoteVerifier, VerifierKey};
use super::note::Note;
use core::fmt;
use core::str::FromStr;

/// The most lines of a policy that define something.
pub const POLICY_MAX_LINES: usize = 256;

/// Which logs are known, which witnesses are, and which of them are enough.
///
/// ```
/// use hv_audit::Policy;
///
/// let policy: Policy = "\
/// ## one of two
/// witness a w.example/a+d928894a+BAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB
/// witness b w.example/b+10bdca78+BAICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIC
/// group both any a b
/// quorum both
/// ".parse()?;
/// assert_eq!(policy.witnesses().count(), 2);
/// # Ok::<(), hv_audit::BadPolicy>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Policy {
    logs: Vec<VerifierKey>,
    members: Vec<(String, Member)>,
    /// The place of the member that decides; without one, no witness is needed.
    quorum: Option<usize>,
}

/// A witness, or a group of what stands before it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Member {
    Witness(VerifierKey),
    Group { least: usize, members: Vec<usize> },
}

/// Why a text is no policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadPolicy {
    /// The line, from 1; 0 where the whole text is meant.
    pub line: usize,
    /// What is wrong.
    pub cause: BadPolicyCause,
}

/// What is wrong with a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadPolicyCause {
    /// Neither `log`, `witness`, `group` nor `quorum`, or too few or too many words behind it.
    Line,
    /// The key is none.
    Key(BadKeyText),
    /// A log's key where a witness's should be, or the other way.
    Kind,
    /// The key or the name was there before.
    Again,
    /// No witness or group of this name stands above.
    Unknown,
    /// A group of none, or the number of members that are needed is not from 1 to their number.
    Least,
    /// A member belongs to two groups, so it would count twice.
    Shared,
    /// There is no `quorum` line, or a second one.
    Quorum,
    /// It has more than [`POLICY_MAX_LINES`] lines.
    TooLong,
}

impl Policy {
    /// Any `least` of these witnesses; with 0, none is needed.
    ///
    /// # Errors
    /// [`BadPolicyCause::Kind`], [`BadPolicyCause::Again`] and [`BadPolicyCause::Least`].
    pub fn least_of(least: usize, witnesses: Vec<VerifierKey>) -> Result<Self, BadPolicy> {
        let mut policy = Self::default();
        let count = witnesses.len();
        for (at, key) in witnesses.into_iter().enumerate() {
            policy.add_witness(&format!("{at}"), key).map_err(|cause| BadPolicy { line: 0, cause })?;
        }
        if least > count {
            return Err(BadPolicy { line: 0, cause: BadPolicyCause::Least });
        }
        if least > 0 {
            policy.members.push((String::new(), Member::Group { least, members: (0..count).collect() }));
            policy.quorum = Some(count);
        }
        Ok(policy)
    }

    /// The logs that are known.
    #[must_use]
    pub fn logs(&self) -> &[VerifierKey] {
        &self.logs
    }

    /// The witnesses that are known.
    pub fn witnesses(&self) -> impl Iterator<Item = &VerifierKey> {
        self.members.iter().filter_map(|(_, member)| match member {
            Member::Witness(key) => Some(key),
            Member::Group { .. } => None,
        })
    }

    /// Whether any witness is needed at all.
    #[must_use]
    pub const fn needs_witnesses(&self) -> bool {
        self.quorum.is_some()
    }

    /// Whether enough of the witnesses cosigned; gives how many of the known ones did.
    ///
    /// # Errors
    /// Those of [`Checkpoint::witnessed`].
    pub fn check(&self, note: &Note, verifier: &dyn NoteVerifier) -> Result<Quorum, BadCheckpoint> {
        let signed = Checkpoint::witnessed(note, self.witnesses(), verifier)?;
        let mut reached: Vec<bool> = Vec::with_capacity(self.members.len());
        for (_, member) in &self.members {
            let is = match member {
                Member::Witness(key) => signed.iter().any(|signed| signed.key == key),
                Member::Group { least, members } => {
                    members.iter().filter(|at| reached.get(**at) == Some(&true)).count() >= *least
                }
            };
            reached.push(is);
        }
        let reached = self.quorum.is_some_and(|at| reached.get(at) == Some(&true));
        Ok(Quorum { witnesses: signed.len(), reached, oldest: signed.iter().filter_map(|s| s.time).min() })
    }

    fn add_witness(&mut self, name: &str, key: VerifierKey) -> Result<(), BadPolicyCause> {
        if key.kind() != KeyKind::Cosigner {
            return Err(BadPolicyCause::Kind);
        }
        if self.witnesses().any(|other| other.key() == key.key()) {
            return Err(BadPolicyCause::Again);
        }
        self.add_member(name, Member::Witness(key))
    }

    fn add_member(&mut self, name: &str, member: Member) -> Result<(), BadPolicyCause> {
        if name == NONE || self.place(name).is_ok() {
            return Err(BadPolicyCause::Again);
        }
        self.members.push((name.to_owned(), member));
        Ok(())
    }

    fn place(&self, name: &str) -> Result<usize, BadPolicyCause> {
        self.members.iter().position(|(known, _)| known == name).ok_or(BadPolicyCause::Unknown)
    }

    fn is_in_a_group(&self, place: usize) -> bool {
        self.members
            .iter()
            .any(|(_, member)| matches!(member, Member::Group { members, .. } if members.contains(&place)))
    }

    /// Takes a line up; answers whether it was the quorum.
    fn read_line(&mut self, words: &[&str]) -> Result<bool, BadPolicyCause> {
        let key = |text: &str| text.parse::<VerifierKey>().map_err(BadPolicyCause::Key);
        match words {
            ["log", vkey] | ["log", vkey, _] => {
                let key = key(vkey)?;
                if key.kind() != KeyKind::Signer {
                    return Err(BadPolicyCause::Kind);
                }
                if self.logs.iter().any(|other| other.key() == key.key()) {
                    return Err(BadPolicyCause::Again);
                }
                self.logs.push(key);
            }
            ["witness", name, vkey] | ["witness", name, vkey, _] => self.add_witness(name, key(vkey)?)?,
            ["group", name, least, members @ ..] => {
                let mut places = Vec::new();
                for member in members {
                    let place = self.place(member)?;
                    if places.contains(&place) || self.is_in_a_group(place) {
                        return Err(BadPolicyCause::Shared);
                    }
                    places.push(place);
                }
                let least = match *least {
                    "all" => Some(places.len()),
                    "any" => Some(1),
                    number => decimal(number).and_then(|number| usize::try_from(number).ok()),
                };
                let least = least.filter(|least| (1..=places.len()).contains(least));
                let least = least.ok_or(BadPolicyCause::Least)?;
                self.add_member(name, Member::Group { least, members: places })?;
            }
            ["quorum", name] => {
                self.quorum = if *name == NONE { None } else { Some(self.place(name)?) };
                return Ok(true);
            }
            _ => return Err(BadPolicyCause::Line),
        }
        Ok(false)
    }
}

/// What a policy says of a note.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quorum {
    /// How many of the known witnesses cosigned it.
    pub witnesses: usize,
    /// Whether those are enough; never where none is needed.
    pub reached: bool,
    /// The earliest of their times, in seconds since 1970.
    pub oldest: Option<u64>,
}

/// The member that stands for nobody.
const NONE: &str = "none";

impl FromStr for Policy {
    type Err = BadPolicy;

    fn from_str(text: &str) -> Result<Self, BadPolicy> {
        let (mut policy, mut decided, mut lines) = (Self::default(), false, 0);
        for (line, text) in (1..).zip(text.split('\n')) {
            let bad = |cause| BadPolicy { line, cause };
            let words: Vec<&str> = text.split([' ', '\t']).filter(|word| !word.is_empty()).collect();
            if words.first().is_none_or(|word| word.starts_with('#')) {
                continue;
            }
            lines += 1;
            if lines > POLICY_MAX_LINES {
                return Err(bad(BadPolicyCause::TooLong));
            }
            let quorum = policy.read_line(&words).map_err(bad)?;
            if quorum && decided {
                return Err(bad(BadPolicyCause::Quorum));
            }
            decided |= quorum;
        }
        if decided { Ok(policy) } else { Err(BadPolicy { line: 0, cause: BadPolicyCause::Quorum }) }
    }
}

impl fmt::Display for BadPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 0 {
            write!(f, "line {}: ", self.line)?;
        }
        match self.cause {
            BadPolicyCause::Line => {
                f.write_str("not `log KEY`, `witness NAME KEY`, `group NAME K MEMBER…` or `quorum NAME`")
            }
            BadPolicyCause::Key(bad) => bad.fmt(f),
            BadPolicyCause::Kind => f.write_str("a log's key has type 1, a witness's has type 4"),
            BadPolicyCause::Again => f.write_str("this key or name was there before"),
            BadPolicyCause::Unknown => f.write_str("nothing of this name stands above"),
            BadPolicyCause::Least => f.write_str("a group needs from 1 of its members to all of them"),
            BadPolicyCause::Shared => f.write_str("a member of two groups would count twice"),
            BadPolicyCause::Quorum => f.write_str("a policy has one line `quorum NAME` (or `quorum none`)"),
            BadPolicyCause::TooLong => write!(f, "a policy has at most {POLICY_MAX_LINES} lines"),
        }
    }
}

impl core::error::Error for BadPolicy {}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str, kind: KeyKind, byte: u8) -> VerifierKey {
        VerifierKey::new(name, kind, [byte; 32]).unwrap()
    }

    #[test]
    fn each_fault_has_its_line_and_its_name() {
        let (log, a, b) = (
            key("log", KeyKind::Signer, 9),
            key("w/a", KeyKind::Cosigner, 1),
            key("w/b", KeyKind::Cosigner, 2),
        );
        let good = format!(
            "# p\nlog {log} https://log\n\twitness A {a}\nwitness B {b} url\ngroup G 2 A B\nquorum G\n"
        );
        let policy: Policy = good.parse().unwrap();
        assert_eq!((policy.logs().len(), policy.witnesses().count()), (1, 2));
        for (text, line, cause) in [
            (String::new(), 0, BadPolicyCause::Quorum),
            ("quorum none\nquorum none".to_owned(), 2, BadPolicyCause::Quorum),
            ("quorum A".to_owned(), 1, BadPolicyCause::Unknown),
            ("logs".to_owned(), 1, BadPolicyCause::Line),
            ("log x".to_owned(), 1, BadPolicyCause::Key(BadKeyText::Parts)),
            (format!("log {a}"), 1, BadPolicyCause::Kind),
            (format!("witness A {log}"), 1, BadPolicyCause::Kind),
            (format!("log {log}\nlog {log}"), 2, BadPolicyCause::Again),
            (format!("witness A {a}\nwitness B {a}"), 2, BadPolicyCause::Again),
            (format!("witness A {a}\nwitness A {b}"), 2, BadPolicyCause::Again),
            (format!("witness none {a}"), 1, BadPolicyCause::Again),
            (format!("witness A {a}\ngroup G 2 A"), 2, BadPolicyCause::Least),
            (format!("witness A {a}\ngroup G 0 A"), 2, BadPolicyCause::Least),
            ("group G any".to_owned(), 1, BadPolicyCause::Least),
            (format!("witness A {a}\ngroup G all A A"), 2, BadPolicyCause::Shared),
            (format!("witness A {a}\ngroup G all A\ngroup H all A"), 3, BadPolicyCause::Shared),
        ] {
            assert_eq!(text.parse::<Policy>(), Err(BadPolicy { line, cause }), "{text}");
        }
    }
}
