//! Texts with the names of folders in them: `{repository}/VERSION`.

use super::message::nearest;
use std::collections::BTreeMap;
use std::fmt;

/// The folders of one run by the names that texts use, each an absolute path.
///
/// Always has `work` (the run's work folder) and `file` (the folder of the session file).
pub(super) type Places = BTreeMap<String, String>;

/// A text with placeholders that are known to have a value. `{{` and `}}` stand for the characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Place(String),
}

/// Braces that do not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BadTemplate {
    /// A placeholder that nothing is known for.
    Unknown {
        /// What stands between the braces.
        name: String,
        /// The names that there are.
        known: Vec<String>,
    },
    /// A `{` that nothing closes.
    Open,
    /// A `}` that closes nothing.
    Close,
}

impl fmt::Display for BadTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { name, known } => {
                let shown: String = name.chars().take(40).collect();
                write!(f, "there is no placeholder {{{shown}}}; ")?;
                if let Some(nearest) = nearest(name, known.iter().map(String::as_str)) {
                    write!(f, "did you mean {{{nearest}}}? ")?;
                }
                let known: Vec<_> = known.iter().map(|name| format!("{{{name}}}")).collect();
                write!(f, "known are {}, and {{{{ stands for the character", known.join(", "))
            }
            Self::Open => {
                f.write_str("a `{` is not closed; close the placeholder, or write `{{` for the character")
            }
            Self::Close => f.write_str("a `}` closes nothing; write `}}` for the character"),
        }
    }
}

impl Template {
    /// Reads a text; every placeholder must be among the known names.
    ///
    /// # Errors
    /// The first [`BadTemplate`].
    pub(super) fn parse<'a>(
        text: &str,
        known: impl Iterator<Item = &'a str> + Clone,
    ) -> Result<Self, BadTemplate> {
        let (mut parts, mut plain) = (Vec::new(), String::new());
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '{' | '}' if chars.next_if_eq(&c).is_some() => plain.push(c),
                '}' => return Err(BadTemplate::Close),
                '{' => {
                    let mut name = String::new();
                    loop {
                        match chars.next() {
                            Some('}') => break,
                            Some('{') | None => return Err(BadTemplate::Open),
                            Some(c) => name.push(c),
                        }
                    }
                    if !known.clone().any(|known| known == name) {
                        return Err(BadTemplate::Unknown { name, known: known.map(str::to_owned).collect() });
                    }
                    if !plain.is_empty() {
                        parts.push(Part::Text(std::mem::take(&mut plain)));
                    }
                    parts.push(Part::Place(name));
                }
                c => plain.push(c),
            }
        }
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        Ok(Self(parts))
    }

    /// The text with the folders of a run in it.
    pub(super) fn fill(&self, places: &Places) -> String {
        let part = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            // Parsing knew every name that a run has.
            Part::Place(name) => places.get(name).cloned().unwrap_or_default(),
        };
        self.0.iter().map(part).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_and_escapes() {
        let places = Places::from([("work".into(), "/w".into()), ("repo".into(), "/w/r".into())]);
        let read = |text: &str| {
            Template::parse(text, ["work", "repo"].into_iter()).map(|template| template.fill(&places))
        };
        for (text, filled) in [
            ("", ""),
            ("plain", "plain"),
            ("{repo}/x", "/w/r/x"),
            ("{work}{repo}", "/w/w/r"),
            ("a{{repo}}b", "a{repo}b"),
            ("stash@{{0}}", "stash@{0}"),
            ("{{{work}}}", "{/w}"),
        ] {
            assert_eq!(read(text).as_deref(), Ok(filled), "{text}");
        }
        assert_eq!(read("{"), Err(BadTemplate::Open));
        assert_eq!(read("{work"), Err(BadTemplate::Open));
        assert_eq!(read("{wo{rk}"), Err(BadTemplate::Open));
        assert_eq!(read("}"), Err(BadTemplate::Close));
        assert_eq!(read("{work}}"), Err(BadTemplate::Close));
        let unknown = read("{rpo}").unwrap_err().to_string();
        assert!(unknown.contains("did you mean {repo}? known are {work}, {repo}"), "{unknown}");
    }
}
