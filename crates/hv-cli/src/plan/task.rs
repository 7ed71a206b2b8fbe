//! Something to do, with the places of a run still open.

use super::BadAdapter;
use super::adapters::Switch;
use super::fault::{Fault, Located};
use super::file::{RawContext, RawHttp, RawTask};
use super::template::{Places, Template};
use super::tree::At;
use super::{Reference, Secret};
use hv_core::session::FilePath;
use hv_saga::{CommandTask, HttpTask, Purpose, Task, Value};
use hv_types::{Digest, SessionId};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// How the name of a function begins that takes a file from the store; its path follows.
pub(crate) const READ: &str = "context.read ";
/// How the name of one begins that gives it a file, takes it away and asks for it.
pub(crate) const WRITE: &str = "context.write ";

/// A task with placeholders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Effect {
    line: u32,
    work: Work,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Work {
    Command {
        argv: Vec<Template>,
        cwd: Option<Template>,
        env: Vec<(String, Text)>,
        stdin: Option<Text>,
        pin: Option<Digest>,
    },
    Http {
        method: String,
        /// What completes the address where it is only a path.
        base: Option<String>,
        url: Template,
        headers: Vec<(String, Text)>,
        body: Option<Text>,
        expect: Vec<u16>,
    },
    /// The name of the function that does it.
    Context { function: String },
}

/// A text, or where a secret is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Text {
    Plain(Template),
    Secret(Secret),
}

impl Effect {
    /// What is done in one run.
    ///
    /// # Errors
    /// [`Fault::Task`] where it cannot be run.
    pub(super) fn bind(&self, purpose: Purpose, places: &Places) -> Result<Task, Located> {
        let pairs = |pairs: &[(String, Text)]| -> Vec<_> {
            pairs.iter().map(|(name, text)| (name.clone(), text.bind(places))).collect()
        };
        let work = places.get("work").map(String::as_str).unwrap_or_default();
        let task = match &self.work {
            Work::Command { argv, cwd, env, stdin, pin } => {
                let cwd = cwd.as_ref().map(|cwd| cwd.fill(places)).unwrap_or_default();
                let cwd = if cwd.is_empty() { PathBuf::from(work) } else { Path::new(work).join(cwd) };
                Task::from(CommandTask {
                    argv: argv.iter().map(|argument| argument.fill(places)).collect(),
                    cwd: Some(cwd.to_string_lossy().into_owned()),
                    env: pairs(env),
                    stdin: stdin.as_ref().map(|text| text.bind(places)),
                    pin: *pin,
                })
            }
            Work::Http { method, base, url, headers, body, expect } => Task::from(HttpTask {
                method: method.clone(),
                url: completed(base.as_deref(), url.fill(places)),
                headers: pairs(headers),
                body: body.as_ref().map(|text| text.bind(places)),
                expect: expect.clone(),
            }),
            Work::Context { function } => Task::closure(function),
        };
        let unusable = |problem| Located { line: self.line, fault: Fault::Task { purpose, problem } };
        task.check().map(|()| task).map_err(unusable)
    }
}

/// An address in full, so that what is agreed to, bound and recorded is where the request goes.
fn completed(base: Option<&str>, url: String) -> String {
    match base {
        Some(base) if url.starts_with('/') => format!("{}{url}", base.trim_end_matches('/')),
        _ => url,
    }
}

impl Text {
    fn bind(&self, places: &Places) -> Value {
        match self {
            Self::Plain(text) => Value::Literal(text.fill(places)),
            Self::Secret(Secret::Variable(name)) => Value::Env(name.clone()),
            Self::Secret(Secret::File(path)) => Value::File(path.to_string_lossy().into_owned()),
        }
    }
}

/// A SHA-256: that of a pinned program, or of an agent's code.
pub(super) fn pinned(At { line, value }: &At<String>) -> Result<Digest, Located> {
    let digest = value.strip_prefix("sha256:").and_then(|hex| hex.parse().ok());
    digest.ok_or_else(|| Located { line: *line, fault: Fault::Pin { text: value.clone() } })
}

/// Reads texts with placeholders and collects the secrets that they refer to.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    /// The folders that texts may name; their values matter only for references.
    pub(super) places: &'a Places,
    /// Variables for every command.
    pub(super) env: BTreeMap<String, At<String>>,
    /// What completes URLs that are only a path.
    pub(super) base: Option<String>,
    /// Whether there is a store of context.
    pub(super) context: Switch,
    /// The secrets met so far.
    pub(super) references: Vec<Reference>,
}

impl Reader<'_> {
    /// Reads a task that stands under this key.
    pub(super) fn task(&mut self, raw: &At<RawTask>, key: &'static str) -> Result<Effect, Located> {
        let at = |line, fault| Located { line, fault };
        let RawTask { command, cwd, env, stdin, pin, http, context } = &raw.value;
        let work = match (command, http, context) {
            (None, None, None) => return Err(at(raw.line, Fault::EmptyTask { place: key })),
            (Some(_), Some(At { line, .. }), _)
            | (Some(_), None, Some(At { line, .. }))
            | (None, Some(_), Some(At { line, .. })) => {
                return Err(at(*line, Fault::TwoTasks { place: key }));
            }
            (Some(command), None, None) => {
                let stdin = stdin.as_ref().map(|text| self.text(text)).transpose()?;
                let pin = pin.as_ref().map(pinned).transpose()?;
                self.command(&command.value, cwd.as_ref(), env.as_ref().map(|env| &env.value), (stdin, pin))?
            }
            (None, http, context) => {
                let lines = [
                    ("cwd", cwd.as_ref().map(|at| at.line)),
                    ("env", env.as_ref().map(|at| at.line)),
                    ("stdin", stdin.as_ref().map(|at| at.line)),
                    ("pin", pin.as_ref().map(|at| at.line)),
                ];
                if let Some((key, line)) = lines.into_iter().find_map(|(key, line)| Some((key, line?))) {
                    return Err(at(line, Fault::CommandOnly { key }));
                }
                match (http, context) {
                    (Some(http), _) => self.http(&http.value)?,
                    (None, Some(context)) => self.context(context, key)?,
                    (None, None) => return Err(at(raw.line, Fault::EmptyTask { place: key })),
                }
            }
        };
        Ok(Effect { line: raw.line, work })
    }

    /// Reads an observation's command.
    pub(super) fn observation(
        &mut self,
        argv: &At<Vec<At<String>>>,
        cwd: Option<&At<String>>,
        env: Option<&BTreeMap<String, At<String>>>,
    ) -> Result<Effect, Located> {
        Ok(Effect { line: argv.line, work: self.command(&argv.value, cwd, env, (None, None))? })
    }

    fn command(
        &mut self,
        argv: &[At<String>],
        cwd: Option<&At<String>>,
        env: Option<&BTreeMap<String, At<String>>>,
        (stdin, pin): (Option<Text>, Option<Digest>),
    ) -> Result<Work, Located> {
        let mut variables = self.env.clone();
        variables.extend(env.into_iter().flatten().map(|(name, text)| (name.clone(), text.clone())));
        Ok(Work::Command {
            argv: argv.iter().map(|text| self.template(text)).collect::<Result<_, _>>()?,
            cwd: cwd.map(|text| self.template(text)).transpose()?,
            env: self.texts(&variables)?,
            stdin,
            pin,
        })
    }

    fn http(&mut self, raw: &RawHttp) -> Result<Work, Located> {
        if raw.url.value.starts_with('/') && self.base.is_none() {
            return Err(Located { line: raw.url.line, fault: Fault::NoBase { url: raw.url.value.clone() } });
        }
        Ok(Work::Http {
            method: raw.method.as_ref().map_or_else(|| "POST".into(), |method| method.value.clone()),
            base: self.base.clone(),
            url: self.template(&raw.url)?,
            headers: self.texts(&raw.headers)?,
            body: raw.body.as_ref().map(|text| self.text(text)).transpose()?,
            expect: raw.expect.clone(),
        })
    }

    /// Reads an exchange with the store of context.
    fn context(&self, At { line, value }: &At<RawContext>, key: &'static str) -> Result<Work, Located> {
        let bad = |line, bad| Located { line, fault: Fault::Adapter(bad) };
        if self.context == Switch::Off {
            return Err(bad(*line, BadAdapter::NoContext));
        }
        let RawContext { write, read, remove, look } = value;
        let all = [
            ("write", "execute", write),
            ("read", "execute", read),
            ("remove", "undo", remove),
            ("look", "probe", look),
        ];
        let mut said = all.into_iter().filter_map(|(does, under, path)| Some((does, under, path.as_ref()?)));
        let (Some((does, under, path)), None) = (said.next(), said.next()) else {
            return Err(bad(*line, BadAdapter::NotOneFile));
        };
        if under != key {
            return Err(bad(path.line, BadAdapter::Misplaced { does, under }));
        }
        let named = SessionId::new("s").ok().and_then(|session| FilePath::parse(&session, &path.value).ok());
        if named.is_none_or(|named| named.as_str() != path.value) {
            return Err(bad(path.line, BadAdapter::ContextPath { path: path.value.clone() }));
        }
        let function = if does == "read" { READ } else { WRITE };
        Ok(Work::Context { function: format!("{function}{}", path.value) })
    }

    fn texts(&mut self, texts: &BTreeMap<String, At<String>>) -> Result<Vec<(String, Text)>, Located> {
        texts.iter().map(|(name, text)| Ok((name.clone(), self.text(text)?))).collect()
    }

    fn template(&self, text: &At<String>) -> Result<Template, Located> {
        Template::parse(&text.value, self.places.keys().map(String::as_str))
            .map_err(|bad| Located { line: text.line, fault: Fault::Template(bad) })
    }

    /// Reads a text or a reference: `env:NAME`, `file:PATH`, `text:…`, or the text as it stands.
    fn text(&mut self, text: &At<String>) -> Result<Text, Located> {
        let At { line, value } = text;
        let secret = if let Some(name) = value.strip_prefix("env:") {
            let head = name.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
            if !head || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
                return Err(Located { line: *line, fault: Fault::Reference { text: value.clone() } });
            }
            Secret::Variable(name.into())
        } else if let Some(path) = value.strip_prefix("file:") {
            if path.starts_with("//") {
                return Err(Located { line: *line, fault: Fault::FileAddress });
            }
            // Secrets are there before the run, so a reference cannot lead into the run's own folders.
            let path = Template::parse(path, ["file"].into_iter())
                .map_err(|bad| Located { line: *line, fault: Fault::Template(bad) })?
                .fill(self.places);
            if path.is_empty() || path.contains('\0') {
                return Err(Located { line: *line, fault: Fault::Reference { text: value.clone() } });
            }
            let folder = self.places.get("file").map(String::as_str).unwrap_or_default();
            Secret::File(Path::new(folder).join(path))
        } else {
            let plain = At { line: *line, value: value.strip_prefix("text:").unwrap_or(value).to_owned() };
            return Ok(Text::Plain(self.template(&plain)?));
        };
        self.references.push(Reference { line: *line, secret: secret.clone() });
        Ok(Text::Secret(secret))
    }
}
