//! One call, held against an intent; and one intent, held against another.

use super::amount::Amount;
use super::bounds::{Allowed, AmountBound, Bounds, CommandBounds, CommandLine, HttpBounds, What};
use super::place::{Target, full, host_within, listed, path_within, target, told};
use super::rest::{Places, Rest, astray};
use super::{Body, Deed, Outside, Part, Used, Wider};
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};
use hv_types::ActionId;

impl Outside {
    fn of(part: Part, given: &str, limit: String) -> Self {
        Self { part, given: told(given), limit }
    }
}

/// Whether something is one of a list.
fn one_of(part: Part, given: &str, items: &BTreeSet<String>) -> Result<(), Outside> {
    if items.contains(given) { Ok(()) } else { Err(Outside::of(part, given, listed(items))) }
}

/// Whether a path is one of those, or below it.
fn below(part: Part, given: &str, bounds: &BTreeSet<String>) -> Result<(), Outside> {
    let within = bounds.iter().any(|bound| path_within(given, bound));
    if within { Ok(()) } else { Err(Outside::of(part, given, listed(bounds))) }
}

/// Whether there may be something that nobody looks at.
fn unseen(part: Part, there: bool, may_be: bool) -> Result<(), Outside> {
    if there && !may_be { Err(Outside::of(part, "some", String::from("none"))) } else { Ok(()) }
}

/// Whether one more call may be made.
fn one_more(part: Part, used: u32, most: Option<u32>) -> Result<(), Outside> {
    match most {
        Some(most) if used >= most => {
            Err(Outside::of(part, &format!("one more than {used}"), most.to_string()))
        }
        _ => Ok(()),
    }
}

impl Bounds {
    /// Holds a call against the intent, all that is known of it; `used` is what was called within it before.
    ///
    /// # Errors
    /// [`Outside`] with the first thing that is outside, and what would be within.
    pub fn hold(&self, action: &ActionId, deed: &Deed<'_>, used: Used) -> Result<(), Outside> {
        let Some(Allowed { calls, what }) = self.actions().get(action) else {
            let names: BTreeSet<String> =
                self.actions().keys().map(|name| String::from(name.as_str())).collect();
            return Err(Outside::of(Part::Action, action.as_str(), listed(&names)));
        };
        match (what, deed) {
            (What::Command { bounds }, Deed::Command { argv, folder, variables, input, real }) => {
                bounds.hold(argv, (*folder, real), variables, *input)?;
            }
            (What::Http { bounds }, Deed::Http { method, url, headers, body }) => {
                bounds.hold(method, url, headers, *body)?;
            }
            (What::Files { paths }, Deed::Files { paths: given }) => {
                given.iter().try_for_each(|path| below(Part::File, path, paths))?;
            }
            (What::Functions { names }, Deed::Function { name }) => one_of(Part::Function, name, names)?,
            (what, deed) => return Err(Outside::of(Part::Kind, deed.kind(), String::from(what.kind()))),
        }
        one_more(Part::CallsOfAction, used.of_action, *calls)?;
        one_more(Part::Calls, used.all, self.calls())
    }

    /// The paths in full that a call names and of which the intent asks where they really are, so that
    /// [`Bounds::hold`] can be told. They are what the world is asked for, and nothing else is.
    #[must_use]
    pub fn paths(&self, action: &ActionId, deed: &Deed<'_>) -> BTreeSet<String> {
        let Some(What::Command { bounds }) = self.actions().get(action).map(|allowed| &allowed.what) else {
            return BTreeSet::new();
        };
        let Deed::Command { argv, folder, .. } = deed else { return BTreeSet::new() };
        let own = folder.filter(|_| !bounds.folders.contains("/")).and_then(|own| full(own, None));
        let arguments = bounds.commands.iter().filter_map(|line| match &line.rest {
            Rest::Paths { folders } if !folders.contains("/") => line.beyond(argv),
            _ => None,
        });
        let arguments = arguments.flatten().filter_map(|argument| full(argument, *folder));
        own.into_iter().chain(arguments).collect()
    }

    /// Whether whoever keeps to this intent keeps to another one too, within which `used` gives what was called. Time
    /// is compared by whoever knows since when each holds.
    ///
    /// # Errors
    /// [`Wider`] with the first thing that this one lets through and the other does not.
    pub fn narrows(&self, other: &Self, used: impl Fn(Option<&ActionId>) -> u32) -> Result<(), Wider> {
        if !fewer(self.calls(), other.calls(), used(None)) {
            return Err(Wider { action: None, part: Part::Calls });
        }
        for (action, allowed) in self.actions() {
            let wider = |part| Wider { action: Some(action.clone()), part };
            let before = other.actions().get(action).ok_or_else(|| wider(Part::Action))?;
            if !fewer(allowed.calls, before.calls, used(Some(action))) {
                return Err(wider(Part::CallsOfAction));
            }
            allowed.what.narrows(&before.what).map_err(wider)?;
        }
        Ok(())
    }
}

/// Whether so many calls are no more than what is left of so many.
fn fewer(now: Option<u32>, before: Option<u32>, used: u32) -> bool {
    match (now, before) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(now), Some(before)) => now <= before.saturating_sub(used),
    }
}

impl What {
    const fn kind(&self) -> &'static str {
        match self {
            Self::Command { .. } => "a program",
            Self::Http { .. } => "a request",
            Self::Files { .. } => "files",
            Self::Functions { .. } => "a function",
        }
    }

    fn narrows(&self, other: &Self) -> Result<(), Part> {
        match (self, other) {
            (Self::Command { bounds }, Self::Command { bounds: before }) => bounds.narrows(before),
            (Self::Http { bounds }, Self::Http { bounds: before }) => bounds.narrows(before),
            (Self::Files { paths }, Self::Files { paths: before }) => {
                ok(Part::File, paths.iter().all(|path| below(Part::File, path, before).is_ok()))
            }
            (Self::Functions { names }, Self::Functions { names: before }) => {
                ok(Part::Function, names.is_subset(before))
            }
            _ => Err(Part::Kind),
        }
    }
}

const fn ok(part: Part, narrow: bool) -> Result<(), Part> {
    if narrow { Ok(()) } else { Err(part) }
}

impl Deed<'_> {
    const fn kind(&self) -> &'static str {
        match self {
            Self::Command { .. } => "a program",
            Self::Http { .. } => "a request",
            Self::Files { .. } => "files",
            Self::Function { .. } => "a function",
        }
    }
}

impl CommandBounds {
    fn hold(
        &self,
        argv: &[String],
        (folder, real): (Option<&str>, &Places),
        variables: &[&str],
        input: bool,
    ) -> Result<(), Outside> {
        self.line(argv, folder, real)?;
        // Where it is not said, it is somewhere.
        let folder = folder.unwrap_or("/");
        let own =
            full(folder, None).ok_or_else(|| Outside::of(Part::Folder, folder, listed(&self.folders)))?;
        if let Some(given) = astray(&own, &self.folders, real) {
            return Err(Outside::of(Part::Folder, &given, listed(&self.folders)));
        }
        variables.iter().try_for_each(|name| one_of(Part::Variable, name, &self.variables))?;
        unseen(Part::Input, input, self.input)
    }

    /// Whether one of the lines covers a program with its arguments.
    fn line(&self, argv: &[String], folder: Option<&str>, real: &Places) -> Result<(), Outside> {
        let mut outside = None;
        for line in &self.commands {
            let Some(beyond) = line.beyond(argv) else { continue };
            let odd = |argument: &&String| !line.rest.holds(argument, folder, real);
            let Some(argument) = beyond.iter().find(odd) else { return Ok(()) };
            let given = match &line.rest {
                Rest::Paths { folders } => {
                    full(argument, folder).and_then(|path| astray(&path, folders, real))
                }
                _ => None,
            };
            let given = given.unwrap_or_else(|| argument.clone());
            outside.get_or_insert_with(|| Outside::of(Part::Argument, &given, line.rest.words()));
        }
        Err(outside.unwrap_or_else(|| {
            let lines: BTreeSet<String> = self.commands.iter().map(CommandLine::words).collect();
            Outside::of(Part::Command, &argv.join(" "), listed(&lines))
        }))
    }

    fn narrows(&self, other: &Self) -> Result<(), Part> {
        let covered = |line: &CommandLine| other.commands.iter().any(|before| line.narrows(before));
        ok(Part::Command, self.commands.iter().all(covered))?;
        let folders = self.folders.iter().all(|folder| below(Part::Folder, folder, &other.folders).is_ok());
        ok(Part::Folder, folders)?;
        ok(Part::Variable, self.variables.is_subset(&other.variables))?;
        ok(Part::Input, !self.input || other.input)
    }
}

impl HttpBounds {
    fn hold(&self, method: &str, url: &str, headers: &[&str], body: Body<'_>) -> Result<(), Outside> {
        one_of(Part::Method, method, &self.methods)?;
        let Some(Target { host, path, query }) = target(url) else {
            return Err(Outside::of(
                Part::Address,
                url,
                String::from("http(s)://host/path that reads one way only"),
            ));
        };
        if !self.hosts.iter().any(|bound| host_within(&host, bound)) {
            return Err(Outside::of(Part::Host, &host, listed(&self.hosts)));
        }
        below(Part::Path, &path, &self.paths)?;
        unseen(Part::Query, query, self.query)?;
        headers
            .iter()
            .try_for_each(|name| one_of(Part::Header, &name.to_ascii_lowercase(), &self.headers))?;
        unseen(Part::Body, !matches!(body, Body::Empty), self.body)?;
        self.amounts.iter().try_for_each(|(at, bound)| bound.hold(at, body))
    }

    fn narrows(&self, other: &Self) -> Result<(), Part> {
        ok(Part::Method, self.methods.is_subset(&other.methods))?;
        let covered = |host: &String| other.hosts.iter().any(|bound| host_within(host, bound));
        ok(Part::Host, self.hosts.iter().all(covered))?;
        ok(Part::Path, self.paths.iter().all(|path| below(Part::Path, path, &other.paths).is_ok()))?;
        ok(Part::Query, !self.query || other.query)?;
        ok(Part::Header, self.headers.is_subset(&other.headers))?;
        ok(Part::Body, !self.body || other.body)?;
        for (at, before) in &other.amounts {
            let bound = self.amounts.get(at).ok_or(Part::Amount)?;
            ok(Part::Amount, bound.most <= before.most)?;
            ok(Part::Unit, before.unit.is_none() || bound.unit == before.unit)?;
        }
        Ok(())
    }
}

impl AmountBound {
    fn hold(&self, at: &str, body: Body<'_>) -> Result<(), Outside> {
        let found = |at: &str| match body {
            Body::Json { scalars } => scalars.get(at).map(String::as_str),
            Body::Empty | Body::Unread => None,
        };
        let most = || match &self.unit {
            Some(unit) => format!("{} {} at {at}", self.most, unit.is),
            None => format!("{} at {at}", self.most),
        };
        // What is not there, or cannot be read, is no amount within any bound.
        let given = found(at);
        match given.and_then(|given| given.parse::<Amount>().ok()) {
            Some(amount) if amount <= self.most => {}
            _ => return Err(Outside::of(Part::Amount, given.unwrap_or("nothing that can be read"), most())),
        }
        match &self.unit {
            Some(unit) if found(&unit.at) != Some(unit.is.as_str()) => {
                let given = found(&unit.at).unwrap_or("nothing that can be read");
                Err(Outside::of(Part::Unit, given, format!("{} at {}", unit.is, unit.at)))
            }
            _ => Ok(()),
        }
    }
}
