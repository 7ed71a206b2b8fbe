//! Bounds as people write them: TOML or JSON.

use crate::id::args::duration;
use hv_core::rings::intent::{
    Allowed, AmountBound, BadBounds, Bounds, CommandBounds, CommandLine, HttpBounds, LASTS, Rest, Unit, What,
};
use hv_core::types::ActionId;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// The size limit of a file with bounds: 1 MiB.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Why a file holds no bounds.
#[derive(Debug)]
pub enum NoBounds {
    /// It cannot be read.
    Unreadable(std::io::Error),
    /// It is larger than 1 MiB.
    TooLarge,
    /// It is neither TOML nor JSON of the form that is wanted.
    Form(String),
    /// What it says of an action cannot be meant.
    Action {
        /// The action.
        id: String,
        /// Why.
        why: &'static str,
    },
    /// What it says binds nobody.
    Bad(BadBounds),
}

impl fmt::Display for NoBounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(error) => write!(f, "it cannot be read: {error}"),
            Self::TooLarge => f.write_str("it is larger than 1 MiB"),
            Self::Form(why) => f.write_str(why),
            Self::Action { id, why } => write!(f, "action `{id}` {why}"),
            Self::Bad(bad) => write!(f, "{bad}"),
        }
    }
}

impl std::error::Error for NoBounds {}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    lasts: Option<String>,
    calls: Option<u32>,
    #[serde(default)]
    action: Vec<Action>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Action {
    id: String,
    calls: Option<u32>,
    command: Option<Command>,
    http: Option<Http>,
    files: Option<BTreeSet<String>>,
    functions: Option<BTreeSet<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Command {
    run: Vec<Line>,
    folders: BTreeSet<String>,
    #[serde(default)]
    variables: BTreeSet<String>,
    #[serde(default)]
    input: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    argv: Vec<String>,
    #[serde(default)]
    more: u32,
    rest: Option<WhatFollows>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(
    untagged,
    expecting = "rest is \"any\", \"operands\", a list of words, or { below = [...] } with folders"
)]
enum WhatFollows {
    Kind(Kind),
    Words(BTreeSet<String>),
    Paths(Below),
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Any,
    Operands,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Below {
    below: BTreeSet<String>,
}

impl From<&WhatFollows> for Rest {
    fn from(follows: &WhatFollows) -> Self {
        match follows {
            WhatFollows::Kind(Kind::Any) => Self::Any,
            WhatFollows::Kind(Kind::Operands) => Self::Operands,
            WhatFollows::Words(words) => Self::Words { words: words.clone() },
            WhatFollows::Paths(Below { below }) => Self::Paths { folders: below.clone() },
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Http {
    methods: BTreeSet<String>,
    hosts: BTreeSet<String>,
    paths: BTreeSet<String>,
    #[serde(default)]
    headers: BTreeSet<String>,
    #[serde(default)]
    query: bool,
    body: Option<bool>,
    #[serde(default)]
    amounts: Vec<Amount>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Amount {
    at: String,
    most: String,
    unit: Option<AmountUnit>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AmountUnit {
    at: String,
    is: String,
}

/// Reads a file with bounds; JSON where it begins with a brace.
///
/// # Errors
/// [`NoBounds`].
pub fn read(path: &Path) -> Result<Bounds, NoBounds> {
    let mut text = String::new();
    let file = File::open(path).map_err(NoBounds::Unreadable)?;
    file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text).map_err(NoBounds::Unreadable)?;
    if u64::try_from(text.len()).unwrap_or(u64::MAX) > MAX_FILE_BYTES {
        return Err(NoBounds::TooLarge);
    }
    parse(&text)
}

fn parse(text: &str) -> Result<Bounds, NoBounds> {
    let document: Document = if text.trim_start().starts_with('{') {
        serde_json::from_str(text).map_err(|error| NoBounds::Form(error.to_string()))?
    } else {
        toml::from_str(text).map_err(|error| form(text, &error))?
    };
    let lasts = document.lasts.as_deref().map_or(Ok(LASTS), duration).map_err(NoBounds::Form)?;
    let mut actions = BTreeMap::new();
    for action in document.action {
        let id = ActionId::new(&action.id).map_err(|bad| NoBounds::Form(bad.to_string()))?;
        let bad = |why| NoBounds::Action { id: action.id.clone(), why };
        let what = what(&action, &bad)?;
        if actions.insert(id, Allowed { calls: action.calls, what }).is_some() {
            return Err(bad("stands there twice"));
        }
    }
    Bounds::new(actions, document.calls, lasts).map_err(NoBounds::Bad)
}

/// In one line, with the line of the file.
fn form(text: &str, error: &toml::de::Error) -> NoBounds {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let message: Vec<&str> = error.message().lines().map(str::trim).collect();
    NoBounds::Form(format!("line {line}: {}", message.join(", ")))
}

fn what(action: &Action, bad: &dyn Fn(&'static str) -> NoBounds) -> Result<What, NoBounds> {
    let Action { command, http, files, functions, .. } = action;
    Ok(match (command, http, files, functions) {
        (Some(Command { run, folders, variables, input }), None, None, None) => {
            if run.iter().any(|line| line.more == 0 && line.rest.is_some()) {
                return Err(bad("says in `rest` what may follow, and not in `more` how much"));
            }
            let line = |line: &Line| CommandLine {
                argv: line.argv.clone(),
                more: line.more,
                rest: line.rest.as_ref().map_or(Rest::Any, Rest::from),
            };
            What::Command {
                bounds: CommandBounds {
                    commands: run.iter().map(line).collect(),
                    folders: folders.clone(),
                    variables: variables.clone(),
                    input: *input,
                },
            }
        }
        (None, Some(http), None, None) => {
            let mut amounts = BTreeMap::new();
            for Amount { at, most, unit } in &http.amounts {
                let most =
                    most.parse().map_err(|_| bad("bounds an amount that is none, such as \"99.95\""))?;
                let unit = unit.as_ref().map(|unit| Unit { at: unit.at.clone(), is: unit.is.clone() });
                if amounts.insert(at.clone(), AmountBound { most, unit }).is_some() {
                    return Err(bad("bounds one amount twice"));
                }
            }
            What::Http {
                bounds: HttpBounds {
                    methods: http.methods.clone(),
                    hosts: http.hosts.clone(),
                    paths: http.paths.clone(),
                    headers: http.headers.clone(),
                    query: http.query,
                    body: http.body.unwrap_or(!amounts.is_empty()),
                    amounts,
                },
            }
        }
        (None, None, Some(paths), None) => What::Files { paths: paths.clone() },
        (None, None, None, Some(names)) => What::Functions { names: names.clone() },
        _ => return Err(bad("needs one of command, http, files and functions")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOML: &str = r#"
lasts = "30m"
calls = 9

[[action]]
id = "git.push"
calls = 2
command = { run = [{ argv = ["git", "push"], more = 1 }], folders = ["/work"] }

[[action]]
id = "pay"
[action.http]
methods = ["POST"]
hosts = ["pay.example.com"]
paths = ["/v1"]
amounts = [{ at = "/amount", most = "99.5", unit = { at = "/currency", is = "EUR" } }]

[[action]]
id = "hv.files.change"
files = ["/src"]

[[action]]
id = "think"
functions = ["think"]
"#;

    #[test]
    fn toml_and_json_say_the_same() {
        let bounds = parse(TOML).unwrap();
        assert_eq!((bounds.calls(), bounds.actions().len()), (Some(9), 4));
        let json = serde_json::json!({
            "lasts": "30m", "calls": 9, "action": [
                { "id": "think", "functions": ["think"] },
                { "id": "hv.files.change", "files": ["/src"] },
                { "id": "pay", "http": { "methods": ["POST"], "hosts": ["pay.example.com"], "paths": ["/v1"],
                    "amounts": [{ "at": "/amount", "most": "99.5", "unit": { "at": "/currency", "is": "EUR" } }] } },
                { "id": "git.push", "calls": 2,
                    "command": { "run": [{ "argv": ["git", "push"], "more": 1 }], "folders": ["/work"] } },
            ]
        });
        assert_eq!(parse(&json.to_string()).unwrap(), bounds);
        let pay = &bounds.actions()[&ActionId::new("pay").unwrap()];
        assert!(matches!(&pay.what, What::Http { bounds } if bounds.body && !bounds.query));
    }

    #[test]
    fn what_may_follow_is_said_in_four_ways() {
        let follows = |rest: &str| {
            let run = format!("command = {{ run = [{{ argv = [\"a\"], more = 1{rest} }}], folders = [] }}");
            let bounds = parse(&format!("[[action]]\nid = \"a\"\n{run}"))?;
            Ok(match &bounds.actions()[&ActionId::new("a").unwrap()].what {
                What::Command { bounds } => bounds.commands.first().unwrap().rest.clone(),
                other => panic!("{other:?}"),
            })
        };
        let set = |item: &str| BTreeSet::from([item.to_owned()]);
        for (rest, expected) in [
            ("", Rest::Any),
            (", rest = \"any\"", Rest::Any),
            (", rest = \"operands\"", Rest::Operands),
            (", rest = [\"x\"]", Rest::Words { words: set("x") }),
            (", rest = { below = [\"/x\"] }", Rest::Paths { folders: set("/x") }),
        ] {
            assert_eq!(follows(rest).unwrap(), expected, "{rest}");
        }
        for rest in ["\"none\"", "1", "{ below = [\"/x\"], above = [] }"] {
            let why: NoBounds = follows(&format!(", rest = {rest}")).unwrap_err();
            assert!(why.to_string().contains("rest is \"any\", \"operands\", a list of words"), "{why}");
        }
        let why: NoBounds = follows(", rest = { below = [\"x\"] }").unwrap_err();
        assert_eq!(why.to_string(), "`x` is no absolute folder");
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for (text, why) in [
            ("lasts = \"25h\"", "at most 86400 s"),
            ("lasts = \"soon\"", "such as 30s"),
            ("\ncall = 1", "line 2: unknown field `call`"),
            ("[[action]]\nid = \"a\"", "action `a` needs one of"),
            ("[[action]]\nid = \"a\"\nfiles = []\nfunctions = []", "action `a` needs one of"),
            ("[[action]]\nid = \"a\"\nfiles = []\n[[action]]\nid = \"a\"\nfiles = []", "stands there twice"),
            ("[[action]]\nid = \"a\"\nfiles = [\"src\"]", "`src` is no path"),
            ("[[action]]\nid = \"a b\"\nfiles = []", "a b"),
            (
                "[[action]]\nid = \"a\"\ncommand = { run = [{ argv = [\"x\"], rest = \"any\" }], folders = [] }",
                "action `a` says in `rest` what may follow, and not in `more` how much",
            ),
            ("{\"action\": [{\"id\": \"a\", \"http\": {}}]}", "missing field `methods`"),
        ] {
            let refused = parse(text).unwrap_err().to_string();
            assert!(refused.contains(why), "{text}: {refused}");
        }
    }
}
