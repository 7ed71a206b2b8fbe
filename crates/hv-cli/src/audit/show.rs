//! `hv audit show`: the records of a trail, in the order in which they were written.

use super::names::{Name, Names};
use super::told::Told;
use super::words::{short, tell};
use super::{Failure, NoTrail, look};
use crate::Exit;
use crate::args::TrailArgs;
use crate::output::{self, Refused, one_line};
use hv_core::audit::disk::RealDisk;
use hv_core::audit::{Entry, PayloadRef, Verdict, salvage_on, verify_on};
use hv_core::read_record;
use hv_core::types::{Digest, Timestamp};
use serde::{Serialize, Serializer};
use std::fmt::Write;

/// Shows a trail record by record. What is shown counts as far as the trail verifies; where it does not, stderr
/// and the exit code say so.
pub(super) fn run(args: &TrailArgs) -> Result<Exit, Failure> {
    look(&args.data)?;
    let mut printer = Printer::new(if args.json { Form::Json } else { Form::Lines });
    let report =
        verify_on(&RealDisk, &args.data, &mut |entry| printer.show(&entry)).map_err(NoTrail::from)?;
    let tampered = matches!(report.verdict, Verdict::Tampered(_));
    if tampered && printer.shown == 0 {
        // Something is wrong besides the records, such as the mark: they can be read all the same.
        salvage_on(&RealDisk, &args.data, &mut |entry| printer.show(&entry)).map_err(NoTrail::from)?;
    }
    let unreadable = printer.unreadable;
    let printed = printer.end();
    if unreadable > 0 {
        output::error(&format!(
            "hv: {}: {unreadable} records say what this version does not know; a newer hv may have written them",
            args.data.display()
        ));
    }
    if let Verdict::Tampered(finding) = &report.verdict {
        output::error(&format!("hv: {}: the trail is tampered with: {finding}", args.data.display()));
        return Ok(Exit::Failed);
    }
    printed?;
    Ok(Exit::Done)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Lines,
    Json,
}

/// Turns records into text and prints it in pieces, so that a long trail needs no more memory than its names.
#[derive(Debug)]
struct Printer {
    form: Form,
    names: Names,
    waiting: String,
    /// Of the longest name of a stream so far: the columns behind it stand below each other from there on.
    width: usize,
    shown: u64,
    unreadable: u64,
    /// The first piece that could not be printed; nothing is printed after it.
    failed: Option<Refused>,
}

/// So many bytes are printed at once.
const PIECE_BYTES: usize = 64 << 10;

/// What a record says, or that it cannot be read and why.
type Read = Result<Vec<Told>, String>;

impl Printer {
    fn new(form: Form) -> Self {
        let names = Names::default();
        Self { form, names, waiting: String::new(), width: 8, shown: 0, unreadable: 0, failed: None }
    }

    fn show(&mut self, entry: &Entry<'_>) {
        if self.failed.is_some() {
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
        let row = Row { entry, label: self.names.stream(entry.stream), read: &read };
        match self.form {
            Form::Lines => row.lines(&mut self.width, &mut self.waiting),
            Form::Json => {
                self.waiting.push_str(if self.shown == 0 { "[\n" } else { ",\n" });
                // Nothing in a record is without a form in JSON.
                self.waiting.push_str(&serde_json::to_string(&row).unwrap_or_else(|_| "null".to_owned()));
            }
        }
        self.shown += 1;
        if self.waiting.len() >= PIECE_BYTES {
            self.flush();
        }
    }

    fn flush(&mut self) {
        if self.failed.is_none() {
            self.failed = output::bytes(self.waiting.as_bytes()).err();
        }
        self.waiting.clear();
    }

    fn end(mut self) -> Result<(), Refused> {
        if self.form == Form::Json {
            self.waiting.push_str(if self.shown == 0 { "[]\n" } else { "\n]\n" });
        }
        self.flush();
        self.failed.map_or(Ok(()), Err)
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
    format!("payload {}, {} bytes", short(&attached.id()), attached.length())
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
