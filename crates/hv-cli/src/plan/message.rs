//! The words for what is wrong with a session file: `what is wrong; what to do`.

use super::fault::{BadDuration, Fault, LIMITS, UndoProblem};
use crate::output::counted;
use serde::de;
use std::fmt;
use std::io;
use std::time::Duration;

/// Writes a fault as one sentence and its mend.
pub(super) fn write(fault: &Fault, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let (file_bytes, manifest_bytes, depth) = LIMITS;
    match fault {
        Fault::Unreadable(why) => write!(f, "the file cannot be read: {}; check the path", cause(*why)),
        Fault::NotAFile => f.write_str("this is no file; give the path of a session file"),
        Fault::TooLarge => {
            write!(f, "the file has more than {file_bytes} bytes; a session file may have at most that")
        }
        Fault::PathNotUtf8 => {
            f.write_str("the path is not UTF-8; hv writes it into commands as text, so rename it")
        }
        Fault::NotUtf8 { offset } => {
            write!(f, "the byte at offset {offset} is not UTF-8; save the file as UTF-8")
        }
        Fault::Syntax { format, message } => {
            write!(f, "this is not {format}: {message}; mend the syntax there")
        }
        Fault::TooDeep => write!(f, "tables and lists nest deeper than {depth}; no session file needs that"),
        Fault::NumberTooLarge { text } => write!(f, "the number {text} is too large; give a smaller one"),
        Fault::DuplicateKey { key } => {
            write!(f, "the key `{key}` stands here a second time; remove one of them")
        }
        Fault::UnknownKey { place, key, known } => {
            write!(f, "{place} has no key `{}`; ", short(key))?;
            did_you_mean(f, nearest(key, known.iter().copied()).as_deref(), "the keys are", known)
        }
        Fault::MissingKey { place, key } => write!(f, "{place} has no `{key}`; add it"),
        Fault::WrongType { place, found, expected } => {
            write!(f, "{place} is {found}; it must be {expected}")
        }
        Fault::UnknownWord { place, word, known } => {
            write!(f, "{place} is `{}`; ", short(word))?;
            did_you_mean(f, nearest(word, known.iter().copied()).as_deref(), "the choices are", known)
        }
        Fault::Unfit { place, message } => write!(f, "{place}: {message}; give another value"),
        Fault::KeyWithoutValue => {
            f.write_str("the reader asked for a value before its key; report this defect")
        }
        Fault::NoSteps => f.write_str("there is no [[step]], so there is nothing to do; add one"),
        Fault::NoAgents => f.write_str("there is no [[agent]], so nobody can act; add one"),
        Fault::TooMany { what, given, limit } => {
            write!(f, "there are {given} {what}; at most {limit} are allowed, so split the work")
        }
        Fault::Ident(bad) => write!(f, "{bad}; give another name"),
        Fault::Fraction { key, given, why } => write!(f, "`{key}` is {given}: {why}"),
        Fault::Count { key, given, min, max } => {
            write!(f, "`{key}` is {given}; give a whole number from {min} to {max}")
        }
        Fault::NothingBonded => {
            f.write_str("`bond` is 0, so nothing is vouched; give a share above 0, up to 1")
        }
        Fault::Duration { key, why } => duration(key, why, f),
        Fault::DurationRange { key, given, min, max } => {
            write!(f, "`{key}` is {}; give a time from {} to {}", told(*given), told(*min), told(*max))
        }
        Fault::DelayOverCap { delay, cap } => write!(
            f,
            "`retry_delay` ({}) is longer than `retry_cap` ({}); lower the one or raise the other",
            told(*delay),
            told(*cap)
        ),
        Fault::TwoTrusts { agent } => {
            write!(f, "agent `{agent}` has both `sigma` and `manifest`; keep one of them")
        }
        Fault::Adapter(bad) => fmt::Display::fmt(bad, f),
        Fault::NoTrust { agent } => {
            write!(
                f,
                "agent `{agent}` has neither `sigma` nor `manifest`; add one of them, such as sigma = 0.85"
            )
        }
        Fault::Duplicate { kind, name, first } => {
            write!(f, "{kind} `{name}` is already on line {first}; give each its own name")
        }
        Fault::Unknown { kind, name, nearest } => {
            write!(f, "there is no {kind} `{}`; ", short(name))?;
            match nearest {
                Some(nearest) => write!(f, "did you mean `{nearest}`?"),
                None => write!(f, "add it or name one that there is"),
            }
        }
        Fault::AfterTwice { name } => write!(f, "`after` names step `{name}` twice; remove one of them"),
        Fault::Cycle { path } => {
            write!(f, "steps wait for each other: {}; take one out of its `after`", path.join(" → "))
        }
        Fault::VouchCycle { path } => {
            write!(f, "agents vouch for each other: {}; remove one [[vouch]]", path.join(" → "))
        }
        Fault::SelfVouch { agent } => write!(f, "agent `{agent}` vouches for itself; name another voucher"),
        Fault::OverCapacity { agents, max_participants } => write!(
            f,
            "there are {agents} agents and `max_participants` is {max_participants}; raise it or remove agents"
        ),
        Fault::TwoKinds { action } => {
            write!(f, "action `{action}` is both `read_only` and `admin`; keep one of them")
        }
        Fault::NoReversibility { action } => write!(
            f,
            "action `{action}` does not say how far it can be undone; add reversibility = \"full\", \"partial\" \
             or \"none\", or read_only = true"
        ),
        Fault::Risk(why) => write!(f, "{why}; give a weight from there or leave `risk` out"),
        Fault::Reserved { name } => {
            write!(f, "`{name}` begins with `hv.`, which hv keeps for itself; rename it")
        }
        Fault::NoExecute { step, action } => write!(
            f,
            "neither step `{step}` nor its action `{action}` says what to do; add `execute` to one of them"
        ),
        Fault::Undo { name, action, problem } => undo(name, action, *problem, f),
        Fault::EmptyTask { place } => {
            write!(f, "`{place}` says nothing to do; give it `command`, `http` or `context`")
        }
        Fault::Needs { text, of: 0 } => write!(
            f,
            "`{}` of no steps cannot be needed; say in `after` what the step waits for, or leave `needs` out",
            short(text)
        ),
        Fault::Needs { text, of } => write!(
            f,
            "`{}` of {} cannot be needed; write \"all\", \"majority\", \"any\", or a number from \"1\" to \"{of}\"",
            short(text),
            counted(of, "step")
        ),
        Fault::Parent { agent, parent } => write!(
            f,
            "agent `{}` has the parent `{}`, and no agent above it has this did; a parent joins before its children",
            short(agent),
            short(parent)
        ),
        Fault::FetchedChild { agent } => write!(
            f,
            "agent `{}` has a parent and fetches its manifest; give it sigma or manifest instead",
            short(agent)
        ),
        Fault::Substitute { step } => {
            write!(f, "the substitute of step `{step}` is its own agent; name another one or none")
        }
        Fault::Pin { text } => write!(
            f,
            "`{}` is no digest of a file; write sha256: and the 64 lower-case digits that sha256sum prints",
            short(text)
        ),
        Fault::BaseUrl { text } => write!(
            f,
            "`{}` cannot go before a path; write http:// or https:// and a host, such as http://127.0.0.1:8080",
            short(text)
        ),
        Fault::NoBase { url } => write!(
            f,
            "`{}` is only a path; add base_url to [session], or write the whole address",
            short(url)
        ),
        Fault::TwoTasks { place } => write!(f, "`{place}` has more than one of `command`, `http` and `context`; keep one of them"),
        Fault::CommandOnly { key } => {
            write!(f, "`{key}` belongs to a command, and this is none; remove it")
        }
        Fault::Task { purpose, problem } => write!(f, "this {purpose} cannot be run: {problem}; change it"),
        Fault::Template(bad) => fmt::Display::fmt(bad, f),
        Fault::Reference { text } => write!(
            f,
            "`{}` is no name to refer to; write env:NAME or file:PATH, or text: before a text that only begins so",
            short(text)
        ),
        Fault::FileAddress => f.write_str(
            "`file://` may be an address or a reference to a file; write text:file://… for the first, \
             file:/… for the second",
        ),
        Fault::PathName { name } => write!(
            f,
            "`{}` cannot name a path; use lower-case letters, digits and `_`, and none of `work`, `file` and `hv`",
            short(name)
        ),
        Fault::PathOutside { name } => write!(
            f,
            "path `{name}` leaves the work folder; give a relative path without `..`, such as \"repository\""
        ),
        Fault::VariableMissing { name } => {
            write!(f, "the environment variable {name} is referred to and not set; set it before the run")
        }
        Fault::FileMissing { path, why } => write!(
            f,
            "the file {path} is referred to and cannot be read: {}; put it there before the run",
            cause(*why)
        ),
        Fault::Statement { path, why } => write!(f, "{path} is not the statement that is needed: {why}; mend it or name another"),
        Fault::Bounds { path, why } => write!(f, "{path} holds no bounds of an intent: {why}; mend it or name another"),
        Fault::NothingSet { action } => {
            write!(f, "the override of `{action}` sets nothing; give it a ring or a risk, or leave it out")
        }
        Fault::FindingOfEffect { step } => write!(
            f,
            "step `{step}` has an effect, and only a read-only step leaves findings; let another one look"
        ),
        Fault::EvidenceWithoutSession => f.write_str(
            "evidence speaks of one session; give the session an id, so that it can be named before it begins",
        ),
        Fault::Manifest { path, why } => write!(f, "the manifest {path} cannot be used: {why}; mend it"),
        Fault::ManifestTooLarge { path } => {
            write!(f, "the manifest {path} has more than {manifest_bytes} bytes; it may have at most that")
        }
    }
}

fn duration(key: &str, why: &BadDuration, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match why {
        BadDuration::NoUnit(text) => write!(
            f,
            "`{key}` is \"{}\" and names no unit; write \"{}s\", or ms, m, h, d",
            short(text),
            short(text)
        ),
        BadDuration::Unreadable(text) => write!(
            f,
            "`{key}` is \"{}\", which is no time; write a number and ms, s, m, h or d, such as \"30s\"",
            short(text)
        ),
        BadDuration::Number(number) => {
            write!(f, "`{key}` is {number}, which is no number of seconds; give one from 0 up")
        }
        BadDuration::TooLong(text) => {
            write!(f, "`{key}` is \"{}\", which is too long; give less", short(text))
        }
    }
}

fn undo(name: &str, action: &str, problem: UndoProblem, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match problem {
        UndoProblem::Irreversible => write!(
            f,
            "`{name}` has an undo, but action `{action}` has reversibility \"none\"; remove the undo, or say \
             \"partial\" or \"full\""
        ),
        UndoProblem::ReadOnly => write!(
            f,
            "`{name}` has an undo, but action `{action}` is read-only and changes nothing; remove the undo"
        ),
        UndoProblem::Missing => write!(
            f,
            "action `{action}` says that it can be undone, and neither it nor step `{name}` says how; add `undo`, \
             or say reversibility = \"none\""
        ),
        UndoProblem::NothingToRehearse => {
            write!(f, "action `{action}` has nothing to undo, so nothing to rehearse; remove `rehearse`")
        }
        UndoProblem::NotProbed => write!(
            f,
            "action `{action}` is rehearsed, and nothing could see whether the undo of step `{name}` works; add `probe`"
        ),
        UndoProblem::SetUp => write!(
            f,
            "action `{action}` is rehearsed when the set-up is done, so set-up step `{name}` cannot be of it; give it \
             another action"
        ),
        UndoProblem::BehindWhatStays => write!(
            f,
            "step `{name}` is to be rehearsed with everything that it waits for, and some of that cannot be undone; \
             remove `rehearse` from action `{action}`, or let the step wait for less"
        ),
    }
}

/// A duration as it is written in a session file.
#[must_use]
pub(crate) fn told(duration: Duration) -> String {
    let millis = duration.as_millis();
    let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1000, "s"), (1, "ms")];
    match units.into_iter().find(|(unit, _)| millis >= *unit && millis.is_multiple_of(*unit)) {
        Some((unit, name)) if duration.as_nanos().is_multiple_of(1_000_000) => {
            format!("{}{name}", millis / unit)
        }
        _ if duration.is_zero() => "0s".into(),
        _ => format!("{}s", duration.as_secs_f64()),
    }
}

/// What stands in the file, in words.
pub(super) fn found(found: de::Unexpected<'_>) -> String {
    match found {
        de::Unexpected::Bool(value) => format!("the truth value {value}"),
        de::Unexpected::Unsigned(number) => format!("the number {number}"),
        de::Unexpected::Signed(number) => format!("the number {number}"),
        de::Unexpected::Float(number) => format!("the number {number:?}"),
        de::Unexpected::Str(text) => format!("the text \"{}\"", short(text)),
        de::Unexpected::Unit | de::Unexpected::Option => "null".into(),
        de::Unexpected::Seq => "a list".into(),
        de::Unexpected::Map => "a table".into(),
        de::Unexpected::Other(text) => format!("the date {}", short(text)),
        other => other.to_string(),
    }
}

/// What should stand there, in words.
pub(super) fn expected(expected: &dyn de::Expected) -> String {
    match expected.to_string().as_str() {
        "u32" => "a whole number from 0 to 4294967295".into(),
        "u16" => "a whole number from 0 to 65535".into(),
        "u64" => "a whole number from 0".into(),
        "f64" => "a number".into(),
        "a string" => "a text".into(),
        "a boolean" => "true or false".into(),
        "a sequence" => "a list".into(),
        text if text.starts_with("struct ") || text == "a map" => "a table".into(),
        text if text.starts_with("enum ") => "a text".into(),
        text => text.into(),
    }
}

/// The known name that is nearest to this one, if any is near.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let near = known.into_iter().map(|known| (strsim::damerau_levenshtein(name, known), known));
    let (distance, known) = near.min_by_key(|(distance, _)| *distance)?;
    let shorter = name.chars().count().min(known.chars().count());
    (distance <= 1 + shorter / 4).then(|| known.to_owned())
}

fn did_you_mean(
    f: &mut fmt::Formatter<'_>,
    nearest: Option<&str>,
    otherwise: &str,
    known: &[&str],
) -> fmt::Result {
    match nearest {
        Some(nearest) => write!(f, "did you mean `{nearest}`?"),
        None => {
            let known: Vec<_> = known.iter().filter(|key| !key.starts_with('$')).copied().collect();
            write!(f, "{otherwise} {}", known.join(", "))
        }
    }
}

/// Why a file cannot be read.
pub(crate) fn cause(why: io::ErrorKind) -> String {
    match why {
        io::ErrorKind::NotFound => "there is no such file".into(),
        io::ErrorKind::NotADirectory => "there is no such folder on the way to it".into(),
        io::ErrorKind::PermissionDenied => "permission is denied".into(),
        io::ErrorKind::IsADirectory => "it is a folder".into(),
        other => other.to_string(),
    }
}

/// A text from the file, cut after 60 characters.
fn short(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
        None => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_found_and_far_ones_are_not() {
        let known = ["sigma", "manifest", "did"];
        assert_eq!(nearest("sigam", known).as_deref(), Some("sigma"));
        assert_eq!(nearest("Manifest", known).as_deref(), Some("manifest"));
        assert_eq!(nearest("di", known).as_deref(), Some("did"));
        assert_eq!(nearest("colour", known), None);
        assert_eq!(nearest("x", []), None);
    }

    #[test]
    fn durations_are_told_as_they_are_written() {
        for (millis, text) in
            [(0, "0s"), (250, "250ms"), (1500, "1500ms"), (30_000, "30s"), (300_000, "5m"), (90_000, "90s")]
        {
            assert_eq!(told(Duration::from_millis(millis)), text);
        }
        assert_eq!(told(Duration::from_secs(604_800)), "7d");
        assert_eq!(told(Duration::from_nanos(1)), "0.000000001s");
    }
}
