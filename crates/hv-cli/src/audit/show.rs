//! `hv audit show`: the records of a trail, in the order in which they were written.

use super::anchored::OwnAnchors;
use super::args::{FilterArgs, ShowArgs, TailArgs};
use super::names::{Name, Names};
use super::told::Told;
use super::tree::Tree;
use super::words::{short, tell};
use super::{Failure, NoTrail, look};
use crate::Exit;
use crate::args::TrailArgs;
use crate::output::{self, Refused, counted, one_line};
use hv_core::audit::disk::RealDisk;
use hv_core::audit::{Entry, PayloadRef, Verdict, salvage_on, verify_on};
use hv_core::read_record;
use hv_core::types::{Digest, Timestamp};
use serde::{Serialize, Serializer};
use std::collections::VecDeque;
use std::fmt::Write;

/// Shows a trail record by record. What is shown counts as far as the trail verifies; where it does not, stderr
/// and the exit code say so.
pub(super) fn run(args: &ShowArgs) -> Result<Exit, Failure> {
    let form = match (args.tree, args.trail.json) {
        (true, _) => Form::Tree,
        (false, true) => Form::Json,
        (false, false) => Form::Lines,
    };
    all(&args.trail, Printer::new(form, args.filter.clone(), None))
}

/// Shows the last records of a trail.
pub(super) fn last(args: &TailArgs) -> Result<Exit, Failure> {
    let form = if args.trail.json { Form::Json } else { Form::Lines };
    all(&args.trail, Printer::new(form, args.filter.clone(), Some(args.lines)))
}

fn all(args: &TrailArgs, mut printer: Printer) -> Result<Exit, Failure> {
    look(&args.data)?;
    let mut own = OwnAnchors::default();
    let report = verify_on(&RealDisk, &args.data, &mut |entry| {
        own.take(&entry);
        printer.show(&entry);
    });
    let report = report.map_err(NoTrail::from)?;
    let tampered = matches!(report.verdict, Verdict::Tampered(_));
    if tampered && printer.seen == 0 {
        // Something is wrong besides the records, such as the mark: they can be read all the same.
        salvage_on(&RealDisk, &args.data, &mut |entry| printer.show(&entry)).map_err(NoTrail::from)?;
    }
    let unreadable = printer.unreadable;
    let printed = printer.end();
    if unreadable > 0 {
        output::error(&format!(
            "hv: {}: {} of what this version does not know; a newer hv may have written that",
            args.data.display(),
            counted(unreadable, "record")
        ));
    }
    if let Verdict::Tampered(finding) = &report.verdict {
        output::error(&format!("hv: {}: the trail is tampered with: {finding}", args.data.display()));
        return Ok(Exit::Failed);
    }
    if !printed? {
        return Ok(Exit::Done);
    }
    output::error(&format!("hv: {}: {}", args.data.display(), own.beside(&report.level)));
    Ok(Exit::Done)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Lines,
    Json,
    Tree,
}

/// Turns records into text and prints it in pieces, so that a long trail needs no more memory than its names.
#[derive(Debug)]
pub(super) struct Printer {
    form: Form,
    filter: FilterArgs,
    names: Names,
    tree: Tree,
    /// The last records, where only so many are shown.
    last: Option<(usize, VecDeque<String>)>,
    waiting: String,
    /// Of the longest name of a stream so far: the columns behind it stand below each other from there on.
    width: usize,
    /// How many records there were, whether they were shown or not.
    seen: u64,
    shown: u64,
    unreadable: u64,
    /// What came of the first piece that nobody read; nothing is printed after it.
    over: Option<Result<bool, Refused>>,
}

/// So many bytes are printed at once.
const PIECE_BYTES: usize = 64 << 10;

/// What a record says, or that it cannot be read and why.
type Read = Result<Vec<Told>, String>;

impl Printer {
    /// Shows what passes the filter; of that the last so many, where a number is given.
    pub(super) fn new(form: Form, filter: FilterArgs, last: Option<usize>) -> Self {
        Self {
            form,
            filter,
            names: Names::default(),
            tree: Tree::default(),
            last: last.map(|count| (count, VecDeque::new())),
            waiting: String::new(),
            width: 8,
            seen: 0,
            shown: 0,
            unreadable: 0,
            over: None,
        }
    }

    pub(super) fn show(&mut self, entry: &Entry<'_>) {
        self.seen += 1;
        if self.over.is_some() {
            return;
        }
        self.names.enter(entry);
        let read = match read_record(entry) {
            Ok(record) => {
                // First the names, then the words that use them; a stream that ends here has its names still.
                self.names.learn(&record);
                let told = tell(&self.names, &record);
                self.names.forget(&record);
                Ok(told)
            }
            Err(cause) => {
                self.unreadable += 1;
                Err(cause.to_string())
            }
        };
        let label = self.names.stream(entry.stream);
        if !self.filter.passes(entry, &label.to_string(), read.as_deref().unwrap_or_default()) {
            return;
        }
        let row = Row { entry, label, read: &read };
        let mut text = String::new();
        match self.form {
            Form::Tree => self.tree.take(&row.label.to_string(), read.as_deref().unwrap_or_default()),
            Form::Lines => row.lines(&mut self.width, &mut text),
            // Nothing in a record is without a form in JSON.
            Form::Json => text = serde_json::to_string(&row).unwrap_or_else(|_| "null".to_owned()),
        }
        match &mut self.last {
            Some((count, last)) => {
                last.push_back(text);
                if last.len() > *count {
                    last.pop_front();
                }
            }
            None => self.print(&text),
        }
    }

    /// Prints a record.
    fn print(&mut self, text: &str) {
        if self.form == Form::Json {
            self.waiting.push_str(if self.shown == 0 { "[\n" } else { ",\n" });
        }
        self.waiting.push_str(text);
        self.shown += 1;
        if self.waiting.len() >= PIECE_BYTES {
            self.flush();
        }
    }

    /// Prints the last records; what comes from here on is printed as it comes.
    pub(super) fn catch_up(&mut self) {
        for text in self.last.take().into_iter().flat_map(|(_, last)| last) {
            self.print(&text);
        }
        self.flush();
    }

    /// How many records there were.
    pub(super) const fn seen(&self) -> u64 {
        self.seen
    }

    /// Whether nobody reads any more, or something could not be printed.
    pub(super) const fn is_over(&self) -> bool {
        self.over.is_some()
    }

    /// Prints what waits.
    pub(super) fn flush(&mut self) {
        if self.over.is_none() {
            self.over =
                Some(output::piece(self.waiting.as_bytes())).filter(|printed| !matches!(printed, Ok(true)));
        }
        self.waiting.clear();
    }

    /// Prints what is left to print; says whether somebody read all of it.
    pub(super) fn end(mut self) -> Result<bool, Refused> {
        self.catch_up();
        if self.form == Form::Tree {
            self.waiting = self.tree.draw();
        }
        if self.form == Form::Json {
            self.waiting.push_str(if self.shown == 0 { "[]\n" } else { "\n]\n" });
        }
        self.flush();
        self.over.unwrap_or(Ok(true))
    }
}

/// One record as it is shown.
struct Row<'a> {
    entry: &'a Entry<'a>,
    label: Name,
    read: &'a Read,
}

impl Row<'_> {
    /// A line for each event, and one for a record without any.
    fn lines(&self, width: &mut usize, out: &mut String) {
        let Entry { lsn, seq, time, hash, .. } = self.entry;
        let label = one_line(&self.label.to_string());
        *width = label.chars().count().max(*width);
        let (width, batch, hash) = (*width, lsn.0, short(hash));
        let front = format!("{batch:>5}  {label:width$}  {seq:>4}  {time}  {hash}");
        let attached: Vec<String> = self.entry.attachments.map(attached_words).collect();
        let attached =
            if attached.is_empty() { String::new() } else { format!("  [{}]", attached.join(", ")) };
        let mut line = |words: &str, attached: &str| {
            // Writing to a string does not fail.
            let _ = writeln!(out, "{front}  {}{attached}", one_line(words));
        };
        match self.read.as_deref() {
            Err(cause) => line(&format!("cannot be read by this version: {cause}"), &attached),
            Ok([]) => line("says nothing", &attached),
            Ok([before @ .., last]) => {
                before.iter().for_each(|told| line(told.words(), ""));
                line(last.words(), &attached);
            }
        }
    }
}

fn attached_words(attached: PayloadRef) -> String {
    format!("payload {}, {}", short(&attached.id()), counted(attached.length(), "byte"))
}

impl Serialize for Row<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Document<'a> {
            lsn: u64,
            stream: u32,
            label: &'a Name,
            seq: u64,
            time: Timestamp,
            hash: Digest,
            attached: Vec<Attached>,
            events: &'a [Told],
            #[serde(skip_serializing_if = "Option::is_none")]
            unreadable: Option<&'a str>,
        }

        #[derive(Serialize)]
        struct Attached {
            id: Digest,
            length: u64,
        }

        let Entry { lsn, stream, seq, time, hash, attachments, .. } = self.entry;
        let (events, unreadable) = match self.read {
            Ok(events) => (events.as_slice(), None),
            Err(cause) => (&[][..], Some(cause.as_str())),
        };
        let attached =
            attachments.map(|payload| Attached { id: payload.id(), length: payload.length() }).collect();
        let (lsn, stream, seq, time, hash) = (lsn.0, stream.0, *seq, *time, *hash);
        Document { lsn, stream, label: &self.label, seq, time, hash, attached, events, unreadable }
            .serialize(serializer)
    }
}
